package opaque

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
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/go-jose/go-jose/v4"
)

// Times between two reads of the secret: while it works, and at least, however
// often the provider rejects it.
const (
	secretLife  = 5 * time.Minute
	secretPause = 10 * time.Second
)

// SecretCredentials authenticate with what a secret in Secrets Manager holds, a
// JSON object: "client_id" with "client_secret" for client_secret_basic (RFC
// 6749, section 2.3.1), or with "private_key", a PEM of an EC key on P-256, and
// "kid" for private_key_jwt (RFC 7523, section 2.2).
type SecretCredentials struct {
	Client *secretsmanager.Client
	// ARN is the secret's.
	ARN string
	// Now tells the time. Default: time.Now.
	Now func() time.Time

	mu       sync.Mutex
	held     *credentials
	read     time.Time
	rejected bool
}

type credentials struct {
	id, secret string
	signer     jose.Signer // nil for client_secret_basic
}

func (s *SecretCredentials) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Rejected makes the next request read the secret again, in case it was rotated.
func (s *SecretCredentials) Rejected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected = true
}

// Authenticate adds the client's proof.
func (s *SecretCredentials) Authenticate(ctx context.Context, endpoint string, form url.Values, header http.Header) error {
	c, err := s.get(ctx)
	if err != nil {
		return err
	}
	if c.signer == nil {
		// RFC 6749 has both encoded as form values before they are joined.
		r := http.Request{Header: header}
		r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
		return nil
	}
	now := s.now()
	claims, err := json.Marshal(map[string]any{
		"iss": c.id, "sub": c.id, "aud": endpoint, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
	if err != nil {
		return err
	}
	signed, err := c.signer.Sign(claims)
	if err != nil {
		return err
	}
	assertion, err := signed.CompactSerialize()
	if err != nil {
		return err
	}
	form.Set("client_id", c.id)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return nil
}

func (s *SecretCredentials) get(ctx context.Context) (*credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := s.now().Sub(s.read)
	if s.held != nil && age < secretLife && (!s.rejected || age < secretPause) {
		return s.held, nil
	}
	out, err := s.Client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.ARN})
	if err != nil {
		if s.held != nil && !s.rejected {
			return s.held, nil // it was good a while ago, and the provider decides
		}
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	c, err := parseCredentials(aws.ToString(out.SecretString))
	if err != nil {
		return nil, err
	}
	s.held, s.read, s.rejected = c, s.now(), false
	return c, nil
}

// parseCredentials reads the secret. Its errors say nothing of what is in it.
func parseCredentials(secret string) (*credentials, error) {
	m, err := members([]byte(secret))
	if err != nil {
		return nil, errors.New("the secret is not a JSON object")
	}
	var id, password, key, kid *string
	if err := errors.Join(m.read("client_id", &id), m.read("client_secret", &password), m.read("private_key", &key), m.read("kid", &kid)); err != nil {
		return nil, errors.New("the secret has a member that is not a string")
	}
	if or(id) == "" || (or(password) == "") == (or(key) == "") {
		return nil, errors.New("the secret must have client_id and one of client_secret and private_key")
	}
	c := &credentials{id: *id, secret: or(password)}
	if or(key) == "" {
		return c, nil
	}
	block, _ := pem.Decode([]byte(*key))
	if block == nil {
		return nil, errors.New("the secret's private_key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	}
	ec, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("the secret's private_key is not an EC key on P-256")
	}
	o := (&jose.SignerOptions{}).WithType("JWT")
	if or(kid) != "" {
		o = o.WithHeader("kid", *kid)
	}
	if c.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: ec}, o); err != nil {
		return nil, errors.New("the secret's private_key does not sign")
	}
	return c, nil
}
