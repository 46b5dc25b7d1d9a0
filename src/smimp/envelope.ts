/**
 * Envelopes (SMIMP 0.1 §4.2): as sent, and as a server stores them. Both are read member by member in the order of the
 * profile; `message` becomes bytes here, once, and is not carried on as text.
 */
import { z } from 'zod';
import type { Address } from './address.ts';
import type { MasterKeyPair } from './crypto.ts';
import {
  type Base64,
  type Hex24,
  type Hex32,
  parseBase64,
  parseBase64InPlace,
  type SignedHash,
  toBase64,
  toHex,
} from './encoding.ts';
import {
  address,
  base64,
  base64Unchecked,
  count,
  hex24,
  hex32,
  messageType,
  parseFields,
  signedHash,
  timestamp,
} from './fields.ts';
import { isProof } from './pow.ts';
import { messageDigest, signDigest } from './transcript.ts';

export const MESSAGE_ALGORITHM = 'curve25519xsalsa20poly1305';

type Written<T extends { message: unknown }> = Omit<T, 'message'> & { message: Base64 };

/** `hash:value:nonce`, or `null` for none; an empty string is refused. */
export const proofOfWork = z
  .string()
  .superRefine((text, ctx) => {
    if (!isProof(text)) ctx.addIssue({ code: 'custom', params: { profileCode: 'pow-form' } });
  })
  .meta({ pattern: '^[0-9a-f]{64}:[0-9a-f]{64}:[0-9a-f]{64}$' })
  .nullable();

const sentShape = {
  message: base64Unchecked,
  message_type: messageType,
  algorithm: z.literal(MESSAGE_ALGORITHM),
  message_public_key: hex32,
  nonce: hex24,
  proof_of_work: proofOfWork,
  message_hash: signedHash,
};

/** What `send_message` takes. A request: unknown members are refused. `message` is decoded, and so checked, apart. */
export const sentEnvelopeSchema = z.strictObject(sentShape);
/** As it is written: `message` is text. */
export type SentEnvelope = Written<z.infer<typeof sentEnvelopeSchema>>;

export const receivedVia = z.enum(['smimp_client', 'smtp_bridge', 'imap_bridge', 'import_api']);

/** What a mailbox holds. Unknown members are ignored. */
export const storedEnvelopeSchema = z.object({
  ...sentShape,
  recipient_address: address,
  sender_address: address,
  sender_public_key: hex32,
  time_received: timestamp,
  proof_of_work_parameters: z.object({ zero_bits: count, nonce: hex32 }).nullable(),
  message_id: hex32,
  login_token_hash: hex32,
  received_via: receivedVia,
  read: z.boolean(),
  extensions_data: base64.nullable(),
  protocol_version: z.literal('0.1'),
  folder_name: z.string().nullable(),
  revision: count,
  seq: count,
});
export type StoredEnvelope = Written<z.infer<typeof storedEnvelopeSchema>>;

/** An envelope with its message as bytes instead of text. */
export type Decoded<T extends { message: unknown }> = Omit<T, 'message'> & { readonly ciphertext: Uint8Array };
export type DecodedSentEnvelope = Decoded<SentEnvelope>;
export type DecodedStoredEnvelope = Decoded<StoredEnvelope>;

function decode<T extends { message: string | Buffer }>(schema: z.ZodType<T>, value: unknown): Decoded<T> {
  const { message, ...rest } = parseFields(schema, value);
  return { ...rest, ciphertext: typeof message === 'string' ? parseBase64(message) : parseBase64InPlace(message) };
}

/**
 * Throws `bad-field`, `unknown-member` or the code of a field. SMIMP 0.1 §4.2. A `message` that is a view into a document
 * is decoded there, so this can be done once.
 */
export function parseSentEnvelope(value: unknown): DecodedSentEnvelope {
  return decode(sentEnvelopeSchema, value);
}

/** Throws `bad-field` or the code of a field. SMIMP 0.1 §4.2. */
export function parseStoredEnvelope(value: unknown): DecodedStoredEnvelope {
  return decode(storedEnvelopeSchema, value);
}

/** A message that was encrypted, once, and not yet signed: what the pipeline keeps between seal and mint. */
export type SealedMessage = {
  readonly ciphertext: Uint8Array;
  readonly messageType: string;
  readonly messagePublicKey: Hex32;
  readonly nonce: Hex24;
};

/** What a signature adds to a sealed message. `loginTokenHash` = D(login-token) of the session it is sent in. */
export type EnvelopeSigning = {
  sealed: SealedMessage;
  proofOfWork: string | null;
  loginTokenHash: Hex32;
  sender: Address;
  recipient: Address;
};

/** The `message_hash` of a sealed message under the sender's master key. */
export function signSealed(input: EnvelopeSigning & { senderKey: MasterKeyPair }): SignedHash {
  const { sealed, senderKey, proofOfWork, loginTokenHash, sender, recipient } = input;
  const digest = messageDigest({
    ...sealed,
    algorithm: MESSAGE_ALGORITHM,
    proofOfWork,
    loginTokenHash,
    sender,
    recipient,
    senderPublicKey: toHex(senderKey.publicKey),
  });
  return signDigest(senderKey.secretKey, digest);
}

/** The envelope to post, from what seal and mint left behind. */
export function sentEnvelope(
  sealed: SealedMessage,
  signed: { proofOfWork: string | null; messageHash: SignedHash },
): SentEnvelope {
  return {
    message: toBase64(sealed.ciphertext),
    message_type: sealed.messageType,
    algorithm: MESSAGE_ALGORITHM,
    message_public_key: sealed.messagePublicKey,
    nonce: sealed.nonce,
    proof_of_work: signed.proofOfWork,
    message_hash: signed.messageHash,
  };
}

/** Signs a sealed message and makes the envelope to post. */
export function signEnvelope(input: EnvelopeSigning & { senderKey: MasterKeyPair }): SentEnvelope {
  return sentEnvelope(input.sealed, { proofOfWork: input.proofOfWork, messageHash: signSealed(input) });
}
