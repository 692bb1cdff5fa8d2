// Package token verifies and issues signed tokens (JWT, RFC 7519) inside
// Lambda functions.
//
// A Verifier takes tokens of one issuer for one audience, signed with an
// algorithm on its list by a key of its KeySource. RemoteKeys has the keys from
// the issuer's JWKS document, cached. A Signer signs with a key in KMS that
// never leaves it; an Issuer in front of it shares one signature among all
// requests for the same token, so that the calls of KMS are bounded.
//
//	verifier := &token.Verifier{
//		Issuer: "https://id.example.com", Audience: "orders",
//		Keys: token.NewRemoteKeys("https://id.example.com/.well-known/jwks.json", nil),
//	}
//	claims, err := verifier.Verify(ctx, raw)
//	switch {
//	case errors.Is(err, token.ErrUnavailable): // 503: nobody can tell now
//	case err != nil: // 401
//	}
//
// Errors and their messages never hold a token or a part of one.
package token

import "errors"

// ErrInvalid is wrapped by every refusal of a token. The message says which
// rule was broken; it is for logs, not for whoever sent the token.
var ErrInvalid = errors.New("token: not valid")

// ErrUnavailable is wrapped by errors that say nothing about a token: its keys
// could not be had, or KMS did not sign. Refuse the request (with status 503)
// and never take the token for valid.
var ErrUnavailable = errors.New("token: service unavailable")

// MaxSize is the size of the longest token that is verified or issued, in
// bytes. API Gateway takes 10,240 bytes for all headers together.
const MaxSize = 8 << 10

// TypeAccessToken is the type ("typ") of access tokens, see RFC 9068, section
// 2.1.
const TypeAccessToken = "at+jwt"
