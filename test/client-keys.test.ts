/** One's own keys through the client library: replaced weekly, topped up, rotated, also when the answer is lost. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { POOL_SIZE, TOP_UP_BELOW } from '../src/identity/key-policy.ts';
import { CALLS } from '../src/smimp/api.ts';
import { toHex } from '../src/smimp/encoding.ts';
import { type ClientSite, clientSite, type TestClient } from './support/client-site.ts';
import { errorOf } from './support/errors.ts';
import { isCall, no, type Spoiler, startSpoilingProxy } from './support/spoiling-proxy.ts';

const DAY_SECONDS = 86_400;
let world: ClientSite;
let alice: TestClient;
let bob: TestClient;
let people = 0;

beforeAll(async () => {
  world = await clientSite();
});
beforeEach(async () => {
  people += 1;
  alice = await world.join(`alice${people}`);
  bob = await world.join(`bob${people}`);
});
afterAll(() => world[Symbol.asyncDispose]());

const write = (from: TestClient, to: TestClient, text: string) =>
  from.client.send({ to: to.client.address, messageType: 'short-message', body: { message: text, attachments: [] } });
const openings = async (reader: TestClient) =>
  (await reader.client.readPage({ messageType: 'short-message' })).messages.map(({ opening }) => opening);
const secrets = (of: TestClient) => of.saved().keystore.message_keys;
const available = (of: TestClient) =>
  world.site.opened.db
    .selectFrom('message_key')
    .innerJoin('account', 'account.id', 'message_key.account_id')
    .select('public_key')
    .where('address', '=', of.client.address)
    .where('state', '=', 'available')
    .execute();

describe('message keys', () => {
  it('are left alone while they are young and many', async () => {
    expect(await bob.client.keys.maintain()).toEqual({ replaced: false, added: 0, erased: 0 });
  });

  it('are replaced after a week; mail under the old one still opens, and it is erased when nothing can come', async () => {
    for (let i = 0; i <= 20; i++) await write(alice, bob, `mail ${i}`);
    const lasting = secrets(bob).find(({ kind }) => kind === 'non-ephemeral');
    world.site.later(7 * DAY_SECONDS);
    expect(await bob.client.keys.maintain()).toMatchObject({ replaced: true });
    expect(secrets(bob).filter(({ kind, retired }) => kind === 'non-ephemeral' && retired === null)).toHaveLength(1);
    expect((await openings(bob)).map(({ kind }) => kind)).toEqual(Array(21).fill('opened'));
    world.site.later(3 * DAY_SECONDS);
    expect(await bob.client.keys.maintain({ readUpTo: world.site.now })).toMatchObject({ erased: 0 });
    const { messages } = await bob.client.readPage({ messageType: 'short-message' });
    for (const { envelope } of messages) await bob.client.remove(envelope);
    expect(await bob.client.keys.maintain()).toMatchObject({ erased: 0 });
    expect(await bob.client.keys.maintain({ readUpTo: world.site.now })).toMatchObject({ erased: 1 });
    expect(secrets(bob).some(({ public_key }) => public_key === lasting?.public_key)).toBe(false);
  });

  it(`are topped up when fewer than ${TOP_UP_BELOW} are left, and every one has its secret`, async () => {
    const rows = await available(bob);
    const gone = rows.slice(0, POOL_SIZE - TOP_UP_BELOW + 1).map(({ public_key }) => public_key);
    await world.site.opened.db.deleteFrom('message_key').where('public_key', 'in', gone).execute();
    expect(await bob.client.keys.maintain()).toMatchObject({ added: POOL_SIZE - TOP_UP_BELOW + 1 });
    const published = (await available(bob)).map(({ public_key }) => toHex(public_key));
    expect(published).toHaveLength(POOL_SIZE);
    const kept = new Set<string>(secrets(bob).map(({ public_key }) => public_key));
    expect(published.every((key) => kept.has(key))).toBe(true);
  });

  it('are not published when their secrets cannot be saved', async () => {
    const before = await available(bob);
    world.site.later(7 * DAY_SECONDS);
    bob.failSaving = new Error('disk full');
    expect(await errorOf(bob.client.keys.maintain())).toMatchObject({ code: 'not-saved' });
    expect(await available(bob)).toEqual(before);
    bob.failSaving = null;
  });
});

describe('the master key', () => {
  it('is rotated: record, keys and sessions are new, old mail opens, correspondents are told and go on', async () => {
    await write(alice, bob, 'before');
    const before = bob.client.ownHistory();
    await bob.client.keys.rotateMaster();
    const after = bob.client.ownHistory();
    expect([after.seq, after.masterKeys.length]).toEqual([before.seq + 1, 2]);
    expect(bob.saved().sessions).toEqual([]);
    expect(await alice.client.resolve(bob.client.address, { fresh: true })).toMatchObject({
      state: 'EXTENDED',
      keyChanged: true,
      history: { head: after.head },
    });
    await write(alice, bob, 'after');
    await write(bob, alice, 'answer');
    expect((await openings(bob)).map(({ kind }) => kind)).toEqual(['opened', 'opened']);
    expect((await openings(alice)).map(({ kind }) => kind)).toEqual(['opened']);
    expect(await bob.restart().client.keys.finishChange()).toBe('none');
  });

  it('that somebody else added to, or that the server hides, is an alarm', async () => {
    const thief = bob.restart();
    expect(await bob.client.checkSelf()).toMatchObject({ state: 'OK' });
    await bob.client.keys.updateProfile({ name: 'Bobby' });
    expect(await bob.client.checkSelf()).toMatchObject({ state: 'OK' });
    expect(await thief.client.checkSelf()).toMatchObject({ state: 'EXTENDED' });
    const { db } = world.site.opened;
    const account = await db
      .selectFrom('account')
      .select('id')
      .where('address', '=', bob.client.address)
      .executeTakeFirstOrThrow();
    await db.deleteFrom('record').where('account_id', '=', account.id).where('seq', '=', 1).execute();
    expect(await bob.client.checkSelf()).toMatchObject({ state: 'TRUNCATED' });
  });

  it('seals a message anew that was sealed with the old one', async () => {
    const { address } = alice.client;
    const draft = { to: address, messageType: 'x-custom-a', body: Buffer.from('a') };
    const sealing = await bob.client.seal(draft);
    if (sealing.kind !== 'sealed') throw new Error('not sealed');
    await bob.client.keys.rotateMaster();
    expect(await bob.client.deliver(sealing.outgoing)).toEqual({ kind: 'seal-again' });
  });

  it('is finished by the next start when the answer was lost, and dropped when the server refuses it', async () => {
    const state = bob.saved();
    await bob.client.keys.rotateMaster();
    // What was saved before the call, as if the program had died while it waited for the answer.
    const { keystore } = bob.saved();
    const { added: _added, ...record } = keystore.own_history[1] as (typeof keystore.own_history)[number];
    const rotation = { master: keystore.master, nonephemeral_key: await keyOf(bob), ephemeral_keys: [] };
    const lost = { ...state, keystore: { ...state.keystore, message_keys: keystore.message_keys } };
    const revived = world.open({ ...lost, pending_change: { record, rotation } });
    expect(await revived.client.keys.finishChange()).toBe('done');
    expect(revived.client.ownHistory().head).toBe(bob.client.ownHistory().head);
    await write(revived, alice, 'still me');
    expect((await openings(alice)).map(({ kind }) => kind)).toEqual(['opened']);

    const never = alice.saved();
    const idle = world.open({ ...never, pending_change: { record, rotation } });
    expect(await idle.client.keys.finishChange()).toBe('dropped');
    expect(idle.saved().pending_change).toBeNull();
  });

  /** A client whose change of the record passes through `spoil`. */
  const behind = async (spoil: NonNullable<Spoiler['request']>) => {
    const proxy = await startSpoilingProxy(world.site, {
      request: (asked, server) => (isCall(asked, 'POST', 'update_profile') ? spoil(asked, server) : undefined),
    });
    const honest = { ...world.hosts };
    Object.assign(world.hosts, { 'corp.test': proxy.target, 'smimp.corp.test': proxy.target });
    return {
      client: bob.restart(),
      async [Symbol.asyncDispose]() {
        Object.assign(world.hosts, honest);
        await proxy[Symbol.asyncDispose]();
      },
    };
  };

  it('is sent again when it is not known to have got there, and its keys are not lost', async () => {
    let lost = true;
    await using far = await behind(() => (lost ? no('unavailable') : undefined));
    expect(await errorOf(far.client.client.keys.rotateMaster())).toMatchObject({ apiCode: 'unavailable' });
    expect(far.client.saved().pending_change).not.toBeNull();
    expect(await errorOf(far.client.client.keys.finishChange())).toMatchObject({ apiCode: 'unavailable' });
    lost = false;
    expect(await far.client.client.keys.finishChange()).toBe('done');
    expect(far.client.client.ownHistory().seq).toBe(1);
    await write(far.client, alice, 'with the new key');
    expect((await openings(alice)).map(({ kind }) => kind)).toEqual(['opened']);
  });

  it('is no refusal when an earlier try got there first', async () => {
    await using far = await behind(async (asked, server) => {
      await server.ask(asked);
      return undefined;
    });
    await far.client.client.keys.rotateMaster();
    expect(far.client.saved().pending_change).toBeNull();
    expect(far.client.client.ownHistory().seq).toBe(1);
    await write(far.client, alice, 'with the new key');
    expect((await openings(alice)).map(({ kind }) => kind)).toEqual(['opened']);
  });

  it('says so when the server has another history than one’s own', async () => {
    const old = bob.saved();
    await bob.client.keys.rotateMaster();
    await bob.client.keys.updateProfile({ name: 'Bobby' });
    const { added: _added, ...record } = bob.saved().keystore.own_history[1] as never as { added: string };
    const stale = world.open({ ...old, pending_change: { record: record as never, rotation: null } });
    expect(await errorOf(stale.client.keys.finishChange())).toMatchObject({ code: 'other-account' });
  });

  it('is dropped when the server refuses the change', async () => {
    for (let i = 0; i < 10; i++) await bob.client.keys.updateProfile({ name: `Bob ${i}` });
    const before = secrets(bob).length;
    expect(await errorOf(bob.client.keys.rotateMaster())).toMatchObject({ apiCode: 'too_many_requests' });
    expect(bob.saved().pending_change).toBeNull();
    expect(secrets(bob)).toHaveLength(before);
    await write(bob, alice, 'nothing happened');
    expect((await openings(alice)).map(({ kind }) => kind)).toEqual(['opened']);
  });
});

/** The public half of the present non-ephemeral key, as the server has it. */
async function keyOf(of: TestClient) {
  const login = await world.site.logIn({ address: of.client.address, master: masterOf(of) });
  return CALLS.get_nonephemeral_key.response.parse((await world.site.get('/0.1/nonephemeral_key', login.token)).json);
}

function masterOf(of: TestClient) {
  const secretKey = Buffer.from(of.saved().keystore.master, 'hex');
  return { secretKey, publicKey: secretKey.subarray(32) };
}
