package eventsourcing

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awspipes"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// newOutbox makes the pipe that publishes every event of the table on the bus.
// It needs no code and no second write: the event is in the table, and the
// table's stream is read until the bus has it.
func newOutbox(s *EventStore, t alarm.Tuning) *pipe {
	bus := construct.EventBusArn(s.bus)
	return newPipe(construct.Scope(s, "Outbox"), s, "the bus", pipeTarget{
		arn:   bus,
		allow: defaults.Actions{"events:PutEvents"}.To(bus),
		parameters: &awspipes.CfnPipe_PipeTargetParametersProperty{
			EventBridgeEventBusParameters: &awspipes.CfnPipe_PipeTargetEventBridgeEventBusParametersProperty{
				DetailType: jsii.String("$.dynamodb.NewImage." + schema.Type + ".S"),
				Source:     &s.source,
			},
		},
	}, t, s.alarmTopic)
}

// OutboxPipe returns the pipe that publishes the events.
func (s *EventStore) OutboxPipe() awspipes.CfnPipe { return s.outbox.pipe }

// OutboxDeadLetterQueue returns the queue of the stream positions that could
// not be published. The events are in the table: rebuild from there.
func (s *EventStore) OutboxDeadLetterQueue() awssqs.IQueue { return s.outbox.deadLetters }
