package cart_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/functions/flashsale"
	"github.com/serverless-go/cdk/functions/flashsale/cart"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

// after returns the cart after the events.
func after(given ...any) cart.Cart {
	var c cart.Cart
	for i, payload := range given {
		c = cart.Apply(c, eventlog.Event{Version: int64(i + 1), Causation: fmt.Sprint("command-", i+1), Payload: payload})
	}
	return c
}

func eur(amount int64) cart.Money { return cart.Money{Amount: amount, Currency: "EUR"} }

var (
	opened = cart.Opened{Customer: "ann"}
	lamp   = cart.Line{SKU: "lamp", Price: eur(1999), Quantity: 2}
	lamps  = cart.ItemAdded{SKU: "lamp", Price: eur(1999), Quantity: 2, InCart: 2}
)

// Given events, when a command comes, then it leads to an event or an error.
func TestDecisions(t *testing.T) {
	add := func(line cart.Line) func(cart.Cart) (any, error) {
		return func(c cart.Cart) (any, error) { return c.Add(line) }
	}
	open := func(email string) func(cart.Cart) (any, error) {
		return func(c cart.Cart) (any, error) { return c.Open("ann", email) }
	}
	checkOut := func(c cart.Cart) (any, error) { return c.CheckOut() }
	abandon := func(c cart.Cart) (any, error) { return c.Abandon() }

	lines := func(n int) []any {
		events := []any{opened}
		for i := range n {
			events = append(events, cart.ItemAdded{SKU: fmt.Sprint("sku-", i), Price: eur(1), Quantity: 1, InCart: 1})
		}
		return events
	}

	for _, tt := range []struct {
		name  string
		given []any
		when  func(cart.Cart) (any, error)
		then  any       // the event
		rule  cart.Rule // of a RefusedError
		wrong []string  // the fields of an InvalidError
	}{
		{name: "open", when: open("ann@example.com"), then: cart.Opened{Customer: "ann", Email: "ann@example.com"}},
		{name: "open without e-mail", when: open(""), then: opened},
		{name: "open twice", given: []any{opened}, when: open(""), rule: cart.Closed},
		{name: "open after checkout", given: []any{opened, lamps, cart.CheckedOut{}}, when: open(""), rule: cart.Closed},
		{name: "open with half an e-mail", when: open("ann@"), wrong: []string{"email"}},
		{name: "open with a long e-mail", when: open(strings.Repeat("a", 250) + "@b.de"), wrong: []string{"email"}},
		{name: "open with two e-mails", when: open("ann@example.com, bob@example.com"), wrong: []string{"email"}},

		{name: "add", given: []any{opened}, when: add(lamp), then: lamps},
		{name: "add more", given: []any{opened, lamps}, when: add(lamp), then: cart.ItemAdded{SKU: "lamp", Price: eur(1999), Quantity: 2, InCart: 4}},
		{name: "add at another price", given: []any{opened, lamps}, when: add(cart.Line{SKU: "lamp", Price: eur(999), Quantity: 1}),
			then: cart.ItemAdded{SKU: "lamp", Price: eur(999), Quantity: 1, InCart: 1}},
		{name: "add a present", given: []any{opened}, when: add(cart.Line{SKU: "pin", Price: eur(0), Quantity: 1}),
			then: cart.ItemAdded{SKU: "pin", Price: eur(0), Quantity: 1, InCart: 1}},
		{name: "add the most", given: []any{opened}, when: add(cart.Line{SKU: "sofa", Price: eur(cart.MaxPrice), Quantity: cart.MaxPieces}),
			then: cart.ItemAdded{SKU: "sofa", Price: eur(cart.MaxPrice), Quantity: 500, InCart: 500}},
		{name: "add the last line", given: lines(cart.MaxLines - 1), when: add(lamp), then: lamps},
		{name: "add to a full line", given: lines(cart.MaxLines), when: add(cart.Line{SKU: "sku-7", Price: eur(1), Quantity: 1}),
			then: cart.ItemAdded{SKU: "sku-7", Price: eur(1), Quantity: 1, InCart: 2}},
		{name: "add a line too many", given: lines(cart.MaxLines), when: add(lamp), rule: cart.Full},
		{name: "add a piece too many", given: []any{opened, cart.ItemAdded{SKU: "lamp", Price: eur(1999), Quantity: 499, InCart: 499}}, when: add(lamp), rule: cart.Full},
		{name: "add in another currency", given: []any{opened, lamps}, when: add(cart.Line{SKU: "pin", Price: cart.Money{Amount: 5, Currency: "JPY"}, Quantity: 1}), rule: cart.MixedCurrency},
		{name: "add before opening", when: add(lamp), rule: cart.Closed},
		{name: "add after checkout", given: []any{opened, lamps, cart.CheckedOut{}}, when: add(lamp), rule: cart.Closed},
		{name: "add after abandonment", given: []any{opened, cart.Abandoned{}}, when: add(lamp), rule: cart.Closed},
		{name: "add nothing", given: []any{opened}, when: add(cart.Line{}), wrong: []string{"sku", "quantity", "price/currency"}},
		{name: "add too much at once", given: []any{opened}, when: add(cart.Line{SKU: "lamp", Price: eur(cart.MaxPrice + 1), Quantity: 501}), wrong: []string{"quantity", "price/amount"}},
		{name: "add with a strange SKU", given: []any{opened}, when: add(cart.Line{SKU: "lamp#1", Price: eur(1), Quantity: 1}), wrong: []string{"sku"}},
		{name: "take out", given: []any{opened, lamps}, when: add(cart.Line{SKU: "lamp", Price: eur(1999), Quantity: -1}), wrong: []string{"quantity"}},

		{name: "check out", given: []any{opened, lamps, cart.ItemAdded{SKU: "pin", Price: eur(5), Quantity: 3, InCart: 3}}, when: checkOut,
			then: cart.CheckedOut{Total: eur(2*1999 + 3*5), Lines: []cart.Line{lamp, {SKU: "pin", Price: eur(5), Quantity: 3}}}},
		{name: "check out empty", given: []any{opened}, when: checkOut, rule: cart.Empty},
		{name: "check out twice", given: []any{opened, lamps, cart.CheckedOut{}}, when: checkOut, rule: cart.Closed},
		{name: "check out after abandonment", given: []any{opened, lamps, cart.Abandoned{}}, when: checkOut, rule: cart.Closed},
		{name: "check out before opening", when: checkOut, rule: cart.Closed},

		{name: "abandon", given: []any{opened, lamps}, when: abandon, then: cart.Abandoned{Total: eur(2 * 1999), Lines: []cart.Line{lamp}}},
		{name: "abandon empty", given: []any{opened}, when: abandon, then: cart.Abandoned{}},
		{name: "abandon twice", given: []any{opened, cart.Abandoned{}}, when: abandon, rule: cart.Closed},
		{name: "abandon after checkout", given: []any{opened, lamps, cart.CheckedOut{}}, when: abandon, rule: cart.Closed},
		{name: "abandon before opening", when: abandon, rule: cart.Closed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.when(after(tt.given...))
			var refused *cart.RefusedError
			var invalid *cart.InvalidError
			switch {
			case tt.rule != "":
				if !errors.As(err, &refused) || refused.Rule != tt.rule || refused.Detail == "" {
					t.Errorf("error %v, want a RefusedError of %s", err, tt.rule)
				}
			case tt.wrong != nil:
				if !errors.As(err, &invalid) {
					t.Fatalf("error %v, want an InvalidError", err)
				}
				var fields []string
				for _, field := range invalid.Fields {
					fields = append(fields, field.Name)
				}
				if diff := cmp.Diff(tt.wrong, fields); diff != "" {
					t.Errorf("wrong fields (-want +got):\n%s", diff)
				}
			default:
				if diff := cmp.Diff(tt.then, got); diff != "" || err != nil {
					t.Errorf("error %v, event (-want +got):\n%s", err, diff)
				}
			}
		})
	}
}

func TestApply(t *testing.T) {
	given := []any{opened, lamps, cart.ItemAdded{SKU: "lamp", Price: eur(1999), Quantity: 3, InCart: 5}, nil, cart.CheckedOut{}}
	var states []cart.Cart
	for i := range len(given) + 1 {
		states = append(states, after(given[:i]...))
	}
	c := after(given...)
	want := cart.Cart{State: cart.StateCheckedOut, Customer: "ann", Lines: []cart.Line{{SKU: "lamp", Price: eur(1999), Quantity: 5}},
		Commands: []cart.Command{{"command-1", 1}, {"command-2", 2}, {"command-3", 3}, {"command-4", 4}, {"command-5", 5}}}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("cart (-want +got):\n%s", diff)
	}
	// A state that was folded further is what it was.
	for i, state := range states {
		cart.Apply(state, eventlog.Event{Version: 9, Causation: "other", Payload: cart.ItemAdded{SKU: "lamp", Price: eur(1999), Quantity: 7, InCart: 7}})
		if diff := cmp.Diff(after(given[:i]...), state); diff != "" {
			t.Errorf("after %d events, changed by Apply (-want +got):\n%s", i, diff)
		}
	}
}

// Whatever commands come, what the events say agrees with the state.
func TestRandomCarts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		c, inCart := cart.Cart{}, map[cart.Line]int{}
		obeyed, total := 0, int64(0)
		for range 100 {
			line := cart.Line{SKU: fmt.Sprint("sku-", random.IntN(60)), Price: eur(int64(random.IntN(2))), Quantity: random.IntN(40)}
			var event any
			var err error
			switch n := random.IntN(100); {
			case n == 0:
				event, err = c.CheckOut()
			case n == 1:
				event, err = c.Abandon()
			case n < 10:
				event, err = c.Open("ann", "")
			default:
				event, err = c.Add(line)
			}
			if err != nil {
				continue
			}
			if (c.State == "") != (reflect.TypeOf(event) == reflect.TypeFor[cart.Opened]()) {
				t.Fatalf("%#v in state %q", event, c.State)
			}
			switch e := event.(type) {
			case cart.ItemAdded:
				key := cart.Line{SKU: e.SKU, Price: e.Price}
				inCart[key] += e.Quantity
				total += e.Price.Amount * int64(e.Quantity)
				if e.InCart != inCart[key] {
					t.Fatalf("%#v, want %d in the cart", e, inCart[key])
				}
			case cart.CheckedOut:
				if e.Total != eur(total) || len(e.Lines) != len(inCart) {
					t.Fatalf("%#v, want total %d and %d lines", e, total, len(inCart))
				}
			}
			obeyed++
			c = cart.Apply(c, eventlog.Event{Version: int64(obeyed), Payload: event})
			if len(c.Lines) > cart.MaxLines || c.Pieces() > cart.MaxPieces || len(c.Commands) != obeyed {
				t.Fatalf("%d lines, %d pieces, %d commands of %d", len(c.Lines), c.Pieces(), len(c.Commands), obeyed)
			}
		}
	}
}

// The files show how events are recorded. They are contract: a change that no
// longer reads them needs a new version of the type and an upcast.
func TestEventsOnTheWire(t *testing.T) {
	for name, event := range map[string]any{
		flashsale.CartOpened:     cart.Opened{Customer: "customer-gajtawvm5vxzdh4ryvotwmgycd", Email: "ann@example.com"},
		flashsale.ItemAdded:      cart.ItemAdded{SKU: "lamp", Price: eur(1999), Quantity: 2, InCart: 5},
		flashsale.CartCheckedOut: cart.CheckedOut{Lines: []cart.Line{lamp}, Total: eur(3998)},
		flashsale.CartAbandoned:  cart.Abandoned{Lines: []cart.Line{lamp}, Total: eur(3998)},
	} {
		t.Run(name, func(t *testing.T) {
			recorded, err := os.ReadFile(filepath.Join("testdata", name+".1.json"))
			if err != nil {
				t.Fatal(err)
			}
			read := reflect.New(reflect.TypeOf(event))
			if err := json.Unmarshal(recorded, read.Interface()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(event, read.Elem().Interface()); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			written, err := json.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := errors.Join(json.Unmarshal(written, &got), json.Unmarshal(recorded, &want)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
	cart.Registry() // panics if the definitions are wrong
}

func TestStream(t *testing.T) {
	if stream := cart.Stream("abc"); stream != "cart-abc" || cart.ID(stream) != "abc" {
		t.Errorf("stream %q of cart %q", stream, cart.ID(stream))
	}
}
