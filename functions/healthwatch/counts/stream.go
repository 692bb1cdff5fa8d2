package counts

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/aws/aws-lambda-go/events"

	"github.com/serverless-go/cdk/functions/healthwatch"
)

// Changed returns the keys that a batch of the table's stream changed, each
// once.
func Changed(payload []byte) ([]Key, error) {
	var in events.DynamoDBEvent
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, err
	}
	seen := map[Key]bool{}
	var keys []Key
	for _, r := range in.Records {
		pk, sk := r.Change.Keys[healthwatch.CountPK], r.Change.Keys[healthwatch.CountSK]
		if pk.DataType() != events.DataTypeString || sk.DataType() != events.DataTypeString {
			continue
		}
		// A sort key that is none would stop the shard for good.
		k, err := ParseKey(pk.String(), sk.String())
		if err == nil && !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Compare(a.String(), b.String()) })
	return keys, nil
}
