/** The commands about an account's own keys: rotating them, logging in with them, carrying them to another machine. */
import { open } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Bridge } from '../bridge.ts';
import {
  type BackupCost,
  BackupError,
  type BackupErrorCode,
  MAX_BACKUP_BYTES,
  openBackup,
  sealBackup,
} from '../client/backup.ts';
import type { KeystoreData } from '../client/keystore-data.ts';
import { SiteAuthError, type SiteAuthErrorCode, signSiteAuth } from '../client/site-auth.ts';
import { TransferError, type TransferErrorCode } from '../identity/transfer.ts';
import { addressParts, toMailbox } from '../smimp/address.ts';
import { wipe } from '../smimp/crypto.ts';
import { accountOf, type CommandContext, newPassword, parseTyped, refuseAtGateway, withBridge } from './accounts.ts';
import { type Add, where } from './command-line.ts';
import { type Input, readFileBounded, readLine } from './input.ts';
import { acceptSecret } from './keystore-accept.ts';
import { CommandError, EXIT, type Explanations, explained } from './output.ts';

/** A file can be guessed at for ever, so its passphrase is longer than a password has to be. */
export const MIN_PASSPHRASE_LENGTH = 12;

export async function rotateKey(command: CommandContext & { account: string; confirmed: boolean }): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const { id, address } = await accountOf(bridge, command.account);
    if (!command.confirmed) {
      throw new CommandError(
        `this gives ${toMailbox(address)} a new master key, which everybody who writes to it is told of; say --yes to do it`,
        EXIT.usage,
      );
    }
    await bridge.maintenance.rotateMaster(id, new Date());
    const { seq, head, currentKey } = await bridge.identity.ownHistory(id);
    const { fingerprint } = await bridge.accounts.fingerprint(address);
    const text = `${toMailbox(address)} has a new master key since record ${seq}.\nfingerprint  ${fingerprint}   (unchanged)`;
    command.output.result({ address, seq, head, public_key: currentKey, fingerprint }, text);
  });
}

const SITE_FAULTS: Partial<Explanations<SiteAuthErrorCode>> = {
  'origin-form': {
    text: 'the origin is https://host or https://host:port as the browser shows it: lower case, no path, no slash',
    exitCode: EXIT.badInput,
  },
  'token-form': { text: 'the token is 64 lower-case hex digits', exitCode: EXIT.badInput },
};

export async function loginWithSmimp(
  command: CommandContext & { account: string; origin: string; token: string },
): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const { id, address } = await accountOf(bridge, command.account);
    const { origin, token } = command;
    const master = await (await bridge.keystore.open(id)).master();
    const signing = (async () => signSiteAuth({ origin, token, address, master }))();
    const answer = await explained(signing, SiteAuthError, SITE_FAULTS as Explanations<SiteAuthErrorCode>);
    wipe(master.secretKey);
    command.output.result(answer, JSON.stringify(answer));
  });
}

const BACKUP_FAULTS: Explanations<BackupErrorCode> = {
  form: { text: 'this is no keystore backup', exitCode: EXIT.badInput },
  unsupported: {
    text: 'this backup was made by a later version, or asks for unreasonable work',
    exitCode: EXIT.badInput,
  },
  truncated: { text: 'this backup is not whole: it is shorter or longer than it says', exitCode: EXIT.badInput },
  damaged: { text: 'this backup is damaged', exitCode: EXIT.badInput },
  'wrong-passphrase': { text: 'this is not the passphrase of the backup', exitCode: EXIT.failed },
  content: { text: 'what is inside this backup is no keystore', exitCode: EXIT.badInput },
  'passphrase-length': { text: 'a passphrase has 1 to 1,024 bytes', exitCode: EXIT.badInput },
  busy: { text: 'too much is going on; try again', exitCode: EXIT.unavailable },
};

const TRANSFER_FAULTS: Explanations<TransferErrorCode> = {
  'has-keys': { text: 'this account has keys of its own here; nothing was changed', exitCode: EXIT.failed },
  'other-history': {
    text: 'the server here knows this account with another history; nothing was changed',
    exitCode: EXIT.failed,
  },
};

type KeystoreCommand = CommandContext & { account: string; file: string; input: Input };

export async function exportKeystore(command: KeystoreCommand & { cost?: BackupCost }): Promise<void> {
  const passphrase = await readLine(command.input);
  if (passphrase.length < MIN_PASSPHRASE_LENGTH)
    throw new CommandError(`the passphrase has at least ${MIN_PASSPHRASE_LENGTH} characters`, EXIT.badInput);
  await withBridge(command.configPath, async (bridge) => {
    const { id, address } = await accountOf(bridge, command.account);
    const data = await bridge.transfer.take(id);
    const cost = command.cost === undefined ? {} : { cost: command.cost };
    const file = await explained(sealBackup({ data, passphrase, ...cost }), BackupError, BACKUP_FAULTS);
    await writeNew(command.file, file);
    const { message_keys, pins } = data;
    const counts = { message_keys: message_keys.length, pins: pins.length, bytes: file.length };
    const text = `The keystore of ${toMailbox(address)} is in ${command.file}. Without the passphrase nobody opens it, you neither.`;
    command.output.result({ address, file: command.file, ...counts }, text);
  });
}

/** A new file that only its owner reads, on the disk before anybody is told. */
async function writeNew(path: string, bytes: Buffer): Promise<void> {
  const handle = await open(path, 'wx', 0o600).catch((cause: unknown) => {
    throw new CommandError(`${path} cannot be written, or is there already`, EXIT.failed, { cause });
  });
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export async function importKeystore(command: KeystoreCommand): Promise<void> {
  const passphrase = await readLine(command.input);
  const file = await readFileBounded(command.file, MAX_BACKUP_BYTES);
  const data = await explained(openBackup({ file, passphrase }), BackupError, BACKUP_FAULTS);
  await withBridge(command.configPath, async (bridge) => {
    checkAccount(bridge, command.account, data);
    const password = newPassword();
    await explained(bridge.transfer.put(data, password), TransferError, TRANSFER_FAULTS);
    const mailbox = toMailbox(data.address);
    const { fingerprint } = await bridge.accounts.fingerprint(data.address);
    const text = [
      `${mailbox} is here, with ${data.message_keys.length} message keys and ${data.pins.length} pinned contacts.`,
      `password     ${password}   (for mail programs; shown this once)`,
      `fingerprint  ${fingerprint}`,
    ].join('\n');
    command.output.result({ address: data.address, mailbox, password, fingerprint }, text);
  });
}

function checkAccount(bridge: Bridge, typed: string, { address }: KeystoreData): void {
  if (parseTyped(typed) !== address)
    throw new CommandError(`this is the keystore of ${toMailbox(address)}`, EXIT.badInput);
  refuseAtGateway(bridge);
  const { domain } = addressParts(address);
  if (!bridge.config.domains.includes(domain))
    throw new CommandError(`${domain} is not one of the domains of the configuration`, EXIT.badInput);
}

const KEYSTORE_HELP = `
The passphrase is the first line of standard input. The file holds the master key, the secrets of the message keys, the
storage key, the account's own history and whom it pinned; docs/client.md describes it.

  smimp-bridge keystore export alice@home.test alice.keystore < passphrase.txt`;

const SITE_HELP = `
Prints the signed answer that the web site asks for. The signature holds for exactly this origin: compare it with the
address bar of your browser, because a site that passes on another site's token would log in there as you.`;

const ACCEPT_HELP = `
Works only for a message of a secret-… type from this account to itself, signed with the master key in use. A message key
then opens mail that was sent to it. A storage key takes the place of the one in use: let mail programs connect again
afterwards, because flags they set before they do are sealed with the old one.`;

export function addKeyCommands(program: Command, add: Add): void {
  add<[string]>(program, 'rotate-key <account>', 'Give an account a new master key.', (output, options, account) =>
    rotateKey({ output, ...where(options), account, confirmed: options.yes === true }),
  ).option('--yes', 'yes, do it');
  add<[string, string, string]>(
    program,
    'login-with-smimp <account> <origin> <token>',
    'Sign in to a web site with the identity of an account.',
    (output, options, account, origin, token) => loginWithSmimp({ output, ...where(options), account, origin, token }),
  ).addHelpText('after', SITE_HELP);
  const keystore = program.command('keystore').description('The keys of an account, in one file.').exitOverride();
  add<[string, string]>(
    keystore,
    'export <account> <file>',
    'Write an encrypted backup.',
    (output, options, account, file) =>
      exportKeystore({ output, ...where(options), account, file, input: process.stdin }),
  ).addHelpText('after', KEYSTORE_HELP);
  add<[string, string]>(
    keystore,
    'import <account> <file>',
    'Put a backup into a bridge that has no keys of this account; prints a new password.',
    (output, options, account, file) =>
      importKeystore({ output, ...where(options), account, file, input: process.stdin }),
  ).addHelpText('after', KEYSTORE_HELP);
  add<[string, string]>(
    keystore,
    'accept <account> <message-id>',
    'Take in a secret that you sent to yourself from another client.',
    (output, options, account, messageId) =>
      acceptSecret({ output, ...where(options), account, messageId, confirmed: options.yes === true }),
  )
    .option('--yes', 'yes, take it in')
    .addHelpText('after', ACCEPT_HELP);
}
