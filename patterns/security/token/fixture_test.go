package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/serverless-go/cdk/patterns/security/token"
	"github.com/serverless-go/cdk/test/engine"
)

const (
	issuer   = "https://id.example.com"
	audience = "orders"
	victim   = "victim-subject-5b1c"
)

var (
	b64 = base64.RawURLEncoding
	now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
)

// keys are made once: RSA takes its time.
var keys = sync.OnceValue(func() (k struct {
	ec, evil *ecdsa.PrivateKey // P-256
	ec384    *ecdsa.PrivateKey
	rsa      *rsa.PrivateKey
}) {
	k.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.evil, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.ec384, _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	k.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	return k
})

// object is a JSON object.
type object map[string]any

// with returns a copy with a member set, or removed when it is nil.
func (o object) with(name string, value any) object {
	c := maps.Clone(o)
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

func header() object { return object{"alg": "ES256", "kid": "ec", "typ": "at+jwt"} }

func claims() object {
	return object{"iss": issuer, "sub": victim, "aud": audience, "exp": now.Unix() + 300, "iat": now.Unix(), "jti": "1", "client_id": "web"}
}

// encode returns JSON; a string is JSON already.
func encode(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// forge signs any header and payload with any key: *ecdsa.PrivateKey,
// *rsa.PrivateKey, or []byte for HMAC.
func forge(header, payload, key any) string {
	input := b64.EncodeToString([]byte(encode(header))) + "." + b64.EncodeToString([]byte(encode(payload)))
	return input + "." + b64.EncodeToString(signature(input, key))
}

func signature(input string, key any) []byte {
	digest := sha256.Sum256([]byte(input))
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		hashed, size := digest[:], (k.Curve.Params().BitSize+7)/8
		if size == 48 {
			h := crypto.SHA384.New()
			h.Write([]byte(input))
			hashed = h.Sum(nil)
		}
		r, s, err := ecdsa.Sign(rand.Reader, k, hashed)
		if err != nil {
			panic(err)
		}
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case *rsa.PrivateKey:
		sig, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, digest[:])
		if err != nil {
			panic(err)
		}
		return sig
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
	panic(fmt.Sprintf("key of type %T", key))
}

func verifier() *token.Verifier {
	return &token.Verifier{
		Issuer: issuer, Audience: audience,
		Algorithms: []string{"ES256", "ES384", "RS256"},
		Keys:       token.StaticKeys{"ec": keys().ec.Public(), "ec384": keys().ec384.Public(), "rsa": keys().rsa.Public()},
		Now:        func() time.Time { return now },
	}
}

func der(key crypto.PublicKey) []byte {
	b, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return b
}

func pemOf(key crypto.PublicKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der(key)})
}

// jwk returns the public key as JSON Web Key.
func jwk(kid string, key crypto.PublicKey) object {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		return object{"kty": "EC", "crv": k.Curve.Params().Name, "kid": kid, "use": "sig",
			"x": b64.EncodeToString(point[1 : 1+half]), "y": b64.EncodeToString(point[1+half:])}
	case *rsa.PublicKey:
		return object{"kty": "RSA", "kid": kid, "use": "sig", "n": b64.EncodeToString(k.N.Bytes()), "e": "AQAB"}
	}
	panic(fmt.Sprintf("key of type %T", key))
}

func jwks(keys ...object) string { return encode(object{"keys": keys}) }

// newKMS returns a double that checks signatures, its client, and a new key.
func newKMS(t testing.TB) (*engine.KMS, *kms.Client, string) {
	t.Helper()
	double := engine.NewKMS(t)
	double.Signatures = &engine.SigV4{Service: "kms", Region: engine.Region}
	cfg := double.Config()
	cfg.RetryMaxAttempts = 1
	client := kms.NewFromConfig(cfg)
	return double, client, createKey(t, client)
}

func createKey(t testing.TB, client *kms.Client) string {
	t.Helper()
	made, err := client.CreateKey(context.Background(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	return *made.KeyMetadata.KeyId
}

// checkSilent fails if the text has a part of the token or of what is in it.
func checkSilent(t *testing.T, text, raw string) {
	t.Helper()
	secrets := append(strings.Split(raw, "."), victim)
	if len(raw) > 20 {
		secrets = append(secrets, raw[:20], raw[len(raw)-20:])
	}
	for _, s := range secrets {
		if len(s) >= 10 && strings.Contains(text, s) {
			t.Errorf("%q tells of the token: %q", text, s)
		}
	}
}
