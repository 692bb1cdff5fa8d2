package asl

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/asl/internal/uuid"
)

// A Status is what has become of an execution.
type Status string

// The statuses, as DescribeExecution names them.
const (
	Running   Status = "RUNNING"
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
	TimedOut  Status = "TIMED_OUT"
	Aborted   Status = "ABORTED"
)

// ErrTaskDoesNotExist means that no pending task has the given token: it has
// ended, timed out or never was.
var ErrTaskDoesNotExist = errors.New("asl: no pending task has this token")

// MaxEvents is how many events the history of an execution may hold; one that
// exceeds it fails ("Service quotas", AWS Step Functions Developer Guide).
const MaxEvents = 25_000

// An Execution is one run of a machine. It does nothing by itself: Advance
// carries it on until it can only wait, Tasks says what for, and
// SendTaskSuccess or SendTaskFailure brings the answers. An Interpreter does
// this with Go functions; a program that must sleep between two steps
// marshals the execution to JSON and resumes it with Machine.Resume.
//
// An Execution is not safe for concurrent use.
type Execution struct {
	machine *Machine
	source  *rand.PCG
	random  *rand.Rand
	rec     record
}

// record is the part of an execution that is serialized.
type record struct {
	Definition string    `json:"definition"`
	Name       string    `json:"name"`
	ID         string    `json:"id"`
	MachineID  string    `json:"machineId"`
	RoleARN    string    `json:"roleArn"`
	Input      any       `json:"input"`
	Started    time.Time `json:"started"`
	Now        time.Time `json:"now"`
	Deadline   time.Time `json:"deadline,omitzero"`
	Redrives   int       `json:"redrives,omitempty"`
	Redriven   time.Time `json:"redriven,omitzero"`
	Status     Status    `json:"status"`
	Output     any       `json:"output,omitempty"`
	Failure    *Error    `json:"failure,omitempty"`
	Root       *thread   `json:"root"`
	Tokens     int       `json:"tokens"`
	Random     []byte    `json:"random"`
	Untraced   bool      `json:"untraced,omitempty"`
	Trace      []*Visit  `json:"trace,omitempty"`
}

// StartOptions are the properties of an execution that have a default.
type StartOptions struct {
	// Name is the execution's name; default "execution". Random numbers and
	// UUIDs are drawn from it, so that the same name gives the same ones: give
	// each execution of its own a name of its own where that matters.
	Name string
	// StateMachine is the state machine's name; default "machine".
	StateMachine string
	// Time is when the execution starts; default 2000-01-01T00:00:00Z.
	Time time.Time
	// Untraced leaves out the trace, which grows with every state.
	Untraced bool
}

// Start makes an execution of the machine. The input is any Go value with a
// JSON form; the error says that it has none or is too large.
func (m *Machine) Start(input any, o StartOptions) (*Execution, error) {
	if m.digest == "" {
		return nil, fmt.Errorf("asl: the machine inside state %q cannot be started by itself", m.owner)
	}
	data, err := normalize(input)
	if err != nil {
		return nil, fmt.Errorf("asl: the input has no JSON form: %w", err)
	}
	if n := dataSize(data); n > MaxDataSize {
		return nil, fmt.Errorf("asl: the input has %d bytes of JSON; Step Functions accepts %d", n, MaxDataSize)
	}
	if o.Name == "" {
		o.Name = "execution"
	}
	if o.StateMachine == "" {
		o.StateMachine = "machine"
	}
	if o.Time.IsZero() {
		o.Time = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	const arn = "arn:aws:states:us-east-1:123456789012:"
	x := &Execution{machine: m, rec: record{
		Definition: m.digest,
		Name:       o.Name,
		ID:         arn + "execution:" + o.StateMachine + ":" + o.Name,
		MachineID:  arn + "stateMachine:" + o.StateMachine,
		RoleARN:    "arn:aws:iam::123456789012:role/" + o.StateMachine,
		Input:      data,
		Started:    o.Time.UTC(),
		Now:        o.Time.UTC(),
		Status:     Running,
		Untraced:   o.Untraced,
	}}
	if m.Timeout > 0 {
		x.rec.Deadline = x.rec.Started.Add(m.Timeout)
	}
	h := fnv.New64a()
	h.Write([]byte(o.Name))
	x.source = rand.NewPCG(h.Sum64(), 0)
	x.random = rand.New(x.source)
	x.rec.Root = &thread{State: m.StartAt, Status: Running, Phase: entering, Input: data, machine: m}
	return x, nil
}

// MarshalJSON returns everything Resume needs to go on.
func (x *Execution) MarshalJSON() ([]byte, error) {
	r := x.rec
	random, err := x.source.MarshalBinary()
	if err != nil {
		return nil, err
	}
	r.Random = random
	return json.Marshal(r)
}

// Resume makes an execution from what json.Marshal returned for it. The
// machine must come from the same definition, byte for byte.
func (m *Machine) Resume(data []byte) (*Execution, error) {
	x := &Execution{machine: m, source: &rand.PCG{}}
	if err := json.Unmarshal(data, &x.rec); err != nil {
		return nil, fmt.Errorf("asl: resume an execution: %w", err)
	}
	if x.rec.Definition != m.digest || m.digest == "" {
		return nil, fmt.Errorf("asl: resume execution %q: it was started from another definition", x.rec.Name)
	}
	if x.rec.Root == nil {
		return nil, fmt.Errorf("asl: resume execution %q: its state is missing", x.rec.Name)
	}
	if err := x.source.UnmarshalBinary(x.rec.Random); err != nil {
		return nil, fmt.Errorf("asl: resume execution %q: %w", x.rec.Name, err)
	}
	x.random = rand.New(x.source)
	if err := x.adopt(x.rec.Root, nil, m); err != nil {
		return nil, fmt.Errorf("asl: resume execution %q: %w", x.rec.Name, err)
	}
	return x, nil
}

// adopt gives a thread back what its JSON leaves out.
func (x *Execution) adopt(t, parent *thread, m *Machine) error {
	t.machine, t.parent = m, parent
	if _, ok := m.States[t.State]; !ok {
		return fmt.Errorf("its state %q is not in the definition", t.State)
	}
	for _, c := range t.threads() {
		inner := t.inner(c.Index)
		if inner == nil {
			return fmt.Errorf("its state %q has no branch %d in the definition", t.State, c.Index)
		}
		if err := x.adopt(c, t, inner); err != nil {
			return err
		}
	}
	return nil
}

// Name returns the execution's name.
func (x *Execution) Name() string { return x.rec.Name }

// Status returns what has become of the execution.
func (x *Execution) Status() Status { return x.rec.Status }

// Output returns the output of a succeeded execution as plain JSON data, nil
// otherwise.
func (x *Execution) Output() any { return x.rec.Output }

// Err returns the error of an execution that failed or timed out, of type
// *Error; nil otherwise.
func (x *Execution) Err() error {
	if x.rec.Failure == nil {
		return nil
	}
	return x.rec.Failure
}

// Decode stores the output in the value that out points to.
func (x *Execution) Decode(out any) error {
	if x.rec.Status != Succeeded {
		return fmt.Errorf("asl: execution %q has no output: it is %s", x.rec.Name, x.rec.Status)
	}
	data, err := json.Marshal(x.rec.Output)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, out)
}

// Now returns the time the execution has reached.
func (x *Execution) Now() time.Time { return x.rec.Now }

// Advance carries the execution on, at the given time, until it has ended or
// waits for tasks or for a later time. Time never goes back: an earlier time
// counts as the latest one given.
func (x *Execution) Advance(now time.Time) {
	if now.After(x.rec.Now) {
		x.rec.Now = now.UTC()
	}
	if x.rec.Status != Running {
		return
	}
	if !x.rec.Deadline.IsZero() && !x.rec.Now.Before(x.rec.Deadline) {
		x.end(TimedOut, &Error{Name: ErrorTimeout, Cause: fmt.Sprintf("the execution ran longer than its TimeoutSeconds, %v", x.machine.Timeout)})
		return
	}
	for x.rec.Status == Running && x.step(x.rec.Root) {
	}
	if x.rec.Status != Running {
		return
	}
	switch x.rec.Root.Status {
	case Succeeded:
		x.rec.Output = x.rec.Root.Output
		x.rec.Status = Succeeded
	case Failed:
		x.end(Failed, x.rec.Root.Error)
	}
}

func (x *Execution) end(status Status, err *Error) {
	x.rec.Status = status
	x.rec.Failure = err
	x.abort(x.rec.Root)
}

// Abort stops a running execution.
func (x *Execution) Abort(err *Error) {
	if x.rec.Status == Running {
		x.end(Aborted, err)
	}
}

// Wake returns the next time at which something happens without an answer to
// a task: the end of a wait, a retry, a time-out. It reports false if there is
// none.
func (x *Execution) Wake() (time.Time, bool) {
	if x.rec.Status != Running {
		return time.Time{}, false
	}
	next := x.rec.Deadline
	earliest := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	x.rec.Root.walk(func(t *thread) {
		if t.Status != Running {
			return
		}
		earliest(t.Wake)
		if t.Task != nil {
			earliest(t.Task.Deadline)
			earliest(t.Task.HeartbeatDeadline)
		}
	})
	return next, !next.IsZero()
}

// Tasks returns the tasks that wait for an answer, in the order in which they
// were started. Their Arguments must not be changed.
func (x *Execution) Tasks() []*PendingTask {
	var tasks []*PendingTask
	x.rec.Root.walk(func(t *thread) {
		if t.Status == Running && t.Task != nil {
			task := *t.Task
			tasks = append(tasks, &task)
		}
	})
	sortTasks(tasks)
	return tasks
}

func (x *Execution) pending(token string) (*thread, error) {
	var found *thread
	if x.rec.Status == Running {
		x.rec.Root.walk(func(t *thread) {
			if t.Status == Running && t.Task != nil && t.Task.Token == token {
				found = t
			}
		})
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %q", ErrTaskDoesNotExist, token)
	}
	return found, nil
}

// called notes that a task's call has been made.
func (x *Execution) called(token string) {
	if t, err := x.pending(token); err == nil {
		t.Task.Called = true
	}
}

// SendTaskSuccess answers a pending task with its output, any Go value with a
// JSON form. The execution goes on at the next Advance.
func (x *Execution) SendTaskSuccess(token string, output any) error {
	t, err := x.pending(token)
	if err != nil {
		return err
	}
	data, err := normalize(output)
	if err != nil {
		return fmt.Errorf("asl: the output of state %q has no JSON form: %w", t.State, err)
	}
	t.answer(data, nil)
	return nil
}

// SendTaskFailure fails a pending task. An error that is not an *Error is
// named after its type, as Lambda does for handlers in Go.
func (x *Execution) SendTaskFailure(token string, cause error) error {
	t, err := x.pending(token)
	if err != nil {
		return err
	}
	t.answer(nil, failure(cause))
	return nil
}

// SendTaskHeartbeat tells that a pending task is still worked on: its
// HeartbeatSeconds start again at the next Advance.
func (x *Execution) SendTaskHeartbeat(token string) error {
	t, err := x.pending(token)
	if err != nil {
		return err
	}
	t.Beat = t.Task.Heartbeat > 0
	return nil
}

// Redrive runs an execution that did not succeed again from where it stopped:
// states that succeeded keep their results, branches and items too. Retriers
// start anew, as does the machine's time-out.
func (x *Execution) Redrive(now time.Time) error {
	switch x.rec.Status {
	case Failed, TimedOut, Aborted:
	default:
		return fmt.Errorf("asl: execution %q is %s: only one that failed, timed out or was aborted can be redriven", x.rec.Name, x.rec.Status)
	}
	if x.rec.Root.Events >= MaxEvents {
		return fmt.Errorf("asl: execution %q has used up its %d events and cannot be redriven", x.rec.Name, MaxEvents)
	}
	if now.After(x.rec.Now) {
		x.rec.Now = now.UTC()
	}
	x.rec.Redrives++
	x.rec.Redriven = x.rec.Now
	x.rec.Status = Running
	x.rec.Failure = nil
	if x.machine.Timeout > 0 {
		x.rec.Deadline = x.rec.Now.Add(x.machine.Timeout)
	}
	x.revive(x.rec.Root)
	return nil
}

func (x *Execution) uuid() string { return uuid.New(x.random) }

// dataSize returns the bytes of a value's JSON.
func dataSize(v any) int {
	data, err := json.Marshal(v)
	if err != nil {
		return math.MaxInt
	}
	return len(data)
}
