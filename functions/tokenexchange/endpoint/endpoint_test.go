package endpoint_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/serverless-go/cdk/functions/tokenexchange/endpoint"
	"github.com/serverless-go/cdk/patterns/security/exchange"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
	"github.com/serverless-go/cdk/test/engine"
)

const role = "arn:aws:sts::123456789012:assumed-role/orders"

// setUp returns an endpoint made from the environment, and a token that orders
// was sent.
func setUp(t *testing.T) (*endpoint.Endpoint, string, *token.Signer) {
	t.Helper()
	double := engine.NewKMS(t)
	double.Signatures = &engine.SigV4{Service: "kms", Region: engine.Region}
	client := kms.NewFromConfig(double.Config())
	made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	key := *made.KeyMetadata.KeyId
	settings, err := json.Marshal(schema.Exchange{
		Issuer: "https://tokens.example.com", Key: key, Lifetime: 60,
		Subjects: []schema.ExchangeSource{{Issuer: "https://tokens.example.com", Keys: []string{key}}},
		Clients:  map[string]string{role: "orders", "arn:aws:iam::123456789012:user/robots": "orders"},
		Rules:    []schema.ExchangeRule{{Actor: "orders", Audience: "payments", Scopes: []string{"write"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(schema.EnvExchange, string(settings))
	e, err := endpoint.FromEnv(double.Config())
	if err != nil {
		t.Fatal(err)
	}
	signer := token.NewSigner(client, key, nil)
	raw, err := signer.Sign(t.Context(), token.TypeAccessToken, &token.Claims{Issuer: "https://tokens.example.com", Subject: "ann",
		Audience: []string{"orders"}, Scope: []string{"read", "write"}, Expiry: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return e, raw, signer
}

// request returns a request as API Gateway passes it on.
func request(raw, authorizer string, header map[string]string) map[string]any {
	all := map[string]string{"content-type": "application/x-www-form-urlencoded"}
	for name, value := range header {
		all[name] = value
	}
	return map[string]any{
		"version": "2.0", "routeKey": "POST /token", "rawPath": "/token", "rawQueryString": "", "headers": all,
		"requestContext":  map[string]any{"http": map[string]string{"method": "POST", "path": "/token"}, "authorizer": json.RawMessage(authorizer)},
		"isBase64Encoded": true,
		"body": base64.StdEncoding.EncodeToString([]byte(url.Values{"grant_type": {exchange.GrantType}, "subject_token": {raw},
			"subject_token_type": {exchange.AccessToken}, "audience": {"payments"}}.Encode())),
	}
}

func invoke(t *testing.T, e *endpoint.Endpoint, in map[string]any) events.APIGatewayV2HTTPResponse {
	t.Helper()
	payload, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := e.Invoke(context.Background(), payload)
	if err != nil {
		t.Fatal(err)
	}
	var out events.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(reply, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func iam(arn string) string { return `{"iam": {"userArn": "` + arn + `"}}` }

func TestExchange(t *testing.T) {
	e, raw, signer := setUp(t)
	out := invoke(t, e, request(raw, iam(role+"/session"), nil))
	var got exchange.Response
	if err := json.Unmarshal([]byte(out.Body), &got); err != nil || out.StatusCode != http.StatusOK || out.Headers["cache-control"] != "no-store" {
		t.Fatalf("%+v", out)
	}
	v := token.Verifier{Issuer: "https://tokens.example.com", Audience: "payments", Keys: token.SignerKeys{signer}}
	claims, err := v.Verify(t.Context(), got.AccessToken)
	if err != nil || claims.Subject != "ann" || claims.Actor.Subject != "orders" || strings.Join(claims.Scope, " ") != "write" {
		t.Errorf("claims %+v, error %v", claims, err)
	}
	if got.ExpiresIn < 50 || got.ExpiresIn > 60 {
		t.Errorf("expires in %d s, the lifetime is 60", got.ExpiresIn)
	}
}

// TestAttackIdentity plays requests of those who are not the role orders, with
// the token that orders was sent.
func TestAttackIdentity(t *testing.T) {
	e, raw, _ := setUp(t)
	for name, in := range map[string]map[string]any{
		"nobody":                              request(raw, "null", nil),
		"a JWT authorizer's caller":           request(raw, `{"jwt": {"claims": {"sub": "orders"}}}`, nil),
		"a Lambda authorizer's context":       request(raw, `{"lambda": {"userArn": "`+role+`/s"}}`, nil),
		"a header":                            request(raw, "null", map[string]string{"x-amzn-iam-user-arn": role, "x-client": role}),
		"another role":                        request(raw, iam("arn:aws:sts::123456789012:assumed-role/evil/orders"), nil),
		"a session named like the role":       request(raw, iam("arn:aws:sts::123456789012:assumed-role/evil/assumed-role/orders"), nil),
		"the role in another account":         request(raw, iam("arn:aws:sts::210987654321:assumed-role/orders/session"), nil),
		"a user below a path named like one":  request(raw, iam("arn:aws:iam::123456789012:user/robots/evil"), nil),
		"a user named like the role":          request(raw, iam("arn:aws:iam::123456789012:user/orders"), nil),
		"a federated user named like it":      request(raw, iam("arn:aws:sts::123456789012:federated-user/orders"), nil),
		"a role that begins alike":            request(raw, iam(role+"-test/session"), nil),
		"empty ARN":                           request(raw, iam(""), nil),
		"the role under another partition":    request(raw, iam("arn:aws-cn:sts::123456789012:assumed-role/orders/session"), nil),
		"the role in capitals":                request(raw, iam("arn:aws:sts::123456789012:assumed-role/ORDERS/session"), nil),
		"a session with more slashes than it": request(raw, iam(role+"/a/b"), nil),
	} {
		out := invoke(t, e, in)
		if out.StatusCode != http.StatusBadRequest || !strings.Contains(out.Body, `"error":"invalid_client"`) {
			t.Errorf("%s: status %d, %s", name, out.StatusCode, out.Body)
		}
	}
	in := request(raw, iam(role+"/session"), nil)
	in["rawQueryString"] = "subject_token=" + raw
	if out := invoke(t, e, in); out.StatusCode != http.StatusBadRequest || strings.Contains(out.Body, raw) {
		t.Errorf("token in the URL: status %d, %s", out.StatusCode, out.Body)
	}
	in = request(raw, iam(role+"/session"), nil)
	in["body"] = "%%%"
	payload, _ := json.Marshal(in)
	if out, err := e.Invoke(t.Context(), payload); err == nil {
		t.Errorf("no base64: %s", out)
	}
}

func TestFromEnvRefuses(t *testing.T) {
	for name, settings := range map[string]string{
		"nothing":     "",
		"unknown":     `{"issuer":"a","key":"k","subjects":[{"issuer":"b","jwks":"https://b"}],"clients":{"r":"a"},"rules":[],"maxScopes":1}`,
		"two sources": `{"issuer":"a","key":"k","subjects":[{"issuer":"b","jwks":"https://b","keys":["k"]}],"clients":{"r":"a"},"rules":[]}`,
		"no actors":   `{"issuer":"a","key":"k","subjects":[{"issuer":"b","jwks":"https://b"}],"rules":[]}`,
		"actors":      `{"issuer":"a","key":"k","subjects":[{"issuer":"b","jwks":"https://b"}],"actors":{"issuer":"c","jwks":"https://c"},"rules":[]}`,
		"two values":  `{"issuer":"a","key":"k","subjects":[{"issuer":"b","jwks":"https://b"}],"clients":{"r":"a"},"rules":[]}{}`,
	} {
		t.Setenv(schema.EnvExchange, settings)
		if e, err := endpoint.FromEnv(engine.Endpoint{}.Config()); e != nil || err == nil || !strings.HasPrefix(err.Error(), schema.EnvExchange) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	t.Setenv(schema.EnvExchange, `{"issuer":"a","key":"k","subjects":[{"issuer":"b","jwks":"https://b"}],"actors":{"issuer":"c","audience":"x","jwks":"https://c"},"rules":[]}`)
	if _, err := endpoint.FromEnv(engine.Endpoint{}.Config()); err != nil {
		t.Error(err)
	}
}
