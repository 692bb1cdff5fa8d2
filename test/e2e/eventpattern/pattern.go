// Package eventpattern matches events against the patterns of Amazon
// EventBridge rules, pipes and event source mappings.
//
// It covers the whole language of the EventBridge User Guide, "Comparison
// operators for use in event patterns". The libraries at hand lack numeric
// ranges, CIDR blocks or $or, which is why this is our own.
package eventpattern

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Pattern is a compiled event pattern. It is safe for concurrent use.
type Pattern struct{ root node }

// node is a pattern for one value: it matches when every field matches and at
// least one alternative of each $or does.
type node struct {
	fields map[string]field
	or     [][]node
}

// field is either a nested pattern or a list of conditions on a leaf.
type field struct {
	nested *node
	leaf   []condition
}

// condition tests a leaf; present is false when the event has no such leaf.
type condition func(value any, present bool) bool

// Compile reads a pattern. Its errors name the path of the offending element.
func Compile(document []byte) (*Pattern, error) {
	var v map[string]any
	if err := json.Unmarshal(document, &v); err != nil {
		return nil, fmt.Errorf("event pattern: %w", err)
	}
	root, err := compileNode(v, "$")
	if err != nil {
		return nil, fmt.Errorf("event pattern: %w", err)
	}
	return &Pattern{*root}, nil
}

// Match reports whether the event, decoded by encoding/json into any, matches.
func (p *Pattern) Match(event any) bool { return p.root.match(event) }

func compileNode(v map[string]any, path string) (*node, error) {
	if len(v) == 0 {
		return nil, fmt.Errorf("%s is an empty object; name at least one field", path)
	}
	n := &node{fields: map[string]field{}}
	for key, value := range v {
		at := path + "." + key
		switch value := value.(type) {
		case map[string]any:
			nested, err := compileNode(value, at)
			if err != nil {
				return nil, err
			}
			n.fields[key] = field{nested: nested}
		case []any:
			if len(value) == 0 {
				return nil, fmt.Errorf("%s is an empty list; it would match nothing", at)
			}
			if key == "$or" {
				alternatives, err := compileOr(value, at)
				if err != nil {
					return nil, err
				}
				n.or = append(n.or, alternatives)
				continue
			}
			var f field
			for i, e := range value {
				c, err := compileCondition(e)
				if err != nil {
					return nil, fmt.Errorf("%s[%d]: %w", at, i, err)
				}
				f.leaf = append(f.leaf, c)
			}
			n.fields[key] = f
		default:
			return nil, fmt.Errorf("%s is %v; it must be a list of values or an object", at, value)
		}
	}
	return n, nil
}

func compileOr(list []any, path string) ([]node, error) {
	var alternatives []node
	for i, e := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		object, ok := e.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s is %v; it must be an object", at, e)
		}
		n, err := compileNode(object, at)
		if err != nil {
			return nil, err
		}
		alternatives = append(alternatives, *n)
	}
	return alternatives, nil
}

func compileCondition(v any) (condition, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return isOneOf([]any{v}), nil
	}
	if len(object) != 1 {
		return nil, fmt.Errorf("%v has %d operators; it must have one", object, len(object))
	}
	for operator, argument := range object {
		switch operator {
		case "exists":
			want, ok := argument.(bool)
			if !ok {
				return nil, fmt.Errorf("exists takes true or false, not %v", argument)
			}
			return func(_ any, present bool) bool { return present == want }, nil
		case "anything-but":
			return compileAnythingBut(argument)
		case "numeric":
			return compileNumeric(argument)
		case "cidr":
			text, _ := argument.(string)
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fmt.Errorf("cidr: %w", err)
			}
			return onString(func(s string) bool {
				address, err := netip.ParseAddr(s)
				return err == nil && prefix.Contains(address)
			}), nil
		default:
			test, err := compileText(operator, argument)
			if err != nil {
				return nil, err
			}
			return onString(test), nil
		}
	}
	panic("unreachable")
}

// compileText compiles the operators on strings.
func compileText(operator string, argument any) (func(string) bool, error) {
	fold := false
	if object, ok := argument.(map[string]any); ok && (operator == "prefix" || operator == "suffix") && len(object) == 1 {
		argument, fold = object["equals-ignore-case"], true
	}
	want, ok := argument.(string)
	if !ok {
		return nil, fmt.Errorf("%s takes a string, not %v", operator, argument)
	}
	compare := func(s string) bool { return s == want }
	if fold || operator == "equals-ignore-case" {
		compare = func(s string) bool { return strings.EqualFold(s, want) }
	}
	switch operator {
	case "equals-ignore-case":
		return compare, nil
	case "prefix":
		return func(s string) bool { return len(s) >= len(want) && compare(s[:len(want)]) }, nil
	case "suffix":
		return func(s string) bool { return len(s) >= len(want) && compare(s[len(s)-len(want):]) }, nil
	case "wildcard":
		parts, err := splitWildcard(want)
		if err != nil {
			return nil, err
		}
		return func(s string) bool { return matchParts(parts, s) }, nil
	}
	return nil, fmt.Errorf("unknown operator %q", operator)
}

// compileAnythingBut takes a value, a list of values, or one text operator with
// a string or a list of strings. It needs the field to be present.
func compileAnythingBut(argument any) (condition, error) {
	object, ok := argument.(map[string]any)
	if !ok {
		list, ok := argument.([]any)
		if !ok {
			list = []any{argument}
		}
		none := isOneOf(list)
		return func(v any, present bool) bool { return present && !none(v, present) }, nil
	}
	if len(object) != 1 {
		return nil, fmt.Errorf("anything-but has %d operators; it must have one", len(object))
	}
	var tests []func(string) bool
	for operator, operand := range object {
		list, ok := operand.([]any)
		if !ok {
			list = []any{operand}
		}
		for _, e := range list {
			test, err := compileText(operator, e)
			if err != nil {
				return nil, fmt.Errorf("anything-but: %w", err)
			}
			tests = append(tests, test)
		}
	}
	return onString(func(s string) bool {
		return !slices.ContainsFunc(tests, func(test func(string) bool) bool { return test(s) })
	}), nil
}

func compileNumeric(argument any) (condition, error) {
	list, _ := argument.([]any)
	if len(list) != 2 && len(list) != 4 {
		return nil, fmt.Errorf("numeric takes one or two pairs of operator and number, not %v", argument)
	}
	var tests []func(float64) bool
	for i := 0; i < len(list); i += 2 {
		operator, _ := list[i].(string)
		bound, ok := list[i+1].(float64)
		if !ok {
			return nil, fmt.Errorf("numeric compares with a number, not %v", list[i+1])
		}
		test, ok := map[string]func(float64) bool{
			"=":  func(v float64) bool { return v == bound },
			"<":  func(v float64) bool { return v < bound },
			"<=": func(v float64) bool { return v <= bound },
			">":  func(v float64) bool { return v > bound },
			">=": func(v float64) bool { return v >= bound },
		}[operator]
		if !ok {
			return nil, fmt.Errorf("numeric has no operator %v", list[i])
		}
		tests = append(tests, test)
	}
	return func(v any, present bool) bool {
		n, ok := v.(float64)
		return present && ok && !slices.ContainsFunc(tests, func(test func(float64) bool) bool { return !test(n) })
	}, nil
}

func isOneOf(list []any) condition {
	return func(v any, present bool) bool {
		switch v.(type) {
		case string, float64, bool, nil:
			return present && slices.Contains(list, v)
		}
		return false
	}
}

func onString(test func(string) bool) condition {
	return func(v any, present bool) bool {
		s, ok := v.(string)
		return present && ok && test(s)
	}
}

func (n *node) match(event any) bool {
	if list, ok := event.([]any); ok {
		return slices.ContainsFunc(list, n.match)
	}
	object, _ := event.(map[string]any)
	for key, f := range n.fields {
		value, present := object[key]
		if !f.match(value, present) {
			return false
		}
	}
	for _, alternatives := range n.or {
		if !slices.ContainsFunc(alternatives, func(a node) bool { return a.match(event) }) {
			return false
		}
	}
	return true
}

func (f field) match(value any, present bool) bool {
	if f.nested != nil {
		return f.nested.match(value)
	}
	if list, ok := value.([]any); ok {
		if len(list) == 0 {
			return f.any(nil, false)
		}
		return slices.ContainsFunc(list, func(e any) bool { return f.match(e, true) })
	}
	// exists and the other operators look at leaves; an object is none.
	if _, ok := value.(map[string]any); ok {
		return f.any(nil, false)
	}
	return f.any(value, present)
}

func (f field) any(value any, present bool) bool {
	return slices.ContainsFunc(f.leaf, func(c condition) bool { return c(value, present) })
}

// splitWildcard splits at the stars that no backslash escapes.
func splitWildcard(pattern string) ([]string, error) {
	parts := []string{""}
	for i := 0; i < len(pattern); i++ {
		last := len(parts) - 1
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern) && (pattern[i+1] == '*' || pattern[i+1] == '\\'):
			i++
			parts[last] += string(pattern[i])
		case c == '\\':
			return nil, fmt.Errorf("wildcard %q: a backslash may only stand before * or \\", pattern)
		case c == '*' && i > 0 && pattern[i-1] == '*' && parts[last] == "":
			return nil, fmt.Errorf("wildcard %q: two stars in a row", pattern)
		case c == '*':
			parts = append(parts, "")
		default:
			parts[last] += string(c)
		}
	}
	return parts, nil
}

func matchParts(parts []string, s string) bool {
	if len(parts) == 1 {
		return s == parts[0]
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, p := range parts[1 : len(parts)-1] {
		_, after, ok := strings.Cut(s, p)
		if !ok {
			return false
		}
		s = after
	}
	return true
}
