/**
 * Master keys and the points of a signature (SMIMP 0.1 §1.4). A key that is not canonical, not on the curve, of low
 * order or outside the prime-order group is refused everywhere; so is such an R, whatever libsodium's verifier would say.
 */
import { isOnCurve, isPrimeOrderPoint, KEY_BYTES, masterToBoxPublicKey } from './crypto.ts';
import { type Hex32, parseHex, toHex } from './encoding.ts';
import { ProfileError } from './errors.ts';

/** Canonical encodings of the eight points of small order. */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
]);

/** y = 1 and y = −1 have x = 0, whose sign bit must be clear. */
const NEGATIVE_ZERO: ReadonlySet<string> = new Set([
  '0100000000000000000000000000000000000000000000000000000000000080',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
]);

/** L, the order of the prime group, little-endian. */
const GROUP_ORDER = parseHex('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010', KEY_BYTES);
/** p = 2²⁵⁵−19, little-endian. */
const FIELD_PRIME = parseHex('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', KEY_BYTES);

function isLess(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = KEY_BYTES - 1; i >= 0; i--) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    if (x !== y) return x < y;
  }
  return false;
}

/** Whether 32 little-endian bytes, without bit 255, are below 2²⁵⁵−19. */
export function isCanonicalField(bytes: Uint8Array): boolean {
  const y = Uint8Array.from(bytes);
  y[31] = (y[31] ?? 0) & 0x7f;
  return isLess(y, FIELD_PRIME);
}

function isCanonicalPoint(bytes: Uint8Array): boolean {
  return isCanonicalField(bytes) && !NEGATIVE_ZERO.has(toHex(bytes));
}

/** S of a signature must be below L. Throws `signature-not-canonical`. */
export function checkSignatureScalar(scalar: Uint8Array): void {
  if (!isLess(scalar, GROUP_ORDER)) throw new ProfileError('signature-not-canonical');
}

/** R of a signature: canonical, not of small order, in the prime-order group. */
export function checkSignaturePoint(point: Uint8Array): void {
  if (isPrimeOrderPoint(point)) return;
  if (!isCanonicalPoint(point)) throw new ProfileError('signature-not-canonical');
  if (SMALL_ORDER.has(toHex(point))) throw new ProfileError('signature-low-order');
  throw new ProfileError('bad-signature');
}

type CheckedKey = { bytes: Uint8Array; boxKey: Hex32 };

/**
 * Keys that passed, by their hex, because a history names the same key in every record and a point check
 * costs as much as a verification. Bounded: when full it starts afresh.
 */
const MAX_REMEMBERED = 4096;
const remembered = new Map<string, CheckedKey>();

function inspect(text: string): CheckedKey {
  const bytes = parseHex(text, KEY_BYTES);
  if (!isCanonicalPoint(bytes)) throw new ProfileError('key-not-canonical');
  if (SMALL_ORDER.has(text)) throw new ProfileError('key-low-order');
  if (!isPrimeOrderPoint(bytes)) throw new ProfileError(isOnCurve(bytes) ? 'key-not-prime-order' : 'key-not-on-curve');
  const boxKey = masterToBoxPublicKey(bytes);
  if (!boxKey) throw new ProfileError('key-not-prime-order');
  return { bytes, boxKey: toHex(boxKey) };
}

function checked(text: string): CheckedKey {
  const known = remembered.get(text);
  if (known) return known;
  const key = inspect(text);
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(text, key);
  return key;
}

/**
 * The bytes of a master public key in hex. Throws `bad-hex`, `key-not-canonical`, `key-low-order`,
 * `key-not-on-curve`, `key-not-prime-order`. The bytes are shared: do not change them.
 */
export function checkMasterKey(publicKey: string): Uint8Array {
  return checked(publicKey).bytes;
}

/** The X25519 form of a master public key, which the outer box of a message uses. Throws like `checkMasterKey`. */
export function masterBoxKey(publicKey: string): Hex32 {
  return checked(publicKey).boxKey;
}
