package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
)

func TestAppend(t *testing.T) {
	store := eventlogtest.New(t, carts)
	options := store.Options
	options.Now = func() time.Time { return noon }
	n := 0
	options.NewID = func() string { n++; return fmt.Sprintf("id-%d", n) }
	log := eventlogtest.Open(t, options)

	recorded, err := log.Append(t.Context(), "cart@1", eventlog.NoStream,
		eventlog.Of(CartOpened{Customer: "c-1", Email: "ada@example.com"}),
		eventlog.Event{Payload: &ItemAdded{SKU: "tea", Cents: 300}, ID: "mine", Time: noon.Add(-time.Hour), Subject: "c-2"})
	if err != nil {
		t.Fatal(err)
	}
	want := []eventlog.Event{{
		Stream: "cart@1", Version: 1, ID: "id-1", Type: "CartOpened", TypeVersion: 1, Time: noon,
		Correlation: "id-1", Subject: "c-1",
		Payload: CartOpened{Customer: "c-1", Email: "ada@example.com"}, Data: recorded[0].Data,
	}, {
		Stream: "cart@1", Version: 2, ID: "mine", Type: "ItemAdded", TypeVersion: 1, Time: noon.Add(-time.Hour),
		Correlation: "id-1", Subject: "c-2",
		Payload: ItemAdded{SKU: "tea", Cents: 300}, Data: []byte(`{"sku":"tea","cents":300}`),
	}}
	diff(t, "recorded", recorded, want)
	diff(t, "loaded", load(t, log, "cart@1"), want)
}

func TestAppendExpects(t *testing.T) {
	store := eventlogtest.New(t, carts)
	appendOnly := store.Options
	appendOnly.AppendOnly = true
	blind := eventlogtest.Open(t, appendOnly)
	item := ItemAdded{SKU: "tea"}

	for _, test := range []struct {
		name     string
		log      *eventlog.Log
		before   int // events in the stream
		expected int64
		want     error // nil: the event is recorded
		version  int64
	}{
		{"new stream", store.Log, 0, eventlog.NoStream, nil, 1},
		{"next", store.Log, 2, 2, nil, 3},
		{"exists", store.Log, 1, eventlog.NoStream, eventlog.ErrConflict, 0},
		{"behind", store.Log, 3, 2, eventlog.ErrConflict, 0},
		{"ahead", store.Log, 2, 3, eventlog.ErrGap, 0},
		{"ahead of nothing", store.Log, 0, 1, eventlog.ErrGap, 0},
		{"any, new", store.Log, 0, eventlog.Any, nil, 1},
		{"any", store.Log, 3, eventlog.Any, nil, 4},
		{"append only", blind, 2, 2, nil, 3},
		{"append only, behind", blind, 2, 1, eventlog.ErrConflict, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			stream := strings.ReplaceAll(t.Name(), " ", "-")
			stream = strings.NewReplacer(",", "").Replace(stream)
			for i := range test.before {
				mustAppend(t, store.Log, stream, int64(i), item)
			}
			// A Log of its own: it does not know the stream.
			log := test.log
			if log == store.Log {
				log = eventlogtest.Open(t, store.Options)
			}
			recorded, err := log.Append(t.Context(), stream, test.expected, eventlog.Of(item))
			if !errors.Is(err, test.want) {
				t.Fatalf("Append expecting %d: %v, want %v", test.expected, err, test.want)
			}
			if err == nil && recorded[0].Version != test.version {
				t.Errorf("recorded at version %d, want %d", recorded[0].Version, test.version)
			}
			if got, want := len(load(t, store.Log, stream)), test.before+len(recorded); got != want {
				t.Errorf("%d events in the stream, want %d", got, want)
			}
		})
	}
}

func TestAppendOnlyReadsNothing(t *testing.T) {
	store := eventlogtest.New(t, carts)
	options := store.Options
	options.AppendOnly = true
	log := eventlogtest.Open(t, options)
	mustAppend(t, log, "s", 0, ItemAdded{})
	mustAppend(t, log, "s", 1, ItemAdded{})
	log.Append(t.Context(), "s", 1, eventlog.Of(ItemAdded{}))
	if n := store.Faults.Calls("GetItem") + store.Faults.Calls("Query"); n != 0 {
		t.Errorf("an AppendOnly Log read %d times", n)
	}
	if _, err := log.Head(t.Context(), "s"); err == nil {
		t.Error("Head of an AppendOnly Log succeeded")
	}
	if _, err := log.Append(t.Context(), "s", eventlog.Any, eventlog.Of(ItemAdded{})); err == nil {
		t.Error("Append to Any of an AppendOnly Log succeeded")
	}
}

func TestAppendRefuses(t *testing.T) {
	store := eventlogtest.New(t, carts)
	type unknown struct{}
	for _, test := range []struct {
		name, stream string
		event        eventlog.Event
		want         string
	}{
		{"no payload", "s", eventlog.Event{}, "the payload is nil"},
		{"nil pointer", "s", eventlog.Of((*ItemAdded)(nil)), "the payload is nil"},
		{"unregistered", "s", eventlog.Of(unknown{}), "Go type eventlog_test.unknown is not registered"},
		{"no subject", "s", eventlog.Of(CartOpened{Email: "ada@example.com"}), `subject is "", want 1 to 100 characters`},
		{"e-mail as subject", "s", eventlog.Of(CartOpened{Customer: "ada@example.com"}), `subject is "ada@example.com", want`},
		{"id", "s", eventlog.Event{Payload: ItemAdded{}, ID: "a#b"}, `id is "a#b", want`},
		{"separator in stream", "a#1", eventlog.Of(ItemAdded{}), `stream is "a#1", want`},
		{"empty stream", "", eventlog.Of(ItemAdded{}), `stream is "", want`},
		{"long stream", strings.Repeat("s", 101), eventlog.Of(ItemAdded{}), "want 1 to 100 characters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := store.Log.Append(t.Context(), test.stream, eventlog.NoStream, test.event)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Append: %v, want %q in it", err, test.want)
			}
		})
	}
	if n := store.Faults.Calls("ExecuteTransaction"); n != 0 {
		t.Errorf("%d wrong events reached DynamoDB", n)
	}
}

func TestOversize(t *testing.T) {
	store := eventlogtest.New(t, carts)
	big := ItemAdded{SKU: strings.Repeat("x", 150<<10)}
	noBucket := store.Options
	noBucket.Payloads = ""
	for _, test := range []struct {
		name   string
		log    *eventlog.Log
		events []eventlog.Event
		want   eventlog.OversizeError
	}{
		{"events", store.Log, repeat(ItemAdded{}, 101), eventlog.OversizeError{Stream: "s", What: "transaction", Size: 101, Limit: 100, Unit: "events"}},
		{"bytes", store.Log, repeat(big, 28), eventlog.OversizeError{Stream: "s", What: "transaction", Limit: 4 << 20, Unit: "bytes"}},
		{"inline", eventlogtest.Open(t, noBucket), repeat(ItemAdded{SKU: strings.Repeat("x", 160<<10)}, 1),
			eventlog.OversizeError{Stream: "s", What: "payload of ItemAdded", Limit: 160 << 10, Unit: "bytes"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.log.Append(t.Context(), "s", eventlog.NoStream, test.events...)
			var got *eventlog.OversizeError
			if !errors.Is(err, eventlog.ErrOversize) || !errors.As(err, &got) {
				t.Fatalf("Append: %v, want an OversizeError", err)
			}
			if got.Size <= got.Limit {
				t.Errorf("size %d is within the limit %d", got.Size, got.Limit)
			}
			if test.want.Size == 0 {
				test.want.Size = got.Size
			}
			diff(t, "error", *got, test.want)
		})
	}
	// The largest that must fit.
	if _, err := store.Log.Append(t.Context(), "events", 0, repeat(ItemAdded{}, 100)...); err != nil {
		t.Errorf("100 events: %v", err)
	}
	if _, err := store.Log.Append(t.Context(), "bytes", 0, repeat(big, 27)...); err != nil {
		t.Errorf("27 events of 150 KiB: %v", err)
	}
}

func repeat(payload any, n int) []eventlog.Event {
	events := make([]eventlog.Event, n)
	for i := range events {
		events[i] = eventlog.Of(payload)
	}
	return events
}

// Nothing is lost and nothing is doubled when many append to one stream.
func TestConcurrentAppenders(t *testing.T) {
	const appenders = 50
	store := eventlogtest.New(t, carts)
	type count struct{ Items int }
	counted := eventlog.Aggregate[count]{
		Log:   store.Log,
		Apply: func(c count, _ eventlog.Event) count { c.Items++; return c },
	}
	for name, appendOne := range map[string]func(ctx context.Context, stream string, e eventlog.Event) error{
		"any": func(ctx context.Context, stream string, e eventlog.Event) error {
			_, err := store.Log.Append(ctx, stream, eventlog.Any, e)
			return err
		},
		"update": func(ctx context.Context, stream string, e eventlog.Event) error {
			_, err := counted.Update(ctx, stream, func(count) ([]eventlog.Event, error) { return []eventlog.Event{e}, nil })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, 30*time.Second)
			var wg sync.WaitGroup
			for i := range appenders {
				wg.Go(func() {
					err := appendOne(ctx, name, eventlog.Event{ID: fmt.Sprint(i), Payload: ItemAdded{Cents: i}})
					if err != nil {
						t.Errorf("appender %d: %v", i, err)
					}
				})
			}
			wg.Wait()
			seen := make(map[string]bool)
			for i, e := range load(t, store.Log, name) {
				if e.Version != int64(i)+1 {
					t.Errorf("event %d has version %d", i, e.Version)
				}
				seen[e.ID] = true
			}
			if len(seen) != appenders {
				t.Errorf("%d of %d events in the stream", len(seen), appenders)
			}
		})
	}

	// Of those who expect the same version, one wins.
	t.Run("one winner", func(t *testing.T) {
		var wg sync.WaitGroup
		results := make(chan error, appenders)
		for range appenders {
			wg.Go(func() {
				_, err := store.Log.Append(t.Context(), "winner", eventlog.NoStream, eventlog.Of(ItemAdded{}), eventlog.Of(ItemAdded{}))
				results <- err
			})
		}
		wg.Wait()
		close(results)
		won := 0
		for err := range results {
			if err == nil {
				won++
			} else if !errors.Is(err, eventlog.ErrConflict) {
				t.Error(err)
			}
		}
		if n := len(load(t, store.Log, "winner")); won != 1 || n != 2 {
			t.Errorf("%d won and left %d events, want 1 and 2", won, n)
		}
	})
}

// A Log that may not read relies on DynamoDB's request token.
func TestLostAnswer(t *testing.T) {
	store := eventlogtest.New(t, carts)
	appendOnly := store.Options
	appendOnly.AppendOnly = true
	for stream, log := range map[string]*eventlog.Log{"s": store.Log, "blind": eventlogtest.Open(t, appendOnly)} {
		before := store.Faults.Calls("ExecuteTransaction")
		store.Faults.Lose("ExecuteTransaction", 2)
		recorded := mustAppend(t, log, stream, eventlog.NoStream, ItemAdded{SKU: "tea"}, ItemAdded{SKU: "cup"})
		if n := store.Faults.Calls("ExecuteTransaction") - before; n != 3 {
			t.Errorf("%d attempts, want 3", n)
		}
		diff(t, "stream", load(t, store.Log, stream), recorded)
	}
}

// A second call with the same ids comes with other times, hence with another
// token: as it does when DynamoDB has forgotten the first one's.
func TestRepeatedAppend(t *testing.T) {
	store := eventlogtest.New(t, carts)
	opened := CartOpened{Customer: "c-1", Email: "ada@example.com"}
	fixed := func() []eventlog.Event {
		return []eventlog.Event{{ID: "1", Payload: opened}, {ID: "2", Payload: ItemAdded{SKU: "tea"}}}
	}
	first, err := store.Log.Append(t.Context(), "ids", eventlog.NoStream, fixed()...)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, store.Log, "ids", 2, ItemAdded{})
	again, err := store.Log.Append(t.Context(), "ids", eventlog.NoStream, fixed()...)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "events of the repeated Append", again, first)

	for name, events := range map[string][]eventlog.Event{
		"fewer":     {{ID: "2", Payload: opened}},
		"more":      append(fixed(), eventlog.Event{ID: "3", Payload: ItemAdded{}}),
		"other ids": {{ID: "1", Payload: opened}, {ID: "x", Payload: ItemAdded{}}},
	} {
		if _, err := store.Log.Append(t.Context(), "ids", eventlog.NoStream, events...); !errors.Is(err, eventlog.ErrConflict) {
			t.Errorf("Append with %s: %v, want a conflict", name, err)
		}
	}

	// A handler that is invoked again brings its ids along in its context.
	for _, test := range []struct {
		name  string
		again context.Context
		want  error
	}{
		{"same command", eventlog.WithCommand(t.Context(), "request-1"), nil},
		{"other command", eventlog.WithCommand(t.Context(), "request-2"), eventlog.ErrConflict},
		{"no command", t.Context(), eventlog.ErrConflict},
	} {
		stream := strings.ReplaceAll(test.name, " ", "-")
		if _, err := store.Log.Append(eventlog.WithCommand(t.Context(), "request-1"), stream, 0, eventlog.Of(opened)); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Log.Append(test.again, stream, 0, eventlog.Of(opened)); !errors.Is(err, test.want) {
			t.Errorf("Append under the %s: %v, want %v", test.name, err, test.want)
		}
		if n := len(load(t, store.Log, stream)); n != 1 {
			t.Errorf("%d events under the %s, want 1", n, test.name)
		}
	}
}

const busy = `{
	"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
	"Message": "Transaction cancelled",
	"CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}]
}`

func TestThrottling(t *testing.T) {
	for _, test := range []struct {
		name, operation, code string
		call                  func(ctx context.Context, log *eventlog.Log) error
	}{
		{"append", "ExecuteTransaction", "ThrottlingException", func(ctx context.Context, log *eventlog.Log) error {
			_, err := log.Append(ctx, "s", eventlog.NoStream, eventlog.Of(ItemAdded{}))
			return err
		}},
		{"capacity", "ExecuteTransaction", "ProvisionedThroughputExceededException", func(ctx context.Context, log *eventlog.Log) error {
			_, err := log.Append(ctx, "s", eventlog.NoStream, eventlog.Of(ItemAdded{}))
			return err
		}},
		{"conflicting transactions", "ExecuteTransaction", busy, func(ctx context.Context, log *eventlog.Log) error {
			_, err := log.Append(ctx, "s", eventlog.NoStream, eventlog.Of(ItemAdded{}))
			return err
		}},
		{"transaction in progress", "ExecuteTransaction", "TransactionInProgressException", func(ctx context.Context, log *eventlog.Log) error {
			_, err := log.Append(ctx, "s", eventlog.NoStream, eventlog.Of(ItemAdded{}))
			return err
		}},
		{"load", "Query", "ThrottlingException", func(ctx context.Context, log *eventlog.Log) error {
			for _, err := range log.Load(ctx, "s", 0) {
				return err
			}
			return nil
		}},
		{"head", "Query", "RequestLimitExceeded", func(ctx context.Context, log *eventlog.Log) error {
			_, err := log.Head(ctx, "s")
			return err
		}},
		{"guard", "GetItem", "ThrottlingException", func(ctx context.Context, log *eventlog.Log) error {
			_, err := log.Append(ctx, "s", 7, eventlog.Of(ItemAdded{}))
			if errors.Is(err, eventlog.ErrGap) {
				return nil // it got an answer
			}
			return err
		}},
		{"large payload", "PUT", `<Error><Code>SlowDown</Code></Error>`, func(ctx context.Context, log *eventlog.Log) error {
			_, err := log.Append(ctx, "s", eventlog.NoStream, eventlog.Of(ItemAdded{SKU: strings.Repeat("x", 200<<10)}))
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := eventlogtest.New(t, carts)
			fail := func(times int) {
				if strings.ContainsAny(test.code, "{<") {
					store.Faults.Answer(test.operation, test.code, times)
				} else {
					store.Faults.Refuse(test.operation, test.code, times)
				}
			}
			fail(3)
			if err := test.call(t.Context(), store.Log); err != nil {
				t.Errorf("after three refusals: %v", err)
			}
			if n := store.Faults.Calls(test.operation); n < 4 {
				t.Errorf("%d calls, want 4", n)
			}

			fail(1000)
			start := time.Now()
			err := test.call(within(t, 300*time.Millisecond), store.Log)
			var throttled *eventlog.ThrottledError
			if !errors.Is(err, eventlog.ErrThrottled) || !errors.As(err, &throttled) || throttled.Attempts < 2 {
				t.Errorf("refused for ever: %v, want a ThrottledError after some attempts", err)
			}
			if spent := time.Since(start); spent > 30*time.Second { // a thousand attempts take longer
				t.Errorf("gave up after %s, the context allowed 300ms", spent)
			}
		})
	}
}

func TestPermanentErrorIsNotRetried(t *testing.T) {
	store := eventlogtest.New(t, carts)
	store.Faults.Refuse("ExecuteTransaction", "AccessDeniedException", 1)
	_, err := store.Log.Append(t.Context(), "s", eventlog.NoStream, eventlog.Of(ItemAdded{}))
	if err == nil || !strings.Contains(err.Error(), "AccessDeniedException") {
		t.Errorf("Append: %v, want AccessDeniedException", err)
	}
	if n := store.Faults.Calls("ExecuteTransaction"); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
}

func TestLargePayload(t *testing.T) {
	store := eventlogtest.New(t, carts)
	large := ItemAdded{SKU: strings.Repeat("x", 1<<20)}
	recorded := mustAppend(t, store.Log, "s", eventlog.NoStream, ItemAdded{SKU: "small"}, large)
	if recorded[0].Ref != "" || recorded[1].Ref == "" {
		t.Errorf("refs %q and %q, want only the second set", recorded[0].Ref, recorded[1].Ref)
	}
	diff(t, "stream", load(t, store.Log, "s"), recorded)

	odd, err := store.Log.Append(t.Context(), "odd", eventlog.NoStream, eventlog.Event{ID: "a/b._:=+-", Payload: large})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "event with an odd id", load(t, store.Log, "odd"), odd)

	overwrite := func(content string) {
		_, err := store.Options.S3.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &store.Options.Payloads, Key: &recorded[1].Ref, Body: strings.NewReader(content),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	overwrite(`{"sku":"forged","cents":1}`)
	expectCodec(t, store.Log, "s", "is not what was recorded")
	if _, err := store.Options.S3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &store.Options.Payloads, Key: &recorded[1].Ref}); err != nil {
		t.Fatal(err)
	}
	expectCodec(t, store.Log, "s", "has no object "+recorded[1].Ref)
}

// expectCodec loads a stream whose last event cannot be decoded.
func expectCodec(t *testing.T, log *eventlog.Log, stream, want string) {
	t.Helper()
	_, _, err := eventlog.Fold(log.Load(t.Context(), stream, 0), 0, func(n int, _ eventlog.Event) int { return n + 1 })
	if !errors.Is(err, eventlog.ErrCodec) || !strings.Contains(err.Error(), want) {
		t.Errorf("Load: %v, want a CodecError with %q", err, want)
	}
}

// A crash between the two steps leaves an object and no event.
func TestCrashBetweenPayloadAndEvent(t *testing.T) {
	store := eventlogtest.New(t, carts)
	ctx := eventlog.WithCommand(t.Context(), "request")
	large := eventlog.Of(CartOpened{Customer: "c-1", Email: strings.Repeat("x", 200<<10)})
	store.Faults.Refuse("ExecuteTransaction", "InternalCrash", 1)
	if _, err := store.Log.Append(ctx, "s", eventlog.NoStream, large); err == nil {
		t.Fatal("Append succeeded without DynamoDB")
	}
	if n := countObjects(t, store); n != 1 {
		t.Errorf("%d objects after the crash, want 1", n)
	}
	if events := load(t, store.Log, "s"); len(events) != 0 {
		t.Errorf("%d events after the crash, want none", len(events))
	}
	recorded, err := store.Log.Append(ctx, "s", eventlog.NoStream, large)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "stream", load(t, store.Log, "s"), recorded)
}

// A lost answer from S3 is no matter: the object has its content in its name.
func TestLostAnswerOfPayload(t *testing.T) {
	store := eventlogtest.New(t, carts)
	store.Faults.Lose("PUT", 1)
	store.Faults.Answer("PUT", `<Error><Code>SlowDown</Code></Error>`, 1)
	recorded := mustAppend(t, store.Log, "s", eventlog.NoStream, ItemAdded{SKU: strings.Repeat("x", 200<<10)})
	diff(t, "stream", load(t, store.Log, "s"), recorded)
	if n := countObjects(t, store); n != 1 {
		t.Errorf("%d objects, want 1", n)
	}
}

func countObjects(t *testing.T, store *eventlogtest.Store) int {
	t.Helper()
	out, err := store.Options.S3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{
		Bucket: &store.Options.Payloads, Prefix: aws.String("payloads/"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Contents)
}

func TestCauses(t *testing.T) {
	store := eventlogtest.New(t, carts)
	appendUnder := func(ctx context.Context, stream string) eventlog.Event {
		t.Helper()
		recorded, err := store.Log.Append(ctx, stream, eventlog.NoStream, eventlog.Of(ItemAdded{}))
		if err != nil {
			t.Fatal(err)
		}
		return recorded[0]
	}
	type story struct {
		Causation, Correlation, Origin string
		Hops                           int
	}
	tell := func(e eventlog.Event) story { return story{e.Causation, e.Correlation, e.Origin, e.Hops} }

	alone := appendUnder(t.Context(), "alone")
	diff(t, "event without a cause", tell(alone), story{Correlation: alone.ID})

	command := appendUnder(eventlog.WithCommand(t.Context(), "request"), "command")
	diff(t, "event of a command", tell(command), story{Causation: "request", Correlation: "request"})

	correlated := eventlog.WithCommand(eventlog.WithCorrelation(t.Context(), "order"), "request")
	diff(t, "event of a correlated command", tell(appendUnder(correlated, "correlated")), story{Causation: "request", Correlation: "order"})

	reaction := appendUnder(eventlog.WithCause(t.Context(), command, "offer"), "reaction")
	diff(t, "event of a reaction", tell(reaction), story{command.ID, "request", "offer", 1})

	again := appendUnder(eventlog.WithCause(t.Context(), reaction, "mail"), "again")
	diff(t, "event of a reaction to it", tell(again), story{reaction.ID, "request", "mail", 2})

	if other := appendUnder(eventlog.WithCause(t.Context(), command, "log"), "other"); other.ID == reaction.ID {
		t.Error("two reactions gave their events the same id")
	}
}

// A table without transactions takes events one at a time, each once.
func TestAppendWithoutTransactions(t *testing.T) {
	store := eventlogtest.New(t, carts)
	options := store.Options
	options.NoTransactions = true
	log := eventlogtest.Open(t, options)

	store.Faults.Lose("ExecuteStatement", 1)
	opened := mustAppend(t, log, "cart-1", eventlog.NoStream, ItemAdded{SKU: "cup"})
	store.Faults.Refuse("ExecuteStatement", "ReplicatedWriteConflictException", 2)
	added := mustAppend(t, log, "cart-1", 1, ItemAdded{SKU: "kettle"})
	if got := load(t, log, "cart-1"); len(got) != 2 || got[0].ID != opened[0].ID || got[1].ID != added[0].ID {
		t.Errorf("loaded %v, want the two events that were appended", got)
	}
	if _, err := log.Append(t.Context(), "cart-1", 1, eventlog.Of(ItemAdded{SKU: "pot"})); !errors.Is(err, eventlog.ErrConflict) {
		t.Errorf("append at a version that is taken: %v, want a conflict", err)
	}
	if _, err := log.Append(t.Context(), "cart-1", 2, eventlog.Of(ItemAdded{}), eventlog.Of(ItemAdded{})); !errors.Is(err, eventlog.ErrOversize) {
		t.Errorf("append of two events: %v, want it refused", err)
	}
	if n := store.Faults.Calls("ExecuteTransaction"); n != 0 {
		t.Errorf("%d transactions, want none", n)
	}
	options.AppendOnly = true
	if _, err := eventlog.New(aws.Config{}, options); err == nil {
		t.Error("an AppendOnly Log without transactions was made")
	}
}
