package diagram

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Template is a synthesized template, as far as a diagram needs it.
type Template struct {
	resources map[string]resource
	ids       []string // sorted: whatever walks over resources must do so in one order
}

type resource struct {
	Type         string
	Properties   map[string]any
	DependsOn    any
	Metadata     map[string]any
	UpdatePolicy map[string]any
}

// Read reads a template, from cdk.out or from a golden file.
func Read(b []byte) (*Template, error) {
	var t struct{ Resources map[string]resource }
	if err := json.Unmarshal(b, &t); err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	if len(t.Resources) == 0 {
		return nil, fmt.Errorf("template: it has no resources")
	}
	return &Template{t.Resources, slices.Sorted(maps.Keys(t.Resources))}, nil
}

// of returns the ids of the resources of a type, in order.
func (t *Template) of(resourceType string) []string {
	var found []string
	for _, id := range t.ids {
		if t.resources[id].Type == resourceType {
			found = append(found, id)
		}
	}
	return found
}

var substitution = regexp.MustCompile(`\$\{([A-Za-z0-9]+)[.}]`)

// refs returns the resources that a value refers to, each once, in the order
// in which they stand there; keys of a map in alphabetical order.
func (t *Template) refs(v any) []string {
	var found []string
	add := func(id string) {
		if _, ok := t.resources[id]; ok && !slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				switch e := v[key].(type) {
				case string:
					switch key {
					case "Ref":
						add(e)
					case "Fn::GetAtt":
						id, _, _ := strings.Cut(e, ".")
						add(id)
					case "Fn::Sub":
						for _, m := range substitution.FindAllStringSubmatch(e, -1) {
							add(m[1])
						}
					}
				case []any:
					if id, ok := first(e).(string); ok && key == "Fn::GetAtt" {
						add(id)
						continue
					}
					if text, ok := first(e).(string); ok && key == "Fn::Sub" {
						walk(map[string]any{"Fn::Sub": text})
					}
					walk(e)
				default:
					walk(e)
				}
			}
		}
	}
	walk(v)
	return found
}

// at returns what stands at a path such as "DestinationConfig.OnFailure", or nil.
func at(v any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// text returns the literal parts of a string, however it is put together.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		if join, ok := v["Fn::Join"].([]any); ok && len(join) == 2 {
			parts, _ := join[1].([]any)
			var all strings.Builder
			for _, p := range parts {
				if s, ok := p.(string); ok {
					all.WriteString(s)
				}
			}
			return all.String()
		}
		if sub, ok := v["Fn::Sub"]; ok {
			if list, ok := sub.([]any); ok {
				sub = first(list)
			}
			s, _ := sub.(string)
			return s
		}
	}
	return ""
}

// list returns the value as a list: policies and patterns leave out the
// brackets around a single entry.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

func first(l []any) any {
	if len(l) == 0 {
		return nil
	}
	return l[0]
}

var (
	idHash = regexp.MustCompile(`[0-9A-F]{8}$`)
)

// human returns a logical id without the hash that the CDK appends.
func human(id string) string { return idHash.ReplaceAllString(id, "") }

// words returns the words of a logical id: "CartViewAPI" is Cart, View, API.
func words(id string) []string {
	var all []string
	start := 0
	for i := 1; i < len(id); i++ {
		lowerBefore := id[i-1] >= 'a' && id[i-1] <= 'z' || id[i-1] >= '0' && id[i-1] <= '9'
		upper := id[i] >= 'A' && id[i] <= 'Z'
		lowerAfter := i+1 < len(id) && id[i+1] >= 'a' && id[i+1] <= 'z'
		if upper && (lowerBefore || lowerAfter) {
			all = append(all, id[start:i])
			start = i
		}
	}
	if id == "" {
		return nil
	}
	return append(all, id[start:])
}

// sentence writes words as a label: "Cart view", "Take API".
func sentence(words []string) string {
	out := slices.Clone(words)
	for i, w := range out {
		if i > 0 && (len(w) < 2 || strings.ToUpper(w) != w) {
			out[i] = strings.ToLower(w)
		}
		if strings.EqualFold(w, "api") {
			out[i] = "API"
		}
	}
	return strings.Join(out, " ")
}
