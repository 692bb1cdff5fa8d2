package edge_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
)

func ExampleNewMultiRegion() {
	app := awscdk.NewApp(nil)
	dns := &edge.DNS{
		Name:    "api.example.com",
		ZoneID:  "Z0123456789",
		Latency: []string{"eu-west-1", "us-east-1"},
	}
	certificates := map[string]*string{
		"eu-west-1": jsii.String("arn:aws:acm:eu-west-1:123456789012:certificate/1"),
		"us-east-1": jsii.String("arn:aws:acm:us-east-1:123456789012:certificate/2"),
	}
	edge.NewMultiRegion(app, "Readings", &edge.MultiRegionProps{
		Regions: dns.Latency,
		Resources: func(r *edge.Region) {
			bus := awsevents.NewEventBus(r.Stack(), jsii.String("Bus"), &awsevents.EventBusProps{
				EventBusName: jsii.String(r.SharedName("events")),
			})
			api := edge.NewRegionalAPI(r.Stack(), "API", &edge.RegionalAPIProps{
				DNS:         dns,
				Certificate: awscertificatemanager.Certificate_FromCertificateArn(r.Stack(), jsii.String("Certificate"), certificates[r.Name()]),
			})
			api.AddRoutes("Take", &edge.RoutesProps{
				Function: function.NewFunction(r.Stack(), "Take", &function.Props{Entry: "example.com/readings/functions/take"}),
				Routes:   []string{"POST /readings"},
			})
			api.AddBusDependency("events", bus, nil)
		},
	})
	app.Synth(nil)
}

func system(t *testing.T, p *edge.MultiRegionProps) *edge.MultiRegion {
	if p.Resources == nil {
		p.Resources = func(*edge.Region) {}
	}
	return edge.NewMultiRegion(cdktest.NewApp(t), "Health", p)
}

// topic is a resource that refers to the text.
func topic(r *edge.Region, text *string) awssns.CfnTopic {
	return awssns.NewCfnTopic(r.Stack(), jsii.String("Topic"), &awssns.CfnTopicProps{DisplayName: text})
}

func TestMultiRegionNames(t *testing.T) {
	var shared, own, peers []string
	m := system(t, &edge.MultiRegionProps{
		Regions: []string{"eu-west-1", "us-east-1", "ap-southeast-2"},
		Resources: func(r *edge.Region) {
			shared = append(shared, r.SharedName("Readings", "raw"))
			own = append(own, r.NameIn(r.Peers()[0], "archive"))
			peers = append(peers, strings.Join(r.Peers(), " "))
		},
	})
	if want := []string{"health-readings-raw", "health-readings-raw", "health-readings-raw"}; !slices.Equal(shared, want) {
		t.Errorf("shared names are %v", shared)
	}
	if want := []string{"health-archive-us-east-1", "health-archive-eu-west-1", "health-archive-eu-west-1"}; !slices.Equal(own, want) {
		t.Errorf("names of peers are %v", own)
	}
	if want := []string{"us-east-1 ap-southeast-2", "eu-west-1 ap-southeast-2", "eu-west-1 us-east-1"}; !slices.Equal(peers, want) {
		t.Errorf("peers are %v", peers)
	}
	for i, r := range m.Regions() {
		if *r.Stack().StackName() != "Health-"+r.Name() || *r.Stack().Region() != r.Name() || r.Leads() != (i == 0) || m.Region(r.Name()) != r {
			t.Errorf("region %d is %s, leads %v, in stack %s", i, r.Name(), r.Leads(), *r.Stack().StackName())
		}
	}
	cdktest.Rejects(t, func() { m.Regions()[0].SharedName() }, "parts is empty")
	cdktest.Rejects(t, func() { m.Regions()[0].SharedName("a_b") }, `parts is "a_b"`)
	cdktest.Rejects(t, func() { m.Regions()[0].SharedName(strings.Repeat("a", 60)) }, "at most 63 characters")
	cdktest.Rejects(t, func() { m.Regions()[0].NameIn("eu-west-2", "a") }, `region is "eu-west-2"`)
}

// In a stage the names begin with the stage's.
func TestMultiRegionInStage(t *testing.T) {
	stage := awscdk.NewStage(cdktest.NewApp(t), jsii.String("Prod"), nil)
	m := edge.NewMultiRegion(stage, "Health", &edge.MultiRegionProps{
		Regions: []string{"eu-west-1", "us-east-1"}, Resources: func(*edge.Region) {}})
	if name := m.Regions()[0].SharedName("bus"); name != "prod-health-bus" {
		t.Errorf("the name is %s", name)
	}
}

func TestMultiRegionOrder(t *testing.T) {
	for name, tt := range map[string]struct {
		props edge.MultiRegionProps
		want  map[string]string // region -> the stacks that it waits for
	}{
		"a leading region": {
			edge.MultiRegionProps{Regions: []string{"eu-west-1", "us-east-1", "ap-southeast-2"}},
			map[string]string{"eu-west-1": "", "us-east-1": "Health-eu-west-1", "ap-southeast-2": "Health-eu-west-1"},
		},
		"waves": {
			edge.MultiRegionProps{Waves: [][]string{{"eu-west-1", "us-east-1"}, {"ap-southeast-2"}, {"sa-east-1"}}},
			map[string]string{"eu-west-1": "", "us-east-1": "", "ap-southeast-2": "Health-eu-west-1 Health-us-east-1", "sa-east-1": "Health-ap-southeast-2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := system(t, &tt.props)
			cdktest.Synth(t, m.Regions()[0].Stack())
			for _, r := range m.Regions() {
				var waits []string
				for _, s := range *r.Stack().Dependencies() {
					waits = append(waits, *s.StackName())
				}
				slices.Sort(waits)
				if got := strings.Join(waits, " "); got != tt.want[r.Name()] {
					t.Errorf("%s waits for %q, want %q", r.Name(), got, tt.want[r.Name()])
				}
			}
		})
	}
}

// A reference fails the synthesis whichever way it goes, be it along the order
// of deployment, where the CDK sees nothing wrong with it.
func TestMultiRegionRefusesReferences(t *testing.T) {
	two := []string{"eu-west-1", "us-east-1"}
	var led awssns.CfnTopic
	for name, tt := range map[string]struct {
		resources func(*edge.Region)
		want      []string
	}{
		"along the order": {func(r *edge.Region) {
			if r.Leads() {
				led = topic(r, nil)
			} else {
				topic(r, led.AttrTopicName())
			}
		}, []string{"stack Health-us-east-1 refers to stack Health-eu-west-1, which is in eu-west-1", "Region.SharedName"}},
		"against the order": {func(r *edge.Region) {
			if r.Leads() {
				led = topic(r, nil)
			} else {
				led.SetDisplayName(topic(r, nil).AttrTopicName())
			}
		}, []string{"stack Health-eu-west-1 refers to stack Health-us-east-1"}},
		"a dependency": {func(r *edge.Region) {
			if r.Leads() {
				led = topic(r, nil)
			} else {
				topic(r, nil).Node().AddDependency(led)
			}
		}, []string{"stack Health-us-east-1 refers to stack Health-eu-west-1"}},
		"through another stack": {func(r *edge.Region) {
			if r.Leads() {
				led = topic(r, nil)
				return
			}
			between := awscdk.NewStack(awscdk.App_Of(r.Stack()), jsii.String("Between"), &awscdk.StackProps{
				Env: &awscdk.Environment{Region: jsii.String(r.Name())}})
			topic(r, awssns.NewTopic(between, jsii.String("Topic"), &awssns.TopicProps{DisplayName: led.AttrTopicName()}).TopicArn())
		}, []string{"stack Health-us-east-1 refers to stack Health-eu-west-1"}},
		"a nested stack": {func(r *edge.Region) {
			if r.Leads() {
				led = topic(r, nil)
				return
			}
			nested := awscdk.NewNestedStack(r.Stack(), jsii.String("Nested"), nil)
			awssns.NewTopic(nested, jsii.String("Topic"), &awssns.TopicProps{DisplayName: led.AttrTopicName()})
		}, []string{"stack Health-us-east-1 refers to stack Health-eu-west-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := system(t, &edge.MultiRegionProps{Regions: two, Resources: tt.resources})
			cdktest.Rejects(t, func() { cdktest.Synth(t, m.Regions()[0].Stack()) }, tt.want...)
		})
	}
}

// foreign returns what in a region's template refers to another region's
// stack: the functions that read other stacks, and the names of those.
func foreign(template cdktest.Template, others []string) []string {
	b, _ := json.Marshal(template)
	var found []string
	for _, text := range append([]string{"Fn::GetStackOutput", "Fn::ImportValue", "ExportsReader", "{{resolve:ssm:/cdk/exports"}, others...) {
		if strings.Contains(string(b), text) {
			found = append(found, text)
		}
	}
	return found
}

func TestForeignSeesReferences(t *testing.T) {
	app := cdktest.NewApp(t)
	stack := func(region string) awscdk.Stack {
		return awscdk.NewStack(app, jsii.String("Health-"+region), &awscdk.StackProps{Env: &awscdk.Environment{Region: &region}})
	}
	eu, us := stack("eu-west-1"), stack("us-east-1")
	arn := awssns.NewCfnTopic(eu, jsii.String("Topic"), nil).AttrTopicName()
	awssns.NewTopic(us, jsii.String("Topic"), &awssns.TopicProps{DisplayName: arn})
	if found := foreign(cdktest.Synth(t, us), []string{"Health-eu-west-1"}); !slices.Contains(found, "Fn::GetStackOutput") {
		t.Errorf("a reference was not seen, but %v", found)
	}
}

// Its scope is a stack here, for what is in no stack can hold no resource.
func TestMultiRegionIsConstruct(t *testing.T) {
	m := edge.NewMultiRegion(cdktest.NewStack(t), "Health", &edge.MultiRegionProps{
		Regions: []string{"eu-west-1", "us-east-1"}, Resources: func(r *edge.Region) { topic(r, nil) }})
	cdktest.IsConstruct(t, m)
	tagged := cdktest.Match{"Tags": cdktest.Contains(cdktest.Match{"Key": "cdktest", "Value": "tagged"})}
	cdktest.Synth(t, m.Regions()[1].Stack()).Has(t, "AWS::SNS::Topic", tagged)
}

func TestMultiRegionRejects(t *testing.T) {
	resources := func(*edge.Region) {}
	for name, tt := range map[string]struct {
		props *edge.MultiRegionProps
		want  []string
	}{
		"nil":  {nil, []string{"Health: wrong props", "Regions is empty", "at least two regions", "Resources is not set"}},
		"one":  {&edge.MultiRegionProps{Regions: []string{"eu-west-1"}, Resources: resources}, []string{"at least two regions", "add a region"}},
		"both": {&edge.MultiRegionProps{Regions: []string{"eu-west-1"}, Waves: [][]string{{"us-east-1"}}, Resources: resources}, []string{"Regions", "Waves"}},
		"twice": {&edge.MultiRegionProps{Regions: []string{"eu-west-1", "eu-west-1"}, Resources: resources},
			[]string{`Regions is "eu-west-1"; allowed is each region once`}},
		"shape": {&edge.MultiRegionProps{Regions: []string{"Ireland", "eu-west-1"}, Resources: resources}, []string{`Regions is "Ireland"`}},
		"partition": {&edge.MultiRegionProps{Regions: []string{"eu-west-1", "cn-north-1"}, Resources: resources},
			[]string{`Regions is "cn-north-1"`, "partition"}},
		"wave": {&edge.MultiRegionProps{Waves: [][]string{{"eu-west-1", "us-east-1"}, {}}, Resources: resources}, []string{"Waves", "empty wave"}},
		"name": {&edge.MultiRegionProps{Regions: []string{"eu-west-1", "us-east-1"}, Name: "my_health", Resources: resources}, []string{`Name is "my_health"`}},
		"stack props": {&edge.MultiRegionProps{Regions: []string{"eu-west-1", "us-east-1"}, Resources: resources, StackProps: &awscdk.StackProps{
			Env: &awscdk.Environment{}, StackName: jsii.String("A"), CrossRegionReferences: jsii.Bool(true)}},
			[]string{"StackProps.Env", "StackProps.StackName", "StackProps.CrossRegionReferences", "Region.SharedName"}},
	} {
		t.Run(name, func(t *testing.T) {
			cdktest.Rejects(t, func() { edge.NewMultiRegion(cdktest.NewApp(t), "Health", tt.props) }, tt.want...)
		})
	}
}
