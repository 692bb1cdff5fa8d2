// Command impersonationbroker gives functions the credentials of the user whose
// token they hold.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/patterns/security/broker"
)

func main() { handler.Start(broker.FromEnv) }
