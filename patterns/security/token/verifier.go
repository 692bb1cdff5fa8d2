package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Verifier verifies tokens. Its fields must not change once it is used; it can
// be used by several goroutines.
type Verifier struct {
	// Issuer and Audience are required and compared exactly with "iss" and with
	// each of "aud".
	Issuer, Audience string
	// Types are the values of "typ" that are taken. "JWT", or "" for tokens
	// without a type, lets ID tokens in where access tokens are meant (RFC 8725,
	// section 3.11). Default: TypeAccessToken.
	Types []string
	// Algorithms are the values of "alg" that are taken. Never "none" and none
	// with a shared secret. Default: ES256.
	Algorithms []string
	// Keys finds the issuer's keys. Required.
	Keys KeySource
	// Leeway is how far the issuer's clock may be off; negative for none. Default:
	// 30 seconds.
	Leeway time.Duration
	// MaxAge is how long ago a token may have been issued, whatever its expiry.
	// Default: no limit.
	MaxAge time.Duration
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

const defaultLeeway = 30 * time.Second

// maxKeyID is the length of the longest key id that is looked up, in bytes.
const maxKeyID = 256

// Verify returns the claims of a token that is valid: signed by the issuer for
// the audience, of the right type, and now. Its error Is ErrInvalid, or
// ErrUnavailable when the keys could not be had; any other says that the
// Verifier lacks something. Of a token it returns either all or nothing.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Claims, error) {
	types, algorithms, err := v.settings()
	if err != nil {
		return nil, err
	}
	header, err := parseHeader(raw)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(algorithms, header.algorithm) {
		return nil, invalid("the algorithm is not allowed")
	}
	if !slices.ContainsFunc(types, func(t string) bool { return sameType(t, header.typ) }) {
		return nil, invalid("the type is not allowed")
	}
	key, err := v.Keys.Key(ctx, header.keyID, header.algorithm)
	if err != nil {
		if errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnavailable) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: keys of the issuer: %w", ErrUnavailable, err)
	}
	if err := supported[header.algorithm](key); err != nil {
		return nil, invalid("the key does not fit the algorithm: " + err.Error())
	}
	signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(header.algorithm)})
	if err != nil {
		return nil, invalid("it is not a signed token")
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil, invalid("the signature does not match")
	}
	claims := new(Claims)
	if err := claims.UnmarshalJSON(payload); err != nil {
		return nil, invalid(err.Error())
	}
	if err := v.check(claims); err != nil {
		return nil, err
	}
	return claims, nil
}

func (v *Verifier) settings() (types, algorithms []string, err error) {
	if v.Issuer == "" || v.Audience == "" || v.Keys == nil {
		return nil, nil, errors.New("token.Verifier needs Issuer, Audience and Keys")
	}
	types, algorithms = v.Types, v.Algorithms
	if types == nil {
		types = []string{TypeAccessToken}
	}
	if algorithms == nil {
		algorithms = []string{string(jose.ES256)}
	}
	for _, a := range algorithms {
		if supported[a] == nil {
			return nil, nil, fmt.Errorf("token.Verifier: algorithm %q is none of a public key that is supported", a)
		}
	}
	return types, algorithms, nil
}

// check returns an error unless the claims are for the audience and valid now.
func (v *Verifier) check(c *Claims) error {
	now, leeway := time.Now(), v.Leeway
	if v.Now != nil {
		now = v.Now()
	}
	if leeway == 0 {
		leeway = defaultLeeway
	}
	leeway = max(leeway, 0)
	switch {
	case c.Issuer != v.Issuer:
		return invalid("it is of another issuer")
	case !slices.Contains(c.Audience, v.Audience):
		return invalid("it is for another audience")
	case c.Subject == "":
		return invalid("it has no subject")
	case c.Expiry.IsZero():
		return invalid("it has no expiry")
	case !now.Before(c.Expiry.Add(leeway)):
		return invalid("it has expired")
	case c.NotBefore.After(now.Add(leeway)):
		return invalid("it is not valid yet")
	case c.IssuedAt.After(now.Add(leeway)):
		return invalid("it was issued in the future")
	case v.MaxAge > 0 && c.IssuedAt.IsZero():
		return invalid("it does not say when it was issued")
	case v.MaxAge > 0 && now.Sub(c.IssuedAt) > v.MaxAge+leeway:
		return invalid("it was issued too long ago")
	}
	return nil
}

func invalid(why string) error { return fmt.Errorf("%w: %s", ErrInvalid, why) }

// header is what matters of a JOSE header.
type header struct{ algorithm, keyID, typ string }

// Members that would choose the key, or change what the token means. RFC 7515,
// section 4.1; a token that has one was not meant for us, or well.
var refused = []string{"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty"}

// parseHeader reads the header of a compact token (RFC 7515, section 7.1), and
// checks the encoding of all three parts.
func parseHeader(raw string) (*header, error) {
	if len(raw) > MaxSize {
		return nil, invalid(fmt.Sprintf("it has more than %d bytes", MaxSize))
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, invalid("it has not the three parts of a signed token")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		// The decoder skips line breaks and, unless strict, odd last bits: one
		// token would have several spellings.
		decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || strings.ContainsAny(part, "\r\n") || part == "" {
			return nil, invalid("a part is not in base64url")
		}
	}
	if err := strict(decoded[0]); err != nil {
		return nil, invalid("header: " + err.Error())
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(decoded[0], &members); err != nil || members == nil {
		return nil, invalid("the header is not a JSON object")
	}
	for _, name := range refused {
		if _, ok := members[name]; ok {
			return nil, invalid(fmt.Sprintf("the header has %q", name))
		}
	}
	var h header
	if err := text(members["alg"], &h.algorithm); err != nil {
		return nil, invalid(`header "alg" ` + err.Error())
	}
	if err := text(members["kid"], &h.keyID); err != nil {
		return nil, invalid(`header "kid" ` + err.Error())
	}
	if typ, ok := members["typ"]; ok {
		if err := text(typ, &h.typ); err != nil {
			return nil, invalid(`header "typ" ` + err.Error())
		}
	}
	if h.keyID == "" || len(h.keyID) > maxKeyID {
		return nil, invalid(fmt.Sprintf("the key id has not 1 to %d bytes", maxKeyID))
	}
	return &h, nil
}

// sameType compares media types without "application/" and without case (RFC
// 7515, section 4.1.9).
func sameType(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	return strings.TrimPrefix(a, "application/") == strings.TrimPrefix(b, "application/")
}

// UnverifiedIssuer returns what a token says about its issuer, which nobody has
// verified. It serves to choose the Verifier, and for nothing else.
func UnverifiedIssuer(raw string) (string, error) {
	if _, err := parseHeader(raw); err != nil {
		return "", err
	}
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	var claims Claims
	if err := claims.UnmarshalJSON(payload); err != nil {
		return "", invalid(err.Error())
	}
	return claims.Issuer, nil
}
