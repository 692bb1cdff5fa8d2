// Package opaque turns the references that clients hold into the internal JWTs
// that functions see (the "phantom token").
//
// A client holds 256 random bits and nothing else: no claim to read, no
// signature to attack, nothing that works anywhere but at the door. The
// [Authorizer] looks the reference up in its [Source], a [Store] in DynamoDB or
// the introspection endpoint of an identity provider (RFC 7662), and hands on a
// JWT for one audience that lives for seconds to minutes. Whether a reference
// is unknown, expired or revoked, the answer is the same, and so are the calls
// that lead to it. Whatever fails, nobody is let in.
//
// It runs in Lambda, see the construct security.OpaqueInvocation.
package opaque
