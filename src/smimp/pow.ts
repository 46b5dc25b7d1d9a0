/**
 * Proof of work (SMIMP 0.1 §4.3): the string `hash:value:nonce`, each hex32. Leading zero bits are counted from
 * the top bit of byte 0. The hash is recomputed always, also when no bits are asked.
 */
import type { Address } from './address.ts';
import { equal, HASH_BYTES, hash } from './crypto.ts';
import { type Branded, type Hex32, parseHex, toHex } from './encoding.ts';
import { ProfileError } from './errors.ts';
import { text, transcript } from './transcript.ts';

/** A `hash:value:nonce` string of the right form. */
export type ProofOfWork = Branded<'ProofOfWork'>;

/** Above this a client asks its operator before it works. */
export const ASK_OPERATOR_ABOVE_BITS = 22;
/** Above this a client refuses. */
export const MAX_CLIENT_BITS = 28;

const PROOF = /^([0-9a-f]{64}):([0-9a-f]{64}):([0-9a-f]{64})$/;

/** What the work is bound to. `ciphertextHash` = H(ciphertext), 32 bytes. */
export type PowTarget = {
  loginTokenHash: Hex32;
  ciphertextHash: Uint8Array;
  recipient: Address;
  messageType: string;
  nonce: Hex32;
};

/** H(ciphertext), as it enters the work. */
export function ciphertextHash(ciphertext: Uint8Array): Uint8Array {
  return hash(ciphertext);
}

/**
 * All the bytes that are hashed, the 32 of `value` last and zero when not given: minting varies only them. The hash is
 * BLAKE2b-256 without key of the whole.
 */
export function powMessage(target: PowTarget, value: Uint8Array = new Uint8Array(HASH_BYTES)): Buffer {
  return transcript(
    'pow',
    parseHex(target.loginTokenHash, 32),
    target.ciphertextHash,
    text(target.recipient),
    text(target.messageType),
    parseHex(target.nonce, 32),
    value,
  );
}

/** D(pow, …) for one value of 32 bytes. */
export function powDigest(target: PowTarget, value: Uint8Array): Buffer {
  return hash(powMessage(target, value));
}

/** 0 … 256. */
export function leadingZeroBits(digest: Uint8Array): number {
  const first = digest.findIndex((byte) => byte !== 0);
  if (first < 0) return digest.length * 8;
  return first * 8 + Math.clz32(digest[first] ?? 0) - 24;
}

export function formatProof(proof: { hash: Uint8Array; value: Uint8Array; nonce: Hex32 }): ProofOfWork {
  return `${toHex(proof.hash)}:${toHex(proof.value)}:${proof.nonce}` as ProofOfWork;
}

export function isProof(proof: string): proof is ProofOfWork {
  return PROOF.test(proof);
}

/** Throws `pow-form`. */
export function parseProof(proof: string): { hash: Hex32; value: Hex32; nonce: Hex32 } {
  const match = PROOF.exec(proof);
  if (!match) throw new ProfileError('pow-form');
  return { hash: match[1] as Hex32, value: match[2] as Hex32, nonce: match[3] as Hex32 };
}

/**
 * Checks a proof against what was issued. Throws, in this order, `pow-missing`, `pow-form`, `pow-nonce`, `pow-hash`,
 * `pow-bits`. That the nonce was issued and is unused is the caller's to know.
 */
export function verifyProof(input: { proofOfWork: string | null; target: PowTarget; zeroBits: number }): {
  digest: Uint8Array;
  bits: number;
} {
  if (input.proofOfWork === null) throw new ProfileError('pow-missing');
  const proof = parseProof(input.proofOfWork);
  if (proof.nonce !== input.target.nonce) throw new ProfileError('pow-nonce');
  const digest = powDigest(input.target, parseHex(proof.value, 32));
  if (!equal(digest, parseHex(proof.hash, 32))) throw new ProfileError('pow-hash');
  const bits = leadingZeroBits(digest);
  if (bits < input.zeroBits) throw new ProfileError('pow-bits');
  return { digest, bits };
}
