package e2e

import (
	"strconv"
	"strings"
)

// lookup returns the value at a JSON path of the form that rules and pipes
// take: $.a.b[0].c, without wildcards.
func lookup(v any, path string) (any, bool) {
	rest, ok := strings.CutPrefix(path, "$")
	if !ok {
		return nil, false
	}
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, "['"):
			end := strings.Index(rest, "']")
			if end < 0 {
				return nil, false
			}
			v, ok = member(v, rest[2:end])
			rest = rest[end+2:]
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, false
			}
			i, err := strconv.Atoi(rest[1:end])
			list, isList := v.([]any)
			ok = err == nil && isList && i >= 0 && i < len(list)
			if ok {
				v = list[i]
			}
			rest = rest[end+1:]
		case rest[0] == '.':
			rest = rest[1:]
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			v, ok = member(v, rest[:end])
			rest = rest[end:]
		default:
			return nil, false
		}
		if !ok {
			return nil, false
		}
	}
	return v, true
}

func member(v any, key string) (any, bool) {
	object, _ := v.(map[string]any)
	v, ok := object[key]
	return v, ok
}
