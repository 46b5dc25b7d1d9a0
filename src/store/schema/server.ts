/** The server half: what any SMIMP server knows of its accounts (SMIMP 0.1 §5). */
import type { ColumnType, Generated } from 'kysely';
import type { ByDefault, Bytes, Instant, MaybeInstant } from './columns.ts';

export interface AccountTable {
  id: Generated<number>;
  address: string;
  created_at: Instant;
  initialized_at: MaybeInstant;
  /** D(initialize, …) of the one-time code that was handed out. */
  initialize_hash: Bytes | null;
  initialize_tries: ByDefault<number>;
  /** The next `seq` of the mailbox; taken under this row's lock, so commit order is seq order. */
  next_seq: ByDefault<number>;
  /** The mailbox's counter behind every `revision`. */
  revision: ByDefault<number>;
  /** Of all ciphertexts and all `extensions_data`. */
  size_bytes: ByDefault<number>;
  /** Most bytes of this mailbox; null: the default of the configuration, -1: no limit. */
  quota_bytes: ByDefault<number | null>;
  /** Rows of `expunged` up to this revision may be gone. */
  expunged_floor: ByDefault<number>;
  /** Another one, by triggers, whenever folders, own records or keys change that own mail is put in by. */
  means_version: Generated<string>;
}

export interface RecordTable {
  account_id: number;
  seq: number;
  data: string;
  signed_hash: Bytes;
  new_key_signed_hash: Bytes | null;
  stored_at: Instant;
}

export type MessageKeyState = 'available' | 'issued' | 'used' | 'current' | 'replaced';

export interface MessageKeyTable {
  account_id: number;
  public_key: Bytes;
  kind: 'ephemeral' | 'non-ephemeral';
  created: string;
  expires: string;
  signed_hash: Bytes;
  /** The master key that signed it. */
  master_key: Bytes;
  state: MessageKeyState;
  /** Order of issue. */
  position: Generated<number>;
  replaced_at: MaybeInstant;
}

export interface KeyIssueTable {
  id: Generated<number>;
  account_id: number;
  public_key: Bytes;
  ephemeral: boolean;
  sender_address: string;
  sender_domain: string;
  issued_at: Instant;
  used_at: MaybeInstant;
}

export interface LoginTokenTable {
  token: Bytes;
  address: string;
  expires_at: Instant;
  /** Order of issue. */
  position: Generated<number>;
}

export interface SessionTable {
  /** BLAKE2b-256 of the session token; the token itself is never stored. */
  token_hash: Bytes;
  login_token_hash: Bytes;
  address: string;
  scope: 'home' | 'remote';
  public_key: Bytes;
  key_checked_at: Instant;
  created_at: Instant;
  last_used_at: Instant;
  expires_at: Instant;
}

export interface PowNonceTable {
  nonce: Bytes;
  session_hash: Bytes;
  recipient_address: string;
  message_type: string;
  zero_bits: number;
  expires_at: Instant;
}

export interface FolderTable {
  id: Generated<number>;
  account_id: number;
  message_type: string;
  /** Null is the inbox, of which every account has one row. */
  folder_name: string | null;
  display_name: string;
  parent_id: number | null;
  /** `\Drafts`, `\Sent`, … (RFC 6154), or null. */
  special_use: string | null;
  subscribed: ByDefault<boolean>;
  /** From a sequence: never given twice, so a folder made again under an old name is another folder. */
  uid_validity: Generated<number>;
  /** One more than the greatest UID ever shown in this folder; never falls. */
  uid_next: ByDefault<number>;
  /** Messages from this UID on were told to no session yet. */
  recent_from: ByDefault<number>;
}

/** A folder of this path was deleted, its name stays subscribed. */
export interface LostSubscriptionTable {
  account_id: number;
  path: string;
}

/** `pending`: not opened yet. `shown`: visible in IMAP. `held`: §3 or UNAVAILABLE. `quarantined`: §4.4 crypto failure.
 * `hidden`: a type people do not see. */
export type MessageState = 'pending' | 'shown' | 'held' | 'quarantined' | 'hidden';

/** The revision of a message is the greater one of two columns: `currentRevision` of ../revisions.ts reads it. */
export type PartOfRevision = { readonly partOf: 'revision' };

export interface MessageTable {
  message_id: Bytes;
  account_id: number;
  folder_id: number;
  seq: number;
  revision: ColumnType<PartOfRevision, number, number>;
  /** Of the last change of flags of many messages at once. */
  flags_revision: ColumnType<PartOfRevision, number | undefined, number>;
  message_type: string;
  ciphertext: Bytes;
  /** Length of `ciphertext`. */
  size_bytes: number;
  message_public_key: Bytes;
  nonce: Bytes;
  proof_of_work: string | null;
  message_hash: Bytes;
  sender_address: string;
  sender_public_key: Bytes;
  time_received: Instant;
  pow_zero_bits: number | null;
  pow_nonce: Bytes | null;
  login_token_hash: Bytes;
  received_via: 'smimp_client' | 'smtp_bridge' | 'imap_bridge' | 'import_api';
  read: ByDefault<boolean>;
  extensions_data: Bytes | null;
  is_copy: ByDefault<boolean>;
  /** Of a copy: the message that was received, through however many copies; null for that message itself. */
  copy_of: ByDefault<Bytes | null>;
  // The client's view of it.
  state: MessageState;
  /** When it came here, if another server says when it was received; null: `time_received`. */
  first_seen_at: MaybeInstant;
  /** When it came into this folder; null: when it came here. */
  saved_at: MaybeInstant;
  /** The conversation it belongs to, once it was opened; it never changes. */
  thread_id: ByDefault<Bytes | null>;
  /** Of the newest `extensions_data` that was opened or written here; one of an older version is refused. */
  notes_version: ByDefault<number>;
  /** Bits of TRUST (../trust.ts): how far its sender is known. */
  trust: ByDefault<number>;
  /** A closed code: why it is held or quarantined, or null. */
  reason: string | null;
  attempts: ByDefault<number>;
  next_attempt_at: MaybeInstant;
}

/** Answers a repeated `send_message` of the same envelope in the same session. */
export interface SentEnvelopeTable {
  session_hash: Bytes;
  /** The digest at the end of `message_hash`. */
  digest: Bytes;
  recipient_address: string;
  message_id: Bytes;
  sent_at: Instant;
}

/** A message that left a folder: deleted (`gone`) or moved away. */
export interface ExpungedTable {
  account_id: number;
  revision: number;
  folder_id: number;
  seq: number;
  message_id: Bytes;
  gone: boolean;
}

/** Flags of many messages in this part of a folder were changed, and perhaps not of all there (../flag-changes.ts). */
export interface FlagChangeTable {
  account_id: number;
  revision: number;
  folder_id: number;
  first_seq: number;
  last_seq: number;
}

export type ListName = 'whitelist' | 'blacklist';

/** An entry of a list: the hash is all that this server can read of it. */
export interface ListEntryTable {
  account_id: number;
  list: ListName;
  hash: Bytes;
  /** A storage blob of the owner's client. */
  data: Bytes;
  /** Order of adding. */
  position: Generated<number>;
}

/** The picture of an account, signed by its present master key. */
export interface AvatarTable {
  account_id: number;
  image: Bytes;
  content_type: 'image/png' | 'image/jpeg';
  /** As signed. */
  date: string;
  signed_hash: Bytes;
}
