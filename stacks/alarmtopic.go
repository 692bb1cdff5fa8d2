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
// of all that the stack encrypts.
func newAlarmTopic(stack awscdk.Stack, description, email string) (awskms.Key, awssns.Topic) {
	key := defaults.Key(stack, "Key", description, defaults.Statement{
		"Sid":       "PublishToEncryptedTopics",
		"Effect":    "Allow",
		"Principal": map[string]any{"Service": []string{"cloudwatch.amazonaws.com", "events.amazonaws.com"}},
		"Action":    []string{"kms:Decrypt", "kms:GenerateDataKey"},
		"Resource":  "*", // of a key's policy: this key
	}.If(map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": defaults.AccountID()}}))
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
