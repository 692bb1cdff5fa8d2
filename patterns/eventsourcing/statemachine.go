package eventsourcing

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/statemachine"
	"github.com/serverless-go/cdk/patterns/alarm"
)

// stateMachine is a Standard workflow with logs, traces and an alarm.
type stateMachine struct {
	machine awsstepfunctions.CfnStateMachine
	role    awsiam.Role
	alarm   awscloudwatch.CfnAlarm
}

func newStateMachine(scope constructs.Construct, definition map[string]any, failure string,
	t alarm.Tuning, topic awssns.ITopic, allow ...defaults.Statement) *stateMachine {
	logs := statemachine.LogGroup(scope, "Logs", "", nil)
	m := &stateMachine{role: defaults.ServiceRole(scope, "Role", "states.amazonaws.com", append(allow, statemachine.ToLogAndTrace()...)...)}
	m.machine = awsstepfunctions.NewCfnStateMachine(scope, jsii.String("StateMachine"), &awsstepfunctions.CfnStateMachineProps{
		Definition:           definition,
		RoleArn:              m.role,
		StateMachineType:     jsii.String("STANDARD"),
		LoggingConfiguration: statemachine.Logging(logs, false),
		TracingConfiguration: &awsstepfunctions.CfnStateMachine_TracingConfigurationProperty{Enabled: jsii.Bool(true)},
	})
	m.alarm = alarm.New(scope, "Failed", alarm.Alarm{
		Namespace:   "AWS/States",
		Metric:      "ExecutionsFailed",
		Dimensions:  map[string]*string{"StateMachineArn": construct.Ref(m.machine)},
		Statistic:   "Sum",
		Threshold:   1,
		Description: failure,
	}, t, topic)
	return m
}
