// An HTTP API in front of functions, as in stacks/httpapi.go.
const { Fn } = require('aws-cdk-lib');
const apigateway = require('aws-cdk-lib/aws-apigatewayv2');
const lambda = require('aws-cdk-lib/aws-lambda');
const { Construct } = require('constructs');
const { logGroup } = require('./defaults');

const ACCESS_LOG =
	'{"time":"$context.requestTime","id":"$context.requestId","route":"$context.routeKey",' +
	'"status":"$context.status","latency":"$context.responseLatency","error":"$context.error.message",' +
	'"authorizer":"$context.authorizer.error","integration":"$context.integrationErrorMessage"}';

class HttpApi extends Construct {
	// answers: a list of [id, handler, ...routes]
	constructor(scope, id, name, answers) {
		super(scope, id);
		this.api = new apigateway.CfnApi(this, 'Api', { name, protocolType: 'HTTP', disableExecuteApiEndpoint: false });
		this.url = this.api.attrApiEndpoint;
		for (const [answer, handler, ...routes] of answers) {
			const target = this.integrate(answer, handler);
			for (const routeKey of routes) {
				new apigateway.CfnRoute(this, routeId(routeKey), {
					apiId: this.api.ref,
					routeKey,
					target,
					authorizationType: 'AWS_IAM',
				});
			}
		}
		const logs = logGroup(this, 'AccessLogs');
		new apigateway.CfnStage(this, 'Stage', {
			apiId: this.api.ref,
			stageName: '$default',
			autoDeploy: true,
			accessLogSettings: { destinationArn: logs.logGroupArn, format: ACCESS_LOG },
			defaultRouteSettings: {
				detailedMetricsEnabled: true,
				throttlingBurstLimit: 5000,
				throttlingRateLimit: 5000,
			},
		});
	}

	integrate(id, handler) {
		const { functionArn } = handler.target;
		new lambda.CfnPermission(this, `${id}Permission`, {
			action: 'lambda:InvokeFunction',
			functionName: functionArn,
			principal: 'apigateway.amazonaws.com',
			sourceArn: Fn.sub('arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/*', {
				Api: this.api.ref,
			}),
		});
		const integration = new apigateway.CfnIntegration(this, `${id}Integration`, {
			apiId: this.api.ref,
			integrationType: 'AWS_PROXY',
			integrationUri: functionArn,
			payloadFormatVersion: '2.0',
		});
		return `integrations/${integration.ref}`;
	}
}

// routeId turns "POST /carts/{cart}/items" into "PostCartsCartItems".
function routeId(key) {
	return key
		.split(/[ /{}]+/)
		.filter(Boolean)
		.map((word) => word[0].toUpperCase() + word.slice(1).toLowerCase())
		.join('');
}

module.exports = { HttpApi };
