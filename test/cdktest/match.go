package cdktest

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
)

// Match is what a resource's properties must hold at least. Its values are
// plain Go values as JSON has them, nested maps (matched in part), slices
// (matched whole, in order), or one of the matchers Any, Absent, Pattern and
// Contains.
type Match map[string]any

// Matcher decides on one value and returns what is wrong with it, or "".
type Matcher func(value any, present bool) string

// Any matches every value that is there.
func Any() Matcher {
	return func(_ any, present bool) string {
		if !present {
			return "is missing"
		}
		return ""
	}
}

// Absent matches where there is no value.
func Absent() Matcher {
	return func(value any, present bool) string {
		if present {
			return fmt.Sprintf("is %v, want none", value)
		}
		return ""
	}
}

// Pattern matches a string by a regular expression.
func Pattern(expr string) Matcher {
	re := regexp.MustCompile(expr)
	return func(value any, _ bool) string {
		if s, ok := value.(string); !ok || !re.MatchString(s) {
			return fmt.Sprintf("is %v, want a string that matches %q", value, expr)
		}
		return ""
	}
}

// Contains matches a list that has, in any order, an element for each of the
// given ones.
func Contains(elements ...any) Matcher {
	return func(value any, _ bool) string {
		list, ok := value.([]any)
		if !ok {
			return fmt.Sprintf("is %v, want a list", value)
		}
		for _, want := range elements {
			if !slices.ContainsFunc(list, func(got any) bool { return mismatch("", want, got) == "" }) {
				return fmt.Sprintf("is %v, want an element %v", value, want)
			}
		}
		return ""
	}
}

// mismatch returns what at the path differs from want, or "".
func mismatch(path string, want, got any) string {
	switch want := want.(type) {
	case Matcher:
		if miss := want(got, got != nil); miss != "" {
			return path + " " + miss
		}
		return ""
	case Match:
		return mismatch(path, map[string]any(want), got)
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok && got != nil {
			return fmt.Sprintf("%s is %v, want an object", path, got)
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if miss := mismatch(join(path, key), want[key], m[key]); miss != "" {
				return miss
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Sprintf("%s is %v, want a list of %d", path, got, len(want))
		}
		for i := range want {
			if miss := mismatch(fmt.Sprintf("%s[%d]", path, i), want[i], list[i]); miss != "" {
				return miss
			}
		}
		return ""
	case nil:
		if got != nil {
			return fmt.Sprintf("%s is %v, want none", path, got)
		}
		return ""
	}
	if n, ok := number(want); ok {
		want = n
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s is %v, want %v", path, got, want)
	}
	return ""
}

// number returns an integer as JSON's only kind of number.
func number(v any) (float64, bool) {
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt():
		return float64(r.Int()), true
	case r.CanUint():
		return float64(r.Uint()), true
	}
	return 0, false
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
