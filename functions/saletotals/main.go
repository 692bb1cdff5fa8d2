// Command saletotals keeps the read model of the sale's totals; it is an unordered
// projection.
package main

import (
	"github.com/serverless-go/cdk/functions/flashsale/totals"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(totals.FromEnv) }
