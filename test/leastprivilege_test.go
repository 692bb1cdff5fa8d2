package test_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/coldstart"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/patterns/security"
	"github.com/serverless-go/cdk/stacks"
	"github.com/serverless-go/cdk/test/cdktest"
)

type leastPrivilegeLine struct{ Stack, Path, Rule, Outcome, Reason string }

// leastPrivilegeReport synthesizes and returns the report.
func leastPrivilegeReport(t *testing.T, app awscdk.App) []leastPrivilegeLine {
	t.Helper()
	data, failed := cdktest.Report(t, app, "least-privilege-report.json")
	if failed {
		t.Fatalf("the synth failed:\n%s", data)
	}
	var report []leastPrivilegeLine
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// TestLeastPrivilege synthesizes every system, with as little and as much of it
// as can be configured. The check fails the synth; its report must be there
// and have looked at every system.
func TestLeastPrivilege(t *testing.T) {
	domain := func(name string) stacks.Domain {
		return stacks.Domain{
			Name:        name + ".example.com",
			Certificate: "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
		}
	}
	for name, c := range map[string]*stacks.Config{
		"minimal": {Systems: stacks.Systems(), Environment: "dev"},
		"everything": {
			Systems: stacks.Systems(), Environment: "prod", Account: "123456789012", Region: "eu-west-1",
			AlarmEmail: "alarms@example.com", TimeZone: "Europe/Paris",
			Domains: map[string]stacks.Domain{"flashsale": domain("carts"), "training": domain("approvals"), "gateway": domain("notes")},
			Sale: stacks.Sale{
				Opens:        time.Date(2037, 11, 27, 7, 0, 0, 0, time.UTC),
				Closes:       time.Date(2037, 11, 27, 23, 0, 0, 0, time.UTC),
				Environments: 100,
			},
			Identity: stacks.Identity{Issuer: "https://id.example.com", Audience: []string{"carts"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := cdktest.NewApp(t)
			stacks.New(app, c)
			report := leastPrivilegeReport(t, app)
			judged := map[string]int{}
			for _, line := range report {
				judged[line.Stack]++
				if line.Outcome == "acknowledged" && line.Reason == "" {
					t.Errorf("something in %s is acknowledged without a reason", line.Stack)
				}
			}
			if len(judged) < len(c.Systems) {
				t.Errorf("%d stacks were judged, of %d systems", len(judged), len(c.Systems))
			}
			for stack, n := range judged {
				if n < 25 { // the edge's stack is the smallest
					t.Errorf("%s has %d judgements only", stack, n)
				}
			}
		})
	}
}

// TestConstructsAcknowledge makes the constructs that have to break a rule, in
// an app with the check: they say why, and their users need not.
func TestConstructsAcknowledge(t *testing.T) {
	app := cdktest.NewApp(t)
	security.NewLeastPrivilege(app, "LeastPrivilege", nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), &awscdk.StackProps{Env: &awscdk.Environment{Region: jsii.String("eu-central-1")}})
	coldstart.NewWarmFunction(stack, "Warm", &coldstart.WarmFunctionProps{
		Function: &function.Props{Entry: "example.com/shop/warm"}, Deployment: coldstart.Linear(10, time.Minute),
	})
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	store.AddReaction("Log", &eventsourcing.ReactionProps{
		Events: []string{"CartOpened"}, LogGroup: awslogs.NewLogGroup(stack, jsii.String("Group"), nil),
	})
	edge.NewRegionalAPI(stack, "API", nil).AddTableDependency("carts", store.Table(), &edge.TableDependencyProps{PartitionKey: "pk", SortKey: "sk"})
	for _, id := range []string{"Sign", "Check"} {
		edge.NewEdgeFunction(stack, id, &edge.EdgeFunctionProps{
			Code: awslambda.Code_FromInline(jsii.String("exports.handler = async e => e.Records[0].cf.request")), Runtime: awslambda.Runtime_NODEJS_22_X(),
			Handler: "index.handler", Event: edge.ViewerRequest, StackID: "Edge",
		})
	}
	lake := orchestration.NewDataLake(stack, "Lake", nil)
	people := lake.AddTable("People", &orchestration.TableProps{Name: "people", Columns: []orchestration.Column{{Name: "id", Type: "string"}}})
	for id, analytics := range map[string]*orchestration.NeptuneAnalytics{
		"Graph": nil, "Analysis": orchestration.NewNeptuneAnalytics(stack, "Memory", nil),
	} {
		orchestration.NewGraphLoad(stack, id, &orchestration.GraphLoadProps{
			Lake: lake, Tables: []*orchestration.Table{people}, Analytics: analytics,
			Nodes: []orchestration.GraphNodes{{Label: "Person", ID: "id", Query: "SELECT id FROM " + people.SQL()}},
		})
	}
	acknowledged := map[string]bool{}
	for _, line := range leastPrivilegeReport(t, app) {
		if line.Outcome == "acknowledged" {
			acknowledged[line.Rule+" "+line.Path] = true
		}
	}
	for _, want := range []string{
		"wildcard-resource Shop/Warm/DeploymentRole/Resource",
		"confused-deputy Shop/Carts/Log/LogPolicy",
		"public-access Shop/API/Route GET |health",
		"managed-policy Shop/Custom::CrossRegionStringParameterReaderCustomResourceProvider/Role",
		"wildcard-resource Shop/Graph/Function/Role/Resource",
		"wildcard-resource Shop/Analysis/Workflow/Role/Resource",
		"public-access Shop/Memory/Graph",
	} {
		if !acknowledged[want] {
			t.Errorf("%s is not acknowledged", want)
		}
	}
}
