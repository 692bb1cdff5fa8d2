package eventsourcing

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/internal/construct"
	"github.com/serverless-go/cdk/patterns/internal/defaults"
	"github.com/serverless-go/cdk/patterns/props"
)

// ReplayProps says which reactions see the past again.
type ReplayProps struct {
	// Reactions are the reactions that the events are replayed to. Each must
	// have been added with Replays. Required.
	Reactions []*Reaction
	// Alarm tunes the alarm of replays that failed.
	//
	// Default: it goes off at the first.
	Alarm alarm.Tuning
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

// AddReplay makes a replay of the bus's archive.
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
	c.Nested("Alarm", p.Alarm.Check)
	c.Panic(s, id)
	r := &Replay{}
	construct.Init(r, s, id)
	var rules []*string
	for _, reaction := range p.Reactions {
		rules = append(rules, reaction.ruleARN)
	}
	archive, bus := s.archive.AttrArn(), s.bus.EventBusArn()
	r.workflow = newStateMachine(r, replayDefinition(archive, bus, rules),
		"A replay of "+s.source+" failed: read the execution's cause.", p.Alarm, s.alarmTopic,
		defaults.Actions{"events:StartReplay"}.On(archive, bus, replays()),
		defaults.Actions{"events:DescribeReplay"}.On(replays()))
	return r
}

// replays returns the ARN of replays, which have no names until they start.
func replays() *string {
	return awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:replay/replay-*"), nil)
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

// StateMachine returns the workflow.
func (r *Replay) StateMachine() awsstepfunctions.CfnStateMachine { return r.workflow.machine }

// Alarm returns the alarm of replays that failed, or nil.
func (r *Replay) Alarm() awscloudwatch.CfnAlarm { return r.workflow.alarm }

// GrantStart lets the grantee start a replay.
func (r *Replay) GrantStart(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Actions{"states:StartExecution"}.Grant(grantee, r.workflow.machine.Ref())
}
