package cart

import (
	"strings"

	"github.com/serverless-go/cdk/functions/flashsale"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

// Opened says that a customer took a cart. It begins the cart's stream.
type Opened struct {
	// Customer is the customer's pseudonym, the subject whose key seals Email.
	Customer string `json:"customer" eventlog:"subject"`
	// Email is where offers for the cart may be sent, empty if not told.
	Email string `json:"email,omitempty" eventlog:"personal"`
}

// ItemAdded says that pieces of an item were put into the cart.
type ItemAdded struct {
	SKU      string `json:"sku"`
	Price    Money  `json:"price"`    // of one piece
	Quantity int    `json:"quantity"` // how many were added
	// InCart is how many of this item at this price the cart holds since. A
	// read model can thus set it, and need not know what it was before.
	InCart int `json:"inCart"`
}

// CheckedOut says that the customer buys what the cart holds. It tells what
// that is, for readers that don't follow the cart's whole stream.
type CheckedOut struct {
	Lines []Line `json:"lines"`
	Total Money  `json:"total"`
}

// Abandoned says that the customer gave the cart up, and what it held.
type Abandoned struct {
	Lines []Line `json:"lines"`
	Total Money  `json:"total"`
}

// Line is an item in a cart.
type Line struct {
	SKU      string `json:"sku"`
	Price    Money  `json:"price"` // of one piece
	Quantity int    `json:"quantity"`
}

// Money is an amount in minor units of a currency: 1999 EUR are 19.99 euros.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"` // ISO 4217, such as "EUR"; empty for nothing in no currency
}

// Registry returns the types of a cart's events.
func Registry() *eventlog.Registry {
	return eventlog.NewRegistry(
		eventlog.Type[Opened](flashsale.CartOpened, 1),
		eventlog.Type[ItemAdded](flashsale.ItemAdded, 1),
		eventlog.Type[CheckedOut](flashsale.CartCheckedOut, 1),
		eventlog.Type[Abandoned](flashsale.CartAbandoned, 1),
	)
}

const prefix = "cart-"

// Stream returns the stream of the cart with the id.
func Stream(id string) string { return prefix + id }

// ID returns the id of the cart whose stream it is.
func ID(stream string) string { return strings.TrimPrefix(stream, prefix) }
