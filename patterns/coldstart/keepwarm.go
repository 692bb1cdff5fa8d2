package coldstart

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/statemachine"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
	"github.com/serverless-go/cdk/patterns/coldstart/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
)

// MaxPings is how many pings a KeepWarm sends at the same time, over all its
// functions: an inline Map of Step Functions runs no more iterations at once.
//
// Source: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
const MaxPings = 40

// KeepWarmProps says which functions are pinged, when and how.
type KeepWarmProps struct {
	// Functions are pinged through their aliases, those without through the
	// function itself. Their handlers are wrapped in warm.Middleware, or know the
	// Payload. Required.
	Functions []*function.Function

	// Concurrency is how many environments of each function are kept warm, 1
	// to MaxPings over all functions. Set Concurrency or Schedule, not both.
	//
	// Default: 1, at any time.
	Concurrency int
	// Schedule is how many environments of each function are kept warm at what
	// time, in weekly entries on whole hours.
	//
	// Default: Concurrency, at any time.
	Schedule schedule.Schedule
	// Rate is the time between pings, a part of an hour in whole minutes.
	// Lambda keeps an idle environment for 5 minutes and more, but promises
	// nothing.
	//
	// Default: 4 minutes.
	Rate time.Duration
	// Hold is how long a ping keeps its environment busy, so that the others
	// reach other ones, 0 to 10s. It is billed as duration.
	//
	// Default: 300 milliseconds, nothing where a single ping is sent.
	Hold time.Duration
	// Payload is the event that is sent, JSON, for functions that do not use
	// warm.Middleware. Set Payload or Hold, not both.
	//
	// Default: a schema.Ping with Hold.
	Payload string

	// Alarms tunes the alarm.
	//
	// Default: it is made and notifies nobody.
	Alarms KeepWarmAlarms
}

// KeepWarmAlarms tunes the alarm of pings.
type KeepWarmAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// Failed counts the pings that could not be sent. A function that fails on
	// a ping has alarms of its own.
	//
	// Default: one in a minute.
	Failed alarm.Tuning
}

func (a KeepWarmAlarms) check(c *props.Check) {
	c.Nested("Failed", a.Failed.Check)
}

// KeepWarm pings functions so that Lambda does not take down their
// environments. It makes cold starts rare and promises nothing: Lambda replaces
// environments as it likes, and invocations beyond Concurrency start cold.
//
//	EventBridge Scheduler ──▶ Express workflow ──▶ Map ──▶ alias, N times at once
//
// There is no warmer function to maintain. A ping of one function every four
// minutes is about 11,000 executions a month: 0.02 USD for the workflow
// (us-east-1), and the function's own requests and milliseconds.
//
// Sources: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html,
// https://aws.amazon.com/step-functions/pricing/.
type KeepWarm struct {
	constructs.Construct
	machine   awsstepfunctions.CfnStateMachine
	schedules []awsscheduler.CfnSchedule
	alarm     awscloudwatch.CfnAlarm
}

// NewKeepWarm pings functions. It panics with a *[props.Error] when the props
// are wrong.
func NewKeepWarm(scope constructs.Construct, id string, p *KeepWarmProps) *KeepWarm {
	if p == nil {
		p = &KeepWarmProps{}
	}
	p.check(scope, id)
	k := &KeepWarm{}
	construct.Init(k, scope, id)

	targets := make([]*string, len(p.Functions))
	for i, f := range p.Functions {
		targets[i] = construct.FunctionArn(f.Target())
	}
	k.addMachine(p, targets)
	k.addSchedules(p, targets)
	return k
}

func (p *KeepWarmProps) check(scope constructs.Construct, id string) {
	var c props.Check
	c.Require(len(p.Functions) > 0, "Functions", props.Empty, "at least one", "set it")
	if slices.Contains(p.Functions, nil) {
		c.Wrong("Functions", props.Words("with a nil"), "functions", "")
		c.Panic(scope, id)
	}
	p.checkPings(&c, len(p.Functions))
	for _, f := range p.Functions {
		p.checkHold(&c, f.Timeout())
	}
	c.Panic(scope, id)
}

func (p *KeepWarmProps) checkPings(c *props.Check, functions int) {
	c.Require(p.Concurrency == 0 || len(p.Schedule) == 0, "Concurrency", props.Words("set together with Schedule"), "one of the two",
		"write schedule.Always(n) for what is always kept warm")
	if _, err := p.schedule().Every(p.rate()); err != nil {
		for _, problem := range unjoin(err) {
			c.Wrong("Schedule", props.Words("wrong"), "what can be pinged", problem.Error())
		}
	}
	if pings := functions * p.schedule().Peak(); pings > MaxPings {
		c.Wrong("Concurrency", p.schedule().Peak(), fmt.Sprintf("%d pings at once over all functions, and these are %d", MaxPings, pings),
			"provision concurrency for so many, or make another KeepWarm")
	}
	c.Require(p.Payload == "" || json.Valid([]byte(p.Payload)), "Payload", p.Payload, "JSON", "")
	c.Require(p.Payload == "" || p.Hold == 0, "Hold", p.Hold, "0 with a Payload", "a payload of your own holds as long as its handler does")
	props.Between(c, "Hold", p.Hold, time.Millisecond, 10*time.Second)
	c.Nested("Alarms", p.Alarms.check)
}

// checkHold refuses pings that would time out, which would end the
// environments that they are to keep.
func (p *KeepWarmProps) checkHold(c *props.Check, timeout time.Duration) {
	c.Require(timeout == 0 || p.hold() < timeout, "Hold", p.hold(), "less than the function's time-out of "+timeout.String(), "")
}

func (p *KeepWarmProps) rate() time.Duration { return construct.Or(p.Rate, 4*time.Minute) }

func (p *KeepWarmProps) schedule() schedule.Schedule {
	if len(p.Schedule) > 0 {
		return p.Schedule
	}
	return schedule.Schedule{schedule.Always(construct.Or(p.Concurrency, 1))}
}

func (p *KeepWarmProps) hold() time.Duration {
	if p.Payload != "" || p.Hold == 0 && p.schedule().Peak() == 1 {
		return 0
	}
	return construct.Or(p.Hold, 300*time.Millisecond)
}

func (p *KeepWarmProps) payload() json.RawMessage {
	if p.Payload != "" {
		return json.RawMessage(p.Payload)
	}
	return schema.Ping{Hold: int(p.hold().Milliseconds())}.Payload()
}

// addMachine makes the workflow. Its input names each function as often as it
// is to be pinged, so that one workflow serves all times of the schedule.
func (k *KeepWarm) addMachine(p *KeepWarmProps, targets []*string) {
	logs := statemachine.LogGroup(k, "Logs", awslogs.RetentionDays_ONE_WEEK, nil)
	role := defaults.ServiceRole(k, "Role", "states.amazonaws.com",
		defaults.Actions{"lambda:InvokeFunction"}.To(targets...),
		statemachine.ToLog())
	logging := statemachine.Logging(logs, true) // pings, nothing personal
	logging.Level = jsii.String("ERROR")
	k.machine = awsstepfunctions.NewCfnStateMachine(k, jsii.String("StateMachine"), &awsstepfunctions.CfnStateMachineProps{
		StateMachineType:     jsii.String("EXPRESS"),
		RoleArn:              role,
		Definition:           definition(p.payload()),
		LoggingConfiguration: logging,
	})
	k.alarm = alarm.New(k, "Failed", alarm.Alarm{
		Namespace:   "AWS/States",
		Metric:      "ExecutionsFailed",
		Dimensions:  map[string]*string{"StateMachineArn": construct.Ref(k.machine)},
		Statistic:   "Sum",
		Threshold:   1,
		Description: "Functions are not kept warm: read the log of the workflow that pings them.",
	}, p.Alarms.Failed, p.Alarms.Topic)
}

// definition returns the workflow in the Amazon States Language. A ping that
// fails does not stop the others, and is not repeated: the next one comes soon.
func definition(payload json.RawMessage) map[string]any {
	var event any
	if err := json.Unmarshal(payload, &event); err != nil {
		panic(err) // check has refused it
	}
	return map[string]any{
		"Comment":        "Pings each function of the input, all at the same time.",
		"QueryLanguage":  "JSONata",
		"StartAt":        "Ping all",
		"TimeoutSeconds": 60,
		"States": map[string]any{
			"Ping all": map[string]any{
				"Type":           "Map",
				"Items":          "{% $states.input.functions %}",
				"MaxConcurrency": MaxPings,
				"ItemProcessor": map[string]any{
					"ProcessorConfig": map[string]any{"Mode": "INLINE"},
					"StartAt":         "Ping",
					"States": map[string]any{
						"Ping": map[string]any{
							"Type":     "Task",
							"Resource": "arn:aws:states:::lambda:invoke",
							"Arguments": map[string]any{
								"FunctionName": "{% $states.input %}",
								"Payload":      event,
							},
							"Output": "{% $states.result.Payload %}",
							"Catch": []any{map[string]any{
								"ErrorEquals": []string{"States.ALL"},
								"Output":      map[string]any{"missed": "{% $states.errorOutput.Error %}"},
								"Next":        "Missed",
							}},
							"End": true,
						},
						"Missed": map[string]any{"Type": "Succeed"},
					},
				},
				"End": true,
			},
		},
	}
}

func (k *KeepWarm) addSchedules(p *KeepWarmProps, targets []*string) {
	actions, err := p.schedule().Every(p.rate())
	if err != nil {
		panic(err) // check has refused it
	}
	role := defaults.ServiceRole(k, "SchedulerRole", "scheduler.amazonaws.com",
		defaults.Actions{"states:StartExecution"}.To(construct.Ref(k.machine)))
	for i, a := range actions {
		k.schedules = append(k.schedules, awsscheduler.NewCfnSchedule(k, jsii.String(fmt.Sprintf("Schedule%d", i+1)), &awsscheduler.CfnScheduleProps{
			Description:                jsii.String(fmt.Sprintf("Keeps %d environments warm.", a.Concurrency)),
			ScheduleExpression:         jsii.String(a.Expression),
			ScheduleExpressionTimezone: jsii.String(a.Zone),
			FlexibleTimeWindow:         &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")},
			Target: &awsscheduler.CfnSchedule_TargetProperty{
				Arn:     construct.Ref(k.machine),
				RoleArn: construct.RoleArn(role),
				Input:   jsii.String(defaults.JSON(map[string]any{"functions": slices.Repeat(targets, a.Concurrency)})),
				// A late ping is of no use: the next one is on its way.
				RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{
					MaximumRetryAttempts:     jsii.Number(0),
					MaximumEventAgeInSeconds: jsii.Number(60),
				},
			},
		}))
	}
}

// sorted returns the entries of a map in the order of their keys.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// CfnStateMachine returns the workflow that pings.
func (k *KeepWarm) CfnStateMachine() awsstepfunctions.CfnStateMachine { return k.machine }

// Schedules returns what starts the workflow.
func (k *KeepWarm) Schedules() []awsscheduler.CfnSchedule { return k.schedules }

// FailedAlarm returns the alarm of pings that could not be sent, or nil.
func (k *KeepWarm) FailedAlarm() awscloudwatch.CfnAlarm { return k.alarm }

// Alarms returns the alarms that were made: [KeepWarm.FailedAlarm], or none.
func (k *KeepWarm) Alarms() []awscloudwatch.CfnAlarm { return defaults.Alarms(k.alarm) }

// GrantStart lets the grantee start the workflow, to ping at other times too.
func (k *KeepWarm) GrantStart(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee, defaults.Actions{"states:StartExecution"}.To(construct.Ref(k.machine)))
}
