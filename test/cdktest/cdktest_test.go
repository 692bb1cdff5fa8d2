package cdktest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
)

func TestMain(m *testing.M) { Main(m) }

func TestGolden(t *testing.T) {
	stack := NewStack(t)
	fn := awslambda.NewFunction(stack, jsii.String("Function"), &awslambda.FunctionProps{
		Code:    awslambda.Code_FromAsset(jsii.String("."), nil), // its hash changes with this file
		Runtime: awslambda.Runtime_PROVIDED_AL2023(),
		Handler: jsii.String("bootstrap"),
	})
	fn.CurrentVersion()
	Golden(t, stack)
}

// recorder is a testing.TB that keeps what a check reports.
type recorder struct {
	testing.TB
	messages []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.messages = append(r.messages, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}

// failing returns what f reports.
func failing(t *testing.T, f func(testing.TB)) (messages []string) {
	r := &recorder{TB: t}
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
		messages = r.messages
	}()
	f(r)
	return
}

func TestMatchers(t *testing.T) {
	stack := NewStack(t)
	awssqs.NewQueue(stack, jsii.String("Queue"), &awssqs.QueueProps{
		Fifo: jsii.Bool(true), VisibilityTimeout: nil, MaxMessageSizeBytes: jsii.Number(2048)})
	template := Synth(t, stack)
	for name, tt := range map[string]struct {
		want Match
		miss string // what the message says; empty: it matches
	}{
		"nothing":       {nil, ""},
		"values":        {Match{"FifoQueue": true, "MaximumMessageSize": 2048}, ""},
		"any":           {Match{"FifoQueue": Any()}, ""},
		"absent":        {Match{"QueueName": Absent()}, ""},
		"other value":   {Match{"MaximumMessageSize": 1024}, "MaximumMessageSize is 2048, want 1024"},
		"missing":       {Match{"QueueName": Any()}, "QueueName is missing"},
		"present":       {Match{"FifoQueue": Absent()}, "FifoQueue is true, want none"},
		"nil":           {Match{"FifoQueue": nil}, "FifoQueue is true, want none"},
		"not an object": {Match{"FifoQueue": Match{"x": 1}}, "FifoQueue is true, want an object"},
		"not a string":  {Match{"FifoQueue": Pattern("x")}, `want a string that matches "x"`},
		"not a list":    {Match{"FifoQueue": Contains(1)}, "want a list"},
	} {
		t.Run(name, func(t *testing.T) {
			messages := failing(t, func(tb testing.TB) { template.Has(tb, "AWS::SQS::Queue", tt.want) })
			switch {
			case tt.miss == "" && len(messages) > 0:
				t.Error(messages)
			case tt.miss != "" && (len(messages) != 1 || !strings.Contains(messages[0], tt.miss)):
				t.Errorf("got %q, want %q", messages, tt.miss)
			}
		})
	}
	for name, f := range map[string]func(testing.TB){
		"Count": func(tb testing.TB) { template.Count(tb, "AWS::SQS::Queue", 2) },
		"Has":   func(tb testing.TB) { template.Has(tb, "AWS::SNS::Topic", nil) },
		"One":   func(tb testing.TB) { template.One(tb, "AWS::SNS::Topic", nil) },
	} {
		if len(failing(t, f)) != 1 {
			t.Errorf("%s does not fail", name)
		}
	}
	if id := template.One(t, "AWS::SQS::Queue", nil).ID; !strings.HasPrefix(id, "Queue") {
		t.Errorf("One returned %s", id)
	}
}

func TestContains(t *testing.T) {
	list := []any{map[string]any{"Key": "a", "Value": "1"}, "b"}
	if miss := mismatch("L", Contains("b", Match{"Key": "a"}), list); miss != "" {
		t.Error(miss)
	}
	if miss := mismatch("L", Contains(Match{"Key": "c"}), list); miss == "" {
		t.Error("a list without the element matches")
	}
	if miss := mismatch("L", []any{Match{"Key": "a"}}, list); miss != "L is [map[Key:a Value:1] b], want a list of 1" {
		t.Error(miss)
	}
	if miss := mismatch("L", []any{Match{"Key": "a"}, "c"}, list); miss != "L[1] is b, want c" {
		t.Error(miss)
	}
}

func TestRejects(t *testing.T) {
	Rejects(t, func() { panic("no name") }, "no", "name")
	if got := failing(t, func(tb testing.TB) { Rejects(tb, func() {}, "x") }); len(got) != 1 {
		t.Errorf("no panic is reported as %q", got)
	}
	if got := failing(t, func(tb testing.TB) { Rejects(tb, func() { panic("a") }, "b") }); len(got) != 1 {
		t.Errorf("another message is reported as %q", got)
	}
}

func TestCycle(t *testing.T) {
	resource := func(v any) any { return map[string]any{"Properties": map[string]any{"P": v}} }
	getAtt := func(id string) any { return map[string]any{"Fn::GetAtt": []any{id, "Arn"}} }
	for name, tt := range map[string]struct {
		resources map[string]any
		want      []string
	}{
		"none":    {map[string]any{"A": resource(getAtt("B")), "B": resource(getAtt("C")), "C": resource("x")}, nil},
		"self":    {map[string]any{"A": resource(getAtt("A"))}, []string{"A", "A"}},
		"two":     {map[string]any{"A": resource(getAtt("B")), "B": resource(map[string]any{"Ref": "A"})}, []string{"A", "B", "A"}},
		"sub":     {map[string]any{"A": resource(map[string]any{"Fn::Sub": "${B}/x"}), "B": resource(map[string]any{"Fn::Sub": []any{"${A.Arn}", nil}})}, []string{"A", "B", "A"}},
		"depends": {map[string]any{"A": map[string]any{"DependsOn": []any{"B"}}, "B": map[string]any{"DependsOn": "A"}}, []string{"A", "B", "A"}},
		"later":   {map[string]any{"A": resource(getAtt("B")), "B": resource(getAtt("C")), "C": resource(getAtt("B"))}, []string{"B", "C", "B"}},
		"unknown": {map[string]any{"A": resource(map[string]any{"Ref": "AWS::Region"})}, nil},
	} {
		if got := cycle(Template{"Resources": tt.resources}); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func TestDifference(t *testing.T) {
	was := map[string]any{"same": 1.0, "gone": "x", "list": []any{1.0, 2.0}, "longer": []any{1.0}, "kind": map[string]any{}}
	now := map[string]any{"same": 1.0, "new": "<y>", "list": []any{1.0, 3.0}, "longer": []any{1.0, 2.0}, "kind": "text"}
	want := []string{
		`- R.gone: "x"`,
		"  R.kind:\n    - {}\n    + \"text\"",
		"  R.list[1]:\n    - 2\n    + 3",
		"  R.longer:\n    - [1]\n    + [1,2]",
		`+ R.new: "<y>"`,
	}
	if got := difference("R", was, now); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := difference("", was, was); got != nil {
		t.Errorf("a document differs from itself: %q", got)
	}
	if got := short(strings.Repeat("x", 1000)); len(got) > 420 {
		t.Errorf("%d bytes are not short", len(got))
	}
}

// The apps that `cdk init` makes have a context; the shortest cdk.json has none.
func TestNewAppContext(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{`{"app": "go run ."}`, ""},
		{`{"app": "go run .", "context": null}`, ""},
		{`{"app": "go run .", "context": {"stage": "dev"}}`, "dev"},
	} {
		t.Chdir(t.TempDir())
		if err := os.WriteFile("cdk.json", []byte(test.file), 0o644); err != nil {
			t.Fatal(err)
		}
		got, _ := NewApp(t).Node().TryGetContext(jsii.String("stage")).(string)
		if got != test.want {
			t.Errorf("with %s the stage is %q, want %q", test.file, got, test.want)
		}
	}
}
