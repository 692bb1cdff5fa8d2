package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/patterns/function"
)

// NewShop makes a shop that sends a receipt for each order, and forgets
// customers with the library's own handler.
func NewShop(scope constructs.Construct, id string) awscdk.Stack {
	stack := awscdk.NewStack(scope, &id, nil)
	store := eventsourcing.NewEventStore(stack, "Orders", nil)
	store.AddReaction("Receipt", &eventsourcing.ReactionProps{
		Events: []string{"OrderPaid"},
		Function: function.NewFunction(stack, "ReceiptHandler", &function.Props{
			Entry: "example.com/shop/functions/receipt",
		}),
	})
	store.GrantForget(function.NewFunction(stack, "ForgetHandler", &function.Props{
		Entry: "github.com/serverless-go/cdk/functions/forget",
	}))
	return stack
}
