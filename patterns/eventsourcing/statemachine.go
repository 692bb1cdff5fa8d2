package eventsourcing

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/internal/defaults"
)

// stateMachine is a Standard workflow with logs, traces and an alarm.
type stateMachine struct {
	machine awsstepfunctions.CfnStateMachine
	role    awsiam.Role
	alarm   awscloudwatch.CfnAlarm
}

func newStateMachine(scope constructs.Construct, definition map[string]any, failure string,
	t alarm.Tuning, topic awssns.ITopic, allow ...awsiam.PolicyStatement) *stateMachine {
	// Log groups of this prefix share one resource policy; others fill the
	// policy's few thousand characters, and then logging silently stops
	// (https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html).
	// A fixed name and RETAIN would keep the stack from being made again.
	logs := awslogs.NewLogGroup(scope, jsii.String("Logs"), &awslogs.LogGroupProps{
		LogGroupName: jsii.String("/aws/vendedlogs/states/" + *awscdk.Names_UniqueResourceName(scope,
			&awscdk.UniqueResourceNameOptions{MaxLength: jsii.Number(200)})),
		Retention:     awslogs.RetentionDays_THREE_MONTHS,
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	// Neither log delivery nor X-Ray knows resources
	// (https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html,
	// https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html).
	anything := jsii.String("*")
	allow = append(allow,
		defaults.Actions{"logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups",
			"logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries",
			"logs:PutResourcePolicy", "logs:UpdateLogDelivery"}.On(anything),
		defaults.Actions{"xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:PutTelemetryRecords",
			"xray:PutTraceSegments"}.On(anything),
	)
	m := &stateMachine{role: defaults.ServiceRole(scope, "Role", "states.amazonaws.com", allow...)}
	m.machine = awsstepfunctions.NewCfnStateMachine(scope, jsii.String("StateMachine"), &awsstepfunctions.CfnStateMachineProps{
		Definition:       definition,
		RoleArn:          m.role.RoleArn(),
		StateMachineType: jsii.String("STANDARD"),
		LoggingConfiguration: &awsstepfunctions.CfnStateMachine_LoggingConfigurationProperty{
			Level:                jsii.String("ALL"),
			IncludeExecutionData: jsii.Bool(false), // it may be personal
			Destinations: []any{&awsstepfunctions.CfnStateMachine_LogDestinationProperty{
				CloudWatchLogsLogGroup: &awsstepfunctions.CfnStateMachine_CloudWatchLogsLogGroupProperty{
					LogGroupArn: logs.LogGroupArn(),
				},
			}},
		},
		TracingConfiguration: &awsstepfunctions.CfnStateMachine_TracingConfigurationProperty{Enabled: jsii.Bool(true)},
	})
	m.alarm = alarm.New(scope, "Failed", alarm.Alarm{
		Namespace:   "AWS/States",
		Metric:      "ExecutionsFailed",
		Dimensions:  map[string]*string{"StateMachineArn": m.machine.Ref()},
		Statistic:   "Sum",
		Threshold:   1,
		Description: failure,
	}, t, topic)
	return m
}

// allowDistributedMap lets the workflow run the children of its Distributed
// Map. The policy stands alone, for the role must exist before the machine
// whose ARN it names.
func (m *stateMachine) allowDistributedMap(scope constructs.Construct, label string) {
	execution := func(suffix string) *string {
		return awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${Name}"+suffix),
			&map[string]*string{"Name": m.machine.AttrName()})
	}
	awsiam.NewPolicy(scope, jsii.String("MapPolicy"), &awsiam.PolicyProps{
		Roles: &[]awsiam.IRole{m.role},
		Statements: &[]awsiam.PolicyStatement{
			defaults.Actions{"states:StartExecution"}.On(m.machine.Ref()),
			defaults.Actions{"states:DescribeExecution", "states:StopExecution"}.On(execution(":*"), execution("/"+label+":*")),
			defaults.Actions{"states:RedriveExecution"}.On(execution("/" + label + ":*")),
		},
	})
}
