/** Strict JSON beyond the vectors: hostile size and depth, both kinds of input, and what we write ourselves. */
import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { ProfileError } from '../src/smimp/errors.ts';
import { MAX_JSON_DEPTH, parseStrictJson, parseStrictJsonInPlace } from '../src/smimp/json.ts';
import { checkJsonValue, cleanText, writeStrictJson } from '../src/smimp/json-value.ts';

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'accepted';
  } catch (error) {
    if (error instanceof ProfileError) return error.code;
    throw error;
  }
}

describe('hostile input', () => {
  test.each([
    ['arrays', '['],
    ['objects', '{"a":'],
    ['arrays in objects', '{"a":['],
  ])('200,000 nested %s are refused, not followed', (_, opening) => {
    expect(codeOf(() => parseStrictJson(Buffer.from(opening.repeat(200_000))))).toBe('json-depth');
    expect(codeOf(() => parseStrictJson(opening.repeat(200_000)))).toBe('json-depth');
  });

  test('the depth limit may be lowered and raised by its caller', () => {
    expect(codeOf(() => parseStrictJson('[]', { maxDepth: 0 }))).toBe('json-depth');
    expect(codeOf(() => parseStrictJson('1', { maxDepth: 0 }))).toBe('accepted');
    const deeper = '['.repeat(MAX_JSON_DEPTH + 1) + ']'.repeat(MAX_JSON_DEPTH + 1);
    expect(codeOf(() => parseStrictJson(deeper))).toBe('json-depth');
    expect(codeOf(() => parseStrictJson(deeper, { maxDepth: MAX_JSON_DEPTH + 1 }))).toBe('accepted');
  });

  test('a million escapes in one string are read in linear space', () => {
    const value = parseStrictJson(Buffer.from(`"${'\\n'.repeat(1_000_000)}"`));
    expect(value).toBe('\n'.repeat(1_000_000));
  });

  test('an object of 100,000 members is read, and its last duplicate is seen', () => {
    const members = Array.from({ length: 100_000 }, (_, i) => `"k${i}":${i}`).join(',');
    expect(parseStrictJson(`{${members}}`)).toHaveProperty('k99999', 99_999);
    expect(codeOf(() => parseStrictJson(`{${members},"k0":0}`))).toBe('json-duplicate-name');
  });

  test('a number of a million digits is refused', () => {
    expect(codeOf(() => parseStrictJson('9'.repeat(1_000_000)))).toBe('json-number');
  });

  test('inherited names of objects are names like any other', () => {
    const text = '{"toString":1,"hasOwnProperty":2,"valueOf":3,"__defineGetter__":4}';
    expect(parseStrictJson(text)).toEqual(JSON.parse(text));
    expect(codeOf(() => parseStrictJson('{"toString":1,"toString":2}'))).toBe('json-duplicate-name');
  });
});

describe('both kinds of input', () => {
  test('a string with half a surrogate pair is refused although UTF-8 would hide it', () => {
    expect(codeOf(() => parseStrictJson('"\ud800"'))).toBe('json-lone-surrogate');
  });

  test('a byte order mark is refused in a string as in bytes', () => {
    expect(codeOf(() => parseStrictJson('\ufeff{}'))).toBe('json-encoding');
  });

  test('bytes are read from a view at an offset', () => {
    const bytes = new Uint8Array([0x5b, 0x7b, 0x22, 0x61, 0x22, 0x3a, 0x31, 0x7d, 0x5d]);
    expect(parseStrictJson(bytes.subarray(1, 8))).toEqual({ a: 1 });
  });

  test('a cut in any place is refused', () => {
    const text = '{"a":[1,-2,true,false,null,"x\\u00e9\\n"],"b":{"c":""}}';
    expect(parseStrictJson(text)).toEqual(JSON.parse(text));
    for (let end = 0; end < text.length; end++) {
      expect(
        codeOf(() => parseStrictJson(text.slice(0, end))),
        `cut at ${end}`,
      ).toBe('json-syntax');
    }
  });
});

describe('reading in place', () => {
  const ordinary = (value: unknown): unknown => {
    if (Buffer.isBuffer(value)) return value.toString('latin1');
    if (Array.isArray(value)) return value.map(ordinary);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, ordinary(member)]));
  };

  test('gives long plain strings as views, all else as usual', () => {
    const bytes = Buffer.from('{"long":"abcdef","short":"abcde","escaped":"abc\\ndef","wide":"abcdéf","abcdefgh":1}');
    const read = parseStrictJsonInPlace(bytes, { viewFromBytes: 6 }) as Record<string, unknown>;
    expect(read.long).toBeInstanceOf(Buffer);
    expect((read.long as Buffer).buffer).toBe(bytes.buffer);
    expect(ordinary(read)).toEqual(parseStrictJson(bytes));
    expect([read.short, read.escaped, read.wide, read.abcdefgh]).toEqual(['abcde', 'abc\ndef', 'abcdéf', 1]);
  });

  test('accepts and refuses what the other reader does', () => {
    const text = '{"a":["x\\u00e9","plain",-2,{"b":"","c":"\u{1f600}"}],"d":null}';
    for (let end = 0; end <= text.length; end++) {
      const bytes = Buffer.from(text.slice(0, end));
      const strict = codeOf(() => parseStrictJson(bytes));
      expect(codeOf(() => parseStrictJsonInPlace(bytes, { viewFromBytes: 0 }))).toBe(strict);
    }
    expect(ordinary(parseStrictJsonInPlace(Buffer.from(text), { viewFromBytes: 0 }))).toEqual(JSON.parse(text));
    for (const bad of ['"\u0001"', '"\\q"', '{"a":"x","a":"y"}', '"\ufffe"', '{"constructor":"x"}']) {
      const bytes = Buffer.from(bad);
      expect(codeOf(() => parseStrictJsonInPlace(bytes, { viewFromBytes: 0 }))).toBe(
        codeOf(() => parseStrictJson(bytes)),
      );
    }
  });
});

describe('what we write', () => {
  test.each([
    ['json-lone-surrogate', { subject: '\ud83d' }],
    ['json-noncharacter', { subject: 'a\ufffe' }],
    ['json-noncharacter', { subject: '\u{1ffff}' }],
    ['json-number', { n: 1.5 }],
    ['json-number', { n: -0 }],
    ['json-number', { n: Number.NaN }],
    ['json-forbidden-name', { constructor: 1 }],
    ['json-forbidden-name', JSON.parse('{"__proto__":1}')],
    ['bad-field', { a: undefined }],
    ['json-depth', JSON.parse('['.repeat(17) + ']'.repeat(17))],
  ])('%s is not written', (code, value) => {
    expect(codeOf(() => writeStrictJson(value))).toBe(code);
  });

  test('depth 16 is written and read again', () => {
    const value = JSON.parse('['.repeat(16) + ']'.repeat(16));
    expect(parseStrictJson(writeStrictJson(value))).toEqual(value);
  });

  test('cleaned text is always written', () => {
    const text = cleanText('a\ud800b\udc00c\ufdd0d\u{10ffff}e😀');
    expect(text).toBe('a\ufffdb\ufffdc\ufffdd\ufffde😀');
    expect(codeOf(() => checkJsonValue(text))).toBe('accepted');
  });
});
