package leastprivilege

// Encryption refuses data at rest in the clear.
var Encryption = Rule{
	ID:      "encryption",
	Refuses: "a queue, topic, stream, bucket, database, file system or cache whose data is not encrypted at rest",
	Why:     "who gets at the disk, a snapshot or a backup has the data",
	Source:  "https://docs.aws.amazon.com/wellarchitected/latest/security-pillar/sec_protect_data_rest_encrypt.html",
	judge: func(s *subject) verdict {
		if right, ok := alwaysEncrypted[s.Type]; ok {
			return about(right, nil)
		}
		check, ok := encrypts[s.Type]
		if !ok {
			return verdict{}
		}
		return about("it is encrypted at rest", check(s))
	},
}

// alwaysEncrypted are the services that write nothing in the clear, with the
// key that they use unless the template names one.
var alwaysEncrypted = map[string]string{
	"AWS::DynamoDB::Table":             "DynamoDB always encrypts; without SSESpecification with a key that AWS owns",
	"AWS::DynamoDB::GlobalTable":       "DynamoDB always encrypts; without SSESpecification with a key that AWS owns",
	"AWS::Logs::LogGroup":              "CloudWatch Logs always encrypts; without KmsKeyId with a key that AWS owns",
	"AWS::Events::EventBus":            "EventBridge always encrypts; without KmsKeyIdentifier with a key that AWS owns",
	"AWS::Events::Archive":             "EventBridge always encrypts; without KmsKeyIdentifier with a key that AWS owns",
	"AWS::Pipes::Pipe":                 "EventBridge always encrypts; without KmsKeyIdentifier with a key that AWS owns",
	"AWS::Scheduler::Schedule":         "EventBridge always encrypts; without KmsKeyArn with a key that AWS owns",
	"AWS::StepFunctions::StateMachine": "Step Functions always encrypts; without EncryptionConfiguration with a key that AWS owns",
	"AWS::StepFunctions::Activity":     "Step Functions always encrypts; without EncryptionConfiguration with a key that AWS owns",
	"AWS::ECR::Repository":             "ECR always encrypts; without EncryptionConfiguration with a key of S3",
	"AWS::SecretsManager::Secret":      "Secrets Manager always encrypts; without KmsKeyId with the account's aws/secretsmanager",
	"AWS::NeptuneGraph::Graph":         "Neptune Analytics always encrypts; without KmsKeyIdentifier with a key that AWS owns",
	"AWS::Lambda::Function":            "Lambda always encrypts; without KmsKeyArn with the account's aws/lambda",
}

// encrypts judges the services that have to be told.
var encrypts = map[string]func(*subject) []problem{
	"AWS::SQS::Queue": func(s *subject) []problem {
		return either(s, s.has("KmsMasterKeyId") || s.set("SqsManagedSseEnabled"), "SqsManagedSseEnabled", "true, or KmsMasterKeyId")
	},
	"AWS::SNS::Topic": func(s *subject) []problem { return either(s, s.has("KmsMasterKeyId"), "KmsMasterKeyId", "a KMS key") },
	"AWS::Kinesis::Stream": func(s *subject) []problem {
		return either(s, s.has("StreamEncryption"), "StreamEncryption", "a KMS key")
	},
	"AWS::KinesisFirehose::DeliveryStream": func(s *subject) []problem {
		sourced := s.has("KinesisStreamSourceConfiguration") || s.has("MSKSourceConfiguration")
		place := "DeliveryStreamEncryptionConfigurationInput"
		return either(s, sourced || s.has(place), place, "a key, unless a stream that encrypts is the source")
	},
	"AWS::S3::Bucket": func(s *subject) []problem {
		return either(s, s.has("BucketEncryption"), "BucketEncryption", "S3's key or a KMS key")
	},
	"AWS::RDS::DBCluster":     stored,
	"AWS::Neptune::DBCluster": stored,
	"AWS::DocDB::DBCluster":   stored,
	"AWS::RDS::DBInstance": func(s *subject) []problem {
		if s.has("DBClusterIdentifier") {
			return nil // the cluster's storage
		}
		return stored(s)
	},
	"AWS::EFS::FileSystem":               flag("Encrypted"),
	"AWS::EC2::Volume":                   flag("Encrypted"),
	"AWS::Redshift::Cluster":             flag("Encrypted"),
	"AWS::DAX::Cluster":                  flag("SSESpecification.SSEEnabled"),
	"AWS::ElastiCache::ReplicationGroup": flag("AtRestEncryptionEnabled"),
	"AWS::OpenSearchService::Domain":     flag("EncryptionAtRestOptions.Enabled"),
	"AWS::Athena::WorkGroup": func(s *subject) []problem {
		place := "WorkGroupConfiguration.ResultConfiguration.EncryptionConfiguration"
		managed := s.set("WorkGroupConfiguration.ManagedQueryResultsConfiguration.Enabled")
		return either(s, managed || s.has(place), place, "SSE_S3, SSE_KMS or CSE_KMS")
	},
}

var stored = flag("StorageEncrypted")

func flag(place string) func(*subject) []problem {
	return func(s *subject) []problem { return either(s, s.set(place), place, "true") }
}

func either(s *subject, ok bool, place, allowed string) []problem {
	if ok {
		return nil
	}
	return []problem{{place, s.text(place), allowed, "set it; a key of the stack's own lets you also take the data away from everybody"}}
}
