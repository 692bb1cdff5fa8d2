package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth is how deep objects and lists may be nested: the claims, a chain of
// MaxActors, and some more.
const maxDepth = 1 + MaxActors + 3

// strict returns an error unless data is one JSON value in UTF-8 without
// duplicate members, nested no deeper than maxDepth. Of duplicates, parsers
// take different ones, and so see different tokens.
func strict(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	if !json.Valid(data) {
		return errors.New("not well-formed JSON")
	}
	// What is valid can be scanned without looking at more than strings, braces,
	// brackets and commas.
	type level struct {
		object bool
		names  map[string]bool
	}
	var levels []level
	name := false // the next string is a member's name
	for i := 0; i < len(data); i++ {
		switch c := data[i]; c {
		case '{', '[':
			if len(levels) == maxDepth {
				return fmt.Errorf("JSON is nested deeper than %d", maxDepth)
			}
			name = c == '{'
			levels = append(levels, level{object: name})
		case '}', ']':
			levels, name = levels[:len(levels)-1], false
		case ',':
			name = levels[len(levels)-1].object
		case '"':
			start := i
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if !name {
				continue
			}
			name = false
			s := string(data[start+1 : i])
			if bytes.IndexByte(data[start:i], '\\') >= 0 {
				if err := json.Unmarshal(data[start:i+1], &s); err != nil {
					return errors.New("not well-formed JSON")
				}
			}
			top := &levels[len(levels)-1]
			if top.names[s] {
				return errors.New("a JSON object has a member twice")
			}
			if top.names == nil {
				top.names = make(map[string]bool)
			}
			top.names[s] = true
		}
	}
	return nil
}
