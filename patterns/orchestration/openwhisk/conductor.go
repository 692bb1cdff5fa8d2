package openwhisk

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/action"
)

// Members of the conductor's own parameters. OpenWhisk adds the state to the
// result of the action that ran, under stateKey.
const (
	stateKey = "$workflow" // the suspended execution
	waitKey  = "$wait"     // an activation that only waits until the time given
)

// margin is what an activation keeps of its time to answer.
const margin = 5 * time.Second

// MaxState is the largest state that a conductor leaves with OpenWhisk while a
// task runs, in bytes of JSON: OpenWhisk's limit for parameters, 1 MB, less
// the largest result of a task, which comes back beside it.
const MaxState = 1024*1024 - asl.MaxDataSize - 4096

// FileName is the name of the file beside the conductor's executable that holds
// the Workflow.
const FileName = "workflow.json"

// A Conductor runs a workflow as a conductor action of OpenWhisk.
type Conductor struct {
	// Clock tells the time and waits; nil is the real time.
	Clock asl.Clock
	// Logger takes a record for each task that is invoked and for the end,
	// without data; nil is slog's default.
	Logger *slog.Logger

	workflow Workflow
	machine  *asl.Machine
}

// NewConductor makes the conductor of a workflow that Translate made.
func NewConductor(w *Workflow) (*Conductor, error) {
	machine, err := asl.Parse(w.Definition)
	if err != nil {
		return nil, err
	}
	return &Conductor{workflow: *w, machine: machine}, nil
}

// Open makes the conductor of the workflow in the file beside the executable of
// the running process.
func Open() (*Conductor, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(executable), FileName))
	if err != nil {
		return nil, err
	}
	var w Workflow
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("%s: %w", FileName, err)
	}
	return NewConductor(&w)
}

// A continuation is a conductor's answer: the action to run next, or the
// result.
type continuation struct {
	Action string         `json:"action,omitempty"`
	Params any            `json:"params"`
	State  map[string]any `json:"state,omitempty"`
}

// A suspension is what a conductor must remember while an action runs.
type suspension struct {
	Execution []byte    `json:"execution"` // JSON, compressed
	Waiting   bool      `json:"waiting,omitempty"`
	Invoked   time.Time `json:"invoked"` // when the action was
	Answers   []answer  `json:"answers,omitempty"`
}

// An answer is the result of a task that ended before others it had started
// with.
type answer struct {
	Output any        `json:"output"`
	Error  *asl.Error `json:"error,omitempty"`
}

// Handle answers one activation of the conductor: it starts the workflow, or
// goes on with the result of the action that it asked for. It is an
// [action.Handler].
func (c *Conductor) Handle(ctx context.Context, params json.RawMessage) (any, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(params, &members); err != nil {
		return nil, fmt.Errorf("decode the parameters: %w", err)
	}
	if until, ok := members[waitKey]; ok && len(members) == 1 {
		var t time.Time
		if err := json.Unmarshal(until, &t); err != nil {
			return nil, fmt.Errorf("decode the time to wait for: %w", err)
		}
		return continuation{Params: struct{}{}}, c.sleep(ctx, t)
	}
	r := &run{Conductor: c, ctx: ctx}
	if state, ok := members[stateKey]; ok {
		delete(members, stateKey)
		if err := r.resume(state, members); err != nil {
			return nil, err
		}
	} else {
		input, err := action.Unbox(params)
		if err != nil {
			return nil, err
		}
		a := action.FromContext(ctx)
		r.execution, err = c.machine.Start(input, asl.StartOptions{
			Name:         a.ID,
			StateMachine: a.Action[strings.LastIndex(a.Action, "/")+1:],
			Time:         c.clock().Now(),
			Untraced:     !c.workflow.Trace,
		})
		if err != nil {
			return nil, err
		}
	}
	return r.advance()
}

func (c *Conductor) clock() asl.Clock {
	if c.Clock == nil {
		return asl.WallClock{}
	}
	return c.Clock
}

func (c *Conductor) log() *slog.Logger {
	if c.Logger == nil {
		return slog.Default()
	}
	return c.Logger
}

// sleep waits until the time, or until the activation must answer.
func (c *Conductor) sleep(ctx context.Context, until time.Time) error {
	if d := action.FromContext(ctx).Deadline; !d.IsZero() && until.After(d.Add(-margin)) {
		until = d.Add(-margin)
	}
	return c.clock().Sleep(ctx, until)
}

// A run is one activation's share of an execution.
//
// The tasks that start together are a round. They run one after the other, and
// none of their answers counts before all have one.
type run struct {
	*Conductor
	ctx       context.Context
	execution *asl.Execution
	answers   []answer // of the round's first tasks
}

// resume takes up the execution with the result of the action that ran.
func (r *run) resume(state json.RawMessage, result map[string]json.RawMessage) error {
	var s suspension
	if err := json.Unmarshal(state, &s); err != nil {
		return fmt.Errorf("decode the suspended workflow: %w", err)
	}
	data, err := unpack(s.Execution)
	if err != nil {
		return fmt.Errorf("unpack the suspended workflow: %w", err)
	}
	if r.execution, err = r.machine.Resume(data); err != nil {
		return err
	}
	r.answers = s.Answers
	if s.Waiting {
		if e, ok := result["error"]; ok {
			return &action.Error{Type: asl.ErrorRuntime, Message: fmt.Sprintf("the workflow cannot wait: %s", errorOf(e).Cause)}
		}
		return nil
	}
	tasks := r.execution.Tasks()
	if len(s.Answers) >= len(tasks) {
		return errors.New("the suspended workflow waits for no task")
	}
	task := tasks[len(s.Answers)]
	r.answers = append(r.answers, r.answer(task, result, s.Invoked))
	return nil
}

// answer returns what an action's result is to the task.
func (r *run) answer(t *asl.PendingTask, result map[string]json.RawMessage, invoked time.Time) answer {
	if !t.Deadline.IsZero() && r.clock().Now().Sub(invoked) > t.Deadline.Sub(t.Scheduled) {
		return answer{Error: &asl.Error{Name: asl.ErrorTimeout, Cause: fmt.Sprintf("the action of state %q took longer than its TimeoutSeconds", t.State)}}
	}
	if e, ok := result["error"]; ok {
		return answer{Error: errorOf(e)}
	}
	object, err := json.Marshal(result)
	if err == nil {
		object, err = action.Unbox(object)
	}
	var output any
	if err == nil {
		err = json.Unmarshal(object, &output)
	}
	if err != nil {
		return answer{Error: &asl.Error{Name: asl.ErrorRuntime, Cause: err.Error()}}
	}
	if invokes(t) {
		output = map[string]any{"ExecutedVersion": "$LATEST", "Payload": output, "StatusCode": 200}
	}
	return answer{Output: output}
}

// advance carries the execution on until an action is to run or it has ended.
func (r *run) advance() (any, error) {
	for {
		tasks := r.execution.Tasks()
		if len(r.answers) < len(tasks) {
			return r.invoke(tasks[len(r.answers)])
		}
		for i, t := range tasks {
			var err error
			if a := r.answers[i]; a.Error != nil {
				err = r.execution.SendTaskFailure(t.Token, a.Error)
			} else {
				err = r.execution.SendTaskSuccess(t.Token, a.Output)
			}
			if err != nil {
				return nil, err
			}
		}
		r.answers = nil
		r.execution.Advance(r.clock().Now())
		if r.execution.Status() != asl.Running {
			return r.end()
		}
		if len(r.execution.Tasks()) > 0 {
			continue
		}
		wake, ok := r.execution.Wake()
		if !ok {
			return nil, &action.Error{Type: asl.ErrorRuntime, Message: "the workflow waits for what never comes"}
		}
		a := action.FromContext(r.ctx)
		if !a.Deadline.IsZero() && wake.After(a.Deadline.Add(-margin)) {
			// The conductor invokes itself to wait, for a composition within
			// another does not count as one of its actions.
			return r.suspend(a.Action, map[string]time.Time{waitKey: wake}, true)
		}
		if err := r.sleep(r.ctx, wake); err != nil {
			return nil, err
		}
	}
}

// invoke asks OpenWhisk to run the task's action.
func (r *run) invoke(t *asl.PendingTask) (any, error) {
	name, ok := r.workflow.Actions[t.State]
	if !ok {
		return nil, &action.Error{Type: asl.ErrorRuntime, Message: fmt.Sprintf("state %q has no action", t.State)}
	}
	arguments := t.Arguments
	if invokes(t) {
		members, _ := t.Arguments.(map[string]any)
		arguments = members["Payload"]
	}
	params, err := action.Box(arguments)
	if err != nil {
		return nil, err
	}
	r.log().InfoContext(r.ctx, "task", "execution", r.execution.Name(), "state", t.State, "path", t.Path, "action", name, "attempt", t.Attempt)
	return r.suspend(name, params, false)
}

func (r *run) suspend(name string, params any, waiting bool) (any, error) {
	data, err := json.Marshal(r.execution)
	if err != nil {
		return nil, err
	}
	packed, err := pack(data)
	if err != nil {
		return nil, err
	}
	state, err := json.Marshal(suspension{Execution: packed, Waiting: waiting, Invoked: r.clock().Now(), Answers: r.answers})
	if err != nil {
		return nil, err
	}
	if len(state) > MaxState {
		return nil, &action.Error{Type: asl.ErrorDataLimitExceeded,
			Message: fmt.Sprintf("the workflow's state has %d bytes and OpenWhisk has room for %d: hand on references instead of data", len(state), MaxState)}
	}
	return continuation{Action: name, Params: params, State: map[string]any{stateKey: json.RawMessage(state)}}, nil
}

// end returns the workflow's result.
func (r *run) end() (any, error) {
	x := r.execution
	for _, v := range x.Trace() {
		r.log().InfoContext(r.ctx, "visit", "execution", x.Name(), "visit", v)
	}
	if x.Status() == asl.Succeeded {
		r.log().InfoContext(r.ctx, "succeeded", "execution", x.Name())
		output, err := action.Box(x.Output())
		return continuation{Params: output}, err
	}
	var failure *asl.Error
	errors.As(x.Err(), &failure)
	r.log().ErrorContext(r.ctx, "failed", "execution", x.Name(), "status", x.Status(), "error", failure.Name)
	return nil, &action.Error{Type: failure.Name, Message: failure.Cause}
}

// invokes reports whether the task calls its function through lambda:invoke.
func invokes(t *asl.PendingTask) bool {
	return strings.HasSuffix(t.Resource, ":states:::lambda:invoke")
}

// errorOf names an action's error. Texts are OpenWhisk's own or those of an
// action that has no names for its errors.
//
// Source: common/scala/src/main/scala/org/apache/openwhisk/http/ErrorResponse.scala
// in https://github.com/apache/openwhisk.
func errorOf(data json.RawMessage) *asl.Error {
	var named action.Error
	if json.Unmarshal(data, &named) == nil && named.Type != "" {
		return &asl.Error{Name: named.Type, Cause: named.Message}
	}
	var text string
	if json.Unmarshal(data, &text) != nil {
		text = string(data)
	}
	name := asl.ErrorTaskFailed
	for part, other := range map[string]string{
		"exceeded its time limits of":                 asl.ErrorTimeout,
		"response that exceeded the allowed length":   asl.ErrorDataLimitExceeded,
		"Failed entitlement check for action":         asl.ErrorPermissions,
		"Failed to resolve action with name":          "Lambda.ResourceNotFoundException", // as Step Functions says it
		"Too many actions in the composition":         asl.ErrorRuntime,                   // a retry would be one more
		"Failed to parse action name from json value": asl.ErrorRuntime,
	} {
		if strings.Contains(text, part) {
			name = other
		}
	}
	return &asl.Error{Name: name, Cause: text}
}

func pack(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

func unpack(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
