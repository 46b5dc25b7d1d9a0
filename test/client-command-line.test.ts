/** The new commands as a person types them: arguments, options, standard input, exit codes, help. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createAccountWithKeys } from '../src/admin/accounts.ts';
import { type CommandResult, runCommand } from '../src/admin/demo/sites.ts';
import { EXIT } from '../src/admin/output.ts';
import { newSiteToken } from '../src/client/index.ts';
import { type CommandSite, commandSite } from './support/command-site.ts';

let home: CommandSite;
beforeAll(async () => {
  home = await commandSite('home.test');
  for (const typed of ['alice@home.test', 'bob@home.test']) {
    await createAccountWithKeys(home.bridge, { typed, password: 'secret word', name: null });
  }
});
afterAll(() => home[Symbol.asyncDispose]());

const run = (args: readonly string[], input = ''): Promise<CommandResult> => runCommand(home.site, args, input);
const jsonOf = ({ stdout, stderr, code }: CommandResult): unknown => {
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
};

it('send, read, whois, login-with-smimp and keystore', async () => {
  const send = ['send', 'alice@home.test', 'bob@home.test', '--type', 'short-message', '--wait', '30', '--json'];
  const sent = jsonOf(await run(send, 'on my way\n')) as { message_id: string; stage: string }[];
  expect(sent).toMatchObject([{ recipient: 'bob#home.test', stage: 'done' }]);
  const id = sent[0]?.message_id ?? '';
  expect(jsonOf(await run(['read', 'bob@home.test', '--folder', 'INBOX', '--limit', '5', '--json']))).toMatchObject([
    { message_id: id, message_type: 'short-message', from: 'alice#home.test' },
  ]);
  const token = newSiteToken();
  const [shown, looked, answered, saved] = await Promise.all([
    run(['read', 'bob@home.test', id.slice(0, 8)]),
    run(['whois', 'alice@home.test', '--as', 'bob@home.test', '--no-qr']),
    run(['login-with-smimp', 'alice@home.test', 'https://shop.example.com', token]),
    run(['keystore', 'export', 'alice@home.test', join(home.directory, 'a.keystore')], 'a long enough passphrase\n'),
  ]);
  expect(shown.stdout).toContain(`id       ${id}`);
  expect(looked.stdout).toMatch(/fingerprint {2}([0-9A-Z]{5}-){7}[0-9A-Z]{5}\n/);
  expect(looked.stdout).not.toContain('█');
  expect(JSON.parse(answered.stdout)).toMatchObject({ address: 'alice#home.test' });
  expect(saved.code).toBe(0);
  expect((await stat(join(home.directory, 'a.keystore'))).size).toBeGreaterThan(1000);
});

it('say how they are used, and end with the code that is documented', async () => {
  const [help, usage, rotate, wait, limit] = await Promise.all([
    run(['send', '--help']),
    run(['whois']),
    run(['rotate-key', 'alice@home.test']),
    run(['send', 'alice@home.test', 'bob@home.test', '--wait', 'soon'], 'x'),
    run(['read', 'alice@home.test', '--limit', '0']),
  ]);
  expect(help.code).toBe(0);
  expect(help.stdout).toContain('69 when it is still');
  expect([usage.code, rotate.code, wait.code, limit.code]).toEqual(Array(4).fill(EXIT.usage));
  expect(rotate.stderr).toContain('say --yes to do it');
});
