package asl_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
)

// stepwise runs a workflow without an Interpreter: it stores and resumes the
// execution before every step and after every answer.
func stepwise(t *testing.T, w workflow) *asl.Execution {
	t.Helper()
	m, err := asl.Parse(w.Definition)
	if err != nil {
		t.Fatal(err)
	}
	handlers := map[string]asl.Handler{}
	for name, script := range w.Tasks {
		handlers[name] = play(script)
	}
	x, err := m.Start(w.Input, asl.StartOptions{})
	if err != nil {
		t.Fatal(err)
	}
	restart := func() {
		data, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		if x, err = m.Resume(data); err != nil {
			t.Fatal(err)
		}
	}
	started := map[string]bool{}
	now := x.Now()
	for x.Status() == asl.Running {
		restart()
		x.Advance(now)
		restart()
		var fresh []*asl.PendingTask
		for _, task := range x.Tasks() {
			if !started[task.Token] {
				started[task.Token] = true
				fresh = append(fresh, task)
			}
		}
		if len(fresh) == 0 {
			next, ok := x.Wake()
			if !ok && x.Status() == asl.Running {
				t.Fatalf("%s waits for nothing", x)
			}
			now = next
			continue
		}
		answers := map[string]func() error{}
		for _, task := range fresh {
			out, err := handlers[task.State](t.Context(), task)
			if _, hangs := out.(asl.Result); hangs {
				continue
			}
			answers[task.Token] = func() error {
				if err != nil {
					return x.SendTaskFailure(task.Token, err)
				}
				return x.SendTaskSuccess(task.Token, out)
			}
		}
		for _, task := range fresh {
			if answer := answers[task.Token]; answer != nil {
				if err := answer(); err != nil {
					t.Fatal(err)
				}
				restart()
			}
		}
	}
	return x
}

// TestResume runs every reference workflow step by step through JSON and wants
// the same trace as without.
func TestResume(t *testing.T) {
	data, err := os.ReadFile("testdata/reference/workflows.json")
	if err != nil {
		t.Fatal(err)
	}
	var workflows []workflow
	if err := json.Unmarshal(data, &workflows); err != nil {
		t.Fatal(err)
	}
	for _, w := range workflows {
		t.Run(w.Name, func(t *testing.T) {
			m, err := asl.Parse(w.Definition)
			if err != nil {
				t.Fatal(err)
			}
			in := asl.Interpreter{Tasks: map[string]asl.Handler{}}
			for name, script := range w.Tasks {
				in.Tasks[name] = play(script)
			}
			want, err := in.Run(t.Context(), m, w.Input)
			if err != nil {
				t.Fatal(err)
			}
			got := stepwise(t, w)
			if diff := cmp.Diff(want.Trace(), got.Trace()); diff != "" {
				t.Errorf("trace (-run +resumed):\n%s", diff)
			}
			if diff := cmp.Diff(want.Output(), got.Output()); diff != "" {
				t.Errorf("output (-run +resumed):\n%s", diff)
			}
			if want.Status() != got.Status() || fmt.Sprint(want.Err()) != fmt.Sprint(got.Err()) {
				t.Errorf("resumed: %s, %v; run: %s, %v", got.Status(), got.Err(), want.Status(), want.Err())
			}
		})
	}
}

func TestResumeRefuses(t *testing.T) {
	m := parse(t, `{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}`)
	other := parse(t, `{"StartAt": "A", "States": {"A": {"Type": "Succeed", "Comment": "changed"}}}`)
	x, err := m.Start(nil, asl.StartOptions{Name: "run"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Resume(data); err == nil {
		t.Error("an execution of another definition was resumed")
	}
	if _, err := m.Resume(data[:len(data)/2]); err == nil {
		t.Error("half an execution was resumed")
	}
	if _, err := m.Resume([]byte(`{}`)); err == nil {
		t.Error("an empty execution was resumed")
	}
}

// TestRandomSurvivesResume checks that random values do not depend on where an
// execution was stored.
func TestRandomSurvivesResume(t *testing.T) {
	m := parse(t, `{"QueryLanguage": "JSONata", "StartAt": "A", "States": {
		"A": {"Type": "Pass", "Assign": {"a": "{% $uuid() %}"}, "Next": "W"},
		"W": {"Type": "Wait", "Seconds": 1, "Next": "B"},
		"B": {"Type": "Pass", "Output": ["{% $a %}", "{% $uuid() %}", "{% $random() %}"], "End": true}}}`)
	x, err := m.Start(nil, asl.StartOptions{Name: "run"})
	if err != nil {
		t.Fatal(err)
	}
	x.Advance(x.Now())
	data, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	y, err := m.Resume(data)
	if err != nil {
		t.Fatal(err)
	}
	x.Advance(x.Now().Add(time.Second))
	y.Advance(y.Now().Add(time.Second))
	wantOutput(t, x, y.Output())
	out := x.Output().([]any)
	if out[0] == out[1] {
		t.Errorf("two UUIDs are equal: %v", out)
	}
}

// failing plays a task that fails on its first calls.
func failing(times int, calls *int) asl.Handler {
	var script []asl.Result
	for range times {
		script = append(script, asl.Throw("Boom", "not yet"))
	}
	play := asl.Script(append(script, asl.Return("ok"))...)
	return func(ctx ctx, task *asl.PendingTask) (any, error) {
		*calls++
		return play(ctx, task)
	}
}

func TestRedrive(t *testing.T) {
	m := parse(t, `{"QueryLanguage": "JSONata", "StartAt": "First", "States": {
		"First": {"Type": "Task", "Resource": "`+lambda+`", "Assign": {"first": "{% $states.result %}"}, "Next": "Second"},
		"Second": {"Type": "Task", "Resource": "`+lambda+`", "Next": "Last",
			"Retry": [{"ErrorEquals": ["Boom"], "MaxAttempts": 1}],
			"Output": "{% [$first, $states.result, $states.context.Execution.RedriveCount] %}"},
		"Last": {"Type": "Succeed"}}}`)
	first, second := 0, 0
	in := asl.Interpreter{Tasks: map[string]asl.Handler{"First": failing(0, &first), "Second": failing(2, &second)}}
	x := run(t, &in, m, nil)
	wantError(t, x, "Boom", "not yet")
	if err := x.Redrive(x.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := in.Continue(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	wantOutput(t, x, []any{"ok", "ok", 1.0})
	if first != 1 || second != 3 {
		t.Errorf("First was called %d times and Second %d, want 1 and 3", first, second)
	}
	if got := x.String(); got != "First -> Second -> Second -> Last" {
		t.Errorf("the execution went %s", got)
	}
	if err := x.Redrive(x.Now()); err == nil {
		t.Error("an execution that succeeded was redriven")
	}
}

// TestRedriveBranches checks that only what did not succeed runs again.
func TestRedriveBranches(t *testing.T) {
	for _, test := range []struct{ name, state string }{
		{"parallel", `{"Type": "Parallel", "End": true, "Branches": [
			{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "` + lambda + `", "End": true}}},
			{"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 10, "Next": "C"}, "C": {"Type": "Task", "Resource": "` + lambda + `", "End": true}}},
			{"StartAt": "D", "States": {"D": {"Type": "Wait", "Seconds": 60, "Next": "E"}, "E": {"Type": "Task", "Resource": "` + lambda + `", "End": true}}}]}`},
		{"inline map", `{"Type": "Map", "Items": ["A", "C", "E"], "End": true, "ItemProcessor": {"StartAt": "Work", "States": {
			"Work": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "{% $states.input %}"}, "End": true}}}}`},
		{"distributed map", `{"Type": "Map", "Items": ["A", "C", "E"], "End": true, "ItemProcessor": {
			"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "Work", "States": {
			"Work": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "{% $states.input %}"}, "End": true}}}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := one(t, "JSONata", "S", test.state)
			var a, c, e int
			in := asl.Interpreter{Tasks: map[string]asl.Handler{"A": failing(0, &a), "C": failing(1, &c), "E": failing(0, &e)}}
			x := run(t, &in, m, nil)
			if x.Status() != asl.Failed {
				t.Fatalf("%s is %s", x, x.Status())
			}
			data, err := json.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			if x, err = m.Resume(data); err != nil {
				t.Fatal(err)
			}
			if err := x.Redrive(x.Now()); err != nil {
				t.Fatal(err)
			}
			if err := in.Continue(t.Context(), x); err != nil {
				t.Fatal(err)
			}
			wantOutput(t, x, []any{"ok", "ok", "ok"})
			if a != 1 || c != 2 || e != 1 {
				t.Errorf("the tasks were called %d, %d and %d times, want 1, 2 and 1", a, c, e)
			}
		})
	}
}

func TestRedriveAfterTimeout(t *testing.T) {
	m := parse(t, `{"StartAt": "A", "TimeoutSeconds": 10, "States": {"A": {"Type": "Task", "Resource": "`+lambda+`", "End": true}}}`)
	in := tasks("A", asl.Script(asl.Return("slow").After(time.Minute), asl.Return("fast")))
	x := run(t, in, m, nil)
	if x.Status() != asl.TimedOut {
		t.Fatalf("%s is %s", x, x.Status())
	}
	if err := x.Redrive(x.Now()); err != nil {
		t.Fatal(err)
	}
	if err := in.Continue(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	wantOutput(t, x, "fast")
}

// TestParallel checks that a failed branch stops the others, that the whole
// state is retried anew, and that the trace has a path for each branch.
func TestParallel(t *testing.T) {
	m := parse(t, `{"QueryLanguage": "JSONata", "StartAt": "P", "States": {
		"P": {"Type": "Parallel", "Arguments": {"n": "{% $states.input.n + 1 %}"}, "Branches": [
			{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "`+lambda+`", "End": true}}},
			{"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 10, "Next": "C"}, "C": {"Type": "Pass", "Output": "{% $states.input.n %}", "End": true}}}],
			"Retry": [{"ErrorEquals": ["Boom"], "MaxAttempts": 1}],
			"Output": "{% $states.result[0] & '/' & $states.result[1] %}", "End": true}}}`)
	in := tasks("A", asl.Script(asl.Throw("Boom", "").After(3*time.Second), asl.Return("a")))
	x := run(t, in, m, map[string]any{"n": 4})
	wantOutput(t, x, "a/5")
	if got, want := elapsed(x), 14*time.Second; got != want {
		t.Errorf("the state took %v, want %v", got, want)
	}
	if diff := cmp.Diff([]string{"B", "B", "C"}, x.StatesIn("P[1]")); diff != "" {
		t.Errorf("the second branch (-want +got):\n%s", diff)
	}
	if out := x.Visits("B")[0]; !out.Exited.IsZero() {
		t.Errorf("the stopped branch left its state at %v", out.Exited)
	}
}

func TestMapConcurrency(t *testing.T) {
	for _, test := range []struct {
		concurrency string
		want        time.Duration
	}{
		{`0`, 20 * time.Second}, // 40 at once at most, 50 items
		{`1`, 500 * time.Second},
		{`"{% $states.input.limit %}"`, 100 * time.Second},
		{`1000`, 20 * time.Second},
	} {
		m := one(t, "JSONata", "M", `{"Type": "Map", "Items": "{% $range(1, 50, 1) %}", "MaxConcurrency": `+test.concurrency+`, "End": true,
			"ItemProcessor": {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 10, "End": true}}}}`)
		x := run(t, &asl.Interpreter{}, m, map[string]any{"limit": 5})
		if got := elapsed(x); got != test.want || len(x.Output().([]any)) != 50 {
			t.Errorf("MaxConcurrency %s took %v for %d items, want %v", test.concurrency, got, len(x.Output().([]any)), test.want)
		}
	}
}

func TestMapOfObject(t *testing.T) {
	m := one(t, "JSONata", "M", `{"Type": "Map", "Items": {"b": 2, "a": 1}, "End": true,
		"ItemSelector": "{% $states.context.Map.Item %}",
		"ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Succeed",
			"Output": "{% $states.input.Key & '=' & $states.context.Map.Item.Value & '@' & $states.input.Index %}"}}}}`)
	wantOutput(t, run(t, &asl.Interpreter{}, m, nil), []any{"a=1@0", "b=2@1"})
}

func TestNestedMaps(t *testing.T) {
	m := one(t, "JSONata", "Rows", `{"Type": "Map", "Items": [[1, 2], [3]], "End": true, "ItemProcessor": {"StartAt": "Cells", "States": {
		"Cells": {"Type": "Map", "Items": "{% $states.input %}", "End": true, "ItemProcessor": {"StartAt": "Cell", "States": {
			"Cell": {"Type": "Pass", "Output": "{% $states.input * 10 + $states.context.Map.Item.Index %}", "End": true}}}}}}}`)
	x := run(t, &asl.Interpreter{}, m, nil)
	wantOutput(t, x, []any{[]any{10.0, 21.0}, []any{30.0}})
	if got := x.StatesIn("Rows[0]/Cells[1]"); len(got) != 1 || got[0] != "Cell" {
		t.Errorf("the path of an inner item has %v", got)
	}
}

func TestVariables(t *testing.T) {
	for _, test := range []struct {
		name, definition string
		input, want      any
	}{
		// "Evaluation order in an assign field", Passing data between states with
		// variables, AWS Step Functions Developer Guide.
		{"AWS: evaluation order", `{"QueryLanguage": "JSONata", "StartAt": "Start", "States": {
			"Start": {"Type": "Pass", "Assign": {"x": 3, "a": 6}, "Next": "Swap"},
			"Swap": {"Type": "Pass", "Assign": {"x": "{% $a %}", "nextX": "{% $x %}"}, "Next": "End"},
			"End": {"Type": "Succeed", "Output": ["{% $x %}", "{% $nextX %}"]}}}`, nil, []any{6.0, 3.0}},
		{"output sees the old values", `{"QueryLanguage": "JSONata", "StartAt": "Start", "States": {
			"Start": {"Type": "Pass", "Assign": {"x": 1}, "Next": "Next"},
			"Next": {"Type": "Pass", "Assign": {"x": 2}, "Output": "{% $x %}", "End": true}}}`, nil, 1.0},
		{"JSONPath assigns and reads", `{"StartAt": "A", "States": {
			"A": {"Type": "Pass", "Result": {"code": 7}, "Assign": {"fixed": {"status": "SUCCESS", "at.$": "$.code"}, "name.$": "$$.Execution.Name"}, "Next": "B"},
			"B": {"Type": "Pass", "Parameters": {"s.$": "$fixed.status", "at.$": "$fixed.at", "n.$": "$name", "text.$": "States.Format('{}!', $fixed.status)"}, "End": true}}}`,
			nil, map[string]any{"s": "SUCCESS", "at": 7.0, "n": "execution", "text": "SUCCESS!"}},
		{"JSONPath compares variables", `{"StartAt": "A", "States": {
			"A": {"Type": "Pass", "Assign": {"limit": 5}, "Next": "C"},
			"C": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericGreaterThanPath": "$limit", "Next": "Big"}], "Default": "Small"},
			"Big": {"Type": "Pass", "Result": "big", "End": true}, "Small": {"Type": "Pass", "Result": "small", "End": true}}}`,
			map[string]any{"n": 6}, "big"},
		{"languages share variables", `{"StartAt": "A", "States": {
			"A": {"Type": "Pass", "Assign": {"n.$": "$.n"}, "Next": "B"},
			"B": {"Type": "Pass", "QueryLanguage": "JSONata", "Assign": {"m": "{% $n * 2 %}"}, "Next": "C"},
			"C": {"Type": "Pass", "Parameters": {"m.$": "$m"}, "End": true}}}`, map[string]any{"n": 4}, map[string]any{"m": 8.0}},
		{"branches read outer variables and keep their own", `{"QueryLanguage": "JSONata", "StartAt": "A", "States": {
			"A": {"Type": "Pass", "Assign": {"outer": 1}, "Next": "P"},
			"P": {"Type": "Parallel", "Branches": [
				{"StartAt": "B", "States": {"B": {"Type": "Pass", "Assign": {"own": "{% $outer + 1 %}"}, "Next": "B2"}, "B2": {"Type": "Succeed", "Output": "{% $own %}"}}},
				{"StartAt": "C", "States": {"C": {"Type": "Pass", "Assign": {"own": "{% $outer + 2 %}"}, "Next": "C2"}, "C2": {"Type": "Succeed", "Output": "{% $own %}"}}}],
				"Assign": {"sum": "{% $sum($states.result) %}"}, "Next": "Z"},
			"Z": {"Type": "Succeed", "Output": "{% $sum %}"}}}`, nil, 5.0},
		{"a rule assigns", `{"QueryLanguage": "JSONata", "StartAt": "C", "States": {
			"C": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input = 1 %}", "Assign": {"v": "rule"}, "Output": "out", "Next": "Z"}],
				"Default": "Z", "Assign": {"v": "default"}},
			"Z": {"Type": "Succeed", "Output": "{% $states.input & ' ' & $v %}"}}}`, 1, "out rule"},
		{"the default assigns", `{"QueryLanguage": "JSONata", "StartAt": "C", "States": {
			"C": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input = 1 %}", "Assign": {"v": "rule"}, "Next": "Z"}],
				"Default": "Z", "Assign": {"v": "default"}, "Output": "else"},
			"Z": {"Type": "Succeed", "Output": "{% $states.input & ' ' & $v %}"}}}`, 2, "else default"},
		{"a catcher assigns", `{"QueryLanguage": "JSONata", "StartAt": "T", "States": {
			"T": {"Type": "Task", "Resource": "` + lambda + `", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Z",
				"Assign": {"why": "{% $states.errorOutput.Error %}"}, "Output": "{% $states.errorOutput.Cause %}"}], "End": true},
			"Z": {"Type": "Succeed", "Output": "{% $why & ': ' & $states.input %}"}}}`, nil, "Boom: broken"},
		{"a JSONPath catcher assigns", `{"StartAt": "T", "States": {
			"T": {"Type": "Task", "Resource": "` + lambda + `", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Z", "ResultPath": null,
				"Assign": {"why.$": "$.Error"}}], "End": true},
			"Z": {"Type": "Pass", "Parameters": {"why.$": "$why", "in.$": "$"}, "End": true}}}`, 5, map[string]any{"why": "Boom", "in": 5.0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := run(t, tasks("T", asl.Script(asl.Throw("Boom", "broken"))), parse(t, test.definition), test.input)
			wantOutput(t, x, test.want)
		})
	}
}

// TestPublishedWorkflows has the examples of "Transforming data with JSONata in
// Step Functions" in the AWS Step Functions Developer Guide, with the input and
// output that stand there.
func TestPublishedWorkflows(t *testing.T) {
	for _, test := range []struct{ name, definition, input, want string }{
		{"Example: Input and Output", `{"Comment": "Input and Output example using JSONata", "QueryLanguage": "JSONata",
			"StartAt": "Basic Input and Output", "States": {"Basic Input and Output": {"QueryLanguage": "JSONata", "Type": "Succeed",
			"Output": {"lastName": "{% 'Last=>' & $states.input.customer.lastName %}", "orderValue": "{% $states.input.order.total %}"}}}}`,
			`{"customer": {"firstName": "Martha", "lastName": "Rivera"}, "order": {"items": 7, "total": 27.91}}`,
			`{"lastName": "Last=>Rivera", "orderValue": 27.91}`},
		{"Example: Filtering with JSONata", `{"Comment": "Filter products using JSONata", "QueryLanguage": "JSONata", "StartAt": "FilterDietProducts",
			"States": {"FilterDietProducts": {"Type": "Pass", "Output": {"dietProducts": "{% $states.input.products[calories=0] %}"}, "End": true}}}`,
			`{"products": [{"calories": 140, "flavour": "Cola", "name": "Product-1"}, {"calories": 0, "flavour": "Cola", "name": "Product-2"},
				{"calories": 160, "flavour": "Orange", "name": "Product-3"}, {"calories": 100, "flavour": "Orange", "name": "Product-4"},
				{"calories": 0, "flavour": "Lime", "name": "Product-5"}]}`,
			`{"dietProducts": [{"calories": 0, "flavour": "Cola", "name": "Product-2"}, {"calories": 0, "flavour": "Lime", "name": "Product-5"}]}`},
		{"conversion, JSONata", `{"QueryLanguage": "JSONata", "StartAt": "Before", "States": {
			"Before": {"Type": "Pass", "Assign": {"customerName": "María"}, "Next": "Echo"},
			"Echo": {"Type": "Task", "Resource": "` + lambda + `", "Arguments": {"static": "Hello", "title": "{% $states.input.title %}",
				"name": "{% $customerName %}", "not-evaluated": "$customerName"}, "End": true}}}`,
			`{"title": "Doctor"}`, `{"static": "Hello", "title": "Doctor", "name": "María", "not-evaluated": "$customerName"}`},
		{"conversion, JSONPath", `{"StartAt": "Before", "States": {
			"Before": {"Type": "Pass", "Assign": {"customerName": "María"}, "Next": "Echo"},
			"Echo": {"QueryLanguage": "JSONPath", "Type": "Task", "Resource": "` + lambda + `", "Parameters": {"static": "Hello", "title.$": "$.title",
				"name.$": "$customerName", "not-evaluated": "$customerName"}, "End": true}}}`,
			`{"title": "Doctor"}`, `{"static": "Hello", "title": "Doctor", "name": "María", "not-evaluated": "$customerName"}`},
		{"Items with an expression", `{"QueryLanguage": "JSONata", "StartAt": "Before", "States": {
			"Before": {"Type": "Pass", "Assign": {"two": 2}, "Next": "M"},
			"M": {"Type": "Map", "Items": [1, "{% $two %}", 3], "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Succeed"}}}, "End": true}}}`,
			`null`, `[1, 2, 3]`},
		{"Choice state, dear", checkPrice, `{"current_price": {"current_price": 9}, "desired_price": 7}`, `"Pause"`},
		{"Choice state, cheap", checkPrice, `{"current_price": {"current_price": 7}, "desired_price": 7}`, `"Send Notification"`},
		{"Choice state, JSONata, dear", checkPriceJSONata, `{"desired_price": 7, "current": 9}`, `"Pause"`},
		{"Choice state, JSONata, cheap", checkPriceJSONata, `{"desired_price": 7, "current": 7}`, `"Send Notification"`},
		{"functions", `{"QueryLanguage": "JSONata", "StartAt": "F", "States": {"F": {"Type": "Pass", "Assign": {"hashAlgorithmName": "SHA-1"}, "Next": "G"},
			"G": {"Type": "Pass", "Output": {"arrayPartition": "{% $partition([1,2,3,4], $states.input.chunkSize) %}", "arrayRange": "{% $range(0, 10, 2) %}",
			"myHash": "{% $hash($states.input.content, $hashAlgorithmName) %}", "deserializedPayload": "{% $parse($states.input.json_string) %}"}, "End": true}}}`,
			`{"chunkSize": 2, "content": "input data", "json_string": "{\"foo\": \"bar\"}"}`,
			`{"arrayPartition": [[1, 2], [3, 4]], "arrayRange": [0, 2, 4, 6, 8, 10],
				"myHash": "aaff4a450a104cd177d28d18d74485e8cae074b7", "deserializedPayload": {"foo": "bar"}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var input, want any
			if err := errors.Join(json.Unmarshal([]byte(test.input), &input), json.Unmarshal([]byte(test.want), &want)); err != nil {
				t.Fatal(err)
			}
			echo := func(_ ctx, task *asl.PendingTask) (any, error) { return task.Arguments, nil }
			x := run(t, tasks("Echo", echo), parse(t, test.definition), input)
			wantOutput(t, x, want)
		})
	}
}

// The states around the two forms of "Check Price" tell which way it went.
const (
	checkPrice = `{"StartAt": "Check Price", "States": {
		"Check Price": {"Type": "Choice", "Default": "Pause", "Choices": [{"Variable": "$.current_price.current_price",
			"NumericLessThanEqualsPath": "$.desired_price", "Next": "Send Notification"}]},
		"Pause": {"Type": "Pass", "Result": "Pause", "End": true},
		"Send Notification": {"Type": "Pass", "Result": "Send Notification", "End": true}}}`
	checkPriceJSONata = `{"QueryLanguage": "JSONata", "StartAt": "Store", "States": {
		"Store": {"Type": "Pass", "Assign": {"current_price": "{% $states.input.current %}"}, "Next": "Check Price"},
		"Check Price": {"Type": "Choice", "Default": "Pause", "Choices": [{"Condition": "{% $current_price <= $states.input.desired_price %}",
			"Next": "Send Notification"}]},
		"Pause": {"Type": "Pass", "Output": "Pause", "End": true},
		"Send Notification": {"Type": "Pass", "Output": "Send Notification", "End": true}}}`
)
