package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
)

// newAlarmTopic makes the topic that all alarms of a stack go to, and the key
// of all that the stack encrypts. More statements of the key's policy let others
// than alarms publish.
func newAlarmTopic(stack awscdk.Stack, description, email string, more ...defaults.Statement) (awskms.Key, awssns.Topic) {
	key := defaults.Key(stack, "Key", description, append([]defaults.Statement{
		toPublish("PublishAlarms", "cloudwatch.amazonaws.com").If(map[string]any{
			"StringEquals": map[string]any{"aws:SourceAccount": defaults.AccountID()}}),
	}, more...)...)
	topic := awssns.NewTopic(stack, jsii.String("Alarms"), &awssns.TopicProps{
		EnforceSSL: jsii.Bool(true),
		MasterKey:  key,
	})
	defaults.AllowServiceHere(stack, topic, "cloudwatch.amazonaws.com", construct.TopicArn(topic), "sns:Publish")
	if email != "" {
		awssns.NewSubscription(stack, jsii.String("AlarmEmail"), &awssns.SubscriptionProps{
			Topic:    topic,
			Protocol: awssns.SubscriptionProtocol_EMAIL,
			Endpoint: &email,
		})
	}
	return key, topic
}

// rulesPublish lets the rules of EventBridge publish to the account's topics
// that the key encrypts. EventBridge tells KMS neither account nor rule, only
// what SNS encrypts is known
// (https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html). The topics
// are a pattern, for a topic names its key.
func rulesPublish() defaults.Statement {
	return toPublish("PublishEvents", "events.amazonaws.com").If(map[string]any{
		"ArnLike": map[string]any{
			"kms:EncryptionContext:aws:sns:topicArn": defaults.Sub("arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:*"),
		}})
}

// toPublish is what a service needs of a key to publish to a topic.
func toPublish(sid, service string) defaults.Statement {
	return defaults.Statement{
		"Sid":       sid,
		"Effect":    "Allow",
		"Principal": map[string]any{"Service": service},
		"Action":    []string{"kms:Decrypt", "kms:GenerateDataKey"},
		"Resource":  "*", // of a key's policy: this key
	}
}
