/**
 * A legacy message as the body of an `email` (SMIMP 0.1 §4.1). Bcc never enters. What has no place in the body is kept in
 * `extensions_data` (legacy-data.ts).
 */
import { Buffer } from 'node:buffer';
import { domainToASCII } from 'node:url';
import { type Address, addressParts, type Domain, fromMailbox } from '../smimp/address.ts';
import type { Attachment, EmailBody } from '../smimp/email.ts';
import { type Base64, formatTimestamp, type Hex32 } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { encodeLegacy } from '../smimp/gateway.ts';
import { parseMailDate } from './date.ts';
import { decodeMailboxes, decodeMessageIds, decodeText, type Mailbox } from './headers.ts';
import { htmlToMarkdown, type OnDataImage } from './html-to-markdown.ts';
import { EMPTY_LEGACY_DATA, KEPT_FIELDS, type LegacyData } from './legacy-data.ts';
import type { MailPart, ParsedMail } from './parse.ts';
import { type SelectedText, selectParts } from './select.ts';
import { cleanLine, cleanText, truncate } from './text.ts';
import { textToMarkdown } from './text-to-markdown.ts';
import { renderedMessageId, threadIdOf, uidOfMessageId } from './threads.ts';
import { unnamedFile } from './unnamed-file.ts';

const MAX_SUBJECT_CHARS = 4_000;
const MAX_REFERENCES = 100;
const MAX_KEPT_VALUE_CHARS = 4_000;
const MAX_FILE_NAME_CHARS = 255;
const SIGNATURE_MARK = '\n-- \n';
const SIGNATURE_FENCE = '```\n-- \n';
const FENCE = '\n```';
/** Of a Content-Type, what the next reader needs; the boundary and the name go their own ways. */
const KEPT_PARAMETERS = new Set([
  'charset',
  'method',
  'format',
  'delsp',
  'component',
  'protocol',
  'micalg',
  'report-type',
  'smime-type',
  'profile',
  // Of pieces of messages, and of bodies that are elsewhere (RFC 2046 §5.2).
  ...['id', 'number', 'total', 'access-type', 'url', 'expiration', 'size', 'server', 'site', 'directory', 'mode'],
]);

export interface ToEmailOptions {
  mail: ParsedMail;
  /** Who sends it; for the name in From. */
  from: Address;
  uid: Hex32;
  /** The uid of the message that this one answers, where the caller knows it: see `parentMessageId`. */
  parentUid: Hex32 | null;
  /** Under whose domain people without SMIMP appear; null without a gateway. */
  gatewayDomain: Domain | null;
  /** The domains of which a gateway knows that they speak SMIMP; absent: whoever can be an SMIMP address is one. */
  smimpDomains?: readonly string[];
  /** The domains that a home reaches through its gateway: their people appear under its coding, and nobody else. */
  legacyDomains?: ReadonlySet<string>;
  /** Unix seconds, for a message without a date. */
  now: number;
}

/** What a reader sees of a message that was not taken apart. */
const KEPT_WHOLE: SelectedText = {
  kind: 'plain',
  text: 'This message is too complex to be shown. It is attached as it came.',
};

/** The message that this one answers, as its Message-ID. */
export function parentMessageId({ fields }: ParsedMail): string | null {
  const answered = decodeMessageIds(fieldValue(fields, 'in-reply-to'))[0];
  return answered ?? decodeMessageIds(fieldValue(fields, 'references')).at(-1) ?? null;
}

/** The legacy Message-ID, or null where there is none. */
export function ownMessageId({ fields }: ParsedMail): string | null {
  return decodeMessageIds(fieldValue(fields, 'message-id'))[0] ?? null;
}

export function toEmailBody(options: ToEmailOptions): EmailBody {
  const { mail, uid, parentUid, now } = options;
  const { fields, charset } = mail;
  const { texts, attachments } = selectParts(mail.root, charset);
  const { markdown, signature, pictures } = bodyOf(mail.degraded === null ? texts : [KEPT_WHOLE]);
  const to = divide(decodeMailboxes(joinedValues(fields, 'to'), charset), options);
  const cc = divide(decodeMailboxes(joinedValues(fields, 'cc'), charset), options);
  const parent = parentMessageId(mail);
  const messageId = ownMessageId(mail) ?? renderedMessageId(uid);
  const references = boundedReferences(decodeMessageIds(fieldValue(fields, 'references')));
  const root = references[0] ?? parent ?? messageId;
  const replyTo = divide(decodeMailboxes(fieldValue(fields, 'reply-to'), charset), options);
  const legacy: LegacyData = {
    ...EMPTY_LEGACY_DATA,
    message_id: ownMessageId(mail),
    in_reply_to: parent,
    references,
    names: dictionary([...to.names, ...cc.names, ...replyTo.names, ...nameOf(options)]),
    legacy_to: to.legacy,
    legacy_cc: cc.legacy,
    reply_to: replyTo.addresses.length + replyTo.legacy.length > 1 || replyTo.legacy.length > 0 ? replyTo.all : [],
    fields: keptFields(mail),
  };
  return {
    to: to.addresses,
    cc: cc.addresses,
    subject: truncate(decodeText(fieldValue(fields, 'subject'), charset), MAX_SUBJECT_CHARS),
    thread_id: threadIdOf(root),
    reply_to_message_id: parentUid ?? (parent === null ? null : uidOfMessageId(parent)),
    date_sent: formatTimestamp(parseMailDate(fieldValue(fields, 'date')) ?? now),
    body: markdown,
    signature_text: signature,
    attachments: [...attachments.map(attachmentOf), ...pictures],
    extensions_data: { smimp_bridge: legacy },
    reply_to: replyTo.addresses.length === 1 && replyTo.legacy.length === 0 ? (replyTo.addresses[0] ?? null) : null,
    auto_reply_address: null,
  };
}

type Fields = ParsedMail['fields'];

function fieldValue(fields: Fields, name: string): string {
  return fields.find((field) => field.name === name)?.value ?? '';
}

/** Lists of addresses may not be repeated (RFC 5322 §3.6), but are; nobody in them is lost. */
function joinedValues(fields: Fields, name: string): string {
  const values = fields.filter((field) => field.name === name).map(({ value }) => value);
  return values.filter((value) => value !== '').join(', ');
}

/** The first one names the thread, the last ones the nearest messages. */
function boundedReferences(references: string[]): string[] {
  return references.length <= MAX_REFERENCES
    ? references
    : [...references.slice(0, 1), ...references.slice(1 - MAX_REFERENCES)];
}

/** The name in From, when From is the sender; another From was refused before. */
function nameOf(options: ToEmailOptions): [Address, string][] {
  const { mail, from } = options;
  const mailboxes = decodeMailboxes(fieldValue(mail.fields, 'from'), mail.charset);
  const sender = mailboxes.find(({ address }) => addressOf(address, options) === from);
  return sender === undefined || sender.name === '' ? [] : [[from, sender.name]];
}

/** Of keys that are different in each message: an object with a prototype would be a class of its own for each set of them. */
function dictionary(entries: readonly [string, string][]): Record<string, string> {
  const names = Object.create(null) as Record<string, string>;
  for (const [key, value] of entries) names[key] = value;
  return names;
}

/** Null for what is no address. */
function orNull<T>(make: () => T): T | null {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    return null;
  }
}

interface Divided {
  addresses: Address[];
  legacy: Mailbox[];
  all: Mailbox[];
  names: Map<Address, string>;
}

/** Who can be an SMIMP address is one; others appear under the gateway's coding, or, without a gateway, beside the body. */
function divide(mailboxes: readonly Mailbox[], options: Coding): Divided {
  const divided: Divided = { addresses: [], legacy: [], all: [...mailboxes], names: new Map() };
  for (const mailbox of mailboxes) {
    const address = addressOf(mailbox.address, options);
    if (address === null) divided.legacy.push(mailbox);
    else if (!divided.addresses.includes(address)) divided.addresses.push(address);
    if (address !== null && mailbox.name !== '') divided.names.set(address, mailbox.name);
  }
  return divided;
}

type Coding = Pick<ToEmailOptions, 'gatewayDomain' | 'smimpDomains' | 'legacyDomains'>;

function addressOf(mailbox: string, { gatewayDomain, smimpDomains, legacyDomains }: Coding): Address | null {
  const address = orNull(() => fromMailbox(mailbox));
  if (legacyDomains !== undefined)
    return legacyDomains.has(domainOf(mailbox)) ? codedAddress(mailbox, gatewayDomain) : address;
  const speaksSmimp = address !== null && (smimpDomains?.includes(addressParts(address).domain) ?? true);
  return speaksSmimp ? address : codedAddress(mailbox, gatewayDomain);
}

function codedAddress(mailbox: string, gatewayDomain: Domain | null): Address | null {
  return gatewayDomain === null ? null : orNull(() => encodeLegacy(mailbox, gatewayDomain));
}

/** As a set of domains has them: A-labels, small letters. */
const domainOf = (mailbox: string): string => domainToASCII(mailbox.slice(mailbox.lastIndexOf('@') + 1));

/** More domains in one message are not asked about. */
const MAX_DOMAINS = 200;

/** Of everybody who is named as a recipient, each once. */
export function recipientDomains({ fields, charset }: ParsedMail): string[] {
  const values = ['to', 'cc', 'reply-to'].map((name) => joinedValues(fields, name));
  const mailboxes = values.flatMap((value) => decodeMailboxes(value, charset));
  return [...new Set(mailboxes.map(({ address }) => domainOf(address)))].slice(0, MAX_DOMAINS);
}

function keptFields({ fields, charset }: ParsedMail): LegacyData['fields'] {
  const names: ReadonlySet<string> = new Set(KEPT_FIELDS);
  return fields
    .filter(({ name }) => names.has(name))
    .slice(0, KEPT_FIELDS.length)
    .map(({ name, value }) => ({
      name: name as (typeof KEPT_FIELDS)[number],
      value: truncate(decodeText(value, charset), MAX_KEPT_VALUE_CHARS),
    }));
}

/** Plain text gives its signature up; within HTML of others there is no telling where one begins. */
function bodyOf(texts: readonly SelectedText[]): {
  markdown: string;
  signature: string | null;
  pictures: Attachment[];
} {
  const [only] = texts;
  if (texts.length === 1 && only?.kind === 'plain') {
    const { text, signature } = splitSignature(cleanText(only.text));
    return { markdown: textToMarkdown(text), signature, pictures: [] };
  }
  const pictures: Attachment[] = [];
  const keep: OnDataImage = (picture) => keepPicture(pictures, picture);
  const pieces = texts.map(({ kind, text }) => {
    const clean = cleanText(text);
    // Character references of HTML may name anything, so what they gave is cleaned again.
    return kind === 'html' ? cleanText(htmlToMarkdown(clean, keep)) : textToMarkdown(clean);
  });
  const markdown = pieces.filter((piece) => piece !== '').join('\n\n');
  return { ...splitPreformattedSignature(markdown), pictures };
}

/** A signature as markdown-to-html.ts writes it, at the end and preformatted. */
function splitPreformattedSignature(markdown: string): { markdown: string; signature: string | null } {
  const at = markdown.lastIndexOf(SIGNATURE_FENCE);
  const signature = markdown.slice(at + SIGNATURE_FENCE.length, -FENCE.length);
  const isLast =
    at >= 0 &&
    markdown.endsWith(FENCE) &&
    !signature.includes('```') &&
    (at === 0 || markdown.slice(0, at).endsWith('\n\n'));
  return isLast ? { markdown: markdown.slice(0, at).trimEnd(), signature } : { markdown, signature: null };
}

/** A picture that stood in the HTML itself becomes an attachment like any other. */
function keepPicture(pictures: Attachment[], { contentType, base64 }: Parameters<OnDataImage>[0]): string {
  const content = Buffer.from(base64, 'base64').toString('base64') as Base64;
  const number = pictures.length + 1;
  const contentId = `picture-${number}@smimp.invalid`;
  const extension = contentType.replace(/^image\/|\+.*$/g, '');
  pictures.push({
    file_name: `picture-${number}.${extension}`,
    content,
    content_type: contentType,
    content_id: contentId,
  });
  return contentId;
}

/** RFC 3676 §4.3: the last `-- ` line begins the signature. */
function splitSignature(text: string): { text: string; signature: string | null } {
  const marked = `\n${text}`;
  const at = marked.lastIndexOf(SIGNATURE_MARK);
  if (at < 0) return { text, signature: null };
  const signature = marked.slice(at + SIGNATURE_MARK.length).replace(/(?<!\n)\n+$/, '');
  return { text: marked.slice(1, Math.max(at, 1)), signature: signature === '' ? null : signature };
}

function attachmentOf(part: MailPart): Attachment {
  const { buffer, byteOffset, byteLength } = part.content;
  return {
    file_name: fileNameOf(part),
    content: Buffer.from(buffer, byteOffset, byteLength).toString('base64') as Base64,
    content_type: contentTypeOf(part),
    content_id: part.contentId,
  };
}

function fileNameOf({ fileName, contentType }: MailPart): string {
  const name = truncate(cleanLine(fileName ?? '').replace(/[/\\]/g, '_'), MAX_FILE_NAME_CHARS);
  return name === '' ? unnamedFile(contentType) : name;
}

function contentTypeOf({ contentType, parameters }: MailPart): string {
  const kept = [...parameters].filter(
    ([name, value]) => KEPT_PARAMETERS.has(name) && /^[\x20-\x7e]{1,200}$/.test(value),
  );
  return [contentType, ...kept.map(([name, value]) => `${name}="${value.replace(/["\\]/g, '')}"`)].join('; ');
}
