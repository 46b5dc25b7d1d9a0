import { describe, expect, test } from 'vitest';
import { compareDay, dayOfDateHeader, dayOfInstant, epochDay } from '../src/mime/structure/calendar-day.ts';
import { indexMessage } from '../src/mime/structure/message-index.ts';
import {
  addressContains,
  anyHeaderContains,
  bodyContains,
  decodeTransferEncoding,
  headerContains,
  SEARCHED_TEXT_BYTES,
  textContains,
} from '../src/mime/text-search.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

test('addresses are found as people know them, whatever stands between', () => {
  const header = 'From: <jane (Jane) @ (at work) acme.test>\r\nTo: "M\\"uller, J" <j@corp.test>\r\n\r\n';
  const { envelope } = indexMessage(bytes(header));
  for (const needle of ['jane@acme.test', 'ANE@AC']) expect(addressContains(envelope, 'From', needle)).toBe(true);
  expect(addressContains(envelope, 'to', 'M"uller, J <j@')).toBe(true);
  for (const field of ['cc', 'subject', 'constructor']) expect(addressContains(envelope, field, 'jane')).toBe(false);
});

describe('header values', () => {
  const header = bytes(
    [
      'Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?utf-8?B?YXVzIEvDtmxu?= und mehr',
      'From: "J\xc3\xb6rg M\xc3\xbcller" <joerg@acme.test>',
      'X-Latin: na\xefve',
      'X-Folded: one',
      ' two',
      'X-Empty:',
      '',
      'X-Body: no',
    ].join('\r\n'),
  );

  test.each([
    ['subject', 'GRÜSSE', false],
    ['subject', 'GRÜßE', true],
    ['subject', 'ßeaus köln und', true],
    ['Subject', 'joerg', false],
    ['from', 'jörg MÜLLER', true],
    ['from', 'JOERG@ACME', true],
    ['x-latin', 'NAÏVE', true],
    ['x-folded', 'one two', true],
    ['x-empty', '', true],
    ['x-empty', 'x', false],
    ['x-missing', '', false],
    ['x-body', 'no', false],
  ])('%s contains %j: %s', (field, needle, expected) => {
    expect(headerContains(header, field, needle)).toBe(expected);
  });

  test('composed and decomposed letters are the same', () => {
    expect(headerContains(header, 'from', 'Jo\u0308rg')).toBe(true);
  });

  test('TEXT looks at names and values of all fields', () => {
    expect(anyHeaderContains(header, 'x-folded: ONE')).toBe(true);
    expect(anyHeaderContains(header, 'x-body')).toBe(false);
  });
});

describe('transfer encodings', () => {
  const decode = (text: string, encoding: string): string =>
    decodeTransferEncoding(bytes(text), encoding).toString('latin1');

  test.each([
    ['a=3Db', 'a=b'],
    ['a=\r\nb', 'ab'],
    ['a= \t\r\nb', 'ab'],
    ['a=\nb', 'ab'],
    ['a=', 'a'],
    ['a=\r', 'a'],
    ['a=4', 'a=4'],
    ['=zz=e4=E4', '=zz\xe4\xe4'],
    ['==41', '=A'],
  ])('quoted-printable %j', (text, expected) => {
    expect(decode(text, 'Quoted-Printable')).toBe(expected);
  });

  test('base64 and the rest', () => {
    expect(decode('aGVs\r\nbG8=\r\n', 'BASE64')).toBe('hello');
    expect(decode('a=3Db', '8bit')).toBe('a=3Db');
    expect(decode('a=3Db', 'x-unknown')).toBe('a=3Db');
  });
});

describe('bodies', () => {
  const raw = bytes(
    [
      'Subject: outer subject',
      'Content-Type: multipart/mixed; boundary=x',
      '',
      'preamble words',
      '--x',
      'Content-Type: text/plain; charset=iso-8859-1',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      'Gr=FC=\r\n=DFe',
      '--x',
      'Content-Type: text/html; charset=utf-8',
      'Content-Transfer-Encoding: base64',
      '',
      Buffer.from('<p>Köln</p>').toString('base64'),
      '--x',
      'Content-Type: application/octet-stream',
      '',
      'binary words',
      '--x',
      'Content-Type: message/rfc822',
      '',
      'Subject: =?utf-8?q?inn=C3=A9r?=',
      '',
      'inner text',
      '--x--',
    ].join('\r\n'),
  );
  const index = indexMessage(raw);

  test.each([
    ['GRÜßE', true],
    ['köln', true],
    ['INNÉR', true],
    ['inner TEXT', true],
    ['', true],
    ['binary words', false],
    ['preamble', false],
    ['outer subject', false],
    ['Gr=FC', false],
  ])('BODY %j: %s', (needle, expected) => {
    expect(bodyContains(raw, index, needle)).toBe(expected);
  });

  test('TEXT takes the header as well', () => {
    expect(textContains(raw, index, 'OUTER subject')).toBe(true);
    expect(textContains(raw, index, 'köln')).toBe(true);
    expect(textContains(raw, index, 'absent')).toBe(false);
  });

  test('a charset nobody knows is no failure', () => {
    const odd = bytes('Content-Type: text/plain; charset=x-klingon\r\n\r\nplain words');
    expect(bodyContains(odd, indexMessage(odd), 'plain')).toBe(true);
  });

  test('text is searched up to the limit', () => {
    const filler = Buffer.alloc(SEARCHED_TEXT_BYTES - 4, 'x');
    const text = Buffer.concat([bytes('A: b\r\n\r\n'), filler, bytes('LAST+more')]);
    const described = indexMessage(text);
    expect(bodyContains(text, described, 'last')).toBe(true);
    expect(bodyContains(text, described, 'last+')).toBe(false);
    const parts = Buffer.concat([
      bytes('Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n'),
      filler,
      bytes('\r\n--x\r\n\r\nLAST+more'),
    ]);
    expect(bodyContains(parts, indexMessage(parts), 'last')).toBe(true);
    expect(bodyContains(parts, indexMessage(parts), 'last+')).toBe(false);
  });
});

describe('days', () => {
  const day = (year: number, month: number, date: number): number => epochDay(year, month - 1, date) as number;

  test.each([
    ['Wed, 17 Jul 1996 02:23:25 -0700 (PDT)', day(1996, 7, 17)],
    ['17 Jul 1996 23:59:59 +1400', day(1996, 7, 17)],
    ['wed,17 july 1996', day(1996, 7, 17)],
    ['17-Jul-96', day(1996, 7, 17)],
    ['Tue, 1 Jul 03 10:52:37 +0200', day(2003, 7, 1)],
    ['1 Jan 049 00:00', day(1949, 1, 1)],
    ['1 Jan 100 00:00', day(2000, 1, 1)],
    ['Wednesday 17 Jul 1996', day(1996, 7, 17)],
    ['1996-07-17', null],
    ['31 Feb 1996', null],
    ['17 Jux 1996', null],
    ['', null],
    [' '.repeat(100_000), null],
  ])('%j', (value, expected) => {
    expect(dayOfDateHeader(value)).toBe(expected);
  });

  test('an instant has the day of its zone', () => {
    const instant = Date.UTC(2024, 1, 29, 23, 30) / 1000;
    expect(dayOfInstant(instant, 0)).toBe(day(2024, 2, 29));
    expect(dayOfInstant(instant, 30)).toBe(day(2024, 3, 1));
    expect(dayOfInstant(instant, 29)).toBe(day(2024, 2, 29));
    expect(dayOfInstant(-1, 0)).toBe(day(1969, 12, 31));
  });

  test('before, on and since', () => {
    const [earlier, limit, later] = [day(2024, 2, 28), day(2024, 2, 29), day(2024, 3, 1)].map(
      (value) => value as never,
    );
    const compare = (comparison: 'before' | 'on' | 'since'): boolean[] =>
      [earlier, limit, later].map((value) => compareDay(comparison, value as never, limit as never));
    expect(compare('before')).toEqual([true, false, false]);
    expect(compare('on')).toEqual([false, true, false]);
    expect(compare('since')).toEqual([false, true, true]);
  });
});

describe('what stands beside the text', () => {
  const REPORT =
    'Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nSorry\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nStatus: 5.1.1\r\n--b--\r\n';
  const NAMED =
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee\r\n--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename*0*=utf-8''B%C3; filename*1*=%A4r.pdf\r\n\r\nx\r\n--b--\r\n";
  const search = (raw: string, needle: string): boolean[] => {
    const bytes = Buffer.from(raw);
    const index = indexMessage(bytes);
    return [bodyContains(bytes, index, needle), textContains(bytes, index, needle)];
  };

  test('a report for programs is text', () => {
    expect(search(REPORT, '5.1.1')).toEqual([true, true]);
  });

  test('the name of a file is found by TEXT, in whatever pieces it is written', () => {
    expect(search(NAMED, 'Bär.pdf')).toEqual([false, true]);
    expect(search(NAMED, 'application/pdf')).toEqual([false, true]);
    expect(search(NAMED, 'Bar.pdf')).toEqual([false, false]);
  });
});
