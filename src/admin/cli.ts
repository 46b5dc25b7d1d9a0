/**
 * The command line: what commands there are and what their help says. What they do is in the files beside this one.
 *
 * Every command takes `--config FILE` and `--json`, at any place. Passwords are read from standard input or made here,
 * never taken from the command line, where other users of the machine see them.
 */
import { Command, CommanderError, Option } from 'commander';
import { ConfigError } from '../config.ts';
import { KeystoreError } from '../keystore/errors.ts';
import { addAccount, changePassword, listAccounts, removeAccount, showFingerprint } from './accounts.ts';
import { demonstrate } from './demo/demo.ts';
import { CommandError, createOutput, EXIT, type Output } from './output.ts';
import { cancelDelivery, listQueue, retryDelivery, showDelivery } from './queue.ts';
import { start } from './start.ts';
import { showTrust, verifyTrust } from './trust.ts';

export interface GlobalOptions {
  config?: string;
  json?: boolean;
}

/** What the outer world gives: the end is asked for through `stop`. */
export interface Surroundings {
  stop: AbortSignal;
}

type Run<Args extends unknown[]> = (output: Output, options: Record<string, unknown>, ...args: Args) => Promise<void>;

const EXIT_CODES = `
Exit codes: 0 done · 1 refused or failed · 64 wrong usage · 65 bad input · 67 no such account, contact or delivery ·
69 something needed is not reachable · 70 unexpected · 78 mistakes in the configuration`;

/** Runs one command line (without `node` and the script). Returns the exit code; never throws. */
export async function runCommandLine(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const program = createProgram(surroundings);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    return explain(error);
  }
}

/** What an operator can do about the server key. */
const KEY_PROBLEMS: Partial<Record<KeystoreError['code'], string>> = {
  'server-key-missing':
    'the server key is not there, but this database was made with one: put it back (see server_key)',
  'server-key-mode': 'the file of the server key can be read by others: chmod 600 it',
  'server-key-form': 'the server key is not 64 lower-case hex digits',
  'wrong-server-key': 'this is not the server key that this database was made with (see server_key)',
};

function explain(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof ConfigError) {
    process.stderr.write(`${error.message}:\n${error.mistakes.map((mistake) => `  ${mistake}`).join('\n')}\n`);
    return EXIT.config;
  }
  if (error instanceof CommandError) {
    process.stderr.write(`smimp-bridge: ${error.message}\n`);
    return error.exitCode;
  }
  const keyProblem = error instanceof KeystoreError ? KEY_PROBLEMS[error.code] : undefined;
  if (keyProblem !== undefined) {
    process.stderr.write(`smimp-bridge: ${keyProblem}\n`);
    return EXIT.config;
  }
  process.stderr.write(`smimp-bridge: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return EXIT.unexpected;
}

function createProgram(surroundings: Surroundings): Command {
  const program = new Command('smimp-bridge')
    .description('A mail server for ordinary mail programs (SMTP, IMAP) whose mail travels as SMIMP.')
    .addHelpText('after', EXIT_CODES)
    .showHelpAfterError('(see --help)')
    .exitOverride();
  const add = <Args extends unknown[]>(parent: Command, usage: string, summary: string, run: Run<Args>): Command =>
    withCommonOptions(parent.command(usage))
      .description(summary)
      .action(async (...given: unknown[]) => {
        const command = given.at(-1) as Command;
        const options = command.opts<GlobalOptions & Record<string, unknown>>();
        await run(createOutput(options.json === true), options, ...(given.slice(0, -2) as Args));
      });
  addServing(program, add, surroundings);
  addAccountCommands(program, add);
  addTrustCommands(program, add);
  addQueueCommands(program, add);
  return program;
}

function withCommonOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'the configuration (default: the variable SMIMP_BRIDGE_CONFIG, else all defaults)')
    .option('--json', 'print JSON')
    .exitOverride();
}

type Add = <Args extends unknown[]>(parent: Command, usage: string, summary: string, run: Run<Args>) => Command;

function addServing(program: Command, add: Add, { stop }: Surroundings): void {
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

function addAccountCommands(program: Command, add: Add): void {
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
}

function addTrustCommands(program: Command, add: Add): void {
  const trust = program.command('trust').description('Whose keys are pinned, and checking them.').exitOverride();
  add<[string, string?]>(
    trust,
    'show <account> [contact]',
    'Show the pinned contacts of an account.',
    (output, options, account, contact) => showTrust({ output, ...where(options), account, contact }),
  );
  add<[string, string, string]>(
    trust,
    'verify <account> <contact> <fingerprint>',
    'Enter the fingerprint (or smimp-verify: link) that the contact told you. Also releases one whose identity was replaced.',
    (output, options, account, contact, fingerprint) =>
      verifyTrust({ output, ...where(options), account, contact, fingerprint }),
  );
}

function addQueueCommands(program: Command, add: Add): void {
  const queue = program.command('queue').description('Mail on its way out.').exitOverride();
  add(queue, 'list', 'List deliveries that are not done.', (output, options) =>
    listQueue({ output, ...where(options), all: options.all === true }),
  ).option('--all', 'finished ones too');
  add<[string]>(queue, 'show <id>', 'Show one delivery with its timeline.', (output, options, id) =>
    showDelivery({ output, ...where(options), id }),
  );
  add<[string]>(queue, 'retry <id>', 'Try again now.', (output, options, id) =>
    retryDelivery({ output, ...where(options), id }),
  );
  add<[string]>(queue, 'cancel <id>', 'Give up; nothing more is sent.', (output, options, id) =>
    cancelDelivery({ output, ...where(options), id }),
  );
}

const where = (options: Record<string, unknown>): { configPath: string | undefined } => ({
  configPath: options.config as string | undefined,
});
