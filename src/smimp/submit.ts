/**
 * What a server checks of an envelope that is handed in (SMIMP 0.1 §5, `send_message`), without any I/O: the key was issued to
 * this sender, the key is sound, the work is done, the sender signed. Each step is exported, because a server refreshes the
 * sender's key between the work and the signature.
 */
import type { Address } from './address.ts';
import { type Hex32, toHex } from './encoding.ts';
import { type DecodedSentEnvelope, parseSentEnvelope } from './envelope.ts';
import { ProfileError } from './errors.ts';
import { checkMessagePublicKey } from './message-key.ts';
import { ciphertextHash, verifyProof } from './pow.ts';
import { messageDigest, verifySignedHash } from './transcript.ts';

/** Proof of work asked for: bits and the nonce that was issued. `null`: none. */
export type PowParameters = { zero_bits: number; nonce: Hex32 } | null;

/** `issuedKey`: the public key issued to this sender for this recipient. Throws `unknown-message-key`, `key-*`. */
export function checkSubmittedKey(
  envelope: DecodedSentEnvelope,
  issuedKey: Hex32,
  recipientMasterKeys: readonly Hex32[],
): void {
  if (envelope.message_public_key !== issuedKey) throw new ProfileError('unknown-message-key');
  checkMessagePublicKey(envelope.message_public_key, recipientMasterKeys);
}

/** Throws a `pow-*` code. When no work is asked for, a string that is there is signed, but not looked at. */
export function checkSubmittedWork(
  envelope: DecodedSentEnvelope,
  context: { recipient: Address; loginTokenHash: Hex32; parameters: PowParameters },
): void {
  if (!context.parameters) return;
  verifyProof({
    proofOfWork: envelope.proof_of_work,
    zeroBits: context.parameters.zero_bits,
    target: {
      loginTokenHash: context.loginTokenHash,
      ciphertextHash: ciphertextHash(envelope.ciphertext),
      recipient: context.recipient,
      messageType: envelope.message_type,
      nonce: context.parameters.nonce,
    },
  });
}

/** `senderPublicKey`: the sender's current master key. Returns the digest. Throws `digest-mismatch`, `bad-signature` and the like. */
export function checkSubmittedSignature(
  envelope: DecodedSentEnvelope,
  context: { sender: Address; recipient: Address; senderPublicKey: Hex32; loginTokenHash: Hex32 },
): Hex32 {
  const digest = messageDigest({
    ciphertext: envelope.ciphertext,
    messageType: envelope.message_type,
    algorithm: envelope.algorithm,
    messagePublicKey: envelope.message_public_key,
    proofOfWork: envelope.proof_of_work,
    nonce: envelope.nonce,
    ...context,
  });
  verifySignedHash(envelope.message_hash, digest, context.senderPublicKey);
  return toHex(digest);
}

/** All checks in the written order. `envelope` is the request as parsed JSON. */
export function verifySubmission(input: {
  envelope: unknown;
  sender: Address;
  recipient: Address;
  senderPublicKey: Hex32;
  loginTokenHash: Hex32;
  issuedKey: Hex32;
  recipientMasterKeys: readonly Hex32[];
  proofOfWorkParameters: PowParameters;
}): { envelope: DecodedSentEnvelope; digest: Hex32 } {
  const envelope = parseSentEnvelope(input.envelope);
  checkSubmittedKey(envelope, input.issuedKey, input.recipientMasterKeys);
  checkSubmittedWork(envelope, { ...input, parameters: input.proofOfWorkParameters });
  const { sender, recipient, senderPublicKey, loginTokenHash } = input;
  const digest = checkSubmittedSignature(envelope, { sender, recipient, senderPublicKey, loginTokenHash });
  return { envelope, digest };
}
