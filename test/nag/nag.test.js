// node --test
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { check, glob, judge } = require('./nag.js');

function assembly(resources) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'nag-test-'));
	fs.writeFileSync(path.join(dir, 'Shop.template.json'), JSON.stringify({ Resources: resources, Rules: { R: { Assertions: [] } } }));
	return dir;
}

test('it reads properties as they are deployed', () => {
	const { findings, judged } = judge([assembly({
		Topic: { Type: 'AWS::SNS::Topic', Properties: {} },
		Role: {
			Type: 'AWS::IAM::Role',
			Properties: { AssumeRolePolicyDocument: { Statement: [] }, ManagedPolicyArns: ['arn:aws:iam::aws:policy/AdministratorAccess'] },
		},
	})]);
	const found = findings.map((f) => `${f.id} at ${f.resource}`);
	assert.ok(found.includes('AwsSolutions-SNS3 at Shop/Topic'), found.join('\n'));
	assert.ok(found.includes('AwsSolutions-IAM4[Policy::arn:aws:iam::aws:policy/AdministratorAccess] at Shop/Role'), found.join('\n'));
	assert.ok(judged >= findings.length);
});

test('the pack for serverless runs, too', () => {
	const { findings } = judge([assembly({ Fn: { Type: 'AWS::Lambda::Function', Properties: { Code: { ZipFile: 'x' }, Role: 'r' } } })]);
	assert.ok(findings.some((f) => f.id === 'Serverless-LambdaTracing'));
});

const finding = { id: 'AwsSolutions-S1', resource: 'Shop-dev/Bucket1', type: 'AWS::S3::Bucket', info: 'no logs' };

test('what is acknowledged is right', () => {
	assert.deepEqual(check([finding], [{ finding: 'AwsSolutions-S1', resource: 'Shop-*/Bucket*', reason: 'why' }]), []);
});

test('what is not is wrong', () => {
	assert.equal(check([finding], []).length, 1);
	assert.equal(check([finding], [{ finding: 'AwsSolutions-S1', resource: 'Shop-*/Other*', reason: 'why' }]).length, 2); // and unused
});

test('an acknowledgement needs a reason', () => {
	assert.equal(check([finding], [{ finding: 'AwsSolutions-S1', resource: '*' }]).length, 3);
});

test('only * is special in a pattern', () => {
	assert.ok(glob('AwsSolutions-IAM5[Resource::<*.Arn>/*]', 'AwsSolutions-IAM5[Resource::<Bucket.Arn>/raw/*]'));
	assert.ok(!glob('a.c', 'abc'));
	assert.ok(!glob('a', 'ab'));
});
