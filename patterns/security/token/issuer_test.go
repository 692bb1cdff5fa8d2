package token_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/serverless-go/cdk/patterns/security/token"
)

// subjectOf verifies a token and returns who it is for.
func subjectOf(t testing.TB, signer *token.Signer, c *clock, raw string) string {
	t.Helper()
	v := &token.Verifier{Issuer: issuer, Audience: audience, Keys: token.SignerKeys{signer}, Now: c.now}
	claims, err := v.Verify(context.Background(), raw)
	if err != nil {
		t.Error(err)
		return ""
	}
	return claims.Subject
}

// TestIssuerConcurrent has 40 callers of 4 identities ask at once, again and
// again: KMS signs once for each identity, and nobody gets another's token.
func TestIssuerConcurrent(t *testing.T) {
	double, client, id := newKMS(t)
	double.Delay(5 * time.Millisecond)
	signer, c := token.NewSigner(client, id, nil), newClock()
	i := token.NewIssuer(issuer, signer, &token.IssuerOptions{Lifetime: 5 * time.Minute, MinLife: 2 * time.Minute, Now: c.now})
	const identities = 4
	for round, step := range []struct {
		pass  time.Duration // before the round
		calls int           // of KMS for each identity until after it
	}{
		{0, 1},
		{3*time.Minute - time.Second, 1}, // the shortest span with a second call is 3 min
		{time.Second, 2},
		{3*time.Minute - time.Second, 2},
		{time.Hour, 3},
	} {
		c.advance(step.pass)
		var wg sync.WaitGroup
		for n := range 10 * identities {
			wg.Go(func() {
				subject := fmt.Sprint("user-", n%identities)
				for range 3 {
					issued, err := i.Token(t.Context(), token.Request{Subject: subject, Audience: audience})
					if err != nil {
						t.Error(err)
						continue
					}
					if got := subjectOf(t, signer, c, issued.Token); got != subject {
						t.Errorf("%s got a token of %s", subject, got)
					}
					if left := issued.Expiry.Sub(c.now()); left <= 2*time.Minute {
						t.Errorf("a token with %v left", left)
					}
				}
			})
		}
		wg.Wait()
		if n := double.Calls("Sign"); n != identities*step.calls {
			t.Errorf("round %d: %d calls of KMS, want %d", round, n, identities*step.calls)
		}
	}
	if n := double.Calls("GetPublicKey"); n != 1 {
		t.Errorf("%d calls of GetPublicKey", n)
	}
}

// TestIssuerKeepsApart checks that each field of a request decides: whoever adds
// one and forgets it here or in the key gets a failure.
func TestIssuerKeepsApart(t *testing.T) {
	double, client, id := newKMS(t)
	c := newClock()
	i := token.NewIssuer(issuer, token.NewSigner(client, id, nil), &token.IssuerOptions{Now: c.now})
	base := token.Request{Subject: "s", Audience: audience}
	variants := map[string]token.Request{}
	for name, change := range map[string]func(*token.Request){
		"Subject":   func(r *token.Request) { r.Subject = "t" },
		"Tenant":    func(r *token.Request) { r.Tenant = "t" },
		"ClientID":  func(r *token.Request) { r.ClientID = "t" },
		"Audience":  func(r *token.Request) { r.Audience = "t" },
		"Scope":     func(r *token.Request) { r.Scope = []string{"t"} },
		"Actor":     func(r *token.Request) { r.Actor = &token.Actor{Subject: "t"} },
		"Reference": func(r *token.Request) { r.Reference = "t" },
		"NotAfter":  func(r *token.Request) { r.NotAfter = now.Add(4 * time.Minute) },
		"Private":   func(r *token.Request) { r.Private = map[string]json.RawMessage{"t": json.RawMessage("1")} },
	} {
		r := base
		change(&r)
		variants[name] = r
	}
	fields := reflect.TypeFor[token.Request]()
	for n := range fields.NumField() {
		if _, ok := variants[fields.Field(n).Name]; !ok {
			t.Errorf("no variant of %s", fields.Field(n).Name)
		}
	}
	variants["none"] = base
	// A boundary between fields that moves is another request, too.
	variants["moved 1"] = token.Request{Subject: "s", Audience: audience, Tenant: "ab", ClientID: "c"}
	variants["moved 2"] = token.Request{Subject: "s", Audience: audience, Tenant: "a", ClientID: "bc"}
	variants["moved 3"] = token.Request{Subject: "s", Audience: audience, Reference: "\x000"}
	seen := map[string]string{}
	for range 2 {
		for _, name := range slices.Sorted(maps.Keys(variants)) {
			issued, err := i.Token(t.Context(), variants[name])
			if err != nil {
				t.Fatal(err)
			}
			if other, ok := seen[issued.Token]; ok && other != name {
				t.Errorf("%s got the token of %s", name, other)
			}
			seen[issued.Token] = name
		}
	}
	if n := double.Calls("Sign"); n != len(variants) || len(seen) != n {
		t.Errorf("%d calls of KMS and %d tokens for %d requests", n, len(seen), len(variants))
	}
	// Order and duplicates of scopes do not matter.
	a, _ := i.Token(t.Context(), token.Request{Subject: "s", Audience: audience, Scope: []string{"a", "b"}})
	b, _ := i.Token(t.Context(), token.Request{Subject: "s", Audience: audience, Scope: []string{"b", "a", "b"}})
	if a == nil || b == nil || a.Token != b.Token {
		t.Error("the same scopes make two tokens")
	}
}

func TestIssuerBounds(t *testing.T) {
	double, client, id := newKMS(t)
	c := newClock()
	i := token.NewIssuer(issuer, token.NewSigner(client, id, nil), &token.IssuerOptions{Now: c.now, MaxTokens: 3, MaxRate: 10})
	ask := func(subject string) error {
		_, err := i.Token(t.Context(), token.Request{Subject: subject, Audience: audience})
		return err
	}
	for n := range 10 {
		if err := ask(fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask("10"); !errors.Is(err, token.ErrUnavailable) {
		t.Errorf("an eleventh signature in the same second: %v", err)
	}
	for _, kept := range []string{"7", "8", "9"} {
		if err := ask(kept); err != nil {
			t.Errorf("%s, which is remembered: %v", kept, err)
		}
	}
	if err := ask("6"); !errors.Is(err, token.ErrUnavailable) {
		t.Errorf("a fourth token is remembered: %v", err)
	}
	c.advance(200 * time.Millisecond)
	if err := errors.Join(ask("a"), ask("b")); err != nil {
		t.Errorf("two signatures after a fifth of a second: %v", err)
	}
	if err := ask("c"); !errors.Is(err, token.ErrUnavailable) {
		t.Errorf("a third: %v", err)
	}
	c.advance(time.Hour)
	for n := range 11 {
		if err := ask(fmt.Sprint("later", n)); (err == nil) != (n < 10) {
			t.Errorf("signature %d after an hour: %v", n, err)
		}
	}
	if n := double.Calls("Sign"); n != 22 {
		t.Errorf("%d calls of KMS, want 22", n)
	}
}

func TestIssuerNotAfter(t *testing.T) {
	double, client, id := newKMS(t)
	c := newClock()
	i := token.NewIssuer(issuer, token.NewSigner(client, id, nil), &token.IssuerOptions{Now: c.now})
	r := token.Request{Subject: "s", Audience: audience, NotAfter: now.Add(time.Minute + 500*time.Millisecond)}
	for range 60 {
		issued, err := i.Token(t.Context(), r)
		if err != nil || !issued.Expiry.Equal(now.Add(time.Minute)) {
			t.Fatalf("%+v, error %v", issued, err)
		}
		c.advance(time.Second)
	}
	if n := double.Calls("Sign"); n != 1 {
		t.Errorf("%d calls of KMS for a token that cannot be bettered", n)
	}
	if issued, err := i.Token(t.Context(), r); err == nil {
		t.Errorf("issued %+v when time is over", issued)
	}
}

func TestIssuerFailures(t *testing.T) {
	double, client, id := newKMS(t)
	signer, c := token.NewSigner(client, id, nil), newClock()
	i := token.NewIssuer(issuer, signer, &token.IssuerOptions{Now: c.now})
	r := token.Request{Subject: "s", Audience: audience}
	double.Fail("Sign", "ThrottlingException", 1)
	if issued, err := i.Token(t.Context(), r); issued != nil || !errors.Is(err, token.ErrUnavailable) {
		t.Errorf("throttled: %v, error %v", issued, err)
	}
	if _, err := i.Token(t.Context(), r); err != nil {
		t.Errorf("after the throttling: %v", err)
	}
	double.Delay(500 * time.Millisecond)
	r.Subject = "t"
	impatient, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := i.Token(impatient, r); !errors.Is(err, token.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who is cancelled gets %v", err)
	}
	if issued, err := i.Token(t.Context(), r); err != nil || subjectOf(t, signer, c, issued.Token) != "t" {
		t.Errorf("who waits for the same signature: %v", err)
	}
	if n := double.Calls("Sign"); n != 3 {
		t.Errorf("%d calls of KMS, want 3", n)
	}
	for name, r := range map[string]token.Request{
		"no subject": {Audience: audience}, "no audience": {Subject: "s"}, "scope": {Subject: "s", Audience: audience, Scope: []string{"a b"}},
		"private": {Subject: "s", Audience: audience, Private: map[string]json.RawMessage{"exp": json.RawMessage("1")}},
	} {
		if issued, err := i.Token(t.Context(), r); err == nil || errors.Is(err, token.ErrUnavailable) {
			t.Errorf("%s: %v, error %v", name, issued, err)
		}
	}
}
