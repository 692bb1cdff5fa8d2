package loader

import (
	"fmt"

	"github.com/serverless-go/cdk/patterns/orchestration/graph"
)

// InvalidRequestError is that the workflow asked for something that there is
// not.
type InvalidRequestError struct{ Reason string }

func (e *InvalidRequestError) Error() string { return "graphload: " + e.Reason }

// RowError is that a row cannot become a node or relationship. Mend the query.
type RowError struct {
	Key    string // of the file
	Row    int    // within it, from 1
	Column string
	Reason string
}

func (e *RowError) Error() string {
	return fmt.Sprintf("graphload: %s, row %d: column %s %s", e.Key, e.Row, e.Column, e.Reason)
}

// UnavailableError is that Neptune did not answer, or not now. The same request
// may succeed later.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return "graphload: try again: " + e.Err.Error() }

func (e *UnavailableError) Unwrap() error { return e.Err }

// RefusedError is that Neptune refuses a request, and will again.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return "graphload: refused: " + e.Err.Error() }

func (e *RefusedError) Unwrap() error { return e.Err }

// LoadFailedError is that files could not be loaded. Mend the cause and redrive
// the execution, which resumes the load.
type LoadFailedError struct{ Status, Detail string }

func (e *LoadFailedError) Error() string {
	return fmt.Sprintf("graphload: the load ended with %s: %s", e.Status, e.Detail)
}

// LoadAccessDeniedError is that the cluster may not read the files.
type LoadAccessDeniedError struct{ Detail string }

func (e *LoadAccessDeniedError) Error() string {
	return "graphload: the cluster may not read the files: " + e.Detail
}

// LoadChangedError is that files were changed or deleted while they were
// loaded. Start another execution.
type LoadChangedError struct{ Detail string }

func (e *LoadChangedError) Error() string {
	return "graphload: files were changed or deleted while they were loaded: " + e.Detail
}

// LoadCancelledError is that somebody cancelled the load. Redrive the execution
// to resume it.
type LoadCancelledError struct{ Detail string }

func (e *LoadCancelledError) Error() string {
	return "graphload: somebody cancelled the load: " + e.Detail
}

// LoadTimeoutError is that the load took longer than GraphLoad's LoadTimeout;
// it was cancelled. Redrive the execution to resume it.
type LoadTimeoutError struct{ Detail string }

func (e *LoadTimeoutError) Error() string {
	return "graphload: the load took too long and was cancelled: " + e.Detail
}

// VerificationError is that the graph does not hold what was loaded.
type VerificationError struct{ Reason string }

func (e *VerificationError) Error() string { return "graphload: " + e.Reason }

func (*InvalidRequestError) graphLoad()   {}
func (*RowError) graphLoad()              {}
func (*UnavailableError) graphLoad()      {}
func (*RefusedError) graphLoad()          {}
func (*LoadFailedError) graphLoad()       {}
func (*LoadAccessDeniedError) graphLoad() {}
func (*LoadChangedError) graphLoad()      {}
func (*LoadCancelledError) graphLoad()    {}
func (*LoadTimeoutError) graphLoad()      {}
func (*VerificationError) graphLoad()     {}

// raise returns what a load failed with, unless the execution was redriven
// since: then the cause is mended.
func raise(f *graph.Failure) error {
	switch {
	case f.Redriven:
		return nil
	case f.Status == graph.Timeout:
		return &LoadTimeoutError{f.Detail}
	case f.Status == statusCancelledByUser || f.Status == "CANCELLED": // the latter by Neptune Analytics
		return &LoadCancelledError{f.Detail}
	case f.Status == statusAccessDenied:
		return &LoadAccessDeniedError{f.Detail}
	case f.Status == statusChanged:
		return &LoadChangedError{f.Detail}
	}
	return &LoadFailedError{f.Status, f.Detail}
}
