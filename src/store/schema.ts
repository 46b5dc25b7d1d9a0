/**
 * The tables, as Kysely sees them. Protocol values keep their protocol form: addresses as text, keys, hashes, nonces and
 * ids as raw bytes, signed dates as the signed text; everything else that is a time is a timestamp of our own.
 *
 * Two owners share the database in the `home` deployment. The *server* half is what any SMIMP server knows (protocol
 * §5). The *client* half is what a user's client knows: secrets (sealed), pins, what was seen, what is queued. Nothing of
 * the server half is trusted by the client half.
 */
import type { ColumnType, Generated, JSONColumnType } from 'kysely';

type Instant = ColumnType<Date, Date, Date>;
type MaybeInstant = ColumnType<Date | null, Date | null | undefined, Date | null>;
type Bytes = Buffer;
type ByDefault<T> = ColumnType<T, T | undefined, T>;

// ---------------------------------------------------------------------------------------------------- server half

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
  size_bytes: ByDefault<number>;
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
}

/** `pending`: not opened yet. `shown`: visible in IMAP. `held`: §3 or UNAVAILABLE. `quarantined`: §4.4 crypto failure.
 * `hidden`: a type people do not see. */
export type MessageState = 'pending' | 'shown' | 'held' | 'quarantined' | 'hidden';

export interface MessageTable {
  message_id: Bytes;
  account_id: number;
  folder_id: number;
  seq: number;
  revision: number;
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
  // The client's view of it.
  state: MessageState;
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

// ---------------------------------------------------------------------------------------------------- client half

export interface MailUserTable {
  account_id: number;
  password_hash: string;
  custody: 'server' | 'password';
  /** The account key, which seals all else of this account, wrapped as `custody` says. */
  wrapped_key: Bytes;
  created_at: Instant;
}

export type SecretPurpose = 'master' | 'message' | 'storage';

export interface SecretTable {
  account_id: number;
  purpose: SecretPurpose;
  /** Raw public key; empty for the storage key. */
  public_key: Bytes;
  kind: string | null;
  sealed: Bytes;
  created_at: Instant;
  /** When the public half expires; null for master and storage keys. */
  expires_at: MaybeInstant;
  /** When a newer one took its place. */
  retired_at: MaybeInstant;
}

/** One's own history: the client's copy, never the server's (§3). */
export interface OwnRecordTable {
  account_id: number;
  seq: number;
  data: string;
  signed_hash: Bytes;
  new_key_signed_hash: Bytes | null;
  added_at: Instant;
}

export interface PinTable {
  account_id: number;
  contact: string;
  /** NEW, OK, EXTENDED, TRUNCATED, FORKED, REPLACED, INVALID, UNAVAILABLE as last seen (§3). */
  state: string;
  /** The pin of src/smimp/pin.ts. */
  pin: JSONColumnType<object>;
  /** What a FORKED or REPLACED answer looked like, kept for people. */
  evidence: JSONColumnType<object> | null;
  verified_at: MaybeInstant;
  checked_at: Instant;
}

export interface PinArchiveTable {
  id: Generated<number>;
  account_id: number;
  contact: string;
  pin: JSONColumnType<object>;
  archived_at: Instant;
}

export interface DomainTable {
  domain: string;
  base_url: string | null;
  /** `found`, `absent` (404/410 over valid TLS) or `failed`. */
  outcome: 'found' | 'absent' | 'failed';
  checked_at: Instant;
  /** First time it spoke SMIMP; once set it is never cleared (§2.6). */
  first_found_at: MaybeInstant;
}

/** What was received before (§4.4): digests of `message_hash`, and keyed hashes of sender + uid. Outlives the message. */
export interface SeenTable {
  account_id: number;
  kind: 'digest' | 'uid';
  value: Bytes;
  message_id: Bytes;
  first_seen_at: Instant;
}

/** Legacy Message-ID (keyed hash) → uid, for replies. */
export interface MessageReferenceTable {
  account_id: number;
  reference: Bytes;
  uid: Bytes;
}

/** What clients list of a message (headers, sizes, structure), indexed once and sealed with the account key. */
export interface ContentTable {
  message_id: Bytes;
  account_id: number;
  renderer_version: number;
  sealed: Bytes;
}

/** One submitted message. Its content is sealed until every recipient is done. */
export interface SubmissionTable {
  id: Generated<number>;
  account_id: number;
  /** Keyed hash of the submitted bytes: the same submission again is the same row. */
  digest: Bytes;
  uid: Bytes;
  message_type: string;
  sealed: Bytes | null;
  size_bytes: number;
  submitted_at: Instant;
}

export type DeliveryStage = 'route' | 'seal' | 'mint' | 'deliver' | 'held' | 'done' | 'failed' | 'cancelled';

export interface DeliveryTable {
  id: Generated<number>;
  submission_id: number;
  account_id: number;
  recipient: string;
  stage: DeliveryStage;
  /** Failed tries, until the stage that failed is passed. */
  attempts: ByDefault<number>;
  next_attempt_at: Instant;
  /** After this it bounces. */
  deadline_at: Instant;
  delay_notified_at: MaybeInstant;
  held_notified_at: MaybeInstant;
  /** A closed code of the last failure, and which stage it came from. */
  error_code: string | null;
  error_stage: string | null;
  /** Counts up at each change of stage; a worker that lost its claim finds another value and stops. */
  version: ByDefault<number>;
  // What the stages leave for the next.
  base_url: string | null;
  sealed_envelope: Bytes | null;
  zero_bits: number | null;
  /** Up to this much work the operator agreed to for this delivery. */
  approved_bits: ByDefault<number | null>;
  minted_envelope: Bytes | null;
  session: Bytes | null;
  message_id: Bytes | null;
  finished_at: MaybeInstant;
}

export interface DeliveryEventTable {
  id: Generated<number>;
  delivery_id: number;
  at: Instant;
  stage: string;
  outcome: string;
  detail: JSONColumnType<object> | null;
}

/** Tries to log in that did not succeed (yet), by keyed hash of who tried what: guesses are slowed in every process. */
export interface LoginFailureTable {
  subject: Bytes;
  failures: number;
  last_at: Instant;
}

/** Sessions at other people's servers, sealed with the account key, so that a restart needs no new logins. */
export interface RemoteSessionTable {
  account_id: number;
  base_url: string;
  sealed: Bytes;
  /** When this side stops using it. */
  expires_at: Instant;
  last_used_at: Instant;
}

export interface SettingTable {
  name: string;
  value: string;
}

export interface Database {
  account: AccountTable;
  record: RecordTable;
  message_key: MessageKeyTable;
  key_issue: KeyIssueTable;
  login_token: LoginTokenTable;
  session: SessionTable;
  pow_nonce: PowNonceTable;
  folder: FolderTable;
  message: MessageTable;
  sent_envelope: SentEnvelopeTable;
  expunged: ExpungedTable;
  mail_user: MailUserTable;
  secret: SecretTable;
  own_record: OwnRecordTable;
  pin: PinTable;
  pin_archive: PinArchiveTable;
  domain: DomainTable;
  seen: SeenTable;
  message_reference: MessageReferenceTable;
  content: ContentTable;
  submission: SubmissionTable;
  delivery: DeliveryTable;
  delivery_event: DeliveryEventTable;
  login_failure: LoginFailureTable;
  remote_session: RemoteSessionTable;
  setting: SettingTable;
}
