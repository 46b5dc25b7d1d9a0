/**
 * Whether a message says that it comes from whom it was verified to come from, to every reader of it. Mail programs disagree
 * on ugly headers, so what any of them could read as another sender is not trusted: two From fields, groups, comments and
 * quotes that hide an address, lines that end where only some see an end, another Sender.
 */
import { Buffer, isUtf8 } from 'node:buffer';
import { domainToASCII, domainToUnicode } from 'node:url';
import { namesBridge } from '../bridge-mail.ts';
import { decodeText } from '../headers.ts';
import { type FieldRange, headerEnd, headerFields, unfoldedValue } from '../structure/header-fields.ts';

/** Nobody's name is longer. */
const MAX_VALUE_BYTES = 4_096;
/** What is longer some take for no name of a field. */
const MAX_NAME_BYTES = 100;
/** A bare CR, NUL, and what some take for the end of a line; a name whose colon is on another line. */
const AMBIGUOUS = /\r(?!\n)|[\0\x0b\x0c\x1c-\x1e]|(?:^|\n)(?:from|sender)[ \t]*\r?\n/i;
const PLAIN = /^([^ \t\r\n<>()[\]\\,;:@"]+@[^ \t\r\n<>()[\]\\,;:@"]+)(?:\s*\(([^()<>[\]\\,;:@"]*)\))?$/;
const NAMED =
  /^((?:"(?:[^"\\]|\\.)*"|\([^()<>[\]\\,;:@"]*\)|[^()<>[\]\\,;:@"])*)<([^ \t\r\n<>()[\]\\,;:@"]+@[^ \t\r\n<>()[\]\\,;:@"]+)>$/;
const ASCII_DOMAIN = /^[A-Za-z0-9.-]+$/;
const UNSEEN = /[\p{C}\p{Z}]/u;
const ADDRESS_IN_NAME = /[^\s<>()[\]\\,;:"']+@[^\s<>()[\]\\,;:"']+/g;

/**
 * `mailbox` in mail form, its letters small. A sender that could be taken for the bridge is trusted from nobody. `anySender`: of
 * mail of the old internet, where lists write a Sender of their own.
 */
export function originalIsFrom(raw: Buffer, mailbox: string, { anySender = false } = {}): boolean {
  const end = headerEnd(raw);
  if (AMBIGUOUS.test(raw.toString('latin1', 0, end))) return false;
  const fields = [...headerFields(raw, 0, end)];
  const from = fields.filter(({ name }) => name === 'from');
  const senders = anySender ? [] : fields.filter(({ name }) => name === 'sender');
  return (
    from.length === 1 &&
    fields.every(({ name }) => name.length <= MAX_NAME_BYTES) &&
    from.every((field) => isWithin(fields, field)) &&
    [...from, ...senders].every((field) => names(raw, field, mailbox))
  );
}

const ON_BEHALF = /^(?:sender|resent-sender|resent-from)$/;

/** Whether somebody of `domain` is named as who sent it for its author: programs show that person first. */
export function isSentBy(raw: Buffer, domain: string): boolean {
  const spelled = [domain, domainToUnicode(domain)];
  return [...headerFields(raw, 0, headerEnd(raw))].some((field) => {
    if (!ON_BEHALF.test(field.name)) return false;
    const value = unfoldedValue(raw, field, MAX_VALUE_BYTES);
    const text = `${value} ${decodeText(value)}`.normalize('NFKC').toLowerCase().replace(/\s/g, '');
    return field.end - field.valueStart > MAX_VALUE_BYTES || spelled.some((one) => text.includes(`@${one}`));
  });
}

/** Whether nothing but fields stands before it: at the first other line some readers see the header end. */
function isWithin(fields: readonly FieldRange[], wanted: FieldRange): boolean {
  let end = 0;
  for (const field of fields) {
    if (field.start !== end) return false;
    if (field === wanted) return true;
    end = field.end;
  }
  return false;
}

/** Whether the field names this mailbox and nobody else. */
function names(raw: Buffer, field: FieldRange, mailbox: string): boolean {
  if (field.end - field.valueStart > MAX_VALUE_BYTES) return false;
  const value = unfoldedValue(raw, field, MAX_VALUE_BYTES);
  const [, plain, comment] = PLAIN.exec(value) ?? [];
  const [, name, angled] = NAMED.exec(value) ?? [];
  const address = inUtf8(plain ?? angled ?? '');
  if (address === null || smallLetters(address) !== mailbox || namesBridge(value)) return false;
  const shown = decodeText(name ?? comment ?? '').normalize('NFKC');
  const others = [...shown.matchAll(ADDRESS_IN_NAME)].filter(([found]) => smallLetters(found) !== mailbox);
  return others.length === 0;
}

/** Of bytes, its letters (RFC 6532 §3.2); null where they are no UTF-8, or some of them cannot be seen: readers differ on those. */
function inUtf8(address: string): string | null {
  const bytes = Buffer.from(address, 'latin1');
  const text = bytes.toString('utf8');
  return isUtf8(bytes) && !UNSEEN.test(text) ? text : null;
}

/** ASCII small letters, the domain as A-labels; as it is where it is written in a way that only some take for that domain. */
function smallLetters(address: string): string {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, at).replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
  const domain = address.slice(at + 1);
  if (ASCII_DOMAIN.test(domain)) return `${local}@${domain.toLowerCase()}`;
  const ascii = domainToASCII(domain);
  return domainToUnicode(ascii) === domain ? `${local}@${ascii}` : address;
}
