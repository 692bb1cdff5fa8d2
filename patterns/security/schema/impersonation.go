package schema

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Keys of the session tags that say whose session it is. The trust policy of
// an Impersonation takes exactly these two, and all its grants rest on them.
const (
	TagSubject = "sub"
	TagTenant  = "tenant"
)

// KeySeparator stands between tenant and subject in a partition key. It cannot
// be part of either, so that "a" and "b#c" never make the key of "a#b" and "c".
const KeySeparator = "#"

// MaxName is the greatest length of a subject or tenant.
const MaxName = 64

// SessionSeconds is how long a session lasts, the shortest that STS has.
const SessionSeconds = 900

// Environment variables of the broker.
const (
	EnvBrokerRole        = "BROKER_ROLE"         // ARN of the users' role
	EnvBrokerIssuer      = "BROKER_ISSUER"       // iss of the tokens
	EnvBrokerAudience    = "BROKER_AUDIENCE"     // aud of the tokens
	EnvBrokerKeys        = "BROKER_KEYS"         // URL of the issuer's JWKS
	EnvBrokerTypes       = "BROKER_TYPES"        // JSON list of accepted typ headers
	EnvBrokerAlgorithms  = "BROKER_ALGORITHMS"   // JSON list of accepted algorithms
	EnvBrokerSubjects    = "BROKER_SUBJECTS"     // a Subjects
	EnvBrokerTenantClaim = "BROKER_TENANT_CLAIM" // the claim that names the tenant
	EnvBrokerTenant      = "BROKER_TENANT"       // the one tenant, instead of a claim
	EnvBrokerProviders   = "BROKER_PROVIDERS"    // JSON list of accepted values of ProviderClaim; none: all
	EnvBrokerSets        = "BROKER_SETS"         // JSON object: permission set -> list of Permission
)

// EnvBroker is the variable of a caller that names the broker.
const EnvBroker = "IMPERSONATION_BROKER"

// Subjects says how the subjects of tokens become those of sessions.
type Subjects string

const (
	// SubjectsPlain takes subjects as they are and refuses those that [Plain]
	// does.
	SubjectsPlain Subjects = ""
	// SubjectsHashLong replaces those by their hash that are longer than MaxName
	// and otherwise plain.
	SubjectsHashLong Subjects = "hash-long"
	// SubjectsHash replaces every subject by its hash: nothing of it is seen in
	// keys or in CloudTrail, and it may have any printable character.
	SubjectsHash Subjects = "hash"
)

// ErrName is the error of a subject or tenant that is refused.
var ErrName = errors.New("schema: not a plain name")

// One form for each name: no separator, wildcard, variable, path, space,
// control or non-ASCII character, so that no two names look, fold or normalize
// alike, and none begins like a hash.
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]*$`)

// Plain returns ErrName unless the name can stand in keys, prefixes and
// session tags as it is.
func Plain(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrName, len(name), MaxName)
	}
	if !plain.MatchString(name) {
		return fmt.Errorf("%w: letters, digits, '.', '_', '@' and '-' are allowed, the first a letter or digit", ErrName)
	}
	return nil
}

// maxSubject is the longest subject that OpenID Connect knows.
const maxSubject = 255

// hashed begins each hash; '=' is in no plain name.
const hashed = "sha256="

// Subject returns the subject that a session of the token's subject has.
func (s Subjects) Subject(sub string) (string, error) {
	switch {
	case s == SubjectsHash:
		if sub == "" || len(sub) > maxSubject || strings.ContainsFunc(sub, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return "", fmt.Errorf("%w: 1 to %d printable ASCII characters are allowed", ErrName, maxSubject)
		}
		return hash(sub), nil
	case s == SubjectsHashLong && len(sub) > MaxName && len(sub) <= maxSubject && plain.MatchString(sub):
		return hash(sub), nil
	case s == SubjectsPlain || s == SubjectsHashLong:
		return sub, Plain(sub)
	}
	return "", fmt.Errorf("subjects are %q; allowed is %q, %q or %q", string(s), SubjectsPlain, SubjectsHashLong, SubjectsHash)
}

func hash(sub string) string {
	sum := sha256.Sum256([]byte(sub))
	return hashed + base64.RawURLEncoding.EncodeToString(sum[:])
}

// UserKey returns the partition key of a user's items, behind the prefix.
func UserKey(prefix, tenant, subject string) string {
	return prefix + tenant + KeySeparator + subject
}

// ObjectPrefix returns the prefix of a user's objects.
func ObjectPrefix(tenant, subject string) string { return tenant + "/" + subject + "/" }

// What source identities and session names begin with; the trust policy asks
// for it.
const (
	SourceIdentityPrefix = "u-"
	SessionNamePrefix    = "s-"
)

// SourceIdentity returns what CloudTrail shows of a user: a hash that is the
// same for each of the user's sessions.
func SourceIdentity(issuer, tenant, sub string) string {
	return SourceIdentityPrefix + digest(issuer, tenant, sub)
}

// SessionName returns the name of a token's session, a hash of the token.
func SessionName(token string) string { return SessionNamePrefix + digest(token) }

// digest returns the SHA-256 of the parts in 52 lower-case characters. Hashing
// each part first keeps "a","bc" apart from "ab","c".
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		sum := sha256.Sum256([]byte(part))
		h.Write(sum[:])
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)))
}

var setName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// IsSetName reports whether s can name a permission set.
func IsSetName(s string) bool { return setName.MatchString(s) }

// MaxSessionPolicy is the most characters that STS takes as a session policy.
const MaxSessionPolicy = 2048

// ImpersonationRequest asks the broker for credentials.
type ImpersonationRequest struct {
	// Token is the user's, without "Bearer".
	Token string `json:"token"`
	// Set names what the caller wants to do for the user.
	Set string `json:"set"`
}

// Refusals of the broker. They say nothing of what was wrong with a token.
const (
	// RefusedToken is the code for a token that is not valid, or whose subject,
	// tenant or provider is not.
	RefusedToken = "invalid_token"
	// RefusedSet is the code for a permission set that is not known.
	RefusedSet = "unknown_permission_set"
	// RefusedSize is the code for a permission set that, with the user's tags, is
	// larger than STS takes. Trying again does not help.
	RefusedSize = "permission_set_too_large"
	// RefusedRequest is the code for a request that cannot be read.
	RefusedRequest = "invalid_request"
)

// ImpersonationResponse is the broker's answer: credentials, or Error alone.
// It must not be logged.
type ImpersonationResponse struct {
	Error string `json:"error,omitempty"`

	AccessKeyID     string `json:"accessKeyId,omitempty"`
	SecretAccessKey string `json:"secretAccessKey,omitempty"`
	SessionToken    string `json:"sessionToken,omitempty"`
	// Expires is when the credentials end, TokenExpires when the token does.
	Expires      time.Time `json:"expires,omitzero"`
	TokenExpires time.Time `json:"tokenExpires,omitzero"`

	// Tenant and Subject are the session's tags.
	Tenant  string `json:"tenant,omitempty"`
	Subject string `json:"subject,omitempty"`
}
