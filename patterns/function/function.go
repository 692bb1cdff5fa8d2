package function

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/props"
)

// Props says what a Function runs and how.
type Props struct {
	// Entry is the Go main package to build and run: an import path that the
	// app's module knows (its own or a dependency's), or a folder starting
	// with "./", "../" or "/". It is built with CGO off, so it must be pure
	// Go. Set Entry or Code, not both.
	Entry string
	// Code is the code for any other runtime, with Runtime and Handler. Set Entry
	// or Code, not both.
	Code awslambda.Code
	// Runtime runs Code.
	//
	// Default: provided.al2023.
	Runtime awslambda.Runtime
	// Handler is the entry point within Code.
	//
	// Default: "bootstrap", which is what provided.al2023 starts.
	Handler string

	// Description says what the function is for.
	//
	// Default: none.
	Description string
	// Memory is in MB, 128 to 10,240; CPU grows with it, a full one at 1,769.
	//
	// Default: 256.
	Memory int
	// Timeout is the longest an invocation may take, 1s to 15m.
	//
	// Default: 10 seconds.
	Timeout time.Duration
	// Environment is what the function finds in its environment. Anybody who
	// may read the function's configuration reads it too: no secrets.
	//
	// Default: empty.
	Environment map[string]string
	// EncryptionKey encrypts the environment, the log group and the
	// dead-letter queue. Its policy must allow CloudWatch Logs to use it.
	//
	// Default: keys that AWS owns.
	EncryptionKey awskms.IKey
	// Architecture is the processor.
	//
	// Default: arm64, which costs a fifth less than x86_64 for the same time.
	Architecture awslambda.Architecture
	// LogGroup takes the logs.
	//
	// Default: a new one, retained when the stack is destroyed.
	LogGroup awslogs.ILogGroup
	// LogRetention is how long a new log group keeps them.
	//
	// Default: three months.
	LogRetention awslogs.RetentionDays
	// WithoutTracing sends no traces to X-Ray.
	//
	// Default: active tracing.
	WithoutTracing bool
	// ReservedConcurrency is the most instances that run at a time, taken from
	// the account's; 0 stops the function.
	//
	// Default: none reserved.
	ReservedConcurrency *int
	// Alias publishes a version at each deployment and points an alias of
	// this name at it. Callers are then granted, and call, the alias only.
	//
	// Default: no versions, callers call the function itself.
	Alias string

	// Grants grants the function what it needs from the start: it is called with
	// the function before that is made. What it grants is part of the role, and
	// what it sets with AddEnvironment of the function, so that nothing ever runs
	// without them. The grants of this module work there, with a nil result, and
	// so does AddToPolicy. The CDK's own need the role, and so do a data lake's
	// under Lake Formation: call them after NewFunction.
	//
	// Default: nothing; what is granted later is a policy of its own.
	Grants func(*Function)

	// DeadLetterQueue takes the events of asynchronous invocations that failed
	// three times.
	//
	// Default: a new one, encrypted, keeping them for 14 days, retained when
	// the stack is destroyed.
	DeadLetterQueue awssqs.IQueue
	// WithoutDeadLetterQueue makes none, for a function that is only invoked
	// synchronously or by a queue of its own: it has no events to lose.
	//
	// Default: there is one.
	WithoutDeadLetterQueue bool
	// Alarms tunes the alarms.
	//
	// Default: all are made and notify nobody.
	Alarms Alarms

	// FunctionProps are the CDK's own props; what they set wins over what stands
	// here, Timeout and DeadLetterQueue too, but not over Entry, Code, Runtime and
	// Handler.
	//
	// Default: none.
	FunctionProps *awslambda.FunctionProps
}

// Function is a Lambda function with its role, logs, dead letters and alarms.
// It can be granted permissions like any principal.
type Function struct {
	constructs.Construct
	lambda      awslambda.IFunction
	own         awslambda.Function // nil when adopted by reference
	role        awsiam.IRole       // nil when adopted
	alias       awslambda.Alias
	timeout     time.Duration
	logGroup    awslogs.ILogGroup
	deadLetters awssqs.IQueue
	alarms      []awscloudwatch.CfnAlarm
	environment map[string]string // what is known to be set
	planned     *plan             // while Props.Grants runs: there is no lambda and no role yet
}

// plan is the principal that a function will act as.
type plan struct{ of *Function }

// GrantPrincipal panics: there is none yet.
func (p *plan) GrantPrincipal() awsiam.IPrincipal { return p.of.GrantPrincipal() }

// NewFunction makes a function. It panics with a *[props.Error] when the props
// are wrong or the Go package does not build.
func NewFunction(scope constructs.Construct, id string, p *Props) *Function {
	if p == nil {
		p = &Props{}
	}
	p.check(scope, id)
	p = p.settled()
	f := &Function{timeout: p.Timeout, deadLetters: p.DeadLetterQueue, environment: map[string]string{}}
	code := p.code(scope, id)
	construct.Init(f, scope, id)

	allow := p.grant(f)

	f.logGroup = p.LogGroup
	if f.logGroup == nil {
		f.logGroup = defaults.LogGroup(f, "Logs", p.LogRetention, p.EncryptionKey)
	}
	if p.FunctionProps != nil {
		f.role = p.FunctionProps.Role
	}
	if key := p.deadLetterKey(); key != nil {
		// The CDK grants the queue only.
		allow = append(allow, defaults.Actions{"kms:Decrypt", "kms:GenerateDataKey"}.To(construct.KeyArn(key)).If(defaults.Through("sqs")))
	}
	if f.role == nil {
		f.role = newRole(f, allow)
		allow = nil
	}
	if f.deadLetters == nil && !p.WithoutDeadLetterQueue {
		f.deadLetters = defaults.DeadLetterQueue(f, "DeadLetters", defaults.DeadLetters{Key: p.EncryptionKey})
	}
	f.logGroup.GrantWrite(f.role)
	f.own = awslambda.NewFunction(f, jsii.String("Function"), p.layered(f, code))
	f.lambda = f.own
	defaults.Grant(f, allow...)
	if p.ownEnvironment() {
		for _, key := range slices.Sorted(maps.Keys(f.environment)) {
			f.own.AddEnvironment(&key, jsii.String(f.environment[key]), nil)
		}
	}
	if p.Alias != "" {
		f.alias = awslambda.NewAlias(f, jsii.String("Alias"), &awslambda.AliasProps{
			AliasName: &p.Alias,
			Version:   f.own.CurrentVersion(),
		})
	}
	f.addAlarms(p.Alarms)
	return f
}

// Adopt makes a function that already exists usable wherever a pattern takes a
// *Function. Its role is granted what the patterns need, if the CDK may change
// it; its environment, time-out, logs and alarms stay its owner's. Environment
// variables that a pattern would set must be set by the owner. It panics with a
// *[props.Error] when an argument is wrong.
func Adopt(scope constructs.Construct, id string, fn awslambda.IFunction) *Function {
	var c props.Check
	c.Require(fn != nil, "fn", fn, "a function", "look it up with awslambda.Function_FromFunctionAttributes")
	c.Panic(scope, id)
	f := &Function{lambda: fn, environment: map[string]string{}}
	construct.Init(f, scope, id)
	f.own, _ = fn.(awslambda.Function)
	return f
}

func (p *Props) check(scope constructs.Construct, id string) {
	var c props.Check
	switch {
	case p.Entry != "" && p.Code != nil:
		c.Wrong("Entry", p.Entry, "Entry or Code, not both", "leave one out")
	case p.Entry == "" && p.Code == nil:
		c.Wrong("Entry", "", "a Go main package, such as \"example.com/shop/functions/cart\"",
			"set it, or Code for another runtime")
	case p.Entry != "" && p.Runtime != nil:
		c.Wrong("Runtime", props.Words("set together with Entry"), "none: Go runs on provided.al2023", "leave Runtime out")
	case p.Entry != "" && p.Handler != "":
		c.Wrong("Handler", p.Handler, "none: a Go handler is started as bootstrap", "leave Handler out")
	}
	props.Between(&c, "Memory", p.Memory, 128, 10240)
	props.Between(&c, "Timeout", p.Timeout, time.Second, 15*time.Minute)
	c.Require(p.Timeout%time.Second == 0, "Timeout", p.Timeout, "whole seconds", "")
	if n := p.ReservedConcurrency; n != nil {
		c.Require(*n >= 0, "ReservedConcurrency", *n, "0 or more", "")
	}
	c.Require(!strings.HasPrefix(p.Alias, "$"), "Alias", p.Alias, "a name of letters, digits, - and _", "")
	c.Require(p.LogGroup == nil || p.LogRetention == "", "LogRetention", string(p.LogRetention),
		"none with LogGroup", "set the retention on the group itself")
	c.Require(p.DeadLetterQueue == nil || !p.WithoutDeadLetterQueue, "WithoutDeadLetterQueue", true,
		"false with DeadLetterQueue", "leave one out")
	c.Nested("Alarms", p.Alarms.Check)
	c.Panic(scope, id)
}

// settled returns the props with what FunctionProps set in the place of their
// own. Timeout is 0 if it is known only when the stack is deployed.
func (p *Props) settled() *Props {
	own := *p
	own.Timeout = construct.Or(p.Timeout, 10*time.Second)
	if user := p.FunctionProps; user != nil {
		if user.Timeout != nil {
			own.Timeout = construct.Seconds(user.Timeout)
		}
		own.DeadLetterQueue = construct.Or(user.DeadLetterQueue, p.DeadLetterQueue)
	}
	return &own
}

// deadLetterKey returns the customer's key that encrypts the dead-letter queue,
// or nil.
func (p *Props) deadLetterKey() awskms.IKey {
	switch {
	case p.DeadLetterQueue != nil:
		return construct.Once(p.DeadLetterQueue, "EncryptionMasterKey", p.DeadLetterQueue.EncryptionMasterKey)
	case p.WithoutDeadLetterQueue:
		return nil
	}
	return p.EncryptionKey
}

// ownEnvironment reports whether the user's FunctionProps have an environment,
// which stands in the place of Environment.
func (p *Props) ownEnvironment() bool {
	return p.FunctionProps != nil && p.FunctionProps.Environment != nil
}

// grant runs Grants and returns the statements. What it sets is in the
// function's environment.
func (p *Props) grant(f *Function) []defaults.Statement {
	if !p.ownEnvironment() {
		maps.Copy(f.environment, p.Environment)
	}
	if p.Grants == nil {
		return nil
	}
	f.planned = &plan{f}
	defer func() { f.planned = nil }()
	return defaults.Collect(func() { p.Grants(f) }, f, f.planned)
}

func newRole(f *Function, allow []defaults.Statement) awsiam.IRole {
	p := &awsiam.RoleProps{AssumedBy: defaults.ServicePrincipal(f, "lambda.amazonaws.com")}
	if len(allow) > 0 {
		p.InlinePolicies = &map[string]awsiam.PolicyDocument{"Allow": defaults.Document(allow...)}
	}
	return defaults.Role(f, "Role", p)
}

func (p *Props) layered(f *Function, code awslambda.Code) *awslambda.FunctionProps {
	base := &awslambda.FunctionProps{
		Architecture:    p.architecture(f),
		DeadLetterQueue: f.deadLetters,
		Description:     construct.Text(p.Description),
		Environment:     construct.Map(f.environment),
		LogGroup:        f.logGroup,
		LoggingFormat:   awslambda.LoggingFormat_JSON,
		MemorySize:      jsii.Number(construct.Or(p.Memory, 256)),
		RecursiveLoop:   awslambda.RecursiveLoop_TERMINATE,
		Role:            f.role,
		Timeout:         construct.SharedDuration(f, p.Timeout),
		Tracing:         awslambda.Tracing_ACTIVE,
	}
	if p.EncryptionKey != nil {
		base.EnvironmentEncryption = p.EncryptionKey
	}
	if p.WithoutTracing {
		base.Tracing = awslambda.Tracing_DISABLED
	}
	if p.ReservedConcurrency != nil {
		base.ReservedConcurrentExecutions = jsii.Number(*p.ReservedConcurrency)
	}
	if p.Alias != "" {
		// A version that outlives a failed deployment keeps the same code from being
		// deployed again: Lambda publishes no second version of it.
		base.CurrentVersionOptions = &awslambda.VersionOptions{RemovalPolicy: awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE}
	}
	runtime := p.Runtime
	if runtime == nil {
		runtime = construct.Constant(f, "PROVIDED_AL2023", awslambda.Runtime_PROVIDED_AL2023)
	}
	return construct.Layer(base, p.FunctionProps, &awslambda.FunctionProps{
		Code:    code,
		Handler: jsii.String(construct.Or(p.Handler, "bootstrap")),
		Runtime: runtime,
	})
}

func (p *Props) architecture(scope constructs.Construct) awslambda.Architecture {
	if p.Architecture != nil {
		return p.Architecture
	}
	return construct.Constant(scope, "ARM_64", awslambda.Architecture_ARM_64)
}

// Lambda returns the function itself.
func (f *Function) Lambda() awslambda.IFunction {
	f.requireMade()
	return f.lambda
}

// requireMade panics where Props.Grants asks for what there is not yet.
func (f *Function) requireMade() {
	var c props.Check
	c.Require(f.planned == nil, "function", props.Words("not made yet"), "grants of this module, AddToPolicy and AddEnvironment",
		"use its role, and what the CDK grants by it, after NewFunction")
	c.Panic(f, "Grants")
}

// Target returns what callers invoke: the alias, or the function without one.
func (f *Function) Target() awslambda.IFunction {
	f.requireMade()
	if f.alias != nil {
		return f.alias
	}
	return f.lambda
}

// Role returns the function's role, nil if it was adopted without one.
func (f *Function) Role() awsiam.IRole {
	f.requireMade()
	if f.role != nil {
		return f.role
	}
	return f.lambda.Role()
}

// LogGroup returns the log group, nil if the function was adopted.
func (f *Function) LogGroup() awslogs.ILogGroup {
	f.requireMade()
	return f.logGroup
}

// DeadLetterQueue returns the queue of failed asynchronous events, or nil.
func (f *Function) DeadLetterQueue() awssqs.IQueue {
	f.requireMade()
	return f.deadLetters
}

// Timeout returns the longest an invocation takes, 0 if it is not known:
// because the function was adopted by reference, or because only the deployment
// decides.
func (f *Function) Timeout() time.Duration {
	if f.timeout > 0 || f.own == nil {
		return f.timeout
	}
	return construct.Once(f.own, "Timeout", func() time.Duration {
		if set := f.own.Timeout(); set != nil {
			return construct.Seconds(set)
		}
		return 3 * time.Second // Lambda's default
	})
}

// GrantPrincipal returns the principal that the function acts as. It makes a
// Function an awsiam.IGrantable.
func (f *Function) GrantPrincipal() awsiam.IPrincipal {
	f.requireMade()
	if f.role != nil {
		return f.role
	}
	return construct.GrantPrincipal(f.lambda)
}

// Identity returns the principal that the function acts as and no more: grants to
// it do not set the function's environment, as those to the function itself do.
// It works in Props.Grants, too.
func (f *Function) Identity() awsiam.IGrantable {
	if f.planned != nil {
		return f.planned
	}
	return f.GrantPrincipal()
}

// name returns the name of the function, for metrics.
func (f *Function) name() *string { return construct.FunctionName(f.lambda) }

// GrantInvoke lets the grantee invoke the function through its [Function.Target].
func (f *Function) GrantInvoke(grantee awsiam.IGrantable) awsiam.Grant {
	target := f.Target()
	if !defaults.Collecting(grantee) {
		return target.GrantInvoke(grantee.GrantPrincipal())
	}
	arn := construct.FunctionArn(target)
	resources := []*string{arn}
	switch target.(type) {
	case awslambda.IAlias, awslambda.IVersion:
	default:
		resources = append(resources, jsii.String(*arn+":*")) // its versions and aliases, as the CDK grants it
	}
	return defaults.Grant(grantee, defaults.Actions{"lambda:InvokeFunction"}.To(resources...))
}

// AddEnvironment sets an environment variable. It does nothing to a function
// that was adopted by reference, for the CDK cannot change that.
func (f *Function) AddEnvironment(key, value string) {
	if was, ok := f.environment[key]; f.own == nil && f.planned == nil || ok && was == value {
		return
	}
	f.environment[key] = value
	if f.planned == nil {
		f.own.AddEnvironment(&key, &value, nil)
	}
}

// AddToPolicy allows the actions on the resources, which are ARNs.
func (f *Function) AddToPolicy(actions []string, resources ...string) {
	defaults.Grant(f, defaults.Actions(actions).To(*jsii.Strings(resources...)...))
}
