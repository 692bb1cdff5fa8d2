// Package props tells users what is wrong with the props they gave a construct.
//
// A construct checks all its props before it makes its first resource. If any
// is wrong it panics once, with an *Error that lists every problem. A program
// that wants a plain message and an exit status instead of a panic recovers at
// its main function:
//
//	defer func() {
//		if err, ok := recover().(*props.Error); ok {
//			fmt.Fprintln(os.Stderr, err)
//			os.Exit(1)
//		}
//	}()
package props

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with one field.
type Problem struct {
	Field   string // the field, with its parents: "Alarms.Errors.Period"
	Given   string // the value that was given
	Allowed string // what is allowed instead
	Fix     string // what to do; empty where Allowed says it all
}

// String returns the problem in one line.
func (p Problem) String() string {
	s := fmt.Sprintf("%s is %s; allowed is %s", p.Field, p.Given, p.Allowed)
	if p.Fix != "" {
		s += "; " + p.Fix
	}
	return s
}

// Error lists everything that is wrong with the props of one construct.
type Error struct {
	Construct string    // the construct's path: "Shop/Carts"
	Problems  []Problem // at least one
}

// Error returns the path, and a line for each problem.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: wrong props", e.Construct)
	for _, p := range e.Problems {
		b.WriteString("\n  ")
		b.WriteString(p.String())
	}
	return b.String()
}
