package api_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/functions/api"
)

func TestCaller(t *testing.T) {
	for _, tt := range []struct {
		name, authorizer string // the member of requestContext
		want             string // "" for a caller who is not known
	}{
		{"JWT", `{"jwt": {"claims": {"iss": "https://id.example.com", "sub": "ann"}, "scopes": null}}`, api.Pseudonym("https://id.example.com", "ann")},
		{"JWT of another issuer", `{"jwt": {"claims": {"iss": "https://login.example.org", "sub": "ann"}}}`, api.Pseudonym("https://login.example.org", "ann")},
		{"JWT without subject", `{"jwt": {"claims": {"iss": "https://id.example.com"}}}`, ""},
		{"IAM user", `{"iam": {"accessKey": "AKIAEXAMPLE", "accountId": "123456789012", "callerId": "AIDAEXAMPLE", "cognitoIdentity": null,
			"principalOrgId": null, "userArn": "arn:aws:iam::123456789012:user/ann", "userId": "AIDAEXAMPLE"}}`, api.Pseudonym("iam", "arn:aws:iam::123456789012:user/ann")},
		{"Cognito identity", `{"iam": {"userArn": "arn:aws:sts::123456789012:assumed-role/customers/CognitoIdentityCredentials",
			"cognitoIdentity": {"amr": ["authenticated"], "identityId": "us-east-1:0c1d", "identityPoolId": "us-east-1:ffff"}}}`, api.Pseudonym("cognito", "us-east-1:0c1d")},
		{"IAM without ARN", `{"iam": {"accountId": "123456789012"}}`, ""},
		{"Lambda", `{"lambda": {"sub": "ann"}}`, ""},
		{"none", `null`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r events.APIGatewayV2HTTPRequest
			if err := json.Unmarshal([]byte(`{"requestContext": {"authorizer": `+tt.authorizer+`}}`), &r); err != nil {
				t.Fatal(err)
			}
			if caller, ok := api.Caller(t.Context(), r); ok != (tt.want != "") || ok && caller != tt.want {
				t.Errorf("caller %q, %t; want %q", caller, ok, tt.want)
			}
		})
	}
}

func TestPseudonym(t *testing.T) {
	seen := map[string]bool{}
	for _, person := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"", "abc"}, {"abc", ""}, {"a", "BC"}, {"a", strings.Repeat("x", 1<<10)}} {
		p := api.Pseudonym(person[0], person[1])
		if !api.IsPseudonym(p) || seen[p] {
			t.Errorf("%q has the pseudonym %q, which is malformed or another's", person, p)
		}
		seen[p] = true
	}
	for _, other := range []string{"", "customer-", "customer-" + strings.Repeat("a", 25), "customer-" + strings.Repeat("A", 26), api.Pseudonym("a", "b") + "\n", strings.Repeat("a", 26)} {
		if api.IsPseudonym(other) {
			t.Errorf("%q passes for a pseudonym", other)
		}
	}
	// Carts and events are found by these: they must never change.
	if p := api.Pseudonym("https://id.example.com", "ann"); p != "customer-gajtawvm5vxzdh4ryvotwmgycd" {
		t.Errorf("pseudonym is %s", p)
	}
}

func TestDecode(t *testing.T) {
	type price struct {
		Amount int64 `json:"amount"`
	}
	type body struct {
		SKU   string `json:"sku"`
		Price price  `json:"price"`
	}
	lamp := body{"lamp", price{1999}}
	const text = `{"sku": "lamp", "price": {"amount": 1999}}`
	const jsonType = "application/json; charset=utf-8"
	for _, tt := range []struct {
		name, contentType, body string
		base64                  bool
		want                    body
		status                  int // of the problem; 0 for none
		detail, pointer         string
	}{
		{name: "object", contentType: jsonType, body: text, want: lamp},
		{name: "object in base64", contentType: jsonType, body: base64.StdEncoding.EncodeToString([]byte(text)), base64: true, want: lamp},
		{name: "nothing"},
		{name: "as large as allowed", contentType: jsonType, body: text + strings.Repeat(" ", api.MaxBody-len(text)), want: lamp},
		{name: "a byte more", contentType: jsonType, body: text + strings.Repeat(" ", api.MaxBody+1-len(text)),
			status: 413, detail: "The body has 8193 bytes; at most 8192 are allowed."},
		{name: "a byte more in base64", contentType: jsonType, body: base64.StdEncoding.EncodeToString(make([]byte, api.MaxBody+1)), base64: true,
			status: 413, detail: "The body has 8193 bytes; at most 8192 are allowed."},
		{name: "no base64", contentType: jsonType, body: text, base64: true, status: 400, detail: "The body is not the base64 that it is said to be."},
		{name: "form", contentType: "application/x-www-form-urlencoded", body: "sku=lamp", status: 415, detail: "The body must be application/json."},
		{name: "no type", body: text, status: 415, detail: "The body must be application/json."},
		{name: "no JSON", contentType: jsonType, body: `{"sku": }`, status: 400, detail: "The body is not well-formed JSON."},
		{name: "half", contentType: jsonType, body: `{"sku": "lamp"`, status: 400, detail: "The body is not well-formed JSON."},
		{name: "Latin-1", contentType: jsonType, body: "{\"sku\": \"caf\xe9\"}", status: 400, detail: "The body is not UTF-8."},
		{name: "two objects", contentType: jsonType, body: text + text, status: 400, detail: "The body has something after its JSON value."},
		{name: "rubbish after it", contentType: jsonType, body: text + "}", status: 400, detail: "The body has something after its JSON value."},
		{name: "unknown field", contentType: jsonType, body: `{"price": {"currency": "EUR"}}`, status: 400, detail: `The body has the unknown field "currency".`},
		{name: "wrong type", contentType: jsonType, body: `{"price": {"amount": "1999"}}`,
			status: 400, detail: "The body has a value of the wrong type.", pointer: "#/price/amount"},
		{name: "fraction", contentType: jsonType, body: `{"price": {"amount": 19.99}}`,
			status: 400, detail: "The body has a value of the wrong type.", pointer: "#/price/amount"},
		{name: "array", contentType: jsonType, body: `[]`, status: 400, detail: "The body has a value of the wrong type.", pointer: "#"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r api.Request
			r.Headers = map[string]string{"content-type": tt.contentType}
			r.Body, r.IsBase64Encoded = tt.body, tt.base64
			var got body
			err := api.Decode(&r, &got)
			var problem *api.Problem
			switch {
			case tt.status == 0:
				if err != nil || got != tt.want {
					t.Errorf("%+v, error %v; want %+v", got, err, tt.want)
				}
			case !errors.As(err, &problem) || problem.Status != tt.status || problem.Detail != tt.detail:
				t.Errorf("error %v, want %d: %s", err, tt.status, tt.detail)
			case tt.pointer != "" && (len(problem.Errors) != 1 || problem.Errors[0].Pointer != tt.pointer):
				t.Errorf("errors %v, want one at %s", problem.Errors, tt.pointer)
			}
		})
	}
}

func TestMux(t *testing.T) {
	mux := api.Mux{
		"GET /hello": func(_ context.Context, r *api.Request) (*api.Response, error) {
			return &api.Response{Status: http.StatusTeapot, Header: map[string]string{"x-a": "b"}, Body: map[string]string{"hello": r.Caller}}, nil
		},
		"GET /problem": func(context.Context, *api.Request) (*api.Response, error) {
			return nil, fmt.Errorf("wrapped: %w", &api.Problem{Type: api.ProblemType("x"), Status: 409, Detail: "No.",
				Errors: []api.FieldError{api.Field("price/amount", "must be less")}, Header: map[string]string{"retry-after": "1"}})
		},
		"GET /error": func(context.Context, *api.Request) (*api.Response, error) { return nil, errors.New("secret") },
		"GET /odd": func(context.Context, *api.Request) (*api.Response, error) {
			return &api.Response{Status: 200, Body: func() {}}, nil
		},
	}
	ann := api.Pseudonym("https://id.example.com", "ann")
	for _, tt := range []struct {
		route, caller string
		status        int
		header        map[string]string
		body          string
		err           string
	}{
		{route: "GET /hello", caller: "ann", status: 418, body: `{"hello":"` + ann + `"}`,
			header: map[string]string{"content-type": "application/json", "cache-control": "no-store", "x-a": "b"}},
		{route: "GET /problem", caller: "ann", status: 409,
			header: map[string]string{"content-type": "application/problem+json", "cache-control": "no-store", "retry-after": "1"},
			body: `{"type":"tag:serverless-go.github.io,2026:x","title":"Conflict","status":409,"detail":"No.",` +
				`"errors":[{"detail":"must be less","pointer":"#/price/amount"}]}`},
		{route: "GET /hello", status: 401,
			header: map[string]string{"content-type": "application/problem+json", "cache-control": "no-store"},
			body:   `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The request does not tell who calls."}`},
		{route: "PUT /hello", caller: "ann", status: 404,
			header: map[string]string{"content-type": "application/problem+json", "cache-control": "no-store"},
			body:   `{"type":"about:blank","title":"Not Found","status":404,"detail":"There is no such route."}`},
		{route: "GET /error", caller: "ann", err: "GET /error: secret"},
		{route: "GET /odd", caller: "ann", err: "GET /odd: encode answer: json: unsupported type: func()"},
	} {
		t.Run(tt.route+" of "+tt.caller, func(t *testing.T) {
			payload := fmt.Sprintf(`{"version": "2.0", "routeKey": %q, "requestContext": {"authorizer": {"jwt": {"claims": {"iss": "https://id.example.com", "sub": %q}}}}}`, tt.route, tt.caller)
			reply, err := mux.Invoke(t.Context(), []byte(payload))
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			var got events.APIGatewayV2HTTPResponse
			if err := errors.Join(err, json.Unmarshal(reply, &got)); err != nil {
				t.Fatal(err)
			}
			want := events.APIGatewayV2HTTPResponse{StatusCode: tt.status, Headers: tt.header, Body: tt.body}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMuxContent(t *testing.T) {
	mux := api.Mux{"GET /file": func(context.Context, *api.Request) (*api.Response, error) {
		return &api.Response{Status: 200, Content: []byte("\xff"), Header: map[string]string{"content-type": "application/pdf"}}, nil
	}}
	in := events.APIGatewayV2HTTPRequest{RouteKey: "GET /file"}
	in.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{"iss": "i", "sub": "ann"}}}
	got, err := mux.Serve(t.Context(), in)
	want := events.APIGatewayV2HTTPResponse{StatusCode: 200, IsBase64Encoded: true, Body: "/w==",
		Headers: map[string]string{"cache-control": "no-store", "content-type": "application/pdf"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, answer (-want +got):\n%s", err, diff)
	}
}
