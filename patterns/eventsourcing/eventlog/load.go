package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// Load returns the stream's events in order, beginning with version from; 0 and
// 1 both mean all. A stream without events yields nothing.
//
// The read is strongly consistent: it sees every Append that returned before.
// An error ends the iteration; the event beside it holds what could be read. It
// is a CodecError for an event that cannot be decoded, and a ThrottledError if
// DynamoDB has no capacity. Events are read as the loop goes, a page of up to
// 1 MB at a time; each page costs one read unit for each 4 KB.
func (l *Log) Load(ctx context.Context, stream string, from int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for e, err := range l.items(ctx, stream, from, math.MaxInt64) {
			if err == nil {
				err = l.open(ctx, &e)
			}
			if !yield(e, err) || err != nil {
				return
			}
			l.learn(stream, e.Version)
		}
	}
}

// query returns events from one version to another with their payloads closed.
func (l *Log) query(ctx context.Context, stream string, from, to int64) ([]Event, error) {
	var events []Event
	for e, err := range l.items(ctx, stream, from, to) {
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// items yields events from one version to another with their payloads closed.
func (l *Log) items(ctx context.Context, stream string, from, to int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := l.mayRead(stream); err != nil {
			yield(Event{}, fmt.Errorf("eventlog: Load: %w", err))
			return
		}
		pages := l.pages(ctx, &dynamodb.QueryInput{
			TableName:                &l.options.Table,
			KeyConditionExpression:   aws.String("#s = :s AND #v BETWEEN :from AND :to"),
			ExpressionAttributeNames: map[string]string{"#s": schema.Stream, "#v": schema.Version},
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":s": text(stream), ":from": number(max(from, 1)), ":to": number(to),
			},
			ConsistentRead: aws.Bool(true),
		})
		for item, err := range pages {
			if err != nil {
				yield(Event{}, err)
				return
			}
			e, err := eventOf(envelopeOf(item))
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// pages yields the items of a query, page by page.
func (l *Log) pages(ctx context.Context, in *dynamodb.QueryInput) iter.Seq2[map[string]types.AttributeValue, error] {
	return func(yield func(map[string]types.AttributeValue, error) bool) {
		for {
			var out *dynamodb.QueryOutput
			err := do(ctx, "Query", func() (err error) {
				out, err = l.db.Query(ctx, in)
				return err
			})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range out.Items {
				if !yield(item, nil) {
					return
				}
			}
			if out.LastEvaluatedKey == nil {
				return
			}
			in.ExclusiveStartKey = out.LastEvaluatedKey
		}
	}
}

// Head returns the version of the stream's last event, strongly consistent, 0
// if there is none.
func (l *Log) Head(ctx context.Context, stream string) (int64, error) {
	if err := l.mayRead(stream); err != nil {
		return 0, fmt.Errorf("eventlog: Head: %w", err)
	}
	last := l.pages(ctx, &dynamodb.QueryInput{
		TableName:                 &l.options.Table,
		KeyConditionExpression:    aws.String("#s = :s"),
		ProjectionExpression:      aws.String("#v"),
		ExpressionAttributeNames:  map[string]string{"#s": schema.Stream, "#v": schema.Version},
		ExpressionAttributeValues: map[string]types.AttributeValue{":s": text(stream)},
		ConsistentRead:            aws.Bool(true),
		ScanIndexForward:          aws.Bool(false),
		Limit:                     aws.Int32(1),
	})
	for item, err := range last {
		if err != nil {
			return 0, err
		}
		version := numberAt(item, schema.Version)
		l.learn(stream, version)
		return version, nil
	}
	return 0, nil
}

// Opening is a stream's entry in the index of streams.
type Opening struct {
	// Stream is the stream's name.
	Stream string
	// Opened sorts the streams of a shard by the time of their first event. It
	// is the place to go on from; its content has no other meaning.
	Opened string
}

// Streams returns the streams of a shard, one of schema.ShardName, oldest
// first, beginning behind the Opened of an entry, or with the first if after is
// empty. All shards together hold every stream once.
//
// The index is eventually consistent, and the clocks of writers differ: a
// stream that was opened a moment ago can be missing, and can come to stand
// before one that is already listed.
func (l *Log) Streams(ctx context.Context, shard, after string) iter.Seq2[Opening, error] {
	return func(yield func(Opening, error) bool) {
		pages := l.pages(ctx, &dynamodb.QueryInput{
			TableName:                &l.options.Table,
			IndexName:                aws.String(schema.StreamIndex),
			KeyConditionExpression:   aws.String("#s = :s AND #o > :after"),
			ExpressionAttributeNames: map[string]string{"#s": schema.Shard, "#o": schema.Opened},
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":s": text(shard), ":after": text(max(after, " ")), // a key cannot be empty
			},
		})
		for item, err := range pages {
			o := Opening{Stream: textAt(item, schema.Stream), Opened: textAt(item, schema.Opened)}
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}

func (l *Log) mayRead(stream string) error {
	if l.options.AppendOnly {
		return errors.New("the Log is AppendOnly")
	}
	return checkName("stream", stream)
}

// envelopeOf returns the envelope in an event's item. What an item lacks is
// zero, which eventOf refuses where it matters.
func envelopeOf(item map[string]types.AttributeValue) schema.Envelope {
	data, _ := item[schema.Data].(*types.AttributeValueMemberB)
	if data == nil {
		data = &types.AttributeValueMemberB{}
	}
	return schema.Envelope{
		Stream:      textAt(item, schema.Stream),
		Version:     numberAt(item, schema.Version),
		Position:    textAt(item, schema.Position),
		ID:          textAt(item, schema.ID),
		Type:        textAt(item, schema.Type),
		TypeVersion: int(numberAt(item, schema.TypeVersion)),
		Time:        textAt(item, schema.Time),
		Causation:   textAt(item, schema.Causation),
		Correlation: textAt(item, schema.Correlation),
		Hops:        int(numberAt(item, schema.Hops)),
		Origin:      textAt(item, schema.Origin),
		Subject:     textAt(item, schema.Subject),
		Data:        data.Value,
		Ref:         textAt(item, schema.Ref),
	}
}

func textAt(item map[string]types.AttributeValue, name string) string {
	v, _ := item[name].(*types.AttributeValueMemberS)
	if v == nil {
		return ""
	}
	return v.Value
}

func numberAt(item map[string]types.AttributeValue, name string) int64 {
	v, _ := item[name].(*types.AttributeValueMemberN)
	if v == nil {
		return 0
	}
	n, _ := strconv.ParseInt(v.Value, 10, 64)
	return n
}

// open sets the event's payload: fetched, unsealed, decoded and lifted.
func (l *Log) open(ctx context.Context, e *Event) error {
	if err := l.fetchPayload(ctx, e); err != nil {
		return err
	}
	data := e.Data
	if hasSealed(data) {
		var key []byte
		var err error
		if l.options.Subjects == "" {
			e.Sealed = true
		} else if key, err = l.keys.find(ctx, e.Subject); errors.Is(err, errNoKey) {
			return e.codecError(err)
		} else if err != nil {
			return err
		} else if key == nil {
			e.Forgotten = true
		}
		if data, err = unseal(data, key, e.ID); err != nil {
			return e.codecError(err)
		}
	}
	t := l.options.Registry.byName[e.Type]
	if t == nil {
		return nil
	}
	payload, err := t.decode(e.TypeVersion, data)
	if err != nil {
		return e.codecError(err)
	}
	e.Payload = payload
	return nil
}

func (e *Event) codecError(err error) error {
	return &CodecError{Stream: e.Stream, Version: e.Version, Type: e.Type, TypeVersion: e.TypeVersion, Err: err}
}

// Decode returns the event in a message that the event store sent: an event
// from the bus, whole as EventBridge delivers it, or the body of a message in
// an ordered projection's queue. Event.Replay names the replay that an event
// from the bus comes from.
//
// It fails with a CodecError for a message that is not an event, or not one
// that this program can decode. Any other error may pass.
func (l *Log) Decode(ctx context.Context, message []byte) (Event, error) {
	e, err := Parse(message)
	if err == nil {
		err = l.open(ctx, &e)
	}
	return e, err
}

// Parse does what Decode does without a call to AWS: the event has no Payload,
// and no Data if its Ref is set.
func Parse(message []byte) (Event, error) {
	var m struct {
		schema.Envelope
		Detail *schema.Envelope `json:"detail"`
		Replay string           `json:"replay-name"`
	}
	if err := json.Unmarshal(message, &m); err != nil {
		return Event{}, &CodecError{Err: fmt.Errorf("message of %d bytes: %w", len(message), err)}
	}
	// The envelope of EventBridge shares names with ours: what counts is inside.
	if m.Detail != nil {
		m.Envelope = *m.Detail
	}
	e, err := eventOf(m.Envelope)
	e.Replay = m.Replay
	return e, err
}
