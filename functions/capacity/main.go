// Command capacity books and releases training capacity.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/training/capacity"
)

func main() { handler.Start(capacity.FromEnv) }
