/**
 * Takes a message of the old internet in at a gateway (SMIMP 0.1 §6): the identity of its author, the translated and sealed
 * message, and one delivery per recipient, in one transaction. From there it goes the way of every message.
 */
import type { Events } from '../events.ts';
import type { AccountKeys, Keystore } from '../keystore/keystore.ts';
import { referenceOf } from '../keystore/references.ts';
import { codedMailbox, ensureLegacyIdentity, LegacyError } from '../legacy/identities.ts';
import type { Newcomers } from '../legacy/newcomers.ts';
import type { ByteGate } from '../memory/byte-gate.ts';
import { collectGarbage, freeMemory } from '../memory/free-memory.ts';
import { freeParts } from '../memory/free-parts.ts';
import { type GatewayData, removeForgedResults } from '../mime/gateway-data.ts';
import type { Original } from '../mime/original/format.ts';
import { fitBeside } from '../mime/original/pack.ts';
import { type ParsedMail, parseMail } from '../mime/parse.ts';
import { ownMessageId, toEmailBody } from '../mime/to-email.ts';
import type { Address, Domain } from '../smimp/address.ts';
import { hash, randomBytes } from '../smimp/crypto.ts';
import type { EmailBody } from '../smimp/email.ts';
import { emailBytes } from '../smimp/email-bytes.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';
import { encodeLegacy, mailboxDomain } from '../smimp/gateway.ts';
import { paddedLength } from '../smimp/payload.ts';
import { pae, text } from '../smimp/transcript.ts';
import { insertReference } from '../store/contents.ts';
import type { Db, Tx } from '../store/database.ts';
import { findLegacyIdentity } from '../store/legacy-identities.ts';
import { insertSubmission } from '../store/submissions.ts';
import { AcceptError, MAX_BODY_BYTES, packVisible, parentUid, REPEAT_WINDOW_MS, sealIfAny } from './accept.ts';
import { keepReturnPath } from './return-path.ts';
import { sealContent } from './submission-content.ts';

export interface Incoming {
  /** The author's mailbox, in its normal form. */
  mailbox: string;
  /** The network address of who brought it. */
  client: string;
  /** The reverse path, where reports go; '' for none. */
  returnPath: string;
  /** Different from one another, at least one. */
  recipients: readonly Address[];
  /** The message, below the trace field that this gateway put on top. */
  raw: Buffer;
  /** Length of that field: the same message comes with another one when it comes again. */
  traceBytes: number;
  /** Called when `raw` is not needed any more; it may then be empty. */
  release?: () => void;
  checks: GatewayData;
  now: Date;
}

/** A gateway, for whom mail comes in. */
export interface TakesIn {
  readonly domain: Domain;
  /** Its own, and those that mail is taken in for: they speak SMIMP. */
  readonly ownDomains: readonly string[];
  /** How it calls itself where it tells what it found out: its domain, its host. */
  readonly authServices: readonly string[];
  readonly newcomers: Newcomers;
}

/** Throws AcceptError, MimeError, LegacyError, errors of the database. */
export type AcceptLegacy = (incoming: Incoming) => Promise<{ submissionId: number; repeated: boolean }>;

const UID_BYTES = 32;
const DIGEST_BYTES = 32;

export function createAcceptLegacy(options: {
  db: Db;
  keystore: Keystore;
  gate: ByteGate;
  gateway: TakesIn;
  enqueue: (deliveryIds: readonly number[]) => Promise<void>;
  giveUpAfterMs: number;
  events: Events;
}): AcceptLegacy {
  const { db, keystore, gate, gateway, enqueue, giveUpAfterMs, events } = options;

  const store = async (incoming: Incoming): ReturnType<AcceptLegacy> => {
    const { mailbox, now, recipients } = incoming;
    const uid = randomBytes(UID_BYTES);
    await admit(db, incoming, gateway);
    const made = await translate(incoming, gateway, toHex<Hex32>(uid));
    const stored = await db.transaction().execute(async (tx) => {
      const { accountId } = await ensureLegacyIdentity(tx, { keystore, gatewayDomain: gateway.domain, mailbox, now });
      const keys = await keystore.open(accountId, tx);
      const { sealed, original, sizeBytes } = await sealFor(tx, keys, made, uid);
      const result = await insertSubmission(tx, {
        ...{ accountId, uid, messageType: 'email', sealed, original, sizeBytes, recipients, now },
        digest: digestOf(keys, made.digested, incoming),
        deadline: new Date(now.getTime() + giveUpAfterMs),
        repeatsSince: new Date(now.getTime() - REPEAT_WINDOW_MS),
        retiredDigest: randomBytes(DIGEST_BYTES),
      });
      freeMemory(sealed);
      if (!result.repeated) await remember(tx, keys, { ...result, ...made, uid, returnPath: reportPath(incoming) });
      return { ...result, sizeBytes };
    });
    const { submissionId, deliveryIds, repeated, sizeBytes } = stored;
    events.submissionAccepted({ submissionId, recipients: recipients.length, sizeBytes, repeated });
    enqueue(deliveryIds).catch((error: unknown) => events.unexpected('queue', error));
    return { submissionId, repeated };
  };

  return async (incoming) => {
    if (incoming.recipients.length === 0) throw new AcceptError('no-recipients');
    return gate.pass(incoming.raw.length, () => store(incoming));
  };
}

/**
 * Whom a failure is reported to; '' for nobody. A path whose domain says that the client does not send for it is most likely
 * somebody else's, who would get a report on mail never sent: unless the author is proven and of the same domain.
 */
export function reportPath({ returnPath, checks }: Pick<Incoming, 'returnPath' | 'checks'>): string {
  const { spf, authenticated, from } = checks;
  const isDenied = spf.result === 'fail' || spf.result === 'softfail';
  return isDenied && !(authenticated && mailboxDomain(returnPath) === mailboxDomain(from)) ? '' : returnPath;
}

/** Before anything is worked at. Throws LegacyError `no-address`, `too-many`. */
async function admit(db: Db, { mailbox, client, now }: Incoming, { domain, newcomers }: TakesIn): Promise<void> {
  const author = codedMailbox(mailbox, domain);
  if (author === null) throw new LegacyError('no-address');
  if ((await findLegacyIdentity(db, author)) !== undefined) return;
  if (!newcomers.admit(client, now)) throw new LegacyError('too-many');
}

interface Made {
  mail: ParsedMail;
  letter: EmailBody;
  original: Original | null;
  /** Of the bytes as they came. */
  digested: Buffer;
}

/** Everything that needs no keys, but for the message that this one answers. */
async function translate(incoming: Incoming, gateway: TakesIn, uid: Hex32): Promise<Made> {
  const { mailbox, now, release, checks, traceBytes } = incoming;
  const { domain: gatewayDomain, ownDomains: smimpDomains, authServices } = gateway;
  const from = encodeLegacy(mailbox, gatewayDomain);
  const digested = hash(incoming.raw.subarray(traceBytes));
  const raw = removeForgedResults(incoming.raw, authServices);
  const mail = await parseMail(raw);
  collectGarbage(raw.length);
  const seconds = Math.floor(now.getTime() / 1000);
  const body = toEmailBody({ mail, from, uid, parentUid: null, gatewayDomain, smimpDomains, now: seconds });
  freeParts(mail.root, raw);
  const original = packVisible(raw, mailbox, body, { anySender: true });
  release?.();
  const letter = { ...body, extensions_data: { ...body.extensions_data, smimp_gateway: checks } };
  return { mail, letter, original, digested };
}

/** Body and original as they are stored; `sizeBytes`: the class of the size. */
async function sealFor(
  tx: Tx,
  keys: AccountKeys,
  { mail, letter, original }: Made,
  uid: Buffer,
): Promise<{ sealed: Buffer; original: Buffer | null; sizeBytes: number }> {
  const body = emailBytes({ ...letter, reply_to_message_id: await parentUid(tx, keys, mail) });
  if (body.byteLength > MAX_BODY_BYTES) throw new AcceptError('too-large');
  const sizeBytes = paddedLength(body.byteLength);
  const sealed = sealContent(keys, uid, body);
  const beside = fitBeside(original, body.byteLength);
  freeMemory(body);
  return { sealed, original: sealIfAny(keys, uid, beside), sizeBytes };
}

/** Trace fields of the way here are part of the bytes: the same again is the same message, with or without a Message-ID. */
function digestOf(keys: AccountKeys, message: Uint8Array, { returnPath, recipients }: Incoming): Buffer {
  return keys.blind('incoming', pae([message, text(returnPath), ...[...recipients].sort().map(text)]));
}

async function remember(
  tx: Tx,
  keys: AccountKeys,
  about: { submissionId: number; mail: ParsedMail; uid: Buffer; returnPath: string },
): Promise<void> {
  const { submissionId, mail, uid, returnPath } = about;
  const messageId = ownMessageId(mail);
  if (messageId !== null) await insertReference(tx, keys.accountId, referenceOf(keys, messageId), uid);
  if (returnPath !== '') await keepReturnPath(tx, keys, submissionId, returnPath);
}
