package inspection

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
)

// acknowledgementType is the type of the construct metadata that Acknowledge
// writes. The CDK puts it beside the templates, not into them.
const acknowledgementType = "serverless-go:acknowledged"

// UnusedRule is the rule of the findings about acknowledgements that accept
// nothing.
const UnusedRule = "unused-acknowledgement"

// Acknowledgement accepts what a rule of a plugin finds at the construct with
// the path and at all below it.
type Acknowledgement struct {
	Path   string   `json:"-"`
	Stack  *Stack   `json:"-"`
	Plugin string   `json:"plugin"`
	Rule   string   `json:"rule"`
	Reason string   `json:"reason"`
	Values []string `json:"values,omitempty"` // accept only findings of these values; empty: all

	Optional bool `json:"optional,omitempty"` // it may accept nothing

	used map[string]bool // values, "" where Values is empty
}

// Acknowledge writes an Acknowledgement into the construct's metadata, from
// where a construct of any family can be heard by the plugin's check, should
// the app have one. The construct must be in a stack.
func Acknowledge(scope constructs.IConstruct, a Acknowledgement) {
	data := map[string]any{"plugin": a.Plugin, "rule": a.Rule, "reason": a.Reason}
	if len(a.Values) > 0 {
		data["values"] = a.Values
	}
	if a.Optional {
		data["optional"] = true
	}
	construct.Node(scope).AddMetadata(jsii.String(acknowledgementType), data, nil)
}

// accept marks the finding if it was acknowledged.
func (app *App) accept(plugin string, f *Finding) {
	for _, a := range app.Acknowledgements {
		if a.Plugin != plugin || a.Rule != f.Rule || !construct.Below(f.Resource.Path, a.Path) {
			continue
		}
		value := ""
		if len(a.Values) > 0 {
			if !slices.Contains(a.Values, f.Value) {
				continue
			}
			value = f.Value
		}
		if a.used == nil {
			a.used = map[string]bool{}
		}
		a.used[value] = true
		f.Outcome, f.Reason = Acknowledged, a.Reason
	}
}

// unused returns a finding for each acknowledgement, or value of one, that
// accepted nothing.
func (app *App) unused(plugin string) []Finding {
	var findings []Finding
	for _, a := range app.Acknowledgements {
		if a.Plugin != plugin || a.Optional {
			continue
		}
		values := a.Values
		if len(values) == 0 {
			values = []string{""}
		}
		for _, value := range values {
			if a.used[value] {
				continue
			}
			what := fmt.Sprintf("%q", a.Rule)
			if value != "" {
				what += fmt.Sprintf(" of %q", value)
			}
			findings = append(findings, Finding{
				Rule:     UnusedRule,
				Resource: &Resource{Stack: a.Stack, ID: strings.TrimPrefix(a.Path, a.Stack.Path+"/"), Path: a.Path, Type: "construct"},
				Outcome:  Violated, Value: value,
				Message: fmt.Sprintf("it acknowledges %s (%s), and nothing is found there", what, a.Reason),
				Fix:     "remove the acknowledgement, or name the construct and the value that it is about",
			})
		}
	}
	return findings
}
