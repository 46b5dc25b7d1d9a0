import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accountKeys, addMasterSecret, addMessageSecrets } from '../src/keystore/account-keys.ts';
import { wrapAccountKey } from '../src/keystore/custody.ts';
import { createKeystore, type Keystore, KeystoreError } from '../src/keystore/keystore.ts';
import { LONGEST_ANSWER_DELAY_MS, type LoginResult } from '../src/keystore/login-result.ts';
import { createLogins, REMEMBER_MS } from '../src/keystore/logins.ts';
import { hashPassword, MAX_AT_ONCE, MAX_WAITING, matchesPassword } from '../src/keystore/password.ts';
import { checkServerKey, openServerKey, readServerKey } from '../src/keystore/server-key.ts';
import {
  ACCOUNT_SLOWING,
  createThrottle,
  delayAfter,
  FORGET_AFTER_MS,
  SOURCE_SLOWING,
  sourceName,
} from '../src/keystore/throttle.ts';
import { type Address, parseAddress } from '../src/smimp/address.ts';
import { masterKeyPair } from '../src/smimp/crypto.ts';
import { createMessageKey } from '../src/smimp/message-key.ts';
import { createAccount } from '../src/store/accounts.ts';
import type { Db, OpenedDatabase } from '../src/store/database.ts';
import { testDatabase } from './support/database.ts';

const NOW = new Date('2026-01-15T12:00:00Z');
const SERVER_KEY = Buffer.alloc(32, 7);
const PASSWORD = 'correct horse battery staple';

let opened: OpenedDatabase;
let db: Db;
let keystore: Keystore;
beforeAll(async () => {
  opened = await testDatabase();
  db = opened.db;
  keystore = createKeystore({ db, serverKey: SERVER_KEY });
});
afterAll(() => opened[Symbol.asyncDispose]());

const later = (ms: number): Date => new Date(NOW.getTime() + ms);

let users = 0;
async function newUser(passwordHash?: string): Promise<{ accountId: number; address: Address }> {
  users += 1;
  const address = parseAddress(`user${users}#acme.test`);
  const hash = passwordHash ?? (await hashPassword(PASSWORD));
  return db.transaction().execute(async (tx) => {
    const { id } = await createAccount(tx, { address, initializeHash: null, now: NOW });
    const keys = await keystore.createUser(tx, { accountId: id, address, passwordHash: hash, now: NOW });
    await addMasterSecret(tx, keys, masterKeyPair(), NOW);
    return { accountId: id, address };
  });
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  return error instanceof KeystoreError ? error.code : `not a KeystoreError: ${String(error)}`;
}

describe('keys of an account', () => {
  it('come back from the database as they were put in', async () => {
    const { accountId, address } = await newUser();
    const keys = await keystore.open(accountId);
    expect(keys.address).toBe(address);
    const master = await keys.master();
    expect(master.secretKey).toHaveLength(64);
    expect(Buffer.from(master.secretKey.subarray(32)).equals(master.publicKey)).toBe(true);
    expect(await keys.storageKey()).toHaveLength(32);
    const now = NOW.getTime() / 1000;
    const created = createMessageKey({ address, kind: 'ephemeral', master, now, lifetimeDays: 90 });
    const secret = Buffer.from(created.secret);
    await addMessageSecrets(db, keys, [{ ...created, expiresAt: later(1) }], NOW);
    const publicKey = Buffer.from(created.key.public_key, 'hex');
    expect(await keys.messageSecret(publicKey)).toEqual(secret);
    expect(await keys.messageSecret(Buffer.alloc(32))).toBeNull();
  });

  it('seal values for one account, purpose and id only', async () => {
    const [one, two] = [await newUser(), await newUser()];
    const [keys, others] = [await keystore.open(one.accountId), await keystore.open(two.accountId)];
    const sealed = keys.seal('content', 'id', Buffer.from('text'));
    expect(keys.unseal('content', 'id', sealed).toString()).toBe('text');
    const changed = Buffer.from(sealed);
    changed[30] = (changed[30] ?? 0) ^ 1;
    const damaged = expect.objectContaining({ code: 'damaged' });
    expect(() => keys.unseal('content', 'di', sealed)).toThrow(damaged);
    expect(() => keys.unseal('contents', 'id', sealed)).toThrow(damaged);
    expect(() => keys.unseal('content', 'id', changed)).toThrow(damaged);
    expect(() => others.unseal('content', 'id', sealed)).toThrow(damaged);
    expect(() => keys.unsealInPlace('content', 'di', Buffer.from(sealed))).toThrow(damaged);
    const opened = keys.unsealInPlace('content', 'id', sealed);
    expect(opened.toString()).toBe('text');
    expect(opened.buffer).toBe(sealed.buffer);
    expect(keys.blind('a', 'x').equals(keys.blind('a', 'x'))).toBe(true);
    expect(keys.blind('a', 'x').equals(keys.blind('b', 'x'))).toBe(false);
    expect(keys.blind('a', 'x').equals(others.blind('a', 'x'))).toBe(false);
  });

  it('refuse a row that was moved to another account', async () => {
    const [one, two] = [await newUser(), await newUser()];
    const row = await db.selectFrom('mail_user').selectAll().where('account_id', '=', one.accountId).executeTakeFirst();
    const wrapped_key = row?.wrapped_key ?? Buffer.alloc(0);
    await db.updateTable('mail_user').set({ wrapped_key }).where('account_id', '=', two.accountId).execute();
    expect(await codeOf(keystore.open(two.accountId))).toBe('wrong-server-key');
    const accountKey = Buffer.alloc(32, 3);
    const wrapped = wrapAccountKey({ serverKey: SERVER_KEY, address: two.address, accountKey });
    await db.updateTable('mail_user').set({ wrapped_key: wrapped }).where('account_id', '=', two.accountId).execute();
    expect((await keystore.open(two.accountId)).accountId).toBe(two.accountId);
    const direct = accountKeys({ db, accountId: one.accountId, address: one.address, accountKey });
    await expect(direct.master()).rejects.toThrow(expect.objectContaining({ code: 'damaged' }));
  });

  it('are not to be had for unknown accounts, locked ones, or with another server key', async () => {
    const { accountId } = await newUser();
    const foreign = createKeystore({ db, serverKey: Buffer.alloc(32, 8) });
    expect(await codeOf(keystore.open(999_999))).toBe('unknown-account');
    expect(await codeOf(foreign.open(accountId))).toBe('wrong-server-key');
    await db.updateTable('mail_user').set({ custody: 'password' }).where('account_id', '=', accountId).execute();
    expect(await codeOf(keystore.open(accountId))).toBe('locked');
  });

  it('leave no secret readable in the database', async () => {
    const { accountId } = await newUser();
    const keys = await keystore.open(accountId);
    const { secretKey } = await keys.master();
    const rows = await db.selectFrom('secret').selectAll().where('account_id', '=', accountId).execute();
    for (const row of rows) {
      expect(row.sealed.includes(Buffer.from(secretKey.subarray(0, 32)))).toBe(false);
      expect(row.sealed.includes(Buffer.from(await keys.storageKey()))).toBe(false);
    }
  });
});

describe('the server key', () => {
  let directory: string;
  let fresh: OpenedDatabase;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'server-key-'));
    fresh = await testDatabase();
  });
  afterAll(async () => {
    await fresh[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  it('is made once, for its owner only, and never again for a database in use', async () => {
    const file = join(directory, 'server.key');
    const key = await openServerKey({ db: fresh.db, value: null, file });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, 'latin1')).toBe(`${Buffer.from(key).toString('hex')}\n`);
    expect(await openServerKey({ db: fresh.db, value: null, file })).toEqual(key);
    const gone = join(directory, 'gone.key');
    expect(await codeOf(openServerKey({ db: fresh.db, value: null, file: gone }))).toBe('server-key-missing');
    const value = Buffer.from(key).toString('hex');
    expect(await openServerKey({ db: fresh.db, value, file: gone })).toEqual(key);
  });

  it('is refused when others may read it, or when it is no key', async () => {
    const file = join(directory, 'open.key');
    await writeFile(file, `${SERVER_KEY.toString('hex')}\n`, { mode: 0o600 });
    expect(await readServerKey(file)).toEqual(SERVER_KEY);
    for (const mode of [0o640, 0o604, 0o610, 0o644]) {
      await chmod(file, mode);
      expect(await codeOf(readServerKey(file))).toBe('server-key-mode');
    }
    await chmod(file, 0o400);
    expect(await readServerKey(file)).toEqual(SERVER_KEY);
    for (const text of ['', 'ab', SERVER_KEY.toString('hex').slice(1), 'G'.repeat(64), 'a'.repeat(1000)]) {
      await rm(file);
      await writeFile(file, text, { mode: 0o600 });
      expect(await codeOf(readServerKey(file))).toBe('server-key-form');
    }
    expect(await codeOf(openServerKey({ db: fresh.db, value: 'ab', file }))).toBe('server-key-form');
  });

  it('is told from a wrong one at the start, also when only users are there to try it on', async () => {
    await newUser();
    await checkServerKey(db, SERVER_KEY);
    expect(await codeOf(checkServerKey(db, Buffer.alloc(32, 8)))).toBe('wrong-server-key');
    await db.deleteFrom('setting').execute();
    await db.updateTable('mail_user').set({ custody: 'server' }).execute();
    expect(await codeOf(checkServerKey(db, Buffer.alloc(32, 8)))).toBe('wrong-server-key');
    await checkServerKey(db, SERVER_KEY);
    const empty = await testDatabase();
    await checkServerKey(empty.db, SERVER_KEY);
    expect(await codeOf(checkServerKey(empty.db, Buffer.alloc(32, 8)))).toBe('wrong-server-key');
    await empty[Symbol.asyncDispose]();
  });
});

describe('passwords', () => {
  it('are kept as argon2id with 19 MiB and two passes, each with its own salt', async () => {
    const [one, two] = await Promise.all([hashPassword(PASSWORD), hashPassword(PASSWORD)]);
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(one).not.toBe(two);
    expect(await matchesPassword(PASSWORD, one)).toBe(true);
    expect(await matchesPassword(`${PASSWORD} `, one)).toBe(false);
    expect(await matchesPassword('', one)).toBe(false);
    expect(await matchesPassword(PASSWORD, null)).toBe(false);
  });

  it('are the same password in every Unicode spelling of it', async () => {
    const hash = await hashPassword('Zoe\u0308\u00a0pass');
    expect(await matchesPassword('Zo\u00eb pass', hash)).toBe(true);
  });

  it('have 1 to 1024 bytes, and stored forms their exact shape', async () => {
    expect(await codeOf(hashPassword(''))).toBe('password-length');
    expect(await codeOf(hashPassword('x'.repeat(1025)))).toBe('password-length');
    const longest = await hashPassword('x'.repeat(1024));
    expect(await matchesPassword('x'.repeat(1024), longest)).toBe(true);
    for (const stored of [
      '',
      'plain',
      longest.replace('m=19456', 'm=9999999'),
      longest.replace('argon2id', 'argon2i'),
    ]) {
      expect(await codeOf(matchesPassword(PASSWORD, stored))).toBe('damaged');
    }
  });

  it('are checked a few at once, without holding up the event loop; too many are sent away', async () => {
    let ticks = 0;
    const ticking = setInterval(() => {
      ticks += 1;
    }, 1);
    const stored = (await hashPassword(PASSWORD)).replace('m=19456', 'm=64');
    const many = Array.from({ length: MAX_AT_ONCE + MAX_WAITING + 3 }, () => matchesPassword(PASSWORD, stored));
    const results = await Promise.allSettled(many);
    clearInterval(ticking);
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused).toHaveLength(3);
    expect(refused.every(({ reason }) => reason instanceof KeystoreError && reason.code === 'busy')).toBe(true);
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(MAX_AT_ONCE + MAX_WAITING);
    expect(ticks).toBeGreaterThan(0);
    expect(await matchesPassword(PASSWORD, await hashPassword(PASSWORD))).toBe(true);
  });
});

describe('logging in', () => {
  const verify = (address: string, password: string, now = NOW, source = '192.0.2.1'): Promise<LoginResult> =>
    keystore.verifyPassword({ address, password, source, now });

  it('knows the right password, in any case of the address', async () => {
    const { accountId, address } = await newUser();
    expect(await verify(address.toUpperCase(), PASSWORD)).toEqual({ ok: true, accountId, address });
    expect(await verify(address, 'wrong')).toMatchObject({ ok: false });
  });

  it('notices a changed password and a removed user at once, however recently it was used', async () => {
    const { accountId, address } = await newUser();
    expect(await verify(address, PASSWORD)).toMatchObject({ ok: true });
    await keystore.setPassword(accountId, 'another one');
    expect(await verify(address, PASSWORD)).toMatchObject({ ok: false });
    expect(await verify(address, 'another one')).toMatchObject({ ok: true });
    await db.deleteFrom('account').where('id', '=', accountId).execute();
    expect(await verify(address, 'another one')).toMatchObject({ ok: false });
    expect(await codeOf(keystore.setPassword(accountId, 'x'))).toBe('unknown-account');
  });

  it('recognises a right password without argon2 for a while, but slows guessers all the same', async () => {
    const { address } = await newUser();
    let checks = 0;
    const matches: typeof matchesPassword = (password, phc) => {
      checks += 1;
      return matchesPassword(password, phc);
    };
    const logins = createLogins({ db, serverKey: SERVER_KEY, matches });
    const logIn = (password: string, now: Date) =>
      logins.verifyPassword({ address, password, source: '198.51.100.40', now });
    expect(await logIn(PASSWORD, NOW)).toMatchObject({ ok: true });
    expect(await logIn(PASSWORD, later(REMEMBER_MS - 1))).toMatchObject({ ok: true });
    expect(checks).toBe(1);
    expect(await logIn(PASSWORD, later(REMEMBER_MS))).toMatchObject({ ok: true });
    expect(checks).toBe(2);
    const now = later(REMEMBER_MS + 1);
    for (let tries = 0; tries < ACCOUNT_SLOWING.freeTries; tries++) await logIn(`wrong ${tries}`, now);
    expect(await logIn(PASSWORD, now)).toMatchObject({ ok: false });
  });

  it('treats unknown users like known ones, answer by answer', async () => {
    const { address } = await newUser();
    const [known, unknown, nonsense] = [[], [], []] as LoginResult[][];
    for (let tries = 0; tries < ACCOUNT_SLOWING.freeTries + 3; tries++) {
      const at = later(tries * 1_500);
      known?.push(await verify(address, `wrong ${tries}`, at, '198.51.100.1'));
      unknown?.push(await verify('nobody#acme.test', `wrong ${tries}`, at, '198.51.100.2'));
      nonsense?.push(await verify('no address', `wrong ${tries}`, at, '198.51.100.3'));
    }
    expect(unknown).toEqual(known);
    expect(nonsense).toEqual(known);
    expect(known?.at(-1)).toMatchObject({ ok: false, failures: ACCOUNT_SLOWING.freeTries + 2 });
  });

  it('slows guesses: free ones first, then a wait that doubles, during which nothing is even checked', async () => {
    const { address } = await newUser();
    const source = '198.51.100.9';
    let now = NOW;
    for (let tries = 1; tries < ACCOUNT_SLOWING.freeTries; tries++) {
      expect(await verify(address, `wrong ${tries}`, now, source)).toEqual({ ok: false, delayMs: 0, failures: tries });
    }
    expect(await verify(address, 'wrong 5', now, source)).toEqual({ ok: false, delayMs: 1_000, failures: 5 });
    expect(await verify(address, PASSWORD, now, source)).toEqual({ ok: false, delayMs: 1_000, failures: 5 });
    now = later(999);
    expect(await verify(address, PASSWORD, now, source)).toEqual({ ok: false, delayMs: 1, failures: 5 });
    now = later(1_000);
    expect(await verify(address, 'wrong 6', now, source)).toEqual({ ok: false, delayMs: 2_000, failures: 6 });
    // Elsewhere, the owner is not held up.
    expect(await verify(address, PASSWORD, now, '198.51.100.10')).toMatchObject({ ok: true });
    now = later(3_000);
    expect(await verify(address, PASSWORD, now, source)).toMatchObject({ ok: true });
    expect(await verify(address, 'wrong', now, source)).toEqual({ ok: false, delayMs: 0, failures: 1 });
  });

  it('gives many guesses at once no more checks than one after the other', async () => {
    const { address } = await newUser();
    const guesses = Array.from({ length: 40 }, (_, i) => verify(address, `guess ${i}`, NOW, '198.51.100.20'));
    const results = await Promise.all(guesses);
    const most = Math.max(...results.map((result) => (result.ok ? 0 : result.failures)));
    expect(most).toBe(ACCOUNT_SLOWING.freeTries);
    const longest = Math.max(...results.map((result) => (result.ok ? 0 : result.delayMs)));
    expect(longest).toBeLessThanOrEqual(LONGEST_ANSWER_DELAY_MS);
  });

  it('lets a mail program open many connections at once', async () => {
    const { address } = await newUser();
    const same = Array.from({ length: 20 }, () => verify(address, PASSWORD, NOW, '198.51.100.30'));
    expect((await Promise.all(same)).every(({ ok }) => ok)).toBe(true);
  });
});

describe('the slowing itself', () => {
  it('is capped, and forgets after a day', async () => {
    expect(delayAfter(0, ACCOUNT_SLOWING)).toBe(0);
    expect(delayAfter(ACCOUNT_SLOWING.freeTries, ACCOUNT_SLOWING)).toBe(ACCOUNT_SLOWING.firstDelayMs);
    expect(delayAfter(10_000, ACCOUNT_SLOWING)).toBe(ACCOUNT_SLOWING.longestDelayMs);
    const throttle = createThrottle({ db, serverKey: SERVER_KEY });
    const who = { address: 'forgotten#acme.test', source: '203.0.113.1' };
    for (let tries = 0; tries < ACCOUNT_SLOWING.freeTries; tries++) await throttle.begin(who, NOW);
    expect((await throttle.begin(who, NOW)).admitted).toBe(false);
    expect(await throttle.begin(who, later(FORGET_AFTER_MS))).toEqual({ admitted: true, delayMs: 0, failures: 1 });
  });

  it('counts one source over many accounts, an IPv6 /64 as one', async () => {
    const throttle = createThrottle({ db, serverKey: SERVER_KEY });
    for (let tries = 0; tries < SOURCE_SLOWING.freeTries; tries++) {
      const who = { address: `guess${tries}#acme.test`, source: `2001:db8:1:2::${tries.toString(16)}` };
      expect((await throttle.begin(who, NOW)).admitted).toBe(true);
    }
    const next = { address: 'other#acme.test', source: '2001:db8:1:2:ffff::1' };
    expect(await throttle.begin(next, NOW)).toMatchObject({ admitted: false, delayMs: SOURCE_SLOWING.firstDelayMs });
    expect((await throttle.begin({ ...next, source: '2001:db8:1:3::1' }, NOW)).admitted).toBe(true);
  });

  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001:0DB8:0001:0002:3:4:5:6', '2001:db8:1:2'],
    ['::1', '0:0:0:0'],
    ['1:2:3:4::', '1:2:3:4'],
  ])('names %s %s', (source, name) => {
    expect(sourceName(source)).toBe(name);
  });
});
