package prices_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverless-go/cdk/patterns/prices"
)

var update = flag.Bool("update", false, "write docs/prices.md anew")

// missing are the prices that could not be confirmed. AWS's data has no
// serverless capacity of Neptune in these regions.
var missing = map[string][]prices.Item{
	"ap-northeast-3": {prices.NeptuneCapacity},
	"eu-central-2":   {prices.NeptuneCapacity},
}

func TestDefaultHasEveryItem(t *testing.T) {
	table := prices.Default()
	if table[prices.Home] == nil {
		t.Errorf("there are no prices of %s", prices.Home)
	}
	for region, items := range table {
		var lacks []prices.Item
		for _, item := range prices.Items() {
			if _, ok := items[item]; !ok {
				lacks = append(lacks, item)
			}
		}
		if !slices.Equal(lacks, missing[region]) {
			t.Errorf("%s lacks %v; the test expects that it lacks %v", region, lacks, missing[region])
		}
	}
}

func TestDefaultPrices(t *testing.T) {
	for region, items := range prices.Default() {
		for item, p := range items {
			at := fmt.Sprintf("%s.%s", region, item)
			if p.USD <= 0 {
				t.Errorf("%s is %v", at, p.USD)
			}
			if p.Per == "" || p.Source == "" {
				t.Errorf("%s has no unit or source: %+v", at, p)
			}
			if day, err := time.Parse(time.DateOnly, p.AsOf); err != nil || day.Year() < 2024 {
				t.Errorf("%s is as of %q", at, p.AsOf)
			}
		}
	}
}

// unusual are the prices that are less than half or more than thrice of what
// the item costs in us-east-1, each with its reason.
var unusual = map[string]string{}

func TestDefaultIsPlausible(t *testing.T) {
	table := prices.Default()
	seen := map[string]bool{}
	for region, items := range table {
		for item, p := range items {
			at := fmt.Sprintf("%s.%s", region, item)
			if ratio := p.USD / table[prices.Home][item].USD; ratio < 0.5 || ratio > 3 {
				if seen[at] = true; unusual[at] == "" {
					t.Errorf("%s is %.2f times the price in %s: a slip, or list it with its reason", at, ratio, prices.Home)
				}
			}
		}
	}
	for at := range unusual {
		if !seen[at] {
			t.Errorf("%s is listed as unusual and is not", at)
		}
	}
}

// The file has one line a price, grouped by region and sorted, so that a
// change of a price is a change of one line and nothing stands in it twice.
func TestDefaultFile(t *testing.T) {
	text, err := os.ReadFile("prices.json")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]map[string]struct {
		USD    json.Number `json:"usd"`
		From   string      `json:"from"`
		Source string      `json:"source"`
		AsOf   string      `json:"asOf"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	sources := slices.Sorted(maps.Keys(file["sources"]))
	named := map[string]bool{}
	group := func(name string, line func(string) string) string {
		var lines []string
		for _, entry := range slices.Sorted(maps.Keys(file[name])) {
			lines = append(lines, fmt.Sprintf("    %q: %s", entry, line(entry)))
		}
		return fmt.Sprintf("  %q: {\n%s\n  }", name, strings.Join(lines, ",\n"))
	}
	groups := []string{group("sources", func(name string) string {
		return fmt.Sprintf(`{"source": %q, "asOf": %q}`, file["sources"][name].Source, file["sources"][name].AsOf)
	})}
	delete(file, "sources")
	for _, region := range slices.Sorted(maps.Keys(file)) {
		groups = append(groups, group(region, func(item string) string {
			p := file[region][item]
			named[p.From] = true
			if strings.ContainsAny(p.USD.String(), "eE") {
				t.Errorf("%s.%s is written with an exponent", region, item)
			}
			return fmt.Sprintf(`{"usd": %s, "from": %q}`, p.USD, p.From)
		}))
	}
	if want := "{\n" + strings.Join(groups, ",\n") + "\n}\n"; string(text) != want {
		t.Errorf("prices.json is not in its form; it should be\n%s", want)
	}
	if !slices.Equal(slices.Sorted(maps.Keys(named)), sources) {
		t.Errorf("prices name %v, and the sources are %v", slices.Sorted(maps.Keys(named)), sources)
	}
}

func TestWithPutsPricesOver(t *testing.T) {
	table, err := prices.Default().With(strings.NewReader(`{
		"sources": {"ours": {"source": "our contract", "asOf": "2026-11-01"}},
		"us-east-1": {"kms.key": {"usd": 2, "per": "key and month", "source": "a quotation", "asOf": "2026-11-28"}},
		"eu-west-1": {"kms.key": {"usd": 3, "from": "ours"}},
		"af-south-1": {"kms.key": {"usd": 0, "from": "ours"}}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	for region, want := range map[string]prices.Price{
		"us-east-1":  {USD: 2, Per: "key and month", Source: "a quotation", AsOf: "2026-11-28"},
		"eu-west-1":  {USD: 3, Per: "key and month", Source: "our contract", AsOf: "2026-11-01"},
		"af-south-1": {USD: 0, Per: "key and month", Source: "our contract", AsOf: "2026-11-01"},
	} {
		if got := table[region][prices.KMSKey]; got != want {
			t.Errorf("in %s a key costs %+v, want what was put over, %+v", region, got, want)
		}
	}
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		if table[region][prices.SQSFIFO].USD == 0 {
			t.Errorf("the other prices of %s are gone", region)
		}
	}
	if len(table["af-south-1"]) != 1 || table["sources"] != nil {
		t.Errorf("the new region has %v, and sources are %v", table["af-south-1"], table["sources"])
	}
	if prices.Default()["us-east-1"][prices.KMSKey].USD != 1 {
		t.Error("the default table changed")
	}
}

func TestWithRefuses(t *testing.T) {
	for text, wants := range map[string][]string{
		`nothing`:                 {"not a table of prices", "invalid character"},
		`{"us-east-1": {}} {}`:    {"not a table of prices", "after top-level value"},
		`{"us-east-1": {"a": 1}}`: {"us-east-1.a: no such item", "us-east-1.a: not a price"},
		`{"Europe": {"kms.kee": {"usd": -1, "asOf": "yesterday"}},
		  "us-east-1": {"kms.key": {"euro": 1}, "kms.request": {"source": "a guess", "asOf": "2026-11-28"}}}`: {
			`"Europe" is not a region`, "Europe.kms.kee: no such item", "kms.key", "Europe.kms.kee: usd is -1",
			"Europe.kms.kee: source is empty", `Europe.kms.kee: asOf is "yesterday"`,
			`us-east-1.kms.key: not a price: json: unknown field "euro"`, "us-east-1.kms.request: usd is missing"},
		`{"sources": {"ours": {"source": "", "asOf": "2026"}, "b": {"usd": 1}},
		  "us-east-1": {"kms.key": {"usd": 1, "from": "theirs"}, "sqs.fifo": {"usd": 1, "from": "ours", "asOf": "2026-11-28"}}}`: {
			"sources.ours: source is empty", `sources.ours: asOf is "2026"`, `sources.b: not a source: json: unknown field "usd"`,
			`us-east-1.kms.key: from is "theirs"; allowed is a name in sources, which has b, ours`,
			`us-east-1.sqs.fifo: from is "ours", and there are source or asOf besides`},
		// A price of a million would be taken for the price of one.
		`{"us-east-1": {"sqs.fifo": {"usd": 0.5, "per": "million requests", "source": "ours", "asOf": "2026-11-28"}}}`: {
			`us-east-1.sqs.fifo: per is "million requests"; allowed is "request"`},
	} {
		_, err := prices.Default().With(strings.NewReader(text))
		if err == nil {
			t.Errorf("%s is accepted", text)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error lacks %q: %v", text, want, err)
			}
		}
	}
}

// pays says from when on an environment of arm64 is cheaper provisioned than
// on demand.
func pays(of map[prices.Item]prices.Price) string {
	items := prices.Lambda("arm64")
	saved := of[items.Duration].USD - of[items.ProvisionedDuration].USD
	if busy := of[items.Provisioned].USD / saved; saved > 0 && busy < 1 {
		return fmt.Sprintf("busy %.0f %% of the time", 100*busy)
	}
	return "never"
}

// The page's table of what is covered is made here.
func TestCoverage(t *testing.T) {
	table := prices.Default()
	n := len(prices.Items())
	rows := []string{"| Region | Prices | As of | Lacks | Provisioned concurrency pays |", "| --- | --- | --- | --- | --- |"}
	for _, region := range slices.Sorted(maps.Keys(table)) {
		first, last := "9", ""
		for _, p := range table[region] {
			first, last = min(first, p.AsOf), max(last, p.AsOf)
		}
		var lacks []string
		for _, item := range prices.Items() {
			if _, ok := table[region][item]; !ok {
				lacks = append(lacks, "`"+string(item)+"`")
			}
		}
		rows = append(rows, fmt.Sprintf("| %s | %d of %d | %s to %s | %s | %s |", region, len(table[region]), n, first, last,
			cmp.Or(strings.Join(lacks, ", "), "nothing"), pays(table[region])))
	}
	const file = "../../docs/prices.md"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	made := regexp.MustCompile(`(?m)^\| Region \|(.*\n)(\|.*\n)+`)
	want := made.ReplaceAllLiteralString(string(page), strings.Join(rows, "\n")+"\n")
	if want == string(page) && made.Match(page) {
		return
	}
	if !*update {
		t.Fatalf("%s does not say what the table covers; run the test with -update. It should say\n%s", file, strings.Join(rows, "\n"))
	}
	if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func ExampleTable_With() {
	_, err := prices.Default().With(strings.NewReader(
		`{"us-east-1": {"kms.key": {"usd": 0.9, "source": "our contract", "asOf": "2026-11-01"}}}`))
	if err != nil {
		panic(err)
	}
}
