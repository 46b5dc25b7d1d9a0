/** The conformance kit against our own server, whole and in parts. */
import { expect, it } from 'vitest';
import { startConformanceSite } from './support/conformance-site.ts';

/** What this server gives no occasion for: it asks no work of its own accounts. */
const LEFT_OUT = [
  'quota.told: the server does not offer get_quota',
  'work.bits: the server asks no work of this account',
];

it('finds nothing wrong with this server, and leaves nothing out that it can look at', async () => {
  await using site = await startConformanceSite();
  const report = await site.run({ accounts: 3, counterpart: true });
  const told = report.results.filter(({ outcome }) => outcome !== 'passed').map(({ id, said }) => `${id}: ${said}`);
  expect(told).toEqual(LEFT_OUT);
});
