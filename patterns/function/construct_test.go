package function_test

import (
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/test/cdktest"
)

// What package construct remembers of a tree is what the CDK says of it. The
// tests are here because a kernel runs here anyway.
func TestPlaces(t *testing.T) {
	stack := cdktest.NewStack(t)
	app := stack.Node().Root().(constructs.Construct)
	theirs := constructs.NewConstruct(stack, jsii.String("Theirs"))
	ours := construct.Scope(stack, "Ours")
	for name, scope := range map[string]constructs.Construct{
		"stack": stack, "of the user's": theirs, "of ours": ours, "in ours": construct.Scope(ours, "Inner"),
		"in the user's": construct.Scope(theirs, "Inner"), "with a slash": construct.Scope(ours, "a/b"), "in the app": construct.Scope(app, "Ours"),
	} {
		if got, want := construct.Path(scope), *scope.Node().Path(); got != want {
			t.Errorf("path of what is %s: %q, want %q", name, got, want)
		}
		if name != "in the app" && construct.StackOf(scope) != stack {
			t.Errorf("stack of what is %s: another", name)
		}
	}
}

func TestConstantsBelongToTheApp(t *testing.T) {
	stack := cdktest.NewStack(t)
	app := stack.Node().Root().(constructs.Construct)
	second := awscdk.NewStack(app, jsii.String("Second"), nil)
	made := 0
	value := func(scope constructs.Construct) int {
		return construct.Constant(scope, "value", func() int { made++; return made })
	}
	if value(stack) != 1 || value(construct.Scope(second, "Ours")) != 1 {
		t.Error("two stacks of an app do not share")
	}
	if value(cdktest.NewStack(t)) != 2 {
		t.Error("two apps share")
	}
}

// What is known of a stack that we make is what the CDK says of it.
func TestNewStack(t *testing.T) {
	app := cdktest.NewApp(t)
	stage := awscdk.NewStage(app, jsii.String("Prod"), &awscdk.StageProps{Env: &awscdk.Environment{Region: jsii.String("eu-west-1")}})
	for name, stack := range map[string]awscdk.Stack{
		"in the app":           construct.NewStack(app, "Plain", &awscdk.StackProps{}),
		"in a stage":           construct.NewStack(stage, "Staged", &awscdk.StackProps{StackName: jsii.String("named")}),
		"in a construct":       construct.NewStack(construct.Scope(app, "Ours"), "a/b", &awscdk.StackProps{Env: &awscdk.Environment{Region: jsii.String("us-east-1")}}),
		"of a deployed region": construct.NewStack(app, "Agnostic", &awscdk.StackProps{Env: &awscdk.Environment{Region: awscdk.Aws_REGION()}}),
	} {
		if got, want := construct.Path(stack), *stack.Node().Path(); got != want {
			t.Errorf("%s: path %q, want %q", name, got, want)
		}
		if got, want := construct.StackName(stack), *stack.StackName(); got != want {
			t.Errorf("%s: name %q, want %q", name, got, want)
		}
		want := *stack.Region()
		if *awscdk.Token_IsUnresolved(want) {
			want = ""
		}
		if got := construct.Region(stack); got != want {
			t.Errorf("%s: region %q, want %q", name, got, want)
		}
	}
}

func TestBundlingRequired(t *testing.T) {
	for _, patterns := range []any{nil, []string{}, []string{"**"}, []string{"Test"}, []string{"Te*"}, []string{"Other"}, []string{"Other", "**"}} {
		stack := cdktest.NewStack(t, cdktest.Context("aws:cdk:bundling-stacks", patterns)) // nil: as if there were no context
		if got, want := construct.BundlingRequired(construct.Scope(stack, "Ours")), *stack.BundlingRequired(); got != want {
			t.Errorf("%v: %t, the CDK says %t", patterns, got, want)
		}
	}
}

func TestText(t *testing.T) {
	stack := cdktest.NewStack(t)
	arn := defaults.Text(stack, "arn:${AWS::Partition}:x:${AWS::Region}:${AWS::AccountId}:${Name}/$default.${AWS::URLSuffix}",
		defaults.Values{"Name": stack.StackId()})
	awscdk.NewCfnOutput(stack, jsii.String("Out"), &awscdk.CfnOutputProps{Value: arn})
	cdktest.Golden(t, stack)
	defer func() {
		if recover() == nil {
			t.Error("an unknown name is taken")
		}
	}()
	defaults.Text(stack, "${Nobody}")
}
