/**
 * Identity records (SMIMP 0.1 §3). `data` is a JSON document carried as a string and hashed as exactly those
 * bytes; it is read here but never written anew.
 */
import { Buffer } from 'node:buffer';
import { z } from 'zod';
import type { Address } from './address.ts';
import type { MasterKeyPair } from './crypto.ts';
import { formatTimestamp, type Hex32, parseTimestamp, type SignedHash, toHex } from './encoding.ts';
import { ProfileError } from './errors.ts';
import { count, hex32, jsonObject, parseFields, signedHash, timestamp } from './fields.ts';
import { parseStrictJson } from './json.ts';
import { headDigest, recordDigest, recordNewKeyDigest, signDigest } from './transcript.ts';

/** Longest `data`, in bytes of UTF-8. */
export const MAX_RECORD_DATA_BYTES = 16 * 1024;
/** Longest history, in records. */
export const MAX_HISTORY_RECORDS = 1000;

export const recordSchema = z.object({
  data: z.string(),
  signed_hash: signedHash,
  new_key_signed_hash: signedHash.nullable(),
});
/** `Record` of §3. */
export type IdentityRecord = z.infer<typeof recordSchema>;

/** What `data` holds. The address is compared with the one asked for, so any text may stand here. */
export const recordDataSchema = z.object({
  address: z.string(),
  public_key: hex32,
  previous_signed_hash: signedHash.nullable(),
  seq: count,
  name: z.string().nullable(),
  web_site_url: z.string().nullable(),
  profiles: z.array(z.object({ service: z.string(), url: z.string() })).nullable(),
  additional_data: jsonObject.nullable(),
  date_of_change: timestamp,
});
export type RecordData = z.infer<typeof recordDataSchema>;

/** What a person says about herself in a record. */
export type Profile = Pick<RecordData, 'name' | 'web_site_url' | 'profiles' | 'additional_data'>;

export const EMPTY_PROFILE: Profile = { name: null, web_site_url: null, profiles: null, additional_data: null };

/** The fields of `data`. Throws `record-size`, a `json-*` code or the code of a field. */
export function parseRecordData(data: string): RecordData {
  if (Buffer.byteLength(data, 'utf8') > MAX_RECORD_DATA_BYTES) throw new ProfileError('record-size');
  return parseFields(recordDataSchema, parseStrictJson(data));
}

/** Signs exactly the bytes of `data`; with a new key, that key signs too. Checks nothing else. */
export function signRecord(data: string, signer: MasterKeyPair, newKey: MasterKeyPair | null): IdentityRecord {
  return {
    data,
    signed_hash: signDigest(signer.secretKey, recordDigest(data)),
    new_key_signed_hash: newKey && signDigest(newKey.secretKey, recordNewKeyDigest(data)),
  };
}

/** The head a history has after `record`, its record number `seq`. */
export function recordHead(seq: number, record: { signed_hash: SignedHash }): Hex32 {
  return toHex(headDigest(seq, record.signed_hash));
}

function serializeData(data: RecordData): string {
  const text = JSON.stringify(data);
  parseRecordData(text);
  return text;
}

/** Record 0 of a new identity, signed by its own key. `now` in unix seconds. */
export function createRecord(input: {
  address: Address;
  master: MasterKeyPair;
  now: number;
  profile?: Profile;
}): IdentityRecord {
  const data = serializeData({
    address: input.address,
    public_key: toHex(input.master.publicKey),
    previous_signed_hash: null,
    seq: 0,
    ...EMPTY_PROFILE,
    ...input.profile,
    date_of_change: formatTimestamp(input.now),
  });
  return signRecord(data, input.master, null);
}

/**
 * The record that follows `previous`: another profile, another key, or both. `signer` is the key of `previous`. What
 * `profile` leaves out stays. Dates never go back: a clock behind the last record takes that record's date.
 */
export function rotateRecord(input: {
  previous: IdentityRecord;
  signer: MasterKeyPair;
  now: number;
  newKey?: MasterKeyPair;
  profile?: Partial<Profile>;
}): IdentityRecord {
  const before = parseRecordData(input.previous.data);
  const seconds = Math.max(input.now, parseTimestamp(before.date_of_change));
  const data = serializeData({
    ...before,
    ...input.profile,
    public_key: toHex((input.newKey ?? input.signer).publicKey),
    previous_signed_hash: input.previous.signed_hash,
    seq: before.seq + 1,
    date_of_change: formatTimestamp(seconds),
  });
  return signRecord(data, input.signer, input.newKey ?? null);
}
