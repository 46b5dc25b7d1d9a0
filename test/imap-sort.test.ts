/** SORT, ESORT and THREAD (RFC 5256, 5957, 5267), said line by line to the real server. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ImapClient } from './support/imap-client.ts';
import { type MailSite, mailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
let uids: number[];

const MAILS: [date: string, fields: Record<string, string>][] = [
  [
    '03-Jan-2024 10:00:00 +0000',
    { Subject: 'Re: apples', From: 'Zoe <b@x.test>', To: 'Bob <b@x.test>', Cc: 'm@x.test' },
  ],
  ['01-Jan-2024 10:00:00 +0000', { Subject: 'Bananas', From: 'Anna <z@x.test>', To: 'c@x.test', Cc: 'k@x.test' }],
  [
    '02-Jan-2024 10:00:00 +0000',
    {
      Subject: '=?utf-8?q?=C3=84pfel?=',
      From: 'm@x.test',
      To: 'all: b@x.test;',
      Date: 'Mon, 1 Jan 2001 00:00:00 +0000',
    },
  ],
  ['02-Jan-2024 10:30:00 +0100', { Subject: '[list] APPLES', From: 'b@x.test', To: 'a@x.test' }],
];

beforeAll(async () => {
  site = await mailSite();
  client = await site.client();
  for (const [n, [date, fields]] of MAILS.entries())
    await client.ok(`append inbox "${date}" `, plainMail(fields, 'text'.repeat([3, 900, 90, 30][n] ?? 1)));
  await client.ok('select inbox');
  uids = (await client.ok('fetch 1:* uid')).map((line) => Number(/UID (\d+)/.exec(line)?.[1]));
});
afterAll(async () => {
  client[Symbol.dispose]();
  await site[Symbol.asyncDispose]();
});

const uid = (number: number): number => uids[number - 1] ?? 0;
const sort = async (command: string): Promise<string | undefined> => (await client.ok(command))[0];

describe('SORT', () => {
  it('is announced', async () => {
    const [line] = await client.ok('capability');
    for (const name of ['SORT', 'SORT=DISPLAY', 'ESORT', 'THREAD=REFERENCES', 'THREAD=ORDEREDSUBJECT'])
      expect(line?.split(' ')).toContain(name);
  });

  it.each([
    ['arrival', '2 4 3 1'],
    ['reverse arrival', '1 3 4 2'],
    ['date', '3 2 4 1'],
    ['from', '1 4 3 2'],
    ['to', '4 3 1 2'],
    ['cc', '3 4 2 1'],
    ['size', '1 4 3 2'],
    ['subject', '1 4 3 2'],
    ['reverse subject', '2 3 1 4'],
    ['displayfrom', '2 4 3 1'],
    ['displayto', '4 3 1 2'],
    ['from reverse arrival', '1 4 3 2'],
    ['reverse from arrival', '2 3 4 1'],
  ])('(%s)', async (criteria, order) => {
    expect(await sort(`sort (${criteria}) utf-8 all`)).toBe(`SORT ${order}`);
  });

  it('finds what SEARCH finds, and gives UIDs', async () => {
    expect(await sort('sort (arrival) us-ascii 1:2')).toBe('SORT 2 1');
    expect(await sort('uid sort (arrival) us-ascii subject apples')).toBe(`SORT ${uid(4)} ${uid(1)}`);
    expect(await client.ok('sort (arrival) utf-8 subject ', Buffer.from('äpfel'))).toEqual(['SORT 3']);
    expect(await sort('sort (arrival) utf-8 flagged')).toBe('SORT');
    expect(await sort('sort (arrival) utf-8 text "texttext" not 2')).toBe('SORT 4 3 1');
  });

  it('says the mod-sequence when it was searched for', async () => {
    const [told, line] = await client.ok('sort (arrival) utf-8 modseq 1 1:2');
    expect(told).toMatch(/^OK \[HIGHESTMODSEQ/);
    expect(line).toMatch(/^SORT 2 1 \(MODSEQ \d+\)$/);
  });

  it('is refused without a mailbox, with what is no key, and in a character set that nobody knows', async () => {
    await client.bad('sort (sent) utf-8 all');
    await client.bad('sort (date) utf-8');
    expect(await client.no('sort (date) klingon all')).toContain('[BADCHARSET');
    using other = await site.client();
    await other.bad('sort (date) utf-8 all');
    await other.bad('thread references utf-8 all');
  });

  it('keeps message numbers: what left is told only after UID SORT', async () => {
    await client.ok('append inbox ', plainMail({ Subject: 'Goes' }, 'text'));
    await client.ok('noop');
    using other = await site.client();
    await other.ok('select inbox');
    await other.ok('store 5 +flags.silent (\\Deleted)');
    await other.ok('expunge');
    expect(await client.ok('sort (size) utf-8 all')).toEqual(['SORT 1 4 3 2']);
    expect(await client.ok('thread references utf-8 1')).toEqual(['THREAD (1)']);
    expect(await client.ok('uid sort (size) utf-8 1')).toEqual([`SORT ${uid(1)}`, '5 EXPUNGE']);
  });
});

describe('ESORT', () => {
  it.each([
    ['()', 'ALL 2,4,3,1'],
    ['(min)', 'MIN 2'],
    ['(max)', 'MAX 1'],
    ['(all)', 'ALL 2,4,3,1'],
    ['(count)', 'COUNT 4'],
    ['(min max count all)', 'MIN 2 MAX 1 ALL 2,4,3,1 COUNT 4'],
    ['(partial 2:3)', 'PARTIAL (2:3 4,3)'],
    ['(partial -1:-2 count)', 'PARTIAL (-1:-2 3,1) COUNT 4'],
  ])('RETURN %s', async (returns, expected) => {
    expect(await sort(`sort return ${returns} (arrival) utf-8 all`)).toMatch(/^ESEARCH \(TAG "t\d+"\) /);
    expect((await sort(`sort return ${returns} (arrival) utf-8 all`))?.replace(/^.*?\) /, '')).toBe(expected);
  });

  it('gives UIDs, counts nothing, and keeps what was found', async () => {
    expect((await sort('uid sort return (min all) (arrival) utf-8 1:2'))?.replace(/^.*?\) /, '')).toBe(
      `UID MIN ${uid(2)} ALL ${uid(2)},${uid(1)}`,
    );
    expect((await sort('sort return (min count) (arrival) utf-8 flagged'))?.replace(/^.*?\) /, '')).toBe('COUNT 0');
    expect(await client.ok('sort return (save) (reverse arrival) utf-8 1,4')).toEqual([]);
    expect(await client.search('$')).toEqual([1, 4]);
    expect((await client.ok('fetch $ uid')).map((line) => line[0])).toEqual(['1', '4']);
    await client.ok('sort return (save min) (arrival) utf-8 all');
    expect(await client.search('$')).toEqual([2]);
    await client.bad('sort return (nothing) (arrival) utf-8 all');
  });
});

describe('THREAD', () => {
  it('puts together by references, by In-Reply-To without them, and by subject', async () => {
    await client.ok('create Threads');
    const mails: Record<string, string>[] = [
      { 'Message-ID': '<1@x>', Subject: 'Trip' },
      { 'Message-ID': '<2@x>', Subject: 'other words', References: '<1@x>' },
      { 'Message-ID': '<3@x>', Subject: 'Re: Trip', 'In-Reply-To': 'your letter <2@x> of <1@x>' },
      { 'Message-ID': '<4@x>', Subject: 'Re: trip' },
      { 'Message-ID': '<5@x>', Subject: 'alone', References: '<"1"@x>', 'In-Reply-To': '<3@x>' },
    ];
    for (const [n, fields] of mails.entries())
      await client.ok('append Threads ', plainMail({ ...fields, Date: `${n + 1} Jan 2024 00:00:00 +0000` }, 'text'));
    using other = await site.client();
    await other.ok('select Threads');
    expect(await other.ok('thread references utf-8 all')).toEqual(['THREAD (1 (2 3)(4)(5))']);
    expect(await other.ok('thread orderedsubject us-ascii all')).toEqual(['THREAD (1 (3)(4))(2)(5)']);
    expect(await other.ok('thread references utf-8 not 1')).toEqual(['THREAD ((2 3)(5))(4)']);
    expect(await other.ok('thread references utf-8 flagged')).toEqual(['THREAD']);
    const all = (await other.ok('fetch 1:* uid')).map((line) => Number(/UID (\d+)/.exec(line)?.[1]));
    expect(await other.ok('uid thread references utf-8 1,3')).toEqual([`THREAD (${all[0]} ${all[2]})`]);
    await other.bad('thread refs utf-8 all');
    expect(await other.no('thread references klingon all')).toContain('[BADCHARSET');
  });

  it('reads the references of a header too large for the index', async () => {
    await client.ok('create Large');
    await client.ok('append Large ', plainMail({ 'Message-ID': '<1@x>' }, 'text'));
    const filler = Array.from({ length: 300 }, () => ` ${'x'.repeat(990)}`).join('\r\n');
    await client.ok('append Large ', plainMail({ 'X-Long': filler, References: '<1@x>', Subject: 'Re: x' }, 'text'));
    await client.ok('select Large');
    expect(await client.ok('thread references utf-8 all')).toEqual(['THREAD (1 2)']);
    await client.ok('select inbox');
  });
});
