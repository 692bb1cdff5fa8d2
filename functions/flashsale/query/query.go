// Package query answers the reads of the carts API from the read models. They
// lag behind the commands, mostly by less than a second: a client that wants to
// see its own command compares versions.
package query

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/flashsale"
	"github.com/serverless-go/cdk/functions/flashsale/cartview"
	"github.com/serverless-go/cdk/functions/flashsale/totals"
	"github.com/serverless-go/cdk/patterns/eventsourcing/projection"
)

// MaxHours is how many hours one request for totals can cover.
const MaxHours = 24

// FromEnv returns the handlers over the read models that the environment names.
func FromEnv(cfg aws.Config) (lambda.Handler, error) {
	db := dynamodb.NewFromConfig(cfg)
	carts := &projection.Model{DynamoDB: db, Table: os.Getenv(flashsale.EnvCartView)}
	sale := &projection.Model{DynamoDB: db, Table: os.Getenv(flashsale.EnvTotals)}
	if carts.Table == "" || sale.Table == "" {
		return nil, fmt.Errorf("%s is %q, %s is %q; both must name the table of a read model",
			flashsale.EnvCartView, carts.Table, flashsale.EnvTotals, sale.Table)
	}
	return api.Guard(New(carts, sale), flashsale.Scopes())
}

// New returns the handlers of flashsale.QueryRoutes, which read the models of
// cartview and saletotals.
func New(carts, sale *projection.Model) api.Mux {
	s := &service{carts, sale, time.Now}
	return api.Mux{flashsale.RouteCart: s.cart, flashsale.RouteTotals: s.totals}
}

type service struct {
	carts, sale *projection.Model
	now         func() time.Time
}

// cart answers with a cart of the caller's, and not even with the existence of
// anybody else's.
func (s *service) cart(ctx context.Context, r *api.Request) (*api.Response, error) {
	notFound := &api.Problem{Status: http.StatusNotFound, Detail: "You have no such cart, or it was opened a moment ago."}
	id := r.PathParameters[flashsale.CartParameter]
	if !api.IsDigest(id) {
		return nil, notFound
	}
	found, ok, err := cartview.Get(ctx, s.carts, id)
	if err != nil {
		return nil, err
	}
	if !ok || found.Customer != r.Caller {
		return nil, notFound
	}
	return &api.Response{Status: http.StatusOK, Body: found}, nil
}

// totals answers with the hours from ?from= to ?to=, both included and written
// as "2026-08-01T10" in UTC; without them with the current hour.
func (s *service) totals(ctx context.Context, r *api.Request) (*api.Response, error) {
	if jwt := r.RequestContext.Authorizer.JWT; jwt != nil && !slices.Contains(strings.Fields(jwt.Claims["scope"]), flashsale.TotalsScope) {
		return nil, &api.Problem{Status: http.StatusForbidden, Detail: "The token lacks the scope " + flashsale.TotalsScope + "."}
	}
	from, err := hour(r, "from", s.now().UTC().Truncate(time.Hour))
	if err != nil {
		return nil, err
	}
	to, err := hour(r, "to", from)
	if err != nil {
		return nil, err
	}
	if hours := to.Sub(from)/time.Hour + 1; hours < 1 || hours > MaxHours {
		return nil, &api.Problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("The hours from %q to %q are %d; 1 to %d are allowed.",
			from.Format(hourLayout), to.Format(hourLayout), hours, MaxHours)}
	}
	view, err := s.sale.View(ctx)
	if err != nil {
		return nil, err
	}
	var body struct {
		Hours []totals.Hour `json:"hours"`
	}
	for ; !from.After(to); from = from.Add(time.Hour) {
		h, err := totals.Get(ctx, view, from)
		if err != nil {
			return nil, err
		}
		body.Hours = append(body.Hours, h)
	}
	return &api.Response{Status: http.StatusOK, Body: body}, nil
}

const hourLayout = "2006-01-02T15"

// hour returns the hour that a parameter of the query names.
func hour(r *api.Request, parameter string, otherwise time.Time) (time.Time, error) {
	text, ok := r.QueryStringParameters[parameter]
	if !ok {
		return otherwise, nil
	}
	at, err := time.Parse(hourLayout, text)
	if err != nil {
		return at, &api.Problem{Status: http.StatusBadRequest,
			Detail: fmt.Sprintf("The parameter %s is %q; allowed is an hour in UTC, such as 2026-08-01T10.", parameter, text)}
	}
	return at, nil
}
