package token_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/security/token"
)

// localKMS is KMS with a key in memory; change may spoil its signatures.
type localKMS struct {
	key    *ecdsa.PrivateKey
	change func(der []byte) []byte
}

func (l *localKMS) GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	return &kms.GetPublicKeyOutput{KeyId: aws.String("arn"), KeyUsage: types.KeyUsageTypeSignVerify, PublicKey: der(l.key.Public())}, nil
}

func (l *localKMS) Sign(_ context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	sig, err := ecdsa.SignASN1(rand.Reader, l.key, in.Message)
	if l.change != nil {
		sig = l.change(sig)
	}
	return &kms.SignOutput{Signature: sig}, err
}

func toSign() *token.Claims {
	return &token.Claims{Issuer: issuer, Subject: victim, Audience: []string{audience}, Expiry: now.Add(time.Minute), IssuedAt: now, ID: "1"}
}

// TestSignerProperty signs random messages with 1,000 random keys in KMS's form;
// go-jose, which knows nothing of DER, must verify each. Every 256th r or s or so
// begins with a zero byte, which DER leaves away.
func TestSignerProperty(t *testing.T) {
	short := 0
	for i := range 1000 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := toSign()
		c.ID = rand.Text()
		c.Private = map[string]json.RawMessage{"n": fmt.Appendf(nil, "%q", strings.Repeat("x", i))}
		signer := token.NewSigner(&localKMS{key: key}, "key", nil)
		raw, err := signer.Sign(t.Context(), "at+jwt", c)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := b64.DecodeString(raw[strings.LastIndexByte(raw, '.')+1:])
		if err != nil || len(sig) != 64 {
			t.Fatalf("signature of %d bytes, error %v", len(sig), err)
		}
		if sig[0] == 0 || sig[32] == 0 {
			short++
		}
		parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parsed.Verify(key.Public()); err != nil {
			t.Errorf("signature %x: %v", sig, err)
		}
	}
	t.Logf("%d of 1,000 signatures had a leading zero byte in r or s", short)
}

// TestRawSignatureProperty is about the numbers alone: also such as come once in
// 2^64 signatures.
func TestRawSignatureProperty(t *testing.T) {
	order := elliptic.P256().Params().N
	for i := range 1000 {
		limit := new(big.Int).Lsh(big.NewInt(1), uint(1+i%256)) // from one bit up: many leading zero bytes
		if limit.Cmp(order) > 0 {
			limit = order
		}
		number := func() *big.Int {
			n, err := rand.Int(rand.Reader, new(big.Int).Sub(limit, big.NewInt(1)))
			if err != nil {
				t.Fatal(err)
			}
			return n.Add(n, big.NewInt(1))
		}
		r, s := number(), number()
		der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := token.RawSignature(der)
		if err != nil || len(raw) != 64 || new(big.Int).SetBytes(raw[:32]).Cmp(r) != 0 || new(big.Int).SetBytes(raw[32:]).Cmp(s) != 0 {
			t.Errorf("r %x, s %x: %x, error %v", r, s, raw, err)
		}
	}
}

// TestAttackDER plays what must not pass for a signature.
func TestAttackDER(t *testing.T) {
	order := elliptic.P256().Params().N
	encodeDER := func(r, s *big.Int) []byte {
		b, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one := big.NewInt(1)
	good := encodeDER(one, one) // 30 06 02 01 01 02 01 01
	if _, err := token.RawSignature(good); err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{
		"empty":                   {},
		"cut short":               good[:len(good)-1],
		"one integer":             {0x30, 3, 2, 1, 1},
		"three integers":          {0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1},
		"something behind":        append(bytes.Clone(good), 0),
		"long form of the length": {0x30, 0x81, 6, 2, 1, 1, 2, 1, 1},
		"indefinite length":       {0x30, 0x80, 2, 1, 1, 2, 1, 1, 0, 0},
		"length that lies":        {0x30, 0x7f, 2, 1, 1, 2, 1, 1},
		"huge length":             {0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 2, 1, 1},
		"integer with zeros":      {0x30, 7, 2, 2, 0, 1, 2, 1, 1},
		"integer without bytes":   {0x30, 5, 2, 0, 2, 1, 1},
		"set":                     {0x31, 6, 2, 1, 1, 2, 1, 1},
		"octet string":            {0x30, 6, 4, 1, 1, 2, 1, 1},
		"negative r":              encodeDER(big.NewInt(-1), one),
		"negative s":              encodeDER(one, big.NewInt(-1)),
		"r is zero":               encodeDER(new(big.Int), one),
		"s is zero":               encodeDER(one, new(big.Int)),
		"r is the order":          encodeDER(order, one),
		"s is the order":          encodeDER(one, order),
		"r of 33 bytes":           encodeDER(new(big.Int).Lsh(one, 256), one),
		"raw already":             bytes.Repeat([]byte{1}, 64),
	} {
		if raw, err := token.RawSignature(der); err == nil {
			t.Errorf("%s: %x", name, raw)
		}
	}
}

// TestSignerRefuses checks that what KMS answers is not trusted blindly.
func TestSignerRefuses(t *testing.T) {
	k := keys()
	foreign := func([]byte) []byte {
		digest := sha256.Sum256([]byte("other"))
		sig, _ := ecdsa.SignASN1(rand.Reader, k.ec, digest[:])
		return sig
	}
	for name, change := range map[string]func([]byte) []byte{
		"nothing": func([]byte) []byte { return nil }, "malformed": func(b []byte) []byte { return b[1:] },
		"of another message": foreign,
	} {
		signer := token.NewSigner(&localKMS{key: k.ec, change: change}, "key", nil)
		if raw, err := signer.Sign(t.Context(), "at+jwt", toSign()); raw != "" || !errors.Is(err, token.ErrUnavailable) {
			t.Errorf("%s: token %q, error %v", name, raw, err)
		}
	}
	signer := token.NewSigner(&localKMS{key: k.ec384}, "key", nil)
	if raw, err := signer.Sign(t.Context(), "at+jwt", toSign()); raw != "" || !errors.Is(err, token.ErrUnavailable) {
		t.Errorf("key on P-384: token %q, error %v", raw, err)
	}
	signer = token.NewSigner(&localKMS{key: k.ec}, "key", nil)
	for name, spoil := range map[string]func(*token.Claims){
		"issuer": func(c *token.Claims) { c.Issuer = "" }, "subject": func(c *token.Claims) { c.Subject = "" },
		"audience": func(c *token.Claims) { c.Audience = nil }, "expiry": func(c *token.Claims) { c.Expiry = time.Time{} },
		"size":           func(c *token.Claims) { c.Tenant = strings.Repeat("x", token.MaxSize) },
		"private claims": func(c *token.Claims) { c.Private = map[string]json.RawMessage{"x": json.RawMessage(`{"a":1,"a":2}`)} },
	} {
		c := toSign()
		spoil(c)
		if raw, err := signer.Sign(t.Context(), "at+jwt", c); raw != "" || err == nil || errors.Is(err, token.ErrUnavailable) {
			t.Errorf("without good %s: token %q, error %v", name, raw, err)
		}
	}
	if _, err := signer.Sign(t.Context(), "", toSign()); err == nil {
		t.Error("signed without a type")
	}
}

// TestSignerKMS runs the SDK's client against the double, which checks SigV4.
func TestSignerKMS(t *testing.T) {
	double, client, id := newKMS(t)
	signer := token.NewSigner(client, id, nil)
	double.Fail("GetPublicKey", "ThrottlingException", 1)
	if _, err := signer.KeyID(t.Context()); !errors.Is(err, token.ErrUnavailable) {
		t.Fatalf("throttled: %v", err)
	}
	kid, err := signer.KeyID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := toSign()
	c.Scope, c.Tenant, c.Actor = []string{"read"}, "acme", &token.Actor{Subject: "gateway"}
	raw, err := signer.Sign(t.Context(), token.TypeAccessToken, c)
	if err != nil {
		t.Fatal(err)
	}

	next := token.NewSigner(client, createKey(t, client), nil)
	doc, err := token.JWKS(t.Context(), signer, next, signer)
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider(t)
	p.publish(string(doc))
	v := verifier()
	v.Keys = token.NewRemoteKeys(p.URL, &token.RemoteKeysOptions{Client: p.client()})
	got, err := v.Verify(t.Context(), raw)
	if diff := cmp.Diff(c, got, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); err != nil || diff != "" {
		t.Errorf("error %v, claims (-want +got):\n%s", err, diff)
	}
	v.Keys = token.SignerKeys{next, signer}
	if _, err := v.Verify(t.Context(), raw); err != nil {
		t.Errorf("with the signers' keys: %v", err)
	}
	v.Keys = token.SignerKeys{next}
	if _, err := v.Verify(t.Context(), raw); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("with another key: %v", err)
	}

	// Both ids are the thumbprints that go-jose computes.
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(doc, &set); err != nil || len(set.Keys) != 2 {
		t.Fatalf("%s: %d keys, error %v", doc, len(set.Keys), err)
	}
	for _, key := range set.Keys {
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil || b64.EncodeToString(sum) != key.KeyID || key.Use != "sig" || key.Algorithm != "ES256" {
			t.Errorf("key %+v, error %v", key, err)
		}
	}
	if set.Keys[0].KeyID != kid {
		t.Errorf("key id %s, want %s", set.Keys[0].KeyID, kid)
	}
	if one, err := signer.PublicJWK(t.Context()); err != nil || !bytes.Contains(doc, one) {
		t.Errorf("%s is not in %s, error %v", one, doc, err)
	}
	if _, err := token.JWKS(t.Context()); err == nil {
		t.Error("a document without keys")
	}

	for _, code := range []string{"ThrottlingException", "KMSInternalException", "DisabledException", "AccessDeniedException"} {
		double.Fail("Sign", code, 1)
		raw, err := signer.Sign(t.Context(), token.TypeAccessToken, c)
		if raw != "" || !errors.Is(err, token.ErrUnavailable) {
			t.Errorf("%s: token %q, error %v", code, raw, err)
		}
		checkSilent(t, err.Error(), victim)
	}
	if n := double.Calls("GetPublicKey"); n != 3 {
		t.Errorf("%d calls of GetPublicKey, want one per key and the one that failed", n)
	}
	missing := token.NewSigner(client, "missing", nil)
	if _, err := token.JWKS(t.Context(), signer, missing); !errors.Is(err, token.ErrUnavailable) {
		t.Errorf("a document with a key that is missing: %v", err)
	}
}

func TestSignerTimeout(t *testing.T) {
	double, client, id := newKMS(t)
	signer := token.NewSigner(client, id, &token.SignerOptions{Timeout: time.Second})
	if _, err := signer.KeyID(t.Context()); err != nil {
		t.Fatal(err)
	}
	double.Delay(time.Hour)
	if _, err := signer.Sign(t.Context(), "at+jwt", toSign()); !errors.Is(err, token.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("KMS does not answer: %v", err)
	}
}

// A failure that passes is not seen, and one that stays is not asked for more than
// twice.
func TestSignerTriesTwice(t *testing.T) {
	double, _, id := newKMS(t)
	signer := token.NewSigner(token.NewKMSClient(double.Config()), id, nil)
	if _, err := signer.KeyID(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		failures, calls int
		fails           bool
	}{{1, 2, false}, {2, 2, true}} {
		before := double.Calls("Sign")
		double.Fail("Sign", "ThrottlingException", tt.failures)
		_, err := signer.Sign(t.Context(), "at+jwt", toSign())
		if calls := double.Calls("Sign") - before; calls != tt.calls || errors.Is(err, token.ErrUnavailable) != tt.fails {
			t.Errorf("after %d failures: %d calls, error %v", tt.failures, calls, err)
		}
	}
}

func FuzzDER(f *testing.F) {
	sig, err := ecdsa.SignASN1(rand.Reader, keys().ec, make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sig)
	f.Add([]byte{0x30, 6, 2, 1, 1, 2, 1, 1})
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		raw, err := token.RawSignature(der)
		if err != nil {
			return
		}
		again, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
		if err != nil || !bytes.Equal(again, der) {
			t.Errorf("%x became %x, which is %x", der, raw, again)
		}
	})
}
