package warm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverless-go/cdk/patterns/coldstart/schema"
	"github.com/serverless-go/cdk/patterns/coldstart/warm"
)

// binary is the handler of testdata, built once as Lambda would run it.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "warm-*")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w", "-o", path, "./testdata/handler")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func handler(t *testing.T, env ...string) *environment {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, []string{path}, env...)
}

func pong(t *testing.T, out outcome) schema.Pong {
	t.Helper()
	var p schema.Pong
	if out.failed {
		t.Fatalf("the ping failed: %s", out.body)
	}
	if err := json.Unmarshal([]byte(out.body), &p); err != nil || p.Invocation == 0 {
		t.Fatalf("%s is no answer to a ping: %v", out.body, err)
	}
	return p
}

const minute = time.Minute

func TestPings(t *testing.T) {
	e := handler(t)
	ping := string(schema.Ping{}.Payload())
	out, _ := e.invoke(ping, minute)
	if got := pong(t, out); got != (schema.Pong{Instance: "2026/11/23/[7]abc", Cold: true, Invocation: 1}) {
		t.Errorf("the first ping is answered %+v", got)
	}
	// The whole way over HTTP and back is in these times; the fastest shows
	// what the handler adds when the machine is doing nothing else.
	var times []time.Duration
	for i := range 200 {
		out, took := e.invoke(ping, minute)
		if got := pong(t, out); got.Cold || got.Invocation != int64(i+2) {
			t.Fatalf("ping %d is answered %+v", i+2, got)
		}
		times = append(times, took)
	}
	slices.Sort(times)
	t.Logf("pings are answered in %v at best, %v in the median", times[0], times[len(times)/2])
	if times[0] > time.Millisecond {
		t.Errorf("the fastest of %d pings took %v, want under a millisecond", len(times), times[0])
	}
}

func TestHold(t *testing.T) {
	e := handler(t)
	_, took := e.invoke(string(schema.Ping{Hold: 150}.Payload()), minute)
	if took < 150*time.Millisecond {
		t.Errorf("the environment was busy for %v, want 150ms", took)
	}
	// The deadline comes first: the ping is answered before it.
	timeout := 300 * time.Millisecond
	out, took := e.invoke(string(schema.Ping{Hold: 60_000}.Payload()), timeout)
	pong(t, out)
	if took >= timeout {
		t.Errorf("a long ping was answered after %v, its deadline was %v", took, timeout)
	}
	out, took = e.invoke(string(schema.Ping{Hold: 60_000}.Payload()), 20*time.Millisecond)
	pong(t, out)
	if took > time.Second {
		t.Errorf("a ping without time to hold took %v", took)
	}
}

// A ping that comes after real work, or to an environment that Lambda prepared,
// starts nothing.
func TestCold(t *testing.T) {
	ping := string(schema.Ping{}.Payload())
	busy := handler(t)
	busy.invoke(`{}`, minute)
	out, _ := busy.invoke(ping, minute)
	if got := pong(t, out); got.Cold || got.Invocation != 2 {
		t.Errorf("after an event: %+v", got)
	}
	for kind, cold := range map[string]bool{"on-demand": true, "provisioned-concurrency": false, "snap-start": false} {
		out, _ := handler(t, "AWS_LAMBDA_INITIALIZATION_TYPE="+kind).invoke(ping, minute)
		if got := pong(t, out); got.Cold != cold {
			t.Errorf("%s: cold is %v", kind, got.Cold)
		}
	}
}

func TestEventsAreUntouched(t *testing.T) {
	e := handler(t)
	events := []string{
		`{}`,
		`{"text":"coldstart.ping"}`,
		`{"coldstart.ping":{"hold":1},"text":"an event"}`,
		"{ \"text\" : \"wie s\u00e4h' sie aus\u2028 ?\" }",
		`{"text":"` + strings.Repeat("x", 1<<20) + `"}`,
	}
	for i, event := range events {
		out, _ := e.invoke(event, minute)
		var got struct {
			RequestID, Text string
			Left            int64
		}
		if err := json.Unmarshal([]byte(out.body), &got); err != nil || out.failed {
			t.Fatalf("event %d: %v %.100s", i, err, out.body)
		}
		if got.Text != event {
			t.Errorf("event %d reached the handler as %.100s", i, got.Text)
		}
		if want := fmt.Sprintf("request-%d", i+1); got.RequestID != want {
			t.Errorf("event %d: the context names request %s, want %s", i, got.RequestID, want)
		}
		if left := time.Duration(got.Left) * time.Millisecond; left > minute || left < minute-10*time.Second {
			t.Errorf("event %d: the handler had %v left, want %v", i, left, minute)
		}
	}
	out, _ := e.invoke(`{"fail":"out of stock"}`, minute)
	if !out.failed || !strings.Contains(out.body, "out of stock") {
		t.Errorf("the handler's error became %+v", out)
	}
	// The handler still sees its own deadline pass.
	out, _ = e.invoke(`{"sleep":60000}`, 200*time.Millisecond)
	if !out.failed || !strings.Contains(out.body, context.DeadlineExceeded.Error()) {
		t.Errorf("the handler's deadline became %+v", out)
	}
}

// The middleware adds nothing to an event's invocation but a look at its size.
func TestContextAndErrorPassThrough(t *testing.T) {
	type key struct{}
	want := errors.New("as it is")
	m := warm.Middleware(handlerFunc(func(ctx context.Context, payload []byte) ([]byte, error) {
		if ctx.Value(key{}) != "value" || string(payload) != "null" {
			t.Errorf("the handler got %v, %s", ctx, payload)
		}
		return []byte("answer"), want
	}))
	answer, err := m.Invoke(context.WithValue(context.Background(), key{}, "value"), []byte("null"))
	if string(answer) != "answer" || err != want {
		t.Errorf("Invoke returns %s, %v", answer, err)
	}
	// A caller that gives up ends the hold.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.Invoke(ctx, schema.Ping{Hold: 60_000}.Payload()); err != nil {
		t.Error(err)
	}
}

type handlerFunc func(context.Context, []byte) ([]byte, error)

func (f handlerFunc) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return f(ctx, payload)
}

func BenchmarkPing(b *testing.B) {
	m := warm.Middleware(handlerFunc(nil))
	payload := schema.Ping{}.Payload()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Invoke(context.Background(), payload); err != nil {
			b.Fatal(err)
		}
	}
}

// TestStart measures the time from starting the process to its first answer,
// of the Go handler and of the same handler on Node.js. Run it with -v to see
// the ratio that docs/performance.md quotes.
func TestStart(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("REQUIRE_ENGINES") == "1" {
			t.Fatal("node is not on the PATH, and REQUIRE_ENGINES=1 asks for it")
		}
		t.Skip("node is not on the PATH; install Node.js to compare with it")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	median := func(command []string) time.Duration {
		var times []time.Duration
		for range 11 {
			begin := time.Now()
			e := start(t, command)
			out, _ := e.invoke(`{"text":"hello"}`, minute)
			if !strings.Contains(out.body, "hello") {
				t.Fatalf("%s answers %s", command[0], out.body)
			}
			times = append(times, out.at.Sub(begin))
			e.process.Process.Kill()
		}
		slices.Sort(times)
		return times[len(times)/2]
	}
	inGo, inNode := median([]string{path}), median([]string{node, "testdata/handler.mjs"})
	t.Logf("from process start to the first answer: Go %v, Node.js %v, ratio %.2f", inGo, inNode, float64(inGo)/float64(inNode))
	if inGo > inNode {
		t.Errorf("the Go handler takes %v to its first answer, Node.js %v", inGo, inNode)
	}
}
