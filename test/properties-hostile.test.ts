/**
 * Properties against whoever changes something: classes of refusal of strict JSON, every single change of a history, the payload
 * frame and the gateway coding (SMIMP 0.1 §1.1, §3, §4.1, §6). What must hold for honest input stands in properties.test.ts.
 */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Domain } from '../src/smimp/address.ts';
import { verifyHistory } from '../src/smimp/chain.ts';
import { ProfileError } from '../src/smimp/errors.ts';
import { decodeLegacy, encodeLegacy, normalizeLegacyAddress } from '../src/smimp/gateway.ts';
import { parseStrictJson } from '../src/smimp/json.ts';
import { framePayload, unframePayload } from '../src/smimp/payload.ts';
import { comparePin, extendPin, type Pin, pinSeq } from '../src/smimp/pin.ts';
import { type IdentityRecord, parseRecordData, signRecord } from '../src/smimp/record.ts';
import { ADAM, answerOf, buildRecords, changes, NEW_YEAR, seededKey } from './support/identities.ts';

/** The same inputs in every run. */
fc.configureGlobal({ seed: 20_260_101 });

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'accepted';
  } catch (error) {
    if (error instanceof ProfileError) return error.code;
    throw error;
  }
}

/** Any JSON that is accepted, as text. */
const good = fc
  .jsonValue({ maxDepth: 4, stringUnit: 'grapheme' })
  .map((value) => JSON.stringify(value))
  .filter((text) => codeOf(() => parseStrictJson(text)) === 'accepted');

describe('strict JSON', () => {
  test('what is accepted is what JSON.parse reads, however it is spaced and escaped', () => {
    const space = fc.constantFrom('', ' ', '\n', '\t\r\n ');
    fc.assert(
      fc.property(good, space, fc.boolean(), (text, white, escapes) => {
        const spaced = escapes
          ? text.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
          : text;
        const whole = `${white}${spaced}${white}`;
        expect(parseStrictJson(whole)).toEqual(JSON.parse(whole));
        expect(parseStrictJson(Buffer.from(whole))).toEqual(JSON.parse(whole));
      }),
      { numRuns: 400 },
    );
  });

  /** What is put where a value may stand, and the one class in which the whole is then refused. */
  const classes: [string, string, fc.Arbitrary<string>][] = [
    ['fractions and exponents', 'json-number', fc.constantFrom('1.0', '-7.5', '3e0', '9E+2', '1e-1', '0.5e9', '1e400')],
    [
      'numbers beyond 2⁵³−1',
      'json-number',
      fc.bigInt({ min: 2n ** 53n, max: 2n ** 200n }).map((n) => `${n % 2n === 0n ? '-' : ''}${n}`),
    ],
    ['minus zero', 'json-number', fc.constant('-0')],
    [
      'lone surrogates',
      'json-lone-surrogate',
      fc.integer({ min: 0xd800, max: 0xdfff }).map((unit) => `"\\u${unit.toString(16)}"`),
    ],
    [
      'noncharacters',
      'json-noncharacter',
      fc.constantFrom(0xfdd0, 0xfdef, 0xfffe, 0xffff).map((unit) => `"\\u${unit.toString(16)}"`),
    ],
    [
      'forbidden names',
      'json-forbidden-name',
      fc.constantFrom('__proto__', 'constructor', 'prototype').map((name) => `{"${name}":1}`),
    ],
    [
      'duplicate names',
      'json-duplicate-name',
      fc.constantFrom('', 'a', 'é', '0').map((name) => `{"${name}":1,"b":2,"${name}":1}`),
    ],
    [
      'words of other languages',
      'json-syntax',
      fc.constantFrom('NaN', 'Infinity', 'undefined', 'True', "'a'", '0x1', '+1', '.5', '1.', '1e', '01', '-'),
    ],
    [
      'control characters',
      'json-syntax',
      fc.integer({ min: 0, max: 0x1f }).map((code) => `"${String.fromCharCode(code)}"`),
    ],
    ['depth', 'json-depth', fc.integer({ min: 17, max: 5_000 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth))],
  ];

  test.each(classes)('%s are refused as %s wherever they stand', (_name, code, wrong) => {
    const place = fc.constantFrom<(text: string) => string>(
      (text) => text,
      (text) => `[${text}]`,
      (text) => `[1,${text},2]`,
      (text) => `{"x":${text}}`,
      (text) => `{"w":[{"x":${text}}],"y":1}`,
    );
    fc.assert(
      fc.property(wrong, place, (text, put) => {
        expect(codeOf(() => parseStrictJson(put(text)))).toBe(code);
      }),
      { numRuns: 150 },
    );
  });

  test('any one byte taken from, put into or changed in a good document is read as JSON.parse reads it, or refused', () => {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    const spoil = fc.record({
      at: fc.nat(),
      byte: fc.nat({ max: 255 }),
      how: fc.constantFrom('drop', 'put', 'change'),
    });
    fc.assert(
      fc.property(good, spoil, (text, { at, byte, how }) => {
        const bytes = Buffer.from(text);
        const index = at % (bytes.length + 1);
        const rest = bytes.subarray(how === 'put' ? index : Math.min(index + 1, bytes.length));
        const spoilt = Buffer.concat([
          bytes.subarray(0, index),
          how === 'drop' ? Buffer.alloc(0) : Buffer.from([byte]),
          rest,
        ]);
        if (codeOf(() => parseStrictJson(spoilt)) === 'accepted')
          expect(parseStrictJson(spoilt)).toEqual(JSON.parse(decoder.decode(spoilt)));
      }),
      { numRuns: 1_500 },
    );
  });
});

const verify = (records: readonly unknown[], head: string) => verifyHistory({ address: ADAM, records, head });

describe('histories', () => {
  test('no single byte of any record can be changed: not in its data, not in its signatures, not in the head', () => {
    const spoil = fc.record({ record: fc.nat(), at: fc.nat(), byte: fc.integer({ min: 1, max: 127 }) });
    fc.assert(
      fc.property(
        changes,
        spoil,
        fc.constantFrom('data', 'signed_hash', 'new_key_signed_hash', 'head'),
        (made, { record, at, byte }, member) => {
          const records = buildRecords(ADAM, made);
          const { head } = answerOf(records);
          const i = record % records.length;
          const before = member === 'head' ? head : (records[i] as IdentityRecord)[member];
          fc.pre(before !== null);
          const text = Buffer.from(before as string, 'utf8');
          const index = at % text.length;
          text[index] = (text[index] ?? 0) ^ byte;
          const changed = text.toString('latin1');
          const spoilt =
            member === 'head'
              ? records
              : records.with(i, { ...(records[i] as IdentityRecord), [member]: changed } as IdentityRecord);
          expect(codeOf(() => verify(spoilt, member === 'head' ? changed : head))).not.toBe('accepted');
        },
      ),
      { numRuns: 250 },
    );
  });

  const FIELDS = ['address', 'public_key', 'previous_signed_hash', 'seq', 'date_of_change', 'name'] as const;
  const others: Record<(typeof FIELDS)[number], unknown> = {
    address: 'eve#example.com',
    public_key: Buffer.from(seededKey(99).publicKey).toString('hex'),
    previous_signed_hash: 'ab'.repeat(96),
    seq: 7,
    date_of_change: '2020-01-01 00:00:00',
    name: 'Mallory',
  };

  test('no single field can be changed by anybody who has not the key of the record before', () => {
    fc.assert(
      fc.property(changes, fc.nat(), fc.constantFrom(...FIELDS), fc.boolean(), (made, nth, field, drop) => {
        const records = buildRecords(ADAM, made);
        const i = nth % records.length;
        const data = { ...parseRecordData((records[i] as IdentityRecord).data) } as Record<string, unknown>;
        if (drop) delete data[field];
        else data[field] = others[field];
        // Signed anew, by a thief, with all the form that a record has.
        const thief = seededKey(200);
        const isRotation = (records[i] as IdentityRecord).new_key_signed_hash !== null;
        const forged = signRecord(JSON.stringify(data), thief, isRotation ? thief : null);
        const spoilt = records.with(i, forged);
        const { head } = answerOf(spoilt);
        expect(codeOf(() => verify(spoilt, head))).not.toBe('accepted');
      }),
      { numRuns: 200 },
    );
  });

  test('against a pin every shorter, other or branched list blocks, and only a true continuation goes on', () => {
    fc.assert(
      fc.property(changes, changes, fc.nat(), (first, more, nth) => {
        const pinned = buildRecords(ADAM, first);
        const whole = buildRecords(ADAM, [...first, ...more]);
        const now = NEW_YEAR;
        const { pin } = comparePin({ address: ADAM, answer: answerOf(pinned), pin: null, now });
        const against = (records: IdentityRecord[]) =>
          comparePin({ address: ADAM, answer: answerOf(records), pin, now });
        expect(against(whole).state).toBe(more.length === 0 ? 'OK' : 'EXTENDED');
        const cut = nth % pinned.length;
        if (cut > 0)
          expect(against(pinned.slice(0, cut))).toMatchObject({ state: 'TRUNCATED', sending: 'blocked', pin });
        // Another identity has no record in common; one that shares some and goes another way is a fork.
        expect(against(buildRecords(ADAM, first, 101))).toMatchObject({ state: 'REPLACED', sending: 'blocked', pin });
        const branch = buildRecords(ADAM, [...first.slice(0, cut), { rotate: false, seconds: 777_777 }]);
        if (cut > 0 && cut < first.length)
          expect(against(branch)).toMatchObject({ state: 'FORKED', sending: 'blocked', pin });
      }),
      { numRuns: 60 },
    );
  });

  test('a part of a history says of a pin no more than the whole says', () => {
    fc.assert(
      fc.property(changes, changes, fc.boolean(), (first, more, spoil) => {
        const pinned = buildRecords(ADAM, first);
        const whole = buildRecords(ADAM, [...first, ...more]);
        const now = NEW_YEAR;
        const pin = comparePin({ address: ADAM, answer: answerOf(pinned), pin: null, now }).pin as Pin;
        const records = whole.slice(pinSeq(pin));
        const last = records.at(-1) as IdentityRecord;
        const given = spoil ? records.with(-1, { ...last, data: `${last.data} ` }) : records;
        const { head } = answerOf(whole);
        const extended = extendPin({ address: ADAM, answer: { records: given, head }, pin, now });
        if (spoil) expect(extended).toBeNull();
        else expect(extended?.pin).toEqual(comparePin({ address: ADAM, answer: answerOf(whole), pin, now }).pin);
      }),
      { numRuns: 60 },
    );
  });
});

describe('payload framing', () => {
  test('no other length, no other padding and no other division of the same bytes is accepted', () => {
    const bytes = fc.uint8Array({ maxLength: 600 });
    fc.assert(
      fc.property(bytes, bytes, fc.integer({ min: -300, max: 300 }), fc.nat(), (header, body, longer, at) => {
        const plain = framePayload(header, body);
        if (longer !== 0) {
          const size = Math.max(0, plain.length + longer);
          const other = Buffer.alloc(size);
          plain.copy(other);
          expect(codeOf(() => unframePayload(other))).not.toBe('accepted');
        }
        const used = 9 + header.length + body.length;
        if (used < plain.length) {
          const padded = Buffer.from(plain);
          padded[used + (at % (plain.length - used))] = 1;
          expect(codeOf(() => unframePayload(padded))).toBe('payload-padding');
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('gateway coding', () => {
  const GATEWAY = 'gw.example.com' as Domain;
  const legacy = fc
    .tuple(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
      fc.constantFrom('ex.org', 'EX.org', 'bücher.example', 'a.b.ex.org'),
    )
    .map(([local, domain]) => `${local}@${domain}`)
    .filter((text) => codeOf(() => encodeLegacy(text, GATEWAY)) === 'accepted');

  test('two addresses have one coding exactly when they are the same in normal form', () => {
    fc.assert(
      fc.property(legacy, legacy, (one, two) => {
        const same = normalizeLegacyAddress(one) === normalizeLegacyAddress(two);
        expect(encodeLegacy(one, GATEWAY) === encodeLegacy(two, GATEWAY)).toBe(same);
      }),
      { numRuns: 500 },
    );
  });

  test('a coding changed in one letter is another correspondent, or none', () => {
    fc.assert(
      fc.property(legacy, fc.nat(), fc.constantFrom(...'abyz0179'), (text, at, letter) => {
        const coded = encodeLegacy(text, GATEWAY);
        const local = coded.slice(0, coded.indexOf('#'));
        const index = at % local.length;
        fc.pre(local[index] !== letter);
        const changed = `${local.slice(0, index)}${letter}${local.slice(index + 1)}#${GATEWAY}`;
        if (codeOf(() => decodeLegacy(changed, GATEWAY)) === 'accepted')
          expect(decodeLegacy(changed, GATEWAY)).not.toBe(decodeLegacy(coded, GATEWAY));
      }),
      { numRuns: 500 },
    );
  });
});
