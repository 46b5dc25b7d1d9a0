/** What it takes to send: a message key, the work, and an envelope signed for one session (SMIMP 0.1 §4, §5.5). */
import type { Address } from '../smimp/address.ts';
import { sealMessage } from '../smimp/boxes.ts';
import { hash, randomBytes } from '../smimp/crypto.ts';
import { serializeBody } from '../smimp/email.ts';
import { formatTimestamp, type Hex24, type Hex32, toHex } from '../smimp/encoding.ts';
import { type SealedMessage, type SentEnvelope, signEnvelope } from '../smimp/envelope.ts';
import type { MessageKey } from '../smimp/message-key.ts';
import { ASK_OPERATOR_ABOVE_BITS, ciphertextHash, formatProof, leadingZeroBits, powMessage } from '../smimp/pow.ts';
import { recordHead } from '../smimp/record.ts';
import { type Answer, accepted } from './answer.ts';
import { notRun } from './errors.ts';
import { type KitSession, lastRecord, type Member } from './member.ts';
import type { Probe } from './probe.ts';

export type Work = { zeroBits: number; nonce: Hex32 };
export type Sender = Pick<Member, 'address' | 'master'> & { session: KitSession };

const NONCE_BYTES = 24;
const VALUE_BYTES = 32;
/** The end of a value, counted up: far more than any work that is done here needs. */
const COUNTER_BYTES = 4;
/** A size like that of a short letter. */
const CIPHERTEXT_BYTES = 400;

export async function askKey(probe: Probe, sender: Sender, recipient: Address): Promise<MessageKey> {
  const { token } = sender.session;
  const answer = await probe.call('get_message_key', { token, request: { address: recipient } });
  return accepted('get_message_key', answer).message_key;
}

export function askWorkFor(probe: Probe, sender: Sender, a: Address, type = 'email'): Promise<Answer> {
  return probe.call('get_pow_params', { token: sender.session.token, params: { a, type } });
}

export async function askWork(probe: Probe, sender: Sender, recipient: Address, type = 'email'): Promise<Work> {
  const { zero_bits, nonce } = accepted('get_pow_params', await askWorkFor(probe, sender, recipient, type));
  return { zeroBits: zero_bits, nonce };
}

/** A ciphertext that is none: nobody opens it. */
export function randomMessage(key: Hex32, messageType = 'email'): SealedMessage {
  const ciphertext = randomBytes(CIPHERTEXT_BYTES);
  return { ciphertext, messageType, messagePublicKey: key, nonce: toHex<Hex24>(randomBytes(NONCE_BYTES)) };
}

/** A short message that its recipient can open. */
export function realMessage(input: { sender: Member; recipient: Member; key: Hex32; text: string; now: number }) {
  const { sender, recipient, key, text, now } = input;
  const headOf = (member: Member) => ({
    seq: member.records.length - 1,
    head: recordHead(member.records.length - 1, lastRecord(member)),
  });
  const people = { from: sender.address, to: recipient.address };
  const heads = { sender_head: headOf(sender), recipient_head: headOf(recipient) };
  const uid = toHex<Hex32>(randomBytes(VALUE_BYTES));
  const messageType = 'short-message';
  return sealMessage({
    header: { v: 1, ...people, uid, sent: formatTimestamp(now), ...heads, via: null, original: null },
    body: serializeBody(messageType, { message: text, attachments: [] }),
    messageType,
    messagePublicKey: key,
    senderKey: sender.master,
  });
}

/** A proof with enough zero bits, or, where `enough` is false, with too few. */
export function proofFor(work: {
  sealed: SealedMessage;
  session: KitSession;
  recipient: Address;
  work: Work;
  enough?: boolean;
}): string {
  const { sealed, session, recipient, enough = true } = work;
  const { zeroBits, nonce } = work.work;
  // What a client works without asking anybody: four million hashes, some seconds here.
  if (zeroBits > ASK_OPERATOR_ABOVE_BITS) throw notRun(`the server asks for ${zeroBits} bits of work`);
  const { messageType, ciphertext } = sealed;
  const { loginTokenHash } = session;
  const target = { loginTokenHash, ciphertextHash: ciphertextHash(ciphertext), recipient, messageType, nonce };
  const message = powMessage(target, randomBytes(VALUE_BYTES));
  for (let counter = 0; ; counter++) {
    message.writeUInt32LE(counter, message.length - COUNTER_BYTES);
    const digest = hash(message);
    const value = message.subarray(-VALUE_BYTES);
    if (leadingZeroBits(digest) >= zeroBits === enough) return formatProof({ hash: digest, value, nonce });
  }
}

/** The envelope of a sealed message, signed for this session. */
export function signFor(
  sender: Sender,
  to: { recipient: Address; sealed: SealedMessage; proofOfWork: string | null },
): SentEnvelope {
  const { loginTokenHash } = sender.session;
  return signEnvelope({ ...to, loginTokenHash, sender: sender.address, senderKey: sender.master });
}

export function post(probe: Probe, sender: Sender, recipient: Address, request: unknown): Promise<Answer> {
  return probe.call('send_message', { token: sender.session.token, params: { a: recipient }, request });
}

export type Prepared = { envelope: SentEnvelope; sealed: SealedMessage; work: Work; key: MessageKey };

/** Everything right: key, work, signature. `sealed` from a key; random bytes unless given. */
export async function prepare(
  probe: Probe,
  sender: Sender,
  recipient: Address,
  own: { type?: string; key?: MessageKey; seal?: (key: Hex32) => SealedMessage } = {},
): Promise<Prepared> {
  const { type = 'email', seal = (key) => randomMessage(key, type) } = own;
  const key = own.key ?? (await askKey(probe, sender, recipient));
  const sealed = seal(key.public_key);
  const work = await askWork(probe, sender, recipient, sealed.messageType);
  const proofOfWork = proofFor({ sealed, session: sender.session, recipient, work });
  return { envelope: signFor(sender, { recipient, sealed, proofOfWork }), sealed, work, key };
}
