// Command cartquery answers the reads of the carts API.
package main

import (
	"github.com/serverless-go/cdk/functions/flashsale/query"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(query.FromEnv) }
