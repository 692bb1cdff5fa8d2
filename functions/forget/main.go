// Command forget erases the personal data of a customer.
package main

import (
	"github.com/serverless-go/cdk/functions/flashsale/forget"
	"github.com/serverless-go/cdk/functions/internal/handler"
)

func main() { handler.Start(forget.FromEnv) }
