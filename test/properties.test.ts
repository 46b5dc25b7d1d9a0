/** Properties that hold for every input: strict JSON, framing, gateway coding, histories. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Domain, normalizeAddress } from '../src/smimp/address.ts';
import { verifyHistory } from '../src/smimp/chain.ts';
import { formatTimestamp, type Hex32, parseTimestamp } from '../src/smimp/encoding.ts';
import { ProfileError } from '../src/smimp/errors.ts';
import { decodeLegacy, encodeLegacy, normalizeLegacyAddress } from '../src/smimp/gateway.ts';
import { parseStrictJson } from '../src/smimp/json.ts';
import { checkJsonValue } from '../src/smimp/json-value.ts';
import { framePayload, paddedLength, padme, unframePayload } from '../src/smimp/payload.ts';
import type { IdentityRecord } from '../src/smimp/record.ts';
import { ADAM, answerOf, buildRecords, changes } from './support/identities.ts';

/** The same inputs in every run. */
fc.configureGlobal({ seed: 20_260_101 });

/** The value, or the code with which it was refused. Anything but a `ProfileError` is a fault. */
function attempt<T>(run: () => T): { value: T } | { code: string } {
  try {
    return { value: run() };
  } catch (error) {
    if (error instanceof ProfileError) return { code: error.code };
    throw error;
  }
}

function accepts(run: () => unknown): boolean {
  return 'value' in attempt(run);
}

const GATEWAY = 'gw.example.com' as Domain;

describe('strict JSON', () => {
  const value = fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' });

  test('reads what we may write exactly as JSON.parse does', () => {
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 1, '\t'), (any, indent) => {
        const text = JSON.stringify(any, null, indent);
        fc.pre(accepts(() => checkJsonValue(JSON.parse(text))));
        expect(parseStrictJson(text)).toEqual(JSON.parse(text));
        expect(parseStrictJson(Buffer.from(text))).toEqual(JSON.parse(text));
      }),
      { numRuns: 500 },
    );
  });

  test('refuses what we may not write', () => {
    fc.assert(
      fc.property(value, (any) => {
        const text = JSON.stringify(any);
        fc.pre(!accepts(() => checkJsonValue(JSON.parse(text))));
        expect(accepts(() => parseStrictJson(text))).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test('accepts nothing that JSON.parse refuses or reads otherwise', () => {
    const tokens = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '"\\u0061"',
      '1',
      '-0',
      '01',
      '1e1',
      'true',
      'nul',
      ' ',
    ];
    const source = fc.array(fc.constantFrom(...tokens), { maxLength: 12 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.oneof(source, fc.string({ unit: 'binary' })), (text) => {
        const read = attempt(() => parseStrictJson(text));
        if ('value' in read) expect(read.value).toEqual(JSON.parse(text));
      }),
      { numRuns: 2000 },
    );
  });

  test('answers any bytes with a value or a code', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => void attempt(() => parseStrictJson(bytes))),
      { numRuns: 1000 },
    );
  });
});

describe('timestamps', () => {
  test('text and seconds stand for each other', () => {
    const seconds = fc.integer({ min: -62_135_596_800, max: 253_402_300_799 });
    fc.assert(fc.property(seconds, (unix) => parseTimestamp(formatTimestamp(unix)) === unix));
  });
});

describe('payload framing', () => {
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength });

  test('comes back as it went in', () => {
    fc.assert(
      fc.property(bytes(300), bytes(3000), (header, body) => {
        const read = unframePayload(framePayload(header, body));
        expect([Uint8Array.from(read.header), Uint8Array.from(read.body)]).toEqual([header, body]);
      }),
    );
  });

  test('has one spelling: what is accepted frames again to the same bytes', () => {
    const damage = fc.record({ at: fc.nat(), xor: fc.integer({ min: 1, max: 255 }) });
    fc.assert(
      fc.property(bytes(40), bytes(400), damage, (header, body, { at, xor }) => {
        const plain = framePayload(header, body);
        const index = at % plain.length;
        plain[index] = (plain[index] ?? 0) ^ xor;
        const read = attempt(() => unframePayload(plain));
        if ('value' in read) expect(framePayload(read.value.header, read.value.body).equals(plain)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('Padmé grows, never shrinks, and adds at most 12 %', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 40 }), (length) => {
        expect(padme(length)).toBeGreaterThanOrEqual(length);
        expect(padme(length)).toBeLessThanOrEqual(padme(length + 1));
        expect(padme(length)).toBeLessThanOrEqual(Math.ceil(length * 1.12));
        expect(padme(padme(length))).toBe(padme(length));
        expect(paddedLength(length)).toBe(Math.max(256, padme(length)));
      }),
    );
  });
});

describe('gateway coding', () => {
  test('an address that has a coding comes back in its normal form', () => {
    const local = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    const domain = fc.constantFrom('ex.org', 'Bücher.example', 'MAIL.example.com');
    fc.assert(
      fc.property(local, domain, (name, host) => {
        const coded = attempt(() => encodeLegacy(`${name}@${host}`, GATEWAY));
        fc.pre('value' in coded);
        expect(decodeLegacy(coded.value, GATEWAY)).toBe(normalizeLegacyAddress(`${name}@${host}`));
        expect(normalizeAddress(coded.value)).toBe(coded.value);
      }),
      { numRuns: 500 },
    );
  });

  test('whatever decodes encodes again to the same address', () => {
    const piece = fc.constantFrom(
      'a',
      'b',
      '7',
      'z40',
      'z2e',
      'z7a',
      'z41',
      'z61',
      'zc3zbc',
      'zff',
      'z',
      'ex',
      'z2eorg',
    );
    const local = fc.array(piece, { minLength: 1, maxLength: 12 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(local, (text) => {
        const legacy = attempt(() => decodeLegacy(`${text}#${GATEWAY}`, GATEWAY));
        if ('value' in legacy) expect(encodeLegacy(legacy.value, GATEWAY)).toBe(`${text}#${GATEWAY}`);
      }),
      { numRuns: 1000 },
    );
  });
});

function verify(records: IdentityRecord[], head = answerOf(records).head) {
  return verifyHistory({ address: ADAM, records, head });
}

describe('histories', () => {
  test('every honest history verifies and names its keys', () => {
    fc.assert(
      fc.property(changes, (made) => {
        const history = verify(buildRecords(ADAM, made));
        expect(history.seq).toBe(made.length);
        expect(history.masterKeys).toHaveLength(1 + made.filter(({ rotate }) => rotate).length);
        expect(history.keySeqs.map((seq) => history.data[seq]?.public_key)).toEqual(history.masterKeys);
      }),
      { numRuns: 30 },
    );
  });

  test('no record can be changed, dropped, repeated or taken from another history', () => {
    const spoil = fc.record({
      kind: fc.constantFrom('data', 'hash', 'drop', 'repeat', 'foreign'),
      at: fc.nat(),
      nth: fc.nat(),
    });
    fc.assert(
      fc.property(changes, spoil, (made, { kind, at, nth }) => {
        const records = buildRecords(ADAM, made);
        const other = buildRecords(ADAM, made, 101);
        const i = at % records.length;
        fc.pre(kind !== 'drop' || i < records.length - 1);
        const spoiled = spoilRecord(records, other, { kind, i, nth });
        expect(accepts(() => verify(spoiled))).toBe(kind === 'foreign' && records.length === 1);
      }),
      { numRuns: 120 },
    );
  });

  test('another head than that of the last record is refused', () => {
    const records = buildRecords(ADAM, [{ rotate: true, seconds: 5 }]);
    const earlier = answerOf(records.slice(0, 1)).head;
    expect(attempt(() => verify(records, earlier))).toEqual({ code: 'head-mismatch' });
    expect(attempt(() => verify(records, '00'.repeat(32) as Hex32))).toEqual({ code: 'head-mismatch' });
  });
});

function flipDigit(hex: string, nth: number): string {
  const at = nth % hex.length;
  const digit = hex[at] === '0' ? '1' : '0';
  return hex.slice(0, at) + digit + hex.slice(at + 1);
}

function spoilRecord(
  records: IdentityRecord[],
  other: IdentityRecord[],
  { kind, i, nth }: { kind: string; i: number; nth: number },
): IdentityRecord[] {
  const record = records[i] as IdentityRecord;
  if (kind === 'drop') return records.toSpliced(i, 1);
  if (kind === 'repeat') return records.toSpliced(i, 0, record);
  if (kind === 'foreign') return records.with(i, other[i] as IdentityRecord);
  if (kind === 'data') return records.with(i, { ...record, data: `${record.data} ` });
  return records.with(i, { ...record, signed_hash: flipDigit(record.signed_hash, nth) as typeof record.signed_hash });
}
