package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/internal/backoff"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// Apply returns the writes that take one event into the read model. No writes
// and no error means that the event does not matter to the model.
//
// Apply must be a function of the event alone: it is called again for a message
// delivered twice, and for every event of the store in a rebuild, when the
// event's Replay is the name of the rebuild's run. It is called by several
// goroutines at once.
type Apply func(ctx context.Context, event eventlog.Event) ([]Write, error)

// Log is what a projection needs of the event store; [eventlog.Log] has it.
type Log interface {
	Decode(ctx context.Context, body []byte) (eventlog.Event, error)
	Load(ctx context.Context, stream string, from int64) iter.Seq2[eventlog.Event, error]
	Streams(ctx context.Context, shard, after string) iter.Seq2[eventlog.Opening, error]
}

// Projection is the handler of a projection's function: pass it to
// lambda.Start. It takes the batches of the projection's queue and the requests
// of a rebuild. Apply, Log, DynamoDB and Table are required. The principal needs
// GetItem, PutItem, UpdateItem, DeleteItem, BatchWriteItem and Scan on the table.
type Projection struct {
	// Apply takes an event into the model.
	Apply Apply
	// Log is the event store. Without GrantReplay only Decode succeeds, and
	// neither gaps can be filled nor the model rebuilt.
	Log Log
	// DynamoDB is the client for the model's table.
	DynamoDB *dynamodb.Client
	// Table is the model's table, keyed by schema.PK and schema.SK, with
	// schema.TTL as its time to live.
	Table string
	// Name is the projection's name in its log records.
	Name string
	// Ordered says that messages come from a FIFO queue whose groups are the
	// streams, and that each stream's events must be applied in order.
	Ordered bool
	// Types lists the types of events that are passed to Apply; nil means all.
	// It must hold the types that the queue gets, or a rebuild would take in
	// others.
	Types []string
	// Window is how long an unordered projection remembers the events that it
	// applied. A message with an older event fails with a [StaleError]; if it
	// comes from a replay of the bus's archive it is taken for a duplicate.
	// Default: 30 days, more than a queue and its dead-letter queue keep a
	// message together.
	Window time.Duration
	// Logger gets one record per message that failed. Default: slog.Default().
	Logger *slog.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// FromEnv returns the projection that the construct has set up: it reads
// schema.EnvReadModel, schema.EnvProjection, schema.EnvOrdered and
// schema.EnvEvents.
func FromEnv(cfg aws.Config, log Log, apply Apply) (*Projection, error) {
	p := &Projection{
		Apply:    apply,
		Log:      log,
		DynamoDB: dynamodb.NewFromConfig(cfg),
		Table:    os.Getenv(schema.EnvReadModel),
		Name:     os.Getenv(schema.EnvProjection),
	}
	if p.Table == "" {
		return nil, fmt.Errorf("projection: %s is not set; it names the read model's table, AddProjection sets it", schema.EnvReadModel)
	}
	if ordered := os.Getenv(schema.EnvOrdered); ordered != "" {
		var err error
		if p.Ordered, err = strconv.ParseBool(ordered); err != nil {
			return nil, fmt.Errorf("projection: %s is %q, want true or false", schema.EnvOrdered, ordered)
		}
	}
	if list := os.Getenv(schema.EnvEvents); list != "" {
		p.Types = strings.Split(list, ",")
	}
	return p, nil
}

// Invoke answers a batch of messages with the messages that failed, and a
// request of a rebuild with a schema.Rebuilt. It stops work a moment before
// ctx's deadline, so that what was done is still reported.
func (p *Projection) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var request struct {
		Records []events.SQSMessage `json:"Records"`
		Rebuild *schema.Rebuild     `json:"rebuild"`
	}
	if err := json.Unmarshal(payload, &request); err != nil {
		return nil, &RequestError{Reason: err.Error()}
	}
	if deadline, ok := ctx.Deadline(); ok {
		reserve := min(time.Second, time.Until(deadline)/5)
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	var answer any
	var err error
	switch {
	case request.Rebuild != nil:
		answer, err = p.rebuild(ctx, *request.Rebuild)
	case request.Records != nil:
		answer, err = p.consume(ctx, request.Records)
	default:
		err = &RequestError{Reason: `it has neither "Records", as a batch from SQS, nor "rebuild"`}
	}
	if err != nil {
		return nil, named(err)
	}
	return json.Marshal(answer)
}

// lanes is how many message groups of a batch are worked on at a time. Most of
// the time goes into waiting for DynamoDB, and Lambda bills waiting too.
const lanes = 8

// consume applies the messages of a batch. Those of one group are applied in
// turn up to the first that fails; different groups don't wait for each other.
func (p *Projection) consume(ctx context.Context, messages []events.SQSMessage) (*events.SQSEventResponse, error) {
	versions, err := p.model().control(ctx)
	if err != nil {
		return nil, err
	}
	failed := make([]bool, len(messages))
	var wg sync.WaitGroup
	free := make(chan struct{}, lanes)
	for _, group := range p.groups(messages) {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			for i, n := range group {
				if err := p.take(ctx, versions, messages[n]); err != nil {
					p.logger().ErrorContext(ctx, "event not applied", "projection", p.Name,
						"message", messages[n].MessageId, "later", len(group)-i-1, "error", named(err))
					for _, n := range group[i:] {
						failed[n] = true
					}
					return
				}
			}
		})
	}
	wg.Wait()
	// An empty list says that all is well; null would too, but reads worse.
	response := &events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	for n, message := range messages {
		if failed[n] {
			response.BatchItemFailures = append(response.BatchItemFailures,
				events.SQSBatchItemFailure{ItemIdentifier: message.MessageId})
		}
	}
	return response, nil
}

// groups returns the indices of the messages that must be applied in turn.
func (p *Projection) groups(messages []events.SQSMessage) [][]int {
	var groups [][]int
	at := map[string]int{}
	for n, message := range messages {
		id := message.Attributes["MessageGroupId"]
		if g, ok := at[id]; ok && p.Ordered && id != "" {
			groups[g] = append(groups[g], n)
			continue
		}
		at[id] = len(groups)
		groups = append(groups, []int{n})
	}
	return groups
}

// take applies a message's event to every version that there is.
func (p *Projection) take(ctx context.Context, versions control, message events.SQSMessage) error {
	live := version{model: versions.Active}
	event, err := p.Log.Decode(ctx, []byte(message.Body))
	if err != nil {
		return unreadable(live, err)
	}
	if !p.Ordered && p.now().Sub(event.Time) > p.window() {
		if event.Replay != "" {
			return nil
		}
		return poison(event, live, &StaleError{Time: event.Time, Window: p.window()})
	}
	if err := p.reach(ctx, live, event); err != nil {
		return err
	}
	if versions.Building == 0 || versions.Broken != "" {
		return nil
	}
	err = p.reach(ctx, version{versions.Building, versions.Run}, event)
	var spoiler *ApplyError
	if !errors.As(err, &spoiler) {
		return err
	}
	// The live model has the event. A rebuild with code that cannot take it
	// must fail, not the message.
	p.logger().ErrorContext(ctx, "rebuild spoiled", "projection", p.Name, "run", versions.Run, "error", spoiler)
	return p.model().change(ctx, func(c *control) error {
		if c.Building == versions.Building && c.Broken == "" {
			c.Broken = spoiler.Error()
		}
		return nil
	})
}

// version is a version of the model and the run that is building it, if any.
type version struct {
	model int
	run   string
}

// reach applies the event, and before it those of its stream that are missing.
func (p *Projection) reach(ctx context.Context, to version, event eventlog.Event) error {
	held, _, err := p.step(ctx, to, event, event.Version-1)
	if err != nil || held >= event.Version {
		return err
	}
	for step, err := range p.catchUp(ctx, to, event.Stream, held) {
		if err != nil {
			return err
		}
		if held = step.held; held >= event.Version {
			return nil
		}
	}
	return fmt.Errorf("stream %s ends at version %d in the store, but version %d was delivered", event.Stream, held, event.Version)
}

// step is one event of a stream on its way into the model.
type step struct {
	held    int64 // the version that the model now has of the stream
	applied bool  // false for an event that it had before
}

// catchUp applies the events of a stream after version held.
func (p *Projection) catchUp(ctx context.Context, to version, stream string, held int64) iter.Seq2[step, error] {
	return func(yield func(step, error) bool) {
		for event, err := range p.Log.Load(ctx, stream, held+1) {
			if err != nil {
				yield(step{}, fmt.Errorf("load stream %s after version %d: %w", stream, held, unreadable(to, err)))
				return
			}
			if event.Version <= held {
				continue // a worker beside us has applied it
			}
			now, applied, err := p.step(ctx, to, event, held)
			if err == nil && now < event.Version {
				err = fmt.Errorf("stream %s: version %d is in the store, but not those after %d", stream, event.Version, now)
			}
			held = now
			if !yield(step{now, applied}, err) || err != nil {
				return
			}
		}
	}
}

// step applies one event if the model has its stream up to version held; an
// unordered model need not have it. It returns up to which version the model
// has the stream, and whether this call applied the event.
func (p *Projection) step(ctx context.Context, to version, event eventlog.Event, held int64) (int64, bool, error) {
	if to.run != "" {
		event.Replay = to.run
	}
	writes, err := p.writes(ctx, to, event)
	if err != nil {
		return held, false, err
	}
	if !p.Ordered {
		if len(writes) == 0 {
			return event.Version, false, nil
		}
		_, applied, err := p.commit(ctx, to, event, p.marker(to, event), writes)
		return event.Version, applied, err
	}
	found, applied, err := p.commit(ctx, to, event, p.checkpoint(to, event, held), writes)
	if err != nil || applied {
		return event.Version, applied, err
	}
	now := int64(0)
	if n, ok := found[schema.Version].(*types.AttributeValueMemberN); ok {
		now, err = strconv.ParseInt(n.Value, 10, 64)
	}
	return now, false, err
}

// checkpoint moves a stream's checkpoint from version held to the event.
func (p *Projection) checkpoint(to version, event eventlog.Event, held int64) *types.Put {
	item := key(checkpointPrefix(to.model)+event.Stream, bookkeeping)
	item[schema.Version] = number(event.Version)
	put := &types.Put{Item: item, ConditionExpression: aws.String("attribute_not_exists(" + schema.PK + ")")}
	if held > 0 {
		put.ConditionExpression = aws.String("#held = :held")
		put.ExpressionAttributeNames = map[string]string{"#held": schema.Version}
		put.ExpressionAttributeValues = map[string]types.AttributeValue{":held": number(held)}
	}
	return put
}

// marker notes that an event was applied. It outlives the window by a day, so
// that two clocks need not agree.
func (p *Projection) marker(to version, event eventlog.Event) *types.Put {
	item := key(markerPrefix(to.model)+event.ID, bookkeeping)
	item[schema.TTL] = number(p.now().Add(p.window() + 24*time.Hour).Unix())
	return &types.Put{Item: item, ConditionExpression: aws.String("attribute_not_exists(" + schema.PK + ")")}
}

// writes calls Apply and turns what it returns into actions.
func (p *Projection) writes(ctx context.Context, to version, event eventlog.Event) (actions []types.TransactWriteItem, err error) {
	if p.Types != nil && !slices.Contains(p.Types, event.Type) {
		return nil, nil
	}
	// A panic would end the process and fail the whole batch with this event.
	defer func() {
		if r := recover(); r != nil {
			err = poison(event, to, fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	writes, err := p.Apply(ctx, event)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		return nil, poison(event, to, err)
	case len(writes) > maxWrites:
		return nil, poison(event, to, &WritesError{Writes: len(writes)})
	}
	type item struct{ pk, sk string }
	written := map[item]bool{}
	for _, write := range writes {
		action, err := write.on(p.Table, to.model)
		if err != nil {
			return nil, poison(event, to, err)
		}
		at := item{write.pk, write.sk}
		if written[at] {
			return nil, poison(event, to, fmt.Errorf("two writes to pk %q, sk %q; a transaction takes one, merge them", at.pk, at.sk))
		}
		written[at] = true
		actions = append(actions, action)
	}
	return actions, nil
}

// commit writes note and writes in one transaction if the note's condition
// holds, and otherwise returns the note that is there.
func (p *Projection) commit(ctx context.Context, to version, event eventlog.Event, note *types.Put, writes []types.TransactWriteItem) (map[string]types.AttributeValue, bool, error) {
	note.TableName = &p.Table
	note.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	input := &dynamodb.TransactWriteItemsInput{
		TransactItems: append([]types.TransactWriteItem{{Put: note}}, writes...),
	}
	for attempt := 0; ; attempt++ {
		_, err := p.DynamoDB.TransactWriteItems(ctx, input)
		if err == nil {
			return nil, true, nil
		}
		var refused smithy.APIError
		if errors.As(err, &refused) && refused.ErrorCode() == "ValidationException" {
			return p.judge(ctx, to, event, note, err)
		}
		var canceled *types.TransactionCanceledException
		if !errors.As(err, &canceled) || len(canceled.CancellationReasons) == 0 {
			return nil, false, fmt.Errorf("apply %s: %w", event.Position(), err)
		}
		if reason := canceled.CancellationReasons[0]; aws.ToString(reason.Code) == "ConditionalCheckFailed" {
			return reason.Item, false, nil
		}
		for _, reason := range canceled.CancellationReasons {
			if aws.ToString(reason.Code) == "ValidationError" || aws.ToString(reason.Code) == "ItemCollectionSizeLimitExceeded" {
				return p.judge(ctx, to, event, note, err)
			}
		}
		// What is left are collisions with other transactions and throttling.
		if backoff.Pause(ctx, attempt) != nil {
			return nil, false, fmt.Errorf("apply %s: %w", event.Position(), err)
		}
	}
}

// judge says who is to blame for writes that DynamoDB will not take. An update
// of an item that earlier events make is invalid while they are missing, and
// DynamoDB may say so before it looks at the note: such an event is not poison
// but early, or it was applied before.
func (p *Projection) judge(ctx context.Context, to version, event eventlog.Event, note *types.Put, err error) (map[string]types.AttributeValue, bool, error) {
	out, readErr := p.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:      &p.Table,
		Key:            map[string]types.AttributeValue{schema.PK: note.Item[schema.PK], schema.SK: note.Item[schema.SK]},
		ConsistentRead: aws.Bool(true),
	})
	if readErr != nil {
		return nil, false, fmt.Errorf("apply %s: %w", event.Position(), readErr)
	}
	refused := out.Item != nil
	if held, ok := note.ExpressionAttributeValues[":held"]; ok {
		refused = !reflect.DeepEqual(out.Item[schema.Version], held)
	}
	if refused {
		return out.Item, false, nil
	}
	return nil, false, poison(event, to, err)
}

// poison blames the event for an error.
func poison(event eventlog.Event, to version, err error) error {
	return &ApplyError{Position: event.Position(), Type: event.Type, Model: to.model, Err: err}
}

// unreadable blames an event that the store has, or a message, if it is at fault
// that it cannot be read.
func unreadable(to version, err error) error {
	if errors.Is(err, eventlog.ErrCodec) {
		return &ApplyError{Model: to.model, Err: err}
	}
	return err
}

func (p *Projection) model() readModel { return readModel{p.DynamoDB, p.Table} }

func (p *Projection) window() time.Duration {
	if p.Window > 0 {
		return p.Window
	}
	return 30 * 24 * time.Hour
}

func (p *Projection) logger() *slog.Logger {
	if p.Logger != nil {
		return p.Logger
	}
	return slog.Default()
}

func (p *Projection) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}
