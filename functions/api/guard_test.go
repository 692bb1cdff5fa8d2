package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/patterns/security/opaque"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
	"github.com/serverless-go/cdk/test/engine"
)

// granted is a source of references that all stand for the same.
type granted opaque.Grant

func (granted) Accepts(string) bool { return true }

func (g granted) Lookup(context.Context, string) (*opaque.Grant, error) {
	grant := opaque.Grant(g)
	return &grant, nil
}

const who = "GET /who"

// whoMux answers with the caller's pseudonym.
var whoMux = api.Mux{who: func(_ context.Context, r *api.Request) (*api.Response, error) {
	return &api.Response{Status: http.StatusOK, Body: r.Caller}, nil
}, "GET /count": func(context.Context, *api.Request) (*api.Response, error) {
	return &api.Response{Status: http.StatusOK}, nil
}}

// behind returns a function that opens the door of audience "shop" for a grant
// and returns the event's authorizer.
func behind(t *testing.T) func(opaque.Grant) string {
	t.Helper()
	client := kms.NewFromConfig(engine.NewKMS(t).Config())
	key, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	signer := token.NewSigner(client, *key.KeyMetadata.KeyId, nil)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document, err := token.JWKS(r.Context(), signer)
		if err != nil {
			t.Error(err)
		}
		w.Write(document)
	}))
	t.Cleanup(keys.Close)
	const issuer = "https://shop.example.com"
	t.Setenv(schema.EnvInnerIssuer, issuer)
	t.Setenv(schema.EnvInnerAudience, "shop")
	t.Setenv(schema.EnvInnerJWKS, keys.URL)
	door := opaque.Authorizer{Issuer: token.NewIssuer(issuer, signer, nil), Audience: "shop"}
	return func(g opaque.Grant) string {
		t.Helper()
		door := door
		g.Expires = time.Now().Add(time.Hour)
		door.Source = granted(g)
		out, err := door.Authorize(t.Context(), events.APIGatewayV2CustomAuthorizerV2Request{
			Version: "2.0", Type: "REQUEST", RouteKey: who, Headers: map[string]string{schema.ReferenceHeader: "sgref_x"}})
		if err != nil || !out.IsAuthorized {
			t.Fatalf("%+v, %v", out, err)
		}
		context, err := json.Marshal(map[string]any{"lambda": out.Context})
		if err != nil {
			t.Fatal(err)
		}
		return string(context)
	}
}

func invoke(t *testing.T, scopes map[string]string, route, authorizer string) (int, string) {
	t.Helper()
	h, err := api.Guard(whoMux, scopes)
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.Invoke(t.Context(), []byte(`{"version":"2.0","routeKey":"`+route+`","headers":{},"requestContext":{"authorizer":`+authorizer+`}}`))
	var answer events.APIGatewayV2HTTPResponse
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Body
}

// A person's carts are found by the pseudonym: it must be the same whether the
// provider's own token comes, a signature, or a reference that was issued for it.
func TestPseudonymBehindReference(t *testing.T) {
	direct := map[string]string{}
	people := map[string]string{
		"provider": `{"jwt":{"claims":{"iss":"https://id.example.com","sub":"ann"}}}`,
		"another":  `{"jwt":{"claims":{"iss":"https://login.example.org","sub":"ann"}}}`,
		"IAM":      `{"iam":{"userArn":"arn:aws:sts::123456789012:assumed-role/batch/s"}}`,
		"Cognito":  `{"iam":{"userArn":"arn:aws:sts::123456789012:assumed-role/c/CognitoIdentityCredentials","cognitoIdentity":{"identityId":"eu-west-1:1"}}}`,
	}
	for name, authorizer := range people {
		_, direct[name] = invoke(t, nil, who, authorizer)
	}
	if direct["provider"] != `"`+api.Pseudonym("https://id.example.com", "ann")+`"` {
		t.Fatalf("pseudonym is %s", direct["provider"])
	}
	open := behind(t)
	for name, authorizer := range people {
		var in events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal([]byte(authorizer), &in.RequestContext.Authorizer); err != nil {
			t.Fatal(err)
		}
		provider, subject, ok := api.Person(in)
		if !ok {
			t.Fatalf("%s is nobody", name)
		}
		status, body := invoke(t, nil, who, open(opaque.Grant{Provider: provider, Subject: subject}))
		if status != http.StatusOK || body != direct[name] {
			t.Errorf("%s: status %d, caller %s, want %s", name, status, body, direct[name])
		}
	}
	// Rather nobody than somebody else.
	if status, body := invoke(t, nil, who, open(opaque.Grant{Subject: "ann"})); status != http.StatusUnauthorized {
		t.Errorf("without who vouches: status %d, %s", status, body)
	}
}

func TestGuard(t *testing.T) {
	ann := `{"jwt":{"claims":{"iss":"https://id.example.com","sub":"ann"}}}`
	signed := `{"iam":{"userArn":"arn:aws:iam::123456789012:user/ann"}}`
	if status, _ := invoke(t, nil, who, ann); status != http.StatusOK {
		t.Errorf("without an environment: status %d", status)
	}
	open := behind(t)
	scopes := map[string]string{"GET /count": "count:read"}
	token := open(opaque.Grant{Provider: "iam", Subject: "x"})
	counter := open(opaque.Grant{Provider: "iam", Subject: "x", Scope: []string{"count:read"}})
	for _, c := range []struct {
		name, route, authorizer string
		want                    int
	}{
		{"reference", who, token, http.StatusOK},
		{"reference without the scope", "GET /count", token, http.StatusForbidden},
		{"reference with the scope", "GET /count", counter, http.StatusOK},
		{"signature for a route with a scope", "GET /count", signed, http.StatusOK},
		{"signature for another route", who, signed, http.StatusUnauthorized},
		{"provider's token", who, ann, http.StatusUnauthorized},
		{"provider's token for a route with a scope", "GET /count", ann, http.StatusUnauthorized},
		{"nobody", who, "null", http.StatusUnauthorized},
		{"forged", who, `{"lambda":{"token":"a.b.c"}}`, http.StatusUnauthorized},
		{"unknown route", "GET /other", token, http.StatusForbidden},
	} {
		if status, body := invoke(t, scopes, c.route, c.authorizer); status != c.want {
			t.Errorf("%s: status %d, want %d: %s", c.name, status, c.want, body)
		}
	}
	t.Setenv(schema.EnvInnerJWKS, "")
	if _, err := api.Guard(whoMux, nil); err == nil {
		t.Error("half an environment makes a handler")
	}
}
