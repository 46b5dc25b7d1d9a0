import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommandDecoder, type DecoderEvent } from '../src/imap/wire/decoder.ts';
import { DEFAULT_LIMITS, type DecoderLimits } from '../src/imap/wire/limits.ts';
import { errorLine } from '../src/imap/wire/responses.ts';

function decodeChunks(chunks: readonly Buffer[], limits: Partial<DecoderLimits> = {}): DecoderEvent[] {
  const decoder = new CommandDecoder({ limits });
  const events: DecoderEvent[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let event = decoder.next(); event !== null; event = decoder.next()) events.push(event);
  }
  return events;
}

function decode(text: string, limits: Partial<DecoderLimits> = {}): DecoderEvent[] {
  return decodeChunks([Buffer.from(text, 'latin1')], limits);
}

/** Events in brief: what a reader of the dialogue needs. */
function brief(events: readonly DecoderEvent[]): string[] {
  return events.map((event) => {
    if (event.type === 'command') return `${event.command.tag} ${event.command.name}`;
    if (event.type === 'error') return `${event.tag ?? '*'} ${event.code}${event.fatal ? ' fatal' : ''}`;
    return event.type === 'line' ? `line ${event.line.toString('latin1')}` : event.type;
  });
}

function codes(text: string, limits: Partial<DecoderLimits>): string[] {
  return brief(decode(text, limits));
}

describe('lines', () => {
  test('commands end with CRLF or LF, and empty lines between them are nothing', () => {
    expect(codes('a NOOP\r\nb noop\n\r\n\nc CAPABILITY\r\n', {})).toEqual(['a NOOP', 'b NOOP', 'c CAPABILITY']);
  });

  test('a syntax error spoils its own line only, and keeps the tag', () => {
    expect(codes('a FROB\r\nb NOOP extra\r\n\x01\r\nc\r\n* NOOP\r\nd NOOP\r\n', {})).toEqual([
      'a UNKNOWN_COMMAND',
      'b SYNTAX',
      '* SYNTAX',
      'c SYNTAX',
      '* SYNTAX',
      'd NOOP',
    ]);
  });

  test('a line may be as long as the limit, its end included, and not a byte longer', () => {
    const fits = `a LOGIN u ${'p'.repeat(48)}\r\n`;
    expect(fits.length).toBe(60);
    expect(codes(fits, { lineBytes: 60 })).toEqual(['a LOGIN']);
    expect(codes(fits, { lineBytes: 59 })).toEqual(['* LINE_TOO_LONG fatal']);
  });

  test('an endless line is fatal as soon as it passes the limit, and nothing is decoded behind it', () => {
    const decoder = new CommandDecoder();
    const chunk = Buffer.alloc(1024, 'x');
    const events: DecoderEvent[] = [];
    for (let count = 0; count < 200; count += 1) {
      decoder.push(chunk);
      for (let event = decoder.next(); event !== null; event = decoder.next()) events.push(event);
    }
    decoder.push(Buffer.from('\r\na NOOP\r\n'));
    expect(decoder.next()).toBeNull();
    expect(brief(events)).toEqual(['* LINE_TOO_LONG fatal']);
    expect(decoder.bufferedBytes).toBe(0);
  });

  test('a long tag is not echoed', () => {
    expect(codes(`${'t'.repeat(128)} NOOP\r\n`, {})).toEqual([`${'t'.repeat(128)} NOOP`]);
    expect(codes(`${'t'.repeat(129)} NOOP\r\n`, {})).toEqual(['* SYNTAX']);
  });
});

describe('literals', () => {
  test('a synchronising literal asks for a continuation, a non-synchronising one does not', () => {
    expect(codes('a LOGIN {3}\r\nbob {6}\r\nsecret\r\n', {})).toEqual(['continue', 'continue', 'a LOGIN']);
    expect(codes('a LOGIN {3+}\r\nbob {6+}\r\nsecret\r\n', {})).toEqual(['a LOGIN']);
  });

  test('literals carry any bytes, and may be empty', () => {
    const [event] = decode('a LOGIN {4+}\r\n\r\n{3 {0+}\r\n\r\n');
    expect(event).toMatchObject({ command: { user: '\r\n{3', password: '' } });
  });

  test('the continuation comes before the bytes are there', () => {
    const decoder = new CommandDecoder();
    decoder.push(Buffer.from('a LOGIN {3}\r\n'));
    expect(decoder.next()).toEqual({ type: 'continue' });
    expect(decoder.next()).toBeNull();
    expect(decoder.idle).toBe(false);
    decoder.push(Buffer.from('bob pw\r\n'));
    expect(brief([decoder.next() as DecoderEvent])).toEqual(['a LOGIN']);
    expect(decoder.idle).toBe(true);
  });

  test('an oversized synchronising literal is refused before its bytes, at the edge', () => {
    expect(codes('a LOGIN {10}\r\n0123456789 p\r\n', { literalBytes: 10 })).toEqual(['continue', 'a LOGIN']);
    expect(codes('a LOGIN {11}\r\nb NOOP\r\n', { literalBytes: 10 })).toEqual(['a LITERAL_TOO_BIG', 'b NOOP']);
  });

  test('an oversized non-synchronising literal is skipped together with its command', () => {
    const text = 'a LOGIN {11+}\r\nx LOGOUT\r\nz {2+}\r\nno\r\nb NOOP\r\n';
    expect(codes(text, { literalBytes: 10 })).toEqual(['a LITERAL_TOO_BIG', 'b NOOP']);
  });

  test('a synchronising literal in a skipped command ends it, for its bytes will not come', () => {
    const text = 'a LOGIN {11+}\r\n01234567890 {5}\r\nb NOOP\r\n';
    expect(codes(text, { literalBytes: 10 })).toEqual(['a LITERAL_TOO_BIG', 'b NOOP']);
  });

  test('what is skipped is bounded: literals, and lines between empty literals', () => {
    const limits = { literalBytes: 10, discardBytes: 100 };
    expect(codes(`a LOGIN {98+}\r\n${'x'.repeat(98)} p\r\nb NOOP\r\n`, limits)).toEqual([
      'a LITERAL_TOO_BIG',
      'b NOOP',
    ]);
    expect(codes('a LOGIN {101+}\r\n', limits)).toEqual(['a TOO_MUCH_DISCARDED fatal']);
    expect(codes(`a LOGIN {11+}\r\n${'x'.repeat(11)}${' {0+}\r\n'.repeat(50)}`, limits)).toEqual([
      'a TOO_MUCH_DISCARDED fatal',
    ]);
    expect(codes(`a LOGIN {${'9'.repeat(400)}+}\r\n`, {})).toEqual(['a TOO_MUCH_DISCARDED fatal']);
    expect(codes(`a LOGIN {${'9'.repeat(400)}}\r\nb NOOP\r\n`, {})).toEqual(['a LITERAL_TOO_BIG', 'b NOOP']);
  });

  test('LITERAL- bounds non-synchronising literals only', () => {
    const limits = { nonSyncLiteralBytes: 4096 };
    const name = 'x'.repeat(4097);
    expect(codes(`a LOGIN {4096+}\r\n${name.slice(1)} p\r\n`, limits)).toEqual(['a LOGIN']);
    expect(codes(`a LOGIN {4097+}\r\n${name} p\r\n`, limits)).toEqual(['a LITERAL_TOO_BIG']);
    expect(codes(`a LOGIN {4097}\r\n${name} p\r\n`, limits)).toEqual(['continue', 'a LOGIN']);
  });

  test('the number of literals and the size of the whole command are bounded at the edge', () => {
    expect(codes('a LOGIN {1+}\r\nu {1+}\r\np\r\n', { literals: 2 })).toEqual(['a LOGIN']);
    expect(codes('a LOGIN {1+}\r\nu {1+}\r\np\r\n', { literals: 1 })).toEqual(['a TOO_MANY_LITERALS']);
    // Lines of 12 and 0 and a literal of 9: line ends do not count.
    const text = 'a SELECT {9}\r\n012345678\r\n';
    expect(codes(text, { commandBytes: 21 })).toEqual(['continue', 'a SELECT']);
    expect(codes('a SELECT {9}\r\n', { commandBytes: 20 })).toEqual(['a COMMAND_TOO_BIG']);
  });

  test('only the message of APPEND may be large, and only after login raised its limit', () => {
    const decoder = new CommandDecoder({ limits: { appendLiteralBytes: 0, literalBytes: 10 } });
    decoder.push(Buffer.from('a APPEND INBOX {20}\r\n'));
    expect(brief([decoder.next() as DecoderEvent])).toEqual(['a LITERAL_TOO_BIG']);
    decoder.setLimits({ appendLiteralBytes: 20 });
    decoder.push(
      Buffer.from('b APPEND INBOX {20}\r\n01234567890123456789\r\nc APPEND {20}\r\nd APPEND INBOX {21}\r\n'),
    );
    expect(brief([decoder.next(), decoder.next(), decoder.next(), decoder.next()] as DecoderEvent[])).toEqual([
      'continue',
      'b APPEND',
      'c LITERAL_TOO_BIG',
      'd LITERAL_TOO_BIG',
    ]);
  });

  test('messages of one APPEND that are too large together are refused', () => {
    const text = `a APPEND INBOX {20+}\r\n${'x'.repeat(20)} {20}\r\nb NOOP\r\n`;
    expect(codes(text, { literalBytes: 10, appendLiteralBytes: 39 })).toEqual(['a LITERAL_TOO_BIG', 'b NOOP']);
  });

  test('a message of many megabytes arrives whole', () => {
    const message = Buffer.alloc(5_000_001, 'abcdefg');
    const chunks = [Buffer.from(`a APPEND INBOX {${message.length}+}\r\n`)];
    for (let start = 0; start < message.length; start += 4096) chunks.push(message.subarray(start, start + 4096));
    const [event] = decodeChunks([...chunks, Buffer.from('\r\n')]);
    expect(
      event?.type === 'command' &&
        event.command.name === 'APPEND' &&
        event.command.messages[0]?.message.equals(message),
    ).toBe(true);
  });

  test('braces that announce nothing are a syntax error', () => {
    for (const end of ['{}', '{-1}', '{1', '{1++}', '{a}', '"{3"}']) {
      expect(codes(`a LOGIN u ${end}\r\nb NOOP\r\n`, {}), end).toEqual(['a SYNTAX', 'b NOOP']);
    }
  });
});

describe('structure limits', () => {
  test('nesting is bounded at the edge, in lists and in NOT and OR', () => {
    const nested = (depth: number): string => `a SEARCH ${'('.repeat(depth)}ALL${')'.repeat(depth)}\r\n`;
    expect(codes(nested(64), {})).toEqual(['a SEARCH']);
    expect(codes(nested(65), {})).toEqual(['a TOO_DEEP']);
    expect(codes(`a SEARCH ${'NOT '.repeat(64)}ALL\r\n`, {})).toEqual(['a SEARCH']);
    expect(codes(`a SEARCH ${'NOT '.repeat(65)}ALL\r\n`, {})).toEqual(['a TOO_DEEP']);
    expect(codes(`a SEARCH ${'OR ALL '.repeat(10_000)}ALL ALL\r\n`, { lineBytes: 100_000 })).toEqual(['a TOO_DEEP']);
  });

  test('what stands side by side is not nested', () => {
    expect(codes(`a SEARCH ${'(ALL) NOT ALL '.repeat(100)}\r\n`, {})).toEqual(['a SEARCH']);
  });

  test('tokens are bounded at the edge', () => {
    // The name of the command and one for each key.
    expect(codes(`a SEARCH ${'ALL '.repeat(9)}\r\n`, { tokens: 10 })).toEqual(['a SEARCH']);
    expect(codes(`a SEARCH ${'ALL '.repeat(10)}\r\n`, { tokens: 10 })).toEqual(['a TOO_MANY_TOKENS']);
  });

  test('long tokens are read without trouble', () => {
    const quoted = `a LOGIN u "${'\\"'.repeat(32_000)}"\r\n`;
    expect(codes(quoted, {})).toEqual(['a LOGIN']);
    expect(codes(quoted.replace(/"\r\n$/, '\r\n'), {})).toEqual(['a SYNTAX']);
    const set = `a FETCH ${'1,'.repeat(32_000)}1 UID\r\n`;
    expect(codes(set, {})).toEqual(['a FETCH']);
    expect(codes(`a SELECT "${'&'.repeat(60_000)}"\r\n`, {})).toEqual(['a BAD_MAILBOX_NAME']);
  });
});

describe('lines that are not commands', () => {
  test('the connection asks for a line after IDLE; the rest is commands again', () => {
    const decoder = new CommandDecoder();
    decoder.push(Buffer.from('a IDLE\r\ndone\r\nb NOOP\r\n'));
    expect(brief([decoder.next() as DecoderEvent])).toEqual(['a IDLE']);
    decoder.expectLine();
    expect(brief([decoder.next(), decoder.next()] as DecoderEvent[])).toEqual(['line done', 'b NOOP']);
  });

  test('a line that looks like a literal is still a line, and an empty one too', () => {
    const decoder = new CommandDecoder();
    decoder.push(Buffer.from('{5}\r\n\r\n'));
    decoder.expectLine();
    expect(brief([decoder.next() as DecoderEvent])).toEqual(['line {5}']);
    decoder.expectLine();
    expect(brief([decoder.next() as DecoderEvent])).toEqual(['line ']);
  });

  test('a command that has begun is finished first', () => {
    const decoder = new CommandDecoder();
    decoder.push(Buffer.from('a LOGIN {1}\r\nu p\r\nanswer\r\n'));
    expect(brief([decoder.next() as DecoderEvent])).toEqual(['continue']);
    decoder.expectLine();
    expect(brief([decoder.next(), decoder.next()] as DecoderEvent[])).toEqual(['a LOGIN', 'line answer']);
  });

  test('the wish for a line can be taken back', () => {
    const decoder = new CommandDecoder();
    decoder.expectLine();
    decoder.expectCommand();
    decoder.push(Buffer.from('a NOOP\r\n'));
    expect(brief([decoder.next() as DecoderEvent])).toEqual(['a NOOP']);
  });

  test('what was pipelined behind STARTTLS can be thrown away', () => {
    const decoder = new CommandDecoder();
    decoder.push(Buffer.from('a STARTTLS\r\nb LOGIN eve evil\r\nc LOG'));
    expect(brief([decoder.next() as DecoderEvent])).toEqual(['a STARTTLS']);
    expect(decoder.discardInput()).toBe('b LOGIN eve evil\r\nc LOG'.length);
    decoder.push(Buffer.from('d NOOP\r\n'));
    expect(brief([decoder.next() as DecoderEvent])).toEqual(['d NOOP']);
  });
});

describe('answers to errors', () => {
  const answer = (text: string, limits: Partial<DecoderLimits> = {}): string => {
    const event = decode(text, limits).find((candidate) => candidate.type === 'error');
    return event?.type === 'error' ? errorLine(event).toString('latin1') : '';
  };

  test.each([
    ['a FROB\r\n', 'a BAD Unknown command\r\n'],
    ['\x01\r\n', '* BAD Invalid tag\r\n'],
    ['a SEARCH CHARSET X-KLINGON ALL\r\n', 'a NO [BADCHARSET (US-ASCII UTF-8)] Character set is not supported\r\n'],
    ['a SELECT "&x"\r\n', 'a NO [CANNOT] Mailbox name is not valid\r\n'],
    [
      'a APPEND x {99999999}\r\n',
      'a NO [TOOBIG] The message is too large: at most 36 MiB are taken here, and attachments grow by a third\r\n',
    ],
    ['a LOGIN {99999999}\r\n', 'a NO [TOOBIG] Literal is too big\r\n'],
    [`${'x'.repeat(70_000)}`, '* BYE Line is too long\r\n'],
  ])('%#', (text, expected) => {
    expect(answer(text)).toBe(expected);
  });
});

const DIALOGUE = Buffer.from(
  [
    'a001 LOGIN {3}\r\nbob {5+}\r\ns\r\n t\r\n',
    'a002 select inbox\r\n\r\n',
    'a003 APPEND {5+}\r\nDr{ft (\\Seen) {12}\r\nSubject: x\n\n\r\n',
    'broken {20}\r\n01234567890123456789\r\n',
    'a004 SEARCH CHARSET UTF-8 TEXT {4+}\r\n\xc3\xa4{} NOT (DELETED OR 1:* SEEN)\n',
    'a005 UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (To)]<0.10>)\r\n',
    'a006 LOGIN {70000+}\r\n',
    'x'.repeat(70_000),
    ' {3+}\r\nabc\r\n',
    'a007 LOGIN {70000}\r\n',
    'a008 NOOP\r\n',
  ].join(''),
  'latin1',
);

describe('however the bytes are cut, the events are the same', () => {
  const whole = decodeChunks([DIALOGUE]);

  test('the dialogue is what it should be', () => {
    expect(brief(whole)).toEqual([
      'continue',
      'a001 LOGIN',
      'a002 SELECT',
      'continue',
      'a003 APPEND',
      'continue',
      'broken SYNTAX',
      'a004 SEARCH',
      'a005 FETCH',
      'a006 LITERAL_TOO_BIG',
      'a007 LITERAL_TOO_BIG',
      'a008 NOOP',
    ]);
  });

  test('byte by byte', () => {
    const chunks = Array.from(DIALOGUE, (byte) => Buffer.from([byte]));
    expect(decodeChunks(chunks)).toEqual(whole);
  });

  test('cut in two at every place of its first kilobyte', () => {
    for (let cut = 0; cut <= 600; cut += 1) {
      expect(decodeChunks([DIALOGUE.subarray(0, cut), DIALOGUE.subarray(cut)])).toEqual(whole);
    }
  });

  test('cut at random places', () => {
    const cuts = fc.array(fc.integer({ min: 0, max: DIALOGUE.length }), { maxLength: 40 });
    fc.assert(
      fc.property(cuts, (places) => {
        const sorted = [0, ...places.toSorted((a, b) => a - b), DIALOGUE.length];
        const chunks = sorted.slice(1).map((end, index) => DIALOGUE.subarray(sorted[index], end));
        expect(decodeChunks(chunks)).toEqual(whole);
      }),
      { numRuns: 50, seed: 1 },
    );
  });

  test('noise never throws, never loops, and decodes alike in any cut', () => {
    const piece = fc.constantFrom(
      'a ',
      'NOOP',
      '\r\n',
      '\n',
      '{',
      '3',
      '+',
      '}',
      '{3+}\r\n',
      '{3}\r\n',
      '"',
      '\\',
      '(',
      ')',
      ' ',
      'SEARCH ',
      'UID ',
      'FETCH ',
      'BODY[',
      ']',
      '1:*',
      '\x00',
      '\xff',
      'APPEND x ',
      'LIST ',
      'STORE 1 FLAGS ',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const bytes = Buffer.from(pieces.join(''), 'latin1');
        expect(decodeChunks(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(decodeChunks([bytes]));
      }),
      { numRuns: 500, seed: 2 },
    );
  });
});

test('the default line limit holds what RFC 2683 §3.2.1.5 asks for', () => {
  expect(DEFAULT_LIMITS.lineBytes).toBeGreaterThanOrEqual(8000);
});
