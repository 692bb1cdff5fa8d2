package coldstart

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodedeploy"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/leastprivilege"
	"github.com/serverless-go/cdk/patterns/props"
)

// Deployment shifts the traffic from one version to the next in steps. Make one
// with [Canary] or [Linear]. CodeDeploy charges nothing for Lambda.
type Deployment struct {
	// Percentage is the share of the traffic that one step shifts, 1 to 99. Required.
	Percentage int
	// Interval is the time between steps, in whole minutes; all of them together
	// take at most two days. Required.
	Interval time.Duration
	// Linear takes as many steps as it needs.
	//
	// Default: the second step shifts all the rest.
	Linear bool
	// RollbackAlarms stop the deployment and shift all the traffic back, beside
	// the function's own.
	//
	// Default: the function's own only.
	RollbackAlarms []awscloudwatch.IAlarm
}

// Canary shifts a share of the traffic to a new version, and the rest after an
// interval without alarms.
func Canary(percent int, interval time.Duration) *Deployment {
	return &Deployment{Percentage: percent, Interval: interval}
}

// Linear shifts a share of the traffic to a new version after each interval
// without alarms.
func Linear(percent int, interval time.Duration) *Deployment {
	return &Deployment{Percentage: percent, Interval: interval, Linear: true}
}

// maxShift is CodeDeploy's limit for a deployment to Lambda.
//
// Source: https://docs.aws.amazon.com/codedeploy/latest/userguide/limits.html
const maxShift = 48 * time.Hour

func (d *Deployment) check(c *props.Check) {
	c.Require(d.Percentage >= 1 && d.Percentage <= 99, "Percentage", d.Percentage, "1 to 99", "")
	c.Require(d.Interval >= time.Minute && d.Interval%time.Minute == 0, "Interval", d.Interval, "whole minutes, 1 or more", "")
	c.Require(d.length() <= maxShift, "Interval", d.Interval, "at most "+maxShift.String()+" in all", "these steps take "+d.length().String())
}

// length returns how long shifting all the traffic takes.
func (d *Deployment) length() time.Duration {
	if d.Linear && d.Percentage > 0 {
		return time.Duration((99)/d.Percentage) * d.Interval
	}
	return d.Interval
}

// configName returns the name of the configuration that CodeDeploy has for the
// deployment, or "".
//
// Source: https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html
func (d *Deployment) configName() string {
	if d.Percentage != 10 {
		return ""
	}
	switch minutes := int(d.Interval.Minutes()); {
	case !d.Linear && (minutes == 5 || minutes == 10 || minutes == 15 || minutes == 30):
		return fmt.Sprintf("CodeDeployDefault.LambdaCanary10Percent%dMinutes", minutes)
	case d.Linear && minutes == 1:
		return "CodeDeployDefault.LambdaLinear10PercentEvery1Minute"
	case d.Linear && (minutes == 2 || minutes == 3 || minutes == 10):
		return fmt.Sprintf("CodeDeployDefault.LambdaLinear10PercentEvery%dMinutes", minutes)
	}
	return ""
}

// addDeployment makes CodeDeploy change the alias instead of CloudFormation.
func (w *WarmFunction) addDeployment(d *Deployment) {
	application := awscodedeploy.NewCfnApplication(w, jsii.String("Application"), &awscodedeploy.CfnApplicationProps{
		ComputePlatform: jsii.String("Lambda"),
	})
	arn := construct.FunctionArn(w.function.Lambda())
	// CodeDeploy does not say that it names the source account when it assumes
	// the role, so its trust has no condition.
	role := defaults.Role(w, "DeploymentRole", &awsiam.RoleProps{
		AssumedBy: defaults.ServicePrincipal(w, "codedeploy.amazonaws.com"),
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			"Allow": defaults.Document(
				defaults.Actions{"lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"}.To(arn, jsii.String(*arn+":*")),
				defaults.Actions{"cloudwatch:DescribeAlarms"}.To(jsii.String("*")),
			),
		},
	})
	leastprivilege.Acknowledge(role, leastprivilege.WildcardResource, "CodeDeploy asks for alarms in a way of its own, and composite alarms are "+
		"described on * only; AWS's policy AWSCodeDeployRoleForLambdaLimited has it so", "cloudwatch:DescribeAlarms")
	var alarms []any
	for _, a := range w.function.Alarms() {
		alarms = append(alarms, &awscodedeploy.CfnDeploymentGroup_AlarmProperty{Name: construct.Ref(a)})
	}
	for _, a := range d.RollbackAlarms {
		alarms = append(alarms, &awscodedeploy.CfnDeploymentGroup_AlarmProperty{Name: a.AlarmName()})
	}
	w.deploymentGroup = awscodedeploy.NewCfnDeploymentGroup(w, jsii.String("DeploymentGroup"), &awscodedeploy.CfnDeploymentGroupProps{
		ApplicationName:      construct.Ref(application),
		ServiceRoleArn:       role.RoleArn(),
		DeploymentConfigName: w.deploymentConfig(d),
		DeploymentStyle: &awscodedeploy.CfnDeploymentGroup_DeploymentStyleProperty{
			DeploymentType:   jsii.String("BLUE_GREEN"),
			DeploymentOption: jsii.String("WITH_TRAFFIC_CONTROL"),
		},
		AlarmConfiguration: &awscodedeploy.CfnDeploymentGroup_AlarmConfigurationProperty{
			Enabled: jsii.Bool(true),
			Alarms:  alarms,
		},
		AutoRollbackConfiguration: &awscodedeploy.CfnDeploymentGroup_AutoRollbackConfigurationProperty{
			Enabled: jsii.Bool(true),
			Events:  jsii.Strings("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"),
		},
	})
	w.cfnAlias().CfnOptions().SetUpdatePolicy(&awscdk.CfnUpdatePolicy{
		CodeDeployLambdaAliasUpdate: &awscdk.CfnCodeDeployLambdaAliasUpdate{
			ApplicationName:     construct.Ref(application),
			DeploymentGroupName: construct.Ref(w.deploymentGroup),
		},
	})
}

func (w *WarmFunction) deploymentConfig(d *Deployment) *string {
	if name := d.configName(); name != "" {
		return &name
	}
	routing := &awscodedeploy.CfnDeploymentConfig_TrafficRoutingConfigProperty{
		Type: jsii.String("TimeBasedCanary"),
		TimeBasedCanary: &awscodedeploy.CfnDeploymentConfig_TimeBasedCanaryProperty{
			CanaryPercentage: jsii.Number(d.Percentage),
			CanaryInterval:   jsii.Number(d.Interval.Minutes()),
		},
	}
	if d.Linear {
		routing = &awscodedeploy.CfnDeploymentConfig_TrafficRoutingConfigProperty{
			Type: jsii.String("TimeBasedLinear"),
			TimeBasedLinear: &awscodedeploy.CfnDeploymentConfig_TimeBasedLinearProperty{
				LinearPercentage: jsii.Number(d.Percentage),
				LinearInterval:   jsii.Number(d.Interval.Minutes()),
			},
		}
	}
	return awscodedeploy.NewCfnDeploymentConfig(w, jsii.String("DeploymentConfig"), &awscodedeploy.CfnDeploymentConfigProps{
		ComputePlatform:      jsii.String("Lambda"),
		TrafficRoutingConfig: routing,
	}).Ref()
}
