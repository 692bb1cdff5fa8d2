package security_test

import (
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/functions/jwks/document"
	"github.com/serverless-go/cdk/functions/tokenexchange/endpoint"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/security"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

func exchangeProps() *security.TokenExchangeProps {
	return &security.TokenExchangeProps{Issuer: "https://api.example.com", Subjects: []security.TokenSource{{Issuer: "https://id.example.com"}}}
}

func TestTokenExchangeDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	e := security.NewTokenExchange(stack, "Exchange", exchangeProps())
	e.AddClient(impersonationFunction(stack, "Orders"), "orders")
	e.Allow("orders", "payments", "pay")
	cdktest.Golden(t, stack)
}

func TestTokenExchangeAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	p := exchangeProps()
	for _, id := range []string{"Now", "Next"} {
		p.SigningKeys = append(p.SigningKeys, awskms.Key_FromKeyArn(stack, &id, jsii.String("arn:aws:kms:eu-west-1:123456789012:key/"+id)))
	}
	p.Actors = &security.TokenSource{Issuer: "https://id.example.com", Audience: "https://api.example.com/token"}
	e := security.NewTokenExchange(stack, "Exchange", p)
	e.Allow("orders", "payments")
	cdktest.Golden(t, stack)
}

// exchangeEverything is a stack with all props.
func exchangeEverything(stack awscdk.Stack) *security.TokenExchange {
	p := exchangeProps()
	p.Subjects = []security.TokenSource{
		{Issuer: "https://id.example.com", Audience: "shop", JWKSURL: "https://id.example.com/keys", Algorithms: []string{"RS256"}, Types: []string{"JWT"}, Prefix: "id|", AnyTenant: true},
		{Issuer: "https://partner.example.com", Prefix: "partner|", Tenant: "partner", TokenTypes: []string{"urn:ietf:params:oauth:token-type:id_token"}},
	}
	p.Chained, p.Lifetime, p.MaxActors, p.KeysMaxAge, p.Rotation = true, time.Minute, 2, time.Hour, 2
	p.EncryptionKey = awskms.NewKey(stack, jsii.String("Key"), nil)
	p.LogRetention = "ONE_MONTH"
	p.ReservedConcurrency = new(5)
	p.Alarms = function.Alarms{Topic: awssns.NewTopic(stack, jsii.String("Alarms"), nil)}
	e := security.NewTokenExchange(stack, "Exchange", p)
	e.AddClient(impersonationFunction(stack, "Orders"), "orders")
	e.AddClient(impersonationFunction(stack, "Payments"), "payments")
	e.Allow("orders", "payments", "pay", "refund")
	e.Allow("payments", "ledger")
	return e
}

func TestTokenExchangeEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	e := exchangeEverything(stack)
	cdktest.Golden(t, stack)
	if len(e.SigningKeyARNs()) != 3 || e.Endpoint() == nil || e.JWKS() == nil {
		t.Errorf("keys %v", e.SigningKeyARNs())
	}
}

func TestTokenExchangeIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	e := security.NewTokenExchange(stack, "Exchange", exchangeProps())
	e.AddClient(impersonationFunction(stack, "Orders"), "orders")
	e.Allow("orders", "payments")
	cdktest.IsConstruct(t, e)
}

func TestTokenExchangeRejects(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.Rejects(t, func() { security.NewTokenExchange(stack, "Nil", nil) }, "Test/Nil: wrong props", "Issuer", "Subjects is empty")
	p := exchangeProps()
	p.Subjects = []security.TokenSource{{Issuer: "id", Algorithms: []string{"none"}}, {Issuer: "https://api.example.com"}, {},
		{Issuer: "id", Prefix: "x|", Tenant: "a", AnyTenant: true}}
	p.Actors = &security.TokenSource{Issuer: "https://id.example.com"}
	p.Lifetime, p.KeysMaxAge, p.MaxActors, p.Rotation = time.Second, 48*time.Hour, 9, -1
	p.SigningKeys = make([]awskms.IKey, 6)
	cdktest.Rejects(t, func() { security.NewTokenExchange(stack, "Wrong", p) }, "Subjects[0].JWKSURL", `Subjects[0].Algorithms is "none"`, "use Chained",
		"Subjects[1].Prefix", "Subjects[2].Issuer", "Subjects[0].Tenant", "Tenant is set together with AnyTenant", "the Prefix and Tenant that the issuer has above", "Actors.Audience", "Lifetime is 1s", "KeysMaxAge", "MaxActors is 9", "Rotation is -1", "SigningKeys is set together with Rotation", "SigningKeys is 6")
	e := security.NewTokenExchange(stack, "Exchange", exchangeProps())
	cdktest.Rejects(t, func() { e.Allow("", "", "a b") }, "Test/Exchange/Allow", "actor", "audience", `scopes is "a b"`)
	cdktest.Rejects(t, func() { e.AddClient(nil, "") }, "Test/Exchange/AddClient", "actor", "fn is without a role")
	cdktest.Rejects(t, func() { cdktest.Synth(t, stack) }, "nothing may be exchanged", "nobody may ask")
	orders := impersonationFunction(stack, "Orders")
	e.AddClient(orders, "orders")
	cdktest.Rejects(t, func() { e.AddClient(orders, "payments") }, "an actor already")
}

func TestTokenExchangeSettingsFit(t *testing.T) {
	stack := cdktest.NewStack(t)
	e := security.NewTokenExchange(stack, "Exchange", exchangeProps())
	e.AddClient(impersonationFunction(stack, "Orders"), "orders")
	for range 100 {
		e.Allow("orders", "a-service-with-a-long-name")
	}
	cdktest.Rejects(t, func() { cdktest.Synth(t, stack) }, "the settings have about")
}

// The functions start with what the constructs write into their environment.
func TestTokenExchangeEnvironment(t *testing.T) {
	for name, make := range map[string]func(awscdk.Stack){
		"defaults": func(stack awscdk.Stack) {
			e := security.NewTokenExchange(stack, "Exchange", exchangeProps())
			e.AddClient(impersonationFunction(stack, "Orders"), "orders")
			e.Allow("orders", "payments", "pay")
		},
		"everything": func(stack awscdk.Stack) { exchangeEverything(stack) },
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			make(stack)
			template := iam.NewSynthesized(t, cdktest.Synth(t, stack), impersonationAccount, impersonationRegion)
			for _, prefix := range []string{"ExchangeEndpoint", "ExchangeJWKS"} {
				variables := template.Property(template.ID("AWS::Lambda::Function", prefix), "Environment", "Variables")
				for name, value := range variables.(map[string]any) {
					t.Setenv(name, value.(string))
				}
			}
			if _, err := endpoint.FromEnv(aws.Config{Region: impersonationRegion}); err != nil {
				t.Error(err)
			}
			if _, err := document.FromEnv(aws.Config{Region: impersonationRegion}); err != nil {
				t.Error(err)
			}
		})
	}
}

// The endpoint reads what the construct writes, and only it can sign.
func TestTokenExchangePermissions(t *testing.T) {
	stack := cdktest.NewStack(t)
	exchangeEverything(stack)
	template := iam.NewSynthesized(t, cdktest.Synth(t, stack), impersonationAccount, impersonationRegion)
	endpoint, jwks, orders := template.Role("ExchangeEndpointRole"), template.Role("ExchangeJWKSRole"), template.Role("OrdersRole")
	text := template.Property(template.ID("AWS::Lambda::Function", "ExchangeEndpoint"), "Environment", "Variables", schema.EnvExchange)
	settings, err := schema.ParseExchange(text.(string))
	if err != nil {
		t.Fatal(err)
	}
	own := template.Find("AWS::KMS::Key", "ExchangeSigningKey2")
	if settings.Key != own || settings.Lifetime != 60 || len(settings.Subjects) != 3 || len(settings.Subjects[2].Keys) != 3 || len(settings.Rules) != 2 {
		t.Errorf("settings %+v", settings)
	}
	if settings.Clients["arn:aws:sts::123456789012:assumed-role/"+orders.ID] != "orders" || len(settings.Clients) != 2 {
		t.Errorf("clients %v", settings.Clients)
	}
	signing := iam.Context{"kms:MessageType": {"DIGEST"}, "kms:SigningAlgorithm": {"ECDSA_SHA_256"}}
	root := &iam.TemplateRole{ARN: "arn:aws:iam::123456789012:role/admin", Policies: impersonationAdmin(t)}
	for _, key := range []string{"ExchangeSigningKey1", "ExchangeSigningKey2", "ExchangeSigningKey3"} {
		policy := template.Policy(template.Property(template.ID("AWS::KMS::Key", key), "KeyPolicy"))
		for _, c := range []struct {
			by      *iam.TemplateRole
			action  string
			context iam.Context
			want    bool
		}{
			{endpoint, "kms:Sign", signing, true},
			{endpoint, "kms:Sign", nil, false},
			{endpoint, "kms:GetPublicKey", nil, true},
			{endpoint, "kms:PutKeyPolicy", nil, false},
			{jwks, "kms:GetPublicKey", nil, true},
			{jwks, "kms:Sign", signing, false},
			{orders, "kms:Sign", signing, false},
			{root, "kms:Sign", signing, false},
			{root, "kms:CreateGrant", nil, false},
			{root, "kms:ScheduleKeyDeletion", nil, true},
		} {
			d := iam.Evaluate(iam.Request{Principal: iam.Principal{ARN: c.by.ARN}, Action: c.action, Resource: own, Context: c.context},
				iam.Policies{Identity: c.by.Policies, Resource: []*iam.Policy{policy}, ResourceRules: true})
			if d.Allowed != c.want {
				t.Errorf("%s: %s may %s: %t; %s", key, c.by.ARN, c.action, d.Allowed, d.Reason)
			}
		}
	}
}

func ExampleNewTokenExchange() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	exchange := security.NewTokenExchange(stack, "Exchange", &security.TokenExchangeProps{
		Issuer:   "https://api.example.com",
		Subjects: []security.TokenSource{{Issuer: "https://id.example.com", Audience: "shop"}},
	})
	exchange.AddClient(function.NewFunction(stack, "Orders", &function.Props{Entry: "example.com/shop/functions/orders"}), "orders")
	exchange.Allow("orders", "payments", "pay")
}
