package openwhisk

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
)

// Sequence returns the actions of a linear workflow, which OpenWhisk runs
// without a conductor: two tasks or more, each given the output of the one
// before, nothing in between, no Retry, no Catch and no time-out that could
// strike. It reports false for any other workflow.
//
// Such a task calls a function by its ARN, or invokes it with its whole input
// and outputs its whole payload:
//
//	"Arguments": {"FunctionName": "...", "Payload": "{% $states.input %}"},
//	"Output": "{% $states.result.Payload %}"
//
// and in JSONPath with "Payload.$": "$" and "OutputPath": "$.Payload".
func (w *Workflow) Sequence() ([]string, bool) {
	machine, err := asl.Parse(w.Definition)
	if err != nil || w.Trace {
		return nil, false
	}
	var document struct {
		States map[string]map[string]any
	}
	if err := json.Unmarshal(w.Definition, &document); err != nil {
		return nil, false
	}
	var actions []string
	visited := map[string]bool{}
	for name := machine.StartAt; name != ""; name = machine.States[name].Next {
		s := machine.States[name]
		switch {
		case visited[name]: // it goes round for ever
			return nil, false
		case s.Type == asl.Task && hands(s, document.States[name]):
			actions = append(actions, w.Actions[name])
		case (s.Type == asl.Pass || s.Type == asl.Succeed) && has(document.States[name]):
		default:
			return nil, false
		}
		visited[name] = true
	}
	// Actions end by themselves, but a shorter time-out of the whole can strike.
	if machine.Timeout > 0 && machine.Timeout < time.Duration(len(actions))*ActionTimeout {
		return nil, false
	}
	return actions, len(actions) >= 2 && len(actions) <= MaxActions
}

// hands reports whether the task hands its input to the function and the
// function's output on.
func hands(s *asl.State, fields map[string]any) bool {
	if has(fields, "Resource") {
		return true
	}
	if s.QueryLanguage == asl.JSONPath {
		p, _ := fields["Parameters"].(map[string]any)
		return has(fields, "Resource", "Parameters", "OutputPath") && has(p, "FunctionName", "Payload.$") &&
			p["Payload.$"] == "$" && fields["OutputPath"] == "$.Payload"
	}
	a, _ := fields["Arguments"].(map[string]any)
	return has(fields, "Resource", "Arguments", "Output") && has(a, "FunctionName", "Payload") &&
		a["Payload"] == "{% $states.input %}" && fields["Output"] == "{% $states.result.Payload %}"
}

// has reports whether the fields are no others than the given ones and those
// that every state may have without doing anything.
func has(fields map[string]any, names ...string) bool {
	idle := []string{"Type", "Comment", "QueryLanguage", "Next", "End"}
	for name := range fields {
		if !slices.Contains(names, name) && !slices.Contains(idle, name) {
			return false
		}
	}
	return true
}
