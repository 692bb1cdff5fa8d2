package asl

import (
	"fmt"
	"strings"
)

// A Problem is one mistake in a definition.
type Problem struct {
	// State is the name of the state, empty for the state machine itself.
	State string
	// Field is the field, with its place in the state, such as
	// "Retry[1].ErrorEquals".
	Field string
	// Message says what is wrong and what to do.
	Message string
}

func (p Problem) String() string {
	var b strings.Builder
	if p.State != "" {
		fmt.Fprintf(&b, "state %q", p.State)
	} else {
		b.WriteString("state machine")
	}
	if p.Field != "" {
		fmt.Fprintf(&b, ", field %s", p.Field)
	}
	b.WriteString(": ")
	b.WriteString(p.Message)
	return b.String()
}

// Problems is the error of a definition that is not valid: everything that is
// wrong with it, in the order of the definition.
type Problems []Problem

func (p Problems) Error() string {
	var b strings.Builder
	if len(p) == 1 {
		b.WriteString("the state machine definition has a problem:")
	} else {
		fmt.Fprintf(&b, "the state machine definition has %d problems:", len(p))
	}
	for _, problem := range p {
		b.WriteString("\n\t")
		b.WriteString(problem.String())
	}
	return b.String()
}
