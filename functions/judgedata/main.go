// Command judgedata judges the quality of curated data.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/training/quality"
)

func main() { handler.Start(quality.FromEnv) }
