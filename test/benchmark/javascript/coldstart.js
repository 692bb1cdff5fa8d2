// A function that is kept ready by a schedule, as in patterns/coldstart.
const { CustomResource, Duration, Fn } = require('aws-cdk-lib');
const autoscaling = require('aws-cdk-lib/aws-applicationautoscaling');
const cloudwatch = require('aws-cdk-lib/aws-cloudwatch');
const logs = require('aws-cdk-lib/aws-logs');
const { Construct } = require('constructs');
const { alarm } = require('./defaults');
const { Handler } = require('./function');

const INIT_DURATION = '$.record.metrics.initDurationMs';

// Provisioned environments by the clock, asked for five minutes early.
const SCHEDULE = [
	['MON-FRI 0755 to 2', 'cron(55 7 ? * MON-FRI *)', 2],
	['SAT,SUN 0955 to 1', 'cron(55 9 ? * SUN,SAT *)', 1],
	['SAT,SUN 1800 to 0', 'cron(0 18 ? * SUN,SAT *)', 0],
	['MON-FRI 2000 to 0', 'cron(0 20 ? * MON-FRI *)', 0],
];

class WarmFunction extends Construct {
	constructor(scope, id, { topic, ...props }) {
		super(scope, id);
		this.handler = new Handler(this, 'Function', { alias: 'live', topic, ...props });
		this.addRelease();
		this.addProvisionedConcurrency(topic);
		this.addStarts(topic);
	}

	addRelease() {
		const release = new Handler(this, 'Release', {
			entry: 'github.com/serverless-go/cdk/functions/release',
			description: 'Readies new versions of a function and deletes old ones.',
			timeout: 600,
			tracing: false,
			deadLetters: false,
			alarms: false,
		});
		const { functionArn, functionName } = this.handler.lambda;
		release.allow(['lambda:DeleteFunction'], Fn.join(':', [functionArn, '*']));
		release.allow(['lambda:ListAliases', 'lambda:ListVersionsByFunction'], functionArn);
		const prune = new CustomResource(this, 'PruneVersions', {
			serviceToken: release.lambda.functionArn,
			resourceType: 'Custom::PruneVersions',
			serviceTimeout: Duration.seconds(660),
			properties: {
				FunctionName: functionName,
				Keep: 3,
				Operation: 'prune',
				Version: this.handler.target.version.version,
			},
		});
		prune.node.addDependency(release, this.handler.target);
	}

	addProvisionedConcurrency(topic) {
		const scope = new Construct(this, 'ProvisionedConcurrency');
		const { functionName } = this.handler.lambda;
		const target = new autoscaling.CfnScalableTarget(scope, 'Target', {
			serviceNamespace: 'lambda',
			scalableDimension: 'lambda:function:ProvisionedConcurrency',
			resourceId: Fn.join(':', ['function', functionName, 'live']),
			minCapacity: 0,
			maxCapacity: 2,
			scheduledActions: SCHEDULE.map(([scheduledActionName, schedule, capacity]) => ({
				scheduledActionName,
				schedule,
				timezone: 'UTC',
				scalableTargetAction: { minCapacity: capacity, maxCapacity: capacity },
			})),
		});
		target.node.addDependency(this.handler.target);

		const dimensions = { FunctionName: functionName, Resource: Fn.join(':', [functionName, 'live']) };
		alarm(scope, 'Spillover', {
			namespace: 'AWS/Lambda',
			metricName: 'ProvisionedConcurrencySpilloverInvocations',
			dimensions,
			statistic: 'Sum',
			threshold: 1,
			evaluationPeriods: 3,
			alarmDescription:
				"Invocations find no provisioned environment free and may start cold: provision more, or plan again with today's traffic.",
			topic,
		});
		new cloudwatch.CfnAlarm(scope, 'Underuse', {
			alarmDescription:
				"Provisioned environments are hardly used: provision fewer, or none, or plan again with today's traffic.",
			comparisonOperator: 'LessThanThreshold',
			threshold: 0.3,
			evaluationPeriods: 7,
			treatMissingData: 'notBreaching',
			alarmActions: [topic.topicArn],
			okActions: [topic.topicArn],
			metrics: [
				{
					id: 'busy',
					returnData: false,
					metricStat: {
						stat: 'Maximum',
						period: 24 * 60 * 60,
						metric: {
							namespace: 'AWS/Lambda',
							metricName: 'ProvisionedConcurrencyUtilization',
							dimensions: Object.entries(dimensions).map(([name, value]) => ({ name, value })),
						},
					},
				},
				{ id: 'utilization', expression: 'FILL(busy, 0)', returnData: true },
			],
		});
	}

	addStarts(topic) {
		const metricName = Fn.join(' ', ['InitDuration', this.handler.lambda.functionName]);
		new logs.CfnMetricFilter(this, 'Starts', {
			logGroupName: this.handler.logs.logGroupName,
			filterPattern: `{ $.type = "platform.report" && ${INIT_DURATION} = * }`,
			metricTransformations: [
				{ metricNamespace: 'ColdStarts', metricName, metricValue: INIT_DURATION, unit: 'Milliseconds' },
			],
		});
		alarm(this, 'SlowStarts', {
			namespace: 'ColdStarts',
			metricName,
			dimensions: {},
			statistic: 'Maximum',
			threshold: 3000,
			alarmDescription:
				'Environments take long to start: do less before the handler, or more memory, or see docs/coldstart.md.',
			topic,
		});
	}
}

module.exports = { WarmFunction };
