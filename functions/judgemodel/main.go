// Command judgemodel judges a model by its evaluation.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/training/evaluation"
)

func main() { handler.Start(evaluation.FromEnv) }
