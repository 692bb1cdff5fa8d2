package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) { engine.Main(m) }

// claimsFixture has its table of claims and one of counters, which say how
// often each event was applied.
type claimsFixture struct {
	*DynamoDBClaims
	t      *testing.T
	now    time.Time
	faults *engine.Faults
	sound  *dynamodb.Client
}

func newClaims(t *testing.T, name string) *claimsFixture {
	t.Helper()
	f := &claimsFixture{t: t, now: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), faults: &engine.Faults{}}
	f.sound = dynamodb.NewFromConfig(engine.DynamoDB(t).Config())
	for _, table := range []string{name, name + "-effects"} {
		if _, err := f.sound.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: &table, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(schema.ClaimPK), AttributeType: types.ScalarAttributeTypeS}},
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(schema.ClaimPK), KeyType: types.KeyTypeHash}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	f.DynamoDBClaims = &DynamoDBClaims{DynamoDB: f.client(f.faults, 1), Table: name, Now: func() time.Time { return f.now }}
	return f
}

func (f *claimsFixture) client(h aws.HTTPClient, attempts int) *dynamodb.Client {
	cfg := engine.DynamoDB(f.t).Config()
	cfg.HTTPClient = h
	return dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.RetryMaxAttempts = attempts })
}

// effect adds one to the counter of an event.
func (f *claimsFixture) effect(id string) Effect {
	return Effect{{Update: &types.Update{
		TableName: aws.String(f.Table + "-effects"), Key: claimKey(id), UpdateExpression: aws.String("ADD applied :one"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":one": number(1)}}}}
}

func (f *claimsFixture) consume(id string) error {
	return Consume(f.t.Context(), f, json.RawMessage(fmt.Sprintf(`{"id":%q,"data":1}`, id)),
		func(context.Context, Message) (Effect, error) { return f.effect(id), nil })
}

func (f *claimsFixture) item(table, id string) map[string]types.AttributeValue {
	f.t.Helper()
	out, err := f.sound.GetItem(f.t.Context(), &dynamodb.GetItemInput{TableName: &table, Key: claimKey(id), ConsistentRead: aws.Bool(true)})
	if err != nil {
		f.t.Fatal(err)
	}
	return out.Item
}

func (f *claimsFixture) applied(id string) string {
	f.t.Helper()
	return value(f.item(f.Table+"-effects", id)["applied"])
}

// crash ends the process at one of its calls, before or after it takes effect.
type crash struct {
	left    int
	effect  bool
	crashed bool
}

func (c *crash) Do(r *http.Request) (*http.Response, error) {
	last := c.left == 0 && !c.crashed
	c.left--
	if c.crashed || last && !c.effect {
		c.crashed = true
		return nil, errors.New("crashed")
	}
	answer, err := http.DefaultClient.Do(r)
	if last && err == nil {
		c.crashed = true
		answer.Body.Close()
		return nil, errors.New("crashed")
	}
	return answer, err
}

// The process dies at each of its calls, before and after the call takes
// effect, applying an event and failing to. The next one may not go on before
// the claim has run out, and then applies the event exactly once.
func TestClaims_Crashes(t *testing.T) {
	f := newClaims(t, "crashes")
	sound := f.DynamoDB
	for _, effect := range []bool{false, true} {
		for _, fails := range []bool{false, true} {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%t-%t-%d", effect, fails, n)
				c := &crash{left: n, effect: effect}
				f.DynamoDB = f.client(c, 1)
				detail := json.RawMessage(fmt.Sprintf(`{"id":%q,"data":1}`, id))
				_ = Consume(t.Context(), f, detail, func(context.Context, Message) (Effect, error) {
					if fails {
						return nil, errors.New("not now")
					}
					return f.effect(id), nil
				})
				f.DynamoDB = sound
				holds := f.item(f.Table, id)[schema.ClaimUntil]
				if err := f.consume(id); (value(holds) > "0") != errors.Is(err, ErrBusy) {
					t.Errorf("%s: claimed until %v, and the next delivery has %v", id, holds, err)
				}
				f.now = f.now.Add(2 * time.Minute)
				for range 2 {
					if err := f.consume(id); err != nil {
						t.Errorf("%s: %v", id, err)
					}
				}
				if got := f.applied(id); got != "1" {
					t.Errorf("%s: applied %s times", id, got)
				}
				if !c.crashed {
					if n != 2 {
						t.Errorf("the whole run took %d calls, want 2", n)
					}
					break
				}
			}
		}
	}
}

// An owner that was so slow that another took over has no effect.
func TestClaims_Overtaken(t *testing.T) {
	f := newClaims(t, "overtaken")
	token, err := f.Claim(t.Context(), "e")
	if err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(2 * time.Minute)
	other, err := f.Claim(t.Context(), "e")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Release(t.Context(), "e", token); err != nil {
		t.Error(err)
	}
	if err := f.Finish(t.Context(), "e", token, f.effect("e")); !errors.Is(err, ErrBusy) || f.applied("e") != "" {
		t.Errorf("the overtaken owner has %v, want ErrBusy", err)
	}
	if err := f.Finish(t.Context(), "e", other, f.effect("e")); err != nil {
		t.Error(err)
	}
	if err := f.Finish(t.Context(), "e", token, f.effect("e")); !errors.Is(err, ErrBusy) {
		t.Errorf("the overtaken owner has %v, want ErrBusy", err)
	}
	if err := f.Release(t.Context(), "e", other); err != nil {
		t.Error(err)
	}
	if _, err := f.Claim(t.Context(), "e"); !errors.Is(err, ErrFinished) || f.applied("e") != "1" {
		t.Errorf("got %v, applied %s times", err, f.applied("e"))
	}
}

func TestClaims_Concurrent(t *testing.T) {
	f := newClaims(t, "concurrent")
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			// The engine may name a conflict where DynamoDB names a failed condition.
			for err := ErrBusy; err != nil; {
				if err = f.consume("e"); err != nil && !errors.Is(err, ErrBusy) && !strings.Contains(err.Error(), "TransactionConflict") {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := f.applied("e"); got != "1" {
		t.Errorf("applied %s times", got)
	}
}

// The claim lasts as long as the invocation and a little longer.
func TestClaims_Deadline(t *testing.T) {
	f := newClaims(t, "deadline")
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err := f.Claim(ctx, "e"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after time.Duration
		want  error
	}{{time.Hour, ErrBusy}, {6 * time.Second, nil}} {
		f.now = f.now.Add(tt.after)
		if _, err := f.Claim(ctx, "e"); !errors.Is(err, tt.want) {
			t.Errorf("after %s: got %v, want %v", tt.after, err, tt.want)
		}
	}
}

// Answers are lost and calls refused, and the SDK or Finish tries again.
func TestClaims_Faults(t *testing.T) {
	canceled := func(codes ...string) string {
		var reasons []map[string]string
		for _, c := range codes {
			reasons = append(reasons, map[string]string{"Code": c})
		}
		body, _ := json.Marshal(map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
			"message": "canceled", "CancellationReasons": reasons})
		return string(body)
	}
	f := newClaims(t, "faults")
	for _, tt := range []struct {
		name  string
		fault func()
		want  bool // applied at once
	}{
		{"claim's answer lost", func() { f.faults.Lose("UpdateItem", 1) }, true},
		{"claim throttled", func() { f.faults.Refuse("UpdateItem", "ThrottlingException", 2) }, true},
		{"claim throttled for long", func() { f.faults.Refuse("UpdateItem", "ThrottlingException", 3) }, false},
		{"finish's answer lost", func() { f.faults.Lose("TransactWriteItems", 1) }, true},
		{"finish throttled", func() { f.faults.Refuse("TransactWriteItems", "ThrottlingException", 2) }, true},
		{"conflict", func() { f.faults.Answer("TransactWriteItems", canceled("None", "TransactionConflict"), 4) }, true},
		{"capacity", func() {
			f.faults.Answer("TransactWriteItems", canceled("ThrottlingError", "ProvisionedThroughputExceeded"), 4)
		}, true},
		{"conflict for long", func() { f.faults.Answer("TransactWriteItems", canceled("None", "TransactionConflict"), 5) }, false},
		{"too large an item", func() { f.faults.Answer("TransactWriteItems", canceled("None", "ItemCollectionSizeLimitExceeded"), 1) }, false},
	} {
		f.DynamoDB = f.client(f.faults, 3)
		tt.fault()
		if err := f.consume(tt.name); (err == nil) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
		if (f.applied(tt.name) == "1") != tt.want {
			t.Errorf("%s: applied %q times", tt.name, f.applied(tt.name))
		}
		f.now = f.now.Add(2 * time.Minute)
		if err := f.consume(tt.name); err != nil || f.applied(tt.name) != "1" {
			t.Errorf("%s: later %v, applied %s times", tt.name, err, f.applied(tt.name))
		}
	}
	// The answer is lost and the SDK does not try again: the next Finish knows.
	f.DynamoDB = f.client(f.faults, 1)
	token, err := f.Claim(t.Context(), "again")
	f.faults.Lose("TransactWriteItems", 1)
	lost := f.Finish(t.Context(), "again", token, f.effect("again"))
	if again := f.Finish(t.Context(), "again", token, f.effect("again")); err != nil || lost == nil || again != nil || f.applied("again") != "1" {
		t.Errorf("got %v, %v, %v, applied %s times", err, lost, again, f.applied("again"))
	}
}

// A condition of the effect's own stops the mark, too.
func TestClaims_Refused(t *testing.T) {
	f := newClaims(t, "refused")
	token, err := f.Claim(t.Context(), "e")
	if err != nil {
		t.Fatal(err)
	}
	effect := append(f.effect("other"), f.effect("e")...)
	effect[1].Update.ConditionExpression = aws.String("attribute_exists(pk)")
	canceled, ok := errors.AsType[*types.TransactionCanceledException](f.Finish(t.Context(), "e", token, effect))
	if !ok || len(canceled.CancellationReasons) != 3 || aws.ToString(canceled.CancellationReasons[2].Code) != "ConditionalCheckFailed" {
		t.Errorf("got %v, want the reason of the effect", canceled)
	}
	if f.applied("other") != "" || f.item(f.Table, "e")[schema.ClaimUntil] == nil {
		t.Error("a part of the transaction took effect")
	}
	if err := f.Finish(t.Context(), "e", token, make(Effect, MaxEffect+1)); err == nil || !strings.Contains(err.Error(), "100 writes, allowed are 99") {
		t.Errorf("got %v for too large an effect", err)
	}
}

// A mark outlives the archives, counted from the event's latest delivery.
func TestClaims_Kept(t *testing.T) {
	f := newClaims(t, "kept")
	f.Archive = 10 * 24 * time.Hour
	ends := func() time.Time {
		var n int64
		_, _ = fmt.Sscan(value(f.item(f.Table, "e")[schema.ClaimTTL]), &n)
		return time.Unix(n, 0).UTC()
	}
	first := f.now
	for _, tt := range []struct {
		at, ends, calls int // in days; the call that refuses is one, too
	}{{0, 40, 1}, {0, 40, 2}, {1, 41, 4}, {9, 49, 6}, {9, 49, 7}} {
		f.now = first.AddDate(0, 0, tt.at)
		if err := f.consume("e"); err != nil {
			t.Fatal(err)
		}
		if want := first.AddDate(0, 0, tt.ends); !ends().Equal(want) || f.faults.Calls("UpdateItem") != tt.calls {
			t.Errorf("day %d: the mark ends on %s, want %s; %d calls, want %d", tt.at, ends(), want, f.faults.Calls("UpdateItem"), tt.calls)
		}
	}
	// A mark that cannot be kept is an error: the delivery must come again.
	f.now = first.AddDate(0, 0, 20)
	f.DynamoDB = f.client(&crash{left: 1}, 1)
	if err := f.consume("e"); err == nil {
		t.Error("no error although the mark was not kept")
	}
}

func TestClaimsFromEnv(t *testing.T) {
	for _, tt := range []struct {
		table, days string
		want        time.Duration
	}{{"t", "30", 30 * 24 * time.Hour}, {"", "30", 0}, {"t", "", 0}, {"t", "0", 0}, {"t", "x", 0}} {
		t.Setenv(schema.EnvClaimsTable, tt.table)
		t.Setenv(schema.EnvClaimsArchive, tt.days)
		c, err := ClaimsFromEnv(aws.Config{})
		switch {
		case tt.want == 0 && (err == nil || !strings.Contains(err.Error(), schema.EnvClaimsTable)):
			t.Errorf("%v: got %v", tt, err)
		case tt.want > 0 && (err != nil || c.Table != tt.table || c.Archive != tt.want):
			t.Errorf("%v: got %v, %v", tt, c, err)
		}
	}
}
