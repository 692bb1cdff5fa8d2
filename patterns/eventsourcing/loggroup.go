package eventsourcing

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/leastprivilege"
)

// logGroupARN returns the group's ARN as a rule's target wants it: without the
// ":*" that stands for its streams.
func logGroupARN(scope constructs.Construct, group awslogs.ILogGroup) *string {
	return defaults.Text(scope, "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${Name}",
		defaults.Values{"Name": construct.LogGroupName(group)})
}

// logPolicy lets a rule write to a log group. CloudWatch Logs has no policies
// on a single group, only ten for all groups of a region; this one names the
// group and the rule
// (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html).
func logPolicy(scope constructs.Construct, id string, group awslogs.ILogGroup, ruleARN *string) {
	name := awscdk.Names_UniqueResourceName(scope, &awscdk.UniqueResourceNameOptions{MaxLength: jsii.Number(100)})
	principal := map[string]any{"Service": []string{"events.amazonaws.com", "delivery.logs.amazonaws.com"}}
	policy := awslogs.NewCfnResourcePolicy(scope, &id, &awslogs.CfnResourcePolicyProps{
		PolicyName: name,
		PolicyDocument: defaults.Text(scope, defaults.JSON(map[string]any{
			"Version": "2012-10-17",
			"Statement": []any{
				map[string]any{
					"Effect":    "Allow",
					"Principal": principal,
					"Action":    "logs:CreateLogStream",
					"Resource":  "${Group}:*",
				},
				map[string]any{
					"Effect":    "Allow",
					"Principal": principal,
					"Action":    "logs:PutLogEvents",
					"Resource":  "${Group}:*",
					"Condition": map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": "${Rule}"}},
				},
			},
		}), defaults.Values{"Group": logGroupARN(scope, group), "Rule": ruleARN}),
	})
	leastprivilege.Acknowledge(policy, leastprivilege.ConfusedDeputy, "EventBridge makes its stream in this log group without saying for which rule; "+
		"what it writes there is confined to the rule")
}
