// The security baseline, as in patterns/internal/defaults and patterns/alarm.
const { Aws, Duration, RemovalPolicy } = require('aws-cdk-lib');
const cloudwatch = require('aws-cdk-lib/aws-cloudwatch');
const dynamodb = require('aws-cdk-lib/aws-dynamodb');
const iam = require('aws-cdk-lib/aws-iam');
const logs = require('aws-cdk-lib/aws-logs');
const s3 = require('aws-cdk-lib/aws-s3');
const sqs = require('aws-cdk-lib/aws-sqs');

const allow = (actions, ...resources) => new iam.PolicyStatement({ actions, resources });

function alarm(scope, id, { dimensions, period = 60, evaluationPeriods = 1, topic, ...props }) {
	const actions = [topic.topicArn];
	return new cloudwatch.CfnAlarm(scope, id, {
		comparisonOperator: 'GreaterThanOrEqualToThreshold',
		treatMissingData: 'notBreaching',
		dimensions: Object.entries(dimensions).map(([name, value]) => ({ name, value })),
		period,
		evaluationPeriods,
		alarmActions: actions,
		okActions: actions,
		...props,
	});
}

function queue(scope, id, props) {
	return new sqs.Queue(scope, id, {
		enforceSSL: true,
		encryption: sqs.QueueEncryption.SQS_MANAGED,
		retentionPeriod: Duration.days(14),
		...props,
	});
}

const deadLetterQueue = (scope, id, props) => queue(scope, id, { removalPolicy: RemovalPolicy.RETAIN, ...props });

function deadLetterAlarm(scope, id, dead, what, topic) {
	return alarm(scope, id, {
		namespace: 'AWS/SQS',
		metricName: 'ApproximateNumberOfMessagesVisible',
		dimensions: { QueueName: dead.queueName },
		statistic: 'Maximum',
		threshold: 1,
		alarmDescription: `${what} could not be delivered and wait in the dead-letter queue: mend the cause, then redrive.`,
		topic,
	});
}

function logGroup(scope, id) {
	return new logs.LogGroup(scope, id, {
		retention: logs.RetentionDays.THREE_MONTHS,
		removalPolicy: RemovalPolicy.RETAIN,
	});
}

function bucket(scope, id, props) {
	return new s3.Bucket(scope, id, {
		blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
		encryption: s3.BucketEncryption.KMS,
		bucketKeyEnabled: true,
		enforceSSL: true,
		minimumTLSVersion: 1.2,
		objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
		removalPolicy: RemovalPolicy.RETAIN,
		versioned: true,
		...props,
	});
}

function table(scope, id, key, props) {
	const made = new dynamodb.TableV2(scope, id, {
		billing: dynamodb.Billing.onDemand(),
		deletionProtection: true,
		pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
		removalPolicy: RemovalPolicy.RETAIN,
		...props,
	});
	// TableEncryptionV2.customerManagedKey needs a region that is known.
	const cfn = made.node.defaultChild;
	cfn.addPropertyOverride('SSESpecification', { SSEEnabled: true, SSEType: 'KMS' });
	cfn.addPropertyOverride('Replicas.0.SSESpecification.KMSMasterKeyId', key.keyArn);
	return made;
}

function serviceRole(scope, id, service, statements) {
	return new iam.Role(scope, id, {
		assumedBy: new iam.ServicePrincipal(service, {
			conditions: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
		}),
		inlinePolicies: { Allow: new iam.PolicyDocument({ statements }) },
	});
}

module.exports = { alarm, allow, bucket, deadLetterAlarm, deadLetterQueue, logGroup, queue, serviceRole, table };
