/**
 * Text forms of binary values and times (SMIMP 0.1 §1.1): lowercase hex of an exact size, canonical
 * padded base64, and `YYYY-MM-DD hh:mm:ss` in UTC. Every parser accepts one spelling only, so that a
 * value and its text stand for each other.
 */
import { Buffer } from 'node:buffer';
import { ProfileError } from './errors.ts';

declare const brand: unique symbol;
/** A string that has been checked to be a `Name`. */
export type Branded<Name extends string> = string & { readonly [brand]: Name };

/** 24 bytes (a nonce) as 48 lowercase hex digits. */
export type Hex24 = Branded<'Hex24'>;
/** 32 bytes (key, hash, id, token) as 64 lowercase hex digits. */
export type Hex32 = Branded<'Hex32'>;
/** 64 bytes (an Ed25519 secret key) as 128 lowercase hex digits. */
export type Hex64 = Branded<'Hex64'>;
/** A signed hash: signature (64) ‖ digest (32), as 192 lowercase hex digits. */
export type SignedHash = Branded<'SignedHash'>;
/** Standard padded base64 that re-encodes to itself. */
export type Base64 = Branded<'Base64'>;
/** `YYYY-MM-DD hh:mm:ss`, UTC, a real date. */
export type Timestamp = Branded<'Timestamp'>;

const LOWER_HEX = /^[0-9a-f]*$/;

/** Whether `text` is lowercase hex of exactly `sizeBytes` bytes. */
export function isHex(text: string, sizeBytes: number): boolean {
  return text.length === sizeBytes * 2 && LOWER_HEX.test(text);
}

/** The bytes of lowercase hex of exactly `sizeBytes`. Throws `bad-hex`. SMIMP 0.1 §1.1. */
export function parseHex(text: string, sizeBytes: number): Uint8Array {
  if (!isHex(text, sizeBytes)) throw new ProfileError('bad-hex');
  return Buffer.from(text, 'hex');
}

/** A checked 32-byte hex string. Throws `bad-hex`. */
export function parseHex32(text: string): Hex32 {
  if (!isHex(text, 32)) throw new ProfileError('bad-hex');
  return text as Hex32;
}

/** A checked 96-byte signed hash. Throws `bad-hex`. */
export function parseSignedHash(text: string): SignedHash {
  if (!isHex(text, 96)) throw new ProfileError('bad-hex');
  return text as SignedHash;
}

/** Lowercase hex. The brand is the caller's claim about the length. */
export function toHex<T extends string = Hex32>(bytes: Uint8Array): T {
  return view(bytes).toString('hex') as T;
}

/** The bytes of canonical base64. Throws `bad-base64`. Encoding again is the check, so no lenient reading gets by. */
export function parseBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new ProfileError('bad-base64');
  return bytes;
}

/** Letters looked at together: a multiple of four, so that every piece but the last is whole bytes without padding. */
const BASE64_PIECE = 4 * 16 * 1024;

/**
 * The bytes of canonical base64 that stands in `letters` as ASCII, written over its beginning: a view, nothing is copied.
 * Throws `bad-base64`.
 */
export function parseBase64InPlace(letters: Buffer): Buffer {
  let written = 0;
  for (let at = 0; at < letters.length; at += BASE64_PIECE) {
    const piece = letters.toString('latin1', at, at + BASE64_PIECE);
    const sizeBytes = letters.write(piece, written, 'base64');
    const isLast = at + BASE64_PIECE >= letters.length;
    if (!isLast && sizeBytes * 4 !== BASE64_PIECE * 3) throw new ProfileError('bad-base64');
    if (letters.toString('base64', written, written + sizeBytes) !== piece) throw new ProfileError('bad-base64');
    written += sizeBytes;
  }
  return letters.subarray(0, written);
}

/** Looked at in pieces, because attachments have tens of megabytes. */
export function isBase64(text: string): boolean {
  for (let at = 0; at < text.length; at += BASE64_PIECE) {
    const piece = text.slice(at, at + BASE64_PIECE);
    const bytes = Buffer.from(piece, 'base64');
    const isLast = at + BASE64_PIECE >= text.length;
    if (!isLast && bytes.length * 4 !== BASE64_PIECE * 3) return false;
    if (bytes.toString('base64') !== piece) return false;
  }
  return true;
}

export function toBase64(bytes: Uint8Array): Base64 {
  return view(bytes).toString('base64') as Base64;
}

/** A Buffer over the same memory: no copy. */
export function view(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const TIMESTAMP = /^([0-9]{4})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})$/;
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/** 9999-12-31 23:59:59, the last timestamp there is. */
const LAST_SECOND = 253_402_300_799;
/** 0001-01-01 00:00:00, the first one. */
const FIRST_SECOND = -62_135_596_800;

function daysInMonth(year: number, month: number): number {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return month === 2 && leap ? 29 : (MONTH_DAYS[month - 1] ?? 0);
}

/** Days from 1970-01-01 to a date of the Gregorian calendar, counted in 400-year cycles that begin in March. */
function daysFromEpoch(year: number, month: number, day: number): number {
  const marchYear = month <= 2 ? year - 1 : year;
  const cycle = Math.floor(marchYear / 400);
  const yearOfCycle = marchYear - cycle * 400;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const dayOfCycle = yearOfCycle * 365 + Math.floor(yearOfCycle / 4) - Math.floor(yearOfCycle / 100) + dayOfYear;
  return cycle * 146_097 + dayOfCycle - 719_468;
}

function readTimestamp(text: string): number | null {
  const match = TIMESTAMP.exec(text);
  if (!match) return null;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return null;
  if (hour > 23 || minute > 59 || second > 59) return null;
  return daysFromEpoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
}

export function isTimestamp(text: string): boolean {
  return readTimestamp(text) !== null;
}

/** Unix seconds of a timestamp. Throws `bad-timestamp`. SMIMP 0.1 §1.1. */
export function parseTimestamp(text: string): number {
  const seconds = readTimestamp(text);
  if (seconds === null) throw new ProfileError('bad-timestamp');
  return seconds;
}

/** The timestamp of whole or fractional unix seconds, rounded down. Throws `bad-timestamp` outside years 1–9999. */
export function formatTimestamp(unixSeconds: number): Timestamp {
  const seconds = Math.floor(unixSeconds);
  if (!(seconds >= FIRST_SECOND && seconds <= LAST_SECOND)) throw new ProfileError('bad-timestamp');
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ') as Timestamp;
}
