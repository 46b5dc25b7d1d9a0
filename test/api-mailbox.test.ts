/** The owner's calls (SMIMP 0.1 §5): folders, messages, imports, changes; and that nobody else may make them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomBytes } from '../src/smimp/crypto.ts';
import { notify } from '../src/store/database.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  CAROL,
  codeOf,
  envelopeOf,
  type Login,
  type Person,
  prepare,
  proofOf,
  sendPath,
  startApi,
  stranger,
} from './support/api-site.ts';

let site: ApiSite;
let bob: Account;
let carol: Account;
let alice: Person;
let home: Login;
let remote: Login;

beforeAll(async () => {
  site = await startApi();
  bob = await site.account(BOB, { ephemeral: 100 });
  carol = await site.account(CAROL, { ephemeral: 100 });
  alice = stranger(site, ALICE);
  [home, remote] = [await site.logIn(bob), await site.logIn(alice)];
});
afterAll(() => site[Symbol.asyncDispose]());

const deliver = async (): Promise<string> => {
  const { envelope } = await prepare(site, { sender: alice, login: remote, recipient: BOB });
  return answerOf('send_message', await site.post(sendPath(BOB), envelope, remote.token)).message_id;
};
const changes = async (query: string, login = home) =>
  answerOf('get_changes', await site.get(`/0.1/changes${query}`, login.token));

describe('the calls of a mailbox', () => {
  it('are refused to remote users and to nobody in particular', async () => {
    const id = '00'.repeat(32);
    const asked: [string, string, unknown?][] = [
      ['GET', 'folder/email'],
      ['GET', `message/${id}/false`],
      ['DELETE', `message/${id}`],
      ['GET', `message_read/${id}`],
      ['POST', `message_read/${id}`, { read: true }],
      ['POST', 'import_message', {}],
      ['GET', 'changes'],
      ['GET', 'nonephemeral_key'],
      ['POST', 'nonephemeral_key', {}],
      ['GET', 'ephemeral_keys'],
      ['POST', 'ephemeral_keys', {}],
      ['POST', 'update_profile', {}],
    ];
    for (const [method, path, body] of asked) {
      const sent = { method, path: `/0.1/${path}` };
      const json = { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
      const whole = body === undefined ? sent : { ...sent, ...json };
      expect(codeOf(await site.send({ ...whole, token: remote.token })), path).toBe('forbidden');
      expect(codeOf(await site.send(whole)), path).toBe('unauthorized');
    }
  });

  it('lists, pages, reads, marks and deletes', async () => {
    const ids = [await deliver(), await deliver(), await deliver()];
    const first = answerOf('get_inbox', await site.get('/0.1/folder/email?limit=2', home.token));
    expect(first.messages.map(({ message_id }) => message_id)).toEqual(ids.slice(0, 2));
    expect(first.messages[0]).toMatchObject({ from: ALICE, size: 400, folder_name: null, read: false });
    expect(first.next).toBe(first.messages[1]?.seq);
    const rest = answerOf('get_inbox', await site.get(`/0.1/folder/email?after=${first.next}`, home.token));
    expect(rest).toMatchObject({ messages: [{ message_id: ids[2] }], next: null });
    expect(answerOf('get_inbox', await site.get('/0.1/folder/short-message', home.token)).messages).toEqual([]);
    expect(codeOf(await site.get('/0.1/folder/email/nowhere', home.token))).toBe('unknown_folder');
    for (const query of ['limit=501', 'limit=-1', 'limit=1&limit=2', 'after=01', 'other=1'])
      expect(codeOf(await site.get(`/0.1/folder/email?${query}`, home.token)), query).toBe('bad_request');

    const unread = answerOf('get_message', await site.get(`/0.1/message/${ids[0]}/false`, home.token));
    expect(unread.read).toBe(false);
    const read = answerOf('get_message', await site.get(`/0.1/message/${ids[0]}/true`, home.token));
    expect(read.read).toBe(true);
    expect(read.revision).toBeGreaterThan(unread.revision);
    const path = `/0.1/message_read/${ids[0]}`;
    expect(answerOf('get_message_read', await site.get(path, home.token))).toEqual({ read: true });
    const same = answerOf('post_message_read', await site.post(path, { read: true }, home.token));
    expect(same.revision).toBe(read.revision);
    expect(answerOf('post_message_read', await site.post(path, { read: false }, home.token)).revision).toBeGreaterThan(
      read.revision,
    );

    const other = await site.logIn(carol);
    expect(codeOf(await site.get(`/0.1/message/${ids[0]}/false`, other.token))).toBe('unknown_message');
    const deletion = { method: 'DELETE', path: `/0.1/message/${ids[0]}` };
    expect(codeOf(await site.send({ ...deletion, token: other.token }))).toBe('unknown_message');
    expect((await site.send({ ...deletion, token: home.token })).status).toBe(204);
    expect(codeOf(await site.send({ ...deletion, token: home.token }))).toBe('unknown_message');
    expect(codeOf(await site.get(path, home.token))).toBe('unknown_message');
  });

  it('takes in what the owner signed for herself, and nothing else', async () => {
    const draft = { sender: bob, recipient: BOB, login: home, messageKey: bob.nonEphemeral.public_key };
    const post = (envelope: unknown, folder_name: string | null = null) =>
      site.post('/0.1/import_message', { envelope, folder_name, read: true }, home.token);
    const place = answerOf('import_message', await post(envelopeOf(draft)));
    const got = answerOf('get_message', await site.get(`/0.1/message/${place.message_id}/false`, home.token));
    expect(got).toMatchObject({ received_via: 'import_api', read: true, sender_address: BOB, seq: place.seq });
    expect(codeOf(await post(envelopeOf(draft), 'nowhere'))).toBe('unknown_folder');
    const ephemeral = bob.ephemeral[0]?.public_key ?? bob.nonEphemeral.public_key;
    expect(codeOf(await post(envelopeOf({ ...draft, messageKey: ephemeral })))).toBe('bad_key');
    const asOther = envelopeOf({ ...draft, sender: { address: BOB, master: carol.master } });
    expect(codeOf(await post(asOther))).toBe('bad_signature');
    expect(codeOf(await post(envelopeOf({ ...draft, recipient: CAROL })))).toBe('bad_signature');
  });

  it('refuses an import with a proof of work, which would not verify as it is stored', async () => {
    const ciphertext = randomBytes(300);
    const work = { ciphertext, login: home, recipient: BOB, nonce: '00'.repeat(32) as never, zeroBits: 0 };
    const draft = { sender: bob, recipient: BOB, login: home, messageKey: bob.nonEphemeral.public_key, ciphertext };
    const envelope = envelopeOf({ ...draft, proofOfWork: proofOf(work) });
    const reply = await site.post('/0.1/import_message', { envelope, folder_name: null, read: true }, home.token);
    expect(codeOf(reply)).toBe('bad_request');
  });
});

describe('changes', () => {
  it('tells what was put and deleted since a cursor', async () => {
    const { cursor } = await changes('');
    const [kept, gone] = [await deliver(), await deliver()];
    await site.send({ method: 'DELETE', path: `/0.1/message/${gone}`, token: home.token });
    const next = await changes(`?cursor=${cursor}`);
    expect(next).toMatchObject({ reset: false });
    expect(next.changes.map(({ op, message_id }) => [op, message_id])).toEqual([
      ['put', kept],
      ['delete', gone],
    ]);
    expect(await changes(`?cursor=${next.cursor}`)).toEqual({ cursor: next.cursor, reset: false, changes: [] });
    expect(codeOf(await site.get('/0.1/changes?wait=31', home.token))).toBe('bad_request');
    expect(codeOf(await site.get('/0.1/changes?cursor=nonsense', home.token))).toBe('bad_request');
    expect(await changes('?cursor=r9000000000000000')).toMatchObject({ reset: true });
  });

  it('wakes when this mailbox changes, also when another one is told of in the same breath', async () => {
    const { cursor } = await changes('');
    const waiting = changes(`?cursor=${cursor}&wait=30`);
    await untilListening();
    const message = await deliver();
    expect((await waiting).changes).toMatchObject([{ op: 'put', message_id: message }]);

    const after = await changes('');
    const again = changes(`?cursor=${after.cursor}&wait=30`);
    await untilListening();
    await site.opened.db.transaction().execute(async (tx) => {
      await notify(tx, 'mail_received', carol.accountId);
      await notify(tx, 'mail_received', bob.accountId);
      await tx
        .updateTable('account')
        .set((eb) => ({ revision: eb('revision', '+', 1) }))
        .where('id', '=', bob.accountId)
        .execute();
    });
    expect((await again).cursor).not.toBe(after.cursor);
  }, 10_000);

  it('looks again when the connection to the database was lost, and leaves no listener behind', async () => {
    const { cursor } = await changes('');
    const waiting = changes(`?cursor=${cursor}&wait=30`);
    await untilListening();
    for (let i = 0; i < 100; i++) site.opened.listener.emit('mail_received', String(carol.accountId));
    expect(listeners()).toBeLessThan(4);
    site.opened.listener.emit('reconnected');
    expect((await waiting).changes).toEqual([]);
    await expect.poll(listeners).toBe(0);
  }, 10_000);

  const listeners = (): number => site.opened.listener.listenerCount('mail_received');
  const untilListening = () => expect.poll(listeners).toBeGreaterThan(0);
});
