// Command readings takes readings of the health watch in.
package main

import (
	"github.com/serverless-go/cdk/functions/healthwatch/intake"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(intake.FromEnv) }
