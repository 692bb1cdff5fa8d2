package defaults

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
)

// Deployer returns the user's props of the function of a custom resource, which
// takes at most the time-out. Lambda gives it each event once, and none that is
// over a minute old: one that runs late or twice would undo what CloudFormation
// did since.
func Deployer(scope constructs.Construct, timeout time.Duration, user *awslambda.FunctionProps) *awslambda.FunctionProps {
	return construct.Layer(nil, user, &awslambda.FunctionProps{
		MaxEventAge:   construct.SharedDuration(scope, time.Minute),
		RetryAttempts: jsii.Number(0),
		Timeout:       construct.SharedDuration(scope, timeout),
	})
}

// DeployerWait is how long CloudFormation waits for the answer of a [Deployer]:
// its event may be a minute old when it begins.
func DeployerWait(timeout time.Duration) time.Duration { return timeout + 2*time.Minute }
