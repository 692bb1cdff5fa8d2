// Package command answers the commands of the carts API. A command loads the
// cart, decides and appends; when another command was faster it decides again.
//
// A caller has access to own carts only. Somebody else's cart is answered like
// one that does not exist, so that nobody can find out which ids do.
package command

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/flashsale"
	"github.com/serverless-go/cdk/functions/flashsale/cart"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

// FromEnv returns the handlers over the event store that the environment names.
func FromEnv(cfg aws.Config) (lambda.Handler, error) {
	log, err := eventlog.FromEnv(cfg, cart.Registry())
	if err != nil {
		return nil, err
	}
	return api.Guard(New(log), flashsale.Scopes())
}

// New returns the handlers of flashsale.CommandRoutes. The log must have been
// made with cart.Registry; it needs GrantAppend and GrantRead on the store.
func New(log *eventlog.Log) api.Mux {
	s := &service{eventlog.Aggregate[cart.Cart]{Log: log, Apply: cart.Apply}}
	return api.Mux{
		flashsale.RouteOpen:     s.open,
		flashsale.RouteAdd:      s.add,
		flashsale.RouteCheckOut: s.checkOut,
		flashsale.RouteAbandon:  s.abandon,
	}
}

type service struct{ carts eventlog.Aggregate[cart.Cart] }

// The limits of a command's work. Who hits them is told to come again; a client
// waits better than a function, which is paid for waiting.
const (
	maxTries = 8               // decisions, all but the last overtaken by another command
	maxTime  = 5 * time.Second // for all of it, less than the function's time-out
)

// accepted is the answer to a command, the same when it is sent again. The
// cart as it is since can be read once its version there is as high.
type accepted struct {
	Cart    string `json:"cart"`
	Version int64  `json:"version"` // of the event that the command led to
}

func (s *service) open(ctx context.Context, r *api.Request) (*api.Response, error) {
	var body struct {
		Email string `json:"email"`
	}
	if err := api.Decode(r, &body); err != nil {
		return nil, err
	}
	k, err := keyOf(r)
	if err != nil {
		return nil, err
	}
	answer, err := s.obey(ctx, r, k, k.id, func(c cart.Cart) (any, error) { return c.Open(r.Caller, body.Email) })
	if err != nil {
		return nil, err
	}
	return &api.Response{Status: http.StatusCreated, Header: map[string]string{"location": "/carts/" + k.id}, Body: answer}, nil
}

func (s *service) add(ctx context.Context, r *api.Request) (*api.Response, error) {
	var line cart.Line
	if err := api.Decode(r, &line); err != nil {
		return nil, err
	}
	return s.change(ctx, r, func(c cart.Cart) (any, error) { return c.Add(line) })
}

func (s *service) checkOut(ctx context.Context, r *api.Request) (*api.Response, error) {
	if err := api.Decode(r, &struct{}{}); err != nil {
		return nil, err
	}
	return s.change(ctx, r, func(c cart.Cart) (any, error) { return c.CheckOut() })
}

func (s *service) abandon(ctx context.Context, r *api.Request) (*api.Response, error) {
	if err := api.Decode(r, &struct{}{}); err != nil {
		return nil, err
	}
	return s.change(ctx, r, func(c cart.Cart) (any, error) { return c.Abandon() })
}

// change obeys a command to the cart in the request's path.
func (s *service) change(ctx context.Context, r *api.Request, decide func(cart.Cart) (any, error)) (*api.Response, error) {
	k, err := keyOf(r)
	if err != nil {
		return nil, err
	}
	id := r.PathParameters[flashsale.CartParameter]
	if !api.IsDigest(id) {
		return nil, notFound
	}
	answer, err := s.obey(ctx, r, k, id, decide)
	if err != nil {
		return nil, err
	}
	return &api.Response{Status: http.StatusOK, Body: answer}, nil
}

// obey appends what decide decides, unless the cart has obeyed the command
// before.
func (s *service) obey(ctx context.Context, r *api.Request, k key, id string, decide func(cart.Cart) (any, error)) (*accepted, error) {
	ctx = eventlog.WithCorrelation(eventlog.WithCommand(ctx, k.command()), id)
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	answer, tries := &accepted{Cart: id}, 0
	appended, err := s.carts.Update(ctx, cart.Stream(id), func(c cart.Cart) ([]eventlog.Event, error) {
		exists := c.State != ""
		if exists && c.Customer != r.Caller || !exists && r.RouteKey != flashsale.RouteOpen {
			return nil, notFound
		}
		var err error
		if answer.Version, err = k.obeyed(c.Commands); answer.Version > 0 || err != nil {
			return nil, err
		}
		if tries++; tries > maxTries {
			return nil, eventlog.ErrConflict
		}
		event, err := decide(c)
		if err != nil {
			return nil, err
		}
		return []eventlog.Event{eventlog.Of(event)}, nil
	})
	if err != nil {
		return nil, problem(err)
	}
	if len(appended) > 0 {
		answer.Version = appended[0].Version
	}
	return answer, nil
}

var notFound = &api.Problem{Status: http.StatusNotFound, Detail: "You have no such cart."}

// problem returns the answer to an error that a client can do something about,
// and any other error as it is.
func problem(err error) error {
	var (
		invalid *cart.InvalidError
		refused *cart.RefusedError
	)
	again := map[string]string{"retry-after": "1"}
	switch {
	case errors.As(err, &invalid):
		p := &api.Problem{Status: http.StatusUnprocessableEntity, Detail: "The body has fields that are not allowed as they are."}
		for _, field := range invalid.Fields {
			p.Errors = append(p.Errors, api.Field(field.Name, field.Want))
		}
		return p
	case errors.As(err, &refused):
		return &api.Problem{Type: api.ProblemType(string(refused.Rule)), Status: http.StatusConflict, Detail: refused.Detail}
	case errors.Is(err, eventlog.ErrConflict):
		return &api.Problem{Type: api.ProblemType("busy"), Status: http.StatusConflict, Header: again,
			Detail: "Others are changing the cart at the same time. Send the request again, with the same Idempotency-Key."}
	case errors.Is(err, eventlog.ErrThrottled), errors.Is(err, context.DeadlineExceeded):
		return &api.Problem{Status: http.StatusServiceUnavailable, Header: again,
			Detail: "The store did not answer in time. Send the request again, with the same Idempotency-Key."}
	case errors.Is(err, eventlog.ErrForgotten):
		return &api.Problem{Type: api.ProblemType("forgotten"), Status: http.StatusConflict,
			Detail: "Your personal data was erased; no cart can be opened in your name any more."}
	}
	return err
}
