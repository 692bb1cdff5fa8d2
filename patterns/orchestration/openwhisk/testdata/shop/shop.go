// Package shop holds the functions that the tests' workflows call: the same in
// the interpreter, and as actions of OpenWhisk.
package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/action"
)

// Busy, Declined and Broken are the failures that workflows retry or catch by
// these names.
type (
	Busy     struct{ Attempt int }
	Declined struct{ Card string }
	Broken   struct{ Item any }
)

func (e *Busy) Error() string     { return fmt.Sprintf("busy at attempt %d", e.Attempt) }
func (e *Declined) Error() string { return e.Card + " is declined" }
func (e *Broken) Error() string   { return fmt.Sprint(e.Item) + " is broken" }

// An Order is the input of the workflows.
type Order struct {
	ID    string `json:"id"`
	Card  string `json:"card"`
	Busy  int    `json:"busy"` // how often Reserve fails
	Items []any  `json:"items"`
}

// A Shop counts what it is asked for, by order.
type Shop struct {
	mu       sync.Mutex
	attempts map[string]int
}

// Reserve fails as often as the order says.
func (s *Shop) Reserve(_ context.Context, o Order) (map[string]any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attempts == nil {
		s.attempts = map[string]int{}
	}
	s.attempts[o.ID]++
	if n := s.attempts[o.ID]; n <= o.Busy {
		return nil, &Busy{n}
	}
	return map[string]any{"reservation": "r-" + o.ID, "attempts": s.attempts[o.ID]}, nil
}

// Charge takes any card but the declined one.
func (s *Shop) Charge(_ context.Context, o Order) (map[string]any, error) {
	if o.Card == "declined" {
		return nil, &Declined{o.Card}
	}
	return map[string]any{"charge": "c-" + o.ID}, nil
}

// Pack returns no object, and takes none.
func (s *Shop) Pack(_ context.Context, item any) (string, error) {
	if item == "broken" {
		return "", &Broken{item}
	}
	return fmt.Sprintf("packed %v", item), nil
}

// Audit returns an object that OpenWhisk would take for an error.
func (s *Shop) Audit(_ context.Context, o any) (map[string]any, error) {
	return map[string]any{"error": "none", "seen": o}, nil
}

// Undo returns an array.
func (s *Shop) Undo(_ context.Context, o Order) ([]string, error) {
	return []string{"undone", o.ID}, nil
}

// Price adds a total; it passes the order on, for a chain.
func (s *Shop) Price(_ context.Context, o map[string]any) (map[string]any, error) {
	items, _ := o["items"].([]any)
	o["total"] = len(items) * 10
	return o, nil
}

// Names are the names of the functions.
var Names = []string{"reserve", "charge", "pack", "audit", "undo", "price"}

// Handle is the action of the function with the name of the running action.
func (s *Shop) Handle(ctx context.Context, params json.RawMessage) (any, error) {
	full := action.FromContext(ctx).Action
	handlers := []action.Handler{action.Func(s.Reserve), action.Func(s.Charge), action.Func(s.Pack),
		action.Func(s.Audit), action.Func(s.Undo), action.Func(s.Price)}
	at := slices.IndexFunc(Names, func(name string) bool { return full == "/guest/shop/"+name })
	if at < 0 {
		return nil, fmt.Errorf("no function for %s", full)
	}
	return handlers[at](ctx, params)
}
