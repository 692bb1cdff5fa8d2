package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Environment variables of the functions that exchange tokens and publish keys.
const (
	// EnvExchange has the settings of a token exchange, an Exchange as JSON.
	EnvExchange = "TOKEN_EXCHANGE"
	// EnvSigningKeys has the KMS keys whose public keys are published, separated
	// by spaces: the one that signs, and those that sign next or signed before.
	EnvSigningKeys = "SIGNING_KEYS"
	// EnvJWKSMaxAge is how long caches may keep the published keys, in seconds.
	// Default: 300.
	EnvJWKSMaxAge = "JWKS_MAX_AGE"
)

// Exchange is the settings of a token exchange.
type Exchange struct {
	// Issuer is the "iss" of the tokens that are issued.
	Issuer string `json:"issuer"`
	// Key is the KMS key that signs them.
	Key string `json:"key"`
	// Lifetime is how long they are valid, in seconds. Default: 300.
	Lifetime int `json:"lifetime,omitempty"`
	// MaxActors is the length of the longest chain of actors in them. Default: 4.
	MaxActors int `json:"maxActors,omitempty"`
	// Subjects are the issuers whose tokens are exchanged.
	Subjects []ExchangeSource `json:"subjects"`
	// Actors is the issuer of actor tokens. Default: none are taken.
	Actors *ExchangeSource `json:"actors,omitempty"`
	// Clients names actors by who signed the request with IAM, such as
	// "arn:aws:sts::123456789012:assumed-role/orders": a role without its path
	// and session.
	Clients map[string]string `json:"clients,omitempty"`
	// Rules say which actor may ask for what; what no rule allows is refused.
	Rules []ExchangeRule `json:"rules"`
}

// ExchangeSource is an issuer of tokens.
type ExchangeSource struct {
	Issuer string `json:"issuer"`
	// Audience is whom its tokens are for. Default: the actor that exchanges them.
	Audience string `json:"audience,omitempty"`
	// JWKS is the URL of its keys, and Keys are KMS keys of its own in their
	// place: one of the two.
	JWKS string   `json:"jwks,omitempty"`
	Keys []string `json:"keys,omitempty"`
	// Algorithms are those of its signatures. Default: ES256.
	Algorithms []string `json:"algorithms,omitempty"`
	// Types are the "typ" of its tokens. Default: "at+jwt".
	Types []string `json:"types,omitempty"`
	// TokenTypes are the values of subject_token_type that name its tokens.
	// Default: those of access tokens and JWTs.
	TokenTypes []string `json:"tokenTypes,omitempty"`
	// Prefix is put before its subjects.
	Prefix string `json:"prefix,omitempty"`
	// Tenant is the tenant of all its subjects. Default: what the tokens say.
	Tenant string `json:"tenant,omitempty"`
	// AnyTenant trusts its tokens with the tenants of all other issuers.
	AnyTenant bool `json:"anyTenant,omitempty"`
}

// ExchangeRule allows an actor to ask for tokens.
type ExchangeRule struct {
	Actor    string   `json:"actor"`
	Audience string   `json:"audience"`
	Scopes   []string `json:"scopes,omitempty"`
}

// ParseExchange reads the value of EnvExchange. A setting that it does not know
// is an error: it may be a limit that somebody counts on.
func ParseExchange(s string) (*Exchange, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	var e Exchange
	if err := d.Decode(&e); err != nil {
		return nil, fmt.Errorf("%s: %w", EnvExchange, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%s: something follows the settings", EnvExchange)
	}
	var missing []error
	need := func(ok bool, what string) {
		if !ok {
			missing = append(missing, fmt.Errorf("%s: %s", EnvExchange, what))
		}
	}
	need(e.Issuer != "", "issuer is missing")
	need(e.Key != "", "key is missing")
	need(e.Lifetime >= 0, "lifetime is negative")
	need(len(e.Subjects) > 0, "subjects is empty")
	sources := e.Subjects
	if e.Actors != nil {
		sources = append(sources[:len(sources):len(sources)], *e.Actors)
		need(e.Actors.Audience != "", "actors has no audience")
	}
	for _, s := range sources {
		need(s.Issuer != "", "a source has no issuer")
		need((s.JWKS == "") != (len(s.Keys) == 0), fmt.Sprintf("source %q needs jwks or keys, not both", s.Issuer))
	}
	return &e, errors.Join(missing...)
}
