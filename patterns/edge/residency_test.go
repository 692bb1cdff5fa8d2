package edge_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

func residencyStack(t *testing.T, region string) (awscdk.Stack, *edge.Residency) {
	app := cdktest.NewApp(t)
	r := edge.NewResidency(app, "Residency", &edge.ResidencyProps{Jurisdictions: map[string][]string{"eu": {"eu-west-1", "eu-central-1"}}})
	p := &awscdk.StackProps{}
	if region != "" {
		p.Env = &awscdk.Environment{Region: &region}
	}
	return awscdk.NewStack(app, jsii.String("Store"), p), r
}

// residencyReport synthesizes and returns the report and whether it failed.
func residencyReport(t *testing.T, stack awscdk.Stack) (report string, failed bool) {
	t.Helper()
	data, failed := cdktest.Report(t, stack, "residency-report.txt")
	return string(data), failed
}

type residencyMap = map[string]any

// residencyCase is a resource that must be refused, and one of the same type
// that must pass: where it is not given, the same one in an allowed region, if
// it names one.
type residencyCase struct {
	kind, rule, want string
	bad, good        residencyMap
}

// residencyNever says that no resource of a type passes.
var residencyNever = residencyMap{"never": true}

func residencyCases() map[string]residencyCase {
	type m = residencyMap
	arn := func(service, resource string) string {
		return "arn:aws:" + service + ":us-east-1:111122223333:" + resource
	}
	get := func(id, attribute string) m { return m{"Fn::GetAtt": []any{id, attribute}} }
	return map[string]residencyCase{
		"TableReplica":   {"AWS::DynamoDB::GlobalTable", "tables", "Replicas[0].Region names us-east-1", m{"Replicas": []any{m{"Region": "us-east-1"}}}, nil},
		"TableWitness":   {"AWS::DynamoDB::GlobalTable", "tables", "GlobalTableWitnesses[0].Region names us-east-1", m{"GlobalTableWitnesses": []any{m{"Region": "us-east-1"}}}, nil},
		"ReplicaUnknown": {"AWS::DynamoDB::GlobalTable", "tables", "Replicas[1].Region is known only", m{"Replicas": []any{m{"Region": "eu-west-1"}, m{"Region": m{"Ref": "Open"}}}}, m{"Replicas": []any{m{"Region": m{"Ref": "AWS::Region"}}}}},
		"ReplicaIf":      {"AWS::DynamoDB::GlobalTable", "tables", "names us-east-1", m{"Replicas": m{"Fn::If": []any{"C", []any{m{"Region": "eu-west-1"}}, []any{m{"Region": "us-east-1"}}}}}, nil},
		"TableStream":    {"AWS::DynamoDB::Table", "tables", "KinesisStreamSpecification.StreamArn names us-east-1", m{"KinesisStreamSpecification": m{"StreamArn": arn("kinesis", "stream/s")}}, nil},
		"TableImport":    {"AWS::DynamoDB::Table", "tables", `is the bucket "foreign", which lies in us-east-1`, m{"ImportSourceSpecification": m{"S3BucketSource": m{"S3Bucket": "foreign"}}}, m{"ImportSourceSpecification": m{"S3BucketSource": m{"S3Bucket": "friendly"}}}},

		"BucketReplica":   {"AWS::S3::Bucket", "buckets", `Destination.Bucket is the bucket "foreign", which lies in us-east-1`, m{"ReplicationConfiguration": m{"Rules": []any{m{"Destination": m{"Bucket": "arn:aws:s3:::foreign"}}}}}, m{"ReplicationConfiguration": m{"Rules": []any{m{"Destination": m{"Bucket": "arn:aws:s3:::friendly"}}}}}},
		"BucketUnknown":   {"AWS::S3::Bucket", "buckets", `the bucket "nobodys", of which the app does not say`, m{"ReplicationConfiguration": m{"Rules": []any{m{"Destination": m{"Bucket": "arn:aws:s3:::nobodys"}}}}}, m{"ReplicationConfiguration": m{"Rules": []any{m{"Destination": m{"Bucket": get("Bucket", "Arn")}}}}}},
		"BucketKey":       {"AWS::S3::Bucket", "buckets", "ReplicaKmsKeyID names us-east-1", m{"ReplicationConfiguration": m{"Rules": []any{m{"Destination": m{"EncryptionConfiguration": m{"ReplicaKmsKeyID": arn("kms", "key/k")}}}}}}, nil},
		"BucketLogs":      {"AWS::S3::Bucket", "buckets", `DestinationBucketName is the bucket "foreign"`, m{"LoggingConfiguration": m{"DestinationBucketName": "foreign"}}, m{"LoggingConfiguration": m{"DestinationBucketName": m{"Ref": "Bucket"}}}},
		"BucketInventory": {"AWS::S3::Bucket", "buckets", `BucketArn is the bucket "foreign"`, m{"InventoryConfigurations": []any{m{"Destination": m{"BucketArn": "arn:aws:s3:::foreign"}}}}, m{"InventoryConfigurations": []any{m{"Destination": m{"BucketArn": "arn:aws:s3:::friendly"}}}}},
		"BucketSpeed":     {"AWS::S3::Bucket", "buckets", "edge locations", m{"AccelerateConfiguration": m{"AccelerationStatus": "Enabled"}}, m{"AccelerateConfiguration": m{"AccelerationStatus": "Suspended"}}},
		"BucketNotice":    {"AWS::S3::Bucket", "buckets", "Queue names us-east-1", m{"NotificationConfiguration": m{"QueueConfigurations": []any{m{"Queue": arn("sqs", "q")}}}}, nil},
		"AccessPoint":     {"AWS::S3::MultiRegionAccessPoint", "buckets", `Regions[1].Bucket is the bucket "foreign"`, m{"Regions": []any{m{"Bucket": "friendly"}, m{"Bucket": "foreign"}}}, m{"Regions": []any{m{"Bucket": "friendly"}}}},

		"BackupCopy":     {"AWS::Backup::BackupPlan", "backups", "DestinationBackupVaultArn names us-east-1", m{"BackupPlan": m{"BackupPlanRule": []any{m{"CopyActions": []any{m{"DestinationBackupVaultArn": arn("backup", "backup-vault:v")}}}}}}, nil},
		"BackupReport":   {"AWS::Backup::ReportPlan", "backups", `S3BucketName is the bucket "foreign"`, m{"ReportDeliveryChannel": m{"S3BucketName": "foreign"}}, m{"ReportDeliveryChannel": m{"S3BucketName": "friendly"}}},
		"SnapshotCopy":   {"AWS::DLM::LifecyclePolicy", "backups", "Target names us-east-1", m{"PolicyDetails": m{"Schedules": []any{m{"CrossRegionCopyRules": []any{m{"Target": "us-east-1"}}}}}}, nil},
		"GlobalCluster":  {"AWS::RDS::DBCluster", "databases", "members in any region", m{"GlobalClusterIdentifier": "world"}, m{"DBClusterIdentifier": "local"}},
		"DatabaseBackup": {"AWS::RDS::DBInstance", "databases", "AutomaticBackupReplicationRegion names us-east-1", m{"AutomaticBackupReplicationRegion": "us-east-1"}, nil},

		"SubscriptionFilter": {"AWS::Logs::SubscriptionFilter", "logs", "DestinationArn names us-east-1", m{"DestinationArn": arn("logs", "destination:d")}, nil},
		"LogDestination":     {"AWS::Logs::Destination", "logs", "TargetArn names us-east-1", m{"TargetArn": arn("kinesis", "stream/s")}, nil},
		"LogDelivery":        {"AWS::Logs::DeliveryDestination", "logs", `DestinationResourceArn is the bucket "foreign"`, m{"DestinationResourceArn": "arn:aws:s3:::foreign/logs"}, m{"DestinationResourceArn": "arn:aws:s3:::friendly/logs"}},
		"LogAccount":         {"AWS::Logs::AccountPolicy", "logs", "PolicyDocument.DestinationArn names us-east-1", m{"PolicyDocument": `{"DestinationArn":"` + arn("lambda", "function:f") + `"}`}, nil},
		"FlowLog":            {"AWS::EC2::FlowLog", "logs", `LogDestination is the bucket "foreign"`, m{"LogDestination": "arn:aws:s3:::foreign"}, m{"LogDestination": "arn:aws:s3:::friendly"}},
		"Trail":              {"AWS::CloudTrail::Trail", "logs", `S3BucketName is the bucket "foreign"`, m{"S3BucketName": "foreign"}, m{"S3BucketName": "friendly"}},
		"MetricStream":       {"AWS::CloudWatch::MetricStream", "logs", "FirehoseArn names us-east-1", m{"FirehoseArn": arn("firehose", "deliverystream/d")}, nil},

		"DeadLetters":   {"AWS::SQS::Queue", "queues", "deadLetterTargetArn names us-east-1", m{"RedrivePolicy": m{"deadLetterTargetArn": arn("sqs", "q")}}, nil},
		"DeadParameter": {"AWS::SQS::Queue", "queues", "deadLetterTargetArn is the parameter Open", m{"RedrivePolicy": m{"deadLetterTargetArn": m{"Ref": "Open"}}}, m{"RedrivePolicy": m{"deadLetterTargetArn": get("Queue", "Arn")}}},

		"FirehoseBucket": {"AWS::KinesisFirehose::DeliveryStream", "streams", `BucketARN is the bucket "foreign"`, m{"ExtendedS3DestinationConfiguration": m{"BucketARN": "arn:aws:s3:::foreign"}}, m{"ExtendedS3DestinationConfiguration": m{"BucketARN": "arn:aws:s3:::friendly"}}},
		"FirehoseBackup": {"AWS::KinesisFirehose::DeliveryStream", "streams", `S3BackupConfiguration.BucketARN is the bucket "foreign"`, m{"ExtendedS3DestinationConfiguration": m{"S3BackupConfiguration": m{"BucketARN": "arn:aws:s3:::foreign"}}}, m{"ExtendedS3DestinationConfiguration": m{"S3BackupConfiguration": m{"BucketARN": get("Bucket", "Arn")}}}},
		"FirehoseKey":    {"AWS::KinesisFirehose::DeliveryStream", "streams", "AWSKMSKeyARN names us-east-1", m{"ExtendedS3DestinationConfiguration": m{"EncryptionConfiguration": m{"KMSEncryptionConfig": m{"AWSKMSKeyARN": arn("kms", "key/k")}}}}, nil},
		"FirehoseWeb":    {"AWS::KinesisFirehose::DeliveryStream", "streams", "web address", m{"HttpEndpointDestinationConfiguration": m{"EndpointConfiguration": m{"Url": "https://example.com"}}}, m{"ExtendedS3DestinationConfiguration": m{"BucketARN": get("Bucket", "Arn")}}},
		"FirehoseSearch": {"AWS::KinesisFirehose::DeliveryStream", "streams", "DomainARN names us-east-1", m{"AmazonopensearchserviceDestinationConfiguration": m{"DomainARN": arn("es", "domain/d")}}, nil},
		"FirehoseSplunk": {"AWS::KinesisFirehose::DeliveryStream", "streams", "Splunk", m{"SplunkDestinationConfiguration": m{}}, m{"DeliveryStreamName": "d"}},
		"StreamReader":   {"AWS::Kinesis::StreamConsumer", "streams", "StreamARN names us-east-1", m{"StreamARN": arn("kinesis", "stream/s")}, nil},
		"Mapping":        {"AWS::Lambda::EventSourceMapping", "stream consumers", "OnFailure.Destination names us-east-1", m{"DestinationConfig": m{"OnFailure": m{"Destination": arn("sqs", "q")}}}, nil},
		"MappingBrokers": {"AWS::Lambda::EventSourceMapping", "stream consumers", "brokers", m{"SelfManagedEventSource": m{"Endpoints": m{"KafkaBootstrapServers": []any{"b:9092"}}}}, m{"EventSourceArn": get("Queue", "Arn")}},

		"Environment":       {"AWS::Lambda::Function", "all texts", "QUEUE names us-east-1", m{"Environment": m{"Variables": m{"QUEUE": "https://sqs.us-east-1.amazonaws.com/1/q"}}}, nil},
		"JoinedEnvironment": {"AWS::Lambda::Function", "all texts", "R names us-east-1", m{"Environment": m{"Variables": m{"R": m{"Fn::Join": []any{"-", []any{"us", "east", "1"}}}}}}, m{"Environment": m{"Variables": m{"R": m{"Ref": "AWS::Region"}}}}},
		"FunctionResult":    {"AWS::Lambda::EventInvokeConfig", "functions", "OnSuccess.Destination names us-east-1", m{"DestinationConfig": m{"OnSuccess": m{"Destination": arn("events", "event-bus/b")}}}, nil},

		"Archive":             {"AWS::Events::Archive", "archives", "SourceArn names us-east-1", m{"SourceArn": arn("events", "event-bus/b")}, nil},
		"RuleTarget":          {"AWS::Events::Rule", "buses", "Targets[0].Arn names us-east-1", m{"Targets": []any{m{"Arn": arn("events", "event-bus/b")}}}, nil},
		"RuleImport":          {"AWS::Events::Rule", "buses", `Targets[0].Arn imports "Foreign"`, m{"Targets": []any{m{"Arn": m{"Fn::ImportValue": "Foreign"}}}}, m{"Targets": []any{m{"Arn": m{"Fn::ImportValue": "Friendly"}}}}},
		"RuleImportElsewhere": {"AWS::Events::Rule", "buses", "Targets[0].Arn names us-east-1", m{"Targets": []any{m{"Arn": m{"Fn::ImportValue": "Leads"}}}}, m{"Targets": []any{m{"Arn": get("Queue", "Arn")}}}},
		"RuleOutput":          {"AWS::Events::Rule", "buses", "Targets[0].Arn.Region names us-east-1", m{"Targets": []any{m{"Arn": m{"Fn::GetStackOutput": m{"StackName": "s", "OutputName": "o", "Region": "us-east-1"}}}}}, nil},
		"RuleSelect":          {"AWS::Events::Rule", "buses", "is the parameter Open", m{"Targets": []any{m{"Arn": m{"Fn::Select": []any{0.0, []any{m{"Ref": "Open"}}}}}}}, m{"Targets": []any{m{"Arn": m{"Fn::Select": []any{0.0, []any{get("Queue", "Arn")}}}}}}},
		"GlobalEndpoint":      {"AWS::Events::Endpoint", "buses", "Route names us-east-1", m{"RoutingConfig": m{"FailoverConfig": m{"Secondary": m{"Route": "us-east-1"}}}}, nil},
		"Schedule":            {"AWS::Scheduler::Schedule", "buses", "Target.Arn names us-east-1", m{"Target": m{"Arn": arn("sqs", "q")}}, nil},
		"ApiDestination":      {"AWS::Events::ApiDestination", "web addresses", "web address", m{"InvocationEndpoint": "https://example.com/{id}"}, m{"Name": "none"}},
		"Pipe":                {"AWS::Pipes::Pipe", "pipes", "Target names us-east-1", m{"Target": arn("sqs", "q")}, nil},
		"PipeLetters":         {"AWS::Pipes::Pipe", "pipes", "DeadLetterConfig.Arn names us-east-1", m{"SourceParameters": m{"KinesisStreamParameters": m{"DeadLetterConfig": m{"Arn": arn("sqs", "q")}}}}, nil},
		"PipeLogs":            {"AWS::Pipes::Pipe", "pipes", `BucketName is the bucket "foreign"`, m{"LogConfiguration": m{"S3LogDestination": m{"BucketName": "foreign"}}}, m{"LogConfiguration": m{"S3LogDestination": m{"BucketName": m{"Ref": "Bucket"}}}}},
		"PipeBrokers":         {"AWS::Pipes::Pipe", "pipes", "brokers", m{"Source": "smk://b:9092"}, m{"Source": get("Queue", "Arn")}},

		"TopicToQueue":       {"AWS::SNS::Subscription", "topics", "Endpoint names us-east-1", m{"Protocol": "sqs", "Endpoint": arn("sqs", "q")}, nil},
		"SubscriptionRegion": {"AWS::SNS::Subscription", "topics", "Region names us-east-1", m{"Protocol": "sqs", "Endpoint": get("Queue", "Arn"), "Region": "us-east-1"}, nil},
		"Email":              {"AWS::SNS::Subscription", "topics", "sends to email, which may be anywhere", m{"Protocol": "email", "Endpoint": "a@example.com"}, m{"Protocol": "lambda", "Endpoint": get("Queue", "Arn")}},
		"TopicInline":        {"AWS::SNS::Topic", "topics", "Subscription[0].Protocol sends to sms", m{"Subscription": []any{m{"Protocol": "sms", "Endpoint": "+4930"}}}, m{"Subscription": []any{m{"Protocol": "sqs", "Endpoint": get("Queue", "Arn")}}}},
		"TopicAudit":         {"AWS::SNS::Topic", "topics", `Bucket is the bucket "foreign"`, m{"DataProtectionPolicy": m{"Statement": []any{m{"Operation": m{"Audit": m{"FindingsDestination": m{"S3": m{"Bucket": "foreign"}}}}}}}}, m{"DataProtectionPolicy": m{"Statement": []any{m{"Operation": m{"Audit": m{"FindingsDestination": m{"S3": m{"Bucket": "friendly"}}}}}}}}},

		"Distribution":   {"AWS::CloudFront::Distribution", "distributions", "edge locations anywhere", m{}, nil},
		"EdgeLogs":       {"AWS::CloudFront::RealtimeLogConfig", "edge logs", "StreamArn names us-east-1", m{"EndPoints": []any{m{"KinesisStreamConfig": m{"StreamArn": arn("kinesis", "stream/s")}}}}, nil},
		"WebACL":         {"AWS::WAFv2::WebACL", "web ACLs", "CLOUDFRONT", m{"Scope": "CLOUDFRONT"}, m{"Scope": "REGIONAL"}},
		"WebACLLogs":     {"AWS::WAFv2::LoggingConfiguration", "web ACLs", "LogDestinationConfigs[0] names us-east-1", m{"LogDestinationConfigs": []any{arn("firehose", "deliverystream/aws-waf-logs-x")}}, nil},
		"Query":          {"AWS::Athena::WorkGroup", "queries", `OutputLocation is the bucket "foreign"`, m{"WorkGroupConfiguration": m{"ResultConfiguration": m{"OutputLocation": "s3://foreign/results/"}}}, m{"WorkGroupConfiguration": m{"ResultConfiguration": m{"OutputLocation": m{"Fn::Sub": "s3://${Bucket}/results/"}}}}},
		"QueryFree":      {"AWS::Athena::WorkGroup", "queries", "clients choose", m{"WorkGroupConfiguration": m{"EnforceWorkGroupConfiguration": false}}, m{"WorkGroupConfiguration": m{"EnforceWorkGroupConfiguration": true}}},
		"Catalog":        {"AWS::Glue::Table", "catalogs", `Location is the bucket "foreign"`, m{"TableInput": m{"StorageDescriptor": m{"Location": "s3://foreign/t"}}}, m{"TableInput": m{"StorageDescriptor": m{"Location": "s3://friendly/t"}}}},
		"Workflow":       {"AWS::StepFunctions::StateMachine", "workflows", "LogGroupArn names us-east-1", m{"LoggingConfiguration": m{"Destinations": []any{m{"CloudWatchLogsLogGroup": m{"LogGroupArn": arn("logs", "log-group:g:*")}}}}}, nil},
		"WorkflowWriter": {"AWS::StepFunctions::StateMachine", "workflows", `ResultWriter.Parameters.Bucket is the bucket "foreign"`, m{"DefinitionString": `{"States":{"M":{"ResultWriter":{"Parameters":{"Bucket":"foreign"}}}}}`}, m{"DefinitionString": `{"States":{"M":{"ResultWriter":{"Parameters":{"Bucket":"friendly"}}}}}`}},
		"WorkflowWeb":    {"AWS::StepFunctions::StateMachine", "workflows", "web address", m{"DefinitionString": `{"States":{"H":{"Resource":"arn:aws:states:::http:invoke"}}}`}, m{"DefinitionString": `{"States":{"H":{"Resource":"arn:aws:states:::sqs:sendMessage"}}}`}},
		"EdgeAPI":        {"AWS::ApiGateway::RestApi", "APIs", "EDGE, the default", m{}, m{"EndpointConfiguration": m{"Types": []any{"REGIONAL"}}}},
		"APILogs":        {"AWS::ApiGatewayV2::Stage", "APIs", "DestinationArn names us-east-1", m{"AccessLogSettings": m{"DestinationArn": arn("logs", "log-group:g")}}, nil},
		"APIWeb":         {"AWS::ApiGatewayV2::Integration", "APIs", "IntegrationUri is a web address", m{"IntegrationUri": "https://example.com/x"}, m{"IntegrationUri": m{"Fn::Sub": "https://${Queue}.example/"}}},

		"ReplicaKey":     {"AWS::KMS::ReplicaKey", "keys", "PrimaryKeyArn names us-east-1", m{"PrimaryKeyArn": arn("kms", "key/mrk-k")}, nil},
		"MultiRegionKey": {"AWS::KMS::Key", "keys", "replicated to any region", m{"MultiRegion": true}, m{"MultiRegion": false}},
		"SecretReplica":  {"AWS::SecretsManager::Secret", "secrets", "ReplicaRegions[0].Region names us-east-1", m{"ReplicaRegions": []any{m{"Region": "us-east-1"}}}, nil},
		"StackSet":       {"AWS::CloudFormation::StackSet", "nested stacks", "Regions[0] names us-east-1", m{"StackInstancesGroup": []any{m{"Regions": []any{"us-east-1"}}}}, residencyNever},
		"ForeignStack":   {"AWS::CloudFormation::Stack", "nested stacks", "not one of this app's", m{"TemplateURL": "https://example.com/t"}, nil},

		"ParameterReader": {"Custom::CrossRegionStringParameterReader", "CDK's references", "Region names us-east-1", m{"Region": "us-east-1"}, nil},
		"ExportWriter":    {"Custom::CrossRegionExportWriter", "CDK's references", "WriterProps.region names us-east-1", m{"WriterProps": m{"region": "us-east-1"}}, nil},
		"ExportReader":    {"Custom::CrossRegionExportReader", "CDK's references", "comes from Foreign in us-east-1", m{"ReaderProps": m{"imports": m{"/cdk/exports/foreign": "x"}}}, m{"ReaderProps": m{"imports": m{"/cdk/exports/friendly": "x"}}}},
		"ExportLost":      {"Custom::CrossRegionExportReader", "CDK's references", "does not find", m{"ReaderProps": m{"imports": m{"/cdk/exports/lost": "x"}}}, m{"ReaderProps": m{"imports": m{}}}},
		"ExportUsed":      {"AWS::Events::Rule", "buses", "Targets[0].Arn comes from Foreign in us-east-1", m{"Targets": []any{m{"Arn": get("BadExportReader", "/cdk/exports/foreign")}}}, m{"Targets": []any{m{"Arn": get("GoodExportReader", "/cdk/exports/friendly")}}}},
		"ExportInside":    {"AWS::Lambda::Function", "all texts", "Q comes from Foreign in us-east-1", m{"Environment": m{"Variables": m{"Q": get("BadExportReader", "/cdk/exports/foreign")}}}, m{"Environment": m{"Variables": m{"Q": get("GoodExportReader", "/cdk/exports/friendly")}}}},
		"Call":            {"Custom::AWS", "CDK's calls", "Create.region names us-east-1", m{"Create": `{"service":"SSM","action":"putParameter","region":"us-east-1"}`}, m{"Create": `{"service":"SSM","action":"putParameter"}`}},
		"CallBucket":      {"Custom::AWS", "CDK's calls", `Update.parameters.Bucket is the bucket "foreign"`, m{"Update": `{"service":"S3","action":"putObject","parameters":{"Bucket":"foreign"}}`}, m{"Update": `{"service":"S3","action":"putObject","parameters":{"Bucket":"friendly"}}`}},
		"CallOpen":        {"Custom::AWS", "CDK's calls", "no call that the check can read", m{"Create": m{"Fn::Select": []any{0.0, []any{"a"}}}}, m{"Delete": `{"service":"SSM"}`}},
		"Replicas":        {"Custom::ReplicaPolicies", "policies of replicas", "Policies names us-east-1", m{"Policies": m{"us-east-1": m{}}}, m{"Policies": m{"eu-central-1": m{}}}},
		"Retention":       {"Custom::LogRetention", "CDK's helpers", "LogGroupRegion names us-east-1", m{"LogGroupRegion": "us-east-1"}, nil},
		"Upload":          {"Custom::CDKBucketDeployment", "CDK's helpers", `is the bucket "foreign"`, m{"DestinationBucketName": "foreign"}, m{"DestinationBucketName": m{"Ref": "Bucket"}}},
		"QueryLogging":    {"AWS::Route53::HostedZone", "names", "CloudWatchLogsLogGroupArn names us-east-1", m{"QueryLoggingConfig": m{"CloudWatchLogsLogGroupArn": arn("logs", "log-group:g")}}, m{"Name": "example.com"}},
		"Unknown":         {"AWS::Timestream::Table", "unknown types", "does not know", m{}, nil},
		"Custom":          {"AWS::CloudFormation::CustomResource", "unknown types", "does not know", m{}, nil},
		"RoleWithout":     {"AWS::IAM::Role", "roles", "no statement denies", m{}, nil},
	}
}

// residencyPlant makes a resource as a template would have it.
func residencyPlant(stack awscdk.Stack, id, kind string, properties residencyMap) {
	awscdk.NewCfnResource(stack, &id, &awscdk.CfnResourceProps{Type: &kind, Properties: &properties})
}

// residencyElsewhere returns the value with us-east-1 replaced.
func residencyElsewhere(t *testing.T, value residencyMap) (out residencyMap, changed bool) {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.ReplaceAll(string(data), "us-east-1", "eu-central-1")
	if err := json.Unmarshal([]byte(moved), &out); err != nil {
		t.Fatal(err)
	}
	return out, moved != string(data)
}

// Every planted violation has a row of its type's rule, and the same resource
// without it passes by that rule.
func TestResidencyRules(t *testing.T) {
	type m = residencyMap
	stack, r := residencyStack(t, "eu-west-1")
	var app awscdk.App
	jsii.UnsafeCast(stack.Node().Root(), &app)
	for id, region := range map[string]string{"Foreign": "us-east-1", "Friendly": "eu-central-1"} {
		other := awscdk.NewStack(app, &id, &awscdk.StackProps{Env: &awscdk.Environment{Region: &region}})
		residencyPlant(other, "Bucket", "AWS::S3::Bucket", m{"BucketName": strings.ToLower(id)})
		residencyPlant(other, "Writer", "Custom::CrossRegionExportWriter", m{"WriterProps": m{"region": "eu-west-1", "exports": m{"/cdk/exports/" + strings.ToLower(id): "x"}}})
		awscdk.NewCfnOutput(other, jsii.String("Out"), &awscdk.CfnOutputProps{Value: jsii.String("arn:aws:sqs:" + region + ":111122223333:q"), ExportName: &id})
	}
	near := awscdk.NewStack(app, jsii.String("Near"), &awscdk.StackProps{Env: &awscdk.Environment{Region: jsii.String("eu-west-1")}})
	for id, region := range map[string]string{"Friendly": "eu-west-1", "Leads": "us-east-1"} {
		awscdk.NewCfnOutput(near, &id, &awscdk.CfnOutputProps{Value: jsii.String("arn:aws:sqs:" + region + ":111122223333:q"), ExportName: &id})
	}
	residencyPlant(stack, "Queue", "AWS::SQS::Queue", nil)
	residencyPlant(stack, "Bucket", "AWS::S3::Bucket", nil)
	awscdk.NewCfnParameter(stack, jsii.String("Open"), nil)
	awscdk.NewCfnCondition(stack, jsii.String("C"), &awscdk.CfnConditionProps{Expression: awscdk.Fn_ConditionEquals(jsii.String("a"), jsii.String("b"))})
	cases := residencyCases()
	if len(cases) < 40 {
		t.Errorf("%d violations are planted, want at least 40", len(cases))
	}
	for id, tt := range cases {
		residencyPlant(stack, "Bad"+id, tt.kind, tt.bad)
		good, changed := residencyElsewhere(t, tt.bad)
		if tt.good != nil {
			good, changed = tt.good, tt.good["never"] == nil
		}
		if !changed {
			continue
		}
		residencyPlant(stack, "Good"+id, tt.kind, good)
	}
	r.Keep("eu", stack)
	report, failed := residencyReport(t, stack)
	if !failed {
		t.Error("the synth passed")
	}
	rows := map[string][]string{}
	for row := range strings.Lines(report) {
		if _, rest, ok := strings.Cut(row, ": residency: Store/"); ok {
			id, _, _ := strings.Cut(rest, " ")
			rows[id] = append(rows[id], row)
		}
	}
	for id, tt := range cases {
		found := false
		for _, row := range rows["Bad"+id] {
			right := strings.HasPrefix(row, "violated: ") || strings.HasPrefix(row, "not judged: ")
			found = found || right && strings.Contains(row, "rule "+tt.rule+", in eu-west-1: ") && strings.Contains(row, tt.want)
		}
		if !found {
			t.Errorf("%s: no row of rule %s says %q:\n%s", id, tt.rule, tt.want, strings.Join(rows["Bad"+id], ""))
		}
		for _, row := range rows["Good"+id] {
			if !strings.HasPrefix(row, "passed: ") {
				t.Errorf("%s: the right one is refused: %s", id, row)
			}
		}
	}
}

// A stack lies in the wrong region, or in none.
func TestResidencyFindsStacks(t *testing.T) {
	for name, tt := range map[string]struct{ region, want string }{
		"no region":    {"", "has no region"},
		"wrong region": {"us-west-2", "it lies in us-west-2"},
		"us-east-1":    {"us-east-1", "it lies in us-east-1"},
	} {
		t.Run(name, func(t *testing.T) {
			stack, r := residencyStack(t, tt.region)
			residencyPlant(stack, "Planted", "AWS::Logs::LogGroup", nil)
			r.Keep("eu", stack)
			report, failed := residencyReport(t, stack)
			if want := "Store/Planted (AWS::Logs::LogGroup): rule stacks, in "; !failed || !strings.Contains(report, tt.want) || !strings.Contains(report, want) {
				t.Errorf("failed: %t, want %q and %q:\n%s", failed, tt.want, want, report)
			}
		})
	}
}

// What is not marked must not reach into a jurisdiction from outside, nor run
// its code at the edge.
func TestResidencyFindsReachers(t *testing.T) {
	type m = residencyMap
	stack, r := residencyStack(t, "eu-west-1")
	var app awscdk.App
	jsii.UnsafeCast(stack.Node().Root(), &app)
	residencyPlant(stack, "Table", "AWS::DynamoDB::Table", m{"TableName": "readings"})
	residencyPlant(stack, "Bucket", "AWS::S3::Bucket", m{"BucketName": "readings-archive"})
	residencyPlant(stack, "Code", "AWS::Lambda::Function", m{"FunctionName": "decide"})
	residencyPlant(stack, "Version", "AWS::Lambda::Version", m{"FunctionName": "decide"})
	residencyPlant(stack, "Still", "AWS::Lambda::Version", m{"FunctionName": m{"Ref": "Code"}})
	r.Keep("eu", stack)
	plant := func(id, region string) {
		other := awscdk.NewStack(app, &id, &awscdk.StackProps{Env: &awscdk.Environment{Region: &region}})
		residencyPlant(other, "Table", "AWS::Lambda::Function", m{"Environment": m{"Variables": m{"T": "arn:aws:dynamodb:eu-west-1:1:table/readings/stream/x"}}})
		residencyPlant(other, "Archive", "AWS::IAM::Policy", m{"PolicyDocument": m{"Statement": []any{m{"Resource": "arn:aws:s3:::readings-archive/*"}}}})
		residencyPlant(other, "Similar", "AWS::Lambda::Function", m{"Environment": m{"Variables": m{"A": "arn:aws:dynamodb:eu-west-1:1:table/readings2", "B": "arn:aws:s3:::readings-archive.old", "C": "arn:aws:dynamodb:us-east-1:1:table/readings"}}})
		residencyPlant(other, "Edge", "AWS::CloudFront::Distribution", m{"DistributionConfig": m{"DefaultCacheBehavior": m{"LambdaFunctionAssociations": []any{m{"LambdaFunctionARN": "arn:aws:lambda:us-east-1:1:function:decide:3"}}}}})
	}
	plant("Outside", "us-east-1")
	plant("Inside", "eu-central-1")
	report, failed := residencyReport(t, stack)
	if !failed {
		t.Error("the synth passed")
	}
	for want, times := range map[string]int{
		"violated: residency: Outside/Table (AWS::Lambda::Function): rule readers elsewhere, in us-east-1: Environment.Variables.T names Store/Table": 1,
		"violated: residency: Outside/Archive (AWS::IAM::Policy): rule readers elsewhere":                                                             1,
		"violated: residency: Store/Version (AWS::Lambda::Version): rule edge functions, in eu-west-1: Outside/Edge runs it at the edge":              1,
		"/Similar ": 0, "Inside/Table ": 0, "passed: residency: Store/Still ": 1,
	} {
		if got := strings.Count(report, want); got != times {
			t.Errorf("%d rows have %q, want %d:\n%s", got, want, times, report)
		}
	}
}

func TestResidencyPassesCleanApp(t *testing.T) {
	stack, r := residencyStack(t, "eu-west-1")
	awssqs.NewQueue(awscdk.NewNestedStack(stack, jsii.String("Nested"), nil), jsii.String("Q"), nil)
	awsiam.NewRole(stack, jsii.String("Role"), &awsiam.RoleProps{AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
	awscdk.NewCfnResource(stack, jsii.String("Odd"), &awscdk.CfnResourceProps{Type: jsii.String("AWS::Timestream::Table")})
	r.Keep("eu", stack)
	r.Acknowledge("Store/Odd", "it holds counts only")
	report, failed := residencyReport(t, stack)
	if failed {
		t.Fatalf("the synth failed:\n%s", report)
	}
	for _, want := range []string{"passed: residency: Store/Nested/", "acknowledged: it holds counts only"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
}

func TestResidencyReport(t *testing.T) {
	stack, r := residencyStack(t, "eu-west-1")
	awscdk.NewCfnResource(stack, jsii.String("Right"), &awscdk.CfnResourceProps{Type: jsii.String("AWS::SQS::Queue")})
	awscdk.NewCfnResource(stack, jsii.String("Wrong"), &awscdk.CfnResourceProps{Type: jsii.String("AWS::Pipes::Pipe"),
		Properties: &map[string]any{"Target": "arn:aws:sqs:us-east-1:111122223333:q"}})
	r.Keep("eu", stack)
	got, _ := residencyReport(t, stack)
	want := `passed: residency: Store/Right (AWS::SQS::Queue): rule queues, in eu-west-1: it lies here and names no other region; data of "eu" may lie in eu-central-1, eu-west-1
violated: residency: Store/Wrong (AWS::Pipes::Pipe): rule pipes, in eu-west-1: Target names us-east-1; data of "eu" may lie in eu-central-1, eu-west-1; remove it, or name an allowed region
`
	if got != want {
		t.Errorf("the report is\n%s\nwant\n%s", got, want)
	}
}

// What is made after Keep has the statement in its own role; a role that is not
// this module's is named.
func TestResidencyKeepsWhatIsToCome(t *testing.T) {
	stack, r := residencyStack(t, "eu-west-1")
	r.Keep("eu", stack)
	answers(stack, "Later")
	awsiam.NewRole(stack, jsii.String("Foreign"), &awsiam.RoleProps{AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
	other := construct.NewStack(stack.Node().Root().(constructs.Construct), "Elsewhere", &awscdk.StackProps{Env: &awscdk.Environment{Region: jsii.String("eu-west-1")}})
	answers(other, "Unmarked")
	report, failed := residencyReport(t, stack)
	if !failed || strings.Count(report, "no statement denies it other regions") != 1 ||
		!strings.Contains(report, "violated: residency: Store/Foreign10987019 (AWS::IAM::Role): rule roles") ||
		!strings.Contains(report, "passed: residency: Store/LaterRoleBFB84EE3 (AWS::IAM::Role): rule roles") {
		t.Errorf("failed: %t\n%s", failed, report)
	}
}

// A stage can be kept before its stacks are made.
func TestResidencyKeepsAStage(t *testing.T) {
	app := cdktest.NewApp(t)
	r := edge.NewResidency(app, "Residency", &edge.ResidencyProps{Jurisdictions: map[string][]string{"eu": {"eu-west-1"}}})
	stage := awscdk.NewStage(app, jsii.String("Prod"), nil)
	r.Keep("eu", stage)
	stack := awscdk.NewStack(stage, jsii.String("Store"), &awscdk.StackProps{Env: &awscdk.Environment{Region: jsii.String("eu-west-1")}})
	answers(stack, "Later")
	report, failed := residencyReport(t, stack)
	if failed || !strings.Contains(report, "passed: residency: Prod/Store/LaterRoleBFB84EE3 (AWS::IAM::Role): rule roles") {
		t.Errorf("failed: %t\n%s", failed, report)
	}
}

// A statement that spares a region which is not allowed, or an action or a
// resource, is none.
func TestResidencyRefusesAnotherStatement(t *testing.T) {
	for _, tt := range []struct {
		action, resource string
		spared           any
		refused          bool
	}{
		{"*", "*", "eu-west-1", false},
		{"*", "*", []string{"eu-west-1"}, false},
		{"*", "*", []string{"eu-west-1", "eu-central-1"}, false},
		{"*", "*", "us-east-1", true},
		{"*", "*", []string{"eu-west-1", "us-east-1"}, true},
		{"s3:*", "*", "eu-west-1", true},
		{"*", "arn:aws:s3:::readings/*", "eu-west-1", true},
	} {
		stack, r := residencyStack(t, "eu-west-1")
		r.Keep("eu", stack)
		role := awsiam.NewRole(stack, jsii.String("Foreign"), &awsiam.RoleProps{AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
		role.AddToPolicy(awsiam.PolicyStatement_FromJson(map[string]any{"Effect": "Deny", "Action": tt.action, "Resource": tt.resource,
			"Condition": map[string]any{"StringNotEquals": map[string]any{"aws:RequestedRegion": tt.spared}}}))
		report, _ := residencyReport(t, stack)
		if strings.Contains(report, "no statement denies it other regions") != tt.refused {
			t.Errorf("%+v:\n%s", tt, report)
		}
	}
}

// Two systems of an app may each have one.
func TestResidencyReportsOfTwo(t *testing.T) {
	stack, r := residencyStack(t, "eu-west-1")
	second := edge.NewResidency(stack.Node().Root().(constructs.Construct), "Second", &edge.ResidencyProps{Jurisdictions: map[string][]string{"us": {"us-east-2"}}})
	other := awscdk.NewStack(stack.Node().Root().(constructs.Construct), jsii.String("Other"), &awscdk.StackProps{Env: &awscdk.Environment{Region: jsii.String("us-east-2")}})
	r.Keep("eu", stack)
	second.Keep("us", other)
	answers(stack, "Take")
	answers(other, "Take")
	report, failed := residencyReport(t, stack)
	further, err := os.ReadFile(filepath.Join(cdktest.Outdir(stack), "residency-Second-report.txt"))
	if failed || err != nil || !strings.Contains(report, "Store/Take") || strings.Contains(report, "Other/") || !strings.Contains(string(further), "Other/Take") {
		t.Errorf("failed: %t, error %v\n%s\n%s", failed, err, report, further)
	}
}

// An app can be kept as a whole.
func TestResidencyKeepsAnApp(t *testing.T) {
	app := cdktest.NewApp(t)
	r := edge.NewResidency(app, "Residency", &edge.ResidencyProps{Jurisdictions: map[string][]string{"eu": {"eu-west-1"}}})
	r.Keep("eu", app)
	stack := construct.NewStack(app, "Store", &awscdk.StackProps{Env: &awscdk.Environment{Region: jsii.String("us-east-2")}})
	answers(stack, "Later")
	report, failed := residencyReport(t, stack)
	if !failed || strings.Contains(report, "no statement denies") || !strings.Contains(report, "Store/LaterRoleBFB84EE3 (AWS::IAM::Role): rule stacks, in us-east-2: it lies in us-east-2") {
		t.Errorf("failed: %t\n%s", failed, report)
	}
}

// Jurisdictions that lie in one another both hold, and a role has the statement
// of each once, however often it is kept.
func TestResidencyKeepsTwice(t *testing.T) {
	app := cdktest.NewApp(t)
	r := edge.NewResidency(app, "Residency", &edge.ResidencyProps{Jurisdictions: map[string][]string{
		"eu": {"eu-west-1", "eu-central-1"}, "de": {"eu-central-1"}}})
	stack := awscdk.NewStack(app, jsii.String("Store"), &awscdk.StackProps{Env: &awscdk.Environment{Region: jsii.String("eu-central-1")}})
	inner := constructs.NewConstruct(stack, jsii.String("Inner"))
	r.Keep("de", inner)
	r.Keep("eu", stack)
	answers(inner, "Later")
	r.Keep("eu", stack)
	r.Keep("de", inner)
	template := cdktest.Synth(t, stack)
	if text := defaults.JSON(template); strings.Count(text, `"aws:RequestedRegion"`) != 2 {
		t.Errorf("the role denies other regions not once for each jurisdiction: %s", text)
	}
	role := iam.NewSynthesized(t, template, "123456789012", "eu-central-1").Role("InnerLaterRole")
	if len(role.Policies) != 3 {
		t.Errorf("the role has %d policies, want its own and one for each jurisdiction", len(role.Policies))
	}
}

func TestResidencyDeniesOtherRegions(t *testing.T) {
	stack, r := residencyStack(t, "eu-west-1")
	role := awsiam.NewRole(stack, jsii.String("Role"), &awsiam.RoleProps{AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
	role.AddToPolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: jsii.Strings("*"), Resources: jsii.Strings("*")}))
	r.Keep("eu", stack)
	answers(stack, "Later").AddToPolicy([]string{"*"}, "*")
	synthesized := iam.NewSynthesized(t, cdktest.Synth(t, stack), "123456789012", "eu-west-1")
	for _, tt := range []struct {
		action, region string
		want           bool
	}{{"s3:PutObject", "eu-west-1", true}, {"s3:PutObject", "us-east-1", false}, {"sqs:SendMessage", "eu-north-1", false}, {"route53:ListHostedZones", "us-east-1", true}} {
		for _, role := range []string{"Role", "LaterRole"} {
			d := iam.Evaluate(iam.Request{Action: tt.action, Resource: "*", Context: iam.Context{"aws:RequestedRegion": {tt.region}}},
				iam.Policies{Identity: synthesized.Role(role).Policies})
			if d.Allowed != tt.want {
				t.Errorf("%s: %s in %s: %s", role, tt.action, tt.region, d.Reason)
			}
		}
	}
}

// Roles of two jurisdictions are each kept in their own regions.
func TestResidencyDeniesByJurisdiction(t *testing.T) {
	app := cdktest.NewApp(t)
	regions := map[string][]string{"eu": {"eu-west-1"}, "us": {"us-east-2"}}
	r := edge.NewResidency(app, "Residency", &edge.ResidencyProps{Jurisdictions: regions})
	stacks := map[string]awscdk.Stack{}
	for name, in := range regions {
		stacks[name] = awscdk.NewStack(app, jsii.String("Store-"+name), &awscdk.StackProps{Env: &awscdk.Environment{Region: &in[0]}})
		for _, id := range []string{"Reader", "Writer"} {
			awsiam.NewRole(stacks[name], &id, &awsiam.RoleProps{AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
		}
		r.Keep(name, stacks[name])
	}
	for name, stack := range stacks {
		policies := cdktest.Synth(t, stack).Resources("AWS::IAM::Policy")
		if len(policies) != 2 {
			t.Errorf("%d roles of %q are denied other regions, want 2", len(policies), name)
		}
		for _, p := range policies {
			if text := fmt.Sprint(p.Properties["PolicyDocument"]); !strings.Contains(text, "aws:RequestedRegion:["+regions[name][0]+"]") {
				t.Errorf("%s of %q has %s, want its regions spared", p.ID, name, text)
			}
		}
	}
}

func TestResidencyIsConstruct(t *testing.T) {
	stack := regionalStack(t, "eu-west-1")
	cdktest.IsConstruct(t, edge.NewResidency(stack, "Residency", &edge.ResidencyProps{Jurisdictions: map[string][]string{"eu": {"eu-west-1"}}}))
}

func TestResidencyRejects(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.Rejects(t, func() { edge.NewResidency(stack, "None", nil) }, "Test/None: wrong props", "Jurisdictions is empty")
	cdktest.Rejects(t, func() {
		edge.NewResidency(stack, "Bad", &edge.ResidencyProps{Jurisdictions: map[string][]string{"a": {"europe"}, "b": {"eu-west-1", "cn-north-1"}, "the eu": {"eu-west-1"}}})
	}, `is "europe"`, `is "the eu"`, "regions of one partition")
	_, r := residencyStack(t, "")
	cdktest.Rejects(t, func() { r.Keep("us") }, `jurisdiction is "us"; allowed is eu`)
	cdktest.Rejects(t, func() { r.Acknowledge("Store/Q", "") }, "reason is")
}

func ExampleNewResidency() {
	app := awscdk.NewApp(nil)
	residency := edge.NewResidency(app, "Residency", &edge.ResidencyProps{
		Jurisdictions: map[string][]string{"eu": {"eu-west-1", "eu-central-1"}},
	})
	readings := awscdk.NewStack(app, jsii.String("Readings"), &awscdk.StackProps{Env: &awscdk.Environment{Region: jsii.String("eu-west-1")}})
	residency.Keep("eu", readings)
}
