/** A message from end to end: sealed once, signed later, handed in, opened; and what its receiver is warned of. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openBoxes, sealMessage } from '../src/smimp/boxes.ts';
import { messagePublicKey } from '../src/smimp/crypto.ts';
import { type EmailBody, parseBody, serializeBody } from '../src/smimp/email.ts';
import { formatTimestamp, type Hex32, toBase64, toHex } from '../src/smimp/encoding.ts';
import { parseStoredEnvelope, type SentEnvelope, signEnvelope } from '../src/smimp/envelope.ts';
import { ProfileError } from '../src/smimp/errors.ts';
import type { MessageHeader } from '../src/smimp/header.ts';
import { createMessageKey, verifyMessageKey } from '../src/smimp/message-key.ts';
import { type OpenedMessage, type OpenInput, openMessage, RETIRED_KEY_GRACE_SECONDS } from '../src/smimp/open.ts';
import { historyIdentity } from '../src/smimp/pin.ts';
import { ciphertextHash, formatProof, powDigest } from '../src/smimp/pow.ts';
import { verifySubmission } from '../src/smimp/submit.ts';
import { ADAM, BOB, NEW_YEAR, seededKey, verifiedHistory } from './support/identities.ts';

/** The same inputs in every run. */
fc.configureGlobal({ seed: 20_260_101 });

const UID = '61'.repeat(32) as Hex32;
const TOKEN_HASH = '55'.repeat(32) as Hex32;
const adamKey = seededKey(1);
const adam = verifiedHistory(ADAM, [], 1);
const bobKey = seededKey(31);
const bob = verifiedHistory(BOB, [], 31);
const issued = createMessageKey({ address: BOB, kind: 'ephemeral', master: bobKey, now: NEW_YEAR, lifetimeDays: 180 });

const email: EmailBody = {
  to: [BOB],
  cc: [],
  subject: 'Grüße',
  thread_id: UID,
  reply_to_message_id: null,
  date_sent: formatTimestamp(NEW_YEAR),
  body: 'Hello *Bob*.',
  signature_text: null,
  attachments: [
    { file_name: 'a', content: toBase64(Buffer.from('abc')), content_type: 'text/plain', content_id: null },
  ],
  extensions_data: null,
  reply_to: null,
  auto_reply_address: null,
};

function headerOf(changed: Partial<MessageHeader> = {}): MessageHeader {
  return {
    v: 1,
    from: ADAM,
    to: BOB,
    uid: UID,
    sent: formatTimestamp(NEW_YEAR),
    sender_head: { seq: 0, head: adam.head },
    recipient_head: { seq: 0, head: bob.head },
    via: null,
    original: null,
    ...changed,
  };
}

function seal(header = headerOf(), body: Uint8Array = serializeBody('email', email), messageType = 'email') {
  const messagePublicKey = issued.key.public_key;
  return sealMessage({ header, body, messageType, messagePublicKey, senderKey: adamKey });
}

function signed(sealed = seal(), proofOfWork: string | null = null): SentEnvelope {
  const parts = { sealed, proofOfWork, loginTokenHash: TOKEN_HASH, sender: ADAM, recipient: BOB };
  return signEnvelope({ ...parts, senderKey: adamKey });
}

function stored(sent: SentEnvelope) {
  return parseStoredEnvelope({
    ...sent,
    recipient_address: BOB,
    sender_address: ADAM,
    sender_public_key: adam.currentKey,
    time_received: formatTimestamp(NEW_YEAR),
    proof_of_work_parameters: null,
    message_id: UID,
    login_token_hash: TOKEN_HASH,
    received_via: 'smimp_client',
    read: false,
    extensions_data: null,
    protocol_version: '0.1',
    folder_name: null,
    revision: 1,
    seq: 1,
  });
}

function open(sent: SentEnvelope, changed: Partial<OpenInput> = {}): Promise<OpenedMessage> {
  return openMessage({
    me: BOB,
    envelope: stored(sent),
    messageSecret: () => issued.secret,
    sender: historyIdentity(adam, [NEW_YEAR]),
    myHistory: bob,
    firstSeen: NEW_YEAR,
    seen: { digest: () => false, uid: () => false },
    ...changed,
  });
}

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'accepted';
  } catch (error) {
    if (error instanceof ProfileError) return error.code;
    throw error;
  }
}

describe('a message', () => {
  test('is sealed once, worked for and signed later, taken by the server and opened by its reader', async () => {
    const { key } = verifyMessageKey({ address: BOB, key: issued.key, masterKeys: bob.masterKeys, now: NEW_YEAR + 1 });
    const sealed = seal();
    const value = Buffer.alloc(32, 7);
    const nonce = '04'.repeat(32) as Hex32;
    const hashed = ciphertextHash(sealed.ciphertext);
    const target = { loginTokenHash: TOKEN_HASH, ciphertextHash: hashed, recipient: BOB, messageType: 'email', nonce };
    const sent = signed(sealed, formatProof({ hash: powDigest(target, value), value, nonce }));
    const taken = verifySubmission({
      envelope: sent,
      sender: ADAM,
      recipient: BOB,
      senderPublicKey: adam.currentKey,
      loginTokenHash: TOKEN_HASH,
      issuedKey: key.public_key,
      recipientMasterKeys: bob.masterKeys,
      proofOfWorkParameters: { zero_bits: 0, nonce },
    });
    const opened = await open(sent);
    expect(opened.digest).toBe(taken.digest);
    expect(opened.header).toEqual(headerOf());
    expect(opened.content).toEqual({ type: 'email', value: email });
    expect(opened.cautions).toEqual([]);
  });

  test('that cannot be read by its recipient is never sealed', () => {
    expect(codeOf(() => seal(headerOf({ original: { a: 1.5 } })))).toBe('json-number');
    expect(codeOf(() => serializeBody('email', { ...email, subject: '\ud83d' }))).toBe('json-lone-surrogate');
    expect(codeOf(() => serializeBody('email', { ...email, date_sent: 'today' as never }))).toBe('bad-timestamp');
    expect(codeOf(() => serializeBody('x-custom-a', email))).toBe('bad-field');
  });

  test('of a type without a body that is defined is handed on as bytes', () => {
    expect(parseBody('x-custom-a', Buffer.from('{'))).toEqual({ type: 'opaque', value: null });
    expect(parseBody('future', Buffer.from('{'))).toEqual({ type: 'opaque', value: null });
  });
});

describe('what is looked up', () => {
  test('may be looked up later: promises are awaited', async () => {
    const digest = async () => true;
    const opening = open(signed(), { seen: { digest, uid: () => false } });
    await expect(opening).rejects.toMatchObject({ code: 'replayed' });
    const uid = async () => true;
    await expect(open(signed(), { seen: { digest: () => false, uid } })).rejects.toMatchObject({ code: 'replayed' });
    await expect(open(signed(), { messageSecret: async () => null })).rejects.toMatchObject({
      code: 'unknown-message-key',
    });
  });

  test('the identity of somebody else does not stand in for the sender', async () => {
    const sender = { ...historyIdentity(adam, [NEW_YEAR]), address: BOB };
    await expect(open(signed(), { sender })).rejects.toMatchObject({ code: 'unknown-sender-key' });
  });

  test('opening again after fetching the history again finds the ciphertext unchanged', async () => {
    const envelope = stored(signed(seal(headerOf({ sender_head: { seq: 1, head: UID } }))));
    await expect(open(signed(), { envelope })).rejects.toMatchObject({ code: 'sender-head' });
    await expect(open(signed(), { envelope })).rejects.toMatchObject({ code: 'sender-head' });
  });
});

describe('a retired key', () => {
  const rotated = verifiedHistory(ADAM, [{ rotate: true, seconds: 60 }], 1);
  const sent = signed();
  const pinnedAt = NEW_YEAR;

  test('that was retired already when the history was first pinned has no grace', async () => {
    const sender = historyIdentity(rotated, [pinnedAt, pinnedAt]);
    expect((await open(sent, { sender, firstSeen: pinnedAt + 1 })).cautions).toEqual(['retired-key']);
  });

  test.each([
    [RETIRED_KEY_GRACE_SECONDS, []],
    [RETIRED_KEY_GRACE_SECONDS + 1, ['retired-key']],
  ])('that was seen to be retired signs validly for a day: after %i s', async (seconds, cautions) => {
    const retiredAt = pinnedAt + 1000;
    const sender = historyIdentity(rotated, [pinnedAt, retiredAt]);
    expect((await open(sent, { sender, firstSeen: retiredAt + seconds })).cautions).toEqual(cautions);
  });

  test('comes with every other caution that applies', async () => {
    const stranger = signed(seal(headerOf({ recipient_head: { seq: 0, head: UID } })));
    const sender = historyIdentity(rotated, [pinnedAt, pinnedAt]);
    expect((await open(stranger, { sender })).cautions).toEqual(['retired-key', 'recipient-head-unknown']);
  });
});

describe('sealed messages', () => {
  const secret = Buffer.alloc(32, 0x32);
  const sender = seededKey(1);
  const senderPublicKey = toHex(sender.publicKey);
  const head = { seq: 0, head: '00'.repeat(32) as Hex32 };
  const header = {
    v: 1 as const,
    from: ADAM,
    to: BOB,
    uid: '61'.repeat(32) as Hex32,
    sent: formatTimestamp(NEW_YEAR),
    sender_head: head,
    recipient_head: head,
    via: null,
    original: null,
  };

  function seal(body: Uint8Array) {
    const messagePublicKeyHex = toHex(messagePublicKey(secret));
    return sealMessage({
      header,
      body,
      messageType: 'x-custom-a',
      messagePublicKey: messagePublicKeyHex,
      senderKey: sender,
    });
  }

  function open(sealed: ReturnType<typeof seal>, ciphertext: Uint8Array) {
    return openBoxes({ ciphertext, nonce: sealed.nonce, senderPublicKey, senderMasterKeys: [], messageSecret: secret });
  }

  test('open to what was sealed, and leave the ciphertext as it was', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (body) => {
        const sealed = seal(body);
        const before = Buffer.from(sealed.ciphertext);
        expect(Uint8Array.from(open(sealed, sealed.ciphertext).body)).toEqual(body);
        expect(before.equals(sealed.ciphertext)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test('do not open with any bit changed', () => {
    const sealed = seal(Buffer.from('body'));
    fc.assert(
      fc.property(fc.nat({ max: sealed.ciphertext.length * 8 - 1 }), (bit) => {
        const damaged = Buffer.from(sealed.ciphertext);
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(codeOf(() => open(sealed, damaged))).toBe('outer-box');
      }),
      { numRuns: 200 },
    );
  });

  test('never use a nonce or an ephemeral key twice', () => {
    const sealed = Array.from({ length: 50 }, () => seal(Buffer.from('same')));
    expect(new Set(sealed.map(({ nonce }) => nonce)).size).toBe(50);
    expect(new Set(sealed.map(({ ciphertext }) => toHex(ciphertext))).size).toBe(50);
  });
});
