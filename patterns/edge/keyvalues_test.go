package edge_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfront"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/test/cdktest"
)

const storeARN = "arn:aws:cloudfront::123456789012:key-value-store/11111111-2222-3333-4444-555555555555"

func TestKeyValuesDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	edge.NewKeyValues(stack, "Values", nil)
	cdktest.Golden(t, stack)
}

func TestKeyValuesAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := awscloudfront.KeyValueStore_FromKeyValueStoreArn(stack, jsii.String("Store"), jsii.String(storeARN))
	k := edge.NewKeyValues(stack, "Values", &edge.KeyValuesProps{Store: store, Entries: map[string]string{"de": "eu"}})
	if *k.Store().KeyValueStoreArn() != storeARN {
		t.Errorf("store %s", *k.Store().KeyValueStoreArn())
	}
	cdktest.Golden(t, stack)
}

// TestKeyValuesEverything also uses it as a scope, tags it and depends on it.
func TestKeyValuesEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	k := edge.NewKeyValues(stack, "Values", &edge.KeyValuesProps{
		Entries:       map[string]string{"de": "eu", "us": "us"},
		Comment:       "Routing",
		DeployerProps: &awslambda.FunctionProps{MemorySize: jsii.Number(512)},
	})
	topic := awssns.NewTopic(k, jsii.String("Topic"), nil)
	awscdk.Tags_Of(k).Add(jsii.String("team"), jsii.String("edge"), nil)
	other := awssns.NewTopic(stack, jsii.String("Other"), nil)
	other.Node().AddDependency(k.Deployer())
	if !strings.HasPrefix(*topic.Node().Path(), "Test/Values/") {
		t.Errorf("path %s", *topic.Node().Path())
	}
	cdktest.Golden(t, stack)
}

func TestKeyValuesIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, edge.NewKeyValues(stack, "Values", nil))
}

// Entries that name origins can wait for the distribution that has them, which
// reads the store itself.
func TestKeyValuesWaitForOrigins(t *testing.T) {
	stack := routerStack(t, "us-east-1")
	entries, err := routerTable().Entries()
	if err != nil {
		t.Fatal(err)
	}
	values := edge.NewKeyValues(stack, "Values", &edge.KeyValuesProps{Entries: entries})
	router := edge.NewEdgeRouter(stack, "Router", &edge.EdgeRouterProps{Table: routerTable(), Store: values.Store()})
	values.Resource().Node().AddDependency(router.Distribution())
	template := cdktest.Synth(t, stack)
	after, _ := template.One(t, "Custom::KeyValues", nil).Attributes["DependsOn"].([]any)
	if distribution := template.One(t, "AWS::CloudFront::Distribution", nil).ID; !slices.Contains(after, any(distribution)) {
		t.Errorf("the entries wait for %v, want %s", after, distribution)
	}
}

func TestKeyValuesRejects(t *testing.T) {
	stack := cdktest.NewStack(t)
	large := map[string]string{"": "x", strings.Repeat("k", 513): "x", "v": strings.Repeat("x", 1025)}
	cdktest.Rejects(t, func() {
		edge.NewKeyValues(stack, "Values", &edge.KeyValuesProps{Entries: large, Exclusive: true})
	}, "Test/Values", "keys of 1 to 512 bytes", `Entries["v"]`, "1025 bytes", "Exclusive")
	store := awscloudfront.KeyValueStore_FromKeyValueStoreArn(stack, jsii.String("Store"), jsii.String(storeARN))
	cdktest.Rejects(t, func() {
		edge.NewKeyValues(stack, "Other", &edge.KeyValuesProps{Store: store, Comment: "mine"})
	}, "Test/Other", "Comment", "mine")
	cdktest.Rejects(t, func() {
		edge.NewKeyValues(stack, "Token", &edge.KeyValuesProps{Entries: map[string]string{"a": *awscdk.Aws_REGION()}})
	}, "Test/Token", `Entries["a"]`, "a token")
}

func ExampleNewKeyValues() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Edge"), nil)
	k := edge.NewKeyValues(stack, "Routes", &edge.KeyValuesProps{Entries: map[string]string{"de": "eu"}})
	awscloudfront.NewFunction(stack, jsii.String("Router"), &awscloudfront.FunctionProps{
		Code:          awscloudfront.FunctionCode_FromInline(jsii.String("async function handler(event) { return event.request }")),
		Runtime:       awscloudfront.FunctionRuntime_JS_2_0(),
		KeyValueStore: k.Store(),
	})
}
