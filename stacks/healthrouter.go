package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/edge/routing"
	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// cloudFrontZone is the hosted zone of all distributions
// (https://docs.aws.amazon.com/Route53/latest/APIReference/API_AliasTarget.html).
const cloudFrontZone = "Z2FDTNDATAQYW2"

// addRouter makes the distribution, its table and the records that lead there. It
// returns what is made last.
func (h *HealthWatch) addRouter(stack awscdk.Stack, alarms awssns.Topic, worker string) []constructs.IDependable {
	domain, table := h.props.Domain, h.table()
	entries, err := table.Entries()
	if err != nil {
		panic(err)
	}
	values := edge.NewKeyValues(stack, "Routes", &edge.KeyValuesProps{Entries: entries, Comment: "Routes of " + domain.Name})
	router := edge.NewEdgeRouter(stack, "Router", &edge.EdgeRouterProps{
		Table: table, Store: values.Store(), DomainNames: []string{domain.Name},
		Certificate: certificate(stack, domain.Zone, domain.Name),
		Alarms:      edge.EdgeRouterAlarms{Topic: alarms},
	})
	// An entry must name no origin that the distribution does not have yet, and no
	// name may lead to a router without entries.
	values.Resource().Node().AddDependency(router.Distribution())
	last := []constructs.IDependable{}
	name := router.Distribution().AttrDomainName()
	for _, kind := range []string{"A", "AAAA"} {
		record := awsroute53.NewCfnRecordSet(stack, jsii.String("Record"+kind), &awsroute53.CfnRecordSetProps{
			Name: &domain.Name, Type: &kind, HostedZoneId: &domain.Zone,
			AliasTarget: &awsroute53.CfnRecordSet_AliasTargetProperty{DnsName: name, HostedZoneId: jsii.String(cloudFrontZone)},
		})
		record.Node().AddDependency(values.Resource())
		last = append(last, record)
	}
	if c := h.props.Cloudflare; c.Account != "" {
		module, err := routing.Worker()
		if err != nil {
			panic(err)
		}
		worker := edge.NewCloudflareWorker(stack, "Worker", &edge.CloudflareWorkerProps{
			AccountID: c.Account, Name: worker,
			Token:   awssecretsmanager.Secret_FromSecretNameV2(stack, jsii.String("CloudflareToken"), &c.Secret),
			Module:  module,
			Entries: map[string]map[string]string{schema.RoutingBinding: entries},
			Domains: []edge.CloudflareDomain{{ZoneID: c.Zone, Hostname: c.Hostname}},
		})
		last = append(last, worker.Resource())
	}
	awscdk.NewCfnOutput(stack, jsii.String("URL"), &awscdk.CfnOutputProps{Value: jsii.String("https://" + domain.Name)})
	return last
}
