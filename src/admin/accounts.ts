/** The commands about accounts, and what `start` uses to make the first one. */

import type { Command } from 'commander';
import type { Bridge } from '../bridge.ts';
import { openBridge } from '../bridge.ts';
import { loadConfig } from '../config.ts';
import {
  type Address,
  addressParts,
  fromMailbox,
  MAX_NATIVE_LOCAL_LENGTH,
  normalizeAddress,
  toMailbox,
} from '../smimp/address.ts';
import { randomBytes } from '../smimp/crypto.ts';
import { ProfileError } from '../smimp/errors.ts';
import { type Add, where } from './command-line.ts';
import { CommandError, EXIT, type Output, table } from './output.ts';

export interface CommandContext {
  output: Output;
  configPath: string | undefined;
}

const PASSWORD_GROUPS = 5;
const GROUP_LENGTH = 4;
/** Without what looks alike: 5 × 4 of 31 are 99 bits. */
const PASSWORD_ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';
const MIN_PASSWORD_LENGTH = 8;

/** Opens the bridge without any role for the length of one command. */
export async function withBridge<Result>(
  configPath: string | undefined,
  use: (bridge: Bridge) => Promise<Result>,
): Promise<Result> {
  const config = await loadConfig({ path: configPath });
  await using bridge = await openBridge({ config, roles: [] });
  return await use(bridge);
}

/** `alice@acme.test` or `alice#acme.test`, in any case, as a person types it. */
export function parseTyped(typed: string): Address {
  try {
    return typed.includes('#') ? normalizeAddress(typed) : fromMailbox(typed);
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    throw new CommandError(`${typed} is not an address such as alice@example.com`, EXIT.badInput, { cause: error });
  }
}

/** The account behind what was typed. Throws CommandError when there is none. */
export async function accountOf(bridge: Bridge, typed: string): Promise<{ id: number; address: Address }> {
  const address = parseTyped(typed);
  const account = await bridge.accounts.find(address);
  if (account === null) throw new CommandError(`there is no account ${toMailbox(address)} here`, EXIT.notFound);
  return { id: account.id, address };
}

/** Groups of random characters that can be read out. */
export function randomGroups(groups: number): string {
  const letter = (): string => {
    for (;;) {
      const [value = 0] = randomBytes(1);
      if (value < PASSWORD_ALPHABET.length * 8) return PASSWORD_ALPHABET[value % PASSWORD_ALPHABET.length] as string;
    }
  };
  const group = (): string => Array.from({ length: GROUP_LENGTH }, letter).join('');
  return Array.from({ length: groups }, group).join('-');
}

/** A password of 99 bits. */
export const newPassword = (): string => randomGroups(PASSWORD_GROUPS);

/** Throws CommandError: nobody moves in where people of the old internet have their identities (SMIMP 0.1 §6). */
export function refuseAtGateway({ config: { deployment, gateway } }: Bridge): void {
  if (deployment !== 'gateway') return;
  const why = 'which makes the identities of people of the old internet by itself; no other accounts can live here';
  throw new CommandError(`this is the gateway ${gateway.domain}, ${why}`, EXIT.badInput);
}

/** The address of an account to be made, as typed. Throws CommandError when no such account can live here. */
export function newAddress(bridge: Bridge, typed: string): Address {
  const address = parseTyped(typed);
  refuseAtGateway(bridge);
  const { local, domain } = addressParts(address);
  if (!bridge.config.domains.includes(domain))
    throw new CommandError(`${domain} is not one of the domains of the configuration`, EXIT.badInput);
  if (local.length > MAX_NATIVE_LOCAL_LENGTH)
    throw new CommandError(`a name has at most ${MAX_NATIVE_LOCAL_LENGTH} characters`, EXIT.badInput);
  return address;
}

export async function createAccountWithKeys(
  bridge: Bridge,
  account: { typed: string; password: string; name: string | null },
): Promise<Address> {
  const address = newAddress(bridge, account.typed);
  if ((await bridge.accounts.find(address)) !== null)
    throw new CommandError(`${toMailbox(address)} exists already`, EXIT.failed);
  await bridge.accounts.add({ address, password: account.password, name: account.name });
  return address;
}

async function passwordFor(fromInput: boolean): Promise<string> {
  if (!fromInput) return newPassword();
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const [line = ''] = Buffer.concat(chunks).toString('utf8').split('\n');
  const password = line.replace(/\r$/, '');
  if (password.length < MIN_PASSWORD_LENGTH)
    throw new CommandError(`a password has at least ${MIN_PASSWORD_LENGTH} characters`, EXIT.badInput);
  return password;
}

export async function addAccount(
  command: CommandContext & { address: string; passwordFromInput: boolean; name: string | null },
): Promise<void> {
  const password = await passwordFor(command.passwordFromInput);
  await withBridge(command.configPath, async (bridge) => {
    const address = await createAccountWithKeys(bridge, { typed: command.address, password, name: command.name });
    const { fingerprint } = await bridge.accounts.fingerprint(address);
    const shown = command.passwordFromInput ? {} : { password };
    const text = [
      `user name    ${toMailbox(address)}`,
      ...(command.passwordFromInput ? [] : [`password     ${password}   (shown this once)`]),
      `fingerprint  ${fingerprint}`,
    ];
    command.output.result({ address, mailbox: toMailbox(address), fingerprint, ...shown }, text.join('\n'));
  });
}

export async function listAccounts(command: CommandContext): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const accounts = (await bridge.accounts.list()).map(({ address, created_at, initialized_at, size_bytes }) => ({
      address,
      mailbox: toMailbox(address as Address),
      created: created_at.toISOString(),
      state: initialized_at === null ? 'invited' : 'active',
      size_bytes,
    }));
    const rows = accounts.map(({ mailbox, created, state, size_bytes }) => [
      mailbox,
      created.slice(0, 10),
      state,
      String(size_bytes),
    ]);
    command.output.result(accounts, table(['ACCOUNT', 'SINCE', 'STATE', 'BYTES'], rows));
  });
}

export async function changePassword(
  command: CommandContext & { address: string; passwordFromInput: boolean },
): Promise<void> {
  const password = await passwordFor(command.passwordFromInput);
  await withBridge(command.configPath, async (bridge) => {
    refuseAtGateway(bridge);
    const { id, address } = await accountOf(bridge, command.address);
    await bridge.keystore.setPassword(id, password);
    const shown = command.passwordFromInput ? {} : { password };
    command.output.result(
      { address, ...shown },
      command.passwordFromInput ? 'The password was changed.' : `password  ${password}   (shown this once)`,
    );
  });
}

export async function removeAccount(command: CommandContext & { address: string; confirmed: boolean }): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const { id, address } = await accountOf(bridge, command.address);
    if (!command.confirmed)
      throw new CommandError(`this deletes all mail of ${toMailbox(address)} for good; say --yes to do it`, EXIT.usage);
    await bridge.accounts.remove(id);
    command.output.result({ address, removed: true }, `${toMailbox(address)} is gone.`);
  });
}

export async function showFingerprint(command: CommandContext & { address: string }): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const { address } = await accountOf(bridge, command.address);
    const { fingerprint, uri } = await bridge.accounts.fingerprint(address);
    command.output.result({ address, fingerprint, uri }, `${fingerprint}\n${uri}`);
  });
}

/** The command `account`, for those that others add to it. */
export function addAccountCommands(program: Command, add: Add): Command {
  const account = program.command('account').description('The people whose mail lives here.').exitOverride();
  add<[string]>(
    account,
    'add <address>',
    'Make an account with its keys; prints a new password.',
    (output, options, address) =>
      addAccount({
        output,
        ...where(options),
        address,
        passwordFromInput: options.passwordStdin === true,
        name: (options.name as string | undefined) ?? null,
      }),
  )
    .option('--password-stdin', 'take the password from the first line of standard input')
    .option('--name <name>', 'the name others see in the identity record');
  add(account, 'list', 'List the accounts.', (output, options) => listAccounts({ output, ...where(options) }));
  add<[string]>(account, 'password <address>', 'Set a new password; prints it.', (output, options, address) =>
    changePassword({ output, ...where(options), address, passwordFromInput: options.passwordStdin === true }),
  ).option('--password-stdin', 'take the password from the first line of standard input');
  add<[string]>(
    account,
    'remove <address>',
    'Delete an account, its keys and all its mail, for good.',
    (output, options, address) =>
      removeAccount({ output, ...where(options), address, confirmed: options.yes === true }),
  ).option('--yes', 'yes, delete it');
  add<[string]>(
    program,
    'fingerprint <address>',
    "Print an account's fingerprint, to be read out over the phone.",
    (output, options, address) => showFingerprint({ output, ...where(options), address }),
  );
  return account;
}
