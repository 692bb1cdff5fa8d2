package alerts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// group is what a batch brings to one alert.
type group struct {
	reading           // of which time is not used
	start   time.Time // of the window
	marks   map[string]bool
	from    []string // the messages
}

// take handles a batch. A message that fails comes back, alone, and ends among
// the dead letters if it cannot be understood.
func (h *Handler) take(ctx context.Context, messages []events.SQSMessage) events.SQSEventResponse {
	out := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	fail := func(err error, ids ...string) {
		for _, id := range ids {
			slog.ErrorContext(ctx, "reading not taken", "message", id, "error", err)
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: id})
		}
	}
	groups := map[string]*group{}
	for _, m := range messages {
		r, err := h.parse(m.Body)
		if err != nil {
			fail(err, m.MessageId)
			continue
		}
		start := h.Rules.WindowStart(r.time)
		id := alertID(r.locality, r.kind, start)
		g := groups[id]
		if g == nil {
			g = &group{reading: r, start: start, marks: map[string]bool{}}
			groups[id] = g
		}
		g.urgent = g.urgent || r.urgent
		g.marks[r.mark] = true
		g.from = append(g.from, m.MessageId)
	}
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		if err := h.record(ctx, id, groups[id]); err != nil {
			fail(err, groups[id].from...)
		}
	}
	return out
}

// record writes what a group brings. Every write can be repeated.
func (h *Handler) record(ctx context.Context, id string, g *group) error {
	if err := h.mark(ctx, id, g); err != nil {
		return err
	}
	if err := h.arm(ctx, id, g); err != nil {
		return err
	}
	now := h.now()
	due, err := h.raise(ctx, id, g, now)
	if err != nil || due.IsZero() || due.After(now) {
		return err
	}
	// It is in the outbox already: what fails here is done by a tick.
	if err := h.notify(ctx, id); err != nil {
		slog.ErrorContext(ctx, "alert not sent yet", "alert", id, "error", err)
	}
	return nil
}

// mark writes a mark for each reading.
func (h *Handler) mark(ctx context.Context, id string, g *group) error {
	expires := expiry(g.start.Add(h.Rules.Window))
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(g.marks)), 25) {
		var writes []types.WriteRequest
		for _, mark := range chunk {
			item := key(id, schema.ReadingPrefix+mark)
			item[schema.AlertTTL] = expires
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
		}
		// DynamoDB may leave some out when it is busy.
		for attempt := 0; len(writes) > 0; attempt++ {
			if attempt == 5 {
				return fmt.Errorf("alerts: %d marks were left out", len(writes))
			}
			if attempt > 0 {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(25 * time.Millisecond << attempt):
				}
			}
			out, err := h.DynamoDB.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
				RequestItems: map[string][]types.WriteRequest{h.Table: writes}})
			if err != nil {
				return err
			}
			writes = out.UnprocessedItems[h.Table]
		}
	}
	return nil
}

// arm puts the report of the window's count into the outbox. The revision
// tells a report that is under way that it has missed a mark.
func (h *Handler) arm(ctx context.Context, id string, g *group) error {
	if h.Counts == "" {
		return nil
	}
	due := g.start.Add(h.Rules.Window)
	if now := h.now(); now.After(due) {
		due = now
	}
	return h.table().update(ctx, id, schema.CountItem,
		"SET outbox = :open, due = if_not_exists(due, :due), locality = :locality, kind = :kind, #start = :start ADD revision :one REMOVE #ttl", "",
		values{":open": text(schema.OutboxOpen), ":due": millis(due.Add(grace)), ":locality": text(g.locality),
			":kind": text(g.kind), ":start": number(g.start.Unix()), ":one": number(1)})
}

// raise makes the alert if there is none, and returns when it is due; the zero
// time if there is one already. An urgent reading makes an alert that is not
// urgent start anew, acknowledged or not: it is news.
func (h *Handler) raise(ctx context.Context, id string, g *group, now time.Time) (time.Time, error) {
	due := now
	if !g.urgent {
		var err error
		if due, err = h.Rules.Hold(g.locality, now); err != nil {
			return time.Time{}, err
		}
	}
	made, err := attributevalue.MarshalMap(item{
		ID: id, Sort: schema.AlertItem, Outbox: schema.OutboxOpen, Due: due.UnixMilli(), Locality: g.locality, Kind: g.kind,
		Start: g.start.Unix(), Revision: 1, State: stateOpen, Urgent: g.urgent,
	})
	if err != nil {
		return time.Time{}, err
	}
	_, err = h.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &h.Table, Item: made, ConditionExpression: aws.String("attribute_not_exists(" + schema.AlertPK + ")")})
	err = conditional(err)
	if !errors.Is(err, errChanged) {
		return due, err
	}
	if !g.urgent {
		return time.Time{}, nil
	}
	err = h.table().update(ctx, id, schema.AlertItem,
		"SET urgent = :true, outbox = :open, due = :due, #state = :state, #level = :zero, attempts = :zero ADD revision :one "+
			"REMOVE since, sent, acknowledgedBy, acknowledgedAt, #ttl", "urgent = :false",
		values{":true": flag(true), ":false": flag(false), ":open": text(schema.OutboxOpen), ":due": millis(due),
			":state": text(stateOpen), ":zero": number(0), ":one": number(1)})
	if errors.Is(err, errChanged) { // it was urgent before
		return time.Time{}, nil
	}
	return due, err
}
