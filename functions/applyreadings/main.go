// Command applyreadings records readings of the health watch and counts each once.
package main

import (
	"github.com/serverless-go/cdk/functions/healthwatch/apply"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(apply.FromEnv) }
