// Package totals is the read model of the sale as a whole: how many carts were
// opened, checked out and abandoned in each hour, what was bought and what was
// left behind.
//
// Its projection is unordered: every update adds to counters, and sums don't
// depend on the order. Carts share the counters of an hour. These are spread
// over as many partitions as the store has shards, so that the events of a
// sale's peak seldom meet in a transaction and an hour is not bound to what one
// partition can take (1,000 write units a second, a transaction costs two for
// each item).
package totals

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/functions/flashsale/cart"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/projection"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// Hour is what happened in one hour.
type Hour struct {
	Start      time.Time `json:"start"` // UTC
	Opened     int64     `json:"opened"`
	CheckedOut int64     `json:"checkedOut"`
	Abandoned  int64     `json:"abandoned"`
	Money      []Money   `json:"money"` // by currency
	Items      []Item    `json:"items"` // by SKU, then currency
}

// Money is what carts of a currency were worth, in minor units.
type Money struct {
	Currency  string `json:"currency"`
	Revenue   int64  `json:"revenue"`   // of carts checked out
	Abandoned int64  `json:"abandoned"` // of carts abandoned
}

// Item is what became of an item in carts of a currency.
type Item struct {
	SKU       string `json:"sku"`
	Currency  string `json:"currency"`
	Sold      int64  `json:"sold"`      // pieces
	Revenue   int64  `json:"revenue"`   // minor units
	Abandoned int64  `json:"abandoned"` // pieces
}

// counters are the attributes of an item of the table. Its sort key says of
// what: "carts", "money#EUR" or "item#EUR#SKU".
type counters struct {
	Opened     int64 `dynamodbav:"opened"`
	CheckedOut int64 `dynamodbav:"checkedOut"`
	Abandoned  int64 `dynamodbav:"abandoned"`
	Sold       int64 `dynamodbav:"sold"`
	Revenue    int64 `dynamodbav:"revenue"`
}

// FromEnv returns the projection that the environment names.
func FromEnv(cfg aws.Config) (*projection.Projection, error) {
	log, err := eventlog.FromEnv(cfg, cart.Registry())
	if err != nil {
		return nil, err
	}
	return projection.FromEnv(cfg, log, Apply)
}

// partition returns the partition key of an hour's counters in a shard.
func partition(hour time.Time, shard string) string {
	return hour.UTC().Format("2006-01-02T15") + "#" + shard
}

// Apply is the projection.
func Apply(_ context.Context, event eventlog.Event) ([]projection.Write, error) {
	pk := partition(event.Time, schema.ShardOf(event.Stream))
	switch e := event.Payload.(type) {
	case cart.Opened:
		return []projection.Write{add(pk, "carts", count{"opened", 1})}, nil
	case cart.CheckedOut:
		writes := []projection.Write{add(pk, "carts", count{"checkedOut", 1})}
		writes = append(writes, add(pk, "money#"+e.Total.Currency, count{"revenue", e.Total.Amount}))
		for sku, t := range bySKU(e.Lines) {
			writes = append(writes, add(pk, "item#"+e.Total.Currency+"#"+sku, count{"sold", t.pieces}, count{"revenue", t.amount}))
		}
		return writes, nil
	case cart.Abandoned:
		writes := []projection.Write{add(pk, "carts", count{"abandoned", 1})}
		if len(e.Lines) > 0 {
			writes = append(writes, add(pk, "money#"+e.Total.Currency, count{"abandoned", e.Total.Amount}))
		}
		for sku, t := range bySKU(e.Lines) {
			writes = append(writes, add(pk, "item#"+e.Total.Currency+"#"+sku, count{"abandoned", t.pieces}))
		}
		return writes, nil
	}
	return nil, nil
}

// count is an amount to add to an attribute.
type count struct {
	attribute string
	n         int64
}

func add(pk, sk string, counts ...count) projection.Write {
	values, terms := projection.Values{}, []string(nil)
	for _, c := range counts {
		terms = append(terms, "#"+c.attribute+" :"+c.attribute)
		values["#"+c.attribute], values[":"+c.attribute] = c.attribute, c.n
	}
	return projection.Update(pk, sk, "ADD "+strings.Join(terms, ", "), values)
}

// tally is what the lines of one item add up to.
type tally struct{ pieces, amount int64 }

// bySKU sums up the lines of each item, which can have several prices: a
// transaction writes to an item of the table once.
func bySKU(lines []cart.Line) map[string]tally {
	tallies := map[string]tally{}
	for _, l := range lines {
		t := tallies[l.SKU]
		t.pieces += int64(l.Quantity)
		t.amount += l.Price.Amount * int64(l.Quantity)
		tallies[l.SKU] = t
	}
	return tallies
}

// Model is what Get needs of a read model; *projection.View has it.
type Model interface {
	Query(ctx context.Context, pk string, r projection.Range) iter.Seq2[projection.Item, error]
}

// Get sums up the hour in which at lies. It makes one query for each shard.
func Get(ctx context.Context, model Model, at time.Time) (Hour, error) {
	hour := Hour{Start: at.UTC().Truncate(time.Hour)}
	var (
		mu    sync.Mutex
		first error
		money = map[string]Money{}
		items = map[[2]string]Item{}
		wg    sync.WaitGroup
	)
	for shard := range schema.Shards {
		wg.Go(func() {
			for found, err := range model.Query(ctx, partition(hour.Start, schema.ShardName(shard)), projection.Range{}) {
				var c counters
				if err == nil {
					err = found.Decode(&c)
				}
				mu.Lock()
				if first == nil {
					first = err
				}
				kind, rest, _ := strings.Cut(found.SK, "#")
				switch kind {
				case "carts":
					hour.Opened += c.Opened
					hour.CheckedOut += c.CheckedOut
					hour.Abandoned += c.Abandoned
				case "money":
					m := money[rest]
					money[rest] = Money{rest, m.Revenue + c.Revenue, m.Abandoned + c.Abandoned}
				case "item":
					currency, sku, _ := strings.Cut(rest, "#")
					i := items[[2]string{sku, currency}]
					items[[2]string{sku, currency}] = Item{sku, currency, i.Sold + c.Sold, i.Revenue + c.Revenue, i.Abandoned + c.Abandoned}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if first != nil {
		return Hour{}, fmt.Errorf("totals of %s: %w", hour.Start.Format(time.RFC3339), first)
	}
	hour.Money = slices.AppendSeq([]Money{}, maps.Values(money))
	slices.SortFunc(hour.Money, func(a, b Money) int { return cmp.Compare(a.Currency, b.Currency) })
	hour.Items = slices.AppendSeq([]Item{}, maps.Values(items))
	slices.SortFunc(hour.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.SKU, b.SKU), cmp.Compare(a.Currency, b.Currency))
	})
	return hour, nil
}
