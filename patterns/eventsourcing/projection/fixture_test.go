package projection_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/projection"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) { engine.Main(m) }

type Opened struct{ Owner string }

type Added struct {
	Item     string
	Quantity int
}

type Closed struct{}

func registry() *eventlog.Registry {
	return eventlog.NewRegistry(
		eventlog.Type[Opened]("Opened", 1),
		eventlog.Type[Added]("Added", 1),
		eventlog.Type[Closed]("Closed", 1),
	)
}

// inOrder is an Apply whose model shows the order of a stream's events and
// every event that is missing or doubled.
func inOrder(_ context.Context, event eventlog.Event) ([]projection.Write, error) {
	cart := "cart#" + event.Stream
	writes := []projection.Write{
		projection.Update(cart, "history", "SET #e = list_append(if_not_exists(#e, :none), :event)",
			projection.Values{"#e": "events", ":none": []string{}, ":event": []string{fmt.Sprint(event.Version, event.Type)}}),
	}
	switch payload := event.Payload.(type) {
	case Opened:
		writes = append(writes, projection.Put(cart, "open", map[string]string{"owner": payload.Owner}))
	case Added:
		writes = append(writes, projection.Update("sold", payload.Item, "ADD n :n", projection.Values{":n": payload.Quantity}))
	case Closed:
		writes = append(writes, projection.Delete(cart, "open"))
	}
	return writes, nil
}

// anyOrder is an Apply whose writes commute.
func anyOrder(_ context.Context, event eventlog.Event) ([]projection.Write, error) {
	writes := []projection.Write{
		projection.Update("cart#"+event.Stream, event.Type, "ADD n :one", projection.Values{":one": 1}),
	}
	if payload, ok := event.Payload.(Added); ok {
		writes = append(writes, projection.Update("sold", payload.Item, "ADD n :n", projection.Values{":n": payload.Quantity}))
	}
	return writes, nil
}

// contents are the items of a model by "pk|sk", without their keys.
type contents map[string]map[string]any

// fold is what a model must hold of the streams: written without the code
// under test.
func fold(ordered bool, streams map[string][]eventlog.Event) contents {
	c := contents{}
	count := func(at string, n int) {
		if c[at] == nil {
			c[at] = map[string]any{"n": 0.0}
		}
		c[at]["n"] = c[at]["n"].(float64) + float64(n)
	}
	for stream, events := range streams {
		cart := "cart#" + stream + "|"
		var history []any
		for _, event := range events {
			history = append(history, fmt.Sprint(event.Version, event.Type))
			if added, ok := event.Payload.(Added); ok {
				count("sold|"+added.Item, added.Quantity)
			}
			if !ordered {
				count(cart+event.Type, 1)
				continue
			}
			switch payload := event.Payload.(type) {
			case Opened:
				c[cart+"open"] = map[string]any{"owner": payload.Owner}
			case Closed:
				delete(c, cart+"open")
			}
		}
		if ordered {
			c[cart+"history"] = map[string]any{"events": history}
		}
	}
	return c
}

// fixture is an event store and a projection on DynamoDB Local.
type fixture struct {
	*projection.Projection
	t      *testing.T
	log    *eventlog.Log
	faults *engine.Faults // of the projection's client
	reader *dynamodb.Client
}

func newFixture(t *testing.T, ordered bool) *fixture {
	t.Helper()
	f := &fixture{t: t, faults: &engine.Faults{}}
	cfg := engine.DynamoDB(t).Config()
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 2 * time.Millisecond })
	}
	f.reader = dynamodb.NewFromConfig(cfg)
	id := fmt.Sprintf("%s-%x", strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()), rand.Uint32())
	f.createTable("events-"+id, schema.Stream, types.ScalarAttributeTypeS, schema.Version, types.ScalarAttributeTypeN, true)
	f.createTable("model-"+id, schema.PK, types.ScalarAttributeTypeS, schema.SK, types.ScalarAttributeTypeS, false)
	var err error
	if f.log, err = eventlog.New(cfg, eventlog.Options{Table: "events-" + id, Registry: registry()}); err != nil {
		t.Fatal(err)
	}
	cfg.HTTPClient = f.faults
	f.Projection = &projection.Projection{
		Apply: anyOrder, Log: f.log, DynamoDB: dynamodb.NewFromConfig(cfg), Table: "model-" + id,
		Name: "test", Ordered: ordered, Logger: slog.New(slog.DiscardHandler),
	}
	if ordered {
		f.Apply = inOrder
	}
	return f
}

func (f *fixture) createTable(name, pk string, pkType types.ScalarAttributeType, sk string, skType types.ScalarAttributeType, streams bool) {
	f.t.Helper()
	input := &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: &pk, AttributeType: pkType}, {AttributeName: &sk, AttributeType: skType},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: &pk, KeyType: types.KeyTypeHash}, {AttributeName: &sk, KeyType: types.KeyTypeRange},
		},
	}
	if streams {
		for _, name := range []string{schema.Shard, schema.Opened} {
			input.AttributeDefinitions = append(input.AttributeDefinitions,
				types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: types.ScalarAttributeTypeS})
		}
		input.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{
			IndexName: aws.String(schema.StreamIndex),
			KeySchema: []types.KeySchemaElement{
				{AttributeName: aws.String(schema.Shard), KeyType: types.KeyTypeHash},
				{AttributeName: aws.String(schema.Opened), KeyType: types.KeyTypeRange},
			},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}}
	}
	if _, err := f.reader.CreateTable(f.t.Context(), input); err != nil {
		f.t.Fatal(err)
	}
}

// append records payloads at the end of a stream and returns the events.
func (f *fixture) append(stream string, payloads ...any) []eventlog.Event {
	f.t.Helper()
	var list []eventlog.Event
	for _, payload := range payloads {
		list = append(list, eventlog.Of(payload))
	}
	recorded, err := f.log.Append(f.t.Context(), stream, eventlog.Any, list...)
	if err != nil {
		f.t.Fatal(err)
	}
	return recorded
}

// streams returns what the store has.
func (f *fixture) streams(names ...string) map[string][]eventlog.Event {
	f.t.Helper()
	all := map[string][]eventlog.Event{}
	for _, name := range names {
		for event, err := range f.log.Load(f.t.Context(), name, 0) {
			if err != nil {
				f.t.Fatal(err)
			}
			all[name] = append(all[name], event)
		}
	}
	return all
}

// message is what the event's outbox puts into the projection's queue.
func (f *fixture) message(event eventlog.Event) events.SQSMessage {
	f.t.Helper()
	envelope := schema.Envelope{
		Stream: event.Stream, Version: event.Version, Position: event.Position(), ID: event.ID,
		Type: event.Type, TypeVersion: event.TypeVersion, Time: event.Time.Format(time.RFC3339Nano),
		Causation: event.Causation, Correlation: event.Correlation, Hops: event.Hops, Origin: event.Origin,
		Subject: event.Subject, Data: event.Data, Ref: event.Ref,
	}
	message := events.SQSMessage{MessageId: event.Position(), EventSource: "aws:sqs"}
	var body any = envelope
	if f.Ordered {
		message.Attributes = map[string]string{"MessageGroupId": event.Stream}
	} else {
		bus := map[string]any{
			"version": "0", "id": "bus-" + event.ID, "detail-type": event.Type, "source": "eventstore.carts",
			"account": engine.Account, "region": engine.Region, "resources": []string{},
			"time": event.Time.Format(time.RFC3339), "detail": envelope,
		}
		if event.Replay != "" {
			bus["replay-name"] = event.Replay
		}
		body = bus
	}
	text, err := json.Marshal(body)
	if err != nil {
		f.t.Fatal(err)
	}
	message.Body = string(text)
	return message
}

func (f *fixture) messages(list ...eventlog.Event) []events.SQSMessage {
	f.t.Helper()
	var messages []events.SQSMessage
	for _, event := range list {
		messages = append(messages, f.message(event))
	}
	return messages
}

// deliver passes a batch to the projection and returns the ids that failed.
func (f *fixture) deliver(ctx context.Context, messages ...events.SQSMessage) ([]string, error) {
	payload, err := json.Marshal(events.SQSEvent{Records: messages})
	if err != nil {
		return nil, err
	}
	answer, err := f.Invoke(ctx, payload)
	if err != nil {
		return nil, err
	}
	var response events.SQSEventResponse
	if err := json.Unmarshal(answer, &response); err != nil {
		return nil, err
	}
	var failed []string
	for _, failure := range response.BatchItemFailures {
		failed = append(failed, failure.ItemIdentifier)
	}
	return failed, nil
}

// mustDeliver delivers events of which none may fail.
func (f *fixture) mustDeliver(list ...eventlog.Event) {
	f.t.Helper()
	failed, err := f.deliver(f.t.Context(), f.messages(list...)...)
	if err != nil || failed != nil {
		f.t.Fatalf("deliver: failed %v, error %v", failed, err)
	}
}

// request passes a request of a rebuild to the projection.
func (f *fixture) request(ctx context.Context, r schema.Rebuild) (schema.Rebuilt, error) {
	payload, err := json.Marshal(map[string]any{"rebuild": r})
	if err != nil {
		return schema.Rebuilt{}, err
	}
	answer, err := f.Invoke(ctx, payload)
	if err != nil {
		return schema.Rebuilt{}, err
	}
	var rebuilt schema.Rebuilt
	return rebuilt, json.Unmarshal(answer, &rebuilt)
}

func (f *fixture) mustRequest(r schema.Rebuild) schema.Rebuilt {
	f.t.Helper()
	answer, err := f.request(f.t.Context(), r)
	if err != nil {
		f.t.Fatalf("%+v: %v", r, err)
	}
	return answer
}

// replayAll pages every shard of a version to its end.
func (f *fixture) replayAll(model int) (applied int) {
	f.t.Helper()
	for i := range schema.Shards {
		for cursor, done := "", false; !done; {
			page := f.mustRequest(schema.Rebuild{Op: schema.OpPage, Model: model, Shard: schema.ShardName(i), Cursor: cursor, Limit: 2})
			cursor, done = page.Cursor, page.Done
			applied += page.Applied
		}
	}
	return applied
}

// dump returns the items of a version of the model as they stand in the table.
func (f *fixture) dump(model int) contents {
	f.t.Helper()
	c := contents{}
	prefix := fmt.Sprintf("v%d#", model)
	for pk, items := range f.table() {
		for _, item := range items {
			if name, ok := strings.CutPrefix(pk, prefix); ok {
				at := name + "|" + item[schema.SK].(string)
				delete(item, schema.PK)
				delete(item, schema.SK)
				c[at] = item
			}
		}
	}
	return c
}

// table returns every item of the model's table by partition key.
func (f *fixture) table() map[string][]map[string]any {
	f.t.Helper()
	all := map[string][]map[string]any{}
	pages := dynamodb.NewScanPaginator(f.reader, &dynamodb.ScanInput{TableName: &f.Table, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		if err != nil {
			f.t.Fatal(err)
		}
		for _, attributes := range page.Items {
			var item map[string]any
			if err := attributevalue.UnmarshalMap(attributes, &item); err != nil {
				f.t.Fatal(err)
			}
			pk := item[schema.PK].(string)
			all[pk] = append(all[pk], item)
		}
	}
	return all
}
