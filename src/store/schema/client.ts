/** The client half: secrets (sealed), pins, what was seen, what is queued. It trusts nothing of the server half. */
import type { Generated, JSONColumnType } from 'kysely';
import type { AlarmKind } from '../../mime/bridge-mail.ts';
import type { ByDefault, Bytes, Instant, MaybeInstant } from './columns.ts';

export interface MailUserTable {
  account_id: number;
  password_hash: string;
  custody: 'server' | 'password';
  /** The account key, which seals all else of this account, wrapped as `custody` says. */
  wrapped_key: Bytes;
  /** What SCRAM checks the password by, sealed with the server key; null until the password is heard the next time. */
  scram: ByDefault<Bytes | null>;
  created_at: Instant;
  /** When it was last checked what the user's own server shows of her. */
  own_checked_at: MaybeInstant;
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

/** What went wrong about a contact, or about oneself (`contact` is then the own address): one row per kind and cause. */
export interface AlarmTable {
  id: Generated<number>;
  account_id: number;
  contact: string;
  kind: AlarmKind;
  /** Tells one case from another: a head, a code, or nothing. */
  cause: string;
  evidence: JSONColumnType<object> | null;
  first_at: Instant;
  last_at: Instant;
  times: ByDefault<number>;
  /** From when on its owner is to be told; null when there is nothing (left) to tell. */
  tell_at: MaybeInstant;
  /** It goes into a mail about many, because there were too many in a day. */
  summed: ByDefault<boolean>;
  told_at: MaybeInstant;
  /** A mail of its own, a mail about many, or the notice about a held message. */
  told_by: 'mail' | 'summary' | 'delivery' | null;
  /** Null while it lasts, and for what only happens. */
  ended_at: MaybeInstant;
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

/** Message-ID, or a name of a thread (keyed hashes) → thread. */
export interface ThreadReferenceTable {
  account_id: number;
  reference: Bytes;
  thread_id: Bytes;
}

/** What clients list of a message (headers, sizes, structure), indexed once and sealed with the account key. */
export interface ContentTable {
  message_id: Bytes;
  account_id: number;
  renderer_version: number;
  sealed: Bytes;
  /** The message that the sealing is bound to: this one, or the one it is a copy of. */
  sealed_for: Bytes;
  /** The message as mail programs see it, sealed as the index is; null for a large one. */
  rendered: ByDefault<Bytes | null>;
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
  /** `header.original`, sealed; null when the message is sent without. */
  original: ByDefault<Bytes | null>;
  size_bytes: number;
  submitted_at: Instant;
  /** Of a message that leaves for the old internet: whose it is. */
  relayed_for: ByDefault<string | null>;
  /** It reports on another message, so nothing reports on it. */
  is_report: ByDefault<boolean>;
}

export type DeliveryStage = 'route' | 'seal' | 'mint' | 'deliver' | 'relay' | 'held' | 'done' | 'failed' | 'cancelled';

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
