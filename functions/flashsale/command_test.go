package flashsale_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/flashsale"
	"github.com/serverless-go/cdk/functions/flashsale/cart"
	"github.com/serverless-go/cdk/functions/flashsale/command"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
)

var ann = api.Pseudonym("https://id.example.com", "ann")

func payloads(list []eventlog.Event) []any {
	var all []any
	for _, event := range list {
		all = append(all, event.Payload)
	}
	return all
}

func TestCommands(t *testing.T) {
	s := newSale(t)
	opened := s.post("/carts", request{body: `{"email": "ann@example.com"}`})
	path := opened.header["location"]
	id := strings.TrimPrefix(path, "/carts/")
	if diff := cmp.Diff(answer{status: 201, body: map[string]any{"cart": id, "version": 1.0}, header: map[string]string{
		"content-type": "application/json", "cache-control": "no-store", "location": path,
	}}, opened, cmp.AllowUnexported(answer{})); diff != "" {
		t.Fatalf("open (-want +got):\n%s", diff)
	}
	for i, step := range []struct{ path, body string }{
		{"/items", item("lamp", 2, 1999)},
		{"/items", item("sofa", 1, 49900)},
		{"/items", item("lamp", 1, 1999)},
		{"/items", item("lamp", 1, 1499)},
		{"/checkout", ""},
	} {
		a := s.post(path+step.path, request{body: step.body})
		if diff := cmp.Diff(map[string]any{"cart": id, "version": float64(i + 2)}, a.body); a.status != 200 || diff != "" {
			t.Fatalf("POST %s %s: status %d (-want +got):\n%s", step.path, step.body, a.status, diff)
		}
	}

	eur := func(amount int64) cart.Money { return cart.Money{Amount: amount, Currency: "EUR"} }
	want := []any{
		cart.Opened{Customer: ann, Email: "ann@example.com"},
		cart.ItemAdded{SKU: "lamp", Price: eur(1999), Quantity: 2, InCart: 2},
		cart.ItemAdded{SKU: "sofa", Price: eur(49900), Quantity: 1, InCart: 1},
		cart.ItemAdded{SKU: "lamp", Price: eur(1999), Quantity: 1, InCart: 3},
		cart.ItemAdded{SKU: "lamp", Price: eur(1499), Quantity: 1, InCart: 1},
		cart.CheckedOut{Total: eur(3*1999 + 49900 + 1499), Lines: []cart.Line{
			{SKU: "lamp", Price: eur(1999), Quantity: 3},
			{SKU: "sofa", Price: eur(49900), Quantity: 1},
			{SKU: "lamp", Price: eur(1499), Quantity: 1},
		}},
	}
	stored := s.stream(path)
	if diff := cmp.Diff(want, payloads(stored)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, event := range stored {
		if event.Correlation != id || event.Hops != 0 || event.Origin != "" {
			t.Errorf("%s: correlation %q, hops %d, origin %q; want %q, 0 and none", event.Position(), event.Correlation, event.Hops, event.Origin, id)
		}
	}
	if strings.Contains(scan(t, s.Options.DynamoDB, s.Options.Table), "ann@") {
		t.Error("the e-mail address is in the table in the clear")
	}
}

func TestRefusals(t *testing.T) {
	s := newSale(t)
	open, full, done, gone := s.open(request{}), s.open(request{}), s.open(request{}), s.open(request{})
	s.must(full+"/items", item("pin", cart.MaxPieces, 5))
	s.must(done+"/items", item("lamp", 1, 1999))
	s.must(done+"/checkout", "")
	s.must(gone+"/abandon", "")
	kind := func(name string) string { return "tag:serverless-go.github.io,2026:" + name }
	pointer := func(name, detail string) any { return map[string]any{"pointer": "#/" + name, "detail": detail} }

	for _, tt := range []struct {
		name    string
		path    string
		request request
		want    map[string]any // without title
	}{
		{"checked out twice", done + "/checkout", request{},
			map[string]any{"status": 409.0, "type": kind("cart-closed"), "detail": "Cannot check out the cart: it is checked out."}},
		{"added after checkout", done + "/items", request{body: item("lamp", 1, 1999)},
			map[string]any{"status": 409.0, "type": kind("cart-closed"), "detail": "Cannot add to the cart: it is checked out."}},
		{"checked out after abandonment", gone + "/checkout", request{},
			map[string]any{"status": 409.0, "type": kind("cart-closed"), "detail": "Cannot check out the cart: it is abandoned."}},
		{"empty", open + "/checkout", request{body: "{}"},
			map[string]any{"status": 409.0, "type": kind("cart-empty"), "detail": "The cart is empty; there is nothing to check out."}},
		{"full", full + "/items", request{body: item("pin", 1, 5)},
			map[string]any{"status": 409.0, "type": kind("cart-full"), "detail": "The cart would hold 501 pieces; it can hold 500."}},
		{"other currency", full + "/items", request{body: `{"sku": "pin", "quantity": 1, "price": {"amount": 5, "currency": "USD"}}`},
			map[string]any{"status": 409.0, "type": kind("mixed-currency"), "detail": "The cart is in EUR and takes no item priced in USD."}},
		{"everything wrong", open + "/items", request{body: `{"sku": "a b", "quantity": 0, "price": {"amount": -1, "currency": "eur"}}`},
			map[string]any{"status": 422.0, "type": "about:blank", "detail": "The body has fields that are not allowed as they are.", "errors": []any{
				pointer("sku", "must be 1 to 64 letters, digits, dots, underscores and hyphens, the first a letter or digit"),
				pointer("quantity", "must be 1 to 500"),
				pointer("price/amount", "must be 0 to 100000000, in minor units of the currency"),
				pointer("price/currency", "must be three capital letters of ISO 4217, such as EUR"),
			}}},
		{"no body", open + "/items", request{},
			map[string]any{"status": 422.0, "type": "about:blank", "detail": "The body has fields that are not allowed as they are.", "errors": []any{
				pointer("sku", "must be 1 to 64 letters, digits, dots, underscores and hyphens, the first a letter or digit"),
				pointer("quantity", "must be 1 to 500"),
				pointer("price/currency", "must be three capital letters of ISO 4217, such as EUR"),
			}}},
		{"e-mail with a name", "/carts", request{body: `{"email": "Ann <ann@example.com>"}`},
			map[string]any{"status": 422.0, "type": "about:blank", "detail": "The body has fields that are not allowed as they are.", "errors": []any{
				pointer("email", "must be an e-mail address of at most 254 characters, without a name"),
			}}},
		{"unknown field", open + "/items", request{body: `{"sku": "lamp", "count": 1}`},
			map[string]any{"status": 400.0, "type": "about:blank", "detail": `The body has the unknown field "count".`}},
		{"field for a command without any", open + "/checkout", request{body: `{"total": 0}`},
			map[string]any{"status": 400.0, "type": "about:blank", "detail": `The body has the unknown field "total".`}},
		{"key with a space", open + "/abandon", request{key: "a b"},
			map[string]any{"status": 400.0, "type": "about:blank", "detail": "Idempotency-Key must have 1 to 128 visible ASCII characters and no spaces; a UUID is best."}},
		{"no such cart", "/carts/aaaaaaaaaaaaaaaaaaaaaaaaaa/checkout", request{},
			map[string]any{"status": 404.0, "type": "about:blank", "detail": "You have no such cart."}},
		{"no id of a cart", "/carts/offers-2026-08-01/checkout", request{},
			map[string]any{"status": 404.0, "type": "about:blank", "detail": "You have no such cart."}},
		{"foreign cart", open + "/items", request{user: "bob", body: item("lamp", 1, 1999)},
			map[string]any{"status": 404.0, "type": "about:blank", "detail": "You have no such cart."}},
		{"foreign cart, closed", done + "/checkout", request{user: "bob"},
			map[string]any{"status": 404.0, "type": "about:blank", "detail": "You have no such cart."}},
		{"foreign cart, abandon", open + "/abandon", request{user: "bob"},
			map[string]any{"status": 404.0, "type": "about:blank", "detail": "You have no such cart."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(s.all())
			got := s.post(tt.path, tt.request)
			tt.want["title"] = http.StatusText(got.status)
			if diff := cmp.Diff(tt.want, got.body); diff != "" {
				t.Errorf("problem (-want +got):\n%s", diff)
			}
			if got.header["content-type"] != "application/problem+json" || float64(got.status) != got.body["status"] {
				t.Errorf("status %d, header %v; want the problem's and its media type", got.status, got.header)
			}
			if after := len(s.all()); after != before {
				t.Errorf("%d events appended, want none", after-before)
			}
		})
	}
}

func TestIdempotencyKey(t *testing.T) {
	s := newSale(t)
	first := request{key: "k-1", body: `{"email": "ann@example.com"}`}
	path := s.open(first)
	add := request{key: "k-2", body: item("lamp", 2, 1999)}
	added := s.post(path+"/items", add)
	s.must(path+"/checkout", "")

	// Even a closed cart answers a command that it has obeyed.
	if again := s.post("/carts", first); again.status != 201 || again.header["location"] != path || again.body["version"] != 1.0 {
		t.Errorf("open again: %v, want the cart at %s in version 1", again, path)
	}
	if diff := cmp.Diff(added, s.post(path+"/items", add), cmp.AllowUnexported(answer{})); diff != "" {
		t.Errorf("add again (-first +again):\n%s", diff)
	}
	// Of somebody else, or on another cart, the same key is another one.
	if other := s.open(request{user: "bob", key: "k-1"}); other == path {
		t.Error("two customers with one key got one cart")
	}
	for name, reused := range map[string]answer{
		"other body":    s.post(path+"/items", request{key: "k-2", body: item("lamp", 3, 1999)}),
		"other command": s.post(path+"/abandon", request{key: "k-2"}),
		"other e-mail":  s.post("/carts", request{key: "k-1"}),
	} {
		if reused.status != 422 || reused.body["type"] != "tag:serverless-go.github.io,2026:key-reused" {
			t.Errorf("%s: %v, want status 422 and key-reused", name, reused)
		}
	}
	if stored := s.stream(path); len(stored) != 3 {
		t.Errorf("%d events, want 3: %v", len(stored), payloads(stored))
	}
}

// A function that dies after the append has recorded the event and answered
// nobody. The client sends the command again, to another instance.
func TestLostAnswer(t *testing.T) {
	s := newSale(t)
	path := s.open(request{})
	s.Faults.Lose("ExecuteTransaction", 1000)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r := request{key: "k", body: item("lamp", 1, 1999)}
	if lost := s.do(ctx, http.MethodPost, path+"/items", r); lost.status < 500 {
		t.Fatalf("without an answer of the store: %v", lost)
	}
	s.Options.DynamoDB = s.db
	s.carts = command.New(eventlogtest.Open(t, s.Options))
	if again := s.post(path+"/items", r); again.status != 200 || again.body["version"] != 2.0 {
		t.Errorf("again: %v, want version 2", again)
	}
	if stored := s.stream(path); len(stored) != 2 {
		t.Errorf("%d events, want 2: %v", len(stored), payloads(stored))
	}
}

func TestConcurrentAdds(t *testing.T) {
	s := newSale(t)
	path := s.open(request{})
	const clients = 50
	var wg sync.WaitGroup
	var mu sync.Mutex
	versions := map[float64]bool{}
	for i := range clients {
		wg.Go(func() {
			r := request{key: fmt.Sprint("client-", i), body: item(fmt.Sprint("sku-", i%5), 1+i%3, 100)}
			for {
				a := s.post(path+"/items", r)
				if a.header["retry-after"] != "" {
					continue
				}
				mu.Lock()
				defer mu.Unlock()
				if a.status != 200 || versions[a.body["version"].(float64)] {
					t.Errorf("client %d: %v, want status 200 and a version of its own", i, a)
				} else {
					versions[a.body["version"].(float64)] = true
				}
				return
			}
		})
	}
	wg.Wait()

	stored := s.stream(path)
	if len(stored) != 1+clients || len(versions) != clients {
		t.Fatalf("%d events and %d versions answered for %d commands", len(stored), len(versions), clients)
	}
	var c cart.Cart
	want, pieces := map[string]int{}, 0
	for i, event := range stored {
		if event.Version != int64(i+1) {
			t.Errorf("event %d has version %d", i+1, event.Version)
		}
		c = cart.Apply(c, event)
		if added, ok := event.Payload.(cart.ItemAdded); ok {
			want[added.SKU] += added.Quantity
			if added.InCart != want[added.SKU] {
				t.Errorf("%s: %d of %s in the cart, want %d", event.Position(), added.InCart, added.SKU, want[added.SKU])
			}
		}
	}
	for i := range clients {
		pieces += 1 + i%3
	}
	if c.Pieces() != pieces {
		t.Errorf("the cart holds %d pieces, want %d", c.Pieces(), pieces)
	}
}

// The same command, sent by an impatient client many times at once.
func TestConcurrentRetries(t *testing.T) {
	s := newSale(t)
	var wg sync.WaitGroup
	answers := make([]answer, 20)
	for i := range answers {
		wg.Go(func() { answers[i] = s.post("/carts", request{key: "k", body: `{"email": "ann@example.com"}`}) })
	}
	wg.Wait()
	path := answers[0].header["location"]
	for i, a := range answers {
		if a.status != 201 || a.header["location"] != path || a.body["version"] != 1.0 {
			t.Errorf("client %d: %v, want the cart at %s in version 1", i, a, path)
		}
	}
	for i := range answers {
		wg.Go(func() { answers[i] = s.post(path+"/items", request{key: "add", body: item("lamp", 1, 1999)}) })
	}
	wg.Wait()
	for i, a := range answers {
		if a.status != 200 || a.body["version"] != 2.0 {
			t.Errorf("client %d: %v, want version 2", i, a)
		}
	}
	if all := s.all(); len(all) != 2 {
		t.Errorf("%d events in the store, want 2: %v", len(all), payloads(all))
	}
}

func TestStoreTrouble(t *testing.T) {
	duplicate := `{"__type": "TransactionCanceledException", "CancellationReasons": [{"Code": "DuplicateItem"}]}`
	for _, tt := range []struct {
		name    string
		trouble func(*sale)
		status  int
		kind    any
		tries   int // to append; 0 for any number
	}{
		{"conflict without end", func(s *sale) { s.Faults.Answer("ExecuteTransaction", duplicate, 1000) }, 409, "tag:serverless-go.github.io,2026:busy", 8},
		{"throttled", func(s *sale) { s.Faults.Refuse("ExecuteTransaction", "ThrottlingException", 1000) }, 503, "about:blank", 0},
		{"throttled for a moment", func(s *sale) { s.Faults.Refuse("ExecuteTransaction", "ThrottlingException", 2) }, 200, nil, 3},
		{"denied", func(s *sale) { s.Faults.Refuse("ExecuteTransaction", "AccessDeniedException", 1000) }, 500, nil, 1},
		{"unreadable", func(s *sale) { s.Faults.Refuse("Query", "AccessDeniedException", 1000) }, 500, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			s := newSale(t)
			path := s.open(request{})
			tt.trouble(s)
			a := s.post(path+"/abandon", request{})
			if a.status != tt.status || a.body["type"] != tt.kind {
				t.Errorf("%v, want status %d, type %v", a, tt.status, tt.kind)
			}
			if tries := s.Faults.Calls("ExecuteTransaction") - 1; tt.tries > 0 && tries != tt.tries {
				t.Errorf("tried %d times, want %d", tries, tt.tries)
			}
			if retry := a.header["retry-after"]; (tt.kind != nil) != (retry == "1") { // only where it can help
				t.Errorf("retry-after is %q", retry)
			}
		})
	}
}

func TestForgottenCustomer(t *testing.T) {
	s := newSale(t)
	path := s.open(request{body: `{"email": "ann@example.com"}`})
	if err := s.Log.Forget(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	// What is open can be finished; a new cart would need a new key.
	s.must(path+"/items", item("lamp", 1, 1999))
	s.must(path+"/checkout", "")
	if a := s.post("/carts", request{body: `{"email": "ann@example.com"}`}); a.status != 409 || a.body["type"] != "tag:serverless-go.github.io,2026:forgotten" {
		t.Errorf("open: %v, want status 409 and forgotten", a)
	}
	if diff := cmp.Diff(cart.Opened{Customer: ann}, s.stream(path)[0].Payload); diff != "" {
		t.Errorf("opening (-want +got):\n%s", diff)
	}
}

// If equal bodies had equal fingerprints, an e-mail address could be found out
// from the events by trying, even of a customer who was forgotten.
func TestFingerprintTellsNothing(t *testing.T) {
	s := newSale(t)
	seen := map[string]bool{}
	for _, key := range []string{"", "", "k-1", "k-2"} {
		path := s.open(request{key: key, body: `{"email": "ann@example.com"}`})
		_, fingerprint, _ := strings.Cut(s.stream(path)[0].Causation, ".")
		if !api.IsDigest(fingerprint) || seen[fingerprint] {
			t.Errorf("key %q: fingerprint %q is malformed or was seen before", key, fingerprint)
		}
		seen[fingerprint] = true
	}
}

func TestCommandNeedsCaller(t *testing.T) {
	s := newSale(t)
	in := request{}.event(t, http.MethodPost, "/carts")
	in.RequestContext.Authorizer = nil
	out, err := s.carts.Serve(t.Context(), in)
	if err != nil || out.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d, error %v; want 401", out.StatusCode, err)
	}
	if _, err := s.carts.Invoke(t.Context(), []byte(`{"headers": 1}`)); err == nil || errors.As(err, new(*api.Problem)) {
		t.Errorf("a payload that is no request: error %v, want one that is no answer", err)
	}
}

func TestRoutes(t *testing.T) {
	s := newSale(t)
	for _, tt := range []struct {
		mux  api.Mux
		want []string
	}{
		{s.carts, flashsale.CommandRoutes()},
		{s.queries, flashsale.QueryRoutes()},
	} {
		slices.Sort(tt.want)
		if diff := cmp.Diff(tt.want, slices.Sorted(maps.Keys(tt.mux))); diff != "" {
			t.Errorf("routes (-want +got):\n%s", diff)
		}
	}
}
