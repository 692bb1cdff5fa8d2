package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

// What can happen to a cart.
type (
	CartOpened struct {
		Customer string `json:"customer" eventlog:"subject"`
		Email    string `json:"email" eventlog:"personal"`
	}
	ItemAdded struct {
		SKU   string `json:"sku"`
		Cents int    `json:"cents"`
	}
	CartCheckedOut struct{}
)

var carts = eventlog.NewRegistry(
	eventlog.Type[CartOpened]("CartOpened", 1),
	eventlog.Type[ItemAdded]("ItemAdded", 1),
	eventlog.Type[CartCheckedOut]("CartCheckedOut", 1),
)

// Cart is the state of a cart, which its events tell.
type Cart struct {
	Open  bool
	Cents int
}

func (c Cart) Apply(e eventlog.Event) Cart {
	switch p := e.Payload.(type) {
	case CartOpened:
		c.Open = true
	case ItemAdded:
		c.Cents += p.Cents
	case CartCheckedOut:
		c.Open = false
	}
	return c
}

// CheckOut is a command: it says which events follow, or why none can.
func (c Cart) CheckOut() ([]eventlog.Event, error) {
	switch {
	case !c.Open:
		return nil, errors.New("cart is not open")
	case c.Cents == 0:
		return nil, errors.New("cart is empty")
	}
	return []eventlog.Event{eventlog.Of(CartCheckedOut{})}, nil
}

func Example() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	store, err := eventlog.FromEnv(cfg, carts)
	if err != nil {
		log.Fatal(err)
	}

	// Facts are appended,
	ctx = eventlog.WithCommand(ctx, "request-1")
	_, err = store.Append(ctx, "cart-7", eventlog.NoStream,
		eventlog.Of(CartOpened{Customer: "c-42", Email: "ada@example.com"}),
		eventlog.Of(ItemAdded{SKU: "kettle", Cents: 2999}))
	if err != nil {
		log.Fatal(err)
	}

	// read back,
	for e, err := range store.Load(ctx, "cart-7", 1) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Version, e.Type, e.Payload)
	}

	// and judged by the state they add up to.
	cart := eventlog.Aggregate[Cart]{Log: store, Apply: Cart.Apply}
	if _, err := cart.Update(ctx, "cart-7", Cart.CheckOut); err != nil {
		log.Fatal(err)
	}

	// The right to be forgotten leaves the facts and takes the person.
	if err := store.Forget(ctx, "c-42"); err != nil {
		log.Fatal(err)
	}
}
