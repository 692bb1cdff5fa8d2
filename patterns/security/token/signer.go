package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/serverless-go/cdk/patterns/security/internal/memo"
)

// KMSAPI is what a Signer calls of a kms.Client.
type KMSAPI interface {
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
}

// NewKMSClient returns a KMS client for a Signer, which tries a failed call once
// more and not, like others, twice: users do not see a failure that passes, and a
// quota that is used up is not asked three times as much.
func NewKMSClient(cfg aws.Config) *kms.Client {
	return kms.NewFromConfig(cfg, func(o *kms.Options) { o.RetryMaxAttempts = 2 })
}

// SignerOptions are the options of a Signer.
type SignerOptions struct {
	// Timeout is the time for a call of KMS, its retries included. Default: 3
	// seconds.
	Timeout time.Duration
}

// Signer signs tokens with ES256 and a key in KMS, of spec ECC_NIST_P256 and
// usage SIGN_VERIFY. It can be used by several goroutines.
type Signer struct {
	client  KMSAPI
	keyID   string
	timeout time.Duration
	key     *memo.Cache[struct{}, *publicKey] // never changes in KMS
}

type publicKey struct {
	arn, kid string
	key      *ecdsa.PublicKey
	jwk      []byte
}

// NewSigner returns a signer for a key, which may be named by id, ARN or alias.
// It calls KMS for the public key when that is needed first, and then stays with
// this key: an alias that moves is followed by new processes only.
func NewSigner(client KMSAPI, keyID string, o *SignerOptions) *Signer {
	s := &Signer{client: client, keyID: keyID, timeout: 3 * time.Second}
	if o != nil && o.Timeout > 0 {
		s.timeout = o.Timeout
	}
	s.key = memo.New[struct{}, *publicKey](1, s.timeout)
	return s
}

// Sign returns the claims as a token of that type. It calls KMS once, after the
// first time; see Issuer. The claims must have an issuer, a subject, an
// audience and an expiry. When KMS does not sign, the error Is ErrUnavailable.
func (s *Signer) Sign(ctx context.Context, typ string, c *Claims) (string, error) {
	if typ == "" || c.Issuer == "" || c.Subject == "" || len(c.Audience) == 0 || c.Expiry.IsZero() {
		return "", errors.New("sign a token: it needs a type, an issuer, a subject, an audience and an expiry")
	}
	payload, err := c.MarshalJSON()
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	if err := strict(payload); err != nil { // Private may hold anything
		return "", fmt.Errorf("sign a token: claims: %w", err)
	}
	key, err := s.public(ctx)
	if err != nil {
		return "", err
	}
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}{"ES256", key.kid, typ})
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	enc := base64.RawURLEncoding
	size := enc.EncodedLen(len(header)) + enc.EncodedLen(len(payload)) + enc.EncodedLen(2*coordinate) + 2
	if size > MaxSize {
		return "", fmt.Errorf("sign a token: it would have %d bytes, at most %d are allowed", size, MaxSize)
	}
	out := make([]byte, 0, size)
	out = enc.AppendEncode(out, header)
	out = append(out, '.')
	out = enc.AppendEncode(out, payload)

	digest := sha256.Sum256(out)
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	signed, err := s.client.Sign(ctx, &kms.SignInput{
		KeyId:            &key.arn,
		Message:          digest[:],
		MessageType:      types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		return "", fmt.Errorf("%w: sign with KMS: %w", ErrUnavailable, err)
	}
	raw, err := rawSignature(signed.Signature)
	if err != nil {
		return "", fmt.Errorf("%w: signature of KMS: %w", ErrUnavailable, err)
	}
	if !ecdsa.VerifyASN1(key.key, digest[:], signed.Signature) {
		return "", fmt.Errorf("%w: signature of KMS does not match its public key", ErrUnavailable)
	}
	out = append(out, '.')
	return string(enc.AppendEncode(out, raw)), nil
}

// KeyID returns the key id ("kid") of the tokens: the thumbprint of the public
// key (RFC 7638).
func (s *Signer) KeyID(ctx context.Context) (string, error) {
	key, err := s.public(ctx)
	if err != nil {
		return "", err
	}
	return key.kid, nil
}

// PublicJWK returns the public key as a JSON Web Key (RFC 7517).
func (s *Signer) PublicJWK(ctx context.Context) ([]byte, error) {
	key, err := s.public(ctx)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(key.jwk), nil
}

func (s *Signer) public(ctx context.Context) (*publicKey, error) {
	key, err := s.key.Get(ctx, struct{}{}, func(*publicKey) bool { return true }, s.fetch)
	if err != nil && !errors.Is(err, ErrUnavailable) { // the context's
		return nil, fmt.Errorf("%w: public key from KMS: %w", ErrUnavailable, err)
	}
	return key, err
}

func (s *Signer) fetch(ctx context.Context) (*publicKey, error) {
	out, err := s.client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &s.keyID})
	if err != nil {
		return nil, fmt.Errorf("%w: public key from KMS: %w", ErrUnavailable, err)
	}
	parsed, err := x509.ParsePKIXPublicKey(out.PublicKey)
	key, ok := parsed.(*ecdsa.PublicKey)
	if err != nil || !ok || key.Curve != elliptic.P256() || out.KeyUsage != types.KeyUsageTypeSignVerify || aws.ToString(out.KeyId) == "" {
		return nil, fmt.Errorf("%w: KMS key is no %s key for %s", ErrUnavailable, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
	}
	p := &publicKey{arn: *out.KeyId, key: key}
	if p.kid, p.jwk, err = describe(key); err != nil {
		return nil, fmt.Errorf("%w: KMS key: %w", ErrUnavailable, err)
	}
	return p, nil
}

// describe returns the thumbprint and the JSON Web Key of a key on P-256.
func describe(key *ecdsa.PublicKey) (kid string, jwk []byte, err error) {
	point, err := key.Bytes() // 4, x, y
	if err != nil {
		return "", nil, err
	}
	enc := base64.RawURLEncoding
	x, y := enc.EncodeToString(point[1:1+coordinate]), enc.EncodeToString(point[1+coordinate:])
	// The required members in the order of their names (RFC 7638, section 3.2).
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, x, y))
	kid = enc.EncodeToString(sum[:])
	return kid, fmt.Appendf(nil, `{"kty":"EC","crv":"P-256","x":%q,"y":%q,"kid":%q,"alg":"ES256","use":"sig"}`, x, y, kid), nil
}

// JWKS returns the document with the signers' public keys (RFC 7517, section 5):
// of the key that signs and of those that sign next or signed before, so that
// verifiers know a new key when its first token comes.
func JWKS(ctx context.Context, signers ...*Signer) ([]byte, error) {
	if len(signers) == 0 {
		return nil, errors.New("a JWKS document needs at least one key")
	}
	doc := []byte(`{"keys":[`)
	seen := map[string]bool{}
	for _, s := range signers {
		key, err := s.public(ctx)
		if err != nil {
			return nil, err
		}
		if seen[key.kid] {
			continue
		}
		if len(seen) > 0 {
			doc = append(doc, ',')
		}
		seen[key.kid] = true
		doc = append(doc, key.jwk...)
	}
	return append(doc, `]}`...), nil
}

// SignerKeys are the keys of signers, for who verifies what the same process
// signs.
type SignerKeys []*Signer

// Key returns the public key of that id.
func (k SignerKeys) Key(ctx context.Context, kid, _ string) (crypto.PublicKey, error) {
	var failed error
	for _, s := range k {
		key, err := s.public(ctx)
		if err != nil {
			failed = err
		} else if key.kid == kid {
			return key.key, nil
		}
	}
	if failed != nil { // it may be that one
		return nil, failed
	}
	return nil, errUnknownKey
}

// coordinate is the size of r and s, in bytes.
const coordinate = 32

// rawSignature returns r and s, 32 bytes each, as JOSE has a signature (RFC
// 7518, section 3.4), of the DER that KMS returns (RFC 3279, section 2.2.3).
// Only the one proper encoding is taken, and r and s from 1 to the order of the
// curve less one.
func rawSignature(der []byte) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, errors.New("not a DER sequence of two integers")
	}
	// The parser takes further elements and what follows; the encoder has none.
	if again, err := asn1.Marshal(sig); err != nil || !bytes.Equal(again, der) {
		return nil, errors.New("not the proper DER of a signature")
	}
	order := elliptic.P256().Params().N
	for _, i := range []*big.Int{sig.R, sig.S} {
		if i.Sign() <= 0 || i.Cmp(order) >= 0 {
			return nil, errors.New("r or s is out of range")
		}
	}
	raw := make([]byte, 2*coordinate)
	sig.R.FillBytes(raw[:coordinate])
	sig.S.FillBytes(raw[coordinate:])
	return raw, nil
}
