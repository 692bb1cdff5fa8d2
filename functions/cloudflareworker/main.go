// Command cloudflareworker deploys Cloudflare Workers, as a custom resource of
// CloudFormation.
package main

import (
	"github.com/serverless-go/cdk/functions/cloudflareworker/worker"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(worker.FromEnv) }
