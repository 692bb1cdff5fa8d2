// Command carts answers the commands of the carts API.
package main

import (
	"github.com/serverless-go/cdk/functions/flashsale/command"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(command.FromEnv) }
