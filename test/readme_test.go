package test_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/coldstart"
	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/patterns/security"
	"github.com/serverless-go/cdk/stacks"
	"github.com/serverless-go/cdk/test/cdktest"
)

// The README's examples, in its order: the body of each function stands there
// as it stands here.

func readmeEventSourcing(stack awscdk.Stack, checkout, totals, offer *function.Function, alerts awssns.ITopic) {
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	store.GrantAppend(checkout)
	store.AddProjection("Totals", &eventsourcing.ProjectionProps{Function: totals, Events: []string{"CartCheckedOut"}})

	wave := store.AddAnomalyDetector("Abandonment", &eventsourcing.AnomalyDetectorProps{
		Numerator:   []string{"CartAbandoned"},
		Denominator: []string{"CartOpened"},
	}).AddCascade("Cascade", nil)
	wave.AddReaction("Alert", &eventsourcing.ReactionProps{Topic: alerts})
	wave.AddRemediation("Offer", &eventsourcing.RemediationProps{Function: offer, CoolDown: 15 * time.Minute, Budget: 3})
}

func readmeOrchestration(stack awscdk.Stack, hotels, flights *function.Function) {
	book := func(name string, fn *function.Function) orchestration.Step {
		return orchestration.Step{
			Name:         name,
			Action:       &orchestration.Action{Function: fn},
			Compensation: &orchestration.Action{Function: fn}, // the same function, asked to undo
			UndoFailed:   true,                                // a booking that timed out may have been made
		}
	}
	orchestration.NewSaga(stack, "Trip", &orchestration.SagaProps{
		Steps: []orchestration.Step{book("Hotel", hotels), book("Flight", flights)},
	})
}

func readmeColdStart(stack awscdk.Stack, opens time.Time) {
	coldstart.NewWarmFunction(stack, "Checkout", &coldstart.WarmFunctionProps{
		Function: &function.Props{Entry: "example.com/shop/functions/checkout"},
		ProvisionedConcurrency: &coldstart.ProvisionedConcurrencyProps{Schedule: schedule.Schedule{
			schedule.Weekdays("Europe/Paris", 8, 20, 40),
			schedule.Weekends("Europe/Paris", 10, 18, 15),
			schedule.Window(opens, opens.Add(6*time.Hour), 400), // the sale
		}},
		PreWarm:    &coldstart.PreWarm{Concurrency: 5},
		Deployment: coldstart.Canary(10, 5*time.Minute),
	})
}

func readmeEdge(app awscdk.App) {
	edge.NewMultiRegion(app, "Health", &edge.MultiRegionProps{
		Regions: []string{"eu-west-1", "us-east-1"},
		Resources: func(r *edge.Region) { // called once for each region; none refers to another
			store := eventsourcing.NewEventStore(r.Stack(), "Readings", nil)
			take := function.NewFunction(r.Stack(), "Take", &function.Props{Entry: "example.com/health/functions/take"})
			store.GrantAppend(take)
			api := edge.NewRegionalAPI(r.Stack(), "API", nil)
			api.AddRoutes("Take", &edge.RoutesProps{Function: take, Routes: []string{"POST /readings"}})
			api.AddBusDependency("events", store.Bus(), nil) // GET /health fails when the bus does
		},
	})
}

func readmeSecurity(stack awscdk.Stack, api awsapigatewayv2.CfnApi, integration awsapigatewayv2.CfnIntegration, route awsapigatewayv2.CfnRoute,
	orders *function.Function, items awsdynamodb.ITableV2) {
	door := security.NewOpaqueInvocation(stack, "Door", &security.OpaqueInvocationProps{
		Issuer:   "https://api.example.com",
		Audience: "orders",
		Scopes:   map[string][]string{"orders": {"orders:read"}},
	})
	door.AddInner(orders, "orders")                            // takes tokens for itself only
	integration.SetRequestParameters(door.RequestParameters()) // takes the reference off the request
	route.SetAuthorizerId(door.AddAuthorizer("Authorizer", api).Ref())

	user := security.NewImpersonation(stack, "AsUser", &security.ImpersonationProps{
		Issuer: "https://api.example.com", Audience: "orders", Tenant: "shop",
	})
	user.AddPermissionSet("own").GrantOwnItems(items, nil) // nobody else's, says IAM
	user.GrantImpersonate(orders)
}

// Each example makes what it says.
func TestReadmeExamples(t *testing.T) {
	app := cdktest.NewApp(t)
	stack := awscdk.NewStack(app, jsii.String("Readme"), nil)
	fn := func(id string) *function.Function {
		return function.NewFunction(stack, id, &function.Props{Entry: "example.com/shop/functions/" + strings.ToLower(id)})
	}
	readmeEventSourcing(stack, fn("Pay"), fn("Totals"), fn("Offer"), awssns.NewTopic(stack, jsii.String("Alerts"), nil))
	readmeOrchestration(stack, fn("Hotels"), fn("Flights"))
	readmeColdStart(stack, time.Date(2027, time.November, 26, 17, 0, 0, 0, time.UTC))
	readmeEdge(app)
	orders := fn("Orders")
	api := awsapigatewayv2.NewCfnApi(stack, jsii.String("Api"), &awsapigatewayv2.CfnApiProps{Name: jsii.String("shop"), ProtocolType: jsii.String("HTTP")})
	integration := awsapigatewayv2.NewCfnIntegration(stack, jsii.String("Integration"), &awsapigatewayv2.CfnIntegrationProps{
		ApiId: api.Ref(), IntegrationType: jsii.String("AWS_PROXY"), IntegrationUri: orders.Target().FunctionArn(), PayloadFormatVersion: jsii.String("2.0"),
	})
	route := awsapigatewayv2.NewCfnRoute(stack, jsii.String("Route"), &awsapigatewayv2.CfnRouteProps{
		ApiId: api.Ref(), RouteKey: jsii.String("GET /orders"), Target: jsii.String("integrations/" + *integration.Ref()), AuthorizationType: jsii.String("CUSTOM"),
	})
	readmeSecurity(stack, api, integration, route, orders, awsdynamodb.NewTableV2(stack, jsii.String("Items"), &awsdynamodb.TablePropsV2{
		PartitionKey: &awsdynamodb.Attribute{Name: jsii.String("pk"), Type: awsdynamodb.AttributeType_STRING},
	}))
	template := cdktest.Synth(t, stack)
	for kind, want := range map[string]int{
		"AWS::DynamoDB::GlobalTable": 6, "AWS::StepFunctions::StateMachine": 2, "AWS::ApplicationAutoScaling::ScalableTarget": 1,
		"AWS::ApiGatewayV2::Authorizer": 1,
	} {
		if got := len(template.Resources(kind)); got != want {
			t.Errorf("%d of %s, want %d", got, kind, want)
		}
	}
}

// NewShop is a reader's construct.
func NewShop(stack awscdk.Stack, id string, _ *struct{}) {
	awssns.NewTopic(stack, &id, nil)
}

func TestShop(t *testing.T) {
	stack := cdktest.NewStack(t)
	NewShop(stack, "Shop", nil)
	cdktest.Golden(t, stack) // go test . -update writes the file
}

// The message that the README shows is what the user gets.
func TestReadmeWrongProps(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		message := fmt.Sprint(recover())
		if !strings.Contains(string(page), "```\n"+message+"\n```\n") {
			t.Errorf("the README does not show\n%s", message)
		}
	}()
	shop := constructs.NewConstruct(cdktest.NewStack(t), jsii.String("Shop"))
	function.NewFunction(shop, "Checkout", &function.Props{Memory: 64, Timeout: time.Hour})
}

// What a reader copies from the README has been compiled.
func TestReadmeCompiles(t *testing.T) {
	source, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	bodies := strings.ReplaceAll(string(source), "\n\t", "\n")
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllSubmatch(page, -1)
	if len(blocks) < 6 {
		t.Errorf("the README has %d examples, want one for each family", len(blocks))
	}
	for _, block := range blocks {
		body, whole := "{\n"+string(block[1])+"}\n", "\n"+string(block[1])
		if !strings.Contains(bodies, body) && !strings.Contains(string(source), whole) {
			t.Errorf("this example of the README is no function here:\n%s", block[1])
		}
	}
}

// The table of context keys has those that the app reads, and no other.
func TestReadmeContext(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| Key | Meaning | Default |")
	table, _, _ = strings.Cut(table, "\n\n")
	var told []string
	for _, row := range strings.Split(table, "\n") {
		if cells := strings.Split(row, " | "); len(cells) == 3 {
			for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[0], -1) {
				told = append(told, m[1])
			}
		}
	}
	_, err = stacks.ParseConfig(map[string]any{"unknown": true})
	_, allowed, ok := strings.Cut(fmt.Sprint(err), "unknown is not a key; allowed are ")
	if !ok {
		t.Fatalf("got %v", err)
	}
	read := strings.Split(allowed, ", ")
	slices.Sort(told)
	if !slices.Equal(told, read) {
		t.Errorf("the README tells of %v, the app reads %v", told, read)
	}
}
