/** THREADID (RFC 8474 §5.2), said line by line to the real server: conversations that stay. */
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { MAX_THREAD_REFERENCES } from '../src/mailbox/threads.ts';
import type { Address } from '../src/smimp/address.ts';
import { type EmailBody, serializeBody } from '../src/smimp/email.ts';
import { formatTimestamp, type Hex32 } from '../src/smimp/encoding.ts';
import { forEachTest } from './support/each-session.ts';
import type { ServedUser } from './support/hostile-server.ts';
import type { ImapClient } from './support/imap-client.ts';
import { type MailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
forEachTest(async (given) => {
  site = given;
  await site.opened.db.deleteFrom('thread_reference').execute();
  client = await site.client();
  return [client];
});

type Fields = Record<string, string>;
const put = async (...mails: Fields[]): Promise<void> => {
  for (const fields of mails) await client.ok('append inbox ', plainMail(fields, 'text'));
};
/** In the order of the mailbox. */
const threadsIn = async (box: string): Promise<string[]> => {
  await client.ok(`select ${box}`);
  const lines = (await client.ok('fetch 1:* threadid')).filter((line) => line.includes('FETCH'));
  return lines.map((line) => /THREADID \((T[0-9a-f]{32})\)/.exec(line)?.[1] ?? line);
};
/** Equal threads as equal letters. */
const pattern = (threads: readonly string[]): string => {
  const seen = [...new Set(threads)];
  return threads.map((thread) => String.fromCharCode(97 + seen.indexOf(thread))).join('');
};

describe('THREADID', () => {
  it.each<[string, Fields[], string]>([
    ['strangers', [{}, {}, { 'Message-ID': '<1@x>' }], 'abc'],
    ['an answer', [{ 'Message-ID': '<1@x>' }, { 'In-Reply-To': '<1@x>' }], 'aa'],
    ['by references', [{ 'Message-ID': '<1@x>' }, { References: '<0@x> <1@x>' }, { References: '<0@x>' }], 'aaa'],
    ['the answer came first', [{ 'Message-ID': '<2@x>', References: '<1@x>' }, { 'Message-ID': '<1@x>' }], 'aa'],
    ['one message twice', [{ 'Message-ID': '<1@x>' }, { 'Message-ID': '<1@x>' }], 'aa'],
    ['quoted otherwise', [{ 'Message-ID': '<"1"@x>' }, { 'In-Reply-To': '<1@x>' }], 'aa'],
    ['the same subject only', [{ Subject: 's' }, { Subject: 'Re: s' }], 'ab'],
    [
      'what joins two is of the nearer one, and they stay two',
      [{ 'Message-ID': '<1@x>' }, { 'Message-ID': '<2@x>' }, { References: '<1@x> <2@x>' }, { 'In-Reply-To': '<1@x>' }],
      'abba',
    ],
  ])('%s', async (_name, mails, expected) => {
    await put(...mails);
    expect(pattern(await threadsIn('inbox'))).toBe(expected);
  });

  it('of a long list of references the nearest and the first are remembered', async () => {
    const ids = Array.from({ length: MAX_THREAD_REFERENCES + 5 }, (_one, n) => `<${n}@x>`);
    await put({ References: ids.join(' ') }, { 'Message-ID': '<0@x>' }, { 'Message-ID': '<1@x>' });
    await put({ 'Message-ID': ids.at(-1) ?? '' }, { 'Message-ID': ids.at(1 - MAX_THREAD_REFERENCES) ?? '' });
    expect(pattern(await threadsIn('inbox'))).toBe('aabaa');
  });

  it('stays with a message that is copied or moved, and with the conversation after all of it is gone', async () => {
    await put({ 'Message-ID': '<1@x>' });
    const [thread] = await threadsIn('inbox');
    await client.ok('copy 1 Archive');
    await client.ok('move 1 Junk');
    expect(await threadsIn('Archive')).toEqual([thread]);
    expect(await threadsIn('Junk')).toEqual([thread]);
    for (const box of ['Archive', 'Junk']) {
      await client.ok(`select ${box}`);
      await client.ok('store 1 +flags.silent (\\Deleted)');
      await client.ok('close');
    }
    await put({ 'In-Reply-To': '<1@x>' });
    expect(await threadsIn('inbox')).toEqual([thread]);
  });

  it('is searched for', async () => {
    await put({ 'Message-ID': '<1@x>' }, { Subject: 'other' }, { 'In-Reply-To': '<1@x>' });
    const [thread = '', other = ''] = await threadsIn('inbox');
    expect(await client.search(`threadid ${thread}`)).toEqual([1, 3]);
    expect(await client.search(`not threadid ${thread}`)).toEqual([2]);
    expect(await client.search(`or threadid ${other} uid 0,1`.replace('uid 0,1', 'threadid Tnone'))).toEqual([2]);
    await client.bad('search threadid');
    await client.bad('fetch 1 threadid.peek');
  });

  it('native messages of one thread have one, and answers to them by mail programs', async () => {
    const alice: ServedUser = await site.server.addUser('alice', site.clock.seconds());
    await site.receive({ from: alice, subject: 'One' });
    await site.receive({ from: alice, subject: 'Two' });
    await site.receive({ from: alice, body: nativeBody('cd'.repeat(32) as Hex32) });
    await site.open();
    expect(pattern(await threadsIn('inbox'))).toBe('aab');
    const [line] = await client.ok('fetch 3 body.peek[header.fields (message-id)]');
    const id = /<[^>]+>/.exec(line ?? '')?.[0] ?? '';
    await put({ 'In-Reply-To': id });
    expect(pattern(await threadsIn('inbox'))).toBe('aabb');
  });

  it('is given to messages of before there were threads, once and for ever', async () => {
    await put({ 'Message-ID': '<1@x>' }, { 'In-Reply-To': '<1@x>' }, {});
    await site.opened.db.updateTable('message').set({ thread_id: null }).execute();
    await site.opened.db.deleteFrom('thread_reference').execute();
    const threads = await threadsIn('inbox');
    expect(pattern(threads)).toBe('aab');
    expect(await threadsIn('inbox')).toEqual(threads);
    await put({ References: '<1@x>' });
    expect((await threadsIn('inbox'))[3]).toBe(threads[0]);
  });

  it('what is stored tells no Message-ID, and another account hashes otherwise', async () => {
    await put({ 'Message-ID': '<telling@x>' });
    const { rows } = await sql<{ row: string }>`
      select thread_reference::text as row from thread_reference
      union all select encode(thread_id, 'escape') from message`.execute(site.opened.db);
    expect(rows.length).toBeGreaterThan(1);
    expect(rows.map(({ row }) => row).join()).not.toContain('telling');
    expect(rows.map(({ row }) => row).join()).not.toContain(Buffer.from('telling').toString('hex'));
  });
});

function nativeBody(threadId: Hex32): Uint8Array {
  const body: EmailBody = {
    ...{ to: ['bob#corp.test' as Address], cc: [], subject: 'Three', thread_id: threadId, reply_to_message_id: null },
    ...{ date_sent: formatTimestamp(site.clock.seconds()), body: 'text', signature_text: null, attachments: [] },
    ...{ extensions_data: null, reply_to: null, auto_reply_address: null },
  };
  return serializeBody('email', body);
}
