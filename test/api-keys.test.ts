/** Message keys and profiles (SMIMP 0.1 §1.4, §5): to whom keys go, how they are published, how a master key changes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Address, parseAddress } from '../src/smimp/address.ts';
import { masterKeyPair } from '../src/smimp/crypto.ts';
import { toHex } from '../src/smimp/encoding.ts';
import { createRecord, recordHead, rotateRecord } from '../src/smimp/record.ts';
import { initializeDigest } from '../src/smimp/transcript.ts';
import { createAccount } from '../src/store/accounts.ts';
import {
  type Account,
  type ApiSite,
  answerOf,
  codeOf,
  keyOf,
  type Login,
  type Person,
  segment,
  startApi,
  stranger,
} from './support/api-site.ts';

let site: ApiSite;
beforeAll(async () => {
  site = await startApi();
});
afterAll(() => site[Symbol.asyncDispose]());

let people = 0;
const address = (domain = 'corp.test'): Address => parseAddress(`p${++people}#${domain}`);
const senders = (count: number, domain: (i: number) => string): Promise<Login[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => site.logIn(stranger(site, address(domain(i))))));
const ask = async (of: Address, login: Login) =>
  answerOf('get_message_key', await site.post('/0.1/get_message_key', { address: of }, login.token));
const unix = (): number => Math.floor(site.now.getTime() / 1000);

describe('get_message_key', () => {
  it('gives one key to one sender again for an hour, then another', async () => {
    const owner = await site.account(address(), { ephemeral: 40 });
    const [login] = (await senders(1, () => 'one.test')) as [Login];
    const first = await ask(owner.address, login);
    expect(first).toMatchObject({ address: owner.address, head: recordHead(0, owner.record), non_ephemeral: false });
    expect(owner.ephemeral).toContainEqual(first.message_key);
    site.later(3599);
    expect((await ask(owner.address, login)).message_key).toEqual(first.message_key);
    site.later(1);
    const second = await ask(owner.address, login);
    expect(second.message_key).not.toEqual(first.message_key);
    expect(second.non_ephemeral).toBe(false);
  });

  it('gives the last key to exactly one of fifty who ask at once', async () => {
    const owner = await site.account(address(), { ephemeral: 5 });
    const logins = await senders(54, (i) => `many${i}.test`);
    for (const login of logins.slice(0, 4)) expect((await ask(owner.address, login)).non_ephemeral).toBe(false);
    const given = await Promise.all(logins.slice(4).map((login) => ask(owner.address, login)));
    expect(given.filter(({ non_ephemeral }) => !non_ephemeral)).toHaveLength(1);
    const lasting = given.filter(({ non_ephemeral }) => non_ephemeral).map(({ message_key }) => message_key);
    expect(lasting).toEqual(Array(49).fill(owner.nonEphemeral));
  });

  it('gives a sender who asks fifty times at once a single key', async () => {
    const owner = await site.account(address(), { ephemeral: 100 });
    const [login] = (await senders(1, () => 'two.test')) as [Login];
    const given = await Promise.all(Array.from({ length: 50 }, () => ask(owner.address, login)));
    expect(new Set(given.map(({ message_key }) => message_key.public_key)).size).toBe(1);
  });

  it('gives a sender twenty a day, then the lasting key, then twenty again', async () => {
    const owner = await site.account(address(), { ephemeral: 200 });
    const sender = stranger(site, address('busy.test'));
    const next = async (): Promise<boolean> => {
      const login = await site.logIn(sender);
      const { non_ephemeral } = await ask(owner.address, login);
      site.later(3601);
      return non_ephemeral;
    };
    for (let i = 0; i < 20; i++) expect(await next(), `key ${i + 1}`).toBe(false);
    expect(await next()).toBe(true);
    site.later(4 * 3600);
    expect(await next()).toBe(false);
  });

  it('gives a domain a quarter of the pool a day', async () => {
    const owner = await site.account(address(), { ephemeral: 9 });
    const logins = await senders(4, () => 'greedy.test');
    const given: boolean[] = [];
    for (const login of logins) given.push((await ask(owner.address, login)).non_ephemeral);
    expect(given).toEqual([false, false, true, true]);
    const [other] = (await senders(1, () => 'modest.test')) as [Login];
    expect((await ask(owner.address, other)).non_ephemeral).toBe(false);
    site.later(86_401);
    const fresh = await senders(1, () => 'greedy.test');
    expect((await ask(owner.address, fresh[0] as Login)).non_ephemeral).toBe(false);
  });

  it('knows no account that is not there or not initialised', async () => {
    const [login] = (await senders(1, () => 'three.test')) as [Login];
    const empty = address();
    await site.opened.db
      .transaction()
      .execute((tx) => createAccount(tx, { address: empty, initializeHash: null, now: site.now }));
    for (const of of [empty, address()])
      expect(codeOf(await site.post('/0.1/get_message_key', { address: of }, login.token))).toBe('unknown_user');
  });
});

describe('published keys', () => {
  it('are listed, appended and replaced under an ETag, 500 at most', async () => {
    const owner = await site.account(address(), { ephemeral: 3 });
    const { token } = await site.logIn(owner);
    const path = '/0.1/ephemeral_keys';
    const list = async () => {
      const reply = await site.get(path, token);
      return { keys: answerOf('get_ephemeral_keys', reply).keys, etag: String(reply.headers.etag) };
    };
    const put = (keys: unknown, mode: string, etag: string | null) =>
      site.post(path, { keys, mode }, token, etag === null ? {} : { 'if-match': etag });
    const before = await list();
    expect(before.keys).toEqual(owner.ephemeral);
    const added = keyOf(owner, 'ephemeral', site.now);
    expect(codeOf(await put([added], 'append', null))).toBe('precondition_required');
    expect(codeOf(await put([added], 'append', '"other"'))).toBe('precondition_failed');
    expect(answerOf('post_ephemeral_keys', await put([added], 'append', before.etag))).toEqual({ count: 4 });
    expect(codeOf(await put([added], 'append', before.etag))).toBe('precondition_failed');
    const after = await list();
    expect(after.keys).toEqual([...owner.ephemeral, added]);
    expect(codeOf(await put([added], 'append', after.etag))).toBe('bad_key');
    expect(codeOf(await put([keyOf(owner, 'non-ephemeral', site.now)], 'append', after.etag))).toBe('bad_key');
    const forger = { address: owner.address, master: masterKeyPair() };
    expect(codeOf(await put([keyOf(forger, 'ephemeral', site.now)], 'append', after.etag))).toBe('bad_signature');
    const past = keyOf(owner, 'ephemeral', new Date(site.now.getTime() - 31 * 86_400_000));
    expect(codeOf(await put([past], 'append', after.etag))).toBe('bad_key');
    const many = Array.from({ length: 500 }, () => keyOf(owner, 'ephemeral', site.now));
    const fullBody = await put(many.slice(0, 497), 'append', after.etag);
    expect(fullBody.status).toBeGreaterThanOrEqual(400);
    expect((await list()).keys).toEqual(after.keys);
    expect(answerOf('post_ephemeral_keys', await put(many, 'replace', after.etag))).toEqual({ count: 500 });
    expect((await list()).keys).toEqual(many);
  });

  it('have one lasting key at a time', async () => {
    const owner = await site.account(address());
    const { token } = await site.logIn(owner);
    const path = '/0.1/nonephemeral_key';
    const next = keyOf(owner, 'non-ephemeral', site.now);
    expect((await site.post(path, next, token)).status).toBe(204);
    expect(answerOf('get_nonephemeral_key', await site.get(path, token))).toEqual(next);
    expect(codeOf(await site.post(path, owner.nonEphemeral, token))).toBe('bad_key');
    expect(codeOf(await site.post(path, keyOf(owner, 'ephemeral', site.now), token))).toBe('bad_key');
    expect(answerOf('get_nonephemeral_key', await site.get(path, token))).toEqual(next);
  });
});

describe('initialize_account', () => {
  const CODE = 'one-time-code-of-128-bits';
  const blank = async (): Promise<Person> => {
    const person = { address: address(), master: masterKeyPair() };
    const initializeHash = initializeDigest(person.address, CODE);
    await site.opened.db
      .transaction()
      .execute((tx) => createAccount(tx, { address: person.address, initializeHash, now: site.now }));
    return person;
  };
  const body = (person: Person, code = CODE) => ({
    record: createRecord({ ...person, now: unix() }),
    password_hash: toHex(initializeDigest(person.address, code)),
    nonephemeral_key: keyOf(person, 'non-ephemeral', site.now),
    ephemeral_keys: [keyOf(person, 'ephemeral', site.now)],
  });
  const post = (sent: unknown) => site.post('/0.1/initialize_account', sent);

  it('works once ever, also for two at once', async () => {
    const person = await blank();
    expect(codeOf(await site.get(`/0.1/get_user/${segment(person.address)}/public_key`))).toBe('unknown_user');
    const replies = await Promise.all([post(body(person)), post(body(person))]);
    expect(replies.map(({ status }) => status).sort()).toEqual([201, 409]);
    expect(codeOf(await post(body(person)))).toBe('already_initialized');
    expect((await site.logIn(person)).scope).toBe('home');
  });

  it('gives five tries, and the same answer for a wrong code and an unknown account', async () => {
    const person = await blank();
    for (let i = 0; i < 5; i++) expect(codeOf(await post(body(person, `wrong ${i}`)))).toBe('unauthorized');
    const reply = await post(body(person));
    expect(codeOf(reply)).toBe('too_many_requests');
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
    const unknown = { address: address(), master: masterKeyPair() };
    expect(codeOf(await post(body(unknown)))).toBe('unauthorized');
  });

  it('checks record and keys, and stores nothing when one is wrong', async () => {
    const person = await blank();
    const other = { address: person.address, master: masterKeyPair() };
    const good = body(person);
    const late = rotateRecord({ previous: good.record, signer: person.master, now: unix() });
    expect(codeOf(await post({ ...good, record: late }))).toBe('bad_record');
    expect(
      codeOf(await post({ ...good, record: { ...good.record, signed_hash: body(other).record.signed_hash } })),
    ).toBe('bad_signature');
    expect(codeOf(await post({ ...good, ephemeral_keys: [good.nonephemeral_key] }))).toBe('bad_key');
    const twice = good.ephemeral_keys[0];
    expect(codeOf(await post({ ...good, ephemeral_keys: [twice, twice] }))).toBe('bad_key');
    expect((await post({ ...good, ephemeral_keys: null })).status).toBe(201);
  });
});

describe('update_profile', () => {
  const change = (owner: Account, more: { newKey?: ReturnType<typeof masterKeyPair>; name?: string } = {}) =>
    rotateRecord({
      previous: owner.record,
      signer: owner.master,
      now: unix(),
      ...(more.newKey === undefined ? {} : { newKey: more.newKey }),
      ...(more.name === undefined ? {} : { profile: { name: more.name } }),
    });
  const post = (login: Login, sent: unknown) => site.post('/0.1/update_profile', sent, login.token);

  it('appends a record; a stale one and one too many a day are refused', async () => {
    const owner = await site.account(address());
    const login = await site.logIn(owner);
    const stale = change(owner, { name: 'Stale' });
    for (let i = 1; i <= 10; i++) {
      const record = change(owner, { name: `Name ${i}` });
      expect(answerOf('update_profile', await post(login, { record }))).toEqual({ head: recordHead(i, record) });
      owner.record = record;
      if (i === 1) expect(codeOf(await post(login, { record: stale }))).toBe('stale_record');
    }
    const reply = await post(login, { record: change(owner, { name: 'Eleven' }) });
    expect(codeOf(reply)).toBe('too_many_requests');
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
    site.later(86_401);
    const fresh = await site.logIn(owner);
    expect((await post(fresh, { record: change(owner, { name: 'Eleven' }) })).status).toBe(200);
  });

  it('lets one of two changes at once through', async () => {
    const owner = await site.account(address());
    const login = await site.logIn(owner);
    const replies = await Promise.all(['A', 'B'].map((name) => post(login, { record: change(owner, { name }) })));
    expect(replies.map((reply) => (reply.status === 200 ? 'done' : codeOf(reply))).sort()).toEqual([
      'done',
      'stale_record',
    ]);
  });

  it('refuses records of others, with wrong signatures, or that go back', async () => {
    const owner = await site.account(address());
    const other = await site.account(address());
    const login = await site.logIn(owner);
    expect(codeOf(await post(login, { record: change(other, { name: 'x' }) }))).toBe('bad_record');
    const forged = rotateRecord({ previous: owner.record, signer: other.master, now: unix() });
    expect(codeOf(await post(login, { record: forged }))).toMatch(/^bad_(record|signature)$/);
    const swapped = { ...change(owner, { name: 'x' }), signed_hash: other.record.signed_hash };
    expect(codeOf(await post(login, { record: swapped }))).toBe('bad_signature');
  });

  it('changes the master key with both kinds of keys, and ends every session', async () => {
    const owner = await site.account(address(), { ephemeral: 4 });
    const [login, second] = [await site.logIn(owner), await site.logIn(owner)];
    const newKey = masterKeyPair();
    const renewed = { address: owner.address, master: newKey };
    const record = change(owner, { newKey });
    const nonephemeral_key = keyOf(renewed, 'non-ephemeral', site.now);
    const ephemeral_keys = [keyOf(renewed, 'ephemeral', site.now)];
    expect(codeOf(await post(login, { record }))).toBe('bad_key');
    expect(codeOf(await post(login, { record, nonephemeral_key }))).toBe('bad_key');
    const old = { nonephemeral_key: keyOf(owner, 'non-ephemeral', site.now), ephemeral_keys };
    expect(codeOf(await post(login, { record, ...old }))).toBe('bad_signature');
    expect(codeOf(await post(login, { record: { ...record, new_key_signed_hash: null }, ...old }))).toBe('bad_record');
    const done = await post(login, { record, nonephemeral_key, ephemeral_keys });
    expect(answerOf('update_profile', done)).toEqual({ head: recordHead(1, record) });
    for (const { token } of [login, second])
      expect(codeOf(await site.get('/0.1/folder/email', token))).toBe('unauthorized');
    await expect(site.logIn(owner)).rejects.toThrow('401');
    const { token } = await site.logIn(renewed);
    expect(answerOf('get_ephemeral_keys', await site.get('/0.1/ephemeral_keys', token)).keys).toEqual(ephemeral_keys);
    expect(answerOf('get_nonephemeral_key', await site.get('/0.1/nonephemeral_key', token))).toEqual(nonephemeral_key);
  });
});
