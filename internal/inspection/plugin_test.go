package inspection_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/inspection"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestMain(m *testing.M) { cdktest.Main(m) }

// noQueues finds every queue.
type noQueues struct{}

func (noQueues) Name() string { return "no-queues" }

func (noQueues) Check(app *inspection.App) []inspection.Finding {
	var out []inspection.Finding
	for _, s := range app.Stacks {
		for _, r := range s.Resources {
			if r.Type == "AWS::SQS::Queue" {
				out = append(out, inspection.Finding{Resource: r, Outcome: inspection.Violated,
					Message: "a queue in " + s.Region, Fix: "remove it"})
			}
		}
	}
	return out
}

// synth synthesizes a queue in a nested stack and one in a stage.
func synth(t *testing.T, plugin *inspection.Plugin) (outdir, failure string) {
	t.Helper()
	app := cdktest.NewApp(t)
	env := &awscdk.Environment{Region: jsii.String("eu-west-1")}
	stack := awscdk.NewStack(app, jsii.String("A"), &awscdk.StackProps{Env: env})
	awssqs.NewQueue(awscdk.NewNestedStack(stack, jsii.String("Nested"), nil), jsii.String("Q"), nil)
	stage := awscdk.NewStage(app, jsii.String("Stage"), nil)
	awssqs.NewQueue(awscdk.NewStack(stage, jsii.String("B"), &awscdk.StackProps{Env: env}), jsii.String("Q"), nil)
	plugin.Register(app)
	defer func() {
		if r := recover(); r != nil {
			failure = r.(error).Error()
		}
	}()
	outdir = *app.Outdir()
	app.Synth(nil)
	return outdir, ""
}

// listing keeps what the CDK tells a plugin of the stacks.
type listing struct{ places []inspection.Place }

func (*listing) Name() *string       { return jsii.String("listing") }
func (*listing) Version() *string    { return nil }
func (*listing) RuleIds() *[]*string { return nil }

func (l *listing) Validate(context awscdk.IPolicyValidationContext) *awscdk.PolicyValidationPluginReport {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	for _, s := range *context.StackTemplates() {
		l.places = append(l.places, inspection.Place{Path: *s.StackConstructPath, Template: *s.TemplatePath, Region: text(s.Region), Account: text(s.AccountId)})
	}
	return &awscdk.PolicyValidationPluginReport{Success: jsii.Bool(true), Violations: &[]*awscdk.PolicyViolation{}}
}

// The plugin reads of the stacks what the CDK would tell it.
func TestPlacesAreTheCDKs(t *testing.T) {
	app := cdktest.NewApp(t)
	stack := func(scope constructs.Construct, id string, env *awscdk.Environment, after ...awscdk.Stack) awscdk.Stack {
		made := awscdk.NewStack(scope, &id, &awscdk.StackProps{Env: env, StackName: jsii.String("Name-of-" + strings.ReplaceAll(id, " ", "-"))})
		awssqs.NewQueue(made, jsii.String("Q"), nil)
		for _, other := range after {
			made.AddStackDependency(other, nil)
		}
		return made
	}
	region := &awscdk.Environment{Region: jsii.String("eu-west-1")}
	last := stack(app, "Z", &awscdk.Environment{Region: jsii.String("eu-west-1"), Account: jsii.String("111122223333")})
	first := stack(app, "B", region, last)
	stack(app, "A", nil, first)
	awssqs.NewQueue(awscdk.NewNestedStack(first, jsii.String("Nested"), nil), jsii.String("Q"), nil)
	stack(constructs.NewConstruct(app, jsii.String("Part")), "eu west", region)
	stage := awscdk.NewStage(app, jsii.String("Stage"), &awscdk.StageProps{Env: region})
	stack(stage, "B", nil, stack(stage, "C", nil))
	stack(awscdk.NewStage(stage, jsii.String("Inner"), nil), "B", nil)
	stack(awscdk.NewStage(app, jsii.String("Early"), nil), "D", nil)

	whole, part := new(listing), new(listing)
	awscdk.Validations_Of(app).AddPlugins(whole)
	awscdk.Validations_Of(stage).AddPlugins(part)
	app.Synth(nil)
	if len(whole.places) != 8 || len(part.places) != 3 {
		t.Fatalf("the CDK tells %d stacks of the app and %d of the stage", len(whole.places), len(part.places))
	}
	for folder, want := range map[string][]inspection.Place{*app.Outdir(): whole.places, *stage.Outdir(): part.places} {
		if got, err := inspection.Places(folder); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v; got\n%+v, want\n%+v", err, got, want)
		}
	}
}

func TestPlacesFails(t *testing.T) {
	for name, text := range map[string]string{
		"broken":   `{"artifacts":`,
		"circular": `{"artifacts":{"A":{"type":"aws:cloudformation:stack","dependencies":["B"]},"B":{"type":"aws:cloudformation:stack","dependencies":["A"]}}}`,
	} {
		folder := t.TempDir()
		write(t, folder, "manifest.json", text)
		if _, err := inspection.Places(folder); err == nil {
			t.Errorf("a %s manifest was read", name)
		}
	}
	if _, err := inspection.Places(t.TempDir()); err == nil {
		t.Error("a folder without a manifest was read")
	}
}

func TestPluginFailsSynth(t *testing.T) {
	plugin := inspection.NewPlugin("queues", noQueues{})
	outdir, failure := synth(t, plugin)
	if !strings.Contains(failure, "Validation failed") {
		t.Errorf("the synth failed with %q", failure)
	}
	if n := len(plugin.Findings()); n != 2 {
		t.Errorf("%d queues were found, want the nested stack's and the stage's", n)
	}
	for _, f := range plugin.Findings() {
		if f.Outcome != inspection.Violated || f.Resource.Path == "" {
			t.Errorf("%s is %s", f.Resource.Path, f.Outcome)
		}
	}
	for _, name := range []string{"queues-report.json", "queues-report.txt"} {
		data, err := os.ReadFile(filepath.Join(outdir, name))
		if err != nil || strings.Count(string(data), "a queue in eu-west-1") != 2 {
			t.Errorf("%s: %v\n%s", name, err, data)
		}
	}
}

func TestPluginSeesItsScope(t *testing.T) {
	for name, want := range map[string]int{"app": 2, "construct in the app": 2, "stage": 1, "construct in the stage": 1} {
		app := cdktest.NewApp(t)
		awssqs.NewQueue(awscdk.NewStack(app, jsii.String("A"), nil), jsii.String("Q"), nil)
		stage := awscdk.NewStage(app, jsii.String("Stage"), nil)
		awssqs.NewQueue(awscdk.NewStack(stage, jsii.String("B"), nil), jsii.String("Q"), nil)
		plugin := inspection.NewPlugin("queues", noQueues{})
		plugin.ReportOnly()
		plugin.Register(map[string]constructs.Construct{
			"app": app, "construct in the app": constructs.NewConstruct(app, jsii.String("Part")),
			"stage": stage, "construct in the stage": constructs.NewConstruct(stage, jsii.String("Part")),
		}[name])
		app.Synth(nil)
		if n := len(plugin.Findings()); n != want {
			t.Errorf("%s: %d queues were found, want %d", name, n, want)
		}
		if _, err := os.Stat(filepath.Join(*app.Outdir(), "queues-report.json")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPluginAcknowledges(t *testing.T) {
	plugin := inspection.NewPlugin("queues", noQueues{})
	plugin.Acknowledge("no-queues", "A/Nested/Q/Resource", "it is empty")
	plugin.Acknowledge("no-queues", "Stage/B/Q/Resource", "")
	synth(t, plugin)
	open := 0
	for _, f := range plugin.Findings() {
		if f.Outcome == inspection.Violated {
			open++
		}
	}
	if open != 1 {
		t.Errorf("%d findings are open, want the one without a reason", open)
	}
	plugin.Acknowledge("no-queues", "Stage/B/Q/Resource", "it holds no data")
	outdir, failure := synth(t, plugin)
	if failure != "" {
		t.Errorf("all is acknowledged, and the synth fails: %s", failure)
	}
	data, err := os.ReadFile(filepath.Join(outdir, "queues-report.txt"))
	if err != nil || !strings.Contains(string(data), "acknowledged: it is empty") {
		t.Errorf("the report lacks the reason: %v\n%s", err, data)
	}
}
