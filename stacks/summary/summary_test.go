package summary_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/prices"
	"github.com/serverless-go/cdk/stacks/summary"
)

var update = flag.Bool("update", false, "write the golden files anew")

// assembly makes an assembly of templates: JSON texts, by the name of the
// stack. The region is where they all are.
func assembly(t *testing.T, region string, templates map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	artifacts := map[string]any{}
	for name, template := range templates {
		write(t, dir, name+".template.json", template)
		artifacts[name] = map[string]any{
			"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/" + region,
			"displayName": name, "properties": map[string]any{"templateFile": name + ".template.json"},
		}
	}
	manifest, err := json.Marshal(map[string]any{"artifacts": artifacts})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "manifest.json", string(manifest))
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// written returns the summaries of the assembly, the short and the full one.
func written(t *testing.T, dir string, context map[string]any) (short, full string) {
	t.Helper()
	options, _, problems := summary.ParseOptions(context)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var w bytes.Buffer
	if err := summary.Write(&w, dir, options, false); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, summary.File))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(w.String(), dir, "cdk.out"), string(file)
}

// The templates are the goldens of the stacks, so that a change of a system
// shows what it costs.
func TestSummary(t *testing.T) {
	for _, system := range []string{"FlashSale", "Training"} {
		t.Run(system, func(t *testing.T) {
			template, err := os.ReadFile("../../test/testdata/Test" + system + ".golden.json")
			if err != nil {
				t.Fatal(err)
			}
			short, full := written(t, assembly(t, "unknown-region", map[string]string{system: string(template)}), nil)
			golden(t, system+".short.txt", short)
			golden(t, system+".txt", full)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, "testdata", name, got)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run the test with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the summary differs from %s (- golden, + now). If that is what you want, run the test with -update.\n%s", file, diff)
	}
}

const shop = `{"Resources": {
	"Orders": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "RetainExceptOnCreate",
		"Properties": {"BillingMode": "PAY_PER_REQUEST", "DeletionProtectionEnabled": true},
		"Metadata": {"aws:cdk:path": "Shop/Orders/Resource"}},
	"Key": {"Type": "AWS::KMS::Key"},
	"Sell": {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 1024, "Architectures": ["x86_64"]}},
	"Live": {"Type": "AWS::Lambda::Alias", "Properties": {"FunctionName": {"Ref": "Sell"},
		"ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": 2}}},
	"Strange": {"Type": "AWS::Quantum::Computer"},
	"CDKMetadata": {"Type": "AWS::CDK::Metadata"}
}}`

// has reports what should be in the text and is not, wherever its lines break.
func has(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) && !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
}

func TestSummaryOfOneStack(t *testing.T) {
	short, full := written(t, assembly(t, prices.Home, map[string]string{"Shop": shop}), nil)
	has(t, short, "5 resources", "1 AWS::Quantum::Computer", "1 more connect them", "in us-east-1:",
		"unpriced  1 AWS::Quantum::Computer", "1 when it is destroyed: 1 table; protected against deletion: 1 table")
	has(t, full,
		// 0.2 USD for a million requests, and a hundred thousand GB-seconds
		"1.87  1 function of 1,024 MB, x86_64 = 1 x (1,000,000 invocations x 0.0000002 USD + 100,000 s x 1 GB x 0.0000166667 USD)",
		"21.90  2 provisioned environments of Live = 1 x 2 x 1 GB x 730 h x 3,600 s x 0.0000041667 USD",
		"?  1 AWS::Quantum::Computer: unknown to this summary", "table Shop/Orders\n", "the app has no such check")
	if strings.Contains(full, "CDKMetadata") || strings.Contains(full, "AWS::CDK::Metadata") {
		t.Error("the CDK's own record is counted")
	}
}

func TestSummaryChangesWithLoadAndPrices(t *testing.T) {
	file := filepath.Join(t.TempDir(), "prices.json")
	write(t, filepath.Dir(file), "prices.json", `{"sources": {"ours": {"source": "our contract", "asOf": "2026-11-01"}},
		"eu-west-1": {"kms.key": {"usd": 7, "from": "ours"}}, "af-south-1": {"kms.key": {"usd": 9, "from": "ours"}}}`)
	context := map[string]any{"prices": file, "load": `{"keyUses": 0, "writes": 2000000}`}
	short, full := written(t, assembly(t, "eu-west-1", map[string]string{"Shop": shop}), context)
	has(t, full, "7.00  1 key = 1 x (1 key x 7 USD", "as of 2026-11-01, our contract: kms.key, eu-west-1: 7 USD per key and month",
		"2,000,000 writes", "dynamodb.write, eu-west-1: 0.000000705 USD")
	has(t, short, "at the stated load, in eu-west-1: ", "writes 2,000,000")

	// A region that is not in the table has the file's price, and us-east-1's.
	dir := assembly(t, "af-south-1", map[string]string{"Shop": shop})
	short, full = written(t, dir, context)
	has(t, short, "in us-east-1, but kms.key in af-south-1: ")
	has(t, full, "kms.key, af-south-1: 9 USD", "dynamodb.write, us-east-1 (there is none of af-south-1): 0.000000625 USD")
	short, _ = written(t, dir, map[string]any{"load": map[string]any{"writes": 2e6}})
	has(t, short, "in us-east-1 (there are no prices of af-south-1)", "writes 2,000,000")
}

func TestSummaryNamesPricesFromElsewhere(t *testing.T) {
	short, full := written(t, assembly(t, "ap-northeast-3", map[string]string{"Graph": `{"Resources": {
		"Key": {"Type": "AWS::KMS::Key"},
		"Graph": {"Type": "AWS::Neptune::DBCluster", "Properties": {"ServerlessScalingConfiguration": {"MinCapacity": 1}}},
		"Reader": {"Type": "AWS::Neptune::DBInstance", "Properties": {"DBClusterIdentifier": {"Ref": "Graph"}, "DBInstanceClass": "db.serverless"}}
	}}`}), nil)
	has(t, short, "in ap-northeast-3, but neptune.capacity as in us-east-1: graph clusters 117.38, keys 1.30")
	has(t, full, "kms.key, ap-northeast-3: 1 USD", "neptune.capacity, us-east-1 (there is none of ap-northeast-3): 0.1608 USD per NCU-hour")
}

func TestSummaryOfGlobalTables(t *testing.T) {
	const template = `{"Resources": {"World": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {
		"BillingMode": "PAY_PER_REQUEST", "Replicas": [%s]}}}}`
	of := func(region, replicas string) (short, full string) {
		t.Helper()
		return written(t, assembly(t, region, map[string]string{"World": fmt.Sprintf(template, replicas)}), nil)
	}
	short, full := of("eu-central-1", `{"Region": "eu-central-1"}, {"Region": "ap-northeast-1"}, {"Region": "af-south-1"}`)
	has(t, short, "in eu-central-1, but dynamodb.write.replicated of af-south-1 as in us-east-1: tables 2.25")
	has(t, full, "2.25  1 table in 3 regions, without storage and indexes = 1 x (1,000,000 writes in af-south-1 x 0.000000625 USD + "+
		"1,000,000 writes in ap-northeast-1 x 0.000000715 USD + 1,000,000 writes in eu-central-1 x 0.0000007625 USD + "+
		"1,000,000 reads x 0.0000001525 USD)")

	short, full = of("unknown-region", `{"Region": "eu-west-1"}, {"Region": {"Ref": "AWS::Region"}}`)
	has(t, short, "in us-east-1 (its region is decided when it is deployed): tables 1.46")
	has(t, full, "1,000,000 writes in the stack's region x 0.000000625 USD + 1,000,000 writes in eu-west-1 x 0.000000705 USD")

	short, full = of("eu-west-1", `{"Region": "eu-west-1"}, {"Region": {"Ref": "Standby"}}`)
	has(t, short, "unpriced  1 table")
	has(t, full, "?  1 table: the regions of its replicas are decided when it is deployed")
}

// The health watch's stacks have the prices of their own regions.
func TestHealthWatchIsPriced(t *testing.T) {
	files, err := filepath.Glob("../../test/testdata/TestHealthWatch*_*.golden.json")
	if err != nil || len(files) < 7 {
		t.Fatalf("the health watch has %d goldens, %v", len(files), err)
	}
	for _, file := range files {
		template, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, region, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".golden.json"), "_")
		short, full := written(t, assembly(t, region, map[string]string{"Watch": string(template)}), nil)
		has(t, short, "at the stated load, in "+region+": ")
		if strings.Contains(full, "there is none of") || strings.Contains(full, "the table has no price of") {
			t.Errorf("%s lacks prices:\n%s", region, full)
		}
	}
}

func TestSummaryTellsWhatIsMissing(t *testing.T) {
	options, _, problems := summary.ParseOptions(nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	delete(options.Prices[prices.Home], prices.KMSKey)
	dir := assembly(t, prices.Home, map[string]string{"Shop": shop})
	var w bytes.Buffer
	if err := summary.Write(&w, dir, options, false); err != nil {
		t.Fatal(err)
	}
	full, err := os.ReadFile(filepath.Join(dir, summary.File))
	if err != nil {
		t.Fatal(err)
	}
	has(t, w.String(), "1 key")
	has(t, string(full), "?  1 key: the table has no price of kms.key")
}

func TestSummaryIsOff(t *testing.T) {
	listed, _, problems := summary.ParseOptions(map[string]any{"aws:cdk:bundling-stacks": []any{}})
	if len(problems) > 0 || !listed.Off {
		t.Errorf("it is written where stacks are only listed: %v", problems)
	}
	options, rest, problems := summary.ParseOptions(map[string]any{"summary": "off", "environment": "dev"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if len(rest) != 1 || rest["environment"] != "dev" {
		t.Errorf("left for others is %v", rest)
	}
	dir := assembly(t, prices.Home, map[string]string{"Shop": shop})
	var w bytes.Buffer
	if err := summary.Write(&w, dir, options, true); err != nil || w.Len() > 0 {
		t.Errorf("it wrote %q, %v", w.String(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, summary.File)); err == nil {
		t.Error("it wrote a file")
	}
}

func TestSummaryInFull(t *testing.T) {
	dir := assembly(t, prices.Home, map[string]string{"Shop": shop})
	shown, full := written(t, dir, map[string]any{"summary": "full"})
	if shown != full {
		t.Errorf("shown is not what the file has:\n%s", shown)
	}
}

func TestSummaryIsPlainOffTerminals(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if summary.Terminal(file) || summary.Colour(file) {
		t.Error("a file is taken for a terminal")
	}
	if summary.Progress(file) != nil {
		t.Error("progress is told to a file")
	}
	dir := assembly(t, prices.Home, map[string]string{"Shop": shop})
	options, _, problems := summary.ParseOptions(nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for colour, want := range map[bool]bool{true: true, false: false} {
		var w bytes.Buffer
		if err := summary.Write(&w, dir, options, colour); err != nil {
			t.Fatal(err)
		}
		if got := strings.ContainsAny(strings.ReplaceAll(w.String(), "\n", ""), "\x00\x1b\r\t"); got != want {
			t.Errorf("with colour %v there are control characters: %v", colour, got)
		}
	}
	written, err := os.ReadFile(filepath.Join(dir, summary.File))
	if err != nil || bytes.Contains(written, []byte("\x1b")) {
		t.Errorf("the file has control characters, %v", err)
	}
}

func TestSummaryOnTerminals(t *testing.T) {
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, too
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if !summary.Colour(terminal) || summary.Progress(terminal) == nil {
		t.Skip("there is no character device here")
	}
	t.Setenv("NO_COLOR", "1")
	if summary.Colour(terminal) {
		t.Error("NO_COLOR is not honoured")
	}
	t.Setenv("TERM", "dumb")
	if summary.Progress(terminal) != nil {
		t.Error("control characters go to a terminal that does not know them")
	}
}

func TestSummaryTellsWhatWasAccepted(t *testing.T) {
	dir := assembly(t, prices.Home, map[string]string{"Shop": shop})
	write(t, dir, "least-privilege-report.json", `[
		{"stack": "Shop", "logicalId": "Sell", "path": "Shop/Sell", "type": "AWS::Lambda::Function", "rule": "public-access",
			"outcome": "acknowledged", "message": "anybody may call it", "reason": "it verifies signatures"},
		{"stack": "Shop", "logicalId": "Key", "type": "AWS::KMS::Key", "rule": "tls", "outcome": "passed", "message": "right"}
	]`)
	short, full := written(t, dir, nil)
	has(t, short, "accepts   1 finding of the least-privilege check: 1 of public-access")
	has(t, full, "public-access at Shop/Sell: anybody may call it (it verifies signatures)")

	write(t, dir, "least-privilege-report.json", `[]`)
	short, _ = written(t, dir, nil)
	has(t, short, "accepts   no finding of the least-privilege check")
}

func TestSummaryReadsStages(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "assembly-Prod"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "manifest.json", `{"artifacts": {"assembly-Prod": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "assembly-Prod"}}}}`)
	write(t, filepath.Join(dir, "assembly-Prod"), "manifest.json", `{"artifacts": {"ProdShop": {"type": "aws:cloudformation:stack",
		"environment": "aws://1/us-east-1", "displayName": "Prod/Shop", "properties": {"templateFile": "Shop.json"}}}}`)
	write(t, filepath.Join(dir, "assembly-Prod"), "Shop.json", shop)
	short, _ := written(t, dir, nil)
	has(t, short, "Prod/Shop\n", "5 resources")
}

func TestSummaryRefusesWrongContext(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.json")
	wrong := func(context map[string]any) string {
		_, _, problems := summary.ParseOptions(context)
		return strings.Join(problems, "\n")
	}
	has(t, wrong(map[string]any{"summary": "loud", "load": map[string]any{"visits": 1}, "prices": missing}),
		`summary is "loud"; allowed is short, full or off`, `load is {"visits":1}`, "allowed is an object with some of requests,",
		`unknown field "visits"`, "prices is ", "none.json", "allowed is a JSON file of prices")
	has(t, wrong(map[string]any{"load": `{"writes": -1}`, "prices": 3.0}), "load.writes is -1; allowed is 0 or more", "it is not a path")

	dir := t.TempDir()
	write(t, dir, "ours.json", `{"eu-west-1": {
		"kms.key": {"usd": 0.9, "from": "ours"},
		"sqs.fifo": {"usd": 0.5, "per": "million requests", "source": "our contract", "asOf": "2026-11-01"}}}`)
	got := strings.ReplaceAll(wrong(map[string]any{"prices": filepath.Join(dir, "ours.json"), "summary": "loud"}), dir+string(filepath.Separator), "")
	if want := `summary is "loud"; allowed is short, full or off
prices is "ours.json"; allowed is a JSON file of prices:
    eu-west-1.kms.key: from is "ours"; allowed is a name in sources, which has none
    eu-west-1.sqs.fifo: per is "million requests"; allowed is "request", or nothing: give the price of that`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSummaryReportsWhatItCannotRead(t *testing.T) {
	options, _, problems := summary.ParseOptions(nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := summary.Write(&bytes.Buffer{}, t.TempDir(), options, false); err == nil || !strings.Contains(err.Error(), "manifest.json") {
		t.Errorf("got %v", err)
	}
	dir := assembly(t, prices.Home, map[string]string{"Shop": shop})
	write(t, dir, "least-privilege-report.json", `nothing`)
	if err := summary.Write(&bytes.Buffer{}, dir, options, false); err == nil || !strings.Contains(err.Error(), "least-privilege-report.json") {
		t.Errorf("got %v", err)
	}
}

func TestBundles(t *testing.T) {
	for want, contexts := range map[bool][]map[string]any{
		true:  {nil, {"aws:cdk:bundling-stacks": []any{"**"}}},
		false: {{"aws:cdk:bundling-stacks": []any{}}},
	} {
		for _, context := range contexts {
			if got := summary.Bundles(context); got != want {
				t.Errorf("%v: got %v", context, got)
			}
		}
	}
}
