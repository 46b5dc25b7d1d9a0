/**
 * What is inside a message, by message type (SMIMP 0.1 §4.1). Unknown members are ignored when reading
 * and kept as they are; every defined member is present, `null` when empty.
 */
import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { type Address, addressParts } from './address.ts';
import { ProfileError } from './errors.ts';
import { address, base64, hex32, hex64, jsonObject, parseFields, timestamp } from './fields.ts';
import { parseStrictJson } from './json.ts';
import { writeStrictJson } from './json-value.ts';

/** One attachment. `content_id` without angle brackets, for inline pictures. */
export const attachmentSchema = z.looseObject({
  file_name: z.string(),
  content: base64,
  content_type: z.string(),
  content_id: z.string().nullable(),
});
export type Attachment = z.infer<typeof attachmentSchema>;

/** Body of message type `email`; `body` is Markdown without HTML. */
export const emailBodySchema = z.looseObject({
  to: z.array(address),
  cc: z.array(address),
  subject: z.string(),
  thread_id: hex32,
  reply_to_message_id: hex32.nullable(),
  date_sent: timestamp,
  body: z.string(),
  signature_text: z.string().nullable(),
  attachments: z.array(attachmentSchema),
  extensions_data: jsonObject.nullable(),
  reply_to: address.nullable(),
  auto_reply_address: address.nullable(),
});
export type EmailBody = z.infer<typeof emailBodySchema>;

/** Body of message type `short-message`. */
export const shortMessageBodySchema = z.looseObject({ message: z.string(), attachments: z.array(attachmentSchema) });
export type ShortMessageBody = z.infer<typeof shortMessageBodySchema>;

const secretKind = z.enum(['account', 'alias', 'list', 'message-key', 'storage']);
const note = z.string().nullable();

/** Bodies of the three `secret-*` types. Never imported automatically (SMIMP 0.1 §4.1). */
export const secretBodySchemas = {
  'secret-ed25519': z.looseObject({ public_key: hex32.nullable(), secret_key: hex64, kind: secretKind, note }),
  'secret-curve25519': z.looseObject({ public_key: hex32.nullable(), secret_key: hex32, kind: secretKind, note }),
  'secret-xsalsa20': z.looseObject({ public_key: z.null(), secret_key: hex32, kind: secretKind, note }),
} as const;
export type SecretMessageType = keyof typeof secretBodySchemas;
export type SecretBody = {
  public_key: string | null;
  secret_key: string;
  kind: z.infer<typeof secretKind>;
  note: string | null;
};

/** A body that was read, told apart by its type. `opaque`: a type without a defined body; the bytes are all there is. */
export type ParsedBody =
  | { type: 'email'; value: EmailBody }
  | { type: 'short-message'; value: ShortMessageBody }
  | { type: SecretMessageType; value: SecretBody }
  | { type: 'opaque'; value: null };

function isSecretType(messageType: string): messageType is SecretMessageType {
  return Object.hasOwn(secretBodySchemas, messageType);
}

/**
 * Reads the body of a message. Throws the code of the first member at fault, or of the JSON itself.
 * A body of another type is never parsed.
 */
export function parseBody(messageType: string, bytes: Uint8Array): ParsedBody {
  if (messageType === 'email') return { type: 'email', value: parseFields(emailBodySchema, parseStrictJson(bytes)) };
  if (messageType === 'short-message') {
    return { type: 'short-message', value: parseFields(shortMessageBodySchema, parseStrictJson(bytes)) };
  }
  if (!isSecretType(messageType)) return { type: 'opaque', value: null };
  const schema: z.ZodType<SecretBody> = secretBodySchemas[messageType];
  return { type: messageType, value: parseFields(schema, parseStrictJson(bytes)) };
}

/** Without an `auto_reply_address` outside the sender's domain, which is to be ignored (SMIMP 0.1 §4.1). */
export function trustedAutoReply(body: EmailBody, sender: Address): EmailBody {
  const reply = body.auto_reply_address;
  if (reply === null || addressParts(reply).domain === addressParts(sender).domain) return body;
  return { ...body, auto_reply_address: null };
}

/** The bytes of a body that may be sent. Throws what `parseBody` would throw at the recipient. */
export function serializeBody(messageType: string, body: EmailBody | ShortMessageBody | SecretBody): Uint8Array {
  const schema = bodySchema(messageType);
  return Buffer.from(writeStrictJson(parseFields(schema, body)), 'utf8');
}

function bodySchema(messageType: string): z.ZodType<unknown> {
  if (messageType === 'email') return emailBodySchema;
  if (messageType === 'short-message') return shortMessageBodySchema;
  if (isSecretType(messageType)) return secretBodySchemas[messageType];
  throw new ProfileError('bad-field', { path: 'message_type' });
}
