package orchestration_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/patterns/orchestration/graph"
	"github.com/serverless-go/cdk/patterns/orchestration/saga"
)

func ExampleNewWorkflow() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Shop"), nil)
	greeter := function.NewFunction(stack, "Greeter", &function.Props{Entry: "example.com/shop/functions/greeter"})
	workflow := orchestration.NewWorkflow(stack, "Greeting", &orchestration.WorkflowProps{
		File:          "greeting.asl.json", // Workflow Studio opens and saves it
		Substitutions: map[string]orchestration.Substitution{"Greeter": orchestration.Text(*greeter.Target().FunctionArn())},
		Timeout:       time.Hour,
		Alias:         "live",
		Deployment:    orchestration.Deployment{Percentage: 10, Interval: 30 * time.Minute},
	})
	greeter.GrantInvoke(workflow)
}

func ExampleNewSaga() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Travel"), nil)
	hotels := function.NewFunction(stack, "Hotels", &function.Props{Entry: "example.com/travel/functions/hotels"})
	flights := function.NewFunction(stack, "Flights", &function.Props{Entry: "example.com/travel/functions/flights"})
	desk := function.NewFunction(stack, "Desk", &function.Props{Entry: "example.com/travel/functions/desk"})
	book := func(name string, fn *function.Function) orchestration.Step {
		return orchestration.Step{
			Name:         name,
			Action:       &orchestration.Action{Function: fn},
			Compensation: &orchestration.Action{Function: fn}, // the same function, asked to undo
			UndoFailed:   true,                                // a booking that timed out may have been made
		}
	}
	trip := orchestration.NewSaga(stack, "Trip", &orchestration.SagaProps{Steps: []orchestration.Step{
		{Name: "Approve", Question: &orchestration.Question{Function: desk, Expiry: 48 * time.Hour}},
		{Name: "Book", Parallel: [][]orchestration.Step{{book("Hotel", hotels)}, {book("Flight", flights)}}},
	}})
	trip.GrantApprove(desk)
}

func ExampleNewFanOut() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Shop"), nil)
	lake := awss3.NewBucket(stack, jsii.String("Lake"), nil)
	resize := function.NewFunction(stack, "Resize", &function.Props{Entry: "example.com/shop/functions/resize"})
	orchestration.NewFanOut(stack, "Thumbnails", &orchestration.FanOutProps{Maps: []orchestration.DistributedMap{{
		Label: "Photos",
		Items: orchestration.Items{
			Bucket: lake,
			Key:    "{% $states.input.manifest %}",
			Within: "inventory/",
			Format: orchestration.FormatInventory,
		},
		Function:            resize,
		BatchSize:           100,
		MaxConcurrency:      50,
		ToleratedPercentage: 1,
	}}})
	lake.GrantRead(resize, jsii.String("photos/*"))
}

func ExampleNewGraphLoad() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	lake := orchestration.NewDataLake(stack, "Lake", nil)

	load := orchestration.NewGraphLoad(stack, "Insights", &orchestration.GraphLoadProps{
		Lake: lake,
		Nodes: []orchestration.GraphNodes{
			{Label: "Customer", ID: "id", Query: "SELECT id, name, joined FROM customers",
				Properties: map[string]graph.Type{"name": graph.String, "joined": graph.Date}},
			{Label: "Product", ID: "sku", Query: "SELECT sku, price FROM products",
				Properties: map[string]graph.Type{"price": graph.Double}},
		},
		Relationships: []orchestration.GraphRelationships{{
			Type: "LIKES", Query: "SELECT customer, sku, score FROM insights",
			From:       orchestration.GraphEnd{Label: "Customer", Column: "customer"},
			To:         orchestration.GraphEnd{Label: "Product", Column: "sku"},
			Properties: map[string]graph.Type{"score": graph.Double},
		}},
		Checks: []orchestration.GraphCheck{
			{Query: "MATCH (c:Customer) WHERE (c)-[:LIKES]->() RETURN count(c)", AtLeast: 1000},
		},
	})
	load.GrantStart(function.NewFunction(stack, "Nightly", &function.Props{Entry: "example.com/shop/functions/nightly"}))
}

func ExampleNewNeptuneCluster() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	reader := function.NewFunction(stack, "Recommend", &function.Props{Entry: "example.com/shop/functions/recommend"})

	cluster := orchestration.NewNeptuneCluster(stack, "Graph", &orchestration.NeptuneClusterProps{MaxCapacity: 16, Replicas: 1})
	cluster.GrantQuery(reader)
	reader.AddEnvironment("GRAPH", cluster.Endpoint())
}

func ExampleNewNeptuneAnalytics() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	lake := orchestration.NewDataLake(stack, "Lake", nil)

	orchestration.NewGraphLoad(stack, "Insights", &orchestration.GraphLoadProps{
		Lake:      lake,
		Nodes:     []orchestration.GraphNodes{{Label: "Product", ID: "sku", Query: "SELECT sku FROM products"}},
		Analytics: orchestration.NewNeptuneAnalytics(stack, "Graph", &orchestration.NeptuneAnalyticsProps{Memory: 32}),
	})
}

// A function that is a step, with its compensation.
func Example_step() {
	bookings := map[string]int{}
	book := func(_ context.Context, r saga.Request[struct{ Nights int }, struct{}]) (struct{}, error) {
		if r.Operation == saga.Compensate {
			delete(bookings, r.Key)
			return struct{}{}, nil
		}
		bookings[r.Key] = r.Input.Nights
		return struct{}{}, nil
	}
	request := saga.Request[struct{ Nights int }, struct{}]{Key: "trip-1/Hotel", Operation: saga.Act}
	request.Input.Nights = 3
	for range 2 { // a retry changes nothing
		_, _ = book(context.Background(), request)
	}
	fmt.Println(bookings)
	request.Operation = saga.Compensate
	_, _ = book(context.Background(), request)
	fmt.Println(bookings)
	// Output:
	// map[trip-1/Hotel:3]
	// map[]
}
