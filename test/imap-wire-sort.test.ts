/** What SORT and THREAD compare and make of it: base subjects, collation, orders and threads (RFC 5256, 5051, 5957). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommandDecoder } from '../src/imap/wire/decoder.ts';
import { sorted, sortValues } from '../src/imap/wire/sorting.ts';
import type { Thread, ThreadMessage } from '../src/imap/wire/thread.ts';
import { formatThreads, threadOrderedSubject, threadReferences } from '../src/imap/wire/threading.ts';
import { baseSubject } from '../src/mime/structure/base-subject.ts';
import { casemapKey } from '../src/mime/structure/casemap.ts';
import { MAX_REFERENCES, messageIdsIn } from '../src/mime/structure/message-ids.ts';
import { indexMessage } from '../src/mime/structure/message-index.ts';
import { displayKey, mailboxKey, sentSeconds, subjectOf } from '../src/mime/structure/sort-values.ts';

/** The command, or the code of the error. */
function parse(text: string): object | string {
  const decoder = new CommandDecoder();
  decoder.push(Buffer.from(`t ${text}\r\n`, 'latin1'));
  const event = decoder.next();
  if (event?.type === 'error') return event.code;
  return event?.type === 'command' ? event.command : 'incomplete';
}

describe('the commands', () => {
  test.each([
    ['SORT (SUBJECT) UTF-8 ALL', { name: 'SORT', uid: false, returns: null, charset: 'UTF-8', key: { type: 'all' } }],
    [
      'uid sort (reverse date cc) us-ascii seen 1',
      {
        uid: true,
        criteria: [
          { key: 'DATE', reverse: true },
          { key: 'CC', reverse: false },
        ],
      },
    ],
    [
      'sort return (count partial 1:2) (reverse displayto displayfrom) utf-8 all',
      { returns: { count: true, partial: { first: 1, last: 2 } } },
    ],
    ['sort return () (arrival size from to) utf-8 all', { returns: { all: true } }],
    ['thread references utf-8 seen', { name: 'THREAD', algorithm: 'REFERENCES', uid: false }],
    ['uid thread OrderedSubject us-ascii all', { algorithm: 'ORDEREDSUBJECT', uid: true }],
  ])('%s', (text, expected) => {
    expect(parse(text)).toMatchObject(expected);
  });

  test.each([
    'SORT',
    'SORT () UTF-8 ALL',
    'SORT (REVERSE) UTF-8 ALL',
    'SORT (REVERSE REVERSE DATE) UTF-8 ALL',
    'SORT (SENT) UTF-8 ALL',
    'SORT (DATE) UTF-8',
    'SORT (DATE) ALL',
    'SORT (DATE)',
    'SORT RETURN (DATE) UTF-8 ALL',
    'SORT RETURN (MIN)(DATE) UTF-8 ALL',
    'SORT (DATE) UTF-8 RETURN (MIN) ALL',
    'THREAD UTF-8 ALL',
    'THREAD REFS UTF-8 ALL',
    'THREAD REFERENCES UTF-8',
  ])('%s is an error', (text) => {
    expect(['SYNTAX', 'BAD_CHARSET']).toContain(parse(text));
  });

  test('a character set that is not known has an answer of its own', () => {
    expect(parse('SORT (DATE) KLINGON ALL')).toBe('BAD_CHARSET');
    expect(parse('THREAD REFERENCES KLINGON ALL')).toBe('BAD_CHARSET');
    expect(parse('SORT (DATE) ISO-8859-1 SUBJECT "\xe4"')).toMatchObject({ key: { value: 'ä' } });
  });
});

describe('base subjects', () => {
  test.each([
    ['a subject', 'a subject', false],
    ['Re: a subject', 'a subject', true],
    ['RE : Re:FWD: fw: a subject', 'a subject', true],
    ['Re[2]: a subject', 'a subject', true],
    ['re [2] : a subject', 'a subject', true],
    ['[list] Re: [list] a subject', 'a subject', true],
    ['[list] a subject', 'a subject', false],
    ['[a] [b] Re: [c] Re: [d] a subject', 'a subject', true],
    ['[only a blob]', '[only a blob]', false],
    ['[a] [b]', '[b]', false],
    ['Re: [b]', '[b]', true],
    ['a subject (fwd)', 'a subject', true],
    ['a subject (FWD) (fwd)  ', 'a subject', true],
    ['a subject(fwd)', 'a subject', true],
    ['[fwd: a subject]', 'a subject', true],
    ['[Fwd: Re: [fwd: a subject (fwd)]]', 'a subject', true],
    ['Re: [fwd: [list] a subject]', 'a subject', true],
    ['[fwd: a subject] and more', 'and more', false],
    ['  much \t space\t', 'much space', false],
    ['Research', 'Research', false],
    ['Re', 'Re', false],
    ['Re:', '', true],
    ['(fwd)', '', true],
    ['[fwd:]', '', true],
    ['[fwd:', '[fwd:', false],
    ['Re: [unclosed', '[unclosed', true],
    ['AW: a subject', 'AW: a subject', false],
    ['', '', false],
  ])('%j', (subject, text, isReply) => {
    expect(baseSubject(subject)).toEqual({ text, isReply });
  });

  test('are found behind encoded words and folds', () => {
    const { envelope } = indexMessage(
      Buffer.from('Subject: =?utf-8?q?Re:_Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_aus?= \r\n Rom\r\n\r\n'),
    );
    expect(subjectOf(envelope)).toEqual({ text: 'Grüße aus Rom', isReply: true });
  });

  test('of hostile subjects cost no more than their length', () => {
    const many = 100_000;
    expect(baseSubject('[a]'.repeat(many))).toEqual({ text: '[a]', isReply: false });
    expect(baseSubject('re:'.repeat(many))).toEqual({ text: '', isReply: true });
    expect(baseSubject(`x${'(fwd)'.repeat(many)}`)).toEqual({ text: 'x', isReply: true });
    expect(baseSubject('[fwd:'.repeat(many) + ']'.repeat(many))).toEqual({ text: '', isReply: true });
    expect(baseSubject('['.repeat(many)).text).toHaveLength(many);
  });

  test('are their own base subjects', () => {
    const piece = fc.constantFrom('re', 'fwd', ':', '[', ']', ' ', '(fwd)', 'x', '[fwd:', '[l]', 're:');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const { text } = baseSubject(pieces.join(''));
        expect(baseSubject(text).text).toBe(text);
      }),
    );
  });
});

describe('i;unicode-casemap', () => {
  const same = (a: string, b: string): boolean => Buffer.compare(casemapKey(a), casemapKey(b)) === 0;
  test.each([
    ['straße', 'STRAßE'],
    ['Élan', 'e\u0301lan'],
    ['ǆ', 'ǅ'],
    ['Ǆ', 'ǅ'],
    ['ᾳ', 'ᾼ'],
    ['ᾀ', 'ᾈ'],
    ['ﬁn', 'ﬁN'],
    ['𐐨', '𐐀'],
  ])('%s is %s', (a, b) => {
    expect(same(a, b)).toBe(true);
  });
  test.each([
    ['straße', 'strasse'],
    ['e', 'é'],
    ['ა', 'Ა'],
    ['', ' '],
  ])('%s is not %s', (a, b) => {
    expect(same(a, b)).toBe(false);
  });
  test('orders by the characters, also beyond the first plane', () => {
    const texts = ['b', 'A', '\u{10400}', '\uffee', 'É', 'z', 'f'];
    const inOrder = [...texts].sort((a, b) => Buffer.compare(casemapKey(a), casemapKey(b)));
    expect(inOrder).toEqual(['A', 'b', 'É', 'f', 'z', '\uffee', '\u{10400}']);
  });
});

describe('what is compared', () => {
  const envelopeOf = (header: string) => indexMessage(Buffer.from(`${header}\r\n\r\n`, 'latin1')).envelope;
  test.each([
    ['To: foo bar <a@b.c>', 'A', 'FOO BAR'],
    ['To: b@c.d', 'B', 'B@C.D'],
    ['To: d', 'D', 'D'],
    ['To: =?iso-8859-1?q?foo_aar?= <e@f.g>', 'E', 'FOO AAR'],
    ['To: "a,  b" <x@y>', 'X', 'A, B'],
    ['To: friends: xx@xx.org, yy@yy.org;', 'FRIENDS', 'FRIENDS'],
    ['To: ""<x@y>', 'X', 'X@Y'],
    ['Subject: nobody', '', ''],
  ])('%s', (header, local, shown) => {
    const { to } = envelopeOf(header);
    expect([mailboxKey(to).toString(), displayKey(to).toString()]).toEqual([local, shown]);
  });

  test.each([
    ['Date: Thu, 1 Jan 1970 01:00:10 +0100', 10],
    ['Date: Thu, 1 Jan 1970 00:00:10', 10],
    ['Date: 2 Jan 1970 25:00:00 +0100', 86_400],
    ['Date: 2 Jan 1970', 86_400],
    ['Date: 32 Jan 1970 00:00:00', 7],
    ['Date: soon', 7],
    ['Subject: none', 7],
  ])('%s', (header, seconds) => {
    expect(sentSeconds(envelopeOf(header), 7)).toBe(seconds);
  });

  test('orders stay those of the mailbox where nothing else decides, also in reverse', () => {
    const messages = [3, 1, 3, 2].map((sizeBytes, n) => ({
      n: n + 1,
      values: sortValues({ envelope: envelopeOf('Subject: same'), sizeBytes, arrivedSeconds: 5 }, [
        { key: 'SUBJECT', reverse: false },
        { key: 'SIZE', reverse: false },
      ]),
    }));
    const order = (subject: boolean, size: boolean): number[] =>
      sorted(messages, [
        { key: 'SUBJECT', reverse: subject },
        { key: 'SIZE', reverse: size },
      ]).map(({ n }) => n);
    expect(order(true, false)).toEqual([2, 4, 1, 3]);
    expect(order(false, true)).toEqual([1, 3, 4, 2]);
  });

  test('Message-IDs are read without their quoting, and not where there are none', () => {
    expect(messageIdsIn('<a@b> noise <"c d"@[1.2.3.4]> <"e"@f> (x) <g> <@h> <i@> <j@k')).toEqual([
      'a@b',
      'c d@[1.2.3.4]',
      'e@f',
    ]);
    const many = Array.from({ length: MAX_REFERENCES + 1 }, (_one, n) => `<${n}@x>`);
    expect(messageIdsIn(many.join(' '))).toEqual(many.slice(1).map((id) => id.slice(1, -1)));
    expect(messageIdsIn(many.slice(1).join(''))).toHaveLength(MAX_REFERENCES);
    expect(messageIdsIn('<"a'.repeat(50_000))).toEqual([]);
  });
});

type Sketch = Partial<Omit<ThreadMessage, 'number'>>;
const messagesOf = (sketches: readonly Sketch[]): ThreadMessage[] =>
  sketches.map((sketch, n) => ({
    ...{ number: n + 1, messageId: null, references: [], sentSeconds: n, subject: '', isReply: false },
    ...sketch,
  }));
const threads = (...sketches: Sketch[]): string => formatThreads(threadReferences(messagesOf(sketches)));

describe('THREAD=REFERENCES', () => {
  const a = { messageId: 'a' };
  const b = { messageId: 'b', references: ['a'] };
  const c = { messageId: 'c', references: ['a', 'b'] };

  test.each<[string, Sketch[], string]>([
    ['nothing', [], ''],
    ['strangers', [{}, a, { messageId: 'x' }], '(1)(2)(3)'],
    ['a conversation', [a, b, c], '(1 2 3)'],
    ['in whatever order it came', [c, b, a].map((one, n) => ({ ...one, sentSeconds: -n })), '(3 2 1)'],
    ['two answers', [a, b, { messageId: 'd', references: ['a'] }], '(1 (2)(3))'],
    [
      'answers by date',
      [a, { ...b, sentSeconds: 9 }, { messageId: 'd', references: ['a'], sentSeconds: 5 }],
      '(1 (3)(2))',
    ],
    ['one whose middle is missing', [a, c], '(1 2)'],
    ['one whose beginning is missing', [b], '(1)'],
    ['two whose beginning is missing', [b, { messageId: 'd', references: ['a'] }], '((1)(2))'],
    [
      'a beginning that is missing, and its only answer with answers',
      [{ references: ['x', 'y'] }, { references: ['x', 'y'] }],
      '((1)(2))',
    ],
    ['one Message-ID twice', [a, a, b], '(1 3)(2)'],
    ['a message that answers itself', [{ messageId: 'a', references: ['a'] }], '(1)'],
    ['a ring', [{ messageId: 'a', references: ['b'] }, b], '(2 1)'],
    ['what a message says of itself', [{ references: ['a', 'x', 'b'] }, a, b, { messageId: 'x' }], '(2 3 1)(4)'],
    ['one that says that it answers nobody', [c, { messageId: 'b' }, a], '(2 1)(3)'],
    ['the RFC', [a, b, { messageId: 'd', references: ['a'] }, { references: ['a', 'd'] }], '(1 (2)(3 4))'],
  ])('%s', (_name, sketches, expected) => {
    expect(threads(...sketches)).toBe(expected);
  });

  test.each<[string, Sketch[], string]>([
    ['a reply without references', [{ subject: 's' }, { subject: 's', isReply: true }], '(1 2)'],
    ['two that are no replies', [{ subject: 's' }, { subject: 's' }], '((1)(2))'],
    [
      'two replies',
      [
        { subject: 's', isReply: true },
        { subject: 's', isReply: true },
      ],
      '((1)(2))',
    ],
    ['the reply was written first', [{ subject: 's', isReply: true }, { subject: 's' }], '(2 1)'],
    ['three that are no replies', [{ subject: 's' }, { subject: 's' }, { subject: 's' }], '((1)(2)(3))'],
    ['no subject', [{}, {}], '(1)(2)'],
    ['a place without a message', [{ ...b, subject: 's' }, { references: ['a'] }, { subject: 's' }], '((1)(2)(3))'],
    [
      'two places without messages',
      [
        { references: ['a'], subject: 's' },
        { references: ['a'] },
        { references: ['z'], subject: 's' },
        { references: ['z'] },
      ],
      '((1)(2)(3)(4))',
    ],
    [
      'a reply and one that is none, below one',
      [{ subject: 's' }, { subject: 's', isReply: true }, { subject: 's' }],
      '((1 2)(3))',
    ],
  ])('subjects: %s', (_name, sketches, expected) => {
    expect(threads(...sketches)).toBe(expected);
  });

  test('a thread of 50,000 is no deeper than any stack, from whichever end it came', () => {
    const chain = (from: number): Sketch => ({ messageId: `${from}`, references: from === 0 ? [] : [`${from - 1}`] });
    const numbers = Array.from({ length: 50_000 }, (_one, n) => n);
    const down = threads(...numbers.map(chain));
    expect(down).toBe(`(${numbers.map((n) => n + 1).join(' ')})`);
    const up = threads(...[...numbers].reverse().map(chain));
    expect(up).toBe(
      `(${numbers
        .map((n) => n + 1)
        .reverse()
        .join(' ')})`,
    );
    const evenFirst = [...numbers.filter((n) => n % 2 === 0), ...numbers.filter((n) => n % 2 === 1)];
    expect(threads(...evenFirst.map(chain)).match(/\d+/g)).toHaveLength(50_000);
  });

  test('whatever refers to whatever, each message is there once', () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
    const sketch = fc.record({
      messageId: fc.option(id),
      references: fc.array(id, { maxLength: 4 }),
      sentSeconds: fc.nat(3),
      subject: fc.constantFrom('', 's', 't'),
      isReply: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(sketch, { maxLength: 12 }), (sketches) => {
        const messages = messagesOf(sketches);
        for (const made of [threadReferences(messages), threadOrderedSubject(messages)]) {
          const numbers = formatThreads(made).match(/\d+/g) ?? [];
          expect(numbers.map(Number).sort((x, y) => x - y)).toEqual(messages.map(({ number }) => number));
          expect(placesIn(made).every(({ children }) => children.length > 1)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** Every place without a message. */
function placesIn(made: readonly Thread[]): Thread[] {
  return made.flatMap((thread) => [...(thread.message === null ? [thread] : []), ...placesIn(thread.children)]);
}

describe('THREAD=ORDEREDSUBJECT', () => {
  test.each<[string, Sketch[], string]>([
    ['nothing', [], ''],
    ['one of each', [{ subject: 'a' }, { subject: 'b' }], '(1)(2)'],
    ['two', [{ subject: 'a' }, { subject: 'a' }], '(1 2)'],
    ['three', [{ subject: 'a' }, { subject: 'a' }, { subject: 'a' }], '(1 (2)(3))'],
    [
      'by date',
      [
        { subject: 'a', sentSeconds: 9 },
        { subject: 'b', sentSeconds: 5 },
        { subject: 'a', sentSeconds: 1 },
      ],
      '(3 1)(2)',
    ],
  ])('%s', (_name, sketches, expected) => {
    expect(formatThreads(threadOrderedSubject(messagesOf(sketches)))).toBe(expected);
  });
});
