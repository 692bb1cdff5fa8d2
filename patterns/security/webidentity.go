package security

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/patterns/props"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// WebIdentityProps says whose tokens begin sessions.
type WebIdentityProps struct {
	// Issuer is the OpenID Connect provider's URL, "https://id.example.com". It
	// must be known when the app is synthesized, for it is part of condition
	// keys. Required.
	Issuer string
	// Audience is the "aud" of the tokens. Required.
	Audience string
	// ProviderARN is the provider's ARN in IAM, where the account already has it:
	// there is one for each issuer.
	//
	// Default: a new one, for the audience.
	ProviderARN string
}

// WebIdentity lets holders of a token begin sessions as themselves, without a
// broker: AWS verifies the token and takes the session's tags from its claim
// "https://aws.amazon.com/tags", which the provider must be able to send, with
// the tags "sub" and "tenant", both transitive. The provider must name users as
// schema.Plain has it; the role's trust policy refuses other names as far as
// IAM can tell them. There are no permission sets: who holds the token may do
// all that is granted here, and may narrow it by a session policy.
//
// Source:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_adding-assume-role-idp.
type WebIdentity struct {
	constructs.Construct
	role        awsiam.Role
	providerARN string
}

// NewWebIdentity makes the users' role and, unless there is one, the provider.
// It panics with a *[props.Error] when the props are wrong.
func NewWebIdentity(scope constructs.Construct, id string, p *WebIdentityProps) *WebIdentity {
	if p == nil {
		p = &WebIdentityProps{}
	}
	var c props.Check
	known := !strings.Contains(p.Issuer, "${Token[")
	c.Require(known && isURL(p.Issuer) && !strings.ContainsAny(p.Issuer, "?#"), "Issuer", p.Issuer, "an https:// URL that is known at synth", "")
	c.Require(p.Audience != "", "Audience", p.Audience, "the aud of the tokens", "without it a token for somebody else would do")
	c.Panic(scope, id)
	w := &WebIdentity{providerARN: p.ProviderARN}
	construct.Init(w, scope, id)
	if w.providerARN == "" {
		provider := awsiam.NewCfnOIDCProvider(w, jsii.String("Provider"), &awsiam.CfnOIDCProviderProps{
			Url: &p.Issuer, ClientIdList: jsii.Strings(p.Audience)})
		w.providerARN = *provider.AttrArn()
	}
	host := strings.TrimPrefix(p.Issuer, "https://")
	w.role = newUserRole(w, "UserRole", "What users may do; a token of "+host+" begins a session",
		awsiam.NewWebIdentityPrincipal(&w.providerARN, nil),
		userTrust{transitive: true, federated: policyConditions{"StringEquals": {host + ":aud": p.Audience}}})
	return w
}

// ProviderARN returns the ARN of the provider in IAM.
func (w *WebIdentity) ProviderARN() string { return w.providerARN }

// UserRole returns the users' role.
func (w *WebIdentity) UserRole() awsiam.IRole { return w.role }

// GrantOwnItems lets users reach the items whose partition key is their own:
// tenant, "#" and subject. They never scan, and use no index unless it is named.
// It panics with a *[props.Error] when the props are wrong; nil props are
// right.
func (w *WebIdentity) GrantOwnItems(table awsdynamodb.ITable, p *ItemsProps) {
	addGrants(w.role, p.grants(w, "GrantOwnItems", schema.OwnKeys, table))
}

// GrantTenantItems lets users reach the items of their whole tenant: those
// whose partition key begins with tenant and "#". It panics with a
// *[props.Error] when the props are wrong; nil props are right.
func (w *WebIdentity) GrantTenantItems(table awsdynamodb.ITable, p *ItemsProps) {
	addGrants(w.role, p.grants(w, "GrantTenantItems", schema.TenantKeys, table))
}

// GrantOwnObjects lets users reach the objects below their own prefix: tenant,
// "/", subject and "/". They may list it, and no other. It panics with a
// *[props.Error] when the props are wrong; nil props are right.
func (w *WebIdentity) GrantOwnObjects(bucket awss3.IBucket, p *ObjectsProps) {
	addGrants(w.role, p.grants(w, "GrantOwnObjects", bucket))
}
