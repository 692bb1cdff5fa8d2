// Command localalertack acknowledges local alerts.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/patterns/edge/alerts"
)

func main() { handler.Start(alerts.AcknowledgerFromEnv) }
