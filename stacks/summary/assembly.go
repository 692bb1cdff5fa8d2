package summary

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// stack is a synthesized stack.
type stack struct {
	name      string
	region    string // empty where it is decided at deployment
	resources map[string]resource
}

// resource is a resource of a template.
type resource struct {
	Type           string
	Properties     map[string]any
	DeletionPolicy string
	Metadata       map[string]any

	id string // logical
}

// path returns where in the app the resource was made, its logical id if the
// template does not say.
func (r resource) path() string {
	path, _ := r.Metadata["aws:cdk:path"].(string)
	return cmp.Or(strings.TrimSuffix(strings.TrimSuffix(path, "/Resource"), "/Default"), r.id)
}

// read returns the stacks of the assembly in the folder, also those of its
// stages, sorted by name.
func read(dir string) ([]stack, error) {
	var manifest struct {
		Artifacts map[string]struct {
			Type        string
			Environment string // "aws://account/region"
			DisplayName string
			Properties  struct{ TemplateFile, DirectoryName string }
		}
	}
	if err := readJSON(filepath.Join(dir, "manifest.json"), &manifest); err != nil {
		return nil, err
	}
	var stacks []stack
	for id, artifact := range manifest.Artifacts {
		switch artifact.Type {
		case "aws:cloudformation:stack":
			s := stack{name: cmp.Or(artifact.DisplayName, id)}
			if region := artifact.Environment[strings.LastIndex(artifact.Environment, "/")+1:]; region != "unknown-region" {
				s.region = region
			}
			var template struct{ Resources map[string]resource }
			if err := readJSON(filepath.Join(dir, artifact.Properties.TemplateFile), &template); err != nil {
				return nil, err
			}
			s.resources = template.Resources
			stacks = append(stacks, s)
		case "cdk:cloud-assembly":
			staged, err := read(filepath.Join(dir, artifact.Properties.DirectoryName))
			if err != nil {
				return nil, err
			}
			stacks = append(stacks, staged...)
		}
	}
	slices.SortFunc(stacks, func(a, b stack) int { return cmp.Compare(a.name, b.name) })
	return stacks, nil
}

func readJSON(file string, into any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// byType returns the resources of each type, sorted by logical id, but not the
// CDK's own record of what was used.
func (s stack) byType() map[string][]resource {
	types := map[string][]resource{}
	for id, r := range s.resources {
		if r.Type == "AWS::CDK::Metadata" {
			continue
		}
		r.id = id
		types[r.Type] = append(types[r.Type], r)
	}
	for _, of := range types {
		slices.SortFunc(of, func(a, b resource) int { return cmp.Compare(a.id, b.id) })
	}
	return types
}

// deadLetters returns the logical ids of the queues that take dead letters.
func (s stack) deadLetters() map[string]bool {
	queues := map[string]bool{}
	var walk func(v any, dead bool)
	walk = func(v any, dead bool) {
		switch v := v.(type) {
		case map[string]any:
			if id, ok := referred(v); ok && dead {
				queues[id] = true
			}
			for key, inner := range v {
				walk(inner, dead || key == "DeadLetterConfig" || key == "RedrivePolicy")
			}
		case []any:
			for _, inner := range v {
				walk(inner, dead)
			}
		}
	}
	for _, r := range s.resources {
		walk(r.Properties, false)
	}
	return queues
}

// referred returns the logical id that a Ref or an Fn::GetAtt names.
func referred(v any) (string, bool) {
	object, _ := v.(map[string]any)
	if id, ok := object["Ref"].(string); ok {
		return id, true
	}
	if get, ok := object["Fn::GetAtt"].([]any); ok && len(get) > 0 {
		id, ok := get[0].(string)
		return id, ok
	}
	return "", false
}

// at returns what stands at the path in the properties.
func (r resource) at(path ...string) any {
	var v any = r.Properties
	for _, key := range path {
		object, _ := v.(map[string]any)
		v = object[key]
	}
	return v
}

// number returns the number at the path, fallback where none stands there.
func (r resource) number(fallback float64, path ...string) float64 {
	if n, ok := r.at(path...).(float64); ok {
		return n
	}
	return fallback
}

// retained reports whether the resource outlives its stack.
func (r resource) retained() bool { return strings.HasPrefix(r.DeletionPolicy, "Retain") }

// protected reports whether AWS refuses to delete the resource.
func (r resource) protected() bool {
	for _, key := range []string{"DeletionProtection", "DeletionProtectionEnabled"} {
		if v := r.at(key); v == true || v == "ACTIVE" {
			return true
		}
	}
	replicas, _ := r.at("Replicas").([]any)
	return slices.ContainsFunc(replicas, func(replica any) bool {
		object, _ := replica.(map[string]any)
		return object["DeletionProtectionEnabled"] == true
	})
}
