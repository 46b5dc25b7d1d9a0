/** One-time codes (SMIMP 0.1 §5: `initialize_account`) for people whose keys live in a client elsewhere. */
import type { Command } from 'commander';
import { toMailbox } from '../smimp/address.ts';
import { type CommandContext, newAddress, randomGroups, withBridge } from './accounts.ts';
import { type Add, where } from './command-line.ts';
import { CommandError, EXIT } from './output.ts';

/** 7 × 4 of 31 characters are 138 bits. */
const CODE_GROUPS = 7;

export async function inviteAccount(command: CommandContext & { address: string }): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const address = newAddress(bridge, command.address);
    const code = randomGroups(CODE_GROUPS);
    if (!(await bridge.accounts.invite({ address, code })))
      throw new CommandError(`${toMailbox(address)} exists and has its keys already`, EXIT.failed);
    const text = [
      `address  ${address}`,
      `server   ${bridge.config.base_url}`,
      `code     ${code}   (shown this once; five tries)`,
    ];
    command.output.result({ address, base_url: bridge.config.base_url, code }, text.join('\n'));
  });
}

export function addInviteCommand(account: Command, add: Add): void {
  add<[string]>(
    account,
    'invite <address>',
    'Make an account whose keys a client elsewhere makes; prints its one-time code. Again: a new code.',
    (output, options, address) => inviteAccount({ output, ...where(options), address }),
  );
}
