/** The account's own history: its own copy, which no server can change (SMIMP 0.1 §3). */
import type { AccountKeys } from '../keystore/keystore.ts';
import { type VerifiedHistory, verifyHistory } from '../smimp/chain.ts';
import { type SignedHash, toHex } from '../smimp/encoding.ts';
import { type IdentityRecord, recordHead } from '../smimp/record.ts';
import type { Executor } from '../store/database.ts';
import { listOwnRecords, type OwnRecord } from '../store/own-records.ts';
import { IdentityError } from './contact.ts';

function recordOf(row: OwnRecord): IdentityRecord {
  return {
    data: row.data,
    signed_hash: toHex<SignedHash>(row.signed_hash),
    new_key_signed_hash: row.new_key_signed_hash && toHex<SignedHash>(row.new_key_signed_hash),
  };
}

/** The history and when each record was added (unix seconds). Throws IdentityError `no-history`. */
export async function readOwnHistory(
  db: Executor,
  keys: Pick<AccountKeys, 'accountId' | 'address'>,
): Promise<{ history: VerifiedHistory; addedAt: number[] }> {
  const rows = await listOwnRecords(db, keys.accountId);
  const records = rows.map(recordOf);
  const last = records.at(-1);
  if (last === undefined) throw new IdentityError('no-history');
  const head = recordHead(records.length - 1, last);
  const addedAt = rows.map((row) => Math.floor(row.added_at.getTime() / 1000));
  return { history: verifyHistory({ address: keys.address, records, head }), addedAt };
}
