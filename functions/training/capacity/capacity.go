// Package capacity books instances for training runs, so that no more run at a
// time than the account may, and releases them. Both are steps of a saga: each
// can be repeated, and a release that comes before its booking, which happens
// when a booking timed out, wins.
package capacity

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/orchestration/training"
)

// Key is the table's partition key, a string. Pools have keys of their own
// among the bookings: "pool#ml.g5.xlarge", "booking#ml.g5.xlarge#run-7".
const Key = "pk"

// TTL is the attribute that tells DynamoDB when to forget a released booking.
const TTL = "ttl"

// kept is how long a release is remembered, longer than any booking's retries.
const kept = 90 * 24 * time.Hour

// Client is what Book needs of DynamoDB.
type Client interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

// Book keeps the bookings. All fields but Now are required.
type Book struct {
	DynamoDB Client
	Table    string
	Now      func() time.Time // Default: time.Now
}

// FromEnv returns the function's handler.
func FromEnv(cfg aws.Config) (awslambda.Handler, error) {
	b := &Book{DynamoDB: dynamodb.NewFromConfig(cfg), Table: os.Getenv(training.EnvCapacity)}
	if b.Table == "" {
		return nil, fmt.Errorf("%s is empty; it must name the table of the bookings", training.EnvCapacity)
	}
	return awslambda.NewHandler(b.Handle), nil
}

// Handle books or releases. That there is too little capacity is a
// *training.CapacityError, a failure of DynamoDB a *training.UnavailableError.
func (b *Book) Handle(ctx context.Context, r training.CapacityRequest) (*training.CapacityAnswer, error) {
	if r.Pool == "" || r.Booking == "" {
		return nil, fmt.Errorf("pool is %q, booking is %q; both must be set", r.Pool, r.Booking)
	}
	switch r.Op {
	case training.OpBook:
		if r.Units < 1 || r.Units > r.Limit {
			return nil, &training.CapacityError{Pool: r.Pool, Problem: fmt.Sprintf("units are %d; allowed are 1 to the pool's %d", r.Units, r.Limit)}
		}
		return b.book(ctx, r)
	case training.OpRelease:
		return b.release(ctx, r)
	default:
		return nil, fmt.Errorf("op is %q; allowed are %q and %q", r.Op, training.OpBook, training.OpRelease)
	}
}

type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.Itoa(n)}
}

func poolKey(r training.CapacityRequest) item { return item{Key: text("pool#" + r.Pool)} }

func bookingKey(r training.CapacityRequest) item {
	return item{Key: text("booking#" + r.Pool + "#" + r.Booking)}
}

func (b *Book) book(ctx context.Context, r training.CapacityRequest) (*training.CapacityAnswer, error) {
	booking := bookingKey(r)
	booking["units"] = number(r.Units)
	_, err := b.DynamoDB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: &b.Table, Item: booking, ConditionExpression: aws.String("attribute_not_exists(pk)")}},
		{Update: &types.Update{
			TableName: &b.Table, Key: poolKey(r),
			UpdateExpression:          aws.String("ADD used :units"),
			ConditionExpression:       aws.String("attribute_not_exists(used) OR used <= :free"),
			ExpressionAttributeValues: item{":units": number(r.Units), ":free": number(r.Limit - r.Units)},
		}},
	}})
	switch failed := conditions(err); {
	case err == nil:
		return &training.CapacityAnswer{Booking: r.Booking, Units: r.Units}, nil
	case failed == nil:
		return nil, &training.UnavailableError{Err: fmt.Errorf("book: %w", err)}
	case !failed[0]:
		return nil, &training.CapacityError{Pool: r.Pool, Problem: fmt.Sprintf("fewer than %d of %d are free", r.Units, r.Limit)}
	}
	units, released, err := b.find(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case released:
		return nil, &training.CapacityError{Pool: r.Pool, Problem: "booking " + r.Booking + " was released before; book with another key"}
	case units != r.Units:
		return nil, &training.CapacityError{Pool: r.Pool, Problem: fmt.Sprintf("booking %s has %d units, not %d; book with another key", r.Booking, units, r.Units)}
	}
	return &training.CapacityAnswer{Booking: r.Booking, Units: units}, nil
}

func (b *Book) release(ctx context.Context, r training.CapacityRequest) (*training.CapacityAnswer, error) {
	now := time.Now
	if b.Now != nil {
		now = b.Now
	}
	answer := &training.CapacityAnswer{Booking: r.Booking}
	forget := number(int(now().Add(kept).Unix()))
	// A booking that is made between the two looks is found by the second.
	for range 2 {
		units, released, err := b.find(ctx, r)
		if err != nil {
			return nil, err
		}
		if released {
			return answer, nil
		}
		if units == 0 {
			tombstone := bookingKey(r)
			tombstone["released"], tombstone[TTL] = &types.AttributeValueMemberBOOL{Value: true}, forget
			_, err = b.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &b.Table, Item: tombstone,
				ConditionExpression: aws.String("attribute_not_exists(pk)")})
		} else {
			_, err = b.DynamoDB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
				{Update: &types.Update{
					TableName: &b.Table, Key: bookingKey(r),
					UpdateExpression:          aws.String("SET released = :true, #ttl = :ttl"),
					ConditionExpression:       aws.String("attribute_exists(pk) AND attribute_not_exists(released)"),
					ExpressionAttributeNames:  map[string]string{"#ttl": TTL},
					ExpressionAttributeValues: item{":true": &types.AttributeValueMemberBOOL{Value: true}, ":ttl": forget},
				}},
				{Update: &types.Update{
					TableName: &b.Table, Key: poolKey(r),
					UpdateExpression:          aws.String("ADD used :back"),
					ExpressionAttributeValues: item{":back": number(-units)},
				}},
			}})
		}
		if err == nil {
			return answer, nil
		}
		if exists := (*types.ConditionalCheckFailedException)(nil); !errors.As(err, &exists) && conditions(err) == nil {
			return nil, &training.UnavailableError{Err: fmt.Errorf("release: %w", err)}
		}
	}
	return nil, &training.UnavailableError{Err: fmt.Errorf("release %s: it changes while it is read", r.Booking)}
}

// find returns how many units are booked, 0 for none, and whether they have
// been released.
func (b *Book) find(ctx context.Context, r training.CapacityRequest) (units int, released bool, err error) {
	out, err := b.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &b.Table, Key: bookingKey(r), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return 0, false, &training.UnavailableError{Err: fmt.Errorf("find booking: %w", err)}
	}
	if n, ok := out.Item["units"].(*types.AttributeValueMemberN); ok {
		if units, err = strconv.Atoi(n.Value); err != nil {
			return 0, false, fmt.Errorf("booking %s: units: %w", r.Booking, err)
		}
	}
	_, released = out.Item["released"]
	return units, released, nil
}

// conditions returns which conditions of a transaction did not hold, nil if
// that is not why it failed.
func conditions(err error) []bool {
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) {
		return nil
	}
	failed := make([]bool, len(canceled.CancellationReasons))
	any := false
	for i, reason := range canceled.CancellationReasons {
		failed[i] = aws.ToString(reason.Code) == "ConditionalCheckFailed"
		any = any || failed[i]
	}
	if !any {
		return nil // a conflict with another transaction, or throttled
	}
	return failed
}
