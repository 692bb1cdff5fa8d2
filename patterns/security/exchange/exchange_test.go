package exchange_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serverless-go/cdk/patterns/security/exchange"
	"github.com/serverless-go/cdk/patterns/security/token"
	"github.com/serverless-go/cdk/test/engine"
)

func actor(names ...string) (a *token.Actor) {
	for i := len(names) - 1; i >= 0; i-- {
		a = &token.Actor{Subject: names[i], Actor: a}
	}
	return a
}

// TestExchange follows a user's token from hop to hop.
func TestExchange(t *testing.T) {
	w := newWorld(t)
	check := func(hop string, got, want *token.Claims) {
		t.Helper()
		want.Issuer, want.Tenant = ours, "acme"
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(token.Claims{}, "ID", "Expiry", "IssuedAt")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", hop, diff)
		}
	}
	user := w.user(nil)
	first, got := w.must(t, "role/gateway", "orders", ask(user, "orders"))
	check("gateway to orders", got, &token.Claims{Subject: "idp|" + victim, Audience: []string{"orders"}, ClientID: "gateway",
		Scope: []string{"read", "write"}, Actor: actor("gateway")})
	secondHop, got := w.must(t, "role/orders", "payments", ask(first, "payments", "scope", "write", "requested_token_type", exchange.JWT))
	check("orders to payments", got, &token.Claims{Subject: "idp|" + victim, Audience: []string{"payments"}, ClientID: "orders",
		Scope: []string{"write"}, Actor: actor("orders", "gateway")})
	_, got = w.must(t, "", "bank", ask(secondHop, "bank", "actor_token", w.actor("payments"), "actor_token_type", exchange.AccessToken))
	check("payments to bank", got, &token.Claims{Subject: "idp|" + victim, Audience: []string{"bank"}, ClientID: "payments",
		Actor: &token.Actor{Subject: "payments", Issuer: actors, Actor: actor("orders", "gateway")}})
	_, got = w.must(t, "role/gateway", "https://api.example.com/catalog", ask(user, "", "audience", "", "resource", "https://api.example.com/catalog"))
	check("a resource", got, &token.Claims{Subject: "idp|" + victim, Audience: []string{"https://api.example.com/catalog"}, ClientID: "gateway",
		Scope: []string{"read"}, Actor: actor("gateway")})
	_, got = w.must(t, "role/gateway", "orders", ask(w.user(object{"scope": nil}), "orders"))
	check("a subject without scopes", got, &token.Claims{Subject: "idp|" + victim, Audience: []string{"orders"}, ClientID: "gateway", Actor: actor("gateway")})

	// Who vouches for the subject goes along, also over two hops.
	first, got = w.must(t, "role/gateway", "orders", ask(w.user(object{"idp": "https://login.example.com"}), "orders"))
	vouched := map[string]json.RawMessage{"idp": json.RawMessage(`"https://login.example.com"`)}
	check("a subject with a provider", got, &token.Claims{Subject: "idp|" + victim, Audience: []string{"orders"}, ClientID: "gateway",
		Scope: []string{"read", "write"}, Actor: actor("gateway"), Private: vouched})
	_, got = w.must(t, "role/orders", "payments", ask(first, "payments", "scope", "write"))
	check("a subject with a provider, on the second hop", got, &token.Claims{Subject: "idp|" + victim, Audience: []string{"payments"}, ClientID: "orders",
		Scope: []string{"write"}, Actor: actor("orders", "gateway"), Private: vouched})

	// An actor that another issuer names is not taken for ours of that name.
	_, got = w.must(t, "role/gateway", "orders", ask(w.user(object{"act": object{"sub": "payments", "act": object{"sub": "x", "iss": second}}}), "orders"))
	check("actors of another issuer", got, &token.Claims{Subject: "idp|" + victim, Audience: []string{"orders"}, ClientID: "gateway", Scope: []string{"read", "write"},
		Actor: &token.Actor{Subject: "gateway", Actor: &token.Actor{Subject: "payments", Issuer: idp, Actor: &token.Actor{Subject: "x", Issuer: second}}}})

	// may_act that fits.
	for name, v := range map[string]url.Values{
		"subject":            ask(w.user(object{"may_act": object{"sub": "gateway"}}), "orders"),
		"subject and issuer": ask(w.user(object{"may_act": object{"sub": "gateway", "iss": ours}}), "orders"),
		"actor token": ask(w.user(object{"may_act": object{"sub": "gateway", "iss": actors}}), "orders",
			"actor_token", w.actor("gateway"), "actor_token_type", exchange.JWT),
	} {
		if a := w.respond("role/gateway", v); a.Status != http.StatusOK {
			t.Errorf("may_act with %s: %s", name, a.Body)
		}
	}

	// The second issuer's users are others, and all of one tenant.
	_, got = w.must(t, "role/gateway", "orders", ask(w.second.sign("JWT", object{"sub": victim, "aud": "gateway", "scope": "read", "tenant": "acme"}), "orders", "subject_token_type", exchange.IDToken))
	if got.Subject != "second|"+victim || got.Tenant != "org" {
		t.Errorf("subject %s of tenant %s", got.Subject, got.Tenant)
	}
}

func TestExchangeAnswer(t *testing.T) {
	w := newWorld(t)
	expiry := time.Now().Unix() + 100 // earlier than ours would be
	a := w.respond("role/gateway", ask(w.user(object{"exp": expiry}), "orders", "scope", "write read"))
	var got map[string]any
	if err := json.Unmarshal(a.Body, &got); err != nil {
		t.Fatal(err)
	}
	raw, _ := got["access_token"].(string)
	v := token.Verifier{Issuer: ours, Audience: "orders", Keys: token.SignerKeys{w.signer}}
	claims, err := v.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if claims.Expiry.Unix() != expiry {
		t.Errorf("expires at %d, the subject's token at %d", claims.Expiry.Unix(), expiry)
	}
	if in, _ := got["expires_in"].(float64); in < 90 || in > 100 {
		t.Errorf("expires_in is %v", in)
	}
	delete(got, "access_token")
	delete(got, "expires_in")
	if diff := cmp.Diff(map[string]any{"issued_token_type": exchange.AccessToken, "token_type": "Bearer", "scope": "read write"}, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	want := map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"}
	if diff := cmp.Diff(want, a.Header); diff != "" || a.Status != http.StatusOK {
		t.Errorf("status %d, headers (-want +got):\n%s", a.Status, diff)
	}

	w.double.Fail("Sign", "ThrottlingException", 1)
	user := w.user(object{"jti": "2", "exp": expiry - 1})
	a = w.respond("role/gateway", ask(user, "orders"))
	if a.Status != http.StatusServiceUnavailable || a.Header["Retry-After"] != "1" || a.Header["Cache-Control"] != "no-store" ||
		string(a.Body) != `{"error":"temporarily_unavailable","error_description":"try again later"}` {
		t.Errorf("KMS throttles: status %d, headers %v, %s", a.Status, a.Header, a.Body)
	}
	checkSilent(t, w.log.String(), user)
	if a := w.respond("role/gateway", ask(user, "orders")); a.Status != http.StatusOK {
		t.Errorf("after the throttling: %s", a.Body)
	}
}

func TestNew(t *testing.T) {
	w := newWorld(t)
	issuer := token.NewIssuer(ours, w.signer, nil)
	source := func(name, prefix string) exchange.Source {
		return exchange.Source{Verifier: token.Verifier{Issuer: name}, Prefix: prefix, AnyTenant: true}
	}
	vague := source(idp, "b|")
	vague.AnyTenant = false
	clients := map[string]string{"role/a": "a"}
	for _, tt := range []struct {
		name string
		o    exchange.Options
		want string
	}{
		{"nothing", exchange.Options{}, "Issuer is missing\nSubjects is empty\nActors and Clients are both missing: nobody could ask"},
		{"same subjects", exchange.Options{Issuer: issuer, Clients: clients, Subjects: []exchange.Source{source(idp, ""), source(second, "")}},
			"the Prefix of " + second + " and that of " + idp + " cannot be told apart"},
		{"one prefix begins the other", exchange.Options{Issuer: issuer, Clients: clients, Subjects: []exchange.Source{source(idp, "a"), source(second, "ab")}},
			"the Prefix of " + second + " and that of " + idp + " cannot be told apart"},
		{"one issuer with two prefixes", exchange.Options{Issuer: issuer, Clients: clients, Subjects: []exchange.Source{source(idp, "a"), source(idp, "b")}},
			"Subjects of " + idp + " differ in Prefix or Tenant"},
		{"any tenant", exchange.Options{Issuer: issuer, Clients: clients, Subjects: []exchange.Source{source(second, "a|"), vague}},
			idp + " needs Tenant, or AnyTenant, as there are several issuers"},
		{"own with prefix", exchange.Options{Issuer: issuer, Clients: clients, Subjects: []exchange.Source{source(ours, "a")}},
			"Subjects of our own issuer have their Prefix and Tenant already"},
		{"too many actors", exchange.Options{Issuer: issuer, Clients: clients, Subjects: []exchange.Source{source(idp, "")}, MaxActors: 9}, "MaxActors is 9, must be 1 to 8"},
		{"rules", exchange.Options{Issuer: issuer, Clients: clients, Subjects: []exchange.Source{source(idp, "")}, Rules: []exchange.Rule{{Actor: "a"}, {Actor: "a", Audience: "b", Scopes: []string{"c d"}}}},
			"a rule without Actor or Audience\n\"c d\" is no scope"},
	} {
		s, err := exchange.New(tt.o)
		if want := "exchange.Options: " + strings.ReplaceAll(tt.want, "\n", "\nexchange.Options: "); s != nil || err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", tt.name, err, want)
		}
	}
}

// endpoint serves the exchange on loopback; each request is the client's whose
// IAM role signed it.
func (w *world) endpoint(t testing.TB) *httptest.Server {
	check := engine.SigV4{Service: "execute-api", Region: engine.Region, Credentials: func(id string) (aws.Credentials, bool) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: "secret"}, strings.HasPrefix(id, "role/") || id == "gateway"
	}}
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.requests.Add(1)
		ctx := r.Context()
		if r.Header.Get("Authorization") != "" {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			id, err := check.Verify(r, body)
			if err != nil {
				http.Error(out, `{"message":"Forbidden"}`, http.StatusForbidden)
				return
			}
			ctx = exchange.WithClient(ctx, "role/"+id)
		}
		w.service.ServeHTTP(out, r.WithContext(ctx))
	}))
	t.Cleanup(server.Close)
	return server
}

func as(role string) func(*http.Request, []byte) error {
	return exchange.SignIAM(aws.Config{Region: engine.Region, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: role, SecretAccessKey: "secret"}, nil
	})})
}

// TestClientConcurrent has many subjects call through one client at once: each
// inner call carries a token for its own subject and for exactly the next
// function, and each is exchanged once.
func TestClientConcurrent(t *testing.T) {
	w := newWorld(t)
	inner := token.Verifier{Issuer: ours, Audience: "orders", Keys: token.SignerKeys{w.signer}}
	orders := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		claims, err := inner.Verify(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if err != nil {
			http.Error(out, err.Error(), http.StatusUnauthorized)
			return
		}
		fmt.Fprint(out, claims.Subject)
	}))
	defer orders.Close()
	client := exchange.NewClient(w.endpoint(t).URL, &exchange.ClientOptions{Sign: as("gateway")})
	calls := &http.Client{Transport: client.Transport("orders", http.DefaultTransport)}
	const subjects = 8
	tokens := make([]string, subjects)
	for i := range tokens {
		tokens[i] = w.user(object{"sub": fmt.Sprint("user-", i)})
	}
	var wg sync.WaitGroup
	for n := range 10 * subjects {
		wg.Go(func() {
			i := n % subjects
			r, _ := http.NewRequestWithContext(exchange.WithSubject(t.Context(), tokens[i]), http.MethodGet, orders.URL, nil)
			r.Header.Set("Authorization", "Bearer "+tokens[i]) // the caller's own token must not get there
			res, err := calls.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if body, _ := io.ReadAll(res.Body); string(body) != fmt.Sprint("idp|user-", i) {
				t.Errorf("user-%d called as %s", i, body)
			}
		})
	}
	wg.Wait()
	if n := w.requests.Load(); n != subjects {
		t.Errorf("%d exchanges for %d subjects", n, subjects)
	}
}

func TestClient(t *testing.T) {
	w := newWorld(t)
	server := w.endpoint(t)
	var passed atomic.Int64
	client := exchange.NewClient(server.URL, &exchange.ClientOptions{
		ActorToken: func(context.Context) (string, error) { return w.actor("gateway"), nil },
		Scopes:     map[string][]string{"orders": {"read"}},
		MaxTokens:  2,
		Now:        func() time.Time { return time.Now().Add(time.Duration(passed.Load())) },
	})
	user := w.user(nil)
	ctx := exchange.WithSubject(t.Context(), user)
	first, err := client.Token(ctx, "orders")
	if err != nil {
		t.Fatal(err)
	}
	v := token.Verifier{Issuer: ours, Audience: "orders", Keys: token.SignerKeys{w.signer}}
	if claims, err := v.Verify(t.Context(), first); err != nil || strings.Join(claims.Scope, " ") != "read" || claims.Actor.Issuer != actors {
		t.Errorf("claims %+v, error %v", claims, err)
	}
	expect := func(when string, ctx context.Context, audience string, requests int32) {
		t.Helper()
		if _, err := client.Token(ctx, audience); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if n := w.requests.Load(); n != requests {
			t.Errorf("%s: %d requests, want %d", when, n, requests)
		}
	}
	expect("again", ctx, "orders", 1)
	expect("other audience", ctx, "https://api.example.com/catalog", 2)
	passed.Store(int64(5*time.Minute - 40*time.Second))
	expect("40 s before it expires", ctx, "orders", 2)
	passed.Store(int64(5*time.Minute - 30*time.Second))
	expect("30 s before it expires", ctx, "orders", 3)
	expect("a third subject", exchange.WithSubject(t.Context(), w.user(object{"sub": "b"})), "orders", 4)
	expect("a fourth", exchange.WithSubject(t.Context(), w.user(object{"sub": "c"})), "orders", 5)
	expect("the first, which was forgotten", ctx, "orders", 6)

	var refused *exchange.Error
	if raw, err := client.Token(ctx, "payments"); raw != "" || !errors.As(err, &refused) || refused.Code != exchange.InvalidTarget || errors.Is(err, token.ErrUnavailable) {
		t.Errorf("token %q, error %v", raw, err)
	}
	if raw, err := client.Token(t.Context(), "orders"); raw != "" || err == nil {
		t.Errorf("without a subject: token %q, error %v", raw, err)
	}
	unsigned := exchange.NewClient(server.URL, &exchange.ClientOptions{Sign: as("nobody")})
	if raw, err := unsigned.Token(ctx, "orders"); raw != "" || !errors.Is(err, token.ErrUnavailable) {
		t.Errorf("IAM refuses: token %q, error %v", raw, err)
	}
	plain := exchange.NewClient("http://tokens.example.com", nil)
	if raw, err := plain.Token(ctx, "orders"); raw != "" || err == nil || !strings.HasSuffix(err.Error(), "must be https") {
		t.Errorf("without TLS: token %q, error %v", raw, err)
	}
}

// TestClientDistrusts plays endpoints whose answers must not be used.
func TestClientDistrusts(t *testing.T) {
	w := newWorld(t)
	user := w.user(nil)
	ctx := exchange.WithSubject(t.Context(), user)
	good := `{"access_token":"a.b.c","issued_token_type":"` + exchange.AccessToken + `","token_type":"Bearer","expires_in":300}`
	for name, tt := range map[string]struct {
		status int
		body   string
	}{
		"error page":             {500, "<html>" + user},
		"unavailable":            {503, `{"error":"temporarily_unavailable"}`},
		"redirect":               {302, good},
		"no JSON":                {200, "<html>"},
		"nothing":                {200, "{}"},
		"other token type":       {200, strings.Replace(good, "Bearer", "DPoP", 1)},
		"other kind of token":    {200, strings.Replace(good, "access_token\",\"token_type", "refresh_token\",\"token_type", 1)},
		"line break in token":    {200, strings.Replace(good, "a.b.c", `a\r\nx: y`, 1)},
		"no expiry":              {200, strings.Replace(good, "300", "0", 1)},
		"negative expiry":        {200, strings.Replace(good, "300", "-1", 1)},
		"endless":                {200, strings.Replace(good, "300", "1000000000000000000", 1)},
		"huge":                   {200, good + strings.Repeat(" ", 1<<20)},
		"error code that smells": {400, `{"error":"` + user + `"}`},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("Location", "https://evil.example.com")
			out.WriteHeader(tt.status)
			fmt.Fprint(out, tt.body)
		}))
		raw, err := exchange.NewClient(server.URL, nil).Token(ctx, "orders")
		server.Close()
		if raw != "" || !errors.Is(err, token.ErrUnavailable) {
			t.Errorf("%s: token %q, error %v", name, raw, err)
			continue
		}
		checkSilent(t, err.Error(), user)
	}
}
