import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { formatMailDate, parseMailDate } from '../src/mime/date.ts';
import {
  addressField,
  decodeMailboxes,
  decodeMessageIds,
  decodeParameters,
  decodeText,
  MAX_MAILBOXES,
  parameterField,
  textField,
  tokenField,
} from '../src/mime/headers.ts';
import { cleanLine, cleanText, truncate } from '../src/mime/text.ts';

const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
/** What a reader makes of a field that was written. */
const readBack = (field: string): string => decodeText(field.replace(/\r\n(?=[ \t])/g, '').replace(/^[^:]*:/, ''));

describe('writing', () => {
  test('text folds at 76 columns and reads back', () => {
    for (const text of [
      'short',
      'word '.repeat(60).trim(),
      'ä'.repeat(300),
      '=?looks=like',
      '𠀀'.repeat(50),
      'x'.repeat(2_000),
    ]) {
      const field = textField('Subject', text);
      expect(field.endsWith('\r\n')).toBe(true);
      expect(Math.max(...field.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(78);
      expect(readBack(field)).toBe(text);
    }
  });

  test('text loses what is no text of one line', () => {
    expect(readBack(textField('Subject', 'a\r\nb\0c\td\u202ee\u0007'))).toBe('a b c de');
    const encoded = Buffer.from('ü Bcc: x', 'utf8').toString('base64');
    expect(textField('Subject', 'ü\r\nBcc:\0 x')).toBe(`Subject: =?UTF-8?B?${encoded}?=\r\n`);
  });

  test('tokens are ASCII without spaces, or are dropped', () => {
    expect(tokenField('X', ['<a@b>', 'c\r\nBcc: d', 'ü', 'y'.repeat(900)])).toBe('X: <a@b> cBcc:d\r\n');
  });

  test('addresses: names quoted or encoded; what is no address is only named', () => {
    const one = (name: string, address: string): string => addressField('To', [{ name, address }]);
    expect(one('', 'a@b.test')).toBe('To: a@b.test\r\n');
    expect(one('A B', 'a@b.test')).toBe('To: A B <a@b.test>\r\n');
    expect(one('B, "A" \\', 'a@b.test')).toBe('To: "B, \\"A\\" \\\\" <a@b.test>\r\n');
    expect(one('Ä', 'a@bücher.test')).toBe('To: =?UTF-8?B?w4Q=?= <a@xn--bcher-kva.test>\r\n');
    expect(one('A', 'a@b>\r\nBcc: <c@d.test')).toMatch(/^To: "A a@b> Bcc: <c@d\.test":;\r\n$/);
    expect(addressField('To', [])).toBe('To: undisclosed-recipients:;\r\n');
  });

  test('many addresses are one list over many lines', () => {
    const mailboxes = Array.from({ length: 50 }, (_, n) => ({ name: `Person ${n}`, address: `p${n}@x.test` }));
    const field = addressField('To', mailboxes);
    expect(Math.max(...field.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(78);
    expect(decodeMailboxes(field.slice(3).replaceAll('\r\n', ''))).toEqual(mailboxes);
  });

  test('parameters read back, whatever they hold', () => {
    for (const value of [
      'a.txt',
      'a b.txt',
      'q"\\.txt',
      'Bericht für März.pdf',
      '日本'.repeat(60),
      "it's (1)*.txt",
      '=?utf-8?Q?x?=',
    ]) {
      for (const style of ['rfc2231', 'words'] as const) {
        const field = parameterField('Content-Disposition', 'attachment', [{ name: 'filename', value, style }]);
        expect(Math.max(...field.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(90);
        const unfolded = field
          .replace(/\r\n(?=[ \t])/g, '')
          .replace(/^[^:]*:/, '')
          .trim();
        expect(decodeParameters(unfolded).parameters.get('filename')).toBe(value);
      }
    }
  });
});

describe('reading', () => {
  test('a parameter is decoded once', () => {
    const word = '=?utf-8?Q?=2Eexe?=';
    const coded = `attachment; filename*=utf-8''${encodeURIComponent(word).replaceAll("'", '%27')}`;
    expect(decodeParameters(coded).parameters.get('filename')).toBe(word);
    expect(decodeParameters(`attachment; filename="${word}"`).parameters.get('filename')).toBe('.exe');
  });

  test('names and groups', () => {
    expect(
      decodeMailboxes(latin1('"Ä, B" <a@x.test>, Friends: c@x.test, D <d@x.test>;, =?utf-8?B?w7w=?= <e@x.test>')),
    ).toEqual([
      { name: 'Ä, B', address: 'a@x.test' },
      { name: '', address: 'c@x.test' },
      { name: 'D', address: 'd@x.test' },
      { name: 'ü', address: 'e@x.test' },
    ]);
  });

  test('no more addresses than a message may have', () => {
    expect(decodeMailboxes('a@x.test,'.repeat(MAX_MAILBOXES + 1))).toHaveLength(MAX_MAILBOXES);
  });

  test('Message-IDs, also without their brackets', () => {
    expect(decodeMessageIds('<a@b>\t<c@d> junk')).toEqual(['<a@b>', '<c@d>']);
    expect(decodeMessageIds('a@b')).toEqual(['<a@b>']);
    expect(decodeMessageIds('two words')).toEqual([]);
    expect(decodeMessageIds(`<${'x'.repeat(901)}>`)).toEqual([]);
  });

  test('dates there and back, to the ends of the calendar', () => {
    for (const seconds of [0, 1_700_000_000, -62_135_596_800, 253_402_300_799]) {
      const text = formatMailDate(seconds);
      if (seconds > -60_000_000_000) expect(parseMailDate(text)).toBe(seconds);
      expect(formatMailDate(seconds)).toMatch(/^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000$/);
    }
    expect(formatMailDate(1e15)).toBe('Fri, 31 Dec 9999 23:59:59 +0000');
    expect(parseMailDate('Sat, 31 Dec 2016 23:59:60 +0000')).toBe(1_483_228_799);
    expect(parseMailDate('1 Jan 2024 24:00:00 +0000')).toBeNull();
  });
});

describe('text', () => {
  test('is well-formed, without noncharacters and controls', () => {
    expect(cleanText('a\r\nb\rc\u2028d\x00e\x7ff\ud800g\ufdd0h\u{10ffff}i\tj')).toBe(
      'a\nb\nc\ndef\ufffdg\ufffdh\ufffdi\tj',
    );
    expect(cleanLine('  a\n b\u200e\u2066c ')).toBe('a bc');
  });

  test('is never cut within a character', () => {
    expect(truncate('a😀', 2)).toBe('a');
    expect(truncate('a😀', 3)).toBe('a😀');
  });
});
