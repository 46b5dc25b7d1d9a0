/**
 * Attack 4. A server shows two histories of one person to two contacts (SMIMP 0.1 §3, §4.1). Neither can tell alone; heads in
 * messages, and a fingerprint or QR code, bring the two views together.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAccounts } from '../../src/identity/accounts.ts';
import { HISTORY_FRESH_MS } from '../../src/identity/histories.ts';
import { parseAddress } from '../../src/smimp/address.ts';
import { verifyHistory } from '../../src/smimp/chain.ts';
import type { Hex32 } from '../../src/smimp/encoding.ts';
import { historyFingerprint, verifyUri } from '../../src/smimp/fingerprint.ts';
import { findMessage } from '../../src/store/messages.ts';
import { ServedUser } from '../support/hostile-server.ts';
import { BOB, type MailSite, mailSite } from '../support/mail-site.ts';

let site: MailSite;
let carol: number;
/** The true Alice, and whom her server shows to others in her place. */
let alice: ServedUser;
let double: ServedUser;
let people = 0;

beforeAll(async () => {
  site = await mailSite();
  const { opened, keystore, events, clock } = site;
  const accounts = createAccounts({ db: opened.db, keystore, events, clock: clock.read });
  carol = (await accounts.add({ address: parseAddress('carol#corp.test'), password: 'x', name: null })).id;
});
afterAll(() => site[Symbol.asyncDispose]());

beforeEach(async () => {
  people += 1;
  alice = site.server.addUser(`alice${people}`, site.clock.seconds());
  double = new ServedUser(alice.address, site.clock.seconds());
  site.clock.advance(HISTORY_FRESH_MS);
  await site.opened.db.deleteFrom('message').execute();
});

const show = (user: ServedUser): void => {
  alice.records = user.records;
};
const resolve = (accountId: number) => site.identity.resolve({ accountId, contact: alice.address, fresh: true });
const historyOf = (user: ServedUser, records = user.records) => {
  const { address } = user;
  return verifyHistory({ address, records, head: user.trueHead() });
};
const stateOf = async (id: Buffer): Promise<string> => {
  const row = await findMessage(site.opened.db, site.bobId, id);
  return row === undefined ? 'gone' : `${row.state} ${row.reason ?? ''}`.trim();
};

describe('4 two histories for two contacts (split view)', () => {
  it('is not held against either contact, each of whom keeps what was first seen', async () => {
    const own = alice.records;
    expect((await resolve(site.bobId)).state).toBe('NEW');
    show(double);
    expect((await resolve(carol)).history?.head).toBe(double.trueHead());
    show({ ...alice, records: own } as ServedUser);
    // Whoever gets the other's view sees it at once, and it stays.
    expect((await resolve(carol)).state).toBe('REPLACED');
    show(double);
    expect((await resolve(site.bobId)).state).toBe('REPLACED');
  });

  it('shows when one contact scans what the other sees', async () => {
    const own = historyOf(alice);
    await resolve(site.bobId);
    show(double);
    await resolve(carol);
    for (const fingerprint of [verifyUri(own), historyFingerprint(own)]) {
      const check = site.identity.verify({ accountId: carol, contact: alice.address, fingerprint });
      await expect(check).rejects.toMatchObject({ code: 'fingerprint-mismatch' });
    }
    const [shown] = await site.identity.show({ accountId: carol, contact: alice.address });
    expect(shown).toMatchObject({ verifiedAt: null, state: 'NEW' });
  });

  it('shows in a scan also when both views share record 0: the QR code names the head', async () => {
    const shared = alice.records;
    const branch = new ServedUser(alice.address, site.clock.seconds());
    Object.assign(branch, { master: alice.master, records: shared });
    branch.change({ now: site.clock.seconds(), rotate: true });
    alice.change({ now: site.clock.seconds(), rotate: true });
    const own = verifyHistory({ address: alice.address, records: alice.records, head: alice.trueHead() });
    show(branch);
    expect((await resolve(carol)).history?.head).toBe(branch.trueHead());
    const typed = site.identity.verify({
      accountId: carol,
      contact: alice.address,
      fingerprint: historyFingerprint(own),
    });
    expect((await typed).state).toBe('OK');
    const scanned = site.identity.verify({ accountId: carol, contact: alice.address, fingerprint: verifyUri(own) });
    await expect(scanned).rejects.toMatchObject({ code: 'fingerprint-mismatch' });
  });

  it('opens no letter of the true Alice to whom her server shows another, and shows nothing of it', async () => {
    const own = alice.records;
    show(double);
    await resolve(site.bobId);
    const id = await site.receive({
      from: { ...alice, records: own, trueHead: () => historyHead(own) } as ServedUser,
      subject: 'True letter',
    });
    await site.open();
    expect(await stateOf(id)).toBe('quarantined unknown-sender-key');
    using client = await site.client();
    await client.ok('examine inbox');
    const text = (await client.ok('fetch 1:* body.peek[]')).join('');
    expect(text).toContain(`Invalid message claimed to be from ${alice.address.replace('#', '@')}`);
    expect(text).not.toContain('True letter');
  });

  const historyHead = (records: typeof alice.records): Hex32 =>
    Object.assign(new ServedUser(alice.address, 0), { records }).trueHead();

  it('opens no letter of the double to whom the true Alice is known', async () => {
    await site.receive({ from: alice, subject: 'First' });
    await site.open();
    const forged = await site.receive({ from: double, subject: 'Pay at once' });
    site.clock.advance(HISTORY_FRESH_MS);
    show(double);
    await site.open();
    expect(await stateOf(forged)).toBe('held pin-replaced');
  });

  it('of Bob himself is told to Bob by the head in the letter of whoever was deceived', async () => {
    const deceived = { seq: 3, head: '5e'.repeat(32) as Hex32 };
    await site.receive({ from: alice, subject: 'To a double of you', header: { recipient_head: deceived } });
    await site.open();
    using client = await site.client();
    await client.ok('examine inbox');
    const [text] = await client.ok('fetch 1 body.peek[]');
    expect(text).toContain('keys of yours that you never published');
    expect((await site.identity.ownHistory(site.bobId)).heads[3]).toBeUndefined();
    expect(BOB).toBe('bob#corp.test');
  });

  it('between two letters of one sender blocks: the second shows a head that is hidden from Bob', async () => {
    await site.receive({ from: alice, subject: 'First' });
    await site.open();
    const before = alice.records;
    alice.change({ now: site.clock.seconds(), rotate: false, profile: { name: 'Alice' } });
    const hidden = alice.records;
    // The letter is written on the long history, but the server goes on showing Bob the short one.
    const letter = await site.receive({ from: alice, subject: 'Second' });
    alice.records = before;
    site.clock.advance(HISTORY_FRESH_MS);
    await site.open();
    expect(await stateOf(letter)).toBe('held pin-forked');
    expect((await resolve(site.bobId)).sending).toBe('blocked');
    alice.records = hidden;
    expect((await resolve(site.bobId)).sending).toBe('blocked');
  });
});
