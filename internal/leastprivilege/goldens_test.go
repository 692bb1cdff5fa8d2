package leastprivilege_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/internal/inspection"
	"github.com/serverless-go/cdk/internal/leastprivilege"
)

// accepted is what the templates that are pinned in this repository may keep.
// A golden does not hold the acknowledgements that the constructs make, so
// these stand here, too; and so do the tests' own resources, which nobody
// deploys.
var accepted = []struct {
	rule   leastprivilege.Rule
	ids    string // beginnings of logical ids, separated by spaces
	reason string
}{
	{leastprivilege.WildcardResource, "CheckoutDeploymentRole", "acknowledged by coldstart: CodeDeploy describes alarms on *"},
	{leastprivilege.ManagedPolicy, "CustomCrossRegionStringParameterReader", "acknowledged by edge: the CDK's own function"},
	{leastprivilege.PublicAccess, "APIRouteGEThealth", "acknowledged by edge: Route 53's health checkers"},
	{leastprivilege.ConfusedDeputy, "CartsAbandonmentCascadeLogLogPolicy CartsAbandonmentAbandonmentCascadeLogLogPolicy CartsLogLogPolicy",
		"acknowledged by eventsourcing: EventBridge's log stream"},
	{leastprivilege.WildcardResource, "InsightsFunctionRole GraphFunctionRole", "acknowledged by orchestration: network interfaces of a function in a VPC"},
	{leastprivilege.WildcardResource, "InsightsWorkflowRole", "acknowledged by orchestration: an import's id is not known before"},
	{leastprivilege.PublicAccess, "APIGetWellKnownJwksJson APIGetExchangeWellKnownJwksJson DoorGetWellKnownJwksJson APIGETwellknownjwksjson",
		"acknowledged by the systems and the example: keys that tokens are verified with are public"},
	{leastprivilege.PublicAccess, "Graph165238D7", "acknowledged by orchestration: a graph without a network"},

	{leastprivilege.Encryption, "Alarms Alerts OnCall Operators Other Questions Reviewers Shop563325D0 Topic ValuesTopic TD925BC7E", "a topic that a test hands in"},
	{leastprivilege.TLS, "Alarms Alerts OnCall Operators Other Questions Reviewers Shop563325D0 Topic ValuesTopic TD925BC7E", "a topic that a test hands in"},
	{leastprivilege.Encryption, "Dead Desk Queue Q63C6E3AB", "a queue that a test hands in"},
	{leastprivilege.TLS, "Dead Desk Queue Q63C6E3AB", "a queue that a test hands in"},
	{leastprivilege.Encryption, "AccessLogs Audit Documents7E5B2978 Files Lake5F1B88EA Own", "a bucket that a test hands in"},
	{leastprivilege.TLS, "AccessLogs Audit Documents7E5B2978 Files Lake5F1B88EA Own", "a bucket that a test hands in"},
	{leastprivilege.PublicAccess, "AccessLogs Audit Documents7E5B2978 Files Lake5F1B88EA Own", "a bucket that a test hands in"},
	{leastprivilege.ConfusedDeputy, "SRole08B056B2", "a state machine of the CDK that a test hands in"},
	{leastprivilege.ManagedPolicy, "CustomVpcRestrictDefaultSG", "a VPC of the CDK that a test hands in"},
	{leastprivilege.WildcardAction, "ShopASign24DD1705ServiceRoleDefaultPolicy ShopBSign6633DAD6ServiceRoleDefaultPolicy", "a grant of the CDK that a test makes"},
	{leastprivilege.PublicAccess, "APIRouteGETterms", "a route that a test opens"},
}

// TestGoldens judges every template that is pinned in this repository.
func TestGoldens(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../patterns/*/testdata", "../../test/testdata", "../../examples/*/testdata"} {
		found, err := filepath.Glob(filepath.Join(pattern, "*.golden.json"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 80 {
		t.Fatalf("only %d templates: the test looks in the wrong place", len(files))
	}
	plugin := inspection.NewPlugin(leastprivilege.Plugin, leastprivilege.Inspection()...)
	used := map[[2]string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".golden.json")
		app, err := inspection.Read(inspection.Place{Path: name, Template: file, Account: "123456789012"})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range plugin.Run(app) {
			if f.Outcome == inspection.Passed {
				continue
			}
			ok := false
			for _, a := range accepted {
				for _, id := range strings.Fields(a.ids) {
					if a.rule.ID == f.Rule && strings.HasPrefix(f.Resource.ID, id) {
						ok, used[[2]string{a.rule.ID, id}] = true, true
					}
				}
			}
			if !ok {
				t.Errorf("%s: %s; %s. Change the construct; if it must stay, let the construct acknowledge it and add a row to accepted.", f.Rule, f, f.Fix)
			}
		}
	}
	for _, a := range accepted {
		for _, id := range strings.Fields(a.ids) {
			if !used[[2]string{a.rule.ID, id}] {
				t.Errorf("nothing is found any more by %s at %s: remove it from accepted", a.rule.ID, id)
			}
		}
	}
}

// TestRulesAreComplete holds what the documentation and the findings need.
func TestRulesAreComplete(t *testing.T) {
	var ids []string
	for _, r := range leastprivilege.Rules() {
		if r.ID == "" || r.Refuses == "" || r.Why == "" || !strings.HasPrefix(r.Source, "https://docs.aws.amazon.com/") {
			t.Errorf("rule %q lacks something", r.ID)
		}
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != len(leastprivilege.Rules()) {
		t.Error("two rules have the same id")
	}
}
