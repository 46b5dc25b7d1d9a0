/** What tells a mailbox, or a whole database, that was restored from an old copy. */
import type { Bytes, Instant } from './columns.ts';

/** The mailbox was at this revision when the token was drawn. A cursor names the first one at or after what it covers. */
export interface EpochTable {
  account_id: number;
  revision: number;
  token: Bytes;
}

/** A data directory of a process of this server, and what its file must say (src/high-water-mark.ts). */
export interface DataDirectoryTable {
  id: Bytes;
  /** Counts the tokens. */
  serial: number;
  token: Bytes;
  /** Of all mailboxes together, when the token was drawn. */
  revisions: number;
  marked_at: Instant;
}
