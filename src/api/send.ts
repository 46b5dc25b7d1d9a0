/**
 * `get_pow_params` and `send_message` (SMIMP 0.1 §4.3, §5). The checks of `send_message` stand in the written order; then key
 * and nonce are used up and the message is stored, in one transaction under the recipient's mailbox lock.
 */

import type { Address } from '../smimp/address.ts';
import { MAX_POW_NONCES, REPLACED_KEY_GRACE_SECONDS, ROTATED_KEY_GRACE_SECONDS } from '../smimp/api.ts';
import { randomBytes } from '../smimp/crypto.ts';
import { formatTimestamp, type Hex32, toHex } from '../smimp/encoding.ts';
import { type DecodedSentEnvelope, parseSentEnvelope } from '../smimp/envelope.ts';
import { ProfileError } from '../smimp/errors.ts';
import { checkSubmittedKey, checkSubmittedSignature, checkSubmittedWork } from '../smimp/submit.ts';
import { digestOf } from '../smimp/transcript.ts';
import type { Executor, Tx } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import { consumeEphemeral, findIssuedKey, type IssuedKey } from '../store/key-issue.ts';
import { inboxId, insertMessage } from '../store/messages.ts';
import { consumePowNonce } from '../store/pow-facts.ts';
import {
  findPowNonce,
  findSentEnvelope,
  holdForNonce,
  holdSession,
  insertPowNonce,
  insertSentEnvelope,
  type StoredNonce,
  type StoredSession,
} from '../store/sessions.ts';
import { type ApiServices, type Handlers, seconds, secondsLater, sessionOf } from './call.ts';
import { ApiError } from './errors.ts';
import { type CurrentIdentity, currentIdentity } from './identity.ts';
import { refuseRelay } from './legacy.ts';
import { refuseBlocked } from './lists.ts';
import { SIGNATURE_CODES } from './message-keys.ts';
import { countingRefusals, decidePrice, type PriceQuestion } from './pow-price.ts';
import { requireRoom } from './quota.ts';
import { refreshSenderKey } from './sessions.ts';

const ID_BYTES = 32;
const NONCE_BYTES = 32;
/** Long enough to mint 28 bits on a slow machine and to post 25 MB over a slow line. */
const POW_SECONDS = 3_600;

interface Submission {
  envelope: DecodedSentEnvelope;
  session: StoredSession;
  recipient: CurrentIdentity;
  digest: Hex32;
  now: Date;
}

export function sendHandlers(services: ApiServices): Handlers {
  const { db } = services;

  const submit = async (session: StoredSession, to: Address, request: unknown, now: Date): Promise<Hex32> => {
    const envelope = parseSentEnvelope(request);
    const recipient = await currentIdentity(db, to);
    const submission = { envelope, session, recipient, now, digest: digestOf(envelope.message_hash) };
    const sent = async (): Promise<Hex32> => (await repeated(db, submission)) ?? (await checked(submission));
    return countingRefusals(db, { sender: session.address, now }, sent());
  };

  /** Its twin may have used up key and nonce between the look above and the checks: then both get the same answer. */
  const checked = async (submission: Submission): Promise<Hex32> => {
    try {
      const { accountId, owner, sender } = peopleOf(submission);
      refuseRelay(services, { sender, recipient: owner });
      await refuseBlocked(db, { accountId, owner, sender });
      const key = await checkKey(services, submission);
      const nonce = await checkWork(services, submission);
      await refreshSenderKey(services, submission.session, submission.now);
      checkSignature(submission);
      return await db.transaction().execute((tx) => store(tx, services, submission, { key, nonce }));
    } catch (error) {
      const usedUp = error instanceof ApiError && (error.code === 'key_consumed' || error.code === 'bad_pow');
      const twin = usedUp ? await repeated(db, submission) : null;
      if (twin === null) throw error;
      return twin;
    }
  };

  return {
    get_pow_params: async (call) => {
      const { a: to, type } = call.params;
      const session = sessionOf(call);
      const { accountId } = await currentIdentity(db, to);
      const people = { sender: session.address as Address, recipient: to, accountId };
      const ask = { ...people, messageType: type, now: call.now };
      const issue = (tx: Tx) => issueNonce(tx, services, session.token_hash, ask);
      const { zero_bits, nonce, expires_at } = await db.transaction().execute(issue);
      return { body: { zero_bits, nonce: toHex<Hex32>(nonce), expires: formatTimestamp(seconds(expires_at)) } };
    },
    send_message: async (call) => ({
      body: { message_id: await submit(sessionOf(call), call.params.a, call.request, call.now) },
    }),
  };
}

/** The price and the nonce in one transaction: whoever asks many times at once pays as if one after the other. */
async function issueNonce(tx: Tx, services: ApiServices, sessionHash: Buffer, ask: PriceQuestion) {
  const { recipient, messageType, now } = ask;
  if (!(await holdForNonce(tx, sessionHash, { most: MAX_POW_NONCES, now }))) throw new ApiError('too_many_requests');
  const { bits: zero_bits } = await decidePrice(tx, services, ask);
  const nonce = randomBytes(NONCE_BYTES);
  const row = { nonce, session_hash: sessionHash, zero_bits, expires_at: secondsLater(now, POW_SECONDS) };
  await insertPowNonce(tx, { ...row, recipient_address: recipient, message_type: messageType });
  return row;
}

/** The message that this envelope became before in this session; it must be the same one, not just end in its digest. */
async function repeated(db: Executor, submission: Submission): Promise<Hex32 | null> {
  const messageId = await findSentEnvelope(db, sentKey(submission));
  if (messageId === null) return null;
  checkSignature(submission);
  return toHex(messageId);
}

function sentKey({ session, digest, recipient }: Submission) {
  return { sessionHash: session.token_hash, digest: Buffer.from(digest, 'hex'), recipient: recipient.address };
}

/** Whose lists are asked about whom. */
function peopleOf({ session, recipient }: Submission) {
  return { accountId: recipient.accountId, owner: recipient.address, sender: session.address as Address };
}

/** The key was issued to this sender for this recipient, is unused and still accepted, and is sound. */
async function checkKey({ db }: ApiServices, submission: Submission): Promise<IssuedKey> {
  const { envelope, session, recipient, now } = submission;
  const key = await findIssuedKey(db, {
    accountId: recipient.accountId,
    sender: session.address,
    publicKey: Buffer.from(envelope.message_public_key, 'hex'),
  });
  if (key === undefined) throw new ApiError('bad_key');
  if (key.state === 'used' || !isAccepted(key, recipient, now)) throw new ApiError('key_consumed');
  try {
    // It was held against every earlier master key when it was published.
    checkSubmittedKey(envelope, toHex(key.public_key), [toHex(key.master_key), recipient.publicKey]);
  } catch (error) {
    throw refusal(error, 'bad_key');
  }
  return key;
}

/** A replaced key is accepted for 24 hours, one under an old master key for one (§5). */
function isAccepted(key: IssuedKey, recipient: CurrentIdentity, now: Date): boolean {
  if (key.expires <= formatTimestamp(seconds(now))) return false;
  if (key.replaced_at === null) return true;
  const underOldMaster = toHex(key.master_key) !== recipient.publicKey;
  const graceSeconds = underOldMaster ? ROTATED_KEY_GRACE_SECONDS : REPLACED_KEY_GRACE_SECONDS;
  return now <= secondsLater(key.replaced_at, graceSeconds);
}

/** The nonce was issued to this session for this recipient and type, and the work is done. */
async function checkWork({ db }: ApiServices, submission: Submission): Promise<StoredNonce> {
  const { envelope, session, recipient } = submission;
  const claimed = envelope.proof_of_work?.split(':')[2];
  const nonce = claimed === undefined ? undefined : await findPowNonce(db, Buffer.from(claimed, 'hex'));
  if (nonce === undefined || !isIssuedFor(nonce, submission)) throw new ApiError('bad_pow');
  try {
    checkSubmittedWork(envelope, {
      recipient: recipient.address,
      loginTokenHash: toHex(session.login_token_hash),
      parameters: { zero_bits: nonce.zero_bits, nonce: toHex(nonce.nonce) },
    });
  } catch (error) {
    throw refusal(error, 'bad_pow');
  }
  return nonce;
}

function isIssuedFor(nonce: StoredNonce, { envelope, session, recipient, now }: Submission): boolean {
  return (
    nonce.session_hash.equals(session.token_hash) &&
    nonce.recipient_address === recipient.address &&
    nonce.message_type === envelope.message_type &&
    nonce.expires_at > now
  );
}

function checkSignature({ envelope, session, recipient }: Submission): void {
  try {
    checkSubmittedSignature(envelope, {
      sender: session.address as Address,
      recipient: recipient.address,
      senderPublicKey: toHex(session.public_key),
      loginTokenHash: toHex(session.login_token_hash),
    });
  } catch (error) {
    throw refusal(error, 'bad_signature');
  }
}

function refusal(error: unknown, code: 'bad_key' | 'bad_pow' | 'bad_signature'): unknown {
  if (!(error instanceof ProfileError)) return error;
  return new ApiError(SIGNATURE_CODES.has(error.code) ? 'bad_signature' : code, { cause: error });
}

async function store(
  tx: Tx,
  services: ApiServices,
  submission: Submission,
  used: { key: IssuedKey; nonce: StoredNonce },
): Promise<Hex32> {
  const { envelope, session, recipient, now } = submission;
  const { accountId } = recipient;
  await lockMailbox(tx, accountId);
  const twin = await repeated(tx, submission);
  if (twin !== null) return twin;
  if (!(await holdSession(tx, session.token_hash))) throw new ApiError('unauthorized');
  const isEphemeral = used.key.kind === 'ephemeral';
  if (isEphemeral && !(await consumeEphemeral(tx, { accountId, publicKey: used.key.public_key, now })))
    throw new ApiError('key_consumed');
  const sizeBytes = envelope.ciphertext.byteLength;
  const counted = { sender: session.address, recipient: recipient.address, sizeBytes, now };
  if (!(await consumePowNonce(tx, used.nonce.nonce, counted))) throw new ApiError('bad_pow');
  await requireRoom(tx, services, { accountId, addBytes: sizeBytes });
  const messageId = randomBytes(ID_BYTES);
  await insertSentEnvelope(tx, { ...sentKey(submission), messageId, now });
  await insertMessage(tx, {
    ...envelopeColumns(envelope),
    message_id: messageId,
    account_id: accountId,
    folder_id: await inboxId(tx, accountId),
    sender_address: session.address,
    sender_public_key: session.public_key,
    time_received: now,
    pow_zero_bits: used.nonce.zero_bits,
    pow_nonce: used.nonce.nonce,
    login_token_hash: session.login_token_hash,
    received_via: 'smimp_client',
    extensions_data: null,
    state: 'pending',
  });
  services.events.messageReceived({ accountId, sizeBytes, messageType: envelope.message_type });
  return toHex(messageId);
}

/** What of an envelope as sent goes into its row. */
export function envelopeColumns(envelope: DecodedSentEnvelope) {
  return {
    message_type: envelope.message_type,
    ciphertext: Buffer.from(envelope.ciphertext.buffer, envelope.ciphertext.byteOffset, envelope.ciphertext.byteLength),
    message_public_key: Buffer.from(envelope.message_public_key, 'hex'),
    nonce: Buffer.from(envelope.nonce, 'hex'),
    proof_of_work: envelope.proof_of_work,
    message_hash: Buffer.from(envelope.message_hash, 'hex'),
  };
}
