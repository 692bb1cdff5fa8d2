package summary

import (
	"fmt"

	"github.com/serverless-go/cdk/patterns/prices"
)

// kind is what the summary knows of a type of resources. Without an estimate
// and without a reason why there is none, resources of the type are free, or
// what they cost is another's cost.
type kind struct {
	name     string // for one of them
	connects bool   // others: not worth a mention of its own
	estimate func(*calculation, []resource)
	unpriced string // why there is no estimate
}

var kinds = map[string]kind{
	"AWS::ApiGatewayV2::Api":           {name: "API", estimate: apis},
	"AWS::CloudWatch::Alarm":           {name: "alarm", estimate: alarms},
	"AWS::DynamoDB::GlobalTable":       {name: "table", estimate: tables},
	"AWS::DynamoDB::Table":             {name: "table", estimate: tables},
	"AWS::EC2::VPCEndpoint":            {name: "VPC endpoint", estimate: endpoints},
	"AWS::Events::Archive":             {name: "event archive", estimate: every("event archive", archived)},
	"AWS::Events::EventBus":            {name: "event bus", estimate: every("event bus", onBus)},
	"AWS::KMS::Key":                    {name: "key", estimate: every("key", keyed)},
	"AWS::KMS::ReplicaKey":             {name: "key", estimate: every("key", keyed)},
	"AWS::Lambda::Alias":               {name: "function alias", connects: true, estimate: aliases},
	"AWS::Lambda::Function":            {name: "function", estimate: functions},
	"AWS::Logs::LogGroup":              {name: "log group", estimate: every("log group", logged)},
	"AWS::Neptune::DBCluster":          {name: "graph cluster", estimate: graphs},
	"AWS::Pipes::Pipe":                 {name: "pipe", estimate: every("pipe", piped)},
	"AWS::S3::Bucket":                  {name: "bucket", estimate: every("bucket", stored)},
	"AWS::SNS::Topic":                  {name: "topic", estimate: every("topic", published)},
	"AWS::SQS::Queue":                  {name: "queue", estimate: queues},
	"AWS::Scheduler::Schedule":         {name: "schedule", estimate: every("schedule", scheduled)},
	"AWS::StepFunctions::StateMachine": {name: "state machine", estimate: machines},

	"AWS::ApplicationAutoScaling::ScalableTarget": {name: "scalable target", unpriced: "what it provisions follows a schedule or the load: see package planner"},
	"AWS::Athena::WorkGroup":                      {name: "work group", unpriced: "charged by the TB that queries read"},
	"AWS::CertificateManager::Certificate":        {name: "certificate"},
	"AWS::CloudFront::Distribution":               {name: "distribution", unpriced: "charged by request and by the GB sent"},
	"AWS::CloudWatch::AnomalyDetector":            {name: "anomaly model"}, // charged with its alarm
	"AWS::CloudWatch::Dashboard":                  {name: "dashboard", unpriced: "its price is not in the table"},
	"AWS::CloudFront::Function":                   {name: "edge function", unpriced: "charged by the million invocations"},
	"AWS::CloudFront::KeyValueStore":              {name: "key-value store", unpriced: "charged by the million reads"},
	"AWS::Events::Endpoint":                       {name: "global endpoint", unpriced: "its price is not in the table"},
	"AWS::Lambda::LayerVersion":                   {name: "layer", connects: true},
	"AWS::Lambda::Url":                            {name: "function URL"},
	"AWS::Route53::HealthCheck":                   {name: "health check", unpriced: "its price is not in the table"},
	"AWS::Route53::HostedZone":                    {name: "DNS zone", unpriced: "its price is not in the table"},
	"AWS::Route53::RecordSet":                     {name: "DNS record", unpriced: "charged by the million queries"},
	"AWS::ECR::Repository":                        {name: "image repository", unpriced: "charged by the GB stored"},
	"AWS::EC2::VPC":                               {name: "VPC"},
	"AWS::Glue::Database":                         {name: "catalog database"},
	"AWS::Glue::Job":                              {name: "Glue job", unpriced: "charged by the time that its runs take"},
	"AWS::Glue::Table":                            {name: "catalog table"},
	"AWS::Glue::TableOptimizer":                   {name: "table optimizer", unpriced: "charged by the time that its runs take"},
	"AWS::KinesisFirehose::DeliveryStream":        {name: "delivery stream", unpriced: "its prices are not in the table"},
	"AWS::Neptune::DBInstance":                    {name: "graph instance"}, // charged with its cluster
	"AWS::SageMaker::ModelPackageGroup":           {name: "model group"},
	"AWS::SecretsManager::Secret":                 {name: "secret", unpriced: "its price is not in the table"},

	"AWS::ApiGatewayV2::ApiMapping":         {name: "API mapping", connects: true},
	"AWS::ApiGatewayV2::Authorizer":         {name: "authorizer", connects: true},
	"AWS::ApiGatewayV2::DomainName":         {name: "domain"},
	"AWS::ApiGatewayV2::Integration":        {name: "integration", connects: true},
	"AWS::ApiGatewayV2::Route":              {name: "route"},
	"AWS::ApiGatewayV2::Stage":              {name: "API stage", connects: true},
	"AWS::EC2::RouteTable":                  {name: "route table", connects: true},
	"AWS::EC2::SecurityGroup":               {name: "security group"},
	"AWS::EC2::SecurityGroupEgress":         {name: "security group rule", connects: true},
	"AWS::EC2::SecurityGroupIngress":        {name: "security group rule", connects: true},
	"AWS::EC2::Subnet":                      {name: "subnet"},
	"AWS::EC2::SubnetRouteTableAssociation": {name: "route table association", connects: true},
	"AWS::Events::EventBusPolicy":           {name: "event bus policy", connects: true},
	"AWS::Events::Rule":                     {name: "rule"},
	"AWS::IAM::ManagedPolicy":               {name: "managed policy", connects: true},
	"AWS::IAM::Policy":                      {name: "policy", connects: true},
	"AWS::IAM::Role":                        {name: "role"},
	"AWS::KMS::Alias":                       {name: "key alias", connects: true},
	"AWS::Lambda::EventInvokeConfig":        {name: "invocation setting", connects: true},
	"AWS::Lambda::EventSourceMapping":       {name: "event source mapping"},
	"AWS::Lambda::Permission":               {name: "permission", connects: true},
	"AWS::Lambda::Version":                  {name: "function version", connects: true},
	"AWS::Logs::LogStream":                  {name: "log stream", connects: true},
	"AWS::Logs::MetricFilter":               {name: "metric filter", connects: true, unpriced: "its metric is charged by the month, which is not in the table"},
	"AWS::Logs::ResourcePolicy":             {name: "log policy", connects: true},
	"AWS::Neptune::DBClusterParameterGroup": {name: "parameter group", connects: true},
	"AWS::Neptune::DBSubnetGroup":           {name: "subnet group", connects: true},
	"AWS::S3::BucketPolicy":                 {name: "bucket policy", connects: true},
	"AWS::SNS::Subscription":                {name: "subscription", unpriced: "charged by delivery, by its protocol"},
	"AWS::SNS::TopicPolicy":                 {name: "topic policy", connects: true},
	"AWS::SQS::QueuePolicy":                 {name: "queue policy", connects: true},
	"Custom::PruneVersions":                 {name: "pruning of versions", connects: true},  // a function of ours, in the list itself
	"Custom::ReplicaPolicies":               {name: "policies of replicas", connects: true}, // the same
}

func archived(l Load) []amount {
	return []amount{{value: l.Events * l.EventKB / 1e6, item: prices.EventsArchive,
		text: fmt.Sprintf("%s events x %s KB", number(l.Events), number(l.EventKB))}}
}
func onBus(l Load) []amount     { return []amount{units(l.Events, "events", prices.EventsCustom)} }
func piped(l Load) []amount     { return []amount{units(l.Events, "events", prices.PipesRequest)} }
func published(l Load) []amount { return []amount{units(l.Publishes, "messages", prices.SNSPublish)} }
func logged(l Load) []amount    { return []amount{units(l.LogGB, "GB", prices.LogsIngest)} }
func stored(l Load) []amount    { return []amount{units(l.BucketGB, "GB", prices.S3Storage)} }
func scheduled(l Load) []amount {
	return []amount{units(l.Schedules, "invocations", prices.SchedulerInvocation)}
}
func keyed(l Load) []amount {
	return []amount{units(1, "key", prices.KMSKey), units(l.KeyUses, "uses", prices.KMSRequest)}
}

// plurals that do not take an s.
var plurals = map[string]string{
	"event bus": "event buses", "event bus policy": "event bus policies", "image repository": "image repositories",
	"managed policy": "managed policies", "policy": "policies", "bucket policy": "bucket policies", "topic policy": "topic policies",
	"queue policy": "queue policies", "log policy": "log policies", "pruning of versions": "prunings of versions",
	"key alias": "key aliases", "function alias": "function aliases",
}

// counted returns "1 queue" or "16 queues".
func counted(n int, what string) string {
	if n != 1 {
		if plural, ok := plurals[what]; ok {
			what = plural
		} else {
			what += "s"
		}
	}
	return fmt.Sprintf("%d %s", n, what)
}
