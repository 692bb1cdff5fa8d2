// The decision, for every edge alike. It knows no platform: an adapter says
// what the request is and how to read the table, and does what is decided.
//
// Whatever throws, here or in an adapter, ends in `unavailable`: the edge fails
// closed. See table.go for the entries.

/** What an adapter says about a request. Header names are in lower case. */
export interface Incoming {
  method: string;
  /** The path as the client sent it, without the query. */
  path: string;
  country: string | undefined;
  /** The client's IP address. */
  address: string | undefined;
  /** The names of all headers. */
  names: string[];
  /** A header's value; several are joined with ", ". */
  header: (name: string) => string | undefined;
  /** An entry of the table; rejects if there is none. */
  read: (key: string) => Promise<string>;
}

/** A request that is passed on, to the origins in order of preference. */
export interface Forward {
  origins: string[];
  /** Headers to set. */
  set: { [name: string]: string };
  /** Headers to remove before that. */
  drop: string[];
}

/** A request that is answered at the edge. */
export interface Answer {
  status: number;
  text: string;
  headers: { [name: string]: string };
  body: string;
}

interface Maintenance {
  retryAfter: number;
  allow?: string[];
}

interface Token {
  form: string;
  header: string;
  scheme?: string;
  max: number;
}

interface Paths {
  public?: string[];
  protected?: string[];
}

interface Experiment {
  name: string;
  subject: string;
  variants: string[];
  weights: number[];
}

declare const PREFIX: string; // from package schema
declare const VERSION: number; // from table.go

const maxPath = 2048;
const maxHeaders = 16384;

const texts: { [status: number]: string } = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  405: 'Method Not Allowed',
  414: 'URI Too Long',
  431: 'Request Header Fields Too Large',
  451: 'Unavailable For Legal Reasons',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
};

/** Returns an answer that no cache keeps. */
export function answer(status: number, error: string, name?: string, value?: string): Answer {
  const headers: { [name: string]: string } = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  if (name) headers[name] = value as string;
  return { status: status, text: texts[status], headers: headers, body: '{"error":"' + error + '"}' };
}

/** Returns the answer to a request that cannot be decided. */
export function unavailable(): Answer {
  return answer(503, 'unavailable', 'retry-after', '5');
}

/** Decides what happens to a request. */
export async function decide(request: Incoming): Promise<Forward | Answer> {
  const hostile = inspect(request);
  if (hostile) return hostile;
  const path = decode(request.path);
  if (path === undefined) return answer(400, 'path');

  const settings = await entry(request, 'settings');
  if (settings.version !== VERSION) return unavailable();
  if (stopped(settings.maintenance, request.address)) return maintenance(settings.maintenance);

  // XX and T1 are what Cloudflare says for unknown countries and Tor.
  const country = /^[A-Z]{2}$/.test(request.country || '') && request.country !== 'XX' ? request.country : undefined;
  const countries = await entry(request, 'countries');
  const name = jurisdictionOf(country, countries) || settings.default;
  if (!name) return country ? answer(451, 'country') : answer(403, 'country_unknown');
  const jurisdiction = await entry(request, 'jurisdiction/' + name);
  if (stopped(jurisdiction.maintenance, request.address)) return maintenance(jurisdiction.maintenance);
  if (!jurisdiction.origins.length) return unavailable();

  const token: Token = settings.token;
  if (token && !preflight(request)) {
    let paths: Paths = {};
    if (settings.paths) paths = await entry(request, 'paths');
    if (isProtected(path, paths) && !fits(request.header(token.header), token)) {
      return answer(401, 'token', 'www-authenticate', token.scheme || 'Bearer');
    }
  }

  const set: { [name: string]: string } = {};
  set[PREFIX + 'jurisdiction'] = name;
  if (country) set[PREFIX + 'country'] = country;
  if (settings.experiments) {
    const experiments: Experiment[] = await entry(request, 'experiments');
    set[PREFIX + 'experiments'] = experiments.map(e => e.name + '=' + assign(e, request.header(e.subject))).join(',');
  }
  return { origins: jurisdiction.origins, set: set, drop: request.names.filter(isOurs) };
}

/** Reads an entry. CloudFront's runtime has no await in arguments. */
function entry(request: Incoming, key: string): Promise<any> {
  return request.read(key).then(text => JSON.parse(text));
}

/** Answers what can be refused without looking at the table. */
function inspect(request: Incoming): Answer | undefined {
  if (!/^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/.test(request.method)) {
    return answer(405, 'method', 'allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS');
  }
  if (request.path.length > maxPath) return answer(414, 'path_length');
  let size = 0;
  for (let i = 0; i < request.names.length; i++) {
    const name = request.names[i];
    // Cookies are no header in CloudFront's event.
    if (name !== 'cookie') size += name.length + (request.header(name) || '').length;
  }
  return size > maxHeaders ? answer(431, 'headers') : undefined;
}

/** Some servers read x_routing_country as the same variable. */
function isOurs(name: string): boolean {
  return name.replace(/_/g, '-').indexOf(PREFIX) === 0;
}

/**
 * Returns a path's decoded form, or undefined for one that the edge and an
 * origin could read differently (RFC 3986, sections 2 and 3.3): anything but
 * the characters of a path, encoded slashes, backslashes, delimiters and
 * control characters, percent signs encoded twice, broken UTF-8, and empty or
 * dot segments, those with parameters included.
 */
function decode(path: string): string | undefined {
  if (!/^\/([A-Za-z0-9._~!$&'()*+,;=:@\/-]|%[0-9A-Fa-f]{2})*$/.test(path)) return undefined;
  if (/%(2f|5c|23|3f|[01]|7f|25[0-9a-f]{2}|c[01]|e0%[89]|ed%[ab]|f0%8|f4%9|f[5-9a-f])/i.test(path)) return undefined;
  let decoded;
  try {
    decoded = decodeURIComponent(path);
  } catch (e) {
    return undefined;
  }
  if (/[\x00-\x1f\x7f-\x9f]|\/\/|\/\.\.?(;[^\/]*)?(\/|$)/.test(decoded)) return undefined;
  return decoded;
}

/** Looks a country up in {"eu":"ATDE"}, two letters a country. */
function jurisdictionOf(country: string | undefined, countries: { [name: string]: string }): string | undefined {
  if (!country) return undefined;
  for (const name in countries) {
    const list = countries[name];
    for (let at = list.indexOf(country); at >= 0; at = list.indexOf(country, at + 1)) {
      if (at % 2 === 0) return name;
    }
  }
  return undefined;
}

function stopped(m: Maintenance | undefined, address: string | undefined): boolean {
  if (!m) return false;
  const allow = m.allow;
  if (!allow) return true;
  const digits = hex(address || '');
  return !allow.some(prefix => digits.indexOf(prefix) === 0);
}

function maintenance(m: Maintenance): Answer {
  return answer(503, 'maintenance', 'retry-after', String(m.retryAfter));
}

/** Returns an address as "4." or "6." and its hexadecimal digits; empty if it is none. */
function hex(address: string): string {
  const mapped = address.replace(/^::ffff:(?=[0-9.]+$)/i, '');
  if (/^[0-9]{1,3}(\.[0-9]{1,3}){3}$/.test(mapped)) {
    return '4.' + mapped.split('.').map(part => pad(Number(part).toString(16), 2)).join('');
  }
  const halves = address.split('::');
  if (!/^[0-9a-f:]{2,39}$/i.test(address) || halves.length > 2) return '';
  const head = halves[0] ? halves[0].split(':') : [];
  const tail = halves[1] ? halves[1].split(':') : [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return '';
  for (let i = 0; i < missing; i++) head.push('0');
  return '6.' + head.concat(tail).map(part => pad(part.toLowerCase(), 4)).join('');
}

function pad(digits: string, length: number): string {
  return ('000' + digits).slice(-Math.max(length, digits.length));
}

/** A browser sends no credentials with a CORS preflight. */
function preflight(request: Incoming): boolean {
  return request.method === 'OPTIONS' && !!request.header('origin') && !!request.header('access-control-request-method');
}

/**
 * Where a public and a protected prefix cover a path, the longer one decides.
 * Protected ones are compared as the most lenient origin would: without case
 * and path parameters.
 */
function isProtected(path: string, paths: Paths): boolean {
  const lenient = path.toLowerCase().replace(/;[^\/]*/g, '');
  const open = longest(path, paths.public, false);
  return open < 0 || longest(lenient, paths.protected, true) >= open;
}

function longest(path: string, prefixes: string[] | undefined, lower: boolean): number {
  let length = -1;
  (prefixes || []).forEach(given => {
    const prefix = lower ? given.toLowerCase() : given;
    const covers = prefix === '/' || path === prefix || path.indexOf(prefix + '/') === 0;
    if (covers && prefix.length > length) length = prefix.length;
  });
  return length;
}

function fits(value: string | undefined, token: Token): boolean {
  if (!value || value.length > token.max) return false;
  let rest = value;
  if (token.scheme) {
    const end = rest.indexOf(' ');
    if (end < 0 || rest.slice(0, end).toLowerCase() !== token.scheme) return false;
    rest = rest.slice(end + 1);
  }
  // 32 bytes leave two bits of the last character unused.
  if (token.form === 'opaque') return /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/.test(rest);
  if (token.form === 'reference') return /^sgref_[A-Za-z0-9_-]{48}$/.test(rest);
  return token.form === 'jwt' && /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(rest);
}

/** Experiment.Assign in table.go is the same. */
function assign(e: Experiment, subject: string | undefined): string {
  let total = 0;
  e.weights.forEach(weight => {
    total += weight;
  });
  if (!total || !/^[!-~]{1,256}$/.test(subject || '')) return e.variants[0];
  let at = hash(e.name + ' ' + subject) % total;
  for (let i = 0; i < e.weights.length; i++) {
    at -= e.weights[i];
    if (at < 0) return e.variants[i];
  }
  return e.variants[0];
}

function hash(s: string): number {
  let h = 2166136261;
  for (let i = 0; i < s.length; i++) h = Math.imul(h ^ s.charCodeAt(i), 16777619);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
