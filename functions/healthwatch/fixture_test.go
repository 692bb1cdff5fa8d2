package healthwatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/functions/healthwatch/apply"
	"github.com/serverless-go/cdk/functions/healthwatch/counts"
	"github.com/serverless-go/cdk/functions/healthwatch/reading"
	"github.com/serverless-go/cdk/patterns/edge/ingest"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	engine.Main(m)
}

var (
	noon = time.Date(2026, 7, 1, 12, 20, 0, 0, time.UTC)
	ann  = api.Pseudonym("https://id.example.com", "ann")
	plan = healthwatch.Plan{Jurisdiction: "eu", Kinds: []string{"cough", "fever"}, Thresholds: map[string]int{"DE-BE": 20, "FR-IDF": 5}}
)

// site is a region's part behind the bus.
type site struct {
	*apply.Handler
	t      *testing.T
	store  *eventlogtest.Store
	faults *engine.Faults // between the handler and its tables, but for the store
	db     *dynamodb.Client
	world  counts.World
}

var tables atomic.Int64

func newSite(t *testing.T, region string) *site {
	t.Helper()
	s := &site{t: t, store: eventlogtest.New(t, reading.Registry()), faults: &engine.Faults{}}
	s.store.Options.Now = func() time.Time { return noon }
	s.store.Options.KeyTTL = time.Nanosecond
	cfg := engine.DynamoDB(t).Config()
	s.db = dynamodb.NewFromConfig(cfg)
	cfg.HTTPClient = s.faults
	faulty := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
	s.Handler = &apply.Handler{
		Log: eventlogtest.Open(t, s.store.Options), Plan: plan, Region: region,
		// A crash is over when its claim has run out: at once, here.
		Claims: &ingest.DynamoDBClaims{DynamoDB: faulty, Table: table(t, s.db, schema.ClaimPK), Lease: time.Millisecond},
		Counts: counts.Table{DynamoDB: faulty, Name: table(t, s.db, healthwatch.CountPK, healthwatch.CountSK)},
	}
	s.world = counts.World{DynamoDB: faulty, Region: region, Table: worldTable(t, s.db)}
	return s
}

func table(t *testing.T, db *dynamodb.Client, keys ...string) string {
	t.Helper()
	name := fmt.Sprintf("table-%d", tables.Add(1))
	in := &dynamodb.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest}
	for i, key := range keys {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &key, AttributeType: types.ScalarAttributeTypeS})
		in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: &key, KeyType: []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[i]})
	}
	if _, err := db.CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	return name
}

// worldTable makes a table as edge.GlobalStore does.
func worldTable(t *testing.T, db *dynamodb.Client) string {
	t.Helper()
	name := fmt.Sprintf("world-%d", tables.Add(1))
	element := func(name string, kind types.KeyType) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: &name, KeyType: kind}
	}
	attribute := func(name string, kind types.ScalarAttributeType) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: kind}
	}
	index := schema.StoreIndex
	if _, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{attribute(schema.StoreStream, "S"), attribute(schema.StoreVersion, "N"),
			attribute(schema.StoreShard, "S"), attribute(schema.StoreOpened, "S")},
		KeySchema: []types.KeySchemaElement{element(schema.StoreStream, "HASH"), element(schema.StoreVersion, "RANGE")},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: &index, Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
			KeySchema: []types.KeySchemaElement{element(schema.StoreShard, "HASH"), element(schema.StoreOpened, "RANGE")},
		}},
	}); err != nil {
		t.Fatal(err)
	}
	return name
}

// taken returns the nth reading of a locality, in region's intake.
func taken(n int, locality, region string) (string, reading.Taken) {
	id, t, err := reading.Take(reading.Sent{
		ID: fmt.Sprint("r", n), Locality: locality, Kind: "fever", TakenAt: noon.Add(-time.Duration(n%10) * time.Minute),
		Person: fmt.Sprint("bed ", n), Contact: "+49 30 123456",
	}, ann, region, plan, noon)
	if err != nil {
		panic(err)
	}
	return id, t
}

// message is a reading as the queue delivers it.
func message(id string, t reading.Taken) string {
	data, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	detail, err := json.Marshal(ingest.Message{ID: id, Data: data})
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"version": "0", "id": "e-%s", "detail-type": "ReadingTaken", "source": "healthwatch.readings", "detail": %s}`, id, detail)
}

// deliver hands a batch to the handler and returns which of its messages
// failed.
func (s *site) deliver(ctx context.Context, bodies ...string) []string {
	s.t.Helper()
	var in events.SQSEvent
	for _, body := range bodies {
		in.Records = append(in.Records, events.SQSMessage{MessageId: fmt.Sprint(len(in.Records)), Body: body})
	}
	payload, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := s.Invoke(ctx, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	var out events.SQSEventResponse
	if err := json.Unmarshal(answer, &out); err != nil {
		s.t.Fatal(err)
	}
	var failed []string
	for _, f := range out.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	return failed
}

func (s *site) total(k counts.Key) counts.Total {
	s.t.Helper()
	total, err := counts.Table{DynamoDB: s.db, Name: s.Counts.Name}.Total(s.t.Context(), k)
	if err != nil {
		s.t.Fatal(err)
	}
	return total
}

// recorded returns the events in the store, by stream.
func (s *site) recorded() map[string]eventlog.Event {
	s.t.Helper()
	all := map[string]eventlog.Event{}
	for _, shard := range []string{"00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15"} {
		for opening, err := range s.store.Log.Streams(s.t.Context(), shard, "") {
			if err != nil {
				s.t.Fatal(err)
			}
			for event, err := range s.store.Log.Load(s.t.Context(), opening.Stream, 0) {
				if err != nil {
					s.t.Fatal(err)
				}
				if _, twice := all[event.Stream]; twice {
					s.t.Errorf("stream %s has two events", event.Stream)
				}
				all[event.Stream] = event
			}
		}
	}
	return all
}

// stream is a batch of the stream of the counts.
func stream(keys ...counts.Key) []byte {
	var records []string
	for i, k := range keys {
		records = append(records, fmt.Sprintf(`{"eventName": "MODIFY", "dynamodb": {"SequenceNumber": "%d", "StreamViewType": "KEYS_ONLY",
			"Keys": {"pk": {"S": %q}, "sk": {"S": "%s#%s#3"}}}}`, i, k.Locality, k.Window.Format(time.RFC3339), k.Kind))
	}
	return []byte(`{"Records": [` + strings.Join(records, ",") + `]}`)
}

// request is a request that a known caller sent.
func request(route, body string, query, path map[string]string) []byte {
	in := events.APIGatewayV2HTTPRequest{
		RouteKey: route, Body: body, QueryStringParameters: query, PathParameters: path, Headers: map[string]string{"content-type": "application/json"},
	}
	in.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{"iss": "https://id.example.com", "sub": "ann"}},
	}
	b, err := json.Marshal(in)
	if err != nil {
		panic(err)
	}
	return b
}

type answer struct {
	status int
	header map[string]string
	body   map[string]any
}

func ask(t *testing.T, mux api.Mux, payload []byte) answer {
	t.Helper()
	reply, err := mux.Invoke(t.Context(), payload)
	if err != nil {
		return answer{status: http.StatusInternalServerError, body: map[string]any{"error": err.Error()}}
	}
	var out events.APIGatewayV2HTTPResponse
	a := answer{}
	if err := json.Unmarshal(reply, &out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out.Body), &a.body); err != nil {
		t.Fatal(err)
	}
	a.status, a.header = out.StatusCode, out.Headers
	return a
}
