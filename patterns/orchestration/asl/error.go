package asl

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// The error names that the language reserves, as "Handling errors in Step
// Functions workflows" in the AWS Step Functions Developer Guide lists them.
const (
	// ErrorAll matches every error but States.DataLimitExceeded and
	// States.Runtime. It must stand alone and in the last retrier or catcher.
	ErrorAll = "States.ALL"
	// ErrorTaskFailed matches every error but a time-out.
	ErrorTaskFailed = "States.TaskFailed"
	// ErrorTimeout reports a task or an execution that took too long.
	ErrorTimeout = "States.Timeout"
	// ErrorHeartbeatTimeout reports a task that sent no heartbeat in time.
	// Retriers and catchers for States.Timeout match it too.
	ErrorHeartbeatTimeout = "States.HeartbeatTimeout"
	// ErrorPermissions reports a task that lacks privileges.
	ErrorPermissions = "States.Permissions"
	// ErrorResultPathMatchFailure reports a ResultPath that does not fit the
	// state's input.
	ErrorResultPathMatchFailure = "States.ResultPathMatchFailure"
	// ErrorParameterPathFailure reports a path in a payload template that
	// selects nothing.
	ErrorParameterPathFailure = "States.ParameterPathFailure"
	// ErrorBranchFailed reports a failed branch of a Parallel state. The state
	// itself fails with the branch's own error.
	ErrorBranchFailed = "States.BranchFailed"
	// ErrorNoChoiceMatched reports a Choice state without a rule that applies
	// and without Default.
	ErrorNoChoiceMatched = "States.NoChoiceMatched"
	// ErrorIntrinsicFailure reports an intrinsic function that failed.
	ErrorIntrinsicFailure = "States.IntrinsicFailure"
	// ErrorExceedToleratedFailureThreshold reports a Map state with more failed
	// items than it tolerates.
	ErrorExceedToleratedFailureThreshold = "States.ExceedToleratedFailureThreshold"
	// ErrorItemReaderFailed reports a Map state that could not read its items.
	ErrorItemReaderFailed = "States.ItemReaderFailed"
	// ErrorResultWriterFailed reports a Map state that could not write its
	// results.
	ErrorResultWriterFailed = "States.ResultWriterFailed"
	// ErrorQueryEvaluation reports a JSONata expression that failed or whose
	// value does not fit its field.
	ErrorQueryEvaluation = "States.QueryEvaluationError"
	// ErrorDataLimitExceeded reports a state whose output is larger than
	// MaxDataSize. Only its own name matches it.
	ErrorDataLimitExceeded = "States.DataLimitExceeded"
	// ErrorRuntime reports what no retrier or catcher can handle, such as an
	// InputPath that selects nothing.
	ErrorRuntime = "States.Runtime"
	// ErrorHTTPSocket reports an HTTP task whose connection timed out.
	ErrorHTTPSocket = "States.Http.Socket"
)

// reservedErrors are all names that may start with "States.".
var reservedErrors = []string{
	ErrorAll, ErrorTaskFailed, ErrorTimeout, ErrorHeartbeatTimeout, ErrorPermissions,
	ErrorResultPathMatchFailure, ErrorParameterPathFailure, ErrorBranchFailed,
	ErrorNoChoiceMatched, ErrorIntrinsicFailure, ErrorExceedToleratedFailureThreshold,
	ErrorItemReaderFailed, ErrorResultWriterFailed, ErrorQueryEvaluation,
	ErrorDataLimitExceeded, ErrorRuntime, ErrorHTTPSocket,
}

// MaxDataSize is the largest input or output of a state, in bytes of JSON.
const MaxDataSize = 256 * 1024

// An Error is the failure of a task, a state or an execution: a name that
// Retry and Catch match, and a cause for people. A Handler returns one to fail
// a task under a chosen name.
type Error struct {
	Name  string `json:"Error,omitempty"`
	Cause string `json:"Cause,omitempty"`
}

func (e *Error) Error() string {
	if e.Cause == "" {
		return e.Name
	}
	return e.Name + ": " + e.Cause
}

// Is reports whether the target is an *Error of the same name, whose cause is
// the same or empty.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Name == e.Name && (t.Cause == "" || t.Cause == e.Cause)
}

// failure makes an Error from what a task's handler returned. An error of
// another type is named after its type, as the Lambda runtime for Go does.
func failure(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return &Error{Name: t.Name(), Cause: err.Error()}
}

func errorf(name, format string, args ...any) *Error {
	return &Error{Name: name, Cause: fmt.Sprintf(format, args...)}
}

// matches reports whether a retrier's or catcher's list names the error.
func (e *Error) matches(names []string) bool {
	if e.Name == ErrorRuntime {
		return false
	}
	timeout := e.Name == ErrorTimeout || e.Name == ErrorHeartbeatTimeout
	return slices.ContainsFunc(names, func(name string) bool {
		switch name {
		case e.Name:
			return true
		case ErrorAll:
			return e.Name != ErrorDataLimitExceeded
		case ErrorTaskFailed:
			return !timeout && e.Name != ErrorDataLimitExceeded
		case ErrorTimeout:
			return timeout
		}
		return false
	})
}

// output is the error as states see it.
func (e *Error) output() map[string]any {
	return map[string]any{"Error": e.Name, "Cause": e.Cause}
}
