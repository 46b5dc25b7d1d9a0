/**
 * The client library against servers that lie: forged, truncated, forked and replaced histories, wrong heads and keys, replays,
 * tampered envelopes, too much work.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Draft, type SmimpClient, stateOf } from '../src/client/index.ts';
import { HISTORY_FRESH_MS } from '../src/identity/histories.ts';
import { formatTimestamp, type Hex32, type Hex64, toHex } from '../src/smimp/encoding.ts';
import { createMessageKey } from '../src/smimp/message-key.ts';
import { type ClientSite, clientSite, type TestClient } from './support/client-site.ts';
import { errorOf } from './support/errors.ts';
import { type HostileServer, type HostileSettings, ServedUser, startHostileServer } from './support/hostile-server.ts';
import { answerJson, answerText } from './support/tls-server.ts';

const DAY_SECONDS = 86_400;
let world: ClientSite;
let server: HostileServer;
let bob: TestClient;
let mallory: ServedUser;
let people = 0;
const settings: HostileSettings = { zeroBits: 0, now: () => Math.floor(world.site.now.getTime() / 1000) };

beforeAll(async () => {
  world = await clientSite();
  server = await startHostileServer('evil.test', settings);
  Object.assign(world.hosts, server.hosts);
});
beforeEach(async () => {
  people += 1;
  settings.zeroBits = 0;
  bob = await world.join(`bob${people}`);
  mallory = server.addUser(`mallory${people}`, settings.now());
  world.site.later(HISTORY_FRESH_MS / 1000);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const draft = (messageType = 'short-message', text = 'hello'): Draft => ({
  to: mallory.address,
  messageType,
  body: messageType === 'short-message' ? { message: text, attachments: [] } : Buffer.from(text),
});
const resolve = () => bob.client.resolve(mallory.address, { fresh: true });
const sent = () => server.messages.filter(({ recipient }) => recipient === mallory.address).length;

/** Mallory's own client: an honest program over the keys and the history that her server shows. */
function malloryWrites(): SmimpClient {
  world.site.remoteKeys.set(mallory.address, toHex(mallory.master.publicKey));
  const added = formatTimestamp(settings.now());
  const keystore = {
    address: mallory.address,
    master: toHex<Hex64>(mallory.master.secretKey),
    own_history: mallory.records.map((record) => ({ ...record, added })),
    message_keys: [],
    storage_key: toHex<Hex32>(Buffer.alloc(32, 1)),
    pins: [],
    archived_pins: [],
  };
  return world.open(stateOf(keystore)).client;
}

async function writeToBob(text = 'hello'): Promise<Hex32> {
  const body = { message: text, attachments: [] };
  const delivery = await malloryWrites().send({ to: bob.client.address, messageType: 'short-message', body });
  if (delivery.kind !== 'sent') throw new Error(`not sent: ${delivery.kind}`);
  return delivery.messageId;
}

const readAll = async (reader: TestClient = bob) =>
  (await reader.client.readPage({ messageType: 'short-message' })).messages.map(({ opening }) => opening);
const row = (id: Hex32) => world.site.opened.db.updateTable('message').where('message_id', '=', Buffer.from(id, 'hex'));

describe('finding a server', () => {
  it('never falls back for a domain that once spoke SMIMP, also after a restart', async () => {
    expect(await resolve()).toMatchObject({ state: 'NEW' });
    world.site.later(3_700);
    server.behave('smimp.txt', (_request, response) => answerText(response, 'gone', 404));
    const found = await bob.restart().client.findServer(server.domain as never);
    server.behave('smimp.txt', null);
    expect(found).toMatchObject({ outcome: 'failed', everFound: true });
    world.site.later(3_700);
  });
});

describe('a history', () => {
  it('that is forged is INVALID: nothing is sent, the pin stays', async () => {
    await resolve();
    const [honest] = mallory.records;
    mallory.records = [{ ...honest, data: honest?.data.replace('mallory', 'mallorx') } as never];
    expect(await resolve()).toMatchObject({ state: 'INVALID', sending: 'blocked', history: null });
    expect(await bob.client.send(draft())).toMatchObject({ kind: 'blocked', contact: { state: 'INVALID' } });
    expect(sent()).toBe(0);
    mallory.records = [honest as never];
    expect(await bob.client.send(draft())).toMatchObject({ kind: 'sent' });
  });

  it('that is truncated blocks until the whole of it is back', async () => {
    mallory.change({ now: settings.now(), rotate: true });
    await resolve();
    const whole = mallory.records;
    mallory.records = whole.slice(0, 1);
    expect(await resolve()).toMatchObject({ state: 'TRUNCATED', sending: 'blocked' });
    expect(bob.saved().keystore.pins[0]).toMatchObject({ state: 'TRUNCATED' });
    expect((await bob.restart().client.pinned(mallory.address))?.pin.signed_hashes).toHaveLength(2);
    mallory.records = whole;
    expect(await resolve()).toMatchObject({ state: 'OK', sending: 'allowed' });
  });

  it('that forks blocks for good; both are kept; only the fingerprint releases', async () => {
    await resolve();
    const [first] = mallory.records;
    const other = Object.assign(new ServedUser(mallory.address, settings.now()), { master: mallory.master });
    other.records = [first as never];
    mallory.change({ now: settings.now(), profile: { name: 'One' } });
    await resolve();
    other.change({ now: settings.now(), profile: { name: 'Another' } });
    const honest = mallory.records;
    mallory.records = other.records;
    expect(await resolve()).toMatchObject({ state: 'FORKED', sending: 'blocked' });
    mallory.records = honest;
    expect(await bob.restart().client.resolve(mallory.address)).toMatchObject({ state: 'FORKED' });
    expect(bob.saved().keystore.pins[0]?.evidence).toContain('signed_hash');
    const shown = (await bob.client.examine(mallory.address)).shown;
    await bob.client.verify(mallory.address, shown?.fingerprint ?? '');
    expect(await resolve()).toMatchObject({ state: 'OK', sending: 'allowed' });
    expect(bob.saved().keystore.archived_pins).toHaveLength(1);
  });

  it('that was replaced blocks; its old fingerprint does not release it', async () => {
    const old = (await bob.client.examine(mallory.address)).shown?.fingerprint ?? '';
    await resolve();
    const records = mallory.records;
    mallory.records = new ServedUser(mallory.address, settings.now()).records;
    expect(await resolve()).toMatchObject({ state: 'REPLACED', sending: 'blocked' });
    expect(await errorOf(bob.client.verify(mallory.address, old))).toMatchObject({ code: 'fingerprint-mismatch' });
    expect(await bob.client.send(draft())).toMatchObject({ kind: 'blocked' });
    mallory.records = records;
    expect(await resolve()).toMatchObject({ state: 'REPLACED' });
  });

  it('that is hidden is UNAVAILABLE for somebody pinned: wait, never another way', async () => {
    await resolve();
    server.removeUser(mallory);
    expect(await resolve()).toMatchObject({ state: 'UNAVAILABLE', sending: 'queued' });
    expect(await bob.client.send(draft())).toMatchObject({ kind: 'unavailable' });
    expect(await bob.client.pinned(mallory.address)).not.toBeNull();
  });
});

describe('a message key', () => {
  it('beside another head than that of the history is not used', async () => {
    mallory.messageKeyHead = toHex(Buffer.alloc(32, 9));
    expect(await bob.client.send(draft())).toMatchObject({ kind: 'blocked', contact: { reason: 'head-mismatch' } });
    expect(sent()).toBe(0);
  });

  it('that an old master key, or somebody else, signed is refused', async () => {
    mallory.change({ now: settings.now(), rotate: true });
    const stolen = mallory.retired[0];
    server.behave('get_message_key', (_request, response) => {
      const { address } = mallory;
      const make = { address, kind: 'ephemeral' as const, now: settings.now(), lifetimeDays: 90 };
      const { key } = createMessageKey({ ...make, master: stolen as never });
      const public_key = toHex(mallory.master.publicKey);
      answerJson(response, { address, public_key, head: mallory.trueHead(), message_key: key, non_ephemeral: false });
    });
    const error = await errorOf(bob.client.send(draft()));
    server.behave('get_message_key', null);
    expect(error).toMatchObject({ name: 'ProfileError', code: 'digest-mismatch' });
    expect(sent()).toBe(0);
  });
});

describe('work', () => {
  it('of 0 bits needs none, but the string is there', async () => {
    const delivery = await bob.client.send(draft());
    expect(delivery).toMatchObject({ kind: 'sent', outgoing: { worked: { zero_bits: 0 } } });
    expect(server.messages.at(-1)?.envelope.proof_of_work).toMatch(/^[0-9a-f]{64}:/);
  });

  it('of 22 bits is begun without asking; above it is asked first, and nothing is worked', async () => {
    settings.zeroBits = 22;
    const stop = new AbortController();
    const working = errorOf(bob.client.send(draft(), { signal: stop.signal, agreedBits: 22 }));
    await requested('get_pow_params');
    stop.abort();
    expect(await working).toMatchObject({ name: 'MintError', code: 'cancelled' });
    settings.zeroBits = 23;
    const asked = await bob.client.send(draft());
    expect(asked).toMatchObject({ kind: 'asks', zeroBits: 23 });
    expect(sent()).toBe(0);
    settings.zeroBits = 8;
    if (asked.kind === 'asks') expect(await bob.client.deliver(asked.outgoing)).toMatchObject({ kind: 'sent' });
  });

  it('of 28 bits is begun when it was agreed to; of 29 never', async () => {
    settings.zeroBits = 28;
    const stop = new AbortController();
    const working = errorOf(bob.client.send(draft(), { signal: stop.signal, agreedBits: 28 }));
    await requested('get_pow_params');
    stop.abort();
    expect(await working).toMatchObject({ name: 'MintError', code: 'cancelled' });
    settings.zeroBits = 29;
    expect(await bob.client.send(draft(), { agreedBits: 64 })).toEqual({ kind: 'too-much-work', zeroBits: 29 });
    expect(sent()).toBe(0);
  });

  /** Until the server was asked for the parameters once more. */
  async function requested(call: string): Promise<void> {
    const before = server.requests.length;
    while (!server.requests.slice(before).some((request) => request.includes(call))) {
      await new Promise((next) => setImmediate(next));
    }
  }
});

describe('a message', () => {
  it('that was tampered with is quarantined, byte by byte, and stays where it is', async () => {
    const id = await writeToBob();
    const before = await row(id).returning(['ciphertext']).set({ read: false }).executeTakeFirstOrThrow();
    const flipped = Buffer.from(before.ciphertext);
    flipped[100] = (flipped[100] ?? 0) ^ 1;
    await row(id).set({ ciphertext: flipped }).execute();
    expect(await readAll()).toEqual([{ kind: 'quarantined', reason: 'digest-mismatch' }]);
    await row(id)
      .set({ ciphertext: before.ciphertext, sender_public_key: Buffer.alloc(32, 3) })
      .execute();
    expect(await readAll()).toMatchObject([{ kind: 'quarantined', reason: 'unknown-sender-key' }]);
    await row(id)
      .set({ sender_public_key: Buffer.from(mallory.master.publicKey) })
      .execute();
    expect(await readAll()).toMatchObject([{ kind: 'opened' }]);
  });

  it('that comes a second time is a replay, also after it was deleted, also after a restart', async () => {
    const id = await writeToBob();
    expect(await readAll()).toMatchObject([{ kind: 'opened' }]);
    const [read] = await bob.client.read([id]);
    const second = Buffer.alloc(32, people);
    const kept = bob.saved();
    await row(id).set({ message_id: second }).execute();
    expect(await readAll()).toEqual([{ kind: 'replayed' }]);
    if (read !== undefined) await bob.client.remove({ ...read.envelope, message_id: toHex(second) });
    expect(kept.seen).toHaveLength(1);
    expect(bob.saved().seen).toHaveLength(1);
  });

  it('of a sender in doubt is held, and opens when the doubt is over', async () => {
    await resolve();
    await writeToBob();
    const [honest] = mallory.records;
    mallory.records = new ServedUser(mallory.address, settings.now()).records;
    await resolve();
    expect(await readAll()).toEqual([{ kind: 'held', reason: 'pin-replaced' }]);
    mallory.records = [honest as never];
    await bob.client.verify(mallory.address, (await bob.client.examine(mallory.address)).shown?.fingerprint ?? '');
    expect(await readAll()).toMatchObject([{ kind: 'opened' }]);
  });

  it('of a sender whose server is away is held; nothing is thrown away', async () => {
    await writeToBob();
    server.behave('get_history', (_request, response) => answerText(response, 'no', 503));
    expect(await readAll()).toEqual([{ kind: 'held', reason: 'unavailable' }]);
    server.behave('get_history', null);
    world.site.later(HISTORY_FRESH_MS / 1000);
    expect(await readAll()).toMatchObject([{ kind: 'opened' }]);
  });

  it('signed with a key retired long ago is shown with a caution, whatever the server says of its date', async () => {
    await resolve();
    const late = await writeToBob('before');
    world.site.later(60);
    mallory.change({ now: settings.now(), rotate: true });
    await resolve();
    world.site.later(2 * DAY_SECONDS);
    await row(late)
      .set({ time_received: new Date(0) })
      .execute();
    const [opening] = await readAll();
    expect(opening).toMatchObject({ kind: 'opened', message: { cautions: ['retired-key'] } });
  });

  it('that shows a head its server hides makes the sender FORKED', async () => {
    await resolve();
    const records = mallory.records;
    mallory.change({ now: settings.now(), profile: { name: 'Hidden' } });
    await writeToBob();
    mallory.records = records;
    expect(await readAll()).toEqual([{ kind: 'held', reason: 'pin-forked' }]);
    expect(await bob.client.pinned(mallory.address)).toMatchObject({ state: 'FORKED' });
  });
});

describe('a login at a web site', () => {
  it('needs the present key, this origin and this token', async () => {
    const site = { origin: 'https://shop.example.com:8443', token: '7a'.repeat(32) };
    const answer = malloryWrites().signSiteAuth(site);
    const verify = (login: object) => errorOf(bob.client.verifySiteAuth({ ...site, answer, ...login }));
    expect(await bob.client.verifySiteAuth({ ...site, answer })).toMatchObject({ address: mallory.address });
    expect(await verify({ origin: 'https://other.example.com' })).toMatchObject({ code: 'bad-signature' });
    expect(await verify({ token: '7b'.repeat(32) })).toMatchObject({ code: 'bad-signature' });
    expect(await verify({ answer: { ...answer, signed_hash: 'x' } })).toMatchObject({ code: 'answer-form' });
    expect(await verify({ answer: { ...answer, address: bob.client.address } })).toMatchObject({ code: 'other-key' });
    mallory.change({ now: settings.now(), rotate: true });
    world.site.later(HISTORY_FRESH_MS / 1000);
    expect(await verify({})).toMatchObject({ code: 'other-key' });
    mallory.records = new ServedUser(mallory.address, settings.now()).records;
    world.site.later(HISTORY_FRESH_MS / 1000);
    expect(await verify({})).toMatchObject({ code: 'blocked' });
  });
});
