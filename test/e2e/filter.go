package e2e

import (
	"encoding/json"
	"slices"

	"github.com/serverless-go/cdk/test/e2e/eventpattern"
)

// filterCriteria are a pipe's or an event source mapping's.
type filterCriteria struct {
	Filters []struct{ Pattern string }
}

// filter lets a record through when any of its patterns matches, or it has
// none.
type filter []*eventpattern.Pattern

func (c filterCriteria) compile() (filter, error) {
	var f filter
	for _, one := range c.Filters {
		p, err := eventpattern.Compile([]byte(one.Pattern))
		if err != nil {
			return nil, err
		}
		f = append(f, p)
	}
	return f, nil
}

func (f filter) match(record any) bool {
	return len(f) == 0 || slices.ContainsFunc(f, func(p *eventpattern.Pattern) bool { return p.Match(record) })
}

// withBody returns the record with its body, if that is JSON text, decoded:
// patterns look into it.
func withBody(record map[string]any) map[string]any {
	text, _ := record["body"].(string)
	var body any
	if json.Unmarshal([]byte(text), &body) != nil {
		return record
	}
	decoded := make(map[string]any, len(record))
	for key, v := range record {
		decoded[key] = v
	}
	decoded["body"] = body
	return decoded
}
