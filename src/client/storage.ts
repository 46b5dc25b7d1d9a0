/**
 * What a server keeps for its user without being able to read it (SMIMP 0.1 §5): notes on messages, and the white and black
 * lists. A blob of a lower version than was seen, or none where there was one, is an old state brought back: refused.
 */
import { z } from 'zod';
import { RemoteError } from '../remote/errors.ts';
import type { Session } from '../remote/home.ts';
import type { ListName, OwnerClient } from '../remote/owner.ts';
import type { Address, Domain } from '../smimp/address.ts';
import { type Base64, type Hex32, parseHex } from '../smimp/encoding.ts';
import type { DecodedStoredEnvelope } from '../smimp/envelope.ts';
import { ProfileError, type ProfileErrorCode } from '../smimp/errors.ts';
import { parseFields } from '../smimp/fields.ts';
import type { JsonObject, JsonValue } from '../smimp/json.ts';
import { listHash } from '../smimp/lists.ts';
import { openStorage, type StorageObject, sealStorage } from '../smimp/storage.ts';
import { digestOf } from '../smimp/transcript.ts';
import { ClientError } from './errors.ts';
import type { Memory } from './memory.ts';
import type { ClientSessions } from './sessions.ts';

export type ListedEntry =
  | {
      readonly hash: Hex32;
      readonly state: 'open';
      readonly kind: 'address' | 'domain';
      readonly value: string;
      readonly note: string | null;
    }
  /** It works, as its hash does; but its note is not what was written last. */
  | { readonly hash: Hex32; readonly state: 'refused'; readonly reason: ProfileErrorCode }
  /** This client saw it before, and the server no longer shows it. Another client may have removed it. */
  | { readonly hash: Hex32; readonly state: 'missing' };

export type ListSubject =
  | { readonly kind: 'address'; readonly value: Address }
  | { readonly kind: 'domain'; readonly value: Domain };

export interface Storage {
  /**
   * The sealed notes on a message (flags are `{"flags": […]}`), as they stand in its envelope; `{}` when there are none.
   * Throws ProfileError `storage-rollback` and others.
   */
  notesOf(envelope: DecodedStoredEnvelope): JsonObject;
  /** Changes them; asks again when another client was faster. What `change` gives is stored. The message's revision. */
  changeNotes(messageId: Hex32, change: (notes: JsonObject) => JsonObject): Promise<number>;
  list(name: ListName): Promise<ListedEntry[]>;
  /** An entry for a domain means exactly that domain. Adding again replaces the note. */
  addToList(name: ListName, subject: ListSubject, note?: string | null): Promise<Hex32>;
  removeFromList(name: ListName, hash: Hex32): Promise<void>;
}

/** Another client may change the same message; more often than this in a row is no coincidence. */
const MAX_TRIES = 5;
const KEY_BYTES = 32;
const noteSchema = z.object({ kind: z.enum(['address', 'domain']), value: z.string(), note: z.string().nullable() });

export function createStorage(options: { memory: Memory; sessions: ClientSessions; owner: OwnerClient }): Storage {
  const { memory, sessions, owner } = options;
  const owned = (purpose: StorageObject['purpose'], objectId: Hex32): StorageObject => ({
    owner: memory.address,
    purpose,
    objectId,
  });

  const notesOf: Storage['notesOf'] = (envelope) => {
    const object = owned('extensions', digestOf(envelope.message_hash));
    const value =
      envelope.extensions_data === null ? nothing(memory, object) : open(memory, object, envelope.extensions_data);
    return isObject(value) ? value : {};
  };

  const changeOnce = async (
    session: Session,
    id: Hex32,
    change: (notes: JsonObject) => JsonObject,
  ): Promise<number> => {
    const envelope = await owner.message(session, id);
    const object = owned('extensions', digestOf(envelope.message_hash));
    const { data, stored } = seal(memory, object, change(notesOf(envelope)));
    const revision = await owner.setExtensions(session, id, { revision: envelope.revision, data });
    await stored();
    return revision;
  };

  /** What is there is read first: another client may have counted the version up. */
  const entriesOf = async (name: ListName): Promise<ListedEntry[]> => {
    const entries = await sessions.atHome((session) => owner.list(session, name));
    return entries.map(({ hash, data }) => readEntry(memory, owned(name, hash), data));
  };

  return {
    notesOf,
    async changeNotes(id, change) {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const revision = await sessions.atHome((session) => changeOnce(session, id, change)).catch(staleAsNull);
        if (revision !== null) return revision;
      }
      throw new ClientError('conflict');
    },
    async list(name) {
      const entries = await entriesOf(name);
      const present = new Set(entries.map(({ hash }) => hash));
      const missing = memory.objectsSeen(name).filter((hash) => !present.has(hash));
      await memory.save();
      return [...entries, ...missing.map((hash) => ({ hash, state: 'missing' as const }))];
    },
    async addToList(name, { kind, value }, note = null) {
      await entriesOf(name);
      const hash = listHash({ owner: memory.address, kind, value });
      const { data, stored } = seal(memory, owned(name, hash), { kind, value, note });
      await sessions.atHome((session) => owner.addToList(session, name, { hash, data }));
      await stored();
      return hash;
    },
    async removeFromList(name, hash) {
      await sessions.atHome((session) => owner.removeFromList(session, name, hash));
      memory.forgetObject(name, hash);
      await memory.save();
    },
  };
}

function storageKey(memory: Memory): Uint8Array {
  return parseHex(memory.identity.storage_key, KEY_BYTES);
}

/** Throws `storage-*`. What opens is the least that is taken from now on. */
function open(memory: Memory, object: StorageObject, blob: string): JsonValue {
  const leastVersion = memory.leastVersion(object.purpose, object.objectId);
  const { version, value } = openStorage({ key: storageKey(memory), object, blob, leastVersion });
  memory.sawVersion(object.purpose, object.objectId, version);
  return value;
}

/** No blob, where one was seen, is the oldest state of all. */
function nothing(memory: Memory, { purpose, objectId }: StorageObject): JsonObject {
  if (memory.leastVersion(purpose, objectId) > 0) throw new ProfileError('storage-rollback');
  return {};
}

/** Counts the version up. `stored` remembers it, once the server has it: before, an older one is still the right one. */
function seal(memory: Memory, object: StorageObject, value: JsonValue): { data: Base64; stored: () => Promise<void> } {
  const version = memory.leastVersion(object.purpose, object.objectId) + 1;
  const stored = (): Promise<void> => {
    memory.sawVersion(object.purpose, object.objectId, version);
    return memory.save();
  };
  return { data: sealStorage({ key: storageKey(memory), object, version, value }), stored };
}

function readEntry(memory: Memory, object: StorageObject, blob: string): ListedEntry {
  const hash = object.objectId;
  try {
    const { kind, value, note } = parseFields(noteSchema, open(memory, object, blob));
    if (listHash({ owner: memory.address, kind, value }) !== hash) throw new ProfileError('storage-context');
    return { hash, state: 'open', kind, value, note };
  } catch (error) {
    if (error instanceof ProfileError) return { hash, state: 'refused', reason: error.code };
    throw error;
  }
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function staleAsNull(error: unknown): null {
  if (error instanceof RemoteError && error.apiCode === 'precondition_failed') return null;
  throw error;
}
