package api

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"github.com/serverless-go/cdk/patterns/security/inner"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// Caller returns the pseudonym of who sent the request: of whom the door that
// let the request in names (see [Guard]), or of the [Person] whom the route's
// authorizer names. It returns false for a request that nobody let in.
//
// A person has one pseudonym, by whatever way the requests come: the JWT behind
// a reference says who vouched for its owner.
func Caller(ctx context.Context, r events.APIGatewayV2HTTPRequest) (string, bool) {
	if claims := inner.Claims(ctx); claims != nil {
		provider := claims.Text(schema.ProviderClaim)
		return Pseudonym(provider, claims.Subject), provider != "" && claims.Subject != ""
	}
	provider, name, ok := Person(r)
	return Pseudonym(provider, name), ok
}

// Person returns who sent the request and who vouches for it, according to the
// route's authorizer: the issuer and subject of a JWT, the identity of a
// Cognito identity pool, whose users all share one IAM role, or the ARN of an
// IAM principal, which for an assumed role has the session's name in it. It
// returns false for a request that no such authorizer let in.
//
// See https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
// for the authorizers' part of a request.
func Person(r events.APIGatewayV2HTTPRequest) (provider, name string, ok bool) {
	switch authorizer := r.RequestContext.Authorizer; {
	case authorizer == nil:
	case authorizer.JWT != nil:
		provider, name = authorizer.JWT.Claims["iss"], authorizer.JWT.Claims["sub"]
	case authorizer.IAM != nil && authorizer.IAM.CognitoIdentity.IdentityID != "":
		provider, name = schema.ProviderCognito, authorizer.IAM.CognitoIdentity.IdentityID
	case authorizer.IAM != nil:
		provider, name = schema.ProviderIAM, authorizer.IAM.UserARN
	}
	return provider, name, name != ""
}

// Pseudonym returns the name under which a person is known to the event store:
// "customer-" and a hash of who vouches for the person and under which name.
// The name can be an e-mail address or contain one, as role sessions do; events
// keep the subject for ever and must not.
func Pseudonym(issuer, name string) string { return "customer-" + Digest(issuer, name) }

var pseudonymSyntax = regexp.MustCompile(`^customer-[a-z2-7]{26}$`)

// IsPseudonym reports whether Pseudonym can have returned s.
func IsPseudonym(s string) bool { return pseudonymSyntax.MatchString(s) }

// Digest returns 130 bits of a SHA-256 of the parts: 26 lower-case letters and
// digits, in base32.
func Digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		// Hashing each part first keeps "a","bc" apart from "ab","c".
		sum := sha256.Sum256([]byte(part))
		h.Write(sum[:])
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)))[:26]
}

var digestSyntax = regexp.MustCompile(`^[a-z2-7]{26}$`)

// IsDigest reports whether Digest can have returned s.
func IsDigest(s string) bool { return digestSyntax.MatchString(s) }
