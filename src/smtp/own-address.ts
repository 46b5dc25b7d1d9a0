/** A sender's own address: `alice@acme.test` in a mail program is `alice#acme.test`, and nobody may send as another. */
import { domainToASCII } from 'node:url';
import { readHeaderBlock } from '../mime/header-block.ts';
import { decodeMailboxes } from '../mime/headers.ts';
import { type Address, fromMailbox } from '../smimp/address.ts';
import { ProfileError } from '../smimp/errors.ts';

/** The address a mail program means; null when it cannot be one. Domains in Unicode are brought to A-labels. */
export function addressOf(mailbox: string): Address | null {
  const at = mailbox.lastIndexOf('@');
  const domain = mailbox.slice(at + 1);
  const ascii = /^[\x21-\x7e]*$/.test(domain) ? domain : domainToASCII(domain);
  try {
    return fromMailbox(`${mailbox.slice(0, at + 1)}${ascii}`);
  } catch (error) {
    if (error instanceof ProfileError) return null;
    throw error;
  }
}

/** The user name of a login in SMIMP spelling; typed with `@` or with `#`. */
export function userAddress(typed: string): string {
  const at = typed.lastIndexOf('@');
  return at < 0 || typed.includes('#') ? typed : `${typed.slice(0, at)}#${typed.slice(at + 1)}`;
}

/** Whether every mailbox in every From field is `own`. A message without the field says nothing wrong. */
export function isFromOwn(message: Buffer, own: Address): boolean {
  const from = readHeaderBlock(message).fields.filter(({ name }) => name === 'from');
  return from.flatMap(({ value }) => decodeMailboxes(value)).every(({ address }) => addressOf(address) === own);
}
