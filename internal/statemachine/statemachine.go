// Package statemachine holds what every Step Functions state machine of this
// module has: a log group that Step Functions can deliver to, the permissions
// to log and to trace, and those of a Distributed Map.
package statemachine

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
)

// LogGroup makes the log group of a state machine. Where log delivery has a
// policy of the account instead of the group's, log groups of its prefix share
// it; others fill its few thousand characters, and then logging silently stops
// (https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html). Because
// the prefix needs a fixed name, the group is destroyed with its stack: a
// retained one would keep the stack from being made again.
//
// Given a key, the group is encrypted with it, and the key's policy allows
// CloudWatch Logs to use it for this group.
func LogGroup(scope constructs.Construct, id string, retention awslogs.RetentionDays, key awskms.IKey) awslogs.LogGroup {
	name := "/aws/vendedlogs/states/" + *awscdk.Names_UniqueResourceName(scope,
		&awscdk.UniqueResourceNameOptions{MaxLength: jsii.Number(200)})
	p := &awslogs.LogGroupProps{
		LogGroupName:  &name,
		Retention:     construct.Or(retention, awslogs.RetentionDays_THREE_MONTHS),
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	}
	if key != nil {
		p.EncryptionKey = key
		defaults.AllowServiceKey(scope, key, "logs.amazonaws.com",
			defaults.Actions{"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"}.
				To(jsii.String("*")). // of a key's policy: the key itself
				If(map[string]any{"ArnEquals": map[string]any{
					"kms:EncryptionContext:aws:logs:arn": defaults.Sub(
						"arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:" + name),
				}}))
	}
	return awslogs.NewLogGroup(scope, &id, p)
}

// Logging returns the configuration that logs every event to the group, with
// the data of the executions only if it is asked for: it may be personal.
func Logging(group awslogs.ILogGroup, data bool) *awsstepfunctions.CfnStateMachine_LoggingConfigurationProperty {
	return &awsstepfunctions.CfnStateMachine_LoggingConfigurationProperty{
		Level:                jsii.String("ALL"),
		IncludeExecutionData: &data,
		Destinations: []any{&awsstepfunctions.CfnStateMachine_LogDestinationProperty{
			CloudWatchLogsLogGroup: &awsstepfunctions.CfnStateMachine_CloudWatchLogsLogGroupProperty{LogGroupArn: construct.LogGroupArn(group)},
		}},
	}
}

// What a state machine's role needs to log and to trace. The actions of log
// delivery and of X-Ray know no resources
// (https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html,
// https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html).
var (
	logging = defaults.Actions{"logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups",
		"logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries",
		"logs:PutResourcePolicy", "logs:UpdateLogDelivery"}
	tracing = defaults.Actions{"xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:PutTelemetryRecords",
		"xray:PutTraceSegments"}
)

// ToLog returns what a state machine's role needs to log.
func ToLog() defaults.Statement { return logging.To(jsii.String("*")) }

// ToTrace returns what a state machine's role needs to trace.
func ToTrace() defaults.Statement { return tracing.To(jsii.String("*")) }

// ToLogAndTrace returns what a state machine's role needs to log and to trace.
func ToLogAndTrace() []defaults.Statement {
	return []defaults.Statement{ToLog(), ToTrace()}
}

// AllowMaps lets the state machine start, watch, stop and redrive the children
// of its Distributed Maps, which are named by their labels; a map without a
// label has a generated one, for which "*" stands. The policy stands alone, for
// the role must exist before the machine whose ARN the policy names.
func AllowMaps(scope constructs.Construct, id string, role awsiam.IRole, machine awsstepfunctions.CfnStateMachine, labels ...string) awsiam.Policy {
	children := make([]*string, len(labels))
	for i, label := range labels {
		children[i] = Execution(scope, machine, "/"+label+":*")
	}
	return awsiam.NewPolicy(scope, &id, &awsiam.PolicyProps{
		Roles: &[]awsiam.IRole{role},
		Document: defaults.Document(
			defaults.Actions{"states:StartExecution"}.To(construct.Ref(machine)),
			defaults.Actions{"states:DescribeExecution", "states:StopExecution"}.To(append([]*string{Execution(scope, machine, ":*")}, children...)...),
			defaults.Actions{"states:RedriveExecution"}.To(children...),
		),
	})
}

// Execution returns the ARN of executions of the state machine. The suffix
// tells which: ":*" all of its own, "/label:*" all of a Distributed Map.
func Execution(scope constructs.Construct, machine awsstepfunctions.CfnStateMachine, suffix string) *string {
	return defaults.Text(scope, "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${Name}"+suffix,
		defaults.Values{"Name": construct.AttrName(machine)})
}
