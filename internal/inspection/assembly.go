package inspection

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// assembly is what the CDK writes beside a stack's template, for the stack and
// its nested stacks together.
type assembly struct {
	sources map[string]string   // files by the hash that is part of their URL
	paths   map[string][]string // construct paths by logical id
	nested  []string            // construct paths of nested stacks

	acknowledgements []*Acknowledgement
}

func readAssembly(template string) (*assembly, error) {
	base := strings.TrimSuffix(template, ".template.json")
	var assets struct {
		Files map[string]struct{ Source struct{ Path string } }
	}
	var metadata map[string][]struct {
		Type string
		Data json.RawMessage
	}
	if err := readOptional(base+".assets.json", &assets); err != nil {
		return nil, err
	}
	if err := readOptional(base+".metadata.json", &metadata); err != nil {
		return nil, err
	}
	a := &assembly{sources: map[string]string{}, paths: map[string][]string{}}
	for hash, file := range assets.Files {
		a.sources[hash] = file.Source.Path
	}
	for _, absolute := range slices.Sorted(maps.Keys(metadata)) {
		path := strings.TrimPrefix(absolute, "/")
		for _, e := range metadata[absolute] {
			if e.Type == acknowledgementType {
				accepted := &Acknowledgement{Path: path}
				if err := json.Unmarshal(e.Data, accepted); err != nil {
					return nil, err
				}
				a.acknowledgements = append(a.acknowledgements, accepted)
			}
			var id string
			if e.Type != "aws:cdk:logicalId" || json.Unmarshal(e.Data, &id) != nil {
				continue
			}
			a.paths[id] = append(a.paths[id], path)
			if nested := trimNested(path); nested != path {
				a.nested = append(a.nested, nested)
			}
		}
	}
	return a, nil
}

// readOptional reads a JSON file into v, and nothing where there is no file.
func readOptional(file string, v any) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// source returns the file that is uploaded to the URL, "" if there is none.
func (a *assembly) source(url string) string {
	for hash, source := range a.sources {
		if strings.Contains(url, hash) {
			return source
		}
	}
	return ""
}

// path returns the construct path of the stack's resource. The same logical id
// may stand in a nested stack, too: the innermost stack above a path owns it.
func (a *assembly) path(s *Stack, id string) string {
	want := ""
	if s.Parent != nil {
		want = s.Path
	}
	for _, path := range a.paths[id] {
		owner := ""
		for _, nested := range a.nested {
			if strings.HasPrefix(path, nested+"/") && len(nested) > len(owner) {
				owner = nested
			}
		}
		if owner == want {
			return path
		}
	}
	return ""
}

// nestedPath returns the construct path of the nested stack that r makes.
func nestedPath(r *Resource) string {
	if path := trimNested(r.Path); path != "" {
		return path
	}
	return r.Stack.Path + "/" + r.ID
}

// trimNested turns the path of a nested stack's resource, which the CDK puts
// beside the nested stack, "A/B.NestedStack/B.NestedStackResource", into the
// nested stack's own, "A/B".
func trimNested(path string) string {
	beside, ok := strings.CutSuffix(path, ".NestedStackResource")
	if !ok {
		return path
	}
	beside = beside[:max(0, strings.LastIndexByte(beside, '/'))]
	return strings.TrimSuffix(beside, ".NestedStack")
}
