package projection

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/eventsourcing/internal/backoff"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// The partition keys of a version begin with one of these. A user's key is
// never empty and always prefixed, so that it cannot begin with "#".
func itemPrefix(model int) string       { return "v" + strconv.Itoa(model) + "#" }
func checkpointPrefix(model int) string { return "#checkpoint#" + itemPrefix(model) }
func markerPrefix(model int) string     { return "#seen#" + itemPrefix(model) }

// bookkeeping is the sort key of checkpoints and markers.
const bookkeeping = "#"

func key(pk, sk string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		schema.PK: &types.AttributeValueMemberS{Value: pk},
		schema.SK: &types.AttributeValueMemberS{Value: sk},
	}
}

func number(n int64) *types.AttributeValueMemberN {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// control is the item that says which versions of the model there are.
type control struct {
	Revision int      `dynamodbav:"revision"`                 // counts the changes of this item
	Active   int      `dynamodbav:"active"`                   // the version that is read
	Building int      `dynamodbav:"building"`                 // the version being built, 0: none
	Latest   int      `dynamodbav:"latest"`                   // the highest number given so far
	Previous int      `dynamodbav:"previous"`                 // the version read before Active
	Run      string   `dynamodbav:"run"`                      // who builds or built Latest
	Done     []string `dynamodbav:"done,stringset,omitempty"` // the shards replayed into Building
	Broken   string   `dynamodbav:"broken"`                   // why Building is unfit, empty: it is not
}

// readModel is a read model's table.
type readModel struct {
	db   *dynamodb.Client
	name string
}

// control reads the control item. Before a first rebuild there is none, and
// version 1 is the model.
func (m readModel) control(ctx context.Context) (control, error) {
	c := control{Active: 1, Latest: 1}
	out, err := m.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:      &m.name,
		Key:            key(schema.ModelKey, schema.ModelKey),
		ConsistentRead: aws.Bool(true),
	})
	if err == nil && out.Item != nil {
		err = attributevalue.UnmarshalMap(out.Item, &c)
	}
	if err != nil {
		return c, fmt.Errorf("read the model's versions: %w", err)
	}
	return c, nil
}

// change replaces the control item by what edit makes of it, unless edit
// returns an error. When somebody else was faster, edit gets the item anew.
func (m readModel) change(ctx context.Context, edit func(*control) error) error {
	for attempt := 0; ; attempt++ {
		c, err := m.control(ctx)
		if err != nil {
			return err
		}
		condition, values := "attribute_not_exists("+schema.PK+")", map[string]types.AttributeValue(nil)
		if c.Revision > 0 {
			condition, values = "revision = :revision", map[string]types.AttributeValue{":revision": number(int64(c.Revision))}
		}
		if err := edit(&c); err != nil {
			return err
		}
		c.Revision++
		item, err := attributevalue.MarshalMap(c)
		if err != nil {
			return err
		}
		maps.Copy(item, key(schema.ModelKey, schema.ModelKey))
		_, err = m.db.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: &m.name, Item: item,
			ConditionExpression: &condition, ExpressionAttributeValues: values,
		})
		var lost *types.ConditionalCheckFailedException
		if err == nil {
			return nil
		}
		if !errors.As(err, &lost) || backoff.Pause(ctx, attempt) != nil {
			return fmt.Errorf("change the model's versions: %w", err)
		}
	}
}
