// Command jwks publishes the public keys of a token issuer.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/jwks/document"
)

func main() { handler.Start(document.FromEnv) }
