package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// Once keeps a reaction from acting twice on one event, for reactions with an
// effect outside of DynamoDB, such as an e-mail. DynamoDB and Table are
// required; the principal needs UpdateItem.
//
// The effect is claimed before it starts and noted after it succeeded. Two
// deliveries never run it at the same time, and none runs it after its success
// was noted. A crash between the effect and the note lets it run again: give
// the key to the receiver as idempotency key where it takes one.
type Once struct {
	// DynamoDB is the client for the table.
	DynamoDB *dynamodb.Client
	// Table is a table keyed by schema.PK and schema.SK, with schema.TTL as its
	// time to live, such as a read model's.
	Table string
	// Keep is how long a success is remembered. Default: 30 days, more than a
	// queue and its dead-letter queue keep a message together.
	Keep time.Duration
	// Lease is how long a claim holds when its holder has crashed and its
	// context had no deadline; otherwise it holds until the deadline. Default: 1
	// minute.
	Lease time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// BusyError says that another delivery is running the effect. Return it, so
// that this one is delivered again and finds out how the other one ended.
type BusyError struct {
	Key   string
	Until time.Time // when the other's claim ends
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("projection: %s is being worked on until %s", e.Key, e.Until.Format(time.RFC3339))
}

// Do runs effect unless it has succeeded for the key before; then it returns
// nil. The key names the event and the effect, for one event can have several.
// An error of the effect is returned as it is, and the effect may be tried again
// at once.
func (o *Once) Do(ctx context.Context, key string, effect func(context.Context) error) error {
	done, err := o.claim(ctx, key)
	if err != nil || done {
		return err
	}
	failure := effect(ctx)
	note, values := "SET done = :done", map[string]types.AttributeValue{":done": &types.AttributeValueMemberBOOL{Value: true}}
	if failure != nil {
		note, values = "REMOVE lease", nil
	}
	// The effect was tried, whether or not ctx has ended meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err = o.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &o.Table, Key: o.key(key),
		UpdateExpression: &note, ExpressionAttributeValues: values,
	})
	if failure != nil {
		return failure // a claim that could not be given back ends by itself
	}
	if err != nil {
		return fmt.Errorf("projection: note that %s is done: %w", key, err)
	}
	return nil
}

// claim takes the key, unless it is done or somebody else has it.
func (o *Once) claim(ctx context.Context, key string) (done bool, err error) {
	now, keep, lease := time.Now(), o.Keep, o.Lease
	if o.Now != nil {
		now = o.Now()
	}
	if keep == 0 {
		keep = 30 * 24 * time.Hour
	}
	if lease == 0 {
		lease = time.Minute
	}
	if deadline, ok := ctx.Deadline(); ok {
		lease = time.Until(deadline)
	}
	_, err = o.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &o.Table, Key: o.key(key),
		UpdateExpression:         aws.String("SET lease = :until, #ttl = :ttl"),
		ConditionExpression:      aws.String("attribute_not_exists(done) AND (attribute_not_exists(lease) OR lease <= :now)"),
		ExpressionAttributeNames: map[string]string{"#ttl": schema.TTL},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":now":   number(now.UnixMilli()),
			":until": number(now.Add(lease).UnixMilli()),
			":ttl":   number(now.Add(keep).Unix()),
		},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var taken *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return false, nil
	case !errors.As(err, &taken):
		return false, fmt.Errorf("projection: claim %s: %w", key, err)
	}
	var found struct {
		Done  bool  `dynamodbav:"done"`
		Lease int64 `dynamodbav:"lease"`
	}
	if err := attributevalue.UnmarshalMap(taken.Item, &found); err != nil {
		return false, fmt.Errorf("projection: claim %s: %w", key, err)
	}
	if found.Done {
		return true, nil
	}
	return false, &BusyError{Key: key, Until: time.UnixMilli(found.Lease)}
}

func (o *Once) key(name string) map[string]types.AttributeValue {
	return key("#once#"+name, bookkeeping)
}
