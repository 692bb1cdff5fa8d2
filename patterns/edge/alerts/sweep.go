package alerts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/serverless-go/cdk/patterns/edge/alerts/rules"
	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// workers is how many items a sweep works on at a time.
const workers = 8

// Sweep does what is due. One item's failure does not keep the others waiting;
// the error joins all of them, so that the function's alarm sees it.
func (h *Handler) Sweep(ctx context.Context) error {
	pages := dynamodb.NewQueryPaginator(h.DynamoDB, &dynamodb.QueryInput{
		TableName: &h.Table, IndexName: aws.String(schema.OutboxIndex),
		KeyConditionExpression:    aws.String(schema.AlertOutbox + " = :open AND " + schema.AlertDue + " <= :now"),
		ExpressionAttributeValues: values{":open": text(schema.OutboxOpen), ":now": millis(h.now())},
		Limit:                     aws.Int32(500),
	})
	var failures []error
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return errors.Join(append(failures, err)...)
		}
		var due []item
		if err := attributevalue.UnmarshalListOfMaps(page.Items, &due); err != nil {
			return errors.Join(append(failures, err)...)
		}
		failures = append(failures, h.work(ctx, due)...)
		// A step that is begun shall end: the next tick takes the rest.
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < 20*time.Second {
			break
		}
	}
	return errors.Join(failures...)
}

// work does each item's step, some at a time.
func (h *Handler) work(ctx context.Context, due []item) []error {
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		failures []error
		slots    = make(chan struct{}, workers)
	)
	for _, i := range due {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			step := h.notify
			if i.Sort == schema.CountItem {
				step = h.report
			}
			if err := step(ctx, i.ID); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, fmt.Errorf("%s of %s: %w", i.Sort, i.ID, err))
			}
		})
	}
	wg.Wait()
	return failures
}

// notify does an alert's next step, if it is due: it tells the channels of the
// level, or gives up after the last one.
func (h *Handler) notify(ctx context.Context, id string) error {
	err := h.step(ctx, id)
	if errors.Is(err, errChanged) {
		return nil // acknowledged, made urgent, or in another's hands
	}
	return err
}

func (h *Handler) step(ctx context.Context, id string) error {
	t, now := h.table(), h.now()
	a, err := t.get(ctx, id, schema.AlertItem)
	if err != nil || a == nil || a.Due == 0 || a.Due > now.UnixMilli() {
		return err
	}
	if a.Level < len(h.Levels) && !a.Urgent {
		// The rules may have changed since it was put there, and a tick can be
		// late.
		held, err := h.Rules.Hold(a.Locality, now)
		if err == nil && held.After(now) {
			return t.revise(ctx, a, "due = :due", values{":due": millis(held)})
		}
	}
	if a.Since == 0 {
		a.Since = now.UnixMilli()
	}
	a.Attempts++
	if err := t.revise(ctx, a, "due = :due, since = :since, attempts = :attempts", values{
		":due": millis(now.Add(lease)), ":since": number(a.Since), ":attempts": number(a.Attempts)}); err != nil {
		return err
	}
	if a.Level >= len(h.Levels) || a.Level >= len(h.Rules.Waits) {
		return h.giveUp(ctx, a, "nobody acknowledged it at the last level")
	}
	n, err := h.notice(ctx, a)
	if err != nil {
		return err
	}
	if n == nil {
		return h.giveUp(ctx, a, "the rules have no words for it any more")
	}
	failure := h.send(ctx, a, n)
	if errors.Is(failure, errChanged) {
		return failure
	}
	return errors.Join(failure, h.goOn(ctx, a, failure != nil))
}

// notice writes what the channels are told; nil if the rules do not know the
// alert any more.
func (h *Handler) notice(ctx context.Context, a *item) (*Notice, error) {
	count, err := h.count(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	start := time.Unix(a.Start, 0).UTC()
	words, err := h.Rules.Message(rules.Alert{ID: a.ID, Locality: a.Locality, Kind: a.Kind, Start: start, Count: count, Level: a.Level + 1})
	if err != nil {
		slog.ErrorContext(ctx, "alert without words", "alert", a.ID, "error", err)
		return nil, nil
	}
	return &Notice{Alert: a.ID, Jurisdiction: h.Rules.Jurisdiction, Locality: a.Locality, Kind: a.Kind, WindowStart: start,
		Urgent: a.Urgent, Level: a.Level + 1, Count: count, Message: words}, nil
}

// send tells the channels of the level that have not been told, and notes each.
func (h *Handler) send(ctx context.Context, a *item, n *Notice) error {
	var failures []error
	for _, c := range h.Levels[a.Level] {
		if slices.Contains(a.Sent, c.Name()) {
			continue
		}
		if err := c.Send(ctx, n); err != nil {
			failures = append(failures, fmt.Errorf("%s at level %d: %w", c.Name(), n.Level, err))
			continue
		}
		err := h.table().update(ctx, a.ID, a.Sort, "ADD sent :channel", "revision = :revision", values{
			":channel": &types.AttributeValueMemberSS{Value: []string{c.Name()}}, ":revision": number(a.Revision)})
		if err != nil {
			return err
		}
	}
	return errors.Join(failures...)
}

// goOn says when the alert's next step is. Channels that failed are tried
// again, at growing intervals, until the level's time is over: one that is
// broken does not stop the escalation.
func (h *Handler) goOn(ctx context.Context, a *item, failed bool) error {
	now := h.now()
	end := time.UnixMilli(a.Since).Add(h.Rules.Waits[a.Level])
	if failed && now.Before(end) {
		again := now.Add(min(15*time.Second<<min(a.Attempts, 10), 15*time.Minute))
		if again.After(end) {
			again = end
		}
		return h.table().revise(ctx, a, "due = :due", values{":due": millis(again)})
	}
	if end.Before(now) {
		end = now
	}
	if !a.Urgent && a.Level+1 < len(h.Levels) {
		held, err := h.Rules.Hold(a.Locality, end)
		if err != nil {
			return err
		}
		end = held
	}
	return h.table().revise(ctx, a, "due = :due, #level = :level, attempts = :zero REMOVE since, sent",
		values{":due": millis(end), ":level": number(a.Level + 1), ":zero": number(0)})
}

// giveUp ends an alert that nobody took, and says so on the jurisdiction's bus
// and in the log, where the construct's alarm counts it.
func (h *Handler) giveUp(ctx context.Context, a *item, why string) error {
	err := h.put(ctx, h.Bus, schema.AlertUnacknowledgedType, map[string]any{
		"alert": a.ID, "jurisdiction": h.Rules.Jurisdiction, "locality": a.Locality, "kind": a.Kind, "urgent": a.Urgent, "reason": why})
	if err != nil {
		return err
	}
	err = h.table().revise(ctx, a, "#state = :state, #ttl = :ttl REMOVE outbox, due",
		values{":state": text(stateUnacknowledged), ":ttl": expiry(h.now())})
	if err == nil {
		slog.ErrorContext(ctx, schema.AlertUnacknowledgedMessage, "alert", a.ID, "reason", why,
			schema.AlertFunctionField, os.Getenv("AWS_LAMBDA_FUNCTION_NAME"))
	}
	return err
}

// report puts the count of a window on the bus of the counts.
func (h *Handler) report(ctx context.Context, id string) error {
	t := h.table()
	c, err := t.get(ctx, id, schema.CountItem)
	if err != nil || c == nil || c.Due == 0 || c.Due > h.now().UnixMilli() {
		return err
	}
	count, err := h.count(ctx, id)
	if err != nil {
		return err
	}
	if h.Counts != "" {
		if err := h.put(ctx, h.Counts, schema.AlertCountType, schema.AlertCount{
			Jurisdiction: h.Rules.Jurisdiction, Locality: c.Locality, Kind: c.Kind,
			WindowStart:   time.Unix(c.Start, 0).UTC().Format(time.RFC3339),
			WindowSeconds: int(h.Rules.Window.Seconds()), Count: count,
		}); err != nil {
			return err
		}
	}
	err = t.revise(ctx, c, "#ttl = :ttl REMOVE outbox, due", values{":ttl": expiry(h.now())})
	if errors.Is(err, errChanged) {
		return nil // a reading came in between: the next tick reports again
	}
	return err
}

// count returns how many readings a window has.
func (h *Handler) count(ctx context.Context, id string) (int, error) {
	pages := dynamodb.NewQueryPaginator(h.DynamoDB, &dynamodb.QueryInput{
		TableName: &h.Table, ConsistentRead: aws.Bool(true), Select: types.SelectCount,
		KeyConditionExpression:    aws.String(schema.AlertPK + " = :id AND begins_with(" + schema.AlertSK + ", :reading)"),
		ExpressionAttributeValues: values{":id": text(id), ":reading": text(schema.ReadingPrefix)},
	})
	total := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		total += int(page.Count)
	}
	return total, nil
}

// put puts one event on a bus.
func (h *Handler) put(ctx context.Context, bus, kind string, detail any) error {
	data, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	out, err := h.Events.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{
		EventBusName: &bus, Source: aws.String(schema.AlertSource), DetailType: &kind, Detail: aws.String(string(data))}}})
	if err != nil {
		return err
	}
	// PutEvents succeeds even if the bus took nothing.
	if out.FailedEntryCount > 0 && len(out.Entries) > 0 {
		return fmt.Errorf("alerts: the bus refused the event: %s: %s", aws.ToString(out.Entries[0].ErrorCode), aws.ToString(out.Entries[0].ErrorMessage))
	}
	return nil
}
