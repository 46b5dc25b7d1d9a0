/** That the conformance kit notices: our server, spoiled in one way after the other, and exactly the checks that must fail. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHECKS } from '../src/conformance/all.ts';
import { anonymousBreakages } from './support/breakages/anonymous.ts';
import type { Breakage } from './support/breakages/breakage.ts';
import { ownerBreakages } from './support/breakages/owner.ts';
import { remoteBreakages, sendingBreakages } from './support/breakages/sending.ts';
import { type ConformanceSite, startConformanceSite } from './support/conformance-site.ts';
import { type Answered, type Asked, startSpoilingProxy, yes } from './support/spoiling-proxy.ts';

/** Hundreds of keys, folders or messages each; run only where a breakage is about them. */
const LONG = new Set([
  ...['issue.sender-limit', 'issue.replaced-key', 'remote.domain-limit'],
  ...['pool.limit', 'folders.cycle', 'requests.oversize'],
]);
const TIMEOUT_MS = 120_000;
const areaOf = (id: string): string => id.split('.')[0] ?? '';

let site: ConformanceSite;
beforeAll(async () => {
  site = await startConformanceSite();
});
afterAll(() => site[Symbol.asyncDispose]());

/** With accounts, which cost hundreds of requests, only the areas are run in which something fails, and what every answer must be. */
async function failing({
  accounts,
  counterpart = false,
  including = [],
  areas: more = [],
  spoil,
  fails,
}: Omit<Breakage, 'name'>) {
  await using proxy = await startSpoilingProxy(site.api, spoil());
  const areas = new Set([...fails.map(areaOf), ...more]);
  const isLooked = (id: string): boolean => accounts === 0 || areas.has(areaOf(id)) || areaOf(id) === 'every';
  const only = CHECKS.map(({ id }) => id).filter((id) => (LONG.has(id) ? including.includes(id) : isLooked(id)));
  const { results } = await site.run({ accounts, counterpart, only, port: proxy.port });
  return results.filter(({ outcome }) => outcome === 'failed').map(({ id, said }) => ({ id, said }));
}

it('finds nothing wrong with a proxy that changes nothing', { timeout: TIMEOUT_MS }, async () => {
  await using proxy = await startSpoilingProxy(site.api, {});
  const { results } = await site.run({ accounts: 3, counterpart: true, port: proxy.port });
  expect(results.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
});

describe('a server that is none', () => {
  const nonsense: [string, () => Answered][] = [
    [
      'answers everything with a page',
      () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: Buffer.from('<p>') }),
    ],
    ['answers everything with an empty object', () => yes({})],
    ['answers everything with an error', () => ({ status: 500, headers: {}, body: Buffer.alloc(0) })],
  ];
  it.each(nonsense)(
    '%s: it is found out, and the run comes to its end',
    { timeout: TIMEOUT_MS },
    async (_what, answer) => {
      const isDiscovery = ({ path }: Asked): boolean => path === '/.well-known/smimp.txt';
      const spoiler = { request: (asked: Asked) => (isDiscovery(asked) ? undefined : answer()) };
      await using proxy = await startSpoilingProxy(site.api, spoiler);
      const { results } = await site.run({ accounts: 2, counterpart: true, port: proxy.port });
      expect(results).toHaveLength(CHECKS.length);
      const passed = results.filter(({ id, outcome }) => outcome === 'passed' && areaOf(id) !== 'every');
      expect(passed.map(({ id }) => id)).toEqual(['discovery.file', 'tls.only', 'tls.no-compression']);
    },
  );
});

describe.each([
  ['anybody', anonymousBreakages],
  ['an owner', ownerBreakages],
  ['a correspondent', sendingBreakages],
  ['another server', remoteBreakages(() => ({ port: site.counterpartPort, ca: site.api.ca }))],
])('%s notices a server that', (_who, breakages) => {
  it.each(breakages)('$name', { timeout: TIMEOUT_MS }, async (breakage) => {
    const failed = await failing(breakage);
    const fails = [...breakage.fails].sort();
    expect(failed.map(({ id }) => id).sort(), JSON.stringify(failed)).toEqual(fails);
  });
});
