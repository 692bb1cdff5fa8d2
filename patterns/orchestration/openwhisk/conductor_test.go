package openwhisk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/action"
)

// A composer plays OpenWhisk to one conductor, on a clock that jumps.
type composer struct {
	*openwhisk.Conductor
	clock   *asl.Timeline
	limit   time.Duration // of an activation; 0 for none
	actions map[string]func(params string) string
	invoked []string // the actions, and "wait"
}

func compose(t *testing.T, definition string, actions map[string]func(string) string) *composer {
	t.Helper()
	names := map[string]string{}
	for name := range actions {
		names[name] = "/_/p/" + name
	}
	w, err := openwhisk.Translate([]byte(definition), names)
	if err != nil {
		t.Fatal(err)
	}
	c, err := openwhisk.NewConductor(w)
	if err != nil {
		t.Fatal(err)
	}
	clock := asl.NewTimeline(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	c.Clock, c.Logger = clock, slog.New(slog.NewTextHandler(io.Discard, nil))
	return &composer{Conductor: c, clock: clock, actions: actions}
}

func merge(t *testing.T, object string, state map[string]json.RawMessage) string {
	t.Helper()
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(object), &members); err != nil {
		t.Fatalf("%s: %v", object, err)
	}
	for key, v := range state {
		members[key] = v
	}
	data, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// run returns the composition's result, or the conductor's error.
func (c *composer) run(t *testing.T, params string) (string, error) {
	t.Helper()
	for range 200 {
		a := action.Activation{ID: "a1", Action: "/guest/p/workflow"}
		if c.limit > 0 {
			a.Deadline = c.clock.Now().Add(c.limit)
		}
		out, err := c.Handle(action.NewContext(t.Context(), a), json.RawMessage(params))
		if err != nil {
			return "", err
		}
		data, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Action string
			Params json.RawMessage
			State  map[string]json.RawMessage
		}
		if err := json.Unmarshal(data, &answer); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(answer.Action, "/_/p/")
		switch {
		case name == "":
			return string(answer.Params), nil
		case answer.Action == "/guest/p/workflow":
			c.invoked = append(c.invoked, "wait")
			result, err := c.run(t, string(answer.Params))
			if err != nil {
				t.Fatal(err)
			}
			params = merge(t, result, answer.State)
		default:
			c.invoked = append(c.invoked, name)
			params = merge(t, c.actions[name](string(answer.Params)), answer.State)
		}
	}
	t.Fatal("the workflow does not end")
	return "", nil
}

func constant(result string) func(string) string { return func(string) string { return result } }

func task(extra string) string {
	return `{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:lambda:eu-west-1:123456789012:function:f", "End": true` + extra + `}}}`
}

func TestConductorErrors(t *testing.T) {
	for result, want := range map[string]asl.Error{
		`{"error": {"errorType": "Declined", "errorMessage": "no"}}`: {Name: "Declined", Cause: "no"},
		`{"error": "plain"}`:    {Name: "States.TaskFailed", Cause: "plain"},
		`{"error": {"code":5}}`: {Name: "States.TaskFailed", Cause: `{"code":5}`},
		`{"error": null}`:       {Name: "States.TaskFailed"},
		`{"error": "The action exceeded its time limits of 100 milliseconds."}`:          {Name: "States.Timeout", Cause: "The action exceeded its time limits of 100 milliseconds."},
		`{"error": "Too many actions in the composition."}`:                              {Name: "States.Runtime", Cause: "Too many actions in the composition."},
		`{"error": "Failed to resolve action with name '_/p/f' during composition."}`:    {Name: "Lambda.ResourceNotFoundException", Cause: "Failed to resolve action with name '_/p/f' during composition."},
		`{"error": "Failed entitlement check for action with name 'f' in composition."}`: {Name: "States.Permissions", Cause: "Failed entitlement check for action with name 'f' in composition."},
	} {
		c := compose(t, task(""), map[string]func(string) string{"f": constant(result)})
		_, err := c.run(t, `{}`)
		var failure *action.Error
		if !errors.As(err, &failure) || failure.Type != want.Name || failure.Message != want.Cause {
			t.Errorf("%s ends the workflow with %v, want %v", result, err, &want)
		}
	}
}

// What no retrier may handle is not tried again.
func TestConductorTooManyActions(t *testing.T) {
	c := compose(t, task(`, "Retry": [{"ErrorEquals": ["States.ALL"]}]`),
		map[string]func(string) string{"f": constant(`{"error": "Too many actions in the composition."}`)})
	if _, err := c.run(t, `{}`); err == nil || len(c.invoked) != 1 {
		t.Errorf("%v after %v", err, c.invoked)
	}
}

func TestConductorInputAndOutput(t *testing.T) {
	for input, want := range map[string]string{
		`{"a":1}`:                  `{"a":1}`,
		`{}`:                       `{}`,
		`{"$value":[1,"x"]}`:       `{"$value":[1,"x"]}`,
		`{"$value":null}`:          `{"$value":null}`,
		`{"$value":{"error":"e"}}`: `{"$value":{"error":"e"}}`,
	} {
		var got string
		c := compose(t, task(""), map[string]func(string) string{"f": func(params string) string {
			got = params
			return params
		}})
		out, err := c.run(t, input)
		if err != nil || out != want || got != want {
			t.Errorf("input %s reaches the action as %s and comes out as %s, %v; want %s", input, got, out, err, want)
		}
	}
}

// A wait that fits into an activation is slept, a longer one takes as many
// activations as it needs.
func TestConductorWaits(t *testing.T) {
	definition := `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": %d, "Next": "A"},
		"A": {"Type": "Task", "Resource": "arn:aws:lambda:eu-west-1:123456789012:function:f", "End": true}}}`
	for _, test := range []struct {
		seconds int
		limit   time.Duration
		waits   int
	}{
		{50, time.Minute, 0},
		{54, time.Minute, 0},
		{56, time.Minute, 1}, // 5 s are kept to answer
		{200, time.Minute, 3},
		{4 * 3600, 5 * time.Minute, 48},
		{4 * 3600, 0, 0},
	} {
		c := compose(t, fmt.Sprintf(definition, test.seconds), map[string]func(string) string{"f": constant(`{}`)})
		c.limit = test.limit
		start := c.clock.Now()
		if _, err := c.run(t, `{}`); err != nil {
			t.Fatal(err)
		}
		if took := c.clock.Now().Sub(start); took != time.Duration(test.seconds)*time.Second || len(c.invoked) != test.waits+1 {
			t.Errorf("waiting for %d s in activations of %v took %v and %v", test.seconds, test.limit, took, c.invoked)
		}
	}
}

// A task's time is its own: it does not run while others that started with it
// do.
func TestConductorTimeoutSeconds(t *testing.T) {
	branch := func(name string) string {
		return fmt.Sprintf(`{"StartAt": %q, "States": {%q: {"Type": "Task", "TimeoutSeconds": 10,
			"Resource": "arn:aws:lambda:eu-west-1:123456789012:function:f", "End": true}}}`, name, name)
	}
	definition := `{"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": [` + branch("A") + `,` + branch("B") + `], "End": true}}}`
	for _, test := range []struct {
		took time.Duration
		want string
	}{{8 * time.Second, ""}, {11 * time.Second, asl.ErrorTimeout}} {
		c := compose(t, definition, map[string]func(string) string{"f": nil})
		c.actions["f"] = func(string) string {
			_ = c.clock.Sleep(t.Context(), c.clock.Now().Add(test.took))
			return `{"done": true}`
		}
		_, err := c.run(t, `{}`)
		var failure *action.Error
		errors.As(err, &failure)
		if test.want == "" && err != nil || test.want != "" && (failure == nil || failure.Type != test.want) {
			t.Errorf("two tasks of %v end with %v, want %q", test.took, err, test.want)
		}
		if len(c.invoked) != 2 {
			t.Errorf("invoked %v, want both tasks that started together", c.invoked)
		}
	}
}

func TestConductorStateTooLarge(t *testing.T) {
	// Random text does not get smaller by packing.
	var text strings.Builder
	for i := uint64(88172645463325252); text.Len() < 200_000; {
		i ^= i << 13
		i ^= i >> 7
		i ^= i << 17
		fmt.Fprintf(&text, "%016x", i)
	}
	definition := `{"QueryLanguage": "JSONata", "StartAt": "M", "States": {"M": {"Type": "Map", "Items": [1,2,3,4,5,6,7,8], "MaxConcurrency": 1,
		"ItemProcessor": {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:lambda:eu-west-1:123456789012:function:f", "End": true}}}, "End": true}}}`
	n := 0
	c := compose(t, definition, map[string]func(string) string{"f": func(string) string {
		n++
		text := text.String()
		return fmt.Sprintf(`{"text": %q}`, text[n*1000:]+text[:n*1000]+fmt.Sprint(n))
	}})
	_, err := c.run(t, `{}`)
	var failure *action.Error
	if !errors.As(err, &failure) || failure.Type != asl.ErrorDataLimitExceeded {
		t.Errorf("the workflow ends with %.200v after %d tasks", err, n)
	}
}

func TestConductorRefusesForeignState(t *testing.T) {
	a := compose(t, task(""), map[string]func(string) string{"f": constant(`{}`)})
	b := compose(t, task(`, "Comment": "another"`), map[string]func(string) string{"f": constant(`{}`)})
	out, err := a.Handle(t.Context(), json.RawMessage(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ State json.RawMessage }
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Handle(t.Context(), answer.State); err == nil || !strings.Contains(err.Error(), "another definition") {
		t.Errorf("a conductor resumes another workflow's state: %v", err)
	}
	for _, state := range []string{`1`, `{}`, `{"execution": "AAAA"}`} {
		if _, err := a.Handle(t.Context(), json.RawMessage(`{"$workflow": `+state+`}`)); err == nil {
			t.Errorf("the state %s was resumed", state)
		}
	}
	if _, err := a.Handle(t.Context(), json.RawMessage(`{"$wait": "soon"}`)); err == nil {
		t.Error("waited for soon")
	}
}

// A conductor that cannot wait says so.
func TestConductorCannotWait(t *testing.T) {
	c := compose(t, `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 100, "End": true}}}`, nil)
	deadline := c.clock.Now().Add(time.Minute)
	ctx := action.NewContext(context.Background(), action.Activation{Action: "/guest/p/workflow", Deadline: deadline})
	out, err := c.Handle(ctx, json.RawMessage(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	data, _ := json.Marshal(out)
	var answer struct{ State map[string]json.RawMessage }
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatal(err)
	}
	_, err = c.Handle(ctx, json.RawMessage(merge(t, `{"error": "Failed entitlement check for action"}`, answer.State)))
	want := &action.Error{Type: asl.ErrorRuntime, Message: "the workflow cannot wait: Failed entitlement check for action"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}
