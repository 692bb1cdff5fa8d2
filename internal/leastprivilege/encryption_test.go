package leastprivilege_test

import (
	"testing"

	"github.com/serverless-go/cdk/internal/leastprivilege"
)

func TestEncryption(t *testing.T) {
	one := func(kind, properties string) string { return template(resource(kind, properties)) }
	catches(t, leastprivilege.Encryption, map[string]planted{
		"queue":              {queue(``, denyHTTP), "SqsManagedSseEnabled", ""},
		"queue, off":         {queue(`"SqsManagedSseEnabled":false`, denyHTTP), "SqsManagedSseEnabled", "false"},
		"queue, conditional": {queue(`"SqsManagedSseEnabled":{"Fn::If":["Prod",true,{"Ref":"AWS::NoValue"}]}`, denyHTTP), "SqsManagedSseEnabled", ""},
		"topic":              {topic(``, denyHTTP), "KmsMasterKeyId", ""},
		"stream":             {one("AWS::Kinesis::Stream", `"ShardCount":1`), "StreamEncryption", ""},
		"Firehose":           {one("AWS::KinesisFirehose::DeliveryStream", ``), "DeliveryStreamEncryptionConfigurationInput", ""},
		"bucket":             {bucket(closed, denyHTTP), "BucketEncryption", ""},
		"cluster":            {one("AWS::Neptune::DBCluster", `"StorageEncrypted":false`), "StorageEncrypted", "false"},
		"database":           {one("AWS::RDS::DBInstance", ``), "StorageEncrypted", ""},
		"file system":        {one("AWS::EFS::FileSystem", `"FileSystemPolicy":{"Statement":[`+denyHTTP+`]}`), "Encrypted", ""},
		"cache":              {one("AWS::ElastiCache::ReplicationGroup", `"TransitEncryptionEnabled":true`), "AtRestEncryptionEnabled", ""},
		"results":            {one("AWS::Athena::WorkGroup", ``), "WorkGroupConfiguration.ResultConfiguration.EncryptionConfiguration", ""},
	})
	spares(t, leastprivilege.Encryption, map[string]string{
		"a queue with a key":      queue(`"KmsMasterKeyId":"k"`, denyHTTP),
		"a table":                 one("AWS::DynamoDB::GlobalTable", ``),
		"a log group":             one("AWS::Logs::LogGroup", ``),
		"a bus":                   one("AWS::Events::EventBus", ``),
		"a state machine":         one("AWS::StepFunctions::StateMachine", ``),
		"a stream":                one("AWS::Kinesis::Stream", `"StreamEncryption":{"EncryptionType":"KMS","KeyId":"k"}`),
		"Firehose after a stream": one("AWS::KinesisFirehose::DeliveryStream", `"KinesisStreamSourceConfiguration":{}`),
		"a cluster's instance":    one("AWS::RDS::DBInstance", `"DBClusterIdentifier":"c"`),
	})
}
