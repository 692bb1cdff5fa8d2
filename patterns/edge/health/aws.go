package health

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// TableReader is the part of DynamoDB's client that [Table] needs.
type TableReader interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
}

// Table returns a check that reads an item. The item need not exist: an answer
// that there is none is an answer.
func Table(name string, client TableReader, item *dynamodb.GetItemInput) Check {
	return Check{Name: name, Run: func(ctx context.Context) error {
		_, err := client.GetItem(ctx, item, func(o *dynamodb.Options) { o.RetryMaxAttempts = attempts })
		return err
	}}
}

// QueueReader is the part of SQS's client that [Queue] needs.
type QueueReader interface {
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
}

// Queue returns a check that asks a queue how long it is. It takes and sends no
// message.
func Queue(name string, client QueueReader, url string) Check {
	return Check{Name: name, Run: func(ctx context.Context) error {
		_, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
			QueueUrl:       &url,
			AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameApproximateNumberOfMessages},
		}, func(o *sqs.Options) { o.RetryMaxAttempts = attempts })
		return err
	}}
}

// BusReader is the part of EventBridge's client that [Bus] needs.
type BusReader interface {
	DescribeEventBus(context.Context, *eventbridge.DescribeEventBusInput, ...func(*eventbridge.Options)) (*eventbridge.DescribeEventBusOutput, error)
}

// Bus returns a check that looks an event bus up. It publishes nothing, for an
// event would reach whoever listens to all.
func Bus(name string, client BusReader, bus string) Check {
	return Check{Name: name, Run: func(ctx context.Context) error {
		_, err := client.DescribeEventBus(ctx, &eventbridge.DescribeEventBusInput{Name: &bus},
			func(o *eventbridge.Options) { o.RetryMaxAttempts = attempts })
		return err
	}}
}

// attempts leaves room for one retry within a check's time-out: a lost packet
// does not take a region down.
const attempts = 2
