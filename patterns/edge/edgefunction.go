package edge

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfront/experimental"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/leastprivilege"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/props"
)

// EdgeEvent is the moment at which CloudFront calls an EdgeFunction.
type EdgeEvent string

// The events of CloudFront. Viewer events happen for every request, origin
// events only for what the cache does not answer.
const (
	ViewerRequest  EdgeEvent = "viewer-request"
	ViewerResponse EdgeEvent = "viewer-response"
	OriginRequest  EdgeEvent = "origin-request"
	OriginResponse EdgeEvent = "origin-response"
)

var edgeEvents = []EdgeEvent{ViewerRequest, ViewerResponse, OriginRequest, OriginResponse}

func (e EdgeEvent) viewer() bool { return strings.HasPrefix(string(e), "viewer-") }

// EdgeFunctionProps says what an EdgeFunction runs and on which event.
type EdgeFunctionProps struct {
	// Code is what runs. Required.
	Code awslambda.Code
	// Runtime is a Node.js or Python runtime; Lambda@Edge has no others, so
	// none for Go. Required.
	Runtime awslambda.Runtime
	// Handler is the file and the function in it, such as "index.handler".
	// Required.
	Handler string
	// Event is when CloudFront calls the function. Required.
	Event EdgeEvent
	// Memory is in MB, from 128 to 10,240; at viewer events it is 128.
	//
	// Default: 128.
	Memory int
	// Timeout is in whole seconds, at most 5s at viewer events and 30s at
	// origin events.
	//
	// Default: 5 seconds.
	Timeout time.Duration
	// Name is the function's name, 1 to 54 letters, digits, hyphens and
	// underscores. AddAlarms needs it: the regions' metrics carry it. A new name
	// is a new function.
	//
	// Default: one that CloudFormation makes up.
	Name string
	// StackID is the id of the stack in us-east-1 that holds the function if
	// the construct's own stack is in another region. Functions with the same
	// id share the stack.
	//
	// Default: an id made from the address of the construct's own stack.
	StackID string
}

func (p *EdgeFunctionProps) check(scope constructs.Construct, id string) {
	var c props.Check
	c.Require(p.Code != nil, "Code", props.Unset, "the code to run", "set it")
	c.Require(p.Handler != "", "Handler", props.Unset, "file.function", "set it")
	if p.Runtime == nil {
		c.Wrong("Runtime", props.Unset, "a Node.js or Python runtime", "set it")
	} else if f := p.Runtime.Family(); f != awslambda.RuntimeFamily_NODEJS && f != awslambda.RuntimeFamily_PYTHON {
		c.Wrong("Runtime", *p.Runtime.Name(), "a Node.js or Python runtime", "Lambda@Edge has no others")
	}
	c.Require(slices.Contains(edgeEvents, p.Event), "Event", string(p.Event),
		"viewer-request, viewer-response, origin-request or origin-response", "")
	memory, timeout := 10240, 30*time.Second
	if p.Event.viewer() {
		memory, timeout = 128, 5*time.Second
	}
	props.Between(&c, "Memory", p.Memory, 128, memory)
	props.Between(&c, "Timeout", p.Timeout, time.Second, timeout)
	c.Require(p.Timeout%time.Second == 0, "Timeout", p.Timeout, "whole seconds", "")
	// Lambda@Edge puts the region before it, and 64 are allowed.
	c.Require(p.Name == "" || edgeFunctionName.MatchString(p.Name), "Name", p.Name, "1 to 54 letters, digits, - and _", "")
	c.Require(construct.Region(scope) != "", "Stack", props.Words("no region"),
		"a stack with a region", "set Env.Region, so that it is known whether a stack in us-east-1 is needed")
	c.Panic(scope, id)
}

var edgeFunctionName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,54}$`)

// EdgeFunction is a Lambda@Edge function, for what CloudFront Functions cannot
// do: read a request's body or call the network. It may be used in a stack of
// any region; the function itself is in us-east-1, where Lambda@Edge requires
// it, and in another region a custom resource reads its version's ARN.
//
// It has no environment variables, no VPC, no layers, no dead letters and only
// the x86 architecture, since Lambda@Edge has none of the others.
// Its versions are retained: one cannot be deleted before CloudFront has
// removed its replicas, hours after the last distribution let go of it.
//
// Sources: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/lambda-at-edge-function-restrictions.html,
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html.
type EdgeFunction struct {
	constructs.Construct
	function experimental.EdgeFunction
	event    EdgeEvent
	name     string
	timeout  time.Duration
	alarms   []awscloudwatch.CfnAlarm
}

// NewEdgeFunction makes the function. It panics with a *[props.Error] when the
// props are wrong.
func NewEdgeFunction(scope constructs.Construct, id string, p *EdgeFunctionProps) *EdgeFunction {
	if p == nil {
		p = &EdgeFunctionProps{}
	}
	p.check(scope, id)
	f := &EdgeFunction{event: p.Event, name: p.Name, timeout: construct.Or(p.Timeout, 5*time.Second)}
	construct.Init(f, scope, id)
	// The stack in us-east-1 gives the function this id again, without the
	// scopes above it, so it must differ from that of every other function.
	f.function = experimental.NewEdgeFunction(f, awscdk.Names_UniqueId(f), &experimental.EdgeFunctionProps{
		Code:                  p.Code,
		Runtime:               p.Runtime,
		Handler:               &p.Handler,
		MemorySize:            jsii.Number(construct.Or(p.Memory, 128)),
		Timeout:               construct.SharedDuration(f, f.timeout),
		FunctionName:          construct.Text(p.Name),
		StackId:               construct.Text(p.StackID),
		CurrentVersionOptions: &awslambda.VersionOptions{RemovalPolicy: awscdk.RemovalPolicy_RETAIN},
	})
	f.narrowRole()
	return f
}

// narrowRole puts a statement in the place of AWS's managed policy, which lets
// the function write to every log group. Its replicas write to a group in the
// region of each visitor:
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-functions-logs.html
func (f *EdgeFunction) narrowRole() {
	role := f.function.Lambda().Role()
	var made awsiam.CfnRole
	jsii.UnsafeCast(role.Node().DefaultChild(), &made)
	made.SetManagedPolicyArns(&[]*string{})
	defaults.Grant(role, defaults.Actions{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}.
		To(defaults.Text(f, "arn:${AWS::Partition}:logs:*:${AWS::AccountId}:log-group:/aws/lambda/us-east-1.*")))
	reader := awscdk.Stack_Of(f).Node().TryFindChild(jsii.String("Custom::CrossRegionStringParameterReaderCustomResourceProvider"))
	if reader != nil {
		leastprivilege.Acknowledge(reader, leastprivilege.ManagedPolicy, "the CDK makes this function, which reads the version's ARN in us-east-1, with a role of its own")
	}
}

// VersionARN returns the ARN of the numbered version, which a distribution's
// LambdaFunctionAssociation takes together with the Event.
func (f *EdgeFunction) VersionARN() string { return *f.function.EdgeArn() }

// EdgeFunctionAlarms tunes the alarms of an [EdgeFunction] in one region.
type EdgeFunctionAlarms struct {
	// Topic is told when an alarm goes off and when it is over. It must be in the
	// region of the alarms.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// Errors counts the invocations that failed.
	//
	// Default: one in a minute.
	Errors alarm.Tuning
	// Throttles counts the requests that were refused for the account's limit.
	//
	// Default: one in a minute.
	Throttles alarm.Tuning
	// Duration is the longest invocation, in milliseconds.
	//
	// Default: 80 % of the Timeout.
	Duration alarm.Tuning
}

func (a *EdgeFunctionAlarms) check(c *props.Check) {
	c.Nested("Errors", a.Errors.Check)
	c.Nested("Throttles", a.Throttles.Check)
	c.Nested("Duration", a.Duration.Check)
}

// AddAlarms makes alarms of what the function does in the region of the scope's
// stack, and returns them. Lambda@Edge has its metrics in the region that runs
// the function for a viewer, under its region and name, "us-east-1.NAME", so
// call it in a stack of each region near your viewers; no stack refers to
// another. It needs a Name. It panics with a *[props.Error] when the props are
// wrong; nil props are right.
//
// Source: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-functions-metrics.html.
func (f *EdgeFunction) AddAlarms(scope constructs.Construct, id string, p *EdgeFunctionAlarms) []awscloudwatch.CfnAlarm {
	if p == nil {
		p = &EdgeFunctionAlarms{}
	}
	var c props.Check
	c.Require(f.name != "", "Name", props.Unset, "a name of the function", "set EdgeFunctionProps.Name")
	p.check(&c)
	c.Panic(scope, id)
	within := constructs.NewConstruct(scope, &id)
	var alarms []awscloudwatch.CfnAlarm
	add := func(id string, a alarm.Alarm, t alarm.Tuning) {
		a.Namespace, a.Metric = "AWS/Lambda", id
		a.Dimensions = map[string]*string{"FunctionName": jsii.String(global + "." + f.name)}
		if made := alarm.New(within, id, a, t, p.Topic); made != nil {
			alarms = append(alarms, made)
		}
	}
	add("Errors", alarm.Alarm{Statistic: "Sum", Threshold: 1,
		Description: f.name + " fails at the edge near this region: see its log group here, /aws/lambda/" + global + "." + f.name + "."}, p.Errors)
	add("Throttles", alarm.Alarm{Statistic: "Sum", Threshold: 1,
		Description: f.name + " is refused at the edge near this region: raise the account's concurrent executions here."}, p.Throttles)
	add("Duration", alarm.Alarm{Statistic: "Maximum", Threshold: 0.8 * float64(f.timeout.Milliseconds()),
		Description: f.name + " is nearly out of time at the edge near this region: viewers get errors when it is."}, p.Duration)
	f.alarms = append(f.alarms, alarms...)
	return alarms
}

// Alarms returns the alarms that AddAlarms made, of all regions in the order of
// the calls.
func (f *EdgeFunction) Alarms() []awscloudwatch.CfnAlarm { return slices.Clone(f.alarms) }

// Event returns when CloudFront calls the function, as the event type of a
// distribution's LambdaFunctionAssociation.
func (f *EdgeFunction) Event() EdgeEvent { return f.event }

// Version returns the numbered version, for the EdgeLambdas of a Distribution.
func (f *EdgeFunction) Version() awslambda.IVersion { return f.function }

// GrantPrincipal returns the principal that the function runs as. It makes an
// EdgeFunction an awsiam.IGrantable. The role may be in a stack that the
// construct's own stack depends on: outside us-east-1 grant access to resources
// imported by their ARN, for a reference to a resource of the own stack would
// be a cycle.
func (f *EdgeFunction) GrantPrincipal() awsiam.IPrincipal { return f.function.GrantPrincipal() }
