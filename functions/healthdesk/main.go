// Command healthdesk answers questions about counts of the health watch, and acknowledges alerts.
package main

import (
	"github.com/serverless-go/cdk/functions/healthwatch/desk"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(desk.FromEnv) }
