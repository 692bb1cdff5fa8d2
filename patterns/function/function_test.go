package function_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestMain(m *testing.M) { cdktest.Main(m) }

const entry = "github.com/serverless-go/cdk/patterns/function/testdata/hello"

func TestDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	function.NewFunction(stack, "Hello", &function.Props{Entry: entry})
	cdktest.Golden(t, stack)
}

func TestAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	function.NewFunction(stack, "Hello", &function.Props{
		Entry:           entry,
		LogGroup:        awslogs.NewLogGroup(stack, jsii.String("Logs"), nil),
		DeadLetterQueue: awssqs.NewQueue(stack, jsii.String("Dead"), nil),
		Alarms:          function.Alarms{Topic: awssns.NewTopic(stack, jsii.String("Alarms"), nil)},
	})
	cdktest.Golden(t, stack)
}

func TestEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	f := function.NewFunction(stack, "Hello", &function.Props{
		Code:                awslambda.Code_FromInline(jsii.String("exports.handler = async () => 1")),
		Runtime:             awslambda.Runtime_NODEJS_22_X(),
		Handler:             "index.handler",
		Description:         "Says hello.",
		Memory:              1769,
		Timeout:             time.Minute,
		Environment:         map[string]string{"NAME": "world"},
		EncryptionKey:       awskms.NewKey(stack, jsii.String("Key"), nil),
		Architecture:        awslambda.Architecture_X86_64(),
		LogRetention:        awslogs.RetentionDays_ONE_WEEK,
		WithoutTracing:      true,
		ReservedConcurrency: new(int),
		Alias:               "live",
		Alarms: function.Alarms{
			Errors:      alarm.Tuning{Threshold: jsii.Number(5), Period: 5 * time.Minute, Periods: 2},
			Throttles:   alarm.Tuning{Off: true},
			DeadLetters: alarm.Tuning{Periods: 3},
		},
		FunctionProps: &awslambda.FunctionProps{EphemeralStorageSize: awscdk.Size_Gibibytes(jsii.Number(1))},
	})
	f.AddEnvironment("LATER", "1")
	f.AddToPolicy([]string{"s3:GetObject"}, jsii.String("arn:aws:s3:::bucket/*"))
	cdktest.Golden(t, stack)
}

func TestWithoutAlarmsAndDeadLetters(t *testing.T) {
	stack := cdktest.NewStack(t)
	f := function.NewFunction(stack, "Hello", &function.Props{
		Entry: entry, WithoutDeadLetterQueue: true, Alarms: function.Alarms{Off: true},
	})
	template := cdktest.Synth(t, stack)
	template.Count(t, "AWS::CloudWatch::Alarm", 0)
	template.Count(t, "AWS::SQS::Queue", 0)
	if f.DeadLetterQueue() != nil || len(f.Alarms()) != 0 {
		t.Error("accessors return what was not made")
	}
}

func TestIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	f := function.NewFunction(stack, "Hello", &function.Props{Entry: entry})
	topic := awssns.NewTopic(f, jsii.String("Inside"), nil) // as a scope
	awscdk.Tags_Of(f).Add(jsii.String("team"), jsii.String("shop"), nil)
	topic.Node().AddDependency(awssqs.NewQueue(stack, jsii.String("Other"), nil))
	awssqs.NewQueue(stack, jsii.String("After"), nil).Node().AddDependency(f)
	template := cdktest.Synth(t, stack)
	template.Has(t, "AWS::Lambda::Function", cdktest.Match{
		"Tags": []any{cdktest.Match{"Key": "team", "Value": "shop"}}})
	for _, q := range template.Resources("AWS::SQS::Queue") {
		if q.ID[:5] == "After" && q.Attributes["DependsOn"] == nil {
			t.Error("a resource that depends on the function does not depend on its resources")
		}
	}
}

// A Function is an awsiam.IGrantable: the CDK's own grants take it.
func TestIsGrantable(t *testing.T) {
	stack := cdktest.NewStack(t)
	f := function.NewFunction(stack, "Hello", &function.Props{Entry: entry, Alias: "live"})
	table := awsdynamodb.NewTableV2(stack, jsii.String("Table"), &awsdynamodb.TablePropsV2{
		PartitionKey: &awsdynamodb.Attribute{Name: jsii.String("pk"), Type: awsdynamodb.AttributeType_STRING}})
	table.GrantReadData(f)
	caller := awsiam.NewRole(stack, jsii.String("Caller"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()})
	f.GrantInvoke(caller)
	template := cdktest.Synth(t, stack)
	has := func(role, action string) {
		template.Has(t, "AWS::IAM::Policy", cdktest.Match{
			"Roles": []any{cdktest.Match{"Ref": cdktest.Pattern("^" + role)}},
			"PolicyDocument": cdktest.Match{"Statement": cdktest.Contains(cdktest.Match{
				"Action": cdktest.Matcher(func(v any, _ bool) string {
					if list, ok := v.([]any); ok && len(list) > 0 {
						v = list[0]
					}
					if v != action {
						return "is not " + action
					}
					return ""
				})})}})
	}
	has("HelloRole", "dynamodb:BatchGetItem")
	has("Caller", "lambda:InvokeFunction")
	template.Has(t, "AWS::IAM::Policy", cdktest.Match{"PolicyDocument": cdktest.Match{"Statement": []any{cdktest.Match{
		"Action": "lambda:InvokeFunction", "Resource": cdktest.Match{"Ref": cdktest.Pattern("^HelloAlias")}}}}})
}

func TestAdopt(t *testing.T) {
	stack := cdktest.NewStack(t)
	f := function.Adopt(stack, "Old", awslambda.Function_FromFunctionAttributes(stack, jsii.String("Imported"),
		&awslambda.FunctionAttributes{
			FunctionArn:     jsii.String("arn:aws:lambda:eu-west-1:123456789012:function:old"),
			SameEnvironment: jsii.Bool(true),
		}))
	f.AddEnvironment("KEY", "ignored")
	f.GrantInvoke(function.NewFunction(stack, "Hello", &function.Props{Entry: entry}))
	cdktest.Synth(t, stack).Has(t, "AWS::IAM::Policy", cdktest.Match{"PolicyDocument": cdktest.Match{
		"Statement": cdktest.Contains(cdktest.Match{"Action": "lambda:InvokeFunction"})}})
	cdktest.Rejects(t, func() { function.Adopt(stack, "None", nil) }, "Test/None", "fn")
}

func TestRejectsWrongProps(t *testing.T) {
	minus := -1
	for name, tt := range map[string]struct {
		props *function.Props
		want  []string
	}{
		"nil":        {nil, []string{"Test/nil: wrong props", `Entry is ""`, "set it, or Code"}},
		"both":       {&function.Props{Entry: entry, Code: awslambda.Code_FromInline(jsii.String("x"))}, []string{"not both"}},
		"runtime":    {&function.Props{Entry: entry, Runtime: awslambda.Runtime_NODEJS_22_X()}, []string{"Runtime", "provided.al2023"}},
		"handler":    {&function.Props{Entry: entry, Handler: "x"}, []string{`Handler is "x"`}},
		"timeout":    {&function.Props{Entry: entry, Timeout: time.Hour}, []string{"Timeout is 1h0m0s; allowed is 1s to 15m0s"}},
		"fraction":   {&function.Props{Entry: entry, Timeout: 1500 * time.Millisecond}, []string{"Timeout is 1.5s; allowed is whole seconds"}},
		"negative":   {&function.Props{Entry: entry, ReservedConcurrency: &minus}, []string{"ReservedConcurrency is -1"}},
		"everything": {&function.Props{Entry: entry, Memory: 1, Timeout: time.Hour}, []string{"Memory is 1; allowed is 128 to 10240", "Timeout"}},
		"alarms": {&function.Props{Entry: entry, Alarms: function.Alarms{Errors: alarm.Tuning{Period: time.Second}}},
			[]string{"Alarms.Errors.Period is 1s; allowed is whole minutes"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			cdktest.Rejects(t, func() { function.NewFunction(stack, name, tt.props) }, tt.want...)
			cdktest.Synth(t, stack).Count(t, "", 0) // nothing half-made stays behind
		})
	}
}

func TestRejectionIsTyped(t *testing.T) {
	defer func() {
		err, _ := recover().(error)
		var wrong *props.Error
		if !errors.As(err, &wrong) || wrong.Construct != "Test/Hello" || len(wrong.Problems) != 2 {
			t.Errorf("got %#v", err)
		}
	}()
	function.NewFunction(cdktest.NewStack(t), "Hello", &function.Props{Memory: 1})
}
