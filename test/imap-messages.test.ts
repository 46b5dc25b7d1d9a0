/** Messages, said line by line to the real server: APPEND, FETCH, STORE, COPY, MOVE, EXPUNGE (RFC 3501 §6.3.11, §6.4). */
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openMailAccount } from '../src/mailbox/mail-account.ts';
import { type Hex32, parseBase64, toBase64, toHex } from '../src/smimp/encoding.ts';
import { openStorage, sealStorage } from '../src/smimp/storage.ts';
import type { ImapClient } from './support/imap-client.ts';
import { LIMITS, type MailSite, mailSite, plainMail } from './support/mail-site.ts';

const INNER = 'From: carol@corp.test\r\nSubject: Inner\r\n\r\nInner text\r\n';
const MULTIPART = Buffer.from(
  [
    'Date: Wed, 14 Jan 2026 08:00:00 +0200',
    'From: "Bob B." <bob@corp.test>',
    'To: Alice <alice@acme.test>, "Carol, C." <carol@corp.test>',
    'Bcc: dave@corp.test',
    'Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=',
    'Message-ID: <outer@corp.test>',
    'X-Mozilla-Draft-Info: internal/draft; vcard=0',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=out',
    '',
    '--out',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'Hello Alice',
    '--out',
    'Content-Type: text/csv; name="table.csv"',
    'Content-Disposition: attachment; filename="table.csv"',
    'Content-Transfer-Encoding: base64',
    '',
    Buffer.from('a,b\n1,2\n').toString('base64'),
    '--out',
    'Content-Type: message/rfc822',
    '',
    INNER,
    '--out--',
    '',
  ].join('\r\n'),
);

let site: MailSite;
let client: ImapClient;
beforeAll(async () => {
  site = await mailSite();
  client = await site.client();
});
afterAll(async () => {
  client[Symbol.dispose]();
  await site[Symbol.asyncDispose]();
});
beforeEach(async () => {
  client[Symbol.dispose]();
  client = await site.client();
  await site.opened.db.deleteFrom('message').execute();
});

const letter = (subject: string, text = 'text'): Buffer => plainMail({ Subject: subject }, text);
async function filled(...subjects: string[]): Promise<void> {
  for (const subject of subjects) await client.ok('append inbox ', letter(subject));
  await client.ok('select inbox');
}
const uidsOf = async (c: ImapClient): Promise<number[]> =>
  (await c.ok('fetch 1:* uid')).map((line) => Number(/UID (\d+)/.exec(line)?.[1]));
/** The bytes of the one literal in an answer. */
const literal = (line: string | undefined): string => /\{\d+\}\r\n([\s\S]*)\)$/.exec(line ?? '')?.[1] ?? '';

describe('APPEND', () => {
  it('keeps flags, keywords and date, and says where the message is', async () => {
    const text = await client.okText(
      'append Drafts (\\Draft \\Seen $Forwarded \\Recent) "14-Jan-2026 08:30:00 +0530" ',
      letter('Draft'),
    );
    const [, validity, uid] = /\[APPENDUID (\d+) (\d+)\]/.exec(text) ?? [];
    expect((await client.ok('status Drafts (uidvalidity uidnext messages)'))[0]).toBe(
      `STATUS Drafts (UIDVALIDITY ${validity} UIDNEXT ${Number(uid) + 1} MESSAGES 1)`,
    );
    await client.ok('select Drafts');
    const [line] = await client.ok('fetch 1 (uid flags internaldate)');
    expect(line).toContain(`UID ${uid}`);
    expect(line).toContain('INTERNALDATE "14-Jan-2026 08:30:00 +0530"');
    expect(
      /FLAGS \(([^)]*)\)/
        .exec(line ?? '')?.[1]
        ?.split(' ')
        .sort(),
    ).toEqual(['$Forwarded', '\\Draft', '\\Seen']);
  });

  it('gives back the header fields of a draft as they were, Bcc and marks of the program included', async () => {
    await client.ok('append Drafts ', MULTIPART);
    await client.ok('select Drafts');
    const header = literal((await client.ok('fetch 1 body.peek[header]'))[0]);
    for (const field of [
      'Bcc: dave@corp.test',
      'X-Mozilla-Draft-Info: internal/draft; vcard=0',
      'Message-ID: <outer@corp.test>',
    ])
      expect(header).toContain(`${field}\r\n`);
    expect(header.match(/^content-type:/gim)).toHaveLength(1);
  });

  it('takes bare line ends, 8-bit text and no header at all', async () => {
    for (const raw of ['\n', 'no header', 'Subject: \xfcber\n\ntext\n', '\r\n\r\n'])
      await client.ok('append inbox ', Buffer.from(raw, 'latin1'));
    await client.ok('select inbox');
    const lines = await client.ok('fetch 1:* (rfc822.size body.peek[])');
    for (const line of lines) {
      const size = Number(/RFC822.SIZE (\d+)/.exec(line)?.[1]);
      expect(literal(line).length).toBe(size);
    }
    expect(lines).toHaveLength(4);
  });

  it('takes a header of 30,000 lines, and finds what stands at its end', async () => {
    const lines = Array.from({ length: 30_000 }, (_, n) => `X-Line-${n}: value ${n}\r\n`).join('');
    await client.ok('append inbox ', Buffer.from(`Subject: Long\r\n${lines}X-Last: found\r\n\r\ntext`));
    await client.ok('select inbox');
    expect((await client.ok('fetch 1 envelope'))[0]).toContain('"Long"');
    expect(await client.search('header x-last found')).toEqual([1]);
    expect(literal((await client.ok('fetch 1 body.peek[header.fields (x-line-29999)]'))[0])).toBe(
      'X-Line-29999: value 29999\r\n\r\n',
    );
  });

  it('says TRYCREATE where there is no mailbox, and TOOBIG at one byte too many', async () => {
    expect(await client.no('append Nowhere ', letter('x'))).toContain('[TRYCREATE]');
    client.send(`big append inbox {${LIMITS.messageBytes + 1}}\r\n`);
    expect(await client.line()).toMatch(/^big NO \[TOOBIG\]/);
    client.send(`fits append inbox {${LIMITS.messageBytes}}\r\n`);
    expect(await client.line()).toMatch(/^\+ /);
    client.send(
      Buffer.concat([
        plainMail({}, ''),
        Buffer.alloc(LIMITS.messageBytes - plainMail({}, '').length, 'x'),
        Buffer.from('\r\n'),
      ]),
    );
    expect(await client.line()).toMatch(/^fits OK/);
  });

  it('into the selected mailbox is told at once', async () => {
    await filled('One');
    expect(await client.ok('append inbox ', letter('Two'))).toContain('2 EXISTS');
  });

  it('takes non-synchronising literals and literal8', async () => {
    const raw = letter('Plus');
    await client.ok(`append inbox {${raw.length}+}\r\n${raw.toString('latin1')}`);
    await client.ok(`append inbox UTF8 (~{${raw.length}+}\r\n${raw.toString('latin1')})`);
    await client.bad('append inbox (\\Seen');
  });
});

describe('FETCH', () => {
  beforeEach(async () => {
    await client.ok('append inbox "15-Jan-2026 10:00:00 +0000" ', MULTIPART);
    await client.ok('select inbox');
  });

  it('answers the macros', async () => {
    expect((await client.ok('fetch 1 fast'))[0]).toMatch(
      /^1 FETCH \(FLAGS \(\) INTERNALDATE "[^"]+" RFC822.SIZE \d+\)$/,
    );
    expect((await client.ok('fetch 1 all'))[0]).toMatch(/RFC822.SIZE \d+ ENVELOPE \(/);
    expect((await client.ok('fetch 1 full'))[0]).toMatch(/ENVELOPE \(.*\) BODY \(/s);
  });

  it('gives ENVELOPE of the header as it was written', async () => {
    expect((await client.ok('fetch 1 envelope'))[0]).toBe(
      '1 FETCH (ENVELOPE ("Wed, 14 Jan 2026 08:00:00 +0200" "=?UTF-8?Q?Gr=C3=BC=C3=9Fe?=" ' +
        '(("Bob B." NIL "bob" "corp.test")) (("Bob B." NIL "bob" "corp.test")) (("Bob B." NIL "bob" "corp.test")) ' +
        '(("Alice" NIL "alice" "acme.test")("Carol, C." NIL "carol" "corp.test")) NIL ((NIL NIL "dave" "corp.test")) ' +
        'NIL "<outer@corp.test>"))',
    );
  });

  it('gives every section such that the parts are those of BODYSTRUCTURE', async () => {
    const [structure] = await client.ok('fetch 1 (bodystructure body)');
    expect(structure).toMatch(/BODYSTRUCTURE \(\("text" "plain"/i);
    expect(structure).toMatch(/"message" "rfc822"/i);
    const whole = literal((await client.ok('fetch 1 body.peek[]'))[0]);
    const header = literal((await client.ok('fetch 1 body.peek[header]'))[0]);
    const text = literal((await client.ok('fetch 1 body.peek[text]'))[0]);
    expect(header + text).toBe(whole);
    expect((await client.ok('fetch 1 rfc822.size'))[0]).toBe(`1 FETCH (RFC822.SIZE ${whole.length})`);
    const csv = literal((await client.ok('fetch 1 body.peek[2]'))[0]);
    expect(Buffer.from(csv, 'base64').toString()).toBe('a,b\n1,2\n');
    expect(literal((await client.ok('fetch 1 body.peek[2.mime]'))[0])).toContain('table.csv');
    expect(literal((await client.ok('fetch 1 body.peek[3.header]'))[0])).toContain('Subject: Inner');
    expect(literal((await client.ok('fetch 1 body.peek[3.text]'))[0])).toContain('Inner text');
    expect(literal((await client.ok('fetch 1 body.peek[3.1]'))[0])).toContain('Inner text');
    expect(literal((await client.ok('fetch 1 body.peek[3.header.fields (subject)]'))[0])).toBe(
      'Subject: Inner\r\n\r\n',
    );
    expect((await client.ok('fetch 1 body.peek[9]'))[0]).toBe('1 FETCH (BODY[9] NIL)');
    expect(literal((await client.ok('fetch 1 body.peek[1]'))[0])).toContain('Hello Alice');
  });

  it('gives chosen header fields and all others', async () => {
    const fields = literal((await client.ok('fetch 1 body.peek[header.fields (SUBJECT to)]'))[0]);
    expect(fields).toBe(
      'To: Alice <alice@acme.test>, "Carol, C." <carol@corp.test>\r\nSubject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\n',
    );
    const others = literal((await client.ok('fetch 1 body.peek[header.fields.not (subject)]'))[0]);
    expect(others).not.toContain('Subject');
    expect(others).toContain('Bcc:');
  });

  it('gives parts of sections by their bytes', async () => {
    const whole = literal((await client.ok('fetch 1 body.peek[]'))[0]);
    const [line] = await client.ok('fetch 1 body.peek[]<10.20>');
    expect(line).toContain('BODY[]<10> {20}');
    expect(literal(line)).toBe(whole.slice(10, 30));
    expect((await client.ok(`fetch 1 body.peek[]<${whole.length}.5>`))[0]).toMatch(/BODY\[\]<\d+> (\{0\}\r\n|"")/);
    expect(literal((await client.ok(`fetch 1 body.peek[]<${whole.length - 3}.500>`))[0])).toBe(whole.slice(-3));
  });

  it('sets \\Seen only by BODY[], RFC822 and RFC822.TEXT, and only where it may', async () => {
    for (const item of ['body.peek[]', 'rfc822.header', 'envelope', 'rfc822.size', 'bodystructure']) {
      await client.ok(`fetch 1 ${item}`);
      expect(await client.search('unseen')).toEqual([1]);
    }
    expect((await client.ok('fetch 1 body[1]'))[0]).toMatch(/FLAGS \(\\Seen\)/);
    expect(await client.search('unseen')).toEqual([]);
    for (const item of ['rfc822', 'rfc822.text']) {
      await client.ok('store 1 -flags (\\Seen)');
      await client.ok(`fetch 1 ${item}`);
      expect(await client.search('seen')).toEqual([1]);
    }
    await client.ok('store 1 -flags (\\Seen)');
    await client.ok('examine inbox');
    await client.ok('fetch 1 body[]');
    expect(await client.search('unseen')).toEqual([1]);
  });

  it('is numbered by UID with UID FETCH, and passes over what is not there', async () => {
    const [uid = 0] = await uidsOf(client);
    expect((await client.ok(`uid fetch ${uid} flags`))[0]).toBe(`1 FETCH (UID ${uid} FLAGS ())`);
    expect(await client.ok(`uid fetch ${uid + 10}:${uid + 20} flags`)).toEqual([]);
    expect(await client.ok(`uid fetch ${uid + 10}:* uid`)).toEqual([`1 FETCH (UID ${uid})`]);
    await client.bad('fetch 2 flags');
    await client.bad('fetch 0 flags');
    await client.bad('fetch 1 nonsense');
    await client.bad('fetch 1 body[0]');
    await client.bad('fetch 1 body[mime]');
  });
});

describe('STORE', () => {
  it('says nothing of flags that could not be written', async () => {
    await filled('One', 'Two');
    const { db } = site.opened;
    await sql`create function refused() returns trigger language plpgsql as $$ begin raise 'no'; end $$`.execute(db);
    await sql`create constraint trigger refused after update on message deferrable initially deferred
      for each row execute function refused()`.execute(db);
    try {
      expect(await client.command('store 1:2 +flags (\\Seen)')).toMatchObject({ status: 'NO', lines: [] });
    } finally {
      await sql`drop function refused cascade`.execute(db);
    }
    expect(await client.ok('fetch 1:2 flags')).toEqual(['1 FETCH (FLAGS ())', '2 FETCH (FLAGS ())']);
    expect(await client.ok('store 1:2 +flags (\\Seen)')).toHaveLength(2);
  });

  it('adds, removes and replaces flags, and says what they are', async () => {
    await filled('One', 'Two');
    expect((await client.ok('store 1:2 +flags (\\Flagged $Label1)')).slice(2)).toEqual([
      '1 FETCH (FLAGS (\\Flagged $Label1))',
      '2 FETCH (FLAGS (\\Flagged $Label1))',
    ]);
    expect(await client.ok('store 1 -flags \\flagged')).toEqual(['1 FETCH (FLAGS ($Label1))']);
    expect(await client.ok('store 1 flags (\\Answered \\Seen)')).toEqual(['1 FETCH (FLAGS (\\Answered \\Seen))']);
    expect(await client.ok('store 2 +flags.silent (\\Deleted)')).toEqual([]);
    expect(await client.ok('store 1 flags ()')).toEqual(['1 FETCH (FLAGS ())']);
    const uids = await uidsOf(client);
    expect(await client.ok(`uid store ${uids[1]} -flags.silent ($label1)`)).toEqual([]);
    expect((await client.ok('fetch 2 flags'))[0]).toBe('2 FETCH (FLAGS (\\Flagged \\Deleted))');
    await client.bad('store 3 flags ()');
    await client.ok('uid store 99999 flags (\\Seen)');
  });

  it('keeps keywords with the message when it is copied and moved, and shows them at SELECT', async () => {
    await filled('One');
    await client.ok('store 1 +flags (NonJunk $MDNSent \\Draft)');
    await client.ok('copy 1 Archive');
    await client.ok('move 1 Trash');
    for (const name of ['Archive', 'Trash']) {
      const lines = await client.ok(`select ${name}`);
      expect(lines[1]).toMatch(/^FLAGS \(\\Answered \\Flagged \\Deleted \\Seen \\Draft .*\$MDNSent.* NonJunk\)$/);
      expect((await client.ok('fetch 1 flags'))[0]).toBe('1 FETCH (FLAGS (NonJunk $MDNSent \\Draft))');
    }
  });

  it('keeps them sealed, with what other clients store beside', async () => {
    await filled('One');
    await client.ok('store 1 +flags (SecretKeyword)');
    const row = await site.opened.db.selectFrom('message').select('extensions_data').executeTakeFirstOrThrow();
    expect(row.extensions_data?.length).toBeGreaterThan(80);
    expect(row.extensions_data?.includes('SecretKeyword')).toBe(false);
  });

  it('shows no flag that is none, whatever another client stored', async () => {
    await filled('One');
    const { digest, message_id } = await site.opened.db
      .selectFrom('message')
      .select(['message_id', sql<Buffer>`substring(message_hash from 65)`.as('digest')])
      .executeTakeFirstOrThrow();
    const { address, storageKey: key } = await openMailAccount(site.keystore, site.bobId);
    const flags = ['Good', '\\Flagged', 'a) BODY[] (', 'line\r\n* BYE', '\\Seen', '', 7];
    const object = { owner: address, purpose: 'extensions' as const, objectId: toHex<Hex32>(digest) };
    const blob = sealStorage({ key, object, version: 9, value: { flags, colour: 'red' } });
    const stored = { extensions_data: parseBase64(blob), revision: sql<number>`revision + 1` };
    await site.opened.db.updateTable('message').set(stored).where('message_id', '=', message_id).execute();
    await client.ok('select inbox');
    expect(await client.ok('fetch 1 flags')).toEqual(['1 FETCH (FLAGS (Good \\Flagged))']);
    await client.ok('store 1 -flags (\\Flagged)');
    const after = await site.opened.db.selectFrom('message').select('extensions_data').executeTakeFirstOrThrow();
    const opened = openStorage({
      key,
      object,
      blob: toBase64(after.extensions_data ?? Buffer.alloc(0)),
      leastVersion: 10,
    });
    expect(opened).toEqual({ version: 10, value: { flags: ['Good'], colour: 'red' } });
  });

  it('bounds keywords, and changes nothing in a mailbox that is only examined', async () => {
    await filled('One');
    const names = (count: number): string => Array.from({ length: count }, (_, n) => `k${n}`).join(' ');
    await client.ok(`store 1 flags.silent (${names(100)})`);
    expect(await client.no(`store 1 flags.silent (${names(101)})`)).toContain('[LIMIT]');
    expect(await client.no(`store 1 flags (${'k'.repeat(201)})`)).toContain('[LIMIT]');
    await client.ok('examine inbox');
    expect(await client.no('store 1 flags (\\Seen)')).toContain('[NOPERM]');
    expect(await client.no('expunge')).toContain('[NOPERM]');
    expect(await client.no('move 1 Trash')).toContain('[NOPERM]');
  });
});

describe('COPY, MOVE, EXPUNGE', () => {
  it('copies with COPYUID, without opening anything', async () => {
    await filled('One', 'Two', 'Three');
    await site.opened.db
      .updateTable('message')
      .set({ ciphertext: Buffer.from('broken') })
      .execute();
    const text = await client.okText('copy 1,3 Archive');
    const [, , from, to] = /\[COPYUID (\d+) ([\d,:]+) ([\d,:]+)\]/.exec(text) ?? [];
    const uids = await uidsOf(client);
    expect(from).toBe(`${uids[0]},${uids[2]}`);
    expect(to).toMatch(/^\d+:\d+$/);
    await client.ok('select Archive');
    const lines = await client.ok('fetch 1:* (envelope rfc822.size)');
    expect(lines.join()).toMatch(/One.*Three/s);
    expect(await client.no('copy 1 Nowhere')).toContain('[TRYCREATE]');
    await client.ok('uid copy 99999 Archive');
  });

  it('gives a copy the same bytes, and keeps it when the first is deleted', async () => {
    await filled('One');
    const before = literal((await client.ok('fetch 1 body.peek[]'))[0]);
    await client.ok('copy 1 Archive');
    await client.ok('store 1 +flags (\\Deleted)');
    await client.ok('expunge');
    await client.ok('select Archive');
    expect(literal((await client.ok('fetch 1 body.peek[]'))[0])).toBe(before);
  });

  it('moves with COPYUID first and EXPUNGE after it', async () => {
    await filled('One', 'Two', 'Three');
    const lines = await client.ok('move 1:2 Trash');
    expect(lines[0]).toMatch(/^OK \[COPYUID \d+ \d+:\d+ \d+:\d+\]/);
    expect(lines.slice(1)).toEqual(['2 EXPUNGE', '1 EXPUNGE']);
    expect((await client.ok('fetch 1:* envelope')).join()).toContain('Three');
    expect((await client.ok('status Trash (messages)'))[0]).toContain('MESSAGES 2');
    const [uid] = await uidsOf(client);
    expect(await client.ok(`uid move ${uid} Trash`)).toContain('1 EXPUNGE');
  });

  it('expunges what is marked, and only the UIDs asked for', async () => {
    await filled('One', 'Two', 'Three', 'Four');
    const uids = await uidsOf(client);
    await client.ok('store 1,2,4 +flags.silent (\\Deleted)');
    expect(await client.ok(`uid expunge ${uids[1]}:${uids[2]}`)).toEqual(['2 EXPUNGE']);
    expect(await client.ok('expunge')).toEqual(['3 EXPUNGE', '1 EXPUNGE']);
    expect(await uidsOf(client)).toEqual([uids[2]]);
    expect(await client.ok('expunge')).toEqual([]);
  });

  it('tells of mail that came in when EXPUNGE is answered', async () => {
    await filled('One', 'Two');
    await client.ok('store 1 +flags.silent (\\Deleted)');
    using other = await site.client();
    await other.ok('append inbox ', letter('Three'));
    const lines = await client.ok('expunge');
    expect(lines.filter((line) => line.endsWith('EXISTS'))).toEqual(['3 EXISTS']);
    expect(lines).toContain('1 EXPUNGE');
    expect(await uidsOf(client)).toHaveLength(2);
  });

  it('removes what is marked at CLOSE, and nothing at UNSELECT or after EXAMINE', async () => {
    await filled('One', 'Two');
    await client.ok('store 1 +flags.silent (\\Deleted)');
    await client.ok('unselect');
    await client.ok('examine inbox');
    await client.ok('close');
    expect((await client.ok('status inbox (messages)'))[0]).toContain('MESSAGES 2');
    await client.ok('select inbox');
    expect(await client.ok('close')).toEqual([]);
    expect((await client.ok('status inbox (messages)'))[0]).toContain('MESSAGES 1');
  });

  it('copies into the mailbox itself', async () => {
    await filled('One');
    expect(await client.ok('copy 1 inbox')).toContain('2 EXISTS');
  });
});
