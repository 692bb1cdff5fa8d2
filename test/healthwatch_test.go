package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	core "github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/constructs-go/constructs/v10"
	runtime "github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/patterns/edge/alerts/rules"
	"github.com/serverless-go/cdk/stacks"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

// healthWatchGoldens pins the template of each region, in which nothing comes
// from another one.
func healthWatchGoldens(t *testing.T, h *stacks.HealthWatch) {
	t.Helper()
	for _, r := range h.System().Regions() {
		t.Run(r.Name(), func(t *testing.T) {
			template := cdktest.Synth(t, r.Stack())
			cdktest.GoldenTemplate(t, template)
			if found := foreign(t, h, r.Name(), template); len(found) > 0 {
				t.Errorf("the template of %s has %v", r.Name(), found)
			}
		})
	}
}

// One app serves several tests, for it is the largest one here.
func TestHealthWatch(t *testing.T) {
	h := stacks.NewHealthWatch(cdktest.NewApp(t), "HealthWatch", nil)
	healthWatchGoldens(t, h)
	t.Run("references are seen", func(t *testing.T) { seesReferences(t, h) })
	t.Run("permissions", func(t *testing.T) { healthWatchPermissions(t, h) })
}

// healthWatchEverything has a jurisdiction with a standby and one without.
func healthWatchEverything() *stacks.HealthWatchProps {
	locality := func(name, zone, tongue string, threshold int) stacks.Locality {
		return stacks.Locality{Locality: rules.Locality{Name: name, Zone: zone, Languages: []string{tongue}}, Threshold: threshold}
	}
	return &stacks.HealthWatchProps{
		Name: "Watch-prod", Account: "123456789012", AlarmEmail: "alarms@example.com",
		Jurisdictions: []stacks.Jurisdiction{
			{
				Name: "eu", Region: "eu-central-1", Standby: "eu-west-1", Countries: []string{"DE", "FR"}, AlertEmail: "duty@example.eu",
				Localities: map[string]stacks.Locality{
					"DE-BE": locality("Berlin", "Europe/Berlin", "de", 50), "FR-IDF": locality("Île-de-France", "Europe/Paris", "fr", 0),
				},
			},
			{
				Name: "ch", Region: "eu-central-2", Countries: []string{"CH"},
				Localities: map[string]stacks.Locality{"CH-ZH": locality("Zürich", "Europe/Zurich", "de", 10)},
			},
		},
		Domain:   stacks.Domain{Name: "health.example.com", Zone: "Z0123456789ABCDEFGHIJ"},
		Identity: stacks.Identity{Issuer: "https://id.example.com", Audience: []string{"health"}},
		Cloudflare: stacks.Cloudflare{
			Account: "023e105f4ecef8ad9ca31a8372d0c353", Zone: "9a7806061c88ada191ed06f989cc3dac", Hostname: "readings.example.com", Secret: "cloudflare",
		},
	}
}

func TestHealthWatchEverything(t *testing.T) {
	app := cdktest.NewApp(t)
	h := stacks.NewHealthWatch(app, "HealthWatch", healthWatchEverything())
	healthWatchGoldens(t, h)
	t.Run("residency", func(t *testing.T) { healthWatchResidency(t, app, h) })
}

func seesReferences(t *testing.T, h *stacks.HealthWatch) {
	for name, planted := range map[string]any{
		"import":     map[string]any{"Fn::ImportValue": "x"},
		"output":     map[string]any{"Fn::GetStackOutput": map[string]any{"StackName": "x"}},
		"stack name": map[string]any{"Fn::Sub": "arn:HealthWatch-us-east-2-Bus"},
		"export":     map[string]any{"Export": map[string]any{"Name": "x"}},
	} {
		if found := foreign(t, h, "eu-west-1", cdktest.Template{"Outputs": map[string]any{"X": planted}}); len(found) != 1 {
			t.Errorf("%s: found %v, want one", name, found)
		}
	}
}

// foreign returns what in a region's template refers to another stack.
func foreign(t *testing.T, h *stacks.HealthWatch, region string, template cdktest.Template) []string {
	t.Helper()
	b, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	wanted := []string{`"Fn::ImportValue"`, `"Fn::GetStackOutput"`, `"Export"`}
	for _, other := range h.System().Regions() {
		if other.Name() != region {
			wanted = append(wanted, *other.Stack().StackName())
		}
	}
	return slices.DeleteFunc(wanted, func(text string) bool { return !strings.Contains(string(b), text) })
}

// healthWatchReport synthesizes and returns the report of the residency, and
// whether the synth failed.
func healthWatchReport(t *testing.T, app core.App) (lines []string, failed bool) {
	t.Helper()
	data, failed := cdktest.Report(t, app, "residency-report.txt")
	return strings.Split(strings.TrimSpace(string(data)), "\n"), failed
}

// Every resource of every jurisdiction is judged, and those that name another
// region are known by name.
func healthWatchResidency(t *testing.T, app core.App, h *stacks.HealthWatch) {
	lines, failed := healthWatchReport(t, app)
	if failed {
		t.Fatalf("the synth failed:\n%s", strings.Join(lines, "\n"))
	}
	resources := 0
	for _, r := range h.System().Regions() {
		if r.Name() == "us-east-1" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(*app.Outdir(), *r.Stack().TemplateFile()))
		if err != nil {
			t.Fatal(err)
		}
		var template struct{ Resources map[string]any }
		if err := json.Unmarshal(b, &template); err != nil {
			t.Fatal(err)
		}
		resources += len(template.Resources)
	}
	judged := map[string]bool{}
	var acknowledged []string
	kind := regexp.MustCompile(`^(\w+): residency: (\S+) \((\S+)\)`)
	for _, line := range lines {
		m := kind.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		judged[m[2]] = true
		if m[1] != "passed" {
			acknowledged = append(acknowledged, m[1]+" "+m[3])
		}
	}
	if len(judged) != resources {
		t.Errorf("%d resources were judged, want all %d", len(judged), resources)
	}
	slices.Sort(acknowledged)
	got := strings.Join(slices.Compact(acknowledged), ", ")
	const want = "acknowledged AWS::CloudWatch::Alarm, acknowledged AWS::Route53::HealthCheck, acknowledged AWS::SNS::Subscription"
	if got != want {
		t.Errorf("accepted were %s, want %s", got, want)
	}
}

// A resource that is moved, or that copies its data elsewhere, fails the synth.
func TestHealthWatchResidencySeesMovedData(t *testing.T) {
	app := cdktest.NewApp(t)
	h := stacks.NewHealthWatch(app, "HealthWatch", nil)
	moved := awsdynamodb.NewTableV2(h.System().Region("us-east-2").Stack(), runtime.String("Moved"), &awsdynamodb.TablePropsV2{
		PartitionKey: &awsdynamodb.Attribute{Name: runtime.String("pk"), Type: awsdynamodb.AttributeType_STRING}})
	h.Residency().Keep("eu", moved)
	override := func(at constructs.IConstruct, property string, value any) {
		var resource core.CfnResource
		runtime.UnsafeCast(at, &resource)
		resource.AddPropertyOverride(&property, value)
	}
	override(healthWatchChild(h, "eu-central-1", "Readings", "Events", "Resource"), "Replicas.1", map[string]any{"Region": "us-east-2"})
	override(healthWatchChild(h, "eu-west-1", "Record"), "Targets.0.Arn", "arn:aws:sqs:us-east-2:123456789012:readings")
	lines, failed := healthWatchReport(t, app)
	lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "violated") })
	if !failed {
		t.Error("the synth passed")
	}
	for _, want := range []string{"HealthWatch/us-east-2/Moved", "HealthWatch/eu-central-1/ReadingsEvents", "HealthWatch/eu-west-1/Record"} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, want) && strings.Contains(line, "us-east-2") }) {
			t.Errorf("no violation of %s:\n%s", want, strings.Join(lines, "\n"))
		}
	}
	for _, line := range lines {
		if !strings.Contains(line, "us-east-2") {
			t.Errorf("nobody planted %s", line)
		}
	}
}

func healthWatchChild(h *stacks.HealthWatch, region string, path ...string) constructs.IConstruct {
	var at constructs.IConstruct = h.System().Region(region).Stack()
	for _, id := range path {
		at = at.Node().FindChild(&id)
	}
	return at
}

// Each function can do what its code does, and not more.
func healthWatchPermissions(t *testing.T, h *stacks.HealthWatch) {
	templates := map[string]*iam.Synthesized{}
	for _, region := range []string{"eu-central-1", "eu-west-1"} {
		templates[region] = iam.NewSynthesized(t, cdktest.Synth(t, h.System().Region(region).Stack()), "123456789012", region)
	}
	find := func(region, kind, prefix string) string { return templates[region].Find(kind, prefix) }
	const primary, standby = "eu-central-1", "eu-west-1"
	local := func(region string) string {
		return "arn:aws:events:" + region + ":123456789012:event-bus/healthwatch-readings"
	}
	world := "arn:aws:dynamodb:eu-central-1:123456789012:table/healthwatch-counts"
	table := func(prefix string) string { return find(primary, "AWS::DynamoDB::GlobalTable", prefix) }
	watching := iam.Context{"events:source": {healthwatch.WatchSource}}
	for _, tt := range []struct {
		region, role, action, resource string
		context                        iam.Context
		want                           bool
	}{
		{primary, "ReadingsHandler", "events:PutEvents", local(primary), nil, true},
		{primary, "ReadingsHandler", "events:PutEvents", local(standby), nil, true},
		{primary, "ReadingsHandler", "events:PutEvents", local("us-east-2"), nil, false},
		{primary, "ReadingsHandler", "dynamodb:PartiQLInsert", table("ReadingsEvents"), nil, false},
		{standby, "ReadingsHandler", "events:PutEvents", local(primary), nil, false},
		{standby, "ForwardRole", "events:PutEvents", local(primary), nil, true},
		{primary, "ApplyHandler", "dynamodb:PartiQLInsert", table("ReadingsEvents"), nil, true},
		{primary, "ApplyHandler", "dynamodb:UpdateItem", table("Counts"), nil, true},
		{primary, "ApplyHandler", "dynamodb:UpdateItem", table("ClaimsTable"), nil, true},
		{primary, "ApplyHandler", "dynamodb:DeleteItem", table("ClaimsTable"), nil, false},
		{primary, "ApplyHandler", "dynamodb:PartiQLInsert", world, nil, false},
		{primary, "WatchHandler", "dynamodb:Query", table("Counts"), nil, true},
		{primary, "WatchHandler", "dynamodb:BatchGetItem", table("Counts"), nil, true},
		{primary, "WatchHandler", "dynamodb:UpdateItem", table("Counts"), nil, false},
		{primary, "WatchHandler", "dynamodb:Query", table("ReadingsEvents"), nil, false},
		{primary, "ReportHandler", "dynamodb:PartiQLInsert", world, nil, true},
		{primary, "ReportHandler", "dynamodb:Query", table("Counts"), nil, true},
		{primary, "ReportHandler", "dynamodb:Query", table("ReadingsEvents"), nil, false},
		{primary, "ReportHandler", "events:PutEvents", local(primary), nil, false},
		{primary, "DeskHandler", "dynamodb:Query", world + "/index/streams", nil, true},
		{primary, "DeskHandler", "dynamodb:Query", table("Counts"), nil, true},
		{primary, "DeskHandler", "dynamodb:PartiQLInsert", world, nil, false},
		{primary, "DeskHandler", "dynamodb:Query", table("ReadingsEvents"), nil, false},
		{primary, "DeskHandler", "lambda:InvokeFunction", find(primary, "AWS::Lambda::Function", "AlertsAcknowledge"), nil, true},
		{primary, "DeskHandler", "lambda:InvokeFunction", find(primary, "AWS::Lambda::Function", "ForgetHandler"), nil, false},
		{standby, "ReadingsHandler", "events:PutEvents", find(standby, "AWS::Events::EventBus", "IntakeBus"), nil, true},
		{primary, "WatchHandler", "events:PutEvents", find(primary, "AWS::Events::EventBus", "IntakeBus"), watching, true},
		{primary, "WatchHandler", "events:PutEvents", find(primary, "AWS::Events::EventBus", "IntakeBus"), nil, false},
	} {
		for _, region := range []string{tt.region, "us-east-2"} { // and never elsewhere
			want := tt.want && region == tt.region
			context := iam.Context{"aws:RequestedRegion": {region}}
			for k, v := range tt.context {
				context[k] = v
			}
			role := templates[tt.region].Role(tt.role)
			got := iam.Evaluate(iam.Request{Principal: iam.Principal{ARN: role.ARN}, Action: tt.action, Resource: tt.resource, Context: context},
				iam.Policies{Identity: role.Policies})
			if got.Allowed != want {
				t.Errorf("%s in %s may %s on %s: %t, want %t; %s", tt.role, region, tt.action, tt.resource, got.Allowed, want, got.Reason)
			}
		}
	}
}

func TestHealthWatchRejects(t *testing.T) {
	app := cdktest.NewApp(t)
	p := healthWatchEverything()
	p.Identity = stacks.Identity{}
	p.Jurisdictions[1].Region = "us-east-1"
	p.Jurisdictions[1].Localities = nil
	cdktest.Rejects(t, func() { stacks.NewHealthWatch(app, "HealthWatch", p) }, "HealthWatch: wrong props",
		`domains.healthwatch is "health.example.com"; allowed is set together with identity`,
		`jurisdictions[1].region is "us-east-1"; allowed is another region than us-east-1`,
		"jurisdictions[1].localities is 0; allowed is at least one locality")
}
