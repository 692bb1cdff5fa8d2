package main

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"example.com/travel/booking"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestMain(m *testing.M) { cdktest.Main(m) }

func TestTravel(t *testing.T) {
	cdktest.Golden(t, NewTravel(cdktest.NewApp(t), "Travel"))
}

// memory is a Store that can lose its answers.
type memory struct {
	state map[string]string // by the step's key: booked or cancelled
	lost  int               // answers that will be lost, after the work was done
}

var errLost = errors.New("connection reset")

func (m *memory) Book(_ context.Context, key, _ string) (bool, error) {
	if m.state[key] == "cancelled" {
		return false, nil
	}
	m.state[key] = "booked"
	return true, m.answer()
}

func (m *memory) Cancel(_ context.Context, key string) error {
	m.state[key] = "cancelled"
	return m.answer()
}

func (m *memory) answer() error {
	if m.lost > 0 {
		m.lost--
		return errLost
	}
	return nil
}

// The saga that the template deploys runs with the functions' own code.
func TestTrip(t *testing.T) {
	template := cdktest.Synth(t, NewTravel(cdktest.NewApp(t), "Travel"))
	saga := template.One(t, "AWS::StepFunctions::StateMachine", cdktest.Match{})
	machine, err := asl.Parse([]byte(cdktest.Deployed(t, saga.Properties["DefinitionString"])))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		nights int
		lost   int
		status asl.Status
		state  map[string]string
	}{
		{"booked", 7, 0, asl.Succeeded, map[string]string{"Hotel": "booked", "Flight": "booked"}},
		{"the flight refuses, and the hotel is cancelled", 20, 0, asl.Failed, map[string]string{"Hotel": "cancelled", "Flight": "cancelled"}},
		{"the hotel refuses, and no flight is booked", 40, 0, asl.Failed, map[string]string{"Hotel": "cancelled"}},
		{"the hotel's answer is lost, and what it did is undone", 7, 1, asl.Failed, map[string]string{"Hotel": "cancelled"}},
		{"an answer to a compensation is lost, too", 7, 2, asl.Failed, map[string]string{"Hotel": "cancelled"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := &memory{state: map[string]string{}, lost: test.lost}
			in := asl.Interpreter{Options: asl.StartOptions{Name: "trip-1"}, Tasks: map[string]asl.Handler{
				"Hotel":       asl.Lambda((&booking.Desk{Store: store, Limit: 30}).Handle),
				"Flight":      asl.Lambda((&booking.Desk{Store: store, Limit: 14}).Handle),
				"Undo Hotel":  asl.Lambda((&booking.Desk{Store: store, Limit: 30}).Handle),
				"Undo Flight": asl.Lambda((&booking.Desk{Store: store, Limit: 14}).Handle),
			}}
			x, err := in.Run(t.Context(), machine, booking.Trip{Traveller: "Ada", Nights: test.nights})
			if err != nil {
				t.Fatal(err)
			}
			if x.Status() != test.status {
				t.Errorf("the trip has %s: %s: %v", x.Status(), x, x.Err())
			}
			state := map[string]string{}
			for key, s := range store.state {
				state[key[strings.LastIndex(key, "/")+1:]] = s
			}
			if !maps.Equal(state, test.state) {
				t.Errorf("the bookings are %v, want %v: %s", state, test.state, x)
			}
		})
	}
}
