package eventsourcing_test

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/patterns/function"
)

func ExampleNewEventStore() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	checkout := function.NewFunction(stack, "Checkout", &function.Props{Entry: "example.com/shop/functions/checkout"})

	store := eventsourcing.NewEventStore(stack, "Carts", &eventsourcing.EventStoreProps{
		ArchiveRetention: 400 * 24 * time.Hour,
	})
	store.GrantRead(checkout)
	store.GrantAppend(checkout)
}

func ExampleEventStore_AddProjection() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)

	carts := store.AddProjection("CartView", &eventsourcing.ProjectionProps{
		Function: function.NewFunction(stack, "CartViewHandler", &function.Props{Entry: "example.com/shop/functions/cartview"}),
		Events:   []string{"CartOpened", "ItemAdded", "CartCheckedOut"},
		Ordered:  true,
	})
	carts.GrantRead(function.NewFunction(stack, "Query", &function.Props{Entry: "example.com/shop/functions/query"}))
}

func ExampleEventStore_AddReaction() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)

	store.AddReaction("Receipt", &eventsourcing.ReactionProps{
		Events:   []string{"CartCheckedOut"},
		Function: function.NewFunction(stack, "ReceiptHandler", &function.Props{Entry: "example.com/shop/functions/receipt"}),
	})
}

func ExampleEventStore_AddReplay() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	fraud := store.AddReaction("Fraud", &eventsourcing.ReactionProps{
		Function: function.NewFunction(stack, "FraudHandler", &function.Props{Entry: "example.com/shop/functions/fraud"}),
		Replays:  true,
	})

	store.AddReplay("FraudAgain", &eventsourcing.ReplayProps{Reactions: []*eventsourcing.Reaction{fraud}})
}
