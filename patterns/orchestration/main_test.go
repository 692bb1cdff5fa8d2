package orchestration_test

import (
	"strings"
	"testing"

	"github.com/aws/constructs-go/constructs/v10"
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
// [cdktest.Deployed] has it.
func machine(t testing.TB, template cdktest.Template, prefix string) *asl.Machine {
	t.Helper()
	var found []string
	for _, r := range template.Resources("AWS::StepFunctions::StateMachine") {
		if strings.HasPrefix(r.ID, prefix) {
			found = append(found, cdktest.Deployed(t, r.Properties["DefinitionString"]))
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
