package opaque_test

import (
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/serverless-go/cdk/patterns/security/opaque"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/test/engine"
)

// clock is a time that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().Truncate(time.Hour).Add(time.Minute)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newStore returns a store with a table of its own on DynamoDB Local, and what
// makes calls to it fail.
func newStore(t testing.TB, c *clock) (*opaque.Store, *engine.Faults) {
	t.Helper()
	faults := &engine.Faults{}
	cfg := engine.DynamoDB(t).Config()
	cfg.HTTPClient = faults
	db := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
	table := "references-" + rand.Text()
	key := func(name string, kind types.KeyType) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: aws.String(name), KeyType: kind}
	}
	attribute := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: types.ScalarAttributeTypeS}
	}
	if _, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{attribute(schema.ReferencePK), attribute(schema.ReferenceSK)},
		KeySchema:            []types.KeySchemaElement{key(schema.ReferencePK, types.KeyTypeHash), key(schema.ReferenceSK, types.KeyTypeRange)},
	}); err != nil {
		t.Fatal(err)
	}
	return &opaque.Store{DynamoDB: db, Table: table, Now: c.Now}, faults
}

// everything returns the table's items as one text.
func everything(t testing.TB, s *opaque.Store) string {
	t.Helper()
	out, err := s.DynamoDB.Scan(t.Context(), &dynamodb.ScanInput{TableName: &s.Table})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, item := range out.Items {
		write(&b, &types.AttributeValueMemberM{Value: item})
	}
	return b.String()
}

func write(b *strings.Builder, v types.AttributeValue) {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		b.WriteString(v.Value + "\n")
	case *types.AttributeValueMemberN:
		b.WriteString(v.Value + "\n")
	case *types.AttributeValueMemberL:
		for _, e := range v.Value {
			write(b, e)
		}
	case *types.AttributeValueMemberM:
		for name, e := range v.Value {
			b.WriteString(name + " ")
			write(b, e)
		}
	}
}

// newKey makes a key that signs, in the double of KMS.
func newKey(t testing.TB, client *kms.Client) string {
	t.Helper()
	out, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: kmstypes.KeySpecEccNistP256, KeyUsage: kmstypes.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	return *out.KeyMetadata.Arn
}

// request is for a reference of ann's.
func request() *opaque.Issue {
	return &opaque.Issue{Owner: "ann", Subject: "auth0|ann", Tenant: "acme", Client: "cli", Name: "laptop",
		Scope: []string{"orders:read"}, Audience: []string{"orders"}, Life: time.Hour}
}

// issue issues a reference, changed from ann's.
func issue(t testing.TB, s *opaque.Store, change ...func(*opaque.Issue)) (string, *opaque.Reference) {
	t.Helper()
	in := request()
	for _, f := range change {
		f(in)
	}
	ref, r, err := s.Issue(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return ref, r
}
