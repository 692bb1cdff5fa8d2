// Command receipt writes a receipt for each order that was paid.
package main

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

func main() { lambda.Start(receipt) }

func receipt(_ context.Context, body json.RawMessage) error {
	event, err := eventlog.Parse(body)
	if err != nil {
		return err
	}
	slog.Info("receipt", "order", event.Stream, "version", event.Version)
	return nil
}
