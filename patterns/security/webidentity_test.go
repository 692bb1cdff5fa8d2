package security_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/jsii-runtime-go"
	"github.com/aws/smithy-go"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/security"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/engine"
	"github.com/serverless-go/cdk/test/iam"
)

func webIdentityGrants(stack awscdk.Stack, g interface {
	GrantOwnItems(awsdynamodb.ITable, *security.ItemsProps)
	GrantTenantItems(awsdynamodb.ITable, *security.ItemsProps)
	GrantOwnObjects(awss3.IBucket, *security.ObjectsProps)
}) {
	g.GrantOwnItems(impersonationTable(stack, "Carts"), nil)
	g.GrantTenantItems(impersonationTable(stack, "Shared"), &security.ItemsProps{Write: true})
	g.GrantOwnObjects(awss3.NewBucket(stack, jsii.String("Documents"), nil), &security.ObjectsProps{Write: true})
}

func TestWebIdentityDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	webIdentityGrants(stack, security.NewWebIdentity(stack, "Users", &security.WebIdentityProps{Issuer: "https://id.example.com/shop", Audience: "shop"}))
	cdktest.Golden(t, stack)
}

func TestWebIdentityAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	arn := "arn:aws:iam::123456789012:oidc-provider/id.example.com"
	w := security.NewWebIdentity(stack, "Users", &security.WebIdentityProps{Issuer: "https://id.example.com", Audience: "shop", ProviderARN: arn})
	if w.ProviderARN() != arn || w.UserRole() == nil {
		t.Errorf("provider %s", w.ProviderARN())
	}
	cdktest.Golden(t, stack)
}

func TestCognitoIdentityDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	webIdentityGrants(stack, security.NewCognitoIdentity(stack, "Users", &security.CognitoIdentityProps{
		ProviderName: "cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc", ClientID: "web"}))
	cdktest.Golden(t, stack)
}

func TestCognitoIdentityAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	i := security.NewCognitoIdentity(stack, "Users", &security.CognitoIdentityProps{
		ProviderName: "cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc", IdentityPoolID: "eu-west-1:0b0b", SubjectClaim: "username", TenantClaim: "custom:org"})
	if i.IdentityPoolID() != "eu-west-1:0b0b" {
		t.Errorf("pool %s", i.IdentityPoolID())
	}
	cdktest.Golden(t, stack)
}

func TestWebIdentityRejects(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.Rejects(t, func() { security.NewWebIdentity(stack, "Nil", nil) }, "Test/Nil: wrong props", "Issuer", "Audience")
	for _, issuer := range []string{"http://id.example.com", "https://id.example.com?x=y", *awscdk.Aws_REGION()} {
		cdktest.Rejects(t, func() {
			security.NewWebIdentity(stack, "Wrong", &security.WebIdentityProps{Issuer: issuer, Audience: "shop"})
		}, "Issuer", "https:// URL")
	}
	w := security.NewWebIdentity(stack, "Users", &security.WebIdentityProps{Issuer: "https://id.example.com", Audience: "shop"})
	cdktest.Rejects(t, func() { w.GrantOwnItems(nil, &security.ItemsProps{KeyPrefix: "CART#", Indexes: []string{"*"}}) },
		"Test/Users/GrantOwnItems", "table is nil", `KeyPrefix is "CART#"`, `Indexes is "*"`)
	cdktest.Rejects(t, func() { w.GrantOwnObjects(nil, nil) }, "bucket is nil")
}

func TestCognitoIdentityRejects(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.Rejects(t, func() { security.NewCognitoIdentity(stack, "Nil", nil) }, "Test/Nil: wrong props", "ProviderName", "ClientID")
	cdktest.Rejects(t, func() {
		security.NewCognitoIdentity(stack, "Wrong", &security.CognitoIdentityProps{ProviderName: "cognito-idp.x/y", ClientID: "a", IdentityPoolID: "b", TenantClaim: "sub"})
	}, "Test/Wrong: wrong props", "ClientID", "TenantClaim")
}

func TestWebIdentityIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	w := security.NewWebIdentity(stack, "Users", &security.WebIdentityProps{Issuer: "https://id.example.com", Audience: "shop"})
	cdktest.IsConstruct(t, w)
}

func TestCognitoIdentityIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, security.NewCognitoIdentity(stack, "Cognito", &security.CognitoIdentityProps{ProviderName: "cognito-idp.x/y", ClientID: "web"}))
}

// webIdentityToken is a token of the test's own making; the provider's double
// believes those that end in "good".
func webIdentityToken(claims map[string]any, signature string) string {
	payload, _ := json.Marshal(claims)
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + "." + signature
}

// Tokens begin sessions as the synthesized trust policies have it.
func TestWebIdentitySessions(t *testing.T) {
	stack := cdktest.NewStack(t)
	webIdentityGrants(stack, security.NewWebIdentity(stack, "Users", &security.WebIdentityProps{Issuer: "https://id.example.com", Audience: "shop"}))
	security.NewCognitoIdentity(stack, "Cognito", &security.CognitoIdentityProps{ProviderName: "cognito-idp.x/y", IdentityPoolID: "eu-west-1:pool"}).
		GrantOwnItems(awsdynamodb.Table_FromTableName(stack, jsii.String("Notes"), jsii.String("notes")), nil)
	template := iam.NewSynthesized(t, cdktest.Synth(t, stack), engine.Account, engine.Region)
	users, cognito := template.Role("UsersUserRole"), template.Role("CognitoUserRole")
	double := engine.NewSTS(t)
	double.AddRole(users, nil)
	double.AddRole(cognito, nil)
	verify := func(raw string) (claims map[string]any, err error) {
		parts := strings.Split(raw, ".")
		if parts[2] != "good" {
			return nil, errors.New("the signature does not match")
		}
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil {
			err = json.Unmarshal(payload, &claims)
		}
		return claims, err
	}
	double.AddProvider(template.Find("AWS::IAM::OIDCProvider", "UsersProvider"), "https://id.example.com", verify)
	double.AddProvider("arn:aws:iam::"+engine.Account+":oidc-provider/other", "https://other.example.com", verify)
	double.AddProvider("cognito-identity.amazonaws.com", "https://cognito-identity.amazonaws.com", verify)
	client := sts.NewFromConfig(double.Config(aws.Credentials{}))

	tags := func(tenant, sub string, transitive ...string) map[string]any {
		return map[string]any{"principal_tags": map[string][]string{"sub": {sub}, "tenant": {tenant}}, "transitive_tag_keys": transitive}
	}
	token := func(change map[string]any) map[string]any {
		claims := map[string]any{"iss": "https://id.example.com", "aud": "shop", "sub": "ann", "https://aws.amazon.com/tags": tags("acme", "ann", "sub", "tenant")}
		for name, value := range change {
			claims[name] = value
		}
		return claims
	}
	pool := func(change map[string]any) map[string]any {
		claims := map[string]any{"iss": "https://cognito-identity.amazonaws.com", "aud": "eu-west-1:pool", "sub": "eu-west-1:ann", "amr": []string{"authenticated", "x"},
			"https://aws.amazon.com/tags": tags("acme", "ann")}
		for name, value := range change {
			claims[name] = value
		}
		return claims
	}
	const claim = "https://aws.amazon.com/tags"
	for _, c := range []struct {
		name   string
		role   *iam.TemplateRole
		claims map[string]any
		sign   string
		want   string // error code, empty for a session
	}{
		{"user", users, token(nil), "good", ""},
		{"bad signature", users, token(nil), "bad", "InvalidIdentityToken"},
		{"another provider of the account", users, token(map[string]any{"iss": "https://other.example.com"}), "good", "AccessDenied"},
		{"unknown provider", users, token(map[string]any{"iss": "https://evil.example.com"}), "good", "InvalidIdentityToken"},
		{"another audience", users, token(map[string]any{"aud": "shop2"}), "good", "AccessDenied"},
		{"no tags", users, token(map[string]any{claim: nil}), "good", "AccessDenied"},
		{"tags not transitive", users, token(map[string]any{claim: tags("acme", "ann")}), "good", "AccessDenied"},
		{"one transitive", users, token(map[string]any{claim: tags("acme", "ann", "sub")}), "good", "AccessDenied"},
		{"path", users, token(map[string]any{claim: tags("acme", "ann/x", "sub", "tenant")}), "good", "AccessDenied"},
		{"separator", users, token(map[string]any{claim: tags("a#b", "c", "sub", "tenant")}), "good", "ValidationError"},
		{"user of Cognito", cognito, pool(nil), "good", ""},
		{"guest of Cognito", cognito, pool(map[string]any{"amr": []string{"unauthenticated"}}), "good", "AccessDenied"},
		{"another pool", cognito, pool(map[string]any{"aud": "eu-west-1:other"}), "good", "AccessDenied"},
		{"Cognito without tags", cognito, pool(map[string]any{claim: nil}), "good", "AccessDenied"},
		{"Cognito without tenant", cognito, pool(map[string]any{claim: tags("", "ann")}), "good", "AccessDenied"},
		{"Cognito for the other role", users, pool(nil), "good", "AccessDenied"},
		{"user for Cognito's role", cognito, token(nil), "good", "AccessDenied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := client.AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
				RoleArn: &c.role.ARN, RoleSessionName: aws.String("ann"), WebIdentityToken: aws.String(webIdentityToken(c.claims, c.sign))})
			var api smithy.APIError
			if errors.As(err, &api); c.want != "" && (api == nil || api.ErrorCode() != c.want) || c.want == "" && err != nil {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if c.want != "" {
				return
			}
			for leading, want := range map[string]bool{"acme#ann": true, "acme#bob": false, "evil#ann": false} {
				table := c.role.Policies[0].Statements[0].Resources[0]
				if d := double.Decide(*out.Credentials.AccessKeyId, "dynamodb:GetItem", table, iam.Context{"dynamodb:LeadingKeys": {leading}}); d.Allowed != want {
					t.Errorf("%s: %t; %s", leading, d.Allowed, d.Reason)
				}
			}
		})
	}
}

func ExampleNewImpersonation() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	carts := awsdynamodb.NewTableV2(stack, jsii.String("Carts"), &awsdynamodb.TablePropsV2{
		PartitionKey: &awsdynamodb.Attribute{Name: jsii.String("pk"), Type: awsdynamodb.AttributeType_STRING},
	})
	user := security.NewImpersonation(stack, "AsUser", &security.ImpersonationProps{
		Issuer: "https://id.example.com", Audience: "shop",
	})
	user.AddPermissionSet("read-own").GrantOwnItems(carts, nil)
	user.AddPermissionSet("write-own").GrantOwnItems(carts, &security.ItemsProps{Write: true})
	user.GrantImpersonate(function.NewFunction(stack, "API", &function.Props{Entry: "example.com/shop/functions/api"}))
}

func ExampleNewWebIdentity() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	users := security.NewWebIdentity(stack, "Users", &security.WebIdentityProps{
		Issuer: "https://id.example.com", Audience: "shop",
	})
	users.GrantOwnObjects(awss3.NewBucket(stack, jsii.String("Documents"), nil), nil)
}

func ExampleNewCognitoIdentity() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	users := security.NewCognitoIdentity(stack, "Users", &security.CognitoIdentityProps{
		ProviderName: "cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc", ClientID: "web",
	})
	users.GrantOwnObjects(awss3.NewBucket(stack, jsii.String("Documents"), nil), &security.ObjectsProps{Write: true})
}
