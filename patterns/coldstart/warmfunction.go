package coldstart

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodedeploy"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
)

// DefaultAlias is the alias of a warm function unless its props name another.
const DefaultAlias = "live"

// WarmFunctionProps says what a WarmFunction runs and how it is kept from
// starting cold.
type WarmFunctionProps struct {
	// Function is what to run. Its Alias, if empty, is DefaultAlias. Required.
	Function *function.Props

	// ProvisionedConcurrency keeps environments ready. Leave its Function nil.
	//
	// Default: none is kept.
	ProvisionedConcurrency *ProvisionedConcurrencyProps
	// KeepWarm pings environments. Leave its Functions nil. It does not go
	// with concurrency that is provisioned all the time, for that is what the
	// pings would reach.
	//
	// Default: nobody pings.
	KeepWarm *KeepWarmProps
	// SnapStart starts environments from a snapshot that Lambda takes when a
	// version is published. It needs the managed runtime of Java 11, Python
	// 3.12, .NET 8 or later, or a container image. It does not go with
	// provisioned concurrency, EFS or more than 512 MB of ephemeral storage. A
	// snapshot is one state for all environments: random seeds, ids and
	// connections made while starting are shared by them. It is free for Java
	// and billed by the GB kept and restored for the others.
	//
	// Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html
	//
	// Default: environments start from the code.
	SnapStart bool
	// SnapStartImage says that the container image is made for SnapStart: it
	// is built on AWS's image for one of those runtimes, or has the label
	// com.amazonaws.lambda.feature.snapstart="Allow", or its runtime calls
	// /restore/next. Publishing a version fails otherwise. So a Go function can
	// use SnapStart, as an image.
	//
	// Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-custom.html
	//
	// Default: the code is no such image.
	SnapStartImage bool

	// PreWarm invokes each new version before it gets any traffic. The
	// deployment fails, and nothing has changed for callers, if that fails.
	//
	// Default: the first caller invokes it.
	PreWarm *PreWarm
	// Deployment shifts the traffic to a new version little by little.
	//
	// Default: all at once.
	Deployment *Deployment
	// KeepVersions is how many of the newest versions are kept, the live one
	// included, 2 to 100. The version that was live before, to which a deployment
	// that fails rolls back, and those behind an alias are kept besides.
	//
	// Default: 3.
	KeepVersions int

	// Alarms tunes the alarms.
	//
	// Default: all are made and notify nobody.
	Alarms WarmFunctionAlarms
	// Dashboard makes a dashboard of concurrency, spill-over and starts. It
	// costs 3 USD a month, after the first three of an account.
	//
	// Default: none is made.
	Dashboard bool
}

// WarmFunctionAlarms tunes a warm function's alarms.
type WarmFunctionAlarms struct {
	// Topic is told when an alarm goes off and when it is over. The function's,
	// the provisioned concurrency's and the pings' alarms tell it too, unless
	// their own props name another.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// Init is the longest initialization on demand, in milliseconds. Lambda
	// ends one of 10 seconds.
	//
	// Default: 3,000 in a minute.
	Init alarm.Tuning
}

func (a WarmFunctionAlarms) check(c *props.Check) {
	c.Nested("Init", a.Init.Check)
}

// WarmFunction is a function with an alias that is its callers' only way in,
// and with what keeps it from starting cold.
//
// Hand [WarmFunction.Function] to other constructs: they call the alias and are
// granted the alias only.
type WarmFunction struct {
	constructs.Construct
	function        *function.Function
	alias           awslambda.Alias
	provisioned     *ProvisionedConcurrency
	keepWarm        *KeepWarm
	deploymentGroup awscodedeploy.CfnDeploymentGroup
	initAlarm       awscloudwatch.CfnAlarm
	dashboard       awscloudwatch.CfnDashboard
}

// NewWarmFunction makes a warm function. It panics with a *[props.Error] when
// the props are wrong or the Go package does not build.
func NewWarmFunction(scope constructs.Construct, id string, p *WarmFunctionProps) *WarmFunction {
	if p == nil {
		p = &WarmFunctionProps{}
	}
	p.check(scope, id)
	w := &WarmFunction{}
	construct.Init(w, scope, id)

	fn := *p.Function
	fn.Alias = construct.Or(fn.Alias, DefaultAlias)
	fn.Alarms.Topic = construct.Or(fn.Alarms.Topic, p.Alarms.Topic)
	w.function = function.NewFunction(w, "Function", &fn)
	w.alias = w.function.Target().(awslambda.Alias)
	// The alias would say the same, one call each.
	construct.Once(w.alias, "AliasName", func() *string { return &fn.Alias })
	construct.Once(w.alias, "FunctionName of its function", func() *string { return construct.FunctionName(w.function.Lambda()) })
	if p.SnapStart {
		// The CDK's own prop knows no container images.
		w.cfnFunction().SetSnapStart(&awslambda.CfnFunction_SnapStartProperty{ApplyOn: jsii.String("PublishedVersions")})
	}
	w.addRelease(p)
	if p.ProvisionedConcurrency != nil {
		provisioned := *p.ProvisionedConcurrency
		provisioned.Function = w.function
		provisioned.Alarms.Topic = construct.Or(provisioned.Alarms.Topic, p.Alarms.Topic)
		w.provisioned = NewProvisionedConcurrency(w, "ProvisionedConcurrency", &provisioned)
	}
	if p.KeepWarm != nil {
		keepWarm := *p.KeepWarm
		keepWarm.Functions = []*function.Function{w.function}
		keepWarm.Alarms.Topic = construct.Or(keepWarm.Alarms.Topic, p.Alarms.Topic)
		w.keepWarm = NewKeepWarm(w, "KeepWarm", &keepWarm)
	}
	if p.Deployment != nil {
		w.addDeployment(p.Deployment)
	}
	w.addStarts(p)
	return w
}

func (p *WarmFunctionProps) check(scope constructs.Construct, id string) {
	var c props.Check
	if p.Function == nil {
		c.Wrong("Function", props.Unset, "what to run", "set it")
		c.Panic(scope, id)
	}
	if p.ProvisionedConcurrency != nil {
		c.Require(p.ProvisionedConcurrency.Function == nil, "ProvisionedConcurrency.Function", props.Words("set"),
			"nil: it is this function", "leave it out")
		c.Nested("ProvisionedConcurrency", p.ProvisionedConcurrency.checkConcurrency)
		if n := p.Function.ReservedConcurrency; n != nil {
			c.Require(p.ProvisionedConcurrency.peak() <= *n, "Function.ReservedConcurrency", *n,
				fmt.Sprintf("%d or more, for so many are provisioned", p.ProvisionedConcurrency.peak()),
				"provisioned concurrency is taken from the reserved")
		}
	}
	if p.KeepWarm != nil {
		c.Require(len(p.KeepWarm.Functions) == 0, "KeepWarm.Functions", props.Words("set"),
			"nil: it is this function", "leave it out")
		c.Nested("KeepWarm", func(c *props.Check) { p.KeepWarm.checkPings(c, 1) })
		timeout := construct.Or(p.Function.Timeout, 10*time.Second)
		if user := p.Function.FunctionProps; user != nil && user.Timeout != nil {
			timeout = construct.Seconds(user.Timeout)
		}
		c.Nested("KeepWarm", func(c *props.Check) { p.KeepWarm.checkHold(c, timeout) })
		if p.ProvisionedConcurrency != nil && p.ProvisionedConcurrency.floor() > 0 {
			c.Wrong("KeepWarm", props.Words("set together with ProvisionedConcurrency that is never 0"), "one of the two",
				"pings reach provisioned environments first and keep no other warm: provision for a promise, ping for a good chance at a hundredth of the price")
		}
	}
	p.checkSnapStart(&c)
	if p.PreWarm != nil {
		c.Nested("PreWarm", p.PreWarm.check)
	}
	if p.Deployment != nil {
		c.Nested("Deployment", p.Deployment.check)
		own := p.Function.Alarms
		silent := own.Off || own.Errors.Off && own.Throttles.Off && own.Duration.Off
		c.Require(!silent || len(p.Deployment.RollbackAlarms) > 0, "Deployment.RollbackAlarms", props.Empty,
			"an alarm to roll back on", "set it, or leave Function.Alarms on")
	}
	props.Between(&c, "KeepVersions", p.KeepVersions, 2, 100)
	c.Nested("Alarms", p.Alarms.check)
	c.Panic(scope, id)
}

// Function returns the function, to be given to other constructs.
func (w *WarmFunction) Function() *function.Function { return w.function }

// Alias returns the alias that callers invoke.
func (w *WarmFunction) Alias() awslambda.Alias { return w.alias }

// ProvisionedConcurrency returns what keeps environments ready, or nil.
func (w *WarmFunction) ProvisionedConcurrency() *ProvisionedConcurrency { return w.provisioned }

// KeepWarm returns what pings environments, or nil.
func (w *WarmFunction) KeepWarm() *KeepWarm { return w.keepWarm }

// DeploymentGroup returns the CodeDeploy group that shifts traffic, or nil.
func (w *WarmFunction) DeploymentGroup() awscodedeploy.CfnDeploymentGroup { return w.deploymentGroup }

// InitAlarm returns the alarm of slow starts, or nil.
func (w *WarmFunction) InitAlarm() awscloudwatch.CfnAlarm { return w.initAlarm }

// Alarms returns the alarms that were made: those of slow starts, of the
// function, of provisioned concurrency and of pings.
func (w *WarmFunction) Alarms() []awscloudwatch.CfnAlarm {
	alarms := append(defaults.Alarms(w.initAlarm), w.function.Alarms()...)
	if w.provisioned != nil {
		alarms = append(alarms, w.provisioned.Alarms()...)
	}
	if w.keepWarm != nil {
		alarms = append(alarms, w.keepWarm.Alarms()...)
	}
	return alarms
}

// Dashboard returns the dashboard, or nil.
func (w *WarmFunction) Dashboard() awscloudwatch.CfnDashboard { return w.dashboard }

// GrantPrincipal returns the principal that the function acts as. It makes a
// WarmFunction an awsiam.IGrantable.
func (w *WarmFunction) GrantPrincipal() awsiam.IPrincipal { return w.function.GrantPrincipal() }

// GrantInvoke lets the grantee invoke the alias.
func (w *WarmFunction) GrantInvoke(grantee awsiam.IGrantable) awsiam.Grant {
	return w.function.GrantInvoke(grantee)
}

func (w *WarmFunction) cfnFunction() awslambda.CfnFunction {
	return w.function.Lambda().Node().DefaultChild().(awslambda.CfnFunction)
}

func (w *WarmFunction) cfnAlias() awslambda.CfnAlias {
	return w.alias.Node().DefaultChild().(awslambda.CfnAlias)
}

// aliasDimensions are those of the metrics of an alias.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
func aliasDimensions(alias awslambda.IAlias) map[string]*string {
	return construct.Once(alias, "dimensions", func() map[string]*string {
		name := functionName(alias)
		return map[string]*string{
			"FunctionName": name,
			"Resource":     jsii.String(*name + ":" + *construct.Once(alias, "AliasName", alias.AliasName)),
		}
	})
}

func version(alias awslambda.IAlias) awslambda.IVersion {
	return construct.Once(alias, "Version", alias.Version)
}

// functionName returns the name of the function that the alias is of.
func functionName(alias awslambda.IAlias) *string {
	return construct.Once(alias, "FunctionName of its function", func() *string {
		return construct.FunctionName(version(alias).Lambda())
	})
}
