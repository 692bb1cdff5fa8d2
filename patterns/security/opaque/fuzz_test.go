package opaque

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/serverless-go/cdk/patterns/security/internal/reference"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// one is a source that knows one reference, and an issuer.
type one struct{ ref string }

func (o one) Accepts(s string) bool { return reference.WellFormed(s) }
func (o one) Lookup(_ context.Context, ref string) (*Grant, error) {
	if ref != o.ref {
		return nil, ErrRefused
	}
	return &Grant{Subject: "ann"}, nil
}
func (o one) Token(context.Context, token.Request) (*token.Issued, error) {
	return &token.Issued{Token: "jwt"}, nil
}

func FuzzAuthorizer(f *testing.F) {
	ref := reference.New()
	a := &Authorizer{Source: one{ref}, Issuer: one{}, Audience: "orders", Log: slog.New(slog.NewJSONHandler(io.Discard, nil))}
	f.Add([]byte(`{"version":"2.0","type":"REQUEST","headers":{"x-access-reference":"` + ref + `"}}`))
	f.Add([]byte(`{"version":"2.0","type":"REQUEST","headers":{"x-access-reference":"` + ref + `","authorization":"x"},"cookies":["a=b"]}`))
	f.Add([]byte(`{"version":"2.0","type":"REQUEST","rawQueryString":"a=%zz;b","pathParameters":{"a":"b"}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		out, err := a.Invoke(t.Context(), payload)
		if err != nil {
			if out != nil || strings.Contains(err.Error(), ref) {
				t.Errorf("%s with error %v", out, err)
			}
			return
		}
		if string(out) == `{"isAuthorized":false}` {
			return
		}
		var in events.APIGatewayV2CustomAuthorizerV2Request
		if err := json.Unmarshal(payload, &in); err != nil {
			t.Fatal(err)
		}
		n := 0
		for name, value := range in.Headers {
			if strings.EqualFold(name, "x-access-reference") {
				n++
				if value != ref {
					t.Errorf("let in with %q", value)
				}
			}
			if strings.EqualFold(name, "authorization") {
				t.Error("let in with two identities")
			}
		}
		if n != 1 {
			t.Errorf("let in with %d references", n)
		}
	})
}

func FuzzIntrospectionAnswer(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	i := &Introspector{Issuer: "https://id", Audience: "api", Tenant: "org", Now: func() time.Time { return now }}
	f.Add([]byte(`{"active":true,"sub":"ann","aud":"api","exp":1800000060,"scope":"a b","org":"acme","iss":"https://id"}`))
	f.Add([]byte(`{"active":"true","exp":1e309,"aud":["api",1],"nbf":-1}`))
	f.Add([]byte(`{"Active":true,"active":false}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		g, err := i.grant(body)
		if err != nil {
			if g != nil || !errors.Is(err, ErrRefused) && !errors.Is(err, ErrUnavailable) {
				t.Errorf("grant %v, error %v", g, err)
			}
			return
		}
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatalf("a grant of what is no JSON: %v", err)
		}
		exp, _ := m["exp"].(float64)
		aud, _ := m["aud"].([]any)
		if m["active"] != true || m["sub"] != g.Subject || g.Subject == "" || math.Floor(exp) <= float64(now.Unix()) || m["aud"] != "api" && !slices.Contains(aud, any("api")) {
			t.Errorf("a grant of %s", body)
		}
	})
}

func FuzzSecret(f *testing.F) {
	f.Add(`{"client_id":"a","client_secret":"hunter2hunter2"}`)
	f.Add(`{"client_id":"a","private_key":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n","kid":"k"}`)
	f.Fuzz(func(t *testing.T, secret string) {
		c, err := parseCredentials(secret)
		if (c == nil) == (err == nil) || c != nil && c.id == "" {
			t.Errorf("%+v, error %v", c, err)
		}
		if err != nil && len(secret) > 12 && strings.Contains(err.Error(), secret) {
			t.Errorf("the error has the secret: %v", err)
		}
	})
}
