// A rate that is watched and what follows when it is abnormal, as in
// patterns/eventsourcing.
const { Duration, Fn, RemovalPolicy } = require('aws-cdk-lib');
const cloudwatch = require('aws-cdk-lib/aws-cloudwatch');
const dynamodb = require('aws-cdk-lib/aws-dynamodb');
const events = require('aws-cdk-lib/aws-events');
const { Construct } = require('constructs');
const { allow, deadLetterAlarm, deadLetterQueue, queue, serviceRole, table } = require('./defaults');
const { LIVE, RETRY, USE_KEY, Reaction, fromEvents, via } = require('./eventsourcing');

class AnomalyDetector extends Construct {
	constructor(store, id, { numerator, denominator }) {
		super(store, id);
		const counted = queue(this, 'Counted', { retentionPeriod: Duration.minutes(1) });
		const count = (ruleId, type) => {
			const rule = new events.CfnRule(this, ruleId, {
				description: `Counts the events of the rate's ${ruleId.toLowerCase()}.`,
				eventBusName: store.bus.eventBusName,
				eventPattern: {
					...store.pattern([type]),
					detail: { hops: ['0', '1'], origin: [{ 'anything-but': { prefix: 'cascade.' } }] },
				},
				targets: [{ id: 'Counted', arn: counted.queueArn }],
			});
			counted.addToResourcePolicy(fromEvents('sqs:SendMessage', counted.queueArn, rule.attrArn));
			return rule;
		};
		const rules = { numerator: count('Numerator', numerator), denominator: count('Denominator', denominator) };
		const metric = (metricId) => ({
			id: metricId,
			metricStat: {
				metric: {
					namespace: 'AWS/Events',
					metricName: 'MatchedEvents',
					dimensions: [
						{ name: 'EventBusName', value: store.bus.eventBusName },
						{ name: 'RuleName', value: Fn.select(2, Fn.split('/', rules[metricId].attrArn)) },
					],
				},
				period: 60,
				stat: 'Sum',
			},
			returnData: false,
		});
		const metrics = [metric('numerator'), metric('denominator')];
		const expression = 'IF(denominator >= 20, 100 * FILL(numerator, 0) / denominator)';
		const model = new cloudwatch.CfnAnomalyDetector(this, 'Model', {
			metricMathAnomalyDetector: {
				metricDataQueries: [...metrics, { id: 'rate', expression, returnData: true }],
			},
		});
		this.alarm = new cloudwatch.CfnAlarm(this, 'Alarm', {
			alarmDescription: `The rate of ${numerator} per ${denominator} is abnormally high.`,
			evaluationPeriods: 3,
			datapointsToAlarm: 2,
			treatMissingData: 'notBreaching',
			comparisonOperator: 'GreaterThanUpperThreshold',
			thresholdMetricId: 'band',
			metrics: [
				...metrics,
				{ id: 'rate', expression, returnData: true, label: 'Rate in percent' },
				{ id: 'band', expression: 'ANOMALY_DETECTION_BAND(rate, 3)', label: 'Normal', returnData: true },
			],
		});
		this.alarm.addResourceDependency(model);
	}
}

class Cascade extends Construct {
	constructor(detector, id, store) {
		super(detector, id);
		this.store = store;
		this.pattern = {
			source: ['aws.cloudwatch'],
			'detail-type': ['CloudWatch Alarm State Change'],
			resources: [detector.alarm.attrArn],
			'replay-name': LIVE,
			detail: { state: { value: ['ALARM'] } },
		};
		this.name = `cascade.${detector.node.id}`;
		const bus = store.bus.eventBusArn;
		const dead = deadLetterQueue(this, 'DeadLetters');
		deadLetterAlarm(this, 'DeadLettersAlarm', dead, 'Anomalies for the bus', store.topic);
		const role = serviceRole(this, 'Role', 'events.amazonaws.com', [allow(['events:PutEvents'], bus)]);
		const rule = new events.CfnRule(this, 'Rule', {
			description: `Forwards the alarm to the bus of ${store.source}.`,
			eventPattern: this.pattern,
			targets: [
				{
					id: 'Bus',
					arn: bus,
					roleArn: role.roleArn,
					deadLetterConfig: { arn: dead.queueArn },
					retryPolicy: RETRY,
				},
			],
		});
		dead.addToResourcePolicy(fromEvents('sqs:SendMessage', dead.queueArn, rule.attrArn));
	}

	addReaction(id, target) {
		new Reaction(this, id, this.store, this.pattern, target);
	}

	addRemediation(id, handler) {
		const { key } = this.store;
		const guard = table(this, 'Guard', key, {
			partitionKey: { name: 'guard', type: dynamodb.AttributeType.STRING },
			timeToLiveAttribute: 'ttl',
			deletionProtection: false,
			pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: false },
			removalPolicy: RemovalPolicy.DESTROY,
		});
		handler.allow(['dynamodb:UpdateItem'], guard.tableArn);
		handler.allowIf(via('dynamodb'), USE_KEY, key.keyArn);
		handler.setEnvironment({
			CASCADE_GUARD_TABLE: guard.tableName,
			CASCADE_NAME: this.name,
			CASCADE_COOL_DOWN: '15m0s',
			CASCADE_BUDGET: '3',
			CASCADE_WINDOW: '24h0m0s',
			CASCADE_MAX_HOPS: '3',
		});
		this.addReaction(id, { handler, retryPolicy: { ...RETRY, maximumEventAgeInSeconds: 900 } });
	}
}

module.exports = { AnomalyDetector, Cascade };
