/** The folder in which mail programs see what is waiting to be sent. */
import type { ByDefault, Bytes } from './columns.ts';

export interface OutboxTable {
  account_id: number;
  uid_validity: ByDefault<number>;
  /** One more than the greatest UID that was given; never falls. */
  uid_next: ByDefault<number>;
  /** Rises with every change of what is shown. */
  revision: ByDefault<number>;
  subscribed: ByDefault<boolean>;
}

/** One state of one submission. When the state changes it is another message. */
export interface OutboxMessageTable {
  account_id: number;
  uid: number;
  submission_id: ByDefault<number>;
  /** Of all that is shown of it. */
  fingerprint: Bytes;
  revision: number;
  /** A mail program marked it \Deleted. */
  deleted: ByDefault<boolean>;
}
