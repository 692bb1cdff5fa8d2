// Command accessreferences issues, lists and revokes the references that clients
// show instead of tokens.
package main

import (
	"github.com/serverless-go/cdk/functions/accessreferences/endpoint"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(endpoint.FromEnv) }
