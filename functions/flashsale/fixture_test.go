package flashsale_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/flashsale"
	"github.com/serverless-go/cdk/functions/flashsale/cart"
	"github.com/serverless-go/cdk/functions/flashsale/cartview"
	"github.com/serverless-go/cdk/functions/flashsale/command"
	"github.com/serverless-go/cdk/functions/flashsale/query"
	"github.com/serverless-go/cdk/functions/flashsale/totals"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
	"github.com/serverless-go/cdk/patterns/eventsourcing/projection"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	engine.Main(m)
}

// noon is when the events of a fixture happen.
var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// sale is the flash sale without what moves events from the store to the
// projections: deliver does that.
type sale struct {
	*eventlogtest.Store
	t           testing.TB
	db          *dynamodb.Client
	carts       api.Mux
	queries     api.Mux
	view, total *projection.Projection
}

func newSale(t testing.TB) *sale {
	t.Helper()
	s := &sale{Store: eventlogtest.New(t, cart.Registry()), t: t}
	s.Options.Now = func() time.Time { return noon }
	s.Options.KeyTTL = time.Nanosecond // forgotten at once
	s.carts = command.New(eventlogtest.Open(t, s.Options))
	s.db = dynamodb.NewFromConfig(engine.DynamoDB(t).Config())

	// As deployed: the projections read the store, but not the customers' keys.
	options := s.Options
	options.Subjects, options.Key = "", ""
	log := eventlogtest.Open(t, options)
	s.view = &projection.Projection{
		Name: "cartview", Apply: cartview.Apply, Log: log, DynamoDB: s.db,
		Table: s.table("cartview"), Ordered: true, Types: flashsale.CartViewEvents(),
		Now: func() time.Time { return noon },
	}
	s.total = &projection.Projection{
		Name: "saletotals", Apply: totals.Apply, Log: log, DynamoDB: s.db,
		Table: s.table("totals"), Types: flashsale.SaleTotalsEvents(),
		Now: func() time.Time { return noon },
	}
	s.queries = query.New(
		&projection.Model{DynamoDB: s.db, Table: s.view.Table, MaxAge: time.Nanosecond},
		&projection.Model{DynamoDB: s.db, Table: s.total.Table, MaxAge: time.Nanosecond})
	return s
}

var tables atomic.Int64

// table makes an empty table keyed as a read model's.
func (s *sale) table(name string) string {
	s.t.Helper()
	return newTable(s.t, s.db, name, schema.PK, schema.SK)
}

func newTable(t testing.TB, db *dynamodb.Client, name string, keys ...string) string {
	t.Helper()
	name = fmt.Sprintf("%s-%d", name, tables.Add(1))
	input := &dynamodb.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest}
	for i, key := range keys {
		input.AttributeDefinitions = append(input.AttributeDefinitions,
			types.AttributeDefinition{AttributeName: &key, AttributeType: types.ScalarAttributeTypeS})
		input.KeySchema = append(input.KeySchema,
			types.KeySchemaElement{AttributeName: &key, KeyType: []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[i]})
	}
	if _, err := db.CreateTable(t.Context(), input); err != nil {
		t.Fatal(err)
	}
	return name
}

// request is what a test sends to the API.
type request struct {
	user  string // sub of the token; default "ann"
	key   string // Idempotency-Key; default: none
	query string // "from=...&to=..."
	scope string // of the token
	body  string
}

// event returns the request as API Gateway passes it on.
func (r request) event(t testing.TB, method, path string) events.APIGatewayV2HTTPRequest {
	t.Helper()
	fixture, err := os.ReadFile("testdata/request.json")
	if err != nil {
		t.Fatal(err)
	}
	var in events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(fixture, &in); err != nil {
		t.Fatal(err)
	}
	in.RawPath, in.RouteKey, in.Body = path, method+" "+path, r.body
	if parts := strings.Split(path, "/"); len(parts) > 2 {
		in.PathParameters = map[string]string{flashsale.CartParameter: parts[2]}
		parts[2] = "{cart}"
		in.RouteKey = method + " " + strings.Join(parts, "/")
	}
	if r.key != "" {
		in.Headers["idempotency-key"] = r.key
	}
	for parameter := range strings.SplitSeq(r.query, "&") {
		if name, value, ok := strings.Cut(parameter, "="); ok {
			if in.QueryStringParameters == nil {
				in.QueryStringParameters = map[string]string{}
			}
			in.QueryStringParameters[name] = value
		}
	}
	claims := in.RequestContext.Authorizer.JWT.Claims
	if r.user != "" {
		claims["sub"] = r.user
	}
	claims["scope"] = r.scope
	return in
}

// answer is what the API answers with.
type answer struct {
	status int
	header map[string]string
	body   map[string]any
}

// do sends a request and reads the answer. Like API Gateway it answers with
// status 500 to a function's error.
func (s *sale) do(ctx context.Context, method, path string, r request) answer {
	s.t.Helper()
	mux := s.carts
	if method == http.MethodGet {
		mux = s.queries
	}
	payload, err := json.Marshal(r.event(s.t, method, path))
	if err != nil {
		s.t.Fatal(err)
	}
	reply, err := mux.Invoke(ctx, payload)
	if err != nil {
		return answer{status: http.StatusInternalServerError, body: map[string]any{"error": err.Error()}}
	}
	var out events.APIGatewayV2HTTPResponse
	a := answer{}
	if err := json.Unmarshal(reply, &out); err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out.Body), &a.body); err != nil {
		s.t.Fatalf("%s %s: body %q: %v", method, path, out.Body, err)
	}
	a.status, a.header = out.StatusCode, out.Headers
	return a
}

func (s *sale) post(path string, r request) answer {
	s.t.Helper()
	return s.do(s.t.Context(), http.MethodPost, path, r)
}

func (s *sale) get(path string, r request) answer {
	s.t.Helper()
	return s.do(s.t.Context(), http.MethodGet, path, r)
}

// open opens a cart and returns its path.
func (s *sale) open(r request) string {
	s.t.Helper()
	a := s.post("/carts", r)
	if a.status != http.StatusCreated {
		s.t.Fatalf("open: %v", a)
	}
	return a.header["location"]
}

// must sends a command that is to succeed.
func (s *sale) must(path, body string) {
	s.t.Helper()
	if a := s.post(path, request{body: body}); a.status != http.StatusOK {
		s.t.Fatalf("POST %s %s: %v", path, body, a)
	}
}

func item(sku string, quantity int, amount int64) string {
	return fmt.Sprintf(`{"sku": %q, "quantity": %d, "price": {"amount": %d, "currency": "EUR"}}`, sku, quantity, amount)
}

// stream returns the events of the cart at a path.
func (s *sale) stream(path string) []eventlog.Event {
	s.t.Helper()
	return load(s.t, s.Log, cart.Stream(strings.TrimPrefix(path, "/carts/")))
}

func load(t testing.TB, log *eventlog.Log, stream string) []eventlog.Event {
	t.Helper()
	var list []eventlog.Event
	for event, err := range log.Load(t.Context(), stream, 0) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, event)
	}
	return list
}

// all returns every event of the store, stream by stream.
func (s *sale) all() []eventlog.Event {
	s.t.Helper()
	var list []eventlog.Event
	for shard := range schema.Shards {
		for opening, err := range s.Log.Streams(s.t.Context(), schema.ShardName(shard), "") {
			if err != nil {
				s.t.Fatal(err)
			}
			list = append(list, load(s.t, s.Log, opening.Stream)...)
		}
	}
	return list
}

// message returns an event as the outbox sends it to a projection's queue.
func message(t testing.TB, event eventlog.Event, ordered bool) events.SQSMessage {
	t.Helper()
	envelope, err := json.Marshal(schema.Envelope{
		Stream: event.Stream, Version: event.Version, Position: event.Position(), ID: event.ID,
		Type: event.Type, TypeVersion: event.TypeVersion, Time: event.Time.Format(time.RFC3339Nano),
		Causation: event.Causation, Correlation: event.Correlation, Hops: event.Hops, Origin: event.Origin,
		Subject: event.Subject, Data: event.Data, Ref: event.Ref,
	})
	if err != nil {
		t.Fatal(err)
	}
	if ordered {
		return events.SQSMessage{MessageId: event.Position(), Body: string(envelope),
			Attributes: map[string]string{"MessageGroupId": event.Stream, "MessageDeduplicationId": event.Position()}}
	}
	body := fmt.Sprintf(`{"version": "0", "id": "e-%s", "detail-type": %q, "source": "eventstore.carts", "detail": %s}`, event.ID, event.Type, envelope)
	return events.SQSMessage{MessageId: event.Position(), Body: body}
}

// deliver hands messages to a projection in one batch and returns the ids of
// those that failed.
func deliver(t testing.TB, p *projection.Projection, messages ...events.SQSMessage) []string {
	t.Helper()
	payload, err := json.Marshal(events.SQSEvent{Records: messages})
	if err != nil {
		t.Fatal(err)
	}
	reply, err := p.Invoke(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	var response events.SQSEventResponse
	if err := json.Unmarshal(reply, &response); err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, failure := range response.BatchItemFailures {
		failed = append(failed, failure.ItemIdentifier)
	}
	return failed
}

// project delivers the events to both projections.
func (s *sale) project(list []eventlog.Event) {
	s.t.Helper()
	for p, types := range map[*projection.Projection][]string{s.view: s.view.Types, s.total: s.total.Types} {
		var messages []events.SQSMessage
		for _, event := range list {
			for _, name := range types {
				if name == event.Type {
					messages = append(messages, message(s.t, event, p.Ordered))
				}
			}
		}
		if failed := deliver(s.t, p, messages...); failed != nil {
			s.t.Fatalf("%s: failed: %v", p.Name, failed)
		}
	}
}

// rebuild runs a rebuild as the workflow does and returns its model's version.
func rebuild(t testing.TB, p *projection.Projection, run string) {
	t.Helper()
	request := func(r schema.Rebuild) schema.Rebuilt {
		t.Helper()
		payload, err := json.Marshal(map[string]schema.Rebuild{"rebuild": r})
		if err != nil {
			t.Fatal(err)
		}
		reply, err := p.Invoke(t.Context(), payload)
		if err != nil {
			t.Fatalf("%s: %v", r.Op, err)
		}
		var done schema.Rebuilt
		if err := json.Unmarshal(reply, &done); err != nil {
			t.Fatal(err)
		}
		return done
	}
	model := request(schema.Rebuild{Op: schema.OpBegin, Run: run}).Model
	for shard := range schema.Shards {
		page := schema.Rebuild{Op: schema.OpPage, Model: model, Shard: schema.ShardName(shard), Limit: 10, Run: run}
		for done := false; !done; {
			r := request(page)
			page.Cursor, done = r.Cursor, r.Done
		}
	}
	previous := request(schema.Rebuild{Op: schema.OpSwitch, Model: model, Run: run}).Previous
	sweep := schema.Rebuild{Op: schema.OpSweep, Model: previous, Limit: 100, Run: run}
	for done := false; !done; {
		r := request(sweep)
		sweep.Cursor, done = r.Cursor, r.Done
	}
}

// scan returns everything in a table, one line of JSON for each item.
func scan(t testing.TB, db *dynamodb.Client, table string) string {
	t.Helper()
	var b bytes.Buffer
	for pages := dynamodb.NewScanPaginator(db, &dynamodb.ScanInput{TableName: aws.String(table)}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			for name, value := range maps.All(item) {
				if binary, ok := value.(*types.AttributeValueMemberB); ok {
					fmt.Fprintf(&b, "%s=%s ", name, binary.Value)
					continue
				}
				text, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "%s=%s ", name, text)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
