package orchestration

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/api"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/schema"
	"github.com/serverless-go/cdk/patterns/props"
)

// OpenWhiskProps says which workflow is deployed to OpenWhisk and where.
// Exactly one of Definition and File is set.
type OpenWhiskProps struct {
	// Definition is the workflow, as in WorkflowProps: the same value can be given
	// to both. Where a token stands for a function, the function's action takes
	// its place; no other token can be in it, for OpenWhisk knows nothing of the
	// stack. Set Definition or File, not both.
	Definition map[string]any
	// File is the path of the workflow in JSON, as in WorkflowProps. Set
	// Definition or File, not both.
	File string
	// Substitutions are the values of the placeholders in File.
	//
	// Default: none.
	Substitutions map[string]Substitution
	// Functions are the actions that stand for the functions that the workflow
	// calls, by what the definition calls them: the function's ARN or name (tokens
	// too), or the name of a Task state. Required for each function that it calls.
	Functions map[string]OpenWhiskFunction
	// Timeout ends the workflow, unless the definition has TimeoutSeconds.
	//
	// Default: 1 day.
	Timeout time.Duration

	// APIHost is OpenWhisk's, with "https://". Required.
	APIHost string
	// Credentials hold the key of the namespace that is deployed to, of the
	// form "uuid:key". It is read when the stack is deployed and deleted, and
	// never is in the template, a property or a log. Required.
	Credentials awssecretsmanager.ISecret
	// CredentialsField is the field of a secret in JSON that holds the key.
	//
	// Default: the whole secret is the key.
	CredentialsField string
	// Package is the name of a package that belongs to this deployment alone.
	//
	// Default: the construct's id.
	Package string
	// Name is the name of the action that runs the workflow.
	//
	// Default: "workflow".
	Name string
	// Runtime is the kind of OpenWhisk's Go runtime that runs the actions. They
	// are compiled beforehand, so any will do that the operator has.
	//
	// Default: "go:1.20".
	Runtime string
	// Memory is in MB, of the action that runs the workflow.
	//
	// Default: 256.
	Memory int
	// ActivationTimeout is the longest that one activation of that action may
	// take. It sleeps through short waits; longer ones take an activation more
	// for each ActivationTimeout.
	//
	// Default: 5 minutes, the most that OpenWhisk allows by default.
	ActivationTimeout time.Duration
	// Triggers start the workflow for each of their events. The values are the
	// parameters that each event has unless it says otherwise. In OpenWhisk a
	// trigger's name has the package's and a dot before it.
	//
	// Default: none; the workflow is invoked.
	Triggers map[string]map[string]any
	// Trace logs every state that was visited, with its input and output, when
	// the workflow ends. For tests: the data may be personal, and the trace
	// takes of the room that OpenWhisk leaves for the state.
	//
	// Default: names of states and actions only.
	Trace bool

	// DeployerProps are the CDK's props of the function that deploys, such as
	// a VPC from which OpenWhisk can be reached.
	//
	// Default: none.
	DeployerProps *awslambda.FunctionProps
}

// OpenWhiskFunction is the action that stands for a function. Exactly one of
// Entry and Action is set.
type OpenWhiskFunction struct {
	// Entry is the Go main package of an action, which calls action.Start with the
	// function's handler. It is built and deployed with the workflow. Set Entry or
	// Action, not both.
	Entry string
	// Name is the action's name in the package.
	//
	// Default: the last element of Entry.
	Name string
	// Memory is in MB.
	//
	// Default: 256.
	Memory int
	// Timeout is the longest that the action may take, up to 5 minutes.
	//
	// Default: 1 minute.
	Timeout time.Duration
	// Action is the full name of an action that is there already:
	// "/namespace/package/name", where "_" is the credentials' own namespace. Set
	// Entry or Action, not both.
	Action string
}

// OpenWhisk deploys a workflow to Apache OpenWhisk: the definition that Step
// Functions runs, run there by a conductor action or, if it only hands the
// output of one function to the next, by a native sequence. See package
// openwhisk for what is the same and what is not.
//
// A custom resource deploys when the stack is: actions, sequence, triggers and
// rules, made, changed and deleted through OpenWhisk's REST API. A deployment
// that fails is put back as it was, and what others made is left alone.
//
// The bundle that is deployed lies in cdk.out as an asset. Its manifest.yaml
// deploys the same with `wskdeploy -p`, see [OpenWhisk.Bundle].
//
// In AWS it costs the deploying function's seconds at each deployment, and the
// secret, 0.40 USD a month (https://aws.amazon.com/secrets-manager/pricing/).
type OpenWhisk struct {
	constructs.Construct
	deployer   *function.Function
	resource   awscdk.CustomResource
	asset      awss3assets.Asset
	deployment *api.Deployment
	dir        string
}

// openWhiskDeployEntry is the function that deploys.
const openWhiskDeployEntry = "github.com/serverless-go/cdk/functions/openwhiskdeploy"

// openWhiskDeployTimeout is how long a deployment may take, with the way back.
const openWhiskDeployTimeout = 10 * time.Minute

// NewOpenWhisk deploys a workflow to OpenWhisk. It panics with a
// *[props.Error] when the props are wrong, or when OpenWhisk cannot run a
// state, which it names.
func NewOpenWhisk(scope constructs.Construct, id string, p *OpenWhiskProps) *OpenWhisk {
	if p == nil {
		p = &OpenWhiskProps{}
	}
	own := *p
	own.Package = construct.Or(own.Package, id)
	own.Name = construct.Or(own.Name, "workflow")
	own.Runtime = construct.Or(own.Runtime, "go:1.20")
	own.ActivationTimeout = construct.Or(own.ActivationTimeout, openwhisk.ActionTimeout)
	var c props.Check
	workflow := own.check(&c)
	c.Panic(scope, id)
	bundle := own.bundle(workflow)
	dir, hash, err := bundle.write(construct.BundlingRequired(scope))
	if err != nil {
		c.Wrong("Functions", props.Words("not built"), "Go main packages that build", err.Error())
		c.Panic(scope, id)
	}
	o := &OpenWhisk{deployment: bundle.Deployment, dir: dir}
	construct.Init(o, scope, id)
	o.asset = awss3assets.NewAsset(o, jsii.String("Bundle"), &awss3assets.AssetProps{
		Path:          &dir,
		AssetHash:     &hash,
		AssetHashType: awscdk.AssetHashType_CUSTOM,
		DisplayName:   jsii.String("OpenWhisk package " + own.Package),
	})
	o.addDeployment(&own)
	return o
}

// addDeployment adds the custom resource and its function.
func (o *OpenWhisk) addDeployment(p *OpenWhiskProps) {
	o.deployer = function.NewFunction(o, "Deployer", &function.Props{
		Entry:                  openWhiskDeployEntry,
		Description:            "Deploys a workflow to OpenWhisk.",
		Memory:                 512, // it holds the archives, and their base64
		Timeout:                openWhiskDeployTimeout,
		WithoutTracing:         true,
		WithoutDeadLetterQueue: true, // CloudFormation waits for its answer
		Alarms:                 function.Alarms{Off: true},
		FunctionProps:          defaults.Deployer(o, openWhiskDeployTimeout, p.DeployerProps),
	})
	bucket, key := o.asset.S3BucketName(), o.asset.S3ObjectKey()
	p.Credentials.GrantRead(o.deployer.GrantPrincipal(), nil)
	defaults.Grant(o.deployer, defaults.Actions{"s3:GetObject"}.To(defaults.Text(o, "arn:${AWS::Partition}:s3:::"+*bucket+"/"+*key)))
	properties := map[string]any{
		schema.APIHost:     p.APIHost,
		schema.Credentials: p.Credentials.SecretArn(),
		schema.Package:     p.Package,
		schema.Bucket:      bucket,
		schema.Key:         key,
	}
	if p.CredentialsField != "" {
		properties[schema.Field] = p.CredentialsField
	}
	o.resource = awscdk.NewCustomResource(o, jsii.String("Resource"), &awscdk.CustomResourceProps{
		ServiceToken:   o.deployer.Lambda().FunctionArn(),
		ResourceType:   jsii.String("Custom::OpenWhisk"),
		ServiceTimeout: construct.SharedDuration(o, defaults.DeployerWait(openWhiskDeployTimeout)),
		Properties:     &properties,
	})
	o.resource.Node().AddDependency(o.deployer) // its policy too
}

var (
	openWhiskName   = regexp.MustCompile(`^\w[\w@.-]{0,255}$`)
	openWhiskAction = regexp.MustCompile(`^/[\w@. -]+(/[\w@. -]+){1,2}$`)
	openWhiskKind   = regexp.MustCompile(`^go:1\.\d+$`)
)

// check returns the workflow as OpenWhisk runs it.
func (p *OpenWhiskProps) check(c *props.Check) *openwhisk.Workflow {
	const names = `letters, digits and "_", "@", ".", "-", up to 256`
	host := strings.TrimPrefix(p.APIHost, "https://")
	if !construct.DeployTime(p.APIHost) {
		c.Require(host != p.APIHost && host != "" && !strings.ContainsAny(host, "/@?# "), "APIHost", p.APIHost,
			`"https://" and a host, such as "https://openwhisk.example.com"`, "the credentials go there")
	}
	c.Require(p.Credentials != nil, "Credentials", props.Unset, "a secret that holds uuid:key", "")
	c.Require(openWhiskName.MatchString(p.Package), "Package", p.Package, names, "")
	c.Require(openWhiskName.MatchString(p.Name), "Name", p.Name, names, "")
	c.Require(openWhiskKind.MatchString(p.Runtime), "Runtime", p.Runtime, `a kind of the Go runtime, such as "go:1.20"`, "")
	props.Between(c, "Memory", p.Memory, 128, 2048)
	props.Between(c, "ActivationTimeout", p.ActivationTimeout, 10*time.Second, openwhisk.ActionTimeout)
	props.Between(c, "Timeout", p.Timeout, time.Second, 365*24*time.Hour)
	for _, name := range slices.Sorted(maps.Keys(p.Triggers)) {
		c.Require(openWhiskName.MatchString(name), "Triggers", name, names, "")
	}
	c.Require(p.File != "" || len(p.Substitutions) == 0, "Substitutions", props.Words("set without File"), "none", "Go code needs no placeholders")
	p.checkFunctions(c, names)
	if (p.Definition == nil) == (p.File == "") {
		c.Wrong("Definition and File", props.Words("not one of them"), "exactly one", "")
		return nil
	}
	timeout := construct.Or(p.Timeout, 24*time.Hour)
	var d *definition
	var err error
	if p.File != "" {
		d, err = fromFile(p.File, p.Substitutions, timeout)
	} else {
		d, err = fromMap(p.Definition, asl.JSONata, timeout)
	}
	if err != nil {
		c.Wrong(d.field, props.Words("wrong: "+err.Error()), "a workflow in the Amazon States Language", "")
		return nil
	}
	actions := map[string]string{}
	for key, f := range p.Functions {
		actions[key] = f.full(p.Package)
	}
	w, problems := translate(d.text, actions)
	for _, problem := range problems {
		c.Wrong(d.field, props.Words("wrong in "+problem.String()), "what OpenWhisk runs", "")
	}
	if w != nil {
		w.Trace = p.Trace
	}
	return w
}

func (p *OpenWhiskProps) checkFunctions(c *props.Check, names string) {
	made := map[string]OpenWhiskFunction{}
	for _, key := range slices.Sorted(maps.Keys(p.Functions)) {
		f := p.Functions[key]
		field := fmt.Sprintf("Functions[%q]", key)
		if f.Action != "" {
			c.Require(f == OpenWhiskFunction{Action: f.Action}, field+".Action", f.Action, "set alone", "the rest is for an action that is deployed")
			c.Require(openWhiskAction.MatchString(f.Action), field+".Action", f.Action, `a full name, such as "/whisk.system/utils/echo"`, "")
			continue
		}
		c.Require(f.Entry != "", field+".Entry", "", "a Go main package, such as \"example.com/shop/actions/charge\"", "set it, or Action")
		c.Require(openWhiskName.MatchString(f.name()), field+".Name", f.name(), names, "")
		props.Between(c, field+".Memory", f.Memory, 128, 2048)
		props.Between(c, field+".Timeout", f.Timeout, 100*time.Millisecond, openwhisk.ActionTimeout)
		c.Require(f.name() != p.Name, field+".Name", f.name(), "another name than the workflow's", "set Name here or above")
		f.Name = f.name()
		if other, ok := made[f.Name]; ok {
			c.Require(other == f, field+".Name", f.Name, "a name of its own", "another function has it, which is not the same")
		}
		made[f.Name] = f
	}
}

func (f OpenWhiskFunction) name() string { return construct.Or(f.Name, path.Base(f.Entry)) }

// full returns the action's full name.
func (f OpenWhiskFunction) full(pkg string) string {
	if f.Action != "" {
		return f.Action
	}
	return (&api.Deployment{Package: pkg}).FullName(f.name())
}

// Action returns the full name of the action that runs the workflow, with its
// namespace, as OpenWhisk's CLI takes it. It is known when the stack is deployed.
func (o *OpenWhisk) Action() string { return *o.resource.GetAttString(jsii.String(schema.Action)) }

// Namespace returns the namespace that the workflow was deployed to.
func (o *OpenWhisk) Namespace() string {
	return *o.resource.GetAttString(jsii.String(schema.Namespace))
}

// Sequence reports whether a native sequence runs the workflow, rather than a
// conductor.
func (o *OpenWhisk) Sequence() bool {
	return o.deployment.Actions[len(o.deployment.Actions)-1].Kind == sequenceKind
}

// Bundle returns the folder of the bundle, which has a manifest.yaml for
// wskdeploy. The same files are in cdk.out, in the folder of the asset.
func (o *OpenWhisk) Bundle() string { return o.dir }

// Asset returns the bundle as CloudFormation knows it.
func (o *OpenWhisk) Asset() awss3assets.Asset { return o.asset }

// Deployer returns the function that deploys.
func (o *OpenWhisk) Deployer() *function.Function { return o.deployer }

// Resource returns the custom resource.
func (o *OpenWhisk) Resource() awscdk.CustomResource { return o.resource }
