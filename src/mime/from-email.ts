/**
 * A message that was opened, as MIME for a mail program. The same message gives the same bytes for ever: a change here
 * that changes any output must raise RENDERER_VERSION, because sizes and structures are stored.
 */
import { Buffer } from 'node:buffer';
import { type Address, type Domain, isAddress, toMailbox } from '../smimp/address.ts';
import { hash, hashLatin1 } from '../smimp/crypto.ts';
import type { Attachment, EmailBody, ParsedBody, ShortMessageBody } from '../smimp/email.ts';
import { type Hex32, parseTimestamp, type Timestamp } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { decodeLegacy } from '../smimp/gateway.ts';
import { pae, text } from '../smimp/transcript.ts';
import { bridgeMailbox, modest, NOTICE_FIELD, type NoticeKind, resemblesBridge } from './bridge-mail.ts';
import { formatMailDate } from './date.ts';
import { addressField, isMessageId, type Mailbox, parameterField, textField, tokenField } from './headers.ts';
import { type LegacyData, readLegacyData } from './legacy-data.ts';
import { markdownToHtml } from './markdown-to-html.ts';
import { markdownToText } from './markdown-to-text.ts';
import { Base64Body, type Entity, isSafeRaw, textEntity, writeMessage } from './mime-writer.ts';
import { reportEntity } from './report.ts';
import { cleanLine, cleanText, truncate } from './text.ts';
import { textToMarkdown } from './text-to-markdown.ts';
import { renderedMessageId, uidOfMessageId } from './threads.ts';

/** Stored beside what was rendered. */
export const RENDERER_VERSION = 2;

export interface RenderedHeader {
  from: Address;
  to: Address;
  uid: Hex32;
  sent: Timestamp;
}

export interface RenderOptions {
  header: RenderedHeader;
  content: ParsedBody;
  /** Of mail that the bridge itself sealed to its owner, what it is: only then is a report believed. Null for all other mail. */
  notice: NoticeKind | null;
  /** Of the gateway whose coded addresses are shown decoded; null for none. */
  gatewayDomain?: Domain | null;
}

/** Whether people see this kind of message in their inbox. */
export function isShown(content: ParsedBody): boolean {
  return content.type !== 'opaque';
}

export function renderMessage(options: RenderOptions): Buffer {
  const { content } = options;
  switch (content.type) {
    case 'email':
      return renderEmail(options, content.value);
    case 'short-message':
      return renderEmail(options, shortMessageEmail(options.header, content.value));
    case 'opaque':
      return renderEmail(options, plainEmail(options.header, '', '', []));
    default:
      return renderEmail(options, plainEmail(options.header, 'A secret key was received', SECRET_NOTICE, []));
  }
}

const MAX_SHORT_SUBJECT_CHARS = 78;
const SECRET_NOTICE =
  'A secret key was sent to you. It is not shown here and nothing was done with it. If you expect it, confirm it in the ' +
  'program that is to use it; if not, delete this message.';

/** A short message has no subject: its first line stands for one. */
function shortMessageEmail(header: RenderedHeader, { message, attachments }: ShortMessageBody): EmailBody {
  const firstLine = cleanLine(message.trimStart().split('\n', 1)[0] ?? '');
  return plainEmail(header, truncate(firstLine, MAX_SHORT_SUBJECT_CHARS), message, attachments);
}

/** The body of an email from text as people write it, without marks. */
function plainEmail(header: RenderedHeader, subject: string, message: string, attachments: Attachment[]): EmailBody {
  return {
    to: [header.to],
    cc: [],
    subject,
    thread_id: header.uid,
    reply_to_message_id: null,
    date_sent: header.sent,
    body: textToMarkdown(cleanText(message)),
    signature_text: null,
    attachments,
    extensions_data: null,
    reply_to: null,
    auto_reply_address: null,
  };
}

function renderEmail(options: RenderOptions, body: EmailBody): Buffer {
  const legacy = readLegacyData(body.extensions_data);
  const notice = options.header.from === options.header.to ? options.notice : null;
  const report = legacy.report !== null && legacy.report.kind === notice ? legacy.report : null;
  const fields = headerFields({ ...options, notice }, body, { ...legacy, report });
  const root = report === null ? bodyEntity(body) : reportEntity(report, { from: options.header.from, body });
  return writeMessage(fields, root, seedOf(options.header, body));
}

/** Of everything that could hold a boundary. */
function seedOf({ uid }: RenderedHeader, body: EmailBody): Buffer {
  const contents = body.attachments.map(({ content }) => hashLatin1(content));
  return hash(pae([text(uid), text(body.body), text(body.signature_text ?? ''), ...contents]));
}

function headerFields(options: RenderOptions, body: EmailBody, legacy: LegacyData): string[] {
  const { header } = options;
  const people = (addresses: readonly Address[], beside: readonly Mailbox[]): Mailbox[] => [
    ...addresses.map((address) => mailboxOf(address, legacy, options.gatewayDomain ?? null)),
    ...beside,
  ];
  const to = people(body.to, legacy.legacy_to);
  const cc = people(body.cc, legacy.legacy_cc);
  const replyTo = (body.reply_to === null ? legacy.reply_to : people([body.reply_to], [])).map(modest);
  return [
    tokenField('Date', formatMailDate(parseTimestamp(body.date_sent)).split(' ')),
    addressField('From', [senderOf(options, legacy)]),
    addressField('To', to),
    ...(cc.length === 0 ? [] : [addressField('Cc', cc)]),
    ...(replyTo.length === 0 ? [] : [addressField('Reply-To', replyTo)]),
    textField('Subject', body.subject),
    ...threadFields(header, body, legacy),
    ...legacy.fields.map(({ name, value }) => textField(capitalised(name), value)),
    ...noticeFields(options.notice, legacy),
  ];
}

/** Marks that mail from outside never has: see bridge-mail.ts. */
function noticeFields(notice: NoticeKind | null, { report }: LegacyData): string[] {
  if (notice === null) return [];
  const cause = report === null ? 'auto-generated' : 'auto-replied';
  return [tokenField('Auto-Submitted', [cause]), tokenField(NOTICE_FIELD, [notice])];
}

/** Mail of the bridge comes from the bridge, not from oneself; and nobody else comes under its name. */
function senderOf({ header, notice, gatewayDomain }: RenderOptions, legacy: LegacyData): Mailbox {
  return notice === null ? modest(mailboxOf(header.from, legacy, gatewayDomain ?? null)) : bridgeMailbox(header.from);
}

function threadFields({ uid }: RenderedHeader, body: EmailBody, legacy: LegacyData): string[] {
  const own = isOwnId(legacy.message_id, uid) ? legacy.message_id : renderedMessageId(uid);
  const known = legacy.in_reply_to !== null && isMessageId(legacy.in_reply_to) ? legacy.in_reply_to : null;
  const parent = known ?? (body.reply_to_message_id === null ? null : renderedMessageId(body.reply_to_message_id));
  const references = legacy.references.filter(isMessageId);
  const thread = references.length > 0 ? references : parent === null ? [] : [parent];
  return [
    tokenField('Message-ID', [own]),
    ...(parent === null ? [] : [tokenField('In-Reply-To', [parent])]),
    ...(thread.length === 0 ? [] : [tokenField('References', thread)]),
  ];
}

/** A Message-ID that names the uid of another message is not believed. */
function isOwnId(messageId: string | null, uid: Hex32): messageId is string {
  if (messageId === null || !isMessageId(messageId)) return false;
  const named = uidOfMessageId(messageId);
  return named === null || named === uid;
}

const capitalised = (name: string): string =>
  name.replace(/(^|-)([a-z])/g, (_all, dash: string, letter: string) => dash + letter.toUpperCase());

function mailboxOf(address: Address, { names }: LegacyData, gatewayDomain: Domain | null): Mailbox {
  const name = Object.hasOwn(names, address) ? (names[address] ?? '') : '';
  return { name, address: legacyOf(address, gatewayDomain) ?? toMailbox(address) };
}

function legacyOf(address: Address, gatewayDomain: Domain | null): string | null {
  if (gatewayDomain === null || !isAddress(address)) return null;
  try {
    const legacy = decodeLegacy(address, gatewayDomain);
    return resemblesBridge(legacy.slice(0, legacy.lastIndexOf('@'))) ? null : legacy;
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    return null;
  }
}

/** mixed( alternative( plain, related( html, pictures ) ), attachments ), each level only where it is needed. */
function bodyEntity(body: EmailBody): Entity {
  const signature = body.signature_text === null ? '' : `\n-- \n${body.signature_text}\n`;
  const plain = textEntity('text/plain', `${markdownToText(body.body)}\n${signature}`);
  const isInline = ({ content_id }: Attachment): boolean => content_id !== null && isPictured(content_id, body.body);
  const inline = body.attachments.filter(isInline);
  const html = textEntity('text/html', markdownToHtml(body.body, body.signature_text));
  const shown =
    inline.length === 0
      ? html
      : { subtype: 'related', children: [html, ...inline.map((file) => fileEntity(file, 'inline'))] };
  const readable: Entity = { subtype: 'alternative', children: [plain, shown] };
  const attached = body.attachments.filter((file) => !isInline(file));
  if (attached.length === 0) return readable;
  return { subtype: 'mixed', children: [readable, ...attached.map((file) => fileEntity(file, 'attachment'))] };
}

/** Whether the text shows the attachment: `![…](cid:…)`, with or without `<…>`, as written or percent-encoded. */
function isPictured(id: string, markdown: string): boolean {
  const spellings = [id, id.replace(/\(/g, '%28').replace(/\)/g, '%29')];
  return (
    isContentId(id) && spellings.some((cid) => markdown.includes(`](cid:${cid}`) || markdown.includes(`](<cid:${cid}`))
  );
}

const isContentId = (id: string): boolean => /^[\x21-\x3b\x3d\x3f-\x7e]{1,400}$/.test(id);

function fileEntity(file: Attachment, disposition: 'inline' | 'attachment'): Entity {
  const name = cleanLine(file.file_name).replace(/[/\\]/g, '_') || 'attachment';
  const { type, parameters } = safeType(file.content_type);
  const named = [...parameters, { name: 'name', value: name, style: 'words' as const }];
  const id = file.content_id !== null && isContentId(file.content_id) ? [`Content-ID: <${file.content_id}>\r\n`] : [];
  const raw = type === 'message/rfc822' ? Buffer.from(file.content, 'base64') : null;
  const embedded = raw !== null && isSafeRaw(raw);
  const fields = [
    parameterField('Content-Type', raw !== null && !embedded ? 'application/octet-stream' : type, named),
    `Content-Transfer-Encoding: ${embedded ? '8bit' : 'base64'}\r\n`,
    parameterField('Content-Disposition', disposition, [{ name: 'filename', value: name }]),
    ...id,
  ];
  return { fields, body: embedded && raw !== null ? raw : new Base64Body(file.content) };
}

const TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/;
const PARAMETER = /^\s*([a-z0-9-]{1,64})="?([\x20\x21\x23-\x5b\x5d-\x7e]{1,200})"?\s*$/i;

/** A type that cannot change the structure around it. */
function safeType(declared: string): { type: string; parameters: { name: string; value: string }[] } {
  const [first = '', ...rest] = declared.split(';');
  const type = first.trim().toLowerCase();
  const isStructure = type.startsWith('multipart/') || (type.startsWith('message/') && type !== 'message/rfc822');
  if (!TYPE.test(type) || isStructure) return { type: 'application/octet-stream', parameters: [] };
  const parameters = rest.flatMap((piece) => {
    const [, name, value] = PARAMETER.exec(piece) ?? [];
    return name === undefined || value === undefined
      ? []
      : [{ name: name.toLowerCase(), value: value.replace(/"$/, '') }];
  });
  return { type, parameters: parameters.filter(({ name }) => name !== 'boundary' && name !== 'name').slice(0, 10) };
}
