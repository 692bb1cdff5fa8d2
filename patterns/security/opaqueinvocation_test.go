package security_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/security"
	"github.com/serverless-go/cdk/patterns/security/opaque"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

func ExampleNewOpaqueInvocation() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	api := awsapigatewayv2.NewCfnApi(stack, jsii.String("Api"), &awsapigatewayv2.CfnApiProps{Name: jsii.String("shop"), ProtocolType: jsii.String("HTTP")})
	orders := function.NewFunction(stack, "Orders", &function.Props{Entry: "example.com/shop/functions/orders"})

	door := security.NewOpaqueInvocation(stack, "Door", &security.OpaqueInvocationProps{
		Issuer:   "https://api.example.com",
		Audience: "orders",
		Scopes:   map[string][]string{"orders": {"orders:read"}},
	})
	door.AddInner(orders, "orders")
	authorizer := door.AddAuthorizer("Authorizer", api)
	integration := awsapigatewayv2.NewCfnIntegration(stack, jsii.String("Integration"), &awsapigatewayv2.CfnIntegrationProps{
		ApiId: api.Ref(), IntegrationType: jsii.String("AWS_PROXY"), IntegrationUri: orders.Target().FunctionArn(),
		PayloadFormatVersion: jsii.String("2.0"), RequestParameters: door.RequestParameters(),
	})
	awsapigatewayv2.NewCfnRoute(stack, jsii.String("Route"), &awsapigatewayv2.CfnRouteProps{
		ApiId: api.Ref(), RouteKey: jsii.String("GET /orders/{order}"), Target: jsii.String("integrations/" + *integration.Ref()),
		AuthorizationType: jsii.String("CUSTOM"), AuthorizerId: authorizer.Ref(),
	})
	app.Synth(nil)
}

func opaqueProps() *security.OpaqueInvocationProps {
	return &security.OpaqueInvocationProps{Issuer: "https://api.example.com", Audience: "orders"}
}

func opaqueAPI(scope constructs.Construct) awsapigatewayv2.CfnApi {
	return awsapigatewayv2.NewCfnApi(scope, jsii.String("Api"), &awsapigatewayv2.CfnApiProps{Name: jsii.String("api"), ProtocolType: jsii.String("HTTP")})
}

// opaqueInner makes a function that answers requests.
func opaqueInner(scope constructs.Construct) *function.Function {
	return function.NewFunction(scope, "Orders", &function.Props{
		Code: awslambda.Code_FromInline(jsii.String("exports.handler = async () => ({})")), Runtime: awslambda.Runtime_NODEJS_22_X(), Handler: "index.handler",
		WithoutDeadLetterQueue: true, Alarms: function.Alarms{Off: true},
	})
}

func opaqueSigner(scope constructs.Construct, id string) awskms.IKey {
	return awskms.Key_FromKeyArn(scope, &id, jsii.String("arn:aws:kms:eu-west-1:123456789012:key/"+id))
}

func TestOpaqueInvocationDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	o := security.NewOpaqueInvocation(stack, "Door", opaqueProps())
	o.AddAuthorizer("Authorizer", opaqueAPI(stack))
	o.AddInner(opaqueInner(stack), "orders")
	cdktest.Golden(t, stack)
}

func TestOpaqueInvocationAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	p := opaqueProps()
	p.Table = awsdynamodb.TableV2_FromTableArn(stack, jsii.String("References"), jsii.String("arn:aws:dynamodb:eu-west-1:123456789012:table/references"))
	p.EncryptionKey = opaqueSigner(stack, "table")
	p.SigningKeys = []awskms.IKey{opaqueSigner(stack, "one"), opaqueSigner(stack, "two")}
	p.Alarms.Topic = awssns.Topic_FromTopicArn(stack, jsii.String("Topic"), jsii.String("arn:aws:sns:eu-west-1:123456789012:on-call"))
	security.NewOpaqueInvocation(stack, "Door", p)
	cdktest.Golden(t, stack)
}

func TestOpaqueInvocationEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	two := 2.0
	p := &security.OpaqueInvocationProps{
		Issuer: "https://api.example.com", JWKSURL: "https://keys.example.com/jwks.json", Audience: "orders",
		Audiences:   map[string]string{"GET /bills/{bill}": "bills"},
		Scopes:      map[string][]string{"orders": {"orders:read", "orders:write"}, "bills": {"bills:read"}},
		TenantClaim: "org", InternalHeaders: []string{"x-trusted-user"},
		TokenLifetime: 2 * time.Minute, RevocationWithin: 30 * time.Second, CacheResults: true,
		Lifetime: time.Hour, MaxLifetime: 24 * time.Hour, MaxReferences: 5, IssuesPerHour: 10,
		Rotation: 3, SignaturesPerSecond: 10, ReservedConcurrency: new(20),
		TableProps: &awsdynamodb.TablePropsV2{TableName: jsii.String("references")},
		Alarms: security.OpaqueInvocationAlarms{
			Refusals: alarm.Tuning{Threshold: &two, Periods: 3}, Undecided: alarm.Tuning{Off: true}, Functions: function.Alarms{Off: true},
		},
	}
	o := security.NewOpaqueInvocation(stack, "Door", p)
	api, bills := opaqueAPI(stack), opaqueInner(stack)
	o.AddAuthorizer("Authorizer", api)
	o.AddInner(bills, "bills")
	awsapigatewayv2.NewCfnIntegration(stack, jsii.String("Integration"), &awsapigatewayv2.CfnIntegrationProps{
		ApiId: api.Ref(), IntegrationType: jsii.String("AWS_PROXY"), IntegrationUri: bills.Target().FunctionArn(),
		PayloadFormatVersion: jsii.String("2.0"), RequestParameters: o.RequestParameters(),
	})
	if got := fmt.Sprint(o.RequestParameters()); got != "map[remove:header.x-access-reference:'' remove:header.x-trusted-user:'']" {
		t.Errorf("request parameters are %s", got)
	}
	if o.RevokedWithin() != 30*time.Second || len(o.SigningKeyARNs()) != 3 || len(o.Alarms()) != 1 || len(o.ReferenceRoutes()) != 5 || o.JWKS() == nil || o.Table() == nil {
		t.Errorf("accessors: %s, %d keys, %d alarms, routes %v", o.RevokedWithin(), len(o.SigningKeyARNs()), len(o.Alarms()), o.ReferenceRoutes())
	}
	cdktest.Golden(t, stack)
}

func opaqueIntrospection(scope constructs.Construct) *security.Introspection {
	return &security.Introspection{URL: "https://id.example.com/introspect", Issuer: "https://id.example.com", Audience: "https://api.example.com",
		Secret: awssecretsmanager.Secret_FromSecretCompleteArn(scope, jsii.String("Client"), jsii.String("arn:aws:secretsmanager:eu-west-1:123456789012:secret:client-AbCdEf"))}
}

func TestOpaqueInvocationIntrospection(t *testing.T) {
	stack := cdktest.NewStack(t)
	p := opaqueProps()
	p.Introspection, p.TenantClaim = opaqueIntrospection(stack), "org"
	o := security.NewOpaqueInvocation(stack, "Door", p)
	if o.Table() != nil || o.Endpoint() != nil || o.ReferenceRoutes() != nil {
		t.Error("there is a table or an endpoint beside the provider")
	}
	template := cdktest.Synth(t, stack)
	template.Count(t, "AWS::DynamoDB::GlobalTable", 0)
	template.One(t, "AWS::Lambda::Function", cdktest.Match{"Environment": cdktest.Match{"Variables": cdktest.Match{
		"OPAQUE_INTROSPECTION_URL": "https://id.example.com/introspect", "OPAQUE_INTROSPECTION_AUDIENCE": "https://api.example.com",
		"REFERENCES_TENANT_CLAIM": "org", "REFERENCES_TABLE": cdktest.Absent()}}})
}

func TestOpaqueInvocationIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, security.NewOpaqueInvocation(stack, "Door", opaqueProps()))
}

func TestOpaqueInvocationRejects(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.Rejects(t, func() { security.NewOpaqueInvocation(stack, "Nil", nil) }, "Nil", "Issuer", "Audience")
	for i, tt := range []struct {
		change func(*security.OpaqueInvocationProps)
		want   []string
	}{
		{func(p *security.OpaqueInvocationProps) { p.Issuer = "http://api.example.com" }, []string{"Issuer", "https:// URL"}},
		{func(p *security.OpaqueInvocationProps) { p.Issuer = "https://user@api.example.com" }, []string{"Issuer"}},
		{func(p *security.OpaqueInvocationProps) { p.JWKSURL = "keys" }, []string{"JWKSURL"}},
		{func(p *security.OpaqueInvocationProps) { p.Audience = "two words" }, []string{"Audience", "without spaces"}},
		{func(p *security.OpaqueInvocationProps) { p.Audience = "or\u200bders" }, []string{"Audience", "not seen"}},
		{func(p *security.OpaqueInvocationProps) { p.Issuer = "https://api.exa\u200bmple.com" }, []string{"Issuer"}},
		{func(p *security.OpaqueInvocationProps) { p.Audiences = map[string]string{"bills": "bills"} }, []string{"Audiences", "route keys"}},
		{func(p *security.OpaqueInvocationProps) { p.Audiences = map[string]string{"GET /bills": ""} }, []string{"Audiences"}},
		{func(p *security.OpaqueInvocationProps) { p.Scopes = map[string][]string{"bills": {"read"}} }, []string{"Scopes", "the audiences: orders"}},
		{func(p *security.OpaqueInvocationProps) { p.Scopes = map[string][]string{"orders": {"a b"}} }, []string{"Scopes", "RFC 6749"}},
		{func(p *security.OpaqueInvocationProps) {
			p.Scopes = map[string][]string{"orders": {strings.Repeat("s", 2600)}}
		}, []string{"2500 bytes"}},
		{func(p *security.OpaqueInvocationProps) { p.InternalHeaders = []string{"X-User"} }, []string{"InternalHeaders", "lower case"}},
		{func(p *security.OpaqueInvocationProps) { p.InternalHeaders = []string{"authorization"} }, []string{"InternalHeaders", "can remove"}},
		{func(p *security.OpaqueInvocationProps) { p.InternalHeaders = []string{"x-amzn-user"} }, []string{"InternalHeaders"}},
		{func(p *security.OpaqueInvocationProps) { p.TokenLifetime = time.Second }, []string{"TokenLifetime", "10s to 15m0s"}},
		{func(p *security.OpaqueInvocationProps) { p.RevocationWithin = time.Hour }, []string{"RevocationWithin", "1s to 5m0s"}},
		{func(p *security.OpaqueInvocationProps) { p.CacheResults = true }, []string{"RevocationWithin", "CacheResults"}},
		{func(p *security.OpaqueInvocationProps) { p.CacheResults, p.RevocationWithin = true, 40*time.Second }, []string{"TokenLifetime", "twice RevocationWithin"}},
		{func(p *security.OpaqueInvocationProps) { p.Lifetime, p.MaxLifetime = 2*time.Hour, time.Hour }, []string{"Lifetime", "1m0s to 1h0m0s"}},
		{func(p *security.OpaqueInvocationProps) { p.MaxLifetime = 400 * 24 * time.Hour }, []string{"MaxLifetime"}},
		{func(p *security.OpaqueInvocationProps) { p.MaxReferences = 101 }, []string{"MaxReferences", "1 to 100"}},
		{func(p *security.OpaqueInvocationProps) { p.IssuesPerHour = -1 }, []string{"IssuesPerHour"}},
		{func(p *security.OpaqueInvocationProps) { p.Rotation = -1 }, []string{"Rotation"}},
		{func(p *security.OpaqueInvocationProps) {
			p.Rotation, p.SigningKeys = 2, []awskms.IKey{opaqueSigner(stack, "a")}
		}, []string{"SigningKeys", "Rotation"}},
		{func(p *security.OpaqueInvocationProps) { p.SigningKeys = []awskms.IKey{} }, []string{"SigningKeys", "one to five"}},
		{func(p *security.OpaqueInvocationProps) { p.SignaturesPerSecond = 2000 }, []string{"SignaturesPerSecond"}},
		{func(p *security.OpaqueInvocationProps) { p.ReservedConcurrency = new(-5) }, []string{"ReservedConcurrency is -5; allowed is 0 or more"}},
		{func(p *security.OpaqueInvocationProps) { p.Alarms.Refusals.Period = time.Second }, []string{"Alarms.Refusals.Period"}},
		{func(p *security.OpaqueInvocationProps) { p.Alarms.Functions.Errors.Periods = -1 }, []string{"Alarms.Functions.Errors.Periods"}},
		{func(p *security.OpaqueInvocationProps) { p.Introspection = &security.Introspection{} },
			[]string{"Introspection.URL", "Introspection.Issuer", "Introspection.Audience", "Introspection.Secret"}},
		{func(p *security.OpaqueInvocationProps) {
			p.Introspection, p.Lifetime = opaqueIntrospection(constructs.NewConstruct(stack, jsii.String("Scope"))), time.Hour
		}, []string{"Lifetime", "set together with Introspection"}},
	} {
		p := opaqueProps()
		tt.change(p)
		id := fmt.Sprintf("Wrong%d", i)
		cdktest.Rejects(t, func() { security.NewOpaqueInvocation(stack, id, p) }, append(tt.want, id)...)
	}
	o := security.NewOpaqueInvocation(stack, "Door", opaqueProps())
	cdktest.Rejects(t, func() { o.AddAuthorizer("A", nil) }, "Door/A", "api")
	cdktest.Rejects(t, func() { o.AddInner(nil, "bills") }, "fn", "audience", "orders")
}

// The bounds of the construct are those of the code that runs in Lambda.
func TestOpaqueInvocationBounds(t *testing.T) {
	if opaque.MaxAudience != 10 || opaque.MaxScope != 1000 {
		t.Errorf("a reference may have %d audiences and scopes of %d bytes", opaque.MaxAudience, opaque.MaxScope)
	}
}

// Rotation: the key that signs next is in the JWKS before it signs, and the one
// before stays; no key is made anew.
func TestOpaqueInvocationRotation(t *testing.T) {
	generation := func(n int) (signs string, published []string) {
		stack := cdktest.NewStack(t)
		p := opaqueProps()
		p.Rotation = n
		security.NewOpaqueInvocation(stack, "Door", p)
		template := cdktest.Synth(t, stack)
		resolved := iam.NewSynthesized(t, template, "123456789012", "eu-west-1")
		variable := func(function, name string) string {
			return fmt.Sprint(resolved.Property(resolved.ID("AWS::Lambda::Function", function), "Environment", "Variables", name))
		}
		signs, published = variable("DoorAuthorizer", "OPAQUE_KEY"), strings.Fields(variable("DoorJWKS", "SIGNING_KEYS"))
		for _, r := range template.Resources("AWS::KMS::Key") {
			if r.Properties["KeyUsage"] == "SIGN_VERIFY" && (r.Attributes["DeletionPolicy"] != "Retain" || r.Attributes["UpdateReplacePolicy"] != "Retain") {
				t.Errorf("generation %d: %s is not retained", n, r.ID)
			}
		}
		return signs, published
	}
	signs, published := generation(1)
	if len(published) != 2 {
		t.Errorf("generation 1 publishes %v", published)
	}
	for n := 2; n <= 4; n++ {
		nextSigns, nextPublished := generation(n)
		if !slices.Contains(published, nextSigns) {
			t.Errorf("generation %d signs with %s, which generation %d does not publish: %v", n, nextSigns, n-1, published)
		}
		if !slices.Contains(nextPublished, signs) || !slices.Contains(nextPublished, nextSigns) || len(nextPublished) != 3 || nextSigns == signs {
			t.Errorf("generation %d publishes %v; it signs with %s and its predecessor with %s", n, nextPublished, nextSigns, signs)
		}
		signs, published = nextSigns, nextPublished
	}
}

// Each role can do what its code does, and not more; nobody but the authorizer
// signs.
func TestOpaqueInvocationPermissions(t *testing.T) {
	stack := cdktest.NewStack(t)
	security.NewOpaqueInvocation(stack, "Door", opaqueProps())
	synthesized := cdktest.Synth(t, stack)
	template := iam.NewSynthesized(t, synthesized, "123456789012", "eu-west-1")
	key := func(prefix string) string { return template.Find("AWS::KMS::Key", prefix) }
	table, signing, next, tableKey := template.Find("AWS::DynamoDB::GlobalTable", "DoorTable"), key("DoorSigningKey1"), key("DoorSigningKey2"), key("DoorKey")
	keyPolicies := map[string]*iam.Policy{}
	for _, r := range synthesized.Resources("AWS::KMS::Key") {
		keyPolicies[template.ARN(r.ID)] = template.Policy(r.Properties["KeyPolicy"])
	}
	sign := func(algorithm, message string) iam.Context {
		return iam.Context{"kms:SigningAlgorithm": {algorithm}, "kms:MessageType": {message}}
	}
	right := sign("ECDSA_SHA_256", "DIGEST")
	leading := func(keys ...string) iam.Context { return iam.Context{"dynamodb:LeadingKeys": keys} }
	via := iam.Context{"kms:ViaService": {"dynamodb.eu-west-1.amazonaws.com"}}
	const anybody = "AnyoneElse"
	for _, tt := range []struct {
		role, action, resource string
		context                iam.Context
		want                   bool
	}{
		{"DoorAuthorizerRole", "kms:Sign", signing, right, true},
		{"DoorAuthorizerRole", "kms:Sign", next, right, true},
		{"DoorAuthorizerRole", "kms:Sign", signing, sign("ECDSA_SHA_256", "RAW"), false},
		{"DoorAuthorizerRole", "kms:Sign", signing, sign("ECDSA_SHA_512", "DIGEST"), false},
		{"DoorAuthorizerRole", "kms:Sign", signing, nil, false},
		{"DoorAuthorizerRole", "kms:GetPublicKey", signing, nil, true},
		{"DoorAuthorizerRole", "kms:CreateGrant", signing, nil, false},
		{"DoorJWKSRole", "kms:GetPublicKey", next, nil, true},
		{"DoorJWKSRole", "kms:Sign", signing, right, false},
		{"DoorEndpointRole", "kms:Sign", signing, right, false},
		{"DoorEndpointRole", "kms:GetPublicKey", signing, nil, false},
		{anybody, "kms:Sign", signing, right, false},
		{anybody, "kms:CreateGrant", signing, nil, false},
		{anybody, "kms:DescribeKey", signing, nil, true},

		{"DoorAuthorizerRole", "dynamodb:GetItem", table, leading("hash#abc"), true},
		{"DoorAuthorizerRole", "dynamodb:GetItem", table, leading("owner#ann"), false},
		{"DoorAuthorizerRole", "dynamodb:GetItem", table, leading("hash#abc", "owner#ann"), false},
		{"DoorAuthorizerRole", "dynamodb:GetItem", table, nil, false},
		{"DoorAuthorizerRole", "dynamodb:Query", table, leading("hash#abc"), false},
		{"DoorAuthorizerRole", "dynamodb:UpdateItem", table, leading("hash#abc"), false},
		{"DoorAuthorizerRole", "kms:Decrypt", tableKey, via, true},
		{"DoorAuthorizerRole", "kms:Decrypt", tableKey, nil, false},
		{"DoorAuthorizerRole", "kms:Encrypt", tableKey, via, false},
		{"DoorEndpointRole", "dynamodb:Query", table, nil, true},
		{"DoorEndpointRole", "dynamodb:PutItem", table, nil, true},
		{"DoorEndpointRole", "dynamodb:UpdateItem", table, nil, true},
		{"DoorEndpointRole", "dynamodb:DeleteItem", table, nil, false},
		{"DoorEndpointRole", "dynamodb:Scan", table, nil, false},
		{"DoorEndpointRole", "kms:GenerateDataKey", tableKey, via, true},
		{"DoorJWKSRole", "dynamodb:GetItem", table, leading("hash#abc"), false},
	} {
		var identity []*iam.Policy
		principal := "arn:aws:iam::123456789012:role/admin"
		if tt.role == anybody {
			identity = impersonationAdmin(t)
		} else {
			role := template.Role(tt.role)
			principal, identity = role.ARN, role.Policies
		}
		policies := iam.Policies{Identity: identity}
		if key := keyPolicies[tt.resource]; key != nil {
			policies.Resource, policies.ResourceRules = []*iam.Policy{key}, true
		}
		got := iam.Evaluate(iam.Request{Principal: iam.Principal{ARN: principal}, Action: tt.action, Resource: tt.resource, Context: tt.context}, policies)
		if got.Allowed != tt.want {
			t.Errorf("%s may %s on %s with %v: %t, want %t; %s", tt.role, tt.action, tt.resource, tt.context, got.Allowed, tt.want, got.Reason)
		}
	}
}
