/**
 * Attack 18. Somebody who is logged in, or was, asks for what is not his (SMIMP 0.1 §5): a remote user on every call of an owner,
 * one owner with another's message ids, sessions that ended, and an account initialised twice.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/smimp/address.ts';
import { CALL_NAMES, CALLS, type CallDefinition, type CallName } from '../../src/smimp/api.ts';
import { masterKeyPair } from '../../src/smimp/crypto.ts';
import { toHex } from '../../src/smimp/encoding.ts';
import { createRecord, rotateRecord } from '../../src/smimp/record.ts';
import { initializeDigest } from '../../src/smimp/transcript.ts';
import { createAccount } from '../../src/store/accounts.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  CAROL,
  codeOf,
  keyOf,
  type Login,
  type Person,
  prepare,
  type Reply,
  segment,
  sendPath,
  startApi,
  stranger,
} from '../support/api-site.ts';

let site: ApiSite;
let bob: Account;
let carol: Account;
let alice: Person;
let remote: Login;
let bobs: Login;
let carols: Login;
/** A message in Bob's mailbox. */
let messageId: string;

beforeAll(async () => {
  site = await startApi();
  bob = await site.account(BOB, { ephemeral: 20 });
  carol = await site.account(CAROL, { ephemeral: 20 });
  alice = stranger(site, ALICE);
  remote = await site.logIn(alice);
  bobs = await site.logIn(bob);
  carols = await site.logIn(carol);
  const { envelope } = await prepare(site, { sender: alice, login: remote, recipient: BOB });
  messageId = answerOf('send_message', await site.post(sendPath(BOB), envelope, remote.token)).message_id;
  const folder = { display_name: 'Private', folder_name: 'private', parent_folder_name: null, message_type: 'email' };
  expect((await site.post('/0.1/folders', folder, bobs.token)).status).toBe(201);
});
afterAll(() => site[Symbol.asyncDispose]());

const served = (auth: CallDefinition['auth']): CallName[] => CALL_NAMES.filter((name) => CALLS[name].auth === auth);
const HOME = served('home');

/** A call that would do something if it came from the owner. */
function call(name: CallName, token: string | undefined, id = messageId): Promise<Reply> {
  const { method, path }: CallDefinition = CALLS[name];
  const filled = path
    .replace('{a}', segment(BOB))
    .replace('{type}', 'email')
    .replace('{name}', 'private')
    .replace('{mark}', 'true')
    .replace('{hash}', 'ab'.repeat(32))
    .replace('{id}', id);
  const bodies: Partial<Record<CallName, unknown>> = {
    post_message_read: { read: true },
    message_move: { folder_name: 'private' },
    message_copy: { folder_name: null },
    message_extensions: { extensions_data: 'AAAA' },
    create_folder: { display_name: 'Mine', folder_name: 'mine', parent_folder_name: null, message_type: 'email' },
    change_folder: { display_name: 'Taken', folder_name: 'private', parent_folder_name: null, message_type: 'email' },
    post_ephemeral_keys: { keys: [], mode: 'replace' },
  };
  const hasBody = 'request' in CALLS[name];
  return site.send({
    method,
    path: `/0.1/${filled}`,
    ...(hasBody ? { body: JSON.stringify(bodies[name] ?? {}) } : {}),
    headers: { ...(hasBody ? { 'content-type': 'application/json' } : {}), 'if-match': '"1"' },
    ...(token === undefined ? {} : { token }),
  });
}

/** All that belongs to Bob, as the database has it. */
async function everythingOfBob(): Promise<string> {
  const { db } = site.opened;
  const of = { id: bob.accountId };
  return JSON.stringify([
    await db.selectFrom('account').selectAll().where('id', '=', of.id).execute(),
    await db.selectFrom('message').selectAll().where('account_id', '=', of.id).orderBy('seq').execute(),
    await db.selectFrom('folder').selectAll().where('account_id', '=', of.id).orderBy('id').execute(),
    await db.selectFrom('message_key').selectAll().where('account_id', '=', of.id).orderBy('position').execute(),
    await db.selectFrom('record').selectAll().where('account_id', '=', of.id).execute(),
  ]);
}

describe('18 a remote session on every owner call, foreign message ids, destroyed, expired and pre-rotation sessions, double initialise', () => {
  it('there is an owner’s call of every kind to try', () => {
    expect(HOME).toEqual(
      expect.arrayContaining([
        'get_message',
        'delete_message',
        'update_profile',
        'get_changes',
        'message_move',
        'create_folder',
      ]),
    );
  });

  it.each(HOME)('%s refuses a remote session, none and a made-up one, and changes nothing', async (name) => {
    const before = await everythingOfBob();
    expect(codeOf(await call(name, remote.token))).toBe('forbidden');
    for (const token of [undefined, '00'.repeat(32), toHex(masterKeyPair().publicKey), bobs.token.toUpperCase()])
      expect(codeOf(await call(name, token))).toBe('unauthorized');
    expect(await everythingOfBob()).toBe(before);
  });

  const BY_ID = HOME.filter((name) => (CALLS[name] as CallDefinition).path.includes('{id}'));
  it.each(BY_ID)(
    '%s with the id of somebody else’s message knows no such message, and changes nothing',
    async (name) => {
      const before = await everythingOfBob();
      const foreign = await call(name, carols.token);
      const unknown = await call(name, carols.token, 'cd'.repeat(32));
      expect(codeOf(foreign)).toBe('unknown_message');
      // Not even whether there is such a message shows.
      expect([foreign.status, foreign.text]).toEqual([unknown.status, unknown.text]);
      expect(await everythingOfBob()).toBe(before);
      for (const odd of [messageId.toUpperCase(), `${messageId}00`, messageId.slice(2), 'x'])
        expect(codeOf(await call(name, carols.token, odd))).toMatch(/^(?:bad_request|not_found)$/);
    },
  );

  it('of another’s folders nothing can be listed, filled, renamed or removed', async () => {
    const before = await everythingOfBob();
    expect(codeOf(await site.get('/0.1/folder/email/private', carols.token))).toBe('unknown_folder');
    for (const name of ['change_folder', 'delete_folder'] as const)
      expect(codeOf(await call(name, carols.token))).toBe('unknown_folder');
    expect(
      answerOf('get_folders', await site.get('/0.1/folders', carols.token)).folders.map((folder) => folder.folder_name),
    ).not.toContain('private');
    const { changes } = answerOf('get_changes', await site.get('/0.1/changes', carols.token));
    expect(changes).toEqual([]);
    expect(await everythingOfBob()).toBe(before);
  });

  it('a session is of one address: with Carol’s nobody publishes for Bob, nor reads as him', async () => {
    const record = rotateRecord({ previous: bob.record, signer: carol.master, now: 0, newKey: carol.master });
    const keys = { nonephemeral_key: keyOf(carol, 'non-ephemeral', site.now), ephemeral_keys: [] };
    expect(codeOf(await site.post('/0.1/update_profile', { record, ...keys }, carols.token))).toMatch(/^bad_/);
    expect(
      codeOf(await site.post('/0.1/nonephemeral_key', keyOf(bob, 'non-ephemeral', site.now), carols.token)),
    ).toMatch(/^bad_/);
    expect(answerOf('get_inbox', await site.get('/0.1/folder/email', carols.token)).messages).toEqual([]);
  });

  it('a destroyed session is over at once, on every call; others of its owner are not', async () => {
    const [one, two] = [await site.logIn(bob), await site.logIn(bob)];
    expect((await site.send({ method: 'POST', path: '/0.1/destroy_session', token: one.token })).status).toBe(204);
    for (const name of [...HOME, ...served('session')])
      expect(codeOf(await call(name, one.token)), name).toBe('unauthorized');
    expect((await site.get('/0.1/folder/email', two.token)).status).toBe(200);
  });

  it('an expired and an idle session are over, on every call', async () => {
    const idle = await site.logIn(bob);
    site.later(3_601);
    for (const name of [...HOME, ...served('session')])
      expect(codeOf(await call(name, idle.token)), name).toBe('unauthorized');
    bobs = await site.logIn(bob);
    carols = await site.logIn(carol);
  });

  it('sessions of before a rotation are over, also remote ones of the same person, and the old key opens none', async () => {
    const owner = await site.account(parseAddress('dora#corp.test'), { ephemeral: 4 });
    const before = [await site.logIn(owner), await site.logIn(owner)];
    const newKey = masterKeyPair();
    const now = Math.floor(site.now.getTime() / 1000);
    const record = rotateRecord({ previous: owner.record, signer: owner.master, newKey, now });
    const renewed = { ...owner, master: newKey };
    const keys = { nonephemeral_key: keyOf(renewed, 'non-ephemeral', site.now), ephemeral_keys: [] };
    expect((await site.post('/0.1/update_profile', { record, ...keys }, before[0]?.token)).status).toBe(200);
    for (const { token } of before)
      for (const name of [...HOME, ...served('session')])
        expect(codeOf(await call(name, token)), name).toBe('unauthorized');
    await expect(site.logIn(owner)).rejects.toThrow('401');
    expect((await site.logIn(renewed)).scope).toBe('home');
    // A thief of the retired key cannot rotate it back: the history goes on from the new one only.
    const back = rotateRecord({ previous: owner.record, signer: owner.master, newKey: masterKeyPair(), now });
    const login = await site.logIn(renewed);
    expect(codeOf(await site.post('/0.1/update_profile', { record: back, ...keys }, login.token))).toBe('stale_record');
  });

  it('an account is initialised once: not by twenty at once, not with the code of another, not again', async () => {
    const code = 'f'.repeat(32);
    const [one, two] = ['erin#corp.test', 'fred#corp.test'].map((address) => ({
      address: parseAddress(address),
      master: masterKeyPair(),
    })) as [Person, Person];
    for (const { address } of [one, two]) {
      const initializeHash = initializeDigest(address, `${code}${address}`);
      await site.opened.db.transaction().execute((tx) => createAccount(tx, { address, initializeHash, now: site.now }));
    }
    const now = Math.floor(site.now.getTime() / 1000);
    const body = (person: Person, codeOfWhom = person.address) => ({
      record: createRecord({ ...person, now }),
      password_hash: toHex(initializeDigest(person.address, `${code}${codeOfWhom}`)),
      nonephemeral_key: keyOf(person, 'non-ephemeral', site.now),
      ephemeral_keys: null,
    });
    const post = (sent: unknown) => site.post('/0.1/initialize_account', sent);
    expect(codeOf(await post(body(one, two.address)))).toBe('unauthorized');
    // The hash of one account is that of no other, for the address is in it.
    expect(codeOf(await post({ ...body(one), password_hash: body(two).password_hash }))).toBe('unauthorized');
    const rivals = Array.from({ length: 3 }, () => ({ address: one.address, master: masterKeyPair() }));
    const replies = await Promise.all(rivals.map((rival) => post(body(rival))));
    expect(replies.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
    expect(codeOf(await post(body(one)))).toBe('already_initialized');
    const key = answerOf('get_public_key', await site.get(`/0.1/get_user/${segment(one.address)}/public_key`));
    expect(rivals.map(({ master }) => toHex(master.publicKey))).toContain(key.public_key);
    expect(codeOf(await post({ ...body(two), record: body({ ...two, address: BOB }).record }))).toBe(
      'already_initialized',
    );
  });
});
