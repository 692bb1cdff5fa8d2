// Command replicapolicies keeps the policies of a global table's replicas, as a
// custom resource of CloudFormation.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/replicapolicies/policies"
)

func main() { handler.Start(policies.FromEnv) }
