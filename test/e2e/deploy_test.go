package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
)

// TestDeployment looks at each part of one deployment.
func TestDeployment(t *testing.T) {
	t.Parallel()
	d := deploy(t, shop(t), options(t))
	ctx := t.Context()
	if got := d.Undriven(); !slices.Equal(got, []string{"AWS::ApiGatewayV2::Stage"}) {
		t.Errorf("undriven: %v", got)
	}

	t.Run("invoke", func(t *testing.T) {
		for _, c := range []struct{ function, do, key, want, wantType string }{
			{"Odd", "echo", "", `"echo":"echo"`, ""},
			{"Odd", "fail", "", "as asked", "errorString"},
			{"Odd", "exit", "", "ended during the invocation", "Runtime.ExitError"},
			{"Odd", "echo", "", `"function":"Odd-`, ""}, // in a new process
			{"Odd", "send", "", "null", ""},
			{"Odd", "put", "payloads/1", "null", ""},
			{"Odd", "put", "elsewhere/1", "AccessDenied", "OperationError"},
			{"Odd", "delete", "", "not authorized to perform: dynamodb:DeleteItem", "OperationError"},
			{"Slow", "sleep", "", "longer than 1s", "Sandbox.Timedout"}, // it alone may not take long
		} {
			answer, err := d.Invoke(ctx, c.function, fmt.Appendf(nil, `{"do":%q,"key":%q}`, c.do, c.key))
			var failure *FunctionError
			if errors.As(err, &failure) {
				answer = []byte(failure.Message)
			} else if err != nil {
				t.Errorf("%s: %v", c.do, err)
			}
			if failure == nil && c.wantType != "" || failure != nil && failure.Type != c.wantType || !strings.Contains(string(answer), c.want) {
				t.Errorf("%s %s: %s, error %v; want %s, %s", c.do, c.key, answer, err, c.want, c.wantType)
			}
		}
		if bodies, err := d.Messages(ctx, "Plain"); err != nil || !slices.Equal(bodies, []string{"hello"}) {
			t.Errorf("the queue has %q, %v", bodies, err)
		}
		var denied []string
		for _, denial := range d.Denials() {
			denied = append(denied, denial.Action)
		}
		if want := []string{"s3:PutObject", "dynamodb:DeleteItem"}; !slices.Equal(denied, want) {
			t.Errorf("denied %v, want %v", denied, want)
		}
		if n := d.Metric("AWS/Lambda", "Errors", "FunctionName", d.functions[d.arn("lambda", "function:Odd-"+d.suffix)].name); n != 4 {
			t.Errorf("%v errors were counted, want 4", n)
		}
	})

	t.Run("embedded metrics", func(t *testing.T) {
		if _, err := d.Invoke(ctx, "Odd", []byte(`{"do":"metric"}`)); err != nil {
			t.Fatal(err)
		}
		if err := d.Restart("Odd"); err != nil {
			t.Fatal(err)
		}
		if n := d.Metric("Shop", "Orders", "service", "carts"); n != 3 {
			t.Errorf("the metric is %v, want 3", n)
		}
		if lines, err := d.Logs("Odd"); err != nil || len(lines) == 0 {
			t.Errorf("the log has %d lines, %v", len(lines), err)
		}
	})

	t.Run("asynchronous failure", func(t *testing.T) {
		if err := d.Fire("Timer"); err != nil {
			t.Fatal(err)
		}
		settle(t, d)
		bodies, err := d.Messages(ctx, "Failures")
		if err != nil || len(bodies) != 1 {
			t.Fatalf("%d records, %v; want 1", len(bodies), err)
		}
		var record struct {
			RequestContext struct {
				Condition              string
				ApproximateInvokeCount int
			}
			RequestPayload  map[string]string
			ResponsePayload struct{ ErrorMessage string }
		}
		if err := json.Unmarshal([]byte(bodies[0]), &record); err != nil {
			t.Fatal(err)
		}
		if c := record.RequestContext; c.Condition != "RetriesExhausted" || c.ApproximateInvokeCount != 2 || record.RequestPayload["do"] != "fail" || record.ResponsePayload.ErrorMessage != "as asked" {
			t.Errorf("the record is %+v", record)
		}
	})

	t.Run("API", func(t *testing.T) {
		good := map[string]string{"iss": "https://login.example.com", "aud": "shop", "sub": "ann"}
		for _, c := range []struct {
			method, path string
			claims       map[string]string
			want         int
		}{
			{"POST", "/carts/api", nil, http.StatusUnauthorized},
			{"POST", "/carts/api", map[string]string{"iss": "https://evil.example.com"}, http.StatusUnauthorized},
			{"POST", "/carts/api", map[string]string{"aud": "other"}, http.StatusUnauthorized},
			{"GET", "/carts/api", good, http.StatusNotFound},
			{"POST", "/carts/api/more", good, http.StatusNotFound},
			{"POST", "/carts/api", good, http.StatusCreated},
			{"POST", "/carts/api", good, http.StatusConflict},
		} {
			r, err := d.Request(ctx, "Api", Request{Method: c.method, Path: c.path, Claims: c.claims, Body: []byte(`{"version":1,"type":"CartOpened"}`)})
			if err != nil || r.Status != c.want {
				t.Errorf("%s %s with %v: %+v, %v; want %d", c.method, c.path, c.claims, r, err, c.want)
			}
		}
	})

	t.Run("authorizer", func(t *testing.T) {
		for _, c := range []struct {
			key, caller string // headers
			want        int
			asked       float64 // how often the authorizer was called by then
		}{
			{"", "", http.StatusUnauthorized, 0},
			{"bad", "", http.StatusForbidden, 0},
			{"crash", "", http.StatusInternalServerError, 0},
			{"good ann", "", http.StatusOK, 3},
			{"good ann", "of the devil", http.StatusOK, 3}, // from the cache, and the caller's own header is overwritten
			{"bad", "", http.StatusForbidden, 0},           // a refusal is cached, too
			{"good bob", "", http.StatusOK, 4},
		} {
			header := map[string]string{"X-Other": "kept"}
			if c.key != "" {
				header["X-KEY"] = c.key
			}
			if c.caller != "" {
				header["x-caller"] = c.caller
			}
			r, err := d.Request(ctx, "Api", Request{Method: "GET", Path: "/mine", Header: header})
			if err != nil || r.Status != c.want {
				t.Errorf("%q: %+v, %v; want %d", c.key, r, err, c.want)
				continue
			}
			if c.want != http.StatusOK {
				continue
			}
			var seen struct {
				Headers    map[string]string
				Authorizer map[string]any
			}
			if err := json.Unmarshal(r.Body, &seen); err != nil {
				t.Fatal(err)
			}
			if _, leaked := seen.Headers["x-key"]; leaked || seen.Headers["x-other"] != "kept" || seen.Headers["x-caller"] != "of "+c.key ||
				seen.Authorizer["caller"] != "of "+c.key || seen.Authorizer["asked"] != c.asked {
				t.Errorf("%q: the function sees %+v, want that the authorizer was asked %v times", c.key, seen, c.asked)
			}
		}
	})

	t.Run("state machine", func(t *testing.T) {
		x, err := d.Execute("Flow", map[string]string{"do": "echo"})
		if err != nil || x.Status() != asl.Succeeded || x.Output().(map[string]any)["echo"] != "echo" {
			t.Fatalf("%v: %v, %v", x, x.Output(), err)
		}
		x, err = d.Execute("Flow", map[string]string{"do": "fail"})
		if err != nil || x.Status() != asl.Failed || x.Err().(*asl.Error).Name != "errorString" {
			t.Fatalf("%v: %v, %v", x, x.Err(), err)
		}
		if err := d.Redrive("Flow", x); err != nil || x.Status() != asl.Failed || len(x.Visits("Call")) != 2 {
			t.Errorf("redriven: %v, %v", x, err)
		}
		if all, err := d.Executions("Flow"); err != nil || len(all) != 2 {
			t.Errorf("%d executions, %v; want 2", len(all), err)
		}
	})

	t.Run("cascade", func(t *testing.T) {
		minute := func(opened, abandoned int) {
			t.Helper()
			for i := range opened + abandoned {
				kind := "CartOpened"
				if i >= opened {
					kind = "CartAbandoned"
				}
				if err := d.Publish("Bus", Event{Source: "eventstore.carts", DetailType: kind, Detail: json.RawMessage(`{"stream":"c","version":"1","type":"x"}`)}); err != nil {
					t.Fatal(err)
				}
			}
			settle(t, d)
			if err := d.Advance(ctx, 1); err != nil {
				t.Fatal(err)
			}
			settle(t, d)
		}
		for range 5 {
			minute(10, 1)
		}
		if state, err := d.AlarmState("Spike"); err != nil || state != "OK" {
			t.Fatalf("the alarm is %s, %v", state, err)
		}
		before, _ := d.Archived("Bus")
		minute(10, 8)
		if state, err := d.AlarmState("Spike"); err != nil || state != "ALARM" {
			t.Fatalf("after the spike the alarm is %s, %v", state, err)
		}
		after, err := d.Archived("Bus")
		if err != nil || len(after) != len(before)+19 || after[len(after)-1].Source != "aws.cloudwatch" {
			t.Errorf("the alarm was not forwarded to the bus: %d events after %d, %v", len(after), len(before), err)
		}
		published, err := d.Published("Alerts")
		if want := `"Spike-` + d.suffix + ` went off"`; err != nil || !slices.Contains(published, want) {
			t.Errorf("published %q, %v; want %s", published, err, want)
		}
	})

	t.Run("replay", func(t *testing.T) {
		feed, _, err := d.Delivered("Delivery")
		if err != nil {
			t.Fatal(err)
		}
		before := d.Metric("AWS/Events", "MatchedEvents", "RuleName", "OpenedRule-"+d.suffix)
		if err := d.Replay("Bus", "again", "OpenedRule", "LakeRule"); err != nil {
			t.Fatal(err)
		}
		settle(t, d)
		if after := d.Metric("AWS/Events", "MatchedEvents", "RuleName", "OpenedRule-"+d.suffix); after != 2*before {
			t.Errorf("the rule matched %v events, want %v", after, 2*before)
		}
		if again, _, _ := d.Delivered("Delivery"); len(again) != len(feed) {
			t.Errorf("a rule without replays got %d events more", len(again)-len(feed))
		}
		lines, err := d.Lines("Log")
		if err != nil || !strings.Contains(lines[len(lines)-1], `"replay-name":"again"`) {
			t.Errorf("the last line of the log is %s, %v", lines[len(lines)-1], err)
		}
	})
	if dropped := d.Dropped(); len(dropped) > 0 {
		t.Errorf("dropped: %+v", dropped)
	}
}

// TestFailurePaths breaks one deployment's permissions and expects the failures
// where the template sends them.
func TestFailurePaths(t *testing.T) {
	t.Parallel()
	template := shop(t).Clone()
	for prefix, action := range map[string]string{
		"ReactRoleDefaultPolicy": "dynamodb:PutItem",   // the function fails
		"OutboxRole":             "events:PutEvents",   // the pipe fails
		"AlertsPolicy":           "sns:Publish",        // a target refuses, and there is no dead-letter queue
		"LakeRuleRole":           "firehose:PutRecord", // the same, by role
	} {
		if template.DropActions(prefix, action) == 0 {
			t.Fatalf("%s has no %s", prefix, action)
		}
	}
	delete(template.Resources, "ReactionRuleAllow") // a target refuses, and there is one
	d := deploy(t, template, options(t))
	ctx := t.Context()
	abandoned := Event{Source: "eventstore.carts", DetailType: "CartAbandoned", Detail: json.RawMessage(`{"stream":"c","version":"1","type":"CartAbandoned"}`)}
	if err := d.Publish("Bus", abandoned); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Request(ctx, "Api", Request{Method: "POST", Path: "/carts/a", Claims: map[string]string{}, Body: []byte(`{"version":1,"type":"CartOpened"}`)}); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish("Bus", Event{Source: "aws.cloudwatch", DetailType: "Other", Detail: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
	// What EventBridge may not do, somebody else may.
	react, _ := d.function(d.arn("lambda", "function:React-"+d.suffix))
	react.events.put(&asyncEvent{arn: react.arn, qualifier: "$LATEST", id: "1", payload: []byte(`{"detail-type":"CartAbandoned","id":"1"}`), end: d.begin("test")})
	settle(t, d)

	for queue, want := range map[string]string{"ReactionDLQ": `"detail-type":"CartAbandoned"`, "ReactDLQ": `{"detail-type":"CartAbandoned","id":"1"}`, "OutboxDLQ": "DDBStreamBatchInfo"} {
		bodies, err := d.Messages(ctx, queue)
		if err != nil || len(bodies) != 1 || !strings.Contains(bodies[0], want) {
			t.Errorf("%s: %q, %v; want one with %s", queue, bodies, err, want)
		}
	}
	if failed, err := d.Failed("Outbox"); err != nil || len(failed) != 1 || !strings.Contains(string(failed[0]), `"CartOpened"`) {
		t.Errorf("the pipe gave up %s, %v", failed, err)
	}
	lost := map[string]bool{}
	for _, dropped := range d.Dropped() {
		lost[dropped.By] = true
	}
	if !lost["rule AlertRule to target Target0"] || !lost["rule LakeRule to target Target0"] || len(lost) != 2 {
		t.Errorf("dropped: %+v", d.Dropped())
	}
}

// TestDeployRefuses breaks what AWS would refuse, or what could never work.
func TestDeployRefuses(t *testing.T) {
	t.Parallel()
	o := options(t)
	set := func(id, path string, value any) func(*Template) error {
		return func(template *Template) error { return template.Resources[id].Set(path, value) }
	}
	drop := func(prefix, action string) func(*Template) error {
		return func(template *Template) error {
			if template.DropActions(prefix, action) == 0 {
				return errors.New("nothing was dropped")
			}
			return nil
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Template) error
		want   string
	}{
		{"function's trust", set("ReactRole", "AssumeRolePolicyDocument.Statement.0.Principal.Service", "ec2.amazonaws.com"), "function React: the role"},
		{"pipe's trust", set("OutboxRole", "AssumeRolePolicyDocument.Statement.0.Principal.Service", "events.amazonaws.com"), "does not trust pipes.amazonaws.com"},
		{"target's trust", set("ForwardRole", "AssumeRolePolicyDocument.Statement.0.Principal.Service", "pipes.amazonaws.com"), "does not trust events.amazonaws.com"},
		{"machine's trust", set("FlowRole", "AssumeRolePolicyDocument.Statement.0.Principal.Service", "pipes.amazonaws.com"), "does not trust states.amazonaws.com"},
		{"delivery's trust", set("DeliveryRole", "AssumeRolePolicyDocument.Statement.0.Principal.Service", "pipes.amazonaws.com"), "does not trust firehose.amazonaws.com"},
		{"pipe's source", drop("FeedRole", "dynamodb:GetRecords"), "dynamodb:GetRecords"},
		{"pipe's key", drop("FeedRole", "kms:Decrypt"), "kms:Decrypt"},
		{"mapping's queue", drop("TotalsRole", "sqs:DeleteMessage"), "sqs:DeleteMessage"},
		{"mapping's key", drop("AuditorRole", "kms:Decrypt"), "kms:Decrypt"},
		{"key policy for the bus", drop("Key", "kms:GenerateDataKey"), "event bus Bus"},
		{"dead-letter queue of another kind", set("Ordered", "RedrivePolicy.deadLetterTargetArn", map[string]any{"Fn::GetAtt": []any{"AuditDLQ", "Arn"}}), "must be FIFO too"},
		{"no dead-letter queue", set("Ordered", "RedrivePolicy.deadLetterTargetArn", "arn:aws:sqs:us-east-1:1:none"), "is not in the template"},
		{"visibility", set("Audit", "VisibilityTimeout", 1), "visibility time-out 1s is less"},
		{"rule's target", set("AuditRule", "Targets.0.Arn", "arn:aws:sqs:us-east-1:1:none"), "the target arn:aws:sqs"},
		{"rule's bus", set("AuditRule", "EventBusName", "nowhere"), "the bus nowhere is not in the template"},
		{"rule's pattern", set("AuditRule", "EventPattern.source", "eventstore"), "must be a list"},
		{"pipe's filter", set("Feed", "SourceParameters.FilterCriteria.Filters.0.Pattern", "{"), "pipe Feed: event pattern"},
		{"definition", set("Flow", "DefinitionString", "{}"), "state machine Flow"},
		{"policy", set("ReactRoleDefaultPolicy", "PolicyDocument.Statement.0.Effect", "Permit"), "it must be Allow or Deny"},
		{"alias of a mapping", set("TotalsSource", "FunctionName", "nobody"), "function nobody is not in the template"},
		{"integration", set("ApiIntegration", "PayloadFormatVersion", "1.0"), "payload format 2.0"},
		{"asset", set("React", "Code.S3Key", "template.zip"), "the asset is no Go program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			template := shop(t).Clone()
			if err := c.change(template); err != nil {
				t.Fatal(err)
			}
			d, err := Deploy(t.Context(), template, o)
			if err == nil {
				d.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
