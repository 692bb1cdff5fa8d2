package e2e

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testStack(t *testing.T, resources string) *stack {
	t.Helper()
	template := &Template{Name: "Shop"}
	if err := json.Unmarshal([]byte(`{
		"Parameters": {"Version": {"Default": "/bootstrap"}, "Unset": {}},
		"Conditions": {
			"Here": {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-west-1"]},
			"There": {"Fn::Not": [{"Condition": "Here"}]},
			"Both": {"Fn::And": [{"Condition": "Here"}, {"Condition": "There"}]},
			"Either": {"Fn::Or": [{"Condition": "There"}, {"Condition": "Here"}]}
		},
		"Mappings": {"Sizes": {"small": {"memory": 128}}},
		"Resources": `+resources+`}`), template); err != nil {
		t.Fatal(err)
	}
	return &stack{Template: template, account: "111122223333", region: "eu-west-1", suffix: "x", conditions: map[string]bool{}, imports: map[string]string{"Other:Topic": "arn:topic"}}
}

const resources = `{
	"Table": {"Type": "AWS::DynamoDB::GlobalTable"},
	"Named": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": {"Fn::Join": ["-", ["carts", {"Ref": "AWS::Region"}]]}}},
	"Queue": {"Type": "AWS::SQS::Queue"},
	"Ordered": {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": true}},
	"Topic": {"Type": "AWS::SNS::Topic"},
	"Bucket": {"Type": "AWS::S3::Bucket"},
	"Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "shop"}},
	"OnBus": {"Type": "AWS::Events::Rule", "Properties": {"EventBusName": {"Ref": "Bus"}}},
	"OnDefault": {"Type": "AWS::Events::Rule"},
	"Function": {"Type": "AWS::Lambda::Function"},
	"Version": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
	"Alias": {"Type": "AWS::Lambda::Alias", "Properties": {"FunctionName": {"Ref": "Function"}, "Name": "live"}},
	"Logs": {"Type": "AWS::Logs::LogGroup"},
	"AVeryLongLogicalIdAsConstructsInsideConstructsInsideConstructsGetThemB1D2C3F4": {"Type": "AWS::Lambda::Function"}
}`

func TestResolve(t *testing.T) {
	s := testStack(t, resources)
	for _, c := range []struct{ expression, want string }{
		{`"plain"`, `"plain"`},
		{`{"Ref": "AWS::AccountId"}`, `"111122223333"`},
		{`{"Ref": "Version"}`, `"/bootstrap"`}, // a parameter goes before a resource
		{`[1, {"Ref": "AWS::NoValue"}, 2]`, `[1, 2]`},
		{`{"a": {"Ref": "AWS::NoValue"}, "b": true}`, `{"b": true}`},
		{`{"Fn::Join": ["", ["a", {"Ref": "AWS::Partition"}, 1]]}`, `"aaws1"`},
		{`{"Fn::Select": ["1", {"Fn::Split": ["/", "a/b/c"]}]}`, `"b"`},
		{`{"Fn::If": ["Here", "yes", "no"]}`, `"yes"`},
		{`{"Fn::If": ["Both", "yes", {"Ref": "AWS::NoValue"}]}`, `{}`},
		{`{"Fn::If": ["Either", "yes", "no"]}`, `"yes"`},
		{`{"Fn::Base64": "AB"}`, `"QUI="`},
		{`{"Fn::FindInMap": ["Sizes", "small", "memory"]}`, `128`},
		{`{"Fn::ImportValue": "Other:Topic"}`, `"arn:topic"`},
		{`{"Fn::Sub": "${AWS::Region}-${Queue.QueueName}-${!Literal}"}`, `"eu-west-1-Queue-x-${Literal}"`},
		{`{"Fn::Sub": ["${A}/${Bus}", {"A": {"Ref": "AWS::StackName"}}]}`, `"Shop/shop"`},

		{`{"Ref": "Table"}`, `"Table-x"`},
		{`{"Ref": "Named"}`, `"carts-eu-west-1"`},
		{`{"Fn::GetAtt": ["Table", "StreamArn"]}`, `"arn:aws:dynamodb:eu-west-1:111122223333:table/Table-x/stream/2026-01-01T00:00:00.000"`},
		{`{"Fn::GetAtt": "Table.Arn"}`, `"arn:aws:dynamodb:eu-west-1:111122223333:table/Table-x"`},
		{`{"Ref": "Queue"}`, `"https://sqs.eu-west-1.amazonaws.com/111122223333/Queue-x"`},
		{`{"Fn::GetAtt": ["Ordered", "QueueName"]}`, `"Ordered-x.fifo"`},
		{`{"Ref": "Topic"}`, `"arn:aws:sns:eu-west-1:111122223333:Topic-x"`},
		{`{"Fn::GetAtt": ["Bucket", "Arn"]}`, `"arn:aws:s3:::bucket-x"`},
		{`{"Ref": "OnBus"}`, `"shop|OnBus-x"`},
		{`{"Fn::GetAtt": ["OnBus", "Arn"]}`, `"arn:aws:events:eu-west-1:111122223333:rule/shop/OnBus-x"`},
		{`{"Ref": "OnDefault"}`, `"OnDefault-x"`},
		{`{"Ref": "Alias"}`, `"arn:aws:lambda:eu-west-1:111122223333:function:Function-x:live"`},
		{`{"Fn::GetAtt": ["Version", "Version"]}`, `"1"`},
		{`{"Fn::GetAtt": ["Logs", "Arn"]}`, `"arn:aws:logs:eu-west-1:111122223333:log-group:Logs-x:*"`},
		{`{"Ref": "AVeryLongLogicalIdAsConstructsInsideConstructsInsideConstructsGetThemB1D2C3F4"}`, `"AsConstructsInsideConstructsInsideConstructsGetThemB1D2C3F4-x"`},
	} {
		var expression, want any
		if err := errors.Join(json.Unmarshal([]byte(c.expression), &expression), json.Unmarshal([]byte(c.want), &want)); err != nil {
			t.Fatal(c.expression, err)
		}
		got, err := s.resolve(expression)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		if got == (any)(noValue{}) {
			got = map[string]any{}
		}
		if name, ok := got.(string); ok && strings.HasPrefix(name, "As") && len(name) > 64 {
			t.Errorf("%s: the name %q has %d characters, at most 64 are allowed", c.expression, name, len(name))
		}
		if diff := cmp.Diff(want, got); diff != "" && !strings.Contains(c.expression, "AVery") {
			t.Errorf("%s (-want +got):\n%s", c.expression, diff)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	s := testStack(t, resources)
	for _, c := range []struct{ expression, want string }{
		{`{"Ref": "Nothing"}`, "neither a resource nor a parameter"},
		{`{"Ref": "Unset"}`, "has no default"},
		{`{"Fn::GetAtt": ["Nothing", "Arn"]}`, "no such resource"},
		{`{"Fn::If": ["Nowhere", 1, 2]}`, `condition "Nowhere" is not in the template`},
		{`{"Fn::Select": [7, ["a"]]}`, "Fn::Select"},
		{`{"Fn::ImportValue": "Nobody:Knows"}`, "Options.Imports"},
		{`{"Fn::Transform": {}}`, "not supported"},
		{`{"Fn::Sub": "${Nothing.Arn}"}`, "no such resource"},
	} {
		var expression any
		if err := json.Unmarshal([]byte(c.expression), &expression); err != nil {
			t.Fatal(err)
		}
		if _, err := s.resolve(map[string]any{"Property": expression}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.expression, err, c.want)
		}
	}
}

func TestFind(t *testing.T) {
	s := testStack(t, `{
		"StoreQueue0A1B2C3D": {"Type": "AWS::SQS::Queue"}, "StoreQueueDeadLetters99999999": {"Type": "AWS::SQS::Queue"},
		"StoreTopic": {"Type": "AWS::SNS::Topic"}, "FirstBus": {"Type": "AWS::Events::EventBus"}, "FirstBusCopy": {"Type": "AWS::Events::EventBus"}}`)
	for _, c := range []struct{ kind, prefix, want string }{
		{"AWS::SQS::Queue", "StoreQueue", "StoreQueue0A1B2C3D"},
		{"AWS::SQS::Queue", "StoreQueueDead", "StoreQueueDeadLetters99999999"},
		{"AWS::SQS::Queue", "Store", ""},
		{"AWS::SQS::Queue", "StoreTopic", ""},
		{"AWS::SNS::Topic", "Store", "StoreTopic"},
		{"AWS::Events::EventBus", "FirstBus", "FirstBus"},
	} {
		got, err := s.Find(c.kind, c.prefix)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Find(%s, %s) = %q, %v; want %q", c.kind, c.prefix, got, err, c.want)
		}
	}
}

func TestMutate(t *testing.T) {
	original, err := Load("testdata", "Shop")
	if err != nil {
		t.Fatal(err)
	}
	template := original.Clone()
	rule := template.Resources["AuditRule"]
	for _, err := range []error{
		rule.Set("Targets.0.Id", "Other"),
		rule.Set("State", "DISABLED"),
		rule.Delete("EventPattern.source"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if id, _ := lookup(rule.Properties, "$.Targets[0].Id"); id != "Other" || rule.Properties["State"] != "DISABLED" {
		t.Errorf("the rule is %v", rule.Properties)
	}
	if _, ok := lookup(original.Resources["AuditRule"].Properties, "$.EventPattern.source"); !ok {
		t.Error("changing a clone changed the original")
	}
	for _, err := range []error{rule.Set("Targets.7.Id", 1), rule.Set("Nowhere.At.All", 1), rule.Delete("Nothing"), rule.Delete("Targets.0")} {
		if err == nil {
			t.Error("a path that does not exist was changed")
		}
	}
	if n := template.DropActions("OutboxRole", "events:PutEvents"); n != 1 {
		t.Errorf("dropped %d actions, want 1", n)
	}
	if n := template.DropActions("Auditor", "sqs:DeleteMessage"); n != 1 {
		t.Errorf("dropped %d actions of a list, want 1", n)
	}
	if n := template.DropActions("OutboxRole", "events:PutEvents"); n != 0 {
		t.Errorf("dropped %d actions again, want 0", n)
	}
}
