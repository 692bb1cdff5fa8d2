// Command offer issues a retention offer when an alarm reports a wave of abandoned
// carts.
package main

import (
	"github.com/serverless-go/cdk/functions/flashsale/offer"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(offer.FromEnv) }
