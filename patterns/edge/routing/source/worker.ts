// The adapter for Cloudflare Workers.
import { Answer, Forward, answer, decide, unavailable } from '@serverless-go/routing';

interface Namespace {
  get(key: string): Promise<string | null>;
}

declare const BINDING: string; // from package schema

export default {
  async fetch(request: Request & { cf?: { country?: string } }, env: { [name: string]: Namespace }): Promise<Response> {
    try {
      // Not by URL, which would take dot segments out of sight.
      const rest = /^[a-z]+:\/\/[^\/?#]*([^#]*)/i.exec(request.url)![1] || '/';
      const names: string[] = [];
      request.headers.forEach((_, name) => names.push(name));
      const header = (name: string) => request.headers.get(name) ?? undefined;
      const decision = await decide({
        method: request.method,
        path: rest.split('?')[0],
        country: request.cf?.country,
        address: header('cf-connecting-ip'),
        names,
        header,
        read: async key => {
          const value = await env[BINDING].get(key);
          if (value === null) throw new Error(key);
          return value;
        },
      });
      return 'origins' in decision ? await forward(request, rest, decision) : respond(decision);
    } catch {
      return respond(unavailable());
    }
  },
};

async function forward(request: Request, rest: string, decision: Forward): Promise<Response> {
  const headers = new Headers(request.headers);
  for (const name of decision.drop) headers.delete(name);
  // What CloudFront tells an origin about the viewer, only CloudFront may say.
  request.headers.forEach((_, name) => {
    if (name.startsWith('cloudfront-')) headers.delete(name);
  });
  for (const name in decision.set) headers.set(name, decision.set[name]);

  // Only what an origin group of CloudFront would send twice.
  const again = /^(GET|HEAD|OPTIONS)$/.test(request.method) && !request.body;
  const origins = again ? decision.origins : decision.origins.slice(0, 1);
  let last: Response | undefined;
  for (const origin of origins) {
    try {
      last = await fetch('https://' + origin + rest, {
        method: request.method,
        headers,
        body: request.body,
        redirect: 'manual',
      });
    } catch {
      continue;
    }
    if (![500, 502, 503, 504].includes(last.status)) break;
  }
  return last ?? respond(answer(502, 'origin'));
}

function respond(decision: Answer): Response {
  return new Response(decision.body, { status: decision.status, statusText: decision.text, headers: decision.headers });
}
