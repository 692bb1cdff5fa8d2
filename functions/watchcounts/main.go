// Command watchcounts tells of localities with unusually many readings.
package main

import (
	"github.com/serverless-go/cdk/functions/healthwatch/watch"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(watch.FromEnv) }
