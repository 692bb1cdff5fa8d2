package eventlog

import (
	"context"
	"crypto/sha256"
	"fmt"
)

// cause is what a context tells about the events appended under it.
type cause struct {
	causation, correlation, origin string
	hops                           int
}

type causeKey struct{}

func causeOf(ctx context.Context) cause {
	c, _ := ctx.Value(causeKey{}).(cause)
	return c
}

// WithCommand returns a context for handling the command with the id: what the
// client sent as idempotency key, or the id of a request or message. Events
// appended under it have the id as Causation, and as Correlation unless one is
// set.
//
// Their own ids derive from the command's, the stream and the expected version.
// A handler that is invoked again with the same command therefore brings the
// same ids, and an Append that took place the first time returns the events
// recorded then. That does not hold for an Append that expects Any.
func WithCommand(ctx context.Context, id string) context.Context {
	c := cause{causation: id, correlation: causeOf(ctx).correlation}
	if c.correlation == "" {
		c.correlation = id
	}
	return context.WithValue(ctx, causeKey{}, c)
}

// WithCause returns a context for reacting to an event. Events appended under
// it have the event's id as Causation, its Correlation, one more of its Hops,
// and origin, the reaction's name, as Origin. Their ids derive from the event's
// as with WithCommand, so that an event delivered twice is reacted to once.
func WithCause(ctx context.Context, event Event, origin string) context.Context {
	return context.WithValue(ctx, causeKey{}, cause{
		causation: event.ID, correlation: event.Correlation, origin: origin, hops: event.Hops + 1,
	})
}

// WithCorrelation returns a context under which events are appended with the
// correlation id.
func WithCorrelation(ctx context.Context, id string) context.Context {
	c := causeOf(ctx)
	c.correlation = id
	return context.WithValue(ctx, causeKey{}, c)
}

// id returns the id of the i-th event that the cause appends to the stream
// behind a version: a UUID of version 8 (RFC 9562), which is a hash here.
func (c cause) id(stream string, version int64, i int, eventType string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %d %d %q", c.causation, c.origin, stream, version, i, eventType)
	return uuid(8, [16]byte(h.Sum(nil)))
}
