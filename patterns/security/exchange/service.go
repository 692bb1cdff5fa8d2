package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// Source is an issuer of subject tokens.
type Source struct {
	// Verifier verifies its tokens. Without an Audience, it takes those for the
	// actor that hands them in: nobody can exchange a token that was sent to
	// somebody else.
	Verifier token.Verifier
	// TokenTypes are the values of subject_token_type that name them. Default:
	// AccessToken and JWT.
	TokenTypes []string
	// Prefix is put before its subjects. Two issuers can have a subject of the
	// same name: all but the Service's own need different prefixes then.
	Prefix string
	// Tenant is the tenant of all its subjects. Default: what the token says. With
	// several issuers that needs AnyTenant, too.
	Tenant string
	// AnyTenant trusts this issuer with the tenants of all others.
	AnyTenant bool
}

// Rule allows an actor to get tokens for an audience with some scopes.
type Rule struct {
	Actor, Audience string
	Scopes          []string
}

// Options are the options of a Service.
type Options struct {
	// Issuer issues the tokens. Required.
	Issuer *token.Issuer
	// Subjects are the issuers of the tokens that are exchanged. Required.
	Subjects []Source
	// Actors verifies actor tokens, whose subject is the actor's name. Their
	// issuer must give no user the name of an actor. Default: none are taken.
	Actors *token.Verifier
	// Clients are the actors' names by the identity that the transport has
	// authenticated, see WithClient. Default: none.
	Clients map[string]string
	// Rules say who may ask for what. What no rule allows is refused.
	Rules []Rule
	// MaxActors is the length of the longest chain of actors in a token. Default:
	// 4.
	MaxActors int
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

// Service exchanges tokens. It can be used by several goroutines.
type Service struct {
	o     Options
	rules map[[2]string][]string // scopes by actor and audience
}

// New returns a service, or an error that lists what is wrong with the options.
func New(o Options) (*Service, error) {
	var wrong []error
	bad := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("exchange.Options: "+format, args...))
	}
	if o.MaxActors == 0 {
		o.MaxActors = 4
	}
	if o.MaxActors < 1 || o.MaxActors > token.MaxActors {
		bad("MaxActors is %d, must be 1 to %d", o.MaxActors, token.MaxActors)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Issuer == nil {
		bad("Issuer is missing")
	}
	if len(o.Subjects) == 0 {
		bad("Subjects is empty")
	}
	if o.Actors == nil && len(o.Clients) == 0 {
		bad("Actors and Clients are both missing: nobody could ask")
	}
	o.Subjects = slices.Clone(o.Subjects)
	foreign := map[string]bool{}
	for i := range o.Subjects {
		s := &o.Subjects[i]
		if s.TokenTypes == nil {
			s.TokenTypes = []string{AccessToken, JWT}
		}
		for _, other := range o.Subjects[:i] {
			if s.Verifier.Issuer == other.Verifier.Issuer {
				if s.Prefix != other.Prefix || s.Tenant != other.Tenant || s.AnyTenant != other.AnyTenant {
					bad("Subjects of %s differ in Prefix or Tenant", s.Verifier.Issuer)
				}
				continue
			}
			if o.Issuer == nil || s.Verifier.Issuer == o.Issuer.Name() || other.Verifier.Issuer == o.Issuer.Name() {
				continue // what we issued has its prefix already
			}
			if strings.HasPrefix(s.Prefix, other.Prefix) || strings.HasPrefix(other.Prefix, s.Prefix) {
				bad("the Prefix of %s and that of %s cannot be told apart", s.Verifier.Issuer, other.Verifier.Issuer)
			}
		}
		switch {
		case o.Issuer == nil || s.Verifier.Issuer != o.Issuer.Name():
			foreign[s.Verifier.Issuer] = true
		case s.Prefix != "" || s.Tenant != "":
			bad("Subjects of our own issuer have their Prefix and Tenant already")
		}
	}
	for _, s := range o.Subjects {
		if len(foreign) > 1 && foreign[s.Verifier.Issuer] && s.Tenant == "" && !s.AnyTenant {
			bad("%s needs Tenant, or AnyTenant, as there are several issuers", s.Verifier.Issuer)
		}
	}
	rules := make(map[[2]string][]string)
	for _, r := range o.Rules {
		if r.Actor == "" || r.Audience == "" {
			bad("a rule without Actor or Audience")
		}
		for _, scope := range r.Scopes {
			if !token.IsScope(scope) {
				bad("%q is no scope", scope)
			}
		}
		key := [2]string{r.Actor, r.Audience}
		rules[key] = append(rules[key], r.Scopes...)
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return &Service{o, rules}, nil
}

// Response is the answer to a request that is granted (RFC 8693, section 2.2.1).
type Response struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"`
	Scope           string `json:"scope,omitempty"`
}

type clientKey struct{}

// WithClient says who sent the request, as the transport has authenticated it:
// such as the role that API Gateway's IAM authorizer names. Never take it from
// what the client itself can write.
func WithClient(ctx context.Context, identity string) context.Context {
	return context.WithValue(ctx, clientKey{}, identity)
}

// Exchange returns a token for the request, or an *Error.
//
// The token is for one audience that a rule allows the actor, with no scope that
// the subject's token lacks, names the actor before those who acted already, says
// who vouches for the subject if the subject's token does, and ends no later than
// that.
func (s *Service) Exchange(ctx context.Context, r *Request) (*Response, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	actor, err := s.actor(ctx, r)
	if err != nil {
		return nil, err
	}
	subject, source, err := s.subject(ctx, r, actor.Subject)
	if err != nil {
		return nil, err
	}
	if err := mayAct(subject, actor, s.o.Issuer.Name()); err != nil {
		return nil, err
	}
	allowed, ok := s.rules[[2]string{actor.Subject, r.Audience}]
	if !ok {
		return nil, refuse(InvalidTarget, "this actor may not have tokens for this audience")
	}
	scope, err := narrow(r.Scope, subject.Scope, allowed)
	if err != nil {
		return nil, err
	}
	if actor.Actor, err = before(subject, s.o.Issuer.Name()); err != nil {
		return nil, err
	}
	if actor.Depth() > s.o.MaxActors {
		return nil, refuse(InvalidRequest, "more than %d actors would have acted", s.o.MaxActors)
	}
	tenant := subject.Tenant
	if source.Tenant != "" {
		tenant = source.Tenant
	}
	now := s.o.Now()
	if subject.Expiry.Truncate(time.Second).Sub(now) < time.Second { // it was taken thanks to the leeway
		return nil, refuse(InvalidRequest, "subject_token has expired")
	}
	vouched, err := provider(subject)
	if err != nil {
		return nil, err
	}
	issued, err := s.o.Issuer.Token(ctx, token.Request{
		Private: vouched,
		Subject: source.Prefix + subject.Subject, Tenant: tenant, ClientID: actor.Subject, Audience: r.Audience,
		Scope: scope, Actor: actor, NotAfter: subject.Expiry,
	})
	if err != nil {
		return nil, asError(err)
	}
	return &Response{
		AccessToken: issued.Token, IssuedTokenType: r.RequestedTokenType, TokenType: "Bearer",
		ExpiresIn: int64(issued.Expiry.Sub(now) / time.Second), Scope: strings.Join(issued.Scope, " "),
	}, nil
}

// actor returns who asks.
func (s *Service) actor(ctx context.Context, r *Request) (*token.Actor, error) {
	var name string
	if identity, ok := ctx.Value(clientKey{}).(string); ok && identity != "" {
		if name = s.o.Clients[identity]; name == "" {
			return nil, refuse(InvalidClient, "this client is not an actor")
		}
	}
	if r.ActorToken == "" {
		if name == "" {
			return nil, refuse(InvalidClient, "nobody is known to act: actor_token is missing")
		}
		return &token.Actor{Subject: name}, nil
	}
	if s.o.Actors == nil || r.ActorTokenType != AccessToken && r.ActorTokenType != JWT {
		return nil, refuse(InvalidRequest, "actor_token of this type is not taken")
	}
	claims, err := s.o.Actors.Verify(ctx, r.ActorToken)
	if err != nil {
		return nil, notValid("actor_token", err)
	}
	switch {
	case claims.Actor != nil:
		return nil, refuse(InvalidRequest, "actor_token must be the actor's own")
	case bound(claims):
		return nil, refuse(InvalidRequest, "actor_token is bound to a key")
	case name != "" && name != claims.Subject:
		return nil, refuse(InvalidClient, "actor_token is not of this client")
	}
	a := &token.Actor{Subject: claims.Subject}
	if claims.Issuer != s.o.Issuer.Name() {
		a.Issuer = claims.Issuer
	}
	return a, nil
}

// subject returns what the subject's token says.
func (s *Service) subject(ctx context.Context, r *Request, actor string) (*token.Claims, *Source, error) {
	issuer, err := token.UnverifiedIssuer(r.SubjectToken)
	if err != nil {
		return nil, nil, notValid("subject_token", err)
	}
	for i := range s.o.Subjects {
		source := &s.o.Subjects[i]
		if source.Verifier.Issuer != issuer || !slices.Contains(source.TokenTypes, r.SubjectTokenType) {
			continue
		}
		v := source.Verifier
		if v.Audience == "" {
			v.Audience = actor
		}
		claims, err := v.Verify(ctx, r.SubjectToken)
		if err != nil {
			return nil, nil, notValid("subject_token", err)
		}
		if bound(claims) {
			return nil, nil, refuse(InvalidRequest, "subject_token is bound to a key")
		}
		return claims, source, nil
	}
	return nil, nil, refuse(InvalidRequest, "subject_token of this issuer and type is not taken")
}

// notValid words the error of a Verifier.
func notValid(name string, err error) *Error {
	if errors.Is(err, token.ErrInvalid) {
		return &Error{Code: InvalidRequest, Description: name + " is not valid", cause: err}
	}
	return asError(err)
}

// provider returns the claim that says who vouches for the subject, if there is
// one: without it, those whom two providers call alike would become one.
func provider(subject *token.Claims) (map[string]json.RawMessage, error) {
	name, ok := subject.Private[schema.ProviderClaim]
	if !ok {
		return nil, nil
	}
	if subject.Text(schema.ProviderClaim) == "" {
		return nil, refuse(InvalidRequest, "subject_token names no provider")
	}
	return map[string]json.RawMessage{schema.ProviderClaim: name}, nil
}

// bound reports whether only the holder of a key may use the token (RFC 7800).
// Exchanged, it would be of use to anybody.
func bound(c *token.Claims) bool {
	_, ok := c.Private["cnf"]
	return ok
}

// before returns who acted already, named for a token of ours: an actor without
// an issuer is of the token's, and another issuer cannot vouch for ours.
func before(subject *token.Claims, ours string) (*token.Actor, error) {
	if subject.Issuer == ours {
		return subject.Actor, nil
	}
	var first *token.Actor
	last := &first
	for a := subject.Actor; a != nil; a = a.Actor {
		issuer := a.Issuer
		switch issuer {
		case ours:
			return nil, refuse(InvalidRequest, "subject_token names an actor of this issuer")
		case "":
			issuer = subject.Issuer
		}
		*last = &token.Actor{Subject: a.Subject, Issuer: issuer}
		last = &(*last).Actor
	}
	return first, nil
}

// mayAct honours the claim "may_act" (RFC 8693, section 4.4). A member that
// nothing is known of cannot be honoured.
func mayAct(subject *token.Claims, actor *token.Actor, issuer string) error {
	value, ok := subject.Private["may_act"]
	if !ok {
		return nil
	}
	forbidden := refuse(InvalidRequest, "subject_token does not allow this actor")
	var who map[string]json.RawMessage
	if json.Unmarshal(value, &who) != nil || who["sub"] == nil {
		return forbidden
	}
	if actor.Issuer != "" {
		issuer = actor.Issuer
	}
	for name, value := range who {
		var s string
		if json.Unmarshal(value, &s) != nil || !(name == "sub" && s == actor.Subject || name == "iss" && s == issuer) {
			return forbidden
		}
	}
	return nil
}

// narrow returns the scopes of the token: those requested, which the subject's
// token and the rule must both have, or without a request all that both have.
func narrow(requested, subject, allowed []string) ([]string, error) {
	scope := []string{}
	for _, s := range subject {
		if slices.Contains(allowed, s) {
			scope = append(scope, s)
		}
	}
	if requested == nil {
		return scope, nil
	}
	for _, s := range requested {
		if !slices.Contains(scope, s) {
			return nil, refuse(InvalidScope, "scope is wider than the subject_token's or than this actor may have")
		}
	}
	return requested, nil
}
