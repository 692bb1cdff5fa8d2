package asl

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A PendingTask is a call that an execution waits for.
type PendingTask struct {
	// Token identifies the task when it is answered. It is the task token of
	// the context object too.
	Token string `json:"token"`
	// State is the name of the state that calls.
	State string `json:"state"`
	// Path is where the state's machine runs, as in Visit.
	Path string `json:"path,omitempty"`
	// Resource is the ARN that is called, with its suffix.
	Resource string `json:"resource"`
	// Arguments is what the resource is called with: plain JSON data.
	Arguments any `json:"arguments"`
	// Credentials is the Credentials field, nil when the state has none.
	Credentials any `json:"credentials,omitempty"`
	// Attempt is 0 for the first call of a visit, 1 for its first retry.
	Attempt int `json:"attempt,omitempty"`
	// Scheduled is when the task was started.
	Scheduled time.Time `json:"scheduled"`
	// Deadline is when the task times out; zero when it never does.
	Deadline time.Time `json:"deadline,omitzero"`
	// Heartbeat is the longest time between two heartbeats; 0 means no limit.
	Heartbeat time.Duration `json:"heartbeat,omitempty"`
	// HeartbeatDeadline is when the next heartbeat is due.
	HeartbeatDeadline time.Time `json:"heartbeatDeadline,omitzero"`
	// Called reports whether an Interpreter has made the call already and only
	// the token can answer it.
	Called bool `json:"called,omitempty"`
	// Reader is set when the task reads the items of a distributed Map state.
	// Its output is then the array of items, or an object whose fields are.
	Reader *ItemReader `json:"reader,omitempty"`
}

// Callback reports whether the task ends with SendTaskSuccess or
// SendTaskFailure by whoever was given its token, and not with the call's own
// answer.
func (t *PendingTask) Callback() bool {
	return strings.HasSuffix(t.Resource, ".waitForTaskToken")
}

func sortTasks(tasks []*PendingTask) {
	slices.SortFunc(tasks, func(a, b *PendingTask) int {
		if len(a.Token) != len(b.Token) {
			return len(a.Token) - len(b.Token)
		}
		return strings.Compare(a.Token, b.Token)
	})
}

// schedule starts the call of a Task state.
func (x *Execution) schedule(t *thread, e *env) {
	s := t.state()
	task := x.newTask(t, s.Resource)
	e.context["Task"] = map[string]any{"Token": task.Token}
	arguments, err := e.or(s.parameters, e.data)
	if err == nil && e.language == JSONata {
		arguments, err = e.or(s.arguments, t.Input)
	}
	if err == nil {
		task.Credentials, err = e.or(s.credentials, nil)
	}
	allowed := span{1, maxSeconds, true}
	if err == nil && s.timeout.set {
		var n float64
		if n, err = e.number("TimeoutSeconds", s.timeout, allowed); err == nil {
			task.Deadline = x.rec.Now.Add(seconds(n))
		}
	}
	if err == nil && s.heartbeat.set {
		var n float64
		if n, err = e.number("HeartbeatSeconds", s.heartbeat, allowed); err == nil {
			task.Heartbeat = seconds(n)
			task.HeartbeatDeadline = x.rec.Now.Add(task.Heartbeat)
		}
	}
	if err != nil {
		x.fail(t, err)
		return
	}
	task.Arguments = arguments
	t.Phase, t.Task = working, task
	x.count(t, 3)
}

func (x *Execution) newTask(t *thread, resource string) *PendingTask {
	x.rec.Tokens++
	task := &PendingTask{
		Token:     x.rec.Name + "-" + strconv.Itoa(x.rec.Tokens),
		State:     t.State,
		Path:      t.path(),
		Resource:  resource,
		Scheduled: x.rec.Now,
	}
	for _, n := range t.Retries {
		task.Attempt += n
	}
	return task
}

// await looks for the answer of t's task, or its time-out.
func (x *Execution) await(t *thread) bool {
	if a := t.Answered; a != nil {
		t.Answered = nil
		if a.Error == nil && dataSize(a.Output) > MaxDataSize && t.Phase == working {
			a.Error = errorf(ErrorDataLimitExceeded, "the result of state %q has %d bytes, more than %d", t.State, dataSize(a.Output), MaxDataSize)
		}
		switch t.Phase {
		case reading:
			x.read(t, a)
		case writing:
			x.written(t, a)
		default:
			if a.Error != nil {
				x.fail(t, a.Error)
			} else {
				x.finish(t, a.Output)
			}
		}
		return true
	}
	if t.Task == nil {
		return false
	}
	if t.Beat {
		t.Beat = false
		t.Task.HeartbeatDeadline = x.rec.Now.Add(t.Task.Heartbeat)
	}
	due := func(at time.Time) bool { return !at.IsZero() && !x.rec.Now.Before(at) }
	switch {
	case due(t.Task.Deadline):
		x.fail(t, errorf(ErrorTimeout, "state %q ran longer than its TimeoutSeconds", t.State))
	case due(t.Task.HeartbeatDeadline):
		x.fail(t, errorf(ErrorHeartbeatTimeout, "state %q sent no heartbeat for its HeartbeatSeconds, %v", t.State, t.Task.Heartbeat.Seconds()))
	default:
		return false
	}
	return true
}
