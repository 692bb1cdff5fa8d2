// Package report tells the other regions what this one has counted.
package report

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/functions/healthwatch/counts"
)

// Handler takes batches of the stream of the counts. All fields are required.
type Handler struct {
	Counts counts.Table
	World  counts.World
	Plan   healthwatch.Plan
}

// FromEnv returns the handler that the environment describes.
func FromEnv(cfg aws.Config) (*Handler, error) {
	plan, err := healthwatch.ParsePlan(os.Getenv(healthwatch.EnvPlan))
	db := dynamodb.NewFromConfig(cfg)
	h := &Handler{
		Counts: counts.Table{DynamoDB: db, Name: os.Getenv(healthwatch.EnvCounts)},
		World:  counts.World{DynamoDB: db, Table: os.Getenv(healthwatch.EnvWorld), Region: cfg.Region}, Plan: plan,
	}
	if h.Counts.Name == "" || h.World.Table == "" {
		err = errors.Join(err, fmt.Errorf("report: %s and %s must be set", healthwatch.EnvCounts, healthwatch.EnvWorld))
	}
	return h, err
}

// Invoke reports the counts that a batch changed, as they are now. An error has
// the batch come again.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	keys, err := counts.Changed(payload)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, k := range keys {
		total, err := h.Counts.Total(ctx, k)
		if err == nil {
			err = h.World.Report(ctx, h.Plan.Jurisdiction, k, total.All)
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
