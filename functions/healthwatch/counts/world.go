package counts

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// Step is what the counts of the world are multiples of.
const Step = 5

// World is the table of the world's counts, of which each region has a replica.
// A region writes to streams that begin with its name, which the policy of its
// replica has at home there; so no two regions write to one item.
type World struct {
	DynamoDB *dynamodb.Client
	Table    string
	Region   string
}

// Report tells the world the total of a key. It says nothing below Step.
func (w World) Report(ctx context.Context, jurisdiction string, k Key, total int) error {
	total -= total % Step
	if total <= 0 {
		return nil
	}
	_, err := w.DynamoDB.ExecuteStatement(ctx, &dynamodb.ExecuteStatementInput{
		Statement: aws.String(`INSERT INTO "` + w.Table + `" VALUE {'` + schema.StoreStream + `': ?, '` + schema.StoreVersion + `': ?, '` +
			schema.StoreShard + `': ?, '` + schema.StoreOpened + `': ?}`),
		Parameters: []types.AttributeValue{
			text(w.Region + "/" + jurisdiction + "/" + k.Locality + "/" + k.Kind + "/" + k.start()), number(total),
			// The index lists a window's counts by these, and has the keys beside.
			text(k.start()), text(jurisdiction + "/" + k.Locality + "/" + k.Kind),
		},
	})
	if duplicate(err) {
		return nil
	}
	return err
}

// duplicate reports whether the item was there. DynamoDB Local says so by the
// code that a transaction's reasons have.
func duplicate(err error) bool {
	var coded interface{ ErrorCode() string }
	if !errors.As(err, &coded) {
		return false
	}
	return coded.ErrorCode() == "DuplicateItemException" || coded.ErrorCode() == "DuplicateItem"
}

// WorldCount is what the world knows of a window.
type WorldCount struct {
	Jurisdiction string `json:"jurisdiction"`
	Locality     string `json:"locality"`
	Kind         string `json:"kind"`
	AtLeast      int    `json:"atLeast"` // and less than Step more
}

// Window lists the counts of a window that this region's replica has. Both
// regions of a jurisdiction count all its readings; the one that is ahead has
// the count.
func (w World) Window(ctx context.Context, start time.Time) ([]WorldCount, error) {
	most := map[WorldCount]int{}
	pages := dynamodb.NewQueryPaginator(w.DynamoDB, &dynamodb.QueryInput{
		TableName: &w.Table, IndexName: aws.String(schema.StoreIndex),
		KeyConditionExpression:    aws.String("#shard = :window"),
		ExpressionAttributeNames:  map[string]string{"#shard": schema.StoreShard},
		ExpressionAttributeValues: map[string]types.AttributeValue{":window": text(start.UTC().Format(time.RFC3339))},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			part := strings.Split(value(item[schema.StoreOpened]), "/")
			if len(part) != 3 {
				continue // not of ours
			}
			k := WorldCount{Jurisdiction: part[0], Locality: part[1], Kind: part[2]}
			most[k] = max(most[k], whole(item[schema.StoreVersion]))
		}
	}
	list := []WorldCount{}
	for k, n := range maps.All(most) {
		k.AtLeast = n
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b WorldCount) int {
		return cmp.Or(cmp.Compare(a.Jurisdiction, b.Jurisdiction), cmp.Compare(a.Locality, b.Locality), cmp.Compare(a.Kind, b.Kind))
	})
	return list, nil
}
