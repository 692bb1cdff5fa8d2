package orchestration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/props"
)

// A Substitution is the value of a placeholder in an ASL file. Its zero value
// is the empty text.
type Substitution struct{ value any }

// Text is a substitution by a text. It may be a token, such as an ARN that is
// known when the stack is deployed.
func Text(s string) Substitution { return Substitution{s} }

// Number is a substitution by a number.
func Number(n float64) Substitution { return Substitution{n} }

// Bool is a substitution by true or false.
func Bool(b bool) Substitution { return Substitution{b} }

// Texts is a substitution by an array of texts.
func Texts(s ...string) Substitution {
	list := make([]any, len(s))
	for i, text := range s {
		list[i] = text
	}
	return Substitution{list}
}

// definition is a workflow in the Amazon States Language, and what its props
// call it.
type definition struct {
	field string // "Definition", "File" or "Chain"
	text  string // JSON; tokens stand where values are known at deployment
}

// fromMap returns the definition that Go code made. Unless it says otherwise,
// it is in the language and ends after the time-out.
func fromMap(m map[string]any, language asl.QueryLanguage, timeout time.Duration) (*definition, error) {
	own := maps.Clone(m)
	if own["QueryLanguage"] == nil {
		own["QueryLanguage"] = string(language)
	}
	text, err := encode(own, timeout)
	return &definition{field: "Definition", text: text}, err
}

// fromFile returns the definition in a file, with its placeholders replaced.
// Its query language is the file's own: one that names none uses JSONPath, as
// the Amazon States Language has it.
func fromFile(path string, substitutions map[string]Substitution, timeout time.Duration) (*definition, error) {
	d := &definition{field: "File"}
	data, err := os.ReadFile(path)
	if err != nil {
		return d, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // a number must come out as it went in
	var file any
	if err := decoder.Decode(&file); err != nil {
		return d, fmt.Errorf("%s is not JSON: %w", path, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return d, fmt.Errorf("%s is not JSON: there is more after its end", path)
	}
	s := substituter{substitutions: substitutions, used: map[string]bool{}}
	top, ok := s.replace(file).(map[string]any)
	if !ok {
		return d, fmt.Errorf("%s is no JSON object", path)
	}
	for name := range substitutions {
		if !s.used[name] {
			s.wrong = append(s.wrong, fmt.Sprintf("has no placeholder ${%s}, for which there is a substitution", name))
		}
	}
	if len(s.wrong) > 0 {
		slices.Sort(s.wrong)
		return d, fmt.Errorf("%s %s", path, strings.Join(slices.Compact(s.wrong), ", "))
	}
	d.text, err = encode(top, timeout)
	return d, err
}

// encode returns the definition as JSON, with the time-out if it has none.
func encode(m map[string]any, timeout time.Duration) (string, error) {
	if m["TimeoutSeconds"] == nil {
		m["TimeoutSeconds"] = int(timeout.Seconds())
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(m)
	return strings.TrimSpace(b.String()), err
}

var placeholder = regexp.MustCompile(`\$\{([A-Za-z][A-Za-z0-9_]*)\}`)

// A substituter replaces the placeholders in a document.
type substituter struct {
	substitutions map[string]Substitution
	used          map[string]bool
	wrong         []string
}

func (s *substituter) replace(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			v[key] = s.replace(e)
		}
	case []any:
		for i, e := range v {
			v[i] = s.replace(e)
		}
	case string:
		if m := placeholder.FindString(v); m == v && m != "" {
			return s.lookup(m)
		}
		return placeholder.ReplaceAllStringFunc(v, func(m string) string {
			switch value := s.lookup(m).(type) {
			case []any:
				s.wrong = append(s.wrong, fmt.Sprintf("has the array %s inside a text, where only texts, numbers and booleans can stand", m))
				return m
			default:
				return fmt.Sprint(value)
			}
		})
	}
	return v
}

// lookup returns the value that the placeholder stands for.
func (s *substituter) lookup(placeholder string) any {
	name := placeholder[2 : len(placeholder)-1]
	substitution, ok := s.substitutions[name]
	if !ok {
		s.wrong = append(s.wrong, "has the placeholder "+placeholder+", for which there is no substitution")
		return placeholder
	}
	s.used[name] = true
	if substitution.value == nil {
		return ""
	}
	return substitution.value
}

// check records what is wrong with the definition, by state and field.
func (d *definition) check(c *props.Check, express bool) {
	machine, err := asl.Parse([]byte(d.text))
	var problems asl.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			d.wrong(c, p)
		}
		return
	}
	labels := d.maps()
	for i := 1; i < len(labels); i++ {
		if labels[i] == labels[i-1] && labels[i] != "*" {
			d.wrong(c, asl.Problem{Field: "Label", Message: fmt.Sprintf("%q names two Distributed Maps, whose executions could not be told apart: give each its own", labels[i])})
		}
	}
	if !express {
		return
	}
	// Source: https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
	const most = 5 * time.Minute
	if machine.Timeout > most {
		d.wrong(c, asl.Problem{Field: "TimeoutSeconds", Message: fmt.Sprintf("an Express workflow runs for %s at most", most)})
	}
	for state := range machine.All() {
		problem := asl.Problem{State: state.Name, Field: "Resource"}
		switch {
		case state.Distributed:
			problem.Field, problem.Message = "ItemProcessor.ProcessorConfig.Mode", "an Express workflow has no Distributed Map: use INLINE"
		case strings.Contains(state.Resource, ".sync"):
			problem.Message = "an Express workflow cannot wait for a job: make the workflow Standard, or poll"
		case strings.HasSuffix(state.Resource, ".waitForTaskToken"):
			problem.Message = "an Express workflow cannot wait for a task token: make the workflow Standard"
		case strings.Contains(state.Resource, ":activity:"):
			problem.Message = "an Express workflow has no activities: call a function"
		default:
			continue
		}
		d.wrong(c, problem)
	}
}

func (d *definition) wrong(c *props.Check, p asl.Problem) {
	c.Wrong(d.field, props.Words("wrong in "+p.String()), "what Step Functions runs", "")
}

// maps returns the labels of the Distributed Maps, however deep they are, "*"
// for one without. A label that is there twice is returned twice.
func (d *definition) maps() (labels []string) {
	var root any
	if json.Unmarshal([]byte(d.text), &root) != nil {
		return nil
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if processor, ok := v["ItemProcessor"].(map[string]any); ok && v["Type"] == "Map" {
				if config, _ := processor["ProcessorConfig"].(map[string]any); config["Mode"] == "DISTRIBUTED" {
					label, ok := v["Label"].(string)
					if !ok {
						label = "*"
					}
					labels = append(labels, label)
				}
			}
			for _, e := range v {
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(root)
	slices.Sort(labels)
	return labels
}
