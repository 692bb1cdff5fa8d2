// The long-term archive of an event store, as in patterns/eventsourcing.
const { Aws, Duration, Fn, Names } = require('aws-cdk-lib');
const athena = require('aws-cdk-lib/aws-athena');
const events = require('aws-cdk-lib/aws-events');
const glue = require('aws-cdk-lib/aws-glue');
const iam = require('aws-cdk-lib/aws-iam');
const firehose = require('aws-cdk-lib/aws-kinesisfirehose');
const logs = require('aws-cdk-lib/aws-logs');
const s3 = require('aws-cdk-lib/aws-s3');
const { Construct } = require('constructs');
const { alarm, allow, bucket, deadLetterAlarm, deadLetterQueue, logGroup, serviceRole } = require('./defaults');
const { ENVELOPE, LIVE, RETRY, fromEvents, logGroupArn, via } = require('./eventsourcing');

class Archive extends Construct {
	constructor(store, id) {
		super(store, id);
		this.addBuckets(store.key);
		this.addTable();
		this.addStream(store.key);
		this.addRule(store);
		this.addWorkGroup(store.key);
		this.addAlarms(store.topic);
	}

	addBuckets(encryptionKey) {
		this.bucket = bucket(this, 'Bucket', {
			encryptionKey,
			lifecycleRules: [
				{
					id: 'Tidy',
					abortIncompleteMultipartUploadAfter: Duration.days(7),
					noncurrentVersionExpiration: Duration.days(30),
				},
				{
					id: 'Cold',
					prefix: 'events/',
					transitions: [
						{
							storageClass: s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
							transitionAfter: Duration.days(90),
						},
					],
				},
			],
		});
		this.results = bucket(this, 'Results', {
			encryptionKey,
			versioned: false,
			lifecycleRules: [
				{
					id: 'Expire',
					expiration: Duration.days(7),
					abortIncompleteMultipartUploadAfter: Duration.days(1),
				},
			],
		});
	}

	addTable() {
		this.databaseName = Names.uniqueResourceName(this, {
			maxLength: 100,
			separator: '_',
			allowedSpecialCharacters: '_',
		}).toLowerCase();
		this.database = new glue.CfnDatabase(this, 'Database', {
			catalogId: Aws.ACCOUNT_ID,
			databaseInput: { name: this.databaseName, description: 'The archive of an event store.' },
		});
		const location = `s3://${this.bucket.bucketName}/events/`;
		const column = (name) => ({ name, type: 'string' });
		this.table = new glue.CfnTable(this, 'Table', {
			catalogId: Aws.ACCOUNT_ID,
			databaseName: this.database.ref,
			tableInput: {
				name: 'events',
				description: 'Events by type and day. The payload, data, is base64 of JSON.',
				tableType: 'EXTERNAL_TABLE',
				parameters: {
					EXTERNAL: 'TRUE',
					classification: 'parquet',
					'parquet.compression': 'SNAPPY',
					'projection.enabled': 'true',
					'projection.day.type': 'date',
					'projection.day.format': 'yyyy-MM-dd',
					'projection.day.range': '2025-01-01,NOW',
					'projection.type.type': 'injected',
					'storage.location.template': `${location}type=\${type}/day=\${day}/`,
				},
				partitionKeys: [column('type'), column('day')],
				storageDescriptor: {
					columns: Object.keys(ENVELOPE)
						.filter((name) => name !== 'type')
						.map((name) => column(name.toLowerCase())),
					location,
					inputFormat: 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat',
					outputFormat: 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat',
					serdeInfo: {
						serializationLibrary: 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe',
						parameters: { 'serialization.format': '1' },
					},
				},
			},
		});
	}

	addStream(key) {
		const group = logGroup(this, 'Logs');
		const lines = new logs.CfnLogStream(this, 'LogStream', {
			logGroupName: group.logGroupName,
			logStreamName: 'Delivery',
		});
		const catalog = (resource) =>
			Fn.sub(`arn:\${AWS::Partition}:glue:\${AWS::Region}:\${AWS::AccountId}:${resource}`);
		const { roleArn } = serviceRole(this, 'Role', 'firehose.amazonaws.com', [
			allow(['s3:GetBucketLocation', 's3:ListBucket', 's3:ListBucketMultipartUploads'], this.bucket.bucketArn),
			allow(
				['s3:AbortMultipartUpload', 's3:GetObject', 's3:PutObject'],
				this.bucket.arnForObjects('events/*'),
				this.bucket.arnForObjects('errors/*'),
			),
			allow(
				['glue:GetTable', 'glue:GetTableVersion', 'glue:GetTableVersions'],
				catalog('catalog'),
				catalog(`database/${this.databaseName}`),
				catalog(`table/${this.databaseName}/events`),
			),
			allow(['logs:PutLogEvents'], `${logGroupArn(group)}:log-stream:Delivery`),
			new iam.PolicyStatement({
				actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
				resources: [key.keyArn],
				conditions: via('s3'),
			}),
		]);
		this.stream = new firehose.CfnDeliveryStream(this, 'Stream', {
			deliveryStreamType: 'DirectPut',
			deliveryStreamEncryptionConfigurationInput: { keyType: 'CUSTOMER_MANAGED_CMK', keyArn: key.keyArn },
			extendedS3DestinationConfiguration: {
				bucketArn: this.bucket.bucketArn,
				roleArn,
				bufferingHints: { intervalInSeconds: 300, sizeInMBs: 128 },
				cloudWatchLoggingOptions: {
					enabled: true,
					logGroupName: group.logGroupName,
					logStreamName: lines.ref,
				},
				compressionFormat: 'UNCOMPRESSED',
				prefix: 'events/type=!{partitionKeyFromQuery:type}/day=!{partitionKeyFromQuery:day}/',
				errorOutputPrefix: 'errors/!{firehose:error-output-type}/!{timestamp:yyyy-MM-dd}/',
				dynamicPartitioningConfiguration: { enabled: true, retryOptions: { durationInSeconds: 7200 } },
				processingConfiguration: {
					enabled: true,
					processors: [
						{
							type: 'MetadataExtraction',
							parameters: [
								{
									parameterName: 'MetadataExtractionQuery',
									parameterValue: '{type:.type,day:.time[0:10]}',
								},
								{ parameterName: 'JsonParsingEngine', parameterValue: 'JQ-1.6' },
							],
						},
					],
				},
				dataFormatConversionConfiguration: {
					enabled: true,
					inputFormatConfiguration: { deserializer: { openXJsonSerDe: { caseInsensitive: true } } },
					outputFormatConfiguration: { serializer: { parquetSerDe: { compression: 'SNAPPY' } } },
					schemaConfiguration: {
						catalogId: Aws.ACCOUNT_ID,
						databaseName: this.database.ref,
						tableName: this.table.ref,
						region: Aws.REGION,
						roleArn,
						versionId: 'LATEST',
					},
				},
			},
		});
	}

	addRule(store) {
		const dead = deadLetterQueue(this, 'DeadLetters');
		deadLetterAlarm(this, 'DeadLettersAlarm', dead, 'Events for the archive', store.topic);
		const role = serviceRole(this, 'RuleRole', 'events.amazonaws.com', [
			allow(['firehose:PutRecord', 'firehose:PutRecordBatch'], this.stream.attrArn),
		]);
		const rule = new events.CfnRule(this, 'Rule', {
			description: `Archives the events of ${store.source}.`,
			eventBusName: store.bus.eventBusName,
			eventPattern: { source: [store.source], 'replay-name': LIVE },
			targets: [
				{
					id: 'Firehose',
					arn: this.stream.attrArn,
					roleArn: role.roleArn,
					inputPath: '$.detail',
					deadLetterConfig: { arn: dead.queueArn },
					retryPolicy: RETRY,
				},
			],
		});
		dead.addToResourcePolicy(fromEvents('sqs:SendMessage', dead.queueArn, rule.attrArn));
	}

	addWorkGroup(key) {
		new athena.CfnWorkGroup(this, 'WorkGroup', {
			name: Names.uniqueResourceName(this, { maxLength: 128 }),
			description: 'Queries of an archive of events, each limited in what it may read.',
			recursiveDeleteOption: true,
			workGroupConfiguration: {
				bytesScannedCutoffPerQuery: 10_000_000_000,
				enforceWorkGroupConfiguration: true,
				engineVersion: { selectedEngineVersion: 'Athena engine version 3' },
				publishCloudWatchMetricsEnabled: true,
				resultConfiguration: {
					outputLocation: `s3://${this.results.bucketName}/results/`,
					encryptionConfiguration: { encryptionOption: 'SSE_KMS', kmsKey: key.keyArn },
				},
			},
		});
	}

	addAlarms(topic) {
		const common = { namespace: 'AWS/Firehose', dimensions: { DeliveryStreamName: this.stream.ref }, topic };
		alarm(this, 'Freshness', {
			...common,
			metricName: 'DeliveryToS3.DataFreshness',
			statistic: 'Maximum',
			threshold: 900,
			period: 300,
			alarmDescription:
				"Events wait too long for the archive: read Firehose's log. After 24 hours it drops them; they stay in the event table.",
		});
		alarm(this, 'FailedConversions', {
			...common,
			metricName: 'FailedConversion.Records',
			statistic: 'Sum',
			threshold: 1,
			alarmDescription:
				"Events could not become Parquet and lie below errors/ in the archive's bucket, each with the reason.",
		});
		alarm(this, 'Partitions', {
			...common,
			metricName: 'PartitionCountExceeded',
			statistic: 'Maximum',
			threshold: 1,
			alarmDescription:
				"More types and days were archived at a time than Firehose's limit; the rest lies below errors/. Ask AWS for a higher limit, or shorten the interval.",
		});
	}
}

module.exports = { Archive };
