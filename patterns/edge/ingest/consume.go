package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrBusy says that another consumer holds the event: let it be delivered again.
var ErrBusy = errors.New("ingest: another consumer holds the event")

// ErrFinished is what [Claims] answer for an event that was applied.
var ErrFinished = errors.New("ingest: the event was applied")

// Claims remember which events were applied. All consumers of both regions
// whose effects must not double share them.
type Claims[T any] interface {
	// Claim takes the event for a while and returns a token that no other claim
	// has. It fails with ErrFinished or, while another claim lasts, with ErrBusy.
	Claim(ctx context.Context, id string) (token string, err error)
	// Finish stores the effect and that the event is applied, in one
	// transaction, and fails with ErrBusy when the token is not the latest.
	Finish(ctx context.Context, id, token string, effect T) error
	// Release ends the claim with this token, if it is the latest.
	Release(ctx context.Context, id, token string) error
}

// Consume applies the event with this detail unless it was applied before. What
// apply returns takes effect only in Finish: a crash before that changes
// nothing, and the next delivery after the claim has run out applies the event.
// After an error of apply the next delivery need not wait. An error of Consume
// means that the event must be delivered again.
func Consume[T any](ctx context.Context, c Claims[T], detail json.RawMessage, apply func(context.Context, Message) (T, error)) error {
	var m Message
	if err := json.Unmarshal(detail, &m); err != nil {
		return fmt.Errorf("ingest: detail: %w", err)
	}
	if m.ID == "" {
		return errors.New("ingest: detail without id")
	}
	token, err := c.Claim(ctx, m.ID)
	if errors.Is(err, ErrFinished) {
		return nil
	}
	if err != nil {
		return err
	}
	effect, err := apply(ctx, m)
	if err != nil {
		return errors.Join(err, c.Release(ctx, m.ID, token))
	}
	return c.Finish(ctx, m.ID, token, effect)
}
