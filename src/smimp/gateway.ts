/**
 * The coding of legacy addresses as SMIMP addresses of a gateway (SMIMP 0.1 §6): bytes `[a-y0-9]` literal, every other
 * byte `z` + two hex digits. Only a coding that encodes again to itself is read, so each correspondent has one identity.
 */
import { Buffer, isUtf8 } from 'node:buffer';
import { domainToASCII } from 'node:url';
import { type Address, addressParts, type Domain, isDomain, lowerAscii, parseAddress } from './address.ts';
import { ProfileError } from './errors.ts';

const MAX_LOCAL_LENGTH = 255;
const CONTROL = /\p{Cc}/u;
/** ASCII that is no part of a host name; `domainToASCII` would decode `%`, and take brackets for an address literal. */
const FORBIDDEN_IN_DOMAIN = /[^A-Za-z0-9.\u0080-\u{10ffff}-]/u;
const CODED = /^(?:[a-y0-9]|z[0-9a-f]{2})+$/;

/** Lowercase A-labels (UTS 46, non-transitional). Throws `gateway-address`. */
function legacyDomain(domain: string): string {
  if (FORBIDDEN_IN_DOMAIN.test(domain)) throw new ProfileError('gateway-address');
  const ascii = domainToASCII(domain);
  if (!isDomain(ascii)) throw new ProfileError('gateway-address');
  return ascii;
}

function encodeByte(byte: number): string {
  const letter = byte >= 0x61 && byte <= 0x79;
  const digit = byte >= 0x30 && byte <= 0x39;
  return letter || digit ? String.fromCharCode(byte) : `z${byte.toString(16).padStart(2, '0')}`;
}

/** The normal form of a legacy address: NFC, ASCII-lowercased, domain in A-labels. Throws `gateway-address`. */
export function normalizeLegacyAddress(legacy: string): string {
  const at = legacy.lastIndexOf('@');
  if (at <= 0 || !legacy.isWellFormed() || CONTROL.test(legacy)) throw new ProfileError('gateway-address');
  const local = lowerAscii(legacy.slice(0, at).normalize('NFC'));
  return `${local}@${legacyDomain(legacy.slice(at + 1).normalize('NFC'))}`;
}

/** The SMIMP address of a legacy correspondent. Throws `gateway-address`, `gateway-length`. */
export function encodeLegacy(legacy: string, gatewayDomain: Domain): Address {
  const bytes = Buffer.from(normalizeLegacyAddress(legacy), 'utf8');
  const local = Array.from(bytes, encodeByte).join('');
  if (local.length > MAX_LOCAL_LENGTH) throw new ProfileError('gateway-length');
  return parseAddress(`${local}#${gatewayDomain}`);
}

function decodeLocal(local: string): string {
  if (!CODED.test(local)) throw new ProfileError('gateway-form');
  const hex = local.replace(/z(..)|(.)/g, (_, escaped: string | undefined, plain: string) =>
    escaped === undefined ? plain.charCodeAt(0).toString(16) : escaped,
  );
  const bytes = Buffer.from(hex, 'hex');
  if (!isUtf8(bytes)) throw new ProfileError('gateway-form');
  return bytes.toString('utf8');
}

function encodesTo(legacy: string, address: Address, gatewayDomain: Domain): boolean {
  try {
    return encodeLegacy(legacy, gatewayDomain) === address;
  } catch (cause) {
    throw new ProfileError('gateway-form', { cause });
  }
}

/**
 * The legacy address behind an identity of the gateway. Throws `address-*`, `gateway-form` (another gateway, no coding,
 * no address inside) and `gateway-not-canonical` (a second spelling).
 */
export function decodeLegacy(text: string, gatewayDomain: Domain): string {
  const address = parseAddress(text);
  const { local, domain } = addressParts(address);
  if (domain !== gatewayDomain) throw new ProfileError('gateway-form');
  const legacy = decodeLocal(local);
  if (!encodesTo(legacy, address, gatewayDomain)) throw new ProfileError('gateway-not-canonical');
  return legacy;
}

/** The domain of a legacy mailbox, as it is written. */
export function mailboxDomain(mailbox: string): string {
  return mailbox.slice(mailbox.lastIndexOf('@') + 1);
}

/** As decodeLegacy; null for whatever is no identity of this gateway. */
export function legacyMailbox(address: Address, gatewayDomain: Domain): string | null {
  try {
    return decodeLegacy(address, gatewayDomain);
  } catch (error) {
    if (error instanceof ProfileError) return null;
    throw error;
  }
}
