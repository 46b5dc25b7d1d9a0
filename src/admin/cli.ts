/**
 * The command line: what commands there are and what their help says. What they do is in the files beside this one.
 *
 * Every command takes `--config FILE` and `--json`, at any place. Passwords are read from standard input or made here,
 * never taken from the command line, where other users of the machine see them.
 */
import { Command, CommanderError } from 'commander';
import { ConfigError } from '../config.ts';
import { KeystoreError } from '../keystore/errors.ts';
import { addAccountCommands } from './accounts.ts';
import type { GlobalOptions, Run, Surroundings } from './command-line.ts';
import { addConformanceCommand } from './conformance.ts';
import { addConnectCommand } from './connect.ts';
import { addInviteCommand } from './invites.ts';
import { addKeyCommands } from './keys.ts';
import { addListCommands } from './lists.ts';
import { CommandError, createOutput, EXIT } from './output.ts';
import { addProofOfWorkCommands } from './pow.ts';
import { addQueueCommands } from './queue.ts';
import { addQuotaCommand } from './quota.ts';
import { addReadCommand } from './read.ts';
import { addRestoredCommand } from './restored.ts';
import { addSendCommand } from './send.ts';
import { addServing } from './start.ts';
import { addTrustCommands } from './trust.ts';
import { addWhoisCommand } from './whois.ts';

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

/** What an operator can do about keys. */
const KEY_PROBLEMS: Partial<Record<KeystoreError['code'], string>> = {
  'server-key-missing':
    'the server key is not there, but this database was made with one: put it back (see server_key)',
  'server-key-mode': 'the file of the server key can be read by others: chmod 600 it',
  'server-key-form': 'the server key is not 64 lower-case hex digits',
  'unknown-account': 'the keys of this account are not kept here: its owner reads with another client',
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
  const account = addAccountCommands(program, add);
  addInviteCommand(account, add);
  addQuotaCommand(account, add);
  addListCommands(program, add);
  addConnectCommand(account, add);
  addTrustCommands(program, add);
  addQueueCommands(program, add);
  addConformanceCommand(program, add);
  addSendCommand(program, add);
  addReadCommand(program, add);
  addWhoisCommand(program, add);
  addKeyCommands(program, add);
  addProofOfWorkCommands(program, add);
  addRestoredCommand(program, add);
  return program;
}

function withCommonOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'the configuration (default: the variable SMIMP_BRIDGE_CONFIG, else all defaults)')
    .option('--json', 'print JSON')
    .exitOverride();
}
