/** Identities, histories and messages for tests of the protocol core. All keys are made from fixed seeds. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { type Address, parseAddress } from '../../src/smimp/address.ts';
import { type VerifiedHistory, verifyHistory } from '../../src/smimp/chain.ts';
import { type MasterKeyPair, masterKeyPair } from '../../src/smimp/crypto.ts';
import type { Hex32 } from '../../src/smimp/encoding.ts';
import { createRecord, type IdentityRecord, recordHead, rotateRecord } from '../../src/smimp/record.ts';

export const ADAM = parseAddress('adam#example.com');
export const BOB = parseAddress('bob#example.org');
/** 2026-01-01 00:00:00. */
export const NEW_YEAR = 1_767_225_600;

/** A master key whose seed repeats one byte. */
export function seededKey(byte: number): MasterKeyPair {
  return masterKeyPair(Buffer.alloc(32, byte));
}

export type Answer = { records: IdentityRecord[]; head: Hex32 };

/** What a server would answer for these records. */
export function answerOf(records: IdentityRecord[]): Answer {
  return { records, head: recordHead(records.length - 1, records.at(-1) as IdentityRecord) };
}

/** `rotate`: the record brings a new key; otherwise a new name. */
export type Change = { rotate: boolean; seconds: number };

/** The records of an identity that begins at `firstSeed` and changes as told. */
export function buildRecords(address: Address, changes: readonly Change[], firstSeed = 1): IdentityRecord[] {
  let signer = seededKey(firstSeed);
  let seed = firstSeed;
  let now = NEW_YEAR;
  const records = [createRecord({ address, master: signer, now })];
  for (const { rotate, seconds } of changes) {
    now += seconds;
    const previous = records.at(-1) as IdentityRecord;
    const newKey = rotate ? seededKey(++seed) : undefined;
    const profile = rotate ? {} : { name: `Name ${records.length}` };
    records.push(rotateRecord({ previous, signer, now, profile, ...(newKey ? { newKey } : {}) }));
    signer = newKey ?? signer;
  }
  return records;
}

export function verifiedHistory(address: Address, changes: readonly Change[] = [], firstSeed = 1): VerifiedHistory {
  return verifyHistory({ address, ...answerOf(buildRecords(address, changes, firstSeed)) });
}

/** Up to four changes. */
export const changes = fc.array(fc.record({ rotate: fc.boolean(), seconds: fc.nat({ max: 100_000 }) }), {
  maxLength: 4,
});
