package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"sync"
	"time"
)

// process is one process of a function, what Lambda calls an execution
// environment. It handles one invocation at a time.
type process struct {
	f      *function
	key    string // its access key id, by which the proxy knows it
	cmd    *exec.Cmd
	next   chan *invocation
	exited chan struct{}
	ended  bool // guarded by f.mu: it must not become idle any more

	mu      sync.Mutex
	current *invocation
}

type invocation struct {
	id, arn string
	payload []byte
	result  chan outcome
	// crash is after how many calls to AWS the process dies, 0 for never; when
	// it makes fewer it dies on answering.
	crash, calls int
	deadline     time.Time // what the process was told, once it asked for work
}

type outcome struct {
	payload []byte
	err     error
}

// initTimeout is how long a process may take until it asks for work. Lambda
// allows 10 seconds; a busy machine takes longer.
const initTimeout = time.Minute

// doomed is how long an invocation has that is to die. What its process claims
// until its deadline stays claimed for so long, while others' waiting times are
// divided by Options.Speed.
const doomed = 3 * time.Second

// invoke hands the process an event and waits for its answer, its end or the
// function's time-out, which ends it.
func (p *process) invoke(ctx context.Context, arn string, payload []byte) ([]byte, error) {
	inv := &invocation{id: p.f.d.newID(), arn: arn, payload: payload, result: make(chan outcome, 1), crash: p.f.d.faults.crash(p.f.id)}
	fail := func(kind, message string) *FunctionError {
		payload, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message})
		return &FunctionError{Function: p.f.id, Type: kind, Message: message, Payload: payload}
	}
	timer := time.NewTimer(initTimeout)
	defer timer.Stop()
	select {
	case p.next <- inv:
	case <-p.exited:
		return nil, fail("Runtime.ExitError", "the process ended before it asked for work: "+p.f.lastLogs())
	case <-timer.C:
		p.cmd.Process.Kill()
		<-p.exited
		return nil, fail("Runtime.InitTimeout", "the process did not ask for work in time")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	timer.Reset(p.f.limit())
	select {
	case r := <-inv.result:
		if r.err != nil {
			return nil, r.err
		}
		return r.payload, nil
	case <-p.exited:
		failure := fail("Runtime.ExitError", "the process ended during the invocation: "+p.f.lastLogs())
		if inv.crash > 0 {
			p.mu.Lock()
			failure.claimed = inv.deadline
			p.mu.Unlock()
		}
		return nil, failure
	case <-timer.C:
		p.cmd.Process.Kill()
		<-p.exited
		return nil, fail("Sandbox.Timedout", fmt.Sprintf("the invocation took longer than %v", p.f.limit()))
	case <-ctx.Done():
		p.cmd.Process.Kill()
		<-p.exited
		return nil, ctx.Err()
	}
}

func (f *function) lastLogs() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.logs) == 0 {
		return "it logged nothing"
	}
	return f.logs[len(f.logs)-1]
}

// called counts a call of the process to AWS; it ends the process, and reports
// true, when a crash is due.
func (p *process) called() bool {
	p.mu.Lock()
	inv := p.current
	due := false
	if inv != nil {
		inv.calls++
		due = inv.crash > 0 && inv.calls >= inv.crash
	}
	p.mu.Unlock()
	if due {
		p.cmd.Process.Kill()
	}
	return due
}

// serveRuntime is the Lambda Runtime API, as Lambda's documentation describes
// it for custom runtimes.
func (d *Deployment) serveRuntime() http.Handler {
	mux := http.NewServeMux()
	const api = "/runtime/{key}/2018-06-01/runtime/"
	withProcess := func(serve func(http.ResponseWriter, *http.Request, *process)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			c, ok := d.credentials.Load(r.PathValue("key"))
			if !ok || c.(*credential).process == nil {
				http.Error(w, "unknown process", http.StatusForbidden)
				return
			}
			serve(w, r, c.(*credential).process)
		}
	}
	mux.HandleFunc("GET "+api+"invocation/next", withProcess(serveNext))
	mux.HandleFunc("POST "+api+"invocation/{id}/response", withProcess(serveResponse))
	mux.HandleFunc("POST "+api+"invocation/{id}/error", withProcess(serveError))
	mux.HandleFunc("POST "+api+"init/error", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted) // the process ends itself, which invoke sees
	})
	return mux
}

func serveNext(w http.ResponseWriter, r *http.Request, p *process) {
	var inv *invocation
	select {
	case inv = <-p.next:
	case <-r.Context().Done():
		return
	}
	limit := p.f.limit()
	if inv.crash > 0 {
		limit = min(limit, doomed)
	}
	p.mu.Lock()
	p.current = inv
	// From now, for the start of a process does not count against a function's time.
	inv.deadline = time.Now().Add(limit)
	p.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(inv.deadline.UnixMilli()))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", inv.arn)
	h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0")
	w.Write(inv.payload)
}

// take returns the invocation that is answered, nil when it is not the current
// one or the process dies instead of answering.
func (p *process) take(w http.ResponseWriter, id string) *invocation {
	p.mu.Lock()
	defer p.mu.Unlock()
	inv := p.current
	if inv == nil || inv.id != id {
		http.Error(w, `{"errorType":"InvalidRequestID"}`, http.StatusBadRequest)
		return nil
	}
	p.current = nil
	if inv.crash > 0 {
		p.cmd.Process.Kill()
		return nil
	}
	return inv
}

func serveResponse(w http.ResponseWriter, r *http.Request, p *process) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if inv := p.take(w, r.PathValue("id")); inv != nil {
		inv.result <- outcome{payload: body}
		w.WriteHeader(http.StatusAccepted)
	}
}

func serveError(w http.ResponseWriter, r *http.Request, p *process) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if inv := p.take(w, r.PathValue("id")); inv != nil {
		failure := &FunctionError{Function: p.f.id, Payload: body}
		json.Unmarshal(body, failure)
		inv.result <- outcome{err: failure}
		w.WriteHeader(http.StatusAccepted)
	}
}
