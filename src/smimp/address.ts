/**
 * Addresses `local#domain` (SMIMP 0.1 §1.2). One spelling on the wire and under a signature; only what a
 * person types is lowercased. All matching is explicit ASCII: Unicode case folding would let U+212A in.
 */
import { Buffer } from 'node:buffer';
import type { Branded } from './encoding.ts';
import { ProfileError } from './errors.ts';

/** A checked address in its one normal form. */
export type Address = Branded<'Address'>;
/** A checked domain: lowercase A-labels, no IP address. */
export type Domain = Branded<'Domain'>;

const LOCAL = /^[a-z0-9]{1,255}$/;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const NUMERIC_LABEL = /^(?:[0-9]+|0x[0-9a-f]*)$/;
/** DNS allows no longer name. */
const MAX_DOMAIN_LENGTH = 253;
/** New native accounts keep room for what mail clients accept as a local part (RFC 5321 §4.5.3.1.1). */
export const MAX_NATIVE_LOCAL_LENGTH = 64;

/** Whether `text` is a domain by the rules of §1.2. A number as last label is an IP address to URL parsers. */
export function isDomain(text: string): boolean {
  if (text.length > MAX_DOMAIN_LENGTH) return false;
  const labels = text.split('.');
  const last = labels.at(-1) ?? '';
  return labels.length >= 2 && labels.every((label) => LABEL.test(label)) && !NUMERIC_LABEL.test(last);
}

/** Throws `address-domain`. */
export function parseDomain(text: string): Domain {
  if (!isDomain(text)) throw new ProfileError('address-domain');
  return text as Domain;
}

/** The address, if it is in its normal form. Throws `address-form`, `address-local`, `address-domain`. */
export function parseAddress(text: string): Address {
  const at = text.indexOf('#');
  if (at < 0 || text.includes('#', at + 1)) throw new ProfileError('address-form');
  if (!LOCAL.test(text.slice(0, at))) throw new ProfileError('address-local');
  parseDomain(text.slice(at + 1));
  return text as Address;
}

export function isAddress(text: string): text is Address {
  try {
    parseAddress(text);
    return true;
  } catch (error) {
    if (error instanceof ProfileError) return false;
    throw error;
  }
}

/** ASCII letters only; every other character stays. */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** The address a person typed, ASCII-lowercased in both halves. Throws like `parseAddress`. */
export function normalizeAddress(text: string): Address {
  return parseAddress(lowerAscii(text));
}

export function addressParts(address: Address): { local: string; domain: Domain } {
  const at = address.indexOf('#');
  return { local: address.slice(0, at), domain: address.slice(at + 1) as Domain };
}

/** One segment of a URL path: `#` is `%23`, everything else in an address is unreserved. */
export function encodePathSegment(address: Address): string {
  return address.replace('#', '%23');
}

const PERCENT_ENCODED = /^(?:[^%]|%[0-9A-Fa-f]{2})*$/;

/** Bytes of a path segment, decoded once. Throws `address-form` on bad escapes and on bytes that are not UTF-8. */
function decodeSegment(segment: string): string {
  if (!PERCENT_ENCODED.test(segment)) throw new ProfileError('address-form');
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new ProfileError('address-form', { cause });
  }
}

/** The address in one raw (still encoded) segment of a URL path, decoded exactly once. A raw `#` is refused. */
export function parsePathSegment(segment: string): Address {
  if (segment.includes('#')) throw new ProfileError('address-form');
  return parseAddress(decodeSegment(segment));
}

/** `alice@acme.test`, as a mail client spells it, is `alice#acme.test`. Throws like `parseAddress`. */
export function fromMailbox(mailbox: string): Address {
  const at = mailbox.lastIndexOf('@');
  if (at < 0 || mailbox.includes('#')) throw new ProfileError('address-form');
  return normalizeAddress(`${mailbox.slice(0, at)}#${mailbox.slice(at + 1)}`);
}

/** The spelling for a mail client. A local part over 64 exceeds RFC 5321 §4.5.3.1.1, but clients take it. */
export function toMailbox(address: Address): string {
  return address.replace('#', '@');
}

/** UTF-8 bytes of an address, as they enter a transcript. */
export function addressBytes(address: Address): Uint8Array {
  return Buffer.from(address, 'utf8');
}
