package e2e

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Template is a synthesized CloudFormation template together with the assets
// it refers to. Change it before Deploy to prove that a test notices.
type Template struct {
	// Name is the stack's name.
	Name string
	// Dir is the cloud assembly's folder, where the assets are.
	Dir string

	Parameters map[string]struct{ Default any }
	Conditions map[string]any
	Mappings   map[string]any
	Resources  map[string]*Resource
	Outputs    map[string]struct{ Value any }
}

// Resource is one resource of a template, its intrinsic functions unresolved.
type Resource struct {
	Type       string
	Condition  string         `json:",omitempty"`
	Properties map[string]any `json:",omitempty"`
	Metadata   map[string]any `json:",omitempty"`
}

// Load reads the template of the stack from a cloud assembly, the folder that
// cdk synth writes.
func Load(dir, stack string) (*Template, error) {
	document, err := os.ReadFile(filepath.Join(dir, stack+".template.json"))
	if err != nil {
		return nil, fmt.Errorf("load stack %s: %w", stack, err)
	}
	t := &Template{Name: stack, Dir: dir}
	if err := json.Unmarshal(document, t); err != nil {
		return nil, fmt.Errorf("load stack %s: %w", stack, err)
	}
	t.Name, t.Dir = stack, dir
	return t, nil
}

// Clone returns a deep copy, to be changed without harm to the original.
func (t *Template) Clone() *Template {
	document, err := json.Marshal(t)
	if err != nil {
		panic(err) // it came from JSON
	}
	clone := &Template{}
	if err := json.Unmarshal(document, clone); err != nil {
		panic(err)
	}
	return clone
}

// All yields the resources of a type in the order of their logical ids.
func (t *Template) All(kind string) iter.Seq2[string, *Resource] {
	return func(yield func(string, *Resource) bool) {
		for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
			if r := t.Resources[id]; r.Type == kind && !yield(id, r) {
				return
			}
		}
	}
}

// hash ends the logical ids of CDK's level 2 constructs.
var hash = regexp.MustCompile(`^([0-9A-F]{8})?$`)

// Find returns the logical id of the only resource of the type whose id is the
// prefix and, perhaps, a hash; failing that, of the only one that starts with
// the prefix. Tests better not name the hashes.
func (t *Template) Find(kind, prefix string) (string, error) {
	var exact, longer, all []string
	for id := range t.All(kind) {
		all = append(all, id)
		if rest, ok := strings.CutPrefix(id, prefix); ok {
			longer = append(longer, id)
			if hash.MatchString(rest) {
				exact = append(exact, id)
			}
		}
	}
	switch {
	case len(exact) == 1:
		return exact[0], nil
	case len(longer) == 1:
		return longer[0], nil
	}
	return "", fmt.Errorf("%d resources of type %s start with %q, want 1 of %s", len(longer), kind, prefix, strings.Join(all, ", "))
}

// Set replaces the property at the path, such as
// "Targets.0.RetryPolicy.MaximumRetryAttempts", and creates it where its parent
// exists.
func (r *Resource) Set(path string, value any) error {
	return r.edit(path, func(parent any, key string) error {
		switch parent := parent.(type) {
		case map[string]any:
			parent[key] = value
			return nil
		case []any:
			i, err := index(parent, key)
			if err == nil {
				parent[i] = value
			}
			return err
		}
		return fmt.Errorf("%s: its parent is neither an object nor a list", path)
	})
}

// Delete removes the property at the path, which must exist.
func (r *Resource) Delete(path string) error {
	return r.edit(path, func(parent any, key string) error {
		object, ok := parent.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: its parent is no object", path)
		}
		if _, ok := object[key]; !ok {
			return fmt.Errorf("%s: there is none", path)
		}
		delete(object, key)
		return nil
	})
}

func (r *Resource) edit(path string, f func(parent any, key string) error) error {
	keys := strings.Split(path, ".")
	var at any = r.Properties
	for _, key := range keys[:len(keys)-1] {
		switch parent := at.(type) {
		case map[string]any:
			at = parent[key]
		case []any:
			i, err := index(parent, key)
			if err != nil {
				return err
			}
			at = parent[i]
		default:
			return fmt.Errorf("%s: %s does not exist", path, key)
		}
	}
	return f(at, keys[len(keys)-1])
}

func index(list []any, key string) (int, error) {
	i, err := strconv.Atoi(key)
	if err != nil || i < 0 || i >= len(list) {
		return 0, fmt.Errorf("%q is no index of a list of %d", key, len(list))
	}
	return i, nil
}

// DropActions removes an action, such as "sqs:SendMessage", from every policy
// document of the resources whose logical ids start with the prefix, and the
// statements that are then left without any. It returns how many it removed.
func (t *Template) DropActions(prefix, action string) int {
	dropped := 0
	for id, r := range t.Resources {
		if strings.HasPrefix(id, prefix) {
			dropped += dropAction(r.Properties, action)
		}
	}
	return dropped
}

func dropAction(v any, action string) int {
	dropped := 0
	switch v := v.(type) {
	case map[string]any:
		if statements, ok := v["Statement"].([]any); ok {
			v["Statement"] = slices.DeleteFunc(statements, func(s any) bool {
				statement, _ := s.(map[string]any)
				switch actions := statement["Action"].(type) {
				case string:
					if actions == action {
						dropped++
						return true
					}
				case []any:
					rest := slices.DeleteFunc(actions, func(a any) bool { return a == action })
					dropped += len(actions) - len(rest)
					statement["Action"] = rest
					return len(rest) == 0
				}
				return false
			})
			return dropped
		}
		for _, e := range v {
			dropped += dropAction(e, action)
		}
	case []any:
		for _, e := range v {
			dropped += dropAction(e, action)
		}
	}
	return dropped
}
