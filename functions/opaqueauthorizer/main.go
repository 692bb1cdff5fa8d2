// Command opaqueauthorizer lets requests of an HTTP API in by the caller's
// reference.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/patterns/security/opaque"
)

func main() { handler.Start(opaque.FromEnv) }
