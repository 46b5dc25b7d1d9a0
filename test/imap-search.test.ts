/** Every key of SEARCH (RFC 3501 §6.4.4), said to the real server. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ImapClient } from './support/imap-client.ts';
import { type MailSite, mailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
let uids: number[];

/** Five messages, told apart by everything that SEARCH knows. */
const MESSAGES: [arguments_: string, fields: Record<string, string>, text: string][] = [
  [
    '(\\Seen) "10-Jan-2026 23:30:00 -0500" ',
    { Subject: 'Lunch', From: 'Alice <alice@acme.test>', Date: 'Sat, 10 Jan 2026 23:30:00 -0500' },
    'Shall we eat?',
  ],
  [
    '(\\Flagged \\Answered) "11-Jan-2026 12:00:00 +0000" ',
    { Subject: 'Report', Cc: 'carol@corp.test', Date: 'Fri, 9 Jan 2026 10:00:00 +0000' },
    'Numbers inside',
  ],
  [
    '(\\Draft $Work) "12-Jan-2026 12:00:00 +0000" ',
    { Subject: '=?UTF-8?B?R3LDvMOfZSBhdXMgS8O2bG4=?=', Bcc: 'dave@corp.test', Date: 'Mon, 12 Jan 2026 01:00:00 +0000' },
    'Viele Gr\u00fc\u00dfe, dein K\u00f6lner',
  ],
  [
    '(\\Deleted) "13-Jan-2026 12:00:00 +0000" ',
    { Subject: 'Old', To: 'erin@corp.test', 'X-Label': '', 'Message-ID': '<old@corp.test>' },
    'x'.repeat(5_000),
  ],
  ['"14-Jan-2026 12:00:00 +0000" ', { Subject: 'Last', Date: 'no date at all' }, 'The end of the numbers'],
];

beforeAll(async () => {
  site = await mailSite();
  client = await site.client();
  for (const [flags, fields, text] of MESSAGES) {
    const raw = plainMail({ 'Content-Type': 'text/plain; charset=utf-8', ...fields }, text);
    await client.ok(`append inbox ${flags}`, raw);
  }
  await client.ok('select inbox');
  uids = (await client.ok('uid search all'))[0]?.split(' ').slice(1).map(Number) ?? [];
});
afterAll(async () => {
  client[Symbol.dispose]();
  await site[Symbol.asyncDispose]();
});

describe('SEARCH', () => {
  it.each<[keys: string, found: number[]]>([
    ['all', [1, 2, 3, 4, 5]],
    ['answered', [2]],
    ['unanswered', [1, 3, 4, 5]],
    ['deleted', [4]],
    ['undeleted', [1, 2, 3, 5]],
    ['draft', [3]],
    ['undraft', [1, 2, 4, 5]],
    ['flagged', [2]],
    ['unflagged', [1, 3, 4, 5]],
    ['seen', [1]],
    ['unseen', [2, 3, 4, 5]],
    ['recent', [1, 2, 3, 4, 5]],
    ['new', [2, 3, 4, 5]],
    ['old', []],
    ['keyword $Work', [3]],
    ['keyword $work', [3]],
    ['unkeyword $Work', [1, 2, 4, 5]],
    ['from alice', [1]],
    ['from "ALICE@acme"', [1]],
    ['to erin', [4]],
    ['cc carol', [2]],
    ['bcc dave', [3]],
    ['subject lunch', [1]],
    ['header subject report', [2]],
    ['header message-id "<old@corp.test>"', [4]],
    ['header x-label ""', [4]],
    ['header date ""', [1, 2, 3, 5]],
    ['body eat', [1]],
    ['body numbers', [2, 5]],
    ['body Lunch', []],
    ['text lunch', [1]],
    ['text numbers', [2, 5]],
    ['before 12-Jan-2026', [1, 2]],
    ['on 10-Jan-2026', [1]],
    ['since 13-Jan-2026', [4, 5]],
    ['sentbefore 10-Jan-2026', [2]],
    ['senton 12-Jan-2026', [3]],
    ['sentsince 10-Jan-2026', [1, 3]],
    ['larger 5000', [4]],
    ['smaller 5000', [1, 2, 3, 5]],
    ['2:3', [2, 3]],
    ['4:*', [4, 5]],
    ['*', [5]],
    ['not seen', [2, 3, 4, 5]],
    ['not not seen', [1]],
    ['or seen flagged', [1, 2]],
    ['or (seen) (or draft deleted)', [1, 3, 4]],
    ['not deleted unseen', [2, 3, 5]],
    ['unseen undeleted not (or draft flagged)', [5]],
    ['or body eat subject old', [1, 4]],
    ['1:4 text numbers', [2]],
    ['charset us-ascii subject last', [5]],
  ])('%s', async (keys, found) => {
    expect(await client.search(keys)).toEqual(found);
  });

  it('reads strings in the character set that is named, and literals', async () => {
    expect(await client.search('charset utf-8 subject ', Buffer.from('gr\u00fc\u00dfe'))).toEqual([3]);
    expect(await client.search('charset utf-8 body ', Buffer.from('K\u00d6LNER'))).toEqual([3]);
    expect(await client.search('charset iso-8859-1 text ', Buffer.from('k\u00f6ln', 'latin1'))).toEqual([3]);
    expect(await client.no('search charset martian all')).toMatch(/\[BADCHARSET \(US-ASCII UTF-8\)\]/);
  });

  it('answers with UIDs when asked for them', async () => {
    expect((await client.ok('uid search seen'))[0]).toBe(`SEARCH ${uids[0]}`);
    expect(await client.search(`uid ${uids[1]}:${uids[2]}`)).toEqual([2, 3]);
    expect((await client.ok(`uid search uid ${uids[4]}:*`))[0]).toBe(`SEARCH ${uids[4]}`);
    expect((await client.ok(`uid search not uid ${uids[0]}`))[0]).toBe(`SEARCH ${uids.slice(1).join(' ')}`);
  });

  it('opens no message for what is indexed', async () => {
    const before = await site.opened.db.selectFrom('message').select(['message_id', 'ciphertext']).execute();
    await site.opened.db
      .updateTable('message')
      .set({ ciphertext: Buffer.from('broken') })
      .execute();
    using fresh = await site.client();
    await fresh.ok('select inbox');
    expect(await fresh.search('larger 5000 header message-id old since 1-Jan-2026')).toEqual([4]);
    for (const { message_id, ciphertext } of before)
      await site.opened.db.updateTable('message').set({ ciphertext }).where('message_id', '=', message_id).execute();
  });

  it('says BAD to what is no search', async () => {
    for (const keys of [
      '',
      'nonsense',
      'or seen',
      'not',
      'larger x',
      'before yesterday',
      '(seen',
      'keyword',
      'header x',
    ])
      await client.bad(`search ${keys}`);
  });

  it('bounds nesting', async () => {
    await client.bad(`search ${'('.repeat(100)}all${')'.repeat(100)}`);
    expect(await client.search(`${'('.repeat(20)}all${')'.repeat(20)}`)).toHaveLength(5);
  });
});

/** More than are read ahead at once, so that several batches follow one another; and more than one piece of an answer. */
describe('a large folder', () => {
  const MANY = 640;

  it('is searched and listed whole', async () => {
    using many = await site.client();
    await many.ok('create many');
    await many.ok('append many ', plainMail({ Subject: 'One' }, 'a needle'));
    await many.ok('append many ', plainMail({ Subject: 'Two' }, 'hay'));
    await many.ok('select many');
    for (let there = 2; there < MANY; there = Math.min(there * 2, MANY)) {
      await many.ok(`copy 1:${Math.min(there, MANY - there)} many`);
      await many.ok('noop');
    }
    const all = Array.from({ length: MANY }, (_none, n) => n + 1);
    const withNeedle = all.filter((number) => number % 2 === 1);
    const numbersOf = async (command: string): Promise<number[]> =>
      (await many.ok(command))[0]?.split(' ').slice(1).map(Number) ?? [];
    expect(await numbersOf('search body needle')).toEqual(withNeedle);
    // Not in order of the read-ahead: it begins anew where it was wrong.
    expect(await numbersOf('search or 1:3 body needle')).toEqual([2, ...withNeedle].sort((a, b) => a - b));
    await many.ok('store 3 flags.silent (\\Deleted)');
    await many.ok('expunge');
    expect(await numbersOf('search not body needle')).toHaveLength(MANY / 2);
    const listed = await many.ok('fetch 1:* (uid flags modseq emailid)');
    const whole = /^\d+ FETCH \(UID \d+ FLAGS \(.*\) MODSEQ \(\d+\) EMAILID \(M[0-9a-f]+\)\)$/;
    expect(listed.filter((line) => whole.test(line))).toHaveLength(MANY - 1);
  });
});
