package asl

import (
	"strings"
	"time"
)

// A Visit is one entry into a state.
type Visit struct {
	// State is the name of the state, and Type its type.
	State string `json:"state"`
	Type  Type   `json:"type"`
	// Path is where the state's machine runs: "" for the execution itself,
	// "Ship[2]" for the third item or branch of the state Ship, and so on
	// inwards: "Ship[2]/Pack[0]".
	Path string `json:"path,omitempty"`
	// Entered and Exited are the times; Exited is zero while the state runs and
	// when it failed.
	Entered time.Time `json:"entered"`
	Exited  time.Time `json:"exited,omitzero"`
	// Input and Output are the state's own, before and after everything it
	// does to them.
	Input  any `json:"input"`
	Output any `json:"output,omitempty"`
	// Failures are the errors of the state in the order they occurred, those
	// that were retried or caught too.
	Failures []*Error `json:"failures,omitempty"`
	// Next is the state that followed, empty at the end of a machine.
	Next string `json:"next,omitempty"`
}

// Trace returns the visited states in the order in which they were entered.
func (x *Execution) Trace() []*Visit { return x.rec.Trace }

// States returns the names of the visited states of the execution itself,
// without those inside Parallel and Map states, in the order in which they
// were entered.
func (x *Execution) States() []string { return x.StatesIn("") }

// StatesIn returns the names of the visited states at a path, such as
// "Ship[2]".
func (x *Execution) StatesIn(path string) []string {
	var names []string
	for _, v := range x.rec.Trace {
		if v.Path == path {
			names = append(names, v.State)
		}
	}
	return names
}

// Visits returns the visits of one state.
func (x *Execution) Visits(state string) []*Visit {
	var visits []*Visit
	for _, v := range x.rec.Trace {
		if v.State == state {
			visits = append(visits, v)
		}
	}
	return visits
}

// String returns the visited states as "A -> B -> C", and the error or "..."
// when the execution did not succeed.
func (x *Execution) String() string {
	text := strings.Join(x.States(), " -> ")
	switch {
	case x.rec.Failure != nil:
		text += " -> " + x.rec.Failure.Name
	case x.rec.Status != Succeeded:
		text += " -> ..."
	}
	return text
}
