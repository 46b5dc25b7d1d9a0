/** What a look at a contact's identity tells (SMIMP 0.1 §3). */
import type { Address } from '../smimp/address.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import type { ProfileErrorCode } from '../smimp/errors.ts';
import {
  type Pin,
  type PinState,
  pinCurrentKey,
  pinHead,
  pinnedIdentity,
  pinSeq,
  type SenderIdentity,
  type Sending,
} from '../smimp/pin.ts';

/** A contact's keys and heads as they were verified and pinned, with the times they were first seen (unix seconds). */
export type ContactHistory = SenderIdentity & {
  /** The master key in use. */
  readonly currentKey: Hex32;
  /** Head after the last record. */
  readonly head: Hex32;
  /** Number of the last record. */
  readonly seq: number;
};

/**
 * Why a contact cannot be written to. `unknown-user`: its server has no such user, and it was never seen. `no-smimp`: its
 * domain does not speak SMIMP and never did. Otherwise the check that failed, or `unavailable`.
 */
export type ContactReason = ProfileErrorCode | 'unknown-user' | 'no-smimp';

export type Contact = {
  readonly address: Address;
  readonly state: PinState;
  /** `impossible`: for good, nothing is known of it and its server or domain says so. `queued`: try again later. */
  readonly sending: Sending;
  /** There exactly when `sending` is `allowed`. */
  readonly history: ContactHistory | null;
  /** Where its server is, as far as known. */
  readonly baseUrl: BaseUrl | null;
  /** True once: this look found another key than the pin had. Tell the user. */
  readonly keyChanged: boolean;
  /** Null when sending is allowed. */
  readonly reason: ContactReason | null;
};

export type IdentityErrorCode =
  | 'unknown-contact'
  | 'unavailable'
  /** The text is no fingerprint and no `smimp-verify:` URI. */
  | 'fingerprint-form'
  /** It is another fingerprint than what the contact's server shows. Nothing was released. */
  | 'fingerprint-mismatch'
  /** The server shows less than was seen before; a fingerprint cannot heal that. */
  | 'truncated'
  /** The history does not verify. */
  | 'invalid'
  /** The account has no history of its own. */
  | 'no-history';

export class IdentityError extends Error {
  override readonly name = 'IdentityError';
  readonly code: IdentityErrorCode;

  constructor(code: IdentityErrorCode, options: { cause?: unknown } = {}) {
    super(code, options);
    this.code = code;
  }
}

export function historyOf(address: Address, pin: Pin): ContactHistory {
  return { ...pinnedIdentity(address, pin), currentKey: pinCurrentKey(pin), head: pinHead(pin), seq: pinSeq(pin) };
}
