// Runs cdk-nag's packs over every template of cloud assemblies:
//
//   npm ci --ignore-scripts && node nag.js ../../cdk.out
//
// cdk-nag judges constructs. CfnInclude makes them from the synthesized
// templates, so that it sees what is deployed, property overrides included.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { App, Aspects, CfnResource, Stack } = require('aws-cdk-lib');
const { CfnInclude } = require('aws-cdk-lib/cloudformation-include');
const { AwsSolutionsChecks, ServerlessChecks } = require('cdk-nag');

// judge returns what the packs find in the assemblies, and how often a rule had
// something to say.
function judge(dirs) {
	const files = dirs.flatMap(templates);
	const result = { findings: [], judged: 0, files };
	files.forEach((file) => run(file, recorder(result)));
	return result;
}

// recorder is a logger of cdk-nag that keeps the findings. What a template
// itself suppresses counts as found: acknowledgements stand in one place.
function recorder(result) {
	const found = (d, detail, info) => {
		result.judged++;
		result.findings.push({
			id: detail ? `${d.ruleId}[${detail}]` : d.ruleId,
			resource: d.resource.node.path.replace('/Template/', '/'),
			type: d.resource.cfnResourceType,
			info,
		});
	};
	const nonCompliance = (d) => found(d, d.findingId, d.ruleInfo);
	const error = (d) => found(d, 'CdkNagValidationFailure', d.errorMessage); // it could not read a property
	return {
		onCompliance: () => result.judged++,
		onNotApplicable: () => {},
		onNonCompliance: nonCompliance,
		onSuppressed: nonCompliance,
		onError: error,
		onSuppressedError: error,
	};
}

// templates finds those of nested assemblies and nested stacks, too.
function templates(dir) {
	return fs.readdirSync(dir, { withFileTypes: true }).flatMap((e) => {
		const file = path.join(dir, e.name);
		if (e.isDirectory()) return e.name.startsWith('asset.') ? [] : templates(file);
		return e.name.endsWith('.template.json') ? [file] : [];
	}).sort();
}

function run(file, logger) {
	const app = new App({ analyticsReporting: false, context: { 'aws:cdk:disable-stack-trace': true } });
	const stack = new Stack(app, path.basename(file).replace(/(\.nested)?\.template\.json$/, ''));
	const copy = plain(file);
	new CfnInclude(stack, 'Template', { templateFile: copy });
	fs.rmSync(path.dirname(copy), { recursive: true });
	const props = { reports: false, verbose: true, additionalLoggers: [logger] };
	for (const pack of [new AwsSolutionsChecks(props), new ServerlessChecks(props)]) {
		pack.loggers.splice(0, pack.loggers.length, logger); // its own would annotate
		for (const node of stack.node.findAll()) if (CfnResource.isCfnResource(node)) pack.visit(node);
	}
}

// plain writes the template without what CfnInclude cannot read and no rule of
// the packs looks at.
function plain(file) {
	const template = JSON.parse(fs.readFileSync(file));
	delete template.Rules;
	const copy = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'nag-')), 'template.json');
	fs.writeFileSync(copy, JSON.stringify(template));
	return copy;
}

// check returns what is wrong: findings that nobody acknowledged, and
// acknowledgements of nothing.
function check(findings, acknowledged) {
	const wrong = [];
	const used = new Set();
	for (const f of findings) {
		const by = acknowledged.filter((a) => glob(a.finding, f.id) && glob(a.resource, f.resource) && a.reason);
		by.forEach((a) => used.add(a));
		if (by.length === 0) wrong.push(`${f.id} at ${f.resource} (${f.type}): ${f.info}`);
	}
	for (const a of acknowledged) {
		if (!a.reason) wrong.push(`acknowledged without a reason: ${JSON.stringify(a)}`);
		if (!used.has(a)) wrong.push(`acknowledged, and not found any more: ${a.finding} at ${a.resource}`);
	}
	return wrong;
}

// glob reports whether the text fits the pattern, in which * is any text and
// everything else is itself.
function glob(pattern, text) {
	return new RegExp('^' + pattern.split('*').map((s) => s.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('.*') + '$', 's').test(text);
}

function main(dirs) {
	const { findings, judged, files } = judge(dirs);
	const wrong = check(findings, require('./acknowledged.json'));
	wrong.forEach((w) => console.log(w));
	console.log(`cdk-nag: ${judged} judgements over ${files.length} templates, ${findings.length} findings, ${wrong.length} problems`);
	process.exit(wrong.length || files.length === 0 || judged < 100 ? 1 : 0);
}

if (require.main === module) main(process.argv.slice(2));
module.exports = { check, glob, judge };
