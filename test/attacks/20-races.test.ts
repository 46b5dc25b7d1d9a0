/**
 * Attack 20. Things that happen at once, or that were so yesterday (SMIMP 0.1 §3, §5): keys replaced while they are issued, changes
 * on a state that is gone, folders in a circle, a pin whose writing is cut off.
 */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HISTORY_FRESH_MS } from '../../src/identity/histories.ts';
import { parseAddress } from '../../src/smimp/address.ts';
import type { Pin } from '../../src/smimp/pin.ts';
import { findMessage } from '../../src/store/messages.ts';
import { findPin, lockPin } from '../../src/store/pins.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  codeOf,
  keyOf,
  type Login,
  prepare,
  sendPath,
  startApi,
  stranger,
} from '../support/api-site.ts';
import { type MailSite, mailSite } from '../support/mail-site.ts';

const outcome = (reply: { status: number; json: unknown; text: string; headers: object }): string =>
  reply.status < 300 ? 'done' : codeOf(reply as never);

describe('20 races and rollback', () => {
  describe('at the server', () => {
    let site: ApiSite;
    let people = 0;
    beforeAll(async () => {
      site = await startApi({ zeroBits: 0 });
    });
    afterAll(() => site[Symbol.asyncDispose]());
    const account = (ephemeral = 0): Promise<Account> =>
      site.account(parseAddress(`p${++people}#corp.test`), { ephemeral });
    const strangers = (count: number): Promise<Login[]> =>
      Promise.all(
        Array.from({ length: count }, (_, i) => site.logIn(stranger(site, parseAddress(`s${++people}#d${i}.test`)))),
      );
    const pool = async (token: string) => {
      const reply = await site.get('/0.1/ephemeral_keys', token);
      return {
        keys: answerOf('get_ephemeral_keys', reply).keys.map((key) => key.public_key),
        etag: String(reply.headers.etag),
      };
    };

    it('a pool replaced while it is issued from: every key goes to one sender or back to the owner, and none is lost', async () => {
      const owner = await account(30);
      const { token } = await site.logIn(owner);
      const logins = await strangers(12);
      const keys = Array.from({ length: 30 }, () => keyOf(owner, 'ephemeral', site.now));
      const replacing = (async () => {
        // As a client does: reads, writes under what it read, and begins again when the pool had moved.
        for (let tries = 0; tries < 50; tries++) {
          const { etag } = await pool(token);
          const reply = await site.post('/0.1/ephemeral_keys', { keys, mode: 'replace' }, token, { 'if-match': etag });
          if (reply.status === 200) return tries;
          expect(codeOf(reply)).toBe('precondition_failed');
        }
        throw new Error('the pool was never replaced');
      })();
      const given = await Promise.all(
        logins.map(async (login) =>
          answerOf('get_message_key', await site.post('/0.1/get_message_key', { address: owner.address }, login.token)),
        ),
      );
      await replacing;
      const issued = given.map(({ message_key }) => message_key.public_key);
      expect(new Set(issued).size).toBe(issued.length);
      const old = new Set(owner.ephemeral.map(({ public_key }) => public_key));
      const fresh = new Set(keys.map(({ public_key }) => public_key));
      expect(issued.every((key) => old.has(key) || fresh.has(key))).toBe(true);
      const left = (await pool(token)).keys;
      expect(left.filter((key) => issued.includes(key))).toEqual([]);
      expect(left.length + issued.filter((key) => fresh.has(key)).length).toBe(30);
      // Whoever was given a key of the old pool can still use it.
      const sender = stranger(site, parseAddress('late#acme.test'));
      const login = await site.logIn(sender);
      const { envelope } = await prepare(site, { sender, login, recipient: owner.address });
      const now = await pool(token);
      await site.post('/0.1/ephemeral_keys', { keys: [], mode: 'replace' }, token, { 'if-match': now.etag });
      expect((await site.post(sendPath(owner.address), envelope, login.token)).status).toBe(200);
    });

    it('two changes of the pool on one state: one is done, the other told so', async () => {
      const owner = await account(5);
      const { token } = await site.logIn(owner);
      const { etag } = await pool(token);
      const put = (mode: string) =>
        site.post('/0.1/ephemeral_keys', { keys: [keyOf(owner, 'ephemeral', site.now)], mode }, token, {
          'if-match': etag,
        });
      const outcomes = (await Promise.all([put('append'), put('replace'), put('append')])).map(outcome);
      expect(outcomes.sort()).toEqual(['done', 'precondition_failed', 'precondition_failed']);
      for (const stale of [etag, '*', `W/${etag}`, etag.slice(1, -1), `${etag}, "x"`])
        expect(
          codeOf(await site.post('/0.1/ephemeral_keys', { keys: [], mode: 'replace' }, token, { 'if-match': stale })),
        ).toBe('precondition_failed');
    });

    async function received(owner: Account): Promise<{ id: string; token: string }> {
      const alice = stranger(site, ALICE);
      const login = await site.logIn(alice);
      const { envelope } = await prepare(site, { sender: alice, login, recipient: owner.address });
      const { message_id: id } = answerOf(
        'send_message',
        await site.post(sendPath(owner.address), envelope, login.token),
      );
      return { id, token: (await site.logIn(owner)).token };
    }

    it('two notes on one message from one state: one is kept, and a revision of before is none', async () => {
      const { id, token } = await received(await account());
      const { revision } = answerOf('get_message', await site.get(`/0.1/message/${id}/false`, token));
      const write = (data: string, tag: string) =>
        site.post(`/0.1/message_extensions/${id}`, { extensions_data: data }, token, { 'if-match': tag });
      const outcomes = (await Promise.all(['AAAA', 'BBBB', 'CCCC'].map((data) => write(data, `"${revision}"`)))).map(
        outcome,
      );
      expect(outcomes.sort()).toEqual(['done', 'precondition_failed', 'precondition_failed']);
      for (const tag of [`"${revision}"`, '"0"', '*', `"${revision + 100}"`])
        expect(codeOf(await write('DDDD', tag))).toBe('precondition_failed');
      expect(codeOf(await site.post(`/0.1/message_extensions/${id}`, { extensions_data: null }, token))).toBe(
        'precondition_required',
      );
    });

    it('folders cannot be put in a circle, by one or by two at once', async () => {
      const owner = await account();
      const { token } = await site.logIn(owner);
      const folder = (name: string, parent: string | null) => ({
        display_name: name,
        folder_name: name,
        parent_folder_name: parent,
        message_type: 'email',
      });
      for (const name of ['a', 'b', 'c'])
        expect((await site.post('/0.1/folders', folder(name, null), token)).status).toBe(201);
      const move = (name: string, parent: string | null) =>
        site.post(`/0.1/folders/${name}`, folder(name, parent), token);
      expect(codeOf(await move('a', 'a'))).toBe('bad_folder');
      expect((await move('b', 'a')).status).toBe(200);
      expect((await move('c', 'b')).status).toBe(200);
      expect(codeOf(await move('a', 'c'))).toBe('bad_folder');
      expect((await move('b', null)).status).toBe(200);
      for (let i = 0; i < 5; i++) {
        const outcomes = (await Promise.all([move('a', 'c'), move('c', 'a'), move('b', 'c'), move('c', 'b')])).map(
          outcome,
        );
        expect(outcomes).toContain('done');
        const { folders } = answerOf('get_folders', await site.get('/0.1/folders', token));
        const above = new Map(folders.map((one) => [one.folder_name, one.parent_folder_name]));
        for (const start of above.keys()) {
          let steps = 0;
          for (let at: string | null | undefined = start; at != null; at = above.get(at)) steps += 1;
          expect(steps).toBeLessThanOrEqual(3);
          if (steps > 10) break;
        }
        await Promise.all(['a', 'b', 'c'].map((name) => move(name, null)));
      }
    });

    it('a folder removed while a message moves in: the message is in one place or the other, never in none', async () => {
      const owner = await account();
      const { id, token } = await received(owner);
      for (let i = 0; i < 6; i++) {
        const name = `gone-${i}`;
        const folder = { display_name: name, folder_name: name, parent_folder_name: null, message_type: 'email' };
        expect((await site.post('/0.1/folders', folder, token)).status).toBe(201);
        const moving = site.post(`/0.1/message_move/${id}`, { folder_name: name }, token);
        const removing = site.send({ method: 'DELETE', path: `/0.1/folders/email/${name}`, token });
        const [moved, removed] = (await Promise.all([moving, removing])).map(outcome);
        expect(`${moved} ${removed}`).toMatch(/^(?:done folder_not_empty|unknown_folder done)$/);
        const stored = answerOf('get_message', await site.get(`/0.1/message/${id}/false`, token));
        expect(stored.folder_name === name).toBe(moved === 'done');
        expect((await site.post(`/0.1/message_move/${id}`, { folder_name: null }, token)).status).toBe(200);
      }
    });

    it('a cursor that this mailbox never gave begins again; what is no cursor is refused', async () => {
      const owner = await account();
      for (let i = 0; i < 4; i++) await received(owner);
      const { token } = await site.logIn(owner);
      const { cursor } = answerOf('get_changes', await site.get('/0.1/changes', token));
      const [, last = '', proof = ''] = /^r(\d+)\.e([0-9a-f]{16})$/.exec(cursor) ?? [];
      const other = `${proof.startsWith('0') ? '1' : '0'}${proof.slice(1)}`;
      const beyond = Number(last) + 50;
      const strange = [
        `r${last}`,
        `r${last}.e${other}`,
        `r${beyond}.e${proof}`,
        `r${last}.${beyond}.e${proof}`,
        'r1',
        'r0.9',
      ];
      for (const form of [...strange, `r${beyond}.1`, 'r0.9999999999999999', 'r9999999999999999']) {
        const answer = answerOf('get_changes', await site.get(`/0.1/changes?cursor=${form}`, token));
        expect([form, answer.reset, answer.changes.length]).toEqual([form, true, 4]);
      }
      const odd = [
        'r-1',
        'r01',
        'r1.',
        'r1.05',
        'r1.5.6',
        'x',
        `r${'9'.repeat(17)}`,
        'r1 or 1=1',
        'r1.e',
        `r1.e${proof}0`,
      ];
      for (const form of [...odd, `r1.E${proof}`, `r1.e${proof}.5`, `r.e${proof}`])
        expect(codeOf(await site.get(`/0.1/changes?cursor=${encodeURIComponent(form)}`, token))).toBe('bad_request');
    });
  });

  describe('at the client', () => {
    let site: MailSite;
    let people = 0;
    beforeAll(async () => {
      site = await mailSite();
    });
    afterAll(() => site[Symbol.asyncDispose]());

    it('a pin whose writing is cut off is the old one, whole; the next look writes the new one', async () => {
      const alice = site.server.addUser(`alice${++people}`, site.clock.seconds());
      const about = { accountId: site.bobId, contact: alice.address };
      await site.identity.resolve(about);
      const pinned = async () => (await findPin(site.opened.db, site.bobId, alice.address))?.pin as Pin;
      const before = await pinned();
      alice.change({ now: site.clock.seconds(), rotate: true });
      site.clock.advance(HISTORY_FRESH_MS);
      await site.opened.db.transaction().execute(async (tx) => {
        await lockPin(tx, site.bobId, alice.address);
        const looking = site.identity.resolve(about).then(
          () => 'kept',
          () => 'cut off',
        );
        await expect.poll(() => waiting(site)).toHaveLength(1);
        for (const pid of await waiting(site)) await sql`select pg_terminate_backend(${pid})`.execute(tx);
        expect(await looking).toBe('cut off');
      });
      expect(await pinned()).toEqual(before);
      expect(await site.identity.resolve(about)).toMatchObject({ state: 'EXTENDED', keyChanged: true });
      expect((await pinned()).signed_hashes).toHaveLength(2);
    });

    it('two looks at once at a contact that rotates: the pin grows once, and no look accuses the other', async () => {
      const alice = site.server.addUser(`alice${++people}`, site.clock.seconds());
      const about = { accountId: site.bobId, contact: alice.address };
      await site.identity.resolve(about);
      for (let i = 0; i < 5; i++) {
        alice.change({ now: site.clock.seconds(), rotate: true });
        const looks = await Promise.all(
          Array.from({ length: 6 }, () => site.identity.resolve({ ...about, fresh: true })),
        );
        expect(looks.map(({ sending }) => sending)).toEqual(Array(6).fill('allowed'));
        expect(looks.filter(({ state }) => state === 'EXTENDED').length).toBe(1);
      }
    });

    it('a letter copied before it was opened is a copy, not a replay; the same letter again is a replay', async () => {
      const alice = site.server.addUser(`alice${++people}`, site.clock.seconds());
      const first = await site.receive({ from: alice, subject: 'Copied early' });
      const { copyMessages } = await import('../../src/store/transfers.ts');
      const { folder_id } = (await findMessage(site.opened.db, site.bobId, first)) as { folder_id: number };
      const copyIds = [Buffer.from(randomUUID().replaceAll('-', '').repeat(2), 'hex')];
      await site.opened.db.transaction().execute((tx) =>
        copyMessages(tx, site.bobId, {
          chosen: { messageId: first },
          toFolder: folder_id,
          copyIds,
          now: site.clock.read(),
        }),
      );
      await Promise.all([site.open(), site.open()]);
      const states = await Promise.all([first, ...copyIds].map((id) => findMessage(site.opened.db, site.bobId, id)));
      expect(states.map((row) => row?.state)).toEqual(['shown', 'shown']);
    });
  });
});

async function waiting(site: Pick<MailSite, 'opened'>): Promise<number[]> {
  const { rows } = await sql<{ pid: number }>`
    select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
    site.opened.db,
  );
  return rows.map(({ pid }) => pid);
}
