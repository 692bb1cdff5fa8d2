// Package apply records each reading in the event store of its region, and
// counts it once, however often and in whatever order the bus delivers it.
//
// The event is appended first: it has the reading's id, by which the store
// knows it again. Then one transaction counts the reading and marks it as
// counted. A crash between the two has the message come back, find its event and
// count it.
package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/functions/healthwatch/counts"
	"github.com/serverless-go/cdk/functions/healthwatch/reading"
	"github.com/serverless-go/cdk/patterns/edge/ingest"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

// Log is what is needed of the event store; *eventlog.Log has it.
type Log interface {
	Append(ctx context.Context, stream string, expected int64, events ...eventlog.Event) ([]eventlog.Event, error)
}

// Handler takes batches of the queue. All fields are required.
type Handler struct {
	Log    Log
	Claims ingest.Claims[ingest.Effect]
	Counts counts.Table
	Plan   healthwatch.Plan
	Region string
}

// FromEnv returns the handler that the environment describes.
func FromEnv(cfg aws.Config) (*Handler, error) {
	log, err := eventlog.FromEnv(cfg, reading.Registry())
	claims, noClaims := ingest.ClaimsFromEnv(cfg)
	plan, noPlan := healthwatch.ParsePlan(os.Getenv(healthwatch.EnvPlan))
	if err = errors.Join(err, noClaims, noPlan); err == nil && os.Getenv(healthwatch.EnvCounts) == "" {
		err = fmt.Errorf("apply: %s must be set", healthwatch.EnvCounts)
	}
	return &Handler{
		Log: log, Claims: claims, Plan: plan, Region: cfg.Region,
		Counts: counts.Table{DynamoDB: dynamodb.NewFromConfig(cfg), Name: os.Getenv(healthwatch.EnvCounts)},
	}, err
}

// Invoke handles a batch and returns the messages that failed, which come back.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in events.SQSEvent
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, err
	}
	out := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	// Copies of a reading follow one another, or they would find each other's
	// claim and wait for the next delivery.
	copies := map[string][]message{}
	for _, m := range in.Records {
		parsed := parse(m)
		copies[parsed.event] = append(copies[parsed.event], parsed)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, group := range copies {
		wg.Go(func() {
			for _, m := range group {
				if err := h.apply(ctx, m); err != nil {
					slog.ErrorContext(ctx, "reading not applied", "message", m.id, "error", err)
					mu.Lock()
					out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.id})
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return json.Marshal(out)
}

// message is a message of the queue, whose body is an event of the bus.
type message struct {
	id, event string // of the message; of the event's own
	detail    json.RawMessage
}

func parse(m events.SQSMessage) message {
	var body struct {
		Detail json.RawMessage `json:"detail"`
	}
	var detail struct {
		ID string `json:"id"`
	}
	// What is no event fails later, by itself.
	if json.Unmarshal([]byte(m.Body), &body) != nil || json.Unmarshal(body.Detail, &detail) != nil || detail.ID == "" {
		detail.ID = m.MessageId
	}
	return message{m.MessageId, detail.ID, body.Detail}
}

func (h *Handler) apply(ctx context.Context, m message) error {
	if len(m.detail) == 0 {
		return errors.New("not an event")
	}
	return ingest.Consume(ctx, h.Claims, m.detail, h.record)
}

// record appends the reading's event, and returns how it is counted.
func (h *Handler) record(ctx context.Context, m ingest.Message) (ingest.Effect, error) {
	var taken reading.Taken
	if json.Unmarshal(m.Data, &taken) != nil || !api.IsDigest(m.ID) {
		return nil, errors.New("not a reading")
	}
	if _, ok := h.Plan.Thresholds[taken.Locality]; !ok || !slices.Contains(h.Plan.Kinds, taken.Kind) {
		return nil, errors.New("a reading of another jurisdiction, or of an unknown locality or kind")
	}
	appended, err := h.append(ctx, m.ID, taken)
	if errors.Is(err, eventlog.ErrForgotten) {
		// The person was forgotten meanwhile. The reading counts, and is nobody's.
		taken.Person, taken.Contact = reading.Nobody, ""
		appended, err = h.append(ctx, m.ID, taken)
	}
	if err != nil {
		return nil, err
	}
	// A client may have sent another reading under the same id: the first is it.
	if recorded, ok := appended[0].Payload.(reading.Taken); ok {
		taken = recorded
	}
	key := counts.KeyOf(taken.Locality, taken.Kind, taken.TakenAt)
	return []types.TransactWriteItem{h.Counts.Add(key, m.ID, taken.Region == h.Region)}, nil
}

func (h *Handler) append(ctx context.Context, id string, taken reading.Taken) ([]eventlog.Event, error) {
	event := eventlog.Of(taken)
	event.ID = id
	return h.Log.Append(ctx, reading.Stream(id), eventlog.NoStream, event)
}
