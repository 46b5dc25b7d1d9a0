/** `smimp-bridge start`: opens the bridge, makes a first account when there is none, says how to connect, serves. */
import { hostname } from 'node:os';
import { type Command, Option } from 'commander';
import { type Bridge, openBridge, ROLES, type Role } from '../bridge.ts';
import type { Config } from '../config.ts';
import { loadConfig } from '../config.ts';
import { createAccountWithKeys, newPassword } from './accounts.ts';
import type { Add, Surroundings } from './command-line.ts';
import { demonstrate } from './demo/demo.ts';
import { CommandError, EXIT, type Output } from './output.ts';

export async function start(options: {
  output: Output;
  configPath: string | undefined;
  roles: string;
  stop: AbortSignal;
}): Promise<void> {
  const roles = parseRoles(options.roles);
  const config = await loadConfig({ path: options.configPath });
  await using bridge = await openBridge({ config, roles });
  const first = roles.length === ROLES.length ? await firstAccount(bridge, config) : null;
  await bridge.listen();
  options.output.result(connectionFacts(bridge, first), welcome(bridge, config, first));
  bridge.events.started({ roles: roles.join(',') });
  await new Promise<void>((resolve) => {
    if (options.stop.aborted) resolve();
    options.stop.addEventListener('abort', () => resolve());
  });
  bridge.events.stopped();
}

function parseRoles(text: string): Role[] {
  const roles = [...new Set(text.split(',').map((name) => name.trim()))];
  const unknown = roles.filter((name) => !ROLES.includes(name as Role));
  if (unknown.length > 0)
    throw new CommandError(`no such role: ${unknown.join(', ')} (there are ${ROLES.join(', ')})`, EXIT.usage);
  return roles as Role[];
}

interface FirstAccount {
  mailbox: string;
  password: string;
}

/** So that the first start already leads to a working mail account. */
async function firstAccount(bridge: Bridge, config: Config): Promise<FirstAccount | null> {
  if ((await bridge.accounts.list()).length > 0) return null;
  const mailbox = `me@${config.domains[0]}`;
  const password = newPassword();
  await createAccountWithKeys(bridge, { typed: mailbox, password, name: null });
  return { mailbox, password };
}

function connectionFacts(bridge: Bridge, first: FirstAccount | null): Record<string, unknown> {
  return { listening: bridge.listening(), authority: bridge.tls.authority?.path ?? null, first_account: first };
}

function welcome(bridge: Bridge, config: Config, first: FirstAccount | null): string {
  const { imaps, imap, submissions, submission, api } = bridge.listening();
  const door = (port: number | null, security: string): string[] =>
    port === null ? [] : [`port ${port} (${security})`];
  const lines = [
    '',
    `smimp-bridge serves ${config.domains.join(', ')} on ${hostname()}.`,
    '',
    `  Reading, IMAP   host ${config.mail_host}, ${[...door(imaps, 'SSL/TLS'), ...door(imap, 'STARTTLS')].join(' or ') || 'not here'}`,
    `  Sending, SMTP   host ${config.mail_host}, ${[...door(submissions, 'SSL/TLS'), ...door(submission, 'STARTTLS')].join(' or ') || 'not here'}`,
    `  Other servers   ${config.base_url}${api === null ? ' (not here)' : `, listening on port ${api}`}`,
  ];
  if (bridge.tls.authority !== null)
    lines.push('', `  Let your mail program trust this authority: ${bridge.tls.authority.path}`);
  if (first !== null)
    lines.push(
      '',
      '  Your first account. The password is shown this once:',
      `    user name   ${first.mailbox}`,
      `    password    ${first.password}`,
    );
  lines.push('', '  More accounts: npm run smimp-bridge -- account add NAME@DOMAIN     Stop: Ctrl-C', '');
  return lines.join('\n');
}

export function addServing(program: Command, add: Add, { stop }: Surroundings): void {
  add(program, 'start', 'Serve until told to end (SIGINT or SIGTERM).', (output, options) =>
    start({ output, configPath: options.config as string | undefined, roles: options.roles as string, stop }),
  ).addOption(
    new Option(
      '--roles <list>',
      'api: other servers and SMIMP clients · smtp: mail programs send · imap: mail programs read · worker: delivers, opens and keeps keys fresh',
    ).default('api,smtp,imap,worker'),
  );
  add(program, 'demo', 'Show two bridges exchanging mail on this machine, and one refusing a forgery.', async () => {
    const held = await demonstrate((line) => void process.stdout.write(`${line}\n`));
    if (!held) throw new CommandError('a check of the demonstration did not hold', EXIT.failed);
  });
}
