package projection_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/projection"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/test/engine"
)

func TestRebuild(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture) {
		a := f.append("a", Opened{"Ann"}, Added{"tea", 1}, Added{"tea", 2}, Added{"jam", 3}, Closed{})
		b := f.append("b", Opened{"Bob"}, Added{"jam", 1})
		f.mustDeliver(append(a, b...)...)

		model := f.mustRequest(schema.Rebuild{Op: schema.OpBegin, Run: "first"}).Model
		c := f.append("c", Opened{"Cid"}, Added{"tea", 1})
		f.mustDeliver(c...)
		f.mustDeliver(f.append("a", Added{"tea", 4})...) // ordered: fills the gap in version 2
		f.mustDeliver(f.append("a", Added{"tea", 5})...)
		f.replayAll(model)
		if applied := f.replayAll(model); applied != 0 {
			t.Errorf("a second replay applied %d events, want none", applied)
		}
		f.wantFold(1, "a", "b", "c")
		f.wantFold(2, "a", "b", "c")

		done := f.mustRequest(schema.Rebuild{Op: schema.OpSwitch, Model: model})
		if want := (schema.Rebuilt{Model: 2, Previous: 1}); done != want {
			t.Errorf("switch answered %+v, want %+v", done, want)
		}
		old := f.dump(1)
		f.mustDeliver(f.append("b", Closed{})...)
		if diff := cmp.Diff(old, f.dump(1)); diff != "" {
			t.Errorf("an event after the switch changed the old version:\n%s", diff)
		}
		deleted := f.sweep(done.Previous)
		for pk := range f.table() {
			if strings.Contains(pk, "v1#") {
				t.Errorf("item %q is left of the old version", pk)
			}
		}
		if again := f.sweep(done.Previous); deleted == 0 || again != 0 {
			t.Errorf("sweep deleted %d items, and %d when repeated", deleted, again)
		}
		f.mustDeliver(a...) // old duplicates, checked against the new version
		f.wantFold(2, "a", "b", "c")
	})
}

// sweep sweeps a version to its end and returns how many items it deleted.
func (f *fixture) sweep(model int) (deleted int) {
	f.t.Helper()
	const limit = 3
	for cursor, done := "", false; !done; {
		page := f.mustRequest(schema.Rebuild{Op: schema.OpSweep, Model: model, Cursor: cursor, Limit: limit})
		if page.Applied > limit {
			f.t.Errorf("one sweep deleted %d items, limit %d", page.Applied, limit)
		}
		cursor, done = page.Cursor, page.Done
		deleted += page.Applied
	}
	return deleted
}

// The states of a rebuild and the operations that each allows.
func TestRebuildStates(t *testing.T) {
	type call struct {
		schema.Rebuild
		answer schema.Rebuilt // if there is no error
		err    error          // only its type and its Reason's beginning count
	}
	begin := func(run string, model int) call {
		return call{Rebuild: schema.Rebuild{Op: schema.OpBegin, Run: run}, answer: schema.Rebuilt{Model: model}}
	}
	op := func(op string, model int, answer schema.Rebuilt) call {
		return call{Rebuild: schema.Rebuild{Op: op, Model: model, Shard: "00"}, answer: answer}
	}
	refused := func(name string, model int, reason string) call {
		return call{Rebuild: schema.Rebuild{Op: name, Model: model, Shard: "00"}, err: &projection.RefusedError{Op: name, Model: model, Reason: reason}}
	}
	allPages := call{Rebuild: schema.Rebuild{Op: "all pages"}}
	swept := schema.Rebuilt{Done: true}
	tests := []struct {
		name  string
		calls []call
	}{
		{"one run builds at a time", []call{
			begin("x", 2), begin("x", 2),
			{Rebuild: schema.Rebuild{Op: schema.OpBegin, Run: "y"}, err: &projection.RunningError{Model: 2, Run: "x"}},
		}},
		{"no rebuild", []call{
			refused(schema.OpPage, 2, "it is not being built; version 1 is read and 0"),
			refused(schema.OpSwitch, 2, "it is not being built"),
			refused(schema.OpSweep, 1, "it is the version that is read"),
			refused(schema.OpAbandon, 1, "it is the version that is read"),
		}},
		{"switch wants every shard", []call{
			begin("x", 2), refused(schema.OpSwitch, 2, "16 of 16 shards"),
			op(schema.OpPage, 2, schema.Rebuilt{Model: 2, Done: true}), op(schema.OpPage, 2, schema.Rebuilt{Model: 2, Done: true}),
			refused(schema.OpSwitch, 2, "15 of 16 shards"),
			refused(schema.OpSweep, 2, "it is the version that is being built"),
		}},
		{"switch twice", []call{
			begin("x", 2), allPages,
			op(schema.OpSwitch, 2, schema.Rebuilt{Model: 2, Previous: 1}), op(schema.OpSwitch, 2, schema.Rebuilt{Model: 2, Previous: 1}),
			{Rebuild: schema.Rebuild{Op: schema.OpBegin, Run: "x"}, err: &projection.RefusedError{Op: schema.OpBegin, Reason: `run "x" has ended`}},
			refused(schema.OpPage, 2, "it is not being built"), refused(schema.OpAbandon, 2, "it is the version that is read"),
			op(schema.OpSweep, 1, schema.Rebuilt{Model: 1, Done: swept.Done}),
			begin("y", 3),
			refused(schema.OpSwitch, 3, "16 of 16 shards"),
		}},
		{"abandon", []call{
			begin("x", 2), allPages,
			op(schema.OpAbandon, 2, schema.Rebuilt{Model: 2}), op(schema.OpAbandon, 2, schema.Rebuilt{Model: 2}),
			refused(schema.OpSwitch, 2, "it is not being built"), refused(schema.OpPage, 2, "it is not being built"),
			op(schema.OpSweep, 2, schema.Rebuilt{Model: 2, Done: true}),
			begin("y", 3), // a number is never used again
		}},
	}
	for _, test := range tests {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			f := newFixture(t, true)
			for i, call := range test.calls {
				if call.Op == allPages.Op {
					f.replayAll(2)
					continue
				}
				answer, err := f.request(t.Context(), call.Rebuild)
				if call.err == nil {
					if err != nil || answer != call.answer {
						t.Fatalf("call %d, %+v: answer %+v, error %v; want %+v", i, call.Rebuild, answer, err, call.answer)
					}
					continue
				}
				same := reflect.TypeOf(err) == reflect.TypeOf(call.err)
				if same && !strings.HasPrefix(err.Error(), call.err.Error()) {
					same = false
				}
				if !same {
					t.Fatalf("call %d, %+v: %T %v; want %T %v...", i, call.Rebuild, err, err, call.err, call.err)
				}
			}
		})
	}
}

// Begin is retried while the first attempt still runs, by several at once.
func TestBeginConcurrently(t *testing.T) {
	f := newFixture(t, true)
	var wg sync.WaitGroup
	models := make([]int, 8)
	for i := range models {
		wg.Go(func() {
			answer, err := f.request(t.Context(), schema.Rebuild{Op: schema.OpBegin, Run: "x"})
			if err != nil {
				t.Error(err)
			}
			models[i] = answer.Model
		})
	}
	wg.Wait()
	for _, model := range models {
		if model != 2 {
			t.Fatalf("one run got the versions %v, want 2 only", models)
		}
	}
}

// A page dies at any transaction of its work; the workflow calls it again with
// the cursor that it has.
func TestCrashBetweenPages(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture) {
		for i := range 6 {
			f.append(fmt.Sprint("s", i), Opened{"Ann"}, Added{"tea", 1}, Added{"jam", 2}, Closed{})
		}
		model := f.mustRequest(schema.Rebuild{Op: schema.OpBegin, Run: "x"}).Model
		crashes := 0
		for i := range schema.Shards {
			r := schema.Rebuild{Op: schema.OpPage, Model: model, Shard: schema.ShardName(i), Limit: 3}
			f.faults.Lose("TransactWriteItems", 3) // as often as the SDK tries
			for {
				page, err := f.request(t.Context(), r)
				var unavailable *projection.UnavailableError
				if errors.As(err, &unavailable) {
					crashes++
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if page.Done {
					break
				}
				r.Cursor = page.Cursor
				f.faults.Lose("TransactWriteItems", 3)
			}
		}
		if crashes == 0 {
			t.Error("no page crashed")
		}
		f.mustRequest(schema.Rebuild{Op: schema.OpSwitch, Model: model})
		f.wantFold(model, "s0", "s1", "s2", "s3", "s4", "s5")
	})
}

// A page that runs out of time answers with a cursor.
func TestPageDeadline(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture) {
		f.append("a", Opened{"Ann"}, Added{"tea", 1}, Added{"tea", 2})
		apply := f.Apply
		slow := int64(1)
		f.Apply = func(ctx context.Context, event eventlog.Event) ([]projection.Write, error) {
			if event.Version == slow {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return apply(ctx, event)
		}
		model := f.mustRequest(schema.Rebuild{Op: schema.OpBegin, Run: "x"}).Model
		r := schema.Rebuild{Op: schema.OpPage, Model: model, Shard: schema.ShardOf("a")}
		inTime := func(r schema.Rebuild) (schema.Rebuilt, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			return f.request(ctx, r)
		}
		page, err := inTime(r)
		if err != nil || page.Cursor == "" {
			t.Fatalf("page %+v, error %v; want a cursor to the stream that was found", page, err)
		}
		r.Cursor = page.Cursor
		page, err = inTime(r)
		if _, ok := err.(*projection.UnavailableError); !ok {
			t.Fatalf("page %+v, error %v; want an UnavailableError, for the page got no further", page, err)
		}
		slow = 3
		page, err = inTime(r)
		if err != nil || page.Done || page.Cursor == "" || page.Applied != 2 {
			t.Fatalf("page %+v, error %v; want two events and a cursor", page, err)
		}
		slow = 0
		r.Cursor = page.Cursor
		if page = f.mustRequest(r); !page.Done || page.Applied != 1 {
			t.Errorf("page %+v, want the last event", page)
		}
		f.wantFold(model, "a")
	})
}

// New code that cannot take a live event spoils its rebuild, not live traffic.
func TestSpoiledRebuild(t *testing.T) {
	f := newFixture(t, true)
	apply := f.Apply
	f.Apply = func(ctx context.Context, event eventlog.Event) ([]projection.Write, error) {
		if event.Replay != "" && event.Version == 2 {
			return nil, errors.New("code too new")
		}
		return apply(ctx, event)
	}
	f.mustDeliver(f.append("a", Opened{"Ann"})...)
	model := f.mustRequest(schema.Rebuild{Op: schema.OpBegin, Run: "x"}).Model
	f.replayAll(model)
	f.mustDeliver(f.append("a", Added{"tea", 1}, Added{"tea", 2})...)
	f.wantFold(1, "a")
	for _, op := range []string{schema.OpSwitch, schema.OpPage} {
		_, err := f.request(t.Context(), schema.Rebuild{Op: op, Model: model, Shard: "00"})
		refused, ok := err.(*projection.RefusedError)
		if !ok || !strings.Contains(refused.Reason, "apply a#2 (Added) to version 2: code too new") {
			t.Errorf("%s: %v; want it refused for a#2", op, err)
		}
	}
	f.mustRequest(schema.Rebuild{Op: schema.OpAbandon, Model: model})
	f.Apply = apply
	model = f.mustRequest(schema.Rebuild{Op: schema.OpBegin, Run: "y"}).Model
	f.replayAll(model)
	f.mustRequest(schema.Rebuild{Op: schema.OpSwitch, Model: model})
	f.wantFold(model, "a")
}

// Apply can tell a rebuild from live traffic.
func TestReplay(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture) {
		var mu sync.Mutex
		seen := map[string][]string{}
		apply := f.Apply
		f.Apply = func(ctx context.Context, event eventlog.Event) ([]projection.Write, error) {
			mu.Lock()
			seen[event.Position()] = append(seen[event.Position()], event.Replay)
			mu.Unlock()
			return apply(ctx, event)
		}
		f.mustDeliver(f.append("a", Opened{"Ann"})...)
		f.mustRequest(schema.Rebuild{Op: schema.OpBegin, Run: "run-7"})
		f.replayAll(2)
		f.mustDeliver(f.append("a", Added{"tea", 1})...)
		want := map[string][]string{"a#1": {"", "run-7"}, "a#2": {"", "run-7"}}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("Replay (-want +got):\n%s", diff)
		}
	})
}

// recorder notes the bodies of the calls of one operation.
type recorder struct {
	operation string
	mu        sync.Mutex
	bodies    []string
}

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	if strings.HasSuffix(request.Header.Get("X-Amz-Target"), "."+r.operation) {
		text, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		request.Body = io.NopCloser(bytes.NewReader(text))
		r.mu.Lock()
		r.bodies = append(r.bodies, string(text))
		r.mu.Unlock()
	}
	return http.DefaultClient.Do(request)
}

// The proof in the package's documentation needs the versions to be read with
// strong consistency; DynamoDB Local has no other, so only the request shows it.
func TestVersionsAreReadConsistently(t *testing.T) {
	f := newFixture(t, true)
	gets := &recorder{operation: "GetItem"}
	cfg := engine.DynamoDB(t).Config()
	cfg.HTTPClient = gets
	f.DynamoDB = dynamodb.NewFromConfig(cfg)
	f.mustDeliver(f.append("a", Opened{"Ann"})...)
	f.mustRequest(schema.Rebuild{Op: schema.OpBegin, Run: "x"})
	f.replayAll(2)
	f.mustRequest(schema.Rebuild{Op: schema.OpSwitch, Model: 2})
	f.sweep(1)
	if len(gets.bodies) < 20 {
		t.Errorf("%d reads, want one per invocation at least", len(gets.bodies))
	}
	for _, body := range gets.bodies {
		if !strings.Contains(body, `"ConsistentRead":true`) {
			t.Errorf("read without strong consistency: %s", body)
		}
	}
}
