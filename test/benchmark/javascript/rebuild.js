// The workflow that builds a read model anew, as in patterns/eventsourcing.
const { Fn, Names, RemovalPolicy } = require('aws-cdk-lib');
const iam = require('aws-cdk-lib/aws-iam');
const logs = require('aws-cdk-lib/aws-logs');
const stepfunctions = require('aws-cdk-lib/aws-stepfunctions');
const { Construct } = require('constructs');
const { alarm, allow, serviceRole } = require('./defaults');

class RebuildWorkflow extends Construct {
	constructor(scope, id, { handler, topic }) {
		super(scope, id);
		const lines = new logs.LogGroup(this, 'Logs', {
			logGroupName: `/aws/vendedlogs/states/${Names.uniqueResourceName(this, { maxLength: 200 })}`,
			retention: logs.RetentionDays.THREE_MONTHS,
			removalPolicy: RemovalPolicy.DESTROY,
		});
		const role = serviceRole(this, 'Role', 'states.amazonaws.com', [
			allow(['lambda:InvokeFunction'], handler.target.functionArn),
			allow(
				[
					'logs:CreateLogDelivery',
					'logs:DeleteLogDelivery',
					'logs:DescribeLogGroups',
					'logs:DescribeResourcePolicies',
					'logs:GetLogDelivery',
					'logs:ListLogDeliveries',
					'logs:PutResourcePolicy',
					'logs:UpdateLogDelivery',
				],
				'*',
			),
			allow(
				[
					'xray:GetSamplingRules',
					'xray:GetSamplingTargets',
					'xray:PutTelemetryRecords',
					'xray:PutTraceSegments',
				],
				'*',
			),
		]);
		this.machine = new stepfunctions.CfnStateMachine(this, 'StateMachine', {
			definition: definition(handler.target.functionArn),
			roleArn: role.roleArn,
			stateMachineType: 'STANDARD',
			loggingConfiguration: {
				level: 'ALL',
				includeExecutionData: false,
				destinations: [{ cloudWatchLogsLogGroup: { logGroupArn: lines.logGroupArn } }],
			},
			tracingConfiguration: { enabled: true },
		});
		alarm(this, 'Failed', {
			namespace: 'AWS/States',
			metricName: 'ExecutionsFailed',
			dimensions: { StateMachineArn: this.machine.ref },
			statistic: 'Sum',
			threshold: 1,
			alarmDescription: `A rebuild of ${scope.node.id} failed: mend the cause and redrive the execution, or abandon its model.`,
			topic,
		});
		const execution = (suffix) =>
			Fn.sub(
				`arn:\${AWS::Partition}:states:\${AWS::Region}:\${AWS::AccountId}:execution:\${Name}${suffix}`,
				{ Name: this.machine.attrName },
			);
		new iam.Policy(this, 'MapPolicy', {
			roles: [role],
			statements: [
				allow(['states:StartExecution'], this.machine.ref),
				allow(
					['states:DescribeExecution', 'states:StopExecution'],
					execution(':*'),
					execution('/Replay:*'),
				),
				allow(['states:RedriveExecution'], execution('/Replay:*')),
			],
		});
	}
}

const STEP =
	"{% $merge([$states.input, {'cursor': $states.result.Payload.cursor ? $states.result.Payload.cursor : '', 'done': $states.result.Payload.done}]) %}";
const PAGE = 1250; // events: ten seconds of 500 a second, for four shards

function definition(functionName) {
	const call = (rebuild, state) => ({
		Type: 'Task',
		Resource: 'arn:aws:states:::lambda:invoke',
		Arguments: { FunctionName: functionName, Payload: { rebuild } },
		Retry: [
			{
				ErrorEquals: [
					'UnavailableError',
					'Lambda.TooManyRequestsException',
					'Lambda.ServiceException',
					'Lambda.AWSLambdaException',
					'Lambda.SdkClientException',
					'Lambda.Unknown',
					'Runtime.ExitError',
					'Sandbox.Timedout',
				],
				IntervalSeconds: 2,
				BackoffRate: 2,
				MaxDelaySeconds: 60,
				MaxAttempts: 10,
				JitterStrategy: 'FULL',
			},
		],
		...state,
	});
	const wait = (Seconds, Next) => ({ Type: 'Wait', Seconds, Next });
	const choice = (condition, then, otherwise) => ({
		Type: 'Choice',
		Choices: [{ Condition: `{% ${condition} %}`, Next: then }],
		Default: otherwise,
	});
	return {
		Comment: 'Builds a read model anew beside the one that is read, and switches to it.',
		QueryLanguage: 'JSONata',
		StartAt: 'Begin or abandon',
		TimeoutSeconds: 60 * 24 * 60 * 60,
		States: {
			'Begin or abandon': choice('$exists($states.input.abandon)', 'Abandon', 'Begin'),
			Begin: call(
				{ op: 'begin', run: '{% $states.context.Execution.Name %}' },
				{
					Assign: { model: '{% $states.result.Payload.model %}' },
					Output: { model: '{% $states.result.Payload.model %}' },
					Next: 'Settle',
				},
			),
			Settle: wait(300, 'Replay'),
			Replay: {
				Type: 'Map',
				Label: 'Replay',
				Items: Array.from({ length: 16 }, (_, i) => String(i).padStart(2, '0')),
				MaxConcurrency: 4,
				ItemSelector: { shard: '{% $states.context.Map.Item.Value %}', model: '{% $model %}', cursor: '' },
				ItemProcessor: {
					ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
					StartAt: 'Page',
					States: {
						Page: call(
							{
								op: 'page',
								limit: PAGE,
								model: '{% $states.input.model %}',
								shard: '{% $states.input.shard %}',
								cursor: '{% $states.input.cursor %}',
							},
							{ Output: STEP, Next: 'Replayed?' },
						),
						'Replayed?': choice('$states.input.done', 'Replayed', 'Pace'),
						Pace: wait(10, 'Page'),
						Replayed: { Type: 'Succeed' },
					},
				},
				Output: { model: '{% $model %}' },
				Next: 'Switch',
			},
			Switch: call(
				{ op: 'switch', model: '{% $model %}' },
				{ Output: { model: '{% $states.result.Payload.previous %}', cursor: '' }, Next: 'Keep old' },
			),
			'Keep old': wait(3600, 'Sweep'),
			Sweep: call(
				{
					op: 'sweep',
					limit: PAGE,
					model: '{% $states.input.model %}',
					cursor: '{% $states.input.cursor %}',
				},
				{ Output: STEP, Next: 'Swept?' },
			),
			'Swept?': choice('$states.input.done', 'Done', 'Pace sweep'),
			'Pace sweep': wait(10, 'Sweep'),
			Done: { Type: 'Succeed' },
			Abandon: call(
				{ op: 'abandon', model: '{% $states.input.abandon %}' },
				{ Output: { model: '{% $states.result.Payload.model %}', cursor: '' }, Next: 'Settle abandoned' },
			),
			'Settle abandoned': wait(300, 'Sweep'),
		},
	};
}

module.exports = { RebuildWorkflow };
