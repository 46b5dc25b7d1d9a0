/**
 * `verify_history` (SMIMP 0.1 §3, steps 1 to 5): every check in the written order, steps 1 and 2 over all records
 * before any signature. What comes back is branded; nothing else in the program is a verified history.
 */
import { z } from 'zod';
import type { Address } from './address.ts';
import { type Hex32, parseTimestamp, type SignedHash, toHex } from './encoding.ts';
import { ProfileError } from './errors.ts';
import { hex32, parseFields } from './fields.ts';
import { checkMasterKey } from './master-key.ts';
import { type IdentityRecord, MAX_HISTORY_RECORDS, parseRecordData, type RecordData, recordSchema } from './record.ts';
import { headDigest, recordDigest, recordNewKeyDigest, verifySignedHash } from './transcript.ts';

declare const verified: unique symbol;

/** A history that passed every check. Lists run parallel: entry i of each is about record i. */
export type VerifiedHistory = {
  readonly [verified]: true;
  readonly address: Address;
  readonly records: readonly IdentityRecord[];
  readonly data: readonly RecordData[];
  readonly digests: readonly Hex32[];
  readonly heads: readonly Hex32[];
  /** Every master key, oldest first. */
  readonly masterKeys: readonly Hex32[];
  /** For each master key the record that brought it. */
  readonly keySeqs: readonly number[];
  readonly currentKey: Hex32;
  /** Head after the last record. */
  readonly head: Hex32;
  /** Number of the last record. */
  readonly seq: number;
};

const answerSchema = z.object({ records: z.array(z.unknown()), head: hex32 });

/** What is known of the records before the first one at hand; `null` at record 0. */
export type ChainState = {
  readonly lastData: RecordData;
  readonly lastSignedHash: SignedHash;
  readonly masterKeys: readonly Hex32[];
};

type ReadRecord = { record: IdentityRecord; data: RecordData };

function readRecord(value: unknown, address: Address, seq: number): ReadRecord {
  const record = parseFields(recordSchema, value);
  const data = parseRecordData(record.data);
  if (data.address !== address) throw new ProfileError('record-address');
  if (data.seq !== seq) throw new ProfileError('record-seq');
  return { record, data };
}

function verifyFirst({ record, data }: ReadRecord): Hex32 {
  if (data.previous_signed_hash !== null) throw new ProfileError('record-previous');
  if (record.new_key_signed_hash !== null) throw new ProfileError('proof-unexpected');
  const digest = recordDigest(record.data);
  verifySignedHash(record.signed_hash, digest, data.public_key);
  return toHex(digest);
}

function verifyKeyChange({ record, data }: ReadRecord, before: ChainState): void {
  if (data.public_key === before.lastData.public_key) {
    if (record.new_key_signed_hash !== null) throw new ProfileError('proof-unexpected');
    return;
  }
  if (record.new_key_signed_hash === null) throw new ProfileError('proof-missing');
  verifySignedHash(record.new_key_signed_hash, recordNewKeyDigest(record.data), data.public_key);
  if (before.masterKeys.includes(data.public_key)) throw new ProfileError('key-reused');
}

function verifyNext(next: ReadRecord, before: ChainState): Hex32 {
  const { record, data } = next;
  if (data.previous_signed_hash !== before.lastSignedHash) throw new ProfileError('record-previous');
  const digest = recordDigest(record.data);
  verifySignedHash(record.signed_hash, digest, before.lastData.public_key);
  if (parseTimestamp(data.date_of_change) < parseTimestamp(before.lastData.date_of_change)) {
    throw new ProfileError('record-date');
  }
  verifyKeyChange(next, before);
  return toHex(digest);
}

/** A stretch of a history that verifies and ends in the advertised head. */
export type VerifiedChain = {
  readonly records: readonly IdentityRecord[];
  readonly data: readonly RecordData[];
  readonly digests: readonly Hex32[];
  readonly heads: readonly Hex32[];
  /** All master keys up to the end, those before the stretch included. */
  readonly masterKeys: readonly Hex32[];
  /** Records that brought a key within this stretch. */
  readonly newKeySeqs: readonly number[];
};

/**
 * Verifies records that continue `before` (`null`: they begin at record 0) and the head after the last one.
 * `answer` is `{records, head}` as a server gave it.
 */
export function verifyChain(input: { address: Address; answer: unknown; before: ChainState | null }): VerifiedChain {
  const { records: values, head } = parseFields(answerSchema, input.answer);
  const firstSeq = input.before ? input.before.lastData.seq + 1 : 0;
  const total = firstSeq + values.length;
  if (values.length === 0 || total > MAX_HISTORY_RECORDS) throw new ProfileError('history-length');
  const read = values.map((value, i) => readRecord(value, input.address, firstSeq + i));
  for (const { data } of read) checkMasterKey(data.public_key);

  const digests: Hex32[] = [];
  const newKeySeqs: number[] = [];
  const masterKeys: Hex32[] = [...(input.before?.masterKeys ?? [])];
  let before = input.before;
  for (const next of read) {
    digests.push(before ? verifyNext(next, before) : verifyFirst(next));
    if (masterKeys.at(-1) !== next.data.public_key) {
      masterKeys.push(next.data.public_key);
      newKeySeqs.push(next.data.seq);
    }
    before = { lastData: next.data, lastSignedHash: next.record.signed_hash, masterKeys };
  }
  const heads = read.map(({ record, data }) => toHex(headDigest(data.seq, record.signed_hash)));
  if (heads.at(-1) !== head) throw new ProfileError('head-mismatch');
  return {
    records: read.map(({ record }) => record),
    data: read.map(({ data }) => data),
    digests,
    heads,
    masterKeys,
    newKeySeqs,
  };
}

/** A whole history as a server answered for `address`. Throws the code of the first check that fails. */
export function verifyHistory(input: { address: Address; records: unknown; head: unknown }): VerifiedHistory {
  const answer = { records: input.records, head: input.head };
  const { newKeySeqs, ...chain } = verifyChain({ address: input.address, answer, before: null });
  return {
    address: input.address,
    ...chain,
    keySeqs: newKeySeqs,
    currentKey: chain.masterKeys.at(-1) as Hex32,
    head: chain.heads.at(-1) as Hex32,
    seq: chain.records.length - 1,
  } as unknown as VerifiedHistory;
}
