// Command graphload writes the files that Neptune loads, and has them loaded
// and verified, as a GraphLoad's workflow asks.
package main

import (
	"github.com/serverless-go/cdk/functions/graphload/loader"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(loader.FromEnv) }
