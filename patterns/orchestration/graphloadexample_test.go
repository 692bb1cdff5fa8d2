package orchestration_test

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/patterns/orchestration/graph"
)

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
