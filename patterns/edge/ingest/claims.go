package ingest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// Margin is how much longer than the archives a mark is kept. A replay may
// begin on an archive's last day; EventBridge then tries for a day, a queue
// keeps the message for 14, and its dead-letter queue for as long again.
const Margin = 30 * 24 * time.Hour

// MaxEffect is how many writes an effect has at most: a transaction has 100,
// and the mark is one of them.
const MaxEffect = 99

// Effect is what an event does: writes to any tables of the region and account
// of the claims, which take effect together with the mark or not at all.
type Effect = []types.TransactWriteItem

// DynamoDBClaims are [Claims] in a table, which a construct [edge.Claims] makes.
//
// All consumers must use one table in one region: writes to the replicas of an
// eventually consistent global table do not exclude each other, and a strongly
// consistent one knows no transactions.
//
// [edge.Claims]: https://pkg.go.dev/github.com/serverless-go/cdk/patterns/edge#Claims
type DynamoDBClaims struct {
	// DynamoDB is the client. Required.
	DynamoDB *dynamodb.Client
	// Table is the name of the table. Required.
	Table string
	// Archive is how long the archives keep events for replay. Marks are kept
	// for longer by Margin, from the latest time that the event was delivered.
	//
	// Default: 90 days, as a GlobalEndpoint's.
	Archive time.Duration
	// Lease is how long a claim lasts where the context has no deadline. With
	// one, as in Lambda, it lasts five seconds longer than that. A clock that is
	// wrong costs work and no correctness: Finish goes by the token.
	//
	// Default: 1 minute.
	Lease time.Duration
	// Now is the clock.
	//
	// Default: time.Now.
	Now func() time.Time
}

var _ Claims[Effect] = (*DynamoDBClaims)(nil)

// ClaimsFromEnv returns the claims that [schema.EnvClaimsTable] and
// [schema.EnvClaimsArchive] name.
func ClaimsFromEnv(cfg aws.Config) (*DynamoDBClaims, error) {
	days, err := strconv.Atoi(os.Getenv(schema.EnvClaimsArchive))
	if table := os.Getenv(schema.EnvClaimsTable); err == nil && days > 0 && table != "" {
		return &DynamoDBClaims{DynamoDB: dynamodb.NewFromConfig(cfg), Table: table, Archive: time.Duration(days) * 24 * time.Hour}, nil
	}
	return nil, errors.New("ingest: " + schema.EnvClaimsTable + " must name a table and " + schema.EnvClaimsArchive + " a number of days")
}

// Claim takes the event unless it was applied or another claim lasts. A mark
// that would be deleted too early, because a copy of the event came late to an
// archive, is kept for longer.
func (c *DynamoDBClaims) Claim(ctx context.Context, id string) (string, error) {
	now := c.now()
	until := now.Add(cmp.Or(c.Lease, time.Minute))
	if deadline, ok := ctx.Deadline(); ok {
		until = now.Add(time.Until(deadline) + 5*time.Second)
	}
	token := rand.Text()
	_, err := c.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &c.Table, Key: claimKey(id),
		UpdateExpression: aws.String("SET #token = :token, #until = :until, #ttl = :ttl"),
		// An item without #until was applied.
		ConditionExpression:                 aws.String("attribute_not_exists(#pk) OR #until <= :now"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		ExpressionAttributeNames: map[string]string{
			"#pk": schema.ClaimPK, "#token": schema.ClaimToken, "#until": schema.ClaimUntil, "#ttl": schema.ClaimTTL},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":token": text(token), ":until": number(until.UnixMilli()), ":now": number(now.UnixMilli()), ":ttl": number(c.expiry(now))},
	})
	failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	switch {
	case !ok:
		return token, err
	// The answer to an attempt of this very call may have been lost.
	case value(failed.Item[schema.ClaimToken]) == token:
		return token, nil
	case failed.Item[schema.ClaimUntil] != nil:
		return "", ErrBusy
	}
	if err := c.keep(ctx, id, failed.Item, now); err != nil {
		return "", err
	}
	return "", ErrFinished
}

// keep moves the end of a mark, at most once a day.
func (c *DynamoDBClaims) keep(ctx context.Context, id string, item map[string]types.AttributeValue, now time.Time) error {
	ends, _ := strconv.ParseInt(value(item[schema.ClaimTTL]), 10, 64)
	if c.expiry(now)-ends < int64((24 * time.Hour).Seconds()) {
		return nil
	}
	// A mark that is deleted meanwhile must not come back as a claim.
	_, err := c.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &c.Table, Key: claimKey(id),
		UpdateExpression:          aws.String("SET #ttl = :ttl"),
		ConditionExpression:       aws.String("#token = :token"),
		ExpressionAttributeNames:  map[string]string{"#token": schema.ClaimToken, "#ttl": schema.ClaimTTL},
		ExpressionAttributeValues: map[string]types.AttributeValue{":token": item[schema.ClaimToken], ":ttl": number(c.expiry(now))},
	})
	return err
}

// Release gives up the claim, so that the next delivery need not wait for its
// end. A claim that is not the latest stays as it is.
func (c *DynamoDBClaims) Release(ctx context.Context, id, token string) error {
	_, err := c.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &c.Table, Key: claimKey(id),
		UpdateExpression:          aws.String("SET #until = :zero"),
		ConditionExpression:       aws.String("#token = :token AND attribute_exists(#until)"),
		ExpressionAttributeNames:  map[string]string{"#token": schema.ClaimToken, "#until": schema.ClaimUntil},
		ExpressionAttributeValues: map[string]types.AttributeValue{":token": text(token), ":zero": number(0)},
	})
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return nil
	}
	return err
}

// Finish writes the effect and the mark. It tries again when DynamoDB is busy
// with the items, and fails with a *[types.TransactionCanceledException], and
// without any effect, when a condition of the effect's own does.
func (c *DynamoDBClaims) Finish(ctx context.Context, id, token string, effect Effect) error {
	if len(effect) > MaxEffect {
		return fmt.Errorf("ingest: the effect of event %s has %d writes, allowed are %d", id, len(effect), MaxEffect)
	}
	mark := types.TransactWriteItem{Update: &types.Update{
		TableName: &c.Table, Key: claimKey(id),
		UpdateExpression:                    aws.String("SET #ttl = :ttl REMOVE #until"),
		ConditionExpression:                 aws.String("#token = :token AND attribute_exists(#until)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		ExpressionAttributeNames: map[string]string{
			"#token": schema.ClaimToken, "#until": schema.ClaimUntil, "#ttl": schema.ClaimTTL},
		ExpressionAttributeValues: map[string]types.AttributeValue{":token": text(token), ":ttl": number(c.expiry(c.now()))},
	}}
	in := &dynamodb.TransactWriteItemsInput{TransactItems: append([]types.TransactWriteItem{mark}, effect...)}
	for attempt := 0; ; attempt++ {
		_, err := c.DynamoDB.TransactWriteItems(ctx, in)
		canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
		if !ok || len(canceled.CancellationReasons) == 0 {
			return err
		}
		if first := canceled.CancellationReasons[0]; aws.ToString(first.Code) == "ConditionalCheckFailed" {
			if value(first.Item[schema.ClaimToken]) == token {
				return nil // An earlier attempt did it and its answer was lost.
			}
			return ErrBusy
		}
		if attempt == 4 || !passing(canceled.CancellationReasons) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(mathrand.N(25 * time.Millisecond << attempt)):
		}
	}
}

// passing says whether all that stopped a transaction passes by itself.
func passing(reasons []types.CancellationReason) bool {
	for _, r := range reasons {
		switch aws.ToString(r.Code) {
		case "", "None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
		default:
			return false
		}
	}
	return true
}

func (c *DynamoDBClaims) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *DynamoDBClaims) expiry(now time.Time) int64 {
	return now.Add(cmp.Or(c.Archive, 90*24*time.Hour) + Margin).Unix()
}

func claimKey(id string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{schema.ClaimPK: text(id)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// value returns a string or a number as it is written.
func value(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	}
	return ""
}
