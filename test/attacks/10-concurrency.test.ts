/**
 * Attack 10. The same send arrives twice at once, and the server dies between using up the key and storing the message (SMIMP 0.1
 * §5, `send_message`): there is one message or none, and with none nothing was used up.
 */
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  codeOf,
  type Login,
  type Person,
  prepare,
  sendPath,
  startApi,
  stranger,
} from '../support/api-site.ts';

let site: ApiSite;
let bob: Account;
let alice: Person;
let login: Login;
beforeAll(async () => {
  site = await startApi();
  bob = await site.account(BOB, { ephemeral: 60 });
  alice = stranger(site, ALICE);
  login = await site.logIn(alice);
});
afterAll(() => site[Symbol.asyncDispose]());

const ready = () => prepare(site, { sender: alice, login, recipient: BOB });
const post = (envelope: unknown) => site.post(sendPath(BOB), envelope, login.token);

/** All that a message leaves behind. */
async function traces() {
  const { db } = site.opened;
  const count = async (table: 'message' | 'sent_envelope' | 'pow_nonce'): Promise<number> =>
    (await db.selectFrom(table).select(sql<number>`count(*)::int`.as('n')).executeTakeFirstOrThrow()).n;
  const keys = await db.selectFrom('message_key').select('state').where('account_id', '=', bob.accountId).execute();
  const used = keys.filter(({ state }) => state === 'used').length;
  const account = await db
    .selectFrom('account')
    .select(['next_seq', 'size_bytes'])
    .where('id', '=', bob.accountId)
    .executeTakeFirstOrThrow();
  return {
    messages: await count('message'),
    sent: await count('sent_envelope'),
    nonces: await count('pow_nonce'),
    used,
    ...account,
  };
}

/** Statements of this database that wait for a lock, by their backend. */
async function waiting(): Promise<number[]> {
  const { rows } = await sql<{ pid: number }>`
    select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
    site.opened.db,
  );
  return rows.map(({ pid }) => pid);
}

describe('10 the same send twice at once and a crash between use and store', () => {
  it('twenty at once, of ten messages twice each, are ten messages', async () => {
    const before = await traces();
    const owner = await site.account('ten#corp.test' as never, { ephemeral: 0 });
    const own = await Promise.all(
      Array.from(
        { length: 10 },
        async () => (await prepare(site, { sender: alice, login, recipient: owner.address })).envelope,
      ),
    );
    const replies = await Promise.all(
      [...own, ...own].map((envelope) => site.post(sendPath(owner.address), envelope, login.token)),
    );
    const ids = replies.map((reply) => answerOf('send_message', reply).message_id);
    expect(ids.slice(0, 10)).toEqual(ids.slice(10));
    expect(new Set(ids).size).toBe(10);
    expect((await traces()).messages).toBe(before.messages + 10);
  });

  it('a failure at the moment of storing takes back key, nonce and counters, and the same envelope goes through later', async () => {
    const { envelope } = await ready();
    const before = await traces();
    const { db } = site.opened;
    await sql`create function refuse() returns trigger language plpgsql as $$ begin raise 'the disk is full'; end $$`.execute(
      db,
    );
    await sql`create trigger refuse before insert on message execute function refuse()`.execute(db);
    try {
      expect(codeOf(await post(envelope))).toBe('internal');
      expect(await traces()).toEqual(before);
    } finally {
      await sql`drop trigger refuse on message`.execute(db);
      await sql`drop function refuse`.execute(db);
    }
    const { message_id } = answerOf('send_message', await post(envelope));
    expect(await traces()).toMatchObject({
      messages: before.messages + 1,
      used: before.used + 1,
      nonces: before.nonces - 1,
    });
    expect(answerOf('send_message', await post(envelope))).toEqual({ message_id });
    expect(site.log.join('')).not.toContain('the disk is full');
  });

  it('a connection killed in the middle of the transaction leaves no trace, and the same envelope goes through later', async () => {
    const { envelope } = await ready();
    const before = await traces();
    let killed = 0;
    const reply = await site.opened.db.transaction().execute(async (tx) => {
      // The mailbox is held, so the send has checked everything and stands before its use of key and nonce.
      await tx.selectFrom('account').select('id').where('id', '=', bob.accountId).forUpdate().execute();
      const sending = post(envelope);
      await expect.poll(async () => (await waiting()).length).toBeGreaterThan(0);
      for (const pid of await waiting()) {
        await sql`select pg_terminate_backend(${pid})`.execute(tx);
        killed += 1;
      }
      return await sending;
    });
    expect(killed).toBe(1);
    expect(reply.status).toBeGreaterThanOrEqual(500);
    expect(await traces()).toEqual(before);
    expect((await post(envelope)).status).toBe(200);
    expect(await traces()).toMatchObject({
      messages: before.messages + 1,
      used: before.used + 1,
      nonces: before.nonces - 1,
    });
  });

  it('an answer that never arrives makes no second message: the sender asks again and hears the same', async () => {
    const { envelope } = await ready();
    const before = await traces();
    const cut = await import('node:tls').then(({ connect }) =>
      connect({ host: '127.0.0.1', port: site.port, ca: site.ca, servername: 'smimp.corp.test' }),
    );
    const body = JSON.stringify(envelope);
    const head = [
      `POST ${sendPath(BOB)} HTTP/1.1`,
      'Host: x',
      `SMIMP-Authentication: ${login.token}`,
      'Content-Type: application/json',
    ];
    cut.write(`${head.join('\r\n')}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    await expect.poll(async () => (await traces()).messages).toBe(before.messages + 1);
    cut.destroy();
    expect((await post(envelope)).status).toBe(200);
    expect((await traces()).messages).toBe(before.messages + 1);
  });
});
