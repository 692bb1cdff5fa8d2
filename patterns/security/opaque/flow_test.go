package opaque_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/serverless-go/cdk/functions/accessreferences/endpoint"
	"github.com/serverless-go/cdk/functions/jwks/document"
	"github.com/serverless-go/cdk/patterns/security/inner"
	"github.com/serverless-go/cdk/patterns/security/opaque"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
	"github.com/serverless-go/cdk/test/engine"
)

const houseIssuer = "https://api.example.com"

// house is a system behind opaque references: the gateway, the functions behind
// it with their real handlers, the table and KMS.
type house struct {
	*gateway
	clock      *clock
	store      *opaque.Store
	table      *engine.Faults
	kms        *engine.KMS
	client     *kms.Client
	keys       []*token.Signer // of which the first signs
	authorizer *opaque.Authorizer
	log        *bytes.Buffer
	seen       []*token.Claims // by the inner function
}

func newHouse(t testing.TB) *house {
	h := &house{clock: newClock(), log: &bytes.Buffer{}, kms: engine.NewKMS(t)}
	h.store, h.table = newStore(t, h.clock)
	h.client = kms.NewFromConfig(h.kms.Config(), func(o *kms.Options) { o.RetryMaxAttempts = 1 })
	for range 2 {
		h.keys = append(h.keys, token.NewSigner(h.client, newKey(t, h.client), nil))
	}
	logger := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.authorizer = &opaque.Authorizer{Source: h.store, Issuer: h.issuer(h.keys[0]), Audience: "orders",
		Audiences: map[string]string{"GET /bills/{bill}": "bills"}, Function: "authorizer", Log: logger}
	h.gateway = newGateway(t, h.clock)
	h.gateway.authorizer = h.authorizer
	h.identity = []string{"$request.header." + schema.ReferenceHeader}

	e := &endpoint.Endpoint{Store: h.store, Life: time.Hour, Tenant: "org",
		Scopes: map[string][]string{"orders": {"orders:read", "orders:write"}, "bills": {"bills:read"}}}
	for key := range e.Routes() {
		h.routes[key] = &gatewayRoute{kind: "JWT", function: e.Routes()}
	}
	h.people["ann-at-idp"] = map[string]string{"iss": "https://id.example.com", "sub": "ann", "org": "acme", "scope": "openid orders:read orders:write bills:read"}
	h.people["bob-at-idp"] = map[string]string{"iss": "https://id.example.com", "sub": "bob", "org": "acme", "scope": "orders:read"}

	h.routes["GET "+schema.JWKSPath] = &gatewayRoute{kind: "NONE", function: document.New(5*time.Minute, h.keys...)}
	mapping := map[string]string{"remove:header." + schema.ReferenceHeader: "''"}
	for audience, routes := range map[string]map[string][]string{
		"orders": {"GET /orders/{order}": {"orders:read"}, "PUT /orders/{order}": {"orders:write"}},
		"bills":  {"GET /bills/{bill}": {"bills:read"}},
	} {
		keys := token.NewRemoteKeys(h.URL+schema.JWKSPath, &token.RemoteKeysOptions{Now: h.clock.Now})
		door, err := inner.New(&inner.Options{Routes: routes, Log: logger,
			Verifier: &token.Verifier{Issuer: houseIssuer, Audience: audience, Keys: keys, Now: h.clock.Now, Leeway: time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		for key := range routes {
			h.routes[key] = &gatewayRoute{kind: "CUSTOM", function: door.Middleware(handlerFunc(h.answer)), parameters: mapping}
		}
	}
	return h
}

func (h *house) issuer(s *token.Signer) *token.Issuer {
	return token.NewIssuer(houseIssuer, s, &token.IssuerOptions{Lifetime: time.Minute, Now: h.clock.Now})
}

type handlerFunc func(context.Context, []byte) ([]byte, error)

func (f handlerFunc) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return f(ctx, payload)
}

var _ lambda.Handler = handlerFunc(nil)

// answer is the inner function: it says who calls, and shows its event.
func (h *house) answer(ctx context.Context, payload []byte) ([]byte, error) {
	claims := inner.Claims(ctx)
	h.mu.Lock()
	h.seen = append(h.seen, claims)
	h.mu.Unlock()
	if strings.Contains(string(payload), inner.Token(ctx)) {
		return nil, errors.New("the event has the token")
	}
	return json.Marshal(events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: claims.Subject + " of " + claims.Tenant})
}

// call sends a request and returns status and body.
func (h *house) call(t testing.TB, method, path string, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(answer))
}

// get asks for an order with a reference.
func (h *house) get(t testing.TB, ref string) (int, string) {
	t.Helper()
	return h.call(t, "GET", "/orders/7", "", schema.ReferenceHeader, ref)
}

// issued is a reference that a person had issued at the endpoint.
type issued struct{ ID, Reference, Scope, ExpiresAt string }

func (h *house) issue(t testing.TB, person, body string, header ...string) issued {
	t.Helper()
	status, answer := h.call(t, "POST", "/references", body, append(header, "Authorization", "Bearer "+person, "Content-Type", "application/json")...)
	var out issued
	if err := json.Unmarshal([]byte(answer), &out); err != nil || status != http.StatusCreated {
		t.Fatalf("issue: status %d, %s", status, answer)
	}
	return out
}

func TestFlow(t *testing.T) {
	h := newHouse(t)
	ann := h.issue(t, "ann-at-idp", `{"scope": "orders:read"}`)
	status, answer := h.get(t, ann.Reference)
	if status != 200 || answer != "ann of acme" {
		t.Fatalf("status %d, %s", status, answer)
	}
	claims := h.seen[0]
	if got := fmt.Sprint(claims.Issuer, claims.Audience, claims.Scope, claims.Expiry.Sub(h.clock.Now())); got != "https://api.example.com[orders] [orders:read] 1m0s" {
		t.Errorf("the inner function sees %s", got)
	}
	event := h.events[len(h.events)-1]
	if strings.Contains(event, ann.Reference) || strings.Contains(event, schema.ReferenceHeader) {
		t.Errorf("the inner function's event has the reference: %s", event)
	}
	if strings.Count(event, `"token":"ey`) != 1 {
		t.Errorf("the event has no token: %s", event)
	}
	// One signature serves all who want the same, and another route's token has
	// another audience.
	h.get(t, ann.Reference)
	if n := h.kms.Calls("Sign"); n != 1 {
		t.Errorf("%d signatures for two requests", n)
	}
	all := h.issue(t, "ann-at-idp", `{}`)
	if status, _ := h.call(t, "GET", "/bills/1", "", schema.ReferenceHeader, all.Reference); status != 200 || h.seen[2].Audience[0] != "bills" {
		t.Errorf("status %d, audience %v", status, h.seen[2].Audience)
	}
	if status, _ := h.call(t, "PUT", "/orders/7", "", schema.ReferenceHeader, ann.Reference); status != 403 {
		t.Errorf("without the scope: status %d", status)
	}

	// Revoked, it is refused at once, as the house keeps no answers.
	if status, answer := h.call(t, "DELETE", "/references/"+ann.ID, "", "Authorization", "Bearer ann-at-idp"); status != 200 {
		t.Errorf("revoke: status %d, %s", status, answer)
	}
	if status, _ := h.get(t, ann.Reference); status != 403 {
		t.Errorf("after the revocation: status %d", status)
	}
	if status, answer := h.call(t, "GET", "/references", "", "Authorization", "Bearer ann-at-idp"); status != 200 ||
		!strings.Contains(answer, `"revokedAt"`) || strings.Contains(answer, "sgref_") {
		t.Errorf("list: status %d, %s", status, answer)
	}
	if status, answer := h.call(t, "DELETE", "/references", "", "Authorization", "Bearer ann-at-idp"); status != 200 || answer != `{"revoked":1}` {
		t.Errorf("revoke all: status %d, %s", status, answer)
	}
	if status, _ := h.get(t, all.Reference); status != 403 {
		t.Errorf("after revoking all: status %d", status)
	}
	if strings.Contains(h.log.String(), "sgref_") || strings.Contains(h.log.String(), "eyJ") {
		t.Errorf("the log has a credential:\n%s", h.log)
	}
}

// A JWT does not outlive its reference.
func TestTokenEndsWithItsReference(t *testing.T) {
	h := newHouse(t)
	ann := h.issue(t, "ann-at-idp", `{"expiresIn": 70}`)
	h.clock.Add(50 * time.Second)
	if status, _ := h.get(t, ann.Reference); status != 200 || h.seen[0].Expiry.Sub(h.clock.Now()) != 20*time.Second {
		t.Errorf("status %d, the token lives %s", status, h.seen[0].Expiry.Sub(h.clock.Now()))
	}
}

// Whoever keeps answers, a revoked reference is refused within the stated time.
func TestRevokedWithinStatedTime(t *testing.T) {
	const stated = 10 * time.Second
	for name, keep := range map[string]func(*house){
		"nobody keeps answers": func(h *house) {},
		"the function does":    func(h *house) { h.authorizer.Source = opaque.Cached(h.store, stated, h.clock.Now) },
		"API Gateway does": func(h *house) {
			h.ttl, h.identity = stated, []string{"$request.header." + schema.ReferenceHeader, "$context.routeKey"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			keep(h)
			ann := h.issue(t, "ann-at-idp", `{}`)
			if status, _ := h.get(t, ann.Reference); status != 200 {
				t.Fatalf("status %d", status)
			}
			h.clock.Add(time.Second)
			h.call(t, "DELETE", "/references/"+ann.ID, "", "Authorization", "Bearer ann-at-idp")
			h.clock.Add(stated)
			if status, _ := h.get(t, ann.Reference); status != 403 {
				t.Errorf("status %d after the stated time", status)
			}
		})
	}
}

// Kept answers save lookups and invocations; else they would be all risk.
func TestKeptAnswersSaveCalls(t *testing.T) {
	h := newHouse(t)
	h.ttl = time.Minute
	ann := h.issue(t, "ann-at-idp", `{}`)
	reads := h.table.Calls("GetItem")
	for range 5 {
		h.get(t, ann.Reference)
	}
	if h.asked != 1 || h.table.Calls("GetItem") != reads+1 {
		t.Errorf("%d invocations and %d lookups for five requests", h.asked, h.table.Calls("GetItem")-reads)
	}
}

// Each generation of keys signs after its public key was in the JWKS for a whole
// generation, and stays there for another: whichever function is deployed first,
// no token is lost.
func TestRotationLosesNoToken(t *testing.T) {
	h := newHouse(t)
	keys := make([]*token.Signer, 6)
	for i := range keys {
		keys[i] = token.NewSigner(h.client, newKey(t, h.client), nil)
	}
	// What generation n publishes: the previous, its own and the next key.
	published := func(n int) token.SignerKeys { return keys[max(n-1, 0) : n+2] }
	ctx := t.Context()
	want := token.Request{Subject: "ann", Audience: "orders"}
	for n := range 3 {
		before, err := h.issuer(keys[n]).Token(ctx, want)
		if err != nil {
			t.Fatal(err)
		}
		after, err := h.issuer(keys[n+1]).Token(ctx, want)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name, raw string
			jwks      token.SignerKeys
		}{
			{"old token, old JWKS", before.Token, published(n)},
			{"old token, new JWKS", before.Token, published(n + 1)},
			{"new token, old JWKS", after.Token, published(n)},
			{"new token, new JWKS", after.Token, published(n + 1)},
		} {
			v := token.Verifier{Issuer: houseIssuer, Audience: "orders", Keys: tt.jwks, Now: h.clock.Now}
			if _, err := v.Verify(ctx, tt.raw); err != nil {
				t.Errorf("rotation %d, %s: %v", n, tt.name, err)
			}
		}
		v := token.Verifier{Issuer: houseIssuer, Audience: "orders", Keys: published(n + 2), Now: h.clock.Now}
		if _, err := v.Verify(ctx, before.Token); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("a key of two generations ago still counts: %v", err)
		}
	}
}

// The same through the doors: the authorizer signs with the next key while inner
// functions know the current and the next.
func TestRotationAtTheDoors(t *testing.T) {
	h := newHouse(t)
	ann := h.issue(t, "ann-at-idp", `{}`)
	if status, _ := h.get(t, ann.Reference); status != 200 {
		t.Fatal(status)
	}
	h.authorizer.Issuer = h.issuer(h.keys[1])
	if status, answer := h.get(t, ann.Reference); status != 200 {
		t.Errorf("after the rotation: status %d, %s", status, answer)
	}
	// A key that nobody published lets nobody in.
	h.authorizer.Issuer = h.issuer(token.NewSigner(h.client, newKey(t, h.client), nil))
	if status, _ := h.get(t, ann.Reference); status != 401 {
		t.Errorf("with an unknown key: status %d", status)
	}
}

func TestFailuresClose(t *testing.T) {
	h := newHouse(t)
	ann := h.issue(t, "ann-at-idp", `{}`)
	for name, fail := range map[string]func(){
		"KMS throttles":       func() { h.kms.Fail("Sign", "ThrottlingException", 1) },
		"KMS denies":          func() { h.kms.Fail("Sign", "AccessDeniedException", 1) },
		"KMS is down":         func() { h.kms.Fail("Sign", "KMSInternalException", 1) },
		"the key is off":      func() { h.kms.Fail("Sign", "DisabledException", 1) },
		"the table is down":   func() { h.table.Refuse("GetItem", "InternalServerError", 1) },
		"the table throttles": func() { h.table.Refuse("GetItem", "ProvisionedThroughputExceededException", 1) },
		"the table is gone":   func() { h.table.Refuse("GetItem", "ResourceNotFoundException", 1) },
		"an answer is lost":   func() { h.table.Lose("GetItem", 1) },
		"an answer is odd":    func() { h.table.Answer("GetItem", `{"Item":`, 1) },
	} {
		h.log.Reset()
		before := len(h.seen)
		fail()
		if status, answer := h.get(t, ann.Reference); status != 500 || len(h.seen) != before {
			t.Errorf("%s: status %d, %s", name, status, answer)
		}
		if !strings.Contains(h.log.String(), schema.OpaqueUnavailableMessage) || strings.Contains(h.log.String(), schema.OpaqueRefusedMessage) {
			t.Errorf("%s: the log says %s", name, h.log)
		}
		h.log.Reset()
	}
	if status, _ := h.get(t, ann.Reference); status != 200 {
		t.Errorf("afterwards: status %d", status)
	}
}
