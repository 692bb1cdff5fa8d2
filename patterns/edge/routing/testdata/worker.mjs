// Runs requests through the Worker in workerd, with the entries in a KV
// namespace of miniflare. Its input is {code, entries, requests} on stdin.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
const { Miniflare } = createRequire(process.argv[2] + '/')('miniflare');
const input = JSON.parse(readFileSync(0, 'utf8'));
const harness = `
import worker from './routing.mjs';
export default { async fetch(message, env) {
  const outcomes = [];
  for (const r of await message.json()) {
    let seen;
    globalThis.fetch = async (url, init) => { seen = { url, headers: new Headers(init.headers) }; return new Response(''); };
    const headers = new Headers(r.headers);
    headers.set('cf-connecting-ip', r.address || '192.0.2.1');
    // No Request: its constructor takes dot segments out of sight.
    const request = { url: 'https://edge.example.com' + (r.path || '/'), method: r.method || 'GET', headers, body: null, cf: { country: r.country } };
    const ROUTING = { get: key => key === r.miss ? null : env.ROUTING.get(key) };
    const out = await worker.fetch(request, { ROUTING });
    const values = {};
    for (const [name, value] of seen ? seen.headers : out.headers) if (/^(x.routing|retry-after|www-auth|allow$)/.test(name)) values[name] = value;
    outcomes.push({ status: out.status, body: seen ? '' : await out.text(), origins: seen ? [new URL(seen.url).host] : [], headers: values });
  }
  return Response.json(outcomes);
} };`;
const mf = new Miniflare({
  host: '127.0.0.1', compatibilityDate: '2026-07-01', kvNamespaces: ['ROUTING'], cf: false,
  modules: [{ type: 'ESModule', path: 'harness.mjs', contents: harness }, { type: 'ESModule', path: 'routing.mjs', contents: input.code }],
});
const kv = await mf.getKVNamespace('ROUTING');
for (const key in input.entries) await kv.put(key, input.entries[key]);
const response = await mf.dispatchFetch('http://edge/', { method: 'POST', body: JSON.stringify(input.requests) });
process.stdout.write(await response.text());
await mf.dispose();
