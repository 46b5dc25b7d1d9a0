/** `whitelist` and `blacklist` (SMIMP 0.1 §5): kept for the owner, and decided by for whoever writes to her. */
import type { z } from 'zod';
import { type Address, addressParts } from '../smimp/address.ts';
import { type CALLS, type CallName, MAX_LIST_DATA_BYTES, MAX_LIST_ENTRIES } from '../smimp/api.ts';
import { parseBase64, toBase64, toHex } from '../smimp/encoding.ts';
import { decideLists, type ListDecision, listHash } from '../smimp/lists.ts';
import type { Executor } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import { findOnLists, type ListName, listEntries, putListEntry, removeListEntry } from '../store/lists.ts';
import { type Answer, type ApiServices, type Call, type Handlers, ownerOf } from './call.ts';
import { ApiError } from './errors.ts';

/** What the lists of `owner` say of a sender. Asks for the two hashes that can matter, whatever the lists hold. */
export async function listDecision(
  db: Executor,
  about: { accountId: number; owner: Address; sender: Address },
): Promise<ListDecision['decision']> {
  const { accountId, owner, sender } = about;
  const hashes = [
    listHash({ owner, kind: 'address', value: sender }),
    listHash({ owner, kind: 'domain', value: addressParts(sender).domain }),
  ];
  const found = await findOnLists(
    db,
    accountId,
    hashes.map((hash) => Buffer.from(hash, 'hex')),
  );
  const on = (list: ListName): Set<string> =>
    new Set(found.filter((entry) => entry.list === list).map(({ hash }) => toHex(hash)));
  return decideLists({ owner, sender, whitelist: on('whitelist'), blacklist: on('blacklist') }).decision;
}

/** Throws `blocked` when the owner does not want to hear from the sender. */
export async function refuseBlocked(db: Executor, about: Parameters<typeof listDecision>[1]): Promise<void> {
  if ((await listDecision(db, about)) === 'block') throw new ApiError('blocked');
}

/** The calls of both lists are alike but for their names. */
type Owned<Parts> = Pick<Call<CallName>, 'owner'> & Parts;
type EntriesAnswer = z.input<(typeof CALLS)['get_whitelist']['response']>;

export function listHandlers({ db }: ApiServices): Handlers {
  const get =
    (list: ListName) =>
    async (call: Owned<unknown>): Promise<Answer<EntriesAnswer>> => {
      const entries = await listEntries(db, ownerOf(call).accountId, list);
      return { body: { entries: entries.map(({ hash, data }) => ({ hash: toHex(hash), data: toBase64(data) })) } };
    };
  const post =
    (list: ListName) =>
    async (call: Owned<{ request: Call<'post_whitelist'>['request'] }>): Promise<Answer<undefined>> => {
      const { accountId } = ownerOf(call);
      const data = parseBase64(call.request.data);
      if (data.length > MAX_LIST_DATA_BYTES) throw new ApiError('too_large');
      const entry = { accountId, list, hash: Buffer.from(call.request.hash, 'hex'), data };
      const added = await db.transaction().execute(async (tx) => {
        await lockMailbox(tx, accountId);
        return putListEntry(tx, entry, MAX_LIST_ENTRIES);
      });
      if (!added) throw new ApiError('insufficient_storage');
      return { body: undefined };
    };
  const remove =
    (list: ListName) =>
    async (call: Owned<{ params: Call<'delete_whitelist'>['params'] }>): Promise<Answer<undefined>> => {
      const entry = { accountId: ownerOf(call).accountId, list, hash: Buffer.from(call.params.hash, 'hex') };
      if (!(await removeListEntry(db, entry))) throw new ApiError('unknown_entry');
      return { body: undefined };
    };
  return {
    get_whitelist: get('whitelist'),
    post_whitelist: post('whitelist'),
    delete_whitelist: remove('whitelist'),
    get_blacklist: get('blacklist'),
    post_blacklist: post('blacklist'),
    delete_blacklist: remove('blacklist'),
  };
}
