package warm_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// environment is one Lambda execution environment: a process and the Runtime
// API that it speaks on loopback.
type environment struct {
	t       *testing.T
	process *exec.Cmd
	log     bytes.Buffer
	next    chan invocation
	done    chan outcome
	ready   chan struct{} // receives at each request for the next invocation
	number  int
}

type invocation struct {
	id       string
	payload  string
	deadline time.Time
}

type outcome struct {
	id     string
	body   string
	failed bool
	at     time.Time
}

// start runs a command as an environment. It ends with the test.
func start(t *testing.T, command []string, env ...string) *environment {
	t.Helper()
	e := &environment{t: t, next: make(chan invocation), done: make(chan outcome, 1), ready: make(chan struct{}, 8)}
	server := httptest.NewServer(e)
	e.process = exec.Command(command[0], command[1:]...)
	e.process.Env = append(os.Environ(),
		"AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(server.URL, "http://"),
		"AWS_LAMBDA_FUNCTION_NAME=test",
		"AWS_LAMBDA_LOG_STREAM_NAME=2026/11/23/[7]abc",
	)
	e.process.Env = append(e.process.Env, env...)
	e.process.Stdout, e.process.Stderr = &e.log, &e.log
	if err := e.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.process.Process.Kill()
		e.process.Wait()
		server.CloseClientConnections()
		server.Close()
		if t.Failed() {
			t.Logf("log of the environment:\n%s", &e.log)
		}
	})
	return e
}

// ServeHTTP is the Runtime API.
//
// Source: Lambda Developer Guide, "Using the Lambda runtime API for custom
// runtimes".
func (e *environment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/2018-06-01/runtime/invocation/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	if path == "next" {
		e.ready <- struct{}{}
		select {
		case in := <-e.next:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", in.id)
			w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(in.deadline.UnixMilli(), 10))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:test:live")
			io.WriteString(w, in.payload)
		case <-r.Context().Done():
		}
		return
	}
	id, what, _ := strings.Cut(path, "/")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	e.done <- outcome{id: id, body: string(body), failed: what == "error", at: time.Now()}
	w.WriteHeader(http.StatusAccepted)
}

// await waits until the environment asks for its next invocation.
func (e *environment) await() {
	e.t.Helper()
	select {
	case <-e.ready:
	case <-time.After(minute):
		e.t.Fatalf("the environment asks for nothing within a minute\n%s", &e.log)
	}
}

// invoke returns what the environment answers, and after which time.
func (e *environment) invoke(payload string, timeout time.Duration) (outcome, time.Duration) {
	e.t.Helper()
	e.await()
	e.number++
	in := invocation{id: fmt.Sprintf("request-%d", e.number), payload: payload, deadline: time.Now().Add(timeout)}
	begin := time.Now()
	e.next <- in
	select {
	case out := <-e.done:
		if out.id != in.id {
			e.t.Fatalf("the environment answers %s, not %s", out.id, in.id)
		}
		return out, out.at.Sub(begin)
	case <-time.After(minute):
		e.t.Fatalf("no answer to %s within a minute\n%s", payload, &e.log)
		return outcome{}, 0
	}
}
