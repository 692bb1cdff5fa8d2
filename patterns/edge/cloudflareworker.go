package edge

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/asset"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
)

// CloudflareWorkerProps says which Worker is deployed, where it answers and how
// a new version takes over. Exactly one of Module and File is set.
type CloudflareWorkerProps struct {
	// AccountID is the Cloudflare account's, 32 hexadecimal digits. Required.
	AccountID string
	// Token holds an API token that may edit Workers Scripts and Workers KV
	// Storage of the account, and Workers Routes of the zones. It is read when
	// the stack is deployed and deleted, and never is in the template, a
	// property or a log. Required.
	Token awssecretsmanager.ISecret
	// TokenField is the field of a secret in JSON that holds the token.
	//
	// Default: the whole secret is the token.
	TokenField string
	// Name is the script's in the account. Another name is another script: the
	// addresses move to it, and the old one is deleted.
	//
	// Default: the construct's id in lower case.
	Name string

	// Module is the text of the script, an ECMAScript module such as package
	// routing compiles. It can hold no tokens: what the stack knows goes into
	// Variables. Set Module or File, not both.
	Module string
	// File is the path of that module. Set Module or File, not both.
	File string
	// CompatibilityDate fixes the behaviour of Cloudflare's runtime, as
	// "2006-01-02"
	// (https://developers.cloudflare.com/workers/configuration/compatibility-dates/).
	//
	// Default: "2026-01-01".
	CompatibilityDate string
	// CompatibilityFlags change single parts of that behaviour.
	//
	// Default: none.
	CompatibilityFlags []string

	// Variables are texts by the name that the script finds them under in its
	// env. Anybody who may read the template reads them: no secrets.
	//
	// Default: none.
	Variables map[string]string
	// Secrets are read when the stack is deployed, and kept by Cloudflare where
	// nobody can read them. A secret that was rotated reaches the Worker at the
	// next change of the resource, see Revision.
	//
	// Default: none.
	Secrets map[string]CloudflareSecret
	// Entries are the contents of key-value namespaces by the name that the
	// script finds them under, such as a routing table's. Each content has a
	// namespace of its own, so that a version never sees another's.
	//
	// Default: none.
	Entries map[string]map[string]string
	// Namespaces are the IDs of key-value namespaces that are there already.
	// They are neither changed nor deleted.
	//
	// Default: none.
	Namespaces map[string]string

	// Routes give requests of a zone to the Worker, in front of its origin.
	//
	// Default: none.
	Routes []CloudflareRoute
	// Domains give host names to the Worker, which then is the origin.
	//
	// Default: none.
	Domains []CloudflareDomain

	// Steps let a new version answer a rising part of the requests before it
	// answers all of them. When a step fails, the former version answers
	// everything again. Waits may take 10 minutes together.
	//
	// Default: none, it answers all requests at once.
	Steps []CloudflareStep
	// Probe is an address of the Worker that is asked for an answer below 400
	// from the new version after each step; otherwise the deployment fails.
	//
	// Default: nothing is asked.
	Probe string
	// Revision has no meaning but that another one is deployed again, with the
	// secrets as they are then.
	//
	// Default: none.
	Revision string

	// Alarms tunes the alarms.
	//
	// Default: all are made and notify nobody.
	Alarms CloudflareWorkerAlarms
	// DeployerProps are the CDK's props of the function that deploys, such as a
	// VPC. They cannot set the log group, which the alarm reads.
	//
	// Default: none.
	DeployerProps *awslambda.FunctionProps
}

// CloudflareWorkerAlarms tunes the alarms of a [CloudflareWorker].
type CloudflareWorkerAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// NotRestored counts the deployments that failed and left something behind
	// in Cloudflare.
	//
	// Default: one in a minute.
	NotRestored alarm.Tuning
	// Deployer tunes the alarms of the function that deploys.
	//
	// Default: all are made, and tell the Topic here.
	Deployer function.Alarms
}

func (a CloudflareWorkerAlarms) check(c *props.Check) {
	c.Nested("NotRestored", a.NotRestored.Check)
	c.Nested("Deployer", a.Deployer.Check)
}

// CloudflareSecret is a secret that a Worker is given.
type CloudflareSecret struct {
	// Secret holds the text. Required.
	Secret awssecretsmanager.ISecret
	// Field is the field of a secret in JSON.
	//
	// Default: the whole secret.
	Field string
}

// CloudflareRoute gives the requests of a zone that match a pattern to a Worker.
type CloudflareRoute struct {
	// ZoneID is the zone's, 32 hexadecimal digits. Required.
	ZoneID string
	// Pattern is a host name and a path, such as "example.com/api/*". Required.
	Pattern string
}

// CloudflareDomain gives a host name to a Worker, with DNS record and certificate.
type CloudflareDomain struct {
	// ZoneID is the zone's, 32 hexadecimal digits. Required.
	ZoneID string
	// Hostname is within the zone, such as "api.example.com". Required.
	Hostname string
}

// CloudflareStep is a part of a gradual deployment.
type CloudflareStep struct {
	// Percentage of the requests that the new version answers, between 0 and 100.
	// Required.
	Percentage float64
	// Wait is how long it does, before it is asked and the next step follows.
	//
	// Default: 0.
	Wait time.Duration
}

// CloudflareWorker deploys a module to Cloudflare Workers, with its variables,
// secrets, key-value entries, routes and custom domains.
//
// A custom resource deploys when the stack is, through Cloudflare's API
// (https://developers.cloudflare.com/api/resources/workers/). A deployment that
// fails is put back as it was. What it did not make is left alone: a script,
// route or domain that belongs to another makes the deployment fail.
// See docs/edge-cloudflare.md.
//
// In AWS it costs the seconds of the function at each deployment, up to five
// alarms, and 0.40 USD a month for each secret
// (https://aws.amazon.com/secrets-manager/pricing/).
type CloudflareWorker struct {
	constructs.Construct
	name     string
	deployer *function.Function
	asset    awss3assets.Asset
	resource awscdk.CustomResource
	alarm    awscloudwatch.CfnAlarm
}

const (
	// cloudflareEntry is the function that deploys.
	cloudflareEntry = "github.com/serverless-go/cdk/functions/cloudflareworker"
	// cloudflareTimeout is how long a deployment may take, with the way back and
	// without the waits of its steps.
	cloudflareTimeout = 5 * time.Minute
	// cloudflareWaits is what Lambda's 15 minutes leave for them.
	cloudflareWaits = 10 * time.Minute
	// cloudflareMetrics is the namespace of the metric of what was left behind.
	cloudflareMetrics = "ServerlessGo/Edge"
)

// NewCloudflareWorker deploys a Worker. It panics with a *[props.Error] when the
// props are wrong.
func NewCloudflareWorker(scope constructs.Construct, id string, p *CloudflareWorkerProps) *CloudflareWorker {
	if p == nil {
		p = &CloudflareWorkerProps{}
	}
	own := *p
	own.Name = construct.Or(own.Name, strings.ToLower(id))
	own.CompatibilityDate = construct.Or(own.CompatibilityDate, "2026-01-01")
	var c props.Check
	own.check(&c)
	c.Panic(scope, id)
	file, err := own.write()
	if err != nil {
		c.Wrong("Module", props.Words("not written"), "a folder for caches that can be written to", err.Error())
		c.Panic(scope, id)
	}
	w := &CloudflareWorker{name: own.Name}
	construct.Init(w, scope, id)
	w.asset = awss3assets.NewAsset(w, jsii.String("Code"), &awss3assets.AssetProps{
		Path:        &file,
		DisplayName: jsii.String("Cloudflare Worker " + own.Name),
	})
	timeout := cloudflareTimeout + own.waits()
	tuned := own.Alarms.Deployer
	tuned.Topic = construct.Or(tuned.Topic, own.Alarms.Topic)
	w.deployer = function.NewFunction(w, "Deployer", &function.Props{
		Entry:          cloudflareEntry,
		Description:    "Deploys a Worker to Cloudflare.",
		Timeout:        timeout,
		WithoutTracing: true,
		Alarms:         tuned,
		FunctionProps:  defaults.Deployer(w, timeout, own.DeployerProps), // what does not run goes to the dead letters
	})
	w.addGrants(&own)
	filter := w.addAlarm(&own)
	properties := own.properties(w.asset)
	w.resource = awscdk.NewCustomResource(w, jsii.String("Resource"), &awscdk.CustomResourceProps{
		ServiceToken:   construct.FunctionArn(w.deployer.Lambda()),
		ResourceType:   jsii.String("Custom::CloudflareWorker"),
		ServiceTimeout: construct.SharedDuration(w, defaults.DeployerWait(timeout)),
		Properties:     &properties,
	})
	w.resource.Node().AddDependency(w.deployer, filter) // its policy too, and what sees the first deployment fail
	return w
}

// addGrants lets the function read the code and the secrets, and nothing else.
func (w *CloudflareWorker) addGrants(p *CloudflareWorkerProps) {
	w.deployer.AddToPolicy([]string{"s3:GetObject"}, *w.asset.Bucket().ArnForObjects(w.asset.S3ObjectKey()))
	p.Token.GrantRead(w.deployer.GrantPrincipal(), nil)
	for _, name := range slices.Sorted(maps.Keys(p.Secrets)) {
		p.Secrets[name].Secret.GrantRead(w.deployer.GrantPrincipal(), nil)
	}
}

// addAlarm counts the deployments that left something behind, of which
// CloudFormation tells only that they failed. It returns what counts them.
func (w *CloudflareWorker) addAlarm(p *CloudflareWorkerProps) awslogs.CfnMetricFilter {
	metric := "NotRestored " + *construct.FunctionName(w.deployer.Lambda())
	filter := awslogs.NewCfnMetricFilter(w, jsii.String("NotRestored"), &awslogs.CfnMetricFilterProps{
		LogGroupName:  w.deployer.LogGroup(),
		FilterPattern: jsii.String(fmt.Sprintf("{ $.msg = %q }", schema.CloudflareNotRestored)),
		MetricTransformations: []any{&awslogs.CfnMetricFilter_MetricTransformationProperty{
			MetricNamespace: jsii.String(cloudflareMetrics),
			MetricName:      &metric,
			MetricValue:     jsii.String("1"),
			Unit:            jsii.String("Count"),
		}},
	})
	w.alarm = alarm.New(w, "NotRestoredAlarm", alarm.Alarm{
		Namespace: cloudflareMetrics,
		Metric:    metric,
		Statistic: "Sum",
		Threshold: 1,
		Description: "A deployment failed and Cloudflare could not be put back as it was: " +
			"the log of the function says what is left. Deploy again, or see docs/edge-cloudflare.md.",
	}, p.Alarms.NotRestored, p.Alarms.Topic)
	return filter
}

// properties returns what the function is told.
func (p *CloudflareWorkerProps) properties(code awss3assets.Asset) map[string]any {
	s := schema.CloudflareWorker{
		AccountID:  p.AccountID,
		Name:       p.Name,
		Token:      schema.CloudflareSecret{ARN: *p.Token.SecretArn(), Field: p.TokenField},
		Bucket:     *code.S3BucketName(),
		Key:        *code.S3ObjectKey(),
		Variables:  p.Variables,
		Namespaces: p.Namespaces,
		Probe:      p.Probe,
		Revision:   p.Revision,
		Secrets:    map[string]schema.CloudflareSecret{},
	}
	for name, secret := range p.Secrets {
		s.Secrets[name] = schema.CloudflareSecret{ARN: *secret.Secret.SecretArn(), Field: secret.Field}
	}
	for _, r := range p.Routes {
		s.Routes = append(s.Routes, schema.CloudflareRoute(r))
	}
	for _, d := range p.Domains {
		s.Domains = append(s.Domains, schema.CloudflareDomain(d))
	}
	for _, step := range p.Steps {
		s.Steps = append(s.Steps, schema.CloudflareStep{Percentage: step.Percentage, Seconds: step.Wait.Seconds()})
	}
	var properties map[string]any
	data, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(data, &properties)
	}
	if err != nil {
		panic(err) // texts and finite numbers marshal, and come back
	}
	return properties
}

// write writes the code into a file of the user's cache that is named by its
// content, and returns its path.
func (p *CloudflareWorkerProps) write() (string, error) {
	data, err := json.Marshal(schema.CloudflareCode{
		Module: p.Module, CompatibilityDate: p.CompatibilityDate, CompatibilityFlags: p.CompatibilityFlags, Entries: p.Entries,
	})
	if err != nil {
		return "", err
	}
	dir, err := asset.Cached("cloudflare")
	if err != nil {
		return "", err
	}
	return asset.File(dir, ".json", data)
}

func (p *CloudflareWorkerProps) waits() (sum time.Duration) {
	for _, s := range p.Steps {
		sum += s.Wait
	}
	return sum.Truncate(time.Second)
}

var (
	cloudflareID      = regexp.MustCompile(`^[0-9a-f]{32}$`)
	cloudflareName    = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	cloudflareBinding = regexp.MustCompile(`^[A-Za-z_$][\w$]*$`)
	cloudflareHost    = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+$`)
)

// cloudflareMaxKey is the longest key of Workers KV, in bytes
// (https://developers.cloudflare.com/kv/platform/limits/).
const cloudflareMaxKey = 512

// check records what is wrong, and reads File.
func (p *CloudflareWorkerProps) check(c *props.Check) {
	const ids = "32 hexadecimal digits, lower case"
	id := func(field, value string) {
		c.Require(construct.DeployTime(value) || cloudflareID.MatchString(value), field, value, ids, "the dashboard shows it")
	}
	id("AccountID", p.AccountID)
	c.Require(p.Token != nil, "Token", props.Unset, "a secret that holds an API token", "")
	c.Require(cloudflareName.MatchString(p.Name), "Name", p.Name, `lower-case letters, digits, "-" and "_", up to 63`, "")
	p.checkCode(c)
	p.checkBindings(c)
	addresses := map[string]bool{}
	for i, r := range p.Routes {
		field := fmt.Sprintf("Routes[%d].", i)
		id(field+"ZoneID", r.ZoneID)
		c.Require(r.Pattern != "" && !strings.ContainsAny(r.Pattern, "?# "), field+"Pattern", r.Pattern,
			`a host name and a path, such as "example.com/api/*"`, "")
		c.Require(!addresses[r.Pattern], field+"Pattern", r.Pattern, "each pattern once", "leave one out")
		addresses[r.Pattern] = true
	}
	addresses = map[string]bool{}
	for i, d := range p.Domains {
		field := fmt.Sprintf("Domains[%d].", i)
		id(field+"ZoneID", d.ZoneID)
		c.Require(construct.DeployTime(d.Hostname) || cloudflareHost.MatchString(d.Hostname), field+"Hostname", d.Hostname,
			`a host name in lower case, such as "api.example.com"`, "")
		c.Require(!addresses[d.Hostname], field+"Hostname", d.Hostname, "each host name once", "leave one out")
		addresses[d.Hostname] = true
	}
	last := 0.0
	for i, s := range p.Steps {
		field := fmt.Sprintf("Steps[%d].", i)
		c.Require(s.Percentage > last && s.Percentage < 100, field+"Percentage", s.Percentage,
			"more than the step before and less than 100", "the last step to 100 is made anyway")
		c.Require(s.Wait >= 0 && s.Wait <= cloudflareWaits, field+"Wait", s.Wait, fmt.Sprintf("0 to %s", cloudflareWaits), "")
		last = s.Percentage
	}
	c.Require(p.waits() <= cloudflareWaits, "Steps", p.waits(), fmt.Sprintf("waits of up to %s together", cloudflareWaits),
		"a function runs for 15 minutes at most")
	c.Require(p.Probe == "" || construct.DeployTime(p.Probe) || strings.HasPrefix(p.Probe, "https://"), "Probe", p.Probe,
		`an address with "https://"`, "")
	c.Nested("Alarms", p.Alarms.check)
	c.Require(p.DeployerProps == nil || p.DeployerProps.LogGroup == nil, "DeployerProps.LogGroup", props.Words("set"),
		"none", "the alarm reads the pattern's own")
}

func (p *CloudflareWorkerProps) checkCode(c *props.Check) {
	_, err := time.Parse(time.DateOnly, p.CompatibilityDate)
	c.Require(err == nil, "CompatibilityDate", p.CompatibilityDate, `a date such as "2026-01-01"`, "")
	if (p.Module == "") == (p.File == "") {
		c.Wrong("Module and File", props.Words("not one of them"), "exactly one", "")
		return
	}
	if p.File != "" {
		data, err := os.ReadFile(p.File)
		if err != nil {
			c.Wrong("File", p.File, "a file that can be read", err.Error())
			return
		}
		p.Module = string(data)
		c.Require(p.Module != "", "File", p.File, "a module", "it is empty")
	}
	c.Require(!construct.DeployTime(p.Module), "Module", props.Words("with a token in it"), "a text that is known now", "put the token into Variables")
}

// checkBindings checks what the script finds in its env, where each name is one
// thing.
func (p *CloudflareWorkerProps) checkBindings(c *props.Check) {
	seen := map[string]string{}
	name := func(field, key string) string {
		at := fmt.Sprintf("%s[%q]", field, key)
		c.Require(cloudflareBinding.MatchString(key), at, key, "a name of JavaScript, such as STAGE", "")
		if other, ok := seen[key]; ok {
			c.Wrong(at, key, "a name of its own", other+" has it")
		}
		seen[key] = at
		return at
	}
	for _, key := range slices.Sorted(maps.Keys(p.Variables)) {
		name("Variables", key)
	}
	for _, key := range slices.Sorted(maps.Keys(p.Secrets)) {
		at := name("Secrets", key)
		c.Require(p.Secrets[key].Secret != nil, at+".Secret", props.Unset, "a secret", "")
	}
	for _, key := range slices.Sorted(maps.Keys(p.Namespaces)) {
		at := name("Namespaces", key)
		id := p.Namespaces[key]
		c.Require(construct.DeployTime(id) || cloudflareID.MatchString(id), at, id, "the namespace's ID, 32 hexadecimal digits", "")
	}
	for _, key := range slices.Sorted(maps.Keys(p.Entries)) {
		at := name("Entries", key)
		for _, k := range slices.Sorted(maps.Keys(p.Entries[key])) {
			c.Require(k != "" && k != "." && k != ".." && len(k) <= cloudflareMaxKey, at, k,
				fmt.Sprintf(`keys of 1 to %d bytes, not "." or ".."`, cloudflareMaxKey), "")
			c.Require(!construct.DeployTime(k+p.Entries[key][k]), at, k, "texts that are known now", "put the token into Variables")
		}
	}
}

// Name returns the script's name in the account.
func (w *CloudflareWorker) Name() string { return w.name }

// Version returns the ID of the version that answers. It is known when the stack
// is deployed.
func (w *CloudflareWorker) Version() string {
	return *w.resource.GetAttString(jsii.String(schema.CloudflareVersion))
}

// Asset returns the code as CloudFormation knows it.
func (w *CloudflareWorker) Asset() awss3assets.Asset { return w.asset }

// Deployer returns the function that deploys.
func (w *CloudflareWorker) Deployer() *function.Function { return w.deployer }

// Resource returns the custom resource.
func (w *CloudflareWorker) Resource() awscdk.CustomResource { return w.resource }

// NotRestoredAlarm returns the alarm for what a failed deployment left behind,
// nil if it is off.
func (w *CloudflareWorker) NotRestoredAlarm() awscloudwatch.CfnAlarm { return w.alarm }

// Alarms returns the alarms that were made, those of the function that deploys
// too.
func (w *CloudflareWorker) Alarms() []awscloudwatch.CfnAlarm {
	return append(defaults.Alarms(w.alarm), w.deployer.Alarms()...)
}
