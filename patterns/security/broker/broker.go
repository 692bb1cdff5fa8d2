// Package broker turns a user's token into AWS credentials that reach what is
// the user's and nothing else. It is the function behind
// security.Impersonation, the only principal that its users' role trusts.
//
// # What it decides and what IAM decides
//
// The broker verifies the token and puts its subject and tenant into session
// tags. What the tags open is decided by IAM alone, from the role's policies:
// a caller cannot ask for another user, for the broker takes no name but the
// token's. A caller names a permission set, whose session policy STS
// intersects with the role's, so that it can narrow and never widen.
//
// Names that could mean something in a key, a path, a pattern or a policy are
// refused and never escaped. See [schema.Plain].
//
// # What it says
//
// A refusal has a code and no reason. Neither tokens nor credentials are
// logged; a subject appears in CloudTrail's session names and source identities
// as a hash. CloudTrail also shows session tags: set schema.SubjectsHash where
// subjects are personal data.
package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// maxRequest is the longest request in bytes; tokens of 8 KB fit.
const maxRequest = 16 << 10

// ErrUnavailable is returned when the issuer's keys or STS cannot be reached.
// Nobody gets credentials then; trying again may help. Lambda shows its text to
// whoever invokes the broker, so it names no package.
var ErrUnavailable = errors.New("credentials are unavailable, try again")

// Verifier checks a token; a *token.Verifier does.
type Verifier interface {
	Verify(ctx context.Context, raw string) (*token.Claims, error)
}

// STS is what the broker needs of the AWS Security Token Service.
type STS interface {
	AssumeRole(context.Context, *sts.AssumeRoleInput, ...func(*sts.Options)) (*sts.AssumeRoleOutput, error)
}

// Broker hands out credentials. Verifier, STS, Role and Sets are required.
type Broker struct {
	Verifier Verifier
	STS      STS
	// Role is the ARN of the role that sessions are of.
	Role string
	// Sets are the session policies by name of their permission set.
	Sets map[string]string
	// Subjects says how subjects become session tags.
	Subjects schema.Subjects
	// TenantClaim is the claim that names the tenant. Default: "tenant".
	TenantClaim string
	// Tenant is the tenant of every user, instead of a claim.
	Tenant string
	// Providers are the values of schema.ProviderClaim that are taken. Default:
	// all, and tokens without it.
	Providers []string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// FromEnv returns the broker that the environment describes.
func FromEnv(cfg aws.Config) (*Broker, error) {
	env := os.Getenv
	for _, name := range []string{schema.EnvBrokerRole, schema.EnvBrokerIssuer, schema.EnvBrokerAudience, schema.EnvBrokerKeys, schema.EnvBrokerSets} {
		if env(name) == "" {
			return nil, fmt.Errorf("broker: %s must be set", name)
		}
	}
	verifier := &token.Verifier{
		Issuer: env(schema.EnvBrokerIssuer), Audience: env(schema.EnvBrokerAudience),
		Keys: token.NewRemoteKeys(env(schema.EnvBrokerKeys), nil),
	}
	var sets map[string][]schema.Permission
	var providers []string
	for name, into := range map[string]any{
		schema.EnvBrokerTypes: &verifier.Types, schema.EnvBrokerAlgorithms: &verifier.Algorithms, schema.EnvBrokerSets: &sets,
		schema.EnvBrokerProviders: &providers,
	} {
		if value := env(name); value != "" {
			if err := json.Unmarshal([]byte(value), into); err != nil {
				return nil, fmt.Errorf("broker: %s: %w", name, err)
			}
		}
	}
	b := &Broker{
		Verifier: verifier,
		// A log of requests and answers would hold credentials.
		STS:         sts.NewFromConfig(cfg, func(o *sts.Options) { o.ClientLogMode = 0 }),
		Role:        env(schema.EnvBrokerRole),
		Subjects:    schema.Subjects(env(schema.EnvBrokerSubjects)),
		TenantClaim: env(schema.EnvBrokerTenantClaim),
		Tenant:      env(schema.EnvBrokerTenant),
		Providers:   providers,
		Sets:        map[string]string{},
	}
	for name, permissions := range sets {
		policy, err := schema.SessionPolicy(permissions)
		if err != nil {
			return nil, fmt.Errorf("broker: %s: %s: %w", schema.EnvBrokerSets, name, err)
		}
		b.Sets[name] = policy
	}
	return b, b.check()
}

// check refuses at the start what would fail at each call.
func (b *Broker) check() error {
	if len(b.Sets) == 0 {
		return errors.New("broker: there is no permission set")
	}
	for name := range b.Sets {
		if !schema.IsSetName(name) {
			return fmt.Errorf("broker: %q cannot name a permission set", name)
		}
	}
	if b.Tenant != "" {
		if err := schema.Plain(b.Tenant); err != nil {
			return fmt.Errorf("broker: tenant: %w", err)
		}
	}
	// A token without the claim names the provider "".
	if b.Providers != nil && (len(b.Providers) == 0 || slices.Contains(b.Providers, "")) {
		return fmt.Errorf("broker: %s must be a list of names, or not set", schema.EnvBrokerProviders)
	}
	switch b.Subjects {
	case schema.SubjectsPlain, schema.SubjectsHashLong, schema.SubjectsHash:
		return nil
	}
	return fmt.Errorf("broker: %s is %q", schema.EnvBrokerSubjects, string(b.Subjects))
}

// Invoke answers a JSON [schema.ImpersonationRequest] with a
// [schema.ImpersonationResponse]. It makes Broker a handler for lambda.Start. An
// error is always ErrUnavailable, and counts among the function's errors; a
// refusal does not, or strangers could raise the alarm.
func (b *Broker) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	request, err := parse(payload)
	if err != nil {
		slog.WarnContext(ctx, "refused", "code", schema.RefusedRequest)
		return json.Marshal(&schema.ImpersonationResponse{Error: schema.RefusedRequest})
	}
	response, err := b.Assume(ctx, request)
	if err != nil {
		return nil, err
	}
	return json.Marshal(response)
}

func parse(payload []byte) (r schema.ImpersonationRequest, err error) {
	if len(payload) > maxRequest {
		return r, errors.New("too long")
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, err
	}
	if _, err := d.Token(); err != io.EOF {
		return r, errors.New("more than one value")
	}
	return r, nil
}

// Assume answers a request. The error, if any, is ErrUnavailable.
func (b *Broker) Assume(ctx context.Context, r schema.ImpersonationRequest) (*schema.ImpersonationResponse, error) {
	refuse := func(code, why string, args ...any) (*schema.ImpersonationResponse, error) {
		slog.WarnContext(ctx, "refused", append([]any{"code", code, "why", why}, args...)...)
		return &schema.ImpersonationResponse{Error: code}, nil
	}
	// The name is looked up and never becomes part of a policy.
	policy, ok := b.Sets[r.Set]
	if !ok {
		return refuse(schema.RefusedSet, "no such permission set")
	}
	claims, err := b.Verifier.Verify(ctx, r.Token)
	switch {
	case errors.Is(err, token.ErrInvalid):
		return refuse(schema.RefusedToken, "not verified", "error", err)
	case err != nil:
		slog.ErrorContext(ctx, "token not verified", "error", err)
		return nil, ErrUnavailable
	}
	// The verifier's leeway is for clocks; a session must not begin after its
	// token's end.
	if !b.now().Before(claims.Expiry) {
		return refuse(schema.RefusedToken, "expired")
	}
	// Equal subjects of two providers are two users, and a reference outlives the
	// deployment that changes the provider.
	if b.Providers != nil && !slices.Contains(b.Providers, claims.Text(schema.ProviderClaim)) {
		return refuse(schema.RefusedToken, "provider")
	}
	subject, err := b.Subjects.Subject(claims.Subject)
	if err != nil {
		return refuse(schema.RefusedToken, "subject", "error", err)
	}
	tenant := b.tenant(claims)
	if err := schema.Plain(tenant); err != nil {
		return refuse(schema.RefusedToken, "tenant", "error", err)
	}

	source := schema.SourceIdentity(claims.Issuer, tenant, claims.Subject)
	tag := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
	out, err := b.STS.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn:           &b.Role,
		RoleSessionName:   aws.String(schema.SessionName(r.Token)),
		SourceIdentity:    &source,
		DurationSeconds:   aws.Int32(schema.SessionSeconds),
		Tags:              []types.Tag{tag(schema.TagSubject, subject), tag(schema.TagTenant, tenant)},
		TransitiveTagKeys: []string{schema.TagSubject, schema.TagTenant},
		Policy:            &policy,
	})
	if tooLarge := (*types.PackedPolicyTooLargeException)(nil); errors.As(err, &tooLarge) {
		// A refusal: the length of a user's own name can bring it about.
		slog.ErrorContext(ctx, "role not assumed", "code", code(err), "user", source, "set", r.Set)
		return &schema.ImpersonationResponse{Error: schema.RefusedSize}, nil
	}
	if err != nil {
		slog.ErrorContext(ctx, "role not assumed", "code", code(err), "user", source, "set", r.Set)
		return nil, ErrUnavailable
	}
	c := out.Credentials
	if c == nil || aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" ||
		aws.ToString(c.SessionToken) == "" || c.Expiration == nil {
		slog.ErrorContext(ctx, "role not assumed", "code", "no credentials", "user", source, "set", r.Set)
		return nil, ErrUnavailable
	}
	// STS packs policy and tags into the token; at 100 percent it takes no more.
	slog.InfoContext(ctx, "role assumed", "user", source, "set", r.Set, "tokenPercent", aws.ToInt32(out.SessionTokenUtilization))
	return &schema.ImpersonationResponse{
		AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken,
		Expires: *c.Expiration, TokenExpires: claims.Expiry,
		Tenant: tenant, Subject: subject,
	}, nil
}

// tenant returns the token's tenant, empty if it has none.
func (b *Broker) tenant(c *token.Claims) string {
	if b.Tenant != "" {
		return b.Tenant
	}
	if b.TenantClaim == "" || b.TenantClaim == "tenant" {
		return c.Tenant
	}
	return c.Text(b.TenantClaim)
}

func (b *Broker) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

// code returns the error's code. Its text can quote the session's tags.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return "out of time"
	}
	return "no answer"
}
