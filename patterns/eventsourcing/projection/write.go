package projection

import (
	"fmt"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// maxWrites is the limit of TransactWriteItems, less the checkpoint or marker.
const maxWrites = 99

// Write is one change of an item of the read model. [Put], [Update] and
// [Delete] make it.
//
// A write has no condition: what a model holds must depend on its events only,
// never on the order in which those of different streams happened to arrive, or
// a rebuild would not arrive at the same. Likewise updates of an item that
// several streams share must commute, such as ADD; in an unordered projection
// that goes for every item.
type Write struct {
	pk, sk string
	action func(table *string, key map[string]types.AttributeValue) (types.TransactWriteItem, error)
}

// Values are what the placeholders of an expression stand for: ":name" for a
// value, "#name" for an attribute's name, which must be a string.
type Values map[string]any

// Put writes a whole item in place of what was there. The item is a struct or a
// map as package attributevalue encodes it; its keys are set from pk and sk. An
// attribute "ttl", in Unix seconds, lets DynamoDB delete the item.
func Put(pk, sk string, item any) Write {
	return Write{pk, sk, func(table *string, key map[string]types.AttributeValue) (types.TransactWriteItem, error) {
		attributes, err := attributevalue.MarshalMap(item)
		if err != nil {
			return types.TransactWriteItem{}, err
		}
		maps.Copy(attributes, key)
		return types.TransactWriteItem{Put: &types.Put{TableName: table, Item: attributes}}, nil
	}}
}

// Update changes an item, or makes it, by a DynamoDB update expression:
//
//	projection.Update("day#2026-08-01", "carts", "ADD #n :one", projection.Values{"#n": "count", ":one": 1})
func Update(pk, sk, expression string, values Values) Write {
	return Write{pk, sk, func(table *string, key map[string]types.AttributeValue) (types.TransactWriteItem, error) {
		update := &types.Update{TableName: table, Key: key, UpdateExpression: &expression}
		var err error
		update.ExpressionAttributeNames, update.ExpressionAttributeValues, err = values.split()
		return types.TransactWriteItem{Update: update}, err
	}}
}

// Delete removes an item; one that does not exist is fine.
func Delete(pk, sk string) Write {
	return Write{pk, sk, func(table *string, key map[string]types.AttributeValue) (types.TransactWriteItem, error) {
		return types.TransactWriteItem{Delete: &types.Delete{TableName: table, Key: key}}, nil
	}}
}

// on returns the write as an action on a version of the model.
func (w Write) on(table string, model int) (types.TransactWriteItem, error) {
	if w.pk == "" || w.sk == "" {
		return types.TransactWriteItem{}, fmt.Errorf("write to pk %q, sk %q: neither must be empty", w.pk, w.sk)
	}
	action, err := w.action(&table, key(itemPrefix(model)+w.pk, w.sk))
	if err != nil {
		return action, fmt.Errorf("write to pk %q, sk %q: %w", w.pk, w.sk, err)
	}
	return action, nil
}

// split returns the names and the values; each is nil when there are none, as
// DynamoDB refuses empty maps.
func (v Values) split() (names map[string]string, values map[string]types.AttributeValue, err error) {
	for placeholder, value := range v {
		switch {
		case strings.HasPrefix(placeholder, "#"):
			name, ok := value.(string)
			if !ok {
				return nil, nil, fmt.Errorf("%s is a %T, want the attribute's name as string", placeholder, value)
			}
			if names == nil {
				names = map[string]string{}
			}
			names[placeholder] = name
		case strings.HasPrefix(placeholder, ":"):
			attribute, err := attributevalue.Marshal(value)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", placeholder, err)
			}
			if values == nil {
				values = map[string]types.AttributeValue{}
			}
			values[placeholder] = attribute
		default:
			return nil, nil, fmt.Errorf("placeholder %q must begin with # or :", placeholder)
		}
	}
	return names, values, nil
}
