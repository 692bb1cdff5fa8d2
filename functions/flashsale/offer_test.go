package flashsale_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serverless-go/cdk/functions/flashsale/forget"
	"github.com/serverless-go/cdk/functions/flashsale/offer"
	"github.com/serverless-go/cdk/patterns/eventsourcing/cascade"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/test/engine"
)

const (
	alarmID  = "5f0f3d0c-9d6b-4c0e-8a4e-2f4a7a1c9b10"
	offerDay = "offers-2026-08-01"
)

// remedy is the function offer with its guard.
type remedy struct {
	*offer.Handler
	*eventlogtest.Store
	now    time.Time
	guards *engine.Faults // between the guard and its table
}

func newRemedy(t *testing.T) *remedy {
	t.Helper()
	r := &remedy{
		Store:  eventlogtest.New(t, offer.Registry()),
		now:    time.Date(2026, 8, 1, 10, 30, 2, 0, time.UTC),
		guards: &engine.Faults{},
	}
	cfg := engine.DynamoDB(t).Config()
	table := newTable(t, dynamodb.NewFromConfig(cfg), "guard", schema.GuardKey)
	cfg.HTTPClient = r.guards
	clock := func() time.Time { return r.now }
	r.Handler = &offer.Handler{
		Guard: &cascade.Guard{Name: "abandonment", DynamoDB: dynamodb.NewFromConfig(cfg), Table: table, Now: clock},
		Log:   r.Store.Log,
		Terms: offer.Terms{Percent: 10, Redemptions: 500, PerDay: 2},
		Now:   clock,
	}
	return r
}

// alarm returns the alarm's event with changes, "old" and "new" in turn.
func alarm(t *testing.T, changes ...string) []byte {
	t.Helper()
	event, err := os.ReadFile("testdata/alarm.json")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(changes); i += 2 {
		if !bytes.Contains(event, []byte(changes[i])) {
			t.Fatalf("testdata/alarm.json lacks %s", changes[i])
		}
		event = bytes.ReplaceAll(event, []byte(changes[i]), []byte(changes[i+1]))
	}
	return event
}

func TestOffer(t *testing.T) {
	r := newRemedy(t)
	if _, err := r.Invoke(t.Context(), alarm(t)); err != nil {
		t.Fatal(err)
	}
	stored := load(t, r.Store.Log, offerDay)
	at := time.Date(2026, 8, 1, 10, 30, 0, 0, time.UTC)
	want := []eventlog.Event{{
		Stream: offerDay, Version: 1, Type: "RetentionOfferIssued", TypeVersion: 1,
		Causation: alarmID, Correlation: alarmID, Hops: 1, Origin: "abandonment",
		Payload: offer.Issued{Code: "BACK-PSUA56UPW7", Percent: 10, Redemptions: 500, From: at, Until: at.Add(2 * time.Hour), Alarm: "AbandonedCarts"},
	}}
	if diff := cmp.Diff(want, stored, cmpopts.IgnoreFields(eventlog.Event{}, "ID", "Time", "Data")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// Each case is a series of deliveries and how many offers they lead to.
func TestOfferLimits(t *testing.T) {
	another := func(n int) []string { return []string{alarmID, fmt.Sprint("alarm-", n)} }
	for _, tt := range []struct {
		name    string
		changes [][]string // of the deliveries
		pause   time.Duration
		offers  int
	}{
		{"delivered three times", [][]string{nil, nil, nil}, 0, 1},
		{"delivered again after the cool-down", [][]string{nil, nil}, 20 * time.Minute, 1},
		{"flapping", [][]string{another(1), another(2), another(3)}, 4 * time.Minute, 1},
		{"all day", [][]string{another(1), another(2), another(3), another(4)}, 20 * time.Minute, 2},
		{"back to rest", [][]string{{`"value": "ALARM"`, `"value": "OK"`}}, 0, 0},
		{"replayed hours later", [][]string{{"2026-08-01T10:30:00Z", "2026-08-01T08:30:00Z"}}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRemedy(t)
			for _, changes := range tt.changes {
				if _, err := r.Invoke(t.Context(), alarm(t, changes...)); err != nil {
					t.Errorf("%v: %v", changes, err)
				}
				r.now = r.now.Add(tt.pause)
			}
			if stored := load(t, r.Store.Log, offerDay); len(stored) != tt.offers {
				t.Errorf("%d offers, want %d: %v", len(stored), tt.offers, payloads(stored))
			}
		})
	}
}

// The function dies between the append and the guard's note of it. The retry
// gets through the guard, and the day's stream knows the alarm.
func TestOfferAfterCrash(t *testing.T) {
	r := newRemedy(t)
	r.guards.Refuse("UpdateItem", "AccessDeniedException", 1)
	if _, err := r.Invoke(t.Context(), alarm(t)); err == nil {
		t.Fatal("no error though the guard could not take its note")
	}
	r.now = r.now.Add(2 * time.Minute) // the lease is over
	if _, err := r.Invoke(t.Context(), alarm(t)); err != nil {
		t.Fatal(err)
	}
	if stored := load(t, r.Store.Log, offerDay); len(stored) != 1 {
		t.Errorf("%d offers, want 1: %v", len(stored), payloads(stored))
	}
}

func TestConcurrentOffers(t *testing.T) {
	r := newRemedy(t)
	var wg sync.WaitGroup
	busy := make([]error, 8)
	for i := range busy {
		wg.Go(func() { _, busy[i] = r.Invoke(t.Context(), alarm(t)) })
	}
	wg.Wait()
	for _, err := range busy {
		if err != nil && !errors.As(err, new(*cascade.BusyError)) {
			t.Errorf("error %v, want none or a BusyError, which Lambda retries", err)
		}
	}
	if stored := load(t, r.Store.Log, offerDay); len(stored) != 1 {
		t.Errorf("%d offers, want 1: %v", len(stored), payloads(stored))
	}
}

func TestOfferTrouble(t *testing.T) {
	r := newRemedy(t)
	if _, err := r.Invoke(t.Context(), []byte(`{"detail-type": "CartAbandoned"}`)); err == nil {
		t.Error("no error for an event that is no alarm")
	}
	r.Faults.Refuse("ExecuteTransaction", "AccessDeniedException", 1)
	if _, err := r.Invoke(t.Context(), alarm(t)); err == nil {
		t.Error("no error though the store refused the offer; nobody would retry")
	}
	if _, err := r.Invoke(t.Context(), alarm(t)); err != nil {
		t.Errorf("retry: %v", err)
	}
	if stored := load(t, r.Store.Log, offerDay); len(stored) != 1 {
		t.Errorf("%d offers, want 1: %v", len(stored), payloads(stored))
	}
}

func TestForget(t *testing.T) {
	s := newSale(t)
	path := s.open(request{body: `{"email": "ann@example.com"}`})
	// As deployed: the function may append, and not read.
	faults := &engine.Faults{}
	cfg := engine.DynamoDB(t).Config()
	cfg.HTTPClient = faults
	options := s.Options
	options.DynamoDB, options.AppendOnly = dynamodb.NewFromConfig(cfg), true
	faults.Refuse("Query", "AccessDeniedException", 1000)
	h := &forget.Handler{Log: eventlogtest.Open(t, options)}
	for payload, want := range map[string]string{
		`{}`:                               `subject is "", want`,
		`{"subject": "ann@example.com"}`:   `subject is "ann@example.com", want`,
		`{"customer": "` + ann + `"}`:      `unknown field "customer"`,
		`"` + ann + `"`:                    `want {"subject": "customer-..."}`,
		`{"subject": "` + ann[:20] + `"}`:  `want the pseudonym of a customer`,
		`{"subject": "` + ann + `", "x":1`: `want {"subject": "customer-..."}`,
	} {
		if _, err := h.Invoke(t.Context(), []byte(payload)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %s", payload, err, want)
		}
	}
	for range 2 {
		reply, err := h.Invoke(t.Context(), []byte(`{"subject": "`+ann+`"}`))
		if err != nil || string(reply) != `{"subject": "`+ann+`"}` {
			t.Fatalf("reply %s, error %v", reply, err)
		}
	}
	if opened := s.stream(path)[0]; !opened.Forgotten {
		t.Errorf("%+v is not forgotten", opened)
	}
	tombstones := 0
	for _, event := range s.all() {
		if event.Type == schema.TombstoneType {
			tombstones++
		}
	}
	if tombstones != 1 {
		t.Errorf("%d tombstones, want 1", tombstones)
	}
	faults.Refuse("UpdateItem", "AccessDeniedException", 1)
	if _, err := h.Invoke(t.Context(), []byte(`{"subject": "`+ann+`"}`)); err == nil {
		t.Error("no error though the key could not be destroyed")
	}
}
