import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createEvents } from '../src/events.ts';
import { createAccounts } from '../src/identity/accounts.ts';
import type { Contact } from '../src/identity/contact.ts';
import { HISTORY_FRESH_MS } from '../src/identity/histories.ts';
import { createIdentity, type Identity, IdentityError } from '../src/identity/resolve.ts';
import { createKeystore } from '../src/keystore/keystore.ts';
import { createLogger } from '../src/log.ts';
import { createDiscovery, FAILED_FRESH_MS } from '../src/remote/discovery.ts';
import { createHomeClient } from '../src/remote/home.ts';
import { createHttps } from '../src/remote/https.ts';
import { type Address, parseAddress } from '../src/smimp/address.ts';
import { verifyHistory } from '../src/smimp/chain.ts';
import type { BaseUrl } from '../src/smimp/discovery.ts';
import { toHex } from '../src/smimp/encoding.ts';
import { historyFingerprint, verifyUri } from '../src/smimp/fingerprint.ts';
import type { Pin } from '../src/smimp/pin.ts';
import type { OpenedDatabase } from '../src/store/database.ts';
import { findPin } from '../src/store/pins.ts';
import { testDatabase } from './support/database.ts';
import { type HostileServer, ServedUser, startHostileServer } from './support/hostile-server.ts';
import { answerJson, answerText, testAuthority } from './support/tls-server.ts';

const OWN_URL = 'https://smimp.acme.test' as BaseUrl;

let opened: OpenedDatabase;
let server: HostileServer;
let identity: Identity;
let alice: number;
let carol: number;
let bob: ServedUser;
let now = new Date('2026-01-15T12:00:00Z');
const logged: string[] = [];
const cleanup: AsyncDisposable[] = [];
let users = 0;
const seconds = (): number => Math.floor(now.getTime() / 1000);
const wait = (ms = HISTORY_FRESH_MS): void => {
  now = new Date(now.getTime() + ms);
};

/** What one process of the bridge has: caches of its own over the common database. */
async function newProcess(): Promise<Identity> {
  const https = createHttps({ hosts: server.hosts, allow: [], ca: [(await testAuthority()).certificate] });
  cleanup.unshift(https);
  const clock = () => now;
  const { db } = opened;
  const home = createHomeClient({ https, timeoutMs: 5_000 });
  const discovery = createDiscovery({ https, db, clock, timeoutMs: 5_000 });
  const keystore = createKeystore({ db, serverKey: Buffer.alloc(32, 7) });
  const events = createEvents(createLogger({ level: 'info', destination: { write: (line) => logged.push(line) } }));
  const accounts = createAccounts({ db, keystore, events, clock });
  if (alice === undefined) {
    const add = (name: string) =>
      accounts.add({ address: parseAddress(`${name}#acme.test`), password: 'x', name: null });
    [alice, carol] = [(await add('alice')).id, (await add('carol')).id];
  }
  return createIdentity({ db, discovery, home, keystore, events, clock, baseUrl: OWN_URL });
}

beforeAll(async () => {
  opened = await testDatabase();
  server = await startHostileServer('corp.test', { zeroBits: 0, now: seconds });
  cleanup.push(server, opened);
  identity = await newProcess();
});
afterAll(async () => {
  for (const one of cleanup) await one[Symbol.asyncDispose]();
});
beforeEach(() => {
  wait(3_600_000);
  for (const call of ['get_history', 'smimp.txt', 'version'] as const) server.behave(call, null);
  bob = server.addUser(`bob${users++}`, seconds());
  server.requests.length = 0;
  logged.length = 0;
});

const resolve = (options: { accountId?: number; contact?: Address; fresh?: boolean } = {}): Promise<Contact> =>
  identity.resolve({ accountId: alice, contact: bob.address, ...options });
const histories = (): string[] => server.requests.filter((request) => request.includes('/history'));
const changes = (): string[] =>
  logged.map((line) => JSON.parse(line)).flatMap(({ event, state }) => (event === 'pin_changed' ? [state] : []));
const stored = (accountId = alice) => findPin(opened.db, accountId, bob.address);
const storedPin = async (): Promise<Pin> => {
  const row = await stored();
  if (row === undefined) throw new Error('nothing is pinned');
  return row.pin as Pin;
};
const historyOf = (user: ServedUser) =>
  verifyHistory({ address: user.address, records: user.records, head: user.trueHead() });
/** Another identity under the same address. */
const impostor = (): ServedUser => new ServedUser(bob.address, seconds());

/** `bob` with three records, pinned by alice; the clock stands after what is kept has aged. */
async function pinnedBob(): Promise<void> {
  bob.change({ now: seconds() });
  bob.change({ now: seconds(), rotate: true });
  expect(await resolve()).toMatchObject({ state: 'NEW' });
  wait();
  server.requests.length = 0;
  logged.length = 0;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => 'nothing was thrown',
    (reason: unknown) => reason,
  );
  return error instanceof IdentityError ? error.code : String(error);
}

describe('a contact', () => {
  it('is pinned at first sight, every record of it, for each account apart', async () => {
    bob.change({ now: seconds(), rotate: true });
    const contact = await resolve();
    expect(contact).toMatchObject({ state: 'NEW', sending: 'allowed', baseUrl: server.baseUrl, reason: null });
    expect(contact.history).toMatchObject({
      address: bob.address,
      currentKey: toHex(bob.master.publicKey),
      head: bob.trueHead(),
      seq: 1,
      firstSeen: [seconds(), seconds()],
    });
    expect((await storedPin()).signed_hashes).toEqual(bob.records.map(({ signed_hash }) => signed_hash));
    expect(await stored(carol)).toBeUndefined();
    expect((await resolve({ accountId: carol })).state).toBe('NEW');
    expect(await stored(carol)).toBeDefined();
    expect((await resolve()).state).toBe('OK');
  });

  it('is fetched once for all who ask, and then not for a minute', async () => {
    const ask = (accountId: number) => Array.from({ length: 10 }, () => resolve({ accountId }));
    const all = await Promise.all([...ask(alice), ...ask(carol)]);
    expect(all.every(({ sending }) => sending === 'allowed')).toBe(true);
    expect(all.filter(({ state }) => state === 'NEW')).toHaveLength(2);
    wait(HISTORY_FRESH_MS - 1);
    await resolve();
    expect(histories().length).toBeLessThanOrEqual(2);
    const before = histories().length;
    wait(1);
    await resolve();
    expect(histories()).toHaveLength(before + 1);
  });

  it('is asked only for what is new', async () => {
    await pinnedBob();
    expect(await resolve()).toMatchObject({ state: 'OK', sending: 'allowed' });
    bob.change({ now: seconds() });
    wait();
    expect(await resolve()).toMatchObject({ state: 'EXTENDED', sending: 'allowed', keyChanged: false });
    wait();
    expect(await resolve()).toMatchObject({ state: 'OK' });
    const path = `GET /0.1/get_user/${bob.address.replace('#', '%23')}/history`;
    expect(histories()).toEqual([`${path}?from=2`, `${path}?from=2`, `${path}?from=3`]);
    const pin = await storedPin();
    expect(pin.signed_hashes).toHaveLength(4);
    expect(new Set(pin.first_seen).size).toBe(2);
  });

  it('whose key changed is told once', async () => {
    await pinnedBob();
    bob.change({ now: seconds(), rotate: true });
    expect(await resolve()).toMatchObject({ state: 'EXTENDED', sending: 'allowed', keyChanged: true });
    expect(await resolve()).toMatchObject({ state: 'OK', keyChanged: false });
    expect(changes()).toEqual(['EXTENDED']);
  });

  it('that is oneself is known from the own copy, without asking any server', async () => {
    const address = parseAddress('alice#acme.test');
    const contact = await resolve({ contact: address });
    const own = await identity.ownHistory(alice);
    expect(contact).toMatchObject({ state: 'OK', sending: 'allowed', baseUrl: OWN_URL });
    expect(contact.history).toMatchObject({ head: own.head, currentKey: own.currentKey, seq: 0 });
    expect(server.requests).toEqual([]);
  });
});

describe('a server that takes something away', () => {
  it('TRUNCATED: blocks until the whole list is back, whatever happens between', async () => {
    await pinnedBob();
    const whole = bob.records;
    bob.records = whole.slice(0, 2);
    const blocked = { state: 'TRUNCATED', sending: 'blocked', history: null, reason: 'pin-truncated' };
    expect(await resolve()).toMatchObject(blocked);
    wait();
    server.behave('get_history', (_request, response) => answerText(response, 'down', 503));
    expect(await resolve()).toMatchObject(blocked);
    server.behave('get_history', (_request, response) => answerText(response, 'nonsense'));
    expect(await resolve({ fresh: true })).toMatchObject(blocked);
    server.behave('get_history', null);
    bob.records = whole;
    expect(await resolve({ fresh: true })).toMatchObject({ state: 'OK', sending: 'allowed' });
    expect(changes()).toEqual(['TRUNCATED']);
  });

  it('UNAVAILABLE: 404 for a pinned contact queues, and clears nothing', async () => {
    await pinnedBob();
    const pin = await storedPin();
    server.removeUser(bob);
    expect(await resolve()).toMatchObject({ state: 'UNAVAILABLE', sending: 'queued', history: null });
    expect(await storedPin()).toEqual(pin);
    expect(await identity.lookup({ accountId: alice, contact: bob.address, timeoutMs: 5_000 })).toMatchObject({
      status: 'queued',
    });
  });

  it('UNAVAILABLE: a domain that is gone queues for a contact that was known', async () => {
    await pinnedBob();
    server.behave('smimp.txt', (_request, response) => answerText(response, 'gone', 410));
    wait(3_600_000);
    expect(await resolve()).toMatchObject({ state: 'UNAVAILABLE', sending: 'queued', reason: 'unavailable' });
    server.behave('smimp.txt', null);
    wait(FAILED_FRESH_MS);
    expect(await resolve()).toMatchObject({ state: 'OK', sending: 'allowed' });
  });
});

describe('a server that lies', () => {
  it('FORKED: another branch blocks for ever, with both kept, until a fingerprint releases it', async () => {
    await pinnedBob();
    const honest = bob.records;
    const pin = await storedPin();
    bob.records = honest.slice(0, 2);
    // The key that was rotated away still signs: that is what whoever stole it can do.
    bob.master = bob.retired[0] ?? bob.master;
    bob.change({ now: seconds(), profile: { name: 'Another' } });
    const forked = { state: 'FORKED', sending: 'blocked', history: null, reason: 'pin-forked' };
    expect(await resolve()).toMatchObject(forked);
    expect(await storedPin()).toEqual(pin);
    expect((await stored())?.evidence).toMatchObject({ records: bob.records, head: bob.trueHead() });
    bob.records = honest;
    wait();
    expect(await resolve({ fresh: true })).toMatchObject(forked);
    expect(changes()).toEqual(['FORKED']);
    const fingerprint = historyFingerprint(historyOf(bob));
    const shown = await identity.verify({ accountId: alice, contact: bob.address, fingerprint });
    expect(shown).toMatchObject({ state: 'OK', archived: 1, verifiedAt: now });
    expect(await resolve()).toMatchObject({ state: 'OK', sending: 'allowed' });
  });

  it('REPLACED: another identity blocks, and only its fingerprint makes it the contact', async () => {
    await pinnedBob();
    const old = historyFingerprint(historyOf(bob));
    const other = impostor();
    bob.records = other.records;
    const replaced = { state: 'REPLACED', sending: 'blocked', history: null, reason: 'pin-replaced' };
    expect(await resolve()).toMatchObject(replaced);
    const verify = (fingerprint: string) => identity.verify({ accountId: alice, contact: bob.address, fingerprint });
    expect(await codeOf(verify(old))).toBe('fingerprint-mismatch');
    expect(await codeOf(verify('yes'))).toBe('fingerprint-form');
    expect(await resolve({ fresh: true })).toMatchObject(replaced);
    const typed = historyFingerprint(historyOf(other)).toLowerCase().replaceAll('-', ' ');
    expect(await verify(typed)).toMatchObject({ state: 'OK', archived: 1, records: 1 });
    expect(await resolve()).toMatchObject({ sending: 'allowed', history: { head: other.trueHead() } });
    const archive = opened.db.selectFrom('pin_archive').selectAll().where('contact', '=', bob.address);
    const { pin } = await archive.executeTakeFirstOrThrow();
    expect((pin as Pin).signed_hashes).toHaveLength(3);
  });

  it('is seen through when it rewrites a record under the same key', async () => {
    bob.change({ now: seconds() });
    await resolve();
    wait();
    bob.records = bob.records.slice(0, 1);
    bob.change({ now: seconds(), profile: { name: 'Rewritten' } });
    expect(await resolve()).toMatchObject({ state: 'FORKED', sending: 'blocked' });
  });

  it('is seen through when it rewrites a record between others that it leaves as they were', async () => {
    await pinnedBob();
    const [first, , last] = bob.records;
    bob.records = bob.records.slice(0, 1);
    bob.master = bob.retired[0] ?? bob.master;
    bob.change({ now: seconds(), profile: { name: 'Rewritten' } });
    const { lastRecord } = bob;
    bob.records = [first, lastRecord, last].flatMap((record) => (record === undefined ? [] : [record]));
    expect(await resolve({ accountId: carol })).toMatchObject({ state: 'INVALID', reason: 'record-previous' });
    // Who pinned the true records asks for the last one only, which vouches for those before it.
    expect(await resolve()).toMatchObject({ state: 'OK', history: { seq: 2 } });
    expect((await storedPin()).signed_hashes[1]).not.toBe(lastRecord.signed_hash);
  });

  const lies: Record<string, () => void> = {
    'head-mismatch': () => {
      bob.head = toHex(Buffer.alloc(32, 5));
    },
    'history-length': () => {
      bob.records = [];
    },
    'record-address': () => {
      bob.records = new ServedUser(parseAddress('eve#corp.test'), seconds()).records;
    },
    'json-syntax': () => server.behave('get_history', (_request, response) => answerText(response, 'nonsense')),
    'bad-field': () => server.behave('get_history', (_q, response) => answerJson(response, { address: bob.address })),
  };

  it.each(Object.entries(lies))('INVALID: %s blocks, is not kept, and ends with a good answer', async (reason, lie) => {
    await pinnedBob();
    const pin = await storedPin();
    const { records } = bob;
    lie();
    expect(await resolve()).toMatchObject({ state: 'INVALID', sending: 'blocked', history: null, reason });
    expect(await stored()).toMatchObject({ pin, evidence: null, state: 'INVALID' });
    server.behave('get_history', null);
    bob.records = records;
    bob.head = null;
    expect(await resolve({ fresh: true })).toMatchObject({ state: 'OK', sending: 'allowed' });
  });

  it('INVALID: pins nothing of somebody it never saw', async () => {
    bob.head = toHex(Buffer.alloc(32, 5));
    expect(await resolve()).toMatchObject({ state: 'INVALID', sending: 'blocked' });
    expect(await stored()).toBeUndefined();
  });

  it('can be told apart by the head in get_message_key', async () => {
    await pinnedBob();
    const confirm = (head: string) =>
      identity.confirmHead({ accountId: alice, contact: bob.address, head: head as never });
    expect(await confirm(bob.trueHead())).toMatchObject({ sending: 'allowed' });
    bob.change({ now: seconds(), rotate: true });
    expect(await confirm(bob.trueHead())).toMatchObject({ sending: 'allowed', history: { seq: 3 } });
    const refused = { state: 'INVALID', sending: 'blocked', history: null, reason: 'head-mismatch' };
    expect(await confirm('5'.repeat(64))).toMatchObject(refused);
    expect(await resolve()).toMatchObject({ sending: 'allowed' });
  });

  it('can be reported by a message that shows what it hides', async () => {
    await pinnedBob();
    const evidence = { message_id: 'x' };
    await identity.reportFork({ accountId: alice, contact: bob.address, evidence });
    expect(await resolve({ fresh: true })).toMatchObject({ state: 'FORKED', sending: 'blocked' });
    expect(await stored()).toMatchObject({ state: 'FORKED', evidence });
    expect((await resolve({ accountId: carol })).sending).toBe('allowed');
  });
});

describe('a stranger', () => {
  it('is an unknown user, for good, when the server says so', async () => {
    server.removeUser(bob);
    expect(await resolve()).toMatchObject({ state: 'UNAVAILABLE', sending: 'impossible', reason: 'unknown-user' });
    expect(await stored()).toBeUndefined();
    const found = await identity.lookup({ accountId: alice, contact: bob.address, timeoutMs: 5_000 });
    expect(found.status).toBe('unknown-user');
  });

  it('of a domain without SMIMP is impossible, of one that cannot be reached is queued', async () => {
    const contact = parseAddress('eve#corp.test');
    await opened.db.deleteFrom('domain').execute();
    server.behave('smimp.txt', (_request, response) => answerText(response, 'no', 404));
    expect(await resolve({ contact })).toMatchObject({ sending: 'impossible', reason: 'no-smimp' });
    const lookup = await identity.lookup({ accountId: alice, contact, timeoutMs: 5_000 });
    expect(lookup.status).toBe('no-smimp');
    const lost = parseAddress('eve#nowhere.invalid');
    expect(await resolve({ contact: lost })).toMatchObject({ sending: 'queued', reason: 'unavailable' });
    server.behave('smimp.txt', null);
    wait(FAILED_FRESH_MS);
    server.behave('get_history', (_request, response) => answerText(response, 'no such path', 404));
    expect(await resolve()).toMatchObject({ sending: 'queued', reason: 'unavailable' });
  });

  it('gets an answer in time from a server that takes its time', async () => {
    server.behave('get_history', () => undefined);
    const found = await identity.lookup({ accountId: alice, contact: bob.address, timeoutMs: 20 });
    expect(found).toEqual({ status: 'queued', contact: null });
  });
});

describe('many processes over one database', () => {
  it('do not take an old answer of their own for a lie', async () => {
    const other = await newProcess();
    await resolve();
    bob.change({ now: seconds(), rotate: true });
    const ask = { accountId: alice, contact: bob.address };
    expect(await other.resolve(ask)).toMatchObject({ state: 'EXTENDED' });
    // This one still has the answer of before, of one record.
    expect(await identity.resolve(ask)).toMatchObject({ state: 'OK', history: { seq: 1 } });
    expect(changes()).toEqual(['EXTENDED']);
  });

  it('agree when they pin at the same time', async () => {
    const others = await Promise.all([newProcess(), newProcess(), newProcess()]);
    const asked = others.map((process) => process.resolve({ accountId: alice, contact: bob.address }));
    const states = (await Promise.all(asked)).map(({ state }) => state);
    expect(states.filter((state) => state === 'NEW')).toHaveLength(1);
    expect(states.every((state) => state === 'NEW' || state === 'OK')).toBe(true);
  });

  it('share what a fingerprint released, and do not hold an answer of before against it', async () => {
    const other = await newProcess();
    await resolve();
    const replacement = impostor();
    bob.records = replacement.records;
    const ask = { accountId: alice, contact: bob.address };
    expect(await other.resolve(ask)).toMatchObject({ state: 'REPLACED', sending: 'blocked' });
    expect(await resolve()).toMatchObject({ state: 'REPLACED', sending: 'blocked' });
    await other.verify({ ...ask, fingerprint: historyFingerprint(historyOf(replacement)) });
    expect(await resolve()).toMatchObject({
      state: 'OK',
      sending: 'allowed',
      history: { head: replacement.trueHead() },
    });
  });
});

describe('checking a fingerprint', () => {
  it('puts the old pin away also when the check comes before anybody noticed the new identity', async () => {
    await pinnedBob();
    const other = impostor();
    bob.records = other.records;
    const fingerprint = historyFingerprint(historyOf(other));
    const shown = await identity.verify({ accountId: alice, contact: bob.address, fingerprint });
    expect(shown).toMatchObject({ state: 'OK', archived: 1, records: 1 });
    other.change({ now: seconds(), rotate: true });
    bob.records = other.records;
    expect(await identity.verify({ accountId: alice, contact: bob.address, fingerprint })).toMatchObject({
      archived: 1,
      records: 2,
    });
  });

  const verify = (fingerprint: string, contact = bob.address) =>
    identity.verify({ accountId: alice, contact, fingerprint });

  it('marks a contact, known before or not, and shows it', async () => {
    const fingerprint = historyFingerprint(historyOf(bob));
    expect(await codeOf(identity.show({ accountId: alice, contact: bob.address }))).toBe('unknown-contact');
    const verified = await verify(fingerprint);
    expect(verified).toMatchObject({ contact: bob.address, state: 'OK', fingerprint, verifiedAt: now, archived: 0 });
    expect(await identity.show({ accountId: alice, contact: bob.address })).toEqual([verified]);
    bob.change({ now: seconds(), rotate: true });
    wait();
    await resolve();
    const [shown] = await identity.show({ accountId: alice, contact: bob.address });
    expect(shown).toMatchObject({ state: 'EXTENDED', fingerprint, records: 2, masterKeys: 2 });
    expect(shown?.verifiedAt).toEqual(verified.verifiedAt);
    expect((await identity.show({ accountId: alice })).map(({ contact }) => contact)).toContain(bob.address);
  });

  it('takes the URI of a QR code, which must be about this contact and a head of its history', async () => {
    const before = verifyUri(historyOf(bob));
    bob.change({ now: seconds() });
    expect(await verify(before)).toMatchObject({ state: 'OK', records: 2 });
    expect(await verify(verifyUri(historyOf(bob)))).toMatchObject({ state: 'OK' });
    const foreignHead = before.replace(/head=.*/, `head=${'1'.repeat(64)}`);
    expect(await codeOf(verify(foreignHead))).toBe('fingerprint-mismatch');
    expect(await codeOf(verify(before.replace('seq=0', 'seq=7')))).toBe('fingerprint-mismatch');
    const other = server.addUser('other', seconds());
    expect(await codeOf(verify(before, other.address))).toBe('fingerprint-mismatch');
    expect(await codeOf(verify('smimp-verify:nonsense'))).toBe('fingerprint-form');
  });

  it('releases nothing for a server that hides records, lies or is away', async () => {
    await pinnedBob();
    const fingerprint = historyFingerprint(historyOf(bob));
    const { records } = bob;
    bob.records = records.slice(0, 1);
    expect(await codeOf(verify(fingerprint))).toBe('truncated');
    bob.records = records;
    bob.head = toHex(Buffer.alloc(32, 5));
    expect(await codeOf(verify(fingerprint))).toBe('invalid');
    server.behave('get_history', (_request, response) => answerText(response, 'down', 503));
    expect(await codeOf(verify(fingerprint))).toBe('unavailable');
    server.behave('get_history', null);
    server.removeUser(bob);
    expect(await codeOf(verify(fingerprint))).toBe('unknown-contact');
  });
});
