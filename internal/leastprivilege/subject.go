package leastprivilege

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/serverless-go/cdk/internal/inspection"
)

// Types of the subjects that are no resources.
const (
	typeParameter = "Parameter"
	typeOutput    = "Output"
)

// subject is what rules judge: a resource, a parameter or an output.
type subject struct {
	*inspection.Resource
	resolved  map[string]any // the properties, see inspection.Stack.Resolve
	documents []document
	siblings  []*subject // all of the same template, this one included
}

// subjects reads a template once for all rules that judge it one by one.
func subjects(stack *inspection.Stack) []*subject {
	var all []*subject
	add := func(r *inspection.Resource) {
		resolved, _ := stack.Resolve(r.Properties).(map[string]any)
		all = append(all, &subject{Resource: r, resolved: resolved, documents: documents(r.Type, resolved)})
	}
	for _, section := range []struct {
		kind    string
		entries map[string]any
	}{{typeParameter, stack.Parameters}, {typeOutput, stack.Outputs}} {
		for _, id := range slices.Sorted(maps.Keys(section.entries)) {
			entry, _ := section.entries[id].(map[string]any)
			add(&inspection.Resource{Stack: stack, ID: id, Path: stack.PathOf(id), Type: section.kind, Properties: entry})
		}
	}
	for _, r := range stack.Resources {
		add(r)
	}
	for _, s := range all {
		s.siblings = all
	}
	return all
}

// is reports whether the subject has one of the types.
func (s *subject) is(types ...string) bool { return slices.Contains(types, s.Type) }

// get returns what stands at the dotted place of the properties: several values
// where a condition decides, none where nothing stands there.
func (s *subject) get(place string) []any { return dig(s.resolved, strings.Split(place, ".")) }

func dig(value any, keys []string) []any {
	var out []any
	for _, v := range alternatives(value) {
		if len(keys) == 0 {
			out = append(out, v)
			continue
		}
		if m, ok := v.(map[string]any); ok {
			if next, ok := m[keys[0]]; ok {
				out = append(out, dig(next, keys[1:])...)
			}
		}
	}
	return out
}

// text returns the first text at the place.
func (s *subject) text(place string) string {
	for _, v := range s.get(place) {
		return show(v)
	}
	return ""
}

// has reports whether something stands at the place, whatever a condition
// decides.
func (s *subject) has(place string) bool {
	values := s.get(place)
	return len(values) > 0 && !slices.Contains(values, any(noValue))
}

// set reports whether true stands at the place, whatever a condition decides.
func (s *subject) set(place string) bool {
	values := s.get(place)
	return len(values) > 0 && !slices.ContainsFunc(values, func(v any) bool { return show(v) != "true" })
}

const noValue = "${AWS::NoValue}"

// alternatives returns what a conditional value can become.
func alternatives(value any) []any {
	if m, ok := value.(map[string]any); ok && len(m) == 1 {
		if branches, ok := m["Fn::If"].([]any); ok && len(branches) == 3 {
			return append(alternatives(branches[1]), alternatives(branches[2])...)
		}
	}
	return []any{value}
}

// elements returns the elements of a list, or the one value that stands where
// a list may stand.
func elements(value any) []any {
	var out []any
	for _, v := range alternatives(value) {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, e := range list {
			for _, a := range alternatives(e) {
				if a != nil && a != any(noValue) {
					out = append(out, a)
				}
			}
		}
	}
	return out
}

// show returns a value as a text. What CloudFormation computes in a way that
// Resolve does not follow is named by its function.
func show(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			return "${" + name + "}"
		}
	}
	return fmt.Sprint(value)
}

// visit calls f with each text in the value and its place.
func visit(place string, value any, f func(place, text string)) {
	switch v := value.(type) {
	case string:
		f(place, v)
	case []any:
		for i, e := range v {
			visit(fmt.Sprintf("%s[%d]", place, i), e, f)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			visit(join(place, k), v[k], f)
		}
	}
}

func join(place, key string) string {
	if place == "" {
		return key
	}
	return place + "." + key
}
