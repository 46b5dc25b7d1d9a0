/** The body of a submission at rest: the exact bytes that will be sealed to each recipient, sealed with the account key. */
import type { AccountKeys } from '../keystore/keystore.ts';

const PURPOSE = 'submission';

export function sealContent(keys: AccountKeys, uid: Uint8Array, body: Uint8Array): Buffer {
  return keys.seal(PURPOSE, uid, body);
}

/** Throws KeystoreError `damaged`. */
export function openContent(keys: AccountKeys, uid: Uint8Array, sealed: Uint8Array): Buffer {
  return keys.unseal(PURPOSE, uid, sealed);
}
