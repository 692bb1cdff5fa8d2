package flashsale_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/functions/flashsale/cart"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/projection"
)

func TestQueries(t *testing.T) {
	s := newSale(t)
	path := s.open(request{body: `{"email": "ann@example.com"}`})
	s.must(path+"/items", item("sofa", 1, 49900))
	s.must(path+"/items", item("lamp", 2, 1999))
	s.must(path+"/items", item("lamp", 1, 1999))
	s.must(path+"/items", item("lamp", 4, 1499))
	id := strings.TrimPrefix(path, "/carts/")
	if a := s.get(path, request{}); a.status != 404 {
		t.Errorf("before the events arrive: %v, want status 404", a)
	}
	s.project(s.all())

	line := func(sku string, quantity, amount float64) any {
		return map[string]any{"sku": sku, "quantity": quantity, "price": map[string]any{"amount": amount, "currency": "EUR"}}
	}
	want := map[string]any{
		"cart": id, "customer": ann, "state": "open", "version": 5.0,
		"lines":    []any{line("lamp", 4, 1499), line("lamp", 3, 1999), line("sofa", 1, 49900)},
		"total":    map[string]any{"amount": 4*1499.0 + 3*1999 + 49900, "currency": "EUR"},
		"openedAt": "2026-08-01T12:00:00Z", "changedAt": "2026-08-01T12:00:00Z",
	}
	if diff := cmp.Diff(want, s.get(path, request{}).body); diff != "" {
		t.Errorf("cart (-want +got):\n%s", diff)
	}
	for name, a := range map[string]answer{
		"foreign cart":    s.get(path, request{user: "bob"}),
		"no such cart":    s.get("/carts/aaaaaaaaaaaaaaaaaaaaaaaaaa", request{}),
		"no id of a cart": s.get("/carts/"+strings.ToUpper(id), request{}),
	} {
		if a.status != 404 || a.body["detail"] != "You have no such cart, or it was opened a moment ago." {
			t.Errorf("%s: %v, want status 404", name, a)
		}
	}

	s.must(path+"/checkout", "")
	left := s.open(request{user: "bob"})
	if a := s.post(left+"/items", request{user: "bob", body: item("lamp", 5, 1999)}); a.status != 200 {
		t.Fatal(a)
	}
	if a := s.post(left+"/abandon", request{user: "bob"}); a.status != 200 {
		t.Fatal(a)
	}
	empty := s.open(request{})
	s.must(empty+"/abandon", "")
	s.project(s.all())
	if state := s.get(path, request{}).body["state"]; state != "checkedOut" {
		t.Errorf("state %v, want checkedOut", state)
	}
	if a := s.get(empty, request{}).body; a["state"] != "abandoned" || !cmp.Equal(a["lines"], []any{}) {
		t.Errorf("%v, want an abandoned cart with an empty list of lines", a)
	}

	sold := func(sku string, pieces, revenue, abandoned float64) any {
		return map[string]any{"sku": sku, "currency": "EUR", "sold": pieces, "revenue": revenue, "abandoned": abandoned}
	}
	revenue := 4*1499.0 + 3*1999 + 49900
	hours := []any{
		map[string]any{"start": "2026-08-01T11:00:00Z", "opened": 0.0, "checkedOut": 0.0, "abandoned": 0.0, "money": []any{}, "items": []any{}},
		map[string]any{"start": "2026-08-01T12:00:00Z", "opened": 3.0, "checkedOut": 1.0, "abandoned": 2.0,
			"money": []any{map[string]any{"currency": "EUR", "revenue": revenue, "abandoned": 5 * 1999.0}},
			"items": []any{sold("lamp", 7, 4*1499+3*1999, 5), sold("sofa", 1, 49900, 0)}},
	}
	manager := request{user: "eve", scope: "openid totals:read", query: "from=2026-08-01T11&to=2026-08-01T12"}
	if diff := cmp.Diff(map[string]any{"hours": hours}, s.get("/totals", manager).body); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

func TestTotalsRefusals(t *testing.T) {
	s := newSale(t)
	for _, tt := range []struct {
		name, scope, query string
		status             int
		detail             string
	}{
		{"no scope", "carts totals:readable", "from=2026-08-01T11", 403, "The token lacks the scope totals:read."},
		{"no hour", "totals:read", "from=2026-08-01", 400, `The parameter from is "2026-08-01"; allowed is an hour in UTC, such as 2026-08-01T10.`},
		{"two hours", "totals:read", "from=2026-08-01T10&to=2026-08-01T10,2026-08-01T11", 400,
			`The parameter to is "2026-08-01T10,2026-08-01T11"; allowed is an hour in UTC, such as 2026-08-01T10.`},
		{"backwards", "totals:read", "from=2026-08-01T11&to=2026-08-01T10", 400, `The hours from "2026-08-01T11" to "2026-08-01T10" are 0; 1 to 24 are allowed.`},
		{"too many", "totals:read", "from=2026-08-01T00&to=2026-08-02T00", 400, `The hours from "2026-08-01T00" to "2026-08-02T00" are 25; 1 to 24 are allowed.`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := s.get("/totals", request{scope: tt.scope, query: tt.query})
			if a.status != tt.status || a.body["detail"] != tt.detail {
				t.Errorf("%v, want status %d and %q", a, tt.status, tt.detail)
			}
		})
	}
	if a := s.get("/totals", request{scope: "totals:read"}); a.status != 200 || len(a.body["hours"].([]any)) != 1 {
		t.Errorf("without parameters: %v, want the current hour", a)
	}
	signed := request{}.event(t, http.MethodGet, "/totals")
	signed.RequestContext.Authorizer.JWT = nil
	signed.RequestContext.Authorizer.IAM = &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{UserARN: "arn:aws:iam::123456789012:user/eve"}
	if out, err := s.queries.Serve(t.Context(), signed); err != nil || out.StatusCode != 200 {
		t.Errorf("signed with AWS credentials: status %d, error %v; want 200", out.StatusCode, err)
	}
}

// shop makes carts in random states, some of customers who are forgotten.
func (s *sale) shop(carts int, random *rand.Rand) []string {
	s.t.Helper()
	var paths []string
	for i := range carts {
		user := fmt.Sprint("user-", i)
		path := s.open(request{user: user, body: fmt.Sprintf(`{"email": "%s@example.com"}`, user)})
		paths = append(paths, path)
		for range random.IntN(6) {
			line := item(fmt.Sprint("sku-", random.IntN(4)), 1+random.IntN(3), 100*int64(1+random.IntN(2)))
			if a := s.post(path+"/items", request{user: user, body: line}); a.status != 200 {
				s.t.Fatal(a)
			}
		}
		switch random.IntN(3) {
		case 0:
			s.post(path+"/checkout", request{user: user}) // refused for an empty cart
		case 1:
			s.post(path+"/abandon", request{user: user})
		}
	}
	return paths
}

// shown is what both read models show: the carts by path, and "totals".
func (s *sale) shown(paths []string) map[string]any {
	s.t.Helper()
	all := map[string]any{}
	for i, path := range paths {
		all[path] = s.get(path, request{user: fmt.Sprint("user-", i)}).body
	}
	all["totals"] = s.get("/totals", request{scope: "totals:read", query: "from=2026-08-01T12"}).body
	return all
}

// Messages come twice, late and in another order, in batches with poison; the
// models show what the events say all the same. A rebuild shows the same again,
// also once a customer is forgotten.
func TestProjections(t *testing.T) {
	s := newSale(t)
	random := rand.New(rand.NewPCG(2026, 8))
	paths := s.shop(25, random)
	stored := s.all()

	for p, ordered := range map[*projection.Projection]bool{s.view: true, s.total: false} {
		var queue []events.SQSMessage
		for _, event := range stored {
			if slices.Contains(p.Types, event.Type) {
				queue = append(queue, message(t, event, ordered))
				if random.IntN(3) == 0 {
					queue = append(queue, message(t, event, ordered))
				}
			}
		}
		random.Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
		for n := 0; len(queue) > 0; n++ {
			size := min(10, len(queue))
			// In a group of its own: in a cart's, the cart's later events would wait.
			poison := events.SQSMessage{MessageId: fmt.Sprint("poison-", n), Body: `{"stream": "cart-x", "version": "one"}`,
				Attributes: map[string]string{"MessageGroupId": "cart-x"}}
			failed := deliver(t, p, append(slices.Clone(queue[:size]), poison)...)
			if !slices.Equal(failed, []string{poison.MessageId}) {
				t.Fatalf("%s: failed: %v, want the poison only", p.Name, failed)
			}
			queue = queue[size:]
		}
	}
	live := s.shown(paths)
	if diff := cmp.Diff(s.told(stored), live["totals"]); diff != "" {
		t.Errorf("totals (-events +model):\n%s", diff)
	}
	byStream := map[string]cart.Cart{}
	versions := map[string]int64{}
	for _, event := range stored {
		byStream[event.Stream], versions[event.Stream] = cart.Apply(byStream[event.Stream], event), event.Version
	}
	for _, path := range paths {
		id := strings.TrimPrefix(path, "/carts/")
		c, got := byStream[cart.Stream(id)], live[path].(map[string]any)
		want := map[string]any{"cart": id, "customer": c.Customer, "state": string(c.State), "version": float64(versions[cart.Stream(id)]),
			"total": map[string]any{"amount": float64(c.Total().Amount), "currency": c.Total().Currency}}
		for name, value := range want {
			if !cmp.Equal(value, got[name]) {
				t.Errorf("%s: %s is %v, want %v", path, name, got[name], value)
			}
		}
		pieces := 0.0
		for _, line := range got["lines"].([]any) {
			pieces += line.(map[string]any)["quantity"].(float64)
		}
		if len(got["lines"].([]any)) != len(c.Lines) || int(pieces) != c.Pieces() {
			t.Errorf("%s: lines %v, want %v", path, got["lines"], c.Lines)
		}
	}

	for _, table := range []string{s.view.Table, s.total.Table} {
		if strings.Contains(scan(t, s.db, table), "@example.com") {
			t.Errorf("%s holds an e-mail address", table)
		}
	}
	if err := s.Log.Forget(t.Context(), byStream[stored[0].Stream].Customer); err != nil {
		t.Fatal(err)
	}
	rebuild(t, s.view, "second-look")
	rebuild(t, s.total, "second-look")
	if diff := cmp.Diff(live, s.shown(paths)); diff != "" {
		t.Errorf("rebuilt models (-live +rebuilt):\n%s", diff)
	}
}

// told returns the answer of GET /totals that the events give, computed
// without the code under test.
func (s *sale) told(stored []eventlog.Event) any {
	opened, checkedOut, abandoned, revenue, lost := 0.0, 0.0, 0.0, 0.0, 0.0
	items := map[string]map[string]any{}
	count := func(sku, name string, n int64) {
		if items[sku] == nil {
			items[sku] = map[string]any{"sku": sku, "currency": "EUR", "sold": 0.0, "revenue": 0.0, "abandoned": 0.0}
		}
		items[sku][name] = items[sku][name].(float64) + float64(n)
	}
	for _, event := range stored {
		switch e := event.Payload.(type) {
		case cart.Opened:
			opened++
		case cart.CheckedOut:
			checkedOut++
			for _, l := range e.Lines {
				revenue += float64(l.Price.Amount * int64(l.Quantity))
				count(l.SKU, "sold", int64(l.Quantity))
				count(l.SKU, "revenue", l.Price.Amount*int64(l.Quantity))
			}
		case cart.Abandoned:
			abandoned++
			for _, l := range e.Lines {
				lost += float64(l.Price.Amount * int64(l.Quantity))
				count(l.SKU, "abandoned", int64(l.Quantity))
			}
		}
	}
	list := []any{}
	for i := range 4 {
		if sum := items[fmt.Sprint("sku-", i)]; sum != nil {
			list = append(list, sum)
		}
	}
	return map[string]any{"hours": []any{map[string]any{
		"start": "2026-08-01T12:00:00Z", "opened": opened, "checkedOut": checkedOut, "abandoned": abandoned,
		"money": []any{map[string]any{"currency": "EUR", "revenue": revenue, "abandoned": lost}}, "items": list,
	}}}
}

// The largest cart fits into one transaction of each projection.
func TestLargestCart(t *testing.T) {
	s := newSale(t)
	events := []eventlog.Event{eventlog.Of(cart.Opened{Customer: ann})}
	var lines []cart.Line
	for i := range cart.MaxLines {
		line := cart.Line{SKU: fmt.Sprintf("%064d", i), Price: cart.Money{Amount: cart.MaxPrice, Currency: "EUR"}, Quantity: cart.MaxPieces / cart.MaxLines}
		lines = append(lines, line)
		events = append(events, eventlog.Of(cart.ItemAdded{SKU: line.SKU, Price: line.Price, Quantity: line.Quantity, InCart: line.Quantity}))
	}
	const most = cart.MaxPrice * cart.MaxPieces
	events = append(events, eventlog.Of(cart.CheckedOut{Lines: lines, Total: cart.Money{Amount: most, Currency: "EUR"}}))
	id := strings.Repeat("a", 26)
	stored, err := s.Log.Append(t.Context(), cart.Stream(id), eventlog.NoStream, events...)
	if err != nil {
		t.Fatal(err)
	}
	s.project(stored)
	got := s.get("/carts/"+id, request{}).body
	if n := len(got["lines"].([]any)); n != cart.MaxLines || !cmp.Equal(got["total"], any(map[string]any{"amount": float64(most), "currency": "EUR"})) {
		t.Errorf("%d lines, total %v; want %d and %d", n, got["total"], cart.MaxLines, int64(most))
	}
	hour := stored[0].Time.Format("2006-01-02T15")
	totals := s.get("/totals", request{scope: "totals:read", query: "from=" + hour}).body["hours"].([]any)[0].(map[string]any)
	if n := len(totals["items"].([]any)); n != cart.MaxLines || totals["checkedOut"] != 1.0 {
		t.Errorf("totals of %d items and %v carts checked out, want %d and 1", n, totals["checkedOut"], cart.MaxLines)
	}
}
