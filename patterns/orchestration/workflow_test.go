package orchestration_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/test/cdktest"
)

// greeting is the smallest workflow that calls something.
func greeting(function *string) map[string]any {
	return map[string]any{
		"StartAt": "Greet",
		"States": map[string]any{
			"Greet": map[string]any{
				"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
				"Arguments": map[string]any{"FunctionName": function, "Payload": "{% $states.input %}"},
				"Output":    "{% $states.result.Payload %}",
				"End":       true,
			},
		},
	}
}

func invoke(function *string) []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: jsii.Strings("lambda:InvokeFunction"), Resources: &[]*string{function},
	})}
}

func TestWorkflowDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	arn := handler(stack, "Greeter").Target().FunctionArn()
	orchestration.NewWorkflow(stack, "Greeting", &orchestration.WorkflowProps{Definition: greeting(arn), Allow: invoke(arn)})
	cdktest.Golden(t, stack)
}

func TestWorkflowEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	topic := awssns.NewTopic(stack, jsii.String("Topic"), nil)
	arn := handler(stack, "Greeter").Target().FunctionArn()
	w := orchestration.NewWorkflow(stack, "Greeting", &orchestration.WorkflowProps{
		File: filepath.Join("testdata", "orders.asl.json"),
		Substitutions: map[string]orchestration.Substitution{
			"Greeter": orchestration.Text(*arn), "Patience": orchestration.Number(90),
			"Names": orchestration.Texts("Ada", "Grace"), "Loud": orchestration.Bool(true),
		},
		Timeout: 2 * time.Hour,
		Allow:   invoke(arn),
		Alias:   "live",
		Deployment: orchestration.Deployment{
			Percentage: 10, Linear: true, Interval: 5 * time.Minute,
			RollbackAlarms: []awscloudwatch.IAlarm{awscloudwatch.Alarm_FromAlarmName(stack, jsii.String("Shop"), jsii.String("shop"))},
		},
		EncryptionKey:  awskms.NewKey(stack, jsii.String("Key"), nil),
		LogRetention:   awslogs.RetentionDays_ONE_WEEK,
		LogData:        true,
		WithoutTracing: true,
		Alarms: orchestration.WorkflowAlarms{
			Topic: topic, Failed: alarm.Tuning{Threshold: jsii.Number(5), Period: 5 * time.Minute}, Aborted: alarm.Tuning{Off: true},
		},
	})
	caller := handler(stack, "Caller")
	w.GrantStart(caller)
	w.GrantRead(caller)
	w.GrantRedrive(caller)
	w.GrantTaskResponse(caller)
	cdktest.Golden(t, stack)
}

func TestWorkflowExpress(t *testing.T) {
	stack := cdktest.NewStack(t)
	arn := handler(stack, "Greeter").Target().FunctionArn()
	w := orchestration.NewWorkflow(stack, "Greeting", &orchestration.WorkflowProps{
		Definition: greeting(arn), Allow: invoke(arn), Express: true,
		LogGroup: awslogs.NewLogGroup(stack, jsii.String("Logs"), nil),
	})
	w.GrantStart(handler(stack, "Caller"))
	cdktest.Golden(t, stack)
}

func TestWorkflowOfChain(t *testing.T) {
	stack := cdktest.NewStack(t)
	topic := awssns.NewTopic(stack, jsii.String("Topic"), nil)
	check := awsstepfunctions.NewPass(stack, jsii.String("Check"), nil)
	tell := awsstepfunctions.NewCustomState(stack, jsii.String("Tell"), &awsstepfunctions.CustomStateProps{StateJson: &map[string]any{
		"Type": "Task", "Resource": "arn:aws:states:::sns:publish",
		"Arguments": map[string]any{"TopicArn": topic.TopicArn(), "Message": "{% $states.input.text %}"},
	}})
	w := orchestration.NewWorkflow(stack, "Orders", &orchestration.WorkflowProps{Chain: check.Next(tell)})
	topic.GrantPublish(w)
	template := cdktest.Synth(t, stack)
	in := asl.Interpreter{Tasks: map[string]asl.Handler{"Tell": asl.Script(asl.Return("told"))}}
	x, err := in.Run(t.Context(), machine(t, template, "Orders"), map[string]any{"text": "hello"})
	if err != nil {
		t.Fatal(err)
	}
	if got := x.String(); got != "Check -> Tell" {
		t.Errorf("the chain ran %s", got)
	}
	arguments := x.Visits("Tell")[0]
	if x.Output() != "told" || arguments.Input.(map[string]any)["text"] != "hello" {
		t.Errorf("the chain told %v and returned %v", arguments.Input, x.Output())
	}
	cdktest.GoldenTemplate(t, template)
}

// A file goes into the template as it is but for its placeholders, which keep
// their types; null, which a template's object would lose, stays.
func TestWorkflowOfFile(t *testing.T) {
	stack := cdktest.NewStack(t)
	orchestration.NewWorkflow(stack, "Orders", &orchestration.WorkflowProps{
		File: filepath.Join("testdata", "orders.asl.json"),
		Substitutions: map[string]orchestration.Substitution{
			"Greeter": orchestration.Text("greeter"), "Patience": orchestration.Number(90),
			"Names": orchestration.Texts("Ada", "Grace"), "Loud": orchestration.Bool(true),
		},
	})
	resource := cdktest.Synth(t, stack).One(t, "AWS::StepFunctions::StateMachine", nil)
	var got, want map[string]any
	if err := json.Unmarshal([]byte(cdktest.Deployed(t, resource.Properties["DefinitionString"])), &got); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join("testdata", "orders.asl.json"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`"${Patience}"`, "90", `"${Names}"`, `["Ada","Grace"]`, `"${Loud}"`, "true", "${Greeter}", "greeter").Replace(string(file))
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	want["TimeoutSeconds"] = float64(30 * 24 * 3600)
	same(t, got, want)
}

func same(t *testing.T, got, want any) {
	t.Helper()
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func TestWorkflowIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, orchestration.NewWorkflow(stack, "Greeting", &orchestration.WorkflowProps{Definition: greeting(jsii.String("f"))}))
}

func TestWorkflowAccessors(t *testing.T) {
	stack := cdktest.NewStack(t)
	w := orchestration.NewWorkflow(stack, "Greeting", &orchestration.WorkflowProps{Definition: greeting(jsii.String("f"))})
	if w.Alias() != nil || w.Version() != nil || w.ARN() != *w.CfnStateMachine().Ref() {
		t.Error("a workflow without an alias has one")
	}
	if *w.StateMachine().StateMachineArn() != *w.CfnStateMachine().Ref() || w.StateMachine() != w.StateMachine() {
		t.Error("the interface is not that of the machine, or is made twice")
	}
	if len(w.Alarms()) != 4 || w.Role() == nil || w.LogGroup() == nil {
		t.Error("a workflow lacks alarms, role or log group")
	}
}

func TestWorkflowRejects(t *testing.T) {
	pass := func(state map[string]any) map[string]any {
		return map[string]any{"StartAt": "A", "States": map[string]any{"A": state}}
	}
	ok := pass(map[string]any{"Type": "Pass", "End": true})
	task := func(resource string) map[string]any {
		return pass(map[string]any{"Type": "Task", "Resource": resource, "End": true})
	}
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "w.asl.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tt := range map[string]struct {
		props *orchestration.WorkflowProps
		want  []string
	}{
		"nothing": {nil, []string{"Test/Orders", "Definition, File and Chain is 0 of them", "exactly one"}},
		"two":     {&orchestration.WorkflowProps{Definition: ok, File: "x"}, []string{"2 of them"}},
		"no such state": {&orchestration.WorkflowProps{Definition: pass(map[string]any{"Type": "Pass", "Next": "B"})},
			[]string{`Definition is wrong in state "A", field Next`, `"B"`}},
		"JSONPath in JSONata": {&orchestration.WorkflowProps{Definition: pass(map[string]any{"Type": "Pass", "InputPath": "$.a", "End": true})},
			[]string{`state "A", field InputPath`, "JSONata"}},
		"no file":         {&orchestration.WorkflowProps{File: "nowhere.asl.json"}, []string{"File is wrong", "nowhere.asl.json", "the folder in which the app runs"}},
		"no JSON":         {&orchestration.WorkflowProps{File: file("{} {}")}, []string{"is not JSON", "more after its end"}},
		"no object":       {&orchestration.WorkflowProps{File: file("[]")}, []string{"is no JSON object"}},
		"no substitution": {&orchestration.WorkflowProps{File: file(`{"Comment": "${Who}"}`)}, []string{"${Who}", "no substitution"}},
		"no placeholder": {&orchestration.WorkflowProps{File: file(`{}`), Substitutions: map[string]orchestration.Substitution{"Who": orchestration.Text("x")}},
			[]string{"no placeholder ${Who}"}},
		"array in text": {&orchestration.WorkflowProps{File: file(`{"Comment": "of ${Who}"}`), Substitutions: map[string]orchestration.Substitution{"Who": orchestration.Texts("x")}},
			[]string{"array ${Who} inside a text"}},
		"substitutions without file": {&orchestration.WorkflowProps{Definition: ok, Substitutions: map[string]orchestration.Substitution{"Who": {}}},
			[]string{"Substitutions is set without File"}},
		"language of file": {&orchestration.WorkflowProps{File: file("{}"), QueryLanguage: awsstepfunctions.QueryLanguage_JSONATA},
			[]string{"QueryLanguage", "set it in the file"}},
		"time-out":         {&orchestration.WorkflowProps{Definition: ok, Timeout: time.Millisecond}, []string{"Timeout is 1ms", "1s to", "whole seconds"}},
		"express time-out": {&orchestration.WorkflowProps{Definition: ok, Express: true, Timeout: time.Hour}, []string{"Timeout is 1h0m0s", "5m0s"}},
		"express job":      {&orchestration.WorkflowProps{Definition: task("arn:aws:states:::glue:startJobRun.sync"), Express: true}, []string{`state "A"`, "cannot wait for a job"}},
		"express token":    {&orchestration.WorkflowProps{Definition: task("arn:aws:states:::sqs:sendMessage.waitForTaskToken"), Express: true}, []string{`state "A"`, "task token"}},
		"express activity": {&orchestration.WorkflowProps{Definition: task("arn:aws:states:eu-west-1:123456789012:activity:a"), Express: true}, []string{`state "A"`, "activities"}},
		"alias":            {&orchestration.WorkflowProps{Definition: ok, Alias: "7"}, []string{`Alias is "7"`, "not all digits"}},
		"deployment":       {&orchestration.WorkflowProps{Definition: ok, Deployment: orchestration.Deployment{Percentage: 5}}, []string{"Deployment is set without Alias"}},
		"no percentage":    {&orchestration.WorkflowProps{Definition: ok, Alias: "live", Deployment: orchestration.Deployment{Linear: true}}, []string{"Deployment.Percentage is 0"}},
		"part of a minute": {&orchestration.WorkflowProps{Definition: ok, Alias: "live", Deployment: orchestration.Deployment{Percentage: 100, Interval: 90 * time.Second}}, []string{"Deployment.Interval is 1m30s", "Deployment.Percentage is 100"}},
		"retention":        {&orchestration.WorkflowProps{Definition: ok, LogRetention: awslogs.RetentionDays_ONE_DAY}, nil},
		"alarm":            {&orchestration.WorkflowProps{Definition: ok, Alarms: orchestration.WorkflowAlarms{Failed: alarm.Tuning{Period: time.Second}}}, []string{"Alarms.Failed.Period is 1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			if tt.want == nil {
				orchestration.NewWorkflow(stack, "Orders", tt.props)
				return
			}
			cdktest.Rejects(t, func() { orchestration.NewWorkflow(stack, "Orders", tt.props) }, tt.want...)
		})
	}
}
