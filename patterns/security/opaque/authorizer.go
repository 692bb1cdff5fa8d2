package opaque

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/serverless-go/cdk/patterns/security/internal/reference"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// maxToken is the longest JWT that is handed on, in bytes. It travels in the
// context of the request, with everything else that API Gateway tells the
// function.
const maxToken = 6 << 10

// TokenIssuer makes the internal JWTs; *token.Issuer does.
type TokenIssuer interface {
	Token(context.Context, token.Request) (*token.Issued, error)
}

// Authorizer lets requests of an HTTP API in (payload format 2.0, simple
// responses). It takes the reference from its header, asks the source about it,
// and hands on a JWT for one audience.
//
// A request that brings any other credential, an internal header, or a reference
// in any other place is refused. If the source or KMS fails, Invoke returns an
// error: API Gateway then answers with status 500 and calls nobody.
type Authorizer struct {
	// Source knows the references. Required.
	Source Source
	// Issuer makes the JWTs. Required.
	Issuer TokenIssuer
	// Audience is whom a JWT is for, unless Audiences says otherwise for the
	// route, by its key: "GET /orders/{order}". Required.
	Audience  string
	Audiences map[string]string
	// Internal are further names of headers that no client may send.
	Internal []string
	// Function is the function's name, for the metrics that count log records.
	Function string
	// Log takes a record of each refusal and failure. Default: slog.Default().
	Log *slog.Logger
}

var refusal = events.APIGatewayV2CustomAuthorizerSimpleResponse{}

// Invoke answers API Gateway. It makes the Authorizer a handler for
// lambda.Start.
func (a *Authorizer) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in events.APIGatewayV2CustomAuthorizerV2Request
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, errors.New("opaque: the event is not an authorizer's") // its own words would quote the event
	}
	out, err := a.Authorize(ctx, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// Authorize answers one request. Whatever makes a reference refused, the answer
// is the same.
func (a *Authorizer) Authorize(ctx context.Context, in events.APIGatewayV2CustomAuthorizerV2Request) (events.APIGatewayV2CustomAuthorizerSimpleResponse, error) {
	if in.Version != "2.0" || in.Type != "REQUEST" {
		return refusal, errors.New("opaque: the event is not an authorizer's, of payload format 2.0")
	}
	c := reference.Carrier{Headers: in.Headers, Cookies: in.Cookies, Path: in.RawPath, Query: in.RawQueryString,
		Decoded: reference.Decode(in.QueryStringParameters, in.PathParameters)}
	if why := c.Foreign(a.Internal); why != "" {
		return a.refuse(ctx, in, why)
	}
	ref, why := c.Reference()
	if why != "" {
		return a.refuse(ctx, in, why)
	}
	if !a.Source.Accepts(ref) {
		return a.refuse(ctx, in, "a malformed reference")
	}
	if c.Mentions(ref) {
		return a.refuse(ctx, in, "the reference in another place, too")
	}
	grant, err := a.Source.Lookup(ctx, ref)
	if errors.Is(err, ErrRefused) {
		return a.refuse(ctx, in, "the reference is not live")
	}
	if err != nil {
		return a.fail(ctx, in, "look the reference up", err)
	}
	audience := cmp.Or(a.Audiences[in.RouteKey], a.Audience)
	if grant.Audience != nil && !slices.Contains(grant.Audience, audience) {
		return a.refuse(ctx, in, "the reference is for other audiences")
	}
	issued, err := a.Issuer.Token(ctx, token.Request{
		Private: provider(grant), Subject: grant.Subject, Tenant: grant.Tenant, ClientID: grant.Client, Audience: audience, Scope: grant.Scope,
		// Tokens of two references are never one, not even of one subject.
		Reference: reference.Hash(ref), NotAfter: grant.Expires,
	})
	if err != nil {
		return a.fail(ctx, in, "make the token", err)
	}
	if len(issued.Token) > maxToken {
		return a.fail(ctx, in, "make the token", fmt.Errorf("it has %d bytes, at most %d can be handed on", len(issued.Token), maxToken))
	}
	return events.APIGatewayV2CustomAuthorizerSimpleResponse{IsAuthorized: true, Context: map[string]any{schema.OpaqueToken: issued.Token}}, nil
}

// provider returns the claim that says who vouches for the subject.
func provider(g *Grant) map[string]json.RawMessage {
	if g.Provider == "" {
		return nil
	}
	name, _ := json.Marshal(g.Provider) // a string always marshals
	return map[string]json.RawMessage{schema.ProviderClaim: name}
}

// refuse answers that nobody gets in. The log says why; it has no name of a
// caller, no path and no part of a reference.
func (a *Authorizer) refuse(ctx context.Context, in events.APIGatewayV2CustomAuthorizerV2Request, why string) (events.APIGatewayV2CustomAuthorizerSimpleResponse, error) {
	a.log().InfoContext(ctx, schema.OpaqueRefusedMessage, schema.OpaqueFunctionField, a.Function, "why", why,
		"request", reference.Redact(in.RequestContext.RequestID), "route", reference.Redact(in.RouteKey))
	return refusal, nil
}

func (a *Authorizer) fail(ctx context.Context, in events.APIGatewayV2CustomAuthorizerV2Request, what string, err error) (events.APIGatewayV2CustomAuthorizerSimpleResponse, error) {
	cause := reference.Redact(err.Error())
	a.log().ErrorContext(ctx, schema.OpaqueUnavailableMessage, schema.OpaqueFunctionField, a.Function, "what", what, "error", cause,
		"request", reference.Redact(in.RequestContext.RequestID), "route", reference.Redact(in.RouteKey))
	// Lambda logs the error, too, and hands it to API Gateway.
	return refusal, fmt.Errorf("opaque: %s: %s", what, cause)
}

func (a *Authorizer) log() *slog.Logger {
	if a.Log != nil {
		return a.Log
	}
	return slog.Default()
}

// minLife is what a token handed out must have left at least: what is asked of
// it takes time, and API Gateway may keep it.
func minLife(life, kept time.Duration) time.Duration { return max(life/2, kept+life/4) }
