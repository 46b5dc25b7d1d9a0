/**
 * What waits to leave for the old internet, at rest: its envelope, what a report on it must say, and its bytes, all sealed
 * with the account key of the legacy identity that it was sent to. The row beside it holds SMIMP addresses only.
 */
import { z } from 'zod';
import type { AccountKeys } from '../keystore/keystore.ts';
import { hex32, parseFields, timestamp } from '../smimp/fields.ts';

const contentSchema = z.object({
  v: z.literal(1),
  /** A report of the gateway itself, on mail that came in. All else is some sender's, also under the null reverse path. */
  own: z.boolean().default(false),
  /** Reverse path; null for the null one. */
  from: z.string().nullable(),
  to: z.string(),
  /** Why it may not leave; its bytes are not kept then. */
  refused: z.enum(['relay-denied', 'not-relayed', 'retired-key', 'not-rendered']).nullable(),
  subject: z.string(),
  message_id: z.string().nullable(),
  thread_id: hex32,
  date_sent: timestamp,
});
export type RelayFacts = z.infer<typeof contentSchema>;

export interface RelayContent {
  readonly facts: RelayFacts;
  readonly message: Buffer;
}

const PURPOSE = 'relay';
const LENGTH_BYTES = 4;

export function sealRelayContent(keys: AccountKeys, uid: Uint8Array, { facts, message }: RelayContent): Buffer {
  const head = Buffer.from(JSON.stringify(facts), 'utf8');
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(head.length);
  return keys.seal(PURPOSE, uid, Buffer.concat([length, head, message]));
}

/** Throws KeystoreError `damaged`. */
export function openRelayContent(keys: AccountKeys, uid: Uint8Array, sealed: Uint8Array): RelayContent {
  const bytes = keys.unseal(PURPOSE, uid, sealed);
  const end = LENGTH_BYTES + bytes.readUInt32LE(0);
  const head: unknown = JSON.parse(bytes.subarray(LENGTH_BYTES, end).toString('utf8'));
  return { facts: parseFields(contentSchema, head), message: bytes.subarray(end) };
}
