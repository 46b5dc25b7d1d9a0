/**
 * Mailbox names on the wire: modified UTF-7 (RFC 3501 §5.1.3) or UTF-8 (RFC 9051 §5.1) to and from Unicode. INBOX is the
 * same in any case (§5.1). A decoded name holds no control characters and no lone surrogates, and encoding it gives one form only.
 */
import { WireError } from './wire-error.ts';

declare const mailboxNameBrand: unique symbol;

/** A mailbox name or LIST pattern in Unicode, INBOX in upper case. */
export type MailboxName = string & { readonly [mailboxNameBrand]: 'MailboxName' };

export const INBOX = 'INBOX' as MailboxName;

const PRINTABLE_ASCII = /^[\x20-\x7e]*$/;
/** RFC 6855 §3: controls, and what ends lines and paragraphs. */
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/;
const SHIFTED = /&([^&-]*)-/g;
// Without the u flag, so that no letter beyond ASCII folds to one of these.
const ANY_CASE_INBOX = /^inbox$/i;
const NEEDS_SHIFT = /&|[^\x20-\x7e]+/g;
const MODIFIED_BASE64 = /^[A-Za-z0-9+,]+$/;

/** Checks a Unicode name. Throws WireError `BAD_MAILBOX_NAME` for control characters and lone surrogates. */
export function toMailboxName(name: string): MailboxName {
  if (CONTROL.test(name) || !name.isWellFormed()) throw badName();
  return (ANY_CASE_INBOX.test(name) ? INBOX : name) as MailboxName;
}

/**
 * The name in Unicode. Bytes beyond ASCII are read as UTF-8, which many clients send in spite of the standard.
 * Throws WireError `BAD_MAILBOX_NAME` where neither encoding can be read.
 */
export function decodeMailboxName(bytes: Buffer): MailboxName {
  const ascii = bytes.toString('latin1');
  return toMailboxName(PRINTABLE_ASCII.test(ascii) ? decodeModifiedUtf7(ascii) : decodeUtf8(bytes));
}

/** The name in Unicode, of UTF-8: an ampersand is one. Throws WireError `BAD_MAILBOX_NAME`. */
export function decodeUtf8MailboxName(bytes: Buffer): MailboxName {
  return toMailboxName(decodeUtf8(bytes));
}

/** A pattern is read as a name is by `decode`; what cannot be read is a pattern that no mailbox has. */
export function decodeListPattern(bytes: Buffer, decode: (bytes: Buffer) => MailboxName): MailboxName {
  try {
    return decode(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return bytes.toString('latin1').replace(/[\x00-\x1f\x7f*%]/g, '\x7f') as MailboxName;
  }
}

/** Modified UTF-7, in ASCII, of a Unicode name. */
export function encodeMailboxName(name: string): string {
  return name.replace(NEEDS_SHIFT, (run) => (run === '&' ? '&-' : `&${encodeShifted(run)}-`));
}

function decodeModifiedUtf7(ascii: string): string {
  const decoded = ascii.replace(SHIFTED, (_whole, shifted: string) => (shifted === '' ? '&' : decodeShifted(shifted)));
  // Every shift must close: what remains after removing whole shifts has no ampersand.
  if (ascii.replace(SHIFTED, '').includes('&')) throw badName();
  return decoded;
}

function decodeShifted(shifted: string): string {
  if (!MODIFIED_BASE64.test(shifted)) throw badName();
  const bytes = Buffer.from(shifted.replaceAll(',', '/'), 'base64');
  if (bytes.length === 0 || bytes.length % 2 !== 0) throw badName();
  return bytes.swap16().toString('utf16le');
}

function encodeShifted(run: string): string {
  return Buffer.from(run, 'utf16le').swap16().toString('base64').replaceAll('/', ',').replace(/=+$/, '');
}

function decodeUtf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw badName(cause);
  }
}

function badName(cause?: unknown): WireError {
  return new WireError('BAD_MAILBOX_NAME', 'Mailbox name is not valid', { cause });
}
