package eventsourcing_test

import "fmt"

// list returns a template's value that is one string or a list of strings.
func list(v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	var all []string
	elements, _ := v.([]any)
	for _, e := range elements {
		all = append(all, fmt.Sprint(e))
	}
	return all
}
