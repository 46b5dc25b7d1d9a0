/**
 * Requests and answers of the API (SMIMP 0.1 §5) as schemas: the one source for the server's checks, the client's checks and
 * the OpenAPI document. Requests refuse unknown members, nested objects included; answers ignore them.
 */
import { z } from 'zod';
import { MAX_EPHEMERAL_KEYS, MAX_FOLDER_PAGE, MAX_WAIT_SECONDS } from './api-limits.ts';
import { sentEnvelopeSchema, storedEnvelopeSchema } from './envelope.ts';
import { address, base64, count, hex32, messageType, signedHash, timestamp } from './fields.ts';
import { messageKeySchema } from './message-key.ts';
import { recordSchema } from './record.ts';

const recordInRequest = z.strictObject(recordSchema.shape);
const keyInRequest = z.strictObject(messageKeySchema.shape);

/** No body, and no answer but the status. */
export const nothing = z.undefined();

export const folderName = z.string().regex(/^[a-z0-9-]{1,64}$/);
const revision = count;
/** Sizes in bytes; −1 for no limit. */
const sizeOrUnlimited = z.int().min(-1);

/** Digits of a query parameter, as a number. */
function queryNumber(max: number): z.ZodType<number, string> {
  return z
    .string()
    .regex(/^(?:0|[1-9][0-9]{0,15})$/)
    .transform(Number)
    .refine((value) => value <= max);
}
const querySeq = queryNumber(Number.MAX_SAFE_INTEGER);

export const addressParams = z.strictObject({ a: address });
export const addressTypeParams = z.strictObject({ a: address, type: messageType });
export const messageParams = z.strictObject({ id: hex32 });
export const readMessageParams = z.strictObject({ id: hex32, mark: z.enum(['true', 'false']) });
export const typeParams = z.strictObject({ type: messageType });
export const folderParams = z.strictObject({ type: messageType, name: folderName });
export const folderNameParams = z.strictObject({ name: folderName });
export const listEntryParams = z.strictObject({ hash: hex32 });

export const historyQuery = z.strictObject({ from: querySeq.optional() });
export const pageQuery = z.strictObject({
  after: querySeq.optional(),
  limit: queryNumber(MAX_FOLDER_PAGE).optional(),
});
export const changesQuery = z.strictObject({
  cursor: z.string().max(256).optional(),
  wait: queryNumber(MAX_WAIT_SECONDS).optional(),
});

export const versionsAnswer = z.object({ versions: z.array(z.string()) });
export const serverInformationAnswer = z.object({
  apis: z.array(z.string()),
  limits: z.object({
    message_bytes: count.optional(),
    request_bytes: count.optional(),
    ephemeral_keys: count.optional(),
    profile_updates_per_day: count.optional(),
    avatar_bytes: count.optional(),
    extensions_bytes: count.optional(),
    folders: count.optional(),
    folder_depth: count.optional(),
    list_entries: count.optional(),
    list_data_bytes: count.optional(),
  }),
  domains: z.array(z.string()),
});

export const publicKeyAnswer = z.object({ address, public_key: hex32, seq: count, head: hex32 });
/** The records are checked one by one when the history is verified. */
export const historyAnswer = z.object({ address, records: z.array(z.unknown()), head: hex32 });
export const avatarAnswer = z.object({
  url: z.string(),
  content_type: z.enum(['image/png', 'image/jpeg']),
  date: timestamp,
  signed_hash: signedHash,
});
export const avatarRequest = z.strictObject({
  image: base64,
  content_type: z.enum(['image/png', 'image/jpeg']),
  date: timestamp,
  signed_hash: signedHash,
});

export const loginTokenAnswer = z.object({ token: hex32, expires: timestamp });
export const loginRequest = z.strictObject({ token: hex32, signed_token: signedHash, public_key: hex32 });
export const sessionAnswer = z.object({
  authentication_token: hex32,
  expires: timestamp,
  scope: z.enum(['home', 'remote']),
});

export const messageKeyRequest = z.strictObject({ address });
export const messageKeyAnswer = z.object({
  address,
  public_key: hex32,
  head: hex32,
  /** Checked by `verifyMessageKey`. */
  message_key: messageKeySchema,
  non_ephemeral: z.boolean(),
});
export const powParametersAnswer = z.object({ zero_bits: count, nonce: hex32, expires: timestamp });
export const sendMessageRequest = sentEnvelopeSchema;
export const messageIdAnswer = z.object({ message_id: hex32 });

const folderShape = {
  display_name: z.string(),
  folder_name: folderName,
  parent_folder_name: folderName.nullable(),
  message_type: messageType,
};
export const folderObject = z.object(folderShape);
export const foldersAnswer = z.object({ folders: z.array(folderObject) });
export const folderRequest = z.strictObject(folderShape);

/** `from` is the sender's address, `size` that of the message in bytes. */
export const summary = z.object({
  message_id: hex32,
  time_received: timestamp,
  read: z.boolean(),
  from: address,
  size: count,
  folder_name: folderName.nullable(),
  message_type: messageType,
  seq: count,
  revision,
});
export const folderPageAnswer = z.object({ messages: z.array(summary), next: count.nullable() });
export const messageAnswer = storedEnvelopeSchema;
export const placeRequest = z.strictObject({ folder_name: folderName.nullable() });
export const placedAnswer = z.object({ message_id: hex32, seq: count, revision });
export const readAnswer = z.object({ read: z.boolean() });
export const readRequest = z.strictObject({ read: z.boolean() });
export const revisionAnswer = z.object({ revision });
export const extensionsRequest = z.strictObject({ extensions_data: base64.nullable() });
export const importRequest = z.strictObject({
  envelope: sentEnvelopeSchema,
  folder_name: folderName.nullable(),
  read: z.boolean(),
});

const keyPool = z.array(keyInRequest).max(MAX_EPHEMERAL_KEYS);
export const initializeRequest = z.strictObject({
  record: recordInRequest,
  password_hash: hex32,
  nonephemeral_key: keyInRequest,
  ephemeral_keys: keyPool.nullable(),
});
export const messageKeyObject = messageKeySchema;
export const messageKeyObjectRequest = keyInRequest;
export const ephemeralKeysAnswer = z.object({ keys: z.array(messageKeySchema) });
export const ephemeralKeysRequest = z.strictObject({ keys: keyPool, mode: z.enum(['replace', 'append']) });
export const keyCountAnswer = z.object({ count });
export const updateProfileRequest = z.strictObject({
  record: recordInRequest,
  nonephemeral_key: keyInRequest.optional(),
  ephemeral_keys: keyPool.optional(),
});
export const headAnswer = z.object({ head: hex32 });

export const listAnswer = z.object({ entries: z.array(z.object({ hash: hex32, data: base64 })) });
export const listEntryRequest = z.strictObject({ hash: hex32, data: base64 });
/** `total_size`: of all messages; `space_available`: for more of them. */
export const quotaAnswer = z.object({ total_size: count, space_available: sizeOrUnlimited });
export const changesAnswer = z.object({
  cursor: z.string(),
  reset: z.boolean(),
  changes: z.array(z.object({ op: z.enum(['put', 'delete']), message_id: hex32, summary: summary.optional() })),
});

export type ServerInformation = z.infer<typeof serverInformationAnswer>;
export type PublicKeyAnswer = z.infer<typeof publicKeyAnswer>;
export type HistoryResponse = z.infer<typeof historyAnswer>;
export type LoginTokenAnswer = z.infer<typeof loginTokenAnswer>;
export type LoginRequest = z.infer<typeof loginRequest>;
export type SessionAnswer = z.infer<typeof sessionAnswer>;
export type MessageKeyAnswer = z.infer<typeof messageKeyAnswer>;
export type PowParametersAnswer = z.infer<typeof powParametersAnswer>;
export type Folder = z.infer<typeof folderObject>;
export type Summary = z.infer<typeof summary>;
export type FolderPage = z.infer<typeof folderPageAnswer>;
export type PlacedAnswer = z.infer<typeof placedAnswer>;
export type ImportRequest = z.infer<typeof importRequest>;
export type InitializeRequest = z.infer<typeof initializeRequest>;
export type EphemeralKeysRequest = z.infer<typeof ephemeralKeysRequest>;
export type UpdateProfileRequest = z.infer<typeof updateProfileRequest>;
export type ChangesAnswer = z.infer<typeof changesAnswer>;
