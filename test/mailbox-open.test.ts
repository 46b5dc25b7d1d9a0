/** What arrives, in every way it can be good or bad, and what the owner then sees (SMIMP 0.1 §4.4). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { keepOwnRecord } from '../src/identity/publish.ts';
import { masterKeyPair, messageKeyPair, randomBytes } from '../src/smimp/crypto.ts';
import { type Hex32, type SignedHash, toHex } from '../src/smimp/encoding.ts';
import { fingerprintOf } from '../src/smimp/fingerprint.ts';
import { createRecord, rotateRecord } from '../src/smimp/record.ts';
import { createAccount } from '../src/store/accounts.ts';
import { keepRendered, replaceContent } from '../src/store/contents.ts';
import { findMessage } from '../src/store/messages.ts';
import { listOwnRecords } from '../src/store/own-records.ts';
import type { ServedUser } from './support/hostile-server.ts';
import { type MailSite, mailSite } from './support/mail-site.ts';

let site: MailSite;
let people = 0;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());
afterEach(async () => {
  site.server.behave('get_history', null);
  site.server.behave('smimp.txt', null);
  await site.opened.db.deleteFrom('message').execute();
  await site.opened.db.deleteFrom('domain').execute();
});

const someone = (): ServedUser => {
  people += 1;
  return site.server.addUser(`alice${people}`, site.clock.seconds());
};
const stateOf = async (id: Buffer): Promise<string | undefined> => {
  const row = await findMessage(site.opened.db, site.bobId, id);
  return row === undefined ? undefined : row.reason === null ? row.state : `${row.state} ${row.reason}`;
};
const subjects = async (): Promise<string[]> => {
  using client = await site.client();
  await client.ok('examine inbox');
  const lines = await client.ok('fetch 1:* envelope').catch(() => []);
  return lines.map((line) => /ENVELOPE \("[^"]*" "([^"]*)"/.exec(line)?.[1] ?? '');
};
const fails = (call: 'get_history'): void =>
  site.server.behave(call, (_request, response) => void response.writeHead(503).end());

describe('a message that verifies', () => {
  it('is shown, sealed at rest, and known by its Message-ID', async () => {
    const alice = someone();
    const id = await site.receive({ from: alice, subject: 'Hello Bob' });
    expect(await site.open()).toBe(1);
    expect(await stateOf(id)).toBe('shown');
    expect(await subjects()).toEqual(['Hello Bob']);
    const { sealed } = await site.opened.db
      .selectFrom('content')
      .select('sealed')
      .where('message_id', '=', id)
      .executeTakeFirstOrThrow();
    expect(sealed.includes('Hello Bob')).toBe(false);
    const references = await site.opened.db.selectFrom('message_reference').selectAll().execute();
    expect(references.length).toBeGreaterThan(0);
  });

  it('is shown once, however many open it at the same time', async () => {
    const alice = someone();
    const ids = await Promise.all([1, 2, 3].map((n) => site.receive({ from: alice, subject: `Number ${n}` })));
    await Promise.all([site.open(), site.open(), site.open()]);
    for (const id of ids) expect(await stateOf(id)).toBe('shown');
    expect((await subjects()).sort()).toEqual(['Number 1', 'Number 2', 'Number 3']);
  });

  it('of a kind people do not see stays hidden', async () => {
    const id = await site.receive({ from: someone(), messageType: 'x-custom-thing', body: Buffer.from('??') });
    await site.open();
    expect(await stateOf(id)).toBe('hidden');
    expect(await subjects()).toEqual([]);
  });

  it('of short-message is a plain mail, and a secret key is announced but not shown', async () => {
    const alice = someone();
    const body = Buffer.from(JSON.stringify({ message: 'Lunch?', attachments: [] }));
    await site.receive({ from: alice, messageType: 'short-message', body });
    const secret = { public_key: null, secret_key: '5e'.repeat(32), kind: 'storage', note: null };
    await site.receive({ from: alice, messageType: 'secret-xsalsa20', body: Buffer.from(JSON.stringify(secret)) });
    await site.open();
    using client = await site.client();
    await client.ok('examine inbox');
    const [lunch, key] = await client.ok('fetch 1:2 body.peek[]');
    expect(lunch).toContain('Lunch?');
    expect(key).toContain('A secret key was sent to you');
    expect(key).not.toContain('5e5e5e');
  });

  it("takes nobody's word for its header but the owner's own", async () => {
    const fields = Buffer.from('From: king@acme.test\r\nSubject: Forged\r\n').toString('base64');
    const internal_date = { unix_seconds: 0, zone_minutes: 0 };
    const original = { format: 'smimp-bridge/append/1', fields, internal_date };
    const alice = someone();
    await site.receive({ from: alice, subject: 'Honest', header: { original } });
    await site.open();
    using client = await site.client();
    await client.ok('examine inbox');
    const [line] = await client.ok('fetch 1 (internaldate envelope)');
    expect(line).toContain('Honest');
    expect(line).toContain(alice.address.slice(0, alice.address.indexOf('#')));
    expect(line).not.toMatch(/king|Forged|1970/);
  });

  it('keeps no bytes beside a content that was replaced while they were sealed', async () => {
    const { db } = site.opened;
    const messageId = await site.receive({ from: someone() });
    await site.open();
    await db
      .updateTable('content')
      .set({ rendered: null, sealed_for: Buffer.alloc(32) })
      .execute();
    const { rendered: _none, ...before } = await db.selectFrom('content').selectAll().executeTakeFirstOrThrow();
    await db.transaction().execute(async (tx) => {
      let replaced: Promise<void> = Promise.resolve();
      await keepRendered(tx, messageId, () => {
        replaced = replaceContent(tx, { ...before, sealed_for: messageId });
        return Buffer.from('sealed for what was there before');
      });
      await replaced;
    });
    const after = await db.selectFrom('content').select(['sealed_for', 'rendered']).execute();
    expect(after).toEqual([{ sealed_for: messageId, rendered: null }]);
    await keepRendered(db, messageId, (sealedFor) => sealedFor);
    expect(await db.selectFrom('content').select('rendered').execute()).toEqual([{ rendered: messageId }]);
  });

  it('shows its cautions to the reader', async () => {
    const alice = someone();
    await site.receive({ from: alice, header: { recipient_head: { seq: 0, head: 'ef'.repeat(32) as Hex32 } } });
    await site.open();
    using client = await site.client();
    await client.ok('examine inbox');
    const [text] = await client.ok('fetch 1 body.peek[text]');
    expect(text).toContain('keys of yours that you never published');
  });

  it('signed with a key that was retired long ago says so; within a day it does not', async () => {
    const alice = someone();
    await site.receive({ from: alice, subject: 'Before' });
    await site.open();
    const old = alice.master;
    site.clock.advance(1_000);
    alice.change({ now: site.clock.seconds(), rotate: true });
    const current = alice.master;
    site.clock.advance(120_000);
    await site.receive({ from: alice, subject: 'New key' });
    await site.open();
    alice.master = old;
    site.clock.advance(23 * 3_600_000);
    await site.receive({ from: alice, subject: 'In time' });
    site.clock.advance(2 * 3_600_000);
    await site.receive({ from: alice, subject: 'Late' });
    alice.master = current;
    await site.open();
    using client = await site.client();
    await client.ok('examine inbox');
    const texts = (await client.ok('fetch 1:* body.peek[]')).filter((text) => !text.includes('X-SMIMP-Notice'));
    expect(texts.map((text) => /signed with a retired key/.test(text))).toEqual([false, false, false, true]);
    const [late] = await client.search('keyword $SmimpRetiredKey');
    expect((await client.ok(`fetch ${late} body.peek[header]`))[0]).toMatch(
      /Subject: Late\r\n|X-SMIMP-Key: retired\r\n/,
    );
    expect(await client.search('keyword $SmimpRetiredKey')).toHaveLength(1);
  });
});

describe('a message that came before', () => {
  it('is dropped when its uid was seen, also after the first was deleted', async () => {
    const alice = someone();
    const uid = toHex<Hex32>(randomBytes(32));
    await site.receive({ from: alice, uid });
    await site.open();
    const again = await site.receive({ from: alice, uid });
    await site.open();
    expect(await stateOf(again)).toBeUndefined();
    await site.opened.db.deleteFrom('message').execute();
    const later = await site.receive({ from: alice, uid });
    await site.open();
    expect(await stateOf(later)).toBeUndefined();
  });

  it('is dropped when it is the same envelope under another id', async () => {
    const alice = someone();
    const first = await site.receive({ from: alice });
    await site.open();
    const row = await findMessage(site.opened.db, site.bobId, first);
    const copy = await site.receive({
      from: alice,
      tamper: (into) => {
        if (row === undefined) return;
        Object.assign(into, {
          ciphertext: row.ciphertext,
          nonce: row.nonce,
          message_hash: row.message_hash,
          login_token_hash: row.login_token_hash,
        });
      },
    });
    await site.open();
    expect(await stateOf(copy)).toBeUndefined();
    expect(await stateOf(first)).toBe('shown');
  });

  it('from somebody else with the same uid is another message', async () => {
    const uid = toHex<Hex32>(randomBytes(32));
    await site.receive({ from: someone(), uid, subject: 'One' });
    await site.receive({ from: someone(), uid, subject: 'Two' });
    await site.open();
    expect(await subjects()).toEqual(['One', 'Two']);
  });
});

describe('a message that does not verify', () => {
  const cases: [
    string,
    string,
    (row: { ciphertext: Buffer; message_hash: Buffer; message_public_key: Buffer }) => void,
  ][] = [
    [
      'changed in its ciphertext',
      'digest-mismatch',
      (row) => row.ciphertext.writeUInt8((row.ciphertext[9] ?? 0) ^ 1, 9),
    ],
    [
      'with a broken signature',
      'bad-signature',
      (row) => row.message_hash.writeUInt8((row.message_hash[3] ?? 0) ^ 1, 3),
    ],
    ['to a key that is not ours', 'unknown-message-key', (row) => (row.message_public_key = randomBytes(32))],
  ];
  it.each(cases)('%s is kept apart and announced once', async (_name, reason, tamper) => {
    const alice = someone();
    const id = await site.receive({ from: alice, subject: 'Never seen', tamper });
    await site.open();
    await site.open();
    const state = await stateOf(id);
    if (reason === 'bad-signature') expect(state).toMatch(/^quarantined (bad-signature|signature-)/);
    else expect(state).toBe(`quarantined ${reason}`);
    expect(await subjects()).toEqual([`Invalid message claimed to be from ${alice.address.replace('#', '@')}`]);
    expect((await findMessage(site.opened.db, site.bobId, id))?.ciphertext.length).toBeGreaterThan(0);
  });

  it('signed by a key that the sender never had is kept apart', async () => {
    const alice = someone();
    const mallory = someone();
    const id = await site.receive({
      from: mallory,
      tamper: (row) => {
        row.sender_address = alice.address;
      },
    });
    await site.open();
    expect(await stateOf(id)).toBe('quarantined unknown-sender-key');
  });
});

describe('a sender whose identity is in doubt', () => {
  it('waits while the server cannot be reached, and is shown with a UID above what came meanwhile', async () => {
    const alice = someone();
    const carol = someone();
    await site.receive({ from: carol, subject: 'Known' });
    await site.open();
    fails('get_history');
    const held = await site.receive({ from: alice, subject: 'Waited' });
    await site.open();
    expect(await stateOf(held)).toBe('held unavailable');
    site.server.behave('get_history', null);
    using client = await site.client();
    await client.ok('select inbox');
    await site.receive({ from: carol, subject: 'Overtook' });
    await site.open();
    site.clock.advance(3_600_000);
    await site.open();
    expect(await stateOf(held)).toBe('shown');
    expect(await subjects()).toEqual(['Known', 'Overtook', 'Waited']);
    const lines = await client.ok('noop');
    expect(lines).toContain('3 EXISTS');
    const uids = (await client.ok('fetch 1:* uid')).map((line) => Number(/UID (\d+)/.exec(line)?.[1]));
    expect(uids).toEqual([...uids].sort((a, b) => a - b));
  });

  it('is held when the server shows less than before, and shown when it shows all again', async () => {
    const alice = someone();
    alice.change({ now: site.clock.seconds(), profile: { name: 'Alice' } });
    await site.receive({ from: alice });
    await site.open();
    const whole = alice.records;
    site.clock.advance(120_000);
    alice.records = whole.slice(0, 1);
    const held = await site.receive({ from: alice });
    await site.open();
    expect(await stateOf(held)).toBe('held pin-truncated');
    alice.records = whole;
    site.clock.advance(3_600_000);
    await site.receive({ from: alice });
    await site.open();
    expect(await stateOf(held)).toBe('shown');
  });

  it('is held when another identity stands in its place', async () => {
    const alice = someone();
    await site.receive({ from: alice });
    await site.open();
    const other = someone();
    alice.records = other.records;
    site.clock.advance(120_000);
    const held = await site.receive({ from: alice });
    await site.open();
    expect(await stateOf(held)).toMatch(/^held pin-/);
  });

  it('is FORKED when it signs a head that its server hides', async () => {
    const alice = someone();
    await site.receive({ from: alice });
    await site.open();
    site.clock.advance(120_000);
    const held = await site.receive({
      from: alice,
      header: { sender_head: { seq: 1, head: 'ab'.repeat(32) as Hex32 } },
    });
    await site.open();
    expect(await stateOf(held)).toBe('held pin-forked');
    const [shown] = await site.identity.show({ accountId: site.bobId, contact: alice.address });
    expect(shown?.state).toBe('FORKED');
  });

  it('is tried again at once when its fingerprint was checked', async () => {
    const alice = someone();
    await site.receive({ from: alice, subject: 'First' });
    await site.open();
    Object.assign(alice, { master: masterKeyPair() });
    alice.records = [createRecord({ address: alice.address, master: alice.master, now: site.clock.seconds() })];
    site.clock.advance(120_000);
    const held = await site.receive({ from: alice, subject: 'Again me' });
    const other = await site.receive({ from: alice, subject: 'And again' });
    const unknown = await site.receive({ from: alice, key: Buffer.from(messageKeyPair().publicKey) });
    await site.open();
    expect(await stateOf(held)).toBe('held pin-replaced');
    expect(await stateOf(unknown)).toBe('quarantined unknown-message-key');
    const contact = alice.address;
    const signed = alice.lastRecord.signed_hash;
    await site.identity.verify({ accountId: site.bobId, contact, fingerprint: fingerprintOf(contact, signed) });
    await site.open();
    expect([await stateOf(held), await stateOf(other)]).toEqual(['shown', 'shown']);
  });

  it('that rotated its key a moment ago is asked for once more', async () => {
    const alice = someone();
    await site.receive({ from: alice, subject: 'Old key' });
    await site.open();
    alice.change({ now: site.clock.seconds(), rotate: true });
    const id = await site.receive({ from: alice, subject: 'New key' });
    await site.open();
    expect(await stateOf(id)).toBe('shown');
  });
});

describe('opening mail', () => {
  it('goes on past a message that cannot be worked on, and comes back to it later', async () => {
    const alice = someone();
    const damaged = await site.opened.db
      .selectFrom('secret')
      .select(['public_key', 'sealed'])
      .where('kind', '=', 'ephemeral')
      .executeTakeFirstOrThrow();
    const write = (sealed: Buffer) =>
      site.opened.db.updateTable('secret').set({ sealed }).where('public_key', '=', damaged.public_key).execute();
    await write(Buffer.alloc(80));
    const first = await site.receive({ from: alice, key: damaged.public_key });
    const second = await site.receive({ from: alice, subject: 'After it' });
    await site.open();
    expect(await stateOf(second)).toBe('shown');
    expect(await stateOf(first)).toBe('pending unexpected');
    await write(damaged.sealed);
    site.clock.advance(3_600_000);
    await site.open();
    expect(await stateOf(first)).toBe('shown');
  });

  it('happens by itself when mail arrives, told by another process', async () => {
    await using _opening = await site.mailbox.startOpening();
    using client = await site.client();
    await client.ok('select inbox');
    client.send('i1 idle\r\n');
    expect(await client.line()).toMatch(/^\+ /);
    await site.receive({ from: someone(), subject: 'While idling' });
    expect(await client.line()).toBe('* 1 EXISTS');
  });

  it('leaves mail alone whose owner has the keys elsewhere', async () => {
    const { db } = site.opened;
    const address = 'native#corp.test';
    const account = await db
      .transaction()
      .execute((tx) => createAccount(tx, { address, initializeHash: null, now: site.clock.read() }));
    await using _opening = await site.mailbox.startOpening();
    using client = await site.client();
    await client.ok('select inbox');
    client.send('i1 idle\r\n');
    await client.line();
    await site.receive({
      from: someone(),
      tamper: (row) => {
        row.account_id = account.id;
      },
    });
    await site.receive({ from: someone() });
    expect(await client.line()).toBe('* 1 EXISTS');
    expect(site.log.filter((line) => line.includes('opening mail'))).toEqual([]);
  });

  it('warns of a sender who was shown an old state of our keys for more than a day', async () => {
    const alice = someone();
    const [first] = await listOwnRecords(site.opened.db, site.bobId);
    const keys = await site.keystore.open(site.bobId);
    const { head } = await site.identity.ownHistory(site.bobId);
    if (first === undefined) throw new Error('Bob has no record');
    const previous = { data: first.data, signed_hash: toHex<SignedHash>(first.signed_hash), new_key_signed_hash: null };
    const now = site.clock.seconds();
    const record = rotateRecord({ previous, signer: await keys.master(), now, profile: { name: 'Robert' } });
    await site.opened.db
      .transaction()
      .execute((tx) => keepOwnRecord(tx, site.bobId, record, { seq: 1, now: site.clock.read() }));
    site.clock.advance(25 * 3_600_000);
    await site.receive({ from: alice, header: { recipient_head: { seq: 0, head } } });
    await site.open();
    using client = await site.client();
    await client.ok('examine inbox');
    const [text] = await client.ok('fetch 1 body.peek[text]');
    expect(text).toContain('does not know your present keys');
  });
});
