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
	"github.com/serverless-go/cdk/patterns/internal/construct"
	"github.com/serverless-go/cdk/patterns/internal/defaults"
)

// LogGroup makes the log group of a state machine. Log groups of its prefix
// share one resource policy; others fill the policy's few thousand characters,
// and then logging silently stops
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
		key.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Actions:    jsii.Strings("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"),
			Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("logs.amazonaws.com"), nil)},
			Resources:  jsii.Strings("*"), // of a key's policy: the key itself
			Conditions: &map[string]any{"ArnEquals": map[string]any{
				"kms:EncryptionContext:aws:logs:arn": arn("logs", "log-group:"+name),
			}},
		}), nil)
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
			CloudWatchLogsLogGroup: &awsstepfunctions.CfnStateMachine_CloudWatchLogsLogGroupProperty{LogGroupArn: group.LogGroupArn()},
		}},
	}
}

// AllowLogging returns what a state machine's role needs to log. The actions of
// log delivery know no resources
// (https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html).
func AllowLogging() awsiam.PolicyStatement {
	return defaults.Actions{"logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups",
		"logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries",
		"logs:PutResourcePolicy", "logs:UpdateLogDelivery"}.On(jsii.String("*"))
}

// AllowTracing returns what a state machine's role needs to trace. The actions
// of X-Ray know no resources
// (https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html).
func AllowTracing() awsiam.PolicyStatement {
	return defaults.Actions{"xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:PutTelemetryRecords",
		"xray:PutTraceSegments"}.On(jsii.String("*"))
}

// AllowMaps lets the state machine start, watch, stop and redrive the children
// of its Distributed Maps, which are named by their labels; a map without a
// label has a generated one, for which "*" stands. The policy stands alone, for
// the role must exist before the machine whose ARN the policy names.
func AllowMaps(scope constructs.Construct, id string, role awsiam.IRole, machine awsstepfunctions.CfnStateMachine, labels ...string) awsiam.Policy {
	children := make([]*string, len(labels))
	for i, label := range labels {
		children[i] = Execution(machine, "/"+label+":*")
	}
	return awsiam.NewPolicy(scope, &id, &awsiam.PolicyProps{
		Roles: &[]awsiam.IRole{role},
		Statements: &[]awsiam.PolicyStatement{
			defaults.Actions{"states:StartExecution"}.On(machine.Ref()),
			defaults.Actions{"states:DescribeExecution", "states:StopExecution"}.On(append([]*string{Execution(machine, ":*")}, children...)...),
			defaults.Actions{"states:RedriveExecution"}.On(children...),
		},
	})
}

// Execution returns the ARN of executions of the state machine. The suffix
// tells which: ":*" all of its own, "/label:*" all of a Distributed Map.
func Execution(machine awsstepfunctions.CfnStateMachine, suffix string) *string {
	return awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${Name}"+suffix),
		&map[string]*string{"Name": machine.AttrName()})
}

func arn(service, resource string) *string {
	return awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:"+service+":${AWS::Region}:${AWS::AccountId}:"+resource), nil)
}
