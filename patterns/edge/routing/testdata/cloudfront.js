// Runs requests through the CloudFront Function in njs. NAME.js is the code;
// the module cloudfront is a stub beside it, with the entries.
async function all(requests) {
  const outcomes = [];
  for (let i = 0; i < requests.length; i++) {
    const r = requests[i];
    stub.miss = r.miss;
    stub.origins = undefined;
    const headers = {};
    Object.keys(r.headers || {}).forEach(name => { headers[name.toLowerCase()] = { value: r.headers[name] }; });
    if (r.country !== undefined) headers['cloudfront-viewer-country'] = { value: r.country };
    let out;
    try {
      out = await handler({ viewer: { ip: r.address || '192.0.2.1' }, request: { method: r.method || 'GET', uri: r.path || '/', headers: headers, querystring: {} } });
    } catch (e) {
      out = { statusCode: -1, body: String(e), headers: {} };
    }
    const status = out.statusCode || 200;
    const values = {};
    Object.keys(out.headers).forEach(name => { if (/^(x.routing|retry-after|www-auth|allow$)/.test(name)) values[name] = out.headers[name].value; });
    outcomes.push({ status: status, body: out.body || '', origins: stub.origins || [], headers: values });
  }
  return outcomes;
}
