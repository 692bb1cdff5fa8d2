// Runs jsii's program in the process that Go starts, where jsii starts a second
// one for it and copies every message, and keeps the code that V8 compiles. Node
// loads this file before its program, whatever that is; in doubt everything
// stays as it was.
'use strict';

const path = require('path');

// The SHA-256 of jsii's two files, the first followed by the second. What is
// below relies on how they work: see TestKnown before adding another.
const known = ['aacf16e63364f2f5e3c93f7a04d59a47f1d06c7b41837dc153406fd6abd04a63']; // jsii 1.139.0

// What Direct has added to the options is for this process alone. Where the
// launcher stays it gives its child --preserve-symlinks itself.
const options = process.env.NODE_OPTIONS ?? '';
const added = options.lastIndexOf('--preserve-symlinks --require');
if (added >= 0) {
	process.env.NODE_OPTIONS = options.slice(0, added).trimEnd();
}

const headLength = 128; // of a file of code: see readCode

const launcher = path.resolve(process.argv[1] ?? '');
const program = path.resolve(launcher, '..', '..', 'lib', 'program.js');
if (path.basename(launcher) === 'jsii-runtime.js' && require('worker_threads').isMainThread && isKnown()) {
	intercept();
}

function isKnown() {
	const { readFileSync } = require('fs');
	const hash = require('crypto').createHash('sha256');
	try {
		return known.includes(hash.update(readFileSync(launcher)).update(readFileSync(program)).digest('hex'));
	} catch {
		return false;
	}
}

// intercept lets the launcher run until it starts the program: it warns of
// versions of Node before.
function intercept() {
	const Module = require('module');
	const childProcess = require('child_process');
	const { _load } = Module;
	Module._load = function (request, parent, isMain) {
		if (!isMain) {
			return _load.apply(this, arguments);
		}
		Module._load = _load;
		const files = open();
		if (!files) {
			return _load.apply(this, arguments);
		}
		const { spawn } = childProcess;
		const started = new Error('the launcher starts the program');
		childProcess.spawn = () => { throw started; };
		try {
			return _load.apply(this, arguments);
		} catch (e) {
			if (e !== started) {
				throw e;
			}
		} finally {
			childProcess.spawn = spawn;
		}
		become(files);
		keepCode();
		const { exit } = process;
		process.exit = finishing(exit);
		try {
			return _load.call(this, program, null, true);
		} finally {
			process.exit = exit; // only the program has the other one, for its end
		}
	};
}

// open opens again the pipes to and from Go, as files that no child inherits
// and whose reads wait.
function open() {
	const { constants, openSync } = require('fs');
	try {
		return {
			// Where 3 is free it has to be taken: it stands for the pipes below.
			reserved: openSync('/dev/null', constants.O_RDONLY),
			input: openSync('/dev/fd/0', constants.O_RDONLY),
			output: openSync('/dev/fd/1', constants.O_WRONLY),
			errors: openSync('/dev/fd/2', constants.O_WRONLY),
		};
	} catch {
		return undefined; // no /dev/fd, or one that may not be opened
	}
}

// become makes this process what the launcher's child would be.
function become(files) {
	const fs = require('fs');
	const { readSync, writeSync } = fs;

	// The program's messages are on 3, both ways.
	fs.readSync = (fd, ...rest) => readSync(fd === 3 ? files.input : fd, ...rest);
	fs.writeSync = (fd, ...rest) => writeSync(fd === 3 ? files.output : fd, ...rest);

	// What the CDK starts must neither read Go's messages nor write between the
	// answers. The lowest free number is the one just closed.
	fs.closeSync(0);
	fs.openSync('/dev/null', fs.constants.O_RDONLY);
	fs.closeSync(1);
	fs.openSync('/dev/fd/2', fs.constants.O_WRONLY);

	for (const name of ['stdout', 'stderr']) {
		process[name]._writev = null;
		process[name]._write = (chunk, encoding, done) => {
			const text = Buffer.from(chunk, encoding).toString('base64');
			try {
				print(Buffer.from(JSON.stringify({ [name]: text }) + '\n'));
			} catch (e) {
				return done(e);
			}
			done();
		};
	}
	function print(line) {
		for (let at = 0; at < line.length;) {
			try {
				at += writeSync(files.errors, line, at);
			} catch (e) {
				if (e.code !== 'EAGAIN') {
					throw e;
				}
			}
		}
	}

	process.argv[1] = program;
	process.execArgv.push('--preserve-symlinks'); // jsii looks for it there
}

// finishing returns what ends the process when jsii's workers have ended. They
// write the indexes of packages, and are meant to live as long; but the program
// ends the process, and small apps may never have the CDK's index.
function finishing(exit) {
	const threads = require('worker_threads');
	const { Worker } = threads;
	const running = new Set();
	threads.Worker = class extends Worker {
		constructor(file, options) {
			super(file, options);
			if (path.basename(`${file}`) === 'runtime-index-worker.js') {
				running.add(this);
				this.once('exit', () => running.delete(this));
			}
		}
	};
	return (status) => {
		const end = () => exit.call(process, status);
		if (running.size === 0 || status !== 0) {
			end();
		}
		for (const worker of running) {
			worker.once('exit', () => running.size === 0 && end());
		}
		setTimeout(end, 60_000);
	};
}

// keepCode keeps what V8 compiles of jsii and the CDK for the next process. Node
// can do that, too, but by path, and jsii's folder has another name each time.
function keepCode() {
	const Module = require('module');
	const vm = require('vm');
	if (process.env.NODE_V8_COVERAGE || process.sourceMapsEnabled) {
		return; // V8 counts less in kept code, and Node maps only what it compiles
	}
	const kept = readCode();
	const compiled = new Map();
	const used = new Set();

	const { _compile } = Module.prototype;
	const [before] = Module.wrap('|').split('|');
	Module.prototype._compile = function (source, filename, format) {
		const ours = filename === program || /[\\/]jsii-kernel-\w+[\\/]node_modules[\\/]/.test(filename);
		if (!ours || (format && format !== 'commonjs') || source.includes('import(')) {
			return _compile.apply(this, arguments);
		}
		const hash = sha256(source);
		let cachedData;
		let script;
		try {
			cachedData = kept.get(hash)?.();
			script = new vm.Script(Module.wrap(source), { filename, columnOffset: -before.length, cachedData });
		} catch {
			return _compile.apply(this, arguments); // which says what is wrong with it
		}
		if (cachedData && !script.cachedDataRejected) {
			used.add(hash);
		} else {
			compiled.set(hash, script);
		}
		const require = (id) => this.require(id);
		require.resolve = (request, options) => Module._resolveFilename(request, this, false, options);
		require.resolve.paths = (request) => Module._resolveLookupPaths(request, this);
		require.main = process.mainModule;
		require.extensions = Module._extensions;
		require.cache = Module._cache;
		return script.runInThisContext().call(this.exports, this.exports, require, this, filename, path.dirname(filename));
	};

	// At the end, because V8 compiles a function when it is first called.
	process.once('exit', (status) => {
		if (status === 0 && compiled.size > 0) {
			writeCode(compiled, used);
		}
	});
}

function sha256(data) {
	return require('crypto').createHash('sha256').update(data).digest('hex');
}

// codeFile is beside this file, one for each that might not read another's.
function codeFile() {
	const compiler = `${process.version}-${process.arch}-${require('v8').cachedDataVersionTag()}`;
	return path.join(__dirname, `${path.basename(__filename, '.cjs')}-${compiler}.code`);
}

// readCode returns what reads the code of each source, by the source's hash. The
// file is the hash and length of its index, the index, and the code. V8 trusts
// its code, so both hashes are verified.
function readCode() {
	const fs = require('fs');
	const kept = new Map();
	try {
		const fd = fs.openSync(codeFile(), 'r'); // stays open: another process may replace the file
		const read = (at, length) => {
			const data = Buffer.allocUnsafe(length);
			return fs.readSync(fd, data, 0, length, at) === length ? data : Buffer.alloc(0);
		};
		const head = JSON.parse(read(0, headLength).toString());
		const index = read(headLength, head.length);
		if (sha256(index) === head.hash) {
			for (const [source, at, length, hash] of JSON.parse(index.toString())) {
				kept.set(source, () => {
					const code = read(headLength + head.length + at, length);
					return sha256(code) === hash ? code : undefined;
				});
			}
		}
	} catch {
		// None is kept, or none that can be read: all is compiled and written again.
	}
	return kept;
}

// writeCode adds the code of scripts to what is kept. Of a file that has grown
// too large, for versions of the CDK come and go, it leaves what is in use.
function writeCode(scripts, used) {
	const fs = require('fs');
	const file = codeFile();
	// A number of a process comes again, also of one that was killed while it wrote.
	const temporary = `${file}.${process.pid}-${Date.now()}`;
	let fd;
	try {
		fd = fs.openSync(temporary, 'wx', 0o600); // where that fails, nothing is computed
		const full = (fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 1 << 26;
		const code = new Map();
		for (const [source, read] of readCode()) {
			const data = full && !used.has(source) ? undefined : read();
			if (data) {
				code.set(source, data);
			}
		}
		for (const [source, script] of scripts) {
			code.set(source, script.createCachedData());
		}
		let at = 0;
		const index = Buffer.from(JSON.stringify([...code].map(([source, data]) => {
			at += data.length;
			return [source, at - data.length, data.length, sha256(data)];
		})));
		const head = JSON.stringify({ hash: sha256(index), length: index.length }).padEnd(headLength);
		fs.writeFileSync(fd, Buffer.concat([Buffer.from(head), index, ...code.values()]));
		fs.renameSync(temporary, file);
	} catch {
		if (fd !== undefined) {
			fs.rmSync(temporary, { force: true });
		}
	}
}
