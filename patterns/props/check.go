package props

import (
	"cmp"
	"fmt"
	"time"

	"github.com/aws/constructs-go/constructs/v10"
)

// Check collects the problems of one construct's props. Its zero value is
// ready to use.
type Check struct {
	problems []Problem
}

// Wrong records a problem of a field.
func (c *Check) Wrong(field string, given any, allowed, fix string) {
	c.problems = append(c.problems, Problem{Field: field, Given: show(given), Allowed: allowed, Fix: fix})
}

// Require records a problem unless ok.
func (c *Check) Require(ok bool, field string, given any, allowed, fix string) {
	if !ok {
		c.Wrong(field, given, allowed, fix)
	}
}

// OneOf records a problem if more than one of the named fields is set: a
// resource is either given by the user or made by us, never both.
func (c *Check) OneOf(set map[string]bool, first, second string) {
	if set[first] && set[second] {
		c.Wrong(first, Words("set together with "+second), "one of the two", "leave one out")
	}
}

// Between records a problem if the value is set and lies outside [low, high].
func Between[T cmp.Ordered](c *Check, field string, value, low, high T) {
	var zero T
	if value != zero && (value < low || value > high) {
		c.Wrong(field, value, fmt.Sprintf("%s to %s, or 0 for the default", show(low), show(high)), "")
	}
}

// Nested returns the problems that check finds, with the field's name before
// theirs.
func (c *Check) Nested(field string, check func(*Check)) {
	var inner Check
	check(&inner)
	for _, p := range inner.problems {
		p.Field = field + "." + p.Field
		c.problems = append(c.problems, p)
	}
}

// Include records the problems of another check.
func (c *Check) Include(other *Check) {
	c.problems = append(c.problems, other.problems...)
}

// Err returns an *Error if any problem was recorded, for what is checked
// outside a construct. The name stands in the place of the construct's path.
func (c *Check) Err(name string) error {
	if len(c.problems) == 0 {
		return nil
	}
	return &Error{Construct: name, Problems: c.problems}
}

// Panic panics with an *Error if any problem was recorded. The construct is
// named by its scope and id, for it does not exist yet.
func (c *Check) Panic(scope constructs.Construct, id string) {
	if len(c.problems) == 0 {
		return
	}
	path := id
	if parent := *scope.Node().Path(); parent != "" {
		path = parent + "/" + id
	}
	panic(&Error{Construct: path, Problems: c.problems})
}

// Words is a description of a value, shown without quotes: "empty".
type Words string

// Empty describes a list or a map without elements.
const Empty Words = "empty"

// Unset describes a prop that has no default and was left out.
const Unset Words = "not set"

func show(v any) string {
	switch v := v.(type) {
	case Words:
		return string(v)
	case string:
		return fmt.Sprintf("%q", v)
	case time.Duration:
		return v.String()
	default:
		return fmt.Sprint(v)
	}
}
