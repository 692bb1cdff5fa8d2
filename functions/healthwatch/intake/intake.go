// Package intake takes readings in. It answers 202 once EventBridge has the
// reading, which then is in an archive of the jurisdiction, and 503 if that is
// not known: the client keeps the reading and sends it again under its id.
package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/functions/healthwatch/reading"
	"github.com/serverless-go/cdk/patterns/edge/ingest"
)

// Putter puts events on a bus; *ingest.Putter does.
type Putter interface {
	Put(ctx context.Context, events ...ingest.Event) error
}

// Service answers healthwatch.RouteTake. All fields but Now are required.
type Service struct {
	Putter Putter
	Plan   healthwatch.Plan
	Source string // healthwatch.Source or healthwatch.StandbySource
	Region string
	Now    func() time.Time // Default: time.Now
}

// FromEnv returns the handlers that the environment describes.
func FromEnv(cfg aws.Config) (lambda.Handler, error) {
	plan, err := healthwatch.ParsePlan(os.Getenv(healthwatch.EnvPlan))
	s := &Service{Plan: plan, Source: os.Getenv(healthwatch.EnvSource), Region: cfg.Region, Putter: &ingest.Putter{
		API: eventbridge.NewFromConfig(cfg), Bus: os.Getenv(healthwatch.EnvBus), EndpointID: os.Getenv(healthwatch.EnvEndpoint), Attempts: 3,
	}}
	if os.Getenv(healthwatch.EnvBus) == "" || s.Source == "" {
		err = errors.Join(err, fmt.Errorf("intake: %s and %s must be set", healthwatch.EnvBus, healthwatch.EnvSource))
	}
	if err != nil {
		return nil, err
	}
	return api.Guard(s.Mux(), healthwatch.Scopes())
}

// Mux returns the handlers.
func (s *Service) Mux() api.Mux { return api.Mux{healthwatch.RouteTake: s.take} }

// maxTime is for all attempts, less than the function's time-out: a client
// waits better than a function, which is paid for waiting.
const maxTime = 5 * time.Second

// accepted is the answer, the same when a reading is sent again.
type accepted struct {
	Reading string `json:"reading"`
}

func (s *Service) take(ctx context.Context, r *api.Request) (*api.Response, error) {
	var sent reading.Sent
	if err := api.Decode(r, &sent); err != nil {
		return nil, err
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	id, taken, err := reading.Take(sent, r.Caller, s.Region, s.Plan, now())
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(taken)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	if err := s.Putter.Put(ctx, ingest.Event{ID: id, Source: s.Source, Type: healthwatch.ReadingTaken, Data: data}); err != nil {
		slog.ErrorContext(ctx, "reading not taken", "reading", id, "error", cause(err))
		return nil, &api.Problem{Status: http.StatusServiceUnavailable, Header: map[string]string{"retry-after": "5"},
			Detail: "The reading is not known to be safe. Keep it, and send it again with the same id."}
	}
	return &api.Response{Status: http.StatusAccepted, Body: accepted{id}}, nil
}

// cause leaves out the event, whose data is personal.
func cause(err error) error {
	if rejected, ok := errors.AsType[*ingest.RejectedError](err); ok {
		return cmp.Or(rejected.Rejections[0].Err, err)
	}
	return err
}
