package orchestration_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestMain(m *testing.M) { cdktest.Main(m) }

// handler makes a function whose code is never built.
func handler(scope constructs.Construct, id string) *function.Function {
	return function.NewFunction(scope, id, &function.Props{
		Entry:                  "example.com/shop/" + id,
		WithoutDeadLetterQueue: true,
		Alarms:                 function.Alarms{Off: true},
	})
}

// machine returns the state machine that the template deploys under a logical
// id that starts with the prefix. What CloudFormation would fill in is as
// [deployed] has it.
func machine(t testing.TB, template cdktest.Template, prefix string) *asl.Machine {
	t.Helper()
	var found []string
	for _, r := range template.Resources("AWS::StepFunctions::StateMachine") {
		if strings.HasPrefix(r.ID, prefix) {
			found = append(found, deployed(r.Properties["DefinitionString"]))
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d state machines have an id that starts with %s, want 1", len(found), prefix)
	}
	m, err := asl.Parse([]byte(found[0]))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var variable = regexp.MustCompile(`\$\{([A-Za-z0-9:.]+)\}`)

// deployed returns a text of a template as CloudFormation would fill it in for
// account 123456789012 in eu-west-1. An attribute of a resource is its logical
// id, or an ARN that ends with it.
func deployed(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		if id, ok := v["Ref"].(string); ok {
			return reference(id)
		}
		if list, ok := v["Fn::GetAtt"].([]any); ok {
			return reference(fmt.Sprintf("%s.%s", list...))
		}
		if list, ok := v["Fn::Join"].([]any); ok {
			var parts []string
			for _, part := range list[1].([]any) {
				parts = append(parts, deployed(part))
			}
			return strings.Join(parts, list[0].(string))
		}
		text, own := v["Fn::Sub"], map[string]any{}
		if list, ok := text.([]any); ok {
			text, own = list[0], list[1].(map[string]any)
		}
		if s, ok := text.(string); ok {
			return variable.ReplaceAllStringFunc(s, func(name string) string {
				name = name[2 : len(name)-1]
				if value, ok := own[name]; ok {
					return deployed(value)
				}
				return reference(name)
			})
		}
	}
	b, _ := json.Marshal(v)
	panic("the test cannot deploy " + string(b))
}

func reference(name string) string {
	switch name {
	case "AWS::Partition":
		return "aws"
	case "AWS::Region":
		return "eu-west-1"
	case "AWS::AccountId":
		return "123456789012"
	}
	if id, ok := strings.CutSuffix(name, ".Arn"); ok {
		return "arn:aws:any:eu-west-1:123456789012:function:" + id
	}
	return name
}

// isConstruct fails unless the construct can be used as one.
func isConstruct(t *testing.T, stack awscdk.Stack, x constructs.Construct) {
	t.Helper()
	inner := constructs.NewConstruct(x, jsii.String("Inner"))
	if got, want := *inner.Node().Path(), *x.Node().Path()+"/Inner"; got != want {
		t.Errorf("the path of what is inside is %s, want %s", got, want)
	}
	if awscdk.Stack_Of(x) == nil {
		t.Error("it is in no stack")
	}
	awscdk.Tags_Of(x).Add(jsii.String("owner"), jsii.String("test"), nil)
	constructs.NewConstruct(stack, jsii.String("After")).Node().AddDependency(x)
}
