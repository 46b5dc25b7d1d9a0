/** What the bench measures, on few messages: the answers are right, whether they come from memory, from rest or from a body. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { issueCertificate } from '../src/admin/certificates.ts';
import { createImapServer } from '../src/imap/listener.ts';
import { createMailbox } from '../src/mailbox/mailbox.ts';
import { benchMessage, RARE_EVERY, RARE_SUBJECT, RARE_WORD } from './bench/imap/messages.ts';
import type { ImapClient } from './support/imap-client.ts';
import { LIMITS, type MailSite, mailSite } from './support/mail-site.ts';
import { testAuthority } from './support/tls-server.ts';

const COUNT = 60;
const RARE = Array.from({ length: COUNT }, (_none, n) => n).filter((n) => n % RARE_EVERY === 0);
const LISTED = 'fetch 1:* (uid rfc822.size envelope bodystructure body.peek[header.fields (from subject references)])';

let site: MailSite;
let client: ImapClient;
beforeAll(async () => {
  site = await mailSite();
  client = await site.client();
  for (let n = 0; n < COUNT; n += 1) await client.ok('append inbox ', benchMessage(n));
  await client.ok('select inbox');
});
afterAll(async () => {
  client[Symbol.dispose]();
  await site[Symbol.asyncDispose]();
});

/** Another process: nothing of it is in memory. */
async function elsewhere() {
  const { db, listener } = site.opened;
  const { keystore, identity, events, clock } = site;
  const services = { keystore, identity, events, clock: clock.read };
  const mailbox = createMailbox({ ...services, db, listener });
  const { certificate: cert, key } = await issueCertificate({ authority: await testAuthority(), names: ['localhost'] });
  const server = createImapServer({ ...services, mailbox, limits: LIMITS, tls: { cert, key } });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0, implicitTls: true });
  return Object.assign(server, { port });
}

describe('messages of the bench', () => {
  it('are found by subject and by body', async () => {
    const numbers = RARE.map((n) => n + 1);
    expect(await client.search(`subject ${RARE_SUBJECT}`)).toEqual(numbers);
    expect(await client.search(`body ${RARE_WORD}`)).toEqual(numbers);
    expect(await client.search(`text ${RARE_WORD.toUpperCase()}`)).toEqual(numbers);
    expect(await client.search('body zzzz')).toEqual([]);
  });

  it('come back byte for byte, from rest and when that is not kept', async () => {
    const bodies = async (): Promise<string[]> => {
      await using server = await elsewhere();
      using fresh = await site.client(server.port);
      await fresh.ok('examine inbox');
      return (await fresh.ok('fetch 1:* body.peek[]')).map((line) => line.replace(/^[^\r]*\r\n/, '').slice(0, -1));
    };
    const sent = Array.from({ length: COUNT }, (_none, n) => benchMessage(n).toString('latin1'));
    expect(await bodies()).toEqual(sent);
    await site.opened.db.updateTable('content').set({ rendered: null }).execute();
    expect(await bodies()).toEqual(sent);
    const kept = await site.opened.db
      .selectFrom('content')
      .select('rendered')
      .where('rendered', 'is not', null)
      .execute();
    expect(kept).toHaveLength(COUNT);
  });

  it('are listed the same by a process that knows them and by one that does not', async () => {
    const first = await client.ok(LISTED);
    expect(await client.ok(LISTED)).toEqual(first);
    await using server = await elsewhere();
    using fresh = await site.client(server.port);
    await fresh.ok('examine inbox');
    expect(await fresh.ok(LISTED)).toEqual(first);
  });
});
