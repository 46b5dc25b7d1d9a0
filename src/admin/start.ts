/** `smimp-bridge start`: opens the bridge, makes a first account when there is none, says how to connect, serves. */
import { hostname } from 'node:os';
import { type Command, Option } from 'commander';
import { type Bridge, openBridge, ROLES, type Role } from '../bridge.ts';
import type { Config } from '../config.ts';
import { loadConfig } from '../config.ts';
import { type Address, toMailbox } from '../smimp/address.ts';
import { createAccountWithKeys, newPassword } from './accounts.ts';
import type { Add, Surroundings } from './command-line.ts';
import { CommandError, EXIT, type Output } from './output.ts';

export async function start(options: {
  output: Output;
  configPath: string | undefined;
  /** Null: those of the deployment. */
  roles: string | null;
  stop: AbortSignal;
}): Promise<void> {
  const config = await loadConfig({ path: options.configPath });
  const roles = parseRoles(options.roles ?? DEFAULT_ROLES[config.deployment]);
  await using bridge = await openBridge({ config, roles });
  const isHome = config.deployment === 'home';
  const first = isHome && roles.length === ROLES.length ? await firstAccount(bridge, config) : null;
  await bridge.listen();
  const text = await WELCOMES[config.deployment](bridge, config, first);
  options.output.result(connectionFacts(bridge, first), text);
  bridge.events.started({ roles: roles.join(',') });
  await new Promise<void>((resolve) => {
    if (options.stop.aborted) resolve();
    options.stop.addEventListener('abort', () => resolve());
  });
  bridge.events.stopped();
}

const WELCOMES: Readonly<
  Record<Config['deployment'], (bridge: Bridge, config: Config, first: FirstAccount | null) => string | Promise<string>>
> = { home: welcome, proxy: welcomeOfProxy, gateway: welcomeOfGateway };

const DEFAULT_ROLES: Readonly<Record<Config['deployment'], string>> = {
  home: ROLES.join(','),
  proxy: 'smtp,imap,worker',
  gateway: 'api,smtp,worker',
};

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

/** What mail programs are told. */
function doorLines(bridge: Bridge, config: Config): string[] {
  const { imaps, imap, submissions, submission } = bridge.listening();
  const door = (port: number | null, security: string): string[] =>
    port === null ? [] : [`port ${port} (${security})`];
  const reading = [...door(imaps, 'SSL/TLS'), ...door(imap, 'STARTTLS')].join(' or ') || 'not here';
  const sending = [...door(submissions, 'SSL/TLS'), ...door(submission, 'STARTTLS')].join(' or ') || 'not here';
  return [
    `  Reading, IMAP   host ${config.mail_host}, ${reading}`,
    `  Sending, SMTP   host ${config.mail_host}, ${sending}`,
  ];
}

function trustLines(bridge: Bridge): string[] {
  if (bridge.tls.authority === null) return [];
  return ['', `  Let your mail program trust this authority: ${bridge.tls.authority.path}`];
}

function welcome(bridge: Bridge, config: Config, first: FirstAccount | null): string {
  const { api } = bridge.listening();
  const lines = [
    '',
    `smimp-bridge serves ${config.domains.join(', ')} on ${hostname()}.`,
    '',
    ...doorLines(bridge, config),
    `  Other servers   ${config.base_url}${api === null ? ' (not here)' : `, listening on port ${api}`}`,
    ...trustLines(bridge),
  ];
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

/** Whose accounts, or how to get one. */
async function welcomeOfProxy(bridge: Bridge, config: Config): Promise<string> {
  const mailboxes = (await bridge.accounts.list()).map(({ address }) => toMailbox(address as Address));
  const connect = 'npm run smimp-bridge -- account connect NAME@DOMAIN --config FILE';
  const whose = mailboxes.length === 0 ? 'no account yet' : mailboxes.join(', ');
  return [
    '',
    `smimp-bridge stands in front of ${whose}, on ${hostname()}.`,
    '',
    ...doorLines(bridge, config),
    ...trustLines(bridge),
    '',
    ...(mailboxes.length === 0
      ? [`  Ask the operator of your SMIMP server for a one-time code; then, while this runs or not:`, `    ${connect}`]
      : [`  User name: your address. Another account: ${connect}`]),
    '  Stop: Ctrl-C',
    '',
  ].join('\n');
}

function welcomeOfGateway(bridge: Bridge, { gateway, base_url, mail_host }: Config): string {
  const { api, mx } = bridge.listening();
  const named = (names: readonly string[], none: string): string => (names.length === 0 ? none : names.join(', '));
  return [
    '',
    `smimp-bridge is the gateway ${gateway.domain}, on ${hostname()}.`,
    '',
    `  Mail from outside  ${mx === null ? 'not here' : `host ${mail_host}, port ${mx}`}, for ${named(gateway.recipients, 'no domain: see gateway.recipients')}`,
    `  Relays outward for ${named(gateway.senders, 'nobody: see gateway.senders')}`,
    `  Other servers      ${base_url}${api === null ? ' (not here)' : `, listening on port ${api}`}`,
    '',
    '  Stop: Ctrl-C',
    '',
  ].join('\n');
}

export function addServing(program: Command, add: Add, { stop }: Surroundings): void {
  add(program, 'start', 'Serve until told to end (SIGINT or SIGTERM).', (output, options) =>
    start({
      output,
      configPath: options.config as string | undefined,
      roles: (options.roles as string | undefined) ?? null,
      stop,
    }),
  ).addOption(
    new Option(
      '--roles <list>',
      'api: other servers and SMIMP clients · smtp: mail programs send · imap: mail programs read · worker: delivers, opens and keeps keys fresh (default: all of the deployment; a proxy has no api, a gateway no imap)',
    ),
  );
  add(program, 'demo', 'Show two bridges exchanging mail on this machine, and one refusing a forgery.', async () => {
    const { demonstrate } = await import('./demo/demo.ts');
    const held = await demonstrate((line) => void process.stdout.write(`${line}\n`));
    if (!held) throw new CommandError('a check of the demonstration did not hold', EXIT.failed);
  });
}
