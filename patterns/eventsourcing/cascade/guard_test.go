package cascade_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/eventsourcing/cascade"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) { engine.Main(m) }

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func newGuard(t *testing.T) (*cascade.Guard, *clock, *engine.Faults) {
	t.Helper()
	c := &clock{time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)}
	faults := &engine.Faults{}
	cfg := engine.DynamoDB(t).Config()
	cfg.HTTPClient = faults
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 2 * time.Millisecond })
	}
	guard := &cascade.Guard{
		Name: "retention", DynamoDB: dynamodb.NewFromConfig(cfg), Table: fmt.Sprintf("guard-%x", rand.Uint64()),
		CoolDown: 10 * time.Minute, Budget: 3, Window: time.Hour, MaxHops: 2,
		Now: func() time.Time { return c.now },
	}
	_, err := guard.DynamoDB.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &guard.Table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(schema.GuardKey), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(schema.GuardKey), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return guard, c, faults
}

// remedied counts remedies.
type remedied struct{ n atomic.Int32 }

func (r *remedied) run(context.Context) error { r.n.Add(1); return nil }

func event(id string) eventlog.Event { return eventlog.Event{ID: id, Correlation: id} }

// want checks an error and how many remedies have run so far.
func (r *remedied) want(t *testing.T, err, wanted error, n int32) {
	t.Helper()
	if diff := cmp.Diff(fmt.Sprintf("%T %[1]v", wanted), fmt.Sprintf("%T %[1]v", err)); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if got := r.n.Load(); got != n {
		t.Errorf("%d remedies ran, want %d", got, n)
	}
}

func TestCoolDown(t *testing.T) {
	guard, clock, _ := newGuard(t)
	ctx, r := context.Background(), &remedied{}
	until := clock.now.Add(10 * time.Minute)
	r.want(t, guard.Do(ctx, event("e1"), "cart", r.run), nil, 1)
	clock.advance(10*time.Minute - 1)
	r.want(t, guard.Do(ctx, event("e2"), "cart", r.run), &cascade.CoolingDownError{Cascade: "retention", Key: "cart", Until: until}, 1)
	r.want(t, guard.Do(ctx, event("e2"), "other", r.run), nil, 2)
	clock.advance(1)
	r.want(t, guard.Do(ctx, event("e2"), "cart", r.run), nil, 3)
}

func TestBudget(t *testing.T) {
	guard, clock, _ := newGuard(t)
	ctx, r := context.Background(), &remedied{}
	for i := range 3 {
		r.want(t, guard.Do(ctx, event("e"), fmt.Sprint("cart", i), r.run), nil, int32(i+1))
	}
	spent := &cascade.BudgetError{Cascade: "retention", Budget: 3, Window: time.Hour, Until: time.Date(2026, 8, 1, 13, 0, 0, 0, time.UTC)}
	r.want(t, guard.Do(ctx, event("e"), "cart3", r.run), spent, 3)
	clock.advance(time.Hour - 1)
	r.want(t, guard.Do(ctx, event("e"), "cart3", r.run), spent, 3)
	// What was refused has taken neither a pass nor a cool-down.
	clock.advance(1)
	r.want(t, guard.Do(ctx, event("e"), "cart3", r.run), nil, 4)

	other := &cascade.Guard{Name: "other", DynamoDB: guard.DynamoDB, Table: guard.Table, Now: guard.Now}
	for i := range 10 {
		r.want(t, other.Do(ctx, event("e"), fmt.Sprint("cart", i), r.run), nil, int32(5+i))
	}
	r.want(t, other.Do(ctx, event("e"), "cart10", r.run),
		&cascade.BudgetError{Cascade: "other", Budget: 10, Window: time.Hour, Until: time.Date(2026, 8, 1, 14, 0, 0, 0, time.UTC)}, 14)
}

func TestBudgetConcurrently(t *testing.T) {
	guard, _, _ := newGuard(t)
	guard.Budget = 7
	r := &remedied{}
	var refused atomic.Int32
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			err := guard.Do(t.Context(), event(fmt.Sprint("e", i)), fmt.Sprint("cart", i), r.run)
			var budget *cascade.BudgetError
			switch {
			case errors.As(err, &budget):
				refused.Add(1)
			case err != nil:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if r.n.Load() != 7 || refused.Load() != 93 {
		t.Errorf("%d remedies ran and %d were refused, want 7 and 93", r.n.Load(), refused.Load())
	}
}

func TestOneKeyConcurrently(t *testing.T) {
	for _, test := range []struct {
		name  string
		cause func(int) string
	}{
		{"one event", func(int) string { return "e" }},
		{"many events", func(i int) string { return fmt.Sprint("e", i) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			guard, _, _ := newGuard(t)
			r := &remedied{}
			var wg sync.WaitGroup
			for i := range 30 {
				wg.Go(func() {
					err := guard.Do(t.Context(), event(test.cause(i)), "cart", r.run)
					var busy *cascade.BusyError
					if err != nil && !cascade.Refused(err) && !errors.As(err, &busy) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := r.n.Load(); n != 1 {
				t.Errorf("%d remedies ran, want 1", n)
			}
		})
	}
}

func TestRetry(t *testing.T) {
	guard, clock, faults := newGuard(t)
	guard.Budget = 1 // a retry costs no budget
	ctx, r := context.Background(), &remedied{}
	failed := errors.New("no stock")
	r.want(t, guard.Do(ctx, event("e"), "cart", func(context.Context) error { return failed }), failed, 0)
	crashed := false
	func() {
		defer func() { crashed = recover() != nil }()
		guard.Do(ctx, event("e"), "cart", func(context.Context) error { panic("crash") })
	}()
	if !crashed {
		t.Error("the retry of a failed remedy did not start at once")
	}
	r.want(t, guard.Do(ctx, event("e"), "cart", r.run),
		&cascade.BusyError{Cascade: "retention", Cause: "e", Key: "cart", Until: clock.now.Add(time.Minute)}, 0)
	clock.advance(time.Minute)
	err := guard.Do(ctx, event("e"), "cart", func(ctx context.Context) error {
		faults.Refuse("UpdateItem", "AccessDeniedException", 1)
		return r.run(ctx)
	})
	if err == nil || !strings.Contains(err.Error(), "note that cart is done for e") {
		t.Errorf("error %v, want the missing note reported", err)
	}
	clock.advance(time.Minute)
	canceled, cancel := context.WithCancel(ctx)
	r.want(t, guard.Do(canceled, event("e"), "cart", func(ctx context.Context) error { cancel(); return r.run(ctx) }), nil, 2)
	clock.advance(24 * time.Hour)
	r.want(t, guard.Do(ctx, event("e"), "cart", r.run), &cascade.DoneError{Cascade: "retention", Cause: "e", Key: "cart"}, 2)
}

// The lease ends with the invocation that holds it.
func TestLeaseEndsWithDeadline(t *testing.T) {
	guard, clock, _ := newGuard(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	func() {
		defer func() { recover() }()
		guard.Do(ctx, event("e"), "cart", func(context.Context) error { panic("crash") })
	}()
	r := &remedied{}
	clock.advance(59 * time.Minute)
	var busy *cascade.BusyError
	if err := guard.Do(ctx, event("e"), "cart", r.run); !errors.As(err, &busy) {
		t.Errorf("error %v, want a BusyError before the deadline", err)
	}
	clock.advance(time.Minute)
	r.want(t, guard.Do(ctx, event("e"), "cart", r.run), nil, 1)
}

// The answer of DynamoDB is lost: whether the pass was taken is unknown, and a
// retry must find out without spending a second part of the budget.
func TestLostAnswer(t *testing.T) {
	guard, clock, faults := newGuard(t)
	guard.Budget = 1
	r := &remedied{}
	faults.Lose("TransactWriteItems", 3)
	if err := guard.Do(context.Background(), event("e"), "cart", r.run); err == nil || cascade.Refused(err) {
		t.Errorf("error %v, want one to retry", err)
	}
	clock.advance(time.Minute)
	r.want(t, guard.Do(context.Background(), event("e"), "cart", r.run), nil, 1)
}

func TestLoop(t *testing.T) {
	guard, _, _ := newGuard(t)
	r := &remedied{}
	for _, test := range []struct {
		origin string
		hops   int
		loop   bool
	}{
		{"", 0, false},
		{"other", 1, false},
		{"retention", 0, true},
		{"retention", 1, true},
		{"other", 2, true},
	} {
		cause := event(fmt.Sprint("e", test.origin, test.hops))
		cause.Origin, cause.Hops = test.origin, test.hops
		err := guard.Do(t.Context(), cause, cause.ID, r.run)
		var loop *cascade.LoopError
		if errors.As(err, &loop) != test.loop || !test.loop && err != nil {
			t.Errorf("origin %q, %d hops: error %v, want a loop: %v", test.origin, test.hops, err, test.loop)
		}
	}
	if r.n.Load() != 2 {
		t.Errorf("%d remedies ran, want 2", r.n.Load())
	}
}

// What a remedy appends is seen as the cascade's own by its guard.
func TestRemedyCarriesItsCause(t *testing.T) {
	guard, _, _ := newGuard(t)
	type Offered struct{ Percent int }
	store := "events-" + guard.Table
	_, err := guard.DynamoDB.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &store, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(schema.Stream), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(schema.Version), AttributeType: types.ScalarAttributeTypeN},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(schema.Stream), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(schema.Version), KeyType: types.KeyTypeRange},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	log, err := eventlog.New(engine.DynamoDB(t).Config(), eventlog.Options{
		Table: store, Registry: eventlog.NewRegistry(eventlog.Type[Offered]("Offered", 1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	var offered eventlog.Event
	alarm := cascade.Alarm{ID: "alarm-1"}
	err = guard.Do(t.Context(), alarm.Cause(), "cart", func(ctx context.Context) error {
		recorded, err := log.Append(ctx, "cart", eventlog.NoStream, eventlog.Of(Offered{10}))
		if err == nil {
			offered = recorded[0]
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if offered.Origin != "retention" || offered.Hops != 1 || offered.Causation != "alarm-1" || offered.Correlation != "alarm-1" {
		t.Errorf("recorded %+v, want it to name the cascade and the alarm", offered)
	}
	var loop *cascade.LoopError
	if err := guard.Do(t.Context(), offered, "other", new(remedied).run); !errors.As(err, &loop) {
		t.Errorf("error %v, want the remedy's own event to be refused", err)
	}
}

func TestRefused(t *testing.T) {
	tests := []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("other"), false},
		{&cascade.BusyError{}, false},
		{&cascade.LoopError{}, true},
		{&cascade.CoolingDownError{}, true},
		{&cascade.BudgetError{}, true},
		{fmt.Errorf("cart: %w", &cascade.DoneError{}), true},
	}
	for _, test := range tests {
		if got := cascade.Refused(test.err); got != test.want {
			t.Errorf("Refused(%T) = %v", test.err, got)
		}
	}
}

func TestBadCall(t *testing.T) {
	guard := &cascade.Guard{Name: "retention"}
	for _, test := range []struct{ id, key string }{{"", "cart"}, {"e", ""}} {
		if err := guard.Do(t.Context(), event(test.id), test.key, new(remedied).run); err == nil || !strings.Contains(err.Error(), "both are wanted") {
			t.Errorf("cause %q, key %q: error %v", test.id, test.key, err)
		}
	}
}

func TestFromEnv(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want cascade.Guard
		err  []string
	}{
		{"nothing", nil, cascade.Guard{}, []string{"CASCADE_NAME is not set", "CASCADE_GUARD_TABLE is not set"}},
		{"defaults", map[string]string{schema.EnvCascade: "c", schema.EnvGuardTable: "t"}, cascade.Guard{Name: "c", Table: "t"}, nil},
		{"all", map[string]string{
			schema.EnvCascade: "c", schema.EnvGuardTable: "t", schema.EnvCoolDown: "15m0s",
			schema.EnvBudget: "50", schema.EnvBudgetWindow: "24h", schema.EnvMaxHops: "2",
		}, cascade.Guard{Name: "c", Table: "t", CoolDown: 15 * time.Minute, Budget: 50, Window: 24 * time.Hour, MaxHops: 2}, nil},
		{"wrong", map[string]string{
			schema.EnvCascade: "c", schema.EnvGuardTable: "t", schema.EnvCoolDown: "15",
			schema.EnvBudget: "-1", schema.EnvBudgetWindow: "-1h", schema.EnvMaxHops: "two",
		}, cascade.Guard{}, []string{
			`CASCADE_COOL_DOWN is "15", want a positive duration`, `CASCADE_BUDGET is "-1", want a positive whole number`,
			`CASCADE_WINDOW is "-1h"`, `CASCADE_MAX_HOPS is "two"`,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{
				schema.EnvCascade, schema.EnvGuardTable, schema.EnvCoolDown, schema.EnvBudget, schema.EnvBudgetWindow, schema.EnvMaxHops,
			} {
				t.Setenv(name, test.env[name])
			}
			guard, err := cascade.FromEnv(aws.Config{})
			for _, want := range test.err {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
			}
			if test.err != nil {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			guard.DynamoDB = nil
			if diff := cmp.Diff(test.want, *guard); diff != "" {
				t.Errorf("guard (-want +got):\n%s", diff)
			}
		})
	}
}
