package alerts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"github.com/serverless-go/cdk/patterns/edge/alerts"
	"github.com/serverless-go/cdk/patterns/edge/alerts/rules"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) { engine.Main(m) }

// channel records what it is told, and fails the first times.
type channel struct {
	mu   sync.Mutex
	got  []alerts.Notice
	fail int
}

func (c *channel) Name() string { return "recorder" }

func (c *channel) Send(_ context.Context, n *alerts.Notice) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail > 0 {
		c.fail--
		return errors.New("down")
	}
	c.got = append(c.got, *n)
	return nil
}

type put struct{ EventBusName, DetailType, Source, Detail string }

type fixture struct {
	*alerts.Handler
	ack    *alerts.Acknowledger
	now    time.Time
	first  *channel
	second *channel
	faults *engine.Faults
	mu     sync.Mutex
	puts   []put
}

func newFixture(t *testing.T, table string) *fixture {
	t.Helper()
	f := &fixture{now: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), first: &channel{}, second: &channel{}, faults: &engine.Faults{}}
	bus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Entries []put }
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &in)
		f.mu.Lock()
		f.puts = append(f.puts, in.Entries...)
		f.mu.Unlock()
		_, _ = io.WriteString(w, `{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}`)
	}))
	t.Cleanup(bus.Close)
	cfg := engine.DynamoDB(t).Config()
	events := engine.Endpoint{URL: bus.URL}.Config()
	cfg.HTTPClient = f.faults
	db := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
	s := types.ScalarAttributeTypeS
	_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(schema.AlertPK), AttributeType: s}, {AttributeName: aws.String(schema.AlertSK), AttributeType: s},
			{AttributeName: aws.String(schema.AlertOutbox), AttributeType: s},
			{AttributeName: aws.String(schema.AlertDue), AttributeType: types.ScalarAttributeTypeN}},
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String(schema.AlertPK), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(schema.AlertSK), KeyType: types.KeyTypeRange}},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{IndexName: aws.String(schema.OutboxIndex),
			KeySchema: []types.KeySchemaElement{{AttributeName: aws.String(schema.AlertOutbox), KeyType: types.KeyTypeHash},
				{AttributeName: aws.String(schema.AlertDue), KeyType: types.KeyTypeRange}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return f.now }
	f.Handler = &alerts.Handler{
		Rules: &rules.Rules{Jurisdiction: "eu", Window: time.Hour, Language: "en",
			Localities: map[string]rules.Locality{
				"DE-BE": {Name: "Berlin", Zone: "Europe/Berlin", Quiet: rules.Quiet{From: "22:00", To: "06:30"}},
				"DE-HH": {Name: "Hamburg", Zone: "Europe/Berlin"}},
			Templates: map[string]map[string]rules.Template{"fever": {"en": {Subject: "Fever in {locality}", Text: "{count}"}}},
			Waits:     []time.Duration{15 * time.Minute, 15 * time.Minute}},
		DynamoDB: db, Table: table, Events: eventbridge.NewFromConfig(events), Bus: "local", Counts: "counts",
		Levels: [][]alerts.Channel{{f.first}, {f.second}}, Now: clock,
	}
	f.ack = &alerts.Acknowledger{DynamoDB: db, Table: table, Now: clock}
	return f
}

// batch delivers events and returns the messages that came back.
func (f *fixture) batch(t *testing.T, bodies ...string) []string {
	t.Helper()
	var in events.SQSEvent
	for i, b := range bodies {
		in.Records = append(in.Records, events.SQSMessage{MessageId: fmt.Sprint(i), Body: b})
	}
	payload, _ := json.Marshal(in)
	answer, err := f.Invoke(t.Context(), payload)
	var out events.SQSEventResponse
	if err = errors.Join(err, json.Unmarshal(answer, &out)); err != nil {
		t.Error(err)
	}
	var failed []string
	for _, b := range out.BatchItemFailures {
		failed = append(failed, b.ItemIdentifier)
	}
	return failed
}

func (f *fixture) reading(id, locality string, urgent bool) string {
	return fmt.Sprintf(`{"id":%q,"time":%q,"detail":{"locality":%q,"kind":"fever","urgent":%t,"patient":"Ada Lovelace","temperature":39.7}}`,
		id, f.now.Format(time.RFC3339), locality, urgent)
}

// tick lets time pass and sweeps.
func (f *fixture) tick(t *testing.T, d time.Duration) error {
	f.now = f.now.Add(d)
	_, err := f.Invoke(t.Context(), []byte(`{"detail-type":"Scheduled Event"}`))
	return err
}

func TestStorm(t *testing.T) {
	f := newFixture(t, "storm")
	var wg sync.WaitGroup
	work := make(chan []string)
	for range 8 {
		wg.Go(func() {
			for bodies := range work {
				for failed := f.batch(t, bodies...); len(failed) > 0; failed = f.batch(t, bodies...) {
				}
			}
		})
	}
	for i := range 100 { // 10,000 readings, 5,000 different ones, of two localities
		var bodies []string
		for j := range 100 {
			n := (i*100 + j) % 5000
			bodies = append(bodies, f.reading(fmt.Sprint("r", n), []string{"DE-BE", "DE-HH"}[n%2], false))
		}
		work <- bodies
	}
	close(work)
	wg.Wait()
	if len(f.first.got) != 2 {
		t.Errorf("%d alerts, want 2", len(f.first.got))
	}
	if err := f.tick(t, 62*time.Minute); err != nil {
		t.Fatal(err)
	}
	counts := 0
	for _, p := range f.puts {
		if strings.Contains(p.Detail, "Ada") || strings.Contains(p.Detail, "39.7") {
			t.Errorf("personal data left: %s", p.Detail)
		}
		if p.EventBusName != "counts" {
			continue
		}
		counts++
		var fields map[string]any
		if err := json.Unmarshal([]byte(p.Detail), &fields); err != nil || len(fields) != 6 || fields["count"] != 2500.0 {
			t.Errorf("the count is %s", p.Detail)
		}
	}
	if counts != 2 {
		t.Errorf("%d counts, want 2", counts)
	}
}

func TestEscalation(t *testing.T) {
	f := newFixture(t, "escalation")
	f.batch(t, f.reading("a", "DE-HH", false))
	for range 50 {
		if err := f.tick(t, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	told := 0
	for _, p := range f.puts {
		if p.DetailType == schema.AlertUnacknowledgedType && p.EventBusName == "local" {
			told++
		}
	}
	if len(f.first.got) != 1 || len(f.second.got) != 1 || told != 1 {
		t.Errorf("first %d, second %d, given up %d; want one each", len(f.first.got), len(f.second.got), told)
	}
}

func TestAcknowledge(t *testing.T) {
	f := newFixture(t, "acknowledge")
	f.batch(t, f.reading("a", "DE-HH", false))
	in := schema.Acknowledgement{Alert: f.first.got[0].Alert, By: "Grace"}
	for _, by := range []string{"Grace", "Bob"} {
		in.By = by
		if out, err := f.ack.Acknowledge(t.Context(), in); err != nil || out.By != "Grace" {
			t.Errorf("acknowledged by %+v, error %v", out, err)
		}
	}
	if err := f.tick(t, 5*time.Hour); err != nil || len(f.second.got) != 0 {
		t.Errorf("escalated %d times after the acknowledgement, error %v", len(f.second.got), err)
	}
	in.Alert = "nothing"
	if _, err := f.ack.Acknowledge(t.Context(), in); err == nil {
		t.Error("an unknown alert was acknowledged")
	}
	f.now = f.now.Add(-5 * time.Hour)
	f.batch(t, f.reading("b", "DE-HH", true))
	if len(f.first.got) != 2 || !f.first.got[1].Urgent {
		t.Errorf("an urgent reading after the acknowledgement led to %+v", f.first.got)
	}
}

func TestQuietHours(t *testing.T) {
	f := newFixture(t, "quiet")
	f.now = time.Date(2026, 3, 28, 22, 30, 0, 0, time.UTC) // 23:30, the clocks change in this night
	f.batch(t, f.reading("a", "DE-BE", false))
	_ = f.tick(t, 5*time.Hour+59*time.Minute) // 06:29
	if len(f.first.got) != 0 {
		t.Error("it disturbed the night")
	}
	if err := f.tick(t, time.Minute); err != nil || len(f.first.got) != 1 {
		t.Errorf("%d alerts at the end of the night, error %v", len(f.first.got), err)
	}
	f.now = f.now.Add(-3 * time.Hour)
	f.batch(t, f.reading("b", "DE-BE", false))
	f.batch(t, f.reading("c", "DE-BE", true))
	if len(f.first.got) != 2 || !f.first.got[1].Urgent {
		t.Errorf("the urgent alert did not break through: %+v", f.first.got)
	}
}

func TestFailures(t *testing.T) {
	f := newFixture(t, "failures")
	failed := f.batch(t, "poison", f.reading("x", "Atlantis", false), f.reading("a", "DE-HH", false))
	if fmt.Sprint(failed) != "[0 1]" || len(f.first.got) != 1 {
		t.Errorf("%v came back and %d alerts were sent", failed, len(f.first.got))
	}
	f.now = f.now.Add(2 * time.Hour)
	f.faults.Refuse("PutItem", "ThrottlingException", 1)
	if failed := f.batch(t, f.reading("b", "DE-BE", false)); fmt.Sprint(failed) != "[0]" {
		t.Errorf("%v came back, want the throttled one", failed)
	}
	f.first.fail = 1
	if failed := f.batch(t, f.reading("b", "DE-BE", false)); failed != nil || len(f.first.got) != 1 {
		t.Errorf("%v came back", failed)
	}
	if err := f.tick(t, time.Minute); err != nil || len(f.first.got) != 2 {
		t.Errorf("the channel that had failed was told %d times, error %v", len(f.first.got), err)
	}
}
