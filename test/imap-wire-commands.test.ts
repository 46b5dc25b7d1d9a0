import { describe, expect, test } from 'vitest';
import type { Command } from '../src/imap/wire/commands.ts';
import { CommandDecoder } from '../src/imap/wire/decoder.ts';
import { parseSaslLine } from '../src/imap/wire/sasl-line.ts';
import { STAR } from '../src/imap/wire/sets.ts';
import { epochDay } from '../src/mime/structure/calendar-day.ts';

/** The command without its tag, or the code of the error. Literals are sent as `{n+}`. */
function parse(text: string): Omit<Command, 'tag'> | string {
  const decoder = new CommandDecoder();
  decoder.push(Buffer.from(`t ${text}\r\n`, 'latin1'));
  const event = decoder.next();
  if (event?.type === 'error') return event.code;
  if (event?.type !== 'command') return event?.type ?? 'incomplete';
  const { tag, ...body } = event.command;
  expect(tag).toBe('t');
  return body;
}

const ONE_TO_STAR = [{ first: 1, last: STAR }];

describe('commands of any state', () => {
  test.each([
    'CAPABILITY',
    'NOOP',
    'LOGOUT',
    'STARTTLS',
    'CHECK',
    'CLOSE',
    'UNSELECT',
    'NAMESPACE',
    'IDLE',
    'UNAUTHENTICATE',
  ])('%s', (name) => {
    expect(parse(name)).toEqual({ name });
    expect(parse(`${name.toLowerCase()} `)).toEqual({ name });
    expect(parse(`${name} x`)).toBe('SYNTAX');
  });

  test('ID', () => {
    expect(parse('ID NIL')).toEqual({ name: 'ID', fields: null });
    expect(parse('ID ()')).toEqual({ name: 'ID', fields: [] });
    expect(parse('ID ("name" "sodr" "version" "19.34" "os" NIL)')).toEqual({
      name: 'ID',
      fields: [
        ['name', 'sodr'],
        ['version', '19.34'],
        ['os', null],
      ],
    });
    expect(parse('ID ("name")')).toBe('SYNTAX');
    expect(parse('ID')).toBe('SYNTAX');
  });

  test('ENABLE', () => {
    expect(parse('ENABLE condstore X-GOOD')).toEqual({ name: 'ENABLE', capabilities: ['CONDSTORE', 'X-GOOD'] });
    expect(parse('ENABLE')).toBe('SYNTAX');
  });
});

test('COMPRESS (RFC 4978)', () => {
  expect(parse('COMPRESS deflate')).toEqual({ name: 'COMPRESS', mechanism: 'DEFLATE' });
  for (const wrong of ['COMPRESS', 'COMPRESS DEFLATE x', 'COMPRESS "DEFLATE"']) expect(parse(wrong)).toBe('SYNTAX');
});

describe('logging in', () => {
  test('LOGIN takes atoms, quoted strings and literals', () => {
    const expected = { name: 'LOGIN', user: 'SMITH', password: 'SESAME' };
    expect(parse('LOGIN SMITH SESAME')).toEqual(expected);
    expect(parse('login "SMITH"  "SESAME"')).toEqual(expected);
    expect(parse('LOGIN {5+}\r\nSMITH {6+}\r\nSESAME')).toEqual(expected);
    expect(parse('LOGIN u]x "a\\"b\\\\c"')).toEqual({ name: 'LOGIN', user: 'u]x', password: 'a"b\\c' });
    expect(parse('LOGIN u "p\xc3\xa4"')).toEqual({ name: 'LOGIN', user: 'u', password: 'pä' });
    expect(parse('LOGIN "" ""')).toEqual({ name: 'LOGIN', user: '', password: '' });
  });

  test.each([
    'LOGIN',
    'LOGIN u',
    'LOGIN u p x',
    'LOGIN u "p',
    'LOGIN u "\\p"',
    'LOGIN u p"q"',
    'LOGIN u"p"',
    'LOGIN u p\rq',
    'LOGIN u p\0',
    'LOGIN (u) p',
    'LOGIN ~{1+}\r\nu p',
  ])('%j is refused', (text) => {
    expect(parse(text)).toBe('SYNTAX');
  });

  test('AUTHENTICATE, with an initial response (RFC 4959)', () => {
    const plain = { name: 'AUTHENTICATE', mechanism: 'PLAIN' };
    expect(parse('AUTHENTICATE plain')).toEqual({ ...plain, initialResponse: null });
    expect(parse('AUTHENTICATE PLAIN AGJvYgBwdw==')).toEqual({ ...plain, initialResponse: Buffer.from('\0bob\0pw') });
    expect(parse('AUTHENTICATE PLAIN =')).toEqual({ ...plain, initialResponse: Buffer.alloc(0) });
    expect(parse('AUTHENTICATE PLAIN A')).toBe('SYNTAX');
    expect(parse('AUTHENTICATE PLAIN AG=v')).toBe('SYNTAX');
    expect(parse('AUTHENTICATE PLAIN *')).toBe('SYNTAX');
  });

  test('the lines of a SASL exchange', () => {
    expect(parseSaslLine(Buffer.from('*'))).toEqual({ type: 'cancel' });
    expect(parseSaslLine(Buffer.from('Ym9i'))).toEqual({ type: 'data', data: Buffer.from('bob') });
    expect(parseSaslLine(Buffer.from(''))).toEqual({ type: 'data', data: Buffer.alloc(0) });
    expect(parseSaslLine(Buffer.from('Ym9i!'))).toEqual({ type: 'invalid' });
    expect(parseSaslLine(Buffer.from('Y'))).toEqual({ type: 'invalid' });
  });
});

describe('mailboxes', () => {
  test.each(['SELECT', 'EXAMINE', 'DELETE', 'SUBSCRIBE', 'UNSUBSCRIBE'])('%s', (name) => {
    const rest = name === 'SELECT' || name === 'EXAMINE' ? { condstore: false, qresync: null } : {};
    expect(parse(`${name} Trash`)).toEqual({ name, mailbox: 'Trash', ...rest });
    expect(parse(`${name} "inBox"`)).toEqual({ name, mailbox: 'INBOX', ...rest });
    expect(parse(`${name} "Entw&APw-rfe"`)).toEqual({ name, mailbox: 'Entwürfe', ...rest });
    expect(parse(`${name} {9+}\r\nEntw\xc3\xbcrfe`)).toEqual({ name, mailbox: 'Entwürfe', ...rest });
    expect(parse(`${name} {8+}\r\nEntw\xc3\xbcrfe`)).toBe('SYNTAX');
    expect(parse(`${name} "Entw\xfcrfe"`)).toBe('BAD_MAILBOX_NAME');
    expect(parse(name)).toBe('SYNTAX');
    expect(parse(`${name} a*b`)).toBe('SYNTAX');
    expect(parse(`${name} {3+}\r\na\nb`)).toBe('BAD_MAILBOX_NAME');
  });

  test('CREATE, with USE (RFC 6154 §3)', () => {
    expect(parse('CREATE owatagusiam/')).toEqual({ name: 'CREATE', mailbox: 'owatagusiam/', specialUse: [] });
    expect(parse('CREATE MySpecial (USE (\\Drafts \\Sent))')).toEqual({
      name: 'CREATE',
      mailbox: 'MySpecial',
      specialUse: ['\\Drafts', '\\Sent'],
    });
    expect(parse('CREATE x (FOO (\\Sent))')).toBe('SYNTAX');
  });

  test('RENAME, STATUS, LSUB', () => {
    expect(parse('RENAME blurdybloop sarasoop')).toEqual({ name: 'RENAME', from: 'blurdybloop', to: 'sarasoop' });
    expect(parse('STATUS blurdybloop (UIDNEXT messages)')).toEqual({
      name: 'STATUS',
      mailbox: 'blurdybloop',
      items: ['UIDNEXT', 'MESSAGES'],
    });
    expect(parse('STATUS blurdybloop ()')).toBe('SYNTAX');
    expect(parse('STATUS blurdybloop (FROB)')).toBe('SYNTAX');
    expect(parse('STATUS blurdybloop (SIZE deleted APPENDLIMIT MAILBOXID HIGHESTMODSEQ)')).toMatchObject({
      items: ['SIZE', 'DELETED', 'APPENDLIMIT', 'MAILBOXID', 'HIGHESTMODSEQ'],
    });
    expect(parse('LSUB "#news." "comp.mail.*"')).toEqual({ name: 'LSUB', reference: '#news.', pattern: 'comp.mail.*' });
  });

  test('LIST', () => {
    const plain = { name: 'LIST', selection: [], returns: [], status: [], extended: false };
    expect(parse('LIST "" *')).toEqual({ ...plain, reference: '', patterns: ['*'] });
    expect(parse('LIST "" "%"')).toEqual({ ...plain, reference: '', patterns: ['%'] });
    expect(parse('LIST ~/Mail/ %/inbox]')).toEqual({ ...plain, reference: '~/Mail/', patterns: ['%/inbox]'] });
    expect(parse('LIST "" inbox')).toEqual({ ...plain, reference: '', patterns: ['INBOX'] });
  });

  test('LIST with options (RFC 5258, RFC 6154)', () => {
    expect(parse('LIST (special-use) "" "*" RETURN (CHILDREN SPECIAL-USE)')).toEqual({
      name: 'LIST',
      selection: ['SPECIAL-USE'],
      reference: '',
      patterns: ['*'],
      returns: ['CHILDREN', 'SPECIAL-USE'],
      status: [],
      extended: true,
    });
    expect(parse('LIST () "" (INBOX "Sent/%")')).toMatchObject({ patterns: ['INBOX', 'Sent/%'], extended: true });
    expect(parse('LIST "" % RETURN ()')).toMatchObject({ returns: [], extended: true });
    expect(parse('LIST (SUBSCRIBED RECURSIVEMATCH) "" %')).toMatchObject({
      selection: ['SUBSCRIBED', 'RECURSIVEMATCH'],
    });
    expect(parse('LIST (RECURSIVEMATCH) "" %')).toBe('SYNTAX');
    expect(parse('LIST (FROB) "" %')).toBe('SYNTAX');
    expect(parse('LIST "" % RETURN (FROB)')).toBe('SYNTAX');
    expect(parse('LIST "" % FROB ()')).toBe('SYNTAX');
    expect(parse('LIST "" ()')).toBe('SYNTAX');
    expect(parse('LIST "" % RETURN (SUBSCRIBED STATUS (MESSAGES UNSEEN) CHILDREN)')).toMatchObject({
      returns: ['SUBSCRIBED', 'CHILDREN'],
      status: ['MESSAGES', 'UNSEEN'],
    });
    for (const wrong of ['STATUS', 'STATUS ()', 'STATUS (FROB)', 'STATUS MESSAGES'])
      expect(parse(`LIST "" % RETURN (${wrong})`)).toBe('SYNTAX');
  });
});

describe('quotas and ids', () => {
  test('GETQUOTA, GETQUOTAROOT, SETQUOTA', () => {
    expect(parse('GETQUOTA ""')).toEqual({ name: 'GETQUOTA', root: '' });
    expect(parse('GETQUOTAROOT inbox')).toEqual({ name: 'GETQUOTAROOT', mailbox: 'INBOX' });
    expect(parse('SETQUOTA "" (STORAGE 512)')).toEqual({ name: 'SETQUOTA', root: '' });
    expect(parse('SETQUOTA x ()')).toEqual({ name: 'SETQUOTA', root: 'x' });
    for (const wrong of [
      'GETQUOTA',
      'GETQUOTA a b',
      'GETQUOTAROOT',
      'SETQUOTA ""',
      'SETQUOTA "" (STORAGE)',
      'SETQUOTA "" (1 x)',
    ])
      expect(parse(wrong)).toBe('SYNTAX');
  });

  test('EMAILID and THREADID (RFC 8474)', () => {
    expect(parse('FETCH 1 (EMAILID threadid)')).toMatchObject({ items: [{ type: 'emailid' }, { type: 'threadid' }] });
    expect(parse('SEARCH EMAILID M6d99ac3_275-bb4e')).toMatchObject({
      key: { type: 'emailid', id: 'M6d99ac3_275-bb4e' },
    });
    expect(parse('SEARCH NOT threadid T1')).toMatchObject({ key: { key: { type: 'threadid', id: 'T1' } } });
    for (const wrong of ['EMAILID', 'EMAILID a.b', 'THREADID "x"', `EMAILID ${'x'.repeat(256)}`])
      expect(parse(`SEARCH ${wrong}`)).toBe('SYNTAX');
  });
});

describe('APPEND', () => {
  const one = { flags: [], internalDate: null, utf8: false, message: Buffer.from('hi') };
  const append = (...messages: object[]): object => ({ name: 'APPEND', mailbox: 'saved', messages });

  test('with and without flags and date', () => {
    expect(parse('APPEND saved {2+}\r\nhi')).toEqual(append(one));
    expect(parse('APPEND saved (\\seen $Forwarded \\Seen \\recent) {2+}\r\nhi')).toEqual(
      append({ ...one, flags: ['\\Seen', '$Forwarded'] }),
    );
    const date = { unixSeconds: Date.UTC(1994, 1, 8, 5, 52, 25) / 1000, zoneMinutes: -480 };
    const dated = append({ ...one, internalDate: date });
    expect(parse('APPEND saved () " 7-Feb-1994 21:52:25 -0800" {2+}\r\nhi')).toEqual(dated);
    expect(parse('APPEND saved "07-Feb-1994 21:52:25 -0800" {2+}\r\nhi')).toEqual(dated);
    expect(parse('APPEND {5+}\r\nsaved {2+}\r\nhi')).toEqual(append(one));
  });

  test('literal8, alone and as UTF8 (RFC 6855)', () => {
    expect(parse('APPEND saved ~{2+}\r\nhi')).toEqual(append(one));
    expect(parse('APPEND saved (\\Draft) UTF8 (~{2+}\r\nhi)')).toEqual(
      append({ ...one, flags: ['\\Draft'], utf8: true }),
    );
    expect(parse('APPEND saved UTF8 (~{2+}\r\nhi')).toBe('SYNTAX');
  });

  test('several messages (RFC 3502)', () => {
    const other = { ...one, flags: ['x'], message: Buffer.from('abc') };
    expect(parse('APPEND saved {2+}\r\nhi (x) {3+}\r\nabc UTF8 (~{2+}\r\nhi)')).toEqual(
      append(one, other, { ...one, utf8: true }),
    );
    expect(parse('APPEND saved {2+}\r\nhi {0+}\r\n')).toEqual(append(one, { ...one, message: Buffer.alloc(0) }));
    expect(parse('APPEND saved {2+}\r\nhi(x) {3+}\r\nabc')).toBe('SYNTAX');
    expect(parse('APPEND saved {2+}\r\nhi (x)')).toBe('SYNTAX');
  });

  test('messages together are bounded as one, and are no part of what else a command may have', () => {
    const decoder = new CommandDecoder({ limits: { appendLiteralBytes: 10, literalBytes: 6, commandBytes: 100 } });
    const next = (text: string): unknown => {
      decoder.push(Buffer.from(text));
      const event = decoder.next();
      return event?.type === 'error' ? event.code : event?.type;
    };
    expect(next('a APPEND saved {6+}\r\nabcdef {4+}\r\nabcd\r\n')).toBe('command');
    expect(next('a APPEND saved {6+}\r\nabcdef {5+}\r\nabcde\r\n')).toBe('LITERAL_TOO_BIG');
    expect(next('a APPEND {5+}\r\nsaved {10+}\r\nabcdefghij\r\n')).toBe('command');
    expect(next('a APPEND {7+}\r\nsaved!! {1+}\r\nx\r\n')).toBe('LITERAL_TOO_BIG');
    expect(next('a UID REPLACE 4 {5+}\r\nsaved {10+}\r\nabcdefghij\r\n')).toBe('command');
    expect(next('a REPLACE 4 saved {10+}\r\nabcdefghij\r\n')).toBe('command');
    expect(next('a REPLACE 4 {7+}\r\nsaved!! {1+}\r\nx\r\n')).toBe('LITERAL_TOO_BIG');
  });

  test('REPLACE (RFC 8508)', () => {
    const replace = { name: 'REPLACE', uid: false, set: [{ first: 4, last: 4 }], mailbox: 'Drafts' };
    expect(parse('REPLACE 4 Drafts (\\Draft) {2+}\r\nhi')).toEqual({
      ...replace,
      message: { ...one, flags: ['\\Draft'] },
    });
    expect(parse('UID REPLACE 4 Drafts {2+}\r\nhi')).toEqual({ ...replace, uid: true, message: one });
    expect(parse('REPLACE * Drafts {2+}\r\nhi')).toMatchObject({ set: [{ first: STAR, last: STAR }] });
    for (const set of ['4:5', '4,5', '0', '$', 'x', ''])
      expect(parse(`REPLACE ${set} Drafts {2+}\r\nhi`)).toBe('SYNTAX');
    expect(parse('REPLACE 4 Drafts {2+}\r\nhi {2+}\r\nhi')).toBe('SYNTAX');
    expect(parse('REPLACE 4 Drafts')).toBe('SYNTAX');
  });

  test.each([
    'APPEND saved',
    'APPEND saved "hi"',
    'APPEND saved hi',
    'APPEND saved "32-Feb-1994 21:52:25 -0800" {2+}\r\nhi',
    'APPEND saved {2+}\r\nhix',
  ])('%j is refused', (text) => {
    expect(parse(text)).toBe('SYNTAX');
  });
});

describe('messages', () => {
  test('EXPUNGE and UID EXPUNGE', () => {
    expect(parse('EXPUNGE')).toEqual({ name: 'EXPUNGE', uid: false, set: null });
    expect(parse('UID EXPUNGE 3000:3002')).toEqual({ name: 'EXPUNGE', uid: true, set: [{ first: 3000, last: 3002 }] });
    expect(parse('UID EXPUNGE')).toBe('SYNTAX');
    expect(parse('UID NOOP')).toBe('UNKNOWN_COMMAND');
  });

  test('COPY and MOVE', () => {
    const set = [{ first: 2, last: 4 }];
    expect(parse('COPY 2:4 MEETING')).toEqual({ name: 'COPY', uid: false, set, mailbox: 'MEETING' });
    expect(parse('uid move 2:4 MEETING')).toEqual({ name: 'MOVE', uid: true, set, mailbox: 'MEETING' });
    expect(parse('COPY x MEETING')).toBe('SYNTAX');
  });

  test('STORE', () => {
    const base = {
      name: 'STORE',
      uid: false,
      set: [{ first: 2, last: 4 }],
      mode: 'add',
      silent: false,
      flags: ['\\Deleted'],
      unchangedSince: null,
    };
    expect(parse('STORE 2:4 +FLAGS (\\Deleted)')).toEqual(base);
    expect(parse('UID STORE 2:4 -flags.silent \\deleted $Junk')).toEqual({
      ...base,
      uid: true,
      mode: 'remove',
      silent: true,
      flags: ['\\Deleted', '$Junk'],
    });
    expect(parse('STORE 2:4 FLAGS ()')).toEqual({ ...base, mode: 'replace', flags: [] });
    expect(parse('STORE 2:4 FLAGS')).toBe('SYNTAX');
    expect(parse('STORE 2:4 FLAGS "x"')).toBe('SYNTAX');
    expect(parse('STORE 2:4 FLAGS.LOUD (x)')).toBe('SYNTAX');
    expect(parse('STORE 2:4 *FLAGS (x)')).toBe('SYNTAX');
  });
});

describe('FETCH', () => {
  const items = (text: string): unknown => {
    const command = parse(`FETCH 1:* ${text}`);
    return typeof command === 'string' ? command : Reflect.get(command, 'items');
  };
  const section = (section: object, rest: object = {}): object => ({
    type: 'section',
    section: { part: [], kind: 'all', fields: [], ...section },
    peek: false,
    partial: null,
    label: 'BODY',
    ...rest,
  });

  test('macros', () => {
    const fast = [{ type: 'flags' }, { type: 'internaldate' }, { type: 'rfc822.size' }];
    expect(items('FAST')).toEqual(fast);
    expect(items('all')).toEqual([...fast, { type: 'envelope' }]);
    expect(items('FULL')).toEqual([...fast, { type: 'envelope' }, { type: 'body' }]);
    expect(items('(FAST)')).toBe('SYNTAX');
  });

  test('items', () => {
    expect(items('(UID flags INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)')).toEqual(
      ['uid', 'flags', 'internaldate', 'rfc822.size', 'envelope', 'body', 'bodystructure'].map((type) => ({ type })),
    );
    expect(items('RFC822')).toEqual([section({}, { label: 'RFC822' })]);
    expect(items('RFC822.HEADER')).toEqual([section({ kind: 'header' }, { label: 'RFC822.HEADER', peek: true })]);
    expect(items('RFC822.TEXT')).toEqual([section({ kind: 'text' }, { label: 'RFC822.TEXT' })]);
  });

  test('UID FETCH always gives the UID, once', () => {
    expect(parse('UID FETCH 1:* FLAGS')).toEqual({
      name: 'FETCH',
      uid: true,
      set: ONE_TO_STAR,
      items: [{ type: 'uid' }, { type: 'flags' }],
      changedSince: null,
      vanished: false,
      partial: null,
    });
    expect(parse('UID FETCH 1:* (FLAGS UID)')).toMatchObject({ items: [{ type: 'flags' }, { type: 'uid' }] });
  });

  test('sections', () => {
    expect(items('BODY[]')).toEqual([section({})]);
    expect(items('body.peek[text]')).toEqual([section({ kind: 'text' }, { peek: true })]);
    expect(items('BODY[HEADER]')).toEqual([section({ kind: 'header' })]);
    expect(items('BODY[4.2.2.1]')).toEqual([section({ part: [4, 2, 2, 1] })]);
    expect(items('BODY[4.1.MIME]')).toEqual([section({ part: [4, 1], kind: 'mime' })]);
    expect(items('BODY[4.2.HEADER]')).toEqual([section({ part: [4, 2], kind: 'header' })]);
    expect(items('BODY[3.TEXT]<5.10>')).toEqual([
      section({ part: [3], kind: 'text' }, { partial: { offset: 5, count: 10 } }),
    ]);
    expect(items('BODY[HEADER.FIELDS (DATE "From" {2+}\r\nTo)]')).toEqual([
      section({ kind: 'fields', fields: ['DATE', 'From', 'To'] }),
    ]);
    expect(items('(BODY.PEEK[1.header.fields.not (x)]<0.1> UID)')).toEqual([
      section({ part: [1], kind: 'fields-not', fields: ['x'] }, { peek: true, partial: { offset: 0, count: 1 } }),
      { type: 'uid' },
    ]);
  });

  test.each([
    '',
    '()',
    'FROB',
    'BODY.PEEK',
    'BODY[',
    'BODY[MIME]',
    'BODY[0]',
    'BODY[1.]',
    'BODY[1.FROB]',
    'BODY[HEADER.FIELDS]',
    'BODY[HEADER.FIELDS ()]',
    'BODY[]<1>',
    'BODY[]<0.0>',
    'BODY[]<0.9223372036854775808>',
    'RFC822[]',
    'FLAGS UID',
    '(FLAGS',
    '(FLAGS(UID))',
    'BODY[1TEXT]',
  ])('%j is refused', (text) => {
    expect(items(text)).toBe('SYNTAX');
  });

  test.each(['0', '1:0', ':1', '1:', '1,', ',', '1:2:3', '4294967296', '**', 'x', '-1'])('set %j is refused', (set) => {
    expect(parse(`FETCH ${set} UID`)).toBe('SYNTAX');
  });
});

describe('SEARCH', () => {
  const key = (text: string): unknown => {
    const command = parse(`SEARCH ${text}`);
    return typeof command === 'string' ? command : Reflect.get(command, 'key');
  };

  test.each(['Answered', 'Deleted', 'Draft', 'Flagged', 'Seen'])('%s and its opposite', (name) => {
    expect(key(name)).toEqual({ type: 'flag', flag: `\\${name}`, present: true });
    expect(key(`UN${name}`)).toEqual({ type: 'flag', flag: `\\${name}`, present: false });
  });

  test('flags', () => {
    expect(key('RECENT')).toEqual({ type: 'flag', flag: '\\Recent', present: true });
    expect(key('OLD')).toEqual({ type: 'flag', flag: '\\Recent', present: false });
    expect(key('NEW')).toEqual({
      type: 'and',
      keys: [
        { type: 'flag', flag: '\\Recent', present: true },
        { type: 'flag', flag: '\\Seen', present: false },
      ],
    });
    expect(key('KEYWORD $Junk')).toEqual({ type: 'flag', flag: '$Junk', present: true });
    expect(key('UNKEYWORD $Junk')).toEqual({ type: 'flag', flag: '$Junk', present: false });
  });

  test.each(['BCC', 'CC', 'FROM', 'SUBJECT', 'TO'])('%s', (field) => {
    expect(key(`${field.toLowerCase()} "SMITH x"`)).toEqual({ type: 'header', field, value: 'SMITH x' });
    expect(key(field)).toBe('SYNTAX');
  });

  test('text and header', () => {
    expect(key('HEADER Message-ID <a@b>')).toEqual({ type: 'header', field: 'Message-ID', value: '<a@b>' });
    expect(key('HEADER X-Spam ""')).toEqual({ type: 'header', field: 'X-Spam', value: '' });
    expect(key('BODY x')).toEqual({ type: 'body', value: 'x' });
    expect(key('TEXT {3+}\r\na b')).toEqual({ type: 'text', value: 'a b' });
  });

  test.each([
    ['BEFORE', 'internaldate', 'before'],
    ['ON', 'internaldate', 'on'],
    ['SINCE', 'internaldate', 'since'],
    ['SENTBEFORE', 'sentdate', 'before'],
    ['SENTON', 'sentdate', 'on'],
    ['SENTSINCE', 'sentdate', 'since'],
  ])('%s', (name, type, comparison) => {
    const expected = { type, comparison, day: epochDay(1994, 1, 1) };
    expect(key(`${name} 1-Feb-1994`)).toEqual(expected);
    expect(key(`${name} "01-feb-1994"`)).toEqual(expected);
    expect(key(`${name} 30-Feb-1994`)).toBe('SYNTAX');
    expect(key(`${name} 1994-02-01`)).toBe('SYNTAX');
  });

  test('sizes, numbers and sets', () => {
    expect(key('LARGER 4294967295')).toEqual({ type: 'larger', sizeBytes: 4_294_967_295 });
    expect(key('SMALLER 0')).toEqual({ type: 'smaller', sizeBytes: 0 });
    expect(key('LARGER 4294967296')).toEqual({ type: 'larger', sizeBytes: 4_294_967_296 });
    expect(key('LARGER 9223372036854775808')).toBe('SYNTAX');
    expect(key('1:*')).toEqual({ type: 'sequence', set: ONE_TO_STAR });
    expect(key('*')).toEqual({ type: 'sequence', set: [{ first: STAR, last: STAR }] });
    expect(key('UID 1:*')).toEqual({ type: 'uid', set: ONE_TO_STAR });
  });

  test('conjunctions, NOT, OR and lists', () => {
    const deleted = { type: 'flag', flag: '\\Deleted', present: true };
    const all = { type: 'all' };
    expect(key('ALL DELETED')).toEqual({ type: 'and', keys: [all, deleted] });
    expect(key('NOT DELETED')).toEqual({ type: 'not', key: deleted });
    expect(key('OR DELETED NOT ALL')).toEqual({ type: 'or', left: deleted, right: { type: 'not', key: all } });
    expect(key('OR (ALL  DELETED ) (ALL)')).toEqual({
      type: 'or',
      left: { type: 'and', keys: [all, deleted] },
      right: all,
    });
    expect(key('(1 NOT (DELETED))')).toEqual({
      type: 'and',
      keys: [
        { type: 'sequence', set: [{ first: 1, last: 1 }] },
        { type: 'not', key: deleted },
      ],
    });
  });

  test('the example of RFC 3501 §6.4.4', () => {
    expect(parse('SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"')).toEqual({
      name: 'SEARCH',
      uid: false,
      returns: null,
      charset: null,
      key: {
        type: 'and',
        keys: [
          { type: 'flag', flag: '\\Flagged', present: true },
          { type: 'internaldate', comparison: 'since', day: epochDay(1994, 1, 1) },
          { type: 'not', key: { type: 'header', field: 'FROM', value: 'Smith' } },
        ],
      },
    });
  });

  test('character sets', () => {
    expect(parse('UID SEARCH CHARSET UTF-8 TEXT {2+}\r\n\xc3\xa4')).toEqual({
      name: 'SEARCH',
      uid: true,
      returns: null,
      charset: 'UTF-8',
      key: { type: 'text', value: 'ä' },
    });
    expect(parse('SEARCH CHARSET "iso-8859-1" SUBJECT {1+}\r\n\xe4')).toMatchObject({ key: { value: 'ä' } });
    expect(parse('SEARCH charset us-ascii ALL')).toMatchObject({ key: { type: 'all' } });
    expect(key('SUBJECT "\xc3\xa4"')).toEqual({ type: 'header', field: 'SUBJECT', value: 'ä' });
    for (const name of ['X-KLINGON', 'base64', 'hex', 'utf-7']) expect(key(`CHARSET ${name} ALL`)).toBe('BAD_CHARSET');
    expect(key('ALL CHARSET UTF-8')).toBe('SYNTAX');
    expect(key('CHARSET UTF-8')).toBe('SYNTAX');
  });

  test.each([
    '',
    'FROB',
    '()',
    '(ALL',
    'ALL)',
    'NOT',
    'OR ALL',
    'NOT NOT',
    'KEYWORD',
    'KEYWORD \\Seen',
    'HEADER x',
    'ALL,ALL',
    '(ALL)(ALL)',
    'LARGER x',
    'UID',
  ])('%j is refused', (text) => {
    expect(key(text)).toBe('SYNTAX');
  });
});
