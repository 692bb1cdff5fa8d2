package security

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/patterns/props"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// CognitoIdentityProps says whose users get credentials.
type CognitoIdentityProps struct {
	// ProviderName is the user pool's provider name,
	// "cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc". Required.
	ProviderName string
	// ClientID is the app client whose tokens are taken. Required unless there is
	// an identity pool already.
	ClientID string
	// IdentityPoolID is that of an identity pool. Its authenticated role becomes
	// the one made here.
	//
	// Default: a new pool, for signed-in users only.
	IdentityPoolID string
	// SubjectClaim is the claim that names the user.
	//
	// Default: "sub".
	SubjectClaim string
	// TenantClaim is the claim that names the tenant. Users must not be able to
	// write it: the app client must not list the attribute as writable.
	//
	// Default: "custom:tenant".
	TenantClaim string
}

// CognitoIdentity gives users of a Cognito user pool credentials for what is
// theirs, through an identity pool whose "attributes for access control" become
// the session's tags. Credentials last an hour and go to the client, so grant
// what the client may do by itself; functions act as users by an Impersonation.
//
// Source:
// https://docs.aws.amazon.com/cognito/latest/developerguide/using-attributes-for-access-control-policy-example.html.
type CognitoIdentity struct {
	constructs.Construct
	role   awsiam.Role
	poolID string
}

// cognitoIdentity is the principal that vouches for users.
const cognitoIdentity = "cognito-identity.amazonaws.com"

// NewCognitoIdentity makes the users' role, the mapping of claims to tags and,
// unless there is one, the identity pool. It panics with a *[props.Error] when
// the props are wrong.
func NewCognitoIdentity(scope constructs.Construct, id string, p *CognitoIdentityProps) *CognitoIdentity {
	if p == nil {
		p = &CognitoIdentityProps{}
	}
	subject, tenant := construct.Or(p.SubjectClaim, "sub"), construct.Or(p.TenantClaim, "custom:tenant")
	var c props.Check
	c.Require(strings.HasPrefix(p.ProviderName, "cognito-idp.") || strings.Contains(p.ProviderName, "${Token["), "ProviderName", p.ProviderName,
		"a user pool's provider name, such as cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc", "use UserPoolProviderName()")
	c.Require((p.ClientID == "") == (p.IdentityPoolID != ""), "ClientID", p.ClientID, "set without IdentityPoolID, and only then",
		"an existing pool has its clients")
	c.Require(subject != tenant, "TenantClaim", tenant, "another claim than SubjectClaim", "")
	c.Panic(scope, id)
	i := &CognitoIdentity{poolID: p.IdentityPoolID}
	construct.Init(i, scope, id)
	if i.poolID == "" {
		// L1 by name: the module of Cognito would be compiled into every user's app.
		pool := awscdk.NewCfnResource(i, jsii.String("Pool"), &awscdk.CfnResourceProps{
			Type: jsii.String("AWS::Cognito::IdentityPool"),
			Properties: &map[string]any{
				"AllowUnauthenticatedIdentities": false,
				// The classic flow would let clients choose another role.
				"AllowClassicFlow": false,
				"CognitoIdentityProviders": []any{map[string]any{
					"ProviderName": p.ProviderName, "ClientId": p.ClientID, "ServerSideTokenCheck": true}},
			},
		})
		pool.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
		i.poolID = *pool.Ref()
	}
	i.role = newUserRole(i, "UserRole", "What signed-in users may do",
		awsiam.NewWebIdentityPrincipal(jsii.String(cognitoIdentity), nil),
		userTrust{federated: policyConditions{
			"StringEquals":           {cognitoIdentity + ":aud": i.poolID},
			"ForAnyValue:StringLike": {cognitoIdentity + ":amr": "authenticated"},
		}})
	awscdk.NewCfnResource(i, jsii.String("Tags"), &awscdk.CfnResourceProps{
		Type: jsii.String("AWS::Cognito::IdentityPoolPrincipalTag"),
		Properties: &map[string]any{
			"IdentityPoolId": i.poolID, "IdentityProviderName": p.ProviderName, "UseDefaults": false,
			"PrincipalTags": map[string]any{schema.TagSubject: subject, schema.TagTenant: tenant},
		},
	})
	awscdk.NewCfnResource(i, jsii.String("Roles"), &awscdk.CfnResourceProps{
		Type:       jsii.String("AWS::Cognito::IdentityPoolRoleAttachment"),
		Properties: &map[string]any{"IdentityPoolId": i.poolID, "Roles": map[string]any{"authenticated": i.role.RoleArn()}},
	})
	return i
}

// IdentityPoolID returns the pool's ID.
func (i *CognitoIdentity) IdentityPoolID() string { return i.poolID }

// UserRole returns the users' role.
func (i *CognitoIdentity) UserRole() awsiam.IRole { return i.role }

// GrantOwnItems lets users reach the items whose partition key is their own:
// tenant, "#" and subject. They never scan, and use no index unless it is named.
// It panics with a *[props.Error] when the props are wrong; nil props are
// right.
func (i *CognitoIdentity) GrantOwnItems(table awsdynamodb.ITable, p *ItemsProps) {
	addGrants(i.role, p.grants(i, "GrantOwnItems", schema.OwnKeys, table))
}

// GrantTenantItems lets users reach the items of their whole tenant: those
// whose partition key begins with tenant and "#". It panics with a
// *[props.Error] when the props are wrong; nil props are right.
func (i *CognitoIdentity) GrantTenantItems(table awsdynamodb.ITable, p *ItemsProps) {
	addGrants(i.role, p.grants(i, "GrantTenantItems", schema.TenantKeys, table))
}

// GrantOwnObjects lets users reach the objects below their own prefix: tenant,
// "/", subject and "/". They may list it, and no other. It panics with a
// *[props.Error] when the props are wrong; nil props are right.
func (i *CognitoIdentity) GrantOwnObjects(bucket awss3.IBucket, p *ObjectsProps) {
	addGrants(i.role, p.grants(i, "GrantOwnObjects", bucket))
}
