// Package cart says what can happen to a shopping cart: its events, the state
// they add up to, and the decisions that this state allows.
//
// A decision is a method of Cart that returns the event to append, or an error
// if the cart does not allow it. It neither reads nor writes anything.
//
// A cart is open from its first event until it is checked out or abandoned;
// nothing happens to it afterwards.
package cart

import (
	"fmt"
	"net/mail"
	"regexp"
	"slices"

	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

// The limits of a cart. They keep its stream short enough to be loaded for
// every command, and its last event small enough for the transaction of a read
// model that writes to an item for each line: DynamoDB takes 100.
const (
	MaxLines  = 50          // lines: items at a price
	MaxPieces = 500         // of all lines together
	MaxPrice  = 100_000_000 // of one piece, in minor units
)

// State is how far a cart has come. The zero State is that of a cart that was
// never opened.
type State string

// The states of a cart.
const (
	StateOpen       State = "open"
	StateCheckedOut State = "checkedOut"
	StateAbandoned  State = "abandoned"
)

// Cart is what the events of a cart add up to. The zero Cart has none.
type Cart struct {
	State    State
	Customer string    // pseudonym of the customer it belongs to
	Lines    []Line    // in the order in which they were first added
	Commands []Command // in the order in which they were obeyed
}

// Command is a command that the cart has obeyed.
type Command struct {
	ID      string // as eventlog.WithCommand got it
	Version int64  // of the event that it led to
}

// Apply returns the cart as it is after the event. It leaves c as it was.
func Apply(c Cart, event eventlog.Event) Cart {
	switch e := event.Payload.(type) {
	case Opened:
		c.State, c.Customer = StateOpen, e.Customer
	case ItemAdded:
		c.Lines = slices.Clone(c.Lines)
		if i := c.line(e.SKU, e.Price); i >= 0 {
			c.Lines[i].Quantity += e.Quantity
		} else {
			c.Lines = append(c.Lines, Line{SKU: e.SKU, Price: e.Price, Quantity: e.Quantity})
		}
	case CheckedOut:
		c.State = StateCheckedOut
	case Abandoned:
		c.State = StateAbandoned
	}
	c.Commands = append(slices.Clip(c.Commands), Command{ID: event.Causation, Version: event.Version})
	return c
}

// Total returns what the cart's lines cost together.
func (c Cart) Total() Money {
	var total Money
	for _, line := range c.Lines {
		total.Amount += line.Price.Amount * int64(line.Quantity)
		total.Currency = line.Price.Currency
	}
	return total
}

// Pieces returns how many pieces the cart holds.
func (c Cart) Pieces() int {
	n := 0
	for _, line := range c.Lines {
		n += line.Quantity
	}
	return n
}

// line returns the index of an item at a price, -1 if the cart has no such line.
func (c Cart) line(sku string, price Money) int {
	return slices.IndexFunc(c.Lines, func(l Line) bool { return l.SKU == sku && l.Price == price })
}

// Open decides to open the cart for a customer. An empty email is one that the
// customer did not tell. The error is an *InvalidError or a *RefusedError.
func (c Cart) Open(customer, email string) (Opened, error) {
	if c.State != "" {
		return Opened{}, &RefusedError{Closed, "The cart was opened before."}
	}
	if address, err := mail.ParseAddress(email); email != "" && (err != nil || address.Address != email || len(email) > 254) {
		return Opened{}, &InvalidError{[]Field{{"email", "must be an e-mail address of at most 254 characters, without a name"}}}
	}
	return Opened{Customer: customer, Email: email}, nil
}

// Add decides to put pieces of an item into the cart. The price is the
// caller's word; it must be checked against a catalog by whoever charges it.
// The error is an *InvalidError or a *RefusedError.
func (c Cart) Add(add Line) (ItemAdded, error) {
	if err := add.check(); err != nil {
		return ItemAdded{}, err
	}
	if err := c.open("add to"); err != nil {
		return ItemAdded{}, err
	}
	inCart := add.Quantity
	i := c.line(add.SKU, add.Price)
	if i >= 0 {
		inCart += c.Lines[i].Quantity
	}
	total, pieces := c.Total(), c.Pieces()+add.Quantity
	switch {
	case total.Currency != "" && total.Currency != add.Price.Currency:
		return ItemAdded{}, &RefusedError{MixedCurrency, fmt.Sprintf("The cart is in %s and takes no item priced in %s.", total.Currency, add.Price.Currency)}
	case i < 0 && len(c.Lines) == MaxLines:
		return ItemAdded{}, &RefusedError{Full, fmt.Sprintf("The cart has %d lines, which is the most it can have.", MaxLines)}
	case pieces > MaxPieces:
		return ItemAdded{}, &RefusedError{Full, fmt.Sprintf("The cart would hold %d pieces; it can hold %d.", pieces, MaxPieces)}
	}
	return ItemAdded{SKU: add.SKU, Price: add.Price, Quantity: add.Quantity, InCart: inCart}, nil
}

// CheckOut decides that the customer buys what the cart holds. The error is a
// *RefusedError.
func (c Cart) CheckOut() (CheckedOut, error) {
	if err := c.open("check out"); err != nil {
		return CheckedOut{}, err
	}
	if len(c.Lines) == 0 {
		return CheckedOut{}, &RefusedError{Empty, "The cart is empty; there is nothing to check out."}
	}
	return CheckedOut{Lines: c.Lines, Total: c.Total()}, nil
}

// Abandon decides that the customer gives the cart up, full or empty. The
// error is a *RefusedError.
func (c Cart) Abandon() (Abandoned, error) {
	if err := c.open("abandon"); err != nil {
		return Abandoned{}, err
	}
	return Abandoned{Lines: c.Lines, Total: c.Total()}, nil
}

func (c Cart) open(verb string) error {
	switch c.State {
	case StateOpen:
		return nil
	case StateCheckedOut:
		return &RefusedError{Closed, "Cannot " + verb + " the cart: it is checked out."}
	case StateAbandoned:
		return &RefusedError{Closed, "Cannot " + verb + " the cart: it is abandoned."}
	default:
		return &RefusedError{Closed, "Cannot " + verb + " the cart: it was never opened."}
	}
}

var (
	skuSyntax      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	currencySyntax = regexp.MustCompile(`^[A-Z]{3}$`)
)

// check returns an *InvalidError with everything that is wrong with the line.
func (l Line) check() error {
	var wrong []Field
	require := func(ok bool, name, want string) {
		if !ok {
			wrong = append(wrong, Field{name, "must be " + want})
		}
	}
	require(skuSyntax.MatchString(l.SKU), "sku", "1 to 64 letters, digits, dots, underscores and hyphens, the first a letter or digit")
	require(l.Quantity >= 1 && l.Quantity <= MaxPieces, "quantity", fmt.Sprintf("1 to %d", MaxPieces))
	require(l.Price.Amount >= 0 && l.Price.Amount <= MaxPrice, "price/amount", fmt.Sprintf("0 to %d, in minor units of the currency", MaxPrice))
	require(currencySyntax.MatchString(l.Price.Currency), "price/currency", "three capital letters of ISO 4217, such as EUR")
	if wrong != nil {
		return &InvalidError{wrong}
	}
	return nil
}
