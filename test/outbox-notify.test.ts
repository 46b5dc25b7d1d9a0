/** Who is told of what waits to be sent: by NOTIFY (RFC 5465) and by IDLE, as of any mailbox. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ImapClient } from './support/imap-client.ts';
import { ALICE, EVE, type OutboxSite, outboxSite } from './support/outbox-site.ts';

let site: OutboxSite;
/** Who is told. */
let client: ImapClient;
/** Who does something. */
let other: ImapClient;
beforeEach(async () => {
  site = await outboxSite();
  client = await site.client(site.port);
  other = await site.client(site.port);
});
afterEach(async () => {
  client[Symbol.dispose]();
  other[Symbol.dispose]();
  await site[Symbol.asyncDispose]();
});

const ALL = '(MessageNew MessageExpunge FlagChange)';
const line = async (): Promise<string> => (await client.line()).replace(/^\* /, '');
const told = async (count: number): Promise<string[]> => {
  const lines: string[] = [];
  while (lines.length < count) {
    const one = await line();
    if (!one.endsWith(' RECENT')) lines.push(one);
  }
  return lines;
};

describe('NOTIFY of a mailbox that is not selected', () => {
  it('tells that something waits, that its state changed, and that it is gone', async () => {
    const [status] = await client.ok(`notify set status (mailboxes Outbox ${ALL})`);
    expect(status).toMatch(/^STATUS Outbox \(MESSAGES 0 UIDNEXT 1 UIDVALIDITY \d+ HIGHESTMODSEQ \d+\)$/);
    const [first] = await site.submit('One', ALICE);
    expect(await line()).toMatch(/^STATUS Outbox \(UIDNEXT 2 MESSAGES 1 UNSEEN 0 /);
    await site.change(first, site.retrying());
    expect(await line()).toMatch(/^STATUS Outbox \(UIDNEXT 3 MESSAGES 1 UNSEEN 0 /);
    await site.change(first, { stage: 'held', error_code: 'pin-replaced' });
    expect(await line()).toMatch(/^STATUS Outbox \(UIDNEXT 4 MESSAGES 1 UNSEEN 0 /);
    await site.change(first, site.ended());
    expect(await line()).toMatch(/^STATUS Outbox \(UIDNEXT 4 MESSAGES 0 UNSEEN 0 /);
  });

  it('tells of it among all others, and of nothing where a stage went well', async () => {
    await client.ok(`notify set (personal ${ALL})`);
    const [first] = await site.submit('One', ALICE);
    expect(await line()).toMatch(/^STATUS Outbox \(UIDNEXT 2 MESSAGES 1 /);
    await site.change(first, { stage: 'seal' });
    await other.ok('append Archive ', Buffer.from('Subject: x\r\n\r\nx\r\n'));
    expect(await line()).toMatch(/^STATUS Archive \(/);
  });

  it('tells of marks that another session sets, and of messages that it cancels', async () => {
    await site.submit('One', ALICE);
    await client.ok(`notify set (mailboxes Outbox ${ALL})`);
    await other.ok('select Outbox');
    await other.ok('store 1 +flags (\\Deleted)');
    expect(await line()).toMatch(/^STATUS Outbox \(UIDNEXT 2 MESSAGES 1 /);
    await other.ok('expunge');
    expect(await line()).toMatch(/^STATUS Outbox \(UIDNEXT 2 MESSAGES 0 /);
  });

  it('tells of its subscription, and that it goes when the user makes a folder of such a name', async () => {
    await client.ok('notify set (personal (MailboxName SubscriptionChange))');
    await other.ok('unsubscribe Outbox');
    expect(await line()).toBe('LIST (\\HasNoChildren) "/" Outbox');
    await other.ok('create Postausgang');
    expect((await told(2)).sort()).toEqual([
      'LIST (\\HasNoChildren) "/" Postausgang',
      'LIST (\\NonExistent) "/" Outbox',
    ]);
    await other.ok('delete Postausgang');
    expect((await told(2)).sort()).toEqual([
      'LIST (\\HasNoChildren) "/" Outbox',
      'LIST (\\NonExistent) "/" Postausgang',
    ]);
  });

  it('ends when the client wants to hear nothing', async () => {
    await client.ok(`notify set (mailboxes Outbox ${ALL})`);
    await site.submit('One', ALICE);
    await line();
    await client.ok('notify none');
    await site.submit('Two', EVE);
    expect(await client.ok('capability')).toHaveLength(1);
  });
});

describe('the selected mailbox', () => {
  it('NOTIFY tells at once what comes, what it is, and what is gone', async () => {
    await client.ok('select Outbox');
    await client.ok('notify set (selected (MessageNew (uid envelope) MessageExpunge FlagChange))');
    const [first] = await site.submit('One', ALICE);
    expect(await told(2)).toEqual(['1 EXISTS', expect.stringMatching(/^1 FETCH \(UID 1 ENVELOPE \(.*"One"/)]);
    await site.change(first, site.retrying());
    expect(await told(3)).toEqual(['1 EXPUNGE', '1 EXISTS', expect.stringMatching(/^1 FETCH \(UID 2 ENVELOPE /)]);
    await site.change(first, site.ended());
    expect(await told(1)).toEqual(['1 EXPUNGE']);
  });

  it('IDLE tells of marks and of what another session cancels', async () => {
    await site.submit('One', ALICE);
    await client.ok('select Outbox');
    client.send('x idle\r\n');
    expect(await client.line()).toMatch(/^\+ /);
    await other.ok('select Outbox');
    await other.ok('store 1 +flags (\\Deleted)');
    expect(await told(1)).toEqual(['1 FETCH (UID 1 FLAGS (\\Seen \\Deleted))']);
    await other.ok('expunge');
    expect(await told(1)).toEqual(['1 EXPUNGE']);
    client.send('done\r\n');
    await client.finish('x');
  });
});
