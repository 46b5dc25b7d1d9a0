import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatDateTime, parseDateTime, parseDay } from '../src/imap/wire/date-time.ts';
import { settableFlags } from '../src/imap/wire/flags.ts';
import { decodeMailboxName, encodeMailboxName, toMailboxName } from '../src/imap/wire/mailbox-name.ts';
import {
  formatSequenceSet,
  indexesOf,
  MAX_NUMBER,
  parseSequenceSet,
  resolveSequence,
  resolveUids,
  setContains,
} from '../src/imap/wire/sets.ts';
import { WireError } from '../src/imap/wire/wire-error.ts';
import { epochDay } from '../src/mime/structure/calendar-day.ts';

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return 'none';
}

describe('sequence sets', () => {
  const uids = [4, 5, 7, 100, 4_000_000_000];
  const found = (text: string, among: readonly number[] = uids): number[] =>
    [...indexesOf(resolveUids(parseSequenceSet(text), among))].map((index) => among[index] ?? -1);

  test.each([
    ['1:*', uids],
    ['1:4294967295', uids],
    ['*', [4_000_000_000]],
    ['*:7', [7, 100, 4_000_000_000]],
    ['7:*', [7, 100, 4_000_000_000]],
    ['7:5', [5, 7]],
    ['5:6,4:5,100', [4, 5, 7, 100].filter((uid) => uid !== 7)],
    ['6', []],
    ['1:3,8:99', []],
    // RFC 3501 §6.4.8: 559:* always holds the last message.
    ['4294967295:*', [4_000_000_000]],
  ])('%s', (text, expected) => {
    expect(found(text)).toEqual(expected);
  });

  test('nothing is in an empty mailbox', () => {
    expect(found('1:*', [])).toEqual([]);
    expect(found('*', [])).toEqual([]);
  });

  test('message numbers, and those that are not there', () => {
    expect(resolveSequence(parseSequenceSet('2:4,3:5'), 5)).toEqual({
      ranges: [{ start: 1, end: 5 }],
      outOfRange: false,
    });
    expect(resolveSequence(parseSequenceSet('*'), 5)).toEqual({ ranges: [{ start: 4, end: 5 }], outOfRange: false });
    expect(resolveSequence(parseSequenceSet('5:6'), 5)).toEqual({ ranges: [{ start: 4, end: 5 }], outOfRange: true });
    expect(resolveSequence(parseSequenceSet('6'), 5)).toEqual({ ranges: [], outOfRange: true });
    expect(resolveSequence(parseSequenceSet('1:*'), 0)).toEqual({ ranges: [], outOfRange: true });
    expect(resolveSequence(parseSequenceSet('*'), 0)).toEqual({ ranges: [], outOfRange: true });
  });

  test.each([
    [[], ''],
    [[7], '7'],
    [[1, 2, 3], '1:3'],
    [[1, 2, 4, 6, 7, MAX_NUMBER], '1:2,4,6:7,4294967295'],
    [[3, 2, 1], '3,2,1'],
  ])('format %j', (numbers, expected) => {
    expect(formatSequenceSet(numbers)).toBe(expected);
  });

  test('a formatted set resolves to what it was made of, and agrees with membership', () => {
    const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1 });
    fc.assert(
      fc.property(numbers, numbers, (chosen, present) => {
        const set = parseSequenceSet(formatSequenceSet(chosen.toSorted((a, b) => a - b)));
        const sorted = present.toSorted((a, b) => a - b);
        const expected = sorted.filter((uid) => chosen.includes(uid));
        expect([...indexesOf(resolveUids(set, sorted))].map((index) => sorted[index])).toEqual(expected);
        expect(sorted.filter((uid) => setContains(set, uid, sorted.at(-1) ?? 0))).toEqual(expected);
      }),
      { seed: 3 },
    );
  });

  test('any ranges, with * at either end, agree with membership', () => {
    const bound = fc.oneof(fc.integer({ min: 1, max: 40 }).map(String), fc.constant('*'));
    const element = fc.oneof(
      bound,
      fc.tuple(bound, bound).map((ends) => ends.join(':')),
    );
    const present = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 1 });
    fc.assert(
      fc.property(fc.array(element, { minLength: 1, maxLength: 8 }), present, (elements, uidSet) => {
        const set = parseSequenceSet(elements.join(','));
        const sorted = uidSet.toSorted((a, b) => a - b);
        const expected = sorted.filter((uid) => setContains(set, uid, sorted.at(-1) ?? 0));
        expect([...indexesOf(resolveUids(set, sorted))].map((index) => sorted[index])).toEqual(expected);
      }),
      { seed: 4 },
    );
  });
});

describe('mailbox names', () => {
  test.each([
    ['INBOX', 'INBOX'],
    ['~peter/mail/台北/日本語', '~peter/mail/&U,BTFw-/&ZeVnLIqe-'],
    ['Entwürfe', 'Entw&APw-rfe'],
    ['A&B', 'A&-B'],
    ['&&', '&-&-'],
    ['😀', '&2D3eAA-'],
    ['ÿ~ÿ', '&AP8-~&AP8-'],
    ['', ''],
  ])('%s', (name, wire) => {
    expect(encodeMailboxName(name)).toBe(wire);
    expect(decodeMailboxName(Buffer.from(wire))).toBe(name);
  });

  test('INBOX is the same in any case, and only in ASCII', () => {
    expect(decodeMailboxName(Buffer.from('iNbOx'))).toBe('INBOX');
    expect(toMailboxName('ınbox')).toBe('ınbox');
    expect(toMailboxName('inbox/x')).toBe('inbox/x');
  });

  test.each(['&', 'a&', '&x', '&A-', '&AA-', '&AAA', '&a b-', '&AGEA&-', '&2D0-', '&AAo-', '\x7f', 'a\r', '\xff'])(
    '%j is refused',
    (wire) => {
      expect(codeOf(() => decodeMailboxName(Buffer.from(wire, 'latin1')))).toBe('BAD_MAILBOX_NAME');
    },
  );

  test('every name without controls survives both ways', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        fc.pre(!/[\x00-\x1f\x7f]/.test(text) && !/^inbox$/i.test(text));
        const wire = encodeMailboxName(text);
        expect(wire).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeMailboxName(Buffer.from(wire))).toBe(text);
      }),
      { seed: 5 },
    );
  });
});

describe('dates', () => {
  test('both ways', () => {
    const date = { unixSeconds: Date.UTC(1996, 6, 17, 9, 44, 25) / 1000, zoneMinutes: -420 };
    expect(parseDateTime('17-Jul-1996 02:44:25 -0700')).toEqual(date);
    expect(formatDateTime(date)).toBe('17-Jul-1996 02:44:25 -0700');
    expect(formatDateTime({ unixSeconds: 0, zoneMinutes: 0 })).toBe(' 1-Jan-1970 00:00:00 +0000');
    expect(formatDateTime({ unixSeconds: 0, zoneMinutes: 345 })).toBe(' 1-Jan-1970 05:45:00 +0545');
    expect(parseDateTime(' 1-jan-1970 05:45:00 +0545')).toEqual({ unixSeconds: 0, zoneMinutes: 345 });
    expect(parseDateTime(' 1-Jan-1970 00:00:00 -0000')).toEqual({ unixSeconds: 0, zoneMinutes: 0 });
    expect(parseDateTime('30-Jun-2012 23:59:60 +0000')).toEqual({
      unixSeconds: Date.UTC(2012, 6, 1) / 1000,
      zoneMinutes: 0,
    });
  });

  test.each([
    '',
    '17-Jul-1996',
    '17-Jul-96 02:44:25 -0700',
    '17-Jux-1996 02:44:25 -0700',
    '31-Jun-1996 02:44:25 -0700',
    '17-Jul-1996 24:00:00 +0000',
    '17-Jul-1996 00:60:00 +0000',
    '17-Jul-1996 00:00:61 +0000',
    '17-Jul-1996 00:00:00 +2400',
    '17-Jul-1996 00:00:00 +0060',
    '17-Jul-1996 00:00:00 UTC',
    '0-Jul-1996 00:00:00 +0000',
  ])('%j is no date', (text) => {
    expect(parseDateTime(text)).toBeNull();
  });

  test('days', () => {
    expect(parseDay('1-Feb-1994')).toBe(epochDay(1994, 1, 1));
    expect(parseDay('29-Feb-1996')).toBe(epochDay(1996, 1, 29));
    expect(parseDay('29-Feb-1997')).toBeNull();
    expect(parseDay('1-Jan-0099')).toBe(epochDay(99, 0, 1));
  });

  test('every instant survives both ways', () => {
    const zone = fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_102_444_800 }), zone, (unixSeconds, zoneMinutes) => {
        expect(parseDateTime(formatDateTime({ unixSeconds, zoneMinutes }))).toEqual({ unixSeconds, zoneMinutes });
      }),
      { seed: 6 },
    );
  });
});

test('flags a client may set: canonical, once each, never \\Recent', () => {
  expect(settableFlags(['\\SEEN', '\\seen', 'Foo', 'FOO', '\\RECENT', '\\X'])).toEqual(['\\Seen', 'Foo', '\\X']);
});
