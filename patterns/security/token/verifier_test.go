package token_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/security/token"
)

func TestVerify(t *testing.T) {
	payload := claims().with("nbf", now.Unix()-1).with("scope", "read write").with("tenant", "acme").
		with("act", object{"sub": "orders", "act": object{"sub": "gateway", "iss": "https://other.example.com", "extra": 1}}).
		with("groups", []string{"a", "b"})
	want := &token.Claims{
		Issuer: issuer, Subject: victim, Audience: []string{audience}, ID: "1", ClientID: "web",
		Expiry: now.Add(5 * time.Minute), NotBefore: now.Add(-time.Second), IssuedAt: now,
		Scope: []string{"read", "write"}, Tenant: "acme",
		Actor:   &token.Actor{Subject: "orders", Actor: &token.Actor{Subject: "gateway", Issuer: "https://other.example.com"}},
		Private: map[string]json.RawMessage{"groups": json.RawMessage(`["a","b"]`)},
	}
	for name, raw := range map[string]string{
		"ES256":             forge(header(), payload, keys().ec),
		"ES384":             forge(header().with("alg", "ES384").with("kid", "ec384"), payload, keys().ec384),
		"RS256":             forge(header().with("alg", "RS256").with("kid", "rsa"), payload, keys().rsa),
		"whole media type":  forge(header().with("typ", "application/AT+JWT"), payload, keys().ec),
		"harmless header":   forge(header().with("x5t", "AAAA").with("foo", object{"bar": 1}), payload, keys().ec),
		"fraction of dates": forge(header(), payload.with("exp", json.RawMessage("1782907500.0")), keys().ec),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := verifier().Verify(t.Context(), raw)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("error %v, claims (-want +got):\n%s", err, diff)
			}
		})
	}
	v := verifier()
	v.Types = []string{"JWT", ""}
	for _, typ := range []any{"JWT", "jwt", nil} {
		if _, err := v.Verify(t.Context(), forge(header().with("typ", typ), payload, keys().ec)); err != nil {
			t.Errorf("type %v, which is listed: %v", typ, err)
		}
	}
	if _, err := v.Verify(t.Context(), forge(header(), payload, keys().ec)); err == nil {
		t.Error("an access token is taken where only others are listed")
	}
}

// broken is a KeySource that fails.
type broken struct{ err error }

func (b broken) Key(context.Context, string, string) (crypto.PublicKey, error) { return nil, b.err }

// TestUnavailable checks that nothing is taken while keys cannot be had, and
// that this does not look like a refusal.
func TestUnavailable(t *testing.T) {
	for _, err := range []error{errors.New("broken"), context.Canceled, token.ErrUnavailable} {
		v := verifier()
		v.Keys = broken{err}
		claims, got := v.Verify(t.Context(), forge(header(), claims(), keys().ec))
		if claims != nil || !errors.Is(got, token.ErrUnavailable) || errors.Is(got, token.ErrInvalid) || !errors.Is(got, err) {
			t.Errorf("claims %v, error %v", claims, got)
		}
		if text := got.Error(); !strings.HasPrefix(text, "token: ") || strings.Count(text, "token: ") != 1 {
			t.Errorf("error %q does not name the package once", text)
		}
	}
}

func TestUnverifiedIssuer(t *testing.T) {
	if iss, err := token.UnverifiedIssuer(forge(header(), claims(), keys().evil)); err != nil || iss != issuer {
		t.Errorf("issuer %q, error %v", iss, err)
	}
	for _, raw := range []string{"", "a.b.c", strings.Repeat("a", 1<<20), forge(header(), "[]", keys().ec)} {
		if iss, err := token.UnverifiedIssuer(raw); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("issuer %q, error %v", iss, err)
		}
	}
}

func TestClaimsMarshal(t *testing.T) {
	for name, c := range map[string]token.Claims{
		"private claim with a field":   {Private: map[string]json.RawMessage{"sub": json.RawMessage(`"admin"`)}},
		"private claim that is broken": {Private: map[string]json.RawMessage{"x": json.RawMessage(`{`)}},
		"control character":            {Subject: "a\nb"},
		"broken UTF-8":                 {Tenant: "\xff"},
		"scope with a space":           {Scope: []string{"read admin"}},
		"empty scope":                  {Scope: []string{""}},
		"empty audience":               {Audience: []string{""}},
		"date before 1970":             {Expiry: time.Unix(-1, 0)},
		"actor without subject":        {Actor: &token.Actor{}},
		"actors without end":           {Actor: loop()},
	} {
		if out, err := json.Marshal(c); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func loop() *token.Actor {
	a := &token.Actor{Subject: "a"}
	a.Actor = a
	return a
}

func FuzzVerify(f *testing.F) {
	good := forge(header(), claims(), keys().ec)
	f.Add(good)
	f.Add(forge(header().with("alg", "none"), claims(), keys().ec))
	f.Add(forge(header().with("alg", "RS256").with("kid", "rsa"), claims(), keys().rsa))
	f.Add("..")
	f.Add("e30.e30.e30")
	f.Add(`{"payload":"","signatures":[]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		claims, err := verifier().Verify(t.Context(), raw)
		if (claims == nil) != (err != nil) {
			t.Fatalf("claims %v and error %v", claims, err)
		}
		if err == nil && claims.Subject != victim {
			t.Errorf("a token that nobody signed is taken: %v", claims)
		}
		if err != nil && !errors.Is(err, token.ErrInvalid) {
			t.Errorf("error %v is not ErrInvalid", err)
		}
	})
}

// FuzzClaims checks that what is read and written again is the same: nothing of
// a token is lost or changes its meaning on the way to another.
func FuzzClaims(f *testing.F) {
	f.Add(encode(claims()))
	f.Add(`{"aud":["a","b"],"act":{"sub":"x","act":{"sub":"y"}},"scope":"a b","x":{"y":[1,2.5,null]}}`)
	f.Add(`{"exp":1e3,"sub":"\u00e9"}`)
	f.Fuzz(func(t *testing.T, payload string) {
		var first, second token.Claims
		if first.UnmarshalJSON([]byte(payload)) != nil {
			return
		}
		out, err := json.Marshal(first)
		if err != nil {
			return // such as a date within the first second, or an empty audience
		}
		if err := second.UnmarshalJSON(out); err != nil {
			t.Fatalf("%s was written as %s: %v", payload, out, err)
		}
		again, err := json.Marshal(second)
		if err != nil || string(again) != string(out) {
			t.Errorf("%s, then %s, error %v", out, again, err)
		}
	})
}
