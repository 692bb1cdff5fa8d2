// Command openwhiskdeploy deploys workflows to Apache OpenWhisk, as a custom
// resource of CloudFormation.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/openwhiskdeploy/deployment"
)

func main() { handler.Start(deployment.FromEnv) }
