/** The conformance kit against our own server. That it notices what is wrong: conformance-broken.test.ts. */
import { expect, it } from 'vitest';
import { CHECKS } from '../src/conformance/all.ts';
import { startConformanceSite } from './support/conformance-site.ts';

const TIMEOUT_MS = 120_000;

/** What this server gives no occasion for: it asks no work of its own accounts. */
const LEFT_OUT = ['work.bits'];

it(
  'finds nothing wrong with this server, and leaves nothing out that it can look at',
  async () => {
    await using site = await startConformanceSite();
    const { results } = await site.run({ accounts: 3, counterpart: true });
    const others = results.filter(({ outcome }) => outcome !== 'passed');
    expect(others.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
    expect(others.map(({ id }) => id)).toEqual(LEFT_OUT);
  },
  TIMEOUT_MS,
);

it(
  'reports what it could not look at as skipped, with the reason',
  async () => {
    await using site = await startConformanceSite();
    const { results } = await site.run({ accounts: 0 });
    const skipped = results.filter(({ outcome }) => outcome === 'skipped');
    expect(results.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
    const unseen = CHECKS.filter(({ level }) => level !== 'anonymous').map(({ id }) => id);
    expect(skipped.map(({ id }) => id)).toEqual(expect.arrayContaining(unseen));
    expect(skipped.every(({ said }) => said !== null && said !== '')).toBe(true);
  },
  TIMEOUT_MS,
);

it('has one meaning for every id, and a rule for every check', () => {
  const ids = CHECKS.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(CHECKS.filter(({ rules }) => rules.length === 0)).toEqual([]);
  expect(ids.filter((id) => !/^[a-z]+\.[a-z0-9-]+$/.test(id))).toEqual([]);
});
