// Command health answers the health checks of a region.
package main

import (
	"github.com/serverless-go/cdk/functions/health/endpoint"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(endpoint.FromEnv) }
