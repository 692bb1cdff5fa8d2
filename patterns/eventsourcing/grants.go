package eventsourcing

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
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
	construct.SetEnvironment(grantee, s.Environment())
	once := map[string]any{"Null": map[string]any{"s3:if-none-match": "false"}}
	return defaults.Grant(grantee,
		insert.To(s.tableARN, construct.TableArn(s.subjects)),
		defaults.Actions{"dynamodb:GetItem"}.To(construct.TableArn(s.subjects)),
		defaults.Actions{"s3:PutObject"}.To(s.objects(schema.PayloadPrefix)).If(once),
		defaults.UseKey.To(s.keyARN).If(defaults.Through("dynamodb", "s3")),
		defaults.Actions{"kms:Decrypt", "kms:GenerateDataKey"}.To(s.keyARN).If(subjectsKeys))
}

// GrantRead lets the grantee load streams whose names it knows, with their
// payloads and the personal data of subjects that are not forgotten.
func (s *EventStore) GrantRead(grantee awsiam.IGrantable) awsiam.Grant {
	construct.SetEnvironment(grantee, s.Environment())
	return defaults.Grant(grantee, append(s.readSealed(), s.readSubjects()...)...)
}

func (s *EventStore) readSubjects() []defaults.Statement {
	return []defaults.Statement{
		defaults.Actions{"dynamodb:GetItem"}.To(construct.TableArn(s.subjects)),
		defaults.Actions{"kms:Decrypt"}.To(s.keyARN).If(subjectsKeys),
	}
}

// GrantReadSealed lets the grantee load streams whose names it knows, without
// personal data: sealed fields are empty for it.
func (s *EventStore) GrantReadSealed(grantee awsiam.IGrantable) awsiam.Grant {
	construct.SetEnvironment(grantee, s.SealedEnvironment())
	return defaults.Grant(grantee, s.readSealed()...)
}

func (s *EventStore) readSealed() []defaults.Statement {
	return []defaults.Statement{
		defaults.Actions{"dynamodb:GetItem", "dynamodb:Query"}.To(s.tableARN),
		defaults.Actions{"s3:GetObject"}.To(s.objects(schema.PayloadPrefix)),
		defaults.ReadKey.To(s.keyARN).If(defaults.Through("dynamodb", "s3")),
	}
}

// GrantReplay lets the grantee list all streams. Together with
// [EventStore.GrantRead] or [EventStore.GrantReadSealed] it can read every
// event there is.
func (s *EventStore) GrantReplay(grantee awsiam.IGrantable) awsiam.Grant {
	construct.SetEnvironment(grantee, s.SealedEnvironment())
	return defaults.Grant(grantee, s.replay()...)
}

func (s *EventStore) replay() []defaults.Statement {
	return []defaults.Statement{
		defaults.Actions{"dynamodb:Query"}.To(jsii.String(*s.tableARN + "/index/" + schema.StreamIndex)),
		defaults.ReadKey.To(s.keyARN).If(defaults.Through("dynamodb")),
	}
}

// GrantForget lets the grantee destroy a subject's key, for good: the
// subject's personal data in every event can then never be read again. It may
// also append the tombstone.
func (s *EventStore) GrantForget(grantee awsiam.IGrantable) awsiam.Grant {
	construct.SetEnvironment(grantee, s.Environment())
	return defaults.Grant(grantee,
		insert.To(s.tableARN),
		defaults.Actions{"dynamodb:UpdateItem"}.To(construct.TableArn(s.subjects)),
		defaults.UseKey.To(s.keyARN).If(defaults.Through("dynamodb")))
}

// GrantSnapshot lets the grantee keep and read snapshots of its aggregates,
// which shorten the loading of long streams.
func (s *EventStore) GrantSnapshot(grantee awsiam.IGrantable) awsiam.Grant {
	construct.SetEnvironment(grantee, s.SealedEnvironment())
	return defaults.Grant(grantee,
		defaults.Actions{"s3:GetObject", "s3:PutObject"}.To(s.objects(schema.SnapshotPrefix)),
		// Without it S3 does not say that there is no snapshot yet, but that access is denied.
		defaults.Actions{"s3:ListBucket"}.To(construct.BucketArn(s.payloads)),
		defaults.UseKey.To(s.keyARN).If(defaults.Through("s3")))
}

var insert = defaults.Actions{"dynamodb:PartiQLInsert"}

// subjectsKeys is the condition that the key wraps the key of a subject, which
// package eventlog names in the encryption context.
var subjectsKeys = map[string]any{"Null": map[string]any{"kms:EncryptionContext:" + schema.SubjectKey: "false"}}

func (s *EventStore) objects(prefix string) *string {
	return construct.Objects(s.payloads, prefix+"*")
}

// Environment returns the variables by which eventlog.FromEnv finds the store
// and the subjects' keys. The grants set them in functions of ours; what runs
// elsewhere, a container for one, is given them.
func (s *EventStore) Environment() map[string]string {
	env := s.SealedEnvironment()
	env[schema.EnvStoreSubjects] = *construct.TableName(s.subjects)
	env[schema.EnvStoreKey] = *s.keyARN
	return env
}

// SealedEnvironment is [EventStore.Environment] without the subjects' keys: what
// finds the store by it reads personal data as empty.
func (s *EventStore) SealedEnvironment() map[string]string {
	return map[string]string{
		schema.EnvStoreTable:    *construct.TableName(s.table),
		schema.EnvStorePayloads: *construct.BucketName(s.payloads),
	}
}
