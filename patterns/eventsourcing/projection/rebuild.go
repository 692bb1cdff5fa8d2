package projection

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/eventsourcing/internal/backoff"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// defaultLimit is how many events a page replays, or how many items a sweep
// deletes, when the request does not say.
const defaultLimit = 1000

// rebuild carries out one request of a rebuild's workflow. Each can be repeated
// at any time, also while another one like it runs.
func (p *Projection) rebuild(ctx context.Context, r schema.Rebuild) (schema.Rebuilt, error) {
	if r.Model < 1 && r.Op != schema.OpBegin {
		return schema.Rebuilt{}, &RequestError{Reason: fmt.Sprintf("%s wants the model's version, 1 or more, got %d", r.Op, r.Model)}
	}
	if r.Limit <= 0 {
		r.Limit = defaultLimit
	}
	switch r.Op {
	case schema.OpBegin:
		return p.begin(ctx, r)
	case schema.OpPage:
		return p.page(ctx, r)
	case schema.OpSwitch:
		return p.activate(ctx, r)
	case schema.OpSweep:
		return p.sweep(ctx, r)
	case schema.OpAbandon:
		return p.abandon(ctx, r)
	}
	return schema.Rebuilt{}, &RequestError{Reason: fmt.Sprintf("operation %q, want %s, %s, %s, %s or %s",
		r.Op, schema.OpBegin, schema.OpPage, schema.OpSwitch, schema.OpSweep, schema.OpAbandon)}
}

// begin gives out the next version. A run gets one version in its life, even if
// its request arrives again after its end.
func (p *Projection) begin(ctx context.Context, r schema.Rebuild) (answer schema.Rebuilt, err error) {
	if r.Run == "" {
		return answer, &RequestError{Reason: r.Op + " wants the run's name"}
	}
	err = p.model().change(ctx, func(c *control) error {
		switch {
		case c.Building != 0 && c.Run == r.Run:
		case c.Building != 0:
			return &RunningError{Model: c.Building, Run: c.Run}
		case c.Run == r.Run:
			return refuse(r, "run %q has ended; start another one", r.Run)
		default:
			c.Latest++
			c.Building, c.Run, c.Done, c.Broken = c.Latest, r.Run, nil, ""
		}
		answer.Model = c.Building
		return nil
	})
	return answer, err
}

// page replays events of one shard's streams into the version being built.
func (p *Projection) page(ctx context.Context, r schema.Rebuild) (schema.Rebuilt, error) {
	answer := schema.Rebuilt{Model: r.Model}
	if !slices.Contains(shards(), r.Shard) {
		return answer, &RequestError{Reason: fmt.Sprintf("shard %q, want %q to %q", r.Shard, schema.ShardName(0), schema.ShardName(schema.Shards-1))}
	}
	var at place
	if err := parse(r.Cursor, &at); err != nil {
		return answer, err
	}
	c, err := p.model().control(ctx)
	if err != nil {
		return answer, err
	}
	if err := c.building(r); err != nil {
		return answer, err
	}

	from, events := at, 0
	stop := func() bool { return events >= r.Limit || ctx.Err() != nil }
	replay := func() error {
		for step, err := range p.catchUp(ctx, version{r.Model, c.Run}, at.Stream, at.Version) {
			if err != nil {
				return err
			}
			at.Version = step.held
			events++
			if step.applied {
				answer.Applied++
			}
			if stop() {
				break
			}
		}
		return nil
	}
	walk := func() (done bool, err error) {
		if at.Stream != "" {
			if err := replay(); err != nil {
				return false, err
			}
		}
		for opening, err := range p.Log.Streams(ctx, r.Shard, at.Opened) {
			if err != nil {
				return false, fmt.Errorf("list the streams of shard %s: %w", r.Shard, err)
			}
			if stop() {
				return false, nil
			}
			at = place{Opened: opening.Opened, Stream: opening.Stream}
			if err := replay(); err != nil {
				return false, err
			}
		}
		return !stop(), nil
	}

	answer.Done, err = walk()
	if err != nil {
		return inTime(ctx, answer, from, at, err)
	}
	if !answer.Done {
		answer.Cursor = format(at)
		return answer, nil
	}
	return answer, p.model().change(ctx, func(c *control) error {
		if err := c.building(r); err != nil {
			return err
		}
		if !slices.Contains(c.Done, r.Shard) {
			c.Done = append(c.Done, r.Shard)
		}
		return nil
	})
}

// activate makes the version that was built the one that is read.
func (p *Projection) activate(ctx context.Context, r schema.Rebuild) (schema.Rebuilt, error) {
	answer := schema.Rebuilt{Model: r.Model}
	err := p.model().change(ctx, func(c *control) error {
		if c.Active != r.Model {
			if err := c.building(r); err != nil {
				return err
			}
			if missing := len(shards()) - len(c.Done); missing > 0 {
				return refuse(r, "%d of %d shards are not replayed to their end; page them until done", missing, schema.Shards)
			}
			c.Previous, c.Active, c.Building = c.Active, r.Model, 0
		}
		answer.Previous = c.Previous
		return nil
	})
	return answer, err
}

// abandon ends the building of a version, which is never read then.
func (p *Projection) abandon(ctx context.Context, r schema.Rebuild) (schema.Rebuilt, error) {
	return schema.Rebuilt{Model: r.Model}, p.model().change(ctx, func(c *control) error {
		switch r.Model {
		case c.Active:
			return refuse(r, "it is the version that is read")
		case c.Building:
			c.Building = 0
		}
		return nil
	})
}

// sweep deletes items of a version that is not in use.
func (p *Projection) sweep(ctx context.Context, r schema.Rebuild) (schema.Rebuilt, error) {
	answer := schema.Rebuilt{Model: r.Model}
	var at lastKey
	if err := parse(r.Cursor, &at); err != nil {
		return answer, err
	}
	c, err := p.model().control(ctx)
	switch {
	case err != nil:
		return answer, err
	case r.Model == c.Active:
		return answer, refuse(r, "it is the version that is read")
	case r.Model == c.Building:
		return answer, refuse(r, "it is the version that is being built")
	}
	from := at
	for answer.Applied < r.Limit {
		input := &dynamodb.ScanInput{
			TableName:            &p.Table,
			ProjectionExpression: aws.String("pk, sk"),
			FilterExpression:     aws.String("begins_with(pk, :items) OR begins_with(pk, :checkpoints) OR begins_with(pk, :markers)"),
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":items":       &types.AttributeValueMemberS{Value: itemPrefix(r.Model)},
				":checkpoints": &types.AttributeValueMemberS{Value: checkpointPrefix(r.Model)},
				":markers":     &types.AttributeValueMemberS{Value: markerPrefix(r.Model)},
			},
			// What is read beyond the room for deletions is read again by the next call.
			Limit: aws.Int32(int32(min(r.Limit, defaultLimit))),
		}
		if at != (lastKey{}) {
			input.ExclusiveStartKey = key(at.PK, at.SK)
		}
		found, err := p.DynamoDB.Scan(ctx, input)
		if err != nil {
			return inTime(ctx, answer, from, at, fmt.Errorf("sweep version %d: %w", r.Model, err))
		}
		doomed, next := found.Items, found.LastEvaluatedKey
		if room := r.Limit - answer.Applied; len(doomed) > room {
			doomed = doomed[:room]
			next = doomed[room-1]
		}
		if err := p.model().delete(ctx, doomed); err != nil {
			return inTime(ctx, answer, from, at, fmt.Errorf("sweep version %d: %w", r.Model, err))
		}
		answer.Applied += len(doomed)
		if next == nil {
			answer.Done = true
			return answer, nil
		}
		at = lastKey{text(next[schema.PK]), text(next[schema.SK])}
	}
	answer.Cursor = format(at)
	return answer, nil
}

// inTime ends a call that met an error. If the error is that the time is up, and
// the call got any further, the caller can go on from there instead.
func inTime[Cursor comparable](ctx context.Context, answer schema.Rebuilt, from, at Cursor, err error) (schema.Rebuilt, error) {
	if ctx.Err() == nil || at == from {
		return answer, err
	}
	answer.Cursor = format(at)
	return answer, nil
}

// delete removes items by their keys.
func (m readModel) delete(ctx context.Context, keys []map[string]types.AttributeValue) error {
	const most = 25 // BatchWriteItem's limit
	for batch := range slices.Chunk(keys, most) {
		requests := make([]types.WriteRequest, len(batch))
		for i, key := range batch {
			requests[i].DeleteRequest = &types.DeleteRequest{Key: key}
		}
		for attempt := 0; len(requests) > 0; attempt++ {
			out, err := m.db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
				RequestItems: map[string][]types.WriteRequest{m.name: requests},
			})
			if err != nil {
				return err
			}
			requests = out.UnprocessedItems[m.name]
			if len(requests) > 0 {
				if err := backoff.Pause(ctx, attempt); err != nil {
					return fmt.Errorf("%d deletions throttled: %w", len(requests), err)
				}
			}
		}
	}
	return nil
}

// building returns an error unless the request's version is being built and
// can still become the one that is read.
func (c *control) building(r schema.Rebuild) error {
	switch {
	case c.Building != r.Model:
		return refuse(r, "it is not being built; version %d is read and %d being built (0: none)", c.Active, c.Building)
	case c.Broken != "":
		return refuse(r, "live traffic brought an event that it cannot take; mend the code, abandon the version and start another run: %s", c.Broken)
	}
	return nil
}

func refuse(r schema.Rebuild, format string, args ...any) error {
	return &RefusedError{Op: r.Op, Model: r.Model, Reason: fmt.Sprintf(format, args...)}
}

func shards() []string {
	names := make([]string, schema.Shards)
	for i := range names {
		names[i] = schema.ShardName(i)
	}
	return names
}

// place is a page's cursor: a stream in the shard's list, and up to which of
// its versions the page came.
type place struct {
	Opened  string
	Stream  string
	Version int64
}

// lastKey is a sweep's cursor.
type lastKey struct{ PK, SK string }

// format returns a cursor as a string that callers pass back unread.
func format(cursor any) string {
	text, err := json.Marshal(cursor)
	if err != nil {
		panic(err) // a struct of strings and a number
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// parse reads a cursor; an empty one leaves it as it is, at the beginning.
func parse(text string, cursor any) error {
	if text == "" {
		return nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(decoded, cursor)
	}
	if err != nil {
		return &RequestError{Reason: fmt.Sprintf("cursor %q: %v; pass the last answer's", text, err)}
	}
	return nil
}

func text(value types.AttributeValue) string {
	s, _ := value.(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}
