/** The command for whoever put an old copy of the database in the place of the one in use. */
import type { Command } from 'commander';
import { type CommandContext, withBridge } from './accounts.ts';
import { type Add, where } from './command-line.ts';

export async function restored({ output, configPath }: CommandContext): Promise<void> {
  await withBridge(configPath, async (bridge) => {
    const mailboxes = await bridge.highWaterMark.renew();
    const what = mailboxes === 1 ? 'One mailbox begins' : `${mailboxes} mailboxes begin`;
    output.result({ mailboxes }, `${what} anew: mail programs and clients will load again what is there.`);
  });
}

export function addRestoredCommand(program: Command, add: Add): void {
  add(
    program,
    'restored',
    'Say that the database was restored from a backup: clients load their mailboxes again instead of mixing two pasts.',
    (output, options) => restored({ output, ...where(options) }),
  );
}
