// Command tokenexchange exchanges tokens (RFC 8693).
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/tokenexchange/endpoint"
)

func main() { handler.Start(endpoint.FromEnv) }
