package eventsourcing

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/patterns/internal/defaults"
)

// GrantAppend lets the grantee append events, and nothing else to the event
// table: it cannot read, overwrite, change or delete one. It may also write
// payloads that are too large for the table, and make a new subject's key.
//
// A *function.Function is told where the store is, for eventlog.FromEnv; for
// any other grantee set the environment variables that package schema names.
func (s *EventStore) GrantAppend(grantee awsiam.IGrantable) awsiam.Grant {
	s.connect(grantee)
	grant := defaults.Actions{"dynamodb:PartiQLInsert"}.Grant(grantee, s.tableARN)
	return grant.
		Combine(defaults.Actions{"dynamodb:GetItem", "dynamodb:PartiQLInsert"}.Grant(grantee, s.subjects.TableArn())).
		Combine(defaults.Actions{"s3:PutObject"}.Grant(grantee, s.objects(schema.PayloadPrefix))).
		Combine(useKey.Grant(grantee, s.keyARN))
}

// GrantRead lets the grantee load streams whose names it knows, with their
// payloads and the personal data of subjects that are not forgotten.
func (s *EventStore) GrantRead(grantee awsiam.IGrantable) awsiam.Grant {
	s.connect(grantee)
	grant := defaults.Actions{"dynamodb:GetItem", "dynamodb:Query"}.Grant(grantee, s.tableARN)
	return grant.
		Combine(defaults.Actions{"dynamodb:GetItem"}.Grant(grantee, s.subjects.TableArn())).
		Combine(defaults.Actions{"s3:GetObject"}.Grant(grantee, s.objects(schema.PayloadPrefix))).
		Combine(readKey.Grant(grantee, s.keyARN))
}

// GrantReplay lets the grantee list all streams besides what
// [EventStore.GrantRead] gives: it can read every event there is.
func (s *EventStore) GrantReplay(grantee awsiam.IGrantable) awsiam.Grant {
	return s.GrantRead(grantee).Combine(defaults.Actions{"dynamodb:Query"}.Grant(grantee,
		jsii.String(*s.tableARN+"/index/"+schema.StreamIndex)))
}

// GrantForget lets the grantee destroy a subject's key, for good: the
// subject's personal data in every event can never be read again. It includes
// [EventStore.GrantAppend], for the tombstone.
func (s *EventStore) GrantForget(grantee awsiam.IGrantable) awsiam.Grant {
	return s.GrantAppend(grantee).
		Combine(defaults.Actions{"dynamodb:UpdateItem"}.Grant(grantee, s.subjects.TableArn()))
}

// GrantSnapshot lets the grantee keep and read snapshots of its aggregates,
// which shorten the loading of long streams.
func (s *EventStore) GrantSnapshot(grantee awsiam.IGrantable) awsiam.Grant {
	s.connect(grantee)
	return defaults.Actions{"s3:GetObject", "s3:PutObject"}.Grant(grantee, s.objects(schema.SnapshotPrefix)).
		// Without it S3 does not say that there is no snapshot yet, but that access is denied.
		Combine(defaults.Actions{"s3:ListBucket"}.Grant(grantee, s.payloads.BucketArn())).
		Combine(useKey.Grant(grantee, s.keyARN))
}

// DynamoDB and S3 use a customer's key with the rights of the caller
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html).
var (
	readKey = defaults.Actions{"kms:Decrypt", "kms:DescribeKey"}
	useKey  = defaults.Actions{"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
		"kms:ReEncryptFrom", "kms:ReEncryptTo"}
)

func (s *EventStore) objects(prefix string) *string {
	return s.payloads.ArnForObjects(jsii.String(prefix + "*"))
}

// connect tells a function of ours where the store is.
func (s *EventStore) connect(grantee awsiam.IGrantable) {
	fn, ok := grantee.(interface{ AddEnvironment(key, value string) })
	if !ok {
		return
	}
	fn.AddEnvironment(schema.EnvStoreTable, *s.table.TableName())
	fn.AddEnvironment(schema.EnvStorePayloads, *s.payloads.BucketName())
	fn.AddEnvironment(schema.EnvStoreSubjects, *s.subjects.TableName())
	fn.AddEnvironment(schema.EnvStoreKey, *s.keyARN)
}
