/** The operator's commands about accounts, over a real database. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_INITIALIZE_TRIES } from '../src/smimp/api.ts';
import { masterKeyPair } from '../src/smimp/crypto.ts';
import { toHex } from '../src/smimp/encoding.ts';
import { createRecord } from '../src/smimp/record.ts';
import { initializeDigest } from '../src/smimp/transcript.ts';
import { type ApiSite, CAROL, codeOf, keyOf, startApi } from './support/api-site.ts';
import { type CommandLine, commandLine } from './support/command-line.ts';

const SERVER_KEY = Buffer.alloc(32, 7);
let site: ApiSite;
let cli: CommandLine;
beforeAll(async () => {
  site = await startApi();
  cli = await commandLine(site.opened.connection, { settings: ['limits: { quota: 5MiB }'], serverKey: SERVER_KEY });
});
afterAll(async () => {
  await cli[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

const initialize = (code: string) => {
  const person = { address: CAROL, master: masterKeyPair() };
  return site.post('/0.1/initialize_account', {
    record: createRecord({ ...person, now: Math.floor(site.now.getTime() / 1000) }),
    password_hash: toHex(initializeDigest(CAROL, code)),
    nonephemeral_key: keyOf(person, 'non-ephemeral', site.now),
    ephemeral_keys: null,
  });
};
const states = async () => (await cli.json('account', 'list')) as { address: string; state: string }[];

describe('account invite', () => {
  it('gives a code that makes the account once; a new one replaces the last, with its tries', async () => {
    const { code: first } = (await cli.json('account', 'invite', 'Carol@Corp.Test')) as { code: string };
    // 31 different characters: 28 of them are 138 bits.
    expect(first).toMatch(/^([a-hjkmnp-z2-9]{4}-){6}[a-hjkmnp-z2-9]{4}$/);
    expect(await states()).toMatchObject([{ address: CAROL, state: 'invited' }]);
    for (let n = 0; n < MAX_INITIALIZE_TRIES; n += 1) expect(codeOf(await initialize('wrong'))).toBe('unauthorized');
    expect(codeOf(await initialize(first))).toBe('too_many_requests');
    const { code: second } = (await cli.json('account', 'invite', 'carol#corp.test')) as { code: string };
    expect(codeOf(await initialize(first))).toBe('unauthorized');
    expect((await initialize(second)).status).toBe(201);
    expect(await states()).toMatchObject([{ address: CAROL, state: 'active' }]);
    expect(codeOf(await initialize(second))).toBe('already_initialized');
    const again = await cli.run('account', 'invite', CAROL);
    expect(again).toMatchObject({ exitCode: 1, stdout: '' });
    const stored = JSON.stringify(await site.opened.db.selectFrom('account').selectAll().execute());
    expect(stored).not.toContain(second);
  });

  it('is refused for other domains and for what is no address', async () => {
    expect((await cli.run('account', 'invite', 'x@acme.test')).exitCode).toBe(65);
    expect((await cli.run('account', 'invite', `${'x'.repeat(65)}@corp.test`)).exitCode).toBe(65);
  });
});

describe('a gateway', () => {
  it('has no accounts but those of its legacy correspondents, and no passwords', async () => {
    await using gateway = await commandLine(site.opened.connection, {
      serverKey: SERVER_KEY,
      settings: ['deployment: gateway', 'gateway: { domain: corp.test }'],
    });
    const commands = [
      ['account', 'add', 'dave@corp.test'],
      ['account', 'invite', 'dave@corp.test'],
      ['account', 'password', 'carol@corp.test'],
    ];
    for (const command of commands) {
      const { exitCode, stdout, stderr } = await gateway.run(...command);
      expect({ exitCode, stdout }, command[1]).toEqual({ exitCode: 65, stdout: '' });
      expect(stderr).toContain(
        'this is the gateway corp.test, which makes the identities of people of the old internet',
      );
    }
  });
});

describe('account quota', () => {
  it('shows and sets what a mailbox may hold', async () => {
    const quota = (...more: string[]) => cli.json('account', 'quota', 'carol@corp.test', ...more);
    expect(await quota()).toEqual({ address: CAROL, used_bytes: 0, quota_bytes: 5 * 1024 ** 2 });
    expect(await quota('1KiB')).toMatchObject({ quota_bytes: 1024 });
    expect(await quota('unlimited')).toMatchObject({ quota_bytes: null });
    expect(await quota('default')).toMatchObject({ quota_bytes: 5 * 1024 ** 2 });
    expect((await cli.run('account', 'quota', 'carol@corp.test', 'much')).exitCode).toBe(65);
    expect((await cli.run('account', 'quota', 'nobody@corp.test')).exitCode).toBe(67);
  });
});

describe('restored', () => {
  it('makes every mailbox begin anew', async () => {
    const folders = () => site.opened.db.selectFrom('folder').select(['id', 'uid_validity']).orderBy('id').execute();
    const before = await folders();
    expect(await cli.json('restored')).toEqual({ mailboxes: (await states()).length });
    const after = await folders();
    for (const [n, folder] of after.entries())
      expect(folder.uid_validity).toBeGreaterThan(before[n]?.uid_validity ?? 0);
  });
});
