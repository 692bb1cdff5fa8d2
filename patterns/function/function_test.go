package function_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
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
		Grants: func(f *function.Function) {
			f.AddEnvironment("BUCKET", "bucket")
			f.AddToPolicy([]string{"s3:ListBucket"}, "arn:aws:s3:::bucket")
			f.AddToPolicy([]string{"s3:PutObject"}, "arn:aws:s3:::bucket/in/*")
			f.AddToPolicy([]string{"s3:ListBucket"}, "arn:aws:s3:::bucket")
		},
	})
	f.AddEnvironment("LATER", "1")
	f.AddToPolicy([]string{"s3:GetObject"}, "arn:aws:s3:::bucket/*")
	cdktest.Golden(t, stack)
}

// A user's FunctionProps.Environment stands in the place of Environment, so that
// nothing of that is there when it is added.
func TestAddEnvironmentBesideFunctionProps(t *testing.T) {
	stack := cdktest.NewStack(t)
	f := function.NewFunction(stack, "Hello", &function.Props{
		Entry: entry, Environment: map[string]string{"TABLE": "orders"},
		FunctionProps: &awslambda.FunctionProps{Environment: &map[string]*string{"OWN": jsii.String("1")}},
	})
	f.AddEnvironment("TABLE", "orders")
	cdktest.Synth(t, stack).One(t, "AWS::Lambda::Function", cdktest.Match{
		"Environment": map[string]any{"Variables": map[string]any{"OWN": "1", "TABLE": "orders"}},
	})
}

// What Grants grants and sets reaches a role and an environment that are the
// user's, too.
func TestGrantsBesideFunctionProps(t *testing.T) {
	stack := cdktest.NewStack(t)
	role := awsiam.NewRole(stack, jsii.String("Own"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
	function.NewFunction(stack, "Hello", &function.Props{
		Entry: entry,
		FunctionProps: &awslambda.FunctionProps{
			Role: role, Environment: &map[string]*string{"OWN": jsii.String("1")},
		},
		Grants: func(f *function.Function) {
			f.AddEnvironment("TABLE", "orders")
			f.AddToPolicy([]string{"s3:ListBucket"}, "arn:aws:s3:::bucket")
		},
	})
	template := cdktest.Synth(t, stack)
	template.One(t, "AWS::Lambda::Function", cdktest.Match{
		"Environment": map[string]any{"Variables": map[string]any{"OWN": "1", "TABLE": "orders"}},
	})
	template.Count(t, "AWS::IAM::Role", 1)
	if policy := defaults.JSON(template.Resources("AWS::IAM::Policy")); !strings.Contains(policy, "s3:ListBucket") {
		t.Errorf("the role's policy is %s", policy)
	}
}

// What Grants lets a function invoke is what GrantInvoke does afterwards.
func TestGrantsInvoke(t *testing.T) {
	stack := cdktest.NewStack(t)
	for _, alias := range []string{"", "live"} {
		called := function.NewFunction(stack, "Called"+alias, &function.Props{Entry: entry, Alias: alias})
		function.NewFunction(stack, "Before"+alias, &function.Props{Entry: entry, Grants: func(f *function.Function) { called.GrantInvoke(f) }})
		called.GrantInvoke(function.NewFunction(stack, "After"+alias, &function.Props{Entry: entry}))
	}
	template := cdktest.Synth(t, stack)
	invokes := func(kind, id string, document func(cdktest.Resource) any) string {
		t.Helper()
		for _, r := range template.Resources(kind) {
			if strings.HasPrefix(r.ID, id+"Role") {
				statements := document(r).(map[string]any)["Statement"].([]any)
				return defaults.JSON(statements[len(statements)-1])
			}
		}
		t.Fatalf("%s has no %s", id, kind)
		return ""
	}
	for _, alias := range []string{"", "live"} {
		before := invokes("AWS::IAM::Role", "Before"+alias, func(r cdktest.Resource) any {
			return r.Properties["Policies"].([]any)[0].(map[string]any)["PolicyDocument"]
		})
		after := invokes("AWS::IAM::Policy", "After"+alias, func(r cdktest.Resource) any { return r.Properties["PolicyDocument"] })
		if before != after || !strings.Contains(before, "lambda:InvokeFunction") {
			t.Errorf("before it is made the function is granted %s, after %s", before, after)
		}
	}
}

func TestGrantsWithoutARole(t *testing.T) {
	const want = "function is not made yet"
	stack := cdktest.NewStack(t)
	bucket := awss3.NewBucket(stack, jsii.String("Bucket"), nil)
	for i, use := range []func(f *function.Function){
		func(f *function.Function) { f.Role() },
		func(f *function.Function) { f.Lambda() },
		func(f *function.Function) { f.Target() },
		func(f *function.Function) { f.LogGroup() },
		func(f *function.Function) { f.DeadLetterQueue() },
		func(f *function.Function) { f.GrantInvoke(f) },
		func(f *function.Function) { bucket.GrantRead(f, nil) },
		func(f *function.Function) { bucket.GrantRead(f.Identity(), nil) },
	} {
		stack := awscdk.NewStack(stack.Node().Root().(constructs.Construct), jsii.String(fmt.Sprint("Stack", i)), nil)
		cdktest.Rejects(t, func() { function.NewFunction(stack, "Hello", &function.Props{Entry: entry, Grants: use}) }, want)
	}
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

func TestFunctionIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, function.NewFunction(stack, "Hello", &function.Props{Entry: entry}))
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

// A role and a policy of the user's lose nothing that the function needs.
func TestUsersRole(t *testing.T) {
	stack := cdktest.NewStack(t)
	role := awsiam.NewRole(stack, jsii.String("Own"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
	f := function.NewFunction(stack, "Hello", &function.Props{Entry: entry, FunctionProps: &awslambda.FunctionProps{
		Role: role,
		InitialPolicy: &[]awsiam.PolicyStatement{awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Actions: jsii.Strings("s3:GetObject"), Resources: jsii.Strings("arn:aws:s3:::old/*")})},
	}})
	f.AddToPolicy([]string{"s3:PutObject"}, "arn:aws:s3:::bucket/*")
	if f.Role() != role || f.GrantPrincipal() != role {
		t.Error("the function acts as another role")
	}
	cdktest.Synth(t, stack).Has(t, "AWS::IAM::Policy", cdktest.Match{
		"Roles": []any{cdktest.Match{"Ref": cdktest.Pattern("^Own")}},
		"PolicyDocument": cdktest.Match{"Statement": cdktest.Contains(
			cdktest.Match{"Action": []any{"logs:CreateLogStream", "logs:PutLogEvents"}},
			cdktest.Match{"Action": "s3:GetObject"}, cdktest.Match{"Action": "s3:PutObject"})}})
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

// What the CDK's own props set is what a function says of itself, and what its
// alarms watch.
func TestFunctionPropsWin(t *testing.T) {
	stack := cdktest.NewStack(t)
	dead := awssqs.NewQueue(stack, jsii.String("Own"), nil)
	f := function.NewFunction(stack, "Hello", &function.Props{
		Entry: entry, Timeout: time.Second, WithoutDeadLetterQueue: true,
		FunctionProps: &awslambda.FunctionProps{Timeout: awscdk.Duration_Minutes(jsii.Number(2)), DeadLetterQueue: dead},
	})
	if f.Timeout() != 2*time.Minute {
		t.Errorf("the time-out is %v", f.Timeout())
	}
	if f.DeadLetterQueue() != dead {
		t.Error("the dead-letter queue is another")
	}
	template := cdktest.Synth(t, stack)
	template.Count(t, "AWS::SQS::Queue", 1)
	template.One(t, "AWS::Lambda::Function", cdktest.Match{"Timeout": 120,
		"DeadLetterConfig": cdktest.Match{"TargetArn": cdktest.Match{"Fn::GetAtt": []any{cdktest.Pattern("^Own"), "Arn"}}}})
	template.Has(t, "AWS::CloudWatch::Alarm", cdktest.Match{"MetricName": "Duration", "Threshold": 108000})
	template.Has(t, "AWS::CloudWatch::Alarm", cdktest.Match{"MetricName": "ApproximateNumberOfMessagesVisible",
		"Dimensions": []any{cdktest.Match{"Value": cdktest.Match{"Fn::GetAtt": []any{cdktest.Pattern("^Own"), "QueueName"}}}}})
}

// A time-out that only the deployment knows is unknown, and so is when an
// invocation is nearly as long.
func TestTimeoutOfTheDeployment(t *testing.T) {
	stack := cdktest.NewStack(t)
	seconds := awscdk.NewCfnParameter(stack, jsii.String("Seconds"), &awscdk.CfnParameterProps{Type: jsii.String("Number")})
	f := function.NewFunction(stack, "Hello", &function.Props{Entry: entry, FunctionProps: &awslambda.FunctionProps{
		Timeout: awscdk.Duration_Seconds(seconds.ValueAsNumber())}})
	if f.Timeout() != 0 {
		t.Errorf("the time-out is %v", f.Timeout())
	}
	if alarms := defaults.JSON(cdktest.Synth(t, stack).Resources("AWS::CloudWatch::Alarm")); strings.Contains(alarms, "Duration") {
		t.Errorf("there is an alarm of the duration: %s", alarms)
	}
}

func TestAdoptKnowsTheTimeout(t *testing.T) {
	stack := cdktest.NewStack(t)
	for id, tt := range map[string]struct {
		set  awscdk.Duration
		want time.Duration
	}{
		"Default": {nil, 3 * time.Second},
		"Set":     {awscdk.Duration_Minutes(jsii.Number(5)), 5 * time.Minute},
	} {
		f := function.Adopt(stack, id, awslambda.NewFunction(stack, jsii.String("Old"+id), &awslambda.FunctionProps{
			Code: awslambda.Code_FromInline(jsii.String("exports.handler = async () => 1")), Handler: jsii.String("index.handler"),
			Runtime: awslambda.Runtime_NODEJS_22_X(), Timeout: tt.set}))
		if f.Timeout() != tt.want {
			t.Errorf("%s: the time-out is %v, want %v", id, f.Timeout(), tt.want)
		}
	}
}

// A dead letter needs the queue's key, too, and nobody but SQS uses it.
func TestDeadLettersUnderAKey(t *testing.T) {
	stack := cdktest.NewStack(t)
	key := awskms.NewKey(stack, jsii.String("Key"), nil)
	other := awskms.NewKey(stack, jsii.String("Other"), nil)
	queue := func(id string) awssqs.Queue {
		return awssqs.NewQueue(stack, &id, &awssqs.QueueProps{EncryptionMasterKey: other})
	}
	role := awsiam.NewRole(stack, jsii.String("RoleOfTheUser"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
	for id, p := range map[string]function.Props{
		"Own":     {EncryptionKey: key},
		"Theirs":  {EncryptionKey: key, DeadLetterQueue: queue("TheirsQueue")},
		"CDK":     {FunctionProps: &awslambda.FunctionProps{DeadLetterQueue: queue("CDKQueue")}},
		"Role":    {EncryptionKey: key, FunctionProps: &awslambda.FunctionProps{Role: role}},
		"Without": {EncryptionKey: key, WithoutDeadLetterQueue: true},
	} {
		p.Entry = entry
		function.NewFunction(stack, id, &p)
	}
	template := iam.NewSynthesized(t, cdktest.Synth(t, stack), "123456789012", "eu-west-1")
	keys := map[string]string{"Key": template.Find("AWS::KMS::Key", "Key"), "Other": template.Find("AWS::KMS::Key", "Other")}
	const sqs, lambda = "sqs.eu-west-1.amazonaws.com", "lambda.eu-west-1.amazonaws.com"
	for _, tt := range []struct {
		role, queue, key, via string
		want                  bool
	}{
		{"OwnRole", "OwnDeadLetters", "Key", sqs, true},
		{"OwnRole", "OwnDeadLetters", "Key", lambda, false},
		{"OwnRole", "OwnDeadLetters", "Other", sqs, false},
		{"TheirsRole", "TheirsQueue", "Other", sqs, true},
		{"TheirsRole", "TheirsQueue", "Key", sqs, false},
		{"CDKRole", "CDKQueue", "Other", sqs, true},
		{"RoleOfTheUser", "RoleDeadLetters", "Key", sqs, true},
		{"WithoutRole", "", "Key", sqs, false},
	} {
		role := template.Role(tt.role)
		allowed := func(action, resource string) bool {
			return iam.Evaluate(iam.Request{Principal: iam.Principal{ARN: role.ARN}, Action: action, Resource: resource,
				Context: iam.Context{"kms:ViaService": {tt.via}}}, iam.Policies{Identity: role.Policies}).Allowed
		}
		if tt.queue != "" && !allowed("sqs:SendMessage", template.Find("AWS::SQS::Queue", tt.queue)) {
			t.Errorf("%s may not send to its queue", tt.role)
		}
		for _, action := range []string{"kms:Decrypt", "kms:GenerateDataKey"} {
			if allowed(action, keys[tt.key]) != tt.want {
				t.Errorf("%s: %s of %s via %s: allowed %t", tt.role, action, tt.key, tt.via, !tt.want)
			}
		}
	}
}

func TestFunctionRejects(t *testing.T) {
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
