/** White and black lists (SMIMP 0.1 §5): kept for the owner only, and obeyed where others write to her. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Address } from '../src/smimp/address.ts';
import { MAX_LIST_DATA_BYTES, MAX_LIST_ENTRIES } from '../src/smimp/api.ts';
import { randomBytes } from '../src/smimp/crypto.ts';
import { listHash } from '../src/smimp/lists.ts';
import type { ListName } from '../src/store/lists.ts';
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
  segment,
  sendPath,
  startApi,
  stranger,
} from './support/api-site.ts';

let site: ApiSite;
let bob: Account;
let alice: Person;
let home: Login;
let remote: Login;

beforeAll(async () => {
  site = await startApi();
  bob = await site.account(BOB, { ephemeral: 60 });
  await site.account(CAROL);
  alice = stranger(site, ALICE);
  [home, remote] = [await site.logIn(bob), await site.logIn(alice)];
});
afterAll(() => site[Symbol.asyncDispose]());
beforeEach(() => site.opened.db.deleteFrom('list_entry').execute());

const LISTS: ListName[] = ['whitelist', 'blacklist'];
const data = Buffer.from('sealed').toString('base64');
const entry = (kind: 'address' | 'domain', value: string, owner: Address = BOB) => ({
  hash: listHash({ owner, kind, value }),
  data,
});
const add = (list: ListName, body: unknown, token = home.token) => site.post(`/0.1/${list}`, body, token);
const remove = (list: ListName, hash: string, token = home.token) =>
  site.send({ method: 'DELETE', path: `/0.1/${list}/${hash}`, token });
const entriesOf = async (list: ListName, login = home) =>
  answerOf(`get_${list}`, await site.get(`/0.1/${list}`, login.token)).entries;
const askKey = () => site.post('/0.1/get_message_key', { address: BOB }, remote.token);

describe.each(LISTS)('the %s', (list) => {
  it('is nobody else’s', async () => {
    for (const [method, path, body] of [
      ['GET', list],
      ['POST', list, entry('address', ALICE)],
      ['DELETE', `${list}/${'00'.repeat(32)}`],
    ] as const) {
      const json = { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
      const sent = { method, path: `/0.1/${path}`, ...(body === undefined ? {} : json) };
      expect(codeOf(await site.send({ ...sent, token: remote.token }))).toBe('forbidden');
      expect(codeOf(await site.send(sent))).toBe('unauthorized');
    }
  });

  it('gives back what was put on it, in order, and takes new data for an entry', async () => {
    const [first, second] = [entry('address', ALICE), entry('domain', 'acme.test')];
    for (const one of [first, second]) expect((await add(list, one)).status).toBe(201);
    expect(await entriesOf(list)).toEqual([first, second]);
    const changed = { ...first, data: Buffer.from('anew').toString('base64') };
    expect((await add(list, changed)).status).toBe(201);
    expect(await entriesOf(list)).toEqual([changed, second]);
    expect((await remove(list, first.hash)).status).toBe(204);
    expect(codeOf(await remove(list, first.hash))).toBe('unknown_entry');
    expect(await entriesOf(list)).toEqual([second]);
  });

  it('shows and takes nothing of another account', async () => {
    await add(list, entry('address', ALICE));
    const dora = await site.logIn(await site.account(`dora${list}#corp.test` as Address));
    expect(await entriesOf(list, dora)).toEqual([]);
    expect(codeOf(await remove(list, entry('address', ALICE).hash, dora.token))).toBe('unknown_entry');
  });

  it('refuses what is no entry', async () => {
    const good = entry('address', ALICE);
    expect(codeOf(await add(list, { ...good, value: ALICE }))).toBe('bad_request');
    expect(codeOf(await add(list, { ...good, hash: good.hash.toUpperCase() }))).toBe('bad_request');
    expect(codeOf(await add(list, { ...good, data: 'ab' }))).toBe('bad_request');
    expect(codeOf(await add(list, { hash: good.hash }))).toBe('bad_request');
    expect(codeOf(await remove(list, 'abc'))).toBe('bad_request');
    const sized = (size: number) => ({ ...good, data: Buffer.alloc(size).toString('base64') });
    expect((await add(list, sized(MAX_LIST_DATA_BYTES))).status).toBe(201);
    expect(codeOf(await add(list, sized(MAX_LIST_DATA_BYTES + 1)))).toBe('too_large');
  });

  it(`has at most ${MAX_LIST_ENTRIES} entries`, async () => {
    const rows = Array.from({ length: MAX_LIST_ENTRIES - 1 }, () => ({
      account_id: bob.accountId,
      list,
      hash: randomBytes(32),
      data: Buffer.from('x'),
    }));
    await site.opened.db.insertInto('list_entry').values(rows).execute();
    expect((await add(list, entry('address', ALICE))).status).toBe(201);
    expect(codeOf(await add(list, entry('address', CAROL)))).toBe('insufficient_storage');
    expect((await add(list, entry('address', ALICE))).status).toBe(201);
  });
});

describe('a sender', () => {
  it.each([
    [[['blacklist', 'address', ALICE]], 'block'],
    [[['blacklist', 'domain', 'acme.test']], 'block'],
    [[['blacklist', 'domain', 'test']], 'none'],
    [[['blacklist', 'domain', 'sub.acme.test']], 'none'],
    [
      [
        ['whitelist', 'domain', 'acme.test'],
        ['blacklist', 'domain', 'acme.test'],
      ],
      'accept',
    ],
    [
      [
        ['whitelist', 'domain', 'acme.test'],
        ['blacklist', 'address', ALICE],
      ],
      'block',
    ],
    [
      [
        ['whitelist', 'address', ALICE],
        ['blacklist', 'address', ALICE],
      ],
      'accept',
    ],
    [
      [
        ['whitelist', 'address', ALICE],
        ['blacklist', 'domain', 'acme.test'],
      ],
      'accept',
    ],
  ] as const)('with %j: %s', async (entries, decision) => {
    for (const [list, kind, value] of entries) await add(list, entry(kind, value));
    const reply = await askKey();
    if (decision === 'block') expect(codeOf(reply)).toBe('blocked');
    else expect(reply.status).toBe(200);
    const asked = await site.get(`/0.1/get_pow_params/${segment(BOB)}/email`, remote.token);
    expect(answerOf('get_pow_params', asked).zero_bits).toBe(decision === 'accept' ? 0 : 4);
  });

  it('is not reached by an entry that another owner made', async () => {
    await add('blacklist', entry('address', ALICE, CAROL));
    expect((await askKey()).status).toBe(200);
  });

  it('who was blocked meanwhile cannot send, is told so before the key is looked at, and can once she is off the list', async () => {
    const { envelope } = await prepare(site, { sender: alice, login: remote, recipient: BOB });
    await add('blacklist', entry('address', ALICE));
    expect(codeOf(await site.post(sendPath(BOB), envelope, remote.token))).toBe('blocked');
    const forged = envelopeOf({
      sender: alice,
      recipient: BOB,
      login: remote,
      messageKey: bob.nonEphemeral.public_key,
    });
    expect(codeOf(await site.post(sendPath(BOB), forged, remote.token))).toBe('blocked');
    await remove('blacklist', entry('address', ALICE).hash);
    const sent = answerOf('send_message', await site.post(sendPath(BOB), envelope, remote.token));
    // What was taken before stays taken: the same envelope is the same message.
    await add('blacklist', entry('address', ALICE));
    expect(answerOf('send_message', await site.post(sendPath(BOB), envelope, remote.token))).toEqual(sent);
  });
});
