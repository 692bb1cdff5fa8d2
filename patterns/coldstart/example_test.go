package coldstart_test

import (
	"os"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/coldstart"
	"github.com/serverless-go/cdk/patterns/coldstart/planner"
	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
	"github.com/serverless-go/cdk/patterns/function"
)

// The checkout of a shop: ready when the shop is open, ready for the sale, and
// deployed so carefully that a bad version reaches one customer in ten for five
// minutes at most.
func ExampleNewWarmFunction() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Shop"), nil)
	opens := time.Date(2026, time.November, 27, 17, 0, 0, 0, time.UTC)

	checkout := coldstart.NewWarmFunction(stack, "Checkout", &coldstart.WarmFunctionProps{
		Function: &function.Props{Entry: "example.com/shop/functions/checkout"},
		ProvisionedConcurrency: &coldstart.ProvisionedConcurrencyProps{
			Schedule: schedule.Schedule{
				schedule.Weekdays("Europe/Paris", 8, 20, 40),
				schedule.Weekends("Europe/Paris", 10, 18, 15),
				schedule.Window(opens, opens.Add(6*time.Hour), 400),
			},
		},
		PreWarm:    &coldstart.PreWarm{Concurrency: 5},
		Deployment: coldstart.Canary(10, 5*time.Minute),
	})
	_ = checkout.Function() // give it to an API, a queue, an event store
}

// A schedule planned from the traffic that CloudWatch counted.
func ExampleNewProvisionedConcurrency() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Shop"), nil)
	checkout := function.NewFunction(stack, "Checkout", &function.Props{
		Entry: "example.com/shop/functions/checkout",
		Alias: "live",
	})

	file, err := os.Open("invocations.csv")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	arrivals, err := planner.ReadCSV(file, "Europe/Paris")
	if err != nil {
		panic(err)
	}
	plan, err := planner.Planner{Bound: 0.001}.Plan(planner.Profile{
		Zone:      "Europe/Paris",
		Arrivals:  arrivals,
		Duration:  planner.LogNormal{Median: 80 * time.Millisecond, P99: 600 * time.Millisecond},
		ColdStart: planner.Constant(400 * time.Millisecond),
	})
	if err != nil {
		panic(err)
	}

	coldstart.NewProvisionedConcurrency(stack, "Ready", &coldstart.ProvisionedConcurrencyProps{
		Function: checkout,
		Schedule: plan.Schedule,
	})
}

// An API that people use in office hours: two environments of each function are
// kept warm then, for cents a month.
func ExampleNewKeepWarm() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Training"), nil)
	approve := function.NewFunction(stack, "Approve", &function.Props{Entry: "example.com/training/functions/approve", Alias: "live"})
	status := function.NewFunction(stack, "Status", &function.Props{Entry: "example.com/training/functions/status", Alias: "live"})

	coldstart.NewKeepWarm(stack, "KeepWarm", &coldstart.KeepWarmProps{
		Functions: []*function.Function{approve, status},
		Schedule:  schedule.Schedule{schedule.Weekdays("America/New_York", 8, 18, 2)},
	})
}
