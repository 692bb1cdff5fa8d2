package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// traffic is what the scenario sends: carts that are opened and changed, of
// which some are abandoned and some carry an event nobody can digest.
type traffic struct {
	carts, events     int // events of each cart
	abandoned         int // carts whose last event is CartAbandoned
	poisoned          int // carts whose second event is Poison
	concurrentClients int
}

func (tr traffic) eventType(cart, version int) string {
	switch {
	case version == 1:
		return "CartOpened"
	case version == 2 && cart < tr.poisoned:
		return "Poison"
	case version == tr.events && cart >= tr.carts-tr.abandoned:
		return "CartAbandoned"
	}
	return "ItemAdded"
}

// send appends every event through the API, each until it is in: a client whose
// answer was lost tries again and is told of a conflict.
func (tr traffic) send(ctx context.Context, d *Deployment) error {
	carts := make(chan int)
	errs := make(chan error, tr.concurrentClients)
	var clients sync.WaitGroup
	for range tr.concurrentClients {
		clients.Go(func() {
			for cart := range carts {
				for version := 1; version <= tr.events; version++ {
					if err := tr.appendOne(ctx, d, cart, version); err != nil {
						errs <- err
						return
					}
				}
			}
		})
	}
	for cart := range tr.carts {
		select {
		case carts <- cart:
		case err := <-errs:
			return err
		}
	}
	close(carts)
	clients.Wait()
	close(errs)
	return <-errs
}

func (tr traffic) appendOne(ctx context.Context, d *Deployment, cart, version int) error {
	body := fmt.Appendf(nil, `{"version":%d,"type":%q}`, version, tr.eventType(cart, version))
	for range 10 {
		r, err := d.Request(ctx, "Api", Request{Method: http.MethodPost, Path: fmt.Sprintf("/carts/cart-%d", cart), Body: body, Claims: map[string]string{"sub": "ann"}})
		if err != nil {
			return err
		}
		if r.Status == http.StatusCreated || r.Status == http.StatusConflict {
			return nil
		}
		if r.Status != http.StatusInternalServerError {
			return fmt.Errorf("append: status %d: %s", r.Status, r.Body)
		}
	}
	return errors.New("append failed ten times")
}

// position names an event across store, bus, models and dead letters.
type position struct{ Stream, Version string }

// check compares everything that must hold at the end and returns all that
// does not.
func (tr traffic) check(ctx context.Context, d *Deployment) error {
	var problems []error
	report := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	want := map[position]bool{}
	poison := map[position]bool{}
	for cart := range tr.carts {
		for version := 1; version <= tr.events; version++ {
			p := position{fmt.Sprintf("cart-%d", cart), fmt.Sprint(version)}
			want[p] = true
			// In order, what follows a poison event waits behind it until that
			// is dead.
			poison[p] = tr.eventType(cart, version) == "Poison"
		}
	}
	compare := func(where string, have map[position]int, expect func(position) bool, once bool) {
		missing, twice := 0, 0
		for p := range want {
			if expect(p) && have[p] == 0 {
				missing++
			}
			if once && have[p] > 1 || !expect(p) && have[p] > 0 {
				twice++
			}
		}
		if missing > 0 || twice > 0 {
			report("%s: %d events missing, %d too many, of %d", where, missing, twice, len(want))
		}
	}
	all := func(position) bool { return true }
	healthy := func(p position) bool { return !poison[p] }

	compare("store", stored(ctx, d, "Events", "stream", "version"), all, true)
	archived, err := d.Archived("Bus")
	if err != nil {
		return err
	}
	seen := map[position]int{}
	abandoned := 0
	for _, e := range archived {
		if e.Source == "eventstore.carts" {
			var p position
			if err := json.Unmarshal(e.Detail, &p); err != nil {
				report("archive: %v", err)
			}
			seen[p]++
		}
		if e.DetailType == "CartAbandoned" {
			abandoned++
		}
	}
	compare("bus archive", seen, all, false)
	feed, _, err := d.Delivered("Delivery")
	if err != nil {
		return err
	}
	compare("archive feed", positions(feed), all, false)

	compare("ordered model", applied(ctx, d, "Model"), healthy, true)
	compare("unordered model", applied(ctx, d, "AuditModel"), healthy, true)
	for stream, versions := range orders(ctx, d, "Model") {
		if !slices.IsSorted(versions) { // they have one digit
			report("ordered model: %s was applied as %v", stream, versions)
		}
	}
	for _, queue := range []string{"OrderedDLQ", "AuditDLQ"} {
		bodies, err := d.Messages(ctx, queue)
		if err != nil {
			return err
		}
		dead := positions(bodies)
		for p := range want {
			if poison[p] != (dead[p] > 0) {
				report("%s: %v is there: %v", queue, p, dead[p] > 0)
			}
		}
	}
	lines, err := d.Lines("Log")
	if err != nil {
		return err
	}
	if len(lines) < tr.carts {
		report("log group: %d lines, want %d or more", len(lines), tr.carts)
	}
	published, err := d.Published("Alerts")
	if err != nil {
		return err
	}
	if tr.abandoned > 0 && len(published) < tr.abandoned {
		report("topic: %d messages, want %d or more", len(published), tr.abandoned)
	}
	if denials := d.Denials(); len(denials) > 0 {
		report("denied: %v", denials[0])
	}
	if dropped := d.Dropped(); len(dropped) > 0 {
		report("dropped: %v", dropped[0])
	}
	return errors.Join(problems...)
}

// positions reads events out of bodies: of an envelope or of a whole event.
func positions(bodies []string) map[position]int {
	found := map[position]int{}
	for _, body := range bodies {
		var p position
		var event struct{ Detail *position }
		if json.Unmarshal([]byte(body), &event) == nil && event.Detail != nil {
			p = *event.Detail
		} else if json.Unmarshal([]byte(body), &p) != nil {
			continue
		}
		found[p]++
	}
	return found
}

// scan returns all items of a table.
func scan(ctx context.Context, d *Deployment, prefix string) []item {
	name, err := d.Table(prefix)
	if err != nil {
		panic(err)
	}
	var items []item
	for in := map[string]any{"TableName": name, "ConsistentRead": true}; ; {
		var out struct {
			Items            []item
			LastEvaluatedKey item
		}
		if err := d.callJSON(ctx, d.options.DynamoDB, "DynamoDB_20120810.Scan", in, &out); err != nil {
			panic(err)
		}
		items = append(items, out.Items...)
		if len(out.LastEvaluatedKey) == 0 {
			return items
		}
		in["ExclusiveStartKey"] = out.LastEvaluatedKey
	}
}

func stored(ctx context.Context, d *Deployment, prefix, stream, version string) map[position]int {
	found := map[position]int{}
	for _, i := range scan(ctx, d, prefix) {
		found[position{i[stream].text(), i[version].text()}]++
	}
	return found
}

// applied returns how often a model applied each event.
func applied(ctx context.Context, d *Deployment, prefix string) map[position]int {
	found := map[position]int{}
	for stream, versions := range orders(ctx, d, prefix) {
		for _, v := range versions {
			found[position{stream, v}]++
		}
	}
	return found
}

// orders returns the versions in the order in which a model applied them.
func orders(ctx context.Context, d *Deployment, prefix string) map[string][]string {
	found := map[string][]string{}
	for _, i := range scan(ctx, d, prefix) {
		if i["pk"].text() == "count" {
			list, _ := i["versions"]["L"].([]any)
			for _, v := range list {
				object, _ := v.(map[string]any)
				found[i["sk"].text()] = append(found[i["sk"].text()], attributeValue(object).text())
			}
		}
	}
	return found
}

// run sends the traffic, waits until all is quiet and checks.
func (tr traffic) run(ctx context.Context, d *Deployment) error {
	if err := tr.send(ctx, d); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := d.Settle(ctx); err != nil {
		return err
	}
	return tr.check(ctx, d)
}

func TestScenario(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Faults = Faults{Seed: 7, Crash: 0.02, Throttle: 0.02, DuplicateRecords: 0.05, DuplicateEvents: 0.05, DuplicateMessages: 0.05, Reorder: 0.5}
	// As often as the faults hit a batch, two or three attempts are sometimes
	// not enough for an event that nothing is wrong with.
	template := shop(t)
	for _, queue := range []string{"Audit", "Ordered"} {
		if err := template.Resources[queue].Set("RedrivePolicy.maxReceiveCount", 8); err != nil {
			t.Fatal(err)
		}
	}
	d := deploy(t, template, o)
	tr := traffic{carts: 100, events: 4, abandoned: 10, poisoned: 3, concurrentClients: 8}
	start := time.Now()
	if err := tr.run(t.Context(), d); err != nil {
		t.Error(err)
	}
	t.Logf("%d events in %v", tr.carts*tr.events, time.Since(start))
}
