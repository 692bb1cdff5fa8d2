package edge_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfront"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/edge/routing"
	"github.com/serverless-go/cdk/test/cdktest"
)

func routerTable() routing.Table {
	return routing.Table{
		Jurisdictions: map[string]routing.Jurisdiction{
			"eu": {Origins: []string{"eu-west-1.api.example.com", "eu-central-1.api.example.com"}},
			"us": {Origins: []string{"us-east-1.api.example.com"}},
		},
		Countries: map[string]string{"DE": "eu", "US": "us"},
	}
}

func routerStack(t *testing.T, region string) awscdk.Stack {
	return awscdk.NewStack(cdktest.NewApp(t), jsii.String("Edge"), &awscdk.StackProps{
		Env: &awscdk.Environment{Account: jsii.String("111122223333"), Region: &region},
	})
}

func routerStore(scope constructs.Construct) awscloudfront.IKeyValueStore {
	return awscloudfront.KeyValueStore_FromKeyValueStoreArn(scope, jsii.String("Store"),
		jsii.String("arn:aws:cloudfront::111122223333:key-value-store/0d0c1b2a-0000-4000-8000-000000000000"))
}

func certificate(scope constructs.Construct, region string) awscertificatemanager.ICertificate {
	return awscertificatemanager.Certificate_FromCertificateArn(scope, jsii.String("Certificate"),
		jsii.String("arn:aws:acm:"+region+":111122223333:certificate/0d0c1b2a"))
}

const routerACL = "arn:aws:wafv2:us-east-1:111122223333:global/webacl/edge/0d0c1b2a"

func TestEdgeRouterDefaults(t *testing.T) {
	stack := routerStack(t, "us-east-1")
	edge.NewEdgeRouter(stack, "Router", &edge.EdgeRouterProps{Table: routerTable(), Store: routerStore(stack)})
	cdktest.Golden(t, stack)
}

// In another region, everything that can be is adopted.
func TestEdgeRouterAdopted(t *testing.T) {
	stack := routerStack(t, "eu-central-1")
	router := edge.NewEdgeRouter(stack, "Router", &edge.EdgeRouterProps{
		Table: routerTable(), Store: routerStore(stack),
		DomainNames: []string{"api.example.com"}, Certificate: certificate(stack, "us-east-1"),
		WebACLARN:  routerACL,
		AccessLogs: awss3.Bucket_FromBucketName(stack, jsii.String("Logs"), jsii.String("logs")),
	})
	if router.WebACL() != nil || len(router.Alarms()) != 0 {
		t.Error("a web ACL or alarms were made outside us-east-1")
	}
	cdktest.Golden(t, stack)
}

func TestEdgeRouterEverything(t *testing.T) {
	stack := routerStack(t, "us-east-1")
	threshold := 1.0
	edge.NewEdgeRouter(stack, "Router", &edge.EdgeRouterProps{
		Table: routerTable(), Store: routerStore(stack),
		DomainNames: []string{"api.example.com", "api.example.org"}, Certificate: certificate(stack, "us-east-1"),
		RateLimit: 500, AccessLogRetention: 30 * 24 * time.Hour,
		OriginSecret: awssecretsmanager.Secret_FromSecretCompleteArn(stack, jsii.String("OriginSecret"),
			jsii.String("arn:aws:secretsmanager:us-east-1:111122223333:secret:origin-AbCdEf")),
		OriginSecretVersion: "0d0c1b2a-0000-0000-0000-000000000000",
		PriceClass:          awscloudfront.PriceClass_PRICE_CLASS_100,
		Alarms: edge.EdgeRouterAlarms{
			Topic:          awssns.NewTopic(stack, jsii.String("Topic"), nil),
			Errors:         alarm.Tuning{Threshold: &threshold},
			FunctionErrors: alarm.Tuning{Off: true},
		},
	})
	cdktest.Golden(t, stack)
}

// A header that the table looks for a token in tells clients apart: a response
// for one is never another's.
func TestEdgeRouterCachesByToken(t *testing.T) {
	fixed := []any{"Authorization", "CloudFront-Viewer-Country", "Origin", "x-routing-jurisdiction", "x-routing-experiments"}
	for header, want := range map[string][]any{
		"": fixed, "authorization": fixed, "origin": fixed, "x-access-reference": append(fixed[:len(fixed):len(fixed)], "x-access-reference"),
	} {
		stack := routerStack(t, "us-east-1")
		table := routerTable()
		table.Token = routing.Token{Form: routing.FormReference, Header: header}
		edge.NewEdgeRouter(stack, "Router", &edge.EdgeRouterProps{Table: table, Store: routerStore(stack)})
		policy := cdktest.Synth(t, stack).One(t, "AWS::CloudFront::CachePolicy", cdktest.Match{})
		got := policy.Properties["CachePolicyConfig"].(map[string]any)["ParametersInCacheKeyAndForwardedToOrigin"].(map[string]any)["HeadersConfig"].(map[string]any)["Headers"]
		if !reflect.DeepEqual(got, any(want)) {
			t.Errorf("token in %q: the key has %v, want %v", header, got, want)
		}
	}
}

func TestEdgeRouterWithoutWAF(t *testing.T) {
	stack := routerStack(t, "eu-west-1")
	edge.NewEdgeRouter(stack, "Router", &edge.EdgeRouterProps{
		Table: routerTable(), Store: routerStore(stack), WithoutWAF: "a firewall stands before it",
	})
	template := cdktest.Synth(t, stack)
	template.Count(t, "AWS::WAFv2::WebACL", 0)
	for _, d := range template.Resources("AWS::CloudFront::Distribution") {
		if acl := d.Properties["DistributionConfig"].(map[string]any)["WebACLId"]; acl != nil {
			t.Errorf("the web ACL is %v", acl)
		}
	}
}

// A change of the table never changes the function: only what is in the store,
// and the origins if the host names change.
func TestEdgeRouterFunctionStays(t *testing.T) {
	function := func(table routing.Table) (code, origins any) {
		stack := routerStack(t, "us-east-1")
		edge.NewEdgeRouter(stack, "Router", &edge.EdgeRouterProps{Table: table, Store: routerStore(stack)})
		template := cdktest.Synth(t, stack)
		template.Count(t, "AWS::CloudFront::Function", 1)
		template.Count(t, "AWS::CloudFront::Distribution", 1)
		config := template.Resources("AWS::CloudFront::Distribution")[0].Properties["DistributionConfig"].(map[string]any)
		return template.Resources("AWS::CloudFront::Function")[0].Properties["FunctionCode"], len(config["Origins"].([]any))
	}
	other := routerTable()
	other.Jurisdictions["ap"] = routing.Jurisdiction{Origins: []string{"ap-south-1.api.example.com"}}
	other.Countries["IN"] = "ap"
	other.Maintenance.On = true
	code, origins := function(routerTable())
	otherCode, otherOrigins := function(other)
	want, err := routing.CloudFrontFunction()
	if err != nil {
		t.Fatal(err)
	}
	if code != want || otherCode != want {
		t.Error("the function's code depends on the table")
	}
	if origins != 3 || otherOrigins != 4 {
		t.Errorf("origins are %v and %v, want 3 and 4", origins, otherOrigins)
	}
}

func TestEdgeRouterIsConstruct(t *testing.T) {
	stack := routerStack(t, "us-east-1")
	cdktest.IsConstruct(t, edge.NewEdgeRouter(stack, "Router", &edge.EdgeRouterProps{Table: routerTable(), Store: routerStore(stack)}))
}

func TestEdgeRouterRejects(t *testing.T) {
	for name, tt := range map[string]struct {
		region string
		change func(awscdk.Stack, *edge.EdgeRouterProps)
		want   []string
	}{
		"version":     {"us-east-1", func(_ awscdk.Stack, p *edge.EdgeRouterProps) { p.OriginSecretVersion = "1" }, []string{"OriginSecret is not set", "set it"}},
		"table":       {"us-east-1", func(_ awscdk.Stack, p *edge.EdgeRouterProps) { p.Table.Jurisdictions = nil }, []string{"Edge/Router", "Table.Jurisdictions"}},
		"store":       {"us-east-1", func(_ awscdk.Stack, p *edge.EdgeRouterProps) { p.Store = nil }, []string{"Store is not set", "Table.Entries"}},
		"certificate": {"us-east-1", func(_ awscdk.Stack, p *edge.EdgeRouterProps) { p.DomainNames = []string{"a.example.com"} }, []string{"Certificate is not set"}},
		"names":       {"us-east-1", func(s awscdk.Stack, p *edge.EdgeRouterProps) { p.Certificate = certificate(s, "us-east-1") }, []string{"DomainNames is empty"}},
		"certificate's region": {"us-east-1", func(s awscdk.Stack, p *edge.EdgeRouterProps) {
			p.DomainNames, p.Certificate = []string{"a.example.com"}, certificate(s, "eu-west-1")
		}, []string{"Certificate is", "acm:eu-west-1", "make it in us-east-1"}},
		"regional ACL": {"us-east-1", func(_ awscdk.Stack, p *edge.EdgeRouterProps) {
			p.WebACLARN = "arn:aws:wafv2:us-east-1:111122223333:regional/webacl/edge/0d0c1b2a"
		}, []string{"WebACLARN is", "global/webacl/"}},
		"no ACL":         {"eu-west-1", func(awscdk.Stack, *edge.EdgeRouterProps) {}, []string{"WebACLARN is missing", "WithoutWAF"}},
		"ACL and none":   {"us-east-1", func(_ awscdk.Stack, p *edge.EdgeRouterProps) { p.WebACLARN, p.WithoutWAF = routerACL, "why" }, []string{"WebACLARN is set together with WithoutWAF"}},
		"rate of theirs": {"us-east-1", func(_ awscdk.Stack, p *edge.EdgeRouterProps) { p.WebACLARN, p.RateLimit = routerACL, 100 }, []string{"RateLimit is set without a new web ACL"}},
		"rate":           {"us-east-1", func(_ awscdk.Stack, p *edge.EdgeRouterProps) { p.RateLimit = 9 }, []string{"RateLimit is 9"}},
		"retention":      {"us-east-1", func(_ awscdk.Stack, p *edge.EdgeRouterProps) { p.AccessLogRetention = time.Hour }, []string{"AccessLogRetention is 1h0m0s", "whole days"}},
		"retention of theirs": {"us-east-1", func(s awscdk.Stack, p *edge.EdgeRouterProps) {
			p.AccessLogs, p.AccessLogRetention = awss3.NewBucket(s, jsii.String("Logs"), nil), 24*time.Hour
		}, []string{"AccessLogRetention is set together with AccessLogs"}},
		"price class": {"us-east-1", func(_ awscdk.Stack, p *edge.EdgeRouterProps) { p.PriceClass = "CHEAP" }, []string{`PriceClass is "CHEAP"`}},
		"tuning":      {"us-east-1", func(_ awscdk.Stack, p *edge.EdgeRouterProps) { p.Alarms.Errors.Period = time.Second }, []string{"Alarms.Errors.Period"}},
		"alarms elsewhere": {"eu-west-1", func(_ awscdk.Stack, p *edge.EdgeRouterProps) {
			p.WebACLARN, p.Alarms.Errors.Periods = routerACL, 2
		}, []string{"Alarms is set in a stack"}},
		"topic elsewhere": {"eu-west-1", func(s awscdk.Stack, p *edge.EdgeRouterProps) {
			p.WebACLARN, p.Alarms.Topic = routerACL, awssns.NewTopic(s, jsii.String("Topic"), nil)
		}, []string{"Alarms is set in a stack"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := routerStack(t, tt.region)
			p := &edge.EdgeRouterProps{Table: routerTable(), Store: routerStore(stack)}
			tt.change(stack, p)
			cdktest.Rejects(t, func() { edge.NewEdgeRouter(stack, "Router", p) }, tt.want...)
		})
	}
	stack := routerStack(t, "us-east-1")
	cdktest.Rejects(t, func() { edge.NewEdgeRouter(stack, "Router", nil) }, "Table", "Store is not set")
}

func ExampleNewEdgeRouter() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Edge"), &awscdk.StackProps{
		Env: &awscdk.Environment{Account: jsii.String("111122223333"), Region: jsii.String("us-east-1")},
	})
	edge.NewEdgeRouter(stack, "Router", &edge.EdgeRouterProps{
		Table: routing.Table{
			Jurisdictions: map[string]routing.Jurisdiction{"eu": {Origins: []string{"eu-west-1.api.example.com"}}},
			Default:       "eu",
		},
		Store: awscloudfront.NewKeyValueStore(stack, jsii.String("Routes"), nil),
	})
}
