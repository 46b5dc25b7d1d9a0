/**
 * The owner's white and black lists, as her own client sees them: entries are sealed blobs (SMIMP 0.1 §5), of which the
 * server half knows only the hash. The sealed JSON is `{kind, value, note}`, for every client of the owner.
 */
import { z } from 'zod';
import type { AccountKeys, Keystore } from '../keystore/keystore.ts';
import { type Address, isAddress, isDomain } from '../smimp/address.ts';
import { MAX_LIST_DATA_BYTES, MAX_LIST_ENTRIES } from '../smimp/api.ts';
import { type Hex32, parseBase64, toBase64, toHex } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { listHash } from '../smimp/lists.ts';
import { openStorage, sealStorage } from '../smimp/storage.ts';
import type { Db, Tx } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import { type ListName, listEntries, putListEntry, removeListEntry, type StoredEntry } from '../store/lists.ts';

export type Listed = { kind: 'address' | 'domain'; value: string };
/** What an entry says; `unreadable` when another client sealed it in a way we do not know. */
export type ListEntry = { list: ListName; hash: Hex32 } & (
  | ({ state: 'read'; note: string | null } & Listed)
  | { state: 'unreadable' }
);

/** `full`: the list has all the entries it may have. `too-long`: the note does not fit into an entry. */
export type ListErrorCode = 'full' | 'too-long';

export class ListError extends Error {
  override readonly name = 'ListError';
  readonly code: ListErrorCode;

  constructor(code: ListErrorCode) {
    super(code);
    this.code = code;
  }
}

export interface OwnerLists {
  show(accountId: number): Promise<ListEntry[]>;
  /** Puts it on that list, and off the other one: it would decide, or be decided by, what stands there. Throws ListError. */
  put(accountId: number, entry: { list: ListName; listed: Listed; note: string | null }): Promise<void>;
  /** Off both lists; false when it stood on none. */
  remove(accountId: number, listed: Listed): Promise<boolean>;
}

const LISTS: readonly ListName[] = ['whitelist', 'blacklist'];

const contentSchema = z
  .object({ kind: z.enum(['address', 'domain']), value: z.string(), note: z.string().nullable() })
  .refine(({ kind, value }) => (kind === 'address' ? isAddress(value) : isDomain(value)));

type Opened = { version: number; content: z.output<typeof contentSchema> | null };
type Owner = { keys: AccountKeys; storageKey: Uint8Array };

const otherThan = (list: ListName): ListName => (list === 'whitelist' ? 'blacklist' : 'whitelist');
const hashOf = (owner: Address, listed: Listed): Buffer => Buffer.from(listHash({ owner, ...listed }), 'hex');

/** Null for a blob that does not open, or that no client of ours could have made for this hash. */
function open({ keys, storageKey: key }: Owner, list: ListName, { hash, data }: StoredEntry): Opened | null {
  const object = { owner: keys.address, purpose: list, objectId: toHex<Hex32>(hash) };
  try {
    const { version, value } = openStorage({ key, object, blob: toBase64(data), leastVersion: 0 });
    const content = contentSchema.safeParse(value).data ?? null;
    return { version, content: content !== null && hashOf(keys.address, content).equals(hash) ? content : null };
  } catch (error) {
    if (error instanceof ProfileError) return null;
    throw error;
  }
}

export function createOwnerLists(options: { db: Db; keystore: Keystore; clock: () => Date }): OwnerLists {
  const { db, keystore, clock } = options;
  const ownerOf = async (accountId: number): Promise<Owner> => {
    const keys = await keystore.open(accountId);
    return { keys, storageKey: await keys.storageKey() };
  };

  return {
    async show(accountId) {
      const owner = await ownerOf(accountId);
      const shown: ListEntry[] = [];
      for (const list of LISTS) {
        for (const entry of await listEntries(db, accountId, list)) {
          const content = open(owner, list, entry)?.content ?? null;
          const about = { list, hash: toHex<Hex32>(entry.hash) };
          shown.push(content === null ? { ...about, state: 'unreadable' } : { ...about, state: 'read', ...content });
        }
      }
      return shown;
    },
    async put(accountId, entry) {
      const owner = await ownerOf(accountId);
      await db.transaction().execute((tx) => put(tx, owner, { ...entry, now: clock() }));
    },
    async remove(accountId, listed) {
      const { keys } = await ownerOf(accountId);
      const hash = hashOf(keys.address, listed);
      const removed = [];
      for (const list of LISTS) removed.push(await removeListEntry(db, { accountId, list, hash }));
      return removed.includes(true);
    },
  };
}

async function put(
  tx: Tx,
  owner: Owner,
  { list, listed, note, now }: { list: ListName; listed: Listed; note: string | null; now: Date },
): Promise<void> {
  const { accountId, address } = owner.keys;
  const hash = hashOf(address, listed);
  await lockMailbox(tx, accountId);
  const before = (await listEntries(tx, accountId, list)).find((entry) => entry.hash.equals(hash));
  const lastVersion = before === undefined ? 0 : (open(owner, list, before)?.version ?? 0);
  // By the clock, so that an entry that was removed and comes again is no older than what other clients saw of it.
  const version = Math.max(lastVersion + 1, Math.floor(now.getTime() / 1000));
  const object = { owner: address, purpose: list, objectId: toHex<Hex32>(hash) };
  const data = parseBase64(sealStorage({ key: owner.storageKey, object, version, value: { ...listed, note } }));
  if (data.length > MAX_LIST_DATA_BYTES) throw new ListError('too-long');
  if (!(await putListEntry(tx, { accountId, list, hash, data }, MAX_LIST_ENTRIES))) throw new ListError('full');
  await removeListEntry(tx, { accountId, list: otherThan(list), hash });
}
