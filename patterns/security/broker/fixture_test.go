package broker_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-jose/go-jose/v4"

	"github.com/serverless-go/cdk/patterns/security/broker"
	"github.com/serverless-go/cdk/patterns/security/identity"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
	"github.com/serverless-go/cdk/test/engine"
	"github.com/serverless-go/cdk/test/iam"
)

func TestMain(m *testing.M) { engine.Main(m) }

const (
	issuer   = "https://id.example.com"
	audience = "shop"
)

// signing is the issuer's key, forging somebody else's.
var signing, forging = newKey(), newKey()

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

type claims map[string]any

// user returns the claims of a token that lasts an hour.
func user(tenant, sub string) claims {
	now := time.Now()
	return claims{"iss": issuer, "aud": audience, "sub": sub, "org": tenant, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": rand.Text()}
}

func (c claims) with(name string, value any) claims {
	c = maps.Clone(c)
	c[name] = value
	return c
}

func (c claims) token() string { return c.signed(signing, "at+jwt") }

func (c claims) signed(key *ecdsa.PrivateKey, typ string) string {
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", "k1")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	raw, err := signature.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return raw
}

// world is the synthesized stack of security's TestImpersonationEverything,
// running: its broker in this process, its roles in a double of STS, its tables
// in DynamoDB Local behind a gate that decides as IAM would.
type world struct {
	sts           *engine.STS
	gate          engine.Endpoint
	template      *iam.Synthesized
	role, api     *iam.TemplateRole
	brokerRole    *iam.TemplateRole
	broker        *broker.Broker
	carts, shared string
	logs          *logs
}

// logs is what everything logs in a test.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newWorld starts it. Without tables no engine is needed.
func newWorld(t *testing.T, tables bool) *world {
	t.Helper()
	text, err := os.ReadFile("../testdata/TestImpersonationEverything.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var parsed map[string]any
	if err := json.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	w := &world{sts: engine.NewSTS(t), logs: &logs{}, template: iam.NewSynthesized(t, parsed, engine.Account, engine.Region)}
	for prefix, into := range map[string]**iam.TemplateRole{"AsUserUserRole": &w.role, "AsUserBrokerRole": &w.brokerRole, "APIRole": &w.api} {
		*into = w.template.Role(prefix)
		w.sts.AddRole(*into, nil)
	}
	previous := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(w.logs, nil)))
	t.Cleanup(func() { slog.SetDefault(previous) })
	w.broker = w.newBroker(t)
	if tables {
		w.carts, w.shared = w.table(t, "Carts"), w.table(t, "Shared")
		w.gate = w.sts.Gate(t)
	}
	return w
}

// newBroker makes the broker from the environment that the template gives it.
func (w *world) newBroker(t *testing.T) *broker.Broker {
	t.Helper()
	variables := w.template.Property(w.template.ID("AWS::Lambda::Function", "AsUserBroker"), "Environment", "Variables")
	for name, value := range variables.(map[string]any) {
		t.Setenv(name, value.(string))
	}
	b, err := broker.FromEnv(w.sts.Start(w.brokerRole.ARN))
	if err != nil {
		t.Fatal(err)
	}
	// What the environment says of tokens, with keys that need no network.
	b.Verifier.(*token.Verifier).Keys = token.StaticKeys{"k1": crypto.PublicKey(signing.Public())}
	return b
}

// table makes a table of the template in DynamoDB Local. Tests share it and
// keep to users of their own.
func (w *world) table(t *testing.T, prefix string) string {
	t.Helper()
	name := w.template.ID("AWS::DynamoDB::GlobalTable", prefix)
	attribute := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
	}
	_, err := dynamodb.NewFromConfig(engine.DynamoDB(t).Config()).CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{attribute("pk"), attribute("sk"), attribute("user")},
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange}},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String("byUser"), Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
			KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("user"), KeyType: types.KeyTypeHash}},
		}},
	})
	var exists *types.ResourceInUseException
	if err != nil && !asError(err, &exists) {
		t.Fatal(err)
	}
	return name
}

// Impersonate passes a request to the broker as Lambda does: as JSON.
func (w *world) Impersonate(ctx context.Context, r schema.ImpersonationRequest) (*schema.ImpersonationResponse, error) {
	return (&identity.LambdaBroker{Client: w, Function: "broker"}).Impersonate(ctx, r)
}

// Invoke answers as AWS Lambda does when it invokes the broker.
func (w *world) Invoke(ctx context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	payload, err := w.broker.Invoke(ctx, in.Payload)
	if err != nil {
		body, _ := json.Marshal(map[string]string{"errorMessage": err.Error(), "errorType": "errorString"})
		return &lambda.InvokeOutput{StatusCode: 200, FunctionError: aws.String("Unhandled"), Payload: body}, nil
	}
	return &lambda.InvokeOutput{StatusCode: 200, Payload: payload}, nil
}

// users returns the identity library, whose users' calls go to the gate.
func (w *world) users(o *identity.Options) *identity.Users {
	return identity.New(w.gate.Config(), w, o)
}

// as returns DynamoDB with the rights of a user.
func (w *world) as(t *testing.T, c claims, set string) *dynamodb.Client {
	t.Helper()
	u, err := w.users(nil).As(t.Context(), c.token(), set)
	if err != nil {
		t.Fatal(err)
	}
	return dynamodb.NewFromConfig(u.Config())
}

// ask returns the broker's answer.
func (w *world) ask(t *testing.T, raw, set string) (*schema.ImpersonationResponse, error) {
	t.Helper()
	return w.Impersonate(t.Context(), schema.ImpersonationRequest{Token: raw, Set: set})
}

// assume calls STS itself, with credentials.
func (w *world) assume(t *testing.T, cfg aws.Config, change func(*sts.AssumeRoleInput)) (*sts.AssumeRoleOutput, error) {
	t.Helper()
	in := &sts.AssumeRoleInput{
		RoleArn: &w.role.ARN, RoleSessionName: aws.String("s-test"), SourceIdentity: aws.String("u-test"), DurationSeconds: aws.Int32(900),
		Tags: stsTags("sub", "ann", "tenant", "acme"), TransitiveTagKeys: []string{"sub", "tenant"},
	}
	if change != nil {
		change(in)
	}
	return sts.NewFromConfig(cfg).AssumeRole(t.Context(), in)
}

// item is a cart.
func item(pk, sk string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": text(pk), "sk": text(sk), "user": text(pk)}
}

func key(pk, sk string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": text(pk), "sk": text(sk)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// secrets are what must be in no log and no error.
func secrets(raw string, r *schema.ImpersonationResponse) []string {
	list := strings.Split(raw, ".")
	if r != nil && r.SecretAccessKey != "" {
		list = append(list, r.SecretAccessKey, r.SessionToken, r.AccessKeyID)
	}
	return list
}

// mustNotTell fails if the text holds one of the secrets.
func mustNotTell(t *testing.T, what, text string, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if len(s) > 8 && strings.Contains(text, s) {
			t.Errorf("%s holds %q:\n%s", what, s, fmt.Sprintf("%.2000s", text))
		}
	}
}
