/**
 * Pins (SMIMP 0.1 §3, step 6): what was once seen of a history, and what a new answer means against it. Every record
 * is pinned, so that a rewrite by the same key and a fork by a retired key show. Nothing here ever clears a pin.
 */
import type { Address } from './address.ts';
import { type ChainState, type VerifiedHistory, verifyChain, verifyHistory } from './chain.ts';
import { formatTimestamp, type Hex32, parseTimestamp, type SignedHash, type Timestamp, toHex } from './encoding.ts';
import { ProfileError, type ProfileErrorCode } from './errors.ts';
import { parseRecordData, recordSchema } from './record.ts';
import { headDigest } from './transcript.ts';

/** Plain data, to be stored as JSON. `signed_hashes` and `first_seen` run parallel. */
export type Pin = {
  original_key: Hex32;
  first_seen_key: Hex32;
  signed_hashes: SignedHash[];
  first_seen: Timestamp[];
  /** `data` of the last pinned record, against which `history?from=` is checked. */
  last_data: string;
  /** Every master key, oldest first, with the record that brought it. */
  master_keys: { public_key: Hex32; seq: number }[];
};

export type PinState = 'NEW' | 'OK' | 'EXTENDED' | 'TRUNCATED' | 'FORKED' | 'REPLACED' | 'INVALID' | 'UNAVAILABLE';

/** `queued`: try again later. `impossible`: nothing is known of the contact and nothing could be had. */
export type Sending = 'allowed' | 'blocked' | 'queued' | 'impossible';

export type PinComparison = {
  state: PinState;
  sending: Sending;
  /** The pin to keep; `null` when there is still none. */
  pin: Pin | null;
  /** Told to the user: the contact has another key than the pin had. */
  keyChanged: boolean;
  /** Why the state is not a good one; of an INVALID answer the check that failed. */
  reason: ProfileErrorCode | null;
};

/** What a server answered to `history`, unverified; `null` when nothing could be had. */
export type HistoryAnswer = { records: unknown; head: unknown } | null;

function pinOf(history: VerifiedHistory, now: number): Pin {
  return {
    original_key: history.masterKeys[0] as Hex32,
    first_seen_key: history.currentKey,
    signed_hashes: history.records.map((record) => record.signed_hash),
    first_seen: history.records.map(() => formatTimestamp(now)),
    last_data: history.records.at(-1)?.data ?? '',
    master_keys: history.masterKeys.map((public_key, i) => ({ public_key, seq: history.keySeqs[i] ?? 0 })),
  };
}

function extendedPin(pin: Pin, history: VerifiedHistory, now: number): Pin {
  const whole = pinOf(history, now);
  const firstSeen = whole.first_seen.map((seen, i) => pin.first_seen[i] ?? seen);
  return { ...whole, original_key: pin.original_key, first_seen_key: pin.first_seen_key, first_seen: firstSeen };
}

/** The first record at which pin and answer differ, or `null` when one is a prefix of the other. */
function firstDifference(pin: Pin, history: VerifiedHistory): number | null {
  const shared = Math.min(pin.signed_hashes.length, history.records.length);
  for (let i = 0; i < shared; i++) if (pin.signed_hashes[i] !== history.records[i]?.signed_hash) return i;
  return null;
}

function blocked(state: PinState, pin: Pin | null, reason: ProfileErrorCode): PinComparison {
  return { state, sending: 'blocked', pin, keyChanged: false, reason };
}

function keyAt(history: VerifiedHistory, seq: number): Hex32 | undefined {
  return history.data[seq]?.public_key;
}

function compareVerified(history: VerifiedHistory, pin: Pin, now: number): PinComparison {
  const difference = firstDifference(pin, history);
  if (difference === 0) return blocked('REPLACED', pin, 'pin-replaced');
  if (difference !== null) return blocked('FORKED', pin, 'pin-forked');
  const pinned = pin.signed_hashes.length;
  if (history.records.length < pinned) return blocked('TRUNCATED', pin, 'pin-truncated');
  if (history.records.length === pinned) {
    return { state: 'OK', sending: 'allowed', pin, keyChanged: false, reason: null };
  }
  const keyChanged = keyAt(history, pinned - 1) !== history.currentKey;
  const reason = keyChanged ? 'key-changed' : null;
  return { state: 'EXTENDED', sending: 'allowed', pin: extendedPin(pin, history, now), keyChanged, reason };
}

/**
 * What a whole history means for a contact. `now` in unix seconds. Never throws for what a server answered: a failed check
 * is the state INVALID. `history` is there when the answer verified, also when the pin forbids to use it (evidence of a fork).
 */
export function comparePin(input: {
  address: Address;
  answer: HistoryAnswer;
  pin: Pin | null;
  now: number;
}): PinComparison & { history: VerifiedHistory | null } {
  const { address, answer, pin, now } = input;
  if (answer === null) {
    const sending = pin ? 'queued' : 'impossible';
    return { state: 'UNAVAILABLE', sending, pin, keyChanged: false, reason: 'unavailable', history: null };
  }
  const history = verifiedOrReason(address, answer);
  if (typeof history === 'string') return { ...blocked('INVALID', pin, history), history: null };
  if (pin) return { ...compareVerified(history, pin, now), history };
  return { state: 'NEW', sending: 'allowed', pin: pinOf(history, now), keyChanged: false, reason: null, history };
}

function verifiedOrReason(
  address: Address,
  answer: { records: unknown; head: unknown },
): VerifiedHistory | ProfileErrorCode {
  try {
    return verifyHistory({ address, records: answer.records, head: answer.head });
  } catch (error) {
    if (error instanceof ProfileError) return error.code;
    throw error;
  }
}

function chainStateOf(pin: Pin): ChainState {
  return {
    lastData: parseRecordData(pin.last_data),
    lastSignedHash: pin.signed_hashes.at(-1) as SignedHash,
    masterKeys: pin.master_keys.map(({ public_key }) => public_key),
  };
}

function repeatsLastRecord(pin: Pin, value: unknown): boolean {
  const record = recordSchema.safeParse(value);
  return record.success && record.data.data === pin.last_data && record.data.signed_hash === pin.signed_hashes.at(-1);
}

/**
 * What `history?from=<last pinned seq>` (inclusive) means. `null` when the answer is anything but the pinned record and a
 * good continuation: then the caller fetches the whole history, and `comparePin` names the state. Fails towards that.
 */
export function extendPin(input: {
  address: Address;
  answer: { records: readonly unknown[]; head: Hex32 };
  pin: Pin;
  now: number;
}): PinComparison | null {
  const { pin, answer } = input;
  const [first, ...added] = answer.records;
  if (!repeatsLastRecord(pin, first)) return null;
  if (added.length === 0) {
    return answer.head === pinHead(pin)
      ? { state: 'OK', sending: 'allowed', pin, keyChanged: false, reason: null }
      : null;
  }
  try {
    return continuePin(input.address, pin, { records: added, head: answer.head }, input.now);
  } catch (error) {
    if (error instanceof ProfileError) return null;
    throw error;
  }
}

function continuePin(
  address: Address,
  pin: Pin,
  answer: { records: unknown[]; head: Hex32 },
  now: number,
): PinComparison {
  const chain = verifyChain({ address, answer, before: chainStateOf(pin) });
  const newKeys = chain.masterKeys.slice(pin.master_keys.length);
  const next: Pin = {
    ...pin,
    signed_hashes: [...pin.signed_hashes, ...chain.records.map((record) => record.signed_hash)],
    first_seen: [...pin.first_seen, ...chain.records.map(() => formatTimestamp(now))],
    last_data: chain.records.at(-1)?.data ?? pin.last_data,
    master_keys: [
      ...pin.master_keys,
      ...newKeys.map((public_key, i) => ({ public_key, seq: chain.newKeySeqs[i] ?? 0 })),
    ],
  };
  const keyChanged = newKeys.length > 0;
  return { state: 'EXTENDED', sending: 'allowed', pin: next, keyChanged, reason: keyChanged ? 'key-changed' : null };
}

/** Number of the last pinned record. */
export function pinSeq(pin: Pin): number {
  return pin.signed_hashes.length - 1;
}

/** Head after the last pinned record. */
export function pinHead(pin: Pin): Hex32 {
  return toHex(headDigest(pinSeq(pin), pin.signed_hashes.at(-1) as SignedHash));
}

/** Current master key of a pinned contact. */
export function pinCurrentKey(pin: Pin): Hex32 {
  return pin.master_keys.at(-1)?.public_key as Hex32;
}

/**
 * What opening a message needs to know of its sender: from a pin, or from a history that was just verified with the
 * times its records were first seen (unix seconds).
 */
export type SenderIdentity = {
  readonly address: Address;
  readonly heads: readonly Hex32[];
  readonly masterKeys: readonly Hex32[];
  readonly keySeqs: readonly number[];
  readonly firstSeen: readonly number[];
};

export function pinnedIdentity(address: Address, pin: Pin): SenderIdentity {
  return {
    address,
    heads: pin.signed_hashes.map((signedHash, seq) => toHex(headDigest(seq, signedHash))),
    masterKeys: pin.master_keys.map(({ public_key }) => public_key),
    keySeqs: pin.master_keys.map(({ seq }) => seq),
    firstSeen: pin.first_seen.map(parseTimestamp),
  };
}

export function historyIdentity(history: VerifiedHistory, firstSeen: readonly number[]): SenderIdentity {
  const { address, heads, masterKeys, keySeqs } = history;
  if (firstSeen.length !== heads.length) throw new ProfileError('bad-field', { path: 'first_seen' });
  return { address, heads, masterKeys, keySeqs, firstSeen };
}
