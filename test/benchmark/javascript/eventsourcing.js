// An event store with what is added to it, as in patterns/eventsourcing.
const { Duration, Fn, Names } = require('aws-cdk-lib');
const dynamodb = require('aws-cdk-lib/aws-dynamodb');
const events = require('aws-cdk-lib/aws-events');
const iam = require('aws-cdk-lib/aws-iam');
const lambda = require('aws-cdk-lib/aws-lambda');
const logs = require('aws-cdk-lib/aws-logs');
const pipes = require('aws-cdk-lib/aws-pipes');
const sqs = require('aws-cdk-lib/aws-sqs');
const { Construct } = require('constructs');
const { alarm, allow, bucket, deadLetterAlarm, deadLetterQueue, logGroup, queue, serviceRole, table } = require('./defaults');
const { RebuildWorkflow } = require('./rebuild');

const { AttributeType } = dynamodb;
const RETRY = { maximumEventAgeInSeconds: 24 * 60 * 60, maximumRetryAttempts: 185 };
const LIVE = [{ exists: false }]; // the replay-name of events that are no replay

const INSERT = ['dynamodb:PartiQLInsert'];
const READ_KEY = ['kms:Decrypt', 'kms:DescribeKey'];
const USE_KEY = [
	'kms:Decrypt',
	'kms:DescribeKey',
	'kms:Encrypt',
	'kms:GenerateDataKey',
	'kms:ReEncryptFrom',
	'kms:ReEncryptTo',
];

// The attributes of an event that travel, with their DynamoDB types.
const ENVELOPE = {
	stream: 'S',
	version: 'N',
	position: 'S',
	id: 'S',
	type: 'S',
	typeVersion: 'N',
	time: 'S',
	causation: 'S',
	correlation: 'S',
	hops: 'N',
	origin: 'S',
	subject: 'S',
	data: 'B',
	ref: 'S',
};
const ENVELOPE_TEMPLATE = `{${Object.entries(ENVELOPE)
	.map(([name, type]) => `"${name}": <$.dynamodb.NewImage.${name}.${type}>`)
	.join(', ')}}`;

const eventBridge = () => new iam.ServicePrincipal('events.amazonaws.com');

function fromEvents(action, resource, source) {
	return new iam.PolicyStatement({
		actions: [action],
		principals: [eventBridge()],
		resources: [resource],
		conditions: { ArnEquals: { 'aws:SourceArn': source } },
	});
}

// via is the condition that a key is used through one of the services.
const via = (...services) => ({
	StringEquals: {
		'kms:ViaService': services.map((service) => Fn.sub(`${service}.\${AWS::Region}.\${AWS::URLSuffix}`)),
	},
});

// The condition that the key wraps the key of a subject.
const OF_A_SUBJECT = { Null: { 'kms:EncryptionContext:subject': 'false' } };

// The ARN of a log group without the ":*" that stands for its streams.
const logGroupArn = (group) =>
	Fn.sub('arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${Name}', {
		Name: group.logGroupName,
	});

class EventStore extends Construct {
	constructor(scope, id, { key, topic }) {
		super(scope, id);
		this.key = key;
		this.topic = topic;
		this.source = `eventstore.${id}`;
		this.table = table(this, 'Events', key, {
			partitionKey: { name: 'stream', type: AttributeType.STRING },
			sortKey: { name: 'version', type: AttributeType.NUMBER },
			dynamoStream: dynamodb.StreamViewType.NEW_IMAGE,
			globalSecondaryIndexes: [
				{
					indexName: 'streams',
					partitionKey: { name: 'shard', type: AttributeType.STRING },
					sortKey: { name: 'opened', type: AttributeType.STRING },
					projectionType: dynamodb.ProjectionType.KEYS_ONLY,
				},
			],
			resourcePolicy: new iam.PolicyDocument({
				statements: [
					new iam.PolicyStatement({
						sid: 'EventsAreImmutable',
						effect: iam.Effect.DENY,
						principals: [new iam.AnyPrincipal()],
						actions: [
							'dynamodb:BatchWriteItem',
							'dynamodb:DeleteItem',
							'dynamodb:PartiQLDelete',
							'dynamodb:PartiQLUpdate',
							'dynamodb:PutItem',
							'dynamodb:UpdateItem',
						],
						resources: ['*'],
					}),
				],
			}),
		});
		this.subjects = table(this, 'Subjects', key, {
			partitionKey: { name: 'subject', type: AttributeType.STRING },
			pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true, recoveryPeriodInDays: 7 },
		});
		this.payloads = bucket(this, 'Payloads', { encryptionKey: key });
		this.addBus();
		this.addBusArchive();
		const outbox = new Construct(this, 'Outbox');
		addPipe(outbox, this, 'the bus', {
			arn: this.bus.eventBusArn,
			action: 'events:PutEvents',
			parameters: {
				eventBridgeEventBusParameters: { detailType: '$.dynamodb.NewImage.type.S', source: this.source },
			},
		});
	}

	addBus() {
		this.busName = Names.uniqueResourceName(this, { maxLength: 256 });
		const dead = deadLetterQueue(this, 'BusDeadLetters');
		deadLetterAlarm(
			this,
			'BusDeadLettersAlarm',
			dead,
			'Events that the bus could not encrypt or decrypt',
			this.topic,
		);
		this.bus = new events.EventBus(this, 'Bus', {
			eventBusName: this.busName,
			kmsKey: this.key,
			deadLetterQueue: dead,
		});
		dead.addToResourcePolicy(fromEvents('sqs:SendMessage', dead.queueArn, this.bus.eventBusArn));
	}

	addBusArchive() {
		this.key.addToResourcePolicy(
			new iam.PolicyStatement({
				sid: 'Archive',
				principals: [eventBridge()],
				actions: [
					'kms:Decrypt',
					'kms:DescribeKey',
					'kms:GenerateDataKey',
					'kms:ReEncryptFrom',
					'kms:ReEncryptTo',
				],
				resources: ['*'],
				conditions: {
					ArnLike: {
						'kms:EncryptionContext:aws:events:event-bus:arn': Fn.sub(
							`arn:\${AWS::Partition}:events:\${AWS::Region}:\${AWS::AccountId}:event-bus/${this.busName}`,
						),
					},
				},
			}),
			true,
		);
		this.key.addToResourcePolicy(
			new iam.PolicyStatement({
				sid: 'DescribeForArchive',
				principals: [eventBridge()],
				actions: ['kms:DescribeKey'],
				resources: ['*'],
			}),
			true,
		);
		new events.CfnArchive(this, 'Replays', {
			sourceArn: this.bus.eventBusArn,
			eventPattern: { source: [this.source] },
			description: `Keeps the events of ${this.source} for replay to reactions.`,
			kmsKeyIdentifier: this.key.keyArn,
			retentionDays: 90,
		});
	}

	pattern(types) {
		return { source: [this.source], 'detail-type': types, 'replay-name': LIVE };
	}

	objects(prefix) {
		return this.payloads.arnForObjects(`${prefix}*`);
	}

	connect(handler) {
		handler.setEnvironment({
			EVENT_STORE_TABLE: this.table.tableName,
			EVENT_STORE_PAYLOADS: this.payloads.bucketName,
		});
	}

	connectSubjects(handler) {
		handler.setEnvironment({
			EVENT_STORE_SUBJECTS: this.subjects.tableName,
			EVENT_STORE_KEY: this.key.keyArn,
		});
	}

	grantAppend(handler) {
		this.connect(handler);
		this.connectSubjects(handler);
		handler.allow(INSERT, this.table.tableArn);
		handler.allow(INSERT, this.subjects.tableArn);
		handler.allow(['dynamodb:GetItem'], this.subjects.tableArn);
		handler.allowIf({ Null: { 's3:if-none-match': 'false' } }, ['s3:PutObject'], this.objects('payloads/'));
		handler.allowIf(via('dynamodb', 's3'), USE_KEY, this.key.keyArn);
		handler.allowIf(OF_A_SUBJECT, ['kms:Decrypt', 'kms:GenerateDataKey'], this.key.keyArn);
	}

	grantRead(handler) {
		this.connectSubjects(handler);
		this.grantReadSealed(handler);
		handler.allow(['dynamodb:GetItem'], this.subjects.tableArn);
		handler.allowIf(OF_A_SUBJECT, ['kms:Decrypt'], this.key.keyArn);
	}

	grantReadSealed(handler) {
		this.connect(handler);
		handler.allow(['dynamodb:GetItem', 'dynamodb:Query'], this.table.tableArn);
		handler.allow(['s3:GetObject'], this.objects('payloads/'));
		handler.allowIf(via('dynamodb', 's3'), READ_KEY, this.key.keyArn);
	}

	grantReplay(handler) {
		this.connect(handler);
		handler.allow(['dynamodb:Query'], `${this.table.tableArn}/index/streams`);
		handler.allowIf(via('dynamodb'), READ_KEY, this.key.keyArn);
	}

	grantForget(handler) {
		this.connect(handler);
		this.connectSubjects(handler);
		handler.allow(INSERT, this.table.tableArn);
		handler.allow(['dynamodb:UpdateItem'], this.subjects.tableArn);
		handler.allowIf(via('dynamodb'), USE_KEY, this.key.keyArn);
	}
}

// addPipe carries the events of the store's table to a target.
function addPipe(scope, store, what, target) {
	const stream = store.table.tableStreamArn;
	const lines = logGroup(scope, 'PipeLogs');
	const dead = deadLetterQueue(scope, 'PipeDeadLetters');
	deadLetterAlarm(scope, 'PipeDeadLettersAlarm', dead, `Events for ${what}`, store.topic);
	const role = serviceRole(scope, 'PipeRole', 'pipes.amazonaws.com', [
		allow(
			['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator', 'dynamodb:ListStreams'],
			stream,
		),
		allow(READ_KEY, store.key.keyArn),
		allow(['sqs:SendMessage'], dead.queueArn),
		allow([target.action], target.arn),
	]);
	new pipes.CfnPipe(scope, 'Pipe', {
		description: `Carries the events of ${store.source} to ${what}.`,
		roleArn: role.roleArn,
		source: stream,
		sourceParameters: {
			dynamoDbStreamParameters: {
				startingPosition: 'TRIM_HORIZON',
				batchSize: 10,
				parallelizationFactor: 10,
				maximumRetryAttempts: 185,
				maximumRecordAgeInSeconds: 22 * 60 * 60,
				onPartialBatchItemFailure: 'AUTOMATIC_BISECT',
				deadLetterConfig: { arn: dead.queueArn },
			},
			filterCriteria: { filters: [{ pattern: '{"eventName":["INSERT"]}' }] },
		},
		target: target.arn,
		targetParameters: { ...target.parameters, inputTemplate: ENVELOPE_TEMPLATE },
		logConfiguration: {
			level: 'ERROR',
			cloudwatchLogsLogDestination: { logGroupArn: lines.logGroupArn },
		},
	});
}

// A rule with one target, which may do only what the target needs, and a
// dead-letter queue of its own. The target is a topic, a queue, a handler or a
// log group.
class Reaction extends Construct {
	constructor(scope, id, store, pattern, { topic, queue, handler, group, retryPolicy = RETRY }) {
		super(scope, id);
		const dead = deadLetterQueue(this, 'DeadLetters');
		deadLetterAlarm(this, 'DeadLettersAlarm', dead, `Events for the reaction ${id}`, store.topic);
		const arn = topic?.topicArn ?? queue?.queueArn ?? handler?.target.functionArn ?? logGroupArn(group);
		const rule = new events.CfnRule(this, 'Rule', {
			eventBusName: store.bus.eventBusName,
			eventPattern: pattern,
			targets: [{ id: 'Target', arn, deadLetterConfig: { arn: dead.queueArn }, retryPolicy }],
		});
		dead.addToResourcePolicy(fromEvents('sqs:SendMessage', dead.queueArn, rule.attrArn));
		topic?.addToResourcePolicy(fromEvents('sns:Publish', arn, rule.attrArn));
		queue?.addToResourcePolicy(fromEvents('sqs:SendMessage', arn, rule.attrArn));
		if (handler) {
			new lambda.CfnPermission(this, 'Permission', {
				action: 'lambda:InvokeFunction',
				functionName: arn,
				principal: 'events.amazonaws.com',
				sourceArn: rule.attrArn,
			});
		}
		if (group) {
			this.addLogPolicy(group, rule.attrArn);
		}
	}

	addLogPolicy(group, ruleArn) {
		const Principal = { Service: ['events.amazonaws.com', 'delivery.logs.amazonaws.com'] };
		const document = JSON.stringify({
			Statement: [
				{ Action: 'logs:CreateLogStream', Effect: 'Allow', Principal, Resource: '${Group}:*' },
				{
					Action: 'logs:PutLogEvents',
					Condition: { ArnEquals: { 'aws:SourceArn': '${Rule}' } },
					Effect: 'Allow',
					Principal,
					Resource: '${Group}:*',
				},
			],
			Version: '2012-10-17',
		});
		new logs.CfnResourcePolicy(this, 'LogPolicy', {
			policyName: Names.uniqueResourceName(this, { maxLength: 100 }),
			policyDocument: Fn.sub(document, { Group: logGroupArn(group), Rule: ruleArn }),
		});
	}
}

class Projection extends Construct {
	constructor(store, id, { handler, types, ordered = false, maxConcurrency }) {
		super(store, id);
		this.store = store;
		this.readModel = table(this, 'ReadModel', store.key, {
			partitionKey: { name: 'pk', type: AttributeType.STRING },
			sortKey: { name: 'sk', type: AttributeType.STRING },
			timeToLiveAttribute: 'ttl',
		});
		this.addQueue(store, id, handler, ordered);
		if (ordered) {
			addPipe(this, store, `the projection ${id}`, {
				arn: this.queue.queueArn,
				action: 'sqs:SendMessage',
				parameters: {
					sqsQueueParameters: {
						messageGroupId: '$.dynamodb.Keys.stream.S',
						messageDeduplicationId: '$.dynamodb.NewImage.position.S',
					},
				},
			});
		} else {
			new Reaction(this, 'Events', store, store.pattern(types), { queue: this.queue });
		}
		this.queue.grantConsumeMessages(handler.lambda);
		store.grantReplay(handler);
		store.grantReadSealed(handler);
		handler.allow(
			[
				'dynamodb:BatchWriteItem',
				'dynamodb:DeleteItem',
				'dynamodb:GetItem',
				'dynamodb:PutItem',
				'dynamodb:Scan',
				'dynamodb:UpdateItem',
			],
			this.readModel.tableArn,
		);
		handler.allowIf(via('dynamodb'), USE_KEY, store.key.keyArn);
		handler.setEnvironment({
			READ_MODEL_TABLE: this.readModel.tableName,
			PROJECTION_NAME: id,
			PROJECTION_ORDERED: String(ordered),
			PROJECTION_EVENTS: types.join(','),
		});
		new lambda.EventSourceMapping(this, 'Mapping', {
			target: handler.target,
			eventSourceArn: this.queue.queueArn,
			batchSize: 10,
			reportBatchItemFailures: true,
			maxConcurrency,
		});
		this.rebuild = new RebuildWorkflow(this, 'Rebuild', { handler, topic: store.topic });
	}

	addQueue(store, id, handler, ordered) {
		// CloudFormation refuses fifo: false.
		const dead = deadLetterQueue(this, 'DeadLetters', { fifo: ordered || undefined });
		this.queue = queue(this, 'Queue', {
			visibilityTimeout: Duration.seconds(6 * handler.timeout),
			deadLetterQueue: { queue: dead, maxReceiveCount: 5 },
			...(ordered && {
				fifo: true,
				deduplicationScope: sqs.DeduplicationScope.MESSAGE_GROUP,
				fifoThroughputLimit: sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
			}),
		});
		deadLetterAlarm(this, 'DeadLettersAlarm', dead, `Events for the projection ${id}`, store.topic);
		alarm(this, 'Lag', {
			namespace: 'AWS/SQS',
			metricName: 'ApproximateAgeOfOldestMessage',
			dimensions: { QueueName: this.queue.queueName },
			statistic: 'Maximum',
			threshold: 300,
			alarmDescription: `The projection ${id} lags behind: its handler is slow, throttled or failing.`,
			topic: store.topic,
		});
	}

	grantRead(handler) {
		handler.allow(['dynamodb:GetItem', 'dynamodb:Query'], this.readModel.tableArn);
		handler.allowIf(via('dynamodb'), READ_KEY, this.store.key.keyArn);
	}
}

module.exports = { ENVELOPE, LIVE, RETRY, USE_KEY, EventStore, Projection, Reaction, fromEvents, logGroupArn, via };
