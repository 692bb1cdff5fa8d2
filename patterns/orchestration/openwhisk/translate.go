package openwhisk

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/orchestration/internal/functionname"
)

// A Workflow is a definition and the actions that stand for its functions. As
// JSON it is what the conductor reads beside its executable.
type Workflow struct {
	// Definition is the workflow in the Amazon States Language.
	Definition json.RawMessage `json:"definition"`
	// Actions are the full names of the actions by the Task states that call
	// them.
	Actions map[string]string `json:"actions"`
	// Trace logs every visited state, with its input and output, when the
	// workflow ends. Until then the trace is part of the conductor's state,
	// which OpenWhisk limits: use it for tests and to find mistakes.
	Trace bool `json:"trace,omitempty"`
}

// MaxActions is how many actions OpenWhisk runs in one sequence or composition,
// unless the operator changed limits.actions.sequence.maxLength.
const MaxActions = 50

// ActionTimeout is how long one activation of an action may take at most, unless
// the operator changed whisk.time-limit.max. A conductor's may.
const ActionTimeout = 5 * time.Minute

// MaxWait is the longest time that a Wait state or a retry can wait: OpenWhisk
// activates a conductor up to 2 MaxActions + 1 times, and a long wait takes two
// activations for each ActionTimeout.
const MaxWait = MaxActions * (ActionTimeout - margin)

// Translate returns the workflow for OpenWhisk. The actions are keyed like the
// handlers of asl.Interpreter: by the name of the state, or by the function's
// ARN, with or without its alias, or name. The error of type asl.Problems lists
// what is wrong with the definition, and every state that OpenWhisk cannot run.
func Translate(definition []byte, actions map[string]string) (*Workflow, error) {
	machine, err := asl.Parse(definition)
	if err != nil {
		return nil, err
	}
	t := translator{actions: actions, used: map[string]bool{}, fields: map[string]map[string]any{}}
	var document map[string]any
	if err := json.Unmarshal(definition, &document); err != nil {
		return nil, err
	}
	t.collect(document)
	w := &Workflow{Definition: definition, Actions: map[string]string{}}
	for s := range machine.All() {
		t.check(s, w)
	}
	for _, key := range slices.Sorted(maps.Keys(actions)) {
		if !t.used[key] {
			t.problems = append(t.problems, asl.Problem{Message: fmt.Sprintf("no state calls the function %s, which is mapped to the action %s: remove it, or correct its name", key, actions[key])})
		}
	}
	if len(t.problems) > 0 {
		return nil, t.problems
	}
	return w, nil
}

type translator struct {
	actions  map[string]string
	used     map[string]bool
	fields   map[string]map[string]any // of each state, by its name, which is unique
	problems asl.Problems
}

func (t *translator) collect(machine map[string]any) {
	states, _ := machine["States"].(map[string]any)
	for name, v := range states {
		state, _ := v.(map[string]any)
		t.fields[name] = state
		for _, field := range []string{"ItemProcessor", "Iterator"} {
			if inner, ok := state[field].(map[string]any); ok {
				t.collect(inner)
			}
		}
		branches, _ := state["Branches"].([]any)
		for _, b := range branches {
			if inner, ok := b.(map[string]any); ok {
				t.collect(inner)
			}
		}
	}
}

func (t *translator) problem(s *asl.State, field, format string, args ...any) {
	t.problems = append(t.problems, asl.Problem{State: s.Name, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (t *translator) check(s *asl.State, w *Workflow) {
	fields := t.fields[s.Name]
	switch {
	case s.Distributed:
		t.problem(s, "ItemProcessor.ProcessorConfig.Mode", "OpenWhisk cannot run a Distributed Map: use INLINE")
	case s.Type == asl.Wait:
		if n, ok := fields["Seconds"].(float64); ok && n > MaxWait.Seconds() {
			t.problem(s, "Seconds", "OpenWhisk cannot wait longer than %v, not %v s: let a trigger start a second workflow then", MaxWait, n)
		}
	case s.Type == asl.Task:
		t.task(s, fields, w)
	}
	for i, r := range s.Retry {
		longest := r.MaxDelay
		if longest == 0 {
			// The delay grows until the last retry.
			longest = time.Duration(math.Min(float64(r.Interval)*math.Pow(r.BackoffRate, float64(max(0, r.MaxAttempts-1))), math.MaxInt64/2))
		}
		if longest > MaxWait {
			t.problem(s, fmt.Sprintf("Retry[%d]", i), "the last retry would wait for %v, OpenWhisk at most for %v: set MaxDelaySeconds", longest.Round(time.Second), MaxWait)
		}
	}
}

func (t *translator) task(s *asl.State, fields map[string]any, w *Workflow) {
	for _, field := range []string{"HeartbeatSeconds", "HeartbeatSecondsPath"} {
		if _, ok := fields[field]; ok {
			t.problem(s, field, "an action of OpenWhisk sends no heartbeats: remove the field")
		}
	}
	if _, ok := fields["Credentials"]; ok {
		t.problem(s, "Credentials", "OpenWhisk knows no IAM roles: remove the field")
	}
	_, suffix, _ := strings.Cut(s.Resource, ":states:::")
	switch {
	case strings.HasSuffix(s.Resource, ".waitForTaskToken"):
		t.problem(s, "Resource", "OpenWhisk has no task tokens (%s): let a trigger start a second workflow with the answer", s.Resource)
		return
	case strings.HasSuffix(s.Resource, ".sync"), strings.HasSuffix(s.Resource, ".sync:2"):
		t.problem(s, "Resource", "OpenWhisk cannot wait for a job (%s): start and poll it in a function, with Wait and Choice", s.Resource)
		return
	case strings.Contains(s.Resource, ":activity:"):
		t.problem(s, "Resource", "OpenWhisk has no activities (%s): call a function", s.Resource)
		return
	case suffix != "" && suffix != "lambda:invoke":
		t.problem(s, "Resource", "OpenWhisk has no integration with AWS's services (%s): call the service in a function", s.Resource)
		return
	}
	names := []string{s.Resource}
	if suffix != "" {
		name, ok := t.invoked(s, fields)
		if !ok {
			return
		}
		names = functionname.All(name)
	} else {
		names = append(names, functionname.All(s.Resource)...)
	}
	for _, key := range append([]string{s.Name}, names...) {
		if action, ok := t.actions[key]; ok {
			w.Actions[s.Name] = action
			t.used[key] = true
			return
		}
	}
	t.problem(s, "Resource", "no action is given for the function %s: map it, or the state, to an action of OpenWhisk", names[0])
}

// invoked returns the function that the state invokes through lambda:invoke.
func (t *translator) invoked(s *asl.State, fields map[string]any) (string, bool) {
	field := "Arguments"
	if s.QueryLanguage == asl.JSONPath {
		field = "Parameters"
	}
	arguments, _ := fields[field].(map[string]any)
	ok := true
	if kind, has := arguments["InvocationType"]; has && kind != "RequestResponse" {
		t.problem(s, field+".InvocationType", "OpenWhisk waits for each action of a workflow: RequestResponse, not %v", kind)
		ok = false
	}
	name, isText := arguments["FunctionName"].(string)
	if _, mapped := t.actions[s.Name]; mapped {
		return name, ok
	}
	if !isText || strings.HasPrefix(name, "{%") {
		t.problem(s, field+".FunctionName", "the function must be known when the workflow is deployed: name it, or map the state to an action")
		ok = false
	}
	return name, ok
}
