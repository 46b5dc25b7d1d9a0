/** What a gateway remembers (SMIMP 0.1 §6). */
import type { Bytes, Instant, MaybeInstant } from './columns.ts';

/** An account that stands for a correspondent of the old internet, whose mailbox its address is the coding of. */
export interface LegacyIdentityTable {
  account_id: number;
  made_at: Instant;
  /** Whose outbound use made it, for a day; null: mail that came in. */
  made_for: string | null;
  /** When somebody last asked for a message key: null for whoever never was written to. */
  asked_at: MaybeInstant;
  /** When its keys were last looked after. */
  kept_at: MaybeInstant;
}

/** The reverse path of mail that came in, where reports on it go, sealed; of mail that takes none there is no row. */
export interface ReturnPathTable {
  submission_id: number;
  sealed: Bytes;
}
