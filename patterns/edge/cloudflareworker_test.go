package edge_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

const (
	cloudflareAccount = "023e105f4ecef8ad9ca31a8372d0c353"
	cloudflareZone    = "9a7806061c88ada191ed06f989cc3dac"
	cloudflareModule  = "export default { fetch: () => new Response('here') }"
)

const secretARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"

func cloudflareSecret(scope constructs.Construct, id string) awssecretsmanager.ISecret {
	return awssecretsmanager.Secret_FromSecretCompleteArn(scope, &id, jsii.String(secretARN+id+"-AbCdEf"))
}

func TestCloudflareWorkerDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	w := edge.NewCloudflareWorker(stack, "Router", &edge.CloudflareWorkerProps{
		AccountID: cloudflareAccount,
		Token:     awssecretsmanager.NewSecret(stack, jsii.String("Token"), nil),
		Module:    cloudflareModule,
	})
	if w.Name() != "router" {
		t.Errorf("the script's name is %q", w.Name())
	}
	cdktest.Golden(t, stack)
}

// TestCloudflareWorkerAdopted takes secrets and a namespace that are there.
func TestCloudflareWorkerAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	edge.NewCloudflareWorker(stack, "Router", &edge.CloudflareWorkerProps{
		AccountID:  cloudflareAccount,
		Token:      cloudflareSecret(stack, "token"),
		Module:     cloudflareModule,
		Secrets:    map[string]edge.CloudflareSecret{"KEY": {Secret: cloudflareSecret(stack, "key")}},
		Namespaces: map[string]string{"SESSIONS": "0f2ac74b498b48028cb68387c421e279"},
		Alarms:     edge.CloudflareWorkerAlarms{NotRestored: alarm.Tuning{Off: true}, Deployer: function.Alarms{Off: true}},
	})
	cdktest.Golden(t, stack)
}

func TestCloudflareWorkerEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	file := filepath.Join(t.TempDir(), "worker.mjs")
	if err := os.WriteFile(file, []byte(cloudflareModule), 0o644); err != nil {
		t.Fatal(err)
	}
	topic := awssns.NewTopic(stack, jsii.String("Operators"), nil)
	threshold := 2.0
	w := edge.NewCloudflareWorker(stack, "Router", &edge.CloudflareWorkerProps{
		AccountID:          *awscdk.NewCfnParameter(stack, jsii.String("Account"), nil).ValueAsString(),
		Token:              cloudflareSecret(stack, "token"),
		TokenField:         "token",
		Name:               "edge-router",
		File:               file,
		CompatibilityDate:  "2026-06-01",
		CompatibilityFlags: []string{"nodejs_compat"},
		Variables:          map[string]string{"STAGE": "prod", "TOPIC": *topic.TopicArn()},
		Secrets:            map[string]edge.CloudflareSecret{"KEY": {Secret: cloudflareSecret(stack, "key"), Field: "hmac"}},
		Entries:            map[string]map[string]string{"TABLE": {"country:DE": "eu"}},
		Namespaces:         map[string]string{"SESSIONS": "0f2ac74b498b48028cb68387c421e279"},
		Routes:             []edge.CloudflareRoute{{ZoneID: cloudflareZone, Pattern: "example.com/api/*"}},
		Domains:            []edge.CloudflareDomain{{ZoneID: cloudflareZone, Hostname: "api.example.com"}},
		Steps:              []edge.CloudflareStep{{Percentage: 1.5, Wait: 90 * time.Second}, {Percentage: 50, Wait: 2 * time.Minute}},
		Probe:              "https://api.example.com/health",
		Revision:           "7",
		Alarms:             edge.CloudflareWorkerAlarms{Topic: topic, NotRestored: alarm.Tuning{Threshold: &threshold}},
		DeployerProps:      &awslambda.FunctionProps{MemorySize: jsii.Number(512), Timeout: awscdk.Duration_Seconds(jsii.Number(1))},
	})
	awscdk.NewCfnOutput(stack, jsii.String("Version"), &awscdk.CfnOutputProps{Value: jsii.String(w.Version())})
	cdktest.Golden(t, stack)

	// The code is no property: it lies beside the template.
	files, err := filepath.Glob(filepath.Join(cdktest.Outdir(stack), "asset.*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("assets %v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var code schema.CloudflareCode
	if err := json.Unmarshal(data, &code); err != nil {
		t.Fatal(err)
	}
	want := schema.CloudflareCode{Module: cloudflareModule, CompatibilityDate: "2026-06-01", CompatibilityFlags: []string{"nodejs_compat"},
		Entries: map[string]map[string]string{"TABLE": {"country:DE": "eu"}}}
	if diff := cmp.Diff(want, code); diff != "" {
		t.Errorf("the code (-want +got):\n%s", diff)
	}
}

func TestCloudflareWorkerIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	w := edge.NewCloudflareWorker(stack, "Router", &edge.CloudflareWorkerProps{
		AccountID: cloudflareAccount, Token: cloudflareSecret(stack, "token"), Module: cloudflareModule})
	if w.Deployer() == nil || w.Asset() == nil || w.Resource() == nil || w.NotRestoredAlarm() == nil {
		t.Error("an accessor returns nothing")
	}
	cdktest.IsConstruct(t, w)
}

// TestCloudflareWorkerGrants asks what the deployer may do.
func TestCloudflareWorkerGrants(t *testing.T) {
	stack := cdktest.NewStack(t)
	edge.NewCloudflareWorker(stack, "Router", &edge.CloudflareWorkerProps{
		AccountID: cloudflareAccount, Token: cloudflareSecret(stack, "token"), Module: cloudflareModule,
		Secrets: map[string]edge.CloudflareSecret{"KEY": {Secret: cloudflareSecret(stack, "key")}},
	})
	template := iam.NewSynthesized(t, cdktest.Synth(t, stack), "123456789012", "eu-west-1")
	role, worker := template.Role(""), template.ID("Custom::CloudflareWorker", "")
	bucket, key := fmt.Sprint("arn:aws:s3:::", template.Property(worker, "Bucket")), fmt.Sprint(template.Property(worker, "Key"))
	for _, tt := range []struct {
		action, resource string
		want             bool
	}{
		{"s3:GetObject", bucket + "/" + key, true},
		{"s3:GetObject", bucket + "/another.json", false},
		{"s3:PutObject", bucket + "/" + key, false},
		{"s3:ListBucket", bucket, false},
		{"secretsmanager:GetSecretValue", secretARN + "token-AbCdEf", true},
		{"secretsmanager:GetSecretValue", secretARN + "key-AbCdEf", true},
		{"secretsmanager:GetSecretValue", secretARN + "other-AbCdEf", false},
		{"secretsmanager:PutSecretValue", secretARN + "token-AbCdEf", false},
		{"lambda:InvokeFunction", "*", false},
	} {
		got := iam.Evaluate(iam.Request{Principal: iam.Principal{ARN: role.ARN},
			Action: tt.action, Resource: tt.resource}, iam.Policies{Identity: role.Policies})
		if got.Allowed != tt.want {
			t.Errorf("%s on %s is allowed: %v, want %v", tt.action, tt.resource, got.Allowed, tt.want)
		}
	}
}

// A deployment's event never runs twice, nor after CloudFormation gave it up.
func TestCloudflareWorkerRunsOnce(t *testing.T) {
	stack := cdktest.NewStack(t)
	edge.NewCloudflareWorker(stack, "Router", &edge.CloudflareWorkerProps{
		AccountID: cloudflareAccount, Token: cloudflareSecret(stack, "token"), Module: cloudflareModule,
		Steps:         []edge.CloudflareStep{{Percentage: 10, Wait: 10 * time.Minute}},
		DeployerProps: &awslambda.FunctionProps{RetryAttempts: jsii.Number(2)},
	})
	template := cdktest.Synth(t, stack)
	template.One(t, "AWS::Lambda::EventInvokeConfig", cdktest.Match{"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60})
	template.One(t, "AWS::Lambda::Function", cdktest.Match{"Timeout": 900, "DeadLetterConfig": cdktest.Any()})
	template.One(t, "Custom::CloudflareWorker", cdktest.Match{"ServiceTimeout": "1020"})
}

func TestCloudflareWorkerRejects(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*edge.CloudflareWorkerProps, awscdk.Stack)
		want   []string
	}{
		"nothing": {func(p *edge.CloudflareWorkerProps, _ awscdk.Stack) { *p = edge.CloudflareWorkerProps{} },
			[]string{"AccountID", "Token is not set", "Module and File"}},
		"both":    {func(p *edge.CloudflareWorkerProps, _ awscdk.Stack) { p.File = "worker.mjs" }, []string{"Module and File", "exactly one"}},
		"no file": {func(p *edge.CloudflareWorkerProps, _ awscdk.Stack) { p.Module, p.File = "", "none.mjs" }, []string{`File is "none.mjs"`}},
		"names": {func(p *edge.CloudflareWorkerProps, _ awscdk.Stack) {
			p.Name, p.CompatibilityDate, p.Probe = "My Worker", "today", "http://example.com"
		}, []string{`Name is "My Worker"`, `CompatibilityDate is "today"`, `Probe is "http://example.com"`}},
		"token in the module": {func(p *edge.CloudflareWorkerProps, stack awscdk.Stack) { p.Module += *stack.StackId() },
			[]string{"Module is with a token in it", "Variables"}},
		"token in an entry": {func(p *edge.CloudflareWorkerProps, stack awscdk.Stack) {
			p.Entries = map[string]map[string]string{"TABLE": {"a": *stack.StackId()}}
		}, []string{`Entries["TABLE"] is "a"`, "known now"}},
		"bindings": {func(p *edge.CloudflareWorkerProps, _ awscdk.Stack) {
			p.Variables = map[string]string{"A": "1", "a-b": "2"}
			p.Secrets = map[string]edge.CloudflareSecret{"A": {}}
			p.Namespaces = map[string]string{"N": "sessions"}
			p.Entries = map[string]map[string]string{"E": {strings.Repeat("k", 513): "1"}}
		}, []string{`Variables["a-b"]`, `Secrets["A"]`, `Variables["A"] has it`, `Secrets["A"].Secret is not set`, `Namespaces["N"] is "sessions"`, `Entries["E"]`, "512"}},
		"addresses": {func(p *edge.CloudflareWorkerProps, _ awscdk.Stack) {
			p.Routes = []edge.CloudflareRoute{{ZoneID: "z", Pattern: "a b"}, {ZoneID: cloudflareZone, Pattern: "a b"}}
			p.Domains = []edge.CloudflareDomain{{ZoneID: cloudflareZone, Hostname: "https://example.com"}, {ZoneID: cloudflareZone, Hostname: "https://example.com"}}
		}, []string{`Routes[0].ZoneID is "z"`, `Routes[0].Pattern is "a b"`, "each pattern once", `Domains[0].Hostname is "https://example.com"`, "each host name once"}},
		"steps": {func(p *edge.CloudflareWorkerProps, _ awscdk.Stack) {
			p.Steps = []edge.CloudflareStep{{Percentage: 50, Wait: 6 * time.Minute}, {Percentage: 10, Wait: 6 * time.Minute}, {Percentage: 100, Wait: -1}}
		}, []string{"Steps[1].Percentage is 10", "Steps[2].Percentage is 100", "Steps[2].Wait", "Steps is 11m59s", "10m0s together"}},
		"alarm": {func(p *edge.CloudflareWorkerProps, _ awscdk.Stack) {
			p.Alarms.NotRestored.Periods, p.Alarms.Deployer.Errors.Periods = -1, -1
		},
			[]string{"Alarms.NotRestored.Periods is -1", "Alarms.Deployer.Errors.Periods is -1"}},
		"log group": {func(p *edge.CloudflareWorkerProps, stack awscdk.Stack) {
			p.DeployerProps = &awslambda.FunctionProps{LogGroup: awslogs.NewLogGroup(stack, jsii.String("Logs"), nil)}
		}, []string{"DeployerProps.LogGroup is set"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			p := &edge.CloudflareWorkerProps{AccountID: cloudflareAccount, Token: cloudflareSecret(stack, "token"), Module: cloudflareModule}
			test.change(p, stack)
			cdktest.Rejects(t, func() { edge.NewCloudflareWorker(stack, "Router", p) }, append(slices.Clone(test.want), "Test/Router")...)
		})
	}
	cdktest.Rejects(t, func() { edge.NewCloudflareWorker(cdktest.NewStack(t), "Router", nil) }, "Test/Router", "AccountID")
}

// The template names the secrets and holds nothing of them.
func TestCloudflareWorkerShowsNoSecret(t *testing.T) {
	stack := cdktest.NewStack(t)
	edge.NewCloudflareWorker(stack, "Router", &edge.CloudflareWorkerProps{
		AccountID: cloudflareAccount, Token: awssecretsmanager.NewSecret(stack, jsii.String("Token"), nil), Module: cloudflareModule,
		Secrets: map[string]edge.CloudflareSecret{"KEY": {Secret: awssecretsmanager.NewSecret(stack, jsii.String("Key"), nil)}},
	})
	template := cdktest.Synth(t, stack)
	data, err := json.Marshal(template)
	if err != nil || strings.Contains(string(data), "resolve:secretsmanager") {
		t.Errorf("the template resolves a secret, %v", err)
	}
	given := template.One(t, "Custom::CloudflareWorker", nil).Properties["Secrets"].(map[string]any)
	if got := slices.Collect(maps.Keys(given["KEY"].(map[string]any))); !slices.Equal(got, []string{"Arn"}) {
		t.Errorf("of the secret the deployer is told %v", got)
	}
}

func ExampleNewCloudflareWorker() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Edge"), nil)
	edge.NewCloudflareWorker(stack, "Router", &edge.CloudflareWorkerProps{
		AccountID: "023e105f4ecef8ad9ca31a8372d0c353",
		Token:     awssecretsmanager.Secret_FromSecretNameV2(stack, jsii.String("Token"), jsii.String("cloudflare/deploy")),
		Module:    `export default { fetch: (request, env) => new Response(env.STAGE) }`,
		Variables: map[string]string{"STAGE": "prod"},
		Domains:   []edge.CloudflareDomain{{ZoneID: "9a7806061c88ada191ed06f989cc3dac", Hostname: "api.example.com"}},
		Steps:     []edge.CloudflareStep{{Percentage: 10, Wait: time.Minute}},
		Probe:     "https://api.example.com/health",
	})
}
