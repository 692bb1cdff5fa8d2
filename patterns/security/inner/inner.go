// Package inner is the door of a function behind an opaque.Authorizer: it lets
// in only requests with an internal JWT that was made for this very function,
// and none that still carries what the client sent.
//
//	door, err := inner.New(&inner.Options{
//		Verifier: &token.Verifier{Issuer: issuer, Audience: "orders", Keys: token.NewRemoteKeys(jwks, nil)},
//		Routes:   map[string][]string{"GET /orders/{order}": {"orders:read"}},
//	})
//	lambda.Start(door.Middleware(handler))
//
// The handler finds the claims with Claims; its event has no token. Its context
// has the subject for an exchange.Client, so that each call of another function
// carries a token for exactly that one, which lets it in by a door with Hop.
package inner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/serverless-go/cdk/patterns/security/exchange"
	"github.com/serverless-go/cdk/patterns/security/internal/reference"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// Options say whom a Door lets in.
type Options struct {
	// Verifier verifies the tokens; its Audience is this function's name.
	// Required.
	Verifier *token.Verifier
	// Routes are the scopes that a caller's token must have, all of them, by
	// route key: "GET /orders/{order}". A route with none needs a valid token. A
	// route that is not here is open to nobody. Required.
	Routes map[string][]string
	// Hop is for a function that only our own functions call, over HTTP: the token
	// is then the bearer in Authorization (RFC 6750) and no authorizer's. The
	// clients' API must not lead to it.
	Hop bool
	// Internal are further names of headers that no client may send.
	Internal []string
	// Log takes a record of each refusal. Default: slog.Default().
	Log *slog.Logger
}

// Door lets requests in. It can be used by several goroutines.
type Door struct{ o Options }

// New returns a door.
func New(o *Options) (*Door, error) {
	if o == nil || o.Verifier == nil || o.Routes == nil {
		return nil, errors.New("inner: Verifier and Routes must be set")
	}
	return &Door{*o}, nil
}

// FromEnv returns a door with what the construct wrote into the function's
// environment: whose tokens it takes, its own name, and where the keys are.
func FromEnv(routes map[string][]string) (*Door, error) {
	issuer, audience, jwks := os.Getenv(schema.EnvInnerIssuer), os.Getenv(schema.EnvInnerAudience), os.Getenv(schema.EnvInnerJWKS)
	if issuer == "" || audience == "" || jwks == "" {
		return nil, fmt.Errorf("inner: %s, %s and %s must be set", schema.EnvInnerIssuer, schema.EnvInnerAudience, schema.EnvInnerJWKS)
	}
	return New(&Options{Verifier: &token.Verifier{Issuer: issuer, Audience: audience, Keys: token.NewRemoteKeys(jwks, nil)}, Routes: routes})
}

// Errors of Enter.
var (
	// ErrUnauthorized says that the request shows no valid token, or one too
	// many: status 401.
	ErrUnauthorized = errors.New("inner: no valid token")
	// ErrForbidden says that the token does not have the route's scopes: status
	// 403.
	ErrForbidden = errors.New("inner: the token does not allow this")
	// ErrUnavailable says that the token could not be verified: status 503.
	ErrUnavailable = errors.New("inner: the token cannot be verified now")
)

type contextKey struct{}

type caller struct {
	claims *token.Claims
	raw    string
}

// Claims returns what the caller's token says. It returns nil outside of a
// Door; a handler that runs there has no caller.
func Claims(ctx context.Context) *token.Claims {
	c, _ := ctx.Value(contextKey{}).(caller)
	return c.claims
}

// Token returns the caller's token itself, to exchange it against one for the
// next function. Never log it and never pass it on: it is for this function.
func Token(ctx context.Context) string {
	c, _ := ctx.Value(contextKey{}).(caller)
	return c.raw
}

// Enter returns a context with the caller of an HTTP API's event. The error
// wraps one of those above.
func (d *Door) Enter(ctx context.Context, in events.APIGatewayV2HTTPRequest) (context.Context, error) {
	headers, raw := in.Headers, ""
	if d.o.Hop {
		var err error
		if headers, raw, err = bearer(headers); err != nil {
			return nil, err
		}
	}
	c := reference.Carrier{Headers: headers, Cookies: in.Cookies, Path: in.RawPath, Query: in.RawQueryString,
		Decoded: reference.Decode(in.QueryStringParameters, in.PathParameters)}
	if why := c.Foreign(d.o.Internal); why != "" {
		return nil, fmt.Errorf("%w: the request brings %s", ErrUnauthorized, why)
	}
	if _, why := c.Reference(); why != reference.None {
		// The integration's parameter mapping should have removed it.
		return nil, fmt.Errorf("%w: the client's reference came through", ErrUnauthorized)
	}
	if a := in.RequestContext.Authorizer; a != nil {
		if a.JWT != nil || a.IAM != nil || d.o.Hop {
			return nil, fmt.Errorf("%w: another authorizer let the request in", ErrUnauthorized)
		}
		raw, _ = a.Lambda[schema.OpaqueToken].(string)
	}
	return d.EnterToken(ctx, raw, in.RouteKey)
}

// bearer returns the headers without Authorization, and the token in it.
func bearer(headers map[string]string) (rest map[string]string, raw string, err error) {
	rest = map[string]string{}
	n := 0
	for name, value := range headers {
		if !strings.EqualFold(name, "authorization") {
			rest[name] = value
			continue
		}
		scheme, credentials, _ := strings.Cut(value, " ")
		if strings.EqualFold(scheme, "bearer") {
			raw = credentials
		}
		n++
	}
	if n > 1 {
		return nil, "", fmt.Errorf("%w: there are two", ErrUnauthorized)
	}
	return rest, raw, nil
}

// EnterToken returns a context with the caller whose token came in another way
// than an HTTP API's event. route names what is called, as in Routes.
func (d *Door) EnterToken(ctx context.Context, raw, route string) (context.Context, error) {
	if raw == "" {
		return nil, fmt.Errorf("%w: there is none", ErrUnauthorized)
	}
	claims, err := d.o.Verifier.Verify(ctx, raw)
	switch {
	case errors.Is(err, token.ErrInvalid):
		return nil, fmt.Errorf("%w: %w", ErrUnauthorized, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case len(claims.Audience) != 1:
		return nil, fmt.Errorf("%w: it is for others, too", ErrUnauthorized)
	}
	scopes, ok := d.o.Routes[route]
	if !ok {
		return nil, fmt.Errorf("%w: the route is not known", ErrForbidden)
	}
	for _, s := range scopes {
		if !slices.Contains(claims.Scope, s) {
			return nil, fmt.Errorf("%w: it lacks a scope of the route", ErrForbidden)
		}
	}
	return exchange.WithSubject(context.WithValue(ctx, contextKey{}, caller{claims, raw}), raw), nil
}

// Middleware lets the handler answer only those whom the door lets in; others
// get an answer with a problem (RFC 9457). The event that the handler gets has
// no token in it.
func (d *Door) Middleware(next lambda.Handler) lambda.Handler { return &middleware{d, next} }

type middleware struct {
	door *Door
	next lambda.Handler
}

func (m *middleware) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, errors.New("inner: the event is not an HTTP API's") // its own words would quote the event
	}
	entered, err := m.door.Enter(ctx, in)
	if err != nil {
		return m.door.refuse(ctx, &in, err)
	}
	stripped, err := m.door.strip(payload)
	if err != nil {
		return nil, errors.New("inner: the event cannot be written")
	}
	return m.next.Invoke(entered, stripped)
}

// strip takes the token off an event.
func (d *Door) strip(payload []byte) ([]byte, error) {
	if !d.o.Hop {
		return without(payload, "requestContext", "authorizer", "lambda", schema.OpaqueToken)
	}
	return without(payload, "headers", "authorization")
}

// without returns a JSON object without the member at the path. All else stays as
// it came, also what package events does not know.
func without(object []byte, path ...string) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, err
	}
	if len(path) == 1 {
		// Names of headers may come in any case.
		maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool { return strings.EqualFold(name, path[0]) })
	} else if inner, ok := members[path[0]]; ok {
		stripped, err := without(inner, path[1:]...)
		if err != nil {
			return nil, err
		}
		members[path[0]] = stripped
	}
	return json.Marshal(members)
}

func (d *Door) refuse(ctx context.Context, in *events.APIGatewayV2HTTPRequest, err error) ([]byte, error) {
	log := d.o.Log
	if log == nil {
		log = slog.Default()
	}
	message, level := schema.OpaqueRefusedMessage, slog.LevelInfo
	status, detail := http.StatusUnauthorized, "The request does not tell who calls."
	switch {
	case errors.Is(err, ErrForbidden):
		status, detail = http.StatusForbidden, "The caller may not do this."
	case errors.Is(err, ErrUnavailable):
		status, detail = http.StatusServiceUnavailable, "It cannot be told now who calls. Try again."
		message, level = schema.OpaqueUnavailableMessage, slog.LevelError
	}
	log.Log(ctx, level, message, "why", reference.Redact(err.Error()),
		"request", reference.Redact(in.RequestContext.RequestID), "route", reference.Redact(in.RouteKey))
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(status), status, detail})
	if err != nil {
		return nil, err
	}
	return json.Marshal(events.APIGatewayV2HTTPResponse{StatusCode: status, Body: string(body),
		Headers: map[string]string{"content-type": "application/problem+json", "cache-control": "no-store"}})
}
