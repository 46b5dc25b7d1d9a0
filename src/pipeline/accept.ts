/**
 * Takes a message in: translated, sealed, and stored with one delivery per recipient, in one transaction. Whoever gets an
 * answer may forget the message; whoever gets none sends it again and is recognised (`repeated`).
 */
import type { Events } from '../events.ts';
import type { AccountKeys, Keystore } from '../keystore/keystore.ts';
import { referenceOf } from '../keystore/references.ts';
import { type LegacyPolicy, NO_LEGACY } from '../legacy/policy.ts';
import type { ByteGate } from '../memory/byte-gate.ts';
import { collectGarbage, freeMemory } from '../memory/free-memory.ts';
import { freeParts } from '../memory/free-parts.ts';
import { hideBcc } from '../mime/original/bcc.ts';
import type { Original } from '../mime/original/format.ts';
import { fitBeside, MAX_CONTENT_BYTES, packOriginal } from '../mime/original/pack.ts';
import { originalIsFrom } from '../mime/original/trust.ts';
import { type ParsedMail, parseMail } from '../mime/parse.ts';
import { uidOfMessageId } from '../mime/threads.ts';
import { ownMessageId, parentMessageId, recipientDomains, type ToEmailOptions, toEmailBody } from '../mime/to-email.ts';
import { type Address, toMailbox } from '../smimp/address.ts';
import { hash, randomBytes } from '../smimp/crypto.ts';
import { type EmailBody, parseBody } from '../smimp/email.ts';
import { emailBytes } from '../smimp/email-bytes.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';
import { messageType as messageTypeField, parseFields } from '../smimp/fields.ts';
import { paddedLength } from '../smimp/payload.ts';
import { pae, text } from '../smimp/transcript.ts';
import { findReference, insertReference } from '../store/contents.ts';
import type { Db, Executor } from '../store/database.ts';
import { insertSubmission } from '../store/submissions.ts';
import { sealContent, sealOriginal } from './submission-content.ts';

interface Submission {
  accountId: number;
  from: Address;
  /** Different from one another, at least one. */
  recipients: readonly Address[];
  now: Date;
}

/** A message as a mail program submits it; it becomes an `email`. */
export interface Submitted extends Submission {
  /** Is written over meanwhile, and afterwards as it was, unless `release` gave it back. */
  raw: Buffer;
  /** Called when `raw` is not needed any more; it may then be empty. */
  release?: () => void;
  /** Done with `raw` once the message is accepted and before it is on its way, so that one large thing happens at a time. */
  afterwards?: () => Promise<void>;
}

/** A message of any type whose body is ready: the bytes that every recipient gets. */
export interface ReadySubmission extends Submission {
  messageType: string;
  body: Uint8Array;
  /** Of a legacy message that the body was made of. */
  original?: Original | null;
}

/** Throws AcceptError, MimeError, KeystoreError, ProfileError (a body its recipient would refuse), errors of the database. */
export type Accept = (submitted: Submitted | ReadySubmission) => Promise<{ submissionId: number; repeated: boolean }>;

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

/** The largest body. 25 MiB of attachments are 34 MiB of it. */
export const MAX_BODY_BYTES = MAX_CONTENT_BYTES;
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
  /** Under which coding people of the old internet appear to the others; absent: none. */
  policy?: Pick<LegacyPolicy, 'gatewayDomain' | 'knownLegacy'>;
  events: Events;
}): Accept {
  const { db, keystore, gate, enqueue, giveUpAfterMs, policy = NO_LEGACY, events } = options;

  const store = async (submitted: Submitted | ReadySubmission): ReturnType<Accept> => {
    const { accountId, recipients, now } = submitted;
    const keys = await keystore.open(accountId);
    const uid = randomBytes(UID_BYTES);
    const prepared =
      'raw' in submitted ? prepare({ db, policy }, keys, submitted, uid) : prepareReady(keys, submitted, uid);
    const { messageType, messageId, digest, sealed, original, sizeBytes } = await prepared;
    const inserted = await db.transaction().execute(async (tx) => {
      const result = await insertSubmission(tx, {
        accountId,
        digest,
        uid,
        messageType,
        sealed,
        original,
        sizeBytes,
        recipients,
        now,
        deadline: new Date(now.getTime() + giveUpAfterMs),
        repeatsSince: new Date(now.getTime() - REPEAT_WINDOW_MS),
        retiredDigest: randomBytes(DIGEST_BYTES),
      });
      if (messageId !== null && !result.repeated)
        await insertReference(tx, accountId, referenceOf(keys, messageId), uid);
      return result;
    });
    freeMemory(sealed);
    if ('raw' in submitted) await submitted.afterwards?.();
    const { submissionId, deliveryIds, repeated } = inserted;
    events.submissionAccepted({ submissionId, recipients: recipients.length, sizeBytes, repeated });
    enqueue(deliveryIds).catch((error: unknown) => events.unexpected('queue', error));
    return { submissionId, repeated };
  };

  return async (submitted) => {
    if (submitted.recipients.length === 0) throw new AcceptError('no-recipients');
    return gate.pass(sizeOf(submitted), () => store(submitted));
  };
}

function sizeOf(submitted: Submitted | ReadySubmission): number {
  return 'raw' in submitted ? submitted.raw.length : submitted.body.length;
}

interface Prepared {
  messageType: string;
  messageId: string | null;
  digest: Buffer;
  sealed: Buffer;
  original: Buffer | null;
  /** The class of its size: the exact one outlives the message, and is nobody's business. */
  sizeBytes: number;
}

type Services = { db: Db; policy: Pick<LegacyPolicy, 'gatewayDomain' | 'knownLegacy'> };

async function prepare(services: Services, keys: AccountKeys, submitted: Submitted, uid: Buffer): Promise<Prepared> {
  const { visible, restore } = hideBcc(submitted.raw);
  try {
    return await prepareVisible(services, keys, { ...submitted, raw: visible }, uid);
  } finally {
    restore();
  }
}

/** Everything that is large lives and dies in here, but for what is stored. */
async function prepareVisible(
  { db, policy }: Services,
  keys: AccountKeys,
  submitted: Submitted,
  uid: Buffer,
): Promise<Prepared> {
  const mail = await parseMail(submitted.raw);
  collectGarbage(submitted.raw.length);
  const messageId = ownMessageId(mail);
  const digest = messageId === null ? randomBytes(DIGEST_BYTES) : submissionDigest(keys, submitted);
  const parent = await parentUid(db, keys, mail);
  const { gatewayDomain } = policy;
  const legacyDomains = await policy.knownLegacy(recipientDomains(mail));
  const about = { uid: toHex<Hex32>(uid), parentUid: parent, gatewayDomain, legacyDomains };
  const { body, original } = translate(mail, submitted, about);
  if (body.byteLength > MAX_BODY_BYTES) throw new AcceptError('too-large');
  const sizeBytes = paddedLength(body.byteLength);
  collectGarbage(sizeBytes);
  const sealed = sealContent(keys, uid, body);
  freeMemory(body);
  return { messageType: 'email', messageId, digest, sealed, original: sealIfAny(keys, uid, original), sizeBytes };
}

/** Nothing says whether the same body is meant twice, so it is. */
async function prepareReady(keys: AccountKeys, ready: ReadySubmission, uid: Buffer): Promise<Prepared> {
  const { messageType, body, original = null } = ready;
  if (body.byteLength > MAX_BODY_BYTES) throw new AcceptError('too-large');
  parseFields(messageTypeField, messageType);
  parseBody(messageType, body);
  const sealed = sealContent(keys, uid, body);
  return {
    messageType,
    messageId: null,
    digest: randomBytes(DIGEST_BYTES),
    sealed,
    original: sealIfAny(keys, uid, fitBeside(original, body.byteLength)),
    sizeBytes: paddedLength(body.byteLength),
  };
}

export function sealIfAny(keys: AccountKeys, uid: Buffer, original: Original | null): Buffer | null {
  return original === null ? null : sealOriginal(keys, uid, original);
}

/** What every recipient gets. */
function translate(
  mail: ParsedMail,
  { from, raw, now, release }: Submitted,
  about: Pick<ToEmailOptions, 'uid' | 'parentUid' | 'gatewayDomain' | 'legacyDomains'>,
): { body: Uint8Array; original: Original | null } {
  const seconds = Math.floor(now.getTime() / 1000);
  const body = toEmailBody({ mail, from, ...about, now: seconds });
  freeParts(mail.root, raw);
  const original = packVisible(raw, toMailbox(from), body);
  release?.();
  const bytes = emailBytes(body);
  return { body: bytes, original: fitBeside(original, bytes.byteLength) };
}

/** A message that does not say in plain words who it is from would be trusted by nobody: it travels as its body alone. */
export function packVisible(
  raw: Buffer,
  mailbox: string,
  { attachments }: EmailBody,
  how?: { anySender: boolean },
): Original | null {
  return originalIsFrom(raw, mailbox, how) ? packOriginal({ raw, attachments }) : null;
}

/** The uid of the message that this one answers, if it came or went through here, or names its uid itself. */
export async function parentUid(db: Executor, keys: AccountKeys, mail: ParsedMail): Promise<Hex32 | null> {
  const messageId = parentMessageId(mail);
  if (messageId === null) return null;
  const uid = await findReference(db, keys.accountId, referenceOf(keys, messageId));
  return uid === null ? uidOfMessageId(messageId) : toHex<Hex32>(uid);
}

/**
 * The same message to the same people is the same submission, when it names itself; without a Message-ID nothing says
 * whether it is meant twice.
 */
function submissionDigest(keys: AccountKeys, { raw, recipients }: Submitted): Buffer {
  return keys.blind('submission', pae([hash(raw), ...[...recipients].sort().map(text)]));
}
