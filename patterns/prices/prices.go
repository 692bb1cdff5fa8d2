// Package prices is the table of what AWS charges, by region, that the planner
// of provisioned concurrency and the summary of an app calculate with. Each
// price says where it was read and as of when. Prices are in US dollars,
// without free tiers, tiers of volume and savings plans.
//
// A price that could not be confirmed is not in the table, and what lacks a
// price is not calculated. [Table.With] puts one's own prices over it.
// docs/prices.md says which regions are covered, and how to add one.
package prices

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serverless-go/cdk/internal/regionname"
)

// Item is what is charged for.
type Item string

// The items that the table knows.
const (
	APIGatewayHTTPRequest   Item = "apigateway.http.request"
	CloudWatchAlarm         Item = "cloudwatch.alarm" // of standard resolution
	DynamoDBRead            Item = "dynamodb.read"    // on demand
	DynamoDBWrite           Item = "dynamodb.write"   // on demand
	DynamoDBReplicatedWrite Item = "dynamodb.write.replicated"
	EventsArchive           Item = "events.archive"
	EventsCustom            Item = "events.custom"
	KMSKey                  Item = "kms.key"
	KMSRequest              Item = "kms.request"
	LogsIngest              Item = "logs.ingest"
	NeptuneCapacity         Item = "neptune.capacity"
	PipesRequest            Item = "pipes.request"
	S3Storage               Item = "s3.storage" // S3 Standard, the first 50 TB
	SchedulerInvocation     Item = "scheduler.invocation"
	SNSPublish              Item = "sns.publish"
	SQSFIFO                 Item = "sqs.fifo"
	SQSStandard             Item = "sqs.standard"
	StatesTransition        Item = "states.transition" // of Standard workflows
)

// units are what the prices of the items are for.
var units = func() map[Item]string {
	of := map[Item]string{
		APIGatewayHTTPRequest:   "request",
		CloudWatchAlarm:         "metric and month",
		DynamoDBRead:            "read request unit",
		DynamoDBWrite:           "write request unit",
		DynamoDBReplicatedWrite: "replicated write request unit",
		EventsArchive:           "GB archived",
		EventsCustom:            "event",
		KMSKey:                  "key and month",
		KMSRequest:              "request",
		LogsIngest:              "GB",
		NeptuneCapacity:         "NCU-hour",
		PipesRequest:            "request of up to 64 KB after the filter",
		S3Storage:               "GB and month",
		SchedulerInvocation:     "invocation",
		SNSPublish:              "publish",
		SQSFIFO:                 "request",
		SQSStandard:             "request",
		StatesTransition:        "state transition",
	}
	for _, architecture := range []string{"arm64", "x86_64"} {
		items := Lambda(architecture)
		of[items.Request] = "request"
		of[items.Duration], of[items.Provisioned], of[items.ProvisionedDuration] = "GB-second", "GB-second", "GB-second"
	}
	return of
}()

// Items returns all items, sorted.
func Items() []Item { return slices.Sorted(maps.Keys(units)) }

// LambdaItems are the items of a function of one architecture.
type LambdaItems struct {
	Request             Item // an invocation
	Duration            Item // a GB-second of invocations on demand
	Provisioned         Item // a GB-second of provisioned concurrency, used or not
	ProvisionedDuration Item // a GB-second of invocations on provisioned concurrency
}

// Lambda returns the items of an architecture, "arm64" or "x86_64".
func Lambda(architecture string) LambdaItems {
	of := func(what string) Item { return Item("lambda." + architecture + "." + what) }
	return LambdaItems{Request: of("request"), Duration: of("duration"), Provisioned: of("provisioned"),
		ProvisionedDuration: of("provisioned.duration")}
}

// Price is what one unit of an item costs.
type Price struct {
	USD    float64
	Per    string // the unit
	Source string // where it was read
	AsOf   string // the day for which the source states it, or on which it was read: 2006-01-02
}

// Table has the prices of each region.
type Table map[string]map[Item]Price

// Home is the region whose prices are complete, as far as the table's are.
const Home = "us-east-1"

//go:embed prices.json
var embedded []byte

// Default returns the table of this package.
func Default() Table {
	table, err := parse(bytes.NewReader(embedded))
	if err != nil {
		panic(err) // a test reads it
	}
	return table
}

// With returns the table with the prices of the JSON text over it, which has
// the form of this package's own: regions, in them items, in them prices. A
// price says its source and day itself, or names one of the text's sources:
//
//	{
//	  "sources": {"ours": {"source": "our contract", "asOf": "2026-11-01"}},
//	  "eu-west-1": {
//	    "kms.key": {"usd": 0.9, "from": "ours"},
//	    "sqs.fifo": {"usd": 0.0000004, "per": "request", "source": "a quotation", "asOf": "2026-11-28"}
//	  }
//	}
//
// A price is for the unit that the table has for its item, and "per" may be
// left out. A region that is new has the text's prices alone.
func (t Table) With(text io.Reader) (Table, error) {
	over, err := parse(text)
	if err != nil {
		return nil, err
	}
	merged := Table{}
	for _, table := range []Table{t, over} {
		for region, items := range table {
			if merged[region] == nil {
				merged[region] = map[Item]Price{}
			}
			maps.Copy(merged[region], items)
		}
	}
	return merged, nil
}

// written is a price as texts have it.
type written struct {
	USD  *float64 `json:"usd"`
	Per  string   `json:"per"`
	From string   `json:"from"` // the name of a source
	source
}

// source is where prices were read, and as of when.
type source struct {
	Source string `json:"source"`
	AsOf   string `json:"asOf"`
}

func (s source) problems() (problems []error) {
	if s.Source == "" {
		problems = append(problems, errors.New("source is empty; say where the price was read"))
	}
	if _, err := time.Parse(time.DateOnly, s.AsOf); err != nil {
		problems = append(problems, fmt.Errorf("asOf is %q; allowed is a day, such as 2026-11-28", s.AsOf))
	}
	return problems
}

// price reads a price of the item.
func (item Item) price(text json.RawMessage, sources map[string]source) (p Price, problems []error) {
	unit, known := units[item]
	if !known {
		problems = append(problems, fmt.Errorf("no such item; known are %s", list(Items())))
	}
	var w written
	if err := strictly(text, &w); err != nil {
		return p, append(problems, fmt.Errorf("not a price: %w", err))
	}
	switch {
	case w.USD == nil:
		problems = append(problems, errors.New("usd is missing"))
	case *w.USD < 0:
		problems = append(problems, fmt.Errorf("usd is %v; allowed is 0 or more", *w.USD))
	default:
		p.USD = *w.USD
	}
	// The item's amount is counted in its own unit, whatever the text says.
	if known && w.Per != "" && w.Per != unit {
		problems = append(problems, fmt.Errorf("per is %q; allowed is %q, or nothing: give the price of that", w.Per, unit))
	}
	of := w.source
	if w.From == "" {
		problems = append(problems, of.problems()...)
	} else {
		if of != (source{}) {
			problems = append(problems, fmt.Errorf("from is %q, and there are source or asOf besides; leave out the one or the other", w.From))
		}
		named, ok := sources[w.From]
		if !ok {
			problems = append(problems, fmt.Errorf("from is %q; allowed is a name in sources, which has %s", w.From, list(slices.Sorted(maps.Keys(sources)))))
		}
		of = named
	}
	p.Per, p.Source, p.AsOf = unit, of.Source, of.AsOf
	return p, problems
}

// list returns the names as a sentence has them.
func list[S ~string](names []S) string {
	if len(names) == 0 {
		return "none"
	}
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}

// strictly reads JSON that has no other fields than the value.
func strictly(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

// parse reads a table. Its error lists everything that is wrong.
func parse(text io.Reader) (Table, error) {
	b, err := io.ReadAll(text)
	if err != nil {
		return nil, err
	}
	var regions map[string]map[string]json.RawMessage
	if err := json.Unmarshal(b, &regions); err != nil {
		return nil, fmt.Errorf(`not a table of prices, such as {"us-east-1": {"kms.key": {"usd": 1, "source": "...", "asOf": "2026-11-28"}}}: %w`, err)
	}
	var problems []error
	add := func(at string, found ...error) {
		for _, err := range found {
			problems = append(problems, fmt.Errorf("%s: %w", at, err))
		}
	}
	sources := map[string]source{}
	for _, name := range slices.Sorted(maps.Keys(regions["sources"])) {
		var s source
		if err := strictly(regions["sources"][name], &s); err != nil {
			add("sources."+name, fmt.Errorf("not a source: %w", err))
		} else {
			add("sources."+name, s.problems()...)
		}
		sources[name] = s
	}
	delete(regions, "sources")

	table := Table{}
	for _, region := range slices.Sorted(maps.Keys(regions)) {
		if !regionname.Valid(region) {
			problems = append(problems, fmt.Errorf("%q is not a region, such as eu-west-1", region))
		}
		table[region] = map[Item]Price{}
		for _, name := range slices.Sorted(maps.Keys(regions[region])) {
			price, found := Item(name).price(regions[region][name], sources)
			add(region+"."+name, found...)
			table[region][Item(name)] = price
		}
	}
	return table, errors.Join(problems...)
}
