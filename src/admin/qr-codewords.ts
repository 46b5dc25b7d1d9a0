/** The codewords of a QR code (ISO/IEC 18004): data in byte mode and its Reed-Solomon error correction, level L. */

/** Error correction codewords of each block, and how many blocks, for level L by version. */
const BLOCK_CODEWORDS = [0, 7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28];
const BLOCKS = [0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8];
const MAX_VERSION = BLOCKS.length - 1;
const BYTE_MODE = 0b0100;

/** Throws RangeError for a text that does not fit. */
export function encodeText(text: string): { version: number; codewords: number[] } {
  const bytes = Buffer.from(text, 'utf8');
  const version = smallestVersion(bytes.length);
  return { version, codewords: interleaved(dataCodewords(bytes, version), version) };
}

export function moduleCount(version: number): number {
  return 17 + 4 * version;
}

/** Bits that are left for codewords when all the patterns are there, whole bytes only. */
function totalCodewords(version: number): number {
  const alignments = version === 1 ? 0 : Math.floor(version / 7) + 2;
  let bits = (16 * version + 128) * version + 64;
  if (version >= 2) bits -= (25 * alignments - 10) * alignments - 55;
  if (version >= 7) bits -= 36;
  return Math.floor(bits / 8);
}

function capacity(version: number): number {
  return totalCodewords(version) - at(BLOCK_CODEWORDS, version) * at(BLOCKS, version);
}

function at(list: readonly number[], index: number): number {
  return list[index] ?? 0;
}

const lengthBits = (version: number): number => (version < 10 ? 8 : 16);

function smallestVersion(sizeBytes: number): number {
  for (let version = 1; version <= MAX_VERSION; version++) {
    if (4 + lengthBits(version) + 8 * sizeBytes <= 8 * capacity(version)) return version;
  }
  throw new RangeError('too long for a QR code');
}

function dataCodewords(bytes: Uint8Array, version: number): number[] {
  const bits: number[] = [];
  const put = (value: number, count: number): void => {
    for (let i = count - 1; i >= 0; i--) bits.push((value >>> i) & 1);
  };
  put(BYTE_MODE, 4);
  put(bytes.length, lengthBits(version));
  for (const byte of bytes) put(byte, 8);
  const sizeBits = 8 * capacity(version);
  put(0, Math.min(4, sizeBits - bits.length));
  put(0, (8 - (bits.length % 8)) % 8);
  for (let pad = 0xec; bits.length < sizeBits; pad ^= 0xec ^ 0x11) put(pad, 8);
  const codewords = new Array<number>(bits.length / 8).fill(0);
  bits.forEach((bit, i) => {
    codewords[i >> 3] = at(codewords, i >> 3) | (bit << (7 - (i & 7)));
  });
  return codewords;
}

/** Data and error correction of all blocks, taken in turns. */
function interleaved(data: readonly number[], version: number): number[] {
  const blocks = at(BLOCKS, version);
  const correction = at(BLOCK_CODEWORDS, version);
  const shortBlocks = blocks - (totalCodewords(version) % blocks);
  const shortLength = Math.floor(totalCodewords(version) / blocks) - correction;
  const divisor = generator(correction);
  const parts: { data: readonly number[]; correction: readonly number[] }[] = [];
  let start = 0;
  for (let i = 0; i < blocks; i++) {
    const length = shortLength + (i < shortBlocks ? 0 : 1);
    const part = data.slice(start, start + length);
    parts.push({ data: part, correction: remainder(part, divisor) });
    start += length;
  }
  const inTurns = (of: (part: (typeof parts)[number]) => readonly number[], length: number): number[] =>
    Array.from({ length }, (_, i) => parts.flatMap((part) => of(part).slice(i, i + 1))).flat();
  return [...inTurns((part) => part.data, shortLength + 1), ...inTurns((part) => part.correction, correction)];
}

/** In the field of 256 elements with x⁸ + x⁴ + x³ + x² + 1. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let i = 7; i >= 0; i--) {
    product = (product << 1) ^ ((product >>> 7) * 0x11d);
    product ^= ((b >>> i) & 1) * a;
  }
  return product;
}

/** ∏ (x − 2ⁱ), without the leading 1. */
function generator(degree: number): number[] {
  const result = [...new Array<number>(degree - 1).fill(0), 1];
  let root = 1;
  for (let i = 0; i < degree; i++) {
    for (let j = 0; j < degree; j++) result[j] = multiply(at(result, j), root) ^ at(result, j + 1);
    root = multiply(root, 2);
  }
  return result;
}

function remainder(data: readonly number[], divisor: readonly number[]): number[] {
  const result = new Array<number>(divisor.length).fill(0);
  for (const value of data) {
    const factor = value ^ (result.shift() ?? 0);
    result.push(0);
    divisor.forEach((coefficient, i) => {
      result[i] = at(result, i) ^ multiply(coefficient, factor);
    });
  }
  return result;
}
