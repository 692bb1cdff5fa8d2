package security

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// ImpersonationProps says whose tokens are taken and how their users are named.
type ImpersonationProps struct {
	// Issuer is the "iss" of the users' tokens, an https:// URL. Required.
	Issuer string
	// Audience is the "aud" that tokens for this system have. Required: without
	// it a token that was made for somebody else would do.
	Audience string
	// JWKSURL is the URL of the issuer's keys (JWKS).
	//
	// Default: /.well-known/jwks.json below the issuer.
	JWKSURL string
	// Types are the values of a token's "typ" header that are taken. "JWT", or
	// "" for tokens without one, lets ID tokens in.
	//
	// Default: "at+jwt", access tokens as RFC 9068 has them.
	Types []string
	// Algorithms are the signatures that are taken.
	//
	// Default: "ES256".
	Algorithms []string

	// TenantClaim is the claim that names the user's tenant.
	//
	// Default: "tenant".
	TenantClaim string
	// Tenant is the tenant of all users, for a system that has only one and
	// whose tokens name none. Set it or TenantClaim, not both.
	//
	// Default: the token's.
	Tenant string
	// Providers are those who may vouch for users, as the claim
	// schema.ProviderClaim of an OpaqueInvocation's tokens names them: issuers of
	// identity providers, "iam" or "cognito". Equal subjects of two providers are
	// two users, but have one key in a tenant: name the provider where Tenant is
	// set, or tokens of the one before reach the new users' data. A token that
	// names none of them is refused.
	//
	// Default: anybody, also nobody.
	Providers []string
	// Subjects says how subjects stand in keys, prefixes and session tags, which
	// CloudTrail shows.
	//
	// Default: schema.SubjectsPlain: as they are, and refused where they have
	// other characters than letters, digits and "._@-", or more than 64.
	Subjects schema.Subjects

	// EncryptionKey encrypts the broker's environment and logs. Its policy must
	// allow CloudWatch Logs to use it.
	//
	// Default: keys that AWS owns.
	EncryptionKey awskms.IKey
	// LogRetention is how long the broker's logs are kept.
	//
	// Default: three months.
	LogRetention awslogs.RetentionDays
	// ReservedConcurrency is the most brokers that run at a time. STS refuses
	// more than some hundred calls a second in an account; this keeps what else
	// calls it alive.
	//
	// Default: none reserved.
	ReservedConcurrency *int
	// Alarms tunes the broker's alarms.
	//
	// Default: all are made and notify nobody.
	Alarms function.Alarms
	// BrokerProps are the CDK's own props of the broker.
	//
	// Default: none.
	BrokerProps *awslambda.FunctionProps
}

// Impersonation lets functions act as the user who calls them. They bring the
// user's token to a broker, the only principal that may assume the users' role,
// and get credentials whose session tags name the user. What the tags open
// stands in the role's policies, which IAM evaluates: a mistake in a function,
// or a whole function in a stranger's hands, reaches the data of those users
// whose tokens it holds, for 15 minutes.
//
// Package broker is what runs in the broker, package identity what functions
// use.
//
// Sources: session tags and their conditions
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html), source
// identity
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html),
// leading keys
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html).
type Impersonation struct {
	constructs.Construct
	broker *function.Function
	role   awsiam.Role
	sets   map[string]*PermissionSet
	room   int // characters of all permission sets that the broker's environment takes
}

// NewImpersonation makes the broker and the users' role. It panics with a
// *[props.Error] when the props are wrong.
func NewImpersonation(scope constructs.Construct, id string, p *ImpersonationProps) *Impersonation {
	if p == nil {
		p = &ImpersonationProps{}
	}
	p.check(scope, id)
	i := &Impersonation{sets: map[string]*PermissionSet{}, room: maxEnvironment - len(opaqueJSON(p.Providers))}
	construct.Init(i, scope, id)
	i.broker = function.NewFunction(i, "Broker", &function.Props{
		Entry:       "github.com/serverless-go/cdk/functions/impersonationbroker",
		Description: "Gives functions the credentials of their user",
		Environment: p.environment(), EncryptionKey: p.EncryptionKey, LogRetention: p.LogRetention,
		ReservedConcurrency: p.ReservedConcurrency, Alarms: p.Alarms, FunctionProps: p.BrokerProps,
		// It is invoked synchronously only, and a queue would keep tokens.
		WithoutDeadLetterQueue: true,
	})
	i.role = newUserRole(i, "UserRole", "What users may do; the broker alone assumes it",
		i.broker.Role(), userTrust{transitive: true, named: true})
	i.broker.AddToPolicy([]string{"sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"}, *construct.RoleArn(i.role))
	i.broker.AddEnvironment(schema.EnvBrokerRole, *construct.RoleArn(i.role))
	i.Node().AddValidation(&impersonationValid{i})
	return i
}

func (p *ImpersonationProps) check(scope constructs.Construct, id string) {
	var c props.Check
	c.Require(isURL(p.Issuer), "Issuer", p.Issuer, "an https:// URL", "")
	c.Require(p.Audience != "", "Audience", p.Audience, "the aud of the tokens", "without it a token for somebody else would do")
	c.Require(p.JWKSURL == "" || isURL(p.JWKSURL), "JWKSURL", p.JWKSURL, "an https:// URL", "")
	for _, a := range p.Algorithms {
		checkAlgorithm(&c, a)
	}
	c.OneOf(map[string]bool{"Tenant": p.Tenant != "", "TenantClaim": p.TenantClaim != ""}, "Tenant", "TenantClaim")
	if p.Tenant != "" {
		if err := schema.Plain(p.Tenant); err != nil {
			c.Wrong("Tenant", p.Tenant, "a plain name", strings.TrimPrefix(err.Error(), schema.ErrName.Error()+": "))
		}
	}
	c.Require(p.Providers == nil || len(p.Providers) > 0, "Providers", props.Empty, "at least one", "leave it out to take all")
	for _, provider := range p.Providers {
		c.Require(provider != "" && schema.Visible(provider), "Providers", provider, "an issuer, iam or cognito", "it is what the claim "+schema.ProviderClaim+" says")
	}
	allowed := []schema.Subjects{schema.SubjectsPlain, schema.SubjectsHashLong, schema.SubjectsHash}
	c.Require(slices.Contains(allowed, p.Subjects), "Subjects", string(p.Subjects),
		fmt.Sprintf("%q, %q or %q", allowed[0], allowed[1], allowed[2]), "")
	c.Nested("Alarms", p.Alarms.Check)
	c.Panic(scope, id)
}

// algorithms are those that package token can verify.
var algorithms = []string{"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"}

func checkAlgorithm(c *props.Check, a string) {
	c.Require(slices.Contains(algorithms, a), "Algorithms", a, strings.Join(algorithms, ", "), "")
}

// isURL reports whether s is an https URL that names no user and no fragment,
// or one that is known only when the stack is deployed.
func isURL(s string) bool {
	u, err := url.Parse(s)
	return strings.Contains(s, "${Token[") || err == nil && schema.Visible(s) && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == ""
}

func (p *ImpersonationProps) environment() map[string]string {
	env := map[string]string{
		schema.EnvBrokerIssuer:   p.Issuer,
		schema.EnvBrokerAudience: p.Audience,
		schema.EnvBrokerKeys:     construct.Or(p.JWKSURL, keysOf(p.Issuer)),
	}
	lists := map[string][]string{schema.EnvBrokerTypes: p.Types, schema.EnvBrokerAlgorithms: p.Algorithms, schema.EnvBrokerProviders: p.Providers}
	for name, list := range lists {
		if list != nil {
			value, _ := json.Marshal(list) // strings always marshal
			env[name] = string(value)
		}
	}
	for name, value := range map[string]string{
		schema.EnvBrokerTenantClaim: p.TenantClaim, schema.EnvBrokerTenant: p.Tenant, schema.EnvBrokerSubjects: string(p.Subjects),
	} {
		if value != "" {
			env[name] = value
		}
	}
	return env
}

// GrantImpersonate lets a function ask the broker, for any permission set and
// for the users whose tokens it holds. A *function.Function is told where the
// broker is, for identity.FromEnv; of several brokers it is told the last.
func (i *Impersonation) GrantImpersonate(grantee awsiam.IGrantable) awsiam.Grant {
	construct.SetEnvironment(grantee, map[string]string{schema.EnvBroker: *construct.FunctionArn(i.broker.Target())})
	return i.broker.GrantInvoke(grantee)
}

// Broker returns the broker's function.
func (i *Impersonation) Broker() *function.Function { return i.broker }

// Alarms returns the alarms that were made, which are the broker's.
func (i *Impersonation) Alarms() []awscloudwatch.CfnAlarm { return i.broker.Alarms() }

// UserRole returns the users' role. What is added to its policies besides the
// grants here can also be done by every permission set that allows it.
func (i *Impersonation) UserRole() awsiam.IRole { return i.role }

// PermissionSet is a part of what users may do, which a caller asks for by
// name. It can be narrower than the role and never wider: STS gives a session
// what both the role and the set allow.
type PermissionSet struct {
	impersonation *Impersonation
	permissions   []schema.Permission
}

// AddPermissionSet adds a permission set with a name such as "read-own". Grant
// it something; there must be one that is granted something. It panics with a
// *[props.Error] when an argument is wrong.
func (i *Impersonation) AddPermissionSet(name string) *PermissionSet {
	var c props.Check
	c.Require(schema.IsSetName(name), "name", name, "a lower-case letter, then up to 39 lower-case letters, digits and -", "")
	c.Require(i.sets[name] == nil, "name", name, "a name once", "grant more to the set that AddPermissionSet returned")
	c.Panic(i, "AddPermissionSet")
	s := &PermissionSet{impersonation: i}
	i.sets[name] = s
	return s
}

// GrantOwnItems lets users reach the items whose partition key is their own:
// tenant, "#" and subject. They never scan, and use no index unless it is named.
// It panics with a *[props.Error] when the props are wrong; nil props are
// right.
func (s *PermissionSet) GrantOwnItems(table awsdynamodb.ITable, p *ItemsProps) {
	s.grant("GrantOwnItems", schema.OwnKeys, table, p)
}

// GrantTenantItems lets users reach the items of their whole tenant: those
// whose partition key begins with tenant and "#". It panics with a
// *[props.Error] when the props are wrong; nil props are right.
func (s *PermissionSet) GrantTenantItems(table awsdynamodb.ITable, p *ItemsProps) {
	s.grant("GrantTenantItems", schema.TenantKeys, table, p)
}

func (s *PermissionSet) grant(verb, keys string, table awsdynamodb.ITable, p *ItemsProps) {
	s.add(p.grants(s.impersonation, verb, keys, table))
}

// GrantOwnObjects lets users reach the objects below their own prefix: tenant,
// "/", subject and "/". They may list it, and no other. It panics with a
// *[props.Error] when the props are wrong; nil props are right.
func (s *PermissionSet) GrantOwnObjects(bucket awss3.IBucket, p *ObjectsProps) {
	s.add(p.grants(s.impersonation, "GrantOwnObjects", bucket))
}

func (s *PermissionSet) add(grants []userGrant) {
	i := s.impersonation
	addGrants(i.role, grants)
	for _, g := range grants {
		s.permissions = append(s.permissions, g.Permission)
	}
	i.broker.AddEnvironment(schema.EnvBrokerSets, i.permissions())
}

// permissions returns all sets as the broker reads them. They hold ARNs that
// are known only when the stack is deployed.
func (i *Impersonation) permissions() string {
	sets := map[string][]schema.Permission{}
	for name, s := range i.sets {
		if len(s.permissions) > 0 {
			sets[name] = s.permissions
		}
	}
	value, _ := json.Marshal(sets) // texts always marshal
	return string(value)
}

// impersonationValid checks what is known only when everything is added.
type impersonationValid struct{ i *Impersonation }

// maxEnvironment is what Lambda takes, less what the broker's other variables
// but the providers need.
const maxEnvironment = 4096 - 800

// Validate returns what is wrong with the permission sets.
func (v *impersonationValid) Validate() *[]*string {
	var wrong []*string
	bad := func(format string, args ...any) { wrong = append(wrong, jsii.String(fmt.Sprintf(format, args...))) }
	if len(v.i.sets) == 0 {
		bad("there is no permission set: add one with AddPermissionSet")
	}
	for _, name := range slices.Sorted(maps.Keys(v.i.sets)) {
		permissions := v.i.sets[name].permissions
		if len(permissions) == 0 {
			bad("permission set %q is granted nothing: grant it something or leave it out", name)
			continue
		}
		known := slices.Clone(permissions)
		for i := range known {
			known[i].On = slices.Clone(known[i].On)
			for j, arn := range known[i].On {
				known[i].On[j] = estimated(arn)
			}
		}
		if _, err := schema.SessionPolicy(known); err != nil {
			bad("permission set %q: about: %s", name, err)
		}
	}
	if size := len(estimated(v.i.permissions())); size > v.i.room {
		bad("all permission sets have about %d characters, the broker's environment takes %d: make a second Impersonation", size, v.i.room)
	}
	return &wrong
}

// estimated returns the text with something as long as most ARNs in the place
// of what is known only when the stack is deployed.
func estimated(s string) string { return deployTime.ReplaceAllString(s, strings.Repeat("x", 90)) }

var deployTime = regexp.MustCompile(`\$\{Token\[[^}]*\]\}`)
