import { describe, expect, test } from 'vitest';
import { ASCII, UTF8 } from '../src/imap/wire/dialect.ts';
import { ResponseLine } from '../src/imap/wire/encoder.ts';
import type { FetchSection } from '../src/imap/wire/fetch-items.ts';
import { type FetchValue, fetchLine } from '../src/imap/wire/fetch-response.ts';
import {
  capabilityLine,
  continuationLine,
  countLine,
  enabledLine,
  flagsLine,
  idLine,
  listLine,
  namespaceLine,
  quotaLine,
  quotaRootLine,
  searchLine,
  statusLine,
  taggedLine,
  untaggedLine,
} from '../src/imap/wire/responses.ts';
import { indexMessage } from '../src/mime/structure/message-index.ts';
import { WHOLE_MESSAGE } from '../src/mime/structure/section.ts';

const text = (line: Buffer | Buffer[]): string => (Array.isArray(line) ? Buffer.concat(line) : line).toString('latin1');

describe('strings', () => {
  const nstring = (value: string | Buffer | null): string => text(new ResponseLine().nstring(value).toBuffer());

  test.each([
    [null, 'NIL\r\n'],
    ['', '""\r\n'],
    ['a b', '"a b"\r\n'],
    ['a"b\\c', '"a\\"b\\\\c"\r\n'],
    ['NIL', '"NIL"\r\n'],
    ['a\tb', '"a\tb"\r\n'],
    ['a\rb', '{3}\r\na\rb\r\n'],
    ['a\nb', '{3}\r\na\nb\r\n'],
    ['\0', '{1}\r\n\0\r\n'],
    ['\xe4', '{1}\r\n\xe4\r\n'],
  ])('%j', (value, expected) => {
    expect(nstring(value)).toBe(expected);
    if (value !== null) expect(nstring(Buffer.from(value, 'latin1'))).toBe(expected);
  });

  test('long strings go out as literals', () => {
    expect(nstring('x'.repeat(1024))).toMatch(/^"x+"\r\n$/);
    expect(nstring('x'.repeat(1025))).toMatch(/^\{1025\}\r\nx+\r\n$/);
    expect(nstring(Buffer.alloc(1025, 'x'))).toMatch(/^\{1025\}\r\nx+\r\n$/);
  });

  test('an atom stays one, and what is none is quoted', () => {
    const astring = (value: string): string => text(new ResponseLine().astring(value).toBuffer());
    expect(astring('INBOX')).toBe('INBOX\r\n');
    expect(astring('a/b.c')).toBe('a/b.c\r\n');
    for (const value of ['', 'a b', 'nil', 'a*', 'a%', 'a)', 'a]', 'a"', 'a\\'])
      expect(astring(value)).toMatch(/^".*"\r\n$/);
  });

  test('a line cannot be ended from within', () => {
    expect(() => new ResponseLine().raw('a\r\nb')).toThrow(RangeError);
    expect(() => flagsLine(['a\nb'])).toThrow(RangeError);
  });

  test('literal data is not copied', () => {
    const data = Buffer.from('hello');
    expect(new ResponseLine().raw('a ').literal(data).end()).toContain(data);
  });
});

describe('responses', () => {
  test.each([
    [taggedLine('a1', 'OK', 'Done'), 'a1 OK Done\r\n'],
    [taggedLine('a1', 'NO', 'No such mailbox', 'TRYCREATE'), 'a1 NO [TRYCREATE] No such mailbox\r\n'],
    [taggedLine('a1', 'OK', ''), 'a1 OK .\r\n'],
    [taggedLine('a1', 'BAD', '[x] bad\r\nä'), 'a1 BAD (x] bad???\r\n'],
    [untaggedLine('BYE', 'Good bye'), '* BYE Good bye\r\n'],
    [untaggedLine('OK', 'x', { name: 'UIDVALIDITY', value: 3857529045 }), '* OK [UIDVALIDITY 3857529045] x\r\n'],
    [
      untaggedLine('OK', 'x', { name: 'PERMANENTFLAGS', flags: ['\\Seen', '\\*'] }),
      '* OK [PERMANENTFLAGS (\\Seen \\*)] x\r\n',
    ],
    [
      untaggedLine('OK', 'x', { name: 'CAPABILITY', capabilities: ['IMAP4rev1', 'ID'] }),
      '* OK [CAPABILITY IMAP4rev1 ID] x\r\n',
    ],
    [
      taggedLine('a', 'OK', 'x', { name: 'APPENDUID', uidValidity: 38505, uids: [3955, 3956, 3958] }),
      'a OK [APPENDUID 38505 3955:3956,3958] x\r\n',
    ],
    [
      taggedLine('a', 'OK', 'x', {
        name: 'COPYUID',
        uidValidity: 38505,
        source: [304, 319, 320],
        target: [3956, 3957, 3958],
      }),
      'a OK [COPYUID 38505 304,319:320 3956:3958] x\r\n',
    ],
    [continuationLine(), '+ \r\n'],
    [continuationLine('idling'), '+ idling\r\n'],
    [capabilityLine(['IMAP4rev1', 'IDLE']), '* CAPABILITY IMAP4rev1 IDLE\r\n'],
    [enabledLine([]), '* ENABLED\r\n'],
    [enabledLine(['X']), '* ENABLED X\r\n'],
    [countLine(23, 'EXISTS'), '* 23 EXISTS\r\n'],
    [flagsLine(['\\Seen', '$Junk']), '* FLAGS (\\Seen $Junk)\r\n'],
    [searchLine([]), '* SEARCH\r\n'],
    [searchLine([2, 84, 882]), '* SEARCH 2 84 882\r\n'],
    [
      statusLine(
        'blurdy bloop',
        [
          ['MESSAGES', 231],
          ['UIDNEXT', 44292],
        ],
        ASCII,
      ),
      '* STATUS "blurdy bloop" (MESSAGES 231 UIDNEXT 44292)\r\n',
    ],
    [
      statusLine(
        'a',
        [
          ['MAILBOXID', 'F7'],
          ['SIZE', 8],
        ],
        ASCII,
      ),
      '* STATUS a (MAILBOXID (F7) SIZE 8)\r\n',
    ],
    [quotaLine('', { usedKib: 10, limitKib: 512 }), '* QUOTA "" (STORAGE 10 512)\r\n'],
    [quotaLine('x', null), '* QUOTA x ()\r\n'],
    [quotaRootLine('INBOX', ['', 'x'], ASCII), '* QUOTAROOT INBOX "" x\r\n'],
    [taggedLine('a', 'OK', 'x', { name: 'MAILBOXID', id: 'F7' }), 'a OK [MAILBOXID (F7)] x\r\n'],
    [
      listLine(
        'LIST',
        { attributes: ['\\HasNoChildren', '\\Sent'], delimiter: '/', mailbox: 'Gesendete Entwürfe' },
        ASCII,
      ),
      '* LIST (\\HasNoChildren \\Sent) "/" "Gesendete Entw&APw-rfe"\r\n',
    ],
    [
      listLine('LIST', { attributes: ['\\Noselect'], delimiter: null, mailbox: '' }, ASCII),
      '* LIST (\\Noselect) NIL ""\r\n',
    ],
    [listLine('LSUB', { attributes: [], delimiter: '\\', mailbox: 'INBOX' }, ASCII), '* LSUB () "\\\\" INBOX\r\n'],
    [
      listLine('LIST', { attributes: [], delimiter: '/', mailbox: 'a', childInfo: ['SUBSCRIBED'] }, ASCII),
      '* LIST () "/" a ("CHILDINFO" ("SUBSCRIBED"))\r\n',
    ],
    [
      listLine('LIST', { attributes: [], delimiter: '/', mailbox: 'Entwürfe & "mehr"', oldName: 'Böse' }, UTF8),
      '* LIST () "/" "Entw\u00c3\u00bcrfe & \\"mehr\\"" ("OLDNAME" ("B\u00c3\u00b6se"))\r\n',
    ],
    [statusLine('日', [['MESSAGES', 1]], UTF8), '* STATUS "\u00e6\u0097\u00a5" (MESSAGES 1)\r\n'],
    [quotaRootLine('a & b', [''], UTF8), '* QUOTAROOT "a & b" ""\r\n'],
    [
      namespaceLine({ personal: [{ prefix: '', delimiter: '/' }], others: null, shared: [] }),
      '* NAMESPACE (("" "/")) NIL NIL\r\n',
    ],
    [idLine(null), '* ID NIL\r\n'],
    [
      idLine([
        ['name', 'bridge'],
        ['os', null],
      ]),
      '* ID ("name" "bridge" "os" NIL)\r\n',
    ],
  ])('%#', (line, expected) => {
    expect(text(line)).toBe(expected);
  });
});

describe('FETCH', () => {
  const fetch = (...values: FetchValue[]): string => text(fetchLine({ number: 12 }, values));
  const section = (item: Partial<FetchSection>): FetchSection => ({
    type: 'section',
    section: WHOLE_MESSAGE,
    peek: true,
    partial: null,
    label: 'BODY',
    ...item,
  });

  test('small items', () => {
    const date = { unixSeconds: Date.UTC(1996, 6, 17, 9, 44, 25) / 1000, zoneMinutes: -420 };
    expect(
      fetch(
        { type: 'flags', flags: ['\\Seen'] },
        { type: 'uid', uid: 7 },
        { type: 'internaldate', date },
        { type: 'rfc822.size', sizeBytes: 4286 },
      ),
    ).toBe('* 12 FETCH (FLAGS (\\Seen) UID 7 INTERNALDATE "17-Jul-1996 02:44:25 -0700" RFC822.SIZE 4286)\r\n');
  });

  test('ids', () => {
    expect(fetch({ type: 'emailid', id: 'M1' }, { type: 'threadid', id: null })).toBe(
      '* 12 FETCH (EMAILID (M1) THREADID NIL)\r\n',
    );
  });

  test('sections', () => {
    const data = Buffer.from('hi');
    expect(fetch({ type: 'section', item: section({}), data })).toBe('* 12 FETCH (BODY[] {2}\r\nhi)\r\n');
    expect(fetch({ type: 'section', item: section({ label: 'RFC822.HEADER' }), data })).toBe(
      '* 12 FETCH (RFC822.HEADER {2}\r\nhi)\r\n',
    );
    expect(
      fetch({ type: 'section', item: section({ section: { part: [1, 2], kind: 'all', fields: [] } }), data: null }),
    ).toBe('* 12 FETCH (BODY[1.2] NIL)\r\n');
    const fields = section({
      section: { part: [3], kind: 'fields-not', fields: ['From', 'X Y', 'A]'] },
      partial: { offset: 4, count: 9 },
    });
    expect(fetch({ type: 'section', item: fields, data })).toBe(
      '* 12 FETCH (BODY[3.HEADER.FIELDS.NOT (From "X Y" "A]")]<4> {2}\r\nhi)\r\n',
    );
  });

  test('the example of RFC 3501 §8', () => {
    const raw = Buffer.from(
      [
        'Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)',
        'From: Terry Gray <gray@cac.washington.edu>',
        'Subject: IMAP4rev1 WG mtg summary and minutes',
        'To: imap@cac.washington.edu',
        'cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>',
        'Message-Id: <B27397-0100000@cac.washington.edu>',
        'MIME-Version: 1.0',
        'Content-Type: TEXT/PLAIN; CHARSET=US-ASCII',
        '',
        'one',
        'two',
        '',
      ].join('\r\n'),
    );
    const index = indexMessage(raw);
    const from = '(("Terry Gray" NIL "gray" "cac.washington.edu"))';
    expect(fetch({ type: 'envelope', envelope: index.envelope })).toBe(
      `* 12 FETCH (ENVELOPE ("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" ${from} ${from} ${from} ` +
        '((NIL NIL "imap" "cac.washington.edu")) ' +
        '((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL ' +
        '"<B27397-0100000@cac.washington.edu>"))\r\n',
    );
    expect(fetch({ type: 'body', structure: index.structure })).toBe(
      '* 12 FETCH (BODY ("text" "plain" ("CHARSET" "US-ASCII") NIL NIL "7bit" 10 2))\r\n',
    );
    expect(fetch({ type: 'bodystructure', structure: index.structure })).toBe(
      '* 12 FETCH (BODYSTRUCTURE ("text" "plain" ("CHARSET" "US-ASCII") NIL NIL "7bit" 10 2 NIL NIL NIL NIL))\r\n',
    );
  });

  test('a multipart with everything a part can say, and a message within', () => {
    const raw = Buffer.from(
      [
        'Subject: outer',
        'Content-Type: multipart/mixed; boundary="x y"',
        'Content-Language: de, en',
        '',
        '--x y',
        'Content-Type: image/png; name=a.png',
        'Content-Transfer-Encoding: BASE64',
        'Content-ID: <1@a>',
        'Content-Description: a picture',
        'Content-MD5: Q2hlY2s=',
        'Content-Disposition: attachment; filename="a b.png"',
        'Content-Location: http://a/',
        ' b',
        '',
        'AAAA',
        '--x y',
        'Content-Type: message/rfc822',
        '',
        'Subject: in\xe4er',
        '',
        'hi',
        '--x y--',
        '',
      ].join('\r\n'),
      'latin1',
    );
    const { structure } = indexMessage(raw);
    const picture = '"image" "png" ("name" "a.png") "<1@a>" "a picture" "BASE64" 4';
    const innerEnvelope = '(NIL {5}\r\nin\xe4er NIL NIL NIL NIL NIL NIL NIL NIL)';
    const inner = '"text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 2 1';
    const message = `"message" "rfc822" NIL NIL NIL "7bit" 20 ${innerEnvelope}`;
    expect(fetch({ type: 'body', structure })).toBe(
      `* 12 FETCH (BODY ((${picture})(${message} (${inner}) 3) "mixed"))\r\n`,
    );
    expect(fetch({ type: 'bodystructure', structure })).toBe(
      `* 12 FETCH (BODYSTRUCTURE ((${picture} "Q2hlY2s=" ("attachment" ("filename" "a b.png")) NIL "http://a/b")` +
        `(${message} (${inner} NIL NIL NIL NIL) 3 NIL NIL NIL NIL) "mixed" ("boundary" "x y") NIL ("de" "en") NIL))\r\n`,
    );
  });
});
