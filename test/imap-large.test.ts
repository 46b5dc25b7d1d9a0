/** A folder of 10,000 messages, and an ordinary mail program (imapflow) at work in the mailbox. */
import { ImapFlow } from 'imapflow';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sealedContent } from '../src/mailbox/contents.ts';
import { openMailAccount } from '../src/mailbox/mail-account.ts';
import { RENDERER_VERSION } from '../src/mime/from-email.ts';
import { indexMessage } from '../src/mime/structure/message-index.ts';
import { randomBytes } from '../src/smimp/crypto.ts';
import type { ImapClient } from './support/imap-client.ts';
import { BOB, type MailSite, mailSite, PASSWORD, plainMail } from './support/mail-site.ts';

const COUNT = 10_000;

let site: MailSite;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());

/** Copies of one message, each with a content of its own; their ciphertext opens for nobody. */
async function fill(client: ImapClient): Promise<void> {
  await client.ok('create Big');
  await client.ok('append Big ', plainMail({ Subject: 'Seed' }, 'text'));
  const { db } = site.opened;
  const seed = await db.selectFrom('message').select(['message_id', 'folder_id', 'seq']).executeTakeFirstOrThrow();
  const account = await openMailAccount(site.keystore, site.bobId);
  const ids = Array.from({ length: COUNT - 1 }, () => randomBytes(32));
  await db.transaction().execute(async (tx) => {
    await sql`
      insert into message (
        message_id, account_id, folder_id, seq, revision, message_type, ciphertext, size_bytes, message_public_key, nonce,
        message_hash, sender_address, sender_public_key, time_received, login_token_hash, received_via, state)
      select d.id, m.account_id, m.folder_id, m.seq + d.n, m.revision, m.message_type, '\\x00', 1, m.message_public_key,
        m.nonce, m.message_hash, m.sender_address, m.sender_public_key, m.time_received, m.login_token_hash,
        m.received_via, 'shown'
      from unnest(${ids}::bytea[]) with ordinality as d(id, n)
      join message m on m.message_id = ${seed.message_id}`.execute(tx);
    await sql`update account set next_seq = ${seed.seq + COUNT}`.execute(tx);
    await sql`update folder set uid_next = ${seed.seq + COUNT} where id = ${seed.folder_id}`.execute(tx);
  });
  const raw = plainMail({ Subject: 'One of many', 'Message-ID': '<many@corp.test>' }, 'the text '.repeat(50));
  const content = {
    index: indexMessage(raw),
    internalDate: { unixSeconds: 1_768_000_000, zoneMinutes: 0 },
    cautions: [],
  };
  for (let from = 0; from < ids.length; from += 1_000) {
    const rows = ids.slice(from, from + 1_000).map((id) => sealedContent(account, id, content));
    expect(rows[0]?.renderer_version).toBe(RENDERER_VERSION);
    await db.insertInto('content').values(rows).execute();
  }
}

describe('a folder of 10,000 messages', { timeout: 120_000 }, () => {
  it('is listed, sized and searched without opening one of them', async () => {
    using client = await site.client();
    await fill(client);
    await client.ok('select Big');
    const headers = await client.ok(
      'fetch 2:* (uid flags rfc822.size internaldate envelope bodystructure body.peek[header])',
    );
    expect(headers).toHaveLength(COUNT - 1);
    expect(headers.every((line) => line.includes('Subject: One of many'))).toBe(true);
    expect(await client.search('2:* subject many larger 400')).toHaveLength(COUNT - 1);
    expect(await client.no('fetch 2 body.peek[text]')).toContain('[CORRUPTION]');
    await client.ok('noop');
  });

  it('is marked, copied and expunged whole', async () => {
    using client = await site.client();
    await client.ok('select Big');
    await client.ok('store 1:* +flags.silent (\\Seen $Done)');
    expect(await client.search('unkeyword $Done')).toEqual([]);
    await client.ok('create Copy');
    expect(await client.okText('copy 1:* Copy')).toMatch(/\[COPYUID \d+ \d+:\d+ \d+:\d+\]/);
    await client.ok('move 1:* Trash');
    await client.ok('select Trash');
    await client.ok('store 1:* +flags.silent (\\Deleted)');
    expect(await client.ok('expunge')).toHaveLength(COUNT);
    await client.ok('select Copy');
    expect(await client.search('keyword $Done')).toHaveLength(COUNT);
  });

  it('is synchronised by a client that comes back: one line for all that left, one for each that changed', async () => {
    using client = await site.client();
    await client.ok('enable qresync');
    const comeBack = async (name: string): Promise<string[]> => {
      const validity = /UIDVALIDITY (\d+)/.exec((await client.ok(`status ${name} (uidvalidity)`)).join())?.[1];
      const lines = await client.ok(`select ${name} (qresync (${validity} 1))`);
      return lines.filter((line) => /^VANISHED|FETCH/.test(line));
    };
    const [vanished = '', ...more] = await comeBack('Big');
    const [, first, last] = /^VANISHED \(EARLIER\) (\d+):(\d+)$/.exec(vanished) ?? [];
    expect([Number(last) - Number(first) + 1, more]).toEqual([COUNT, []]);
    expect(await comeBack('Copy')).toHaveLength(COUNT);
    expect((await client.ok('search return (count min save) keyword $Done')).join()).toContain(`COUNT ${COUNT}`);
    expect(await client.ok('uid fetch $ (flags) (partial -1:-5)')).toHaveLength(5);
  });

  it('waits with what the client does not take', async () => {
    using client = await site.client();
    await client.ok('select Copy');
    client.pause();
    client.send('f fetch 1:* (body.peek[header] bodystructure)\r\n');
    using other = await site.client();
    await other.ok('noop');
    client.resume();
    const answer = await client.finish('f');
    expect(answer.lines).toHaveLength(COUNT);
  });
});

describe('imapflow', () => {
  it('works with the mailbox as with any other', async () => {
    const flow = new ImapFlow({
      host: '127.0.0.1',
      port: site.ports.imaps,
      secure: true,
      tls: { ca: site.ca, servername: 'localhost' },
      auth: { user: BOB.replace('#', '@'), pass: PASSWORD },
      logger: false,
    });
    await flow.connect();
    try {
      const folders = await flow.list();
      expect(folders.map(({ specialUse }) => specialUse)).toEqual(
        expect.arrayContaining(['\\Inbox', '\\Drafts', '\\Sent', '\\Trash', '\\Junk', '\\Archive']),
      );
      await flow.mailboxCreate(['Projects', 'Grün & Blau']);
      const appended = await flow.append('Projects/Grün & Blau', plainMail({ Subject: 'Hi' }, 'there'), [
        '\\Seen',
        'Mine',
      ]);
      const alice = site.server.addUser('flow', site.clock.seconds());
      await site.receive({ from: alice, subject: 'For imapflow', text: 'Some **bold** words' });
      await site.open();
      const lock = await flow.getMailboxLock('INBOX');
      try {
        const message = await flow.fetchOne('*', {
          envelope: true,
          source: true,
          bodyStructure: true,
          flags: true,
          size: true,
        });
        if (message === false) throw new Error('nothing there');
        expect(message.envelope?.subject).toBe('For imapflow');
        expect(message.envelope?.from?.[0]?.address).toBe('flow@acme.test');
        expect(message.source?.length).toBe(message.size);
        expect(message.source?.toString()).toContain('<strong>bold</strong>');
        expect(message.bodyStructure?.type).toBe('multipart/alternative');
        const { content } = await flow.download('*', '1');
        let text = '';
        for await (const chunk of content ?? []) text += chunk;
        expect(text).toContain('bold');
        await flow.messageFlagsAdd('*', ['\\Flagged']);
        expect(await flow.search({ flagged: true })).toHaveLength(1);
        const moved = await flow.messageMove('*', 'Archive');
        expect(moved === false ? 0 : moved?.uidMap?.size).toBe(1);
      } finally {
        lock.release();
      }
      const other = await flow.getMailboxLock('Projects/Grün & Blau');
      try {
        const one = await flow.fetchOne(
          String(appended === false ? 0 : appended?.uid),
          { flags: true, source: true },
          { uid: true },
        );
        if (one === false) throw new Error('nothing there');
        expect([...(one.flags ?? [])].filter((flag) => flag !== '\\Recent').sort()).toEqual(['Mine', '\\Seen']);
        await flow.messageDelete('1:*');
      } finally {
        other.release();
      }
      expect(await flow.status('Projects/Grün & Blau', { messages: true, uidNext: true })).toMatchObject({
        messages: 0,
      });
    } finally {
      await flow.logout();
    }
  });
});
