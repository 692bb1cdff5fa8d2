package projection

import (
	"errors"
	"fmt"
	"time"
)

// ErrNotFound is returned by Get for an item that the model does not have.
var ErrNotFound = errors.New("projection: item not found")

// The following errors end a rebuild's request. Lambda reports an error by the
// name of its Go type, so that a state machine's Catch and Retry can name them:
// RunningError, RefusedError, ApplyError, RequestError, UnavailableError. Only
// UnavailableError is worth a retry.

// RunningError says that another run builds a version. That version is the
// other run's: it must not be abandoned on account of this error.
type RunningError struct {
	Model int    // the version being built
	Run   string // who builds it
}

func (e *RunningError) Error() string {
	return fmt.Sprintf("projection: run %q is building version %d; wait for its end or abandon that version", e.Run, e.Model)
}

// RefusedError says that an operation does not fit the state of the model: its
// version is no longer being built, not all shards were replayed, live traffic
// brought an event that the version could not take, or the version to sweep is
// in use.
type RefusedError struct {
	Op     string
	Model  int
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("projection: %s of version %d refused: %s", e.Op, e.Model, e.Reason)
}

// ApplyError says that an event cannot be applied, whether the cause is its
// payload, Apply, or writes that DynamoDB rejects. The same event will fail
// again until the code is changed.
type ApplyError struct {
	Position string // the event's "stream#version"; empty if it could not be read
	Type     string // the event's type; empty if it could not be read
	Model    int    // the version of the model
	Err      error
}

func (e *ApplyError) Error() string {
	if e.Position == "" {
		return fmt.Sprintf("projection: read an event for version %d: %v", e.Model, e.Err)
	}
	return fmt.Sprintf("projection: apply %s (%s) to version %d: %v", e.Position, e.Type, e.Model, e.Err)
}

func (e *ApplyError) Unwrap() error { return e.Err }

// RequestError says that a request is malformed.
type RequestError struct {
	Reason string
}

func (e *RequestError) Error() string { return "projection: bad request: " + e.Reason }

// UnavailableError says that AWS failed, throttled or refused access, or that
// the time was up. The same request can succeed later.
type UnavailableError struct {
	Err error
}

func (e *UnavailableError) Error() string { return "projection: " + e.Err.Error() }

func (e *UnavailableError) Unwrap() error { return e.Err }

// WritesError is the cause of an ApplyError when Apply returned more writes
// than fit into one transaction.
type WritesError struct {
	Writes int
}

func (e *WritesError) Error() string {
	return fmt.Sprintf("%d writes for one event, at most %d fit into its transaction", e.Writes, maxWrites)
}

// StaleError is the cause of an ApplyError when an unordered projection gets an
// event recorded longer ago than it remembers the events it applied, so that it
// cannot tell whether this is one of them. A rebuild takes the event in.
type StaleError struct {
	Time   time.Time     // when the event was recorded
	Window time.Duration // how long events are remembered
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("recorded at %s, longer ago than events are remembered (%s); rebuild the projection to take it in",
		e.Time.Format(time.RFC3339), e.Window)
}

// named returns the error of this package that is in err's chain, for Lambda
// shows the name of the outermost type only.
func named(err error) error {
	var (
		running *RunningError
		refused *RefusedError
		apply   *ApplyError
		request *RequestError
	)
	switch {
	case errors.As(err, &running):
		return running
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &apply):
		return apply
	case errors.As(err, &request):
		return request
	}
	return &UnavailableError{Err: err}
}
