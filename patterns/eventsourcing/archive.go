package eventsourcing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsathena"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsglue"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskinesisfirehose"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/athena"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/patterns/props"
)

// ArchiveProps says what a long-term archive keeps, for how long, and what a
// query of it may cost.
type ArchiveProps struct {
	// Events are the event types that are archived. If they are named, a query
	// need not name one; if they are not, it must. Name schema.TombstoneType
	// too, to archive that a subject was forgotten.
	//
	// Default: all.
	Events []string
	// Interval is the longest that Firehose collects events of a type before
	// it writes a file, 1m to 15m. A longer one makes fewer and larger files,
	// which are cheaper to keep and to query. An event can be under way for
	// one and a half times as long.
	//
	// Default: 5 minutes.
	Interval time.Duration

	// Bucket takes the archive, below "events/", and what Firehose could not
	// archive, below "errors/".
	//
	// Default: a new one: private, TLS only, versioned, retained when the
	// stack is destroyed.
	Bucket awss3.IBucket
	// BucketProps changes a new bucket. Its LifecycleRules replace those that
	// ColdAfter and Retention make.
	//
	// Default: none.
	BucketProps *awss3.BucketProps
	// ColdAfter is the age, in whole days, at which files move to Glacier
	// Instant Retrieval. Queries still read them, for 0.03 USD a GB; keeping
	// them costs a sixth of S3 Standard. S3 leaves files under 128 KB where
	// they are.
	//
	// Default: 90 days.
	ColdAfter time.Duration
	// Retention is the age, in whole days, at which files are deleted; until
	// 30 days later a deletion can be undone.
	//
	// Default: they are kept for ever.
	Retention time.Duration
	// ObjectLock keeps everybody from deleting or overwriting the files of a
	// new bucket for a time: with awss3.ObjectLockRetention_Governance
	// everybody without a special permission, with _Compliance everybody, root
	// and AWS included, until the time is over. Personal data in the files can
	// be erased all the same, by forgetting the subject: see package eventlog.
	//
	// S3 asks for a checksum with each upload to such a bucket, and AWS does
	// not document that Firehose sends one: after the first deployment see
	// that files arrive, or the freshness alarm will tell.
	//
	// Default: none.
	ObjectLock awss3.ObjectLockRetention
	// AccessLogs is the bucket that S3 logs every access to new buckets in.
	//
	// Default: accesses are not logged.
	AccessLogs awss3.IBucket
	// EncryptionKey encrypts what waits in Firehose, new buckets and the
	// results of queries. Whoever deploys must be allowed kms:CreateGrant on
	// it, for Firehose uses it by a grant.
	//
	// Default: the event store's.
	EncryptionKey awskms.IKey

	// ScanLimit is the most that one query may read, in MB (1,000,000 bytes),
	// at least 10. Athena cancels a query that would read more, and bills what
	// it read until then, 5 USD a TB.
	//
	// Default: 10,000, which is 0.05 USD.
	ScanLimit int
	// Since is the first day that a query without a day looks at. An earlier
	// one costs such queries time, for Athena lists every day.
	//
	// Default: 1 January 2025.
	Since time.Time
	// Results is the bucket for the results of queries, below "results/".
	//
	// Default: a new one, as for Bucket, but not versioned.
	Results awss3.IBucket
	// ResultRetention is how long a new bucket keeps results, in whole days.
	//
	// Default: 7 days.
	ResultRetention time.Duration

	// DeadLetterQueue takes the events that the bus could not deliver to
	// Firehose within 24 hours.
	//
	// Default: a new one, with an alarm, retained when the stack is destroyed.
	DeadLetterQueue awssqs.IQueue
	// Alarms tunes the alarms.
	//
	// Default: all are made and notify the event store's topic.
	Alarms ArchiveAlarms
}

// ArchiveAlarms tunes an archive's alarms.
type ArchiveAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: the event store's.
	Topic awssns.ITopic
	// Freshness is the age of the oldest event that waits in Firehose, in
	// seconds. Firehose gives up on S3 after 24 hours.
	//
	// Default: three times the Interval, at least 15 minutes, over 5 minutes.
	Freshness alarm.Tuning
	// FailedConversions counts the events that could not become Parquet and
	// lie below "errors/".
	//
	// Default: one.
	FailedConversions alarm.Tuning
	// Partitions tells that more types and days were written at a time than
	// Firehose has buffers for, 500; the rest lies below "errors/".
	//
	// Default: one.
	Partitions alarm.Tuning
	// DeadLetters counts the events that did not reach Firehose.
	//
	// Default: one.
	DeadLetters alarm.Tuning
}

// Archive keeps the events for the long term, as Parquet files in S3 by type
// and day, and answers questions about them in SQL.
//
// Every event that was published is in it at least once, except those that the
// alarms tell of; duplicates have the same id. The event table remains the
// truth, and has what the archive lacks.
//
// The table "events" has the envelope's attributes as columns of text, in
// lower case, and the partitions type and day, the event's own in UTC. The
// payload is in base64:
//
//	SELECT stream, json_extract_scalar(from_utf8(from_base64(data)), '$.total') AS total
//	FROM events
//	WHERE type = 'CartCheckedOut' AND day BETWEEN '2026-11-27' AND '2026-11-30'
//
// A payload too large for the event table is not in the archive; ref is its
// key in the event store's bucket of payloads. Personal fields are encrypted
// with their subject's key and stay so.
//
// Firehose costs 0.029 USD a GB taken in, each event rounded up to 5 KB, 0.018
// for the conversion and 0.02 for the partitions: about 0.34 USD a million
// small events, and 0.07 an hour of reading their partitions (us-east-1,
// https://aws.amazon.com/firehose/pricing/).
//
// Sources: https://docs.aws.amazon.com/firehose/latest/dev/dynamic-partitioning.html,
// https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion.html,
// https://docs.aws.amazon.com/athena/latest/ug/partition-projection.html.
type Archive struct {
	constructs.Construct
	bucket      awss3.IBucket
	results     awss3.IBucket
	keys        []awskms.IKey // of the two buckets
	database    awsglue.CfnDatabase
	table       awsglue.CfnTable
	stream      awskinesisfirehose.CfnDeliveryStream
	logGroup    awslogs.ILogGroup
	rule        awsevents.CfnRule
	deadLetters awssqs.IQueue
	workGroup   awsathena.CfnWorkGroup
	workGroupID string
	databaseID  string
	alarms      []awscloudwatch.CfnAlarm
}

// Prefixes of the objects in an archive's buckets.
const (
	archivedPrefix = "events/"
	failedPrefix   = "errors/"
	resultPrefix   = "results/"
)

// The table of an archive and its partitions.
const (
	archiveTable = "events"
	dayPartition = "day"
)

// AddArchive makes a long-term archive of the store's events from now on. It
// panics with a *[props.Error] when the props are wrong; nil props are right.
func (s *EventStore) AddArchive(id string, p *ArchiveProps) *Archive {
	if p == nil {
		p = &ArchiveProps{}
	}
	p.check(s, id)
	a := &Archive{bucket: p.Bucket, results: p.Results}
	construct.Init(a, s, id)
	key := p.EncryptionKey
	if key == nil {
		key = s.key
	}
	topic := construct.Or(p.Alarms.Topic, s.alarmTopic)
	a.addBuckets(p, key)
	a.addTable(p)
	a.addStream(p, key)
	a.addRule(s, p, topic)
	a.workGroupID, a.workGroup = athena.WorkGroup(a, "Queries of an archive of events, each limited in what it may read.",
		a.results, resultPrefix, a.keys[1], construct.Or(p.ScanLimit, 10_000))
	a.addAlarms(p, topic)
	return a
}

const day = 24 * time.Hour

func (p *ArchiveProps) check(scope constructs.Construct, id string) {
	var c props.Check
	for i, e := range p.Events {
		c.Require(e != "" && !strings.Contains(e, ","), fmt.Sprintf("Events[%d]", i), e, "an event type without commas",
			"leave Events out for all")
	}
	props.Between(&c, "Interval", p.Interval, time.Minute, 15*time.Minute)
	c.Require(p.Interval%time.Second == 0, "Interval", p.Interval, "whole seconds", "")
	own := func(field string, set bool) {
		c.Require(p.Bucket == nil || !set, field, "set together with Bucket", "one of the two",
			"leave it out, and set it on the bucket itself")
	}
	own("BucketProps", p.BucketProps != nil)
	own("ColdAfter", p.ColdAfter != 0)
	own("Retention", p.Retention != 0)
	own("ObjectLock", p.ObjectLock != nil)
	days := func(field string, d time.Duration) {
		c.Require(d >= 0 && d%day == 0, field, d, "whole days", "")
	}
	days("ColdAfter", p.ColdAfter)
	days("Retention", p.Retention)
	days("ResultRetention", p.ResultRetention)
	if p.Retention > 0 {
		c.Require(p.ColdAfter < p.Retention, "ColdAfter", p.ColdAfter, "less than Retention", "leave it out, or keep the files longer")
		if p.ObjectLock != nil {
			locked := time.Duration(*p.ObjectLock.Duration().ToDays(nil)) * day
			c.Require(locked <= p.Retention, "ObjectLock", locked, "at most Retention",
				"S3 cannot delete a locked file: keep the files longer, or lock them for less")
		}
	}
	c.Require(p.Results == nil || p.ResultRetention == 0, "ResultRetention", "set together with Results", "one of the two",
		"leave it out, and set a lifecycle on the bucket itself")
	c.Require(p.AccessLogs == nil || p.Bucket == nil || p.Results == nil, "AccessLogs", "set together with Bucket and Results",
		"a bucket for the accesses to new buckets", "leave it out, and set it on the buckets themselves")
	c.Require(p.ScanLimit == 0 || p.ScanLimit >= 10, "ScanLimit", p.ScanLimit, "10 or more, or 0 for the default", "")
	c.Nested("Alarms", p.Alarms.check)
	c.Panic(scope, id)
}

func (a ArchiveAlarms) check(c *props.Check) {
	c.Nested("Freshness", a.Freshness.Check)
	c.Nested("FailedConversions", a.FailedConversions.Check)
	c.Nested("Partitions", a.Partitions.Check)
	c.Nested("DeadLetters", a.DeadLetters.Check)
}

func (a *Archive) addBuckets(p *ArchiveProps, key awskms.IKey) {
	// Of buckets made here the key is known.
	a.keys = []awskms.IKey{key, key}
	if a.bucket != nil {
		a.keys[0] = a.bucket.EncryptionKey()
	} else {
		made := construct.Layer(&awss3.BucketProps{LifecycleRules: defaults.Aging(a, archivedPrefix, p.ColdAfter, p.Retention)}, p.BucketProps, &awss3.BucketProps{EncryptionKey: key})
		if p.ObjectLock != nil {
			made.ObjectLockEnabled = jsii.Bool(true)
			made.ObjectLockDefaultRetention = p.ObjectLock
		}
		if p.AccessLogs != nil {
			made.ServerAccessLogsBucket = p.AccessLogs
			made.ServerAccessLogsPrefix = jsii.String("archive/")
		}
		a.bucket = defaults.Bucket(a, "Bucket", made)
	}
	if a.results != nil {
		a.keys[1] = a.results.EncryptionKey()
	} else {
		made := athena.Results(a, key, p.ResultRetention)
		if p.AccessLogs != nil {
			made.ServerAccessLogsBucket = p.AccessLogs
			made.ServerAccessLogsPrefix = jsii.String("archive-results/")
		}
		a.results = defaults.Bucket(a, "Results", made)
	}
}

// addTable makes the table that tells Firehose what to write and Athena what
// to read. Its partitions are computed from a query, so that no crawler need
// look for new ones.
func (a *Archive) addTable(p *ArchiveProps) {
	// Athena wants names of lower-case letters, digits and _, which those that
	// CloudFormation makes are not.
	a.databaseID = construct.UniqueName(a, "_", 100)
	a.database = awsglue.NewCfnDatabase(a, jsii.String("Database"), &awsglue.CfnDatabaseProps{
		CatalogId: defaults.Text(a, "${AWS::AccountId}"),
		DatabaseInput: &awsglue.CfnDatabase_DatabaseInputProperty{
			Name:        &a.databaseID,
			Description: jsii.String("The archive of an event store."),
		},
	})
	location := "s3://" + *construct.BucketName(a.bucket) + "/" + archivedPrefix
	parameters := map[string]any{
		"EXTERNAL":                  "TRUE",
		"classification":            "parquet",
		"parquet.compression":       "SNAPPY",
		"projection.enabled":        "true",
		"projection.day.type":       "date",
		"projection.day.format":     "yyyy-MM-dd",
		"projection.day.range":      p.since().UTC().Format(time.DateOnly) + ",NOW",
		"projection.type.type":      "injected",
		"storage.location.template": location + "type=${type}/day=${day}/",
	}
	if len(p.Events) > 0 {
		parameters["projection.type.type"] = "enum"
		parameters["projection.type.values"] = strings.Join(p.Events, ",")
	}
	column := func(name string) *awsglue.CfnTable_ColumnProperty {
		return &awsglue.CfnTable_ColumnProperty{Name: &name, Type: jsii.String("string")}
	}
	var columns []any
	for _, attribute := range schema.EnvelopeAttributes() {
		if name := attribute[0]; name != schema.Type { // a partition cannot be a column, too
			columns = append(columns, column(strings.ToLower(name)))
		}
	}
	a.table = awsglue.NewCfnTable(a, jsii.String("Table"), &awsglue.CfnTableProps{
		CatalogId:    defaults.Text(a, "${AWS::AccountId}"),
		DatabaseName: construct.Ref(a.database),
		TableInput: &awsglue.CfnTable_TableInputProperty{
			Name:          jsii.String(archiveTable),
			Description:   jsii.String("Events by type and day. The payload, data, is base64 of JSON."),
			TableType:     jsii.String("EXTERNAL_TABLE"),
			Parameters:    parameters,
			PartitionKeys: []any{column(schema.Type), column(dayPartition)},
			StorageDescriptor: &awsglue.CfnTable_StorageDescriptorProperty{
				Columns:      columns,
				Location:     &location,
				InputFormat:  jsii.String("org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"),
				OutputFormat: jsii.String("org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"),
				SerdeInfo: &awsglue.CfnTable_SerdeInfoProperty{
					SerializationLibrary: jsii.String("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"),
					Parameters:           map[string]any{"serialization.format": "1"},
				},
			},
		},
	})
}

func (p *ArchiveProps) since() time.Time {
	if p.Since.IsZero() {
		return time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	return p.Since
}

// glueARNs returns the ARNs that Glue checks for an action on the table: the
// table's and those of all that it is in
// (https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html).
func (a *Archive) glueARNs() []*string {
	arn := func(resource string) *string {
		return defaults.Text(a, "arn:${AWS::Partition}:glue:${AWS::Region}:${AWS::AccountId}:"+resource)
	}
	return []*string{arn("catalog"), arn("database/" + a.databaseID), arn("table/" + a.databaseID + "/" + archiveTable)}
}

func (a *Archive) addStream(p *ArchiveProps, key awskms.IKey) {
	a.logGroup = defaults.LogGroup(a, "Logs", "", nil)
	logStream := "Delivery"
	lines := awslogs.NewCfnLogStream(a, jsii.String("LogStream"), &awslogs.CfnLogStreamProps{
		LogGroupName: construct.LogGroupName(a.logGroup), LogStreamName: &logStream,
	})
	bucket := a.bucket.BucketArn()
	statements := []defaults.Statement{
		// As https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html lists them.
		defaults.Actions{"s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"}.To(bucket),
		defaults.Actions{"s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"}.To(
			jsii.String(*bucket+"/"+archivedPrefix+"*"), jsii.String(*bucket+"/"+failedPrefix+"*")),
		defaults.Actions{"glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"}.To(a.glueARNs()...),
		defaults.Actions{"logs:PutLogEvents"}.To(jsii.String(*logGroupARN(a, a.logGroup) + ":log-stream:" + logStream)),
	}
	if encrypted := a.keys[0]; encrypted != nil {
		statements = append(statements, defaults.Actions{"kms:Decrypt", "kms:GenerateDataKey"}.To(construct.KeyArn(encrypted)).If(defaults.Through("s3")))
	}
	role := defaults.ServiceRole(a, "Role", "firehose.amazonaws.com", statements...).RoleArn()
	interval := construct.Or(p.Interval, 5*time.Minute)
	a.stream = awskinesisfirehose.NewCfnDeliveryStream(a, jsii.String("Stream"), &awskinesisfirehose.CfnDeliveryStreamProps{
		DeliveryStreamType: jsii.String("DirectPut"),
		DeliveryStreamEncryptionConfigurationInput: &awskinesisfirehose.CfnDeliveryStream_DeliveryStreamEncryptionConfigurationInputProperty{
			KeyType: jsii.String("CUSTOMER_MANAGED_CMK"), KeyArn: construct.KeyArn(key),
		},
		ExtendedS3DestinationConfiguration: &awskinesisfirehose.CfnDeliveryStream_ExtendedS3DestinationConfigurationProperty{
			BucketArn: bucket,
			RoleArn:   role,
			BufferingHints: &awskinesisfirehose.CfnDeliveryStream_BufferingHintsProperty{
				IntervalInSeconds: jsii.Number(interval.Seconds()),
				SizeInMBs:         jsii.Number(128), // Firehose's most; a type of less waits for the interval
			},
			CloudWatchLoggingOptions: &awskinesisfirehose.CfnDeliveryStream_CloudWatchLoggingOptionsProperty{
				Enabled: jsii.Bool(true), LogGroupName: construct.LogGroupName(a.logGroup), LogStreamName: lines.Ref(),
			},
			CompressionFormat: jsii.String("UNCOMPRESSED"), // Parquet compresses itself
			Prefix: jsii.String(archivedPrefix +
				"type=!{partitionKeyFromQuery:type}/day=!{partitionKeyFromQuery:day}/"),
			ErrorOutputPrefix: jsii.String(failedPrefix + "!{firehose:error-output-type}/!{timestamp:yyyy-MM-dd}/"),
			DynamicPartitioningConfiguration: &awskinesisfirehose.CfnDeliveryStream_DynamicPartitioningConfigurationProperty{
				Enabled:      jsii.Bool(true),
				RetryOptions: &awskinesisfirehose.CfnDeliveryStream_RetryOptionsProperty{DurationInSeconds: jsii.Number(7200)},
			},
			ProcessingConfiguration: partitioning(),
			DataFormatConversionConfiguration: &awskinesisfirehose.CfnDeliveryStream_DataFormatConversionConfigurationProperty{
				Enabled: jsii.Bool(true),
				InputFormatConfiguration: &awskinesisfirehose.CfnDeliveryStream_InputFormatConfigurationProperty{
					Deserializer: &awskinesisfirehose.CfnDeliveryStream_DeserializerProperty{
						OpenXJsonSerDe: &awskinesisfirehose.CfnDeliveryStream_OpenXJsonSerDeProperty{
							CaseInsensitive: jsii.Bool(true), // Glue's columns are in lower case
						},
					},
				},
				OutputFormatConfiguration: &awskinesisfirehose.CfnDeliveryStream_OutputFormatConfigurationProperty{
					Serializer: &awskinesisfirehose.CfnDeliveryStream_SerializerProperty{
						ParquetSerDe: &awskinesisfirehose.CfnDeliveryStream_ParquetSerDeProperty{Compression: jsii.String("SNAPPY")},
					},
				},
				SchemaConfiguration: &awskinesisfirehose.CfnDeliveryStream_SchemaConfigurationProperty{
					CatalogId:    defaults.Text(a, "${AWS::AccountId}"),
					DatabaseName: construct.Ref(a.database),
					TableName:    a.table.Ref(),
					Region:       awscdk.Aws_REGION(),
					RoleArn:      role,
					VersionId:    jsii.String("LATEST"),
				},
			},
		},
	})
}

// partitioning has Firehose read type and day from each event. The day is the
// event's own, not that of its delivery, so that a query for a day finds the
// events of that day.
func partitioning() *awskinesisfirehose.CfnDeliveryStream_ProcessingConfigurationProperty {
	parameter := func(name, value string) *awskinesisfirehose.CfnDeliveryStream_ProcessorParameterProperty {
		return &awskinesisfirehose.CfnDeliveryStream_ProcessorParameterProperty{ParameterName: &name, ParameterValue: &value}
	}
	query := fmt.Sprintf("{type:.%s,%s:.%s[0:%d]}", schema.Type, dayPartition, schema.Time, len(time.DateOnly))
	return &awskinesisfirehose.CfnDeliveryStream_ProcessingConfigurationProperty{
		Enabled: jsii.Bool(true),
		Processors: []any{&awskinesisfirehose.CfnDeliveryStream_ProcessorProperty{
			Type:       jsii.String("MetadataExtraction"),
			Parameters: []any{parameter("MetadataExtractionQuery", query), parameter("JsonParsingEngine", "JQ-1.6")},
		}},
	}
}

// addRule delivers the envelopes of live events to Firehose.
func (a *Archive) addRule(s *EventStore, p *ArchiveProps, topic awssns.ITopic) {
	var made awscloudwatch.CfnAlarm
	a.deadLetters, made = defaults.WatchedDeadLetters(a, "DeadLetters", p.DeadLetterQueue,
		defaults.DeadLetters{For: "Events for the archive", Alarm: p.Alarms.DeadLetters, Topic: topic})
	if made != nil {
		a.alarms = append(a.alarms, made)
	}
	stream, dead := a.stream.AttrArn(), construct.QueueArn(a.deadLetters)
	role := defaults.ServiceRole(a, "RuleRole", "events.amazonaws.com",
		defaults.Actions{"firehose:PutRecord", "firehose:PutRecordBatch"}.To(stream))
	a.rule = awsevents.NewCfnRule(a, jsii.String("Rule"), &awsevents.CfnRuleProps{
		Description:  jsii.String("Archives the events of " + s.source + "."),
		EventBusName: construct.EventBusName(s.bus),
		EventPattern: s.pattern(p.Events, nil, false, 0),
		Targets: []any{&awsevents.CfnRule_TargetProperty{
			Id:               jsii.String("Firehose"),
			Arn:              stream,
			RoleArn:          role.RoleArn(),
			InputPath:        jsii.String("$.detail"),
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: dead},
			RetryPolicy: &awsevents.CfnRule_RetryPolicyProperty{
				MaximumEventAgeInSeconds: jsii.Number(day.Seconds()),
				MaximumRetryAttempts:     jsii.Number(185),
			},
		}},
	})
	defaults.AllowEvents(a, a.deadLetters, "sqs:SendMessage", dead, a.rule.AttrArn())
}

func (a *Archive) addAlarms(p *ArchiveProps, topic awssns.ITopic) {
	dimensions := map[string]*string{"DeliveryStreamName": construct.Ref(a.stream)}
	add := func(id string, spec alarm.Alarm, t alarm.Tuning) {
		spec.Namespace, spec.Dimensions = "AWS/Firehose", dimensions
		if made := alarm.New(a, id, spec, t, topic); made != nil {
			a.alarms = append(a.alarms, made)
		}
	}
	late := max(3*construct.Or(p.Interval, 5*time.Minute), 15*time.Minute)
	add("Freshness", alarm.Alarm{
		Metric: "DeliveryToS3.DataFreshness", Statistic: "Maximum", Threshold: late.Seconds(), Period: 5 * time.Minute,
		Description: "Events wait too long for the archive: read Firehose's log. After 24 hours it drops them; they stay in the event table.",
	}, p.Alarms.Freshness)
	add("FailedConversions", alarm.Alarm{
		Metric: "FailedConversion.Records", Statistic: "Sum", Threshold: 1,
		Description: "Events could not become Parquet and lie below errors/ in the archive's bucket, each with the reason.",
	}, p.Alarms.FailedConversions)
	add("Partitions", alarm.Alarm{
		Metric: "PartitionCountExceeded", Statistic: "Maximum", Threshold: 1,
		Description: "More types and days were archived at a time than Firehose's limit; the rest lies below errors/. Ask AWS for a higher limit, or shorten the interval.",
	}, p.Alarms.Partitions)
}

// GrantQuery lets the grantee query the archive in its work group, and so
// within the scan limit: it may read the table, the files and the results of
// all who query, and write results. Personal fields stay encrypted.
//
// Where Lake Formation governs the catalog, it must allow the grantee, too.
func (a *Archive) GrantQuery(grantee awsiam.IGrantable) awsiam.Grant {
	files, results := construct.BucketArn(a.bucket), construct.BucketArn(a.results)
	statements := []defaults.Statement{
		athena.ToQuery(a, a.workGroupID),
		defaults.Actions{"glue:GetDatabase", "glue:GetPartition", "glue:GetPartitions", "glue:GetTable", "glue:GetTables"}.
			To(append(a.glueARNs(), athena.DefaultDatabase(a))...),
		defaults.Actions{"s3:GetBucketLocation"}.To(files, results),
		defaults.Actions{"s3:ListBucket"}.To(files).If(defaults.ListBelow(archivedPrefix)),
		defaults.Actions{"s3:GetObject"}.To(construct.Objects(a.bucket, archivedPrefix+"*")),
	}
	statements = append(statements, athena.ToUseResults(a.results, resultPrefix)...)
	for _, key := range a.keys {
		if key != nil {
			statements = append(statements, defaults.Actions{"kms:Decrypt", "kms:GenerateDataKey"}.To(construct.KeyArn(key)).If(defaults.Through("s3")))
		}
	}
	return defaults.Grant(grantee, statements...)
}

// Bucket returns the bucket of the archive.
func (a *Archive) Bucket() awss3.IBucket { return a.bucket }

// Results returns the bucket of the queries' results.
func (a *Archive) Results() awss3.IBucket { return a.results }

// Database returns the name of the Glue database; its one table is "events".
func (a *Archive) Database() string { return a.databaseID }

// WorkGroup returns the name of the Athena work group.
func (a *Archive) WorkGroup() string { return a.workGroupID }

// CfnTable returns the Glue table.
func (a *Archive) CfnTable() awsglue.CfnTable { return a.table }

// CfnWorkGroup returns the Athena work group.
func (a *Archive) CfnWorkGroup() awsathena.CfnWorkGroup { return a.workGroup }

// DeliveryStream returns the Firehose stream.
func (a *Archive) DeliveryStream() awskinesisfirehose.CfnDeliveryStream { return a.stream }

// LogGroup returns the log group of Firehose's errors.
func (a *Archive) LogGroup() awslogs.ILogGroup { return a.logGroup }

// Rule returns the rule on the bus.
func (a *Archive) Rule() awsevents.CfnRule { return a.rule }

// DeadLetterQueue returns the queue of the events that did not reach Firehose.
func (a *Archive) DeadLetterQueue() awssqs.IQueue { return a.deadLetters }

// Alarms returns the alarms that were made.
func (a *Archive) Alarms() []awscloudwatch.CfnAlarm { return slices.Clone(a.alarms) }
