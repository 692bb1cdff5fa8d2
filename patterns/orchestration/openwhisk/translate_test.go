package openwhisk_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk"
)

const function = "arn:aws:lambda:eu-west-1:123456789012:function:f"

// single is a workflow of one state.
func single(name, state string) string {
	return fmt.Sprintf(`{"StartAt": %q, "States": {%q: %s}}`, name, name, state)
}

func TestTranslateRefuses(t *testing.T) {
	call := func(resource, more string) string {
		return fmt.Sprintf(`{"Type": "Task", "Resource": %q, "End": true%s}`, resource, more)
	}
	invoke := func(arguments string) string {
		return call("arn:aws:states:::lambda:invoke", `, "Parameters": `+arguments)
	}
	for _, test := range []struct{ name, state, field, message string }{
		{"sync", call("arn:aws:states:::glue:startJobRun.sync", ""), "Resource", "cannot wait for a job"},
		{"sync2", call("arn:aws:states:::states:startExecution.sync:2", ""), "Resource", "cannot wait for a job"},
		{"token", call("arn:aws:states:::lambda:invoke.waitForTaskToken", `, "Parameters": {"FunctionName": "f"}`), "Resource", "no task tokens"},
		{"activity", call("arn:aws:states:eu-west-1:123456789012:activity:approve", ""), "Resource", "no activities"},
		{"integration", call("arn:aws:states:::sqs:sendMessage", ""), "Resource", "no integration"},
		{"sdk", call("arn:aws:states:::aws-sdk:dynamodb:getItem", ""), "Resource", "no integration"},
		{"http", call("arn:aws:states:::http:invoke", ""), "Resource", "no integration"},
		{"unmapped", call("arn:aws:lambda:eu-west-1:123456789012:function:other", ""), "Resource", "no action is given"},
		{"unmapped invoke", invoke(`{"FunctionName": "other"}`), "Resource", "no action is given for the function other"},
		{"dynamic", invoke(`{"FunctionName.$": "$.f"}`), "Parameters.FunctionName", "must be known"},
		{"dynamic JSONata", `{"Type": "Task", "QueryLanguage": "JSONata", "Resource": "arn:aws:states:::lambda:invoke",
			"Arguments": {"FunctionName": "{% $states.input.f %}"}, "End": true}`, "Arguments.FunctionName", "must be known"},
		{"asynchronous", invoke(`{"FunctionName": "f", "InvocationType": "Event"}`), "Parameters.InvocationType", "RequestResponse"},
		{"heartbeat", call(function, `, "HeartbeatSeconds": 10, "TimeoutSeconds": 60`), "HeartbeatSeconds", "no heartbeats"},
		{"credentials", call(function, `, "Credentials": {"RoleArn": "arn:aws:iam::123456789012:role/r"}`), "Credentials", "no IAM roles"},
		{"wait", `{"Type": "Wait", "Seconds": 86400, "End": true}`, "Seconds", "cannot wait longer"},
		{"retry", call(function, `, "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60, "MaxAttempts": 20}]`), "Retry[0]", "MaxDelaySeconds"},
		{"distributed", `{"Type": "Map", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
			"StartAt": "In", "States": {"In": {"Type": "Pass", "End": true}}}, "End": true}`, "ItemProcessor.ProcessorConfig.Mode", "Distributed Map"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for place, definition := range map[string]string{
				"top":    single("Bad", test.state),
				"branch": single("P", `{"Type": "Parallel", "End": true, "Branches": [`+single("Fine", `{"Type": "Pass", "End": true}`)+`,`+single("Bad", test.state)+`]}`),
				"item":   single("M", `{"Type": "Map", "End": true, "ItemProcessor": `+single("Bad", test.state)+`}`),
			} {
				_, err := openwhisk.Translate([]byte(definition), nil)
				if test.field != "Resource" {
					_, err = openwhisk.Translate([]byte(definition), map[string]string{"f": "/_/p/f"})
				}
				var problems asl.Problems
				if !errors.As(err, &problems) {
					t.Fatalf("%s: error %v, want problems", place, err)
				}
				found := false
				for _, p := range problems {
					found = found || p.State == "Bad" && p.Field == test.field && strings.Contains(p.Message, test.message)
				}
				if !found {
					t.Errorf("%s: %v\nwant state Bad, field %s: %q", place, problems, test.field, test.message)
				}
			}
		})
	}
}

func TestTranslateRefusesWrongDefinitionsAndActions(t *testing.T) {
	if _, err := openwhisk.Translate([]byte(`{}`), nil); !errors.As(err, new(asl.Problems)) {
		t.Errorf("an empty definition gives %v", err)
	}
	definition := single("A", `{"Type": "Pass", "End": true}`)
	if _, err := openwhisk.Translate([]byte(definition), map[string]string{"typo": "/_/p/f"}); err == nil || !strings.Contains(err.Error(), "no state calls the function typo") {
		t.Errorf("an action for no function gives %v", err)
	}
}

func TestTranslateMapsFunctions(t *testing.T) {
	for _, key := range []string{"Call", "arn:aws:lambda:eu-west-1:123456789012:function:pay:live",
		"arn:aws:lambda:eu-west-1:123456789012:function:pay", "pay"} {
		for _, state := range []string{
			`{"Type": "Task", "Resource": "arn:aws:lambda:eu-west-1:123456789012:function:pay:live", "End": true}`,
			`{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true,
				"Parameters": {"FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:pay:live", "Payload.$": "$"}}`,
		} {
			w, err := openwhisk.Translate([]byte(single("Call", state)), map[string]string{key: "/_/p/pay"})
			if err != nil {
				t.Errorf("%s: %v", key, err)
				continue
			}
			if diff := cmp.Diff(map[string]string{"Call": "/_/p/pay"}, w.Actions); diff != "" {
				t.Errorf("%s (-want +got):\n%s", key, diff)
			}
		}
	}
	// The state may be called differently each time if it is mapped itself.
	dynamic := single("Call", `{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName.$": "$.f"}, "End": true}`)
	if _, err := openwhisk.Translate([]byte(dynamic), map[string]string{"Call": "/_/p/pay"}); err != nil {
		t.Error(err)
	}
}

func TestSequence(t *testing.T) {
	chain := func(extra, first string) string {
		return `{"StartAt": "A", ` + extra + `"States": {"A": {"Type": "Task", ` + first + `, "Next": "B"},
			"B": {"Type": "Task", "Resource": "` + function + `", "End": true}}}`
	}
	plain := `"Resource": "` + function + `"`
	invoke := `"Resource": "arn:aws:states:::lambda:invoke", `
	for name, test := range map[string]struct {
		definition string
		want       bool
	}{
		"ARNs":               {chain("", plain), true},
		"invoke JSONPath":    {chain("", invoke+`"Parameters": {"FunctionName": "f", "Payload.$": "$"}, "OutputPath": "$.Payload"`), true},
		"invoke JSONata":     {chain(`"QueryLanguage": "JSONata", `, invoke+`"Arguments": {"FunctionName": "f", "Payload": "{% $states.input %}"}, "Output": "{% $states.result.Payload %}"`), true},
		"long time-out":      {chain(`"TimeoutSeconds": 86400, `, plain), true},
		"short time-out":     {chain(`"TimeoutSeconds": 60, `, plain), false},
		"task's time-out":    {chain("", plain+`, "TimeoutSeconds": 60`), false},
		"retry":              {chain("", plain+`, "Retry": [{"ErrorEquals": ["States.ALL"]}]`), false},
		"catch":              {chain("", plain+`, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]`), false},
		"result path":        {chain("", plain+`, "ResultPath": "$.r"`), false},
		"whole result":       {chain("", invoke+`"Parameters": {"FunctionName": "f", "Payload.$": "$"}`), false},
		"part of the input":  {chain("", invoke+`"Parameters": {"FunctionName": "f", "Payload.$": "$.order"}, "OutputPath": "$.Payload"`), false},
		"variables":          {chain(`"QueryLanguage": "JSONata", `, plain+`, "Assign": {"v": 1}`), false},
		"one task":           {single("A", `{"Type": "Task", "Resource": "`+function+`", "End": true}`), false},
		"pass with a result": {`{"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": 1, "Next": "A"}, "A": {"Type": "Task", ` + plain + `, "Next": "B"}, "B": {"Type": "Task", ` + plain + `, "End": true}}}`, false},
		"fail":               {`{"StartAt": "A", "States": {"A": {"Type": "Task", ` + plain + `, "Next": "B"}, "B": {"Type": "Task", ` + plain + `, "Next": "F"}, "F": {"Type": "Fail"}}}`, false},
		"wait":               {`{"StartAt": "A", "States": {"A": {"Type": "Task", ` + plain + `, "Next": "W"}, "W": {"Type": "Wait", "Seconds": 1, "Next": "B"}, "B": {"Type": "Task", ` + plain + `, "End": true}}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := openwhisk.Translate([]byte(test.definition), map[string]string{"f": "/_/p/f"})
			if err != nil {
				t.Fatal(err)
			}
			components, ok := w.Sequence()
			if ok != test.want || ok && !cmp.Equal(components, []string{"/_/p/f", "/_/p/f"}) {
				t.Errorf("sequence %v, %v; want %v", components, ok, test.want)
			}
		})
	}
}
