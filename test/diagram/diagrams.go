package diagram

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Diagram is one picture of this repository.
type Diagram struct {
	Name   string // of the files in docs/diagrams
	Of     string // the construct, such as "edge.RegionalAPI", or the system
	Golden string // the template, below the module's root
	Page   string // the page in docs that shows it
	Options
}

// All is the table of this repository's diagrams, and the only place to add
// one.
var All = []Diagram{
	{"function", "function.Function", "patterns/function/testdata/TestDefaults.golden.json", "function.md",
		Options{Right: true, Title: "Function", Parts: []Part{{Prefix: "Hello", Title: "Function"}}}},

	{"event-store", "eventsourcing.EventStore", "patterns/eventsourcing/testdata/TestEventStoreEverything.golden.json", "eventsourcing.md",
		Options{Title: "Event store", Parts: []Part{{Prefix: "Carts", Title: "EventStore"}}}},
	{"projection", "eventsourcing.Projection", "patterns/eventsourcing/testdata/TestProjectionDefaults.golden.json", "projection.md",
		Options{Title: "Projection", Parts: []Part{{Prefix: "CartsTotals", Title: "Projection"}, {Prefix: "Carts", Title: "Carts\nEventStore", Fold: true}}}},
	{"reaction", "eventsourcing.Reaction", "patterns/eventsourcing/testdata/TestReactionTargets.golden.json", "eventsourcing.md",
		Options{Title: "Reactions", Hide: []string{"CartsSubjects", "CartsPayloads"}, Labels: map[string]string{"L": "Log", "Q": "Queue", "S": "Workflow", "T": "Topic"}, Parts: []Part{{Prefix: "Carts", Title: "EventStore"}}}},
	{"archive", "eventsourcing.Archive", "patterns/eventsourcing/testdata/TestArchiveDefaults.golden.json", "eventsourcing-archive.md",
		Options{Title: "Archive", Parts: []Part{{Prefix: "CartsLongTerm", Title: "Archive"}, {Prefix: "Carts", Title: "Carts\nEventStore", Fold: true}}}},
	{"anomaly", "eventsourcing.AnomalyDetector", "patterns/eventsourcing/testdata/TestAnomalyDetectorEverything.golden.json", "eventsourcing-anomaly.md",
		Options{Title: "Anomaly detector", Parts: []Part{{Prefix: "CartsAbandonment", Title: "AnomalyDetector"}, {Prefix: "Carts", Title: "Carts\nEventStore", Fold: true}}}},
	{"cascade", "eventsourcing.Cascade", "patterns/eventsourcing/testdata/TestCascadeEverything.golden.json", "eventsourcing-anomaly.md",
		Options{Title: "Cascade", Parts: []Part{{Prefix: "CartsAbandonmentCascade", Title: "Cascade"}, {Prefix: "CartsAbandonment", Title: "AnomalyDetector"}, {Prefix: "Carts", Title: "Carts\nEventStore", Fold: true}}}},

	{"warm-function", "coldstart.WarmFunction", "patterns/coldstart/testdata/TestWarmFunction_Everything.golden.json", "coldstart.md",
		Options{Title: "Warm function", Labels: map[string]string{"CheckoutProvisionedConcurrencyTarget": "Provisioned concurrency"}, Parts: []Part{{Prefix: "Checkout", Title: "WarmFunction"}}}},
	{"keep-warm", "coldstart.KeepWarm", "patterns/coldstart/testdata/TestKeepWarmOfSeveralFunctions.golden.json", "coldstart.md",
		Options{Right: true, Title: "Keep warm", Parts: []Part{{Prefix: "KeepWarm", Title: "KeepWarm"}}}},

	{"workflow", "orchestration.Workflow", "patterns/orchestration/testdata/TestWorkflowEverything.golden.json", "orchestration.md",
		Options{Right: true, Title: "Workflow", Parts: []Part{{Prefix: "Greeting", Title: "Workflow"}}}},
	{"saga", "orchestration.Saga", "patterns/orchestration/testdata/TestSagaEverything.golden.json", "orchestration.md",
		Options{Title: "Saga", Parts: []Part{{Prefix: "Trip", Title: "Saga"}}}},
	{"fan-out", "orchestration.FanOut", "patterns/orchestration/testdata/TestFanOutDefaults.golden.json", "orchestration.md",
		Options{Title: "Fan-out", Parts: []Part{{Prefix: "Fan", Title: "FanOut"}}}},
	{"data-lake", "orchestration.DataLake", "patterns/orchestration/testdata/TestDataLakeEverything.golden.json", "orchestration-training.md",
		Options{Title: "Data lake", Parts: []Part{{Prefix: "Lake", Title: "DataLake"}}}},
	{"training-pipeline", "orchestration.TrainingPipeline", "patterns/orchestration/testdata/TestTrainingPipelineDefaults.golden.json", "orchestration-training.md",
		Options{Title: "Training pipeline", Parts: []Part{{Prefix: "Pipeline", Title: "TrainingPipeline"},
			{Prefix: "PipelineJudge", Title: "Gates\nLambda functions", Fold: true, Also: []string{"PipelineCheckManifest"}, Kind: "function"}, {Prefix: "Lake", Title: "Lake\nDataLake", Fold: true}}}},
	{"graph-load", "orchestration.GraphLoad", "patterns/orchestration/testdata/TestGraphLoad.golden.json", "orchestration-graph.md",
		Options{Title: "Graph load", Parts: []Part{{Prefix: "Insights", Title: "GraphLoad"}, {Prefix: "Lake", Title: "Lake\nDataLake", Fold: true}}}},
	{"graph-load-analytics", "orchestration.NeptuneAnalytics", "patterns/orchestration/testdata/TestGraphLoadAnalytics.golden.json", "orchestration-graph.md",
		Options{Title: "Graph load into Neptune Analytics", Parts: []Part{{Prefix: "Insights", Title: "GraphLoad"}, {Prefix: "Lake", Title: "Lake\nDataLake", Fold: true}}}},
	{"openwhisk", "orchestration.OpenWhisk", "patterns/orchestration/testdata/TestOpenWhiskEverything.golden.json", "orchestration-openwhisk.md",
		Options{Right: true, Title: "OpenWhisk", Parts: []Part{{Prefix: "Checkout", Title: "OpenWhisk"}}}},

	{"regional-api", "edge.RegionalAPI", "patterns/edge/testdata/TestRegionalAPIEverything.golden.json", "edge-regional.md",
		Options{Title: "Regional API", Parts: []Part{{Prefix: "API", Title: "RegionalAPI"}}}},
	{"edge-router", "edge.EdgeRouter", "patterns/edge/testdata/TestEdgeRouterDefaults.golden.json", "edge-router.md",
		Options{Title: "Edge router", Parts: []Part{{Prefix: "Router", Title: "EdgeRouter"}}}},
	{"key-values", "edge.KeyValues", "patterns/edge/testdata/TestKeyValuesDefaults.golden.json", "edge-keyvalues.md",
		Options{Right: true, Title: "Key values", Parts: []Part{{Prefix: "Values", Title: "KeyValues"}}}},
	{"cloudflare-worker", "edge.CloudflareWorker", "patterns/edge/testdata/TestCloudflareWorkerDefaults.golden.json", "edge-cloudflare.md",
		Options{Title: "Cloudflare Worker", Parts: []Part{{Prefix: "Router", Title: "CloudflareWorker"}}}},
	{"global-store", "edge.GlobalStore", "patterns/edge/testdata/TestGlobalStoreEverything.golden.json", "edge-globalstore.md",
		Options{Title: "Global store", Keys: true, Labels: map[string]string{"StoreKey": "Key of this region"}, Parts: []Part{{Prefix: "Readings", Title: "GlobalStore", Also: []string{"StoreKey"}}}}},
	{"global-endpoint", "edge.GlobalEndpoint", "patterns/edge/testdata/TestGlobalEndpointDefaults.golden.json", "edge-ingestion.md",
		Options{Right: true, Title: "Global endpoint", Parts: []Part{{Prefix: "Intake", Title: "GlobalEndpoint"}}}},
	{"local-alerts", "edge.LocalAlerts", "patterns/edge/testdata/TestLocalAlertsEverything.golden.json", "edge-alerts.md",
		Options{Title: "Local alerts", Parts: []Part{{Prefix: "Alerts", Title: "LocalAlerts"}}}},

	{"impersonation", "security.Impersonation", "patterns/security/testdata/TestImpersonationEverything.golden.json", "security-impersonation.md",
		Options{Title: "Impersonation", Parts: []Part{{Prefix: "AsUser", Title: "Impersonation"}}}},
	{"web-identity", "security.WebIdentity", "patterns/security/testdata/TestWebIdentityDefaults.golden.json", "security-impersonation.md",
		Options{Title: "Web identity", Parts: []Part{{Prefix: "Users", Title: "WebIdentity"}}}},
	{"cognito-identity", "security.CognitoIdentity", "patterns/security/testdata/TestCognitoIdentityDefaults.golden.json", "security-impersonation.md",
		Options{Title: "Cognito identity", Parts: []Part{{Prefix: "Users", Title: "CognitoIdentity"}}}},
	{"token-exchange", "security.TokenExchange", "patterns/security/testdata/TestTokenExchangeDefaults.golden.json", "security-token.md",
		Options{Title: "Token exchange", Keys: true, Parts: []Part{{Prefix: "Exchange", Title: "TokenExchange"}}}},
	{"opaque-invocation", "security.OpaqueInvocation", "patterns/security/testdata/TestOpaqueInvocationDefaults.golden.json", "security-opaque.md",
		Options{Title: "Opaque invocation", Keys: true, Parts: []Part{{Prefix: "Door", Title: "OpaqueInvocation"}}}},
	{"flashsale", "FlashSale", "test/testdata/TestFlashSale.golden.json", "flashsale.md",
		Options{Title: "Flash sale", Parts: []Part{
			{Prefix: "API", Title: "Carts API\nwith OpaqueInvocation", Fold: true},
			{Prefix: "CartsHandler", Title: "Commands\nWarmFunction", Fold: true},
			{Prefix: "Carts", Title: "Carts\nEventStore", Fold: true},
			{Prefix: "CartsCartView", Title: "Cart view\nProjection", Fold: true, Also: []string{"CartViewHandler"}},
			{Prefix: "CartsSaleTotals", Title: "Sale totals\nProjection", Fold: true, Also: []string{"SaleTotalsHandler"}},
			{Prefix: "CartsHistory", Title: "History\nArchive", Fold: true},
			{Prefix: "CartsAbandonment", Title: "Abandonment\nAnomalyDetector", Fold: true},
			{Prefix: "CartsAbandonmentAbandonmentCascade", Title: "Remedies\nCascade", Fold: true},
		}}},
	{"training", "Training", "test/testdata/TestTraining.golden.json", "orchestration-training.md",
		Options{Title: "Training", Labels: map[string]string{"APIApi": "Approvals API"}, Parts: []Part{
			{Prefix: "Lake", Title: "Lake\nDataLake", Fold: true},
			{Prefix: "Abandonment", Title: "Abandonment model\nTrainingPipeline", Fold: true},
			{Prefix: "Graph", Title: "Insights\nGraphLoad", Fold: true},
			{Prefix: "Saga", Title: "Capacity saga\nSaga", Fold: true},
			{Prefix: "ApprovalsWarm", Title: "Approvals, warm\nKeepWarm", Fold: true},
		}}},
	{"healthwatch", "HealthWatch", "test/testdata/TestHealthWatchEverything_eu-central-1.golden.json", "healthwatch.md",
		Options{Title: "Health watch, one region", Parts: []Part{
			{Prefix: "API", Title: "Readings API\nRegionalAPI", Fold: true},
			{Prefix: "Readings", Title: "Readings\nEventStore", Fold: true},
			{Prefix: "ReadingsHandler", Title: "Readings\nLambda function", Fold: true, Kind: "function"},
			{Prefix: "Alerts", Title: "Alerts\nLocalAlerts", Fold: true},
			{Prefix: "Intake", Title: "Intake\nGlobalEndpoint", Fold: true},
			{Prefix: "Claims", Title: "Marks of applied readings\nClaims", Fold: true},
			{Prefix: "References", Title: "References\nOpaqueInvocation", Fold: true},
		}}},
	{"gateway", "Gateway", "test/testdata/TestGateway.golden.json", "gateway.md",
		Options{Title: "Gateway", Labels: map[string]string{"APIApi": "Notes API"}, Parts: []Part{
			{Prefix: "APIReferences", Title: "References\nOpaqueInvocation", Fold: true},
			{Prefix: "Users", Title: "Users\nImpersonation", Fold: true},
			{Prefix: "Exchange", Title: "Exchange\nTokenExchange", Fold: true},
		}}},
}

// Undrawn says why a construct or a golden stack has no diagram of its own.
var Undrawn = map[string]string{
	"Shop":                             "the README's example",
	"coldstart.ProvisionedConcurrency": "a part of coldstart.WarmFunction, drawn there",
	"edge.Claims":                      "one table and its key, which a function uses",
	"edge.EdgeFunction":                "one function and its version: a picture would say less than a sentence",
	"edge.MultiRegion":                 "makes stacks, and what they hold is the user's",
	"edge.Residency":                   "makes no resources: it checks those of others",
	"edge.StoreKey":                    "a key, drawn with edge.GlobalStore",
	"security.LeastPrivilege":          "makes no resources: it checks those of others",
	"orchestration.NeptuneCluster":     "drawn with orchestration.GraphLoad",
}

// Graph finds what the diagram shows; root is the module's folder.
func (d Diagram) Graph(root string) (*Graph, error) {
	t, err := d.template(root)
	if err != nil {
		return nil, err
	}
	g, err := t.Graph(d.Options)
	if err != nil {
		return nil, fmt.Errorf("diagram %s: %w", d.Name, err)
	}
	return g, nil
}

func (d Diagram) template(root string) (*Template, error) {
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(d.Golden)))
	if err != nil {
		return nil, fmt.Errorf("diagram %s: %w", d.Name, err)
	}
	t, err := Read(b)
	if err != nil {
		return nil, fmt.Errorf("diagram %s: %s: %w", d.Name, d.Golden, err)
	}
	return t, nil
}

// Texts returns the diagram's files below docs/diagrams, all but the picture.
func (d Diagram) Texts(root string) (map[string][]byte, error) {
	t, err := d.template(root)
	if err != nil {
		return nil, err
	}
	g, err := d.Graph(root)
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&page, format+"\n", args...) }
	p("<!-- Generated by test/diagram from %s; do not edit. -->", d.Golden)
	p("# %s", d.Title)
	p("")
	p("`%s`, drawn from [its golden template](../../%s) and described in [%s](../%s). [Legend](README.md)", d.Of, d.Golden, d.Page, d.Page)
	p("")
	p("![%s](%s.svg)", d.Title, d.Name)
	p("")
	p("As Mermaid:")
	p("")
	p("```mermaid\n%s```", g.Mermaid())
	p("")
	p("## Resources")
	p("")
	p("| Type | Number |\n| --- | ---: |")
	counts := map[string]int{}
	var types []string
	for _, id := range t.ids {
		typ := t.resources[id].Type
		if counts[typ]++; counts[typ] == 1 {
			types = append(types, typ)
		}
	}
	slices.Sort(types)
	for _, typ := range types {
		p("| `%s` | %d |", typ, counts[typ])
	}
	return map[string][]byte{d.Name + ".d2": []byte(g.D2()), d.Name + ".md": page.Bytes()}, nil
}

// Mark is what a picture carries to say which text it was drawn from.
func Mark(d2 []byte) string {
	return fmt.Sprintf("<!-- drawn from sha256:%x -->", sha256.Sum256(d2))
}

// Fresh reports whether a picture was drawn from the text.
func Fresh(svg, d2 []byte) bool { return bytes.Contains(svg, []byte(Mark(d2))) }

// Write writes all texts below docs/diagrams.
func Write(root string) error {
	for _, d := range All {
		texts, err := d.Texts(root)
		if err != nil {
			return err
		}
		for name, b := range texts {
			if err := os.WriteFile(filepath.Join(root, "docs", "diagrams", name), b, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
