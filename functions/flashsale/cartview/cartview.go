// Package cartview is the read model of single carts: how events get into it
// and how a cart is read from it.
//
// Each cart is one item, changed by one update for each event. It holds no
// personal data but the customer's pseudonym: forgetting a customer takes
// nothing out of it, and the projection needs no access to customers' keys.
package cartview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/functions/flashsale/cart"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/projection"
)

// Cart is a cart as customers see it.
type Cart struct {
	ID        string      `json:"cart"`
	Customer  string      `json:"customer"`
	State     cart.State  `json:"state"`
	Lines     []cart.Line `json:"lines"` // by SKU, then price
	Total     cart.Money  `json:"total"`
	Version   int64       `json:"version"` // of the last event that it shows
	OpenedAt  time.Time   `json:"openedAt"`
	ChangedAt time.Time   `json:"changedAt"`
}

// item is a cart in the table. Its lines are attributes beside the others, not
// elements of one, because every update must be valid whether or not the item
// exists: DynamoDB may find an update invalid before it looks at the projection's
// checkpoint, and an event that merely comes too early would pass for one that
// can never be applied.
type item struct {
	Customer string     `dynamodbav:"customer"`
	State    cart.State `dynamodbav:"state"`
	Amount   int64      `dynamodbav:"amount"`
	Currency string     `dynamodbav:"currency"`
	Version  int64      `dynamodbav:"version"`
	Opened   time.Time  `dynamodbav:"opened"`
	Changed  time.Time  `dynamodbav:"changed"`

	lines []line
}

type line struct {
	SKU      string `dynamodbav:"sku"`
	Amount   int64  `dynamodbav:"amount"`
	Currency string `dynamodbav:"currency"`
	Quantity int    `dynamodbav:"quantity"`
}

// FromEnv returns the projection that the environment names.
func FromEnv(cfg aws.Config) (*projection.Projection, error) {
	log, err := eventlog.FromEnv(cfg, cart.Registry())
	if err != nil {
		return nil, err
	}
	return projection.FromEnv(cfg, log, Apply)
}

// lineAttribute returns the attribute of an item at a price.
func lineAttribute(sku string, price cart.Money) string {
	return linePrefix + sku + "@" + strconv.FormatInt(price.Amount, 10)
}

const linePrefix = "line#"

// UnmarshalDynamoDBAttributeValue decodes an item of the table.
func (i *item) UnmarshalDynamoDBAttributeValue(value types.AttributeValue) error {
	type fields item // without this method
	if err := attributevalue.Unmarshal(value, (*fields)(i)); err != nil {
		return err
	}
	attributes, _ := value.(*types.AttributeValueMemberM)
	for name, value := range attributes.Value {
		if !strings.HasPrefix(name, linePrefix) {
			continue
		}
		var l line
		if err := attributevalue.Unmarshal(value, &l); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		i.lines = append(i.lines, l)
	}
	return nil
}

// sortKey is that of every cart; its id is the partition key.
const sortKey = "cart"

// Apply is the projection. It relies on each stream's order.
func Apply(_ context.Context, event eventlog.Event) ([]projection.Write, error) {
	id := cart.ID(event.Stream)
	values := projection.Values{
		"#version": "version", ":version": event.Version,
		"#changed": "changed", ":changed": event.Time,
	}
	var expression string
	switch e := event.Payload.(type) {
	case cart.Opened:
		return []projection.Write{projection.Put(id, sortKey, item{
			Customer: e.Customer, State: cart.StateOpen, Version: event.Version, Opened: event.Time, Changed: event.Time,
		})}, nil
	case cart.ItemAdded:
		expression = "#line = :line, #currency = :currency ADD #amount :amount"
		maps.Copy(values, projection.Values{
			"#line":     lineAttribute(e.SKU, e.Price),
			":line":     line{SKU: e.SKU, Amount: e.Price.Amount, Currency: e.Price.Currency, Quantity: e.InCart},
			"#currency": "currency", ":currency": e.Price.Currency,
			"#amount": "amount", ":amount": e.Price.Amount * int64(e.Quantity),
		})
	case cart.CheckedOut:
		expression = "#state = :state"
		maps.Copy(values, projection.Values{"#state": "state", ":state": cart.StateCheckedOut})
	case cart.Abandoned:
		expression = "#state = :state"
		maps.Copy(values, projection.Values{"#state": "state", ":state": cart.StateAbandoned})
	default:
		return nil, nil
	}
	return []projection.Write{
		projection.Update(id, sortKey, "SET #version = :version, #changed = :changed, "+expression, values),
	}, nil
}

// Model is what Get needs of a read model; *projection.Model has it.
type Model interface {
	Get(ctx context.Context, pk, sk string, v any) error
}

// Get reads a cart. It returns false if the model has no such cart, as it does
// in the moment before a new cart's first event arrives.
func Get(ctx context.Context, model Model, id string) (Cart, bool, error) {
	var found item
	switch err := model.Get(ctx, id, sortKey, &found); {
	case errors.Is(err, projection.ErrNotFound):
		return Cart{}, false, nil
	case err != nil:
		return Cart{}, false, fmt.Errorf("cart %s: %w", id, err)
	}
	c := Cart{
		ID: id, Customer: found.Customer, State: found.State, Lines: []cart.Line{},
		Total:   cart.Money{Amount: found.Amount, Currency: found.Currency},
		Version: found.Version, OpenedAt: found.Opened, ChangedAt: found.Changed,
	}
	for _, l := range found.lines {
		c.Lines = append(c.Lines, cart.Line{SKU: l.SKU, Price: cart.Money{Amount: l.Amount, Currency: l.Currency}, Quantity: l.Quantity})
	}
	slices.SortFunc(c.Lines, func(a, b cart.Line) int {
		return cmp.Or(cmp.Compare(a.SKU, b.SKU), cmp.Compare(a.Price.Amount, b.Price.Amount))
	})
	return c, true, nil
}
