package alerts

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// States of an alert.
const (
	stateOpen           = "open"
	stateAcknowledged   = "acknowledged"
	stateUnacknowledged = "unacknowledged" // and given up
)

// item is an alert or the report of a count.
type item struct {
	ID       string `dynamodbav:"pk"`
	Sort     string `dynamodbav:"sk"`
	Outbox   string `dynamodbav:"outbox,omitempty"`
	Due      int64  `dynamodbav:"due,omitempty"` // milliseconds, 0: nothing left to do
	Locality string `dynamodbav:"locality"`
	Kind     string `dynamodbav:"kind"`
	Start    int64  `dynamodbav:"start"`    // of the window, seconds
	Revision int64  `dynamodbav:"revision"` // counts the changes

	State    string   `dynamodbav:"state,omitempty"`
	Urgent   bool     `dynamodbav:"urgent"`
	Level    int      `dynamodbav:"level"`                    // the one to tell next, from 0
	Since    int64    `dynamodbav:"since,omitempty"`          // when its first try was, milliseconds
	Attempts int      `dynamodbav:"attempts"`                 // of the level
	Sent     []string `dynamodbav:"sent,stringset,omitempty"` // the level's channels that have it
	By       string   `dynamodbav:"acknowledgedBy,omitempty"`
	At       string   `dynamodbav:"acknowledgedAt,omitempty"`
}

// errChanged says that somebody else changed the item: it is theirs now.
var errChanged = errors.New("alerts: the item was changed meanwhile")

// values are the parameters of an expression.
type values map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func flag(b bool) types.AttributeValue   { return &types.AttributeValueMemberBOOL{Value: b} }
func number[T ~int | ~int64](n T) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(int64(n), 10)}
}

func key(id, sort string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{schema.AlertPK: text(id), schema.AlertSK: text(sort)}
}

// names stand for attributes whose names are DynamoDB's reserved words.
var names = map[string]string{"#level": "level", "#state": "state", "#start": "start", "#ttl": schema.AlertTTL}

// table is the table with its items.
type table struct {
	db   *dynamodb.Client
	name string
}

func (h *Handler) table() table { return table{h.DynamoDB, h.Table} }

// get reads an item; nil if there is none.
func (t table) get(ctx context.Context, id, sort string) (*item, error) {
	out, err := t.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.name, Key: key(id, sort), ConsistentRead: aws.Bool(true)})
	if err != nil || out.Item == nil {
		return nil, err
	}
	var i item
	return &i, attributevalue.UnmarshalMap(out.Item, &i)
}

// update changes an item on a condition. It returns errChanged where the
// condition fails.
func (t table) update(ctx context.Context, id, sort, change, condition string, v values) error {
	used := map[string]string{}
	for placeholder, name := range names {
		if strings.Contains(change+condition, placeholder) {
			used[placeholder] = name
		}
	}
	in := &dynamodb.UpdateItemInput{TableName: &t.name, Key: key(id, sort), UpdateExpression: &change, ExpressionAttributeValues: v}
	if len(used) > 0 {
		in.ExpressionAttributeNames = used
	}
	if condition != "" {
		in.ConditionExpression = &condition
	}
	_, err := t.db.UpdateItem(ctx, in)
	return conditional(err)
}

// revise changes an item that nobody changed since it was read, and counts the
// change in i.
func (t table) revise(ctx context.Context, i *item, change string, v values) error {
	all := values{":revision": number(i.Revision), ":next": number(i.Revision + 1)}
	maps.Copy(all, v)
	err := t.update(ctx, i.ID, i.Sort, "SET revision = :next, "+change, "revision = :revision", all)
	if err == nil {
		i.Revision++
	}
	return err
}

func conditional(err error) error {
	if failed := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &failed) {
		return errChanged
	}
	return err
}

func millis(t time.Time) types.AttributeValue { return number(t.UnixMilli()) }

func expiry(t time.Time) types.AttributeValue { return number(t.Add(keep).Unix()) }
