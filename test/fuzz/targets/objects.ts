/** Objects of the protocol: records and histories, envelopes, frames, headers, bodies, blobs (SMIMP 0.1 §3, §4, §5). */
import { isDeepStrictEqual } from 'node:util';
import type { Address } from '../../../src/smimp/address.ts';
import { openBoxes } from '../../../src/smimp/boxes.ts';
import { verifyHistory } from '../../../src/smimp/chain.ts';
import { messagePublicKey, secretboxWithNonce } from '../../../src/smimp/crypto.ts';
import { parseBody, type SecretBody, serializeBody } from '../../../src/smimp/email.ts';
import { type Hex24, type Hex32, parseBase64, toBase64, toHex } from '../../../src/smimp/encoding.ts';
import { parseSentEnvelope, parseStoredEnvelope } from '../../../src/smimp/envelope.ts';
import { ProfileError } from '../../../src/smimp/errors.ts';
import { parseHeader, serializeHeader } from '../../../src/smimp/header.ts';
import { type JsonValue, parseStrictJson } from '../../../src/smimp/json.ts';
import { verifyMessageKey } from '../../../src/smimp/message-key.ts';
import { framePayload, unframePayload } from '../../../src/smimp/payload.ts';
import { comparePin, extendPin } from '../../../src/smimp/pin.ts';
import { parseRecordData } from '../../../src/smimp/record.ts';
import { openStorage, type StorageObject, sealStorageWithNonce } from '../../../src/smimp/storage.ts';
import { bytes, fromHex, texts, vectorInputs } from '../corpus.ts';
import { DEFAULTS, must, refusalOf, type Target } from '../target.ts';
import { takes } from './protocol.ts';

const refusal = refusalOf(ProfileError);
const HEX = 'ab'.repeat(32);
const JSON_WORDS = ['null', '0', '-1', '9007199254740991', '""', '{}', '[]', '"public_key":', `"${HEX}"`, '1e9', ','];

type Members = Record<string, JsonValue>;

/** The members of a JSON object; the others are refused as a server's answer would be. */
function members(input: Buffer): Members {
  const value = parseStrictJson(input);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ProfileError('bad-field');
  return value;
}

const history: Target = {
  name: 'history',
  ...DEFAULTS,
  refusal,
  corpus: [...vectorInputs('histories', 'verify'), ...vectorInputs('pins')].map((inputs) =>
    bytes(JSON.stringify(inputs)),
  ),
  words: [...JSON_WORDS, '"records":', '"head":', '"data":', '\\"seq\\":', '\\"address\\":', '"signed_hash":'],
  run(input) {
    const { address, records, head, answer, pin } = members(input);
    const about = String(address) as Address;
    if (pin !== undefined) return pinEnd(about, answer, pin);
    const verified = verifyHistory({ address: about, records, head });
    must(
      verified.records.every(({ data }) => parseRecordData(data).address === address),
      'a record of somebody else',
    );
    must(new Set(verified.masterKeys).size === verified.masterKeys.length, 'a key that came back');
    return `${verified.seq} ${verified.masterKeys.length}`;
  },
};

/** An answer against a pin that a vector gives: never more than what the records prove. */
function pinEnd(address: Address, answer: JsonValue | undefined, pin: JsonValue): string {
  const now = 1_767_225_600;
  const given = (answer ?? null) as never;
  const before = PINS.find((known) => JSON.stringify(known) === JSON.stringify(pin)) ?? null;
  const compared = comparePin({ address, answer: given, pin: before as never, now });
  must(compared.sending !== 'allowed' || compared.history !== null, 'sending without a history');
  if (before !== null && given !== null && Array.isArray((given as { records?: unknown }).records))
    extendPin({ address, answer: given, pin: before as never, now });
  return `${compared.state} ${compared.sending}`;
}

const PINS = vectorInputs('pins').map(({ pin }) => pin);

const envelope: Target = {
  name: 'stored-envelope',
  ...DEFAULTS,
  refusal,
  corpus: vectorInputs('messages')
    .filter(({ op }) => op === 'open' || op === 'submit')
    .map((inputs) => bytes(JSON.stringify(inputs.envelope))),
  words: [...JSON_WORDS, '"proof_of_work":', '"message_type":', '"zero_bits":255', '"read":true', '"seq":'],
  run(input) {
    const value = parseStrictJson(input);
    const ends: string[] = [];
    if (takes(() => parseSentEnvelope(value))) {
      const { ciphertext, ...rest } = parseSentEnvelope(value);
      must(isDeepStrictEqual(value, { ...rest, message: toBase64(ciphertext) }), 'a request with more than was read');
      ends.push('sent');
    }
    const { ciphertext, ...rest } = parseStoredEnvelope(value);
    const again = parseStoredEnvelope({ ...rest, message: toBase64(ciphertext) });
    must(isDeepStrictEqual({ ...again, ciphertext: null }, { ...rest, ciphertext: null }), 'not the same read again');
    return ['stored', ...ends].join(' ');
  },
};

const frame: Target = {
  name: 'payload-frame',
  ...DEFAULTS,
  refusal,
  corpus: [
    ...texts(vectorInputs('padme', 'unframe'), 'plain').map(fromHex),
    ...[0, 10, 300, 5000].map((size) => framePayload(Buffer.alloc(size, 'h'), Buffer.alloc(2 * size, 'b'))),
  ],
  words: ['\x01', '\0\0\0\0', '\xff\xff\xff\xff', '\x00'.repeat(16)],
  run(input) {
    const { header, body } = unframePayload(input);
    must(framePayload(header, body).equals(input), 'two frames for one content');
    return `${header.length > 0} ${body.length > 0} ${Math.clz32(input.length)}`;
  },
};

const header: Target = {
  name: 'message-header',
  ...DEFAULTS,
  refusal,
  corpus: texts(vectorInputs('messages', 'build'), 'header').map(bytes),
  words: [...JSON_WORDS, '"from":', '"to":', '"uid":', '"sender_head":', '"original":', '"via":"import"'],
  run(input) {
    const read = parseHeader(input);
    must(isDeepStrictEqual(parseHeader(serializeHeader(read)), read), 'not the same when written again');
    return `${read.via} ${read.original === null}`;
  },
};

const body: Target = {
  name: 'email-body',
  ...DEFAULTS,
  refusal,
  corpus: [
    ...texts(vectorInputs('messages', 'build'), 'body').map(fromHex),
    bytes(JSON.stringify({ message: 'Hello', attachments: [] })),
    bytes(JSON.stringify({ public_key: null, secret_key: HEX, kind: 'storage', note: null })),
  ],
  words: [
    ...JSON_WORDS,
    '"attachments":',
    '"content":"QUJD"',
    '"extensions_data":',
    '"to":',
    '"subject":',
    '"bob#example.org"',
  ],
  run(input) {
    const types = ['email', 'short-message', 'secret-ed25519', 'secret-curve25519', 'secret-xsalsa20'];
    const taken = types.filter((type) => takes(() => parseBody(type, input)));
    if (taken.length === 0) parseBody('email', input);
    for (const type of taken) {
      const { value } = parseBody(type, input);
      const again = parseBody(type, serializeBody(type, value as SecretBody)).value;
      must(isDeepStrictEqual(again, value), `${type} is not the same when written again`);
    }
    return taken.join(' ');
  },
};

const STORAGE_KEY = Buffer.alloc(32, 0x81);
const OBJECT: StorageObject = { owner: 'adam#example.com' as Address, purpose: 'whitelist', objectId: HEX as Hex32 };
const STORAGE_NONCE = Buffer.alloc(24, 0x82);

/** An input is a blob, and also the inside of one: what a stranger writes, and what another client of the owner may. */
const storage: Target = {
  name: 'storage-blob',
  ...DEFAULTS,
  refusal,
  corpus: [
    ...texts(vectorInputs('storage', 'open'), 'blob').map(bytes),
    bytes(
      sealStorageWithNonce(
        { key: STORAGE_KEY, object: OBJECT, version: 7, json: '{"flags":["\\\\Flagged"]}' },
        STORAGE_NONCE,
      ),
    ),
  ],
  words: ['A', '=', '/', '{"flags":[]}', '\0\0\0\0\0\0\0\0'],
  run(input) {
    const inside = secretboxWithNonce(STORAGE_KEY, STORAGE_NONCE, input);
    const sealed = toBase64(Buffer.concat([STORAGE_NONCE, inside]));
    const open = (blob: string) => openStorage({ key: STORAGE_KEY, object: OBJECT, blob, leastVersion: 3 });
    const forged = takes(() => open(sealed));
    const { version, value } = open(input.toString('latin1'));
    must(version >= 3, 'a version that was seen to be lower');
    return `${forged} ${typeof value}`;
  },
};

const messageKey: Target = {
  name: 'message-key',
  ...DEFAULTS,
  refusal,
  corpus: vectorInputs('message-keys').map((inputs) => bytes(JSON.stringify(inputs))),
  words: [...JSON_WORDS, '"kind":"ephemeral"', '"created":', '"expires":', '"master_keys":[]'],
  run(input) {
    const { address, key, master_keys, now } = members(input);
    if (!Array.isArray(master_keys) || typeof now !== 'number') throw new ProfileError('bad-field');
    const masterKeys = master_keys.map(String) as Hex32[];
    const verified = verifyMessageKey({ address: String(address) as Address, key, masterKeys, now });
    must(verified.key.created < verified.key.expires, 'a key that ends before it begins');
    return verified.key.kind;
  },
};

const MESSAGE_SECRET = Buffer.alloc(32, 0x32);
const SEALED = vectorInputs('messages', 'open').map(({ envelope: sealed }) => sealed as Record<string, unknown>);

/** Ciphertext from anybody: whatever it is, no box opens that was not sealed. */
const boxes: Target = {
  name: 'sealed-boxes',
  ...DEFAULTS,
  refusal,
  corpus: texts(SEALED.slice(0, 60), 'message')
    .filter((message) => takes(() => parseBase64(message)))
    .map(parseBase64),
  words: [messagePublicKey(MESSAGE_SECRET), Buffer.alloc(16), Buffer.alloc(56, 0xff)].map((word) =>
    Buffer.from(word).toString('latin1'),
  ),
  run(input) {
    const senderPublicKey = '8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c' as Hex32;
    const nonce = toHex<Hex24>(Buffer.alloc(24, 0x64));
    openBoxes({
      ciphertext: input,
      nonce,
      senderPublicKey,
      senderMasterKeys: [senderPublicKey],
      messageSecret: MESSAGE_SECRET,
    });
    must(
      boxes.corpus.some((sealed) => sealed.equals(input)),
      'a box opened that nobody sealed',
    );
    return 'opened';
  },
};

export const OBJECT_TARGETS: readonly Target[] = [history, envelope, frame, header, body, storage, messageKey, boxes];
