// Package inspection reads a whole synthesized app, template by template, and
// runs rules over it when the CDK validates the app.
package inspection

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// App is everything that one app was synthesized to.
type App struct {
	Stacks           []*Stack
	Acknowledgements []*Acknowledgement // made by Acknowledge, in the order of their paths
}

// Stack is one template and where it is deployed.
type Stack struct {
	Path     string // construct path: "Prod/Store"; of a nested stack its own, or its parent's and its logical id
	Template string // the template's file
	Region   string // empty where it is known only when the stack is deployed
	Account  string // empty like Region
	Parent   *Stack // of a nested stack

	Resources  []*Resource // in the order of their logical ids
	Parameters map[string]any
	Outputs    map[string]any

	parameters map[string]any // of a nested stack: what its parent passes
	assembly   *assembly
	byID       map[string]*Resource
}

// Resource is one resource of a template.
type Resource struct {
	Stack      *Stack
	ID         string // logical id
	Path       string // construct path, empty where the template does not say it
	Type       string
	Properties map[string]any // as in the template, intrinsic functions unresolved
	Metadata   map[string]any
}

// Place says which template Read reads.
type Place struct{ Path, Template, Region, Account string }

// Read reads the templates and those of their nested stacks, which it finds
// through the templates' metadata or, where the CDK was told to leave that out,
// through the files it writes beside a template.
func Read(places ...Place) (*App, error) {
	app := new(App)
	for _, p := range places {
		beside, err := readAssembly(p.Template)
		if err != nil {
			return nil, fmt.Errorf("inspection: stack %s: %w", p.Path, err)
		}
		s := &Stack{Path: p.Path, Template: p.Template, Region: p.Region, Account: p.Account, assembly: beside}
		if err := app.read(s); err != nil {
			return nil, err
		}
		for _, a := range beside.acknowledgements {
			a.Stack = s
			app.Acknowledgements = append(app.Acknowledgements, a)
		}
	}
	return app, nil
}

func (a *App) read(s *Stack) error {
	file, err := os.ReadFile(s.Template)
	if err != nil {
		return fmt.Errorf("inspection: stack %s: %w", s.Path, err)
	}
	var template struct {
		Resources map[string]struct {
			Type                 string
			Properties, Metadata map[string]any
		}
		Parameters, Outputs map[string]any
	}
	if err := json.Unmarshal(file, &template); err != nil {
		return fmt.Errorf("inspection: stack %s: %s: %w", s.Path, s.Template, err)
	}
	s.Parameters, s.Outputs = template.Parameters, template.Outputs
	s.byID = make(map[string]*Resource, len(template.Resources))
	a.Stacks = append(a.Stacks, s)
	for _, id := range slices.Sorted(maps.Keys(template.Resources)) {
		r := template.Resources[id]
		path, ok := r.Metadata["aws:cdk:path"].(string)
		if !ok {
			path = s.assembly.path(s, id)
		}
		resource := &Resource{Stack: s, ID: id, Path: path, Type: r.Type, Properties: r.Properties, Metadata: r.Metadata}
		s.Resources = append(s.Resources, resource)
		s.byID[id] = resource
	}
	for _, r := range s.Resources {
		asset, _ := r.Metadata["aws:asset:path"].(string)
		if r.Type != "AWS::CloudFormation::Stack" {
			continue
		}
		if asset == "" {
			asset = s.assembly.source(s.Text(r.Properties["TemplateURL"]))
		}
		if asset == "" {
			continue // a template that is not of this app
		}
		parameters, _ := r.Properties["Parameters"].(map[string]any)
		nested := &Stack{
			Path: nestedPath(r), Template: filepath.Join(filepath.Dir(s.Template), asset),
			Region: s.Region, Account: s.Account, Parent: s, parameters: parameters, assembly: s.assembly,
		}
		if err := a.read(nested); err != nil {
			return err
		}
	}
	return nil
}

// Resource returns the resource with the logical id, nil if there is none.
func (s *Stack) Resource(id string) *Resource { return s.byID[id] }

// PathOf returns the construct path of what has the logical id, also of a
// parameter or an output; where the CDK does not tell it, that of the stack and
// the id.
func (s *Stack) PathOf(id string) string {
	if r := s.byID[id]; r != nil && r.Path != "" {
		return r.Path
	}
	if path := s.assembly.path(s, id); path != "" {
		return path
	}
	return s.Path + "/" + id
}

// Resolve returns a value of the stack's template with Ref, Fn::GetAtt,
// Fn::Join and Fn::Sub replaced where that is possible within the stack. A
// reference to a resource becomes "${Id}" or "${Id.Attribute}", and so does
// what is known only when the stack is deployed; a nested stack's parameter is
// resolved in its parent.
func (s *Stack) Resolve(value any) any {
	switch v := value.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = s.Resolve(e)
		}
		return out
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if text, ok := s.call(name, argument); ok {
					return text
				}
			}
		}
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = s.Resolve(e)
		}
		return out
	default:
		return v
	}
}

// Text is Resolve for a value that should be a string, "" if it is none.
func (s *Stack) Text(value any) string {
	text, _ := s.Resolve(value).(string)
	return text
}

func (s *Stack) call(function string, argument any) (any, bool) {
	switch function {
	case "Ref":
		name, ok := argument.(string)
		if !ok {
			return nil, false
		}
		return s.ref(name), true
	case "Fn::GetAtt":
		if dotted, ok := argument.(string); ok {
			return "${" + dotted + "}", true
		}
		parts, ok := texts(argument)
		return "${" + strings.Join(parts, ".") + "}", ok
	case "Fn::Join":
		list, ok := argument.([]any)
		if !ok || len(list) != 2 {
			return nil, false
		}
		separator, ok := list[0].(string)
		if !ok {
			return nil, false
		}
		parts, ok := texts(s.Resolve(list[1]))
		return strings.Join(parts, separator), ok
	case "Fn::Sub":
		return s.sub(argument)
	}
	return nil, false
}

func (s *Stack) ref(name string) any {
	if name == "AWS::Region" && s.Region != "" {
		return s.Region
	}
	if name == "AWS::AccountId" && s.Account != "" {
		return s.Account
	}
	if passed, ok := s.parameters[name]; ok {
		return s.Parent.Resolve(passed)
	}
	return "${" + name + "}"
}

var variable = regexp.MustCompile(`\$\{([^!{}][^{}]*)\}`)

func (s *Stack) sub(argument any) (any, bool) {
	text, ok := argument.(string)
	own := map[string]any{}
	if list, isList := argument.([]any); isList && len(list) == 2 {
		text, ok = list[0].(string)
		own, _ = list[1].(map[string]any)
	}
	if !ok {
		return nil, false
	}
	text = variable.ReplaceAllStringFunc(text, func(v string) string {
		name := v[2 : len(v)-1]
		resolved := s.ref(name)
		if given, ok := own[name]; ok {
			resolved = s.Resolve(given)
		}
		if t, ok := resolved.(string); ok {
			return t
		}
		return v
	})
	return strings.ReplaceAll(text, "${!", "${"), true
}

func texts(value any) ([]string, bool) {
	list, ok := value.([]any)
	if !ok {
		return nil, false
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], ok = e.(string); !ok {
			return nil, false
		}
	}
	return out, true
}
