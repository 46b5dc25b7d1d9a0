/**
 * The legacy message that a message was made of (docs/original.md): put together again, and shown only when it says of itself
 * what was verified. Of mail that the owner put in herself every byte is hers, also the From of others; but what mail of the
 * bridge is known by comes from nobody, so those fields go, and only then the header is written anew.
 */
import { Buffer } from 'node:buffer';
import { isReservedField, namesBridge } from '../mime/bridge-mail.ts';
import { type LegacyView, shownMailbox } from '../mime/legacy-view.ts';
import { ORIGINAL_FORMAT, type Original, OriginalError, type OriginalErrorCode } from '../mime/original/format.ts';
import { parseOriginal, rebuildOriginal } from '../mime/original/rebuild.ts';
import { isSentBy, originalIsFrom } from '../mime/original/trust.ts';
import { headerEnd, headerFields, unfoldedValue } from '../mime/structure/header-fields.ts';
import { type Address, addressParts, toMailbox } from '../smimp/address.ts';
import type { ParsedBody } from '../smimp/email.ts';
import type { MessageHeader } from '../smimp/header.ts';

/** `foreign`: it names another sender, or none. `broken`: there are no bytes. */
export type FoundOriginal =
  | { kind: 'none' }
  | { kind: 'own' | 'verified'; raw: Buffer }
  | { kind: 'foreign'; raw: Buffer }
  | { kind: 'broken'; code: OriginalErrorCode };

type Within = { header: MessageHeader; content: ParsedBody };

/** Never throws for what a sender wrote. `view`: of the gateway whose word is taken for who wrote from outside. */
export function findOriginal(
  { header, content }: Within,
  owner: Address,
  view: LegacyView | null = null,
): FoundOriginal {
  if (header.original?.format !== ORIGINAL_FORMAT || content.type !== 'email') return { kind: 'none' };
  try {
    const original = parseOriginal(header.original);
    const raw = rebuildOriginal(original, content.value.attachments);
    if (header.via === 'smtp_bridge') return throughGateway(raw, header.from, view, owner);
    const sender = toMailbox(header.from);
    if (isPutIn(header, original, owner)) return { kind: 'own', raw: withoutDisguise(raw, sender) };
    if (!originalIsFrom(raw, sender)) return { kind: 'foreign', raw };
    return { kind: 'verified', raw: withoutDisguise(raw, sender) };
  } catch (error) {
    if (!(error instanceof OriginalError)) throw error;
    return { kind: 'broken', code: error.code };
  }
}

/**
 * What a gateway took in names a mailbox of the old internet. It is shown as it came where the gateway is trusted with that
 * name; elsewhere nobody has verified it, and the message is shown under the identity that was. Nobody from outside writes on
 * behalf of people at the owner's own domain.
 */
function throughGateway(raw: Buffer, from: Address, view: LegacyView | null, owner: Address): FoundOriginal {
  const mailbox = isSentBy(raw, addressParts(owner).domain) ? null : shownMailbox(from, view);
  if (mailbox === null || !originalIsFrom(raw, mailbox, { anySender: true })) return { kind: 'none' };
  return { kind: 'verified', raw: withoutDisguise(raw, mailbox) };
}

/** What she sends herself by her mail program is received like any mail; what she puts in has the date that she gave it. */
function isPutIn({ from, to }: MessageHeader, { internal_date }: Original, owner: Address): boolean {
  return from === owner && to === owner && internal_date !== null;
}

/** Of a header what says when its owner put the message in. */
export type DatedHeader = Pick<MessageHeader, 'from' | 'to' | 'original'>;

/** When mail that its owner put in came, by her word; null for all other mail. */
export function ownDate(header: DatedHeader, owner: Address): Original['internal_date'] {
  if (header.original?.format !== ORIGINAL_FORMAT || header.from !== owner || header.to !== owner) return null;
  try {
    return parseOriginal(header.original).internal_date;
  } catch (error) {
    if (!(error instanceof OriginalError)) throw error;
    return null;
  }
}

const FROM = 'from';
const SENDER_FIELD = /^(?:resent-)?(?:from|sender|reply-to)$/;
/** More than any list of senders; what is longer is looked at up to here and left out when it goes on. */
const MAX_SENDER_BYTES = 16 * 1024;
/** A reserved field as anybody might read one, wherever a line could begin. */
const RESERVED_LINE = /(?:^|[\r\n])[\t ]*x-smimp/i;
const LF = 0x0a;
/** Of a header that is not all lines with CRLF. */
const UNUSUAL_LINE_END = /\r(?!\n)|(?<!\r)\n|[^\n]$/;

/** The message as it is, unless its header holds something by which mail of the bridge is known. */
export function withoutDisguise(raw: Buffer, sender: string): Buffer {
  const end = headerEnd(raw);
  if (!isDisguised(raw, end)) return raw;
  return Buffer.concat([undisguisedFields(raw.subarray(0, end), sender), Buffer.from('\r\n'), raw.subarray(end)]);
}

function isDisguised(raw: Buffer, end: number): boolean {
  const text = raw.toString('latin1', 0, end);
  if (RESERVED_LINE.test(text)) return true;
  // As it is, and as those read it who take a bare CR for the end of a line.
  const header = raw.subarray(0, end);
  return holdsDisguise(header) || (UNUSUAL_LINE_END.test(text) && holdsDisguise(withCrlf(header)));
}

function holdsDisguise(header: Buffer): boolean {
  return [...headerFields(header)].some((field) => SENDER_FIELD.test(field.name) && isDisguise(header, field));
}

function isDisguise(header: Buffer, field: Parameters<typeof unfoldedValue>[1]): boolean {
  if (field.end - field.start > MAX_SENDER_BYTES) return true;
  return namesBridge(unfoldedValue(header, field, MAX_SENDER_BYTES));
}

/** Fields without those by which mail of the bridge is known, in CRLF lines. Lines that are no field go as well. */
export function undisguisedFields(given: Buffer, sender: string): Buffer {
  const header = withCrlf(given);
  const pieces: Buffer[] = [];
  for (const field of headerFields(header, 0, headerEnd(header))) {
    const { name, start, end } = field;
    if (isReservedField(name)) continue;
    const disguised = SENDER_FIELD.test(name) && isDisguise(header, field);
    if (!disguised) pieces.push(withCrlf(header.subarray(start, end)));
    else if (name === FROM) pieces.push(Buffer.from(`From: ${sender}\r\n`, 'latin1'));
  }
  return Buffer.concat(pieces);
}

export function withCrlf(field: Buffer): Buffer {
  const text = field.toString('latin1').replace(/\r?\n|\r/g, '\r\n');
  return Buffer.from(field.at(-1) === LF ? text : `${text}\r\n`, 'latin1');
}
