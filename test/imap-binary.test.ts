/** BINARY (RFC 3516): parts without their transfer encoding, and mail with NULs, said line by line to the real server. */
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { decodeSection, withoutNul } from '../src/mime/binary.ts';
import { indexMessage } from '../src/mime/structure/message-index.ts';
import type { ImapClient } from './support/imap-client.ts';
import { type MailSite, mailSite } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
const NULS = Buffer.from([0, 1, 2, 0xff, 0, 0x0a, 0x0d]);
const IMAGE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 1, 2, 3, 0xfe]);
const crlf = (...lines: string[]): Buffer => Buffer.from(lines.map((line) => `${line}\r\n`).join(''), 'latin1');
const MAIL = crlf(
  'Subject: Parts',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=b',
  '',
  '--b',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  'Gr=C3=BC=C3=9Fe =',
  'and more',
  '--b',
  'Content-Type: application/octet-stream; name=nuls.bin',
  'Content-Disposition: attachment; filename=nuls.bin',
  'Content-Transfer-Encoding: base64',
  '',
  NULS.toString('base64'),
  '--b',
  'Content-Type: image/png; name=image.png',
  'Content-Disposition: attachment; filename=image.png',
  'Content-Transfer-Encoding: BASE64',
  '',
  IMAGE.toString('base64'),
  '--b--',
);

beforeAll(async () => {
  site = await mailSite();
});
afterAll(async () => {
  client[Symbol.dispose]();
  await site[Symbol.asyncDispose]();
});
beforeEach(async () => {
  client?.[Symbol.dispose]();
  await site.opened.db.deleteFrom('message').execute();
  client = await site.client();
  await client.ok('append inbox ', MAIL);
  await client.ok('select inbox');
});

const fetched = async (items: string): Promise<string> => {
  const [line = ''] = await client.ok(`fetch 1 (${items})`);
  return line.replace(/^1 FETCH \(/, '').replace(/\)$/, '');
};
/** Numbers of the parts by their types: how a message is laid out is the renderer's to say. */
const partOf = async (mark: string): Promise<number> => {
  for (let part = 1; part < 9; part += 1)
    if ((await fetched(`body.peek[${part}.mime]`)).toLowerCase().includes(mark)) return part;
  throw new Error(`no part with ${mark}`);
};
const literal = (bytes: Buffer): string => `{${bytes.length}}\r\n${bytes.toString('latin1')}`;

describe('FETCH', () => {
  it('is announced', async () => {
    expect((await client.ok('capability'))[0]).toContain(' BINARY');
  });

  it('BINARY decodes, and marks as seen', async () => {
    const part = await partOf('image.png');
    expect(await fetched(`binary[${part}]`)).toBe(`BINARY[${part}] ${literal(IMAGE)} FLAGS (\\Seen)`);
    expect(await fetched('flags')).toBe('FLAGS (\\Seen)');
  });

  it('BINARY.PEEK marks nothing', async () => {
    const part = await partOf('image.png');
    expect(await fetched(`binary.peek[${part}]`)).toBe(`BINARY[${part}] ${literal(IMAGE)}`);
    expect(await fetched('flags')).toBe('FLAGS ()');
  });

  it('sends NULs in a literal8, and only those', async () => {
    const part = await partOf('nuls.bin');
    expect(await fetched(`binary.peek[${part}]`)).toBe(`BINARY[${part}] ~${literal(NULS)}`);
    expect(await fetched(`binary.peek[${part}]<1.3>`)).toBe(`BINARY[${part}]<1> ${literal(NULS.subarray(1, 4))}`);
  });

  it('takes ranges of what is decoded', async () => {
    const part = await partOf('image.png');
    const ranges: [range: string, bytes: Buffer][] = [
      ['0.4', IMAGE.subarray(0, 4)],
      ['6.99', IMAGE.subarray(6)],
      ['8.1', Buffer.alloc(0)],
      ['4294967295.1', Buffer.alloc(0)],
    ];
    for (const [range, bytes] of ranges)
      expect(await fetched(`binary.peek[${part}]<${range}>`)).toBe(
        `BINARY[${part}]<${range.split('.')[0]}> ${literal(bytes)}`,
      );
    expect(await fetched(`binary[${part}]<2.2>`)).toContain('FLAGS (\\Seen)');
  });

  it('BINARY.SIZE is the size of that', async () => {
    const [nuls, image] = [await partOf('nuls.bin'), await partOf('image.png')];
    expect(await fetched(`binary.size[${nuls}] binary.size[${image}]`)).toBe(
      `BINARY.SIZE[${nuls}] ${NULS.length} BINARY.SIZE[${image}] ${IMAGE.length}`,
    );
    expect(await fetched('flags')).toBe('FLAGS ()');
  });

  it('gives what holds parts, and the whole message, as BODY does', async () => {
    const [whole, body] = [await fetched('binary.peek[]'), await fetched('body.peek[]')];
    expect(whole.replace('BINARY', 'BODY')).toBe(body);
    expect(await fetched('binary.size[]')).toBe(`BINARY.SIZE[] ${/\{(\d+)\}/.exec(body)?.[1]}`);
  });

  it('has nothing of a part that is not there', async () => {
    expect(await fetched('binary.peek[9] binary.size[9]')).toBe('BINARY[9] NIL BINARY.SIZE[9] 0');
    expect(await fetched('binary.peek[9]<0.5>')).toBe('BINARY[9]<0> NIL');
  });

  it('works by UID, in a list of items and of a message in a message', async () => {
    const part = await partOf('image.png');
    const [line = ''] = await client.ok(`uid fetch 1:* (flags binary.peek[${part}] binary.size[${part}])`);
    expect(line).toContain(`BINARY[${part}] ${literal(IMAGE)} BINARY.SIZE[${part}] ${IMAGE.length}`);
  });

  it('says BAD to what is no section', async () => {
    for (const wrong of ['binary', 'binary[', 'binary[text]', 'binary[1.mime]', 'binary.size[1]<0.1>', 'binary[0]'])
      await client.bad(`fetch 1 ${wrong}`);
  });
});

describe('an unknown transfer encoding', () => {
  const inner = [
    'Subject: Inner',
    'Content-Type: text/plain',
    'Content-Transfer-Encoding: x-uuencode',
    '',
    '#86)C',
    '',
  ];
  const outer = crlf(
    ...['Subject: Outer', 'MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b', '', '--b', '', 'see below'],
    ...['--b', 'Content-Type: message/rfc822', '', ...inner, '--b--'],
  );

  it('refuses the part, and tells of the other messages', async () => {
    await client.ok('append inbox ', outer);
    await client.ok('append inbox ', MAIL);
    for (const item of ['binary.peek[2.1]', 'binary.size[2.1]']) {
      const { status, text, lines } = await client.command(`fetch 1:3 (uid ${item})`);
      expect(`${status} ${text}`).toMatch(/^NO \[UNKNOWN-CTE\]/);
      expect(lines.map((line) => line[0])).toEqual(['1', '3']);
    }
    expect((await client.ok('fetch 2 binary.peek[2]')).join()).toContain('Subject: Inner');
  });
});

describe('APPEND', () => {
  const binary = (encoding: string): Buffer =>
    Buffer.concat([
      crlf(
        'Subject: Nothing but bytes',
        'MIME-Version: 1.0',
        'Content-Type: application/octet-stream; name=bytes.bin',
        `Content-Transfer-Encoding: ${encoding}`,
        '',
      ),
      NULS,
    ]);

  it.each([
    ['a literal8', ['append inbox ~', binary('binary')]],
    ['a literal8 at once', [`append inbox ~{${binary('binary').length}+}\r\n${binary('binary').toString('latin1')}`]],
    ['UTF8', ['append inbox UTF8 (~', binary('8bit'), ')']],
    ['several', ['append inbox ~', crlf('Subject: First', '', 'x'), ' ~', binary('binary')]],
  ])('keeps the NULs of %s in base64', async (_form, parts) => {
    expect(await client.okText(...parts)).toContain('[APPENDUID ');
    await client.ok('noop');
    const number = await client.search('all').then((numbers) => numbers.at(-1));
    const [body = ''] = await client.ok(`fetch ${number} (body.peek[] bodystructure)`);
    expect(body).not.toContain('\0');
    const part = body.toLowerCase().includes('multipart/') ? 2 : 1;
    const [line = ''] = await client.ok(`fetch ${number} (binary.peek[${part}] binary.size[${part}])`);
    expect(line).toContain(`BINARY[${part}] ~${literal(NULS)} BINARY.SIZE[${part}] ${NULS.length}`);
  });

  it('leaves out NULs that stand where nothing can carry them', async () => {
    const odd = Buffer.from('Subject: A\0B\r\nContent-Transfer-Encoding: base64\r\n\r\naGV\0sbG8=\r\n', 'latin1');
    await client.ok('append inbox ~', odd);
    const [line = ''] = await client.ok('fetch 2 (body.peek[header.fields (subject)] binary.peek[1])');
    expect(line).toContain('Subject: AB');
    expect(line).toContain('hello');
  });
});

describe('any message', () => {
  const piece = fc.oneof(
    fc.constantFrom('--b\r\n', '--b--\r\n', '\r\n', 'Content-Type: multipart/mixed; boundary=b\r\n', '\0', 'x\0y'),
    fc.constantFrom(
      'Content-Transfer-Encoding: base64\r\n',
      'Content-Transfer-Encoding: 8bit\r\n',
      'Content-Type: message/rfc822\r\n',
    ),
    fc.string({ maxLength: 20 }),
  );
  const message = fc.array(piece, { maxLength: 30 }).map((pieces) => Buffer.from(pieces.join(''), 'latin1'));

  it('loses its NULs and nothing else changes where there are none', () => {
    fc.assert(
      fc.property(message, (raw) => {
        const plain = withoutNul(raw);
        expect(plain.includes(0)).toBe(false);
        if (!raw.includes(0)) expect(plain).toBe(raw);
      }),
      { numRuns: 300, seed: 3516 },
    );
  });

  it('has sections that decode, or whose encoding is not known', () => {
    fc.assert(
      fc.property(message, fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }), (raw, numbers) => {
        const decoded = decodeSection(raw, indexMessage(raw), numbers);
        if (decoded?.known === true) expect(decoded.bytes.length).toBeLessThanOrEqual(raw.length);
      }),
      { numRuns: 300, seed: 3516 },
    );
  });
});
