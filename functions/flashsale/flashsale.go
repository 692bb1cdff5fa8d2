// Package flashsale holds the names that the stack of the flash sale and the
// functions in it must agree on: routes, event types, environment variables.
// It imports the standard library only.
//
// What the functions do lies in the packages below this one:
//
//   - cart: the events of a cart and what may happen to it
//   - command, query: the two halves of the HTTP API, on top of api
//   - cartview, totals: the read models, how they are written and read
//   - offer: the remedy for a wave of abandoned carts
//   - forget: erasure of a customer's personal data
package flashsale

// The routes of the carts API, as an HTTP API of API Gateway keys them. The
// POST routes belong to the function carts, the GET routes to cartquery.
const (
	RouteOpen     = "POST /carts"
	RouteAdd      = "POST /carts/{cart}/items"
	RouteCheckOut = "POST /carts/{cart}/checkout"
	RouteAbandon  = "POST /carts/{cart}/abandon"
	RouteCart     = "GET /carts/{cart}"
	RouteTotals   = "GET /totals"
)

// CommandRoutes returns the routes of the function carts.
func CommandRoutes() []string { return []string{RouteOpen, RouteAdd, RouteCheckOut, RouteAbandon} }

// QueryRoutes returns the routes of the function cartquery.
func QueryRoutes() []string { return []string{RouteCart, RouteTotals} }

// CartParameter is the path parameter that holds a cart's id.
const CartParameter = "cart"

// TotalsScope is the OAuth scope that a token needs for RouteTotals. Callers
// that sign with AWS credentials need execute-api:Invoke on the route instead.
const TotalsScope = "totals:read"

// Scopes returns the scopes that routes need.
func Scopes() map[string]string { return map[string]string{RouteTotals: TotalsScope} }

// Audience is the audience of the functions' internal tokens.
const Audience = "carts"

// The types of the events in the store.
const (
	CartOpened           = "CartOpened"
	ItemAdded            = "ItemAdded"
	CartCheckedOut       = "CartCheckedOut"
	CartAbandoned        = "CartAbandoned"
	RetentionOfferIssued = "RetentionOfferIssued"
)

// CartViewEvents returns the types of events that the ordered projection
// cartview takes.
func CartViewEvents() []string { return []string{CartOpened, ItemAdded, CartCheckedOut, CartAbandoned} }

// SaleTotalsEvents returns the types of events that the unordered projection
// saletotals takes.
func SaleTotalsEvents() []string { return []string{CartOpened, CartCheckedOut, CartAbandoned} }

// Environment variables of the functions, beside those of package schema.
const (
	EnvCartView     = "CARTVIEW_TABLE"    // cartquery: the read model of cartview
	EnvTotals       = "TOTALS_TABLE"      // cartquery: the read model of saletotals
	EnvPercent      = "OFFER_PERCENT"     // offer: discount in percent, 1 to 30; default 10
	EnvRedemptions  = "OFFER_REDEMPTIONS" // offer: how many orders one offer may discount; default 500
	EnvOffersPerDay = "OFFERS_PER_DAY"    // offer: most offers of one day, UTC; default 3
)
