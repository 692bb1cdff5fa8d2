package asl

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// A phase is how far a thread has come in its state.
type phase string

const (
	entering  phase = "enter" // before the state
	beginning phase = "begin" // the state's work is about to start, or start again
	waiting   phase = "wait"  // for Wake
	backing   phase = "backoff"
	working   phase = "task" // for the answer to Task
	forking   phase = "fork" // for Children
	reading   phase = "read" // for the items of a distributed Map
	writing   phase = "write"
)

// A thread runs one machine from state to state: the definition itself, a
// branch or the processor of an item.
type thread struct {
	Index    int            `json:"index,omitempty"`
	State    string         `json:"state"`
	Status   Status         `json:"status"`
	Phase    phase          `json:"phase"`
	Input    any            `json:"input"`
	Output   any            `json:"output,omitempty"`
	Error    *Error         `json:"error,omitempty"`
	Vars     map[string]any `json:"vars,omitempty"`
	Entered  time.Time      `json:"entered,omitzero"`
	Wake     time.Time      `json:"wake,omitzero"`
	Retries  []int          `json:"retries,omitempty"`
	Visit    int            `json:"visit,omitempty"` // its place in the trace, from 1
	Events   int            `json:"events,omitempty"`
	Task     *PendingTask   `json:"task,omitempty"`
	Answered *answer        `json:"answered,omitempty"`
	Beat     bool           `json:"beat,omitempty"` // a heartbeat came for Task
	Children []*thread      `json:"children,omitempty"`
	Map      *mapRun        `json:"map,omitempty"`
	Item     map[string]any `json:"item,omitempty"`  // Map.Item of the context object
	Child    *child         `json:"child,omitempty"` // an execution of its own

	machine *Machine
	parent  *thread
}

// An answer is what was sent for a task.
type answer struct {
	Output any    `json:"output,omitempty"`
	Error  *Error `json:"error,omitempty"`
}

// A child is a child execution of a distributed Map state.
type child struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
	Stopped time.Time `json:"stopped,omitzero"`
	Input   any       `json:"input"`
}

func (t *thread) state() *State { return t.machine.States[t.State] }

// inner is the machine that a thread below t runs, nil if there is none.
func (t *thread) inner(index int) *Machine {
	s := t.state()
	switch {
	case s.Type == Map:
		return s.Processor
	case index >= 0 && index < len(s.Branches):
		return s.Branches[index]
	}
	return nil
}

// threads are all threads directly below t, those of failed items too.
func (t *thread) threads() []*thread {
	if t.Map == nil {
		return t.Children
	}
	return slices.Concat(t.Children, t.Map.Lost)
}

func (t *thread) walk(visit func(*thread)) {
	visit(t)
	for _, c := range t.Children {
		c.walk(visit)
	}
}

// path is the place of the thread's machine in the trace.
func (t *thread) path() string {
	if t.parent == nil {
		return ""
	}
	here := fmt.Sprintf("%s[%d]", t.parent.State, t.Index)
	if outer := t.parent.path(); outer != "" {
		return outer + "/" + here
	}
	return here
}

// execution is the thread that stands for the execution t belongs to.
func (t *thread) execution() *thread {
	for t.parent != nil && t.Child == nil {
		t = t.parent
	}
	return t
}

// answer stores what was sent, for the next Advance.
func (t *thread) answer(output any, err *Error) {
	t.Answered = &answer{Output: output, Error: err}
	t.Task = nil
}

// step makes one move, in t or below it, and reports whether there was one.
func (x *Execution) step(t *thread) bool {
	if t.Status != Running {
		return false
	}
	switch t.Phase {
	case entering:
		x.enter(t)
		return true
	case beginning:
		x.begin(t)
		return true
	case waiting:
		if x.rec.Now.Before(t.Wake) {
			return false
		}
		t.Wake = time.Time{}
		x.finish(t, nil)
		return true
	case backing:
		if x.rec.Now.Before(t.Wake) {
			return false
		}
		t.Wake = time.Time{}
		t.Phase = beginning
		return true
	case working, reading, writing:
		return x.await(t)
	}
	return x.join(t)
}

func (x *Execution) enter(t *thread) {
	s := t.state()
	t.Phase = beginning
	t.Entered = x.rec.Now
	t.Retries = nil
	t.Task, t.Answered, t.Children, t.Map = nil, nil, nil, nil
	t.Visit = 0
	if !x.rec.Untraced {
		x.rec.Trace = append(x.rec.Trace, &Visit{State: t.State, Type: s.Type, Path: t.path(), Entered: t.Entered, Input: t.Input})
		t.Visit = len(x.rec.Trace)
	}
	x.count(t, 1)
}

func (x *Execution) visit(t *thread) *Visit {
	if t.Visit == 0 || t.Visit > len(x.rec.Trace) {
		return &Visit{}
	}
	return x.rec.Trace[t.Visit-1]
}

// count adds events to the history of the execution that t belongs to.
func (x *Execution) count(t *thread, events int) {
	e := t.execution()
	if e.Events += events; e.Events > MaxEvents && e.Status == Running {
		x.abort(e)
		e.Status = Failed
		e.Error = errorf(ErrorRuntime, "the execution reached the maximum number of history events (%d)", MaxEvents)
	}
}

// env is what t's state is evaluated in.
func (x *Execution) env(t *thread) *env {
	s := t.state()
	e := &env{language: s.QueryLanguage, data: t.Input, context: x.context(t), variables: t.variables(), now: x.rec.Now, rand: x.random}
	e.states = map[string]any{"input": t.Input, "context": e.context}
	return e
}

// variables are those that t's states can read: its own and those of the
// machines around it in the same execution.
func (t *thread) variables() map[string]any {
	all := map[string]any{}
	for ; ; t = t.parent {
		for name, v := range t.Vars {
			if _, ok := all[name]; !ok {
				all[name] = v
			}
		}
		if t.parent == nil || t.Child != nil {
			return all
		}
	}
}

// context is the context object.
func (x *Execution) context(t *thread) map[string]any {
	execution := map[string]any{
		"Id": x.rec.ID, "Name": x.rec.Name, "Input": x.rec.Input,
		"RoleArn": x.rec.RoleARN, "StartTime": stamp(x.rec.Started), "RedriveCount": float64(x.rec.Redrives),
	}
	if c := t.execution().Child; c != nil {
		execution["Id"], execution["Name"], execution["Input"], execution["StartTime"] = c.ID, c.Name, c.Input, stamp(c.Started)
	}
	if x.rec.Redrives > 0 {
		execution["RedriveTime"] = stamp(x.rec.Redriven)
	}
	retries := 0
	for _, n := range t.Retries {
		retries += n
	}
	context := map[string]any{
		"Execution":    execution,
		"State":        map[string]any{"Name": t.State, "EnteredTime": stamp(t.Entered), "RetryCount": float64(retries)},
		"StateMachine": map[string]any{"Id": x.rec.MachineID, "Name": x.rec.MachineID[strings.LastIndexByte(x.rec.MachineID, ':')+1:]},
	}
	for at := t; at != nil; at = at.parent {
		if at.Item != nil {
			context["Map"] = map[string]any{"Item": at.Item}
			break
		}
		if at.Child != nil {
			break
		}
	}
	return context
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// begin starts the state's work.
func (x *Execution) begin(t *thread) {
	s, e := t.state(), x.env(t)
	input, err := e.selected("InputPath", s.inputPath, t.Input)
	if err != nil {
		x.fail(t, err)
		return
	}
	e.data = input
	switch s.Type {
	case Pass:
		x.pass(t, e)
	case Succeed:
		x.leaveWith(t, e, input, "")
	case Choice:
		x.choose(t, e)
	case Wait:
		x.wait(t, e)
	case Fail:
		x.failState(t, e)
	case Task:
		x.schedule(t, e)
	case Parallel:
		x.fork(t, e)
	case Map:
		x.beginMap(t, e)
	}
}

func (x *Execution) pass(t *thread, e *env) {
	s := t.state()
	if e.language == JSONata {
		x.leaveWith(t, e, t.Input, s.Next)
		return
	}
	result, err := e.or(s.parameters, e.data)
	if s.result.set {
		result = s.result.json
	}
	if err != nil {
		x.fail(t, err)
		return
	}
	x.complete(t, e, result)
}

func (x *Execution) choose(t *thread, e *env) {
	s := t.state()
	for i := range s.Choices {
		rule := &s.Choices[i]
		ok, err := rule.applies(e)
		switch {
		case err != nil:
			x.fail(t, err)
			return
		case ok:
			x.take(t, e, rule.output, rule.assign, rule.Next)
			return
		}
	}
	if s.Default == "" {
		x.fail(t, errorf(ErrorNoChoiceMatched, "no rule of state %q applies and it has no Default", s.Name))
		return
	}
	x.take(t, e, s.output, s.assign, s.Default)
}

func (r *Rule) applies(e *env) (bool, *Error) {
	if e.language == JSONPath {
		return r.test.holds(e)
	}
	v, err := e.eval(r.condition)
	if err != nil {
		return false, err
	}
	ok, isBool := v.(bool)
	if !isBool {
		return false, errorf(ErrorQueryEvaluation, "Condition must be true or false, not %s", kindOf(v))
	}
	return ok, nil
}

// take leaves a Choice state.
func (x *Execution) take(t *thread, e *env, output, assign value, next string) {
	out, err := e.or(output, e.data)
	if err == nil && e.language == JSONPath {
		out, err = e.selected("OutputPath", t.state().outputPath, e.data)
	}
	x.move(t, e, assign, out, next, err)
}

func (x *Execution) wait(t *thread, e *env) {
	s := t.state()
	until := x.rec.Now
	if s.seconds.set {
		n, err := e.number("Seconds", s.seconds, span{0, maxSeconds, true})
		if err != nil {
			x.fail(t, err)
			return
		}
		until = until.Add(seconds(n))
	} else {
		v, err := e.eval(s.timestamp)
		if err != nil {
			x.fail(t, err)
			return
		}
		at, ok := timestamp(v)
		if !ok {
			x.fail(t, errorf(e.typeError(), "Timestamp must be a time of RFC 3339, not %s", kindOf(v)))
			return
		}
		until = at
	}
	t.Phase, t.Wake = waiting, until
}

func (x *Execution) failState(t *thread, e *env) {
	s := t.state()
	out := &Error{}
	for _, f := range []struct {
		field string
		v     value
		to    *string
	}{{"Error", s.errorName, &out.Name}, {"Cause", s.cause, &out.Cause}} {
		v, err := e.or(f.v, "")
		if err != nil {
			x.fail(t, err)
			return
		}
		text, ok := v.(string)
		if !ok {
			x.fail(t, errorf(e.typeError(), "%s must be a string, not %s", f.field, kindOf(v)))
			return
		}
		*f.to = text
	}
	x.fail(t, out)
}

// finish ends a state that produced a result, or a Wait, which has none.
func (x *Execution) finish(t *thread, result any) {
	e := x.env(t)
	s := t.state()
	if s.Type == Wait {
		data, err := e.selected("InputPath", s.inputPath, t.Input)
		if err != nil {
			x.fail(t, err)
			return
		}
		e.data = data
		x.leaveWith(t, e, data, s.Next)
		return
	}
	x.complete(t, e, result)
}

// leaveWith leaves a state without a result: its output is its input, unless
// Output says otherwise.
func (x *Execution) leaveWith(t *thread, e *env, data any, next string) {
	s := t.state()
	out, err := e.or(s.output, data)
	if err == nil && e.language == JSONPath {
		out, err = e.selected("OutputPath", s.outputPath, data)
	}
	x.move(t, e, s.assign, out, next, err)
}

// complete leaves a state that has a result.
func (x *Execution) complete(t *thread, e *env, result any) {
	s := t.state()
	after := e.with("result", result)
	if e.language == JSONata {
		out, err := after.or(s.output, result)
		x.move(t, after, s.assign, out, s.Next, err)
		return
	}
	out, err := after.or(s.resultSelector, result)
	if err == nil {
		out, err = placed(s.resultPath, t.Input, out)
	}
	if err == nil {
		out, err = after.selected("OutputPath", s.outputPath, out)
	}
	x.move(t, after, s.assign, out, s.Next, err)
}

// move assigns variables and goes to the next state. The error is that of the
// output; a state fails with it after all.
func (x *Execution) move(t *thread, e *env, assign value, out any, next string, err *Error) {
	if err == nil && dataSize(out) > MaxDataSize {
		err = errorf(ErrorDataLimitExceeded, "the output of state %q has %d bytes, more than %d", t.State, dataSize(out), MaxDataSize)
	}
	var vars map[string]any
	if err == nil {
		vars, err = e.assigned(assign)
	}
	if err != nil {
		x.fail(t, err)
		return
	}
	x.assign(t, vars)
	x.leave(t, out, next)
}

func (x *Execution) assign(t *thread, vars map[string]any) {
	if t.Vars == nil && len(vars) > 0 {
		t.Vars = map[string]any{}
	}
	maps.Copy(t.Vars, vars)
}

func (x *Execution) leave(t *thread, out any, next string) {
	visit := x.visit(t)
	visit.Exited, visit.Output, visit.Next = x.rec.Now, out, next
	t.Task, t.Answered, t.Children, t.Map, t.Retries = nil, nil, nil, nil, nil
	if next == "" {
		t.Status, t.Output = Succeeded, out
		if t.Child != nil {
			t.Child.Stopped = x.rec.Now
		}
	} else {
		t.State, t.Input, t.Phase = next, out, entering
	}
	x.count(t, 1)
}

// fail handles the failure of a state: retry, catch, or fail the thread.
func (x *Execution) fail(t *thread, err *Error) {
	s := t.state()
	visit := x.visit(t)
	visit.Failures = append(visit.Failures, err)
	t.Task, t.Answered = nil, nil
	for i := range s.Retry {
		r := &s.Retry[i]
		if !err.matches(r.ErrorEquals) {
			continue
		}
		if t.Retries == nil {
			t.Retries = make([]int, len(s.Retry))
		}
		if t.Retries[i] >= r.MaxAttempts {
			break
		}
		t.Wake = x.rec.Now.Add(r.delay(t.Retries[i], x.random.Float64))
		t.Retries[i]++
		t.Phase, t.Children, t.Map = backing, nil, nil
		return
	}
	for i := range s.Catch {
		c := &s.Catch[i]
		if !err.matches(c.ErrorEquals) {
			continue
		}
		e := x.env(t).with("errorOutput", err.output())
		out, failed := e.or(c.output, err.output())
		if failed == nil && e.language == JSONPath {
			out, failed = placed(c.resultPath, t.Input, out)
		}
		var vars map[string]any
		if failed == nil {
			vars, failed = e.assigned(c.assign)
		}
		if failed != nil {
			err = failed
			visit.Failures = append(visit.Failures, err)
			break
		}
		x.assign(t, vars)
		x.leave(t, out, c.Next)
		return
	}
	t.Status, t.Error = Failed, err
	if t.Child != nil {
		t.Child.Stopped = x.rec.Now
	}
	x.abort(t)
}

// delay is the time before the next attempt, after the given number of
// retries.
func (r *Retrier) delay(retries int, random func() float64) time.Duration {
	d := r.Interval.Seconds() * math.Pow(r.BackoffRate, float64(retries))
	if limit := r.MaxDelay.Seconds(); limit > 0 {
		d = min(d, limit)
	}
	d = min(d, maxSeconds)
	if r.Jitter {
		d *= random()
	}
	return seconds(d)
}

// abort stops what runs below t, and t itself when it runs.
func (x *Execution) abort(t *thread) {
	if t.Status == Running {
		t.Status = Aborted
	}
	t.Task, t.Answered = nil, nil
	for _, c := range t.Children {
		if c.Status == Running {
			x.abort(c)
		}
	}
}

// revive lets t run again from the state it stopped in.
func (x *Execution) revive(t *thread) {
	if t.Status == Succeeded {
		return
	}
	t.Status, t.Error, t.Retries = Running, nil, nil
	t.Wake = time.Time{}
	if t.Map != nil {
		t.Map.revive(t)
	}
	if t.Phase != forking || len(t.Children) == 0 && t.Map == nil {
		t.Phase = entering
		return
	}
	for _, c := range t.Children {
		x.revive(c)
	}
}

// fork starts the branches of a Parallel state.
func (x *Execution) fork(t *thread, e *env) {
	s := t.state()
	input, err := e.or(s.parameters, e.data)
	if err == nil && e.language == JSONata {
		input, err = e.or(s.arguments, e.data)
	}
	if err != nil {
		x.fail(t, err)
		return
	}
	t.Phase = forking
	for i, m := range s.Branches {
		t.Children = append(t.Children, &thread{Index: i, State: m.StartAt, Status: Running, Phase: entering, Input: input, machine: m, parent: t})
	}
}

// join moves what runs below t, and t itself once nothing does.
func (x *Execution) join(t *thread) bool {
	moved := false
	for _, c := range t.Children {
		moved = x.step(c) || moved
	}
	if t.Status != Running {
		return true
	}
	if t.Map != nil {
		return x.joinMap(t) || moved
	}
	results := make([]any, len(t.Children))
	for i, c := range t.Children {
		switch c.Status {
		case Failed:
			x.fail(t, c.Error)
			return true
		case Running:
			return moved
		}
		results[i] = c.Output
	}
	x.finish(t, results)
	return true
}
