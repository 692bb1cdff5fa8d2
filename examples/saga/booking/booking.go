// Package booking is what the steps of the trip do.
package booking

import (
	"context"
	"fmt"

	"github.com/serverless-go/cdk/patterns/orchestration/saga"
)

// Trip is what the saga is started with.
type Trip struct {
	Traveller string `json:"traveller"`
	Nights    int    `json:"nights"`
}

// Confirmation is the result of a step.
type Confirmation struct {
	Number string `json:"number"`
}

// Store remembers bookings by the key of the saga's step. Both methods can be
// called again with the same key.
type Store interface {
	// Book reports false if the key was cancelled before.
	Book(ctx context.Context, key, traveller string) (bool, error)
	Cancel(ctx context.Context, key string) error
}

// RefusedError says that a booking is not possible. The saga does not retry
// it, but undoes what it has done.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refused: " + e.Reason }

// Desk books and cancels.
type Desk struct {
	Store Store
	Limit int // of nights
}

// Handle does a step of the saga or undoes it.
func (d *Desk) Handle(ctx context.Context, r saga.Request[Trip, Confirmation]) (*Confirmation, error) {
	if r.Operation == saga.Compensate {
		if err := d.Store.Cancel(ctx, r.Key); err != nil {
			return nil, fmt.Errorf("cancel %s: %w", r.Step, err)
		}
		return nil, nil
	}
	if r.Input.Nights < 1 || r.Input.Nights > d.Limit {
		return nil, &RefusedError{fmt.Sprintf("%s takes 1 to %d nights, not %d", r.Step, d.Limit, r.Input.Nights)}
	}
	booked, err := d.Store.Book(ctx, r.Key, r.Input.Traveller)
	if err != nil {
		return nil, fmt.Errorf("book %s: %w", r.Step, err)
	}
	if !booked {
		return nil, &RefusedError{r.Step + " was cancelled before it was booked"}
	}
	return &Confirmation{Number: r.Key}, nil
}
