package coldstart

import (
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapplicationautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
)

// ProvisionedConcurrencyProps says how many environments are kept ready, and
// when: a fixed Concurrency, a Schedule, TargetTracking, or the two last
// together.
type ProvisionedConcurrencyProps struct {
	// Function is the function, which must have an alias. Required.
	Function *function.Function

	// Concurrency is a fixed number of environments, 1 or more.
	//
	// Default: Schedule or TargetTracking decide.
	Concurrency int
	// Schedule is how many environments are kept ready at what time. With
	// TargetTracking it is the least.
	//
	// Default: Concurrency or TargetTracking decide.
	Schedule schedule.Schedule
	// Lead is how long before it is needed the schedule's increase is asked
	// for, in whole minutes, up to an hour.
	//
	// Default: schedule.DefaultLead, 5 minutes.
	Lead time.Duration
	// TargetTracking follows the load.
	//
	// Default: Concurrency or Schedule decide.
	TargetTracking *TargetTracking

	// Alarms tunes the alarms.
	//
	// Default: all are made and notify nobody.
	Alarms ProvisionedConcurrencyAlarms
}

// ProvisionedConcurrencyAlarms tunes the alarms of provisioned concurrency.
type ProvisionedConcurrencyAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// Spillover counts the invocations that found no provisioned environment
	// free. A plan of package planner allows some: set its Threshold to what
	// the plan says, or turn it off.
	//
	// Default: one in each of three minutes in a row.
	Spillover alarm.Tuning
	// Underuse tells of money wasted: the largest share of the provisioned
	// environments that were busy at the same time.
	//
	// Default: less than 0.3 on each of seven days in a row.
	Underuse alarm.Tuning
}

func (a ProvisionedConcurrencyAlarms) check(c *props.Check) {
	c.Nested("Spillover", a.Spillover.Check)
	c.Nested("Underuse", a.Underuse.Check)
}

// TargetTracking follows the load, late by the minutes that its alarms need:
// about five to scale out, fifteen to scale in.
type TargetTracking struct {
	// Min is the least that is kept ready, 1 or more: with nothing provisioned
	// there is no utilization to follow. With a Schedule it must be 0, for the
	// schedule is the least; where that is 0 too, tracking rests.
	//
	// Default: 1, or the schedule's.
	Min int
	// Max is the most that is kept ready, 1 or more, and so the most that it
	// costs. Required.
	Max int
	// Utilization is the share of environments that should be busy at the
	// busiest moment of a minute, 0.1 to 0.9.
	//
	// Default: 0.7.
	Utilization float64
}

// ProvisionedConcurrency keeps environments of a function's alias ready. Each
// costs 0.0000033334 USD a GB and second, used or not (arm64, us-east-1), which
// is 8.76 USD a GB and month; invocations on them cost 42 % less than on demand
// (https://aws.amazon.com/lambda/pricing/).
//
// Target tracking follows the Maximum of the utilization: the metric that AWS
// predefines is the average over a minute, which a burst of a few seconds
// hardly moves. And it counts silence as 0: Lambda sends no utilization while
// nobody calls, and then the predefined policy would never scale in.
//
// While a deployment shifts traffic between two versions, Lambda accepts no
// change of the alias's provisioned concurrency: an action of the schedule that
// falls into it is lost until the next. Deploy when the schedule rests, or all
// at once.
//
// Sources: https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html,
// https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-policy-overview.html.
type ProvisionedConcurrency struct {
	constructs.Construct
	target    awsapplicationautoscaling.CfnScalableTarget // nil when fixed
	policy    awsapplicationautoscaling.CfnScalingPolicy  // nil without tracking
	spillover awscloudwatch.CfnAlarm
	underuse  awscloudwatch.CfnAlarm
}

// NewProvisionedConcurrency keeps environments of a function ready. It panics
// with a *[props.Error] when the props are wrong.
func NewProvisionedConcurrency(scope constructs.Construct, id string, p *ProvisionedConcurrencyProps) *ProvisionedConcurrency {
	if p == nil {
		p = &ProvisionedConcurrencyProps{}
	}
	alias := p.check(scope, id)
	c := &ProvisionedConcurrency{}
	construct.Init(c, scope, id)

	if p.Concurrency > 0 {
		alias.Node().DefaultChild().(awslambda.CfnAlias).SetProvisionedConcurrencyConfig(
			&awslambda.CfnAlias_ProvisionedConcurrencyConfigurationProperty{
				ProvisionedConcurrentExecutions: jsii.Number(p.Concurrency),
			})
	} else {
		c.addTarget(p, alias)
	}
	if p.TargetTracking != nil {
		c.addTracking(p.TargetTracking, alias)
	}
	c.addAlarms(p, alias)
	c.warnOfThePast(p.Schedule, time.Now())
	return c
}

func (p *ProvisionedConcurrencyProps) check(scope constructs.Construct, id string) awslambda.IAlias {
	var c props.Check
	var alias awslambda.IAlias
	if p.Function == nil {
		c.Wrong("Function", props.Unset, "a function with an alias", "set it")
	} else {
		var ok, own bool
		alias, ok = p.Function.Target().(awslambda.IAlias)
		_, own = p.Function.Target().(awslambda.Alias)
		if !ok {
			c.Wrong("Function", props.Words(*p.Function.Node().Path()+" without an alias"), "a function with an alias",
				"set its Alias: Lambda provisions versions, not the code being edited")
		}
		c.Require(!ok || own || p.Concurrency == 0, "Concurrency", p.Concurrency, "0 for an alias that was adopted",
			"write Schedule: schedule.Schedule{schedule.Always(n)}")
	}
	p.checkConcurrency(&c)
	c.Panic(scope, id)
	return alias
}

func (p *ProvisionedConcurrencyProps) checkConcurrency(c *props.Check) {
	switch {
	case p.Concurrency < 0:
		c.Wrong("Concurrency", p.Concurrency, "1 or more", "")
	case p.Concurrency > 0 && len(p.Schedule) > 0:
		c.Wrong("Concurrency", props.Words("set together with Schedule"), "one of the two",
			"add schedule.Always(n) to the schedule for what is always ready")
	case p.Concurrency > 0 && p.TargetTracking != nil:
		c.Wrong("Concurrency", props.Words("set together with TargetTracking"), "one of the two",
			"set TargetTracking.Min for what is always ready")
	case p.Concurrency == 0 && len(p.Schedule) == 0 && p.TargetTracking == nil:
		c.Wrong("Concurrency", 0, "1 or more, or a Schedule, or TargetTracking",
			"set one of them, or let package planner compute a schedule")
	}
	if _, err := p.Schedule.Actions(p.Lead); err != nil {
		for _, problem := range unjoin(err) {
			c.Wrong("Schedule", props.Words("wrong"), "what can be deployed", problem.Error())
		}
	}
	if t := p.TargetTracking; t != nil {
		c.Require(t.Max >= 1, "TargetTracking.Max", t.Max, "1 or more", "it bounds what tracking can cost")
		c.Require(t.Min >= 0 && t.Min <= max(t.Max, 0), "TargetTracking.Min", t.Min, "0 for the default, or 1 to Max", "")
		c.Require(len(p.Schedule) == 0 || t.Min == 0, "TargetTracking.Min", t.Min, "0 with a Schedule", "the schedule is the least")
		c.Require(p.Schedule.Peak() <= max(t.Max, 0), "TargetTracking.Max", t.Max,
			fmt.Sprintf("%d or more, the schedule's peak", p.Schedule.Peak()), "")
		props.Between(c, "TargetTracking.Utilization", t.Utilization, 0.1, 0.9)
	}
	c.Nested("Alarms", p.Alarms.check)
}

// unjoin returns the errors that errors.Join joined, or the error itself.
func unjoin(err error) []error {
	if joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// floor returns what is provisioned at any time.
func (p *ProvisionedConcurrencyProps) floor() int {
	switch {
	case p.Concurrency > 0:
		return p.Concurrency
	case len(p.Schedule) > 0:
		return p.Schedule.Floor()
	case p.TargetTracking != nil:
		return construct.Or(p.TargetTracking.Min, 1)
	}
	return 0
}

// peak returns the most that is ever provisioned.
func (p *ProvisionedConcurrencyProps) peak() int {
	if p.TargetTracking != nil {
		return p.TargetTracking.Max
	}
	return max(p.Concurrency, p.Schedule.Peak())
}

// addTarget makes the scalable target with the schedule's actions. Its own
// bounds are the widest that the actions ever set: registered anew in the
// middle of a day, with a changed schedule, they take nothing away.
func (c *ProvisionedConcurrency) addTarget(p *ProvisionedConcurrencyProps, alias awslambda.IAlias) {
	actions, err := p.Schedule.Actions(p.Lead)
	if err != nil {
		panic(err) // check has refused it
	}
	var scheduled []any
	for _, a := range actions {
		most := a.Concurrency
		if p.TargetTracking != nil {
			most = p.TargetTracking.Max
		}
		scheduled = append(scheduled, &awsapplicationautoscaling.CfnScalableTarget_ScheduledActionProperty{
			ScheduledActionName: jsii.String(a.Name),
			Schedule:            jsii.String(a.Expression),
			Timezone:            jsii.String(a.Zone),
			StartTime:           timestamp(a.Start),
			EndTime:             timestamp(a.End),
			ScalableTargetAction: &awsapplicationautoscaling.CfnScalableTarget_ScalableTargetActionProperty{
				MinCapacity: jsii.Number(a.Concurrency),
				MaxCapacity: jsii.Number(most),
			},
		})
	}
	target := &awsapplicationautoscaling.CfnScalableTargetProps{
		ServiceNamespace:  jsii.String("lambda"),
		ScalableDimension: jsii.String("lambda:function:ProvisionedConcurrency"),
		ResourceId:        jsii.String("function:" + *aliasDimensions(alias)["Resource"]),
		MinCapacity:       jsii.Number(p.floor()),
		MaxCapacity:       jsii.Number(p.peak()),
	}
	if len(scheduled) > 0 {
		target.ScheduledActions = scheduled
	}
	c.target = awsapplicationautoscaling.NewCfnScalableTarget(c, jsii.String("Target"), target)
	c.target.Node().AddDependency(alias)
}

// timestamp returns a time as the CDK wants it, nil for the zero time.
func timestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (c *ProvisionedConcurrency) addTracking(t *TargetTracking, alias awslambda.IAlias) {
	utilization := t.Utilization
	if utilization == 0 {
		utilization = 0.7
	}
	var dimensions []any
	for name, value := range sorted(aliasDimensions(alias)) {
		dimensions = append(dimensions, &awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingMetricDimensionProperty{
			Name: jsii.String(name), Value: value})
	}
	c.policy = awsapplicationautoscaling.NewCfnScalingPolicy(c, jsii.String("Tracking"), &awsapplicationautoscaling.CfnScalingPolicyProps{
		PolicyName:      jsii.String("utilization"),
		PolicyType:      jsii.String("TargetTrackingScaling"),
		ScalingTargetId: c.target.Ref(),
		TargetTrackingScalingPolicyConfiguration: &awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingScalingPolicyConfigurationProperty{
			TargetValue: jsii.Number(utilization),
			CustomizedMetricSpecification: &awsapplicationautoscaling.CfnScalingPolicy_CustomizedMetricSpecificationProperty{
				Metrics: []any{
					&awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingMetricDataQueryProperty{
						Id:         jsii.String("busy"),
						ReturnData: jsii.Bool(false),
						MetricStat: &awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingMetricStatProperty{
							Stat: jsii.String("Maximum"),
							Metric: &awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingMetricProperty{
								Namespace:  jsii.String("AWS/Lambda"),
								MetricName: jsii.String("ProvisionedConcurrencyUtilization"),
								Dimensions: dimensions,
							},
						},
					},
					&awsapplicationautoscaling.CfnScalingPolicy_TargetTrackingMetricDataQueryProperty{
						Id:         jsii.String("utilization"),
						Label:      jsii.String("Busiest moment of the minute, 0 when nobody calls"),
						Expression: jsii.String("FILL(busy, 0)"),
						ReturnData: jsii.Bool(true),
					},
				},
			},
		},
	})
}

func (c *ProvisionedConcurrency) addAlarms(p *ProvisionedConcurrencyProps, alias awslambda.IAlias) {
	dimensions := aliasDimensions(alias)
	c.spillover = alarm.New(c, "Spillover", alarm.Alarm{
		Namespace:   "AWS/Lambda",
		Metric:      "ProvisionedConcurrencySpilloverInvocations",
		Dimensions:  dimensions,
		Statistic:   "Sum",
		Threshold:   1,
		Periods:     3,
		Description: "Invocations find no provisioned environment free and may start cold: provision more, or plan again with today's traffic.",
	}, p.Alarms.Spillover, p.Alarms.Topic)
	c.underuse = underuseAlarm(c, dimensions, p.Alarms.Underuse, p.Alarms.Topic)
}

// underuseAlarm counts silence as 0, as an alarm on the bare metric would not:
// what nobody uses at all is wasted most.
func underuseAlarm(scope constructs.Construct, dimensions map[string]*string, t alarm.Tuning, topic awssns.ITopic) awscloudwatch.CfnAlarm {
	if t.Off {
		return nil
	}
	threshold := 0.3
	if t.Threshold != nil {
		threshold = *t.Threshold
	}
	var metric []any
	for name, value := range sorted(dimensions) {
		metric = append(metric, &awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String(name), Value: value})
	}
	return awscloudwatch.NewCfnAlarm(scope, jsii.String("Underuse"), &awscloudwatch.CfnAlarmProps{
		AlarmDescription:   jsii.String("Provisioned environments are hardly used: provision fewer, or none, or plan again with today's traffic."),
		ComparisonOperator: jsii.String("LessThanThreshold"),
		Threshold:          &threshold,
		EvaluationPeriods:  jsii.Number(construct.Or(t.Periods, 7)),
		TreatMissingData:   jsii.String("notBreaching"),
		AlarmActions:       alarm.Actions(topic),
		OkActions:          alarm.Actions(topic),
		Metrics: []any{
			&awscloudwatch.CfnAlarm_MetricDataQueryProperty{
				Id:         jsii.String("busy"),
				ReturnData: jsii.Bool(false),
				MetricStat: &awscloudwatch.CfnAlarm_MetricStatProperty{
					Stat:   jsii.String("Maximum"),
					Period: jsii.Number(construct.Or(t.Period, 24*time.Hour).Seconds()),
					Metric: &awscloudwatch.CfnAlarm_MetricProperty{
						Namespace:  jsii.String("AWS/Lambda"),
						MetricName: jsii.String("ProvisionedConcurrencyUtilization"),
						Dimensions: metric,
					},
				},
			},
			&awscloudwatch.CfnAlarm_MetricDataQueryProperty{
				Id:         jsii.String("utilization"),
				Expression: jsii.String("FILL(busy, 0)"),
				ReturnData: jsii.Bool(true),
			},
		},
	})
}

// warnOfThePast advises to remove windows that are over, for Application Auto
// Scaling may refuse actions in the past.
func (c *ProvisionedConcurrency) warnOfThePast(s schedule.Schedule, now time.Time) {
	for _, e := range s {
		if !e.End.IsZero() && e.End.Before(now) {
			awscdk.Annotations_Of(c).AddWarningV2(jsii.String("serverless-go:windowIsOver"),
				jsii.String(fmt.Sprintf("the window %v is over: remove it from the schedule", e)))
		}
	}
}

// ScalableTarget returns what the schedule and target tracking scale, nil for
// a fixed concurrency.
func (c *ProvisionedConcurrency) ScalableTarget() awsapplicationautoscaling.CfnScalableTarget {
	return c.target
}

// ScalingPolicy returns the policy that tracks the load, or nil.
func (c *ProvisionedConcurrency) ScalingPolicy() awsapplicationautoscaling.CfnScalingPolicy {
	return c.policy
}

// SpilloverAlarm returns the alarm of invocations beyond what is provisioned,
// or nil.
func (c *ProvisionedConcurrency) SpilloverAlarm() awscloudwatch.CfnAlarm { return c.spillover }

// UnderuseAlarm returns the alarm of money wasted, or nil.
func (c *ProvisionedConcurrency) UnderuseAlarm() awscloudwatch.CfnAlarm { return c.underuse }

// Alarms returns the alarms that were made, but not those of the function.
func (c *ProvisionedConcurrency) Alarms() []awscloudwatch.CfnAlarm {
	return defaults.Alarms(c.spillover, c.underuse)
}
