package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// KeySource finds the key that a token names. An unknown key id is an error that
// Is ErrInvalid; any other error means that the keys could not be had.
type KeySource interface {
	Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error)
}

// StaticKeys are keys by their ids: *ecdsa.PublicKey, *rsa.PublicKey or
// ed25519.PublicKey.
type StaticKeys map[string]crypto.PublicKey

// Key returns the key of that id.
func (k StaticKeys) Key(_ context.Context, kid, _ string) (crypto.PublicKey, error) {
	if key, ok := k[kid]; ok {
		return key, nil
	}
	return nil, errUnknownKey
}

var errUnknownKey = fmt.Errorf("%w: it is signed with an unknown key", ErrInvalid)

// Algorithms that may be listed in a Verifier. None with a shared secret: who
// verifies could sign.
var supported = map[string]func(crypto.PublicKey) error{
	string(jose.ES256): ec(elliptic.P256()),
	string(jose.ES384): ec(elliptic.P384()),
	string(jose.ES512): ec(elliptic.P521()),
	string(jose.RS256): rsaKey,
	string(jose.RS384): rsaKey,
	string(jose.RS512): rsaKey,
	string(jose.PS256): rsaKey,
	string(jose.PS384): rsaKey,
	string(jose.PS512): rsaKey,
	string(jose.EdDSA): func(key crypto.PublicKey) error {
		if k, ok := key.(ed25519.PublicKey); !ok || len(k) != ed25519.PublicKeySize {
			return errors.New("not an Ed25519 key")
		}
		return nil
	},
}

func ec(curve elliptic.Curve) func(crypto.PublicKey) error {
	return func(key crypto.PublicKey) error {
		k, ok := key.(*ecdsa.PublicKey)
		if !ok || k == nil || k.Curve != curve {
			return errors.New("not a key on the algorithm's curve")
		}
		if _, err := k.ECDH(); err != nil { // checks the point
			return errors.New("the point is not on the curve")
		}
		return nil
	}
}

const (
	minRSA = 2048 // RFC 7518, section 3.3
	maxRSA = 8192 // larger ones cost more time than a signature is worth
)

func rsaKey(key crypto.PublicKey) error {
	k, ok := key.(*rsa.PublicKey)
	if !ok || k == nil || k.N == nil {
		return errors.New("not an RSA key")
	}
	if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA || k.N.Bit(0) == 0 {
		return fmt.Errorf("not an RSA key of %d to %d bits", minRSA, maxRSA)
	}
	if k.E < 3 || k.E&1 == 0 || int64(k.E) > 1<<31-1 {
		return errors.New("not an RSA key with a usual exponent")
	}
	return nil
}
