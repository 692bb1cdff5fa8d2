package eventsourcing

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/patterns/internal/defaults"
)

// GrantAppend lets the grantee append events, and nothing else to the event
// table: it cannot read, overwrite, change or delete one. It may also write
// payloads that are too large for the table, each once, and make and use the
// keys of subjects, to seal their personal data.
//
// A *function.Function is told where the store is, for eventlog.FromEnv; for
// any other grantee set the environment variables that package schema names. A
// function without [EventStore.GrantRead] sets eventlog.Options.AppendOnly.
func (s *EventStore) GrantAppend(grantee awsiam.IGrantable) awsiam.Grant {
	s.connect(grantee)
	s.connectSubjects(grantee)
	once := map[string]any{"Null": map[string]any{"s3:if-none-match": "false"}}
	return insert.Grant(grantee, s.tableARN).
		Combine(insert.Grant(grantee, s.subjects.TableArn())).
		Combine(defaults.Actions{"dynamodb:GetItem"}.Grant(grantee, s.subjects.TableArn())).
		Combine(defaults.Actions{"s3:PutObject"}.GrantIf(once, grantee, s.objects(schema.PayloadPrefix))).
		Combine(useKey.GrantIf(via("dynamodb", "s3"), grantee, s.keyARN)).
		Combine(defaults.Actions{"kms:Decrypt", "kms:GenerateDataKey"}.GrantIf(subjectsKeys, grantee, s.keyARN))
}

// GrantRead lets the grantee load streams whose names it knows, with their
// payloads and the personal data of subjects that are not forgotten.
func (s *EventStore) GrantRead(grantee awsiam.IGrantable) awsiam.Grant {
	s.connectSubjects(grantee)
	return s.GrantReadSealed(grantee).
		Combine(defaults.Actions{"dynamodb:GetItem"}.Grant(grantee, s.subjects.TableArn())).
		Combine(defaults.Actions{"kms:Decrypt"}.GrantIf(subjectsKeys, grantee, s.keyARN))
}

// GrantReadSealed lets the grantee load streams whose names it knows, without
// personal data: sealed fields are empty for it.
func (s *EventStore) GrantReadSealed(grantee awsiam.IGrantable) awsiam.Grant {
	s.connect(grantee)
	return defaults.Actions{"dynamodb:GetItem", "dynamodb:Query"}.Grant(grantee, s.tableARN).
		Combine(defaults.Actions{"s3:GetObject"}.Grant(grantee, s.objects(schema.PayloadPrefix))).
		Combine(readKey.GrantIf(via("dynamodb", "s3"), grantee, s.keyARN))
}

// GrantReplay lets the grantee list all streams. Together with
// [EventStore.GrantRead] or [EventStore.GrantReadSealed] it can read every
// event there is.
func (s *EventStore) GrantReplay(grantee awsiam.IGrantable) awsiam.Grant {
	s.connect(grantee)
	return defaults.Actions{"dynamodb:Query"}.Grant(grantee, jsii.String(*s.tableARN+"/index/"+schema.StreamIndex)).
		Combine(readKey.GrantIf(via("dynamodb"), grantee, s.keyARN))
}

// GrantForget lets the grantee destroy a subject's key, for good: the
// subject's personal data in every event can then never be read again. It may
// also append the tombstone.
func (s *EventStore) GrantForget(grantee awsiam.IGrantable) awsiam.Grant {
	s.connect(grantee)
	s.connectSubjects(grantee)
	return insert.Grant(grantee, s.tableARN).
		Combine(defaults.Actions{"dynamodb:UpdateItem"}.Grant(grantee, s.subjects.TableArn())).
		Combine(useKey.GrantIf(via("dynamodb"), grantee, s.keyARN))
}

// GrantSnapshot lets the grantee keep and read snapshots of its aggregates,
// which shorten the loading of long streams.
func (s *EventStore) GrantSnapshot(grantee awsiam.IGrantable) awsiam.Grant {
	s.connect(grantee)
	return defaults.Actions{"s3:GetObject", "s3:PutObject"}.Grant(grantee, s.objects(schema.SnapshotPrefix)).
		// Without it S3 does not say that there is no snapshot yet, but that access is denied.
		Combine(defaults.Actions{"s3:ListBucket"}.Grant(grantee, s.payloads.BucketArn())).
		Combine(useKey.GrantIf(via("s3"), grantee, s.keyARN))
}

var insert = defaults.Actions{"dynamodb:PartiQLInsert"}

// DynamoDB and S3 use a customer's key with the rights of the caller
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html).
var (
	readKey = defaults.Actions{"kms:Decrypt", "kms:DescribeKey"}
	useKey  = defaults.Actions{"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
		"kms:ReEncryptFrom", "kms:ReEncryptTo"}
)

// subjectsKeys is the condition that the key wraps the key of a subject, which
// package eventlog names in the encryption context.
var subjectsKeys = map[string]any{"Null": map[string]any{"kms:EncryptionContext:" + schema.SubjectKey: "false"}}

// via returns the condition that a key is used through one of the services,
// and not to open what else the key has sealed.
func via(services ...string) map[string]any {
	endpoints := make([]*string, len(services))
	for i, service := range services {
		endpoints[i] = awscdk.Fn_Sub(jsii.String(service+".${AWS::Region}.${AWS::URLSuffix}"), nil)
	}
	return map[string]any{"StringEquals": map[string]any{"kms:ViaService": endpoints}}
}

func (s *EventStore) objects(prefix string) *string {
	return s.payloads.ArnForObjects(jsii.String(prefix + "*"))
}

// connect tells a function of ours where the store is.
func (s *EventStore) connect(grantee awsiam.IGrantable) {
	setEnvironment(grantee, map[string]*string{
		schema.EnvStoreTable:    s.table.TableName(),
		schema.EnvStorePayloads: s.payloads.BucketName(),
	})
}

// connectSubjects tells a function of ours where the subjects' keys are;
// without, it reads personal data as empty.
func (s *EventStore) connectSubjects(grantee awsiam.IGrantable) {
	setEnvironment(grantee, map[string]*string{
		schema.EnvStoreSubjects: s.subjects.TableName(),
		schema.EnvStoreKey:      s.keyARN,
	})
}

// setEnvironment sets variables of the grantee, if it is a function of ours.
func setEnvironment(grantee awsiam.IGrantable, variables map[string]*string) {
	fn, ok := grantee.(interface{ AddEnvironment(key, value string) })
	if !ok {
		return
	}
	for key, value := range variables {
		fn.AddEnvironment(key, *value)
	}
}
