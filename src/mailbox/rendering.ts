/**
 * What a mail program is given of an opened message, and the index of it. Received mail comes from the renderer; mail that
 * the owner put in herself (APPEND) also keeps her header fields, because drafts carry Bcc and marks of their program.
 *
 * The same sealed message and cautions give the same bytes for ever, see RENDERER_VERSION.
 */
import { z } from 'zod';
import { isReservedField, namesBridge } from '../mime/bridge-mail.ts';
import { renderMessage } from '../mime/from-email.ts';
import { headerEnd, headerFields, unfoldedValue } from '../mime/structure/header-fields.ts';
import { type Address, toMailbox } from '../smimp/address.ts';
import type { ParsedBody } from '../smimp/email.ts';
import type { MessageHeader } from '../smimp/header.ts';
import type { Caution } from '../smimp/open.ts';
import { readNotice } from './bridge-mark.ts';
import type { MailAccount } from './mail-account.ts';

/** An instant and the zone it was given in. */
export type InternalDate = { unixSeconds: number; zoneMinutes: number };

/** `body`: the exact bytes that `content` was read from. */
export type OpenedContent = {
  header: MessageHeader;
  body: Uint8Array;
  content: ParsedBody;
  cautions: readonly Caution[];
};

const CAUTIONS: Readonly<Record<Caution, string>> = {
  'retired-key': 'This message is signed with a retired key of its sender.',
  'recipient-head-unknown':
    'The sender was shown keys of yours that you never published. A server may be lying; tell your operator.',
  'recipient-head-stale': 'The sender does not know your present keys, although they were published long before.',
};

/** `header.original` of mail that the owner put in: her own header fields, and the date she gave it. */
const originalSchema = z.object({
  format: z.literal('smimp-bridge/append/1'),
  fields: z.base64(),
  internal_date: z.object({ unix_seconds: z.int(), zone_minutes: z.int() }),
});
type Original = z.infer<typeof originalSchema>;

const LF = 0x0a;
const STRUCTURE_FIELD = /^(?:mime-version|content-.*)$/;

/** What `header.original` holds for a message put in by its owner. */
export function originalOf(raw: Buffer, date: InternalDate): Original {
  const fields = selectFields(raw, (name) => !STRUCTURE_FIELD.test(name));
  return {
    format: 'smimp-bridge/append/1',
    fields: fields.toString('base64'),
    internal_date: { unix_seconds: date.unixSeconds, zone_minutes: date.zoneMinutes },
  };
}

/** Only the owner's own word is taken for what her mail looked like. */
function readOriginal(header: MessageHeader, owner: Address): Original | null {
  if (header.original === null || header.from !== owner || header.to !== owner) return null;
  const parsed = originalSchema.safeParse(header.original);
  return parsed.success ? parsed.data : null;
}

/** The bytes of the message. */
export function renderOpened(opened: OpenedContent, account: MailAccount): Buffer {
  const { header } = opened;
  const content = withCautions(opened.content, opened.cautions);
  const rendered = renderMessage({ header, content, notice: readNotice(account, opened) });
  const original = readOriginal(header, account.address);
  if (original === null) return rendered;
  const structure = selectFields(rendered, (name) => STRUCTURE_FIELD.test(name));
  const body = rendered.subarray(headerEnd(rendered));
  const fields = withoutDisguise(Buffer.from(original.fields, 'base64'), account.address);
  return Buffer.concat([fields, structure, Buffer.from('\r\n'), body]);
}

const FROM = 'from';
const SENDER_FIELD = /^(?:resent-)?(?:from|sender|reply-to)$/;
/** More than any list of senders; what is longer is looked at up to here and left out when it goes on. */
const MAX_SENDER_BYTES = 16 * 1024;

/** The owner's own fields, without those by which mail of the bridge is known. Lines that are no field go as well. */
function withoutDisguise(given: Buffer, owner: Address): Buffer {
  const header = withCrlf(given);
  const pieces: Buffer[] = [];
  for (const field of headerFields(header, 0, headerEnd(header))) {
    const { name, start, end } = field;
    if (isReservedField(name)) continue;
    const long = end - start > MAX_SENDER_BYTES;
    const disguised = SENDER_FIELD.test(name) && (long || namesBridge(unfoldedValue(header, field, MAX_SENDER_BYTES)));
    if (!disguised) pieces.push(withCrlf(header.subarray(start, end)));
    else if (name === FROM) pieces.push(Buffer.from(`From: ${toMailbox(owner)}\r\n`, 'latin1'));
  }
  return Buffer.concat(pieces);
}

/** When the message came in, or what its owner said it was. */
export function internalDateOf(header: MessageHeader, owner: Address, receivedAt: Date): InternalDate {
  const date = readOriginal(header, owner)?.internal_date;
  if (date !== undefined) return { unixSeconds: date.unix_seconds, zoneMinutes: date.zone_minutes };
  return { unixSeconds: Math.floor(receivedAt.getTime() / 1000), zoneMinutes: 0 };
}

/** Warnings are for people, so they stand where people read. */
function withCautions(content: ParsedBody, cautions: readonly Caution[]): ParsedBody {
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

function withCrlf(field: Buffer): Buffer {
  const text = field.toString('latin1').replace(/\r?\n|\r/g, '\r\n');
  return Buffer.from(field.at(-1) === LF ? text : `${text}\r\n`, 'latin1');
}
