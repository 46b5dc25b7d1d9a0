/** The command about how much a mailbox may hold. */
import type { Command } from 'commander';
import { parseSize } from '../config-fields.ts';
import { toMailbox } from '../smimp/address.ts';
import { UNLIMITED } from '../store/quota.ts';
import { accountOf, type CommandContext, withBridge } from './accounts.ts';
import { type Add, where } from './command-line.ts';
import { CommandError, EXIT } from './output.ts';

/** Null: the default. */
function typedQuota(typed: string): number | null {
  if (typed === 'default') return null;
  if (typed === 'unlimited') return UNLIMITED;
  const sizeBytes = parseSize(typed);
  if (sizeBytes === null)
    throw new CommandError(`${typed} is no size such as 5GiB, nor "unlimited" or "default"`, EXIT.badInput);
  return sizeBytes;
}

export async function accountQuota(
  command: CommandContext & { address: string; quota: string | undefined },
): Promise<void> {
  const quota = command.quota === undefined ? undefined : typedQuota(command.quota);
  await withBridge(command.configPath, async (bridge) => {
    const { id, address } = await accountOf(bridge, command.address);
    if (quota !== undefined) await bridge.accounts.setQuota(id, quota);
    const { usedBytes, quotaBytes } = await bridge.accounts.usage(id, bridge.config.limits.quota);
    const limit = quotaBytes === null ? 'no limit' : `${quotaBytes} bytes`;
    const text = `${toMailbox(address)} holds ${usedBytes} bytes; limit: ${limit}`;
    command.output.result({ address, used_bytes: usedBytes, quota_bytes: quotaBytes }, text);
  });
}

export function addQuotaCommand(account: Command, add: Add): void {
  add<[string, string?]>(
    account,
    'quota <address> [size]',
    'Show how much a mailbox holds and may hold, or set it: a size such as 5GiB, "unlimited", or "default".',
    (output, options, address, quota) => accountQuota({ output, ...where(options), address, quota }),
  );
}
