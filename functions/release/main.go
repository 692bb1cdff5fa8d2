// Command release readies new versions of a function before they get traffic,
// and deletes old ones afterwards, as a custom resource of CloudFormation.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/release/version"
)

func main() { handler.Start(version.FromEnv) }
