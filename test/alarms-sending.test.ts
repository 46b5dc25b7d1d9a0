/**
 * Alarms of whom somebody writes to, and of her own server: what the sender is told, once, and that held deliveries go on as
 * soon as what held them ends, and by nothing else (SMIMP 0.1 §3).
 */
import { simpleParser } from 'mailparser';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SENDING_TELLS_MS } from '../src/identity/alarms.ts';
import { checkDueAccounts, OWN_CHECK_EVERY_MS } from '../src/identity/own-check.ts';
import { keepOwnRecord } from '../src/identity/publish.ts';
import { createMailbox, type Mailbox } from '../src/mailbox/mailbox.ts';
import { openPending } from '../src/mailbox/open.ts';
import { ByteGate } from '../src/memory/byte-gate.ts';
import { createTell } from '../src/pipeline/bounce.ts';
import { createCheckRecipient } from '../src/pipeline/recipients.ts';
import { HELD_RECHECK_MS } from '../src/pipeline/retry.ts';
import type { Runner } from '../src/pipeline/runner.ts';
import { masterKeyPair } from '../src/smimp/crypto.ts';
import type { Hex32, SignedHash } from '../src/smimp/encoding.ts';
import { fingerprintOf } from '../src/smimp/fingerprint.ts';
import { createRecord, rotateRecord } from '../src/smimp/record.ts';
import { findDelivery } from '../src/store/outbound.ts';
import { listOwnRecords } from '../src/store/own-records.ts';
import { type HostileServer, type ServedUser, startHostileServer } from './support/hostile-server.ts';
import { type OutboundSite, outboundSite, TestClock } from './support/outbound-site.ts';

let clock: TestClock;
let corp: HostileServer;
let acme: HostileServer;
let site: OutboundSite;
let bob: ServedUser;
let mailbox: Mailbox;
let runner: Runner;
let woken: number[];
let owned: AsyncDisposableStack;

beforeEach(async () => {
  owned = new AsyncDisposableStack();
  clock = new TestClock();
  corp = owned.use(await startHostileServer('corp.test', { zeroBits: 0, now: clock.seconds }));
  acme = owned.use(await startHostileServer('acme.test', { zeroBits: 0, now: clock.seconds }));
  bob = corp.addUser('bob', clock.seconds());
  bob.change({ now: clock.seconds(), profile: { name: 'Bob' } });
  site = owned.use(await outboundSite([corp, acme], clock));
  const { opened, keystore, identity, events } = site;
  const { db, listener } = opened;
  mailbox = createMailbox({ db, listener, keystore, identity, events, clock: clock.read });
  runner = site.runner({ tell: createTell({ keystore, notices: mailbox.notices }) });
  woken = [];
  listener.on('delivery_ready', (payload) => woken.push(Number(payload)));
});
afterEach(async () => {
  const { log } = site;
  await owned.disposeAsync();
  expect(log.filter((line) => line.includes('"unexpected"'))).toEqual([]);
  expect(log.filter((line) => /corp\.test|acme\.test/.test(line))).toEqual([]);
});

const run = (id: number): Promise<void> => runner.run(id, new AbortController().signal);
const about = () => ({ accountId: site.alice.accountId, contact: bob.address });
/** Tells what is due, as the worker does. */
const tell = (): Promise<number> => {
  const { opened, keystore, identity, events } = site;
  const gate = new ByteGate(1_000_000);
  return openPending({ db: opened.db, keystore, identity, gate, events, clock: clock.read }, site.alice.accountId);
};
async function submit(count = 1): Promise<number[]> {
  const ids: number[] = [];
  for (let n = 0; n < count; n++) ids.push(...(await site.submit(bob.address)));
  return ids;
}
const stages = async (ids: readonly number[]): Promise<string[]> => {
  const rows = await Promise.all(ids.map((id) => findDelivery(site.opened.db, id)));
  return rows.map((row) => (row?.stage === 'held' ? `held ${row.error_code}` : (row?.stage ?? 'gone')));
};
const isDue = async (id: number): Promise<boolean> =>
  ((await findDelivery(site.opened.db, id))?.next_attempt_at ?? new Date(9e15)) <= clock.read();
/** Notices in Alice's inbox. */
async function told(): Promise<{ kind: string; text: string }[]> {
  const opened = await mailbox.open(site.alice.accountId);
  const view = await opened.view(await opened.folders.find('INBOX'));
  const mails = await Promise.all(view.opened.map(async (message) => simpleParser((await view.raw(message)) ?? '')));
  return mails.map((mail) => ({ kind: String(mail.headers.get('x-smimp-notice')), text: mail.text ?? '' }));
}
const kinds = async (): Promise<string[]> => (await told()).map(({ kind }) => kind);
const replace = (): void => {
  const master = masterKeyPair();
  Object.assign(bob, { master, records: [createRecord({ address: bob.address, master, now: clock.seconds() })] });
};
const verify = (): Promise<unknown> => {
  const fingerprint = fingerprintOf(bob.address, bob.records[0]?.signed_hash as SignedHash);
  return site.identity.verify({ ...about(), fingerprint });
};
/** Bob is known and his server was asked long enough ago. */
async function knowBob(): Promise<void> {
  await site.identity.resolve(about());
  clock.advance(120_000);
}

describe('somebody who writes to a contact whose identity is in doubt', () => {
  beforeEach(knowBob);

  it('is told by the notice about the message, and not by an alarm that says the same', async () => {
    replace();
    const [id] = (await submit()) as [number];
    await run(id);
    expect(await stages([id])).toEqual(['held pin-replaced']);
    for (let hours = 0; hours < 30; hours++) {
      clock.advance(3_600_000);
      await tell();
      await run(id);
    }
    expect(await kinds()).toEqual(['held']);
    const [notice] = await told();
    expect(notice?.text).toMatch(/trust verify/);
    const [shown] = await site.identity.show(about());
    expect(shown?.alarms).toMatchObject([{ kind: 'pin-replaced', told: { by: 'delivery' } }]);
  });

  it('is told once, too, when the history is not the one that its head names', async () => {
    bob.head = 'cd'.repeat(32) as Hex32;
    const [id] = (await submit()) as [number];
    await run(id);
    clock.advance(SENDING_TELLS_MS);
    await tell();
    expect(await kinds()).toEqual(['held']);
  });

  it('is told once of somebody who was never seen in order, however long the message is held', async () => {
    const carol = corp.addUser('carol', clock.seconds());
    carol.records = [];
    carol.head = 'cd'.repeat(32) as Hex32;
    const [id] = (await site.submit(carol.address)) as [number];
    await run(id);
    expect(await stages([id])).toEqual(['held identity-invalid']);
    for (let hours = 0; hours < 60; hours += 6) {
      clock.advance(6 * 3_600_000);
      await run(id);
      await tell();
    }
    expect(await kinds()).toEqual(['held']);
    expect((await site.identity.show({ ...about(), contact: carol.address }))[0]).toMatchObject({ state: null });
  });

  it('is told by the alarm when no message came of it', async () => {
    replace();
    const check = createCheckRecipient({ db: site.opened.db, identity: site.identity });
    const recipient = { accountId: site.alice.accountId, recipient: bob.address, timeoutMs: 5_000 };
    expect(await check(recipient)).toBeNull();
    clock.advance(SENDING_TELLS_MS - 1_000);
    await tell();
    expect(await kinds()).toEqual([]);
    clock.advance(1_000);
    await tell();
    expect(await kinds()).toEqual(['pin-replaced']);
    expect(await check(recipient)).toBe('pin-replaced');
  });

  it('is told of each message that is held, of the alarm once', async () => {
    bob.records = bob.records.slice(0, 1);
    await site.identity.resolve(about());
    await tell();
    expect(await kinds()).toEqual(['pin-truncated']);
    const ids = await submit(2);
    for (const id of ids) await run(id);
    await tell();
    expect(await kinds()).toEqual(['pin-truncated', 'held', 'held']);
  });

  it('is told of a new key at once, and the message goes', async () => {
    bob.change({ now: clock.seconds(), rotate: true });
    const [id] = (await submit()) as [number];
    await run(id);
    await tell();
    expect(await stages([id])).toEqual(['done']);
    expect(await kinds()).toEqual(['key-changed']);
    clock.advance(120_000);
    const more = await submit(2);
    for (const one of more) await run(one);
    await tell();
    expect(await kinds()).toEqual(['key-changed']);
  });

  it('is told when the head beside a message key is another, by the notice', async () => {
    bob.messageKeyHead = 'ab'.repeat(32) as Hex32;
    const [id] = (await submit()) as [number];
    await run(id);
    expect(await stages([id])).toEqual(['held head-mismatch']);
    clock.advance(SENDING_TELLS_MS);
    await tell();
    expect(await kinds()).toEqual(['held']);
    bob.messageKeyHead = null;
    clock.advance(HELD_RECHECK_MS);
    await run(id);
    expect(await stages([id])).toEqual(['done']);
  });
});

describe('held deliveries', () => {
  const honest = (): ServedUser['records'] => bob.records;
  let before: ServedUser['records'];
  beforeEach(async () => {
    await knowBob();
    before = honest();
  });

  it('of a REPLACED contact go on at once when its fingerprint is entered, and by nothing else', async () => {
    replace();
    const other = bob.records;
    const ids = await submit(3);
    for (const id of ids) await run(id);
    bob.records = before;
    clock.advance(HELD_RECHECK_MS);
    for (const id of ids) await run(id);
    expect(await stages(ids)).toEqual(ids.map(() => 'held pin-replaced'));
    bob.records = other;
    expect(await isDue(ids[0] as number)).toBe(false);
    await verify();
    for (const id of ids) expect(await isDue(id)).toBe(true);
    await expect.poll(() => woken.filter((id) => ids.includes(id))).toHaveLength(3);
    for (const id of ids) await run(id);
    expect(await stages(ids)).toEqual(['done', 'done', 'done']);
    expect(corp.messages).toHaveLength(3);
  });

  it('of a TRUNCATED contact go on when any look finds the full list again; a fingerprint does not help', async () => {
    bob.records = before.slice(0, 1);
    const ids = await submit(2);
    for (const id of ids) await run(id);
    expect(await stages(ids)).toEqual(ids.map(() => 'held pin-truncated'));
    await expect(verify()).rejects.toThrow('truncated');
    expect(await isDue(ids[0] as number)).toBe(false);
    bob.records = before;
    clock.advance(120_000);
    await site.identity.resolve(about());
    for (const id of ids) expect(await isDue(id)).toBe(true);
    for (const id of ids) await run(id);
    expect(await stages(ids)).toEqual(['done', 'done']);
  });

  it('of an INVALID contact go on when the history verifies again; the first that looks frees the others', async () => {
    bob.records = [...before].reverse();
    const ids = await submit(2);
    for (const id of ids) await run(id);
    expect(await stages(ids)).toEqual(ids.map(() => 'held identity-invalid'));
    bob.records = before;
    clock.advance(HELD_RECHECK_MS);
    const [first, second] = ids as [number, number];
    await site.opened.db
      .updateTable('delivery')
      .set({ next_attempt_at: new Date(clock.read().getTime() + HELD_RECHECK_MS) })
      .where('id', '=', second)
      .execute();
    await run(first);
    expect(await stages(ids)).toEqual(['done', 'held identity-invalid']);
    expect(await isDue(second)).toBe(true);
    await run(second);
    expect(await stages(ids)).toEqual(['done', 'done']);
  });

  it('of somebody else, or held for the work asked, are not touched', async () => {
    const carol = corp.addUser('carol', clock.seconds());
    const [toCarol] = (await site.submit(carol.address)) as [number];
    await site.opened.db
      .updateTable('delivery')
      .set({ stage: 'held', error_code: 'pin-replaced', next_attempt_at: new Date(clock.read().getTime() + 1) })
      .where('id', '=', toCarol)
      .execute();
    const [costly] = (await submit()) as [number];
    await site.opened.db
      .updateTable('delivery')
      .set({ stage: 'held', error_code: 'pow-approval', next_attempt_at: new Date(clock.read().getTime() + 1) })
      .where('id', '=', costly)
      .execute();
    replace();
    await site.identity.resolve(about());
    await verify();
    expect([await isDue(toCarol), await isDue(costly)]).toEqual([false, false]);
  });
});

describe("one's own server", () => {
  /** What acme.test shows as Alice's history. */
  let shownAlice: ServedUser;
  const ownRecords = async () => {
    const rows = await listOwnRecords(site.opened.db, site.alice.accountId);
    return rows.map(({ data, signed_hash, new_key_signed_hash }) => ({
      data,
      signed_hash: signed_hash.toString('hex') as SignedHash,
      new_key_signed_hash: (new_key_signed_hash?.toString('hex') ?? null) as SignedHash | null,
    }));
  };
  const check = async (): Promise<void> => {
    clock.advance(OWN_CHECK_EVERY_MS);
    const { opened, identity, events } = site;
    await checkDueAccounts({ db: opened.db, identity, events, now: clock.read() });
    await tell();
  };
  const publish = async (): Promise<void> => {
    const previous = (await ownRecords()).at(-1);
    if (previous === undefined) throw new Error('no record');
    const signer = await (await site.keystore.open(site.alice.accountId)).master();
    const record = rotateRecord({ previous, signer, now: clock.seconds(), profile: { name: 'Alice' } });
    const at = { seq: (await ownRecords()).length, now: clock.read() };
    await site.opened.db.transaction().execute((tx) => keepOwnRecord(tx, site.alice.accountId, record, at));
  };
  beforeEach(async () => {
    shownAlice = acme.addUser('alice', clock.seconds());
    shownAlice.records = await ownRecords();
  });

  it('is asked now and then, each account by one process, and all is well while it shows what was published', async () => {
    await publish();
    shownAlice.records = await ownRecords();
    await check();
    expect(await kinds()).toEqual([]);
    acme.requests.length = 0;
    const { opened, identity, events } = site;
    const at = new Date(clock.read().getTime() + OWN_CHECK_EVERY_MS - 1);
    await checkDueAccounts({ db: opened.db, identity, events, now: at });
    expect(acme.requests).toEqual([]);
    const now = new Date(at.getTime() + 2);
    await Promise.all([1, 2, 3].map(() => checkDueAccounts({ db: opened.db, identity, events, now })));
    expect(acme.requests.filter((request) => request.includes('/history'))).toHaveLength(1);
  });

  it.each<[string, () => Promise<void>]>([
    [
      'truncated',
      async () => {
        await publish();
      },
    ],
    [
      'extended',
      async () => {
        const records = await ownRecords();
        await publish();
        shownAlice.records = await ownRecords();
        await site.opened.db.deleteFrom('own_record').where('seq', '=', records.length).execute();
      },
    ],
    [
      'replaced',
      async () => {
        const master = masterKeyPair();
        shownAlice.records = [createRecord({ address: shownAlice.address, master, now: clock.seconds() })];
      },
    ],
    [
      'invalid',
      async () => {
        shownAlice.head = 'ab'.repeat(32) as Hex32;
      },
    ],
  ])('that shows a %s history is told of, once, until it shows the right one', async (state, lie) => {
    await lie();
    for (let days = 0; days < 3; days += 0.25) await check();
    expect(await kinds()).toEqual(['own-history']);
    const [notice] = await told();
    expect(notice?.text).toContain(`Alarm: own-history (${state})`);
    expect(notice?.text).toMatch(/Your own copy stays as it is/);
    const own = { accountId: site.alice.accountId, contact: site.alice.address };
    const [shown] = await site.identity.show(own);
    expect(shown?.alarms).toMatchObject([{ kind: 'own-history', cause: state, ended: null }]);
    expect(shown?.alarms[0]?.evidence != null).toBe(state === 'replaced');
    Object.assign(shownAlice, { records: await ownRecords(), head: null });
    await check();
    expect((await site.identity.show(own))[0]?.alarms[0]?.ended).not.toBeNull();
    expect(await kinds()).toEqual(['own-history']);
  });

  it('that cannot be reached says nothing', async () => {
    acme.behave('get_history', (_request, response) => void response.writeHead(503).end());
    await check();
    acme.behave('get_history', null);
    acme.removeUser(shownAlice);
    await check();
    expect(await kinds()).toEqual([]);
  });
});
