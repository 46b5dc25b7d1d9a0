/** Results of SEARCH as clients want them: ESEARCH (RFC 4731), SEARCHRES (5182), PARTIAL (9394), and WITHIN (5032). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommandDecoder } from '../src/imap/wire/decoder.ts';
import { inWindow } from '../src/imap/wire/partial.ts';
import { formatResponseCode } from '../src/imap/wire/response-code.ts';
import { esearchLine, type SearchResult } from '../src/imap/wire/responses.ts';
import { SAVED } from '../src/imap/wire/sets.ts';

/** The command, or the code of the error. */
function parse(text: string): object | string {
  const decoder = new CommandDecoder();
  decoder.push(Buffer.from(`t ${text}\r\n`, 'latin1'));
  const event = decoder.next();
  if (event?.type === 'error') return event.code;
  return event?.type === 'command' ? event.command : 'incomplete';
}
const returns = (text: string): unknown => {
  const command = parse(`SEARCH RETURN ${text} ALL`);
  return typeof command === 'string' ? command : Reflect.get(command, 'returns');
};

const NONE = { min: false, max: false, all: false, count: false, save: false, partial: null };

describe('RETURN', () => {
  test.each([
    ['()', { all: true }],
    ['(MIN)', { min: true }],
    ['(min MAX)', { min: true, max: true }],
    ['(ALL COUNT)', { all: true, count: true }],
    ['(SAVE)', { save: true }],
    ['(PARTIAL 1:500)', { partial: { first: 1, last: 500 } }],
    ['(PARTIAL -1:-100 SAVE)', { partial: { first: -1, last: -100 }, save: true }],
    ['(COUNT PARTIAL 7:3)', { partial: { first: 7, last: 3 }, count: true }],
  ])('%s', (text, expected) => {
    expect(returns(text)).toEqual({ ...NONE, ...expected });
  });

  test.each([
    '',
    '(FROB)',
    '(MIN',
    '(PARTIAL)',
    '(PARTIAL 1)',
    '(PARTIAL 0:5)',
    '(PARTIAL 1:0)',
    '(PARTIAL -1:5)',
    '(PARTIAL 1:-5)',
    '(PARTIAL 1:4294967296)',
    '(PARTIAL 1:*)',
    '(ALL PARTIAL 1:2)',
    '(PARTIAL 1:2 PARTIAL 1:2)',
  ])('%j is refused', (text) => {
    expect(returns(text)).toBe('SYNTAX');
  });

  test('stands before the character set and every key, once', () => {
    expect(parse('UID SEARCH RETURN (MIN) CHARSET UTF-8 ALL')).toMatchObject({ charset: 'UTF-8', uid: true });
    expect(parse('SEARCH CHARSET UTF-8 RETURN (MIN) ALL')).toBe('SYNTAX');
    expect(parse('SEARCH ALL RETURN (MIN)')).toBe('SYNTAX');
    expect(parse('SEARCH RETURN (MIN) RETURN (MIN) ALL')).toBe('SYNTAX');
    expect(parse('SEARCH RETURN (MIN)')).toBe('SYNTAX');
    expect(parse('SEARCH ALL')).toMatchObject({ returns: null });
  });
});

test('$ is a set in every command, alone', () => {
  for (const command of ['FETCH $ UID', 'UID STORE $ +FLAGS (x)', 'COPY $ box', 'UID MOVE $ box', 'UID EXPUNGE $'])
    expect(Reflect.get(parse(command) as object, 'set')).toBe(SAVED);
  expect(parse('SEARCH $')).toMatchObject({ key: { type: 'sequence', set: SAVED } });
  expect(parse('SEARCH NOT UID $')).toMatchObject({ key: { key: { type: 'uid', set: SAVED } } });
  for (const wrong of ['$,1', '1,$', '$:5', '$$']) expect(parse(`FETCH ${wrong} UID`)).toBe('SYNTAX');
  expect(parse('SELECT box (QRESYNC (1 2 $))')).toBe('SYNTAX');
  expect(parse('SELECT box (QRESYNC (1 2 (1 $)))')).toBe('SYNTAX');
});

test('WITHIN', () => {
  for (const type of ['older', 'younger']) {
    expect(parse(`SEARCH ${type.toUpperCase()} 259200`)).toMatchObject({ key: { type, seconds: 259_200 } });
    for (const wrong of ['', '0', 'x', '-1', '4294967296']) expect(parse(`SEARCH ${type} ${wrong}`)).toBe('SYNTAX');
  }
});

test('FETCH with PARTIAL', () => {
  expect(parse('UID FETCH 1:* FLAGS (PARTIAL -1:-30)')).toMatchObject({ partial: { first: -1, last: -30 } });
  expect(parse('FETCH 1:* FLAGS (CHANGEDSINCE 5 PARTIAL 1:30)')).toMatchObject({ changedSince: 5 });
  for (const wrong of ['(PARTIAL)', '(PARTIAL 0:1)', '(PARTIAL 1:2 PARTIAL 3:4)'])
    expect(parse(`UID FETCH 1:* FLAGS ${wrong}`)).toBe('SYNTAX');
});

test('a window shows the positions it names, in either order, from either end', () => {
  const bound = fc.integer({ min: 1, max: 30 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 25 }), bound, bound, fc.boolean(), (length, first, last, fromEnd) => {
      const list = Array.from({ length }, (_, n) => n + 1);
      const sign = fromEnd ? -1 : 1;
      const position = (number: number): number => (fromEnd ? length + 1 - number : number);
      const [low, high] = [Math.min(first, last), Math.max(first, last)];
      const expected = list.filter((number) => position(number) >= low && position(number) <= high);
      expect(inWindow(list, { first: sign * first, last: sign * last })).toEqual(expected);
    }),
    { seed: 9 },
  );
});

test('answers', () => {
  const nothing = { tag: 'a1', uid: false, min: null, max: null, all: null, count: null, modseq: null, partial: null };
  const line = (result: Partial<SearchResult>): string => esearchLine({ ...nothing, ...result }).toString('latin1');
  expect(line({})).toBe('* ESEARCH (TAG "a1")\r\n');
  expect(line({ uid: true, min: 2, max: 99, all: [2, 3, 4, 99], count: 4, modseq: 7 })).toBe(
    '* ESEARCH (TAG "a1") UID MIN 2 MAX 99 ALL 2:4,99 COUNT 4 MODSEQ 7\r\n',
  );
  expect(line({ all: [], count: 0, tag: 'x"y' })).toBe('* ESEARCH (TAG "x\\"y") COUNT 0\r\n');
  expect(line({ partial: { range: { first: -1, last: -100 }, numbers: [200, 201] } })).toBe(
    '* ESEARCH (TAG "a1") PARTIAL (-1:-100 200:201)\r\n',
  );
  expect(formatResponseCode({ name: 'INPROGRESS', tag: 'a1', done: 0, goal: 9 })).toBe('[INPROGRESS ("a1" 0 9)]');
  expect(line({ partial: { range: { first: 5, last: 9 }, numbers: [] } })).toContain(' PARTIAL (5:9 NIL)\r\n');
});
