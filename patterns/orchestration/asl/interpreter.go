package asl

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/internal/functionname"
)

// An Interpreter runs machines with Go functions in place of the services they
// call. The zero value runs machines without tasks.
//
// Handlers run one at a time and in the order in which their tasks start, so
// that they need no locks and every run gives the same trace; see Concurrency.
type Interpreter struct {
	// Tasks are the functions that do the work, by the name of the state or by
	// what it calls: the Resource, the same without ".sync", ".sync:2" and
	// ".waitForTaskToken", or for arn:aws:states:::lambda:invoke the
	// FunctionName (an ARN, with or without alias, or the function's name). The
	// name of the state counts first.
	Tasks map[string]Handler
	// Objects serves the item readers and result writers of distributed Map
	// states that Tasks does not name; nil means there are none.
	Objects ObjectStore
	// Clock tells the time and waits; nil means a clock that starts at
	// 2000-01-01T00:00:00Z and jumps to the next thing that happens.
	Clock Clock
	// Concurrency is how many handlers run at the same time; default 1. Those of
	// tasks that start together are waited for together.
	Concurrency int
	// Options are the properties of the executions that Run starts. Its Time
	// is the clock's.
	Options StartOptions
}

// A Clock is the time that an Interpreter lives in.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// Sleep returns once it is the given time, or earlier when something else
	// is to be done first. The error is that of a context that ended.
	Sleep(ctx context.Context, until time.Time) error
}

// A Timeline is a clock that jumps: Sleep returns at once, with the time it was
// told to wait for. The zero value stands at 2000-01-01T00:00:00Z. It is safe
// for concurrent use.
type Timeline struct {
	mu  sync.Mutex
	now time.Time
}

// NewTimeline returns a Timeline that stands at the given time.
func NewTimeline(now time.Time) *Timeline { return &Timeline{now: now} }

// Now returns the time the timeline stands at.
func (l *Timeline) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now.IsZero() {
		l.now = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return l.now
}

// Sleep moves the timeline to the given time.
func (l *Timeline) Sleep(ctx context.Context, until time.Time) error {
	if until.After(l.Now()) {
		l.mu.Lock()
		l.now = until
		l.mu.Unlock()
	}
	return ctx.Err()
}

// WallClock is the real time: waits take as long as the definition says.
type WallClock struct{}

// Now returns the current time.
func (WallClock) Now() time.Time { return time.Now() }

// Sleep waits until the given time or the end of the context.
func (WallClock) Sleep(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// An UnboundTaskError reports a task without a handler.
type UnboundTaskError struct {
	// Task is what the execution wanted to call.
	Task *PendingTask
}

func (e *UnboundTaskError) Error() string {
	return fmt.Sprintf("asl: state %q calls %s, which has no handler: add one to Interpreter.Tasks under the state's name or the resource",
		e.Task.State, e.Task.Resource)
}

// Run starts an execution and carries it on until it has ended, or until it
// can only wait for a task token that no handler will answer. The error tells
// that the run itself was not possible: a task without a handler, an input
// without JSON form, a context that ended. An execution that failed is not an
// error: see its Status and Err.
func (i *Interpreter) Run(ctx context.Context, m *Machine, input any) (*Execution, error) {
	o := i.Options
	clock := i.clock()
	o.Time = clock.Now()
	x, err := m.Start(input, o)
	if err != nil {
		return nil, err
	}
	return x, i.run(ctx, x, clock)
}

// Continue carries on an execution that Run left waiting, that was resumed
// from JSON or that was redriven. It does not call again what waits for a
// token.
func (i *Interpreter) Continue(ctx context.Context, x *Execution) error {
	clock := i.Clock
	if clock == nil {
		clock = NewTimeline(x.Now())
	}
	return i.run(ctx, x, clock)
}

func (i *Interpreter) clock() Clock {
	if i.Clock == nil {
		return &Timeline{}
	}
	return i.Clock
}

// A driver carries one execution on.
type driver struct {
	*Interpreter
	clock   Clock
	x       *Execution
	started map[string]bool
	events  []event // still to come, by time
}

// An event is an answer or heartbeat that comes later.
type event struct {
	at      time.Time
	token   string
	answers bool
	outcome Result
}

func (i *Interpreter) run(ctx context.Context, x *Execution, clock Clock) error {
	d := &driver{Interpreter: i, clock: clock, x: x, started: map[string]bool{}}
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("asl: run execution %q: %w", x.Name(), err)
		}
		now := clock.Now()
		d.deliver(now)
		x.Advance(now)
		if x.Status() != Running {
			return nil
		}
		switch fresh, err := d.call(ctx); {
		case err != nil:
			return err
		case fresh:
			continue
		}
		next, ok := x.Wake()
		if len(d.events) > 0 && (!ok || d.events[0].at.Before(next)) {
			next, ok = d.events[0].at, true
		}
		if !ok {
			return nil
		}
		if err := clock.Sleep(ctx, next); err != nil {
			return fmt.Errorf("asl: run execution %q: %w", x.Name(), err)
		}
	}
}

// deliver sends the answers that are due. A token that nobody waits for any
// more is no mistake: the task has timed out meanwhile.
func (d *driver) deliver(now time.Time) {
	for len(d.events) > 0 && !d.events[0].at.After(now) {
		e := d.events[0]
		d.events = d.events[1:]
		if e.answers {
			d.send(e.token, e.outcome)
		} else if d.x.SendTaskHeartbeat(e.token) == nil {
			d.schedule(event{at: e.at.Add(e.outcome.beat), token: e.token, outcome: e.outcome})
		}
	}
}

func (d *driver) send(token string, r Result) {
	err := r.err
	if err == nil {
		err = d.x.SendTaskSuccess(token, r.output)
		if err == nil || isGone(err) {
			return
		}
	}
	_ = d.x.SendTaskFailure(token, err)
}

func (d *driver) schedule(e event) {
	at, _ := slices.BinarySearchFunc(d.events, e, func(a, b event) int {
		return cmp.Or(a.at.Compare(b.at), -1)
	})
	d.events = slices.Insert(d.events, at, e)
}

// call runs the handlers of the tasks that have just started. All of them
// start before the first one's answer counts: in the service too, tasks that
// start at the same time do.
func (d *driver) call(ctx context.Context) (bool, error) {
	var fresh []*PendingTask
	var handlers []Handler
	for _, t := range d.x.Tasks() {
		if d.started[t.Token] || t.Called {
			continue
		}
		h := d.handler(t)
		if h == nil {
			return false, &UnboundTaskError{Task: t}
		}
		// A handler may do with its arguments what it likes.
		arguments, err := normalize(t.Arguments)
		if err != nil {
			return false, err
		}
		t.Arguments = arguments
		fresh, handlers = append(fresh, t), append(handlers, h)
	}
	results := make([]Result, len(fresh))
	slots := make(chan struct{}, max(1, d.Concurrency))
	var running sync.WaitGroup
	for i, t := range fresh {
		d.started[t.Token] = true
		work := func() { results[i] = perform(ctx, handlers[i], t) }
		if d.Concurrency <= 1 {
			work()
			continue
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			work()
		})
	}
	running.Wait()
	now := d.clock.Now()
	for i, t := range fresh {
		r := results[i]
		if r.beat > 0 {
			d.schedule(event{at: now.Add(r.beat), token: t.Token, outcome: r})
		}
		switch {
		case r.silent:
			d.x.called(t.Token)
		case !t.Deadline.IsZero() && now.After(t.Deadline):
			// The handler took longer on a real clock than the task may.
		case r.after > 0:
			d.schedule(event{at: t.Scheduled.Add(r.after), token: t.Token, answers: true, outcome: r})
		default:
			d.send(t.Token, r)
		}
	}
	return len(fresh) > 0, nil
}

// handler finds the function for a task.
func (d *driver) handler(t *PendingTask) Handler {
	for _, key := range t.names() {
		if h, ok := d.Tasks[key]; ok {
			return h
		}
	}
	if d.Objects != nil {
		return objectHandler(d.Objects, t)
	}
	return nil
}

// names are what a task can be bound by, the most specific first.
func (t *PendingTask) names() []string {
	names := []string{t.State}
	if arguments, ok := t.Arguments.(map[string]any); ok && strings.Contains(t.Resource, ":states:::lambda:invoke") {
		if f, ok := arguments["FunctionName"].(string); ok {
			names = append(names, functionname.All(f)...)
		}
	}
	if strings.Contains(t.Resource, ":lambda:") && strings.Contains(t.Resource, ":function:") {
		names = append(names, functionname.All(t.Resource)...)
	}
	names = append(names, t.Resource)
	for _, suffix := range []string{".waitForTaskToken", ".sync:2", ".sync"} {
		if base, ok := strings.CutSuffix(t.Resource, suffix); ok {
			names = append(names, base)
		}
	}
	return names
}
