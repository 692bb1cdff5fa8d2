package orchestration_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/api"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/openwhisktest"
	actions "github.com/serverless-go/cdk/patterns/orchestration/openwhisk/testdata/shop"
	"github.com/serverless-go/cdk/test/cdktest"
)

func openwhiskKey(scope constructs.Construct) awssecretsmanager.ISecret {
	return awssecretsmanager.Secret_FromSecretCompleteArn(scope, jsii.String("Key"),
		jsii.String("arn:aws:secretsmanager:eu-west-1:123456789012:secret:openwhisk-AbCdEf"))
}

// checkout reserves and charges, and undoes when the card is declined.
func checkout(reserve, charge, undo *string) map[string]any {
	invoke := func(function *string, more map[string]any) map[string]any {
		state := map[string]any{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
			"Arguments": map[string]any{"FunctionName": function, "Payload": "{% $order %}"}}
		maps.Copy(state, more)
		return state
	}
	return map[string]any{
		"StartAt": "Start",
		"States": map[string]any{
			"Start": map[string]any{"Type": "Pass", "Assign": map[string]any{"order": "{% $states.input %}"}, "Next": "Book"},
			"Book": map[string]any{"Type": "Parallel",
				"Branches": []any{
					map[string]any{"StartAt": "Reserve", "States": map[string]any{"Reserve": invoke(reserve, map[string]any{
						"Retry": []any{map[string]any{"ErrorEquals": []string{"Busy"}, "IntervalSeconds": 1, "MaxAttempts": 1}}, "End": true})}},
					map[string]any{"StartAt": "Charge", "States": map[string]any{"Charge": map[string]any{
						"Type": "Task", "Resource": charge, "End": true}}},
				},
				"Catch": []any{map[string]any{"ErrorEquals": []string{"Declined"}, "Next": "Undo"}},
				"End":   true},
			"Undo":   invoke(undo, map[string]any{"Next": "Failed"}),
			"Failed": map[string]any{"Type": "Fail", "Error": "Undone"},
		},
	}
}

func openwhiskEntry(name string) orchestration.OpenWhiskFunction {
	return orchestration.OpenWhiskFunction{Entry: "example.com/shop/actions/" + name}
}

func TestOpenWhiskDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	o := orchestration.NewOpenWhisk(stack, "Checkout", &orchestration.OpenWhiskProps{
		Definition:  checkout(jsii.String("reserve"), jsii.String("arn:aws:lambda:eu-west-1:123456789012:function:charge"), jsii.String("undo")),
		Functions:   map[string]orchestration.OpenWhiskFunction{"reserve": openwhiskEntry("reserve"), "charge": openwhiskEntry("charge"), "undo": openwhiskEntry("undo")},
		APIHost:     "https://openwhisk.example.com",
		Credentials: openwhiskKey(stack),
	})
	if o.Sequence() {
		t.Error("a workflow with Parallel is a sequence")
	}
	cdktest.Golden(t, stack)
}

func TestOpenWhiskEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	vpc := awsec2.NewVpc(stack, jsii.String("Network"), &awsec2.VpcProps{
		MaxAzs: jsii.Number(1), NatGateways: jsii.Number(0), RestrictDefaultSecurityGroup: jsii.Bool(false),
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{{Name: jsii.String("Inner"), SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED}},
	})
	o := orchestration.NewOpenWhisk(stack, "Checkout", &orchestration.OpenWhiskProps{
		File: filepath.Join("openwhisk", "testdata", "linear.asl.json"),
		Functions: map[string]orchestration.OpenWhiskFunction{
			"Price": {Entry: "example.com/shop/actions/all", Name: "price", Memory: 128, Timeout: 10 * time.Second},
			"audit": {Action: "/whisk.system/audit/note"},
			"pack":  openwhiskEntry("pack"),
		},
		APIHost:           "https://openwhisk.example.com:31001",
		Credentials:       awssecretsmanager.NewSecret(stack, jsii.String("Key"), nil),
		CredentialsField:  "auth",
		Package:           "shop",
		Name:              "checkout",
		Runtime:           "go:1.21",
		Memory:            512,
		ActivationTimeout: time.Minute,
		Triggers:          map[string]map[string]any{"orders": {"shop": "Paris"}, "nights": nil},
		DeployerProps:     &awslambda.FunctionProps{Vpc: vpc, VpcSubnets: &awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED}},
	})
	if !o.Sequence() {
		t.Error("a linear workflow is no sequence")
	}
	manifest, err := os.ReadFile(filepath.Join(o.Bundle(), "manifest.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile(filepath.Join("testdata", "openwhisk-manifest.yaml"))
	if diff := cmp.Diff(string(golden), string(manifest)); err != nil || diff != "" {
		t.Errorf("manifest.yaml: %v (-want +got):\n%s", err, diff)
	}
	awscdk.NewCfnOutput(stack, jsii.String("Action"), &awscdk.CfnOutputProps{Value: jsii.String(o.Action())})
	awscdk.NewCfnOutput(stack, jsii.String("Namespace"), &awscdk.CfnOutputProps{Value: jsii.String(o.Namespace())})
	cdktest.Golden(t, stack)
}

func TestOpenWhiskIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	o := orchestration.NewOpenWhisk(stack, "Checkout", &orchestration.OpenWhiskProps{
		Definition:  map[string]any{"StartAt": "A", "States": map[string]any{"A": map[string]any{"Type": "Succeed"}}},
		APIHost:     "https://openwhisk.example.com",
		Credentials: openwhiskKey(stack),
	})
	cdktest.IsConstruct(t, o)
	if o.Deployer() == nil || o.Asset() == nil || o.Resource() == nil {
		t.Error("an accessor returns nothing")
	}
}

// TestOpenWhiskManifestIsAnOutput finds the manifest in the cloud assembly.
func TestOpenWhiskManifestIsAnOutput(t *testing.T) {
	stack := cdktest.NewStack(t)
	orchestration.NewOpenWhisk(stack, "Checkout", &orchestration.OpenWhiskProps{
		Definition:  map[string]any{"StartAt": "A", "States": map[string]any{"A": map[string]any{"Type": "Succeed"}}},
		APIHost:     "https://openwhisk.example.com",
		Credentials: openwhiskKey(stack),
	})
	cdktest.Synth(t, stack)
	found, err := filepath.Glob(filepath.Join(cdktest.Outdir(stack), "asset.*", "manifest.yaml"))
	if err != nil || len(found) != 1 {
		t.Errorf("manifests %v, %v", found, err)
	}
}

// TestOpenWhiskRunsAsStepFunctions gives one definition, with tokens for its
// functions, to Step Functions and to OpenWhisk, and runs what was synthesized
// for each.
func TestOpenWhiskRunsAsStepFunctions(t *testing.T) {
	stack := cdktest.NewStack(t)
	reserve := handler(stack, "Reserve").Lambda().FunctionName()
	charge := handler(stack, "Charge").Lambda().FunctionArn()
	undo := handler(stack, "Undo").Lambda().FunctionArn()
	definition := checkout(reserve, charge, undo)
	orchestration.NewWorkflow(stack, "Here", &orchestration.WorkflowProps{Definition: definition})
	o := orchestration.NewOpenWhisk(stack, "There", &orchestration.OpenWhiskProps{
		Definition:  definition,
		Functions:   map[string]orchestration.OpenWhiskFunction{*reserve: openwhiskEntry("reserve"), *charge: openwhiskEntry("charge"), "Undo": openwhiskEntry("undo")},
		APIHost:     "https://openwhisk.example.com",
		Credentials: openwhiskKey(stack),
		Package:     "shop",
		Trace:       true,
	})
	here := machine(t, cdktest.Synth(t, stack), "Here")
	there := openwhiskDouble(t, o.Bundle())

	for name, input := range map[string]any{
		"booked":   map[string]any{"id": "1", "card": "visa"},
		"retried":  map[string]any{"id": "2", "busy": 1},
		"busy":     map[string]any{"id": "3", "busy": 5},
		"declined": map[string]any{"id": "4", "card": "declined"},
	} {
		s := new(actions.Shop)
		in := asl.Interpreter{Tasks: map[string]asl.Handler{
			"Reserve": asl.Lambda(s.Reserve), "Charge": asl.Lambda(s.Charge), "Undo": asl.Lambda(s.Undo)}}
		x, err := in.Run(t.Context(), here, input)
		if err != nil {
			t.Fatal(err)
		}
		states, failure := there(t, input)
		var want []string
		for _, v := range x.Trace() {
			want = append(want, v.Path+"/"+v.State)
		}
		var cause *asl.Error
		wanted := ""
		if errors.As(x.Err(), &cause) {
			wanted = cause.Name
		}
		if !slices.Equal(states, want) || failure != wanted {
			t.Errorf("%s: OpenWhisk visits %v and fails with %q, Step Functions %v and %q", name, states, failure, want, wanted)
		}
	}
}

// openwhiskDouble deploys a bundle that was synthesized without code, with code
// for this machine, and returns how to run its workflow.
func openwhiskDouble(t *testing.T, bundle string) func(*testing.T, any) ([]string, string) {
	t.Helper()
	b := &openwhisk.Bundle{Executables: map[string]string{}}
	for name, out := range map[string]any{"deployment.json": &b.Deployment, "workflow.json": &b.Workflow} {
		data, err := os.ReadFile(filepath.Join(bundle, name))
		if err == nil {
			err = json.Unmarshal(data, out)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	build := func(pkg string) string {
		file := filepath.Join(dir, filepath.Base(pkg))
		cmd := exec.Command("go", "build", "-o", file, "github.com/serverless-go/cdk/"+pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", pkg, err, out)
		}
		return file
	}
	action := build("patterns/orchestration/openwhisk/testdata/shop/action")
	for _, spec := range b.Deployment.Actions {
		b.Executables[spec.Name] = action
	}
	b.Executables["workflow"] = build("functions/openwhiskconductor")
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	server := openwhisktest.New(t)
	key, err := api.ParseKey(openwhisktest.Auth)
	if err != nil {
		t.Fatal(err)
	}
	client := &api.Client{Host: server.URL, Key: key, Attempts: 1}
	if err := (&api.Deployer{Client: client, Owner: "test"}).Apply(t.Context(), b.Deployment, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, input any) (states []string, failure string) {
		before := len(server.Activations())
		_, _ = client.Invoke(t.Context(), b.Deployment.Package, "workflow", input) // the record tells how it ended
		records := server.Activations()[before:]
		for _, record := range records {
			for _, line := range record["logs"].([]string) {
				var entry struct{ Visit *asl.Visit }
				if json.Unmarshal([]byte(line), &entry) == nil && entry.Visit != nil {
					states = append(states, entry.Visit.Path+"/"+entry.Visit.State)
				}
			}
		}
		result, _ := records[len(records)-1]["response"].(map[string]any)["result"].(map[string]any)
		if e, ok := result["error"].(map[string]any); ok {
			failure, _ = e["errorType"].(string)
		}
		return states, failure
	}
}

func TestOpenWhiskRejects(t *testing.T) {
	task := func(resource string, more map[string]any) map[string]any {
		state := map[string]any{"Type": "Task", "Resource": resource, "End": true}
		maps.Copy(state, more)
		return map[string]any{"StartAt": "Bad", "States": map[string]any{"Bad": state}}
	}
	const arn = "arn:aws:lambda:eu-west-1:123456789012:function:f"
	for name, test := range map[string]struct {
		change func(*orchestration.OpenWhiskProps, awscdk.Stack)
		want   []string
	}{
		"nothing": {func(p *orchestration.OpenWhiskProps, _ awscdk.Stack) { *p = orchestration.OpenWhiskProps{} },
			[]string{"APIHost", "Credentials", "Definition and File"}},
		"plain HTTP": {func(p *orchestration.OpenWhiskProps, _ awscdk.Stack) { p.APIHost = "http://openwhisk.example.com" },
			[]string{`APIHost is "http://openwhisk.example.com"`, "https://"}},
		"names": {func(p *orchestration.OpenWhiskProps, _ awscdk.Stack) {
			p.Package, p.Name, p.Runtime, p.Triggers = "a/b", "-", "nodejs:20", map[string]map[string]any{"a b": nil}
		}, []string{`Package is "a/b"`, `Name is "-"`, `Runtime is "nodejs:20"`, `Triggers is "a b"`}},
		"function": {func(p *orchestration.OpenWhiskProps, _ awscdk.Stack) {
			p.Functions = map[string]orchestration.OpenWhiskFunction{"f": {}, "g": {Action: "echo", Memory: 1}, "h": {Entry: "example.com/workflow", Timeout: time.Hour}}
		}, []string{`Functions["f"].Entry`, `Functions["g"].Action`, "set alone", "a full name", `Functions["h"].Timeout is 1h0m0s`, "another name than the workflow's"}},
		"same name": {func(p *orchestration.OpenWhiskProps, _ awscdk.Stack) {
			p.Functions = map[string]orchestration.OpenWhiskFunction{"f": {Entry: "example.com/a/f"}, "g": {Entry: "example.com/b/f"}}
		}, []string{`Functions["g"].Name`, "a name of its own"}},
		"sync": {func(p *orchestration.OpenWhiskProps, _ awscdk.Stack) {
			p.Definition = task("arn:aws:states:::glue:startJobRun.sync", nil)
		}, []string{`state "Bad", field Resource`, "cannot wait for a job"}},
		"task token": {func(p *orchestration.OpenWhiskProps, _ awscdk.Stack) {
			p.Definition = task("arn:aws:states:::sqs:sendMessage.waitForTaskToken", nil)
		}, []string{`state "Bad", field Resource`, "no task tokens"}},
		"unmapped": {func(p *orchestration.OpenWhiskProps, _ awscdk.Stack) { p.Functions = nil },
			[]string{`state "Bad", field Resource`, "no action is given"}},
		"unused": {func(p *orchestration.OpenWhiskProps, _ awscdk.Stack) { p.Functions["typo"] = openwhiskEntry("typo") },
			[]string{"no state calls the function typo"}},
		"token in data": {func(p *orchestration.OpenWhiskProps, stack awscdk.Stack) {
			p.Definition = task(arn, map[string]any{"Arguments": map[string]any{"table": []any{handler(stack, "F").Lambda().FunctionName()}}})
		}, []string{`state "Bad", field Arguments.table[0]`, "known to CloudFormation only"}},
		"no ASL": {func(p *orchestration.OpenWhiskProps, _ awscdk.Stack) { p.Definition = map[string]any{"StartAt": "A"} },
			[]string{"States", "is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			p := &orchestration.OpenWhiskProps{
				Definition:  task(arn, nil),
				Functions:   map[string]orchestration.OpenWhiskFunction{"f": openwhiskEntry("f")},
				APIHost:     "https://openwhisk.example.com",
				Credentials: openwhiskKey(stack),
			}
			test.change(p, stack)
			cdktest.Rejects(t, func() { orchestration.NewOpenWhisk(stack, "Checkout", p) }, append(test.want, "Test/Checkout")...)
		})
	}
}

// The template names the secret and holds nothing of it.
func TestOpenWhiskShowsNoCredentials(t *testing.T) {
	stack := cdktest.NewStack(t)
	orchestration.NewOpenWhisk(stack, "Checkout", &orchestration.OpenWhiskProps{
		Definition:  map[string]any{"StartAt": "A", "States": map[string]any{"A": map[string]any{"Type": "Succeed"}}},
		APIHost:     "https://openwhisk.example.com",
		Credentials: awssecretsmanager.NewSecret(stack, jsii.String("Key"), nil),
	})
	template := cdktest.Synth(t, stack)
	data, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "{{resolve:secretsmanager") {
		t.Error("the template resolves the secret")
	}
}

func ExampleNewOpenWhisk() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	reserve := handler(stack, "Reserve").Lambda().FunctionArn()
	definition := map[string]any{
		"StartAt": "Reserve",
		"States":  map[string]any{"Reserve": map[string]any{"Type": "Task", "Resource": reserve, "End": true}},
	}
	// The same workflow, in AWS and in a cluster of one's own.
	orchestration.NewWorkflow(stack, "Checkout", &orchestration.WorkflowProps{Definition: definition})
	orchestration.NewOpenWhisk(stack, "CheckoutAtHome", &orchestration.OpenWhiskProps{
		Definition: definition,
		Functions: map[string]orchestration.OpenWhiskFunction{
			*reserve: {Entry: "example.com/shop/actions/reserve"},
		},
		APIHost:     "https://openwhisk.example.com",
		Credentials: awssecretsmanager.Secret_FromSecretNameV2(stack, jsii.String("Key"), jsii.String("openwhisk/shop")),
	})
}
