package eventlog_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) { engine.Main(m) }

// noon is the time of events in tests that look at it.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)

// load returns all events of a stream.
func load(t *testing.T, log *eventlog.Log, stream string) []eventlog.Event {
	t.Helper()
	var events []eventlog.Event
	for e, err := range log.Load(t.Context(), stream, 0) {
		if err != nil {
			t.Fatalf("Load(%q) after %d events: %v", stream, len(events), err)
		}
		events = append(events, e)
	}
	return events
}

// mustAppend appends payloads.
func mustAppend(t testing.TB, log *eventlog.Log, stream string, expected int64, payloads ...any) []eventlog.Event {
	t.Helper()
	var events []eventlog.Event
	for _, p := range payloads {
		events = append(events, eventlog.Of(p))
	}
	recorded, err := log.Append(t.Context(), stream, expected, events...)
	if err != nil {
		t.Fatal(err)
	}
	return recorded
}

func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true })); d != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, d)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// The life of a cart, as the package's example tells it.
func TestCart(t *testing.T) {
	store := eventlogtest.New(t, carts)
	cart := eventlog.Aggregate[Cart]{Log: store.Log, Apply: Cart.Apply}
	mustAppend(t, store.Log, "cart-7", eventlog.NoStream,
		CartOpened{Customer: "c-42", Email: "ada@example.com"},
		ItemAdded{SKU: "kettle", Cents: 2999})

	if _, err := cart.Update(t.Context(), "cart-7", Cart.CheckOut); err != nil {
		t.Fatal(err)
	}
	if _, err := cart.Update(t.Context(), "cart-7", Cart.CheckOut); fmt.Sprint(err) != "cart is not open" {
		t.Errorf("second checkout: %v, want it refused by the cart", err)
	}
	state, version, err := cart.Load(t.Context(), "cart-7")
	if err != nil || version != 3 {
		t.Errorf("cart at version %d, %v; want 3", version, err)
	}
	diff(t, "cart", state, Cart{Cents: 2999})
}
