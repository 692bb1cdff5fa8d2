package endpoint

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/patterns/security/opaque"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) { engine.Main(m) }

func newEndpoint(t testing.TB) (*Endpoint, *engine.Faults) {
	t.Helper()
	faults := &engine.Faults{}
	cfg := engine.DynamoDB(t).Config()
	cfg.HTTPClient = faults
	db := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
	table := "references-" + rand.Text()
	if _, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(schema.ReferencePK), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(schema.ReferenceSK), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(schema.ReferencePK), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(schema.ReferenceSK), KeyType: types.KeyTypeRange}},
	}); err != nil {
		t.Fatal(err)
	}
	return &Endpoint{Store: &opaque.Store{DynamoDB: db, Table: table}, Life: time.Hour, Tenant: "org",
		Scopes: map[string][]string{"orders": {"orders:read", "orders:write"}}}, faults
}

// people are the callers, as API Gateway tells of them.
var people = map[string]string{
	"ann":     `{"jwt":{"claims":{"iss":"https://id.example.com","sub":"ann","org":"acme","scope":"orders:read"}}}`,
	"role":    `{"iam":{"userArn":"arn:aws:sts::123456789012:assumed-role/batch/s"}}`,
	"cognito": `{"iam":{"userArn":"arn:aws:sts::123456789012:assumed-role/c/CognitoIdentityCredentials","cognitoIdentity":{"identityId":"eu-west-1:1"}}}`,
	"nobody":  `null`,
	"opaque":  `{"lambda":{"token":"jwt"}}`,
}

func (e *Endpoint) ask(t testing.TB, person, route, body string, header map[string]string) (int, map[string]any, map[string]string) {
	t.Helper()
	in := events.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: route, Body: body, Headers: header, PathParameters: map[string]string{"id": header["id"]}}
	if err := json.Unmarshal([]byte(people[person]), &in.RequestContext.Authorizer); err != nil {
		t.Fatal(err)
	}
	out, err := e.Routes().Serve(t.Context(), in)
	if err != nil {
		return 500, map[string]any{"error": err.Error()}, nil
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(out.Body), &answer); err != nil {
		t.Fatalf("%s: %v", out.Body, err)
	}
	return out.StatusCode, answer, out.Headers
}

var asJSON = map[string]string{"content-type": "application/json"}

func TestIssueListRevoke(t *testing.T) {
	e, _ := newEndpoint(t)
	status, one, header := e.ask(t, "ann", schema.RouteIssue, `{"name":"laptop","client":"cli","expiresIn":120}`, asJSON)
	ref, _ := one["reference"].(string)
	if status != http.StatusCreated || header["cache-control"] != "no-store" || one["scope"] != "orders:read" || one["name"] != "laptop" || one["client"] != "cli" {
		t.Fatalf("status %d, %v", status, one)
	}
	g, err := e.Store.Lookup(t.Context(), ref)
	if err != nil || g.Subject != "ann" || g.Provider != "https://id.example.com" || g.Tenant != "acme" || g.Client != "cli" || time.Until(g.Expires) > 2*time.Minute {
		t.Fatalf("grant %+v, error %v", g, err)
	}
	status, list, _ := e.ask(t, "ann", schema.RouteList, "", nil)
	all, _ := list["references"].([]any)
	if status != 200 || len(all) != 1 || all[0].(map[string]any)["id"] != one["id"] || all[0].(map[string]any)["reference"] != nil {
		t.Errorf("status %d, %v", status, list)
	}
	if _, list, _ := e.ask(t, "role", schema.RouteList, "", nil); len(list["references"].([]any)) != 0 {
		t.Errorf("another sees %v", list)
	}
	if status, _, _ := e.ask(t, "ann", schema.RouteRevokeOne, "", map[string]string{"id": one["id"].(string)}); status != 200 {
		t.Errorf("revoke: status %d", status)
	}
	if _, err := e.Store.Lookup(t.Context(), ref); err != opaque.ErrRefused {
		t.Errorf("error %v", err)
	}
	// Who signs with AWS credentials has no scopes of a token: IAM let them here.
	status, two, _ := e.ask(t, "role", schema.RouteIssue, ``, nil)
	if status != 201 || two["scope"] != "orders:read orders:write" {
		t.Errorf("status %d, %v", status, two)
	}
	if g, err := e.Store.Lookup(t.Context(), two["reference"].(string)); err != nil || g.Subject != "arn:aws:sts::123456789012:assumed-role/batch/s" || g.Provider != "iam" {
		t.Errorf("grant %+v, error %v", g, err)
	}
	_, three, _ := e.ask(t, "cognito", schema.RouteIssue, ``, nil)
	if g, err := e.Store.Lookup(t.Context(), three["reference"].(string)); err != nil || g.Subject != "eu-west-1:1" || g.Provider != "cognito" {
		t.Errorf("grant %+v, error %v", g, err)
	}
	for _, person := range []string{"nobody", "opaque"} {
		if status, _, _ := e.ask(t, person, schema.RouteIssue, ``, nil); status != 401 {
			t.Errorf("%s: status %d", person, status)
		}
	}
}

func TestIdempotencyAndBounds(t *testing.T) {
	e, _ := newEndpoint(t)
	e.Store.Max, e.Store.PerHour = 1, 3
	key := map[string]string{"idempotency-key": "k", "content-type": "application/json"}
	_, one, _ := e.ask(t, "ann", schema.RouteIssue, ``, key)
	_, two, _ := e.ask(t, "ann", schema.RouteIssue, ``, key)
	if one["id"] != two["id"] || one["reference"] == two["reference"] {
		t.Errorf("%v and %v", one, two)
	}
	if status, answer, _ := e.ask(t, "ann", schema.RouteIssue, `{"name":"x"}`, key); status != 409 || answer["type"] != api.ProblemType("idempotency-key") {
		t.Errorf("status %d, %v", status, answer)
	}
	if status, answer, _ := e.ask(t, "ann", schema.RouteIssue, ``, nil); status != 403 || answer["type"] != api.ProblemType("too-many-references") {
		t.Errorf("status %d, %v", status, answer)
	}
	if status, answer, _ := e.ask(t, "ann", schema.RouteRevokeAll, ``, nil); status != 200 || answer["revoked"] != 1.0 {
		t.Errorf("status %d, %v", status, answer)
	}
	e.ask(t, "ann", schema.RouteIssue, ``, nil)
	e.ask(t, "ann", schema.RouteRevokeAll, ``, nil)
	if status, answer, header := e.ask(t, "ann", schema.RouteIssue, ``, nil); status != 429 || header["retry-after"] == "" || header["retry-after"] == "0" {
		t.Errorf("status %d, %v", status, answer)
	}
	if status, _, _ := e.ask(t, "ann", schema.RouteIssue, ``, map[string]string{"idempotency-key": strings.Repeat("k", 300)}); status != 422 {
		t.Errorf("a long key: status %d", status)
	}
}

// What no token could say is refused when it is asked for: each use of the
// reference would be a failure, and ring the alarm.
func TestIssueRefusesInvisible(t *testing.T) {
	e, _ := newEndpoint(t)
	for _, body := range []string{`{"client":"a\u200bb"}`, `{"client":"a\u2028b"}`, `{"client":"a\ud800b"}`, `{"client":"a\ufeffb"}`, `{"name":"a\u202eb"}`} {
		if status, answer, _ := e.ask(t, "ann", schema.RouteIssue, body, asJSON); status != 422 {
			t.Errorf("%s: status %d, %v", body, status, answer)
		}
	}
}

func TestRevocationForm(t *testing.T) {
	e, _ := newEndpoint(t)
	_, one, _ := e.ask(t, "ann", schema.RouteIssue, ``, nil)
	ref := one["reference"].(string)
	form := map[string]string{"content-type": "application/x-www-form-urlencoded;charset=UTF-8"}
	for name, tt := range map[string]struct {
		body   string
		header map[string]string
		status int
	}{
		"no form": {"", form, 400}, "no token": {"a=b", form, 400}, "an empty token": {"token=", form, 400}, "two tokens": {"token=a&token=b", form, 400},
		"bad encoding": {"token=%zz", form, 400}, "JSON": {`{"token":"x"}`, asJSON, 415}, "too large": {"token=" + strings.Repeat("x", 9<<10), form, 413},
		"unknown": {"token=x", form, 200}, "another kind of token": {"token=" + ref[:20] + "&token_type_hint=refresh_token", form, 200},
	} {
		if status, answer, _ := e.ask(t, "ann", schema.RouteRevoke, tt.body, tt.header); status != tt.status {
			t.Errorf("%s: status %d, %v; want %d", name, status, answer, tt.status)
		}
	}
	if _, err := e.Store.Lookup(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	in := events.APIGatewayV2HTTPRequest{RouteKey: schema.RouteRevoke, Headers: form, IsBase64Encoded: true,
		Body: base64.StdEncoding.EncodeToString([]byte(url.Values{"token": {ref}}.Encode()))}
	if err := json.Unmarshal([]byte(people["ann"]), &in.RequestContext.Authorizer); err != nil {
		t.Fatal(err)
	}
	if out, err := e.Routes().Serve(t.Context(), in); err != nil || out.StatusCode != 200 {
		t.Errorf("%+v, error %v", out, err)
	}
	if _, err := e.Store.Lookup(t.Context(), ref); err != opaque.ErrRefused {
		t.Errorf("error %v", err)
	}
}

func TestFailuresAreErrors(t *testing.T) {
	e, faults := newEndpoint(t)
	for operation, route := range map[string]string{"TransactWriteItems": schema.RouteIssue, "Query": schema.RouteList, "UpdateItem": schema.RouteRevokeAll} {
		faults.Refuse(operation, "InternalServerError", 1)
		if status, answer, _ := e.ask(t, "ann", route, ``, nil); status != 500 {
			t.Errorf("%s: status %d, %v", operation, status, answer)
		}
	}
}

func TestFromEnv(t *testing.T) {
	for name, value := range map[string]string{
		schema.EnvReferencesTable: "t", schema.EnvReferencesMax: "20", schema.EnvReferencesPerHour: "30", schema.EnvReferencesMaxLife: "720h",
		schema.EnvReferencesLife: "12h", schema.EnvOpaqueScopes: `{"orders":["orders:read"]}`,
	} {
		t.Setenv(name, value)
	}
	if mux, err := FromEnv(aws.Config{}); err != nil || len(mux) != 5 {
		t.Errorf("%d routes, error %v", len(mux), err)
	}
	for name, value := range map[string]string{schema.EnvOpaqueScopes: "{}", schema.EnvReferencesLife: "soon", schema.EnvReferencesMax: "0", schema.EnvReferencesTable: ""} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			if _, err := FromEnv(aws.Config{}); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func FuzzForm(f *testing.F) {
	f.Add("token=abc&token_type_hint=access_token", "application/x-www-form-urlencoded", false)
	f.Add("dG9rZW49YQ==", "application/x-www-form-urlencoded; charset=x", true)
	f.Fuzz(func(t *testing.T, body, kind string, encoded bool) {
		ref, err := shownToken(&api.Request{APIGatewayV2HTTPRequest: events.APIGatewayV2HTTPRequest{
			Body: body, IsBase64Encoded: encoded, Headers: map[string]string{"content-type": kind}}})
		if problem := (*api.Problem)(nil); (ref == "") == (err == nil) || err != nil && !errors.As(err, &problem) {
			t.Errorf("%q, error %v", ref, err)
		}
	})
}

// Whatever is asked for, nothing is granted that the caller does not have.
func FuzzIssue(f *testing.F) {
	e := &Endpoint{Scopes: map[string][]string{"orders": {"orders:read", "orders:write"}, "bills": {"bills:read"}}}
	f.Add(`{"audience":["orders"],"scope":"orders:read"}`)
	f.Add(`{"scope":"orders:write bills:read"}`)
	f.Fuzz(func(t *testing.T, body string) {
		var in asked
		r := &api.Request{APIGatewayV2HTTPRequest: events.APIGatewayV2HTTPRequest{Body: body, Headers: asJSON}}
		if api.Decode(r, &in) != nil {
			return
		}
		audience, scope, wrong := e.grantable(&in, &identity{subject: "ann", scope: []string{"orders:read", "openid"}})
		if len(wrong) > 0 {
			return
		}
		for _, a := range audience {
			if e.Scopes[a] == nil {
				t.Errorf("audience %q", a)
			}
		}
		for _, s := range scope {
			if s != "orders:read" {
				t.Errorf("scope %q", s)
			}
		}
	})
}
