package opaque_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/serverless-go/cdk/patterns/security/internal/reference"
	"github.com/serverless-go/cdk/patterns/security/opaque"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// raw sends bytes as they are, for what an HTTP client refuses to send, and
// returns the status, 0 if the server hung up.
func (h *house) raw(t *testing.T, request string) int {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, request)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// event asks the authorizer as API Gateway would, with headers as they are.
func (h *house) event(t *testing.T, headers map[string]string, change ...func(*events.APIGatewayV2CustomAuthorizerV2Request)) string {
	t.Helper()
	in := events.APIGatewayV2CustomAuthorizerV2Request{Version: "2.0", Type: "REQUEST", RouteKey: "GET /orders/{order}", RawPath: "/orders/7", Headers: headers}
	for _, f := range change {
		f(&in)
	}
	payload, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.authorizer.Invoke(t.Context(), payload)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(out)
}

const refused = `{"isAuthorized":false}`

// TestAttacks is the table of attacks on opaque invocation.
func TestAttacks(t *testing.T) {
	h := newHouse(t)
	ann := h.issue(t, "ann-at-idp", `{"name": "attacked"}`)
	bob := h.issue(t, "bob-at-idp", `{}`)
	ref := ann.Reference

	// Everything below fails for the reason that its name says, not because
	// nothing works.
	if status, answer := h.get(t, ref); status != 200 {
		t.Fatalf("the honest request: status %d, %s", status, answer)
	}
	honest := map[string]string{schema.ReferenceHeader: ref, "accept": "*/*", "user-agent": "test", "x-forwarded-for": "192.0.2.1", "x-amzn-trace-id": "Root=1"}
	if got := h.event(t, honest); !strings.HasPrefix(got, `{"isAuthorized":true,`) {
		t.Fatalf("the honest event: %s", got)
	}
	with := func(name, value string) map[string]string {
		m := map[string]string{name: value}
		for k, v := range honest {
			if k != name {
				m[k] = v
			}
		}
		return m
	}
	refuses := func(name string, headers map[string]string, change ...func(*events.APIGatewayV2CustomAuthorizerV2Request)) {
		t.Run(name, func(t *testing.T) {
			if got := h.event(t, headers, change...); got != refused {
				t.Errorf("the authorizer answers %s", got)
			}
		})
	}

	// Header smuggling.
	for name, header := range map[string]string{
		"in other case too": "X-Access-Reference", "with underscores": "x_access_reference", "with one underscore": "x-access_reference",
		"with a trailing space": "x-access-reference ", "with a leading tab": "\tx-access-reference", "with a NUL": "x-access-reference\x00",
		"with a zero-width space": "x-access\u200b-reference", "with a Cyrillic a": "x-аccess-reference", "with a long s": "x-acceſs-reference",
		"in full-width letters": "ｘ-ａｃｃｅｓｓ-ｒｅｆｅｒｅｎｃｅ", "with a Unicode hyphen": "x‐access‐reference", "with a dotless i": "x-ınternal-user",
	} {
		refuses("header smuggling/"+name, with(header, bob.Reference))
	}
	for name, value := range map[string]string{
		"doubled": ref + "," + ref, "joined with another's": ref + ", " + bob.Reference, "comma after": ref + ",", "comma before": "," + ref,
		"trailing space": ref + " ", "leading space": " " + ref, "trailing tab": ref + "\t", "line break": ref + "\r\n", "obsolete fold": ref + "\r\n " + bob.Reference,
		"NUL": ref + "\x00", "quoted": `"` + ref + `"`, "with a scheme": "Bearer " + ref, "percent-encoded": strings.ReplaceAll(ref, "_", "%5F"),
	} {
		refuses("reference value/"+name, with(schema.ReferenceHeader, value))
	}
	refuses("header smuggling/two spellings, no exact one", map[string]string{"X-Access-Reference": ref, "x-Access-reference": bob.Reference})
	for name, header := range map[string]string{
		"Authorization": "authorization", "Authorization in capitals": "AUTHORIZATION", "Proxy-Authorization": "proxy-authorization",
		"Authorization as a proxy keeps it": "x-forwarded-authorization", "STS session token": "x-amz-security-token",
	} {
		refuses("second identity/"+name, with(header, "Bearer x"))
	}
	for name, header := range map[string]string{
		"by prefix": "x-internal-token", "in capitals": "X-Internal-User", "with underscores": "X_INTERNAL_USER", "of a load balancer": "x-amzn-oidc-data",
	} {
		refuses("internal header inbound/"+name, with(header, "root"))
	}
	refuses("reference in another header", with("x-debug", "was "+ref))
	refuses("another's reference in another header", with("referer", "https://example.com/?r="+bob.Reference))

	// Other places.
	query := func(raw string) func(*events.APIGatewayV2CustomAuthorizerV2Request) {
		return func(in *events.APIGatewayV2CustomAuthorizerV2Request) { in.RawQueryString = raw }
	}
	refuses("query/by name", honest, query(schema.ReferenceHeader+"=1"))
	refuses("query/by value", honest, query("a=1&b="+bob.Reference))
	refuses("query/percent-encoded", honest, query("b="+strings.ReplaceAll(bob.Reference, "s", "%73")))
	refuses("query/encoded twice", honest, query("b="+strings.ReplaceAll(bob.Reference, "s", "%2573")))
	refuses("query/name encoded", honest, query("x%2Daccess%2Dreference=1"))
	refuses("query/RFC 6750", honest, query("access_token=x"))
	refuses("query/behind a semicolon", honest, query("a=1;b="+bob.Reference))
	refuses("query/decoded parameter", honest, func(in *events.APIGatewayV2CustomAuthorizerV2Request) {
		in.QueryStringParameters = map[string]string{"b": bob.Reference}
	})
	refuses("cookie/by value", honest, func(in *events.APIGatewayV2CustomAuthorizerV2Request) { in.Cookies = []string{"a=b", "session=" + ref} })
	refuses("cookie/by name", honest, func(in *events.APIGatewayV2CustomAuthorizerV2Request) { in.Cookies = []string{"X-Access-Reference=1"} })
	refuses("path/raw", honest, func(in *events.APIGatewayV2CustomAuthorizerV2Request) { in.RawPath = "/orders/" + bob.Reference })
	refuses("path/parameter", honest, func(in *events.APIGatewayV2CustomAuthorizerV2Request) {
		in.PathParameters = map[string]string{"order": bob.Reference}
	})

	t.Run("on the wire", func(t *testing.T) {
		before := len(h.seen)
		for name, request := range map[string]string{
			"doubled header":      "X-Access-Reference: " + ref + "\r\nx-access-reference: " + ref + "\r\n",
			"obsolete fold":       "X-Access-Reference: " + ref + "\r\n " + bob.Reference + "\r\n",
			"space before colon":  "X-Access-Reference : " + ref + "\r\n",
			"underscores":         "X_Access_Reference: " + ref + "\r\n",
			"both spellings":      "X-Access-Reference: " + ref + "\r\nX_Access_Reference: " + bob.Reference + "\r\n",
			"Authorization":       "X-Access-Reference: " + ref + "\r\nAuthorization: Bearer " + ref + "\r\n",
			"cookie":              "X-Access-Reference: " + ref + "\r\nCookie: a=b; r=" + ref + "\r\n",
			"Authorization alone": "Authorization: Bearer " + ref + "\r\n",
			"nothing":             "",
			"empty":               "X-Access-Reference:\r\n",
		} {
			status := h.raw(t, "GET /orders/7 HTTP/1.1\r\nHost: x\r\n"+request+"Connection: close\r\n\r\n")
			if status != 0 && status != 400 && status != 401 && status != 403 {
				t.Errorf("%s: status %d", name, status)
			}
		}
		if len(h.seen) != before {
			t.Error("the inner function saw one of them")
		}
	})

	// Guessing.
	t.Run("guessing", func(t *testing.T) {
		before := h.table.Calls("GetItem")
		flipped := []byte(ref)
		flipped[len(flipped)-1] ^= 1
		for name, guess := range map[string]string{
			"truncated": ref[:len(ref)-1], "prefix alone": schema.ReferencePrefix, "longer": ref + "A", "without prefix": strings.TrimPrefix(ref, schema.ReferencePrefix),
			"last bit": string(flipped), "in capitals": strings.ToUpper(ref), "wildcard": schema.ReferencePrefix + strings.Repeat("*", 48), "id": ann.ID,
			"hash": reference.Hash(ref), "key of the table": "hash#" + reference.Hash(ref), "padding": ref + "=",
		} {
			if got := h.event(t, with(schema.ReferenceHeader, guess)); got != refused {
				t.Errorf("%s: %s", name, got)
			}
		}
		if n := h.table.Calls("GetItem") - before; n != 0 {
			t.Errorf("%d lookups of what is no reference", n)
		}
	})

	t.Run("unknown, expired and revoked are one answer", func(t *testing.T) {
		expired := h.issue(t, "ann-at-idp", `{"expiresIn": 60}`)
		revoked := h.issue(t, "ann-at-idp", `{}`)
		h.call(t, "DELETE", "/references/"+revoked.ID, "", "Authorization", "Bearer ann-at-idp")
		h.clock.Add(time.Minute)
		for name, r := range map[string]string{"unknown": reference.New(), "expired": expired.Reference, "revoked": revoked.Reference} {
			reads, signs := h.table.Calls("GetItem"), h.kms.Calls("Sign")
			if got := h.event(t, with(schema.ReferenceHeader, r)); got != refused {
				t.Errorf("%s: %s", name, got)
			}
			if reads, signs = h.table.Calls("GetItem")-reads, h.kms.Calls("Sign")-signs; reads != 1 || signs != 0 {
				t.Errorf("%s: %d reads and %d signatures; want 1 and 0", name, reads, signs)
			}
			if status, answer := h.get(t, r); status != 403 || answer != `{"message":"Forbidden"}` {
				t.Errorf("%s: status %d, %s", name, status, answer)
			}
		}
	})

	t.Run("replay after revocation", func(t *testing.T) {
		r := h.issue(t, "ann-at-idp", `{}`)
		if status, _ := h.get(t, r.Reference); status != 200 {
			t.Fatal(status)
		}
		form := url.Values{"token": {r.Reference}, "token_type_hint": {"access_token"}}.Encode()
		if status, answer := h.call(t, "POST", "/references/revoke", form, "Authorization", "Bearer ann-at-idp",
			"Content-Type", "application/x-www-form-urlencoded"); status != 200 {
			t.Fatalf("RFC 7009: status %d, %s", status, answer)
		}
		for range 2 {
			if status, _ := h.get(t, r.Reference); status != 403 {
				t.Errorf("status %d", status)
			}
		}
	})

	jwt := func(t *testing.T, issuer opaque.TokenIssuer, audience string, scope ...string) string {
		t.Helper()
		issued, err := issuer.Token(t.Context(), token.Request{Subject: "ann", Audience: audience, Scope: scope})
		if err != nil {
			t.Fatal(err)
		}
		return issued.Token
	}
	t.Run("internal JWT at the outer door", func(t *testing.T) {
		raw := jwt(t, h.authorizer.Issuer, "orders", "orders:read")
		if got := h.event(t, with(schema.ReferenceHeader, raw)); got != refused {
			t.Errorf("as a reference: %s", got)
		}
		if status, _ := h.call(t, "GET", "/orders/7", "", "Authorization", "Bearer "+raw); status != 401 {
			t.Errorf("as a bearer: status %d", status)
		}
		if status, _ := h.call(t, "GET", "/orders/7", "", schema.ReferenceHeader, ref, "X-Internal-Token", raw); status != 403 {
			t.Errorf("as an internal header: status %d", status)
		}
	})

	// inner sends an event to the inner function of orders.
	innerStatus := func(t *testing.T, change func(*events.APIGatewayV2HTTPRequest)) int {
		t.Helper()
		in := events.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: "GET /orders/{order}", RawPath: "/orders/7", Headers: map[string]string{"accept": "*/*"}}
		in.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
			Lambda: map[string]any{schema.OpaqueToken: jwt(t, h.authorizer.Issuer, "orders", "orders:read")}}
		change(&in)
		payload, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := h.routes["GET /orders/{order}"].function.Invoke(t.Context(), payload)
		var answer events.APIGatewayV2HTTPResponse
		if err != nil || json.Unmarshal(out, &answer) != nil {
			t.Fatalf("%s, error %v", out, err)
		}
		return answer.StatusCode
	}
	foreignIssuer := token.NewIssuer("https://evil.example.com", h.keys[0], &token.IssuerOptions{Now: h.clock.Now})
	foreignKey := h.issuer(token.NewSigner(h.client, newKey(t, h.client), nil))
	idToken := token.NewIssuer(houseIssuer, h.keys[0], &token.IssuerOptions{Now: h.clock.Now, Type: "JWT"})
	set := func(v any) func(*events.APIGatewayV2HTTPRequest) {
		return func(in *events.APIGatewayV2HTTPRequest) {
			in.RequestContext.Authorizer.Lambda[schema.OpaqueToken] = v
		}
	}
	expired := jwt(t, h.authorizer.Issuer, "orders", "orders:read")
	for name, tt := range map[string]struct {
		change func(*events.APIGatewayV2HTTPRequest)
		want   int
	}{
		"the honest event":        {func(*events.APIGatewayV2HTTPRequest) {}, 200},
		"JWT of another audience": {set(jwt(t, h.authorizer.Issuer, "bills", "orders:read")), 401},
		"JWT of another issuer":   {set(jwt(t, foreignIssuer, "orders", "orders:read")), 401},
		"JWT with another key":    {set(jwt(t, foreignKey, "orders", "orders:read")), 401},
		"JWT of another type":     {set(jwt(t, idToken, "orders", "orders:read")), 401},
		"JWT without the scope":   {set(jwt(t, h.authorizer.Issuer, "orders", "orders:readx")), 403},
		"JWT cut off":             {set(expired[:len(expired)-2]), 401},
		"no JWT":                  {set(""), 401},
		"JWT that is a list":      {set([]any{expired}), 401},
		"no authorizer":           {func(in *events.APIGatewayV2HTTPRequest) { in.RequestContext.Authorizer = nil }, 401},
		"another authorizer, too": {func(in *events.APIGatewayV2HTTPRequest) {
			in.RequestContext.Authorizer.JWT = &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{}
		}, 401},
		"the reference came through":      {func(in *events.APIGatewayV2HTTPRequest) { in.Headers[schema.ReferenceHeader] = ref }, 401},
		"an empty reference came through": {func(in *events.APIGatewayV2HTTPRequest) { in.Headers["X-Access-Reference"] = "" }, 401},
		"two references came through":     {func(in *events.APIGatewayV2HTTPRequest) { in.Headers[schema.ReferenceHeader] = ref + "," + ref }, 401},
		"Authorization came through":      {func(in *events.APIGatewayV2HTTPRequest) { in.Headers["authorization"] = "Bearer x" }, 401},
		"an internal header":              {func(in *events.APIGatewayV2HTTPRequest) { in.Headers["x-internal-user"] = "root" }, 401},
		"a reference in a cookie":         {func(in *events.APIGatewayV2HTTPRequest) { in.Cookies = []string{"r=" + ref} }, 401},
		"a reference in the query":        {func(in *events.APIGatewayV2HTTPRequest) { in.RawQueryString = "r=" + ref }, 401},
		"a route that is not listed":      {func(in *events.APIGatewayV2HTTPRequest) { in.RouteKey = "DELETE /orders/{order}" }, 403},
		"no route":                        {func(in *events.APIGatewayV2HTTPRequest) { in.RouteKey = "" }, 403},
	} {
		t.Run("inner function/"+name, func(t *testing.T) {
			if got := innerStatus(t, tt.change); got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
		})
	}
	t.Run("inner function/an expired JWT", func(t *testing.T) {
		h.clock.Add(2 * time.Minute)
		if got := innerStatus(t, set(expired)); got != 401 {
			t.Errorf("status %d", got)
		}
	})

	// What people may do to each other.
	t.Run("list of another subject's references", func(t *testing.T) {
		_, answer := h.call(t, "GET", "/references", "", "Authorization", "Bearer bob-at-idp")
		if strings.Contains(answer, ann.ID) || !strings.Contains(answer, bob.ID) {
			t.Errorf("bob sees %s", answer)
		}
	})
	t.Run("revoke of another's reference", func(t *testing.T) {
		form := url.Values{"token": {ref}}.Encode()
		one, theirs := h.call(t, "POST", "/references/revoke", form, "Authorization", "Bearer bob-at-idp", "Content-Type", "application/x-www-form-urlencoded")
		two, unknown := h.call(t, "POST", "/references/revoke", url.Values{"token": {reference.New()}}.Encode(), "Authorization", "Bearer bob-at-idp",
			"Content-Type", "application/x-www-form-urlencoded")
		if one != two || theirs != unknown || one != 200 {
			t.Errorf("another's and an unknown reference are told apart: %d %s, %d %s", one, theirs, two, unknown)
		}
		h.call(t, "DELETE", "/references/"+ann.ID, "", "Authorization", "Bearer bob-at-idp")
		h.call(t, "DELETE", "/references", "", "Authorization", "Bearer bob-at-idp")
		if status, _ := h.get(t, ref); status != 200 {
			t.Errorf("bob revoked ann's reference: status %d", status)
		}
		if status, _ := h.get(t, bob.Reference); status != 403 {
			t.Errorf("bob did not revoke his own: status %d", status)
		}
	})
	t.Run("issue with wider scope", func(t *testing.T) {
		for name, body := range map[string]string{
			"a scope of others": `{"scope": "orders:write"}`, "one that is nobody's": `{"scope": "admin"}`, "of the provider": `{"scope": "openid"}`,
			"two spaces": `{"scope": "orders:read  orders:write"}`, "an audience that is none": `{"audience": ["admin"], "scope": "orders:read"}`,
			"scope of another audience": `{"audience": ["bills"], "scope": "orders:read"}`, "a subject": `{"subject": "ann"}`, "a tenant": `{"tenant": "evil"}`,
			"a life without end": `{"expiresIn": 99999999999}`, "a negative life": `{"expiresIn": -1}`, "a life that overflows": `{"expiresIn": 18446744075}`,
			"longer than allowed": fmt.Sprintf(`{"expiresIn": %d}`, 31*24*3600), "a name with a line": `{"name": "a\nb"}`,
		} {
			status, answer := h.call(t, "POST", "/references", body, "Authorization", "Bearer bob-at-idp", "Content-Type", "application/json")
			if status != 400 && status != 422 || strings.Contains(answer, "sgref_") {
				t.Errorf("%s: status %d, %s", name, status, answer)
			}
		}
		got := h.issue(t, "bob-at-idp", `{}`)
		if got.Scope != "orders:read" {
			t.Errorf("bob got the scope %q", got.Scope)
		}
		if status, _ := h.call(t, "PUT", "/orders/7", "", schema.ReferenceHeader, got.Reference); status != 403 {
			t.Errorf("bob writes: status %d", status)
		}
		if status, _ := h.call(t, "POST", "/references", `{}`, schema.ReferenceHeader, ref, "Content-Type", "application/json"); status != 401 {
			t.Errorf("a reference had another one issued: status %d", status)
		}
	})
	t.Run("reference of another audience at a route", func(t *testing.T) {
		got := h.issue(t, "ann-at-idp", `{"audience": ["orders"]}`)
		// The same answer as for an unknown reference, and no signature.
		signs := h.kms.Calls("Sign")
		if status, answer := h.call(t, "GET", "/bills/7", "", schema.ReferenceHeader, got.Reference); status != 403 || answer != `{"message":"Forbidden"}` || h.kms.Calls("Sign") != signs {
			t.Errorf("status %d, %s", status, answer)
		}
	})

	for name, keep := range map[string]func(*house){
		"API Gateway keeps":  func(h *house) { h.ttl = time.Minute },
		"the function keeps": func(h *house) { h.authorizer.Source = opaque.Cached(h.store, time.Minute, h.clock.Now) },
	} {
		t.Run("kept answers never cross between callers/"+name, func(t *testing.T) {
			h := newHouse(t)
			keep(h)
			refs := map[string]string{"ann of acme": h.issue(t, "ann-at-idp", `{"scope": "orders:read"}`).Reference,
				"bob of acme": h.issue(t, "bob-at-idp", `{"scope": "orders:read"}`).Reference}
			var wg sync.WaitGroup
			for want, r := range refs {
				for range 4 {
					wg.Go(func() {
						for range 10 {
							if status, got := h.get(t, r); status != 200 || got != want {
								t.Errorf("status %d, %s; want %s", status, got, want)
							}
						}
					})
				}
			}
			wg.Wait()
		})
	}
	// A kept answer is not asked about a second time: what the request brings
	// beside the reference, the inner function refuses.
	t.Run("kept answer and a second identity", func(t *testing.T) {
		h := newHouse(t)
		h.ttl = time.Minute
		r := h.issue(t, "ann-at-idp", `{}`).Reference
		if status, _ := h.get(t, r); status != 200 {
			t.Fatal(status)
		}
		for name, header := range map[string]string{"Authorization": "Bearer x", "X-Internal-User": "root", "X_Access_Reference": "x"} {
			if status, _ := h.call(t, "GET", "/orders/7", "", schema.ReferenceHeader, r, name, header); status != 401 {
				t.Errorf("%s: status %d", name, status)
			}
		}
	})
	// With the route in the identity source, a kept answer is not taken to another
	// route with another audience; even without, the audience differs.
	t.Run("kept answer on another route", func(t *testing.T) {
		for _, identity := range [][]string{{"$request.header." + schema.ReferenceHeader}, {"$request.header." + schema.ReferenceHeader, "$context.routeKey"}} {
			h := newHouse(t)
			h.ttl, h.identity = time.Minute, identity
			r := h.issue(t, "ann-at-idp", `{"audience": ["orders"]}`).Reference
			h.get(t, r)
			if status, _ := h.call(t, "GET", "/bills/7", "", schema.ReferenceHeader, r); status != 403 && status != 401 {
				t.Errorf("%v: status %d", identity, status)
			}
		}
	})
	t.Run("KMS throttling", func(t *testing.T) {
		h := newHouse(t)
		r := h.issue(t, "ann-at-idp", `{}`).Reference
		h.kms.Fail("Sign", "ThrottlingException", 100)
		for range 3 {
			if status, _ := h.get(t, r); status != 500 || len(h.seen) != 0 {
				t.Errorf("status %d", status)
			}
		}
	})
	t.Run("flood of signatures", func(t *testing.T) {
		h := newHouse(t)
		h.authorizer.Issuer = token.NewIssuer(houseIssuer, h.keys[0], &token.IssuerOptions{Now: h.clock.Now, MaxRate: 3})
		ok := 0
		for range 6 {
			if status, _ := h.get(t, h.issue(t, "ann-at-idp", `{}`).Reference); status == 200 {
				ok++
			} else if status != 500 {
				t.Errorf("status %d", status)
			}
		}
		if n := h.kms.Calls("Sign"); n != 3 || ok != 3 {
			t.Errorf("%d signatures, %d answers", n, ok)
		}
	})
	t.Run("table failure", func(t *testing.T) {
		h.table.Refuse("GetItem", "InternalServerError", 1)
		if got := h.event(t, honest); !strings.HasPrefix(got, "error: ") || strings.Contains(got, ref) {
			t.Errorf("the authorizer answers %s", got)
		}
	})
	t.Run("an event of another kind", func(t *testing.T) {
		for name, payload := range map[string]string{
			"version 1.0": `{"version":"1.0","type":"REQUEST","headers":{"x-access-reference":"` + ref + `"}}`, "no version": `{"headers":{"x-access-reference":"` + ref + `"}}`,
			"TOKEN": `{"version":"2.0","type":"TOKEN","headers":{"x-access-reference":"` + ref + `"}}`, "not JSON": ref, "headers as a list": `{"version":"2.0","headers":["` + ref + `"]}`,
		} {
			out, err := h.authorizer.Invoke(t.Context(), []byte(payload))
			if err == nil || out != nil || strings.Contains(err.Error(), ref) {
				t.Errorf("%s: %s, error %v", name, out, err)
			}
		}
	})
	t.Run("token in logs", func(t *testing.T) {
		for _, secret := range []string{"sgref_", "eyJ", "ann-at-idp", "auth0", "192.0.2.1", "/orders/7"} {
			if strings.Contains(strings.ReplaceAll(h.log.String(), "sgref_[redacted]", ""), secret) {
				t.Errorf("the log has %q", secret)
			}
		}
		if h.log.Len() == 0 {
			t.Error("the log is empty")
		}
	})
}
