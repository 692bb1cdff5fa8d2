package projection_test

import (
	"context"
	"encoding/json"
	"log"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/projection"
)

// OrderPaid is an event's payload.
type OrderPaid struct {
	Customer string
	Cents    int64
}

// revenue keeps each day's revenue, and a list of each customer's orders.
func revenue(_ context.Context, event eventlog.Event) ([]projection.Write, error) {
	paid, ok := event.Payload.(OrderPaid)
	if !ok {
		return nil, nil
	}
	return []projection.Write{
		projection.Update("revenue", event.Time.Format(time.DateOnly), "ADD cents :cents, orders :one",
			projection.Values{":cents": paid.Cents, ":one": 1}),
		projection.Put("customer#"+paid.Customer, event.Stream, map[string]any{"cents": paid.Cents}),
	}, nil
}

// A projection's function.
func Example() {
	var cfg aws.Config // config.LoadDefaultConfig(ctx)
	store, err := eventlog.FromEnv(cfg, eventlog.NewRegistry(eventlog.Type[OrderPaid]("OrderPaid", 1)))
	if err != nil {
		log.Fatal(err)
	}
	totals, err := projection.FromEnv(cfg, store, revenue)
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(totals)
}

// A function that answers queries from the model.
func ExampleModel() {
	var cfg aws.Config // config.LoadDefaultConfig(ctx)
	model, err := projection.ModelFromEnv(cfg)
	if err != nil {
		log.Fatal(err)
	}
	type day struct {
		Date  string `dynamodbav:"sk" json:"date"`
		Cents int64  `dynamodbav:"cents" json:"cents"`
	}
	lambda.Start(func(ctx context.Context) ([]day, error) {
		var week []day
		for item, err := range model.Query(ctx, "revenue", projection.Range{Reverse: true, PageSize: 7}) {
			if err != nil {
				return nil, err
			}
			var d day
			if err := item.Decode(&d); err != nil {
				return nil, err
			}
			if week = append(week, d); len(week) == 7 {
				break
			}
		}
		return week, nil
	})
}

// A reaction that sends a mail for an event once.
func ExampleOnce() {
	var cfg aws.Config // config.LoadDefaultConfig(ctx)
	store, err := eventlog.FromEnv(cfg, eventlog.NewRegistry(eventlog.Type[OrderPaid]("OrderPaid", 1)))
	if err != nil {
		log.Fatal(err)
	}
	send := func(context.Context, OrderPaid) error { return nil }
	var once projection.Once // with DynamoDB and Table
	lambda.Start(func(ctx context.Context, body json.RawMessage) error {
		event, err := store.Decode(ctx, body)
		if err != nil {
			return err
		}
		paid, ok := event.Payload.(OrderPaid)
		if !ok || event.Replay != "" {
			return nil
		}
		return once.Do(ctx, "receipt/"+event.ID, func(ctx context.Context) error { return send(ctx, paid) })
	})
}
