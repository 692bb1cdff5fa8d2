package edge_test

import (
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/alarmtest"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestAlarms(t *testing.T) {
	// EdgeRouter has alarms in this region only.
	stack := awscdk.NewStack(cdktest.NewApp(t, alarmtest.Paths()), jsii.String("Test"), &awscdk.StackProps{
		Env: &awscdk.Environment{Region: jsii.String("us-east-1"), Account: jsii.String(storeAccount)}})
	off := alarm.Tuning{Off: true}
	worker := func(id string, alarms edge.CloudflareWorkerAlarms) *edge.CloudflareWorker {
		return edge.NewCloudflareWorker(stack, id, &edge.CloudflareWorkerProps{AccountID: cloudflareAccount,
			Token: cloudflareSecret(stack, id+"Token"), Module: cloudflareModule, Alarms: alarms})
	}
	named := edgeFunctionProps()
	named.Name = "sign"
	sign := edge.NewEdgeFunction(stack, "Sign", named)
	sign.AddAlarms(sign, "Near", nil)
	sign.AddAlarms(sign, "Far", &edge.EdgeFunctionAlarms{Errors: off})
	store := func(id string, alarms edge.GlobalStoreAlarms) *edge.GlobalStore {
		p := eventualStore(storeKey(constructs.NewConstruct(stack, jsii.String(id+"Keys"))))
		p.Regions, p.Alarms = []string{"us-east-1", "eu-west-1", "eu-central-1"}, alarms
		return edge.NewGlobalStore(stack, id, p)
	}
	endpoint := func(id, primary, secondary string) *edge.GlobalEndpoint {
		return edge.NewGlobalEndpoint(stack, id, &edge.GlobalEndpointProps{Name: id, Primary: primary, Secondary: secondary})
	}
	queue := awssqs.NewQueue(stack, jsii.String("Queue"), nil)
	api := func(id string, p *edge.RegionalAPIProps) *edge.RegionalAPI {
		a := edge.NewRegionalAPI(stack, id, p)
		a.AddQueueDependency("queue", queue, nil)
		return a
	}
	counted := localAlertsProps(alertsBus(stack))
	counted.GlobalBus = awsevents.EventBus_FromEventBusArn(stack, jsii.String("World"), jsii.String("arn:aws:events:us-east-1:123456789012:event-bus/world"))
	counted.Alarms = edge.LocalAlertsAlarms{Unacknowledged: off, Lag: off}
	alarmtest.Check(t, stack,
		worker("Worker", edge.CloudflareWorkerAlarms{}),
		worker("QuietWorker", edge.CloudflareWorkerAlarms{NotRestored: off, Deployer: function.Alarms{Off: true}}),
		sign,
		edge.NewEdgeRouter(stack, "Router", &edge.EdgeRouterProps{Table: routerTable(), Store: routerStore(stack)}),
		store("Global", edge.GlobalStoreAlarms{}),
		store("QuietGlobal", edge.GlobalStoreAlarms{Throttles: off, Replication: off}),
		endpoint("Primary", "us-east-1", "eu-west-1"),
		endpoint("Secondary", "eu-west-1", "us-east-1"),
		api("API", nil),
		// The function's alarms are the user's.
		edge.NewRegionalAPI(stack, "Adopted", &edge.RegionalAPIProps{HealthFunction: answers(stack, "Health")}),
		api("QuietAPI", &edge.RegionalAPIProps{Alarms: edge.RegionalAPIAlarms{ServerErrors: off, Down: off, Degraded: off,
			HealthFunction: function.Alarms{Off: true}}}),
		edge.NewLocalAlerts(stack, "Alerts", localAlertsProps(counted.Bus)),
		edge.NewLocalAlerts(stack, "Counted", counted),
	)
}
