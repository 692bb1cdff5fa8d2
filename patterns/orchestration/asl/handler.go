package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// A Handler does the work of a task. It returns the task's output, any Go
// value with a JSON form, or an error: an *Error fails the task under its
// name, any other error under the name of its type, as Lambda does for
// handlers in Go.
//
// A handler that returns a Result, as Return and Throw make them, chooses when
// the task ends too. The output of a handler for a task token
// (".waitForTaskToken") counts only if it is a Result: such a task ends with
// SendTaskSuccess or SendTaskFailure.
type Handler func(ctx context.Context, t *PendingTask) (any, error)

// A Result is the end of a task: what it returns and when.
type Result struct {
	output any
	err    error
	after  time.Duration
	beat   time.Duration
	silent bool
}

// Return makes the result of a task that succeeds with the output.
func Return(output any) Result { return Result{output: output} }

// Throw makes the result of a task that fails.
func Throw(name, cause string) Result { return Result{err: &Error{Name: name, Cause: cause}} }

// Hang makes the result of a task that never ends. Only a time-out gets past
// it.
func Hang() Result { return Result{silent: true} }

// After returns the result of a task that takes so long, on the clock of the
// execution. An answer that comes at the same time as the task's time-out is
// in time.
func (r Result) After(d time.Duration) Result {
	r.after = d
	return r
}

// Beating returns the result of a task that sends a heartbeat at the given
// interval until it ends.
func (r Result) Beating(interval time.Duration) Result {
	r.beat = interval
	return r
}

// Script makes a handler that plays back results: the first call ends with
// the first one, and so on. Calls after the last result end like the last one.
// It counts the calls of all executions, so that each test makes its own.
func Script(results ...Result) Handler {
	if len(results) == 0 {
		results = []Result{Return(nil)}
	}
	var mu sync.Mutex
	calls := 0
	return func(context.Context, *PendingTask) (any, error) {
		mu.Lock()
		defer mu.Unlock()
		r := results[min(calls, len(results)-1)]
		calls++
		return r, nil
	}
}

// Lambda makes a handler from a Lambda function's own handler. Its event is
// the Payload of arn:aws:states:::lambda:invoke, and its answer comes wrapped
// as that integration returns it; for a Resource that is the function itself,
// both are the plain arguments and result.
func Lambda[In, Out any](f func(context.Context, In) (Out, error)) Handler {
	return func(ctx context.Context, t *PendingTask) (any, error) {
		invoked := strings.Contains(t.Resource, ":states:::")
		event := t.Arguments
		if invoked {
			arguments, _ := t.Arguments.(map[string]any)
			event = arguments["Payload"]
		}
		data, err := json.Marshal(event)
		if err != nil {
			return nil, err
		}
		var in In
		if err := json.Unmarshal(data, &in); err != nil {
			return nil, fmt.Errorf("asl: decode the event of state %q: %w", t.State, err)
		}
		out, err := f(ctx, in)
		if err != nil || !invoked {
			return out, err
		}
		return map[string]any{"ExecutedVersion": "$LATEST", "Payload": out, "StatusCode": 200}, nil
	}
}

// perform runs a handler.
func perform(ctx context.Context, h Handler, t *PendingTask) Result {
	out, err := h(ctx, t)
	switch r, ok := out.(Result); {
	case err != nil:
		return Result{err: err}
	case ok:
		return r
	case t.Callback():
		return Hang()
	}
	return Return(out)
}

func isGone(err error) bool { return errors.Is(err, ErrTaskDoesNotExist) }
