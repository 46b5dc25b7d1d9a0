/**
 * A message as it leaves a gateway for the old internet (SMIMP 0.1 §6): the legacy message that it was made of, byte for byte,
 * when that says of itself what was verified (docs/original.md), else rendered. People stand under their mail addresses; there
 * is one trace field (RFC 5321 §4.4), and nothing that is only meant inside: no Bcc, no field of the bridge.
 */
import { Buffer } from 'node:buffer';
import { addressParts, type Domain, parseAddress, toMailbox } from '../smimp/address.ts';
import type { ParsedBody } from '../smimp/email.ts';
import { ProfileError } from '../smimp/errors.ts';
import { decodeLegacy } from '../smimp/gateway.ts';
import type { MessageHeader } from '../smimp/header.ts';
import { isReservedField } from './bridge-mail.ts';
import { formatMailDate } from './date.ts';
import { type RenderedHeader, renderMessage } from './from-email.ts';
import { readLegacyData } from './legacy-data.ts';
import { ORIGINAL_FORMAT, OriginalError } from './original/format.ts';
import { parseOriginal, rebuildOriginal } from './original/rebuild.ts';
import { originalIsFrom } from './original/trust.ts';
import { headerEnd, headerFields } from './structure/header-fields.ts';

/** Fields that never leave: whom else it went to in secret, and what only the bridge writes. */
function staysInside(name: string): boolean {
  return name === 'bcc' || name === 'return-path' || isReservedField(name);
}

/** What is known of a message beside its bytes, for its envelope and for reports on it. */
export interface OutgoingFacts {
  /** It reports on another message: it leaves under the null reverse path, and nothing reports on it (RFC 3834 §3.3). */
  readonly isReport: boolean;
  readonly subject: string;
  readonly messageId: string | null;
}

export function outgoingFacts(content: ParsedBody): OutgoingFacts {
  if (content.type !== 'email') return { isReport: false, subject: '', messageId: null };
  const { report, fields, message_id: messageId } = readLegacyData(content.value.extensions_data);
  const answers = fields.some(({ name, value }) => name === 'auto-submitted' && /^\s*auto-replied\b/i.test(value));
  return { isReport: report !== null || answers, subject: content.value.subject, messageId };
}

export interface OutgoingMail {
  header: RenderedHeader & Pick<MessageHeader, 'original'>;
  content: ParsedBody;
  /** Of the gateway that it leaves through: its coded addresses are written as the mailboxes that they stand for. */
  gatewayDomain: Domain;
  /** Unix seconds: when the gateway took it. */
  received: number;
}

/** CRLF lines throughout. */
export function outgoingMail(mail: OutgoingMail): Buffer {
  const { header, content, gatewayDomain, received } = mail;
  const message = originalMail(mail) ?? renderMessage({ header, content, notice: null, gatewayDomain });
  return Buffer.concat([receivedField(header, gatewayDomain, received), withoutInside(message)]);
}

/** The bytes of the legacy message, its coded addresses decoded; null when there is none that can be believed. */
function originalMail({ header, content, gatewayDomain }: OutgoingMail): Buffer | null {
  if (header.original?.format !== ORIGINAL_FORMAT || content.type !== 'email') return null;
  try {
    const raw = rebuildOriginal(parseOriginal(header.original), content.value.attachments);
    return originalIsFrom(raw, toMailbox(header.from)) ? withDecoded(raw, gatewayDomain) : null;
  } catch (error) {
    if (!(error instanceof OriginalError)) throw error;
    return null;
  }
}

const RECIPIENT_FIELD = /^(?:to|cc|reply-to)$/;
/** What needs no quotes in a mailbox (RFC 5322 §3.4.1). */
const DOT_ATOM = /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*@[a-z0-9.-]+$/i;

/** Whoever was written to under the coding of this gateway stands there under the mailbox. */
function withDecoded(raw: Buffer, gatewayDomain: Domain): Buffer {
  const coded = new RegExp(`([a-z0-9]{1,255})@${gatewayDomain.replaceAll('.', '\\.')}(?![\\w.-])`, 'gi');
  const pieces: Buffer[] = [];
  let from = 0;
  for (const { name, start, end } of headerFields(raw, 0, headerEnd(raw))) {
    if (!RECIPIENT_FIELD.test(name)) continue;
    const field = raw.toString('latin1', start, end);
    const decoded = field.replace(coded, (spelled, local: string) => decodedOr(spelled, local, gatewayDomain));
    pieces.push(raw.subarray(from, start), Buffer.from(decoded, 'latin1'));
    from = end;
  }
  return Buffer.concat([...pieces, raw.subarray(from)]);
}

function decodedOr(spelled: string, local: string, gatewayDomain: Domain): string {
  try {
    const mailbox = decodeLegacy(parseAddress(`${local.toLowerCase()}#${gatewayDomain}`), gatewayDomain);
    return DOT_ATOM.test(mailbox) ? mailbox : spelled;
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    return spelled;
  }
}

function receivedField({ from, uid }: RenderedHeader, gatewayDomain: Domain, received: number): Buffer {
  const { domain } = addressParts(from);
  const id = uid.slice(0, 32);
  return Buffer.from(
    `Received: from ${domain}\r\n by ${gatewayDomain} with SMIMP id ${id};\r\n ${formatMailDate(received)}\r\n`,
    'latin1',
  );
}

/** The bytes without the fields that stay inside; everything else as it was, in CRLF lines. */
export function withoutInside(message: Buffer): Buffer {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const { name, start, end } of headerFields(message, 0, headerEnd(message))) {
    if (!staysInside(name)) continue;
    pieces.push(message.subarray(from, start));
    from = end;
  }
  return withCrlf(Buffer.concat([...pieces, message.subarray(from)]));
}

/** SMTP has no other line ends (RFC 5321 §2.3.8), and a signature is made over what is really sent. */
function withCrlf(message: Buffer): Buffer {
  const text = message.toString('latin1');
  return /(?<!\r)\n|\r(?!\n)/.test(text) ? Buffer.from(text.replace(/\r\n|\r|\n/g, '\r\n'), 'latin1') : message;
}
