/** The commands about lists: the same sealed entries that a native client of the owner would write. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_LIST_ENTRIES } from '../src/smimp/api.ts';
import { randomBytes } from '../src/smimp/crypto.ts';
import { type Hex32, parseBase64, toBase64, toHex } from '../src/smimp/encoding.ts';
import { listHash } from '../src/smimp/lists.ts';
import { openStorage, sealStorage } from '../src/smimp/storage.ts';
import { type ListName, listEntries } from '../src/store/lists.ts';
import { ALICE, type ApiSite, answerOf, codeOf, type Login, startApi, stranger } from './support/api-site.ts';
import { type CommandLine, commandLine } from './support/command-line.ts';
import { BOB, type MailSite, mailSite } from './support/mail-site.ts';

/** That of the mail site. */
const SERVER_KEY = Buffer.alloc(32, 7);

let mail: MailSite;
let api: ApiSite;
let cli: CommandLine;
let home: Login;
let key: Uint8Array;
beforeAll(async () => {
  mail = await mailSite();
  api = await startApi({ opened: mail.opened });
  api.now = mail.clock.read();
  cli = await commandLine(mail.opened.connection, { serverKey: SERVER_KEY });
  const keys = await mail.keystore.open(mail.bobId);
  key = await keys.storageKey();
  home = await api.logIn({ address: BOB, master: await keys.master() });
});
afterAll(async () => {
  await cli[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
  await mail[Symbol.asyncDispose]();
});

const list = (...args: string[]) => cli.json('list', ...args);
const entries = async (name: ListName) => answerOf(`get_${name}`, await api.get(`/0.1/${name}`, home.token)).entries;
const hashOf = (kind: 'address' | 'domain', value: string) => listHash({ owner: BOB, kind, value });
const opened = (name: ListName, entry: { hash: Hex32; data: string }) =>
  openStorage({ key, object: { owner: BOB, purpose: name, objectId: entry.hash }, blob: entry.data, leastVersion: 0 });

describe('list', () => {
  it('writes what a native client reads, and decides by it', async () => {
    await list('block', 'bob@corp.test', 'Alice@Acme.test', '--note', 'too loud');
    const [entry] = await entries('blacklist');
    expect(entry?.hash).toBe(hashOf('address', ALICE));
    expect(opened('blacklist', entry as { hash: Hex32; data: string })).toEqual({
      version: expect.any(Number),
      value: { kind: 'address', value: ALICE, note: 'too loud' },
    });
    const remote = await api.logIn(stranger(api, ALICE));
    const ask = () => api.post('/0.1/get_message_key', { address: BOB }, remote.token);
    expect(codeOf(await ask())).toBe('blocked');
    await list('allow', 'bob@corp.test', ALICE);
    expect(await entries('blacklist')).toEqual([]);
    expect((await ask()).status).toBe(200);
    const version = async () => {
      const [present] = await entries('whitelist');
      return opened('whitelist', present as { hash: Hex32; data: string }).version;
    };
    const first = await version();
    await list('allow', 'bob@corp.test', 'alice@acme.test', '--note', 'again');
    expect(await version()).toBeGreaterThan(first);
    await list('remove', 'bob@corp.test', ALICE);
    expect(await entries('whitelist')).toEqual([]);
    await list('allow', 'bob@corp.test', ALICE);
    expect(await version()).toBeGreaterThanOrEqual(first);
    await list('remove', 'bob@corp.test', ALICE);
    expect((await cli.run('list', 'remove', 'bob@corp.test', ALICE)).exitCode).toBe(67);
  });

  it('shows what a native client wrote, and says what it cannot read', async () => {
    const hash = hashOf('domain', 'acme.test');
    const object = { owner: BOB, purpose: 'blacklist' as const, objectId: hash };
    const value = { kind: 'domain', value: 'acme.test', note: '\u001b[31mred', colour: 'x' };
    const data = sealStorage({ key, object, version: 2 ** 40, value });
    expect((await api.post('/0.1/blacklist', { hash, data }, home.token)).status).toBe(201);
    // Not the entry that this hash stands for.
    const other = toHex<Hex32>(randomBytes(32));
    const lie = sealStorage({ key, object: { ...object, objectId: other }, version: 1, value });
    await api.post('/0.1/blacklist', { hash: other, data: lie }, home.token);
    const garbage = toHex<Hex32>(randomBytes(32));
    await api.post('/0.1/blacklist', { hash: garbage, data: toBase64(randomBytes(90)) }, home.token);
    const about = { list: 'blacklist' as const };
    expect(await list('show', 'bob@corp.test')).toEqual([
      { ...about, hash, state: 'read', kind: 'domain', value: 'acme.test', note: '\u001b[31mred' },
      { ...about, hash: other, state: 'unreadable' },
      { ...about, hash: garbage, state: 'unreadable' },
    ]);
    const { stdout } = await cli.run('list', 'show', 'bob@corp.test');
    expect(stdout).toContain('acme.test');
    expect(stdout).not.toContain('\u001b');
    await list('block', 'bob@corp.test', 'ACME.test');
    const now = (await entries('blacklist')).find((entry) => entry.hash === hash);
    expect(opened('blacklist', now as { hash: Hex32; data: string })).toMatchObject({ version: 2 ** 40 + 1 });
  });

  it('refuses what is neither address nor domain, long notes, and more than the list holds', async () => {
    for (const [args, exitCode] of [
      [['block', 'bob@corp.test', 'nonsense'], 65],
      [['block', 'bob@corp.test', 'a@b@c.test'], 65],
      [['block', 'bob@corp.test', 'x.test', '--note', 'n'.repeat(1_024)], 65],
      [['block', 'nobody@corp.test', 'x.test'], 67],
    ] as const) {
      expect((await cli.run('list', ...args)).exitCode, args.join(' ')).toBe(exitCode);
    }
    const { db } = mail.opened;
    const missing = MAX_LIST_ENTRIES - (await listEntries(db, mail.bobId, 'whitelist')).length;
    const common = { account_id: mail.bobId, list: 'whitelist' as const, data: parseBase64('AAAA') };
    const rows = Array.from({ length: missing }, () => ({ ...common, hash: randomBytes(32) }));
    await db.insertInto('list_entry').values(rows).execute();
    await list('block', 'bob@corp.test', 'x.test');
    expect((await cli.run('list', 'allow', 'bob@corp.test', 'x.test')).exitCode).toBe(1);
    // What could not be done undid nothing.
    expect((await entries('blacklist')).map(({ hash }) => hash)).toContain(hashOf('domain', 'x.test'));
  });
});
