/** What a stage is: one step of a delivery, idempotent, that may be killed at any instruction and run again. */
import type { AccountKeys } from '../keystore/keystore.ts';
import type { Said } from '../legacy/relay-error.ts';
import type { Address } from '../smimp/address.ts';
import { type Hex24, type Hex32, parseHex, toHex } from '../smimp/encoding.ts';
import type { SealedMessage } from '../smimp/envelope.ts';
import type { ActiveStage, Delivery, DeliveryChange } from '../store/outbound.ts';
import type { Reason } from './reasons.ts';

/** For the timeline: codes, counts, durations. Never content. */
export type Detail = Record<string, string | number | boolean>;

export type StageOutcome =
  | { kind: 'advance'; to: ActiveStage; change: DeliveryChange; detail?: Detail }
  /** `messageId`: what its server calls it; null where servers say no such thing. */
  | { kind: 'done'; messageId: Hex32 | null; detail?: Detail }
  /** Later, at the same stage. */
  | { kind: 'retry'; reason: Reason; retryAfterMs: number | null; said?: Said | null }
  /** Back to an earlier stage; at once, unless it happens again and again. */
  | { kind: 'back'; to: ActiveStage; reason: Reason; change: DeliveryChange }
  /** A person must look at it; looked at again now and then. */
  | { kind: 'hold'; reason: Reason; change: DeliveryChange }
  | { kind: 'fail'; reason: Reason; said?: Said | null };

/** A sealed message with the sender's master key that its outer box was made with. */
export type KeptMessage = SealedMessage & { readonly senderPublicKey: Hex32 };

/** One delivery while a worker has it. */
export interface Work {
  readonly delivery: Delivery;
  readonly sender: Address;
  readonly recipient: Address;
  readonly signal: AbortSignal;
  /** What this run sealed, so that the next stage need not read it again. */
  kept: KeptMessage | null;
  /** The keys of the sender's account, as they were opened in this run. */
  readonly keys: () => Promise<AccountKeys>;
  /** A key that only one message may use: others to this contact wait for this one. */
  singleUse: boolean;
}

export type Stage = (work: Work) => Promise<StageOutcome>;

const KEY_BYTES = 32;
const NONCE_BYTES = 24;
const PREFIX_BYTES = 2 * KEY_BYTES + NONCE_BYTES;

/** sender key ‖ message key ‖ nonce ‖ ciphertext: the column `sealed_envelope`. */
export function encodeKept(kept: KeptMessage): { prefix: Buffer; ciphertext: Uint8Array } {
  const { senderPublicKey, messagePublicKey, nonce, ciphertext } = kept;
  const keys = [parseHex(senderPublicKey, KEY_BYTES), parseHex(messagePublicKey, KEY_BYTES)];
  return { prefix: Buffer.concat([...keys, parseHex(nonce, NONCE_BYTES)]), ciphertext };
}

export function decodeKept(bytes: Buffer, messageType: string): KeptMessage {
  const part = (start: number, end: number): Buffer => bytes.subarray(start, end);
  return {
    senderPublicKey: toHex<Hex32>(part(0, KEY_BYTES)),
    messagePublicKey: toHex<Hex32>(part(KEY_BYTES, 2 * KEY_BYTES)),
    nonce: toHex<Hex24>(part(2 * KEY_BYTES, PREFIX_BYTES)),
    ciphertext: bytes.subarray(PREFIX_BYTES),
    messageType,
  };
}
