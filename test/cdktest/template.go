package cdktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
)

// Template is a synthesized CloudFormation template.
type Template map[string]any

// Resource is one resource of a template.
type Resource struct {
	ID         string         // logical id
	Type       string         // such as "AWS::SQS::Queue"
	Properties map[string]any // as in the template, intrinsic functions unresolved
	Attributes map[string]any // all of the resource: DeletionPolicy, Metadata, DependsOn and so on
}

// Report synthesizes the app that the construct is in and returns a file that
// a check of the synth, such as a policy validation plugin, writes beside the
// templates, and whether the synth failed.
func Report(t testing.TB, x constructs.IConstruct, file string) (data []byte, failed bool) {
	t.Helper()
	app := awscdk.App_Of(x.Node().Root())
	_, failed = try(func() { app.Synth(nil) })
	data, err := os.ReadFile(filepath.Join(*app.Outdir(), file))
	if err != nil {
		t.Fatal(err)
	}
	return data, failed
}

// Synth synthesizes the stack's app and returns the stack's template. An app
// is synthesized once: what is added to a stack afterwards is not seen.
func Synth(t testing.TB, stack awscdk.Stack) Template {
	t.Helper()
	assembly := awscdk.App_Of(stack.Node().Root()).Synth(nil)
	b, err := os.ReadFile(filepath.Join(*assembly.Directory(), *stack.TemplateFile()))
	if err != nil {
		t.Fatal(err)
	}
	var template Template
	if err := json.Unmarshal(b, &template); err != nil {
		t.Fatalf("template of stack %s: %v", *stack.StackName(), err)
	}
	return template
}

// Resources returns the resources of a type in the order of their logical ids,
// all resources for the empty type.
func (t Template) Resources(resourceType string) []Resource {
	all, _ := t["Resources"].(map[string]any)
	var found []Resource
	for _, id := range slices.Sorted(maps.Keys(all)) {
		attributes, _ := all[id].(map[string]any)
		typ, _ := attributes["Type"].(string)
		if resourceType != "" && typ != resourceType {
			continue
		}
		properties, _ := attributes["Properties"].(map[string]any)
		found = append(found, Resource{ID: id, Type: typ, Properties: properties, Attributes: attributes})
	}
	return found
}

// One returns the only resource of the type that matches, and fails the test
// if there is none or more than one.
func (t Template) One(tb testing.TB, resourceType string, want Match) Resource {
	tb.Helper()
	var found []Resource
	var misses string
	for _, r := range t.Resources(resourceType) {
		if miss := mismatch("", map[string]any(want), any(r.Properties)); miss != "" {
			misses += fmt.Sprintf("\n  %s: %s", r.ID, miss)
			continue
		}
		found = append(found, r)
	}
	if len(found) != 1 {
		tb.Fatalf("%d resources of type %s match, want 1%s", len(found), resourceType, misses)
	}
	return found[0]
}

// Has fails the test unless a resource of the type matches.
func (t Template) Has(tb testing.TB, resourceType string, want Match) {
	tb.Helper()
	var misses string
	for _, r := range t.Resources(resourceType) {
		miss := mismatch("", map[string]any(want), any(r.Properties))
		if miss == "" {
			return
		}
		misses += fmt.Sprintf("\n  %s: %s", r.ID, miss)
	}
	if misses == "" {
		misses = "\n  there is no resource of this type"
	}
	tb.Errorf("no resource of type %s matches%s", resourceType, misses)
}

// Count fails the test unless the template has n resources of the type.
func (t Template) Count(tb testing.TB, resourceType string, n int) {
	tb.Helper()
	if got := len(t.Resources(resourceType)); got != n {
		tb.Errorf("%d resources of type %s, want %d", got, resourceType, n)
	}
}

// Outdir returns the folder that the stack's app was synthesized to, where the
// template and the assets are.
func Outdir(stack awscdk.Stack) string {
	return *awscdk.App_Of(stack.Node().Root()).Outdir()
}
