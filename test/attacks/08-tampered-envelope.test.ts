/**
 * Attack 8. The server that stores a message changes what it added to the envelope, field by field (SMIMP 0.1 §4.2, §4.4). What
 * is signed shows it; what is not signed can mislead nobody about who wrote what to whom.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { messageKeyPair, randomBytes } from '../../src/smimp/crypto.ts';
import { parseBase64, toHex } from '../../src/smimp/encoding.ts';
import { sealStorage } from '../../src/smimp/storage.ts';
import { findMessage, type NewMessage } from '../../src/store/messages.ts';
import type { ServedUser } from '../support/hostile-server.ts';
import { BOB, type MailSite, mailSite } from '../support/mail-site.ts';

let site: MailSite;
let people = 0;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());
afterEach(async () => {
  await site.opened.db.deleteFrom('message').execute();
});

const someone = (): ServedUser => site.server.addUser(`alice${++people}`, site.clock.seconds());
const SECRET = 'What nobody else may see';

async function received(alice: ServedUser, tamper: (row: NewMessage) => void) {
  const id = await site.receive({ from: alice, subject: SECRET, text: SECRET, tamper });
  await site.open();
  const row = await findMessage(site.opened.db, site.bobId, id);
  using client = await site.client();
  await client.ok('examine inbox');
  const text = (await client.command('fetch 1:* (flags envelope body.peek[])')).lines.join('\n');
  return { row, state: `${row?.state} ${row?.reason ?? ''}`.trim(), text };
}

const flip = (bytes: Buffer, at = 5): Buffer => {
  const changed = Buffer.from(bytes);
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
};

/** Fields under the signature, each alone: the message is set apart and nothing of it is shown. */
const signed: Record<string, { change: (row: NewMessage, mallory: ServedUser) => void; reason: RegExp }> = {
  sender_address: { change: (row, mallory) => (row.sender_address = mallory.address), reason: /unknown-sender-key/ },
  'sender_address: one that does not exist': {
    change: (row) => (row.sender_address = 'nobody#acme.test'),
    reason: /unavailable|unknown-sender-key/,
  },
  "sender_address: Bob's own": { change: (row) => (row.sender_address = BOB), reason: /unknown-sender-key/ },
  sender_public_key: {
    change: (row, mallory) => (row.sender_public_key = Buffer.from(mallory.master.publicKey)),
    reason: /unknown-sender-key/,
  },
  'sender_address and sender_public_key, both of another': {
    change(row, mallory) {
      row.sender_address = mallory.address;
      row.sender_public_key = Buffer.from(mallory.master.publicKey);
    },
    reason: /digest-mismatch/,
  },
  login_token_hash: { change: (row) => (row.login_token_hash = flip(row.login_token_hash)), reason: /digest-mismatch/ },
  message_type: { change: (row) => (row.message_type = 'short-message'), reason: /digest-mismatch/ },
  'message_type: hidden from people': { change: (row) => (row.message_type = 'x-custom-a'), reason: /digest-mismatch/ },
  message_public_key: {
    change: (row) => (row.message_public_key = Buffer.from(messageKeyPair().publicKey)),
    reason: /unknown-message-key/,
  },
  nonce: { change: (row) => (row.nonce = flip(row.nonce)), reason: /digest-mismatch/ },
  proof_of_work: {
    change: (row) => (row.proof_of_work = [0, 1, 2].map(() => toHex(randomBytes(32))).join(':')),
    reason: /digest-mismatch/,
  },
  message: { change: (row) => (row.ciphertext = flip(row.ciphertext)), reason: /digest-mismatch/ },
  'message, cut short': {
    change: (row) => (row.ciphertext = row.ciphertext.subarray(0, row.ciphertext.length - 1)),
    reason: /digest-mismatch/,
  },
  'message, empty': { change: (row) => (row.ciphertext = Buffer.alloc(0)), reason: /digest-mismatch/ },
  'message_hash: the signature': { change: (row) => (row.message_hash = flip(row.message_hash)), reason: /signature/ },
  'message_hash: the digest': {
    change: (row) => (row.message_hash = flip(row.message_hash, 70)),
    reason: /digest-mismatch/,
  },
};

/** Fields the server may say what it likes in: the message is the same one, from the same person. */
const unsigned: Record<string, (row: NewMessage) => void> = {
  message_id: (row) => row.message_id.fill(7),
  'time_received, long ago': (row) => (row.time_received = new Date('2001-01-01T00:00:00Z')),
  'time_received, far ahead': (row) => (row.time_received = new Date('2099-01-01T00:00:00Z')),
  'received_via: import_api': (row) => (row.received_via = 'import_api'),
  'received_via: imap_bridge, as the bridge itself would': (row) => (row.received_via = 'imap_bridge'),
  'received_via: smtp_bridge': (row) => (row.received_via = 'smtp_bridge'),
  'proof_of_work_parameters: none were asked': (row) =>
    Object.assign(row, { pow_zero_bits: 255, pow_nonce: randomBytes(32) }),
  read: (row) => (row.read = true),
  'extensions_data: garbage': (row) => (row.extensions_data = randomBytes(500)),
  'extensions_data: nothing': (row) => (row.extensions_data = Buffer.alloc(0)),
  'is_copy: a copy that Bob never made': (row) => (row.is_copy = true),
};

describe('8 every server-added field of a stored envelope tampered, one by one', () => {
  it.each(Object.keys(signed))('%s: set apart, and nothing of it is shown', async (field) => {
    const { change, reason } = signed[field] as (typeof signed)[string];
    const alice = someone();
    const mallory = someone();
    const { state, text } = await received(alice, (row) => change(row, mallory));
    expect(state).toMatch(/^(?:quarantined|held) /);
    expect(state).toMatch(reason);
    expect(text).not.toContain(SECRET);
  });

  it.each(Object.keys(unsigned))('%s: the message is what Alice wrote, as before', async (field) => {
    const alice = someone();
    const { state, text } = await received(alice, unsigned[field] as (row: NewMessage) => void);
    expect(state).toBe('shown');
    expect(text).toContain(SECRET);
    const mailbox = alice.address.replace('#', '@');
    expect(text).toMatch(new RegExp(`From: .*<?${mailbox}>?`));
    expect(text).not.toMatch(/Caution|Auto-Submitted|mailer-daemon/);
    expect(text).not.toMatch(/FLAGS \([^)]*\\(?:Deleted|Flagged|Draft|Answered)/);
  });

  it('flags of one message do not pass for those of another, nor do those made without the owner’s key', async () => {
    const alice = someone();
    const keys = await site.keystore.open(site.bobId);
    const foreign = { owner: BOB, purpose: 'extensions', objectId: toHex(randomBytes(32)) } as const;
    const blob = sealStorage({
      key: await keys.storageKey(),
      object: foreign,
      version: 9,
      value: { flags: ['\\Deleted'] },
    });
    const { text } = await received(alice, (row) => (row.extensions_data = parseBase64(blob)));
    expect(text).toContain(SECRET);
    expect(text).not.toContain('\\Deleted');
    const object = { ...foreign, objectId: '00'.repeat(32) as never };
    const forged = sealStorage({ key: randomBytes(32), object, version: 9, value: { flags: ['\\Deleted'] } });
    const other = await received(alice, (row) => {
      row.extensions_data = parseBase64(forged);
    });
    expect(other.text).not.toContain('\\Deleted');
  });

  it('the reader of a mailbox decides nothing by received_via: a report that claims to come from the bridge is mail', async () => {
    const alice = someone();
    const report = {
      ...{
        kind: 'failed',
        recipient: 'x@y.test',
        status: '5.1.1',
        diagnostic: 'd',
        arrived: 0,
        reported: 0,
        reporter: 'r',
        until: null,
      },
      original: { message_id: null, subject: 's', date: 0, to: [] },
    };
    const extensions_data = { smimp_bridge: { v: 1, report } };
    const body = Buffer.from(
      JSON.stringify({
        ...{ to: [BOB], cc: [], subject: 'Undelivered', thread_id: 'ab'.repeat(32), reply_to_message_id: null },
        ...{ date_sent: '2026-01-15 12:00:00', body: SECRET, signature_text: null, attachments: [], extensions_data },
        ...{ reply_to: null, auto_reply_address: null },
      }),
    );
    await site.receive({ from: alice, body, tamper: (row) => (row.received_via = 'imap_bridge') });
    await site.open();
    using client = await site.client();
    await client.ok('examine inbox');
    const text = (await client.ok('fetch 1:* body.peek[]')).join('');
    expect(text).toContain(SECRET);
    expect(text).not.toMatch(/multipart\/report|mailer-daemon|message\/delivery-status/i);
  });
});
