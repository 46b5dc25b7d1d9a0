/**
 * Fingerprints for checking an identity by phone or QR code (SMIMP 0.1 §3). They name record 0, so they stay the same
 * when keys rotate.
 */
import { type Address, encodePathSegment, parsePathSegment } from './address.ts';
import type { VerifiedHistory } from './chain.ts';
import { type Branded, type Hex32, isHex, type SignedHash } from './encoding.ts';
import { ProfileError } from './errors.ts';
import { fingerprintDigest } from './transcript.ts';

/** Eight groups of five, upper case, joined by hyphens. */
export type Fingerprint = Branded<'Fingerprint'>;

/** Crockford's base 32: no I, L, O, U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** 25 bytes are exactly 40 digits. */
const FINGERPRINT_BYTES = 25;
const DIGITS = /^[0-9A-HJKMNP-TV-Z]{40}$/;

function encodeDigits(bytes: Uint8Array): string {
  let digits = '';
  for (let i = 0; i < FINGERPRINT_BYTES; i += 5) {
    const group = bytes.subarray(i, i + 5).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    for (let shift = 35n; shift >= 0n; shift -= 5n) digits += ALPHABET[Number((group >> shift) & 31n)];
  }
  return digits;
}

function grouped(digits: string): Fingerprint {
  return (digits.match(/.{5}/g) ?? []).join('-') as Fingerprint;
}

/** The fingerprint of an address whose record 0 has this signed hash. */
export function fingerprintOf(address: Address, firstSignedHash: SignedHash): Fingerprint {
  return grouped(encodeDigits(fingerprintDigest(address, firstSignedHash)));
}

export function historyFingerprint(history: VerifiedHistory): Fingerprint {
  return fingerprintOf(history.address, history.records[0]?.signed_hash as SignedHash);
}

/** A fingerprint as a person types it: any case, spaces and hyphens ignored, O is 0, I and L are 1. Throws `fingerprint-form`. */
export function parseFingerprint(typed: string): Fingerprint {
  const bare = typed.replace(/[ -]/g, '').replace(/[a-z]/g, (letter) => letter.toUpperCase());
  const digits = bare.replace(/O/g, '0').replace(/[IL]/g, '1');
  if (!DIGITS.test(digits)) throw new ProfileError('fingerprint-form');
  return grouped(digits);
}

/** Throws `fingerprint-form`, `fingerprint-mismatch`. */
export function compareFingerprint(history: VerifiedHistory, typed: string): void {
  if (parseFingerprint(typed) !== historyFingerprint(history)) throw new ProfileError('fingerprint-mismatch');
}

/** `smimp-verify:adam%23example.com?fp=…&seq=N&head=hex32`, for a QR code. */
export function verifyUri(history: VerifiedHistory): string {
  const fingerprint = historyFingerprint(history).replaceAll('-', '');
  return `smimp-verify:${encodePathSegment(history.address)}?fp=${fingerprint}&seq=${history.seq}&head=${history.head}`;
}

const URI = /^smimp-verify:([^?#]*)\?fp=([^&]*)&seq=(0|[1-9][0-9]{0,15})&head=([^&]*)$/;

/** The parts of a verification URI. Throws `fingerprint-form`, `address-*`. */
export function parseVerifyUri(uri: string): { address: Address; fingerprint: Fingerprint; seq: number; head: Hex32 } {
  const [, segment, digits = '', seq = '', head = ''] = URI.exec(uri) ?? [];
  if (segment === undefined || !DIGITS.test(digits) || !isHex(head, 32) || !Number.isSafeInteger(Number(seq))) {
    throw new ProfileError('fingerprint-form');
  }
  return { address: parsePathSegment(segment), fingerprint: grouped(digits), seq: Number(seq), head: head as Hex32 };
}
