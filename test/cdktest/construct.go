package cdktest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// IsConstruct fails the test unless each construct can be a scope, be tagged
// and be depended upon. A Go type that only embeds a construct, which the CDK
// does not know of, can be none of these. It synthesizes their app.
func IsConstruct(t testing.TB, all ...constructs.Construct) {
	t.Helper()
	key, value := "cdktest", "tagged"
	type check struct {
		path                string
		stack               awscdk.Stack
		inside, after, want string
	}
	var checks []check
	message, panicked := try(func() {
		for i, x := range all {
			// A nested stack's resource is one that core has and that takes tags.
			resource := func(scope constructs.Construct, id string) awscdk.CfnStack {
				return awscdk.NewCfnStack(scope, &id, &awscdk.CfnStackProps{TemplateUrl: jsii.String("https://example.com/template.json")})
			}
			stack := awscdk.Stack_Of(x)
			inside, after := resource(x, "Inside"), resource(stack, fmt.Sprint("After", i))
			awscdk.Tags_Of(x).Add(&key, &value, nil)
			after.Node().AddDependency(x)
			checks = append(checks, check{*inside.Node().Path(), stack, *stack.GetLogicalId(inside), *stack.GetLogicalId(after), *x.Node().Path() + "/Inside"})
		}
	})
	if panicked {
		t.Errorf("it is no construct: %s", message)
		return
	}
	for _, c := range checks {
		if c.path != c.want {
			t.Errorf("the path of what is inside is %s, want %s", c.path, c.want)
		}
		resources, _ := Synth(t, c.stack)["Resources"].(map[string]any)
		inside, _ := resources[c.inside].(map[string]any)
		if miss := mismatch(c.inside, Match{"Properties": Match{"Tags": Contains(Match{"Key": key, "Value": value})}}, inside); miss != "" {
			t.Errorf("what is inside is not tagged: %s", miss)
		}
		after, _ := resources[c.after].(map[string]any)
		dependencies, ok := after["DependsOn"].([]any)
		if !ok {
			dependencies = []any{after["DependsOn"]}
		}
		if !slices.Contains(dependencies, any(c.inside)) {
			t.Errorf("what depends on it depends on %v, want %s among them", dependencies, c.inside)
		}
	}
}
