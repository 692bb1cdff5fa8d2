// Command reportcounts tells the other regions of the health watch what this one counted.
package main

import (
	"github.com/serverless-go/cdk/functions/healthwatch/report"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(report.FromEnv) }
