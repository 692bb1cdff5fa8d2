package eventsourcing

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awspipes"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// A record that a pipe cannot deliver is tried again this often, and is given
// up well before the table's stream drops it after 24 hours: only then does it
// reach the dead-letter queue.
const (
	pipeRetries = 185
	pipeMaxAge  = 22 * time.Hour
)

// pipe carries the events of a store's table to one target.
type pipe struct {
	pipe        awspipes.CfnPipe
	role        awsiam.Role
	logs        awslogs.LogGroup
	deadLetters awssqs.IQueue
	alarm       awscloudwatch.CfnAlarm
}

// pipeTarget is where a pipe delivers to.
type pipeTarget struct {
	arn        *string
	allow      defaults.Statement
	parameters *awspipes.CfnPipe_PipeTargetParametersProperty
}

// newPipe makes a pipe from the store's stream. Its ids are those of the
// scope's children: Pipe, PipeRole, PipeLogs, PipeDeadLetters.
func newPipe(scope constructs.Construct, s *EventStore, what string, to pipeTarget, t alarm.Tuning, topic awssns.ITopic) *pipe {
	s.readers++
	stream := construct.TableStreamArn(s.table)
	p := &pipe{logs: defaults.LogGroup(scope, "PipeLogs", "", nil)}
	p.deadLetters, p.alarm = defaults.WatchedDeadLetters(scope, "PipeDeadLetters", nil,
		defaults.DeadLetters{For: "Events for " + what, Alarm: t, Topic: topic})
	deadARN := construct.QueueArn(p.deadLetters)
	p.role = defaults.ServiceRole(scope, "PipeRole", "pipes.amazonaws.com",
		defaults.ReadStream.To(stream),
		defaults.ReadKey.To(s.keyARN),
		defaults.Actions{"sqs:SendMessage"}.To(deadARN),
		to.allow,
	)
	to.parameters.InputTemplate = jsii.String(envelopeTemplate())
	p.pipe = awspipes.NewCfnPipe(scope, jsii.String("Pipe"), &awspipes.CfnPipeProps{
		Description: jsii.String("Carries the events of " + s.source + " to " + what + "."),
		RoleArn:     p.role,
		Source:      stream,
		SourceParameters: &awspipes.CfnPipe_PipeSourceParametersProperty{
			DynamoDbStreamParameters: &awspipes.CfnPipe_PipeSourceDynamoDBStreamParametersProperty{
				StartingPosition:          jsii.String("TRIM_HORIZON"),
				BatchSize:                 jsii.Number(10),
				ParallelizationFactor:     jsii.Number(10), // keeps the order of each stream
				MaximumRetryAttempts:      jsii.Number(pipeRetries),
				MaximumRecordAgeInSeconds: jsii.Number(pipeMaxAge.Seconds()),
				OnPartialBatchItemFailure: jsii.String("AUTOMATIC_BISECT"),
				DeadLetterConfig:          &awspipes.CfnPipe_DeadLetterConfigProperty{Arn: deadARN},
			},
			FilterCriteria: &awspipes.CfnPipe_FilterCriteriaProperty{
				// Items are inserted only; the filter keeps out what a
				// restore or an import might do to the table.
				Filters: []any{&awspipes.CfnPipe_FilterProperty{Pattern: jsii.String(`{"eventName":["INSERT"]}`)}},
			},
		},
		Target:           to.arn,
		TargetParameters: to.parameters,
		LogConfiguration: &awspipes.CfnPipe_PipeLogConfigurationProperty{
			Level: jsii.String("ERROR"), // without the events themselves: they may be personal
			CloudwatchLogsLogDestination: &awspipes.CfnPipe_CloudwatchLogsLogDestinationProperty{
				LogGroupArn: p.logs.LogGroupArn(),
			},
		},
	})
	return p
}

// envelopeTemplate returns the input template that turns a record of the
// table's stream into a schema.Envelope. Paths are not quoted: EventBridge
// quotes strings itself and escapes what is in them.
func envelopeTemplate() string {
	var fields []string
	for _, a := range schema.EnvelopeAttributes() {
		fields = append(fields, fmt.Sprintf("%q: <$.dynamodb.NewImage.%s.%s>", a[0], a[0], a[1]))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}
