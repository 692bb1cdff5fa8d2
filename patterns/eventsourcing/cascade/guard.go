package cascade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/internal/backoff"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// Guard decides whether a remedy may run. Name, DynamoDB and Table are
// required; the principal needs UpdateItem on the table.
type Guard struct {
	// Name is the cascade's name. It becomes the origin of the events that a
	// remedy appends, and separates the cascades that share a table.
	Name string
	// DynamoDB is the client for the guard table.
	DynamoDB *dynamodb.Client
	// Table is the guard table, keyed by schema.GuardKey, with schema.TTL as its
	// time to live.
	Table string
	// CoolDown is how long a key is left alone once a remedy has started.
	// Default: 15 minutes.
	CoolDown time.Duration
	// Budget is how many remedies may start in one window. Default: 10.
	Budget int
	// Window is the time that the budget is for. Default: 1 hour.
	Window time.Duration
	// MaxHops is how many automatic reactions a chain may have: an event with as
	// many hops is not remedied. Default: 3.
	MaxHops int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// FromEnv returns the guard that the construct has set up: it reads
// schema.EnvCascade, schema.EnvGuardTable, schema.EnvCoolDown, schema.EnvBudget,
// schema.EnvBudgetWindow and schema.EnvMaxHops. The last four may be absent. Its
// error names every variable that is wrong.
func FromEnv(cfg aws.Config) (*Guard, error) {
	var problems []error
	text := func(name string) string {
		value := os.Getenv(name)
		if value == "" {
			problems = append(problems, fmt.Errorf("%s is not set; the Cascade construct sets it", name))
		}
		return value
	}
	duration := func(name string) time.Duration {
		value := os.Getenv(name)
		d, err := time.ParseDuration(value)
		if value != "" && (err != nil || d <= 0) {
			problems = append(problems, fmt.Errorf("%s is %q, want a positive duration such as 15m", name, value))
		}
		return d
	}
	count := func(name string) int {
		value := os.Getenv(name)
		n, err := strconv.Atoi(value)
		if value != "" && (err != nil || n <= 0) {
			problems = append(problems, fmt.Errorf("%s is %q, want a positive whole number", name, value))
		}
		return n
	}
	guard := &Guard{
		Name:     text(schema.EnvCascade),
		DynamoDB: dynamodb.NewFromConfig(cfg),
		Table:    text(schema.EnvGuardTable),
		CoolDown: duration(schema.EnvCoolDown),
		Budget:   count(schema.EnvBudget),
		Window:   duration(schema.EnvBudgetWindow),
		MaxHops:  count(schema.EnvMaxHops),
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("cascade: environment:\n%w", err)
	}
	return guard, nil
}

// Do runs remedy for a key, such as a cart, because of an event, its cause.
//
// It returns nil when the remedy ran, the remedy's error as it is, or, without
// running it, [*LoopError], [*CoolingDownError], [*BudgetError], [*DoneError]
// or [*BusyError]. The remedy's context carries the cause: events appended with
// it name this cascade as origin, and have one hop more than the cause.
//
// A crash between the remedy's success and the note of it lets a retry of the
// same cause run the remedy again, so a remedy should be one append or
// something else that takes the cause's id for an idempotency key.
func (g *Guard) Do(ctx context.Context, cause eventlog.Event, key string, remedy func(context.Context) error) error {
	if cause.ID == "" || key == "" {
		return fmt.Errorf("cascade: cause %q, key %q: both are wanted, the guard tells remedies apart by them", cause.ID, key)
	}
	if maxHops := cmp.Or(g.MaxHops, 3); cause.Origin == g.Name || cause.Hops >= maxHops {
		return &LoopError{Cascade: g.Name, Cause: cause.ID, Origin: cause.Origin, Hops: cause.Hops, MaxHops: maxHops}
	}
	pass := g.pass(cause.ID, key)
	if err := g.enter(ctx, cause.ID, key, pass); err != nil {
		return err
	}
	failure := remedy(eventlog.WithCause(ctx, cause, g.Name))
	note, values := "SET done = :done", map[string]types.AttributeValue{":done": &types.AttributeValueMemberBOOL{Value: true}}
	if failure != nil {
		note, values = "REMOVE lease", nil
	}
	// The remedy was tried, whether or not ctx has ended meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := g.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &g.Table, Key: guardKey(pass),
		UpdateExpression: &note, ExpressionAttributeValues: values,
	})
	if failure != nil {
		return failure // a lease that could not be given back ends by itself
	}
	if err != nil {
		return fmt.Errorf("cascade %s: note that %s is done for %s: %w", g.Name, key, cause.ID, err)
	}
	return nil
}

// remembered is how long the guard knows that an event was remedied: longer
// than a queue and its dead-letter queue keep a message together.
const remembered = 30 * 24 * time.Hour

// enter takes a pass, together with the cool-down of its key and a part of the
// budget, or none of them.
func (g *Guard) enter(ctx context.Context, cause, key, pass string) error {
	coolDown, budget, window := cmp.Or(g.CoolDown, 15*time.Minute), cmp.Or(g.Budget, 10), cmp.Or(g.Window, time.Hour)
	now := time.Now()
	if g.Now != nil {
		now = g.Now()
	}
	// A lease ends with its holder's invocation: whoever comes later may retry.
	lease := now.Add(time.Minute)
	if deadline, ok := ctx.Deadline(); ok {
		lease = now.Add(time.Until(deadline))
	}
	closes := now.Truncate(window).Add(window)
	input := &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Update: g.update(pass, now.Add(remembered),
			"SET lease = :lease",
			"attribute_not_exists(guard)",
			map[string]int64{":lease": lease.UnixMilli()})},
		{Update: g.update(g.Name+"#cooldown#"+key, now.Add(coolDown),
			"SET cool = :until",
			"attribute_not_exists(guard) OR cool <= :now",
			map[string]int64{":until": now.Add(coolDown).UnixMilli(), ":now": now.UnixMilli()})},
		{Update: g.update(g.Name+"#budget#"+closes.UTC().Format(time.RFC3339), closes,
			"ADD spent :one SET budget = :budget",
			"attribute_not_exists(guard) OR spent < :budget",
			map[string]int64{":one": 1, ":budget": int64(budget)})},
	}}
	for attempt := 0; ; attempt++ {
		_, err := g.DynamoDB.TransactWriteItems(ctx, input)
		if err == nil {
			return nil
		}
		var canceled *types.TransactionCanceledException
		if !errors.As(err, &canceled) || len(canceled.CancellationReasons) != len(input.TransactItems) {
			return fmt.Errorf("cascade %s: enter for %s: %w", g.Name, key, err)
		}
		failed := func(i int) bool {
			return aws.ToString(canceled.CancellationReasons[i].Code) == "ConditionalCheckFailed"
		}
		switch {
		case failed(0):
			return g.enterAgain(ctx, cause, key, pass, now, lease)
		case failed(1):
			var found struct {
				Cool int64 `dynamodbav:"cool"`
			}
			if err := attributevalue.UnmarshalMap(canceled.CancellationReasons[1].Item, &found); err != nil {
				return fmt.Errorf("cascade %s: cool-down of %s: %w", g.Name, key, err)
			}
			return &CoolingDownError{Cascade: g.Name, Key: key, Until: time.UnixMilli(found.Cool)}
		case failed(2):
			return &BudgetError{Cascade: g.Name, Budget: budget, Window: window, Until: closes}
		}
		// What is left are collisions with other remedies and throttling.
		if backoff.Pause(ctx, attempt) != nil {
			return fmt.Errorf("cascade %s: enter for %s: %w", g.Name, key, err)
		}
	}
}

// enterAgain takes over a pass from an attempt that failed or crashed.
func (g *Guard) enterAgain(ctx context.Context, cause, key, pass string, now, lease time.Time) error {
	update := g.update(pass, now.Add(remembered),
		"SET lease = :lease",
		"attribute_not_exists(done) AND (attribute_not_exists(lease) OR lease <= :now)",
		map[string]int64{":lease": lease.UnixMilli(), ":now": now.UnixMilli()})
	_, err := g.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: update.TableName, Key: update.Key,
		UpdateExpression:                    update.UpdateExpression,
		ConditionExpression:                 update.ConditionExpression,
		ExpressionAttributeNames:            update.ExpressionAttributeNames,
		ExpressionAttributeValues:           update.ExpressionAttributeValues,
		ReturnValuesOnConditionCheckFailure: update.ReturnValuesOnConditionCheckFailure,
	})
	var taken *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &taken):
		return fmt.Errorf("cascade %s: enter again for %s: %w", g.Name, key, err)
	}
	var found struct {
		Done  bool  `dynamodbav:"done"`
		Lease int64 `dynamodbav:"lease"`
	}
	if err := attributevalue.UnmarshalMap(taken.Item, &found); err != nil {
		return fmt.Errorf("cascade %s: enter again for %s: %w", g.Name, key, err)
	}
	if found.Done {
		return &DoneError{Cascade: g.Name, Cause: cause, Key: key}
	}
	return &BusyError{Cascade: g.Name, Cause: cause, Key: key, Until: time.UnixMilli(found.Lease)}
}

// update changes an item of the guard table if the condition holds, and lets
// DynamoDB delete it some time after it has expired.
func (g *Guard) update(item string, expires time.Time, expression, condition string, values map[string]int64) *types.Update {
	update := &types.Update{
		TableName:                           &g.Table,
		Key:                                 guardKey(item),
		UpdateExpression:                    aws.String(expression + ", #ttl = :ttl"),
		ConditionExpression:                 &condition,
		ExpressionAttributeNames:            map[string]string{"#ttl": schema.TTL},
		ExpressionAttributeValues:           map[string]types.AttributeValue{":ttl": number(expires.Unix())},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	for placeholder, value := range values {
		update.ExpressionAttributeValues[placeholder] = number(value)
	}
	return update
}

func (g *Guard) pass(cause, key string) string { return g.Name + "#pass#" + cause + "#" + key }

func guardKey(item string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{schema.GuardKey: &types.AttributeValueMemberS{Value: item}}
}

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
