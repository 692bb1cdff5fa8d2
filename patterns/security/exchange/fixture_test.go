package exchange_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"

	"github.com/serverless-go/cdk/patterns/security/exchange"
	"github.com/serverless-go/cdk/patterns/security/token"
	"github.com/serverless-go/cdk/test/engine"
)

const (
	ours   = "https://tokens.example.com"
	idp    = "https://id.example.com"
	second = "https://login.example.org"
	actors = "https://actors.example.com"
	victim = "victim-subject-5b1c"
	form   = "application/x-www-form-urlencoded"
)

type object map[string]any

// authority is an issuer with a key.
type authority struct {
	name string
	key  *ecdsa.PrivateKey
}

func newAuthority(name string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return &authority{name, key}
}

func (a *authority) keys() token.StaticKeys { return token.StaticKeys{a.name: a.key.Public()} }

// sign returns a token of that type with those claims, and its issuer's name.
func (a *authority) sign(typ string, claims object) string {
	payload, err := json.Marshal(object{"iss": a.name, "exp": time.Now().Unix() + 600, "iat": time.Now().Unix(), "jti": "1"}.merge(claims))
	if err != nil {
		panic(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: a.key, KeyID: a.name}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return raw
}

func (o object) merge(other object) object {
	c := maps.Clone(o)
	for name, value := range other {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

// world is a service with all around it: users come from idp, and reach gateway,
// which calls orders, which calls payments.
type world struct {
	service             *exchange.Service
	double              *engine.KMS
	signer              *token.Signer
	idp, second, actors *authority
	log                 *bytes.Buffer
	requests            atomic.Int32
}

func newWorld(t testing.TB) *world {
	w := &world{double: engine.NewKMS(t), idp: newAuthority(idp), second: newAuthority(second), actors: newAuthority(actors), log: new(bytes.Buffer)}
	w.double.Signatures = &engine.SigV4{Service: "kms", Region: engine.Region}
	cfg := w.double.Config()
	cfg.RetryMaxAttempts = 1
	client := kms.NewFromConfig(cfg)
	made, err := client.CreateKey(context.Background(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	w.signer = token.NewSigner(client, *made.KeyMetadata.KeyId, nil)
	w.service, err = exchange.New(exchange.Options{
		Issuer: token.NewIssuer(ours, w.signer, &token.IssuerOptions{MaxRate: 1000}),
		Subjects: []exchange.Source{
			{Verifier: token.Verifier{Issuer: idp, Keys: w.idp.keys()}, Prefix: "idp|", AnyTenant: true},
			{Verifier: token.Verifier{Issuer: second, Audience: "gateway", Keys: w.second.keys(), Types: []string{"JWT"}},
				TokenTypes: []string{exchange.IDToken}, Prefix: "second|", Tenant: "org"},
			{Verifier: token.Verifier{Issuer: ours, Keys: token.SignerKeys{w.signer}}},
		},
		Actors:  &token.Verifier{Issuer: actors, Audience: "exchange", Keys: w.actors.keys()},
		Clients: map[string]string{"role/gateway": "gateway", "role/orders": "orders"},
		Rules: []exchange.Rule{
			{Actor: "gateway", Audience: "orders", Scopes: []string{"read", "write"}},
			{Actor: "gateway", Audience: "https://api.example.com/catalog", Scopes: []string{"read"}},
			{Actor: "orders", Audience: "payments", Scopes: []string{"write"}},
			{Actor: "orders", Audience: "orders", Scopes: []string{"read"}},
			{Actor: "payments", Audience: "bank"},
		},
		MaxActors: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(w.log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return w
}

// user returns a user's token for the gateway.
func (w *world) user(claims object) string {
	return w.idp.sign("at+jwt", object{"sub": victim, "aud": "gateway", "scope": "read write delete", "tenant": "acme"}.merge(claims))
}

// actor returns an actor's token for the exchange.
func (w *world) actor(name string) string {
	return w.actors.sign("at+jwt", object{"sub": name, "aud": "exchange"})
}

// ask returns the usual form, changed by pairs of name and value; an empty value
// leaves the parameter away.
func ask(subject, audience string, pairs ...string) url.Values {
	v := url.Values{"grant_type": {exchange.GrantType}, "subject_token": {subject}, "subject_token_type": {exchange.AccessToken}, "audience": {audience}}
	for i := 0; i < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return v
}

// respond sends a form as that client.
func (w *world) respond(client string, v url.Values) *exchange.Answer {
	return w.service.Respond(exchange.WithClient(context.Background(), client), http.MethodPost, "", form, []byte(v.Encode()))
}

// must returns the token that is granted, and its claims for that audience.
func (w *world) must(t testing.TB, client, audience string, v url.Values) (string, *token.Claims) {
	t.Helper()
	a := w.respond(client, v)
	var r exchange.Response
	if err := json.Unmarshal(a.Body, &r); err != nil || a.Status != http.StatusOK {
		t.Fatalf("status %d: %s", a.Status, a.Body)
	}
	verifier := token.Verifier{Issuer: ours, Audience: audience, Keys: token.SignerKeys{w.signer}}
	claims, err := verifier.Verify(context.Background(), r.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	return r.AccessToken, claims
}

// checkSilent fails if the text tells of a token.
func checkSilent(t *testing.T, text string, tokens ...string) {
	t.Helper()
	for _, raw := range tokens {
		for _, part := range append(strings.Split(raw, "."), victim) {
			if len(part) >= 10 && strings.Contains(text, part) {
				t.Errorf("%s tells of a token: %s", text, part)
			}
		}
	}
}
