/** The header inside a message (SMIMP 0.1 §4.1): who, to whom, when, and the heads by which two people catch a lying server. */
import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { address, count, hex32, jsonObject, parseFields, timestamp } from './fields.ts';
import { parseStrictJson } from './json.ts';
import { writeStrictJson } from './json-value.ts';

const head = z.looseObject({ seq: count, head: hex32 });

/** Unknown members are ignored when reading, and kept as they are. */
export const headerSchema = z.looseObject({
  v: z.literal(1),
  from: address,
  /** This copy's recipient, so that Bcc stays blind. */
  to: address,
  /** Chosen by the sender, the same for every recipient. */
  uid: hex32,
  sent: timestamp,
  sender_head: head,
  recipient_head: head,
  via: z.enum(['smtp_bridge', 'import']).nullable(),
  /** What is needed to rebuild a legacy message byte for byte. */
  original: jsonObject.nullable(),
});
export type MessageHeader = z.infer<typeof headerSchema>;

/** Throws a `json-*` code or that of the first member at fault. */
export function parseHeader(bytes: Uint8Array): MessageHeader {
  return parseFields(headerSchema, parseStrictJson(bytes));
}

/** The bytes of a header that its recipient will accept; throws what the recipient would. */
export function serializeHeader(header: MessageHeader): Uint8Array {
  return Buffer.from(writeStrictJson(parseFields(headerSchema, header)), 'utf8');
}
