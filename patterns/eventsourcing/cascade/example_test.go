package cascade_test

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/patterns/eventsourcing/cascade"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

// OfferMade is an event's payload.
type OfferMade struct{ Percent int }

// A remediation's function: an offer for each abandoned cart, as far as the
// budget goes.
func Example() {
	var cfg aws.Config // config.LoadDefaultConfig(ctx)
	store, err := eventlog.FromEnv(cfg, eventlog.NewRegistry(eventlog.Type[OfferMade]("OfferMade", 1)))
	if err != nil {
		log.Fatal(err)
	}
	guard, err := cascade.FromEnv(cfg)
	if err != nil {
		log.Fatal(err)
	}
	abandoned := func(context.Context) ([]string, error) { return nil, nil } // asks a read model
	lambda.Start(func(ctx context.Context, event json.RawMessage) error {
		alarm, err := cascade.ParseAlarm(event)
		if err != nil || !alarm.Firing() {
			return err
		}
		carts, err := abandoned(ctx)
		if err != nil {
			return err
		}
		for _, cart := range carts {
			err := guard.Do(ctx, alarm.Cause(), cart, func(ctx context.Context) error {
				_, err := store.Append(ctx, "offer/"+cart, eventlog.NoStream, eventlog.Of(OfferMade{Percent: 10}))
				if errors.Is(err, eventlog.ErrConflict) {
					return nil // the cart has had its offer
				}
				return err
			})
			if cascade.Refused(err) {
				slog.InfoContext(ctx, "no offer", "cart", cart, "reason", err)
				continue
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
