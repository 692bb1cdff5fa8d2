package asl_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
)

const lambda = "arn:aws:lambda:us-east-1:123456789012:function:work"

// one returns a machine with the given state only, in JSONata or JSONPath.
func one(t *testing.T, language, name, state string) *asl.Machine {
	t.Helper()
	return parse(t, fmt.Sprintf(`{"QueryLanguage": %q, "StartAt": %q, "States": {%q: %s}}`, language, name, name, state))
}

func parse(t *testing.T, definition string) *asl.Machine {
	t.Helper()
	m, err := asl.Parse([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func run(t *testing.T, in *asl.Interpreter, m *asl.Machine, input any) *asl.Execution {
	t.Helper()
	x, err := in.Run(t.Context(), m, input)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func tasks(name string, h asl.Handler) *asl.Interpreter {
	return &asl.Interpreter{Tasks: map[string]asl.Handler{name: h}}
}

func elapsed(x *asl.Execution) time.Duration {
	return x.Now().Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
}

func wantOutput(t *testing.T, x *asl.Execution, want any) {
	t.Helper()
	if x.Status() != asl.Succeeded {
		t.Fatalf("%s is %s: %v", x, x.Status(), x.Err())
	}
	if diff := cmp.Diff(want, x.Output()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func wantError(t *testing.T, x *asl.Execution, name, cause string) {
	t.Helper()
	if !errors.Is(x.Err(), &asl.Error{Name: name}) || !strings.Contains(x.Err().Error(), cause) {
		t.Errorf("%s is %s with %v, want the error %s about %q", x, x.Status(), x.Err(), name, cause)
	}
}

func TestRetryDelays(t *testing.T) {
	for _, test := range []struct {
		name, retry string
		failures    int
		want        time.Duration
	}{
		{"defaults", `{}`, 3, (1 + 2 + 4) * time.Second},
		{"interval", `{"IntervalSeconds": 10, "BackoffRate": 1.0}`, 3, 30 * time.Second},
		{"rate", `{"IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 4}`, 4, (2 + 6 + 18 + 54) * time.Second},
		{"limit", `{"IntervalSeconds": 5, "BackoffRate": 10, "MaxDelaySeconds": 20, "MaxAttempts": 4}`, 4, (5 + 20 + 20 + 20) * time.Second},
		{"fraction", `{"IntervalSeconds": 1, "BackoffRate": 1.5}`, 2, 2500 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			retry := strings.Replace(test.retry, "{", `{"ErrorEquals": ["States.ALL"]`, 1)
			if test.retry != "{}" {
				retry = strings.Replace(test.retry, "{", `{"ErrorEquals": ["States.ALL"], `, 1)
			}
			m := one(t, "JSONPath", "A", fmt.Sprintf(`{"Type": "Task", "Resource": %q, "Retry": [%s], "End": true}`, lambda, retry))
			var script []asl.Result
			for range test.failures {
				script = append(script, asl.Throw("Boom", "again"))
			}
			x := run(t, tasks("A", asl.Script(append(script, asl.Return("ok"))...)), m, nil)
			wantOutput(t, x, "ok")
			if got := elapsed(x); got != test.want {
				t.Errorf("the retries took %v, want %v", got, test.want)
			}
			if got := len(x.Visits("A")[0].Failures); got != test.failures {
				t.Errorf("the trace has %d failures, want %d", got, test.failures)
			}
		})
	}
}

func TestRetryJitter(t *testing.T) {
	m := one(t, "JSONPath", "A", `{"Type": "Task", "Resource": "`+lambda+`", "End": true,
		"Retry": [{"ErrorEquals": ["Boom"], "IntervalSeconds": 100, "JitterStrategy": "FULL", "BackoffRate": 1.0}]}`)
	seen := map[time.Duration]bool{}
	for i := range 20 {
		in := tasks("A", asl.Script(asl.Throw("Boom", ""), asl.Return("ok")))
		in.Options.Name = fmt.Sprint("run-", i)
		d := elapsed(run(t, in, m, nil))
		if d < 0 || d > 100*time.Second {
			t.Errorf("the delay is %v, want one up to 100 s", d)
		}
		seen[d] = true
	}
	if len(seen) < 15 {
		t.Errorf("20 executions had %d different delays", len(seen))
	}
}

func TestTimeouts(t *testing.T) {
	const resource = `"Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken"`
	for _, test := range []struct {
		name, language, fields string
		result                 asl.Result
		input                  any
		want                   string // error name, or "" for success
		after                  time.Duration
	}{
		{"in time", "JSONata", `"TimeoutSeconds": 10`, asl.Return(1).After(9 * time.Second), nil, "", 9 * time.Second},
		{"at the last moment", "JSONata", `"TimeoutSeconds": 10`, asl.Return(1).After(10 * time.Second), nil, "", 10 * time.Second},
		{"too late", "JSONata", `"TimeoutSeconds": 10`, asl.Return(1).After(11 * time.Second), nil, "States.Timeout", 10 * time.Second},
		{"never", "JSONata", `"TimeoutSeconds": 10`, asl.Hang(), nil, "States.Timeout", 10 * time.Second},
		{"computed", "JSONata", `"TimeoutSeconds": "{% $states.input.t %}"`, asl.Hang(), map[string]any{"t": 7}, "States.Timeout", 7 * time.Second},
		{"by path", "JSONPath", `"TimeoutSecondsPath": "$.t"`, asl.Hang(), map[string]any{"t": 7}, "States.Timeout", 7 * time.Second},
		{"computed wrongly", "JSONata", `"TimeoutSeconds": "{% 'ten' %}"`, asl.Hang(), nil, "States.QueryEvaluationError", 0},
		{"computed out of range", "JSONata", `"TimeoutSeconds": "{% -1 %}"`, asl.Hang(), nil, "States.QueryEvaluationError", 0},
		{"path to a string", "JSONPath", `"TimeoutSecondsPath": "$.t"`, asl.Hang(), map[string]any{"t": "7"}, "States.Runtime", 0},
		{"no heartbeat", "JSONata", `"TimeoutSeconds": 100, "HeartbeatSeconds": 10`, asl.Return(1).After(50 * time.Second), nil, "States.HeartbeatTimeout", 10 * time.Second},
		{"heartbeats", "JSONata", `"TimeoutSeconds": 100, "HeartbeatSeconds": 10`, asl.Return(1).After(50 * time.Second).Beating(9 * time.Second), nil, "", 50 * time.Second},
		{"heartbeats too rare", "JSONata", `"HeartbeatSeconds": 10`, asl.Return(1).After(50 * time.Second).Beating(11 * time.Second), nil, "States.HeartbeatTimeout", 10 * time.Second},
		{"heartbeats by path", "JSONPath", `"HeartbeatSecondsPath": "$.h"`, asl.Hang(), map[string]any{"h": 3}, "States.HeartbeatTimeout", 3 * time.Second},
		{"heartbeats do not stop the time-out", "JSONata", `"TimeoutSeconds": 30, "HeartbeatSeconds": 10`, asl.Hang().Beating(5 * time.Second), nil, "States.Timeout", 30 * time.Second},
		{"callback fails", "JSONata", `"TimeoutSeconds": 30`, asl.Throw("Refused", "no").After(time.Second), nil, "Refused", time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := one(t, test.language, "A", fmt.Sprintf(`{"Type": "Task", %s, %s, "End": true}`, resource, test.fields))
			x := run(t, tasks("A", asl.Script(test.result)), m, test.input)
			if test.want == "" {
				wantOutput(t, x, 1.0)
			} else {
				wantError(t, x, test.want, "")
			}
			if got := elapsed(x); got != test.after {
				t.Errorf("it ended after %v, want %v", got, test.after)
			}
		})
	}
}

func TestExecutionTimeout(t *testing.T) {
	m := parse(t, `{"StartAt": "W", "TimeoutSeconds": 5, "States": {"W": {"Type": "Wait", "Seconds": 60, "End": true}}}`)
	x := run(t, &asl.Interpreter{}, m, nil)
	if x.Status() != asl.TimedOut || elapsed(x) != 5*time.Second {
		t.Errorf("the execution is %s after %v", x.Status(), elapsed(x))
	}
	wantError(t, x, asl.ErrorTimeout, "TimeoutSeconds")
}

// TestErrorNames checks which lists of a catcher match which error.
func TestErrorNames(t *testing.T) {
	for _, test := range []struct {
		err, catches string
		caught       bool
	}{
		{"Boom", "Boom", true},
		{"Boom", "Bang", false},
		{"Boom", "States.ALL", true},
		{"Boom", "States.TaskFailed", true},
		{"Boom", "States.Timeout", false},
		{"States.Timeout", "States.Timeout", true},
		{"States.Timeout", "States.ALL", true},
		{"States.Timeout", "States.TaskFailed", false},
		{"States.Timeout", "States.HeartbeatTimeout", false},
		{"States.HeartbeatTimeout", "States.HeartbeatTimeout", true},
		{"States.HeartbeatTimeout", "States.Timeout", true},
		{"States.HeartbeatTimeout", "States.ALL", true},
		{"States.Permissions", "States.Permissions", true},
		{"States.Permissions", "States.TaskFailed", true},
		{"States.Http.Socket", "States.Http.Socket", true},
		{"States.DataLimitExceeded", "States.ALL", false},
		{"States.DataLimitExceeded", "States.TaskFailed", false},
		{"States.DataLimitExceeded", "States.DataLimitExceeded", true},
		{"States.Runtime", "States.ALL", false},
		{"States.BranchFailed", "States.BranchFailed", true},
	} {
		m := parse(t, fmt.Sprintf(`{"StartAt": "A", "States": {
			"A": {"Type": "Task", "Resource": %q, "Catch": [{"ErrorEquals": [%q], "Next": "B"}], "End": true},
			"B": {"Type": "Pass", "End": true}}}`, lambda, test.catches))
		x := run(t, tasks("A", asl.Script(asl.Throw(test.err, ""))), m, nil)
		if caught := x.Status() == asl.Succeeded; caught != test.caught {
			t.Errorf("%s caught by %s: %t, want %t", test.err, test.catches, caught, test.caught)
		}
	}
}

// TestErrors provokes each error that the interpreter itself reports.
func TestErrors(t *testing.T) {
	big := strings.Repeat("x", asl.MaxDataSize)
	distributed := `"ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
		"StartAt": "I", "States": {"I": {"Type": "Fail", "Error": "Bad"}}}, "End": true`
	for _, test := range []struct {
		name, language, state string
		input                 any
		handler               asl.Handler
		err, cause            string
	}{
		{"time-out", "JSONata", `{"Type": "Task", "Resource": "` + lambda + `", "TimeoutSeconds": 1, "End": true}`,
			nil, asl.Script(asl.Hang()), asl.ErrorTimeout, `state "A" ran longer`},
		{"heartbeat", "JSONata", `{"Type": "Task", "Resource": "` + lambda + `", "HeartbeatSeconds": 1, "End": true}`,
			nil, asl.Script(asl.Hang()), asl.ErrorHeartbeatTimeout, "no heartbeat"},
		{"no choice", "JSONata", `{"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "B"}]}`,
			nil, nil, asl.ErrorNoChoiceMatched, "no rule"},
		{"condition is no boolean", "JSONata", `{"Type": "Choice", "Choices": [{"Condition": "{% 1 %}", "Next": "B"}]}`,
			nil, nil, asl.ErrorQueryEvaluation, "Condition must be true or false, not the number 1"},
		{"parameter path", "JSONPath", `{"Type": "Pass", "Parameters": {"x.$": "$.missing"}, "End": true}`,
			map[string]any{}, nil, asl.ErrorParameterPathFailure, `"$.missing" selects nothing`},
		{"result path", "JSONPath", `{"Type": "Pass", "Result": 1, "ResultPath": "$.a.b", "End": true}`,
			map[string]any{"a": "text"}, nil, asl.ErrorResultPathMatchFailure, "leads through a value"},
		{"intrinsic", "JSONPath", `{"Type": "Pass", "Parameters": {"x.$": "States.StringToJson('{')"}, "End": true}`,
			map[string]any{}, nil, asl.ErrorIntrinsicFailure, "States.StringToJson"},
		{"input path", "JSONPath", `{"Type": "Pass", "InputPath": "$.missing", "End": true}`,
			map[string]any{}, nil, asl.ErrorRuntime, "InputPath"},
		{"undefined result", "JSONata", `{"Type": "Pass", "Output": "{% $states.input.missing %}", "End": true}`,
			map[string]any{}, nil, asl.ErrorQueryEvaluation, "$states.input.missing"},
		{"type error", "JSONata", `{"Type": "Pass", "Output": "{% 1 + 'a' %}", "End": true}`,
			nil, nil, asl.ErrorQueryEvaluation, "T2002"},
		{"wait for a string", "JSONata", `{"Type": "Wait", "Seconds": "{% 'soon' %}", "End": true}`,
			nil, nil, asl.ErrorQueryEvaluation, "Seconds must be an integer"},
		{"wait until nonsense", "JSONata", `{"Type": "Wait", "Timestamp": "{% 'soon' %}", "End": true}`,
			nil, nil, asl.ErrorQueryEvaluation, "Timestamp must be a time of RFC 3339"},
		{"large result", "JSONata", `{"Type": "Task", "Resource": "` + lambda + `", "End": true}`,
			nil, asl.Script(asl.Return(big)), asl.ErrorDataLimitExceeded, "more than 262144"},
		{"large output", "JSONata", `{"Type": "Pass", "Output": "{% $join($range(0, 999, 1).$pad('', 300, 'x')) %}", "End": true}`,
			nil, nil, asl.ErrorDataLimitExceeded, "the output of state"},
		{"items of the wrong type", "JSONata", `{"Type": "Map", "Items": "{% 5 %}", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Succeed"}}}, "End": true}`,
			nil, nil, asl.ErrorQueryEvaluation, "must be an array or an object, not the number 5"},
		{"tolerated failures", "JSONata", `{"Type": "Map", "Items": [1, 2, 3], ` + distributed + `}`,
			nil, nil, asl.ErrorExceedToleratedFailureThreshold, "of 3 items failed"},
		{"item reader", "JSONata", `{"Type": "Map", "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON"},
			"Arguments": {"Bucket": "b", "Key": "k"}}, ` + distributed + `}`,
			nil, asl.Script(asl.Throw("S3.NoSuchKey", "gone")), asl.ErrorItemReaderFailed, "S3.NoSuchKey: gone"},
		{"result writer", "JSONata", `{"Type": "Map", "Items": [], "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject",
			"Arguments": {"Bucket": "b", "Prefix": "p"}}, ` + distributed + `}`,
			nil, asl.Script(asl.Throw("S3.AccessDenied", "no")), asl.ErrorResultWriterFailed, "S3.AccessDenied: no"},
		{"handler's own type", "JSONata", `{"Type": "Task", "Resource": "` + lambda + `", "End": true}`,
			nil, func(context.Context, *asl.PendingTask) (any, error) { return nil, &stockError{"chair"} }, "stockError", "no more chair"},
		{"handler's wrapped error", "JSONata", `{"Type": "Task", "Resource": "` + lambda + `", "End": true}`,
			nil, func(context.Context, *asl.PendingTask) (any, error) {
				return nil, fmt.Errorf("while charging: %w", &asl.Error{Name: "Card.Declined", Cause: "poor"})
			}, "Card.Declined", "poor"},
		{"output without JSON form", "JSONata", `{"Type": "Task", "Resource": "` + lambda + `", "End": true}`,
			nil, func(context.Context, *asl.PendingTask) (any, error) { return func() {}, nil }, "wrapError", "has no JSON form"},
		{"fail with expressions", "JSONata", `{"Type": "Fail", "Error": "{% 'E' & $states.input.n %}", "Cause": "{% 'because ' & $states.input.n %}"}`,
			map[string]any{"n": 4}, nil, "E4", "because 4"},
		{"fail with intrinsic", "JSONPath", `{"Type": "Fail", "ErrorPath": "States.Format('E{}', $.n)", "CausePath": "$.c"}`,
			map[string]any{"n": 4, "c": "because"}, nil, "E4", "because"},
		{"fail without a name", "JSONata", `{"Type": "Fail"}`, nil, nil, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			more := ""
			if strings.Contains(test.state, `"Next": "B"`) {
				more = `, "B": {"Type": "Succeed"}`
			}
			m := parse(t, fmt.Sprintf(`{"QueryLanguage": %q, "StartAt": "A", "States": {"A": %s%s}}`, test.language, test.state, more))
			x := run(t, tasks("A", test.handler), m, test.input)
			wantError(t, x, test.err, test.cause)
		})
	}
}

// ctx is short for the context of a handler.
type ctx = context.Context

type stockError struct{ item string }

func (e *stockError) Error() string { return "no more " + e.item }

func TestHistoryLimit(t *testing.T) {
	m := parse(t, `{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Choice",
		"Choices": [{"Variable": "$", "IsNumeric": true, "Next": "C"}], "Default": "A"}, "C": {"Type": "Succeed"}}}`)
	in := asl.Interpreter{Options: asl.StartOptions{Untraced: true}}
	x := run(t, &in, m, "text")
	wantError(t, x, asl.ErrorRuntime, "maximum number of history events (25000)")
	if err := x.Redrive(x.Now()); err == nil {
		t.Error("an execution without events left was redriven")
	}
}

func TestUnboundTask(t *testing.T) {
	m := one(t, "JSONata", "A", `{"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "End": true}`)
	_, err := (&asl.Interpreter{}).Run(t.Context(), m, nil)
	var unbound *asl.UnboundTaskError
	if !errors.As(err, &unbound) || unbound.Task.State != "A" || !strings.Contains(err.Error(), "arn:aws:states:::sns:publish") {
		t.Errorf("the error is %v", err)
	}
}

// TestBinding checks the names that a task can be bound by.
func TestBinding(t *testing.T) {
	answer := func(text string) asl.Handler { return asl.Script(asl.Return(text)) }
	for _, test := range []struct{ resource, arguments, key string }{
		{"arn:aws:states:::dynamodb:putItem", `{}`, "A"},
		{"arn:aws:states:::dynamodb:putItem", `{}`, "arn:aws:states:::dynamodb:putItem"},
		{"arn:aws:states:::aws-sdk:glue:startCrawler", `{}`, "arn:aws:states:::aws-sdk:glue:startCrawler"},
		{"arn:aws:states:::glue:startJobRun.sync", `{}`, "arn:aws:states:::glue:startJobRun.sync"},
		{"arn:aws:states:::glue:startJobRun.sync", `{}`, "arn:aws:states:::glue:startJobRun"},
		{"arn:aws:states:::states:startExecution.sync:2", `{}`, "arn:aws:states:::states:startExecution"},
		{lambda, `{}`, lambda},
		{lambda, `{}`, "work"},
		{lambda + ":live", `{}`, lambda},
		{lambda + ":live", `{}`, "work"},
		{"arn:aws:states:::lambda:invoke", `{"FunctionName": "work"}`, "work"},
		{"arn:aws:states:::lambda:invoke", `{"FunctionName": "` + lambda + `:live"}`, "work"},
		{"arn:aws:states:::lambda:invoke", `{"FunctionName": "` + lambda + `:live"}`, lambda},
		{"arn:aws:states:::lambda:invoke", `{"FunctionName": "work"}`, "arn:aws:states:::lambda:invoke"},
	} {
		m := one(t, "JSONata", "A", fmt.Sprintf(`{"Type": "Task", "Resource": %q, "Arguments": %s, "End": true}`, test.resource, test.arguments))
		wantOutput(t, run(t, tasks(test.key, answer(test.key)), m, nil), test.key)
	}
}

func TestLambda(t *testing.T) {
	type event struct{ N int }
	double := func(_ context.Context, e event) (event, error) {
		if e.N < 0 {
			return event{}, &stockError{"numbers"}
		}
		return event{2 * e.N}, nil
	}
	in := tasks("work", asl.Lambda(double))
	invoke := one(t, "JSONata", "A", `{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
		"Arguments": {"FunctionName": "work", "Payload": "{% $states.input %}"}, "End": true}`)
	wantOutput(t, run(t, in, invoke, event{4}), map[string]any{"ExecutedVersion": "$LATEST", "StatusCode": 200.0, "Payload": map[string]any{"N": 8.0}})
	wantError(t, run(t, in, invoke, event{-4}), "stockError", "no more numbers")
	wantError(t, run(t, in, invoke, map[string]any{"N": "four"}), "wrapError", "decode the event")

	direct := one(t, "JSONata", "A", `{"Type": "Task", "Resource": "`+lambda+`", "End": true}`)
	wantOutput(t, run(t, in, direct, event{4}), map[string]any{"N": 8.0})
}

// TestStartOrder checks that tasks which start together all start before the
// first answer counts, and that Concurrency really runs handlers side by side.
func TestStartOrder(t *testing.T) {
	m := parse(t, `{"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": true, "Branches": [
		{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "`+lambda+`", "End": true}}},
		{"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": "`+lambda+`", "End": true}}}]}}}`)
	var order []string
	in := asl.Interpreter{Tasks: map[string]asl.Handler{
		"A": func(_ context.Context, task *asl.PendingTask) (any, error) {
			order = append(order, task.State)
			return nil, &asl.Error{Name: "Boom"}
		},
		"B": func(_ context.Context, task *asl.PendingTask) (any, error) {
			order = append(order, task.State)
			return nil, nil
		},
	}}
	wantError(t, run(t, &in, m, nil), "Boom", "")
	if got := strings.Join(order, " "); got != "A B" {
		t.Errorf("the handlers ran as %q, want A B", got)
	}

	meet := make(chan string)
	in = asl.Interpreter{Concurrency: 2, Tasks: map[string]asl.Handler{
		"A": func(context.Context, *asl.PendingTask) (any, error) { meet <- "from A"; return "a", nil },
		"B": func(context.Context, *asl.PendingTask) (any, error) { return <-meet, nil },
	}}
	wantOutput(t, run(t, &in, m, nil), []any{"a", "from A"})
}

func TestClock(t *testing.T) {
	start := time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)
	clock := asl.NewTimeline(start)
	m := parse(t, `{"QueryLanguage": "JSONata", "StartAt": "W", "States": {
		"W": {"Type": "Wait", "Timestamp": "2030-05-06T08:00:00Z", "Next": "N"},
		"N": {"Type": "Pass", "End": true, "Output": {"now": "{% $now() %}", "millis": "{% $millis() %}",
			"start": "{% $states.context.Execution.StartTime %}", "entered": "{% $states.context.State.EnteredTime %}"}}}}`)
	x := run(t, &asl.Interpreter{Clock: clock}, m, nil)
	wantOutput(t, x, map[string]any{
		"now": "2030-05-06T08:00:00.000Z", "millis": float64(time.Date(2030, 5, 6, 8, 0, 0, 0, time.UTC).UnixMilli()),
		"start": "2030-05-06T07:08:09.000Z", "entered": "2030-05-06T08:00:00.000Z",
	})
	if got := clock.Now(); !got.Equal(time.Date(2030, 5, 6, 8, 0, 0, 0, time.UTC)) {
		t.Errorf("the clock stands at %v", got)
	}
}

func TestWaitUntilThePast(t *testing.T) {
	m := one(t, "JSONata", "W", `{"Type": "Wait", "Timestamp": "1990-01-01T00:00:00Z", "End": true}`)
	if x := run(t, &asl.Interpreter{}, m, 1); elapsed(x) != 0 || x.Status() != asl.Succeeded {
		t.Errorf("the execution is %s after %v", x.Status(), elapsed(x))
	}
}

// TestCanceledRun checks that a context that ends stops the run, not the
// execution, which goes on later.
func TestCanceledRun(t *testing.T) {
	m := parse(t, `{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "`+lambda+`", "Next": "B"}, "B": {"Type": "Succeed"}}}`)
	ctx, cancel := context.WithCancel(t.Context())
	in := tasks("A", func(context.Context, *asl.PendingTask) (any, error) {
		cancel()
		return "done", nil
	})
	x, err := in.Run(ctx, m, nil)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the error is %v", err)
	}
	if err := in.Continue(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	wantOutput(t, x, "done")
}

// TestCallback checks that a task token's handler only hands the token on, and
// that the execution waits for the answer.
func TestCallback(t *testing.T) {
	m := one(t, "JSONPath", "Ask", `{"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
		"Parameters": {"QueueUrl": "q", "MessageBody": {"token.$": "$$.Task.Token", "run.$": "$$.Execution.Name"}}, "End": true}`)
	var token string
	calls := 0
	in := tasks("Ask", func(_ context.Context, task *asl.PendingTask) (any, error) {
		calls++
		body := task.Arguments.(map[string]any)["MessageBody"].(map[string]any)
		token = body["token"].(string)
		return map[string]any{"MessageId": "m-1"}, nil
	})
	in.Options.Name = "purchase-9"
	x := run(t, in, m, nil)
	if x.Status() != asl.Running || x.String() != "Ask -> ..." {
		t.Fatalf("%s is %s, want it to wait for the token", x, x.Status())
	}
	if err := in.Continue(t.Context(), x); err != nil || calls != 1 {
		t.Errorf("going on without an answer gives %v; the handler was called %d times, want 1", err, calls)
	}
	if err := x.SendTaskSuccess("another", nil); !errors.Is(err, asl.ErrTaskDoesNotExist) {
		t.Errorf("an unknown token gives %v", err)
	}
	if err := x.SendTaskHeartbeat(token); err != nil {
		t.Error(err)
	}
	if err := x.SendTaskSuccess(token, map[string]any{"approved": true}); err != nil {
		t.Fatal(err)
	}
	if err := x.SendTaskFailure(token, errors.New("too late")); !errors.Is(err, asl.ErrTaskDoesNotExist) {
		t.Errorf("a second answer gives %v", err)
	}
	if err := in.Continue(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	wantOutput(t, x, map[string]any{"approved": true})
}

func TestAbort(t *testing.T) {
	m := one(t, "JSONata", "A", `{"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": true}`)
	in := tasks("A", asl.Script(asl.Hang()))
	x := run(t, in, m, nil)
	x.Abort(&asl.Error{Name: "Operator", Cause: "stopped by hand"})
	if x.Status() != asl.Aborted || len(x.Tasks()) != 0 {
		t.Errorf("the execution is %s and waits for %d tasks", x.Status(), len(x.Tasks()))
	}
	wantError(t, x, "Operator", "by hand")
}

func TestStartRefuses(t *testing.T) {
	m := parse(t, `{"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": true, "Branches": [{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}]}}}`)
	if _, err := m.Start(strings.Repeat("x", asl.MaxDataSize), asl.StartOptions{}); err == nil {
		t.Error("an input of more than 256 KiB was accepted")
	}
	if _, err := m.Start(func() {}, asl.StartOptions{}); err == nil {
		t.Error("an input without JSON form was accepted")
	}
	if _, err := m.States["P"].Branches[0].Start(nil, asl.StartOptions{}); err == nil {
		t.Error("a branch was started by itself")
	}
}

// TestWallClock runs on the real clock, whose time a bubble makes pass at once.
func TestWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := parse(t, `{"StartAt": "W", "States": {
			"W": {"Type": "Wait", "Seconds": 3600, "Next": "A"},
			"A": {"Type": "Task", "Resource": "`+lambda+`", "TimeoutSeconds": 60,
				"Catch": [{"ErrorEquals": ["States.Timeout"], "ResultPath": null, "Next": "Late"}], "End": true},
			"Late": {"Type": "Succeed"}}}`)
		start := time.Now()
		in := tasks("A", func(context.Context, *asl.PendingTask) (any, error) {
			time.Sleep(2 * time.Minute)
			return "too late", nil
		})
		in.Clock = asl.WallClock{}
		x := run(t, in, m, "input")
		wantOutput(t, x, "input")
		if got, want := x.String(), "W -> A -> Late"; got != want {
			t.Errorf("the execution went %s, want %s", got, want)
		}
		if got := time.Since(start); got != time.Hour+2*time.Minute {
			t.Errorf("it took %v", got)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := in.Run(ctx, m, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a run that may last a minute gives %v", err)
		}
	})
}

// TestHandlerOwnsArguments checks that a handler cannot change what the
// execution remembers.
func TestHandlerOwnsArguments(t *testing.T) {
	m := parse(t, `{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "`+lambda+`", "ResultPath": null, "End": true}}}`)
	in := tasks("A", func(_ context.Context, task *asl.PendingTask) (any, error) {
		task.Arguments.(map[string]any)["n"] = "changed"
		return nil, nil
	})
	wantOutput(t, run(t, in, m, map[string]any{"n": "kept"}), map[string]any{"n": "kept"})
}

func TestLargeAssignment(t *testing.T) {
	m := one(t, "JSONata", "A", `{"Type": "Pass", "Assign": {"x": "{% $join($range(0, 999, 1).$pad('', 300, 'x')) %}"}, "End": true}`)
	wantError(t, run(t, &asl.Interpreter{}, m, nil), asl.ErrorDataLimitExceeded, "the variables of one Assign")
}

func TestLargeConstant(t *testing.T) {
	big := strings.Repeat("x", asl.MaxDataSize)
	problems := asl.Check([]byte(`{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "` + big + `", "End": true}}}`))
	if len(problems) != 1 || problems[0].State != "A" || problems[0].Field != "Result" {
		t.Errorf("the problems are %v", problems)
	}
	huge := strings.Repeat(" ", 1024*1024) + `{}`
	if problems := asl.Check([]byte(huge)); len(problems) != 1 || !strings.Contains(problems[0].Message, "1048576") {
		t.Errorf("the problems are %v", problems)
	}
}
