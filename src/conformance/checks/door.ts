/** Finding the server and what it says about itself (SMIMP 0.1 §2, §5.3). */
import { connect } from 'node:net';
import { createResolver } from '../../remote/network.ts';
import { CALLS, type CallName } from '../../smimp/api.ts';
import { DISCOVERY_PATH, parseDiscovery } from '../../smimp/discovery.ts';
import { ProfileError } from '../../smimp/errors.ts';
import type { Answer } from '../answer.ts';
import { accepted, type Check, demand, named, notRun, unmet } from '../check.ts';
import type { Probe } from '../probe.ts';
import type { World } from '../world.ts';

const MAX_REDIRECTS = 3;
const MAX_FILE_BYTES = 4096;
const PLAIN_TIMEOUT_MS = 5_000;
/** In place of what a path needs. Of the right form, and nobody's. */
const ANY_ID = '0'.repeat(64);

export const doorChecks: readonly Check[] = [
  {
    id: 'discovery.file',
    title: 'smimp.txt of the domain names the base URL',
    rules: ['R-2.1-1', 'R-2.1-2', 'R-2.1-3', 'R-2.1-4', 'R-2.2-1', 'R-2.2-3', 'R-2.3-1'],
    level: 'anonymous',
    async run(world) {
      if (world.domain === null) throw notRun('the server was named by its URL, not by a domain');
      const baseUrl = baseUrlIn(await fetchDiscovery(world, `https://${world.domain}${DISCOVERY_PATH}`));
      demand(baseUrl === world.baseUrl, 'the base URL of this run', 'another one');
    },
  },
  {
    id: 'version.names',
    title: 'version names 0.1',
    rules: ['R-2.7-1'],
    level: 'anonymous',
    async run({ probe }) {
      const { versions } = accepted('version', await probe.call('version'));
      demand(Array.isArray(versions) && versions.includes('0.1'), '0.1 among the versions', 'none');
    },
  },
  {
    id: 'tls.only',
    title: 'Plain HTTP gets no answer that is more than a refusal',
    rules: ['R-2.4-3'],
    level: 'anonymous',
    async run(world) {
      const status = await plainStatus(world);
      demand(status === null || status === 400, 'no HTTP without TLS', `status ${status}`);
    },
  },
  {
    id: 'tls.no-compression',
    title: 'Answers are not compressed, also when the caller would take it',
    rules: ['R-5.1-8'],
    level: 'anonymous',
    async run({ probe }) {
      const answer = await probe.call('server_information', { headers: { 'accept-encoding': 'gzip, deflate, br' } });
      demand(answer.headers['content-encoding'] === undefined, 'no Content-Encoding', 'one');
    },
  },
  {
    id: 'info.apis',
    title: 'server_information names exactly the calls that the server answers',
    rules: ['R-5.3-1'],
    level: 'anonymous',
    async run(world) {
      const apis = await world.apis();
      const strange = [...apis].filter((name) => !Object.hasOwn(CALLS, name));
      demand(strange.length === 0, 'names of the table of calls only', `${strange.length} others`);
      for (const name of Object.keys(CALLS) as CallName[]) await matchesAnswer(world.probe, name, apis.has(name));
    },
  },
  {
    id: 'info.limits',
    title: 'server_information tells limits and domains',
    rules: ['R-5.9-1'],
    level: 'anonymous',
    async run({ probe }) {
      const { limits, domains } = accepted('server_information', await probe.call('server_information'));
      const numbers = [limits?.message_bytes, limits?.request_bytes, limits?.ephemeral_keys];
      demand(
        numbers.every((value) => Number(value) > 0),
        'message_bytes, request_bytes, ephemeral_keys',
        'not all',
      );
      demand(Array.isArray(domains) && domains.length > 0, 'at least one domain', 'none');
    },
  },
];

async function fetchDiscovery({ https }: World, from: string): Promise<Buffer> {
  let url = new URL(from);
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const ask = { method: 'GET', url, maxBytes: MAX_FILE_BYTES, timeoutMs: PLAIN_TIMEOUT_MS } as const;
    const { status, headers, body } = await https.request(ask);
    if (status === 200) return body;
    const target = headers.location ?? '';
    demand(status >= 300 && status < 400 && URL.canParse(target, url.href), '200 or a redirect', `status ${status}`);
    url = new URL(target, url);
    demand(url.protocol === 'https:', 'redirects to https only', url.protocol);
  }
  throw unmet(`at most ${MAX_REDIRECTS} redirects`, 'more');
}

function baseUrlIn(body: Buffer): string {
  try {
    return parseDiscovery(body);
  } catch (error) {
    if (error instanceof ProfileError) throw unmet('a line that names a base URL', error.code);
    throw error;
  }
}

/** The status of an answer to a request without TLS; null when there is none. */
async function plainStatus(world: World): Promise<number | null> {
  const { hostname, port } = new URL(world.baseUrl);
  const [target] = await createResolver(world.network)(hostname, Number(port || 443));
  const { promise, resolve } = Promise.withResolvers<number | null>();
  const socket = connect({ host: target?.address, port: target?.port ?? 0, timeout: PLAIN_TIMEOUT_MS });
  socket.once('data', (data) =>
    resolve(Number(/^HTTP\/1\.\d (\d{3})/.exec(data.toString('latin1'))?.[1] ?? 0) || null),
  );
  for (const end of ['error', 'close', 'timeout'] as const) socket.once(end, () => resolve(null));
  socket.write(`GET / HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);
  return promise.finally(() => socket.destroy());
}

const ANYTHING: Readonly<Record<string, string>> = {
  id: ANY_ID,
  mark: 'false',
  type: 'email',
  name: 'kit',
  hash: ANY_ID,
};

/** Without session and with an empty body, what is there says anything but "no such path". */
async function matchesAnswer(probe: Probe, name: CallName, isNamed: boolean): Promise<void> {
  const params = { ...ANYTHING, a: 'kit#example.org' };
  const answer = await probe.call(name, { params, ...(CALLS[name].method === 'POST' ? { request: {} } : {}) });
  demand(
    isThere(answer) === isNamed,
    `${name} ${isNamed ? 'to answer, as it is named' : 'not to answer'}`,
    named(answer),
  );
}

function isThere({ status, code }: Answer): boolean {
  if (code !== null) return code !== 'method_not_allowed' && code !== 'not_found';
  return status !== 405 && status !== 404;
}
