// Package defaults is the security baseline: how this module makes a queue, a
// key, a bucket, a topic or a log group wherever a pattern needs one. One file
// a service; a user's own props are layered over what stands here.
package defaults

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/patterns/alarm"
)

// Queue makes a queue that is encrypted, takes TLS only and keeps messages
// for SQS's longest time, 14 days.
func Queue(scope constructs.Construct, id string, user *awssqs.QueueProps) awssqs.Queue {
	defaults := &awssqs.QueueProps{
		EnforceSSL:      jsii.Bool(true),
		RetentionPeriod: construct.SharedDuration(scope, 14*24*time.Hour),
	}
	if user.EncryptionMasterKey == nil {
		defaults.Encryption = awssqs.QueueEncryption_SQS_MANAGED
	}
	return awssqs.NewQueue(scope, &id, construct.Layer(defaults, user, nil))
}

// DeadLetters says where a pattern's undeliverable messages go.
type DeadLetters struct {
	// For completes the alarm's description: "Messages that ... could not
	// be handled".
	For   string
	FIFO  bool
	Key   awskms.IKey
	Alarm alarm.Tuning
	Topic awssns.ITopic
}

// DeadLetterQueue makes a queue for what could not be delivered. It is retained
// when its stack is destroyed, for what waits in it may be nowhere else.
func DeadLetterQueue(scope constructs.Construct, id string, d DeadLetters) awssqs.Queue {
	return Queue(scope, id, &awssqs.QueueProps{
		Fifo:                flag(d.FIFO),
		EncryptionMasterKey: d.Key,
		RemovalPolicy:       awscdk.RemovalPolicy_RETAIN,
	})
}

// WatchedDeadLetters returns the user's queue, whose alarms are the user's, or
// makes one together with its alarm, whose id ends in "Alarm". The alarm is nil
// if none was made.
func WatchedDeadLetters(scope constructs.Construct, id string, user awssqs.IQueue, d DeadLetters) (awssqs.IQueue, awscloudwatch.CfnAlarm) {
	if user != nil {
		return user, nil
	}
	made := DeadLetterQueue(scope, id, d)
	return made, DeadLetterAlarm(scope, id+"Alarm", made, d)
}

// DeadLetterAlarm makes the alarm of a dead-letter queue: it goes off at the
// first message and stays on until the queue is empty. It returns nil if it is
// tuned Off.
func DeadLetterAlarm(scope constructs.Construct, id string, queue awssqs.IQueue, d DeadLetters) awscloudwatch.CfnAlarm {
	return alarm.New(scope, id, alarm.Alarm{
		Namespace:   "AWS/SQS",
		Metric:      "ApproximateNumberOfMessagesVisible",
		Dimensions:  map[string]*string{"QueueName": construct.QueueName(queue)},
		Statistic:   "Maximum",
		Threshold:   1,
		Description: d.For + " could not be delivered and wait in the dead-letter queue: mend the cause, then redrive.",
	}, d.Alarm, d.Topic)
}

// LagAlarm makes the alarm of a queue whose messages wait for over five minutes.
// It returns nil if it is tuned Off.
func LagAlarm(scope constructs.Construct, id string, queue awssqs.IQueue, description string, t alarm.Tuning, topic awssns.ITopic) awscloudwatch.CfnAlarm {
	return alarm.New(scope, id, alarm.Alarm{
		Namespace:   "AWS/SQS",
		Metric:      "ApproximateAgeOfOldestMessage",
		Dimensions:  map[string]*string{"QueueName": construct.QueueName(queue)},
		Statistic:   "Maximum",
		Threshold:   (5 * time.Minute).Seconds(),
		Description: description,
	}, t, topic)
}

// flag returns a pointer to true, or nil, for CloudFormation refuses some
// properties when they are false (FifoQueue is one).
func flag(b bool) *bool {
	if !b {
		return nil
	}
	return &b
}
