// Package counts is how many readings of a kind a locality had in each window:
// the counts of a region, and those of the world.
//
// A region's count is spread over eight items, for readings of an outbreak come
// from few localities, and transactions on one item stand in each other's way.
//
// What leaves the jurisdiction is a multiple of five: a total of one can point
// at a person. The table of the world takes inserts alone. A total is inserted
// under its own number, so that reporting it twice changes nothing and the
// highest is the latest, whatever the order of arrival.
package counts

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/functions/healthwatch"
)

const (
	shards = 8
	// Keep is how long counts are kept after their window.
	Keep = 35 * 24 * time.Hour
)

// Key says what is counted.
type Key struct {
	Locality string
	Window   time.Time // its start, UTC
	Kind     string
}

// KeyOf returns the key of a reading.
func KeyOf(locality, kind string, takenAt time.Time) Key {
	return Key{locality, takenAt.UTC().Truncate(healthwatch.Window), kind}
}

// String names the key: "DE-BE/fever/2026-11-28T05:00:00Z".
func (k Key) String() string { return k.Locality + "/" + k.Kind + "/" + k.start() }

func (k Key) start() string { return k.Window.Format(time.RFC3339) }

func (k Key) item(shard int) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		healthwatch.CountPK: text(k.Locality), healthwatch.CountSK: text(k.start() + "#" + k.Kind + "#" + strconv.Itoa(shard)),
	}
}

// ParseKey reads the key of an item.
func ParseKey(pk, sk string) (Key, error) {
	part := strings.Split(sk, "#")
	if len(part) != 3 {
		return Key{}, fmt.Errorf("counts: %q is no sort key", sk)
	}
	window, err := time.Parse(time.RFC3339, part[0])
	return Key{pk, window, part[1]}, err
}

// Total is how many readings there are, and how many of them this region took
// in itself.
type Total struct{ All, Here int }

// Table is a region's table of counts.
type Table struct {
	DynamoDB *dynamodb.Client
	Name     string
}

// Add returns the write that counts a reading.
func (t Table) Add(k Key, id string, here bool) types.TransactWriteItem {
	h := fnv.New32a()
	h.Write([]byte(id))
	one := 0
	if here {
		one = 1
	}
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &t.Name, Key: k.item(int(h.Sum32() % shards)),
		UpdateExpression: aws.String("SET #ttl = :ttl ADD #total :one, #here :here"),
		ExpressionAttributeNames: map[string]string{
			"#ttl": healthwatch.CountTTL, "#total": healthwatch.CountTotal, "#here": healthwatch.CountHere},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":ttl": number(int(k.Window.Add(healthwatch.Window + Keep).Unix())), ":one": number(1), ":here": number(one)},
	}}
}

// Total returns the total of a key.
func (t Table) Total(ctx context.Context, k Key) (Total, error) {
	var sum Total
	for item, err := range t.query(ctx, "#pk = :pk AND begins_with(#sk, :from)", map[string]types.AttributeValue{
		":pk": text(k.Locality), ":from": text(k.start() + "#" + k.Kind + "#")}) {
		if err != nil {
			return Total{}, err
		}
		sum.add(item)
	}
	return sum, nil
}

// Count is the total of a window and kind.
type Count struct {
	Window time.Time `json:"window"`
	Kind   string    `json:"kind"`
	Total  int       `json:"total"`
}

// Locality lists a locality's counts of the windows from and to, both included,
// in the order of windows and kinds.
func (t Table) Locality(ctx context.Context, locality string, from, to time.Time) ([]Count, error) {
	list := []Count{}
	for item, err := range t.query(ctx, "#pk = :pk AND #sk BETWEEN :from AND :to", map[string]types.AttributeValue{
		":pk": text(locality), ":from": text(from.UTC().Format(time.RFC3339)), ":to": text(to.UTC().Format(time.RFC3339) + "$")}) { // "$" follows "#"
		if err != nil {
			return nil, err
		}
		k, err := ParseKey(locality, value(item[healthwatch.CountSK]))
		if err != nil {
			return nil, err
		}
		if n := len(list); n == 0 || !list[n-1].Window.Equal(k.Window) || list[n-1].Kind != k.Kind {
			list = append(list, Count{Window: k.Window, Kind: k.Kind})
		}
		list[len(list)-1].Total += whole(item[healthwatch.CountTotal])
	}
	return list, nil
}

func (t Table) query(ctx context.Context, condition string, values map[string]types.AttributeValue) iter.Seq2[map[string]types.AttributeValue, error] {
	return func(yield func(map[string]types.AttributeValue, error) bool) {
		pages := dynamodb.NewQueryPaginator(t.DynamoDB, &dynamodb.QueryInput{
			TableName: &t.Name, KeyConditionExpression: &condition, ExpressionAttributeValues: values, ConsistentRead: aws.Bool(true),
			ExpressionAttributeNames: map[string]string{"#pk": healthwatch.CountPK, "#sk": healthwatch.CountSK},
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// Totals returns the totals of up to twelve keys.
func (t Table) Totals(ctx context.Context, keys ...Key) (Total, error) {
	var sum Total
	var wanted []map[string]types.AttributeValue
	for _, k := range keys {
		for shard := range shards {
			wanted = append(wanted, k.item(shard))
		}
	}
	for attempt := 0; len(wanted) > 0; attempt++ {
		if attempt == 5 {
			return Total{}, errors.New("counts: DynamoDB is busy")
		}
		if attempt > 0 {
			select {
			case <-ctx.Done():
				return Total{}, ctx.Err()
			case <-time.After(25 * time.Millisecond << attempt):
			}
		}
		out, err := t.DynamoDB.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{t.Name: {Keys: wanted}}})
		if err != nil {
			return Total{}, err
		}
		for _, item := range out.Responses[t.Name] {
			sum.add(item)
		}
		wanted = out.UnprocessedKeys[t.Name].Keys
	}
	return sum, nil
}

func (t *Total) add(item map[string]types.AttributeValue) {
	t.All += whole(item[healthwatch.CountTotal])
	t.Here += whole(item[healthwatch.CountHere])
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func number(n int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.Itoa(n)}
}

func value(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	}
	return ""
}

func whole(v types.AttributeValue) int {
	n, _ := strconv.Atoi(value(v))
	return n
}
