// The stack of the flash sale, as in stacks/flashsale.go with nil props.
const { Aws, CfnOutput, RemovalPolicy, Stack } = require('aws-cdk-lib');
const iam = require('aws-cdk-lib/aws-iam');
const kms = require('aws-cdk-lib/aws-kms');
const logs = require('aws-cdk-lib/aws-logs');
const sns = require('aws-cdk-lib/aws-sns');
const { Archive } = require('./archive');
const { AnomalyDetector, Cascade } = require('./cascade');
const { WarmFunction } = require('./coldstart');
const { EventStore, Projection } = require('./eventsourcing');
const { Handler } = require('./function');
const { HttpApi } = require('./httpapi');

const fromThisAccount = { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } };

class FlashSale extends Stack {
	constructor(scope, id) {
		super(scope, id, {
			description:
				'Flash sale: event-sourced carts, projections, and a cascade that reacts to abandonment.',
		});
		this.addAlarmTopic();
		this.store = new EventStore(this, 'Carts', { key: this.key, topic: this.alarms });
		this.addProjections();
		this.addFunctions();
		this.addCascade();
		new Archive(this.store, 'History');
		const api = new HttpApi(this, 'API', `${this.stackName}-API`, [
			[
				'Commands',
				this.carts,
				'POST /carts',
				'POST /carts/{cart}/items',
				'POST /carts/{cart}/checkout',
				'POST /carts/{cart}/abandon',
			],
			['Queries', this.query, 'GET /carts/{cart}', 'GET /totals'],
		]);
		new CfnOutput(this, 'URL', { value: api.url });
		new CfnOutput(this, 'EventTable', { value: this.store.table.tableName });
		new CfnOutput(this, 'Bus', { value: this.store.bus.eventBusName });
		new CfnOutput(this, 'CartViewRebuild', { value: this.cartView.rebuild.machine.ref });
		new CfnOutput(this, 'SaleTotalsRebuild', { value: this.saleTotals.rebuild.machine.ref });
	}

	addAlarmTopic() {
		this.key = new kms.Key(this, 'Key', {
			description: "Encrypts the flash sale's events, read models and alarms.",
			enableKeyRotation: true,
			removalPolicy: RemovalPolicy.RETAIN,
		});
		this.key.addToResourcePolicy(
			new iam.PolicyStatement({
				sid: 'PublishToEncryptedTopics',
				principals: [
					new iam.ServicePrincipal('cloudwatch.amazonaws.com'),
					new iam.ServicePrincipal('events.amazonaws.com'),
				],
				actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
				resources: ['*'],
				conditions: fromThisAccount,
			}),
		);
		this.alarms = new sns.Topic(this, 'Alarms', { enforceSSL: true, masterKey: this.key });
		this.alarms.addToResourcePolicy(
			new iam.PolicyStatement({
				principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
				actions: ['sns:Publish'],
				resources: [this.alarms.topicArn],
				conditions: fromThisAccount,
			}),
		);
	}

	handler(id, name, description, props, Kind = Handler) {
		const entry = `github.com/serverless-go/cdk/functions/${name}`;
		return new Kind(this, id, { entry, description, topic: this.alarms, ...props });
	}

	addProjections() {
		const props = { memory: 512, timeout: 30, deadLetters: false };
		this.cartView = new Projection(this.store, 'CartView', {
			handler: this.handler(
				'CartViewHandler',
				'cartview',
				'Projects carts, in the order of their events.',
				props,
			),
			types: ['CartOpened', 'ItemAdded', 'CartCheckedOut', 'CartAbandoned'],
			ordered: true,
		});
		this.saleTotals = new Projection(this.store, 'SaleTotals', {
			handler: this.handler('SaleTotalsHandler', 'saletotals', "Projects the sale's totals by hour.", props),
			types: ['CartOpened', 'CartCheckedOut', 'CartAbandoned'],
			maxConcurrency: 50,
		});
	}

	addFunctions() {
		const props = { memory: 512, deadLetters: false };
		const commands = 'Answers the commands of the carts API.';
		this.carts = this.handler('CartsHandler', 'carts', commands, props, WarmFunction).handler;
		this.store.grantAppend(this.carts);
		this.store.grantRead(this.carts);

		this.query = this.handler('QueryHandler', 'cartquery', 'Answers the queries of the carts API.', {
			...props,
			environment: {
				CARTVIEW_TABLE: this.cartView.readModel.tableName,
				TOTALS_TABLE: this.saleTotals.readModel.tableName,
			},
		});
		this.cartView.grantRead(this.query);
		this.saleTotals.grantRead(this.query);

		const forget = this.handler(
			'ForgetHandler',
			'forget',
			"Forgets a customer: destroys the key of the customer's personal data.",
			{ timeout: 30 },
		);
		this.store.grantForget(forget);
	}

	addCascade() {
		const detector = new AnomalyDetector(this.store, 'Abandonment', {
			numerator: 'CartAbandoned',
			denominator: 'CartOpened',
		});
		const cascade = new Cascade(detector, 'AbandonmentCascade', this.store);
		cascade.addReaction('Alert', { topic: this.alarms });
		cascade.addReaction('Log', {
			group: new logs.LogGroup(this, 'AbandonmentLog', { retention: logs.RetentionDays.ONE_YEAR }),
		});
		const offer = this.handler(
			'OfferHandler',
			'offer',
			'Issues a retention offer when carts are abandoned in a wave.',
			{ timeout: 30 },
		);
		this.store.grantAppend(offer);
		this.store.grantReadSealed(offer);
		cascade.addRemediation('Offer', offer);
	}
}

module.exports = { FlashSale };
