// Command approvals answers the approval API.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/training/approval"
)

func main() { handler.Start(approval.FromEnv) }
