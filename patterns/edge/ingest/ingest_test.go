package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

func events(n int) (es []Event) {
	for i := range n {
		es = append(es, Event{ID: fmt.Sprintf("e%d", i), Source: "test", Type: "reading", Data: json.RawMessage("1")})
	}
	return es
}

// answer says what the double does with an entry in the nth request: "" accepts
// it, "lost" cuts the connection after accepting, anything else is an error code.
type answer func(request int, id string) string

func double(t *testing.T, a answer) (*Putter, map[string]int, *[]int) {
	t.Helper()
	taken, sizes := map[string]int{}, &[]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Entries []struct{ Detail string } }
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &in); err != nil {
			t.Error(err)
		}
		*sizes = append(*sizes, len(in.Entries))
		var out []map[string]string
		for _, e := range in.Entries {
			var m Message
			if err := json.Unmarshal([]byte(e.Detail), &m); err != nil {
				t.Error(err)
			}
			switch code := a(len(*sizes), m.ID); code {
			case "", "lost":
				taken[m.ID]++
				if code == "lost" {
					panic(http.ErrAbortHandler)
				}
				out = append(out, map[string]string{"EventId": "x"})
			default:
				out = append(out, map[string]string{"ErrorCode": code, "ErrorMessage": "no"})
			}
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		json.NewEncoder(w).Encode(map[string]any{"Entries": out})
	}))
	t.Cleanup(s.Close)
	c := eventbridge.New(eventbridge.Options{Region: "eu-west-1", BaseEndpoint: &s.URL, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		})})
	return &Putter{API: c, Bus: "readings", Attempts: 3, Backoff: time.Millisecond}, taken, sizes
}

func TestPutter(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answer   answer
		sizes    string
		rejected int
	}{
		{"all accepted", func(int, string) string { return "" }, "[10 2]", 0},
		{"throttled once", func(r int, id string) string {
			if r == 1 && id == "e3" {
				return "ThrottlingException"
			}
			return ""
		}, "[10 1 2]", 0},
		{"throttled always", func(_ int, id string) string {
			if id == "e3" {
				return "ThrottlingException"
			}
			return ""
		}, "[10 1 1 2]", 1},
		{"malformed", func(_ int, id string) string {
			if id == "e3" {
				return "MalformedDetail"
			}
			return ""
		}, "[10 2]", 1},
		{"answer lost", func(r int, id string) string {
			if r == 1 && id == "e9" {
				return "lost"
			}
			return ""
		}, "[10 10 2]", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, taken, sizes := double(t, tt.answer)
			err := p.Put(t.Context(), events(12)...)
			rejected, _ := errors.AsType[*RejectedError](err)
			n := 0
			if rejected != nil {
				n = len(rejected.Rejections)
			}
			if got := fmt.Sprint(*sizes); got != tt.sizes || n != tt.rejected || len(taken) != 12-tt.rejected {
				t.Errorf("requests %s, want %s; rejected %d, want %d; taken %v; %v", got, tt.sizes, n, tt.rejected, taken, err)
			}
			if n == 1 && rejected.Rejections[0].Event.ID != "e3" {
				t.Errorf("rejected %s, want e3", rejected.Rejections[0].Event.ID)
			}
		})
	}
}

func TestPutter_Size(t *testing.T) {
	p, taken, sizes := double(t, func(int, string) string { return "" })
	es := events(4)
	for i, n := range []int{100_000, 100_000, 100_000, MaxBytes} {
		es[i].Data = json.RawMessage(`"` + strings.Repeat("a", n) + `"`)
	}
	err := p.Put(t.Context(), es...)
	if big, ok := errors.AsType[*OversizeError](err); !ok || big.ID != "e3" {
		t.Errorf("got %v, want e3 oversize", err)
	}
	if got := fmt.Sprint(*sizes); got != "[2 1]" || len(taken) != 3 {
		t.Errorf("requests %s, taken %v", got, taken)
	}
}

func TestPutter_Canceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, taken, _ := double(t, func(int, string) string { cancel(); return "ThrottlingException" })
	p.Backoff, p.Attempts = time.Hour, 100
	r, ok := errors.AsType[*RejectedError](p.Put(ctx, events(12)...))
	if !ok || len(r.Rejections) != 12 || len(taken) != 0 || !errors.Is(r, context.Canceled) {
		t.Errorf("got %v, want all 12 events rejected", r)
	}
}

func TestPutter_Incomplete(t *testing.T) {
	p, _, sizes := double(t, func(int, string) string { return "" })
	for _, e := range []Event{
		{Source: "s", Type: "t", Data: json.RawMessage("1")},
		{ID: "i", Type: "t", Data: json.RawMessage("1")},
		{ID: "i", Source: "s", Data: json.RawMessage("1")},
		{ID: "i", Source: "s", Type: "t"},
		{ID: strings.Repeat("i", MaxID+1), Source: "s", Type: "t", Data: json.RawMessage("1")},
		{ID: "i", Source: "s", Type: "t", Data: json.RawMessage("{")},
	} {
		if r, ok := errors.AsType[*RejectedError](p.Put(t.Context(), e)); !ok || len(r.Rejections) != 1 || len(*sizes) != 0 {
			t.Errorf("%+v: got %v after %d requests, want a rejection and none", e, r, len(*sizes))
		}
	}
}

func TestConsume_Malformed(t *testing.T) {
	for _, detail := range []string{`{`, `{}`, `{"id":1}`} {
		err := Consume(t.Context(), &world{}, json.RawMessage(detail), func(context.Context, Message) (int, error) {
			t.Error("applied")
			return 1, nil
		})
		if err == nil {
			t.Errorf("%s: no error", detail)
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestPutter_Endpoint(t *testing.T) {
	var host, auth string
	p := &Putter{EndpointID: "abcde.veo", Bus: "readings", Attempts: 1, API: eventbridge.New(eventbridge.Options{
		Region: "eu-west-1", Retryer: aws.NopRetryer{},
		HTTPClient: transport(func(r *http.Request) (*http.Response, error) {
			host, auth = r.URL.Host, r.Header.Get("Authorization")
			return nil, errors.New("down")
		}),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		})})}
	err := p.Put(t.Context(), events(1)...)
	if r, ok := errors.AsType[*RejectedError](err); !ok || len(r.Rejections) != 1 {
		t.Errorf("got %v, want one rejection", err)
	}
	if host != "abcde.veo.endpoint.events.amazonaws.com" || !strings.HasPrefix(auth, "AWS4-ECDSA-P256-SHA256 ") {
		t.Errorf("sent to %q, signed %q; want the endpoint and SigV4A (%v)", host, auth, err)
	}
}

type claim struct {
	token string
	until int
	done  bool
}

// world is two regions behind an endpoint; step is its clock.
type world struct {
	*rand.Rand
	step    int
	up      [2]bool
	archive [2][]string
	pending [2][]string // deliveries
	copies  [2][]string // replication into the region
	claims  map[string]*claim
	applied map[string]int
	forget  bool
}

func (w *world) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	w.step++
	at := 0
	if !w.up[0] {
		at = 1
	}
	out := &eventbridge.PutEventsOutput{}
	for _, e := range in.Entries {
		if w.IntN(4) == 0 {
			out.Entries = append(out.Entries, types.PutEventsResultEntry{ErrorCode: aws.String("ThrottlingException")})
			continue
		}
		w.take(at, *e.Detail)
		w.copies[1-at] = append(w.copies[1-at], *e.Detail)
		out.Entries = append(out.Entries, types.PutEventsResultEntry{EventId: aws.String("x")})
	}
	if w.IntN(6) == 0 {
		return nil, errors.New("answer lost")
	}
	return out, nil
}

func (w *world) take(at int, d string) {
	w.archive[at] = append(w.archive[at], d)
	w.pending[at] = append(w.pending[at], d)
}

func (w *world) Claim(_ context.Context, id string) (string, error) {
	c := w.claims[id]
	switch {
	case c == nil || w.forget:
		c = &claim{}
		w.claims[id] = c
	case c.done:
		return "", ErrFinished
	case w.step < c.until:
		return "", ErrBusy
	}
	c.token, c.until = fmt.Sprint(w.step, w.Uint64()), w.step+5
	return c.token, nil
}

func (w *world) Finish(_ context.Context, id, token string, n int) error {
	if w.IntN(5) == 0 {
		return errors.New("crash before Finish")
	}
	if w.claims[id].token != token {
		return ErrBusy
	}
	w.claims[id].done = true
	w.applied[id] += n
	if w.IntN(5) == 0 {
		return errors.New("crash after Finish")
	}
	return nil
}

func (w *world) Release(_ context.Context, id, token string) error {
	if w.IntN(5) == 0 {
		return errors.New("crash before Release")
	}
	if c := w.claims[id]; c.token == token {
		c.until = 0
	}
	return nil
}

// work moves a few messages, out of order and sometimes doubled.
func (w *world) work(ctx context.Context) {
	w.step++
	for r := range 2 {
		if n := len(w.copies[r]); n > 0 && w.up[0] && w.up[1] {
			i := w.IntN(n)
			w.take(r, w.copies[r][i])
			if w.IntN(4) > 0 {
				w.copies[r] = append(w.copies[r][:i], w.copies[r][i+1:]...)
			}
		}
		if n := len(w.pending[r]); n > 0 && w.up[r] {
			i := w.IntN(n)
			detail := json.RawMessage(w.pending[r][i])
			one := func(context.Context, Message) (int, error) { return 1, nil }
			err := Consume(ctx, w, detail, func(context.Context, Message) (int, error) {
				if w.IntN(6) == 0 { // So slow that another consumer takes over.
					w.step += 10
					Consume(ctx, w, detail, one)
				}
				if w.IntN(6) == 0 {
					return 0, errors.New("not now")
				}
				return 1, nil
			})
			if err == nil && w.IntN(4) > 0 {
				w.pending[r] = append(w.pending[r][:i], w.pending[r][i+1:]...)
			}
		}
	}
}

// recover brings the primary region back and replays its archive.
func (w *world) recover(replay bool) {
	w.up[0] = true
	if replay {
		w.pending[0] = append(w.pending[0], w.archive[0]...)
	}
}

// run returns how many accepted events were lost and how many applied twice.
func run(t *testing.T, seed uint64, replay, forget bool) (lost, doubled, rejections int) {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), up: [2]bool{true, true}, claims: map[string]*claim{}, applied: map[string]int{}, forget: forget}
	p := &Putter{API: w, EndpointID: "abcde.veo", Bus: "readings", Attempts: 2, Backoff: time.Nanosecond}
	es, refused := events(40), map[string]bool{}
	dies := w.IntN(20)
	recovers := dies + 1 + w.IntN(20-dies)
	for i := range 20 {
		if i == dies {
			// What is under way in the region dies with it; its archive does not.
			w.up[0], w.pending[0], w.copies = false, nil, [2][]string{}
		}
		if i == recovers {
			w.recover(replay)
		}
		if r, ok := errors.AsType[*RejectedError](p.Put(t.Context(), es[2*i:2*i+2]...)); ok {
			for _, x := range r.Rejections {
				refused[x.Event.ID] = true
			}
		}
		for range w.IntN(6) {
			w.work(t.Context())
		}
	}
	if recovers == 20 {
		w.recover(replay)
	}
	for n := 0; n < 100_000 && len(w.pending[0])+len(w.pending[1])+len(w.copies[0])+len(w.copies[1]) > 0; n++ {
		w.work(t.Context())
	}
	if n := len(w.pending[0]) + len(w.pending[1]) + len(w.copies[0]) + len(w.copies[1]); n > 0 {
		t.Fatalf("seed %d: %d messages left", seed, n)
	}
	for _, e := range es {
		if w.applied[e.ID] == 0 && !refused[e.ID] {
			lost++
		}
		if w.applied[e.ID] > 1 {
			doubled++
		}
	}
	return lost, doubled, len(refused)
}

func TestFailover(t *testing.T) {
	var rejections, lostWithout, doubledWithout int
	for seed := range uint64(300) {
		lost, doubled, n := run(t, seed, true, false)
		if lost+doubled > 0 {
			t.Fatalf("seed %d: %d lost, %d applied twice", seed, lost, doubled)
		}
		rejections += n
		lost, _, _ = run(t, seed, false, false)
		lostWithout += lost
		_, doubled, _ = run(t, seed, true, true)
		doubledWithout += doubled
	}
	// The faults are real: without the replay, or the claims, the same seeds fail.
	if rejections == 0 || lostWithout == 0 || doubledWithout == 0 {
		t.Errorf("rejections %d, lost without replay %d, doubled without claims %d; want some of each", rejections, lostWithout, doubledWithout)
	}
}
