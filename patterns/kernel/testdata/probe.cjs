// Writes down which processes of Node end, and how they see themselves, and does
// what a test asks for in the one with jsii's program.
'use strict';

const fs = require('fs');
const path = require('path');
const vm = require('vm');

let kept = 0;
const { Script } = vm;
vm.Script = class extends Script {
	constructor(source, options) {
		super(source, options);
		kept += options.cachedData && !this.cachedDataRejected ? 1 : 0;
	}
};

if (require('worker_threads').isMainThread) {
	process.once('exit', () => {
		fs.appendFileSync(process.env.PROBE_LOG, JSON.stringify({
			program: path.basename(process.argv[1]),
			args: process.argv.slice(2),
			execArgv: process.execArgv,
			options: process.env.NODE_OPTIONS ?? 'none',
			main: path.basename(process.mainModule?.filename ?? ''),
			stdin: fs.fstatSync(0).rdev,
			kept,
			terminal: [process.stdout.isTTY ?? false, process.stderr.isTTY ?? false],
		}) + '\n');
	});
	setImmediate(() => {
		if (path.basename(process.argv[1]) === 'program.js') {
			eval(process.env.PROBE_RUN ?? '');
		}
	});
} else {
	Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(process.env.PROBE_WORKERS_WAIT ?? 0)); // ms
}
