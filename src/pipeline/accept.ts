/**
 * Takes a message in: translated, sealed, and stored with one delivery per recipient, in one transaction. Whoever gets an
 * answer may forget the message; whoever gets none sends it again and is recognised (`repeated`).
 */
import type { Events } from '../events.ts';
import type { AccountKeys, Keystore } from '../keystore/keystore.ts';
import { readHeaderBlock } from '../mime/header-block.ts';
import type { Address } from '../smimp/address.ts';
import { hash, randomBytes } from '../smimp/crypto.ts';
import { serializeBody } from '../smimp/email.ts';
import { pae, text } from '../smimp/transcript.ts';
import type { Db } from '../store/database.ts';
import { insertSubmission } from '../store/outbound.ts';
import type { ByteGate } from './byte-gate.ts';
import { sealContent } from './submission-content.ts';

export interface Submitted {
  accountId: number;
  from: Address;
  /** Different from one another, at least one. */
  recipients: readonly Address[];
  /** The message as it was submitted. */
  raw: Buffer;
  now: Date;
}

/** Throws AcceptError, MimeError, KeystoreError, errors of the database. */
export type Accept = (submitted: Submitted) => Promise<{ submissionId: number; repeated: boolean }>;

/** `too-large`: what the message unpacks to is more than an SMIMP server takes. `no-recipients`. */
export type AcceptErrorCode = 'too-large' | 'no-recipients';

export class AcceptError extends Error {
  override readonly name = 'AcceptError';
  readonly code: AcceptErrorCode;

  constructor(code: AcceptErrorCode) {
    super(code);
    this.code = code;
  }
}

/**
 * The largest body: padded and in base64 it stays below the 56 MiB that a server takes in one request (SMIMP 0.1 §5). 25 MiB
 * of attachments are 34 MiB of body.
 */
export const MAX_BODY_BYTES = 40 * 1024 * 1024;
/** Mail programs that lost the reply try again within five days (RFC 5321 §4.5.4.1); later the same bytes are a new message. */
export const REPEAT_WINDOW_MS = 5 * 86_400_000;
const UID_BYTES = 32;
const DIGEST_BYTES = 32;

export function createAccept(options: {
  db: Db;
  keystore: Keystore;
  gate: ByteGate;
  /** Asks for the deliveries to be worked on; what it fails to do, the sweep does. */
  enqueue: (deliveryIds: readonly number[]) => Promise<void>;
  giveUpAfterMs: number;
  events: Events;
}): Accept {
  const { db, keystore, gate, enqueue, giveUpAfterMs, events } = options;

  const store = async (submitted: Submitted): Promise<{ submissionId: number; repeated: boolean }> => {
    const { accountId, recipients, raw, now } = submitted;
    const keys = await keystore.open(accountId);
    const uid = randomBytes(UID_BYTES);
    const body = await translate(keys, submitted, uid);
    if (body.byteLength > MAX_BODY_BYTES) throw new AcceptError('too-large');
    const sealed = sealContent(keys, uid, body);
    const digest = submissionDigest(keys, submitted);
    const inserted = await db.transaction().execute((tx) =>
      insertSubmission(tx, {
        accountId,
        digest,
        uid,
        messageType: 'email',
        sealed,
        sizeBytes: body.byteLength,
        recipients,
        now,
        deadline: new Date(now.getTime() + giveUpAfterMs),
        repeatsSince: new Date(now.getTime() - REPEAT_WINDOW_MS),
        retiredDigest: randomBytes(DIGEST_BYTES),
      }),
    );
    const { submissionId, deliveryIds, repeated } = inserted;
    events.submissionAccepted({ submissionId, recipients: recipients.length, sizeBytes: raw.length, repeated });
    enqueue(deliveryIds).catch((error: unknown) => events.unexpected('queue', error));
    return { submissionId, repeated };
  };

  return (submitted) => {
    if (submitted.recipients.length === 0) throw new AcceptError('no-recipients');
    return gate.pass(submitted.raw.length, () => store(submitted));
  };
}

/**
 * The same message to the same people is the same submission when it names itself; without a Message-ID nothing says
 * whether it is meant twice.
 */
function submissionDigest(keys: AccountKeys, { raw, recipients }: Submitted): Buffer {
  const isNamed = readHeaderBlock(raw).fields.some(({ name, value }) => name === 'message-id' && value.trim() !== '');
  if (!isNamed) return randomBytes(DIGEST_BYTES);
  return keys.blind('submission', pae([hash(raw), ...[...recipients].sort().map(text)]));
}
