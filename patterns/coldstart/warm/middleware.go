package warm

import (
	"context"
	"encoding/json"
	"os"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/serverless-go/cdk/patterns/coldstart/schema"
)

// Middleware returns a handler that answers pings itself and hands all other
// events to next, unchanged and with the same context.
//
// Make next with lambda.NewHandler, and give options to lambda.StartWithOptions.
// A handler that streams its response must not be wrapped: a lambda.Handler
// returns its response whole.
func Middleware(next lambda.Handler) lambda.Handler {
	// An environment that Lambda prepares ahead of time is never cold.
	kind := os.Getenv("AWS_LAMBDA_INITIALIZATION_TYPE")
	return &middleware{next: next, prepared: kind != "" && kind != "on-demand"}
}

type middleware struct {
	next        lambda.Handler
	prepared    bool
	invocations atomic.Int64
}

// Invoke answers a ping or calls the next handler.
func (m *middleware) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	n := m.invocations.Add(1)
	ping, ok := schema.ParsePing(payload)
	if !ok {
		return m.next.Invoke(ctx, payload)
	}
	hold(ctx, ping.HoldTime())
	return json.Marshal(schema.Pong{
		Instance:   lambdacontext.LogStreamName,
		Cold:       n == 1 && !m.prepared,
		Invocation: n,
	})
}

// margin is kept before the deadline to send the answer.
const margin = 100 * time.Millisecond

// hold keeps the environment busy, but not beyond the invocation's deadline:
// a ping that times out would count as an error and end the environment.
func hold(ctx context.Context, d time.Duration) {
	if deadline, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(deadline)-margin)
	}
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
