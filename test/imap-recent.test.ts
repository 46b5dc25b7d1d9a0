/** `\Recent` (RFC 3501 §2.3.2), subscriptions of mailboxes that are gone, and what strangers and patterns may say. */
import { describe, expect, it } from 'vitest';
import { UNAUTHENTICATED_LINE_BYTES } from '../src/imap/limits.ts';
import { forEachTest } from './support/each-session.ts';
import { ImapClient } from './support/imap-client.ts';
import { type MailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
let other: ImapClient;
forEachTest(async (given) => {
  site = given;
  client = await site.client();
  other = await site.client();
  for (const one of [client, other]) one.showsRecent = true;
  return [client, other];
});

const letter = (subject: string): Buffer => plainMail({ Subject: subject }, 'text');
const append = (subject: string): Promise<string[]> => client.ok('append inbox ', letter(subject));
const recentOf = (lines: string[]): string | undefined => lines.find((line) => line.endsWith(' RECENT'));

describe('\\Recent', () => {
  it('belongs to the first session that selects the mailbox', async () => {
    await append('One');
    await append('Two');
    expect((await other.ok('status inbox (recent)')).join()).toContain('(RECENT 2)');
    expect(recentOf(await client.ok('select inbox'))).toBe('2 RECENT');
    expect(recentOf(await other.ok('select inbox'))).toBe('0 RECENT');
    expect(await client.ok('fetch 1 flags')).toEqual(['1 FETCH (FLAGS (\\Recent))']);
    expect(await other.ok('fetch 1 flags')).toEqual(['1 FETCH (FLAGS ())']);
    expect(await client.search('recent')).toEqual([1, 2]);
    expect(await other.search('old')).toEqual([1, 2]);
    expect((await other.ok('status inbox (recent)')).join()).toContain('(RECENT 0)');
    expect(recentOf(await client.ok('select inbox'))).toBe('0 RECENT');
  });

  it('is not taken away by who only looks', async () => {
    await append('One');
    expect(recentOf(await client.ok('examine inbox'))).toBe('1 RECENT');
    expect(await client.search('recent')).toEqual([1]);
    expect(recentOf(await other.ok('examine inbox'))).toBe('1 RECENT');
    expect(recentOf(await client.ok('select inbox'))).toBe('1 RECENT');
  });

  it('of new mail goes to one of those that have it selected', async () => {
    await client.ok('select inbox');
    await other.ok('select inbox');
    await append('One');
    const counts = [recentOf(await other.ok('noop')), (await other.search('recent')).length];
    const before = (await client.search('recent')).length;
    expect([...counts, before]).toSatisfy(
      (values: unknown[]) => String(values) === '0 RECENT,0,1' || String(values) === '1 RECENT,1,0',
    );
  });

  it('cannot be set, and stays when other flags change', async () => {
    await append('One');
    await client.ok('select inbox');
    expect(await client.ok('store 1 flags (\\Seen)')).toEqual(['1 FETCH (FLAGS (\\Seen \\Recent))']);
    expect(await client.ok('store 1 flags ()')).toEqual(['1 FETCH (FLAGS (\\Recent))']);
  });

  it('is given again to what is copied and moved', async () => {
    await append('One');
    await client.ok('select inbox');
    await client.ok('copy 1 Archive');
    await client.ok('move 1 Trash');
    for (const name of ['Archive', 'Trash']) expect(recentOf(await other.ok(`select ${name}`))).toBe('1 RECENT');
  });
});

describe('subscriptions', () => {
  const names = (lines: string[]): string[] => lines.filter((line) => / Gone/.test(line));

  it('are not made by CREATE, and outlive their mailbox', async () => {
    await client.ok('create Gone/below');
    expect(names(await client.ok('lsub "" *'))).toEqual([]);
    await client.ok('subscribe Gone/below');
    await client.ok('delete Gone/below');
    expect(names(await client.ok('lsub "" *'))).toEqual(['LSUB (\\Noselect) "/" Gone/below']);
    expect(names(await client.ok('list (subscribed) "" *'))).toEqual([
      'LIST (\\NonExistent \\Subscribed) "/" Gone/below',
    ]);
    expect(names(await client.ok('list "" *'))).toEqual(['LIST (\\HasNoChildren) "/" Gone']);
    await client.ok('create Gone/below');
    expect(names(await client.ok('lsub "" *'))).toEqual(['LSUB () "/" Gone/below']);
    await client.ok('delete Gone/below');
    await client.ok('unsubscribe Gone/below');
    expect(names(await client.ok('lsub "" *'))).toEqual([]);
    await client.ok('unsubscribe Gone/below');
    await client.ok('delete Gone');
  });
});

it('a pattern that is no name matches nothing', async () => {
  expect(await client.ok('list "" &*')).toEqual([]);
  expect(await client.ok('list "" "&AAA*%"')).toEqual([]);
});

it('a stranger may say all that ID allows, and no longer line', async () => {
  using stranger = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
  const pairs = Array.from({ length: 30 }, (_one, n) => `"${String(n).padStart(30, 'n')}" "${'v'.repeat(1_024)}"`);
  expect((await stranger.ok(`id (${pairs.join(' ')})`)).join()).toContain('smimp-bridge');
  stranger.send(`a id ("n" "${'v'.repeat(UNAUTHENTICATED_LINE_BYTES)}")\r\n`);
  expect(await stranger.line()).toMatch(/^(a BAD|\* BAD|\* BYE)/);
});
