/** The command that takes an account elsewhere into use here. */
import type { Command } from 'commander';
import { MirrorError, type MirrorErrorCode } from '../mirror/errors.ts';
import { RemoteError } from '../remote/errors.ts';
import { addressParts, toMailbox } from '../smimp/address.ts';
import { newPassword, parseTyped, refuseAtGateway, withBridge } from './accounts.ts';
import { type Add, where } from './command-line.ts';
import { readLine } from './input.ts';
import { CommandError, EXIT, explained, type Output, table } from './output.ts';

const EXPLANATIONS: Readonly<Record<MirrorErrorCode, { text: string; exitCode: number }>> = {
  'no-smimp': { text: 'the domain of this address does not speak SMIMP', exitCode: EXIT.notFound },
  unreachable: {
    text: 'the server of this domain cannot be reached; try the same command again',
    exitCode: EXIT.unavailable,
  },
  exists: { text: 'this account is here already', exitCode: EXIT.failed },
  'wrong-code': {
    text: 'the server does not take this code for this address: check both, or ask its operator for another code',
    exitCode: EXIT.failed,
  },
  'other-identity': {
    text: 'the account is in use elsewhere with other keys; only its operator can help',
    exitCode: EXIT.failed,
  },
  'foreign-key': { text: 'the server shows a key that is not yours', exitCode: EXIT.failed },
  unreadable: { text: 'what is stored here does not open', exitCode: EXIT.failed },
  restless: { text: 'the mailbox changes all the time; try again', exitCode: EXIT.unavailable },
};

export async function connectAccount(command: {
  output: Output;
  configPath: string | undefined;
  typed: string;
  code: string | null;
  name: string | null;
}): Promise<void> {
  const address = parseTyped(command.typed);
  const code = command.code ?? (await readLine(process.stdin)).trim();
  if (!/^[\x21-\x7e]{1,1024}$/.test(code))
    throw new CommandError('no one-time code on standard input, and none with --code', EXIT.badInput);
  const password = newPassword();
  await withBridge(command.configPath, async (bridge) => {
    refuseAtGateway(bridge);
    if (bridge.config.domains.includes(addressParts(address).domain))
      throw new CommandError(`${toMailbox(address)} lives here: account add makes it`, EXIT.badInput);
    await explained(
      bridge.elsewhere.connect({ address, code, password, name: command.name }).catch(unreachable),
      MirrorError,
      EXPLANATIONS,
    );
    const { fingerprint } = await bridge.accounts.fingerprint(address);
    const text = [
      `user name    ${toMailbox(address)}`,
      `password     ${password}   (shown this once; for your mail program, not for the server)`,
      `fingerprint  ${fingerprint}`,
    ];
    command.output.result({ address, mailbox: toMailbox(address), fingerprint, password }, text.join('\n'));
  });
}

/** Nothing is lost: what was made here is used by the next try. */
function unreachable(cause: unknown): never {
  if (cause instanceof RemoteError && cause.apiCode === 'too_many_requests')
    throw new CommandError('too many wrong codes; ask the operator of the server', EXIT.failed, { cause });
  if (cause instanceof RemoteError) throw new MirrorError('unreachable', { cause });
  throw cause;
}

async function listMirrored(output: Output, configPath: string | undefined): Promise<void> {
  await withBridge(configPath, async (bridge) => {
    const found = (await bridge.elsewhere.list()).map((account) => ({
      mailbox: toMailbox(account.address),
      home: account.baseUrl,
      synced: account.syncedAt?.toISOString() ?? null,
      state: account.published ? (account.errorCode ?? 'ok') : 'not connected yet',
    }));
    const rows = found.map(({ mailbox, home, synced, state }) => [mailbox, home, synced ?? 'never', state]);
    output.result(found, table(['ACCOUNT', 'HOME', 'BOTH SIDES AGREED', 'STATE'], rows));
  });
}

export function addConnectCommand(account: Command, add: Add): void {
  add<[string]>(
    account,
    'connect <address>',
    'Use an account that lives on another server, with its one-time code from standard input.',
    (output, options, typed) =>
      connectAccount({
        output,
        ...where(options),
        typed,
        code: (options.code as string | undefined) ?? null,
        name: (options.name as string | undefined) ?? null,
      }),
  )
    .option('--code <code>', 'the code, where nobody else can see the command line')
    .option('--code-stdin', 'take the code from the first line of standard input (the default)')
    .option('--name <name>', 'the name others see in the identity record');
  add(
    account,
    'mirrors',
    'List accounts that live on other servers, and how far their mirrors are.',
    (output, options) => listMirrored(output, where(options).configPath),
  );
}
