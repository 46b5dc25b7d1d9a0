/**
 * What a mail program is given of an opened message, and the index of it. A legacy message that can be put together again is
 * shown as it was (originals.ts); everything else comes from the renderer, and of mail that the owner put in herself her
 * header fields are kept, because drafts carry Bcc and marks of their program.
 *
 * The same sealed message and cautions give the same bytes for ever, see RENDERER_VERSION.
 */
import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { gatewayFields, RENDERER_VERSION, type RendererVersion, renderMessage } from '../mime/from-email.ts';
import { removeForgedResults } from '../mime/gateway-data.ts';
import type { LegacyView } from '../mime/legacy-view.ts';
import { internalDateSchema, type Original, type OriginalErrorCode } from '../mime/original/format.ts';
import { fitBeside, packOriginal } from '../mime/original/pack.ts';
import { headerEnd, headerFields } from '../mime/structure/header-fields.ts';
import { type Trace, withTrace } from '../mime/trace.ts';
import { type Address, toMailbox } from '../smimp/address.ts';
import type { Attachment, ParsedBody } from '../smimp/email.ts';
import { toBase64 } from '../smimp/encoding.ts';
import type { MessageHeader } from '../smimp/header.ts';
import type { Caution } from '../smimp/open.ts';
import { readNotice } from './bridge-mark.ts';
import type { MailAccount } from './mail-account.ts';
import { type DatedHeader, findOriginal, ownDate, undisguisedFields, withCrlf } from './originals.ts';

/** An instant and the zone it was given in. */
export type InternalDate = { unixSeconds: number; zoneMinutes: number };

/** Whether what people wrote in a mail program is shown as it was, or attached to what is rendered of the body. */
export type OriginalDisplay = 'show' | 'attach';

/** `body`: the exact bytes that `content` was read from. */
export type OpenedContent = {
  header: MessageHeader;
  body: Uint8Array;
  content: ParsedBody;
  cautions: readonly Caution[];
  /** Who is shown as a mailbox of the old internet, as it was decided when the message was opened; null or absent: nobody. */
  legacyView?: LegacyView | null | undefined;
  /** What was found out when it was received, where that is kept. */
  trace?: Trace | null | undefined;
  /** As it was decided when the message was opened; absent: shown. */
  originals?: OriginalDisplay | undefined;
};

/** `original`: what became of the legacy message within, if there is one. */
export type Rendered = {
  raw: Buffer;
  original: 'none' | 'shown' | 'attached' | OriginalErrorCode;
};

const CAUTIONS: Readonly<Record<Caution | 'foreign-original', string>> = {
  'retired-key': 'This message is signed with a retired key of its sender.',
  'recipient-head-unknown':
    'The sender was shown keys of yours that you never published. A server may be lying; tell your operator.',
  'recipient-head-stale': 'The sender does not know your present keys, although they were published long before.',
  'foreign-original':
    'The mail that this message was made of does not say that it is from its sender. It is attached as it came.',
};

/** `header.original` of mail too large to be kept byte for byte: the owner's header fields, and the date she gave it. */
const fieldsSchema = z.object({
  format: z.literal('smimp-bridge/append/1'),
  fields: z.base64(),
  internal_date: internalDateSchema,
});
type OwnFields = z.infer<typeof fieldsSchema>;

const STRUCTURE_FIELD = /^(?:mime-version|content-.*)$/;

/** What `header.original` holds for a message put in by its owner. `bodyBytes`: of the body that was made of it. */
export function originalOf(
  raw: Buffer,
  made: { attachments: readonly Attachment[]; bodyBytes: number; date: InternalDate },
): Original | OwnFields {
  const internalDate = { unix_seconds: made.date.unixSeconds, zone_minutes: made.date.zoneMinutes };
  const packed = fitBeside(packOriginal({ raw, attachments: made.attachments, internalDate }), made.bodyBytes);
  if (packed !== null) return packed;
  const fields = selectFields(raw, (name) => !STRUCTURE_FIELD.test(name));
  return { format: 'smimp-bridge/append/1', fields: fields.toString('base64'), internal_date: internalDate };
}

/** Only the owner's own word is taken for what her mail looked like. */
function readOwnFields(header: DatedHeader, owner: Address): OwnFields | null {
  if (header.original === null || header.from !== owner || header.to !== owner) return null;
  const parsed = fieldsSchema.safeParse(header.original);
  return parsed.success ? parsed.data : null;
}

/** The message as mail programs see it. `version`: of the renderer by which its size and structure were stored. */
export function renderOpened(
  opened: OpenedContent,
  account: MailAccount,
  version: RendererVersion = RENDERER_VERSION,
): Rendered {
  const rendered = renderBelow(opened, account, version);
  if (opened.trace == null) return rendered;
  return { ...rendered, raw: withTrace(rendered.raw, opened.trace, account.address) };
}

/** The message without what was found out about it. */
function renderBelow(opened: OpenedContent, account: MailAccount, version: RendererVersion): Rendered {
  const { legacyView = null, originals = 'show' } = opened;
  const found = findOriginal(opened, account.address, legacyView);
  if (found.kind === 'own') return { raw: found.raw, original: 'shown' };
  if (found.kind === 'verified' && opened.cautions.length === 0 && originals === 'show')
    return { raw: belowResults(opened, withoutGatewayResults(found.raw, legacyView)), original: 'shown' };
  const by = { version, ...legacyView };
  if (found.kind === 'none') return { raw: renderParts(opened, account, by), original: 'none' };
  if (found.kind === 'broken') return { raw: renderParts(opened, account, by), original: found.code };
  const told = found.kind === 'foreign' ? [...opened.cautions, 'foreign-original' as const] : opened.cautions;
  const content = withOriginalAttached(withCautions(opened.content, told), found.raw);
  return { raw: renderMessage({ header: opened.header, content, notice: null, ...by }), original: 'attached' };
}

/** Nobody but the gateway itself speaks in the name of the one that is believed. `raw` is used up. */
function withoutGatewayResults(raw: Buffer, view: LegacyView | null): Buffer {
  return view === null ? raw : removeForgedResults(raw, [view.gatewayDomain]);
}

/** With what the gateway found out on top, where one took the message in. */
function belowResults({ header, content }: OpenedContent, raw: Buffer): Buffer {
  const fields = content.type === 'email' ? gatewayFields(header, content.value) : [];
  return fields.length === 0 ? raw : Buffer.concat([Buffer.from(fields.join(''), 'latin1'), raw]);
}

/** From the body. */
function renderParts(
  opened: OpenedContent,
  account: MailAccount,
  by: { version: RendererVersion } & Partial<LegacyView>,
): Buffer {
  const { header } = opened;
  const content = withCautions(opened.content, opened.cautions);
  const rendered = renderMessage({ header, content, notice: readNotice(account, opened), ...by });
  const own = readOwnFields(header, account.address);
  if (own === null) return rendered;
  const structure = selectFields(rendered, (name) => STRUCTURE_FIELD.test(name));
  const body = rendered.subarray(headerEnd(rendered));
  const fields = undisguisedFields(Buffer.from(own.fields, 'base64'), toMailbox(account.address));
  return Buffer.concat([fields, structure, Buffer.from('\r\n'), body]);
}

function withOriginalAttached(content: ParsedBody, raw: Buffer): ParsedBody {
  if (content.type !== 'email') return content;
  const type = { content_type: 'message/rfc822', content_id: null };
  const attachments = [...content.value.attachments, { file_name: 'original.eml', content: toBase64(raw), ...type }];
  return { type: 'email', value: { ...content.value, attachments } };
}

/** When the message came in, or what its owner said it was. */
export function internalDateOf(header: DatedHeader, owner: Address, receivedAt: Date): InternalDate {
  const date = ownDate(header, owner) ?? readOwnFields(header, owner)?.internal_date;
  if (date !== undefined) return { unixSeconds: date.unix_seconds, zoneMinutes: date.zone_minutes };
  return { unixSeconds: Math.floor(receivedAt.getTime() / 1000), zoneMinutes: 0 };
}

/** Warnings are for people, so they stand where people read. */
function withCautions(content: ParsedBody, cautions: readonly (keyof typeof CAUTIONS)[]): ParsedBody {
  if (cautions.length === 0) return content;
  const warning = cautions.map((caution) => `> **Caution:** ${CAUTIONS[caution]}\n\n`).join('');
  if (content.type === 'email')
    return { type: 'email', value: { ...content.value, body: warning + content.value.body } };
  if (content.type !== 'short-message') return content;
  return { type: 'short-message', value: { ...content.value, message: warning + content.value.message } };
}

/** Whole fields whose lower-case name is wanted, each line ending with CRLF. */
function selectFields(message: Buffer, wanted: (name: string) => boolean): Buffer {
  const pieces: Buffer[] = [];
  for (const { name, start, end } of headerFields(message, 0, headerEnd(message))) {
    if (wanted(name)) pieces.push(withCrlf(message.subarray(start, end)));
  }
  return Buffer.concat(pieces);
}
