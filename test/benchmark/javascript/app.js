// Synthesizes as many copies of the flash sale as its argument says. Like any
// CDK app it finds the context and the output folder in its environment.
const { App } = require('aws-cdk-lib');
const { FlashSale } = require('./flashsale');

const app = new App();
for (let i = 1; i <= Number(process.argv[2]); i++) {
	new FlashSale(app, `FlashSale${i}`);
}
app.synth();
