package cart

import "strings"

// Rule is a rule of carts that a command can break.
type Rule string

// The rules that a RefusedError can name.
const (
	Closed        Rule = "cart-closed"    // only an open cart changes, and it is opened once
	Empty         Rule = "cart-empty"     // an empty cart cannot be checked out
	Full          Rule = "cart-full"      // MaxLines, MaxPieces
	MixedCurrency Rule = "mixed-currency" // a cart is in one currency
)

// RefusedError says that the state of the cart does not allow a command. The
// same command can be allowed in another state.
type RefusedError struct {
	Rule   Rule
	Detail string // a sentence for people
}

func (e *RefusedError) Error() string { return "cart: " + string(e.Rule) + ": " + e.Detail }

// InvalidError says that a command makes no sense, whatever the cart's state.
type InvalidError struct {
	Fields []Field // at least one
}

// Field is a field of a command that is wrong.
type Field struct {
	Name string // with slashes between nested fields: "price/amount"
	Want string // what is wanted: "must be ..."
}

func (e *InvalidError) Error() string {
	var b strings.Builder
	b.WriteString("cart: invalid command")
	for _, f := range e.Fields {
		b.WriteString("; " + f.Name + " " + f.Want)
	}
	return b.String()
}
