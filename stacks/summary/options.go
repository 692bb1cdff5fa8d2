// Package summary tells what an app has synthesized: of each stack what it
// makes, what it costs a month at a stated load, what outlives it when it is
// destroyed, and what the least-privilege check accepted. It reads the
// templates, and calls neither the CDK nor AWS.
package summary

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/serverless-go/cdk/patterns/prices"
)

// Options are what the context says about the summary.
type Options struct {
	// Off writes none. Context: "summary": "off".
	//
	// Default: a short one on standard error, and one with formulas and sources
	// in the file [File] beside the templates; none where the CDK's command
	// line wants no assets, for then it lists or destroys stacks. It does not
	// tell the app of --quiet: for that there is "off".
	Off bool
	// Full writes the one with formulas on standard error instead. Context:
	// "summary": "full"; "short" asks for the short one in any case.
	Full bool
	// Load is what the costs are estimated for. Context: "load", an object with
	// the fields to change: {"invocations": 5000000}.
	//
	// Default: DefaultLoad.
	Load Load
	// Prices are what AWS charges. Context: "prices", the path of a JSON file
	// whose prices are put over the default's; see [prices.Table.With].
	//
	// Default: prices.Default.
	Prices prices.Table
}

// Load is what a stack bears in a month. It is the load of each resource of a
// kind, so that the estimate is of a system in which every function is called,
// every table is written and every queue is used that much.
type Load struct {
	Requests     float64 `json:"requests"`     // to each API
	Invocations  float64 `json:"invocations"`  // of each function
	Milliseconds float64 `json:"milliseconds"` // that an invocation takes
	Writes       float64 `json:"writes"`       // to each table, of an item of up to 1 KB
	Reads        float64 `json:"reads"`        // from each table, strongly consistent, of an item of up to 4 KB
	Messages     float64 `json:"messages"`     // through each queue that is not one of dead letters
	Publishes    float64 `json:"publishes"`    // to each topic
	Events       float64 `json:"events"`       // on each bus and through each pipe
	EventKB      float64 `json:"eventKB"`      // the size of an event, for archives
	Executions   float64 `json:"executions"`   // of each state machine
	Transitions  float64 `json:"transitions"`  // of each execution
	Schedules    float64 `json:"schedules"`    // of each schedule, invocations
	KeyUses      float64 `json:"keyUses"`      // of each key
	LogGB        float64 `json:"logGB"`        // into each log group
	BucketGB     float64 `json:"bucketGB"`     // in each bucket
}

// DefaultLoad returns a million of whatever a request causes, and little of
// what it does not.
func DefaultLoad() Load {
	return Load{
		Requests: 1e6, Invocations: 1e6, Milliseconds: 100, Writes: 1e6, Reads: 1e6, Messages: 1e6, Events: 1e6, EventKB: 1,
		Publishes: 1e3, Executions: 1e3, Transitions: 10, Schedules: 1e4, KeyUses: 1e5, LogGB: 0.1, BucketGB: 1,
	}
}

// Keys returns the keys of the context that ParseOptions reads.
func Keys() []string { return []string{"load", "prices", "summary"} }

// ParseOptions reads the options from the app's context and returns, beside
// them, the context without theirs and all that is wrong with theirs.
func ParseOptions(context map[string]any) (o Options, rest map[string]any, problems []string) {
	o = Options{Off: !Bundles(context), Load: DefaultLoad(), Prices: prices.Default()}
	rest = maps.Clone(context)
	if v, ok := context["summary"]; ok {
		delete(rest, "summary")
		o.Off, o.Full = v == "off", v == "full"
		if !o.Off && !o.Full && v != "short" {
			problems = append(problems, fmt.Sprintf("summary is %q; allowed is short, full or off", fmt.Sprint(v)))
		}
	}
	if v, ok := context["load"]; ok {
		delete(rest, "load")
		problems = append(problems, o.Load.read(v)...)
	}
	if v, ok := context["prices"]; ok {
		delete(rest, "prices")
		if err := o.readPrices(v); err != nil {
			problems = append(problems, fmt.Sprintf("prices is %q; allowed is a JSON file of prices:\n    %s", fmt.Sprint(v),
				strings.ReplaceAll(err.Error(), "\n", "\n    ")))
		}
	}
	return o, rest, problems
}

// read changes the fields that v has, an object or, from -c, its text.
func (l *Load) read(v any) (problems []string) {
	text, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			return []string{fmt.Sprintf("load is %v; allowed is an object", v)}
		}
		text = string(b)
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(l); err != nil {
		return []string{fmt.Sprintf(`load is %s; allowed is an object with some of %s, such as {"invocations": 5000000} (%v)`,
			text, strings.Join(l.fields(), ", "), err)}
	}
	value := reflect.ValueOf(*l)
	for i, field := range l.fields() {
		if n := value.Field(i).Float(); n < 0 {
			problems = append(problems, fmt.Sprintf("load.%s is %v; allowed is 0 or more", field, n))
		}
	}
	return problems
}

// String writes the load, the fields in their order.
func (l Load) String() string {
	value := reflect.ValueOf(l)
	fields := l.fields()
	for i, field := range fields {
		fields[i] = together(field + " " + number(value.Field(i).Float()))
	}
	return strings.Join(fields, ", ")
}

func (l Load) fields() []string {
	of := reflect.TypeFor[Load]()
	names := make([]string, of.NumField())
	for i := range names {
		names[i] = of.Field(i).Tag.Get("json")
	}
	return names
}

func (o *Options) readPrices(v any) error {
	path, ok := v.(string)
	if !ok {
		return errors.New("it is not a path")
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	o.Prices, err = o.Prices.With(file)
	return err
}

// Bundles reports whether handlers are built for this synth: the CDK's command
// line says in the context for which stacks, and for none where it only lists
// them.
func Bundles(context map[string]any) bool {
	stacks, ok := context["aws:cdk:bundling-stacks"].([]any)
	return !ok || !slices.Equal(stacks, []any{})
}
