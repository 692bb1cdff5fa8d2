package eventlog_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/test/engine"
)

func TestLoad(t *testing.T) {
	store := eventlogtest.New(t, carts)
	// More than one page of 1 MB.
	for i := range 10 {
		mustAppend(t, store.Log, "s", int64(i), ItemAdded{SKU: strings.Repeat("x", 150<<10), Cents: i + 1})
	}
	versions := func(stream string, from int64, most int) (got []int64) {
		t.Helper()
		for e, err := range store.Log.Load(t.Context(), stream, from) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, e.Version); len(got) == most {
				break
			}
		}
		return got
	}
	for _, test := range []struct {
		stream string
		from   int64
		most   int
		want   []int64
	}{
		{"s", 0, 99, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"s", 1, 99, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"s", -5, 2, []int64{1, 2}},
		{"s", 9, 99, []int64{9, 10}},
		{"s", 11, 99, nil},
		{"s", 3, 1, []int64{3}},
		{"none", 0, 99, nil},
	} {
		diff(t, fmt.Sprintf("Load(%s, %d)", test.stream, test.from), versions(test.stream, test.from, test.most), test.want)
	}

	for stream, want := range map[string]int64{"s": 10, "none": 0} {
		if got, err := store.Log.Head(t.Context(), stream); got != want || err != nil {
			t.Errorf("Head(%q) = %d, %v; want %d", stream, got, err, want)
		}
	}
	for _, err := range store.Log.Load(t.Context(), "a#b", 0) {
		if err == nil {
			t.Error("Load of a wrong name succeeded")
		}
	}
	sequence := store.Log.Load(t.Context(), "s", 9)
	for range 2 { // a sequence can be ranged over again
		if _, version, err := eventlog.Fold(sequence, 0, func(n int, _ eventlog.Event) int { return n }); version != 10 || err != nil {
			t.Errorf("Fold ended at %d, %v", version, err)
		}
	}
}

// DynamoDB Local is always consistent, DynamoDB only when it is asked to be.
func TestReadsAreConsistent(t *testing.T) {
	asked := 0
	cfg := engine.Endpoint{URL: "http://127.0.0.1:1"}.Config()
	cfg.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if asked++; err != nil || !strings.Contains(string(body), `"ConsistentRead":true`) {
			t.Errorf("%s is not consistent: %s", r.Header.Get("X-Amz-Target"), body)
		}
		return canned("{}").Do(r)
	})
	log, err := eventlog.New(cfg, eventlog.Options{Table: "t", Subjects: "s", Key: "k", Registry: carts})
	if err != nil {
		t.Fatal(err)
	}
	for range log.Load(t.Context(), "s", 0) {
		t.Error("an event from nowhere")
	}
	log.Head(t.Context(), "s")
	if _, err := log.Append(t.Context(), "s", 7, eventlog.Of(ItemAdded{})); !errors.Is(err, eventlog.ErrGap) {
		t.Errorf("Append: %v, want a gap", err)
	}
	if asked != 3 {
		t.Errorf("%d reads, want 3", asked)
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func TestStreams(t *testing.T) {
	store := eventlogtest.New(t, carts)
	var want []string
	for i := range 60 {
		stream := fmt.Sprint("cart-", i)
		mustAppend(t, store.Log, stream, eventlog.NoStream, ItemAdded{}, ItemAdded{})
		want = append(want, stream)
	}
	var all []string
	for i := range schema.Shards {
		shard := schema.ShardName(i)
		var listed []eventlog.Opening
		for o, err := range store.Log.Streams(t.Context(), shard, "") {
			if err != nil {
				t.Fatal(err)
			}
			if schema.ShardOf(o.Stream) != shard {
				t.Errorf("%s lists %q of shard %s", shard, o.Stream, schema.ShardOf(o.Stream))
			}
			listed = append(listed, o)
			all = append(all, o.Stream)
		}
		if !slices.IsSortedFunc(listed, func(a, b eventlog.Opening) int { return cmp.Compare(a.Opened, b.Opened) }) {
			t.Errorf("shard %s is not in order: %v", shard, listed)
		}
		// Going on behind any entry lists the rest.
		for j, o := range listed {
			var rest []eventlog.Opening
			for o, err := range store.Log.Streams(t.Context(), shard, o.Opened) {
				if err != nil {
					t.Fatal(err)
				}
				rest = append(rest, o)
			}
			if !slices.Equal(rest, listed[j+1:]) {
				t.Errorf("shard %s behind %q: %v, want %v", shard, o.Opened, rest, listed[j+1:])
			}
		}
	}
	slices.Sort(all)
	slices.Sort(want)
	diff(t, "streams", all, want)
}

// envelope returns an event as a pipe writes it.
func envelope(e eventlog.Event) schema.Envelope {
	if e.Ref != "" {
		e.Data = nil
	}
	return schema.Envelope{
		Stream: e.Stream, Version: e.Version, Position: e.Position(), ID: e.ID, Type: e.Type, TypeVersion: e.TypeVersion,
		Time: e.Time.Format(time.RFC3339Nano), Causation: e.Causation, Correlation: e.Correlation, Hops: e.Hops, Origin: e.Origin,
		Subject: e.Subject, Data: e.Data, Ref: e.Ref,
	}
}

// onBus returns an envelope as EventBridge delivers it.
func onBus(v schema.Envelope, replay string) []byte {
	event := map[string]any{
		"version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": v.Type, "source": "eventstore.carts",
		"account": "111122223333", "time": "2026-05-01T12:00:00Z", "region": "us-east-1", "resources": []string{}, "detail": v,
	}
	if replay != "" {
		event["replay-name"] = replay
	}
	data, _ := json.Marshal(event)
	return data
}

func inQueue(v schema.Envelope) []byte {
	data, _ := json.Marshal(v)
	return data
}

func TestDecode(t *testing.T) {
	store := eventlogtest.New(t, carts)
	recorded := mustAppend(t, store.Log, "s", eventlog.NoStream,
		CartOpened{Customer: "c-1", Email: "ada@example.com"},
		ItemAdded{SKU: strings.Repeat("x", 200<<10)},
		CartCheckedOut{})
	for _, want := range recorded {
		for name, message := range map[string][]byte{
			"queue":  inQueue(envelope(want)),
			"bus":    onBus(envelope(want), ""),
			"replay": onBus(envelope(want), "again"),
		} {
			want.Replay = ""
			if name == "replay" {
				want.Replay = "again"
			}
			got, err := store.Log.Decode(t.Context(), message)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			diff(t, name, got, want)
		}
	}
}

func TestDecodeRejects(t *testing.T) {
	log, err := eventlog.New(aws.Config{}, eventlog.Options{Table: "t", Registry: carts})
	if err != nil {
		t.Fatal(err)
	}
	good := schema.Envelope{Stream: "s", Version: 1, ID: "1", Type: "ItemAdded", TypeVersion: 1, Time: "2026-05-01T12:00:00Z", Data: []byte(`{}`)}
	if _, err := log.Decode(t.Context(), inQueue(good)); err != nil {
		t.Fatal(err)
	}
	broken := func(change func(*schema.Envelope)) []byte {
		v := good
		change(&v)
		return inQueue(v)
	}
	for _, test := range []struct {
		name, want string
		message    []byte
	}{
		{"empty", "unexpected end of JSON input", nil},
		{"no JSON", "invalid character", []byte("hello")},
		{"array", "cannot unmarshal array", []byte("[]")},
		{"other object", `stream is ""`, []byte("{}")},
		{"event of somebody else", `stream is ""`, []byte(`{"version":"0","detail-type":"CloudWatch Alarm State Change","detail":{"state":{"value":"ALARM"}}}`)},
		{"stream", `stream is "a#b"`, broken(func(v *schema.Envelope) { v.Stream = "a#b" })},
		{"version", "version is 0, want 1 or more", broken(func(v *schema.Envelope) { v.Version = 0 })},
		{"id", `id is "", want not empty`, broken(func(v *schema.Envelope) { v.ID = "" })},
		{"type", `type is "", want not empty`, broken(func(v *schema.Envelope) { v.Type = "" })},
		{"type version", "typeVersion is 0, want 1 or more", broken(func(v *schema.Envelope) { v.TypeVersion = 0 })},
		{"time", `time is "yesterday", want a time in RFC 3339`, broken(func(v *schema.Envelope) { v.Time = "yesterday" })},
		{"hops", "hops is -1, want 0 or more", broken(func(v *schema.Envelope) { v.Hops = -1 })},
		{"neither data nor ref", "want exactly one of them", broken(func(v *schema.Envelope) { v.Data = nil })},
		{"data and ref", "want exactly one of them", broken(func(v *schema.Envelope) { v.Ref = "x" })},
		{"ref", `ref is "x", want payloads/1/SHA-256`, broken(func(v *schema.Envelope) { v.Data, v.Ref = nil, "x" })},
		{"ref of another event", "want payloads/1/SHA-256", broken(func(v *schema.Envelope) {
			v.Data, v.Ref = nil, "payloads/2/"+strings.Repeat("0", 64)
		})},
		{"ref without bucket", "Options.Payloads is empty", broken(func(v *schema.Envelope) {
			v.Data, v.Ref = nil, "payloads/1/"+strings.Repeat("0", 64)
		})},
		{"payload", "invalid character", broken(func(v *schema.Envelope) { v.Data = []byte("x") })},
		{"newer payload", "version 2 is newer than 1", broken(func(v *schema.Envelope) { v.TypeVersion = 2 })},
		{"number", "invalid use of ,string struct tag", []byte(`{"version":1}`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := log.Decode(t.Context(), test.message)
			var codec *eventlog.CodecError
			if !errors.Is(err, eventlog.ErrCodec) || !errors.As(err, &codec) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Decode: %v, want a CodecError with %q", err, test.want)
			}
		})
	}
}

// Decode takes whatever a queue holds: it never panics, fails only with a
// CodecError, and what it takes it would take again.
func FuzzDecode(f *testing.F) {
	good := schema.Envelope{Stream: "s", Version: 1, ID: "1", Type: "ItemAdded", TypeVersion: 1, Time: "2026-05-01T12:00:00Z", Data: []byte(`{"sku":"tea"}`)}
	sealed := good
	sealed.Type, sealed.Subject, sealed.Data = "CartOpened", "c-1", []byte(`{"$sealed":{"/email":"AAAAAAAAAAAAAAAAAAAA"}}`)
	for _, v := range []schema.Envelope{good, sealed} {
		f.Add(inQueue(v))
		f.Add(onBus(v, "again"))
	}
	f.Add([]byte(`{"detail":null,"version":"-1"}`))
	// Without bucket and keys there is nothing to call.
	log, err := eventlog.New(aws.Config{}, eventlog.Options{Table: "t", Registry: carts})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		e, err := log.Decode(t.Context(), message)
		if err != nil {
			if !errors.Is(err, eventlog.ErrCodec) {
				t.Errorf("not a CodecError: %v", err)
			}
			return
		}
		again, err := log.Decode(t.Context(), onBus(envelope(e), e.Replay))
		if err != nil {
			t.Errorf("decoded once, not twice: %v", err)
		}
		diff(t, "event decoded again", again, e)
	})
}
