package projection

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// Model reads a read model. It finds out which version to read and shows keys
// as the projection wrote them. Its methods may be called concurrently.
// DynamoDB and Table are required; the principal needs GetItem and Query.
type Model struct {
	// DynamoDB is the client for the model's table.
	DynamoDB *dynamodb.Client
	// Table is the model's table.
	Table string
	// MaxAge is how long the version to read is remembered; a rebuild's switch
	// is seen after that time at the latest. It must be shorter than the time
	// that the rebuild keeps the old version. Default: 5 seconds.
	MaxAge time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time

	mu      sync.Mutex
	version int
	read    time.Time
}

// ModelFromEnv returns the model in the table that schema.EnvReadModel names.
func ModelFromEnv(cfg aws.Config) (*Model, error) {
	table := os.Getenv(schema.EnvReadModel)
	if table == "" {
		return nil, fmt.Errorf("projection: %s is not set; it must name the read model's table", schema.EnvReadModel)
	}
	return &Model{DynamoDB: dynamodb.NewFromConfig(cfg), Table: table}, nil
}

// Get decodes an item into v, a pointer as package attributevalue wants it. It
// returns ErrNotFound if there is no such item.
func (m *Model) Get(ctx context.Context, pk, sk string, v any) error {
	view, err := m.View(ctx)
	if err != nil {
		return err
	}
	return view.Get(ctx, pk, sk, v)
}

// Query lists the items of a partition in the order of their sort keys. All of
// them come from one version of the model. An error ends the sequence.
func (m *Model) Query(ctx context.Context, pk string, r Range) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		view, err := m.View(ctx)
		if err != nil {
			yield(Item{}, err)
			return
		}
		view.Query(ctx, pk, r)(yield)
	}
}

// View returns the version that is read now. Reads of one view agree with each
// other across a rebuild's switch. Use it for one request and let it go: a
// sweep deletes old versions.
func (m *Model) View(ctx context.Context) (*View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, age := time.Now, m.MaxAge
	if m.Now != nil {
		now = m.Now
	}
	if age == 0 {
		age = 5 * time.Second
	}
	if started := now(); m.version == 0 || started.Sub(m.read) >= age {
		c, err := readModel{m.DynamoDB, m.Table}.control(ctx)
		if err != nil {
			return nil, fmt.Errorf("projection: %w", err)
		}
		m.version, m.read = c.Active, started
	}
	return &View{m.DynamoDB, m.Table, m.version}, nil
}

// View reads one version of a read model.
type View struct {
	db      *dynamodb.Client
	table   string
	version int
}

// Key returns the partition key under which the table holds pk, for calls of
// DynamoDB that View does not make, such as BatchGetItem.
func (v *View) Key(pk string) string { return itemPrefix(v.version) + pk }

// Get is like [Model.Get].
func (v *View) Get(ctx context.Context, pk, sk string, into any) error {
	out, err := v.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &v.table, Key: key(v.Key(pk), sk)})
	switch {
	case err != nil:
		return fmt.Errorf("projection: get pk %q, sk %q: %w", pk, sk, err)
	case out.Item == nil:
		return fmt.Errorf("%w: pk %q, sk %q", ErrNotFound, pk, sk)
	}
	return v.item(out.Item).Decode(into)
}

// Query is like [Model.Query].
func (v *View) Query(ctx context.Context, pk string, r Range) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		input, err := r.input()
		if err != nil {
			yield(Item{}, fmt.Errorf("projection: query pk %q: %w", pk, err))
			return
		}
		input.TableName = &v.table
		input.ExpressionAttributeValues[":pk"] = &types.AttributeValueMemberS{Value: v.Key(pk)}
		for pages := dynamodb.NewQueryPaginator(v.db, input); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Item{}, fmt.Errorf("projection: query pk %q: %w", pk, err))
				return
			}
			for _, item := range page.Items {
				if !yield(v.item(item), nil) {
					return
				}
			}
		}
	}
}

// item hides the version in an item's key.
func (v *View) item(attributes map[string]types.AttributeValue) Item {
	pk := strings.TrimPrefix(text(attributes[schema.PK]), itemPrefix(v.version))
	attributes[schema.PK] = &types.AttributeValueMemberS{Value: pk}
	return Item{PK: pk, SK: text(attributes[schema.SK]), attributes: attributes}
}

// Range says which items of a partition a query lists; the zero Range lists
// all.
type Range struct {
	// Prefix limits the list to sort keys that begin with it; it excludes From
	// and To.
	Prefix string
	// From and To limit the list to sort keys between them, both included.
	// Default: no limit.
	From, To string
	// Reverse lists the highest sort key first.
	Reverse bool
	// PageSize is how many items one request to DynamoDB reads. Set it when the
	// loop ends early; every item read is paid for. Default: as many as fit into
	// 1 MB.
	PageSize int32
}

func (r Range) input() (*dynamodb.QueryInput, error) {
	condition := "pk = :pk"
	values := map[string]types.AttributeValue{}
	for name, value := range map[string]string{":prefix": r.Prefix, ":from": r.From, ":to": r.To} {
		if value != "" {
			values[name] = &types.AttributeValueMemberS{Value: value}
		}
	}
	switch {
	case r.Prefix != "" && r.From+r.To != "":
		return nil, errors.New("a range has a prefix, or from and to, not both")
	case r.Prefix != "":
		condition += " AND begins_with(sk, :prefix)"
	case r.From != "" && r.To != "":
		condition += " AND sk BETWEEN :from AND :to"
	case r.From != "":
		condition += " AND sk >= :from"
	case r.To != "":
		condition += " AND sk <= :to"
	}
	input := &dynamodb.QueryInput{
		KeyConditionExpression:    &condition,
		ExpressionAttributeValues: values,
		ScanIndexForward:          aws.Bool(!r.Reverse),
	}
	if r.PageSize > 0 {
		input.Limit = &r.PageSize
	}
	return input, nil
}

// Item is an item of a read model.
type Item struct {
	PK, SK     string
	attributes map[string]types.AttributeValue
}

// Decode decodes the item into v, a pointer as package attributevalue wants it.
func (i Item) Decode(v any) error {
	if err := attributevalue.UnmarshalMap(i.attributes, v); err != nil {
		return fmt.Errorf("projection: decode pk %q, sk %q: %w", i.PK, i.SK, err)
	}
	return nil
}
