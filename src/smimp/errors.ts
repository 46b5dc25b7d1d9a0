/**
 * Why the profile refused something (SMIMP 0.1 §1–§6). One class with a closed list of codes: callers
 * branch on `code`, never on the message, and no message repeats the input that was refused.
 */

/** Every code, in the order in which the profile introduces the checks. */
export const PROFILE_ERROR_CODES = [
  'json-encoding',
  'json-syntax',
  'json-duplicate-name',
  'json-lone-surrogate',
  'json-noncharacter',
  'json-depth',
  'json-number',
  'json-forbidden-name',
  'bad-field',
  'unknown-member',
  'bad-hex',
  'bad-base64',
  'bad-timestamp',
  'address-form',
  'address-local',
  'address-domain',
  'discovery-size',
  'discovery-ascii',
  'discovery-empty',
  'discovery-http',
  'discovery-line',
  'no-common-version',
  'key-not-canonical',
  'key-not-on-curve',
  'key-low-order',
  'key-not-prime-order',
  'key-is-master',
  'signature-not-canonical',
  'signature-low-order',
  'digest-mismatch',
  'bad-signature',
  'history-length',
  'record-size',
  'record-address',
  'record-seq',
  'record-previous',
  'record-date',
  'proof-missing',
  'proof-unexpected',
  'key-reused',
  'head-mismatch',
  'pin-truncated',
  'pin-forked',
  'pin-replaced',
  'key-changed',
  'unavailable',
  'message-key-dates',
  'message-key-lifetime',
  'message-key-expired',
  'pow-missing',
  'pow-form',
  'pow-nonce',
  'pow-hash',
  'pow-bits',
  'wrong-recipient',
  'unknown-message-key',
  'unknown-sender-key',
  'replayed',
  'outer-box',
  'inner-box',
  'payload-form',
  'payload-padding',
  'header-from',
  'header-to',
  'sender-head',
  'recipient-head-unknown',
  'recipient-head-stale',
  'retired-key',
  'storage-form',
  'storage-box',
  'storage-context',
  'storage-rollback',
  'gateway-address',
  'gateway-length',
  'gateway-form',
  'gateway-not-canonical',
  'fingerprint-form',
  'fingerprint-mismatch',
] as const;

export type ProfileErrorCode = (typeof PROFILE_ERROR_CODES)[number];

/** A check of the profile failed. `path` names the member at fault where there is one, e.g. `to.0`. */
export class ProfileError extends Error {
  override readonly name = 'ProfileError';
  readonly code: ProfileErrorCode;
  readonly path: string;

  constructor(code: ProfileErrorCode, options: { path?: string; cause?: unknown } = {}) {
    super(options.path ? `${code} (${options.path})` : code, { cause: options.cause });
    this.code = code;
    this.path = options.path ?? '';
  }
}
