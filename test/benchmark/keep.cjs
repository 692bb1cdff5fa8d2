// Keeps what an app gives the CDK as assets and removes as soon as the CDK has
// copied it, for who synthesizes the same again: under KEEP, as it was in the
// folder for temporary files. For node --require.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { existsSync } = fs;
const temporary = os.tmpdir() + path.sep;
let copying = false; // which asks, too
fs.existsSync = (file) => {
	const there = existsSync(file);
	if (there && !copying && file.startsWith(temporary) && !file.startsWith(temporary + 'jsii-')) {
		copying = true;
		fs.cpSync(file, path.join(process.env.KEEP, file.slice(temporary.length)), { recursive: true });
		copying = false;
	}
	return there;
};
