/** The commands about the owner's lists: whom she always wants to hear from, and whom never. */
import type { Command } from 'commander';
import { type ListEntry, ListError, type Listed } from '../identity/owner-lists.ts';
import { type Address, isDomain, lowerAscii, toMailbox } from '../smimp/address.ts';
import type { ListName } from '../store/lists.ts';
import { accountOf, type CommandContext, parseTyped, withBridge } from './accounts.ts';
import { type Add, where } from './command-line.ts';
import { CommandError, EXIT, explained, table } from './output.ts';
import { plain } from './plain.ts';

const EXPLANATIONS: Record<ListError['code'], { text: string; exitCode: number }> = {
  full: { text: 'the list is full; remove what is not needed any more', exitCode: EXIT.failed },
  'too-long': { text: 'the note is too long', exitCode: EXIT.badInput },
};
const VERDICTS: Record<ListName, string> = { whitelist: 'allowed', blacklist: 'blocked' };

/** `acme.test`, or an address in any spelling. */
function typedEntry(typed: string): Listed {
  const domain = lowerAscii(typed);
  if (!/[@#]/.test(typed) && isDomain(domain)) return { kind: 'domain', value: domain };
  return { kind: 'address', value: parseTyped(typed) };
}

const spelled = ({ kind, value }: Listed): string => (kind === 'address' ? toMailbox(value as Address) : value);

export async function showLists(command: CommandContext & { account: string }): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const { id } = await accountOf(bridge, command.account);
    const entries = await bridge.accounts.lists.show(id);
    const text = entries.length === 0 ? 'The lists are empty.' : table(['', 'WHO', 'NOTE'], entries.map(row));
    command.output.result(entries, text);
  });
}

function row(entry: ListEntry): string[] {
  const verdict = VERDICTS[entry.list];
  if (entry.state === 'unreadable') return [verdict, `(unreadable: ${entry.hash.slice(0, 16)}…)`, ''];
  return [verdict, spelled(entry), plain(entry.note ?? '').replace(/\s/g, ' ')];
}

export async function putOnList(
  command: CommandContext & { account: string; entry: string; list: ListName; note: string | null },
): Promise<void> {
  const listed = typedEntry(command.entry);
  await withBridge(command.configPath, async (bridge) => {
    const { id } = await accountOf(bridge, command.account);
    const { list, note } = command;
    await explained(bridge.accounts.lists.put(id, { list, listed, note }), ListError, EXPLANATIONS);
    command.output.result({ list, ...listed, note }, `${spelled(listed)} is ${VERDICTS[list]}.`);
  });
}

export async function removeFromLists(command: CommandContext & { account: string; entry: string }): Promise<void> {
  const listed = typedEntry(command.entry);
  await withBridge(command.configPath, async (bridge) => {
    const { id } = await accountOf(bridge, command.account);
    if (!(await bridge.accounts.lists.remove(id, listed)))
      throw new CommandError(`${spelled(listed)} is on no list of this account`, EXIT.notFound);
    command.output.result({ ...listed, removed: true }, `${spelled(listed)} is on no list any more.`);
  });
}

export function addListCommands(program: Command, add: Add): void {
  const list = program
    .command('list')
    .description('Whom an account always takes mail from, without proof of work, and whom never.')
    .exitOverride();
  add<[string]>(list, 'show <account>', 'Show both lists of an account.', (output, options, account) =>
    showLists({ output, ...where(options), account }),
  );
  const putting = { allow: 'whitelist', block: 'blacklist' } as const;
  for (const [verb, name] of Object.entries(putting)) {
    add<[string, string]>(
      list,
      `${verb} <account> <address|domain>`,
      `Put an address, or exactly one domain, on the ${name} (and off the other list).`,
      (output, options, account, entry) => {
        const note = (options.note as string | undefined) ?? null;
        return putOnList({ output, ...where(options), account, entry, list: name, note });
      },
    ).option('--note <text>', 'why; sealed, for the owner only');
  }
  add<[string, string]>(
    list,
    'remove <account> <address|domain>',
    'Take an address or a domain off the lists.',
    (output, options, account, entry) => removeFromLists({ output, ...where(options), account, entry }),
  );
}
