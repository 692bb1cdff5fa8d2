// Command keyvalues keeps the entries of CloudFront KeyValueStores, as a custom
// resource of CloudFormation.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/keyvalues/store"
)

func main() { handler.Start(store.FromEnv) }
