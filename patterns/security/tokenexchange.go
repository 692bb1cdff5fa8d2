package security

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// TokenExchangeProps says which tokens are exchanged for which.
type TokenExchangeProps struct {
	// Issuer is the "iss" of the tokens that are issued, an https:// URL, below
	// which verifiers look for the keys. Required.
	Issuer string
	// Subjects are the issuers whose tokens are exchanged. Required.
	Subjects []TokenSource
	// Actors is the issuer of the actors' own tokens, with an Audience: this
	// endpoint.
	//
	// Default: none are taken; actors are functions that AddClient names.
	Actors *TokenSource
	// Chained lets an actor exchange a token that was issued here for it: each
	// call of a chain then carries a token for exactly the next function.
	//
	// Default: tokens that were issued here are not taken.
	Chained bool
	// Lifetime is how long tokens are valid, 10s to 1h.
	//
	// Default: 5 minutes.
	Lifetime time.Duration
	// MaxActors is the length of the longest chain of actors, 1 to 8.
	//
	// Default: 4.
	MaxActors int
	// KeysMaxAge is how long caches may keep the published keys, up to 24h.
	// Wait so long between two rotations.
	//
	// Default: 5 minutes.
	KeysMaxAge time.Duration

	// Rotation is the generation of the signing key. Raise it by one to rotate:
	// the next key, which was published all the time, signs from then on.
	//
	// Default: 1.
	Rotation int
	// SigningKeys are keys of yours, one to five, of spec ECC_NIST_P256 and usage
	// SIGN_VERIFY: the first signs, all are published. Set it or Rotation, not
	// both.
	//
	// Default: new ones, retained when they leave the stack.
	SigningKeys []awskms.IKey

	// EncryptionKey encrypts the functions' environment and logs. Its policy must
	// allow CloudWatch Logs to use it.
	//
	// Default: keys that AWS owns.
	EncryptionKey awskms.IKey
	// LogRetention is how long the functions' logs are kept.
	//
	// Default: three months.
	LogRetention awslogs.RetentionDays
	// ReservedConcurrency is the most endpoints that run at a time; each asks KMS
	// for at most 50 signatures a second.
	//
	// Default: none reserved.
	ReservedConcurrency *int
	// Alarms tunes the functions' alarms.
	//
	// Default: all are made and notify nobody.
	Alarms function.Alarms
}

// TokenSource is an issuer of tokens.
type TokenSource struct {
	// Issuer is the "iss" of its tokens. Required.
	Issuer string
	// Audience is whom its tokens are for.
	//
	// Default: the actor that exchanges them.
	Audience string
	// JWKSURL is the URL of its keys (JWKS).
	//
	// Default: /.well-known/jwks.json below the issuer.
	JWKSURL string
	// Algorithms are the signatures that are taken.
	//
	// Default: "ES256".
	Algorithms []string
	// Types are the values of "typ" that are taken.
	//
	// Default: "at+jwt".
	Types []string
	// TokenTypes are the values of subject_token_type that name its tokens.
	//
	// Default: those of access tokens and JWTs.
	TokenTypes []string
	// Prefix is put before its subjects, so that those of two issuers are never
	// one.
	//
	// Default: none; with several issuers each needs one.
	Prefix string
	// Tenant is the tenant of all its subjects.
	//
	// Default: what the tokens say; with several issuers each needs a Tenant or
	// AnyTenant.
	Tenant string
	// AnyTenant trusts its tokens to name any tenant, those of the other issuers
	// included.
	//
	// Default: only Tenant, where there are several issuers.
	AnyTenant bool
}

// TokenExchange is a token endpoint as RFC 8693 has it: an actor hands in the
// token that a subject sent it, and gets one for the next audience, which names
// both. Package exchange is what runs in it and what actors use.
//
// It makes no API: add routes to yours, POST for [TokenExchange.Endpoint] with
// IAM authorization if AddClient is used, and GET for [TokenExchange.JWKS].
type TokenExchange struct {
	constructs.Construct
	endpoint, jwks *function.Function
	settings       schema.Exchange
	clients        exchangeClients
	keys           signingKeys
}

// exchangeClients are names of actors by ARN. As a map they would be sorted by
// the numbers of the CDK's tokens, which differ from one synth to another.
type exchangeClients [][2]string

// MarshalJSON writes an object, in the order in which clients were added.
func (c exchangeClients) MarshalJSON() ([]byte, error) {
	out := []byte("{")
	for i, client := range c {
		if i > 0 {
			out = append(out, ',')
		}
		arn, _ := json.Marshal(client[0])
		actor, _ := json.Marshal(client[1]) // texts always marshal
		out = append(append(append(out, arn...), ':'), actor...)
	}
	return append(out, '}'), nil
}

// NewTokenExchange makes the endpoint, its signing keys and the function that
// publishes them. Nothing is exchanged until [TokenExchange.Allow] says so. It
// panics with a *[props.Error] when the props are wrong.
func NewTokenExchange(scope constructs.Construct, id string, p *TokenExchangeProps) *TokenExchange {
	if p == nil {
		p = &TokenExchangeProps{}
	}
	p.check(scope, id)
	e := &TokenExchange{}
	construct.Init(e, scope, id)
	add := func(id, entry, description string, reserved *int) *function.Function {
		return function.NewFunction(e, id, &function.Props{
			Entry: "github.com/serverless-go/cdk/functions/" + entry, Description: description,
			EncryptionKey: p.EncryptionKey, LogRetention: p.LogRetention, ReservedConcurrency: reserved, Alarms: p.Alarms,
			// They are invoked synchronously only, and a queue would keep tokens.
			WithoutDeadLetterQueue: true,
		})
	}
	e.endpoint = add("Endpoint", "tokenexchange", "Exchanges tokens of "+p.Issuer, p.ReservedConcurrency)
	e.jwks = add("JWKS", "jwks", "Publishes the keys of "+p.Issuer, nil)
	if len(p.SigningKeys) > 0 {
		e.keys = adoptSigningKeys(p.SigningKeys, e.endpoint, e.jwks)
	} else {
		e.keys = newSigningKeys(e, construct.Or(p.Rotation, 1), "Signs tokens of "+p.Issuer, e.endpoint.Role(), e.jwks.Role())
	}
	names := e.keys.arns()
	e.jwks.AddEnvironment(schema.EnvSigningKeys, strings.Join(names, " "))
	if p.KeysMaxAge > 0 {
		e.jwks.AddEnvironment(schema.EnvJWKSMaxAge, strconv.Itoa(seconds(p.KeysMaxAge)))
	}
	e.settings = schema.Exchange{Issuer: p.Issuer, Key: *e.keys.own, Lifetime: seconds(p.Lifetime), MaxActors: p.MaxActors}
	for _, s := range p.Subjects {
		e.settings.Subjects = append(e.settings.Subjects, s.settings())
	}
	if p.Chained {
		e.settings.Subjects = append(e.settings.Subjects, schema.ExchangeSource{Issuer: p.Issuer, Keys: names})
	}
	if p.Actors != nil {
		actors := p.Actors.settings()
		e.settings.Actors = &actors
	}
	e.Node().AddValidation(&exchangeValid{e})
	return e
}

func (p *TokenExchangeProps) check(scope constructs.Construct, id string) {
	var c props.Check
	c.Require(isURL(p.Issuer), "Issuer", p.Issuer, "an https:// URL", "")
	c.Require(len(p.Subjects) > 0, "Subjects", props.Empty, "the issuers whose tokens are exchanged", "")
	for i, s := range p.Subjects {
		c.Nested(fmt.Sprintf("Subjects[%d]", i), s.check)
		c.Require(s.Issuer != p.Issuer || s.Issuer == "", fmt.Sprintf("Subjects[%d].Issuer", i), s.Issuer, "another issuer", "use Chained")
		c.Require(!p.severalIssuers() || s.Tenant != "" || s.AnyTenant, fmt.Sprintf("Subjects[%d].Tenant", i), s.Tenant, "a tenant, or AnyTenant",
			"with several issuers one could name a tenant of another's")
		c.OneOf(map[string]bool{"Tenant": s.Tenant != "", "AnyTenant": s.AnyTenant}, "Tenant", "AnyTenant")
		for _, other := range p.Subjects[:i] {
			c.Require(other.Issuer != s.Issuer || other.Prefix == s.Prefix && other.Tenant == s.Tenant && other.AnyTenant == s.AnyTenant,
				fmt.Sprintf("Subjects[%d]", i), s.Issuer, "the Prefix and Tenant that the issuer has above", "its subjects would be other ones")
			c.Require(other.Issuer == s.Issuer || !strings.HasPrefix(s.Prefix, other.Prefix) && !strings.HasPrefix(other.Prefix, s.Prefix),
				fmt.Sprintf("Subjects[%d].Prefix", i), s.Prefix, "one that is not the beginning of another issuer's, nor the other way",
				"two issuers may know the same subject")
		}
	}
	if p.Actors != nil {
		c.Nested("Actors", p.Actors.check)
		c.Require(p.Actors.Audience != "", "Actors.Audience", "", "this endpoint, as actors' tokens name it", "")
	}
	props.Between(&c, "Lifetime", p.Lifetime, 10*time.Second, time.Hour)
	props.Between(&c, "KeysMaxAge", p.KeysMaxAge, time.Second, 24*time.Hour)
	props.Between(&c, "MaxActors", p.MaxActors, 1, 8)
	props.Between(&c, "Rotation", p.Rotation, 1, 1_000_000)
	c.OneOf(map[string]bool{"SigningKeys": len(p.SigningKeys) > 0, "Rotation": p.Rotation != 0}, "SigningKeys", "Rotation")
	c.Require(len(p.SigningKeys) <= 5, "SigningKeys", len(p.SigningKeys), "up to five keys", "")
	c.Nested("Alarms", p.Alarms.Check)
	c.Panic(scope, id)
}

// severalIssuers reports whether subjects come from more than one.
func (p *TokenExchangeProps) severalIssuers() bool {
	return slices.ContainsFunc(p.Subjects, func(s TokenSource) bool { return s.Issuer != p.Subjects[0].Issuer })
}

func (s *TokenSource) check(c *props.Check) {
	c.Require(s.Issuer != "", "Issuer", "", "the iss of its tokens", "")
	c.Require(isURL(s.jwks()), "JWKSURL", s.JWKSURL, "an https:// URL", "set it, for the issuer is none")
	for _, a := range s.Algorithms {
		checkAlgorithm(c, a)
	}
}

func (s *TokenSource) jwks() string {
	return construct.Or(s.JWKSURL, keysOf(s.Issuer))
}

func (s *TokenSource) settings() schema.ExchangeSource {
	return schema.ExchangeSource{Issuer: s.Issuer, Audience: s.Audience, JWKS: s.jwks(), Algorithms: s.Algorithms,
		Types: s.Types, TokenTypes: s.TokenTypes, Prefix: s.Prefix, Tenant: s.Tenant, AnyTenant: s.AnyTenant}
}

// Allow lets an actor ask for tokens with which to call the audience, with at
// most the scopes. An actor is the subject of its own token, or a name that
// AddClient gives. It panics with a *[props.Error] when an argument is wrong.
func (e *TokenExchange) Allow(actor, audience string, scopes ...string) {
	var c props.Check
	c.Require(actor != "" && schema.Visible(actor), "actor", actor, "a name", "")
	c.Require(audience != "" && schema.Visible(audience), "audience", audience, "a name", "")
	for _, s := range scopes {
		c.Require(s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }), "scopes", s,
			"printable ASCII characters but space, quotes and backslashes", "")
	}
	c.Panic(e, "Allow")
	e.settings.Rules = append(e.settings.Rules, schema.ExchangeRule{Actor: actor, Audience: audience, Scopes: scopes})
	e.tell()
}

// AddClient names the function an actor. The endpoint knows it by its role, so
// its route must have IAM authorization, and the function must be allowed to
// call the route. It panics with a *[props.Error] when an argument is wrong.
func (e *TokenExchange) AddClient(fn *function.Function, actor string) {
	var c props.Check
	c.Require(actor != "" && schema.Visible(actor), "actor", actor, "a name", "")
	c.Require(fn != nil && fn.Role() != nil, "fn", props.Words("without a role"), "a function with a role", "")
	c.Panic(e, "AddClient")
	role := *fn.Role().RoleName()
	named := func(client [2]string) bool { return strings.HasSuffix(client[0], "/"+role) }
	c.Require(!slices.ContainsFunc(e.clients, named), "fn", props.Words("an actor already"), "a function once", "")
	c.Panic(e, "AddClient")
	sessions := *defaults.Text(e, "arn:${AWS::Partition}:sts::${AWS::AccountId}:assumed-role")
	e.clients = append(e.clients, [2]string{sessions + "/" + role, actor})
	e.tell()
}

// tell puts the settings into the endpoint's environment.
func (e *TokenExchange) tell() { e.endpoint.AddEnvironment(schema.EnvExchange, e.environment()) }

// environment returns the settings as the endpoint reads them. They hold ARNs
// that are known only when the stack is deployed.
func (e *TokenExchange) environment() string {
	value, _ := json.Marshal(struct { // texts and numbers always marshal
		schema.Exchange
		Clients exchangeClients `json:"clients,omitempty"`
	}{e.settings, e.clients})
	return string(value)
}

// exchangeValid checks what is known only when everything is added.
type exchangeValid struct{ e *TokenExchange }

// Validate returns what is wrong with the rules and clients.
func (v *exchangeValid) Validate() *[]*string {
	var wrong []*string
	if len(v.e.settings.Rules) == 0 {
		wrong = append(wrong, jsii.String("nothing may be exchanged: say with Allow who may ask for what"))
	}
	if v.e.settings.Actors == nil && len(v.e.clients) == 0 {
		wrong = append(wrong, jsii.String("nobody may ask: set Actors, or name functions with AddClient"))
	}
	if size := len(estimated(v.e.environment())); size > 4000 {
		wrong = append(wrong, jsii.String(fmt.Sprintf("the settings have about %d characters, a function's environment takes 4096: make a second TokenExchange", size)))
	}
	return &wrong
}

// Endpoint returns the function of the token endpoint.
func (e *TokenExchange) Endpoint() *function.Function { return e.endpoint }

// JWKS returns the function that publishes the keys.
func (e *TokenExchange) JWKS() *function.Function { return e.jwks }

// Alarms returns the alarms that were made, which are those of the two
// functions.
func (e *TokenExchange) Alarms() []awscloudwatch.CfnAlarm {
	return append(e.endpoint.Alarms(), e.jwks.Alarms()...)
}

// SigningKeyARNs returns the ARNs of the keys that are published.
func (e *TokenExchange) SigningKeyARNs() []string { return e.keys.arns() }
