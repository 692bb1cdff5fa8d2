// Package saga holds what a saga asks of the functions that are its steps, and
// what it ends with. It imports the standard library only.
//
// A step's action and its compensation get the same Key. Both must be
// idempotent by it: a step is retried when its answer was lost, and a
// compensation is repeated until it succeeds.
//
//	func book(ctx context.Context, r saga.Request[Order, Booking]) (Booking, error) {
//		if r.Operation == saga.Compensate {
//			return Booking{}, rooms.Cancel(ctx, r.Key)
//		}
//		return rooms.Book(ctx, r.Key, r.Input.Nights)
//	}
package saga

import (
	"encoding/json"
	"time"
)

// Operation is what a step is asked to do.
type Operation string

// The operations.
const (
	Act        Operation = "act"        // do it
	Compensate Operation = "compensate" // undo it
)

// Request is what a function gets that is the action or the compensation of a
// step, unless the step has a Payload of its own.
type Request[Input, Result any] struct {
	// Saga is the ARN of the execution.
	Saga string `json:"saga"`
	// Step is the step's name.
	Step string `json:"step"`
	// Key is the idempotency key: unique to the saga and the step, the same
	// for every retry, and for the action and its compensation.
	Key string `json:"key"`
	// Operation is what to do.
	Operation Operation `json:"operation"`
	// Input is what the saga was started with.
	Input Input `json:"input"`
	// Results are those of the steps before, by their names.
	Results map[string]json.RawMessage `json:"results"`
	// Result is what the action returned that is to be compensated, nil if it
	// is not known.
	Result *Result `json:"result,omitempty"`
}

// Approval is what a person is asked.
type Approval struct {
	Saga string `json:"saga"`
	Step string `json:"step"`
	// Token answers the question: it goes to SendTaskSuccess with an Answer.
	Token string `json:"token"`
	// Expires is when the saga stops waiting and compensates.
	Expires time.Time                  `json:"expires"`
	Input   json.RawMessage            `json:"input"`
	Results map[string]json.RawMessage `json:"results"`
}

// Answer is what a person answers.
type Answer struct {
	Approved bool   `json:"approved"`
	By       string `json:"by,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Failure tells what went wrong with which step.
type Failure struct {
	Step  string `json:"step"`
	Error string `json:"error"`
	Cause string `json:"cause,omitempty"` // the first 2,000 characters
}

// State is how far a saga came.
type State struct {
	// Done are the steps whose actions were done, in this order. Those of
	// parallel branches stand branch by branch.
	Done []string `json:"done"`
	// Results are what they returned.
	Results map[string]json.RawMessage `json:"results"`
	// Failure is why the saga is undone.
	Failure *Failure `json:"failure,omitempty"`
	// Undone are the steps that have been compensated, in this order.
	Undone []string `json:"undone,omitempty"`
	// Stuck is why a compensation failed.
	Stuck *Failure `json:"stuck,omitempty"`
}

// DeadLetter is the message about a compensation that failed. Mend the cause
// and redrive the execution; it goes on with this compensation.
type DeadLetter struct {
	Saga  string          `json:"saga"`
	Input json.RawMessage `json:"input"`
	State State           `json:"state"`
}

// Outcome is the output of a saga that was done to its end.
type Outcome struct {
	Saga    string                     `json:"saga"`
	Results map[string]json.RawMessage `json:"results"`
}

// The errors of an execution.
const (
	// Compensated says that a step failed and all steps before it were undone.
	// The cause is a State, in JSON, without the results.
	Compensated = "Saga.Compensated"
	// Lost says that the results of parallel branches were too large to be
	// joined, so that it is not known what to undo. The saga's state is in the
	// dead-letter queue, what the branches did in the execution's history.
	Lost = "Saga.Lost"
	// Denied is a Failure's error when a person did not approve.
	Denied = "Saga.Denied"
	// Expired is a Failure's error when nobody answered in time.
	Expired = "Saga.Expired"
)
