// A Lambda function with its role, logs, dead letters and alarms, as in
// patterns/function.
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { AssetHashType, Duration, RemovalPolicy, Stage } = require('aws-cdk-lib');
const iam = require('aws-cdk-lib/aws-iam');
const lambda = require('aws-cdk-lib/aws-lambda');
const { Construct } = require('constructs');
const { alarm, allow, deadLetterAlarm, deadLetterQueue, logGroup } = require('./defaults');

class Handler extends Construct {
	constructor(scope, id, props) {
		const { entry, description, memory = 256, timeout = 10, environment, alias, topic } = props;
		const { tracing = true, deadLetters = true, alarms = true } = props;
		super(scope, id);
		this.timeout = timeout;
		this.logs = logGroup(this, 'Logs');
		const role = new iam.Role(this, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
		const dead = deadLetters ? deadLetterQueue(this, 'DeadLetters') : undefined;
		this.lambda = new lambda.Function(this, 'Function', {
			architecture: lambda.Architecture.ARM_64,
			code: code(this, entry),
			currentVersionOptions: alias && { removalPolicy: RemovalPolicy.RETAIN },
			deadLetterQueue: dead,
			description,
			environment,
			handler: 'bootstrap',
			initialPolicy: [allow(['logs:CreateLogStream', 'logs:PutLogEvents'], this.logs.logGroupArn)],
			logGroup: this.logs,
			loggingFormat: lambda.LoggingFormat.JSON,
			memorySize: memory,
			recursiveLoop: lambda.RecursiveLoop.TERMINATE,
			role,
			runtime: lambda.Runtime.PROVIDED_AL2023,
			timeout: Duration.seconds(timeout),
			tracing: tracing ? lambda.Tracing.ACTIVE : lambda.Tracing.DISABLED,
		});
		// What callers invoke.
		this.target = this.lambda;
		if (alias) {
			const version = this.lambda.currentVersion;
			this.target = new lambda.Alias(this, 'Alias', { aliasName: alias, version });
		}
		if (alarms) {
			this.addAlarms(topic, dead);
		}
	}

	addAlarms(topic, dead) {
		const common = { namespace: 'AWS/Lambda', dimensions: { FunctionName: this.lambda.functionName }, topic };
		alarm(this, 'Errors', {
			...common,
			metricName: 'Errors',
			statistic: 'Sum',
			threshold: 1,
			alarmDescription: "Invocations failed: read the function's log.",
		});
		alarm(this, 'Throttles', {
			...common,
			metricName: 'Throttles',
			statistic: 'Sum',
			threshold: 1,
			alarmDescription:
				"Invocations were refused for lack of concurrency: raise the function's or the account's limit.",
		});
		alarm(this, 'Duration', {
			...common,
			metricName: 'Duration',
			statistic: 'Maximum',
			evaluationPeriods: 3,
			threshold: 900 * this.timeout,
			alarmDescription: `Invocations take nearly the time-out of ${this.timeout}s: make them shorter or the time-out longer.`,
		});
		if (dead) {
			deadLetterAlarm(this, 'DeadLettersAlarm', dead, 'Asynchronous invocations', topic);
		}
	}

	allow(actions, ...resources) {
		this.lambda.addToRolePolicy(allow(actions, ...resources));
	}

	allowIf(conditions, actions, ...resources) {
		this.lambda.addToRolePolicy(new iam.PolicyStatement({ actions, resources, conditions }));
	}

	setEnvironment(variables) {
		for (const [name, value] of Object.entries(variables)) {
			this.lambda.addEnvironment(name, value);
		}
	}
}

// As our constructs do when nothing is to be bundled: an empty folder that is
// hashed by the entry's name.
function code(scope, entry) {
	const dir = path.join(Stage.of(scope).outdir, '..', 'empty');
	fs.mkdirSync(dir, { recursive: true });
	return lambda.Code.fromAsset(dir, {
		assetHash: createHash('sha256').update(entry).digest('hex'),
		assetHashType: AssetHashType.CUSTOM,
		displayName: `Go handler ${entry}`,
	});
}

module.exports = { Handler };
