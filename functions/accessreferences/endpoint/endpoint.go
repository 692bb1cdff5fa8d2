// Package endpoint answers the requests of callers about their references: to
// issue, list and revoke them. Callers show a token of the identity provider,
// which the API's JWT authorizer has verified, or sign with AWS credentials; a
// reference does not let anybody in here.
package endpoint

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/patterns/security/opaque"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// Endpoint answers the requests about references.
type Endpoint struct {
	// Store keeps the references. Required.
	Store *opaque.Store
	// Scopes are what may be asked for, by audience. Required.
	Scopes map[string][]string
	// Life is how long a reference lives for which the caller does not say.
	// Required.
	Life time.Duration
	// Tenant is the claim of the caller's token that names the tenant. Default:
	// callers have none.
	Tenant string
}

// FromEnv returns the routes of an Endpoint with what the construct wrote into
// the environment.
func FromEnv(cfg aws.Config) (api.Mux, error) {
	store, err := opaque.StoreFromEnv(cfg)
	if err != nil {
		return nil, err
	}
	e := &Endpoint{Store: store, Tenant: os.Getenv(schema.EnvReferencesTenant)}
	if e.Life, err = time.ParseDuration(os.Getenv(schema.EnvReferencesLife)); err != nil {
		return nil, fmt.Errorf("endpoint: %s must be a duration", schema.EnvReferencesLife)
	}
	if json.Unmarshal([]byte(os.Getenv(schema.EnvOpaqueScopes)), &e.Scopes) != nil || len(e.Scopes) == 0 {
		return nil, fmt.Errorf("endpoint: %s must be a JSON object of audiences and their scopes", schema.EnvOpaqueScopes)
	}
	return e.Routes(), nil
}

// Routes are the routes with their handlers.
func (e *Endpoint) Routes() api.Mux {
	return api.Mux{
		schema.RouteIssue:     e.issue,
		schema.RouteList:      e.list,
		schema.RouteRevoke:    e.revoke,
		schema.RouteRevokeOne: e.revokeOne,
		schema.RouteRevokeAll: e.revokeAll,
	}
}

// asked is the body of a request for a new reference.
type asked struct {
	Audience  []string `json:"audience"`  // default: all
	Scope     *string  `json:"scope"`     // default: what the caller has, of what may be asked for
	ExpiresIn int64    `json:"expiresIn"` // seconds; default: Life
	Name      string   `json:"name"`      // for the list
	Client    string   `json:"client"`    // whom it is for
}

// shown is a reference in an answer.
type shown struct {
	ID        string   `json:"id"`
	Reference string   `json:"reference,omitempty"` // only when it is issued
	Name      string   `json:"name,omitempty"`
	Client    string   `json:"client,omitempty"`
	Scope     string   `json:"scope"`
	Audience  []string `json:"audience"`
	CreatedAt string   `json:"createdAt"`
	ExpiresAt string   `json:"expiresAt"`
	RevokedAt string   `json:"revokedAt,omitempty"`
}

func show(r *opaque.Reference) *shown {
	s := &shown{ID: r.ID, Name: r.Name, Client: r.Client, Scope: strings.Join(r.Scope, " "), Audience: r.Audience,
		CreatedAt: r.Created.UTC().Format(time.RFC3339), ExpiresAt: r.Expires.UTC().Format(time.RFC3339)}
	if !r.Revoked.IsZero() {
		s.RevokedAt = r.Revoked.UTC().Format(time.RFC3339)
	}
	return s
}

// identity is who calls, as the API's authorizer found.
type identity struct {
	provider, subject, tenant string
	scope                     []string
	anyScope                  bool // AWS credentials: IAM, not scopes, said what they may do
}

func (e *Endpoint) identity(r *api.Request) identity {
	provider, subject, _ := api.Person(r.APIGatewayV2HTTPRequest) // the Mux let in only whom it knows
	who := identity{provider: provider, subject: subject, anyScope: true}
	if a := r.RequestContext.Authorizer; a.JWT != nil {
		claims := a.JWT.Claims
		who.tenant, who.scope, who.anyScope = claims[e.Tenant], strings.Fields(claims["scope"]), false
	}
	return who
}

func (e *Endpoint) issue(ctx context.Context, r *api.Request) (*api.Response, error) {
	var in asked
	if err := api.Decode(r, &in); err != nil {
		return nil, err
	}
	who := e.identity(r)
	audience, scope, wrong := e.grantable(&in, &who)
	if in.ExpiresIn < 0 || in.ExpiresIn > int64(366*24*time.Hour/time.Second) {
		wrong = append(wrong, api.Field("expiresIn", "must be a number of seconds, of a year at most"))
	}
	if len(wrong) > 0 {
		return nil, &api.Problem{Status: http.StatusUnprocessableEntity, Detail: "The reference cannot be issued.", Errors: wrong}
	}
	life := e.Life
	if in.ExpiresIn > 0 {
		life = time.Duration(in.ExpiresIn) * time.Second
	}
	ref, issued, err := e.Store.Issue(ctx, &opaque.Issue{
		Owner: r.Caller, Subject: who.subject, Provider: who.provider, Tenant: who.tenant, Client: in.Client, Name: in.Name,
		Scope: scope, Audience: audience, Life: life, Key: r.Headers["idempotency-key"],
	})
	if err != nil {
		return nil, problem(err)
	}
	answer := show(issued)
	answer.Reference = ref
	return &api.Response{Status: http.StatusCreated, Body: answer}, nil
}

// grantable returns what the caller may give a reference: nothing that they do
// not have themselves.
func (e *Endpoint) grantable(in *asked, who *identity) (audience, scope []string, wrong []api.FieldError) {
	audience = slices.Clone(in.Audience)
	if len(audience) == 0 {
		for a := range e.Scopes {
			audience = append(audience, a)
		}
	}
	slices.Sort(audience)
	audience = slices.Compact(audience)
	var offered []string
	for _, a := range audience {
		scopes, ok := e.Scopes[a]
		if !ok {
			return nil, nil, []api.FieldError{api.Field("audience", "must be audiences that there are")}
		}
		offered = append(offered, scopes...)
	}
	mine := func(s string) bool {
		return slices.Contains(offered, s) && (who.anyScope || slices.Contains(who.scope, s))
	}
	if in.Scope == nil {
		scope = slices.DeleteFunc(offered, func(s string) bool { return !mine(s) })
	} else if *in.Scope != "" {
		var err error
		if scope, err = token.ParseScope(*in.Scope); err != nil {
			return nil, nil, []api.FieldError{api.Field("scope", "must be scopes with single spaces between")}
		}
		if slices.ContainsFunc(scope, func(s string) bool { return !mine(s) }) {
			return nil, nil, []api.FieldError{api.Field("scope", "must be scopes that you have and that the audiences know")}
		}
	}
	slices.Sort(scope)
	return audience, slices.Compact(scope), nil
}

func (e *Endpoint) list(ctx context.Context, r *api.Request) (*api.Response, error) {
	all, err := e.Store.List(ctx, r.Caller)
	if err != nil {
		return nil, problem(err)
	}
	out := struct {
		References []*shown `json:"references"`
	}{make([]*shown, len(all))}
	for i, ref := range all {
		out.References[i] = show(ref)
	}
	return &api.Response{Status: http.StatusOK, Body: out}, nil
}

// revokeOne revokes by id. An id that is not the caller's is no error: nobody
// learns which ids others have.
func (e *Endpoint) revokeOne(ctx context.Context, r *api.Request) (*api.Response, error) {
	if err := e.Store.Revoke(ctx, r.Caller, r.PathParameters[schema.RouteIDParameter]); err != nil {
		return nil, problem(err)
	}
	return &api.Response{Status: http.StatusOK, Body: struct{}{}}, nil
}

func (e *Endpoint) revokeAll(ctx context.Context, r *api.Request) (*api.Response, error) {
	n, err := e.Store.RevokeAll(ctx, r.Caller)
	if err != nil {
		return nil, problem(err)
	}
	return &api.Response{Status: http.StatusOK, Body: map[string]int{"revoked": n}}, nil
}

// revoke is the revocation endpoint of RFC 7009: the answer is the same whether
// there was something to revoke or not (section 2.2).
func (e *Endpoint) revoke(ctx context.Context, r *api.Request) (*api.Response, error) {
	ref, err := shownToken(r)
	if err != nil {
		return nil, err
	}
	if err := e.Store.RevokeReference(ctx, r.Caller, ref); err != nil {
		return nil, problem(err)
	}
	return &api.Response{Status: http.StatusOK, Body: struct{}{}}, nil
}

// shownToken returns the token of a form (RFC 7009, section 2.1).
func shownToken(r *api.Request) (string, error) {
	body := r.Body
	if r.IsBase64Encoded { // API Gateway encodes what is not text or JSON
		decoded, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			return "", &api.Problem{Status: http.StatusBadRequest, Detail: "The body is not the base64 that it is said to be."}
		}
		body = string(decoded)
	}
	if len(body) > api.MaxBody {
		return "", &api.Problem{Status: http.StatusRequestEntityTooLarge, Detail: "The body is too large."}
	}
	if media, _, err := mime.ParseMediaType(r.Headers["content-type"]); err != nil || media != "application/x-www-form-urlencoded" {
		return "", &api.Problem{Status: http.StatusUnsupportedMediaType, Detail: "The body must be application/x-www-form-urlencoded."}
	}
	form, err := url.ParseQuery(body)
	if err != nil || len(form["token"]) != 1 || form.Get("token") == "" {
		return "", &api.Problem{Status: http.StatusBadRequest, Type: api.ProblemType("invalid-request"), Detail: "The form must have one token."}
	}
	return form.Get("token"), nil
}

// problem returns the answer to a failure of the store. None repeats what the
// caller sent.
func problem(err error) error {
	switch {
	case errors.Is(err, opaque.ErrInvalid):
		return &api.Problem{Status: http.StatusUnprocessableEntity, Detail: "The request cannot be granted: " +
			strings.TrimPrefix(err.Error(), opaque.ErrInvalid.Error()+": ") + "."}
	case errors.Is(err, opaque.ErrConflict):
		return &api.Problem{Status: http.StatusConflict, Type: api.ProblemType("idempotency-key"),
			Detail: "The Idempotency-Key was used for another reference, or for one that is not live any more."}
	case errors.Is(err, opaque.ErrTooMany):
		return &api.Problem{Status: http.StatusForbidden, Type: api.ProblemType("too-many-references"),
			Detail: "You have as many live references as you may: revoke one first."}
	case errors.Is(err, opaque.ErrTooOften):
		return &api.Problem{Status: http.StatusTooManyRequests, Type: api.ProblemType("too-many-requests"),
			Detail: "You had as many references issued in this hour as you may.",
			Header: map[string]string{"retry-after": strconv.FormatInt(3600-time.Now().Unix()%3600, 10)}}
	}
	return err
}
