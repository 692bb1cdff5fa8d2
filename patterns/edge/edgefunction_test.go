package edge_test

import (
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfront"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/test/cdktest"
)

func edgeFunctionStack(t *testing.T, region string) (awscdk.App, awscdk.Stack) {
	app := cdktest.NewApp(t)
	return app, awscdk.NewStack(app, jsii.String("Shop"), &awscdk.StackProps{
		Env: &awscdk.Environment{Account: jsii.String("111111111111"), Region: &region},
	})
}

func edgeFunctionProps() *edge.EdgeFunctionProps {
	return &edge.EdgeFunctionProps{
		Code:    awslambda.Code_FromInline(jsii.String("exports.handler = async e => e.Records[0].cf.request")),
		Runtime: awslambda.Runtime_NODEJS_22_X(),
		Handler: "index.handler",
		Event:   edge.ViewerRequest,
	}
}

func TestEdgeFunctionDefaults(t *testing.T) {
	_, stack := edgeFunctionStack(t, "us-east-1")
	f := edge.NewEdgeFunction(stack, "Sign", edgeFunctionProps())
	awscdk.Tags_Of(f).Add(jsii.String("team"), jsii.String("edge"), nil)
	cdktest.Golden(t, stack)
}

func TestEdgeFunctionOtherRegion(t *testing.T) {
	app, stack := edgeFunctionStack(t, "eu-central-1")
	p := edgeFunctionProps()
	p.Event, p.Memory, p.Timeout, p.StackID = edge.OriginRequest, 512, 30*time.Second, "Edge"
	f := edge.NewEdgeFunction(stack, "Sign", p)
	constructs.NewConstruct(f, jsii.String("Inside"))
	awscdk.NewCfnOutput(stack, jsii.String("Association"), &awscdk.CfnOutputProps{Value: jsii.String(f.VersionARN())})
	support := app.Node().FindChild(jsii.String("Edge")).(awscdk.Stack)
	t.Run("Stack", func(t *testing.T) { cdktest.Golden(t, stack) })
	t.Run("Support", func(t *testing.T) { cdktest.Golden(t, support) })
}

// Functions of one stack share the stack in us-east-1, even with equal ids in
// different scopes, and grants reach the role there.
func TestEdgeFunctionShared(t *testing.T) {
	app, stack := edgeFunctionStack(t, "eu-central-1")
	for _, id := range []string{"A", "B"} {
		p := edgeFunctionProps()
		p.StackID = "Edge"
		f := edge.NewEdgeFunction(constructs.NewConstruct(stack, &id), "Sign", p)
		bucket := awss3.Bucket_FromBucketArn(f, jsii.String("Keys"), jsii.String("arn:aws:s3:::keys"))
		bucket.GrantRead(f, jsii.String("public/*"))
		f.Node().AddDependency(constructs.NewConstruct(stack, jsii.String("Before"+id)))
	}
	cdktest.Golden(t, app.Node().FindChild(jsii.String("Edge")).(awscdk.Stack))
}

// The alarms of a region are in its own stack and refer to no other.
func TestEdgeFunctionAlarms(t *testing.T) {
	app, stack := edgeFunctionStack(t, "us-east-1")
	p := edgeFunctionProps()
	p.Name, p.Event, p.Timeout = "sign", edge.OriginRequest, 10*time.Second
	f := edge.NewEdgeFunction(stack, "Sign", p)
	there := awscdk.NewStack(app, jsii.String("There"), &awscdk.StackProps{
		Env: &awscdk.Environment{Account: jsii.String("111111111111"), Region: jsii.String("eu-central-1")}})
	topic := awssns.NewTopic(there, jsii.String("Alarms"), nil)
	made := f.AddAlarms(there, "Sign", &edge.EdgeFunctionAlarms{Topic: topic, Throttles: alarm.Tuning{Off: true}})
	if len(made) != 2 {
		t.Errorf("%d alarms, want 2", len(made))
	}
	template := cdktest.Synth(t, there)
	template.Count(t, "AWS::CloudWatch::Alarm", 2)
	for metric, threshold := range map[string]float64{"Errors": 1, "Duration": 8000} {
		template.Has(t, "AWS::CloudWatch::Alarm", cdktest.Match{"Namespace": "AWS/Lambda", "MetricName": metric, "Threshold": threshold,
			"Dimensions":       []any{cdktest.Match{"Name": "FunctionName", "Value": "us-east-1.sign"}},
			"TreatMissingData": "notBreaching", "AlarmActions": cdktest.Any()})
	}
	cdktest.Synth(t, stack).Has(t, "AWS::Lambda::Function", cdktest.Match{"FunctionName": "sign"})
	for _, r := range template.Resources("") {
		if r.Type != "AWS::CloudWatch::Alarm" && r.Type != "AWS::SNS::Topic" {
			t.Errorf("the stack of the alarms has %s", r.Type)
		}
	}
	nameless := edge.NewEdgeFunction(stack, "Nameless", edgeFunctionProps())
	cdktest.Rejects(t, func() {
		nameless.AddAlarms(there, "Nameless", &edge.EdgeFunctionAlarms{Errors: alarm.Tuning{Periods: -1}})
	}, "There/Nameless", "EdgeFunctionProps.Name", "Errors.Periods")
	if len(f.AddAlarms(stack, "Defaults", nil)) != 3 {
		t.Error("not three alarms by default")
	}
}

func TestEdgeFunctionIsConstruct(t *testing.T) {
	for _, region := range []string{"us-east-1", "eu-central-1"} {
		_, stack := edgeFunctionStack(t, region)
		cdktest.IsConstruct(t, edge.NewEdgeFunction(stack, "Sign", edgeFunctionProps()))
	}
}

func TestEdgeFunctionRejects(t *testing.T) {
	t.Run("nil", func(t *testing.T) {
		_, stack := edgeFunctionStack(t, "eu-central-1")
		cdktest.Rejects(t, func() { edge.NewEdgeFunction(stack, "Sign", nil) }, "Sign", "Code", "Runtime", "Handler", "Event")
	})
	for name, test := range map[string]struct {
		change func(*edge.EdgeFunctionProps)
		want   []string
	}{
		"code":          {func(p *edge.EdgeFunctionProps) { p.Code = nil }, []string{"Code", "set it"}},
		"handler":       {func(p *edge.EdgeFunctionProps) { p.Handler = "" }, []string{"Handler", "set it"}},
		"no runtime":    {func(p *edge.EdgeFunctionProps) { p.Runtime = nil }, []string{"Runtime", "set it"}},
		"go":            {func(p *edge.EdgeFunctionProps) { p.Runtime = awslambda.Runtime_PROVIDED_AL2023() }, []string{"Runtime", "provided.al2023", "Python"}},
		"name":          {func(p *edge.EdgeFunctionProps) { p.Name = "a b" }, []string{"Name", "1 to 54"}},
		"event":         {func(p *edge.EdgeFunctionProps) { p.Event = "viewer" }, []string{"Event", "origin-request"}},
		"viewer memory": {func(p *edge.EdgeFunctionProps) { p.Memory = 256 }, []string{"Memory", "256", "128"}},
		"origin memory": {func(p *edge.EdgeFunctionProps) {
			p.Event, p.Memory = edge.OriginRequest, 10241
		}, []string{"Memory", "10241", "10240"}},
		"viewer timeout": {func(p *edge.EdgeFunctionProps) { p.Timeout = 6 * time.Second }, []string{"Timeout", "6s", "5s"}},
		"origin timeout": {func(p *edge.EdgeFunctionProps) {
			p.Event, p.Timeout = edge.OriginResponse, 31*time.Second
		}, []string{"Timeout", "31s", "30s"}},
		"fraction": {func(p *edge.EdgeFunctionProps) { p.Timeout = 1500 * time.Millisecond }, []string{"Timeout", "whole seconds"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, stack := edgeFunctionStack(t, "eu-central-1")
			p := edgeFunctionProps()
			test.change(p)
			cdktest.Rejects(t, func() { edge.NewEdgeFunction(stack, "Sign", p) }, append(test.want, "Sign")...)
		})
	}
	t.Run("region", func(t *testing.T) {
		stack := awscdk.NewStack(cdktest.NewApp(t), jsii.String("Anywhere"), nil)
		cdktest.Rejects(t, func() { edge.NewEdgeFunction(stack, "Sign", edgeFunctionProps()) }, "Sign", "Env.Region")
	})
}

func ExampleNewEdgeFunction() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Shop"), &awscdk.StackProps{
		Env: &awscdk.Environment{Region: jsii.String("eu-central-1")},
	})
	sign := edge.NewEdgeFunction(stack, "Sign", &edge.EdgeFunctionProps{
		Code:    awslambda.Code_FromAsset(jsii.String("sign"), nil),
		Runtime: awslambda.Runtime_NODEJS_22_X(),
		Handler: "index.handler",
		Event:   edge.OriginRequest,
	})
	_ = awscloudfront.CfnDistribution_LambdaFunctionAssociationProperty{
		EventType:         jsii.String(string(sign.Event())),
		LambdaFunctionArn: jsii.String(sign.VersionARN()),
		IncludeBody:       jsii.Bool(true),
	}
}

func ExampleEdgeFunction_AddAlarms() {
	app := awscdk.NewApp(nil)
	sign := edge.NewEdgeFunction(awscdk.NewStack(app, jsii.String("Edge"), &awscdk.StackProps{
		Env: &awscdk.Environment{Region: jsii.String("us-east-1")},
	}), "Sign", &edge.EdgeFunctionProps{
		Code: awslambda.Code_FromAsset(jsii.String("sign"), nil), Runtime: awslambda.Runtime_NODEJS_22_X(), Handler: "index.handler",
		Event: edge.OriginRequest, Name: "sign",
	})
	for _, region := range []string{"eu-central-1", "us-west-2"} {
		sign.AddAlarms(awscdk.NewStack(app, jsii.String("Watch-"+region), &awscdk.StackProps{
			Env: &awscdk.Environment{Region: &region},
		}), "Sign", nil)
	}
}
