/**
 * What the server half remembers to price messages by (SMIMP 0.1 §4.3). Counts wear down from `counted_at` on, as
 * src/policy/wear.ts says. No foreign keys: their locks on accounts would cross those of `send_message`; accounts take their
 * rows along when they are removed.
 */
import type { ByDefault, Instant, MaybeInstant } from './columns.ts';

/** Somebody who asked for parameters in a session, and so had proved to hold its key. */
export interface PowSenderTable {
  address: string;
  /** By this server's clock: the dates in a record are the sender's own claim. Null until it paid for a message. */
  first_stored_at: MaybeInstant;
  /** Messages asked for. */
  asked: ByDefault<number>;
  /** Of messages stored. */
  bytes: ByDefault<number>;
  /** Refused as bad_pow, bad_key or bad_signature. */
  failures: ByDefault<number>;
  failed_logins: ByDefault<number>;
  counted_at: Instant;
}

export interface PowDomainTable {
  domain: string;
  first_stored_at: MaybeInstant;
  asked: ByDefault<number>;
  counted_at: Instant;
}

export interface PowContactTable {
  recipient_address: string;
  sender_address: string;
  /** Messages asked for. */
  asked: ByDefault<number>;
  counted_at: Instant;
  /** When a message of the sender was first stored for the recipient. */
  received_at: MaybeInstant;
  /** When a message of the recipient to the sender first arrived. */
  written_at: MaybeInstant;
}

export interface PowRecipientTable {
  address: string;
  /** Messages stored from people the recipient never wrote to; the same with a memory of a month. */
  strangers: ByDefault<number>;
  strangers_month: ByDefault<number>;
  counted_at: Instant;
}
