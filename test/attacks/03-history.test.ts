/**
 * Attack 3. A recipient's server truncates, replaces, forks or rewrites the history that the sender has pinned (SMIMP 0.1 §3).
 * Nothing is encrypted to it, nothing is sent, the sender is told, and only what the profile names releases the message.
 * (The states themselves: identity-trust.test.ts.)
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HISTORY_FRESH_MS } from '../../src/identity/histories.ts';
import { verifyHistory } from '../../src/smimp/chain.ts';
import { masterKeyPair } from '../../src/smimp/crypto.ts';
import { historyFingerprint } from '../../src/smimp/fingerprint.ts';
import { type IdentityRecord, rotateRecord } from '../../src/smimp/record.ts';
import { findDelivery } from '../../src/store/outbound.ts';
import { findPin } from '../../src/store/pins.ts';
import { type HostileServer, ServedUser, startHostileServer } from '../support/hostile-server.ts';
import { type OutboundSite, outboundSite, TestClock, unseal } from '../support/outbound-site.ts';

let corp: HostileServer;
let site: OutboundSite;
let bob: ServedUser;
let people = 0;
const clock = new TestClock();

beforeAll(async () => {
  corp = await startHostileServer('corp.test', { zeroBits: 0, now: clock.seconds });
  site = await outboundSite([corp], clock);
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
  await corp[Symbol.asyncDispose]();
});

/** Bob with three records and one rotation, whom Alice has written to. */
beforeEach(async () => {
  people += 1;
  bob = corp.addUser(`bob${people}`, clock.seconds());
  bob.change({ now: clock.seconds(), profile: { name: 'Bob' } });
  bob.change({ now: clock.seconds(), rotate: true });
  corp.messages.length = 0;
  const [first] = await site.submit(bob.address);
  await site.run(first as number);
  expect(corp.messages).toHaveLength(1);
  corp.messages.length = 0;
  corp.requests.length = 0;
  clock.advance(HISTORY_FRESH_MS);
});

const historyOf = (user: ServedUser) =>
  verifyHistory({ address: user.address, records: user.records, head: user.trueHead() });
const pinOf = async () => (await findPin(site.opened.db, site.alice.accountId, bob.address))?.pin;

async function sent(): Promise<{ id: number; stage: string | undefined; code: string | null | undefined }> {
  const [id] = await site.submit(bob.address);
  await site.run(id as number);
  const delivery = await findDelivery(site.opened.db, id as number);
  return { id: id as number, stage: delivery?.stage, code: delivery?.error_code };
}

/** A thief who has every key that Bob ever retired, and the server in hand. */
const attacks: Record<string, { attack: () => void; code: string; released: boolean }> = {
  truncated: { attack: () => (bob.records = bob.records.slice(0, 2)), code: 'pin-truncated', released: true },
  'truncated to nothing but record 0': {
    attack: () => (bob.records = bob.records.slice(0, 1)),
    code: 'pin-truncated',
    released: true,
  },
  replaced: {
    attack() {
      const other = new ServedUser(bob.address, clock.seconds());
      Object.assign(bob, { records: other.records, master: other.master });
    },
    code: 'pin-replaced',
    released: false,
  },
  'forked by a retired key': { attack: () => fork({ newKey: masterKeyPair() }), code: 'pin-forked', released: false },
  'forked by a retired key into a longer list': {
    attack() {
      fork({ newKey: masterKeyPair() });
      for (let i = 0; i < 5; i++) bob.change({ now: clock.seconds() });
    },
    code: 'pin-forked',
    released: false,
  },
  'rewritten under the same key': { attack: () => fork({}), code: 'pin-forked', released: false },
  'rewritten in its last record by the present key': {
    attack() {
      const previous = bob.records[1] as IdentityRecord;
      const signer = bob.retired[0] ?? bob.master;
      const record = rotateRecord({
        previous,
        signer,
        newKey: bob.master,
        now: clock.seconds(),
        profile: { name: 'Robert' },
      });
      bob.records = [...bob.records.slice(0, 2), record];
    },
    code: 'pin-forked',
    released: false,
  },
  'shown under another head': {
    attack: () => (bob.head = 'ab'.repeat(32) as never),
    code: 'head-mismatch',
    released: true,
  },
  'given out of order': {
    attack: () => (bob.records = bob.records.toReversed()),
    code: 'identity-invalid',
    released: true,
  },
};

/** Another record 2 after record 1, by the key that was retired there. */
function fork({ newKey }: { newKey?: ReturnType<typeof masterKeyPair> }): void {
  const signer = bob.retired[0];
  const previous = bob.records[1];
  if (signer === undefined || previous === undefined) throw new Error('nothing was retired');
  const record = rotateRecord({
    previous,
    signer,
    now: clock.seconds(),
    profile: { name: 'Mallory' },
    ...(newKey ? { newKey } : {}),
  });
  bob.records = [...bob.records.slice(0, 2), record];
  bob.master = newKey ?? signer;
}

describe('3 history truncated, replaced, forked by a retired key, rewritten under the same key', () => {
  it.each(Object.keys(attacks))('%s: nothing is sent, the pin stays, the sender is told', async (name) => {
    const { attack, code, released } = attacks[name] as (typeof attacks)[string];
    const pin = await pinOf();
    const honest = { records: bob.records, master: bob.master };
    attack();
    const told = await site.told();
    const { id, stage, code: reason } = await sent();
    expect([stage, reason]).toEqual(['held', code]);
    expect(corp.messages).toEqual([]);
    expect(corp.requests.filter((request) => /get_message_key|send_message/.test(request))).toEqual([]);
    expect(await pinOf()).toEqual(pin);
    expect((await site.told()).slice(told.length)).toEqual([`held ${code} ${id}`]);
    // The honest list is back: what was only hidden goes on by itself, what contradicted waits for a person.
    Object.assign(bob, honest, { head: null });
    clock.advance(600_000);
    await site.run(id);
    const after = await findDelivery(site.opened.db, id);
    expect(after?.stage).toBe(released ? 'done' : 'held');
    expect(corp.messages).toHaveLength(released ? 1 : 0);
    if (released) return;
    const fingerprint = historyFingerprint(historyOf(bob));
    await site.identity.verify({ accountId: site.alice.accountId, contact: bob.address, fingerprint });
    clock.advance(600_000);
    await site.run(id);
    expect((await findDelivery(site.opened.db, id))?.stage).toBe('done');
    const [message] = corp.messages;
    if (message === undefined) throw new Error('nothing was sent');
    expect(unseal(bob, message).header.recipient_head).toEqual({ seq: 2, head: bob.trueHead() });
  });

  it('lies only once it has the message key to give: the head there must be that of the pinned history', async () => {
    bob.messageKeyHead = 'cd'.repeat(32) as never;
    const { stage, code } = await sent();
    expect([stage, code]).toEqual(['held', 'head-mismatch']);
    expect(corp.messages).toEqual([]);
  });

  it('cannot be waited out: a fork stays blocked after a year of honest answers', async () => {
    const { records, master } = bob;
    fork({ newKey: masterKeyPair() });
    const first = await sent();
    Object.assign(bob, { records, master });
    clock.advance(365 * 86_400_000);
    expect((await sent()).code).toBe('pin-forked');
    await site.run(first.id);
    // By then the message has bounced; it never went out.
    expect((await findDelivery(site.opened.db, first.id))?.stage).toBe('failed');
    expect(corp.messages).toEqual([]);
  });
});
