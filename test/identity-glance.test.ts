/** Whether a recipient exists, asked by a gateway that does not know yet for whom (SMIMP 0.1 §6): nothing is pinned by asking. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Address, parseAddress } from '../src/smimp/address.ts';
import { type HostileServer, type ServedUser, startHostileServer } from './support/hostile-server.ts';
import { type OutboundSite, outboundSite, TestClock } from './support/outbound-site.ts';
import { answerText } from './support/tls-server.ts';

let clock: TestClock;
let corp: HostileServer;
let other: HostileServer;
let site: OutboundSite;
let bob: ServedUser;
let asked = 0;
beforeAll(async () => {
  clock = new TestClock();
  const settings = { zeroBits: 4, now: clock.seconds };
  corp = await startHostileServer('corp.test', settings);
  other = await startHostileServer('plain.test', settings);
  site = await outboundSite([corp, other], clock);
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  await corp[Symbol.asyncDispose]();
});
beforeEach(() => {
  asked += 1;
  bob = corp.addUser(`bob${asked}`, clock.seconds());
  corp.behave('get_history', null);
});

const glance = (contact: Address, timeoutMs = 5_000) => site.identity.glance({ contact, timeoutMs });
const pins = () => site.opened.db.selectFrom('pin').select('contact').execute();

it('knows a user whose history verifies, and pins nobody', async () => {
  expect(await glance(bob.address)).toBe('known');
  expect(await pins()).toEqual([]);
});

it('tells who is not there from who cannot be asked', async () => {
  expect(await glance(parseAddress('nobody#corp.test'))).toBe('unknown-user');
  expect(await glance(parseAddress('bob#dead.test'))).toBe('queued');
  corp.behave('get_history', (_request, response) => answerText(response, 'out of order', 500));
  expect(await glance(bob.address)).toBe('queued');
  other.behave('smimp.txt', (_request, response) => answerText(response, 'not here', 404));
  expect(await glance(parseAddress('bob#plain.test'))).toBe('no-smimp');
});

it('takes no history for a user that does not verify, or is none', async () => {
  const first = bob.records[0];
  if (first === undefined) throw new Error('no record');
  bob.records = [{ ...first, data: first.data.replace('bob', 'eve') }];
  expect(await glance(bob.address)).toBe('invalid');
  const next = corp.addUser(`next${asked}`, clock.seconds());
  corp.behave('get_history', (_request, response) => answerText(response, '{"records":', 200));
  expect(await glance(next.address)).toBe('invalid');
});

it('waits no longer than it may', async () => {
  let answer: () => void = () => undefined;
  const late = new Promise<void>((resolve) => {
    answer = resolve;
  });
  corp.behave('get_history', async (_request, response) => {
    await late;
    await answerText(response, 'too late', 500);
  });
  expect(await glance(bob.address, 20)).toBe('queued');
  answer();
});
