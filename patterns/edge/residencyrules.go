package edge

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/serverless-go/cdk/internal/regionname"
)

// residencyRule says where the resources of some types keep, take and send
// data. Properties are paths such as "Targets[].Arn"; "**" stands for any way.
type residencyRule struct {
	name    string
	types   []string
	regions []string                        // properties that name regions
	places  []string                        // properties that name where data comes from or goes to
	buckets []string                        // of places, those that may be a bucket's plain name
	outside map[string]string               // properties that lead to where the check cannot see, and why
	more    func(subject *residencyInquiry) // what properties alone don't say
}

// residencyRules are the types that the check knows. Which properties name
// regions and destinations is in the reference of each type:
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
var residencyRules = []residencyRule{
	{
		name: "tables", types: []string{"AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"},
		regions: []string{"Replicas[].Region", "GlobalTableWitnesses[].Region"},
		places: []string{"KinesisStreamSpecification.StreamArn", "Replicas[].KinesisStreamSpecification.StreamArn",
			"ImportSourceSpecification.S3BucketSource.S3Bucket", "GlobalTableSourceArn"},
		buckets: []string{"ImportSourceSpecification.S3BucketSource.S3Bucket"},
	},
	{
		name: "policies of replicas", types: []string{"Custom::ReplicaPolicies"}, // GlobalStore's own
		more: func(s *residencyInquiry) {
			policies, _ := s.value("Policies").(map[string]any)
			for _, region := range slices.Sorted(maps.Keys(policies)) {
				s.region("Policies", region)
			}
		},
	},
	{
		name: "buckets", types: []string{"AWS::S3::Bucket", "AWS::S3::MultiRegionAccessPoint", "AWS::S3::StorageLens"},
		places: []string{"ReplicationConfiguration.Rules[].Destination.Bucket", "LoggingConfiguration.DestinationBucketName",
			"InventoryConfigurations[].Destination.BucketArn", "AnalyticsConfigurations[].StorageClassAnalysis.DataExport.Destination.BucketArn",
			"ReplicationConfiguration.Rules[].Destination.EncryptionConfiguration.ReplicaKmsKeyID", "NotificationConfiguration.**.Queue",
			"NotificationConfiguration.**.Topic", "NotificationConfiguration.**.Function", "Regions[].Bucket",
			"StorageLensConfiguration.DataExport.S3BucketDestination.Arn"},
		buckets: []string{"LoggingConfiguration.DestinationBucketName", "Regions[].Bucket"},
		more: func(s *residencyInquiry) {
			if s.text("AccelerateConfiguration.AccelerationStatus") == "Enabled" {
				s.unclear("AccelerateConfiguration takes uploads in at edge locations, which may be anywhere")
			}
		},
	},
	{
		name: "backups", types: []string{"AWS::Backup::BackupPlan", "AWS::Backup::BackupVault", "AWS::Backup::LogicallyAirGappedBackupVault",
			"AWS::Backup::ReportPlan", "AWS::Backup::RestoreTestingPlan", "AWS::DLM::LifecyclePolicy"},
		regions: []string{"ReportSetting.Regions[]", "PolicyDetails.Schedules[].CrossRegionCopyRules[].TargetRegion",
			"PolicyDetails.Schedules[].CrossRegionCopyRules[].Target", "PolicyDetails.Actions[].CrossRegionCopy[].Target",
			"CrossRegionCopyTargets[].TargetRegion", "PolicyDetails.CrossRegionCopyTargets[].TargetRegion"},
		places: []string{"BackupPlan.BackupPlanRule[].CopyActions[].DestinationBackupVaultArn",
			"BackupPlan.BackupPlanRule[].TargetLogicallyAirGappedBackupVaultArn", "Notifications.SNSTopicArn", "EncryptionKeyArn",
			"ReportDeliveryChannel.S3BucketName"},
		buckets: []string{"ReportDeliveryChannel.S3BucketName"},
	},
	{
		name: "databases", types: []string{"AWS::RDS::DBInstance", "AWS::RDS::DBCluster"},
		regions: []string{"AutomaticBackupReplicationRegion", "SourceRegion"},
		places:  []string{"ReplicationSourceIdentifier", "SourceDBInstanceIdentifier", "AutomaticBackupReplicationKmsKeyId"},
		outside: map[string]string{"GlobalClusterIdentifier": "a global cluster may have members in any region"},
	},
	{
		name: "logs", types: []string{"AWS::Logs::LogGroup", "AWS::Logs::SubscriptionFilter", "AWS::Logs::Destination", "AWS::Logs::DeliveryDestination",
			"AWS::Logs::Delivery", "AWS::Logs::DeliverySource", "AWS::Logs::AccountPolicy", "AWS::CloudWatch::MetricStream", "AWS::EC2::FlowLog",
			"AWS::Route53Resolver::ResolverQueryLoggingConfig", "AWS::CloudTrail::Trail"},
		places: []string{"DestinationArn", "TargetArn", "DestinationResourceArn", "DeliveryDestinationArn", "ResourceArn", "FirehoseArn",
			"LogDestination", "S3BucketName", "CloudWatchLogsLogGroupArn"},
		buckets: []string{"S3BucketName"},
		more: func(s *residencyInquiry) {
			if s.resource.Type == "AWS::Logs::AccountPolicy" {
				s.document("PolicyDocument", "**.DestinationArn")
			}
			if s.resource.Type == "AWS::CloudTrail::Trail" && s.value("IsMultiRegionTrail") == true {
				s.unclear("IsMultiRegionTrail collects from all regions")
			}
		},
	},
	{
		name: "queues", types: []string{"AWS::SQS::Queue"},
		places: []string{"RedrivePolicy.deadLetterTargetArn", "RedriveAllowPolicy.sourceQueueArns[]"},
	},
	{
		name: "streams", types: []string{"AWS::Kinesis::Stream", "AWS::Kinesis::StreamConsumer", "AWS::KinesisFirehose::DeliveryStream"},
		places: []string{"StreamARN", "**.BucketARN", "**.KinesisStreamARN", "**.DomainARN", "**.CollectionEndpoint", "**.CatalogARN", "**.MSKClusterARN",
			"**.AWSKMSKeyARN", "**.LambdaArn"},
		outside: map[string]string{
			"HttpEndpointDestinationConfiguration": "it sends to a web address, which may be anywhere",
			"SplunkDestinationConfiguration":       "it sends to Splunk, which may be anywhere",
			"SnowflakeDestinationConfiguration":    "it sends to Snowflake, which may be anywhere",
			"DatabaseSourceConfiguration":          "it reads a database, which may be anywhere",
		},
		more: func(s *residencyInquiry) {
			if url := s.text("RedshiftDestinationConfiguration.ClusterJDBCURL"); url != "" && len(regionname.Mentioned(url)) == 0 {
				s.unclear("RedshiftDestinationConfiguration.ClusterJDBCURL names no region")
			}
		},
	},
	{
		name: "stream consumers", types: []string{"AWS::Lambda::EventSourceMapping"},
		places:  []string{"EventSourceArn", "DestinationConfig.OnFailure.Destination"},
		outside: map[string]string{"SelfManagedEventSource": "it reads brokers, which may be anywhere"},
	},
	{
		name: "functions", types: []string{"AWS::Lambda::Function", "AWS::Lambda::EventInvokeConfig"},
		places: []string{"DeadLetterConfig.TargetArn", "FileSystemConfigs[].Arn", "DestinationConfig.OnSuccess.Destination", "DestinationConfig.OnFailure.Destination"},
	},
	{
		name: "archives", types: []string{"AWS::Events::Archive"}, places: []string{"SourceArn"},
	},
	{
		name: "buses", types: []string{"AWS::Events::EventBus", "AWS::Events::Rule", "AWS::Events::Endpoint", "AWS::Scheduler::Schedule"},
		regions: []string{"RoutingConfig.FailoverConfig.Secondary.Route"},
		places: []string{"DeadLetterConfig.Arn", "Targets[].Arn", "Targets[].DeadLetterConfig.Arn", "EventBuses[].EventBusArn",
			"Target.Arn", "Target.DeadLetterConfig.Arn"},
	},
	{
		name: "web addresses", types: []string{"AWS::Events::ApiDestination", "AWS::Events::Connection"},
		outside: map[string]string{"InvocationEndpoint": "it sends to a web address, which may be anywhere"},
	},
	{
		name: "pipes", types: []string{"AWS::Pipes::Pipe"},
		places: []string{"Source", "Enrichment", "Target", "**.DeadLetterConfig.Arn", "LogConfiguration.S3LogDestination.BucketName",
			"LogConfiguration.CloudwatchLogsLogDestination.LogGroupArn", "LogConfiguration.FirehoseLogDestination.DeliveryStreamArn"},
		buckets: []string{"LogConfiguration.S3LogDestination.BucketName"},
		more: func(s *residencyInquiry) {
			if strings.HasPrefix(s.text("Source"), "smk://") {
				s.unclear("Source are brokers, which may be anywhere")
			}
		},
	},
	{
		name: "topics", types: []string{"AWS::SNS::Topic", "AWS::SNS::Subscription"},
		regions: []string{"Region"},
		places:  []string{"RedrivePolicy.deadLetterTargetArn", "SubscriptionRoleArn", "TopicArn", "DataProtectionPolicy.**.Bucket", "DataProtectionPolicy.**.DeliveryStream"},
		buckets: []string{"DataProtectionPolicy.**.Bucket"},
		more: func(s *residencyInquiry) {
			s.subscription("", s.text("Protocol"))
			for i := range s.list("Subscription") {
				s.subscription("Subscription["+strconv.Itoa(i)+"].", s.text("Subscription["+strconv.Itoa(i)+"].Protocol"))
			}
		},
	},
	{
		name: "edge functions", types: []string{"AWS::Lambda::Version"},
		more: func(s *residencyInquiry) {
			for _, d := range s.check.distributions(s.resource) {
				s.wrong(d+" runs it at the edge: Lambda@Edge copies it to many regions, where it sees requests and writes logs",
					"decide at the edge without this data")
			}
		},
	},
	{
		name: "distributions", types: []string{"AWS::CloudFront::Distribution"},
		places:  []string{"DistributionConfig.Logging.Bucket"},
		buckets: []string{"DistributionConfig.Logging.Bucket"},
		more: func(s *residencyInquiry) {
			for _, f := range s.find("DistributionConfig.**.LambdaFunctionARN") {
				s.wrong(f.path+" is Lambda@Edge, which runs and writes logs in many regions", "use a CloudFront Function, which sees no body")
			}
			s.unclear("edge locations anywhere see its requests and keep its answers")
		},
	},
	{
		name: "edge logs", types: []string{"AWS::CloudFront::RealtimeLogConfig"},
		places: []string{"EndPoints[].KinesisStreamConfig.StreamArn"},
	},
	{
		name: "web ACLs", types: []string{"AWS::WAFv2::WebACL", "AWS::WAFv2::LoggingConfiguration", "AWS::WAFv2::WebACLAssociation",
			"AWS::WAFv2::IPSet", "AWS::WAFv2::RegexPatternSet", "AWS::WAFv2::RuleGroup"},
		places: []string{"LogDestinationConfigs[]"},
		more: func(s *residencyInquiry) {
			if s.text("Scope") == "CLOUDFRONT" {
				s.unclear("Scope is CLOUDFRONT: it keeps samples of requests in us-east-1")
			}
		},
	},
	{
		name: "queries", types: []string{"AWS::Athena::WorkGroup"},
		places: []string{"WorkGroupConfiguration.ResultConfiguration.OutputLocation", "WorkGroupConfigurationUpdates.ResultConfigurationUpdates.OutputLocation",
			"WorkGroupConfiguration.MonitoringConfiguration.S3LoggingConfiguration.LogLocation"},
		more: func(s *residencyInquiry) {
			// The type's own default is that clients may not choose.
			if s.value("WorkGroupConfiguration.EnforceWorkGroupConfiguration") == false {
				s.unclear("EnforceWorkGroupConfiguration is false: clients choose where results go")
			}
		},
	},
	{
		name: "catalogs", types: []string{"AWS::Glue::Database", "AWS::Glue::Table", "AWS::Glue::Partition", "AWS::Glue::Crawler", "AWS::Glue::Job",
			"AWS::Glue::Connection"},
		regions: []string{"DatabaseInput.TargetDatabase.Region", "TableInput.TargetTable.Region"},
		places: []string{"DatabaseInput.LocationUri", "TableInput.StorageDescriptor.Location", "PartitionInput.StorageDescriptor.Location",
			"Targets.S3Targets[].Path", "DefaultArguments.--TempDir", "DefaultArguments.--spark-event-logs-path"},
		outside: map[string]string{"ConnectionInput.ConnectionProperties.JDBC_CONNECTION_URL": "it connects to a database, which may be anywhere"},
	},
	{
		name: "workflows", types: []string{"AWS::StepFunctions::StateMachine"},
		places: []string{"LoggingConfiguration.Destinations[].CloudWatchLogsLogGroup.LogGroupArn"},
		more: func(s *residencyInquiry) {
			for _, p := range []string{"DefinitionString", "Definition"} {
				s.document(p, "**.ResultWriter.Parameters.Bucket", "**.ResultWriter.Arguments.Bucket", "**.ItemReader.Parameters.Bucket", "**.ItemReader.Arguments.Bucket")
			}
			if strings.Contains(s.text("DefinitionString"), ":states:::http:invoke") {
				s.unclear("DefinitionString calls a web address, which may be anywhere")
			}
		},
	},
	{
		name: "keys", types: []string{"AWS::KMS::Key", "AWS::KMS::ReplicaKey"},
		places: []string{"PrimaryKeyArn"},
		more: func(s *residencyInquiry) {
			if s.value("MultiRegion") == true {
				s.wrong("the key can be replicated to any region", "make a key of one region")
			}
		},
	},
	{
		name: "secrets", types: []string{"AWS::SecretsManager::Secret", "AWS::SecretsManager::RotationSchedule"},
		regions: []string{"ReplicaRegions[].Region"}, places: []string{"RotationLambdaARN"},
	},
	{
		name: "APIs", types: []string{"AWS::ApiGateway::RestApi", "AWS::ApiGateway::DomainName", "AWS::ApiGateway::Stage", "AWS::ApiGatewayV2::Stage",
			"AWS::ApiGateway::Method", "AWS::ApiGatewayV2::Integration"},
		places: []string{"AccessLogSetting.DestinationArn", "AccessLogSettings.DestinationArn"},
		more: func(s *residencyInquiry) {
			if t := s.resource.Type; t == "AWS::ApiGateway::RestApi" || t == "AWS::ApiGateway::DomainName" {
				kinds := s.list("EndpointConfiguration.Types")
				if len(kinds) == 0 || slices.Contains(kinds, any("EDGE")) {
					s.unclear("EndpointConfiguration is EDGE, the default: edge locations anywhere see its requests")
				}
			}
			for _, p := range []string{"IntegrationUri", "Integration.Uri"} {
				if strings.HasPrefix(s.text(p), "http") {
					s.place(p, s.value(p), false)
				}
			}
		},
	},
	{
		name: "CDK's references", types: []string{"Custom::CrossRegionExportWriter", "Custom::CrossRegionExportReader", "Custom::CrossRegionStringParameterReader"},
		regions: []string{"WriterProps.region", "Region"},
		more: func(s *residencyInquiry) {
			imports, _ := s.value("ReaderProps.imports").(map[string]any)
			for name := range imports {
				s.reader("ReaderProps.imports", s.resource, name)
			}
		},
	},
	{
		name: "CDK's calls", types: []string{"Custom::AWS"},
		more: func(s *residencyInquiry) {
			for _, p := range []string{"Create", "Update", "Delete"} {
				if s.value(p) == nil {
					continue
				}
				call, ok := s.json(p).(map[string]any)
				if !ok || s.text(p) == "" {
					s.unclear(p + " is no call that the check can read")
					continue
				}
				if region, ok := call["region"].(string); ok {
					s.region(p+".region", region)
				}
				s.document(p, "parameters.Bucket")
			}
		},
	},
	{
		name: "CDK's helpers", types: []string{"Custom::S3AutoDeleteObjects", "Custom::S3BucketNotifications", "Custom::LogRetention", "Custom::CDKBucketDeployment"},
		regions: []string{"LogGroupRegion"}, places: []string{"DestinationBucketName", "SourceBucketNames[]", "NotificationConfiguration.**.QueueArn",
			"NotificationConfiguration.**.TopicArn", "NotificationConfiguration.**.LambdaFunctionArn"},
		buckets: []string{"DestinationBucketName"},
	},
	{
		name: "nested stacks", types: []string{"AWS::CloudFormation::Stack", "AWS::CloudFormation::StackSet"},
		regions: []string{"StackInstancesGroup[].Regions[]"},
		more: func(s *residencyInquiry) {
			if s.resource.Type == "AWS::CloudFormation::StackSet" || !s.check.nested(s.resource) {
				s.unclear("its template is not one of this app's")
			}
		},
	},
	{
		// Names and addresses only, which anybody can look up.
		name: "names", types: []string{"AWS::Route53::RecordSet", "AWS::Route53::RecordSetGroup", "AWS::Route53::HealthCheck", "AWS::Route53::HostedZone",
			"AWS::CertificateManager::Certificate", "AWS::CDK::Metadata"},
		places: []string{"QueryLoggingConfig.CloudWatchLogsLogGroupArn"},
	},
}

// webHost is the host of a URL.
var webHost = regexp.MustCompile(`^https?://([^/:]+)`)

// residencyByType finds a type's rule.
var residencyByType = func() map[string]*residencyRule {
	all := map[string]*residencyRule{}
	for i := range residencyRules {
		for _, t := range residencyRules[i].types {
			all[t] = &residencyRules[i]
		}
	}
	return all
}()

// apply asks the rule's questions.
func (r *residencyRule) apply(s *residencyInquiry) {
	for _, p := range r.regions {
		for _, f := range s.find(p) {
			s.region(f.path, f.value)
		}
	}
	for _, p := range r.places {
		for _, f := range s.find(p) {
			s.place(f.path, f.value, slices.Contains(r.buckets, p))
		}
	}
	for p, why := range r.outside {
		if len(s.find(p)) > 0 {
			s.unclear(p + ": " + why)
		}
	}
	if r.more != nil {
		r.more(s)
	}
}

// subscription judges where a subscription delivers.
func (s *residencyInquiry) subscription(prefix, protocol string) {
	switch protocol {
	case "":
	case "sqs", "lambda", "firehose":
		s.place(prefix+"Endpoint", s.value(prefix+"Endpoint"), false)
	default:
		s.unclear(prefix + "Protocol sends to " + protocol + ", which may be anywhere")
	}
}

// document judges places in a property that is JSON, as text or as it is.
func (s *residencyInquiry) document(property string, places ...string) {
	for _, p := range places {
		for _, f := range residencyFind(s.json(property), p, property) {
			s.place(f.path, f.value, strings.HasSuffix(p, "Bucket"))
		}
	}
}

// json returns a property that is JSON, as text or as it is.
func (s *residencyInquiry) json(property string) any {
	value := s.value(property)
	if text, ok := value.(string); ok {
		var parsed any
		if json.Unmarshal([]byte(text), &parsed) == nil {
			return parsed
		}
	}
	return value
}
