package eventlog

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// What Append can expect instead of a version.
const (
	// NoStream expects that the stream has no event yet.
	NoStream int64 = 0
	// Any expects nothing: the events go wherever the stream ends. For facts
	// that hold whatever happened before, such as a measurement. A handler that
	// is invoked again appends them again.
	Any int64 = -1
)

// Limits of a DynamoDB transaction.
const (
	maxEvents           = 100
	maxTransactionBytes = 4 << 20
)

// Append records the events in the stream, all or none, if the stream is at
// the expected version, and returns them as recorded. Expected is the version
// that Load, Head or Append returned last, NoStream, or Any.
//
// It fails with a ConflictError if the stream has gone beyond the version, with
// a GapError if it has not reached it, an OversizeError if there are more than
// 100 events (one with Options.NoTransactions) or more than 4 MB, a ForgottenError if an event has personal
// fields of a forgotten subject, a CodecError if a payload cannot be written,
// and a ThrottledError if DynamoDB has no capacity. A ThrottledError, or an error
// of another kind, leaves open whether the events are recorded; call again with
// the same ids to find out.
//
// An Append costs two write units for each KB of each event, and one read of
// the expected event, unless this Log loaded or appended it.
func (l *Log) Append(ctx context.Context, stream string, expected int64, events ...Event) ([]Event, error) {
	if err := checkName("stream", stream); err != nil {
		return nil, fmt.Errorf("eventlog: Append: %w", err)
	}
	if expected < Any || expected == Any && l.options.AppendOnly {
		return nil, fmt.Errorf("eventlog: Append: %w", wrong("expected", expected, "NoStream or a version (Any needs a Log that may read)"))
	}
	if len(events) == 0 {
		return nil, nil
	}
	if most := l.mostEvents(); len(events) > most {
		return nil, &OversizeError{Stream: stream, What: "transaction", Size: len(events), Limit: most, Unit: "events"}
	}
	if expected == Any {
		return l.appendToEnd(ctx, stream, events)
	}
	if err := l.reached(ctx, stream, expected); err != nil {
		return nil, err
	}
	recorded, err := l.prepare(ctx, stream, expected, events)
	if err != nil {
		return nil, err
	}
	return l.insert(ctx, stream, expected, recorded)
}

// mostEvents returns how many events one Append can record.
func (l *Log) mostEvents() int {
	if l.options.NoTransactions {
		return 1
	}
	return maxEvents
}

// appendToEnd appends behind the last event, whichever that is.
func (l *Log) appendToEnd(ctx context.Context, stream string, events []Event) ([]Event, error) {
	var recorded []Event
	for attempt := 1; ; attempt++ {
		end, err := l.Head(ctx, stream)
		if err != nil {
			return nil, err
		}
		if recorded == nil {
			// Once: the ids must stay what they are, so that an attempt that
			// took place unnoticed is not made twice.
			if recorded, err = l.prepare(ctx, stream, end, events); err != nil {
				return nil, err
			}
		}
		done, err := l.insert(ctx, stream, end, recorded)
		if !errors.Is(err, ErrConflict) || !pause(ctx, min(attempt, attempts)) {
			return done, err
		}
	}
}

// reached checks that the stream has the version.
func (l *Log) reached(ctx context.Context, stream string, version int64) error {
	if version == NoStream || l.options.AppendOnly || l.known(stream, version) {
		return nil
	}
	found := false
	err := do(ctx, "GetItem", func() error {
		out, err := l.db.GetItem(ctx, &dynamodb.GetItemInput{
			TableName: &l.options.Table,
			Key: map[string]types.AttributeValue{
				schema.Stream:  &types.AttributeValueMemberS{Value: stream},
				schema.Version: number(version),
			},
			ProjectionExpression:     aws.String("#v"),
			ExpressionAttributeNames: map[string]string{"#v": schema.Version},
			ConsistentRead:           aws.Bool(true),
		})
		found = err == nil && out.Item != nil
		return err
	})
	if err == nil && !found {
		err = &GapError{Stream: stream, Expected: version}
	}
	return err
}

// prepare fills the events in: envelope, sealed payload, and payloads in S3.
// Their versions are left to insert.
func (l *Log) prepare(ctx context.Context, stream string, expected int64, events []Event) ([]Event, error) {
	cause, now := causeOf(ctx), l.options.Now()
	recorded := slices.Clone(events)
	for i := range recorded {
		e := &recorded[i]
		e.Stream, e.Version = stream, 0
		if e.Time.IsZero() {
			e.Time = now
		}
		e.Time = e.Time.Round(0).UTC() // without the monotonic clock, as it will be read
		e.Causation, e.Correlation, e.Hops, e.Origin = cause.causation, cause.correlation, cause.hops, cause.origin
		e.Replay, e.Forgotten, e.Sealed = "", false, false
		t, err := l.encode(e)
		if err != nil {
			return nil, e.codecError(err)
		}
		switch {
		case e.ID != "":
			if err := checkName("id", e.ID); err != nil {
				return nil, fmt.Errorf("eventlog: Append: %w", err)
			}
		case cause.causation != "":
			e.ID = cause.id(stream, expected, i, e.Type)
		default:
			e.ID = l.options.NewID()
		}
		if e.Correlation == "" {
			e.Correlation = recorded[0].ID
		}
		if len(t.personal) > 0 {
			key, err := l.keys.ensure(ctx, e.Subject)
			if err != nil {
				return nil, err
			}
			if e.Data, err = seal(t.personal, e.Data, key, e.ID); err != nil {
				return nil, e.codecError(err)
			}
		}
	}
	// Last, when nothing else can be wrong with any of the events.
	for i := range recorded {
		if err := l.putPayload(ctx, &recorded[i]); err != nil {
			return nil, err
		}
	}
	return recorded, nil
}

// encode sets what the event's payload says: type, subject and data.
func (l *Log) encode(e *Event) (*eventType, error) {
	e.Type, e.TypeVersion, e.Data, e.Ref = "", 0, nil, ""
	t, payload, err := l.options.Registry.of(e.Payload)
	if err != nil {
		return nil, err
	}
	e.Type, e.TypeVersion, e.Payload = t.name, t.version, payload.Interface()
	if e.Subject == "" && t.subject != nil {
		if field, err := payload.FieldByIndexErr(t.subject); err == nil {
			e.Subject = field.String()
		}
	}
	if e.Subject != "" || len(t.personal) > 0 {
		if err := checkName("subject", e.Subject); err != nil {
			return nil, err
		}
	}
	if e.Data, err = json.Marshal(e.Payload); err != nil {
		return nil, err
	}
	if hasSealed(e.Data) {
		return nil, fmt.Errorf("the payload has a member %s, which is kept for sealed fields", sealedKey)
	}
	return t, nil
}

// insert records the prepared events behind the version.
func (l *Log) insert(ctx context.Context, stream string, expected int64, events []Event) ([]Event, error) {
	size := 0
	statements := make([]types.ParameterizedStatement, len(events))
	for i := range events {
		events[i].Version = expected + int64(i) + 1
		item := attributesOf(events[i])
		statements[i] = insertStatement(l.options.Table, item)
		size += sizeOf(item)
	}
	if size > maxTransactionBytes {
		return nil, &OversizeError{Stream: stream, What: "transaction", Size: size, Limit: maxTransactionBytes, Unit: "bytes"}
	}
	err := l.execute(ctx, statements, events)
	if err == nil {
		l.learn(stream, events[len(events)-1].Version)
		return events, nil
	}
	if !isDuplicate(err) {
		return nil, err
	}
	conflict := &ConflictError{Stream: stream, Expected: expected}
	if l.options.AppendOnly {
		return nil, conflict
	}
	// The items may be ours, of a call that happened longer ago than the token
	// is remembered.
	stored, err := l.query(ctx, stream, expected+1, expected+int64(len(events)))
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(stored, events, func(a, b Event) bool { return a.ID == b.ID }) {
		return nil, conflict
	}
	for i := range stored {
		if err := l.open(ctx, &stored[i]); err != nil {
			return nil, err
		}
	}
	return stored, nil
}

// execute inserts all events or none.
func (l *Log) execute(ctx context.Context, statements []types.ParameterizedStatement, events []Event) error {
	if l.options.NoTransactions {
		return do(ctx, "ExecuteStatement", func() error {
			_, err := l.db.ExecuteStatement(ctx, &dynamodb.ExecuteStatementInput{
				Statement:  statements[0].Statement,
				Parameters: statements[0].Parameters,
			})
			return err
		})
	}
	token := requestToken(l.options.Table, events)
	return do(ctx, "ExecuteTransaction", func() error {
		_, err := l.db.ExecuteTransaction(ctx, &dynamodb.ExecuteTransactionInput{
			TransactStatements: statements,
			ClientRequestToken: &token,
		})
		return err
	})
}

// attribute is one of a DynamoDB item.
type attribute struct {
	name  string
	value types.AttributeValue
}

// attributesOf returns the event's item.
func attributesOf(e Event) []attribute {
	v := e.envelope()
	data := v.Data
	if data == nil {
		data = []byte{} // DynamoDB takes an empty value and refuses none
	}
	item := []attribute{
		{schema.Stream, text(v.Stream)},
		{schema.Version, number(v.Version)},
		{schema.Position, text(v.Position)},
		{schema.ID, text(v.ID)},
		{schema.Type, text(v.Type)},
		{schema.TypeVersion, number(int64(v.TypeVersion))},
		{schema.Time, text(v.Time)},
		{schema.Causation, text(v.Causation)},
		{schema.Correlation, text(v.Correlation)},
		{schema.Hops, number(int64(v.Hops))},
		{schema.Origin, text(v.Origin)},
		{schema.Subject, text(v.Subject)},
		{schema.Data, &types.AttributeValueMemberB{Value: data}},
		{schema.Ref, text(v.Ref)},
	}
	if v.Version == 1 {
		item = append(item,
			attribute{schema.Shard, text(schema.ShardOf(v.Stream))},
			attribute{schema.Opened, text(v.Time + "#" + v.ID)})
	}
	return item
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// sizeOf returns the item's size as DynamoDB counts it, or a few bytes more.
func sizeOf(item []attribute) int {
	size := 0
	for _, a := range item {
		size += len(a.name)
		switch v := a.value.(type) {
		case *types.AttributeValueMemberS:
			size += len(v.Value)
		case *types.AttributeValueMemberN:
			size += len(v.Value) + 1
		case *types.AttributeValueMemberB:
			size += len(v.Value)
		}
	}
	return size
}

// insertStatement returns the PartiQL that inserts the item, which fails where
// an item with its key exists.
func insertStatement(table string, item []attribute) types.ParameterizedStatement {
	var b strings.Builder
	fmt.Fprintf(&b, `INSERT INTO "%s" VALUE {`, table)
	parameters := make([]types.AttributeValue, len(item))
	for i, a := range item {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "'%s': ?", a.name)
		parameters[i] = a.value
	}
	b.WriteString("}")
	return types.ParameterizedStatement{Statement: aws.String(b.String()), Parameters: parameters}
}

// requestToken returns the token by which DynamoDB recognizes the transaction
// for ten minutes. It is a hash of all that is inserted, as DynamoDB refuses a
// token that comes back with something else.
func requestToken(table string, events []Event) string {
	h := sha256.New()
	fmt.Fprintln(h, table)
	w := json.NewEncoder(h)
	for _, e := range events {
		w.Encode(e.envelope())
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:16])
}
