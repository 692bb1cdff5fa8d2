package test_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"github.com/serverless-go/cdk/patterns/edge/routing"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/stacks"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

func gatewayEverything(app awscdk.App) awscdk.Stack {
	return stacks.NewGateway(app, "Gateway", &stacks.GatewayProps{
		AlarmEmail: "alarms@example.com",
		Domain: stacks.Domain{
			Name:        "notes.example.com",
			Certificate: "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
		},
		Identity: stacks.Identity{Issuer: "https://id.example.com", Audience: []string{"notes"}},
	}).Stack()
}

func TestGateway(t *testing.T) {
	gateway := stacks.NewGateway(cdktest.NewApp(t), "Gateway", nil)
	cdktest.Golden(t, gateway.Stack())
}

func TestGatewayEverything(t *testing.T) {
	cdktest.Golden(t, gatewayEverything(cdktest.NewApp(t)))
}

// TestGatewayRights evaluates the functions' policies: only the users' role
// reaches notes, and each function no more than its part.
func TestGatewayRights(t *testing.T) {
	template, err := iam.NewTemplate(cdktest.Synth(t, gatewayEverything(cdktest.NewApp(t))), "123456789012", "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	arn := func(kind, prefix string) string {
		t.Helper()
		id, err := template.ID(kind, prefix)
		if err != nil {
			t.Fatal(err)
		}
		return template.ARN(id)
	}
	notes, entries, files := arn("AWS::DynamoDB::GlobalTable", "Notes"), arn("AWS::DynamoDB::GlobalTable", "Entries"), arn("AWS::S3::Bucket", "Files")
	references := arn("AWS::DynamoDB::GlobalTable", "APIReferencesTable")
	users := arn("AWS::IAM::Role", "UsersUserRole")
	ann := iam.Context{"aws:PrincipalTag/tenant": {"t"}, "aws:PrincipalTag/sub": {"ann"}, "dynamodb:LeadingKeys": {"t#ann"}}
	anns := iam.Context{"dynamodb:LeadingKeys": {"t#ann"}}
	for _, c := range []struct {
		role, action, resource string
		context                iam.Context
		want                   bool
	}{
		{"UsersUserRole", "dynamodb:UpdateItem", notes, ann, true},
		{"UsersUserRole", "dynamodb:Scan", notes, ann, false},
		{"UsersUserRole", "dynamodb:PutItem", entries, ann, false},
		{"UsersUserRole", "s3:GetObject", files + "/t/ann/a", ann, true},
		{"UsersUserRole", "s3:GetObject", files + "/t/bob/a", ann, false},
		{"NotesHandlerRole", "dynamodb:GetItem", notes, anns, false},
		{"NotesHandlerRole", "s3:GetObject", files + "/t/ann/a", nil, false},
		{"NotesHandlerRole", "dynamodb:PutItem", entries, nil, false},
		{"NotesHandlerRole", "sts:AssumeRole", users, nil, false},
		{"JournalHandlerRole", "dynamodb:PutItem", entries, nil, true},
		{"JournalHandlerRole", "dynamodb:UpdateItem", entries, nil, false},
		{"JournalHandlerRole", "dynamodb:DeleteItem", entries, nil, false},
		{"JournalHandlerRole", "dynamodb:GetItem", notes, anns, false},
		{"UsersBrokerRole", "sts:AssumeRole", users, nil, true},
		{"UsersBrokerRole", "dynamodb:GetItem", notes, ann, false},
		{"APIReferencesAuthorizerRole", "dynamodb:GetItem", references, iam.Context{"dynamodb:LeadingKeys": {"hash#x"}}, true},
		{"APIReferencesAuthorizerRole", "dynamodb:PutItem", references, iam.Context{"dynamodb:LeadingKeys": {"hash#x"}}, false},
		{"APIReferencesAuthorizerRole", "dynamodb:GetItem", notes, anns, false},
		{"ExchangeEndpointRole", "dynamodb:GetItem", references, nil, false},
	} {
		role, err := template.Role(c.role)
		if err != nil {
			t.Fatal(err)
		}
		request := iam.Request{Principal: iam.Principal{ARN: role.ARN}, Action: c.action, Resource: c.resource, Context: c.context}
		if d := iam.Evaluate(request, iam.Policies{Identity: role.Policies}); d.Allowed != c.want {
			t.Errorf("%s, %s on %s: allowed %t, want %t %s", c.role, c.action, c.resource, d.Allowed, c.want, d.Reason)
		}
	}
}

// doors returns what opens each route: the type of its authorization.
func doors(template cdktest.Template) map[string]string {
	found := map[string]string{}
	for _, r := range template.Resources("AWS::ApiGatewayV2::Route") {
		key, _ := r.Properties["RouteKey"].(string)
		kind, _ := r.Properties["AuthorizationType"].(string)
		if _, path, _ := strings.Cut(key, " "); !strings.HasPrefix(path, "/references") && !strings.HasPrefix(path, "/health") {
			found[key] = kind
		}
	}
	return found
}

// TestDoors pins what opens the systems' routes. A reference opens no route that
// needs a scope where callers sign: whoever may have one issued has all scopes.
func TestDoors(t *testing.T) {
	identity := stacks.Identity{Issuer: "https://id.example.com", Audience: []string{"carts"}}
	sale := func(p *stacks.FlashSaleProps) cdktest.Template {
		return cdktest.Synth(t, stacks.NewFlashSale(cdktest.NewApp(t), "FlashSale", p).Stack())
	}
	health := func(p *stacks.HealthWatchProps) cdktest.Template {
		return cdktest.Synth(t, stacks.NewHealthWatch(cdktest.NewApp(t), "HealthWatch", p).System().Region("eu-central-1").Stack())
	}
	const jwks = "GET /.well-known/jwks.json"
	carts := func(kind, totals string) map[string]string {
		return map[string]string{"POST /carts": kind, "POST /carts/{cart}/items": kind, "POST /carts/{cart}/checkout": kind,
			"POST /carts/{cart}/abandon": kind, "GET /carts/{cart}": kind, "GET /totals": totals}
	}
	readings := func(kind string) map[string]string {
		return map[string]string{"POST /readings": kind, "GET /localities/{locality}": kind, "GET /counts": kind, "POST /acknowledgements": kind}
	}
	with := func(routes map[string]string, keys ...string) map[string]string {
		for _, key := range keys {
			routes[key] = "NONE"
		}
		return routes
	}
	for name, c := range map[string]struct {
		template cdktest.Template
		want     map[string]string
	}{
		"flash sale":                        {sale(nil), with(carts("CUSTOM", "AWS_IAM"), jwks)},
		"flash sale with a provider":        {sale(&stacks.FlashSaleProps{Identity: identity}), with(carts("CUSTOM", "CUSTOM"), jwks)},
		"flash sale with tokens":            {sale(&stacks.FlashSaleProps{Identity: identity, ShowTokens: true}), carts("JWT", "JWT")},
		"flash sale with signatures":        {sale(&stacks.FlashSaleProps{ShowTokens: true}), carts("AWS_IAM", "AWS_IAM")},
		"health watch":                      {health(nil), readings("AWS_IAM")},
		"health watch with a provider":      {health(&stacks.HealthWatchProps{Identity: identity}), with(readings("CUSTOM"), jwks)},
		"health watch with provider tokens": {health(&stacks.HealthWatchProps{Identity: identity, ShowTokens: true}), readings("JWT")},
	} {
		if got := doors(c.template); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		// Without references nothing of them is there.
		made := slices.ContainsFunc(c.template.Resources("AWS::Lambda::Function"), func(r cdktest.Resource) bool { return strings.Contains(r.ID, "References") })
		if made != (c.want[jwks] != "") {
			t.Errorf("%s: functions of references: %t", name, made)
		}
	}
}

// TestEdgeTellsReferencesApart: what tells callers apart must be in the cache's
// key, and the list of headers must not fall behind the router's own.
func TestEdgeTellsReferencesApart(t *testing.T) {
	headers := func(p *stacks.HealthWatchProps) []any {
		p.Identity = stacks.Identity{Issuer: "https://id.example.com", Audience: []string{"health"}}
		p.Domain = stacks.Domain{Name: "health.example.com", Zone: "Z0123456789ABCDEFGHIJ"}
		template := cdktest.Synth(t, stacks.NewHealthWatch(cdktest.NewApp(t), "HealthWatch", p).System().Region("us-east-1").Stack())
		var v any = template.One(t, "AWS::CloudFront::CachePolicy", cdktest.Match{}).Properties
		for _, name := range []string{"CachePolicyConfig", "ParametersInCacheKeyAndForwardedToOrigin", "HeadersConfig", "Headers"} {
			v = v.(map[string]any)[name]
		}
		return v.([]any)
	}
	with, without := headers(&stacks.HealthWatchProps{}), headers(&stacks.HealthWatchProps{ShowTokens: true})
	if !slices.Equal(with, append(without, schema.ReferenceHeader)) {
		t.Errorf("with references the key has %v, without %v", with, without)
	}
}

// The edge looks for the references that the regions issue. It knows no other
// family, so that what they agree on stands in both.
func TestEdgeKnowsReferences(t *testing.T) {
	code, err := routing.CloudFrontFunction()
	if err != nil {
		t.Fatal(err)
	}
	const random = (32 + 4) * 4 / 3 // bytes and a checksum, in base64url
	if want := fmt.Sprintf("/^%s[A-Za-z0-9_-]{%d}$/", schema.ReferencePrefix, random); !strings.Contains(code, want) {
		t.Errorf("the edge's code has no %s", want)
	}
}
