/**
 * Receiving a message as a client (SMIMP 0.1 §4.4), every check in the written order. Nothing is fetched and nothing is
 * remembered here: the caller brings what it verified at sync time, and records what came out.
 */
import type { Address } from './address.ts';
import { openBoxes } from './boxes.ts';
import type { VerifiedHistory } from './chain.ts';
import { type ParsedBody, parseBody, trustedAutoReply } from './email.ts';
import { type Hex32, parseTimestamp, toHex } from './encoding.ts';
import type { DecodedStoredEnvelope } from './envelope.ts';
import { ProfileError } from './errors.ts';
import { type MessageHeader, parseHeader } from './header.ts';
import type { SenderIdentity } from './pin.ts';
import { messageDigest, verifySignedHash } from './transcript.ts';

const DAY_SECONDS = 86_400;
/** How long after its retirement was first seen a key still signs validly. */
export const RETIRED_KEY_GRACE_SECONDS = DAY_SECONDS;
/** How far a sender's knowledge of my history may lag before it looks like a freeze. */
export const STALE_HEAD_GRACE_SECONDS = DAY_SECONDS;

/** Shown beside the message; the message is shown all the same. */
export type Caution = 'retired-key' | 'recipient-head-unknown' | 'recipient-head-stale';

type MaybePromise<T> = T | Promise<T>;

export type OpenInput = {
  me: Address;
  envelope: DecodedStoredEnvelope;
  /** The 32-byte secret of a message key of mine, if it is still held. */
  messageSecret: (publicKey: Hex32) => MaybePromise<Uint8Array | null | undefined>;
  /** The sender's identity as pinned; `null` when it could not be had (`unavailable`). */
  sender: SenderIdentity | null;
  /** My own history: my own copy, never the server's. */
  myHistory: VerifiedHistory;
  /** Decrypts where the ciphertext stands: less memory, but nobody can use it afterwards. */
  inPlace?: boolean;
  /** When this envelope was first seen, in unix seconds. */
  firstSeen: number;
  /** What was opened before, copies made by my own `message_copy` left out. Digests are those at the end of `message_hash`. */
  seen: {
    digest: (digest: Hex32) => MaybePromise<boolean>;
    uid: (sender: Address, uid: Hex32) => MaybePromise<boolean>;
  };
};

export type OpenedMessage = {
  digest: Hex32;
  header: MessageHeader;
  /** Exact bytes of the body, a view into the buffer that was decrypted. */
  body: Uint8Array;
  content: ParsedBody;
  cautions: Caution[];
};

/** The digest that `message_hash` of this envelope must sign. */
export function envelopeDigest(envelope: DecodedStoredEnvelope): Uint8Array {
  return messageDigest({
    ciphertext: envelope.ciphertext,
    messageType: envelope.message_type,
    algorithm: envelope.algorithm,
    messagePublicKey: envelope.message_public_key,
    proofOfWork: envelope.proof_of_work,
    nonce: envelope.nonce,
    loginTokenHash: envelope.login_token_hash,
    sender: envelope.sender_address,
    recipient: envelope.recipient_address,
    senderPublicKey: envelope.sender_public_key,
  });
}

function checkSender(envelope: DecodedStoredEnvelope, sender: SenderIdentity | null): SenderIdentity {
  if (!sender) throw new ProfileError('unavailable');
  const known = sender.address === envelope.sender_address && sender.masterKeys.includes(envelope.sender_public_key);
  if (!known) throw new ProfileError('unknown-sender-key');
  return sender;
}

function checkHeader(bytes: Uint8Array, envelope: DecodedStoredEnvelope): MessageHeader {
  const header = parseHeader(bytes);
  if (header.from !== envelope.sender_address) throw new ProfileError('header-from');
  if (header.to !== envelope.recipient_address) throw new ProfileError('header-to');
  return header;
}

/**
 * Whether the signing key had been retired for too long. A key that was retired already when the history was first
 * pinned has no grace: nothing shows when that was.
 */
function isRetired(key: Hex32, sender: SenderIdentity, firstSeen: number): boolean {
  const retiredBy = sender.keySeqs[sender.masterKeys.indexOf(key) + 1];
  if (retiredBy === undefined) return false;
  const retiredAt = sender.firstSeen[retiredBy];
  if (retiredAt === undefined || retiredAt === sender.firstSeen[0]) return true;
  return firstSeen > retiredAt + RETIRED_KEY_GRACE_SECONDS;
}

function recipientHeadCaution(header: MessageHeader, mine: VerifiedHistory): Caution | null {
  const { seq, head } = header.recipient_head;
  if (mine.heads[seq] !== head) return 'recipient-head-unknown';
  const next = mine.data[seq + 1];
  if (!next) return null;
  const staleFrom = parseTimestamp(next.date_of_change) + STALE_HEAD_GRACE_SECONDS;
  return parseTimestamp(header.sent) > staleFrom ? 'recipient-head-stale' : null;
}

function readBody(envelope: DecodedStoredEnvelope, body: Uint8Array): ParsedBody {
  const content = parseBody(envelope.message_type, body);
  if (content.type !== 'email') return content;
  return { type: 'email', value: trustedAutoReply(content.value, envelope.sender_address) };
}

/**
 * Verifies and decrypts one stored envelope. Throws the code of the first check that fails. `unavailable`: hold, undecrypted,
 * and try again. `sender-head`: fetch the sender's history again and call once more; when it stays, the state is FORKED.
 * Every other code: keep the ciphertext and quarantine.
 */
export async function openMessage(input: OpenInput): Promise<OpenedMessage> {
  const { envelope, me, seen } = input;
  if (envelope.recipient_address !== me) throw new ProfileError('wrong-recipient');
  const messageSecret = await input.messageSecret(envelope.message_public_key);
  if (!messageSecret) throw new ProfileError('unknown-message-key');
  const sender = checkSender(envelope, input.sender);
  const digestBytes = envelopeDigest(envelope);
  verifySignedHash(envelope.message_hash, digestBytes, envelope.sender_public_key);
  const digest = toHex(digestBytes);
  if (await seen.digest(digest)) throw new ProfileError('replayed');

  const { header: headerBytes, body } = openBoxes({
    ciphertext: envelope.ciphertext,
    nonce: envelope.nonce,
    senderPublicKey: envelope.sender_public_key,
    senderMasterKeys: sender.masterKeys,
    messageSecret,
    inPlace: input.inPlace === true,
  });
  const header = checkHeader(headerBytes, envelope);
  if (await seen.uid(header.from, header.uid)) throw new ProfileError('replayed');
  if (sender.heads[header.sender_head.seq] !== header.sender_head.head) throw new ProfileError('sender-head');

  const cautions: Caution[] = [];
  if (isRetired(envelope.sender_public_key, sender, input.firstSeen)) cautions.push('retired-key');
  const headCaution = recipientHeadCaution(header, input.myHistory);
  if (headCaution) cautions.push(headCaution);
  return { digest, header, body, content: readBody(envelope, body), cautions };
}
