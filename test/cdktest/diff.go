package cdktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// difference returns a line for each place where two JSON documents differ:
// its path, what was there and what is there now. A reviewer of a template
// wants to know which property of which resource changed, which a comparison
// of lines does not say.
func difference(path string, was, now any) []string {
	switch was := was.(type) {
	case map[string]any:
		now, ok := now.(map[string]any)
		if !ok {
			break
		}
		keys := maps.Clone(was)
		maps.Copy(keys, now)
		var lines []string
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			a, before := was[key]
			b, after := now[key]
			switch inner := join(path, key); {
			case !before:
				lines = append(lines, fmt.Sprintf("+ %s: %s", inner, short(b)))
			case !after:
				lines = append(lines, fmt.Sprintf("- %s: %s", inner, short(a)))
			default:
				lines = append(lines, difference(inner, a, b)...)
			}
		}
		return lines
	case []any:
		now, ok := now.([]any)
		if !ok || len(was) != len(now) {
			break
		}
		var lines []string
		for i := range was {
			lines = append(lines, difference(fmt.Sprintf("%s[%d]", path, i), was[i], now[i])...)
		}
		return lines
	}
	if reflect.DeepEqual(was, now) {
		return nil
	}
	return []string{fmt.Sprintf("  %s:\n    - %s\n    + %s", path, short(was), short(now))}
}

// short returns the value as JSON, without its middle if it is long.
func short(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	s := strings.TrimSpace(b.String())
	const half = 200
	if len(s) > 2*half {
		s = s[:half] + " … " + s[len(s)-half:]
	}
	return s
}
