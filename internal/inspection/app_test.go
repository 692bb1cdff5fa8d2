package inspection_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/serverless-go/cdk/internal/inspection"
)

func write(t *testing.T, folder, name, text string) string {
	t.Helper()
	file := filepath.Join(folder, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestReadSeesNestedStacks(t *testing.T) {
	folder := t.TempDir()
	outer := write(t, folder, "outer.json", `{"Resources":{
		"Inner":{"Type":"AWS::CloudFormation::Stack","Metadata":{"aws:asset:path":"inner.json"},
			"Properties":{"Parameters":{"Where":{"Ref":"AWS::Region"}}}},
		"A":{"Type":"AWS::SQS::Queue","Metadata":{"aws:cdk:path":"Outer/A/Resource"}}}}`)
	write(t, folder, "inner.json", `{"Resources":{"B":{"Type":"AWS::SQS::Queue","Properties":{"QueueName":{"Ref":"Where"}}}}}`)
	app, err := inspection.Read(inspection.Place{Path: "Outer", Template: outer, Region: "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	if len(app.Stacks) != 2 {
		t.Fatalf("%d stacks were read, want 2", len(app.Stacks))
	}
	if got := app.Stacks[0].Resource("A").Path; got != "Outer/A/Resource" {
		t.Errorf("A's path is %q", got)
	}
	inner := app.Stacks[1]
	if inner.Path != "Outer/Inner" || inner.Parent != app.Stacks[0] || inner.Region != "eu-west-1" {
		t.Errorf("the nested stack is %q in %q", inner.Path, inner.Region)
	}
	if got := inner.Text(inner.Resource("B").Properties["QueueName"]); got != "eu-west-1" {
		t.Errorf("the parent's parameter is resolved to %q", got)
	}
}

func TestReadFails(t *testing.T) {
	folder := t.TempDir()
	for name, file := range map[string]string{
		"missing": filepath.Join(folder, "none.json"),
		"broken":  write(t, folder, "broken.json", `{"Resources":`),
	} {
		if _, err := inspection.Read(inspection.Place{Path: name, Template: file}); err == nil {
			t.Errorf("a %s template was read", name)
		}
	}
}

func TestResolve(t *testing.T) {
	known := &inspection.Stack{Region: "eu-west-1", Account: "111122223333"}
	open := new(inspection.Stack)
	ref := func(name string) any { return map[string]any{"Ref": name} }
	for name, tt := range map[string]struct {
		stack       *inspection.Stack
		value, want any
	}{
		"text":        {known, "a", "a"},
		"region":      {known, ref("AWS::Region"), "eu-west-1"},
		"open region": {open, ref("AWS::Region"), "${AWS::Region}"},
		"resource":    {known, ref("Queue"), "${Queue}"},
		"attribute":   {known, map[string]any{"Fn::GetAtt": []any{"Queue", "Arn"}}, "${Queue.Arn}"},
		"join": {known, map[string]any{"Fn::Join": []any{":", []any{"arn", ref("AWS::Region"), ref("AWS::AccountId")}}},
			"arn:eu-west-1:111122223333"},
		"sub":      {known, map[string]any{"Fn::Sub": "arn:${AWS::Region}:${Queue.Arn}:${!x}"}, "arn:eu-west-1:${Queue.Arn}:${x}"},
		"sub list": {known, map[string]any{"Fn::Sub": []any{"${R}-${Q}", map[string]any{"R": ref("AWS::Region")}}}, "eu-west-1-${Q}"},
		"unknown function stays": {known, map[string]any{"Fn::ImportValue": ref("AWS::Region")},
			map[string]any{"Fn::ImportValue": "eu-west-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.stack.Resolve(tt.value); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("resolved to %v, want %v", got, tt.want)
			}
		})
	}
}
