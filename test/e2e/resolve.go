package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// stack gives a template's resources their physical names and resolves its
// intrinsic functions. Names depend on nothing but the logical id, so that a
// reference can be resolved before, or without, its resource being made.
type stack struct {
	*Template
	account, region string
	// suffix keeps the names of two deployments apart, for they share engines.
	suffix string
	// endpoint is where HTTP APIs are called; empty before there is one.
	endpoint string
	// imports are the values of Fn::ImportValue.
	imports    map[string]string
	conditions map[string]bool
}

// noValue is what AWS::NoValue resolves to: the property is left out.
type noValue struct{}

// properties resolves a resource's properties into v, a pointer to a struct
// that names those which the harness drives.
func (s *stack) properties(id string, v any) error {
	r, err := s.resolve(s.Resources[id].Properties)
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	document, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	if err := json.Unmarshal(document, v); err != nil {
		return fmt.Errorf("%s (%s): %w", id, s.Resources[id].Type, err)
	}
	return nil
}

// resolve returns v without intrinsic functions.
func (s *stack) resolve(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		list := make([]any, 0, len(v))
		for _, e := range v {
			r, err := s.resolve(e)
			if err != nil {
				return nil, err
			}
			if r != (noValue{}) {
				list = append(list, r)
			}
		}
		return list, nil
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return s.call(name, argument)
				}
			}
		}
		object := make(map[string]any, len(v))
		for key, e := range v {
			r, err := s.resolve(e)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			if r != (noValue{}) {
				object[key] = r
			}
		}
		return object, nil
	}
	return v, nil
}

func (s *stack) call(name string, argument any) (any, error) {
	switch name {
	case "Ref":
		id, _ := argument.(string)
		return s.ref(id)
	case "Fn::If":
		list, _ := argument.([]any)
		if len(list) != 3 {
			return nil, fmt.Errorf("Fn::If takes 3 arguments, not %v", argument)
		}
		condition, _ := list[0].(string)
		holds, err := s.condition(condition)
		if err != nil {
			return nil, err
		}
		if holds {
			return s.resolve(list[1])
		}
		return s.resolve(list[2])
	case "Fn::Sub":
		return s.sub(argument)
	}
	resolved, err := s.resolve(argument)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	list, _ := resolved.([]any)
	switch name {
	case "Fn::GetAtt":
		if text, ok := resolved.(string); ok {
			id, attribute, _ := strings.Cut(text, ".")
			return s.attribute(id, attribute)
		}
		if len(list) == 2 {
			id, _ := list[0].(string)
			attribute, _ := list[1].(string)
			return s.attribute(id, attribute)
		}
	case "Fn::Join":
		if len(list) == 2 {
			separator, _ := list[0].(string)
			parts, ok := texts(list[1])
			if ok {
				return strings.Join(parts, separator), nil
			}
		}
	case "Fn::Split":
		if len(list) == 2 {
			separator, ok1 := list[0].(string)
			text, ok2 := list[1].(string)
			if ok1 && ok2 {
				var parts []any
				for p := range strings.SplitSeq(text, separator) {
					parts = append(parts, p)
				}
				return parts, nil
			}
		}
	case "Fn::Select":
		if len(list) == 2 {
			i, err := strconv.Atoi(fmt.Sprint(list[0]))
			from, ok := list[1].([]any)
			if err == nil && ok && i >= 0 && i < len(from) {
				return from[i], nil
			}
		}
	case "Fn::Base64":
		if text, ok := resolved.(string); ok {
			return base64.StdEncoding.EncodeToString([]byte(text)), nil
		}
	case "Fn::FindInMap":
		if keys, ok := texts(list); ok && len(keys) == 3 {
			m, _ := s.Mappings[keys[0]].(map[string]any)
			m, _ = m[keys[1]].(map[string]any)
			if v, ok := m[keys[2]]; ok {
				return v, nil
			}
		}
	case "Fn::GetAZs":
		return []any{s.region + "a", s.region + "b", s.region + "c"}, nil
	case "Fn::ImportValue":
		if export, ok := resolved.(string); ok {
			if v, ok := s.imports[export]; ok {
				return v, nil
			}
			return nil, fmt.Errorf("Fn::ImportValue %q: give its value in Options.Imports", export)
		}
	}
	return nil, fmt.Errorf("%s of %v is not supported", name, argument)
}

func texts(v any) ([]string, bool) {
	list, ok := v.([]any)
	out := make([]string, len(list))
	for i, e := range list {
		switch e := e.(type) {
		case string:
			out[i] = e
		case float64, bool:
			out[i] = fmt.Sprint(e)
		default:
			return nil, false
		}
	}
	return out, ok
}

var placeholder = regexp.MustCompile(`\$\{(!?)([^}]*)\}`)

func (s *stack) sub(argument any) (any, error) {
	text, ok := argument.(string)
	var variables map[string]any
	if list, isList := argument.([]any); isList && len(list) == 2 {
		text, ok = list[0].(string)
		variables, _ = list[1].(map[string]any)
	}
	if !ok {
		return nil, fmt.Errorf("Fn::Sub of %v is not supported", argument)
	}
	var failed error
	out := placeholder.ReplaceAllStringFunc(text, func(m string) string {
		parts := placeholder.FindStringSubmatch(m)
		if parts[1] == "!" {
			return "${" + parts[2] + "}"
		}
		var v any
		var err error
		if given, ok := variables[parts[2]]; ok {
			v, err = s.resolve(given)
		} else if id, attribute, ok := strings.Cut(parts[2], "."); ok {
			v, err = s.attribute(id, attribute)
		} else {
			v, err = s.ref(parts[2])
		}
		if err != nil {
			failed = fmt.Errorf("Fn::Sub %q: %w", text, err)
		}
		return fmt.Sprint(v)
	})
	return out, failed
}

// condition evaluates a named condition of the template.
func (s *stack) condition(name string) (bool, error) {
	if v, ok := s.conditions[name]; ok {
		return v, nil
	}
	expression, ok := s.Conditions[name]
	if !ok {
		return false, fmt.Errorf("condition %q is not in the template", name)
	}
	v, err := s.evaluate(expression)
	if err != nil {
		return false, fmt.Errorf("condition %s: %w", name, err)
	}
	s.conditions[name] = v
	return v, nil
}

func (s *stack) evaluate(expression any) (bool, error) {
	object, _ := expression.(map[string]any)
	for name, argument := range object {
		list, _ := argument.([]any)
		switch name {
		case "Condition":
			return s.condition(fmt.Sprint(argument))
		case "Fn::Equals":
			resolved, err := s.resolve(list)
			if err != nil {
				return false, err
			}
			pair, ok := texts(resolved)
			return ok && len(pair) == 2 && pair[0] == pair[1], nil
		case "Fn::Not", "Fn::And", "Fn::Or":
			for _, e := range list {
				v, err := s.evaluate(e)
				if err != nil {
					return false, err
				}
				switch {
				case name == "Fn::Not":
					return !v, nil
				case v == (name == "Fn::Or"):
					return v, nil
				}
			}
			return name == "Fn::And", nil
		}
	}
	return false, fmt.Errorf("%v is no condition function", expression)
}
