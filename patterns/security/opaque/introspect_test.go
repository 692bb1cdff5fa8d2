package opaque_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/go-jose/go-jose/v4"

	"github.com/serverless-go/cdk/patterns/security/opaque"
)

// provider is an identity provider that answers introspections.
type provider struct {
	*httptest.Server
	calls   atomic.Int32
	handler func(w http.ResponseWriter, form url.Values, r *http.Request)
}

func newProvider(t testing.TB) *provider {
	p := &provider{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.calls.Add(1)
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		p.handler(w, r.PostForm, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// says makes the provider answer with a body.
func (p *provider) says(body string) {
	p.handler = func(w http.ResponseWriter, _ url.Values, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, body)
	}
}

// client is a client authentication that always works.
type client struct{ rejected int }

func (c *client) Authenticate(_ context.Context, _ string, _ url.Values, header http.Header) error {
	header.Set("Authorization", "Basic Y2xpZW50OnNlY3JldA==")
	return nil
}
func (c *client) Rejected() { c.rejected++ }

func newIntrospector(p *provider, c *clock) *opaque.Introspector {
	httpClient := p.Client()
	httpClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &opaque.Introspector{URL: p.URL, Issuer: "https://id.example.com", Audience: "https://api.example.com", Tenant: "org", Client: &client{},
		HTTP: httpClient, Now: c.Now}
}

func active(c *clock, more string) string {
	return fmt.Sprintf(`{"active":true,"sub":"ann","iss":"https://id.example.com","aud":["x","https://api.example.com"],"scope":"orders:read  orders:write",`+
		`"client_id":"cli","token_type":"Bearer","org":"acme","exp":%d%s}`, c.Now().Add(time.Minute).Unix(), more)
}

func TestIntrospection(t *testing.T) {
	c := newClock()
	p := newProvider(t)
	var sent url.Values
	p.handler = func(w http.ResponseWriter, form url.Values, r *http.Request) {
		sent = form
		if user, password, _ := r.BasicAuth(); user != "client" || password != "secret" || r.Method != http.MethodPost {
			t.Errorf("%s by %s:%s", r.Method, user, password)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		io.WriteString(w, active(c, ""))
	}
	i := newIntrospector(p, c)
	g, err := i.Lookup(t.Context(), "2YotnFZFEjr1zCsicMWpAA")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%s %s %s %q %v %s", g.Subject, g.Tenant, g.Client, g.Scope, g.Audience, g.Expires.Sub(c.Now())); got != `ann acme cli ["orders:read" "orders:write"] [] 1m0s` {
		t.Errorf("grant is %s", got)
	}
	if sent.Get("token") != "2YotnFZFEjr1zCsicMWpAA" || sent.Get("token_type_hint") != "access_token" {
		t.Errorf("form is %v", sent)
	}
}

// Answers that do not clearly say yes lead to no or to an error, never to yes.
func TestIntrospectionAnswers(t *testing.T) {
	c := newClock()
	p := newProvider(t)
	i := newIntrospector(p, c)
	for _, tt := range []struct {
		name, body string
		want       error
	}{
		{"inactive", `{"active":false}`, opaque.ErrRefused},
		{"inactive with the rest", strings.Replace(active(c, ""), "true", "false", 1), opaque.ErrRefused},
		{"active as a string", strings.Replace(active(c, ""), "true", `"true"`, 1), opaque.ErrUnavailable},
		{"active as a number", strings.Replace(active(c, ""), "true", `1`, 1), opaque.ErrUnavailable},
		{"active as null", strings.Replace(active(c, ""), "true", `null`, 1), opaque.ErrUnavailable},
		{"active in capitals", strings.Replace(active(c, ""), `"active"`, `"Active"`, 1), opaque.ErrUnavailable},
		{"active twice", active(c, `,"active":true`), opaque.ErrUnavailable},
		{"inactive, then active in capitals", `{"active":false,"ACTIVE":true}`, opaque.ErrRefused},
		{"nothing", ``, opaque.ErrUnavailable},
		{"an empty object", `{}`, opaque.ErrUnavailable},
		{"a list", `[true]`, opaque.ErrUnavailable},
		{"cut off", active(c, "")[:60], opaque.ErrUnavailable},
		{"two answers", active(c, "") + active(c, ""), opaque.ErrUnavailable},
		{"oversized", active(c, `,"x":"`+strings.Repeat("x", 64<<10)+`"`), opaque.ErrUnavailable},
		{"expired", strings.Replace(active(c, ""), `"exp":`, `"exp":1,"was":`, 1), opaque.ErrRefused},
		{"without expiry", strings.Replace(active(c, ""), `"exp":`, `"was":`, 1), opaque.ErrRefused},
		{"expiry as a string", strings.Replace(active(c, ""), `"exp":`, `"exp":"9999999999","was":`, 1), opaque.ErrUnavailable},
		{"expiry beyond all time", strings.Replace(active(c, ""), `"exp":`, `"exp":1e300,"was":`, 1), opaque.ErrRefused},
		{"invisible subject", strings.Replace(active(c, ""), `"ann"`, `"a\u200bnn"`, 1), opaque.ErrRefused},
		{"invisible tenant", strings.Replace(active(c, ""), `"acme"`, `"a\u2028cme"`, 1), opaque.ErrRefused},
		{"client that is half a surrogate", strings.Replace(active(c, ""), `"cli"`, `"cl\ud800"`, 1), opaque.ErrRefused},
		{"not yet valid", active(c, fmt.Sprintf(`,"nbf":%d`, c.Now().Unix()+60)), opaque.ErrRefused},
		{"of another issuer", strings.Replace(active(c, ""), "https://id.", "https://evil.", 1), opaque.ErrRefused},
		{"for another audience", strings.Replace(active(c, ""), "https://api.", "https://other.", 1), opaque.ErrRefused},
		{"for nobody", strings.Replace(active(c, ""), `"aud"`, `"was"`, 1), opaque.ErrRefused},
		{"audience of numbers", strings.Replace(active(c, ""), `["x",`, `[1,`, 1), opaque.ErrUnavailable},
		{"without subject", strings.Replace(active(c, ""), `"sub"`, `"was"`, 1), opaque.ErrRefused},
		{"subject with a line", strings.Replace(active(c, ""), `"ann"`, `"a\nb"`, 1), opaque.ErrRefused},
		{"subject as a list", strings.Replace(active(c, ""), `"ann"`, `["ann"]`, 1), opaque.ErrUnavailable},
		{"bound to a key", active(c, `,"cnf":{"jkt":"x"}`), opaque.ErrRefused},
		{"of type DPoP", strings.Replace(active(c, ""), `"Bearer"`, `"DPoP"`, 1), opaque.ErrRefused},
		{"scope with a quote", strings.Replace(active(c, ""), `orders:read `, `\"`, 1), opaque.ErrRefused},
		{"tenant as a number", strings.Replace(active(c, ""), `"acme"`, `7`, 1), opaque.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.says(tt.body)
			if g, err := i.Lookup(t.Context(), "token"); g != nil || !errors.Is(err, tt.want) {
				t.Errorf("grant %v, error %v; want %v", g, err, tt.want)
			}
		})
	}
	// The table's own answer gets in, or everything above would prove nothing.
	p.says(active(c, ""))
	if _, err := i.Lookup(t.Context(), "token"); err != nil {
		t.Error(err)
	}
}

func TestIntrospectionFailures(t *testing.T) {
	c := newClock()
	p := newProvider(t)
	i := newIntrospector(p, c)
	yes := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, active(c, ""))
	}
	elsewhere := newProvider(t)
	elsewhere.handler = func(w http.ResponseWriter, _ url.Values, _ *http.Request) { yes(w) }
	for name, handler := range map[string]func(http.ResponseWriter, url.Values, *http.Request){
		"status 401": func(w http.ResponseWriter, _ url.Values, _ *http.Request) { w.WriteHeader(401); yes(w) },
		"status 500": func(w http.ResponseWriter, _ url.Values, _ *http.Request) { w.WriteHeader(500); yes(w) },
		"status 201": func(w http.ResponseWriter, _ url.Values, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(201)
			io.WriteString(w, active(c, ""))
		},
		"redirect": func(w http.ResponseWriter, _ url.Values, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"HTML": func(w http.ResponseWriter, _ url.Values, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, active(c, ""))
		},
		"cut off": func(w http.ResponseWriter, _ url.Values, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, active(c, ""))
		},
	} {
		p.handler = handler
		if g, err := i.Lookup(t.Context(), "token"); g != nil || !errors.Is(err, opaque.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: grant %v, error %v", name, g, err)
		}
	}
	if n := elsewhere.calls.Load(); n != 0 {
		t.Errorf("the token went where the redirect led, %d times", n)
	}
	if n := i.Client.(*client).rejected; n != 1 {
		t.Errorf("the client heard of %d rejections, want 1", n)
	}
	begun := time.Now()
	p.handler = func(_ http.ResponseWriter, _ url.Values, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
	}
	if _, err := i.Lookup(t.Context(), "token"); !errors.Is(err, opaque.ErrUnavailable) || time.Since(begun) > 5*time.Second {
		t.Errorf("slow: error %v after %s", err, time.Since(begun))
	}
	p.Close()
	if _, err := i.Lookup(t.Context(), "token"); !errors.Is(err, opaque.ErrUnavailable) {
		t.Errorf("down: error %v", err)
	}
}

func TestIntrospectionIsCachedWithinExpiry(t *testing.T) {
	c := newClock()
	p := newProvider(t)
	p.says(active(c, ""))
	s := opaque.Cached(newIntrospector(p, c), 2*time.Minute, c.Now)
	ask := func() error { _, err := s.Lookup(t.Context(), "token"); return err }
	for range 3 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.calls.Load(); n != 1 {
		t.Errorf("%d calls for three lookups, want 1", n)
	}
	if _, err := s.Lookup(t.Context(), "other"); err != nil || p.calls.Load() != 2 {
		t.Errorf("another token: error %v, %d calls", err, p.calls.Load())
	}
	c.Add(time.Minute) // its expiry, before the two minutes are over
	if err := ask(); err != opaque.ErrRefused || p.calls.Load() != 3 {
		t.Errorf("error %v after %d calls", err, p.calls.Load())
	}
	// Refusals and failures are not remembered.
	p.says(active(c, ""))
	if err := ask(); err != nil {
		t.Error(err)
	}
}

func TestIntrospectorAccepts(t *testing.T) {
	i := &opaque.Introspector{}
	for s, want := range map[string]bool{"abc": true, "a-b._~+/c==": true, "": false, "==": false, "a=b": false, "a b": false, "a,b": false, "é": false,
		"a\n": false, strings.Repeat("a", 4096): true, strings.Repeat("a", 4097): false} {
		if i.Accepts(s) != want {
			t.Errorf("accepts %.20q: %t", s, !want)
		}
	}
}

// vault is a double of Secrets Manager with one secret.
type vault struct {
	*httptest.Server
	secret string
	calls  int
	down   bool
}

func newVault(t testing.TB, secret string) *vault {
	v := &vault{secret: secret}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.calls++
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if v.down || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"__type":"ResourceNotFoundException"}`)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"ARN": "arn:secret", "SecretString": v.secret})
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *vault) credentials(c *clock) *opaque.SecretCredentials {
	return &opaque.SecretCredentials{ARN: "arn:secret", Now: c.Now, Client: secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", BaseEndpoint: &v.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), RetryMaxAttempts: 1})}
}

func TestClientSecret(t *testing.T) {
	c := newClock()
	v := newVault(t, `{"client_id":"a:b","client_secret":"p%q +"}`)
	s := v.credentials(c)
	authenticate := func() string {
		header := http.Header{}
		if err := s.Authenticate(t.Context(), "https://id.example.com/introspect", url.Values{}, header); err != nil {
			t.Error(err)
		}
		user, password, _ := (&http.Request{Header: header}).BasicAuth()
		return user + " " + password
	}
	if got := authenticate(); got != "a%3Ab p%25q+%2B" {
		t.Errorf("user and password are %s", got)
	}
	authenticate()
	if v.calls != 1 {
		t.Errorf("%d reads of the secret", v.calls)
	}
	// The secret is rotated, and the provider rejects the old one; but a provider
	// that always rejects does not make us read it all the time.
	v.secret = `{"client_id":"a","client_secret":"new"}`
	s.Rejected()
	if got := authenticate(); v.calls != 1 {
		t.Errorf("%s after %d reads at once", got, v.calls)
	}
	c.Add(10 * time.Second)
	if got := authenticate(); got != "a new" || v.calls != 2 {
		t.Errorf("%s after %d reads", got, v.calls)
	}
	v.down = true
	c.Add(5 * time.Minute)
	if got := authenticate(); got != "a new" {
		t.Errorf("%s while the secret cannot be read", got)
	}
	s.Rejected()
	if err := s.Authenticate(t.Context(), "", nil, http.Header{}); err == nil {
		t.Error("a rejected secret is used on")
	}
}

func TestPrivateKeyJWT(t *testing.T) {
	c := newClock()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := json.Marshal(map[string]string{"client_id": "door", "kid": "k1", "private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	s := newVault(t, string(secret)).credentials(c)
	ids := map[string]bool{}
	for range 2 {
		form, header := url.Values{}, http.Header{}
		if err := s.Authenticate(t.Context(), "https://id.example.com/introspect", form, header); err != nil {
			t.Fatal(err)
		}
		signed, err := jose.ParseSignedCompact(form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := signed.Verify(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Iss, Sub, Aud, Jti string
			Iat, Exp           int64
		}
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		if claims.Iss != "door" || claims.Sub != "door" || claims.Aud != "https://id.example.com/introspect" || claims.Exp-claims.Iat != 60 ||
			claims.Iat != c.Now().Unix() || ids[claims.Jti] || signed.Signatures[0].Header.KeyID != "k1" || len(header) != 0 ||
			form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			t.Errorf("claims are %+v, form %v", claims, form)
		}
		ids[claims.Jti] = true
	}
}

func TestWrongSecrets(t *testing.T) {
	rsa := "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n" // Ed25519
	for name, secret := range map[string]string{
		"not JSON": `hunter2`, "no client": `{"client_secret":"hunter2"}`, "neither": `{"client_id":"a"}`, "both": `{"client_id":"a","client_secret":"hunter2","private_key":"x"}`,
		"a number": `{"client_id":"a","client_secret":7}`, "no PEM": `{"client_id":"a","private_key":"hunter2"}`, "another key": `{"client_id":"a","private_key":` + quote(rsa) + `}`,
	} {
		s := newVault(t, secret).credentials(newClock())
		if err := s.Authenticate(t.Context(), "", url.Values{}, http.Header{}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
