/** How many message keys there are, how long they live and when they are replaced (SMIMP 0.1 §1.4). Same for every client. */
import type { Address } from '../smimp/address.ts';
import type { MasterKeyPair } from '../smimp/crypto.ts';
import { parseTimestamp } from '../smimp/encoding.ts';
import { createMessageKey, type MessageKey } from '../smimp/message-key.ts';
import type { MessageKeyKind } from '../smimp/transcript.ts';

/** Single-use keys in the pool when it is full: as many first messages can arrive before the next look. */
export const POOL_SIZE = 100;
/** Half of §1.4's limit: a stolen secret opens less, and an account offline for a season still receives. */
export const EPHEMERAL_LIFETIME_DAYS = 90;
/** It is replaced weekly; this is how long it lasts when nothing runs to replace it. */
export const NON_EPHEMERAL_LIFETIME_DAYS = 90;

const DAY_MS = 86_400_000;
/** The pool is filled up when fewer are left. */
export const TOP_UP_BELOW = 50;
/** A key with less life than this is not issued any more: the message under it may be retried for days. */
export const LAST_ISSUE_BEFORE_MS = 7 * DAY_MS;
/** §1.4: weekly. */
export const ROTATE_AFTER_MS = 7 * DAY_MS;
/** §1.4: secrets of keys that were issued but never used are kept until they expire, plus 30 days. */
export const KEEP_UNUSED_MS = 30 * DAY_MS;
/** §5 accepts a replaced key for 24 hours; twice that, for clocks and queues. */
export const KEEP_RETIRED_MS = 2 * DAY_MS;

/** A new key with its secret, which the caller stores before the public half is published. */
export type NewMessageKey = { readonly key: MessageKey; readonly secret: Uint8Array; readonly expiresAt: Date };

export function newMessageKeys(make: {
  address: Address;
  master: MasterKeyPair;
  kind: MessageKeyKind;
  count: number;
  now: Date;
}): NewMessageKey[] {
  const { address, master, kind } = make;
  const lifetimeDays = kind === 'ephemeral' ? EPHEMERAL_LIFETIME_DAYS : NON_EPHEMERAL_LIFETIME_DAYS;
  const now = make.now.getTime() / 1000;
  return Array.from({ length: make.count }, () => {
    const { key, secret } = createMessageKey({ address, kind, master, now, lifetimeDays });
    return { key, secret, expiresAt: new Date(parseTimestamp(key.expires) * 1000) };
  });
}
