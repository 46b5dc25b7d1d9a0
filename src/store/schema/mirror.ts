/**
 * What the mirror of an account at another server remembers (docs/proxy.md). The messages and folders themselves are rows
 * like those of a home's mailbox; here stands what both sides had when they last agreed, the *base* of every comparison.
 */
import type { ByDefault, Bytes, MaybeInstant } from './columns.ts';

export interface MirrorTable {
  account_id: number;
  /** Of the server where the account lives. */
  base_url: string;
  /** What `initialize_account` is to be told, sealed; null once the home has it. */
  unpublished: Bytes | null;
  /** A new master key on its way to the home, sealed; null when there is none. */
  rotation: ByDefault<Bytes | null>;
  /** Of `changes`; null: nothing was listed yet. */
  cursor: ByDefault<string | null>;
  /** Counts up with every listing of everything; messages not seen in it are gone. */
  round: ByDefault<number>;
  /** The pages that come belong to such a listing. */
  listing: ByDefault<boolean>;
  /** When both sides last agreed. */
  synced_at: MaybeInstant;
  /** Why the last round ended early, or null. */
  error_code: ByDefault<string | null>;
}

/** A folder that both sides know. Its row here may be gone: then it is to be deleted at the home. */
export interface MirrorFolderTable {
  account_id: number;
  message_type: string;
  /** Its name at the home. */
  folder_name: string;
  folder_id: number;
  /** Base, as the home has it. */
  display_name: string;
  parent_name: string | null;
  /** The same, as it is here: names that mail programs cannot show are spelled differently. */
  local_name: string;
  local_parent: number | null;
  /** The home has it no more. */
  gone: ByDefault<boolean>;
}

/** A message that both sides know. The message here may be gone: then it is to be deleted at the home. */
export interface MirrorMessageTable {
  account_id: number;
  /** Its id at the home. */
  remote_id: Bytes;
  message_id: Bytes;
  /** Base: the folder here, \Seen, and the other flags. */
  folder_id: number;
  read: boolean;
  extensions_data: Bytes | null;
  /** Of the state at the home that the base is. */
  revision: number;
  message_hash: Bytes;
  message_public_key: Bytes;
  /** The last listing it was seen in. */
  round: number;
  /** The home has it no more. */
  gone: ByDefault<boolean>;
}

/** A message that the home does not take: it stays here only. */
export interface MirrorLocalTable {
  account_id: number;
  message_id: Bytes;
  /** A closed code. */
  reason: string;
}
