// Package eventlogtest makes event stores for tests, in the engines of package
// engine: tables in DynamoDB Local, a bucket in fauxqs, a key in a double of
// KMS.
package eventlogtest

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/test/engine"
)

// Store is an event store of one test.
type Store struct {
	// Log appends to the store and reads it.
	Log *eventlog.Log
	// Options are the Log's. Change a copy and pass it to Open for another Log.
	Options eventlog.Options
	// KMS wraps the subjects' keys.
	KMS *engine.KMS
	// Faults stands between the Log and DynamoDB and S3.
	Faults *engine.Faults
}

// New makes an empty store, and a Log of it with the registry. The package's
// TestMain must call engine.Main; a test is skipped where the engines cannot
// run.
func New(t testing.TB, registry *eventlog.Registry) *Store {
	t.Helper()
	db, bucket := engine.DynamoDB(t).Config(), engine.Fauxqs(t).Config()
	s := &Store{KMS: engine.NewKMS(t), Faults: &engine.Faults{}}
	db.HTTPClient, bucket.HTTPClient = s.Faults, s.Faults
	name := "events-" + strings.ToLower(rand.Text())
	s.Options = eventlog.Options{
		Table:    name,
		Subjects: name + "-subjects",
		Payloads: name,
		Key:      "arn:aws:kms:" + engine.Region + ":" + engine.Account + ":key/" + name,
		Registry: registry,
		DynamoDB: dynamodb.NewFromConfig(db),
		S3:       s3.NewFromConfig(bucket),
		KMS:      kms.NewFromConfig(s.KMS.Config()),
	}

	createTable(t, s.Options.DynamoDB, &dynamodb.CreateTableInput{
		TableName: &s.Options.Table,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(schema.Stream), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(schema.Version), AttributeType: types.ScalarAttributeTypeN},
			{AttributeName: aws.String(schema.Shard), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(schema.Opened), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: keys(schema.Stream, schema.Version),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String(schema.StreamIndex),
			KeySchema:  keys(schema.Shard, schema.Opened),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
		StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage},
	})
	createTable(t, s.Options.DynamoDB, &dynamodb.CreateTableInput{
		TableName: &s.Options.Subjects,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(schema.SubjectKey), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: keys(schema.SubjectKey),
	})
	if _, err := s.Options.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &s.Options.Payloads}); err != nil {
		t.Fatal(err)
	}
	s.Log = Open(t, s.Options)
	return s
}

// Open returns a Log with the options.
func Open(t testing.TB, options eventlog.Options) *eventlog.Log {
	t.Helper()
	log, err := eventlog.New(aws.Config{}, options)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// Env returns the environment that the constructs give to a function that was
// granted the store, for a handler in another process.
func (s *Store) Env() []string {
	return []string{
		schema.EnvStoreTable + "=" + s.Options.Table,
		schema.EnvStorePayloads + "=" + s.Options.Payloads,
		schema.EnvStoreSubjects + "=" + s.Options.Subjects,
		schema.EnvStoreKey + "=" + s.Options.Key,
	}
}

func keys(partition string, sort ...string) []types.KeySchemaElement {
	schema := []types.KeySchemaElement{{AttributeName: &partition, KeyType: types.KeyTypeHash}}
	for _, name := range sort {
		schema = append(schema, types.KeySchemaElement{AttributeName: &name, KeyType: types.KeyTypeRange})
	}
	return schema
}

// createTable makes a table that lasts as long as the engine.
func createTable(t testing.TB, db *dynamodb.Client, in *dynamodb.CreateTableInput) {
	t.Helper()
	in.BillingMode = types.BillingModePayPerRequest
	if _, err := db.CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}
