/** The work that a server asks for, and the signature over all (SMIMP 0.1 §4.3): bound to one session. */
import type { Minter } from '../pipeline/minter.ts';
import type { HomeClient, Session } from '../remote/home.ts';
import type { Address } from '../smimp/address.ts';
import type { MasterKeyPair } from '../smimp/crypto.ts';
import { type SignedHash, toHex } from '../smimp/encoding.ts';
import { type SealedMessage, signSealed } from '../smimp/envelope.ts';
import { ciphertextHash, formatProof, MAX_CLIENT_BITS, type ProofOfWork, powDigest, powMessage } from '../smimp/pow.ts';

/**
 * `refused`: more than any client does. `asked`: more than was agreed to; nothing was worked. `rotated`: the master key was
 * replaced meanwhile, so the message must be sealed anew.
 */
export type Worked =
  | { readonly kind: 'worked'; readonly zeroBits: number; readonly proofOfWork: ProofOfWork; messageHash: SignedHash }
  | { readonly kind: 'refused'; readonly zeroBits: number }
  | { readonly kind: 'asked'; readonly zeroBits: number }
  | { readonly kind: 'rotated'; readonly zeroBits: number };

/**
 * Works for and signs a sealed message in a session of the master key it was sealed with. `agreedBits`: up to this much
 * work is done without asking. Throws RemoteError, MintError.
 */
export async function workFor(
  services: { home: HomeClient; minter: Minter },
  work: {
    session: Session;
    sealed: SealedMessage;
    recipient: Address;
    agreedBits: number;
    senderKey: () => Promise<MasterKeyPair>;
    signal?: AbortSignal | undefined;
  },
): Promise<Worked> {
  const { session, sealed, recipient, signal } = work;
  const { messageType, ciphertext } = sealed;
  const { zero_bits: zeroBits, nonce } = await services.home.getPowParams(session, recipient, messageType);
  if (zeroBits > MAX_CLIENT_BITS) return { kind: 'refused', zeroBits };
  if (zeroBits > work.agreedBits) return { kind: 'asked', zeroBits };
  const { loginTokenHash, address: sender } = session;
  const target = { loginTokenHash, ciphertextHash: ciphertextHash(ciphertext), recipient, messageType, nonce };
  const value = await services.minter.mint({ preimage: powMessage(target), zeroBits, signal });
  const proofOfWork = formatProof({ hash: powDigest(target, value), value, nonce });
  const senderKey = await work.senderKey();
  if (toHex(senderKey.publicKey) !== session.publicKey) return { kind: 'rotated', zeroBits };
  const messageHash = signSealed({ sealed, proofOfWork, loginTokenHash, sender, recipient, senderKey });
  return { kind: 'worked', zeroBits, proofOfWork, messageHash };
}
