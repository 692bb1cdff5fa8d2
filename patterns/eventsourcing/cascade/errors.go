package cascade

import (
	"errors"
	"fmt"
	"time"
)

// LoopError says that the cause is of the cascade's own making, or that it
// stands at the end of too many automatic reactions.
type LoopError struct {
	Cascade string
	Cause   string // the event's id
	Origin  string // the reaction that appended it
	Hops    int    // how many automatic reactions led to it
	MaxHops int
}

func (e *LoopError) Error() string {
	return fmt.Sprintf("cascade %s: event %s of origin %q with %d hops would loop; allowed are other origins and fewer than %d hops",
		e.Cascade, e.Cause, e.Origin, e.Hops, e.MaxHops)
}

// CoolingDownError says that the key was remedied a short time ago.
type CoolingDownError struct {
	Cascade string
	Key     string
	Until   time.Time // when it may be remedied again
}

func (e *CoolingDownError) Error() string {
	return fmt.Sprintf("cascade %s: %s cools down until %s", e.Cascade, e.Key, e.Until.UTC().Format(time.RFC3339))
}

// BudgetError says that the window's budget is spent.
type BudgetError struct {
	Cascade string
	Budget  int
	Window  time.Duration
	Until   time.Time // when the window ends
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("cascade %s: the budget of %d remedies in %s is spent until %s",
		e.Cascade, e.Budget, e.Window, e.Until.UTC().Format(time.RFC3339))
}

// DoneError says that the key was remedied because of the same event before.
type DoneError struct {
	Cascade string
	Cause   string // the event's id
	Key     string
}

func (e *DoneError) Error() string {
	return fmt.Sprintf("cascade %s: %s is done for event %s", e.Cascade, e.Key, e.Cause)
}

// BusyError says that another delivery of the same event is remedying the key,
// or died doing so. Return it, so that this delivery is tried again.
type BusyError struct {
	Cascade string
	Cause   string // the event's id
	Key     string
	Until   time.Time // when the other one is given up
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("cascade %s: %s is being worked on for event %s until %s", e.Cascade, e.Key, e.Cause, e.Until.UTC().Format(time.RFC3339))
}

// Refused reports whether err says that a remedy must not run for its cause,
// now or in a retry: a LoopError, CoolingDownError, BudgetError or DoneError.
// Log it and return nil, for a returned error would be retried and end in a
// dead-letter queue.
func Refused(err error) bool {
	var (
		loop    *LoopError
		cooling *CoolingDownError
		budget  *BudgetError
		done    *DoneError
	)
	return errors.As(err, &loop) || errors.As(err, &cooling) || errors.As(err, &budget) || errors.As(err, &done)
}
