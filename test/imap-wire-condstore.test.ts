/** What CONDSTORE and QRESYNC add to the grammar (RFC 7162 §7). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommandDecoder } from '../src/imap/wire/decoder.ts';
import { fetchLine } from '../src/imap/wire/fetch-response.ts';
import { formatResponseCode } from '../src/imap/wire/response-code.ts';
import { searchLine, vanishedLine } from '../src/imap/wire/responses.ts';
import { absentRanges, formatRanges, indexesOf, parseSequenceSet, resolveUids } from '../src/imap/wire/sets.ts';

/** The command, or the code of the error. */
function parse(text: string): object | string {
  const decoder = new CommandDecoder();
  decoder.push(Buffer.from(`t ${text}\r\n`, 'latin1'));
  const event = decoder.next();
  if (event?.type === 'error') return event.code;
  return event?.type === 'command' ? event.command : 'incomplete';
}

describe('commands', () => {
  test('SELECT and EXAMINE with parameters', () => {
    for (const name of ['SELECT', 'EXAMINE']) {
      expect(parse(`${name} box (condstore)`)).toMatchObject({ name, mailbox: 'box', condstore: true });
      expect(parse(`${name} box`)).toMatchObject({ condstore: false });
      for (const wrong of ['()', '(FROB)', '(CONDSTORE CONDSTORE)', 'CONDSTORE', '(CONDSTORE', '(CONDSTORE) x'])
        expect(parse(`${name} box ${wrong}`)).toBe('SYNTAX');
    }
  });

  test('SELECT with what the client knows', () => {
    const known = { uidValidity: 67_890_007, modseq: 90_060_115, knownUids: null, match: null };
    expect(parse('SELECT box (QRESYNC (67890007 90060115))')).toMatchObject({ condstore: false, qresync: known });
    expect(parse('SELECT box (CONDSTORE qresync (67890007 90060115 41:211))')).toMatchObject({
      condstore: true,
      qresync: { ...known, knownUids: [{ first: 41, last: 211 }] },
    });
    expect(parse('EXAMINE box (QRESYNC (67890007 90060115 41,43:211 (1:2,9 41,45:46)))')).toMatchObject({
      qresync: {
        ...known,
        knownUids: parseSequenceSet('41,43:211'),
        match: {
          numbers: parseSequenceSet('1:2,9'),
          uids: parseSequenceSet('41,45:46'),
        },
      },
    });
    expect(parse('SELECT box (QRESYNC (1 2 (1 7)))')).toMatchObject({ qresync: { knownUids: null } });
  });

  test.each([
    '',
    '()',
    '(1)',
    '(0 1)',
    '(1 0)',
    '(1 2 x)',
    '(1 2 1:*)',
    '(1 2 5,3)',
    '(1 2 5:3)',
    '(1 2 3,3)',
    '(1 2 3 (1:2 5))',
    '(1 2 3 (1))',
    '(1 2 3 (1 *))',
    '(1 2 3 (1 5) 6)',
    '(1 2 3',
  ])('QRESYNC %j is refused', (known) => {
    expect(parse(`SELECT box (QRESYNC ${known})`)).toBe('SYNTAX');
  });

  test('UID FETCH with VANISHED', () => {
    for (const modifiers of ['CHANGEDSINCE 9 VANISHED', 'VANISHED CHANGEDSINCE 9'])
      expect(parse(`UID FETCH 1:* FLAGS (${modifiers})`)).toMatchObject({ changedSince: 9, vanished: true });
    expect(parse('UID FETCH 1:* FLAGS (VANISHED)')).toBe('SYNTAX');
    expect(parse('FETCH 1:* FLAGS (CHANGEDSINCE 9 VANISHED)')).toBe('SYNTAX');
  });

  test('FETCH with CHANGEDSINCE asks for MODSEQ, once', () => {
    expect(parse('FETCH 1 FLAGS (CHANGEDSINCE 12345)')).toMatchObject({
      items: [{ type: 'flags' }, { type: 'modseq' }],
      changedSince: 12_345,
    });
    expect(parse('UID FETCH 1 (MODSEQ) (changedsince 1)')).toMatchObject({
      items: [{ type: 'uid' }, { type: 'modseq' }],
      changedSince: 1,
    });
    for (const wrong of [
      '()',
      '(CHANGEDSINCE)',
      '(CHANGEDSINCE x)',
      '(FROB 1)',
      '(CHANGEDSINCE 1 CHANGEDSINCE 1)',
      '1',
    ])
      expect(parse(`FETCH 1 FLAGS ${wrong}`)).toBe('SYNTAX');
  });

  test('STORE with UNCHANGEDSINCE', () => {
    expect(parse('STORE 1 (UNCHANGEDSINCE 0) +FLAGS.SILENT (x)')).toMatchObject({
      unchangedSince: 0,
      silent: true,
      mode: 'add',
    });
    expect(parse('UID STORE 1 ( unchangedsince 7 ) FLAGS ()')).toMatchObject({ unchangedSince: 7, mode: 'replace' });
    for (const wrong of ['()', '(UNCHANGEDSINCE)', '(UNCHANGEDSINCE -1)', '(FROB 1)', '(UNCHANGEDSINCE 1)+FLAGS (x)'])
      expect(parse(`STORE 1 ${wrong} FLAGS (x)`)).toBe('SYNTAX');
  });

  test('SEARCH MODSEQ, with and without an entry', () => {
    expect(parse('SEARCH MODSEQ 620162338')).toMatchObject({ key: { type: 'modseq', least: 620_162_338 } });
    for (const type of ['all', 'priv', 'SHARED'])
      expect(parse(`SEARCH MODSEQ "/flags/\\\\draft" ${type} 0`)).toMatchObject({ key: { type: 'modseq', least: 0 } });
    for (const wrong of ['', 'x', '"/flags/x" 1', '"/flags/x" none 1', '"/flags/x" all'])
      expect(parse(`SEARCH MODSEQ ${wrong}`)).toBe('SYNTAX');
  });

  test('mod-sequences have 63 bits; what is beyond every counter stays greater than all', () => {
    const wanted = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    fc.assert(
      fc.property(wanted, (value) => {
        const expected = value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
        const parsed = parse(`SEARCH MODSEQ ${value}`);
        if (value >= 1n << 63n) expect(parsed).toBe('SYNTAX');
        else expect(parsed).toMatchObject({ key: { least: expected } });
      }),
      { seed: 7 },
    );
    expect(parse(`SEARCH MODSEQ ${(1n << 63n) - 1n}`)).toMatchObject({ key: { least: Number.MAX_SAFE_INTEGER } });
    expect(parse(`SEARCH MODSEQ ${1n << 63n}`)).toBe('SYNTAX');
    expect(parse(`SEARCH MODSEQ ${'9'.repeat(30_000)}`)).toBe('SYNTAX');
  });
});

test('the UIDs of a set that are not there', () => {
  const uid = fc.integer({ min: 1, max: 40 });
  const bound = fc.oneof(uid.map(String), fc.constant('*'));
  const element = fc.oneof(
    bound,
    fc.tuple(bound, bound).map((ends) => ends.join(':')),
  );
  const elements = fc.array(element, { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(elements, fc.uniqueArray(uid), uid, uid, (wanted, there, least, most) => {
      const set = parseSequenceSet(wanted.join(','));
      const all = Array.from({ length: most }, (_, n) => n + 1);
      const asked = [...indexesOf(resolveUids(set, all))].map((at) => all[at] ?? 0);
      const expected = asked.filter((number) => number >= least && !there.includes(number));
      const ranges = absentRanges(
        set,
        there.toSorted((a, b) => a - b),
        { least, most },
      );
      expect(ranges.flatMap(({ first, last }) => all.slice(first - 1, last))).toEqual(expected);
      if (expected.length > 0) expect(parseSequenceSet(formatRanges(ranges))).toEqual(ranges);
    }),
    { seed: 8 },
  );
  expect(formatRanges([])).toBe('');
});

test('answers', () => {
  const text = (buffers: Buffer[]): string => Buffer.concat(buffers).toString('latin1');
  expect(text(fetchLine({ number: 3 }, [{ type: 'modseq', modseq: 9 }]))).toBe('* 3 FETCH (MODSEQ (9))\r\n');
  expect(text([searchLine([2, 5], 9)])).toBe('* SEARCH 2 5 (MODSEQ 9)\r\n');
  expect(text([vanishedLine('41,43:116', { earlier: true })])).toBe('* VANISHED (EARLIER) 41,43:116\r\n');
  expect(text([vanishedLine('41', { earlier: false })])).toBe('* VANISHED 41\r\n');
  expect(formatResponseCode({ name: 'MODIFIED', numbers: [7, 8, 9, 12] })).toBe('[MODIFIED 7:9,12]');
  expect(formatResponseCode({ name: 'HIGHESTMODSEQ', value: 715_194_045 })).toBe('[HIGHESTMODSEQ 715194045]');
});
