/**
 * What of a legacy message has no place in an `email` body but must come out again: kept in
 * `extensions_data.smimp_bridge`, version 1. Whoever wrote the message could have put anything here, so it is checked
 * when it is read and never trusted.
 */
import { z } from 'zod';

const shortText = z.string().max(4_000);
const messageId = z.string().max(1_000);
const legacyMailbox = z.object({ name: shortText, address: z.string().max(1_000) });

/** Fields worth keeping as they are: how a message wants to be treated. */
export const KEPT_FIELDS = [
  'importance',
  'priority',
  'x-priority',
  'auto-submitted',
  'list-id',
  'list-unsubscribe',
  'list-unsubscribe-post',
  'list-post',
  'list-archive',
  'list-help',
  'precedence',
  'organization',
  'disposition-notification-to',
] as const;

const reportSchema = z.object({
  kind: z.enum(['failed', 'delayed', 'held']),
  recipient: z.string().max(1_000),
  status: z.string().regex(/^[245]\.\d{1,3}\.\d{1,3}$/),
  diagnostic: shortText,
  diagnostic_type: z.enum(['x-smimp', 'smtp']).catch('x-smimp'),
  arrived: z.int(),
  reported: z.int(),
  reporter: z.string().max(300),
  until: z.int().nullable(),
  original: z.object({
    message_id: messageId.nullable(),
    subject: shortText,
    date: z.int(),
    to: z.array(z.string().max(1_000)).max(100),
  }),
});
export type Report = z.infer<typeof reportSchema>;

export const legacyDataSchema = z.object({
  v: z.literal(1),
  message_id: messageId.nullable().catch(null),
  in_reply_to: messageId.nullable().catch(null),
  references: z.array(messageId).max(200).catch([]),
  names: z.record(z.string(), shortText).catch({}),
  legacy_to: z.array(legacyMailbox).max(2_000).catch([]),
  legacy_cc: z.array(legacyMailbox).max(2_000).catch([]),
  reply_to: z.array(legacyMailbox).max(50).catch([]),
  fields: z
    .array(z.object({ name: z.enum(KEPT_FIELDS), value: shortText }))
    .max(50)
    .catch([]),
  report: reportSchema.nullable().catch(null).default(null),
});
export type LegacyData = z.infer<typeof legacyDataSchema>;

export const EMPTY_LEGACY_DATA: LegacyData = {
  v: 1,
  message_id: null,
  in_reply_to: null,
  references: [],
  names: {},
  legacy_to: [],
  legacy_cc: [],
  reply_to: [],
  fields: [],
  report: null,
};

/** What the bridge of the sender kept, or nothing where it is of another form. */
export function readLegacyData(extensions: Record<string, unknown> | null): LegacyData {
  const parsed = legacyDataSchema.safeParse(extensions?.smimp_bridge);
  return parsed.success ? parsed.data : EMPTY_LEGACY_DATA;
}
