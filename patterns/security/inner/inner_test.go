package inner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/serverless-go/cdk/patterns/security/exchange"
	"github.com/serverless-go/cdk/patterns/security/inner"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
	"github.com/serverless-go/cdk/test/engine"
)

const issuer = "https://api.example.com"

func newIssuer(t testing.TB) (*token.Issuer, token.KeySource) {
	t.Helper()
	return newIssuerOf(t, issuer)
}

func newIssuerOf(t testing.TB, name string) (*token.Issuer, token.KeySource) {
	t.Helper()
	client := kms.NewFromConfig(engine.NewKMS(t).Config())
	key, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	signer := token.NewSigner(client, *key.KeyMetadata.KeyId, nil)
	return token.NewIssuer(name, signer, nil), token.SignerKeys{signer}
}

func issue(t testing.TB, i *token.Issuer, audience string, scope ...string) string {
	t.Helper()
	out, err := i.Token(t.Context(), token.Request{Subject: "ann", Tenant: "acme", Audience: audience, Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	return out.Token
}

type handler func(context.Context, []byte) ([]byte, error)

func (h handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) { return h(ctx, payload) }

func door(t testing.TB, keys token.KeySource, o inner.Options) *inner.Door {
	t.Helper()
	if o.Verifier == nil {
		o.Verifier = &token.Verifier{Issuer: issuer, Audience: "orders", Keys: keys}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d, err := inner.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMiddlewareHidesTheToken(t *testing.T) {
	i, keys := newIssuer(t)
	raw := issue(t, i, "orders", "orders:read")
	payload := `{"version":"2.0","routeKey":"GET /orders","headers":{"accept":"*/*"},"newMember":{"of":"API Gateway"},
		"requestContext":{"requestId":"r-1","authorizer":{"lambda":{"token":"` + raw + `","other":1}}}}`
	var got map[string]any
	m := door(t, keys, inner.Options{Routes: map[string][]string{"GET /orders": {"orders:read"}}}).Middleware(handler(func(ctx context.Context, event []byte) ([]byte, error) {
		if c := inner.Claims(ctx); c == nil || c.Subject != "ann" || c.Tenant != "acme" || inner.Token(ctx) != raw {
			t.Errorf("claims are %+v", c)
		}
		return []byte(`{"statusCode":204}`), json.Unmarshal(event, &got)
	}))
	out, err := m.Invoke(t.Context(), []byte(payload))
	if err != nil || string(out) != `{"statusCode":204}` {
		t.Fatalf("%s, error %v", out, err)
	}
	var want map[string]any
	if err := json.Unmarshal([]byte(strings.Replace(payload, `"token":"`+raw+`",`, "", 1)), &want); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Errorf("the handler's event is\n%s, want\n%s", a, b)
	}
	if inner.Claims(t.Context()) != nil || inner.Token(t.Context()) != "" {
		t.Error("a context from outside has a caller")
	}
}

func TestUnavailableKeysAreNoRefusal(t *testing.T) {
	i, _ := newIssuer(t)
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	defer down.Close()
	var log bytes.Buffer
	d := door(t, token.NewRemoteKeys(down.URL, nil), inner.Options{Routes: map[string][]string{"GET /orders": nil}, Log: slog.New(slog.NewJSONHandler(&log, nil))})
	m := d.Middleware(handler(func(context.Context, []byte) ([]byte, error) { t.Error("let in"); return nil, nil }))
	out, err := m.Invoke(t.Context(), []byte(`{"routeKey":"GET /orders","requestContext":{"authorizer":{"lambda":{"token":"`+issue(t, i, "orders")+`"}}}}`))
	var answer events.APIGatewayV2HTTPResponse
	if err := errors.Join(err, json.Unmarshal(out, &answer)); err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != 503 || answer.Headers["content-type"] != "application/problem+json" || answer.Headers["cache-control"] != "no-store" ||
		!strings.Contains(answer.Body, `"status":503`) || !strings.Contains(log.String(), schema.OpaqueUnavailableMessage) {
		t.Errorf("%+v, log %s", answer, &log)
	}
}

func TestNewNeedsAll(t *testing.T) {
	for _, o := range []*inner.Options{nil, {}, {Verifier: &token.Verifier{}}, {Routes: map[string][]string{}}} {
		if _, err := inner.New(o); err == nil {
			t.Errorf("%+v makes a door", o)
		}
	}
	if _, err := inner.FromEnv(map[string][]string{}); err == nil || !strings.Contains(err.Error(), "INNER_JWKS") {
		t.Errorf("error %v without an environment", err)
	}
	t.Setenv(schema.EnvInnerIssuer, issuer)
	t.Setenv(schema.EnvInnerAudience, "orders")
	t.Setenv(schema.EnvInnerJWKS, issuer+schema.JWKSPath)
	if _, err := inner.FromEnv(map[string][]string{}); err != nil {
		t.Error(err)
	}
}

// Orders calls stock for ann: it exchanges the token it got for one that is for
// stock, and only that one opens stock's door.
func TestHopByHop(t *testing.T) {
	const hops = "https://exchange.example.com"
	i, keys := newIssuer(t)
	next, nextKeys := newIssuerOf(t, hops)
	service, err := exchange.New(exchange.Options{Issuer: next, Subjects: []exchange.Source{{Verifier: token.Verifier{Issuer: issuer, Keys: keys}}},
		Clients: map[string]string{"role-of-orders": "orders"},
		Rules:   []exchange.Rule{{Actor: "orders", Audience: "stock", Scopes: []string{"stock:read"}}}})
	if err != nil {
		t.Fatal(err)
	}
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		service.ServeHTTP(w, r.WithContext(exchange.WithClient(r.Context(), "role-of-orders")))
	}))
	defer endpoint.Close()

	var seen *token.Claims
	stockDoor := door(t, keys, inner.Options{Hop: true, Verifier: &token.Verifier{Issuer: hops, Audience: "stock", Keys: nextKeys},
		Routes: map[string][]string{"GET /stock": {"stock:read"}}}).Middleware(handler(func(ctx context.Context, event []byte) ([]byte, error) {
		seen = inner.Claims(ctx)
		if strings.Contains(string(event), inner.Token(ctx)) {
			t.Error("the handler's event has the token")
		}
		return []byte(`{"statusCode":200,"body":"seven"}`), nil
	}))
	stock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers := map[string]string{}
		for name, values := range r.Header {
			headers[strings.ToLower(name)] = strings.Join(values, ",")
		}
		payload, _ := json.Marshal(events.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: "GET /stock", RawPath: "/stock", Headers: headers})
		out, err := stockDoor.Invoke(r.Context(), payload)
		var answer events.APIGatewayV2HTTPResponse
		if err := errors.Join(err, json.Unmarshal(out, &answer)); err != nil {
			t.Error(err)
		}
		w.WriteHeader(answer.StatusCode)
		io.WriteString(w, answer.Body)
	}))
	defer stock.Close()

	client := exchange.NewClient(endpoint.URL, nil)
	calls := &http.Client{Transport: client.Transport("stock", http.DefaultTransport)}
	orders := door(t, keys, inner.Options{Routes: map[string][]string{"GET /orders": {"orders:read"}}}).Middleware(handler(func(ctx context.Context, _ []byte) ([]byte, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, stock.URL, nil)
		if err != nil {
			return nil, err
		}
		response, err := calls.Do(r)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		return io.ReadAll(response.Body)
	}))
	raw := issue(t, i, "orders", "orders:read", "stock:read")
	out, err := orders.Invoke(t.Context(), []byte(`{"routeKey":"GET /orders","requestContext":{"authorizer":{"lambda":{"token":"`+raw+`"}}}}`))
	if err != nil || string(out) != "seven" {
		t.Fatalf("%s, error %v", out, err)
	}
	if seen.Subject != "ann" || len(seen.Audience) != 1 || seen.Audience[0] != "stock" || seen.Actor == nil || seen.Actor.Subject != "orders" ||
		len(seen.Scope) != 1 || seen.Scope[0] != "stock:read" {
		t.Errorf("stock sees %+v, acted by %+v", seen, seen.Actor)
	}

	for name, header := range map[string][]string{
		"the token for orders": {"Authorization", "Bearer " + raw}, "none": {}, "the door's token for stock": {"Authorization", "Bearer " + issue(t, i, "stock", "stock:read")},
		"the exchange's for orders": {"Authorization", "Bearer " + issue(t, next, "orders", "stock:read")}, "another scheme": {"Authorization", "Basic " + issue(t, next, "stock", "stock:read")},
		"the client's reference": {"X-Access-Reference", "x"}, "an internal header": {"Authorization", "Bearer " + issue(t, next, "stock", "stock:read"), "X-Internal-User", "root"},
		"two": {"Authorization", "Bearer " + issue(t, next, "stock", "stock:read"), "Authorization", "Bearer " + raw},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, stock.URL, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 401 {
			t.Errorf("%s: status %d", name, response.StatusCode)
		}
	}
}

// Whatever the event is, nobody gets in without a token.
func FuzzMiddleware(f *testing.F) {
	d, err := inner.New(&inner.Options{Verifier: &token.Verifier{Issuer: issuer, Audience: "orders", Keys: token.StaticKeys{}}, Routes: map[string][]string{"": nil, "GET /": nil},
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	hop, err := inner.New(&inner.Options{Hop: true, Verifier: &token.Verifier{Issuer: issuer, Audience: "orders", Keys: token.StaticKeys{}},
		Routes: map[string][]string{"": nil}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"routeKey":"GET /","headers":{"authorization":"Bearer a.b.c"},"requestContext":{"authorizer":{"lambda":{"token":"a.b.c"}}}}`))
	f.Add([]byte(`{"requestContext":{"authorizer":{"jwt":{"claims":{}}}}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, d := range []*inner.Door{d, hop} {
			out, err := d.Middleware(handler(func(context.Context, []byte) ([]byte, error) { t.Error("let in"); return nil, nil })).Invoke(t.Context(), payload)
			var answer events.APIGatewayV2HTTPResponse
			if err == nil && (json.Unmarshal(out, &answer) != nil || answer.StatusCode != 401) {
				t.Errorf("the answer is %s", out)
			}
		}
	})
}

// BenchmarkDoor is what the door adds to each request.
func BenchmarkDoor(b *testing.B) {
	i, keys := newIssuer(b)
	d := door(b, keys, inner.Options{Routes: map[string][]string{"GET /orders": {"orders:read"}}})
	in := events.APIGatewayV2HTTPRequest{RouteKey: "GET /orders", Headers: map[string]string{"accept": "*/*", "user-agent": "x", "host": "api.example.com"}}
	in.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{Lambda: map[string]any{schema.OpaqueToken: issue(b, i, "orders", "orders:read")}}
	for b.Loop() {
		if _, err := d.Enter(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}
