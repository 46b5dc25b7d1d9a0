/**
 * A message that was opened, as MIME for a mail program. The same message gives the same bytes for ever: a change here
 * that changes any output must raise RENDERER_VERSION, because sizes and structures are stored.
 */
import type { Buffer } from 'node:buffer';
import { type Address, addressParts, type Domain, toMailbox } from '../smimp/address.ts';
import { hash, hashLatin1 } from '../smimp/crypto.ts';
import type { Attachment, EmailBody, ParsedBody, ShortMessageBody } from '../smimp/email.ts';
import { type Hex32, parseTimestamp, type Timestamp } from '../smimp/encoding.ts';
import { pae, text } from '../smimp/transcript.ts';
import { bridgeMailbox, modest, NOTICE_FIELD, type NoticeKind } from './bridge-mail.ts';
import { formatMailDate } from './date.ts';
import { authenticationResults, readGatewayData } from './gateway-data.ts';
import { ANY_ADDRESS, addressField, isMessageId, type Mailbox, textField, tokenField } from './headers.ts';
import { type LegacyData, type Report, readLegacyData } from './legacy-data.ts';
import { type LegacyView, shownMailbox } from './legacy-view.ts';
import { writeMessage } from './mime-writer.ts';
import { bodyEntity2 } from './rendered-parts-2.ts';
import { bodyEntity3 } from './rendered-parts-3.ts';
import { reportEntity } from './report.ts';
import { cleanLine, cleanText, truncate } from './text.ts';
import { textToMarkdown } from './text-to-markdown.ts';
import { renderedMessageId, uidOfMessageId } from './threads.ts';

/** Stored beside what was rendered. Each gives for ever what it gave when it was the newest. */
export type RendererVersion = 2 | 3;
export const RENDERER_VERSION: RendererVersion = 3;

/** Of a number that was stored; null for a version that this program does not have. */
export function parseRendererVersion(stored: number): RendererVersion | null {
  return stored === 2 || stored === 3 ? stored : null;
}

export interface RenderedHeader {
  from: Address;
  to: Address;
  uid: Hex32;
  sent: Timestamp;
  /** How it came to its sender's server; absent: from the sender herself. */
  via?: 'smtp_bridge' | 'import' | null;
}

export interface RenderOptions {
  header: RenderedHeader;
  content: ParsedBody;
  /** Of mail that the bridge itself sealed to its owner, what it is: only then is a report believed. Null for all other mail. */
  notice: NoticeKind | null;
  /** Of the gateway whose coded addresses are shown decoded; null for none. */
  gatewayDomain?: Domain | null;
  /** Domains whose people are shown under the coding all the same, see legacy-view.ts. */
  codedDomains?: readonly string[];
  /** The newest where it is not said. */
  version?: RendererVersion;
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
  const report = isBelieved(legacy.report, { ...options, notice }) ? legacy.report : null;
  const fields = headerFields({ ...options, notice }, body, { ...legacy, report });
  const bodyEntity = (options.version ?? RENDERER_VERSION) === 2 ? bodyEntity2 : bodyEntity3;
  const root = report === null ? bodyEntity(body) : reportEntity(report, { from: options.header.from, body });
  return writeMessage(fields, root, seedOf(options.header, body));
}

/** A report of the bridge to its owner, or of the gateway about the very person whose identity it comes from. */
function isBelieved(report: Report | null, options: RenderOptions): report is Report {
  if (report === null || report.kind === options.notice) return report !== null;
  return options.notice === null && report.recipient === shownMailbox(options.header.from, viewOf(options));
}

/** Of everything that could hold a boundary. */
function seedOf({ uid }: RenderedHeader, body: EmailBody): Buffer {
  const contents = body.attachments.map(({ content }) => hashLatin1(content));
  return hash(pae([text(uid), text(body.body), text(body.signature_text ?? ''), ...contents]));
}

function headerFields(options: RenderOptions, body: EmailBody, legacy: LegacyData): string[] {
  const { header } = options;
  const people = (addresses: readonly Address[], beside: readonly Mailbox[]): Mailbox[] => [
    ...addresses.map((address) => mailboxOf(address, legacy, viewOf(options))),
    ...beside,
  ];
  const addresses = (name: string, mailboxes: readonly Mailbox[]): string =>
    addressField(name, mailboxes, options.version === 2 ? undefined : ANY_ADDRESS);
  const to = people(body.to, legacy.legacy_to);
  const cc = people(body.cc, legacy.legacy_cc);
  const replyTo = (body.reply_to === null ? legacy.reply_to : people([body.reply_to], [])).map(modest);
  return [
    ...gatewayFields(header, body),
    tokenField('Date', formatMailDate(parseTimestamp(body.date_sent)).split(' ')),
    addressField('From', [senderOf(options, legacy)]),
    addresses('To', to),
    ...(cc.length === 0 ? [] : [addresses('Cc', cc)]),
    ...(replyTo.length === 0 ? [] : [addresses('Reply-To', replyTo)]),
    textField('Subject', body.subject),
    ...threadFields(header, body, legacy),
    ...legacy.fields.map(({ name, value }) => textField(capitalised(name), value)),
    ...noticeFields(options.notice, legacy),
  ];
}

/** What a gateway found out about mail of the old internet, in its own name (SMIMP 0.1 §6). */
export function gatewayFields({ from, via = null }: Pick<RenderedHeader, 'from' | 'via'>, body: EmailBody): string[] {
  const data = readGatewayData(body.extensions_data, { from, via });
  return data === null
    ? []
    : [tokenField('Authentication-Results', authenticationResults(addressParts(from).domain, data))];
}

/** Marks that mail from outside never has: see bridge-mail.ts. */
function noticeFields(notice: NoticeKind | null, { report }: LegacyData): string[] {
  if (notice === null) return [];
  const cause = report === null ? 'auto-generated' : 'auto-replied';
  return [tokenField('Auto-Submitted', [cause]), tokenField(NOTICE_FIELD, [notice])];
}

/** Mail of the bridge comes from the bridge, not from oneself; and nobody else comes under its name. */
function senderOf(options: RenderOptions, legacy: LegacyData): Mailbox {
  const { from } = options.header;
  return options.notice === null ? modest(mailboxOf(from, legacy, viewOf(options))) : bridgeMailbox(from);
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

function mailboxOf(address: Address, { names }: LegacyData, view: LegacyView | null): Mailbox {
  const name = Object.hasOwn(names, address) ? (names[address] ?? '') : '';
  return { name, address: shownMailbox(address, view) ?? toMailbox(address) };
}

function viewOf({ gatewayDomain = null, codedDomains = [] }: RenderOptions): LegacyView | null {
  return gatewayDomain === null ? null : { gatewayDomain, codedDomains };
}
