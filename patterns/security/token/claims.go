package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/serverless-go/cdk/patterns/security/schema"
)

// MaxActors is the length of the longest chain of actors that is taken.
const MaxActors = 8

// Claims are what a token says.
type Claims struct {
	Issuer    string    // "iss"
	Subject   string    // "sub"
	Audience  []string  // "aud"
	Expiry    time.Time // "exp"; the zero time for none, as for the next two
	NotBefore time.Time // "nbf"
	IssuedAt  time.Time // "iat"
	ID        string    // "jti"
	ClientID  string    // "client_id", RFC 8693, section 4.3
	Scope     []string  // "scope", which separates them by spaces, RFC 8693, section 4.2
	Tenant    string    // "tenant", a name of ours
	Actor     *Actor    // "act": who acts for the subject, RFC 8693, section 4.1

	// Private holds every other claim, as JSON.
	Private map[string]json.RawMessage
}

// Actor is who acts for a subject. Only the outermost one matters for access;
// those within are who acted before (RFC 8693, section 4.1).
type Actor struct {
	Subject string // "sub"
	Issuer  string // "iss", empty for the token's own
	Actor   *Actor // "act"
}

// Depth returns the number of actors in the chain.
func (a *Actor) Depth() int {
	n := 0
	for ; a != nil; a = a.Actor {
		n++
	}
	return n
}

// Text returns a private claim that is a string, and "" if there is none or it
// has another type or characters that are not [schema.Visible].
func (c *Claims) Text(name string) string {
	var s string
	if value, ok := c.Private[name]; !ok || text(value, &s) != nil {
		return ""
	}
	return s
}

// registered are the claims with a field of their own.
var registered = map[string]bool{"iss": true, "sub": true, "aud": true, "exp": true, "nbf": true, "iat": true,
	"jti": true, "client_id": true, "scope": true, "tenant": true, "act": true}

// wireActor is how an actor is written.
type wireActor struct {
	Subject string     `json:"sub"`
	Issuer  string     `json:"iss,omitempty"`
	Actor   *wireActor `json:"act,omitempty"`
}

// MarshalJSON writes the claims as a token's payload, always in the same order.
func (c Claims) MarshalJSON() ([]byte, error) {
	all := make(map[string]any, len(registered)+len(c.Private))
	for name, value := range c.Private {
		if registered[name] {
			return nil, fmt.Errorf("Private has the claim %q, which has a field of its own", name)
		}
		all[name] = value
	}
	for name, value := range map[string]string{"iss": c.Issuer, "sub": c.Subject, "jti": c.ID, "client_id": c.ClientID, "tenant": c.Tenant} {
		if !schema.Visible(value) {
			return nil, fmt.Errorf("claim %q has control characters or is not UTF-8", name)
		}
		if value != "" {
			all[name] = value
		}
	}
	for name, value := range map[string]time.Time{"exp": c.Expiry, "nbf": c.NotBefore, "iat": c.IssuedAt} {
		if !value.IsZero() {
			if value.Unix() <= 0 || value.Unix() > maxDate {
				return nil, fmt.Errorf("claim %q is out of range", name)
			}
			all[name] = value.Unix()
		}
	}
	for _, a := range c.Audience {
		if a == "" || !schema.Visible(a) {
			return nil, errors.New(`claim "aud" is empty, has control characters or is not UTF-8`)
		}
	}
	switch len(c.Audience) {
	case 0:
	case 1:
		all["aud"] = c.Audience[0]
	default:
		all["aud"] = c.Audience
	}
	for _, s := range c.Scope {
		if !IsScope(s) {
			return nil, errors.New("Scope has a value that RFC 6749, section 3.3, does not allow")
		}
	}
	if len(c.Scope) > 0 {
		all["scope"] = strings.Join(c.Scope, " ")
	}
	if c.Actor != nil {
		actor, err := c.Actor.wire(MaxActors)
		if err != nil {
			return nil, err
		}
		all["act"] = actor
	}
	return json.Marshal(all)
}

func (a *Actor) wire(left int) (*wireActor, error) {
	switch {
	case a == nil:
		return nil, nil
	case left == 0:
		return nil, fmt.Errorf("more than %d actors", MaxActors)
	case a.Subject == "" || !schema.Visible(a.Subject) || !schema.Visible(a.Issuer):
		return nil, errors.New("an actor has no subject, or control characters in its names")
	}
	inner, err := a.Actor.wire(left - 1)
	return &wireActor{a.Subject, a.Issuer, inner}, err
}

// UnmarshalJSON reads a token's payload. Duplicate members, values of the wrong
// type and dates out of range are errors.
func (c *Claims) UnmarshalJSON(data []byte) error {
	if err := strict(data); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil || all == nil {
		return errors.New("claims are not a JSON object")
	}
	var out Claims
	for _, claim := range []struct {
		name  string
		field *string
	}{{"iss", &out.Issuer}, {"sub", &out.Subject}, {"jti", &out.ID}, {"client_id", &out.ClientID}, {"tenant", &out.Tenant}} {
		if value, ok := all[claim.name]; ok {
			if err := text(value, claim.field); err != nil {
				return fmt.Errorf("claim %q %w", claim.name, err)
			}
		}
	}
	for _, claim := range []struct {
		name  string
		field *time.Time
	}{{"exp", &out.Expiry}, {"nbf", &out.NotBefore}, {"iat", &out.IssuedAt}} {
		if value, ok := all[claim.name]; ok {
			var err error
			if *claim.field, err = date(value); err != nil {
				return fmt.Errorf("claim %q %w", claim.name, err)
			}
		}
	}
	if value, ok := all["aud"]; ok {
		if value[0] != '[' {
			value = append(append([]byte{'['}, value...), ']')
		}
		var list []json.RawMessage
		if err := json.Unmarshal(value, &list); err != nil {
			return errors.New(`claim "aud" is no string nor list of strings`)
		}
		out.Audience = make([]string, len(list))
		for i := range list {
			if err := text(list[i], &out.Audience[i]); err != nil {
				return fmt.Errorf(`claim "aud" %w`, err)
			}
		}
	}
	if value, ok := all["scope"]; ok {
		var scope string
		if err := text(value, &scope); err != nil {
			return fmt.Errorf(`claim "scope" %w`, err)
		}
		var err error
		if out.Scope, err = ParseScope(scope); err != nil {
			return fmt.Errorf(`claim "scope" %w`, err)
		}
	}
	if value, ok := all["act"]; ok {
		var err error
		if out.Actor, err = actor(value, MaxActors); err != nil {
			return fmt.Errorf(`claim "act" %w`, err)
		}
	}
	for name, value := range all {
		if !registered[name] {
			if out.Private == nil {
				out.Private = make(map[string]json.RawMessage)
			}
			out.Private[name] = value
		}
	}
	*c = out
	return nil
}

func actor(data json.RawMessage, left int) (*Actor, error) {
	if left == 0 {
		return nil, fmt.Errorf("has more than %d actors", MaxActors)
	}
	// A map, since a struct would take "SUB" for "sub".
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil || all == nil {
		return nil, errors.New("has an actor that is no JSON object")
	}
	var a Actor
	if all["sub"] == nil {
		return nil, errors.New("has an actor without a subject")
	}
	if err := text(all["sub"], &a.Subject); err != nil {
		return nil, fmt.Errorf("has an actor whose subject %w", err)
	}
	if a.Subject == "" {
		return nil, errors.New("has an actor whose subject is empty")
	}
	if iss, ok := all["iss"]; ok {
		if err := text(iss, &a.Issuer); err != nil {
			return nil, fmt.Errorf("has an actor whose issuer %w", err)
		}
	}
	if inner, ok := all["act"]; ok {
		var err error
		if a.Actor, err = actor(inner, left-1); err != nil {
			return nil, err
		}
	}
	return &a, nil
}

// text reads a string of visible characters.
func text(data json.RawMessage, s *string) error {
	if err := json.Unmarshal(data, s); err != nil || bytes.Equal(data, []byte("null")) {
		return errors.New("is no string")
	}
	if !schema.Visible(*s) {
		return errors.New("has control or format characters")
	}
	return nil
}

// maxDate is the end of the year 9999, the last that RFC 3339 can write.
const maxDate = 253402300799

// date reads a NumericDate (RFC 7519, section 2), which may have a fraction.
func date(data json.RawMessage) (time.Time, error) {
	seconds, err := strconv.ParseFloat(string(data), 64)
	if err != nil || !(seconds > 0 && seconds <= maxDate) {
		return time.Time{}, errors.New("is no number of seconds from 1970 to 9999")
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// IsScope reports whether s is one scope, as RFC 6749, section 3.3, writes it.
func IsScope(s string) bool {
	for _, c := range []byte(s) {
		if c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// ParseScope splits scopes that are separated by single spaces (RFC 6749,
// section 3.3). Of an empty string, which some issuers write, it makes none.
func ParseScope(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	scopes := strings.Split(s, " ")
	for _, scope := range scopes {
		if !IsScope(scope) {
			return nil, errors.New("is no list of scopes separated by single spaces")
		}
	}
	return scopes, nil
}
