/** Sent mail whose twin may still come. */
import type { Bytes, Instant } from './columns.ts';

export interface SentCopyTable {
  message_id: Bytes;
  account_id: number;
  /** Keyed hash of what makes two copies one message. */
  digest: Bytes;
  /** The bridge kept it when it was submitted, or a program put it in. */
  source: 'submission' | 'append';
  has_bcc: boolean;
  saved_at: Instant;
}
