package projection_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/projection"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// modes runs a test with an ordered and with an unordered projection.
func modes(t *testing.T, test func(*testing.T, *fixture)) {
	for _, mode := range []struct {
		name    string
		ordered bool
	}{{"ordered", true}, {"unordered", false}} {
		t.Run(mode.name, func(t *testing.T) { test(t, newFixture(t, mode.ordered)) })
	}
}

func (f *fixture) wantFold(model int, streams ...string) {
	f.t.Helper()
	if diff := cmp.Diff(fold(f.Ordered, f.streams(streams...)), f.dump(model)); diff != "" {
		f.t.Errorf("version %d differs from the fold of the events (-want +got):\n%s", model, diff)
	}
}

func TestDuplicates(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture) {
		list := f.append("a", Opened{"Ann"}, Added{"tea", 2}, Added{"tea", 3}, Closed{})
		f.mustDeliver(append(list, list...)...)
		f.mustDeliver(list[1], list[3], list[0])
		f.wantFold(1, "a")
	})
}

func TestAnyDeliveryOrder(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture) {
		list := f.append("a", Opened{"Ann"}, Added{"tea", 2}, Added{"jam", 3}, Added{"tea", 1}, Closed{})
		for _, i := range []int{3, 0, 4, 1, 2} {
			f.mustDeliver(list[i])
		}
		f.wantFold(1, "a")
	})
}

// The answer of DynamoDB is lost, so that the caller cannot tell whether the
// event was applied.
func TestLostAnswer(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture) {
		list := f.append("a", Opened{"Ann"}, Added{"tea", 2})
		f.faults.Lose("TransactWriteItems", 3) // as often as the SDK tries
		failed, err := f.deliver(t.Context(), f.messages(list[0])...)
		if err != nil || len(failed) != 1 {
			t.Fatalf("failed %v, error %v; want the message to fail", failed, err)
		}
		f.mustDeliver(list...)
		f.wantFold(1, "a")
	})
}

// Collisions and throttling inside of a transaction are no fault of the event's.
func TestContention(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture) {
		list := f.append("a", Opened{"Ann"})
		for _, code := range []string{"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"} {
			f.faults.Answer("TransactWriteItems", fmt.Sprintf(
				`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","CancellationReasons":[{"Code":"None"},{"Code":%q}]}`, code), 2)
		}
		f.mustDeliver(list...)
		if calls := f.faults.Calls("TransactWriteItems"); calls != 7 {
			t.Errorf("%d transactions, want 6 refused and 1 done", calls)
		}
		f.wantFold(1, "a")
	})
}

// DynamoDB finds out only inside of the transaction that a write is wrong, such
// as an item that has grown too large.
func TestRejectedWrite(t *testing.T) {
	f := newFixture(t, true)
	f.append("a", Opened{"Ann"})
	f.mustRequest(schema.Rebuild{Op: schema.OpBegin, Run: "x"})
	f.faults.Answer("TransactWriteItems",
		`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","CancellationReasons":[{"Code":"None"},{"Code":"ValidationError"}]}`, 1)
	_, err := f.request(t.Context(), schema.Rebuild{Op: schema.OpPage, Model: 2, Shard: schema.ShardOf("a")})
	if poison, ok := err.(*projection.ApplyError); !ok || poison.Position != "a#1" {
		t.Errorf("%T %v, want an ApplyError for a#1", err, err)
	}
}

func TestUnavailable(t *testing.T) {
	f := newFixture(t, true)
	a, b := f.append("a", Opened{"Ann"}, Added{"tea", 1}), f.append("b", Opened{"Bob"})
	f.faults.Refuse("GetItem", "AccessDeniedException", 1)
	_, err := f.deliver(t.Context(), f.messages(a...)...)
	var unavailable *projection.UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("error %v, want an UnavailableError: without the versions nothing can be applied", err)
	}
	expired, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := f.deliver(expired, f.messages(a...)...); !errors.As(err, &unavailable) {
		t.Fatalf("error %v after the deadline, want an UnavailableError", err)
	}
	f.faults.Refuse("TransactWriteItems", "AccessDeniedException", 1)
	failed, err := f.deliver(t.Context(), f.messages(a...)...)
	if want := []string{"a#1", "a#2"}; err != nil || !cmp.Equal(failed, want) {
		t.Fatalf("failed %v, error %v; want %v", failed, err, want)
	}
	f.mustDeliver(append(a, b...)...)
	f.wantFold(1, "a", "b")
}

func TestPoison(t *testing.T) {
	tests := []struct {
		name   string
		writes func() ([]projection.Write, error)
		want   string // in the error
	}{
		{"error", func() ([]projection.Write, error) { return nil, errors.New("no such item") }, "no such item"},
		{"panic", func() ([]projection.Write, error) { panic("index out of range") }, "panic: index out of range"},
		{"expression", func() ([]projection.Write, error) {
			return []projection.Write{projection.Update("x", "y", "ADD", nil)}, nil
		}, "ValidationException"},
		{"operand", func() ([]projection.Write, error) {
			return []projection.Write{projection.Update("cart#a", "history", "ADD #e :n", projection.Values{"#e": "events", ":n": 1})}, nil
		}, "ValidationException"},
		{"no key", func() ([]projection.Write, error) { return []projection.Write{projection.Delete("x", "")}, nil }, "neither must be empty"},
		{"zero write", func() ([]projection.Write, error) { return make([]projection.Write, 1), nil }, "neither must be empty"},
		{"placeholder", func() ([]projection.Write, error) {
			return []projection.Write{projection.Update("x", "y", "ADD n :n", projection.Values{"n": 1})}, nil
		}, `placeholder "n" must begin with # or :`},
		{"name", func() ([]projection.Write, error) {
			return []projection.Write{projection.Update("x", "y", "ADD #n :n", projection.Values{"#n": 1, ":n": 1})}, nil
		}, "#n is a int"},
		{"same item twice", func() ([]projection.Write, error) {
			return []projection.Write{projection.Delete("x", "y"), projection.Put("x", "y", nil)}, nil
		}, "two writes to pk"},
		{"too many", func() ([]projection.Write, error) {
			var writes []projection.Write
			for i := range 100 {
				writes = append(writes, projection.Delete("x", fmt.Sprint(i)))
			}
			return writes, nil
		}, "100 writes for one event, at most 99"},
	}
	for _, test := range tests {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			f := newFixture(t, true)
			good := f.Apply
			poisoned := true
			f.Apply = func(ctx context.Context, event eventlog.Event) ([]projection.Write, error) {
				if poisoned && event.Position() == "a#2" {
					return test.writes()
				}
				return good(ctx, event)
			}
			a, b := f.append("a", Opened{"Ann"}, Added{"tea", 1}, Added{"tea", 2}), f.append("b", Opened{"Bob"}, Added{"jam", 1})
			failed, err := f.deliver(t.Context(), f.messages(a[0], b[0], a[1], a[2], b[1])...)
			if want := []string{"a#2", "a#3"}; err != nil || !cmp.Equal(failed, want) {
				t.Fatalf("failed %v, error %v; want %v: the event, the later ones of its stream, and no other", failed, err, want)
			}
			// In the dead-letter queue the event still holds back the later ones.
			failed, err = f.deliver(t.Context(), f.messages(a[2])...)
			if err != nil || len(failed) != 1 {
				t.Fatalf("failed %v, error %v; want the event after the poisonous one to wait", failed, err)
			}
			f.wantPoisonedRebuild(test.want)
			poisoned = false
			f.mustDeliver(a[2])
			f.mustDeliver(a[1])
			f.wantFold(1, "a", "b")
		})
	}
}

// wantPoisonedRebuild expects the replay of stream a to fail at its event 2.
func (f *fixture) wantPoisonedRebuild(want string) {
	f.t.Helper()
	model := f.mustRequest(schema.Rebuild{Op: schema.OpBegin, Run: "run"}).Model
	_, err := f.request(f.t.Context(), schema.Rebuild{Op: schema.OpPage, Model: model, Shard: schema.ShardOf("a")})
	poison, ok := err.(*projection.ApplyError)
	if !ok || poison.Position != "a#2" || poison.Type != "Added" || poison.Model != model || !strings.Contains(poison.Error(), want) {
		f.t.Errorf("replay: %T %v; want an ApplyError for a#2 with %q", err, err, want)
	}
	f.mustRequest(schema.Rebuild{Op: schema.OpAbandon, Model: model})
}

func TestPoisonUnordered(t *testing.T) {
	f := newFixture(t, false)
	f.Apply = func(ctx context.Context, event eventlog.Event) ([]projection.Write, error) {
		if event.Position() == "a#2" {
			return nil, errors.New("poison")
		}
		return anyOrder(ctx, event)
	}
	list := f.append("a", Opened{"Ann"}, Added{"tea", 1}, Added{"tea", 2})
	broken := f.message(list[0])
	broken.MessageId, broken.Body = "broken", "{"
	failed, err := f.deliver(t.Context(), append(f.messages(list...), broken)...)
	if want := []string{"a#2", "broken"}; err != nil || !cmp.Equal(failed, want) {
		t.Fatalf("failed %v, error %v; want %v", failed, err, want)
	}
	f.Apply = anyOrder
	f.mustDeliver(list[1])
	f.wantFold(1, "a")
}

// A message that is no event holds back its group and nothing else.
func TestUnreadableMessage(t *testing.T) {
	f := newFixture(t, true)
	a, b := f.messages(f.append("a", Opened{"Ann"}, Added{"tea", 1})...), f.messages(f.append("b", Opened{"Bob"})...)
	a[0].Body = `{"stream":"a"}`
	failed, err := f.deliver(t.Context(), a[0], b[0], a[1])
	if want := []string{"a#1", "a#2"}; err != nil || !cmp.Equal(failed, want) {
		t.Fatalf("failed %v, error %v; want %v", failed, err, want)
	}
	f.wantFold(1, "b")
}

func TestStale(t *testing.T) {
	f := newFixture(t, false)
	list := f.append("a", Opened{"Ann"}, Added{"tea", 1})
	f.mustDeliver(list[0])
	expires := f.table()["#seen#v1#"+list[0].ID][0][schema.TTL].(float64)
	if until := time.Unix(int64(expires), 0); until.Before(list[0].Time.Add(30 * 24 * time.Hour)) {
		t.Errorf("the marker expires at %s, before the event of %s counts as old", until, list[0].Time)
	}
	f.Now = func() time.Time { return time.Now().Add(31 * 24 * time.Hour) }
	failed, err := f.deliver(t.Context(), f.messages(list[1])...)
	if err != nil || len(failed) != 1 {
		t.Errorf("failed %v, error %v; want an old message to fail, for its marker may have expired", failed, err)
	}
	replayed := list[0]
	replayed.Replay = "archive"
	f.mustDeliver(replayed)
	before := f.dump(1)
	if diff := cmp.Diff(contents{"cart#a|Opened": {"n": 1.0}}, before); diff != "" {
		t.Errorf("model (-want +got):\n%s", diff)
	}
	f.Now, f.Window = nil, time.Hour
	replayed = list[1]
	replayed.Replay = "archive"
	f.mustDeliver(replayed) // a recent event that the archive replays heals a loss
	f.wantFold(1, "a")
}

func TestTypes(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture) {
		f.Types = []string{"Opened"}
		apply := f.Apply
		f.Apply = func(ctx context.Context, event eventlog.Event) ([]projection.Write, error) {
			if event.Type != "Opened" {
				t.Errorf("Apply got %s", event.Type)
			}
			return apply(ctx, event)
		}
		f.mustDeliver(f.append("a", Opened{"Ann"}, Added{"tea", 1}, Opened{"Ann"})...)
		list := f.append("b", Opened{"Bob"}, Added{"tea", 1}, Opened{"Bob"})
		f.mustDeliver(list[0], list[2]) // what a filter of the queue lets through
		model := f.mustRequest(schema.Rebuild{Op: schema.OpBegin, Run: "run"}).Model
		f.replayAll(model)
		if diff := cmp.Diff(f.dump(1), f.dump(model)); diff != "" || len(f.dump(1)) == 0 {
			t.Errorf("replay differs from live (-live +replayed):\n%s", diff)
		}
	})
}

// What Apply does not write to is not touched, and what it puts keeps its other
// attributes.
func TestWrites(t *testing.T) {
	f := newFixture(t, true)
	f.Apply = func(_ context.Context, event eventlog.Event) ([]projection.Write, error) {
		switch event.Version {
		case 1:
			return []projection.Write{
				projection.Put("k", "put", struct {
					Name string `dynamodbav:"name"`
					PK   string `dynamodbav:"pk"`
				}{"Ann", "overridden"}),
				projection.Put("k", "empty", nil),
				projection.Put("k", "gone", map[string]int{"n": 1}),
				projection.Update("k", "update", "SET #s = :s, n = :n", projection.Values{"#s": "status", ":s": "new", ":n": 1}),
			}, nil
		case 2:
			return []projection.Write{
				projection.Delete("k", "gone"),
				projection.Delete("k", "never"),
				projection.Update("k", "update", "REMOVE n", nil),
			}, nil
		}
		return nil, nil
	}
	f.mustDeliver(f.append("a", Opened{}, Closed{}, Opened{})...)
	want := contents{"k|put": {"name": "Ann"}, "k|empty": {}, "k|update": {"status": "new"}}
	if diff := cmp.Diff(want, f.dump(1)); diff != "" {
		t.Errorf("model (-want +got):\n%s", diff)
	}
}

// The time ends in the middle of a batch: what was done is acknowledged.
func TestDeadline(t *testing.T) {
	f := newFixture(t, true)
	apply := f.Apply
	f.Apply = func(ctx context.Context, event eventlog.Event) ([]projection.Write, error) {
		if event.Version == 2 {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return apply(ctx, event)
	}
	list := f.append("a", Opened{"Ann"}, Added{"tea", 1}, Added{"tea", 2})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	failed, err := f.deliver(ctx, f.messages(list...)...)
	if want := []string{"a#2", "a#3"}; err != nil || !cmp.Equal(failed, want) {
		t.Fatalf("failed %v, error %v; want %v", failed, err, want)
	}
	if ctx.Err() != nil {
		t.Error("the answer came after the deadline")
	}
	f.Apply = apply
	f.mustDeliver(list[1:]...)
	f.wantFold(1, "a")
}

func TestBadRequests(t *testing.T) {
	f := newFixture(t, true)
	for _, test := range []struct{ payload, want string }{
		{`{`, "unexpected end of JSON input"},
		{`{}`, `neither "Records"`},
		{`{"rebuild":{"op":"restart","model":1}}`, `operation "restart", want begin`},
		{`{"rebuild":{"op":"begin"}}`, "begin wants the run's name"},
		{`{"rebuild":{"op":"page"}}`, "page wants the model's version"},
		{`{"rebuild":{"op":"page","model":2,"shard":"16"}}`, `shard "16", want "00" to "15"`},
		{`{"rebuild":{"op":"page","model":2,"shard":"00","cursor":"?"}}`, `cursor "?"`},
		{`{"rebuild":{"op":"sweep","model":2,"cursor":"e30x"}}`, `cursor "e30x"`},
	} {
		_, err := f.Invoke(t.Context(), []byte(test.payload))
		if _, ok := err.(*projection.RequestError); !ok || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %T %v; want a RequestError with %q", test.payload, err, err, test.want)
		}
	}
	if answer, err := f.Invoke(t.Context(), []byte(`{"Records":[]}`)); err != nil || string(answer) != `{"batchItemFailures":[]}` {
		t.Errorf("an empty batch: %s, %v", answer, err)
	}
}

func TestFromEnv(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want string // the error, or the projection's fields
	}{
		{"nothing", nil, "projection: READ_MODEL_TABLE is not set; it names the read model's table, AddProjection sets it"},
		{"defaults", map[string]string{schema.EnvReadModel: "t"}, `{"table":"t","name":"","ordered":false,"types":null}`},
		{"all", map[string]string{schema.EnvReadModel: "t", schema.EnvProjection: "p", schema.EnvOrdered: "true", schema.EnvEvents: "A,B"},
			`{"table":"t","name":"p","ordered":true,"types":["A","B"]}`},
		{"ordered", map[string]string{schema.EnvReadModel: "t", schema.EnvOrdered: "maybe"}, `projection: PROJECTION_ORDERED is "maybe", want true or false`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{schema.EnvReadModel, schema.EnvProjection, schema.EnvOrdered, schema.EnvEvents} {
				t.Setenv(name, test.env[name])
			}
			p, err := projection.FromEnv(aws.Config{}, nil, anyOrder)
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				text, err := json.Marshal(struct {
					Table   string   `json:"table"`
					Name    string   `json:"name"`
					Ordered bool     `json:"ordered"`
					Types   []string `json:"types"`
				}{p.Table, p.Name, p.Ordered, p.Types})
				if err != nil {
					t.Fatal(err)
				}
				got = string(text)
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// An update of what an earlier event makes is invalid while that event is
// missing. The event is early then, and no poison.
func TestEarlyUpdate(t *testing.T) {
	f := newFixture(t, true)
	f.Apply = func(_ context.Context, event eventlog.Event) ([]projection.Write, error) {
		switch payload := event.Payload.(type) {
		case Opened:
			return []projection.Write{projection.Put("cart#"+event.Stream, "cart", map[string]any{"lines": map[string]int{}})}, nil
		case Added:
			return []projection.Write{projection.Update("cart#"+event.Stream, "cart", "SET #l.#i = :n",
				projection.Values{"#l": "lines", "#i": payload.Item, ":n": payload.Quantity})}, nil
		}
		return nil, nil
	}
	list := f.append("a", Opened{"Ann"}, Added{"tea", 2}, Added{"jam", 1})
	f.mustDeliver(list[2])
	f.mustDeliver(list...)
	want := contents{"cart#a|cart": {"lines": map[string]any{"tea": 2.0, "jam": 1.0}}}
	if diff := cmp.Diff(want, f.dump(1)); diff != "" {
		t.Error(diff)
	}
}
