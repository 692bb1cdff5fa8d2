// Command cartview keeps the read model of single carts; it is an ordered projection.
package main

import (
	"github.com/serverless-go/cdk/functions/flashsale/cartview"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(cartview.FromEnv) }
