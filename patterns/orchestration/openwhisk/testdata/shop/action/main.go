// Command action is every function of the shop as an action of OpenWhisk: it
// is the one whose name it is deployed under.
package main

import (
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/action"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/testdata/shop"
)

func main() { action.Run(new(shop.Shop).Handle) }
