/** Who has an account here: `version`, `server_information`, `get_user` (SMIMP 0.1 §5). */

import type { Address } from '../smimp/address.ts';
import {
  CALL_NAMES,
  MAX_AVATAR_BYTES,
  MAX_EPHEMERAL_KEYS,
  MAX_EXTENSIONS_BYTES,
  MAX_FOLDER_DEPTH,
  MAX_LIST_DATA_BYTES,
  MAX_LIST_ENTRIES,
  MAX_MESSAGE_BYTES,
  MAX_PROFILE_UPDATES_PER_DAY,
  MAX_REQUEST_BYTES,
} from '../smimp/api.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { MAX_FOLDERS } from '../smimp/folders.ts';
import { parseRecordData, recordHead } from '../smimp/record.ts';
import type { Executor } from '../store/database.ts';
import { identityRecord, lastRecord, lastRecordOf, listRecords } from '../store/records.ts';
import type { ApiServices, Handlers } from './call.ts';
import { ApiError } from './errors.ts';

export const VERSION = '0.1';

export interface CurrentIdentity {
  accountId: number;
  address: Address;
  publicKey: Hex32;
  seq: number;
  head: Hex32;
}

/** The present key and head of an account. Throws `unknown_user`, also when it is not initialised. */
export async function currentIdentity(db: Executor, address: Address): Promise<CurrentIdentity> {
  const row = await lastRecordOf(db, address);
  if (row === undefined) throw new ApiError('unknown_user');
  const record = identityRecord(row);
  const { public_key } = parseRecordData(record.data);
  return { accountId: row.account_id, address, publicKey: public_key, seq: row.seq, head: recordHead(row.seq, record) };
}

export function identityHandlers(services: ApiServices): Handlers {
  const { db } = services;
  return {
    version: async () => ({ body: { versions: [VERSION] } }),
    server_information: async () => ({
      body: {
        apis: [...CALL_NAMES],
        limits: {
          message_bytes: MAX_MESSAGE_BYTES,
          request_bytes: MAX_REQUEST_BYTES,
          ephemeral_keys: MAX_EPHEMERAL_KEYS,
          profile_updates_per_day: MAX_PROFILE_UPDATES_PER_DAY,
          avatar_bytes: MAX_AVATAR_BYTES,
          extensions_bytes: MAX_EXTENSIONS_BYTES,
          folders: MAX_FOLDERS,
          folder_depth: MAX_FOLDER_DEPTH,
          list_entries: MAX_LIST_ENTRIES,
          list_data_bytes: MAX_LIST_DATA_BYTES,
        },
        domains: [...services.domains],
      },
    }),
    get_public_key: async ({ params }) => {
      const { publicKey, seq, head, address } = await currentIdentity(db, params.a);
      return { body: { address, public_key: publicKey, seq, head } };
    },
    get_most_recent: async ({ params }) => {
      const { accountId } = await currentIdentity(db, params.a);
      const row = await lastRecord(db, accountId);
      if (row === undefined) throw new ApiError('unknown_user');
      return { body: identityRecord(row) };
    },
    get_history: async ({ params, query, ifNoneMatch }) => {
      const { accountId, address, head: present } = await currentIdentity(db, params.a);
      const from = query.from ?? 0;
      const rows = await listRecords(db, accountId, from);
      const last = rows.at(-1);
      // A record added since the look above must not stand beside the head before it: contacts would block.
      const head = last === undefined ? present : recordHead(last.seq, identityRecord(last));
      const etag = `"${head}-${from}"`;
      if (ifNoneMatch === etag) return { body: { address, records: [], head }, etag, notModified: true };
      return { body: { address, records: rows.map(identityRecord), head }, etag };
    },
  };
}
