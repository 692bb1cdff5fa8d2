package booking

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Table is a Store in DynamoDB. An item is a booking, or with "cancelled" the
// mark that it must not be made any more.
type Table struct {
	Client *dynamodb.Client
	Name   string
}

// Book writes the booking unless it was cancelled.
func (t *Table) Book(ctx context.Context, key, traveller string) (bool, error) {
	_, err := t.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &t.Name,
		Item: map[string]types.AttributeValue{
			"booking":   &types.AttributeValueMemberS{Value: key},
			"traveller": &types.AttributeValueMemberS{Value: traveller},
		},
		ConditionExpression: aws.String("attribute_not_exists(cancelled)"),
	})
	if cancelled := new(types.ConditionalCheckFailedException); errors.As(err, &cancelled) {
		return false, nil
	}
	return err == nil, err
}

// Cancel replaces the booking, if there is one, by the mark.
func (t *Table) Cancel(ctx context.Context, key string) error {
	_, err := t.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &t.Name,
		Item: map[string]types.AttributeValue{
			"booking":   &types.AttributeValueMemberS{Value: key},
			"cancelled": &types.AttributeValueMemberBOOL{Value: true},
		},
	})
	return err
}
