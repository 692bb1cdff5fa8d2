// Command localalert sends local alerts: it takes readings from a queue and does every
// minute what is due.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/patterns/edge/alerts"
)

func main() { handler.Start(alerts.FromEnv) }
