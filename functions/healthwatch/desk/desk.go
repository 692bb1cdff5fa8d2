// Package desk answers those who look after the localities: what was counted
// there, what the world has counted, and that somebody takes care of an alert.
package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	lambdaservice "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/functions/healthwatch/counts"
	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// MaxWindows is how many windows one request covers.
const MaxWindows = 7 * 24

// Service answers healthwatch.DeskRoutes. All fields but Now are required.
type Service struct {
	Counts      counts.Table
	World       counts.World
	Plan        healthwatch.Plan
	Lambda      Invoker
	Acknowledge string           // ARN of the function that acknowledges
	Now         func() time.Time // Default: time.Now
}

// Invoker is what is needed of Lambda; *lambdaservice.Client has it.
type Invoker interface {
	Invoke(context.Context, *lambdaservice.InvokeInput, ...func(*lambdaservice.Options)) (*lambdaservice.InvokeOutput, error)
}

// FromEnv returns the handlers that the environment describes.
func FromEnv(cfg aws.Config) (lambda.Handler, error) {
	plan, err := healthwatch.ParsePlan(os.Getenv(healthwatch.EnvPlan))
	db := dynamodb.NewFromConfig(cfg)
	s := &Service{
		Counts: counts.Table{DynamoDB: db, Name: os.Getenv(healthwatch.EnvCounts)},
		World:  counts.World{DynamoDB: db, Table: os.Getenv(healthwatch.EnvWorld), Region: cfg.Region},
		Plan:   plan, Lambda: lambdaservice.NewFromConfig(cfg), Acknowledge: os.Getenv(healthwatch.EnvAcknowledge),
	}
	if s.Counts.Name == "" || s.World.Table == "" || s.Acknowledge == "" {
		err = errors.Join(err, fmt.Errorf("desk: %s, %s and %s must be set", healthwatch.EnvCounts, healthwatch.EnvWorld, healthwatch.EnvAcknowledge))
	}
	if err != nil {
		return nil, err
	}
	return api.Guard(s.Mux(), healthwatch.Scopes())
}

// Mux returns the handlers.
func (s *Service) Mux() api.Mux {
	return api.Mux{healthwatch.RouteLocality: s.locality, healthwatch.RouteCounts: s.world, healthwatch.RouteAcknowledge: s.acknowledge}
}

func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// locality answers with the windows from ?from= to ?to=, both included; without
// them with those of the last day.
func (s *Service) locality(ctx context.Context, r *api.Request) (*api.Response, error) {
	code := r.PathParameters[healthwatch.LocalityParameter]
	if _, ok := s.Plan.Thresholds[code]; !ok {
		return nil, &api.Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("%q has no such locality.", s.Plan.Jurisdiction)}
	}
	to, err := window(r, "to", s.now())
	if err != nil {
		return nil, err
	}
	from, err := window(r, "from", to.Add(-23*healthwatch.Window))
	if err != nil {
		return nil, err
	}
	if n := to.Sub(from)/healthwatch.Window + 1; n < 1 || n > MaxWindows {
		return nil, &api.Problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("The windows are %d; 1 to %d are allowed.", n, MaxWindows)}
	}
	list, err := s.Counts.Locality(ctx, code, from, to)
	if err != nil {
		return nil, busy(err)
	}
	return &api.Response{Status: http.StatusOK, Body: map[string]any{"jurisdiction": s.Plan.Jurisdiction, "locality": code, "counts": list}}, nil
}

// world answers with what the world has counted in the window ?window=, without
// it in the current one.
func (s *Service) world(ctx context.Context, r *api.Request) (*api.Response, error) {
	start, err := window(r, "window", s.now())
	if err != nil {
		return nil, err
	}
	list, err := s.World.Window(ctx, start)
	if err != nil {
		return nil, busy(err)
	}
	return &api.Response{Status: http.StatusOK, Body: map[string]any{"window": start, "counts": list}}, nil
}

// window returns the start of the window that a parameter of the query is in.
func window(r *api.Request, parameter string, otherwise time.Time) (time.Time, error) {
	at := otherwise
	if given, ok := r.QueryStringParameters[parameter]; ok {
		var err error
		if at, err = time.Parse(time.RFC3339, given); err != nil {
			return at, &api.Problem{Status: http.StatusBadRequest,
				Detail: fmt.Sprintf("The parameter %s is %q; allowed is a time, such as 2026-11-28T05:00:00Z.", parameter, given)}
		}
	}
	return at.UTC().Truncate(healthwatch.Window), nil
}

// busy is the answer to an error of DynamoDB that may pass.
func busy(err error) error {
	var throttled interface{ ErrorCode() string }
	if errors.As(err, &throttled) {
		switch throttled.ErrorCode() {
		case "ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException", "InternalServerError":
			return &api.Problem{Status: http.StatusServiceUnavailable, Header: map[string]string{"retry-after": "1"},
				Detail: "The counts cannot be read at the moment. Send the request again."}
		}
	}
	return err
}

// acknowledge ends the escalation of an alert in the name of who calls.
func (s *Service) acknowledge(ctx context.Context, r *api.Request) (*api.Response, error) {
	var body struct {
		Alert string `json:"alert"`
	}
	if err := api.Decode(r, &body); err != nil {
		return nil, err
	}
	if body.Alert == "" || len(body.Alert) > 256 {
		return nil, &api.Problem{Status: http.StatusUnprocessableEntity, Detail: "The body has fields that are not allowed as they are.",
			Errors: []api.FieldError{api.Field("alert", "must be the id of an alert, from its message")}}
	}
	payload, err := json.Marshal(schema.Acknowledgement{Alert: body.Alert, By: r.Caller})
	if err != nil {
		return nil, err
	}
	out, err := s.Lambda.Invoke(ctx, &lambdaservice.InvokeInput{FunctionName: &s.Acknowledge, Payload: payload})
	if err != nil {
		return nil, err
	}
	if out.FunctionError != nil {
		var failed struct {
			ErrorMessage string `json:"errorMessage"`
		}
		_ = json.Unmarshal(out.Payload, &failed)
		if failed.ErrorMessage == schema.NoSuchAlert {
			return nil, &api.Problem{Status: http.StatusNotFound, Detail: "There is no such alert in this region."}
		}
		return nil, fmt.Errorf("desk: acknowledge: %s", failed.ErrorMessage)
	}
	var done schema.Acknowledged
	if err := json.Unmarshal(out.Payload, &done); err != nil {
		return nil, err
	}
	return &api.Response{Status: http.StatusOK, Body: done}, nil
}
