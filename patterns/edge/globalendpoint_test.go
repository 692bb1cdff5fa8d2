package edge_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/test/cdktest"
)

func intake() *edge.GlobalEndpointProps {
	return &edge.GlobalEndpointProps{Name: "intake", Primary: "eu-west-1", Secondary: "eu-central-1"}
}

func TestGlobalEndpointDefaults(t *testing.T) {
	stack := regionalStack(t, "eu-west-1")
	edge.NewGlobalEndpoint(stack, "Intake", intake())
	cdktest.Golden(t, stack)
}

func TestGlobalEndpointEverything(t *testing.T) {
	stack := regionalStack(t, "eu-west-1")
	p := intake()
	p.Steady, p.ArchiveRetention = true, 30*24*time.Hour
	p.Alarms = edge.GlobalEndpointAlarms{
		Topic:   awssns.NewTopic(stack, jsii.String("Alarms"), nil),
		Latency: alarm.Tuning{Threshold: jsii.Number(10000), Periods: 3},
	}
	e := edge.NewGlobalEndpoint(stack, "Intake", p)
	e.GrantPut(awsiam.NewRole(stack, jsii.String("Device"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()}))
	cdktest.Golden(t, stack)
}

// The secondary region has a bus of the same name and an archive, no more.
func TestGlobalEndpointSecondary(t *testing.T) {
	stack := regionalStack(t, "eu-central-1")
	e := edge.NewGlobalEndpoint(stack, "Intake", intake())
	if e.Endpoint() != nil || e.HealthCheck() != nil || e.LatencyAlarm() != nil {
		t.Error("the secondary region has an endpoint of its own")
	}
	template := cdktest.Synth(t, stack)
	template.Count(t, "", 2)
	template.Has(t, "AWS::Events::EventBus", cdktest.Match{"Name": "intake"})
	template.Has(t, "AWS::Events::Archive", cdktest.Match{"RetentionDays": 90.0})
}

// A region that had no global endpoints is a warning, for AWS adds regions.
func TestGlobalEndpointRegions(t *testing.T) {
	for secondary, want := range map[string]int{"eu-central-1": 0, "eu-south-1": 1} {
		stack := regionalStack(t, "eu-west-1")
		p := intake()
		p.Secondary = secondary
		edge.NewGlobalEndpoint(stack, "Intake", p)
		found := assertions.Annotations_FromStack(stack).FindWarning(jsii.String("*"), assertions.Match_StringLikeRegexp(jsii.String("no global endpoints in "+secondary)))
		if len(*found) != want {
			t.Errorf("%s: %d warnings, want %d", secondary, len(*found), want)
		}
	}
}

func TestGlobalEndpointIsConstruct(t *testing.T) {
	stack := regionalStack(t, "eu-west-1")
	cdktest.IsConstruct(t, edge.NewGlobalEndpoint(stack, "Intake", intake()))
}

func TestGlobalEndpointRejects(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(p *edge.GlobalEndpointProps)
		want   []string
	}{
		"name":     {func(p *edge.GlobalEndpointProps) { p.Name = strings.Repeat("x", 65) }, []string{"Test/Intake: wrong props", "1 to 64 letters"}},
		"same":     {func(p *edge.GlobalEndpointProps) { p.Secondary = p.Primary }, []string{"another region than Primary"}},
		"missing":  {func(p *edge.GlobalEndpointProps) { p.Secondary = "" }, []string{`Secondary is ""`}},
		"stranger": {func(p *edge.GlobalEndpointProps) { p.Primary = "us-east-1" }, []string{"the stack's region, eu-west-1"}},
		"archive":  {func(p *edge.GlobalEndpointProps) { p.ArchiveRetention = time.Hour }, []string{"whole days"}},
		"alarm":    {func(p *edge.GlobalEndpointProps) { p.Alarms.Latency = alarm.Tuning{Off: true, Periods: -1} }, []string{"Alarms.Latency.Off", "hangs on this alarm", "Alarms.Latency.Periods"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := regionalStack(t, "eu-west-1")
			p := intake()
			tt.change(p)
			cdktest.Rejects(t, func() { edge.NewGlobalEndpoint(stack, "Intake", p) }, tt.want...)
		})
	}
	cdktest.Rejects(t, func() { edge.NewGlobalEndpoint(cdktest.NewStack(t), "Intake", nil) }, "set StackProps.Env.Region")
}

func ExampleNewGlobalEndpoint() {
	app := awscdk.NewApp(nil)
	for _, region := range []string{"eu-central-1", "eu-west-1"} { // the secondary one first
		stack := awscdk.NewStack(app, jsii.String("Intake-"+region), &awscdk.StackProps{Env: &awscdk.Environment{Region: &region}})
		edge.NewGlobalEndpoint(stack, "Intake", &edge.GlobalEndpointProps{Name: "intake", Primary: "eu-west-1", Secondary: "eu-central-1"})
	}
}
