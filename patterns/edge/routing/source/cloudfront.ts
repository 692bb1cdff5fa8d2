// The adapter for CloudFront Functions, runtime 2.0, on viewer requests.
// The distribution must add CloudFront-Viewer-Country.
import cf from 'cloudfront';
import { Answer, Forward, decide, unavailable } from '@serverless-go/routing';

interface Value {
  value: string;
  multiValue?: Value[];
}

interface Event {
  viewer: { ip: string };
  request: { method: string; uri: string; headers: { [name: string]: Value } };
}

export async function handler(event: Event) {
  try {
    const request = event.request;
    const headers = request.headers;
    const header = (name: string): string | undefined => {
      if (!Object.prototype.hasOwnProperty.call(headers, name)) return undefined;
      const all = headers[name].multiValue;
      return all ? all.map(one => one.value).join(', ') : headers[name].value;
    };
    const store = cf.kvs();
    const decision = await decide({
      method: request.method,
      path: request.uri,
      country: header('cloudfront-viewer-country'),
      address: event.viewer.ip,
      names: Object.keys(headers),
      header: header,
      read: key => store.get(key),
    });
    return 'origins' in decision ? forward(request, decision) : respond(decision);
  } catch (e) {
    return respond(unavailable());
  }
}

function forward(request: Event['request'], decision: Forward) {
  const origins = decision.origins;
  if (origins.length === 1) {
    cf.selectRequestOriginById(origins[0]);
  } else {
    cf.createRequestOriginGroup({
      originIds: origins.slice(0, 2).map(origin => ({ originId: origin })),
      failoverCriteria: { statusCodes: [500, 502, 503, 504] },
    });
  }
  decision.drop.forEach(name => {
    delete request.headers[name];
  });
  for (const name in decision.set) request.headers[name] = { value: decision.set[name] };
  return request;
}

function respond(decision: Answer) {
  const headers: { [name: string]: Value } = {};
  for (const name in decision.headers) headers[name] = { value: decision.headers[name] };
  return { statusCode: decision.status, statusDescription: decision.text, headers: headers, body: decision.body };
}
