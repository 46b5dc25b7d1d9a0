/**
 * What is looked at in a message from outside before it is believed anything: its size and its way here, and who wrote it. One
 * author, in one field, in one spelling: what SPF, DKIM and DMARC say is about that mailbox.
 */
import { domainToASCII } from 'node:url';
import { codedMailbox } from '../legacy/identities.ts';
import { formatMailDate } from '../mime/date.ts';
import { MAX_HEADER_BYTES, readHeaderBlock } from '../mime/header-block.ts';
import { decodeMailboxes, type RawField } from '../mime/headers.ts';
import type { Domain } from '../smimp/address.ts';
import { ProfileError } from '../smimp/errors.ts';
import { normalizeLegacyAddress } from '../smimp/gateway.ts';
import { MAX_RECEIVED_FIELDS, MAX_SIGNATURES } from './limits.ts';
import { MX_REPLIES } from './mx-replies.ts';

/** Belongs to a file, not to a message; below the trace field it would be read as the end of the header. */
const MBOX_LINE = /^>?From /;

/** The mailbox of the author, in its normal form (SMIMP 0.1 §6), for whom there is an identity at the gateway. Throws SmtpReply. */
export function authorOf(message: Buffer, gatewayDomain: Domain): string {
  if (MBOX_LINE.test(message.toString('latin1', 0, 6))) throw MX_REPLIES.oneAuthor();
  const { fields, bodyStart } = readHeaderBlock(message);
  if (bodyStart > MAX_HEADER_BYTES) throw MX_REPLIES.longHeader(MAX_HEADER_BYTES);
  const counted = (...names: string[]): number => fields.filter(({ name }) => names.includes(name)).length;
  if (counted('received') > MAX_RECEIVED_FIELDS) throw MX_REPLIES.looping(MAX_RECEIVED_FIELDS);
  if (counted('dkim-signature', 'arc-seal') > MAX_SIGNATURES) throw MX_REPLIES.tooManySignatures(MAX_SIGNATURES);
  const mailbox = oneAuthor(fields);
  if (codedMailbox(mailbox, gatewayDomain) === null) throw MX_REPLIES.longAuthor();
  return mailbox;
}

function oneAuthor(fields: readonly RawField[]): string {
  const from = fields.filter(({ name }) => name === 'from');
  const mailboxes = from.flatMap(({ value }) => decodeMailboxes(value));
  const [only] = mailboxes;
  if (from.length !== 1 || mailboxes.length !== 1 || only === undefined) throw MX_REPLIES.oneAuthor();
  try {
    return normalizeLegacyAddress(only.address);
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    throw MX_REPLIES.oneAuthor();
  }
}

/** The reverse path, '' for none; its domain as DNS has it, not in the Unicode that the listener makes of it. */
export function reversePathOf(mailFrom: { address: string } | false): string {
  if (mailFrom === false) return '';
  const at = mailFrom.address.lastIndexOf('@') + 1;
  const domain = mailFrom.address.slice(at);
  return mailFrom.address.slice(0, at) + (domainToASCII(domain) || domain);
}

/** Printable ASCII without what comments and folding are made of. */
const PLAIN_NAME = /^[\x21-\x27\x2a-\x5b\x5d-\x7e]{1,255}$/;

/**
 * The trace field of this gateway (RFC 5321 §4.4): the client and the moment, nothing of the recipients, of whom some may be
 * hidden from the others.
 */
export function receivedField(hop: {
  client: { address: string; name: string };
  gateway: string;
  protocol: string;
  id: string;
  now: Date;
}): Buffer {
  const { client, gateway, protocol, id, now } = hop;
  const name = PLAIN_NAME.test(client.name) ? client.name : 'unknown';
  const literal = client.address.includes(':') ? `[IPv6:${client.address}]` : `[${client.address}]`;
  const date = formatMailDate(Math.floor(now.getTime() / 1000));
  const lines = [`Received: from ${name} (${literal})`, `\tby ${gateway} with ${protocol} id ${id};`, `\t${date}`];
  return Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1');
}
