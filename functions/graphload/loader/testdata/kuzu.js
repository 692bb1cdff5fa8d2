// Runs openCypher statements in Kùzu, in memory: one JSON object a line in
// ({"statement", "parameters"}), one out ({"rows"} or {"error"}).
const fs = require('fs');
const os = require('os');
const path = require('path');
const readline = require('readline');

// The package's install script only puts these files together.
const source = path.join(process.argv[2], 'kuzu');
const scripts = path.join(source, 'kuzu-source', 'tools', 'nodejs_api', 'src_js');
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'kuzu-'));
process.on('exit', () => fs.rmSync(dir, { recursive: true }));
for (const file of fs.readdirSync(scripts)) fs.copyFileSync(path.join(scripts, file), path.join(dir, file));
fs.copyFileSync(path.join(source, 'prebuilt', `kuzujs-${process.platform}-${process.arch}.node`), path.join(dir, 'kuzujs.node'));
const kuzu = require(dir);

const connection = new kuzu.Connection(new kuzu.Database(':memory:'));
const plain = (_, v) => (typeof v === 'bigint' ? Number(v) : v);
(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { statement, parameters } = JSON.parse(line);
    let answer;
    try {
      const prepared = await connection.prepare(statement);
      if (!prepared.isSuccess()) throw new Error(prepared.getErrorMessage());
      answer = { rows: await (await connection.execute(prepared, parameters ?? {})).getAll() };
    } catch (e) {
      answer = { error: e.message };
    }
    console.log(JSON.stringify(answer, plain));
  }
})();
