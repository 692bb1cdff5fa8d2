package eventsourcing

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/props"
)

// ReplayProps says which reactions see the past again.
type ReplayProps struct {
	// Reactions are the reactions that the events are replayed to. Each must
	// have been added with Replays. Required.
	Reactions []*Reaction
	// Alarms tunes the alarm.
	//
	// Default: it is made and notifies the event store's topic.
	Alarms ReplayAlarms
}

// ReplayAlarms tunes a replay's alarm.
type ReplayAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: the event store's.
	Topic awssns.ITopic
	// Failed counts the replays that failed.
	//
	// Default: one in a minute.
	Failed alarm.Tuning
}

func (a ReplayAlarms) check(c *props.Check) {
	c.Nested("Failed", a.Failed.Check)
}

// Replay is a workflow that replays events from the bus's archive to some of
// the reactions. Start it with the input
//
//	{"from": "2026-11-27T00:00:00Z", "to": "2026-11-28T00:00:00Z"}
//
// The events carry "replay-name", arrive in no order, and reach only the
// reactions named. An event reaches the archive some minutes after the bus, and
// EventBridge runs at most ten replays of a region at a time
// (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-replay-archived-event.html).
// For a projection use its [Rebuild], which keeps the order.
type Replay struct {
	constructs.Construct
	workflow *stateMachine
}

// AddReplay makes a replay of the bus's archive. It panics with a
// *[props.Error] when the props are wrong.
func (s *EventStore) AddReplay(id string, p *ReplayProps) *Replay {
	var c props.Check
	if p == nil {
		p = &ReplayProps{}
	}
	c.Require(len(p.Reactions) > 0, "Reactions", props.Empty, "at least one reaction", "add those that are to see the past again")
	for i, r := range p.Reactions {
		c.Require(r != nil && r.replays, fmt.Sprintf("Reactions[%d]", i), props.Words("a reaction to live events only"),
			"a reaction that was added with Replays", "set Replays in its props")
	}
	c.Nested("Alarms", p.Alarms.check)
	c.Panic(s, id)
	r := &Replay{}
	construct.Init(r, s, id)
	topic := construct.Or(p.Alarms.Topic, s.alarmTopic)
	var rules []*string
	for _, reaction := range p.Reactions {
		rules = append(rules, reaction.ruleARN)
	}
	archive, bus := s.archive.AttrArn(), construct.EventBusArn(s.bus)
	// Replays have no names until they start.
	replays := defaults.Text(r, "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:replay/replay-*")
	r.workflow = newStateMachine(r, replayDefinition(archive, bus, rules),
		"A replay of "+s.source+" failed: read the execution's cause.", p.Alarms.Failed, topic,
		defaults.Actions{"events:StartReplay"}.To(archive, bus, replays),
		defaults.Actions{"events:DescribeReplay"}.To(replays))
	return r
}

func replayDefinition(archive, bus *string, rules []*string) map[string]any {
	name := "{% 'replay-' & $substring($states.context.Execution.Name, 0, 50) %}"
	retry := []any{map[string]any{
		"ErrorEquals":     []string{"EventBridge.LimitExceededException", "EventBridge.InternalException", "EventBridge.SdkClientException"},
		"IntervalSeconds": 30, "BackoffRate": 2, "MaxDelaySeconds": 600, "MaxAttempts": 20, "JitterStrategy": "FULL",
	}}
	return map[string]any{
		"Comment":        "Replays events from the archive to the rules of some reactions.",
		"QueryLanguage":  "JSONata",
		"StartAt":        "Start",
		"TimeoutSeconds": 7 * 24 * 3600,
		"States": map[string]any{
			"Start": map[string]any{
				"Type":     "Task",
				"Resource": "arn:aws:states:::aws-sdk:eventbridge:startReplay",
				"Arguments": map[string]any{
					"ReplayName":     name,
					"EventSourceArn": archive,
					"EventStartTime": "{% $states.input.from %}",
					"EventEndTime":   "{% $states.input.to %}",
					"Destination":    map[string]any{"Arn": bus, "FilterArns": rules},
				},
				"Retry": retry,
				"Next":  "Run",
			},
			"Run": map[string]any{"Type": "Wait", "Seconds": 60, "Next": "Look"},
			"Look": map[string]any{
				"Type":      "Task",
				"Resource":  "arn:aws:states:::aws-sdk:eventbridge:describeReplay",
				"Arguments": map[string]any{"ReplayName": name},
				"Retry":     retry,
				"Next":      "Over?",
			},
			"Over?": map[string]any{
				"Type": "Choice",
				"Choices": []any{
					map[string]any{"Condition": "{% $states.input.State = 'COMPLETED' %}", "Next": "Replayed"},
					map[string]any{"Condition": "{% $states.input.State in ['FAILED', 'CANCELLED'] %}", "Next": "Failed"},
				},
				"Default": "Run",
			},
			"Replayed": map[string]any{"Type": "Succeed"},
			"Failed": map[string]any{
				"Type":  "Fail",
				"Error": "ReplayFailed",
				"Cause": "{% $states.input.State & ': ' & $states.input.StateReason %}",
			},
		},
	}
}

// CfnStateMachine returns the workflow.
func (r *Replay) CfnStateMachine() awsstepfunctions.CfnStateMachine { return r.workflow.machine }

// FailedAlarm returns the alarm of replays that failed, or nil.
func (r *Replay) FailedAlarm() awscloudwatch.CfnAlarm { return r.workflow.alarm }

// Alarms returns the alarms that were made: [Replay.FailedAlarm], or none.
func (r *Replay) Alarms() []awscloudwatch.CfnAlarm { return defaults.Alarms(r.workflow.alarm) }

// GrantStart lets the grantee start a replay.
func (r *Replay) GrantStart(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee, defaults.Actions{"states:StartExecution"}.To(construct.Ref(r.workflow.machine)))
}
