/** The commands about mail on its way out. */
import type { Command } from 'commander';
import type { QueueEntry, QueueErrorCode } from '../pipeline/queue-operations.ts';
import { QueueError } from '../pipeline/queue-operations.ts';
import { type Address, toMailbox } from '../smimp/address.ts';
import { type CommandContext, withBridge } from './accounts.ts';
import { type Add, where } from './command-line.ts';
import { CommandError, EXIT, explained, table } from './output.ts';

const LIST_LIMIT = 1_000;

const EXPLANATIONS: Record<QueueErrorCode, { text: string; exitCode: number }> = {
  'unknown-delivery': { text: 'there is no such delivery', exitCode: EXIT.notFound },
  ended: { text: 'this delivery is over', exitCode: EXIT.failed },
  busy: { text: 'this delivery is being worked on; try again', exitCode: EXIT.unavailable },
};

function parseId(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new CommandError(`${text} is not the number of a delivery`, EXIT.badInput);
  return Number(text);
}

const mailboxOf = (address: string): string => toMailbox(address as Address);

export async function listQueue(command: CommandContext & { all: boolean }): Promise<void> {
  await withBridge(command.configPath, async ({ pipeline }) => {
    const state = command.all ? 'all' : 'active';
    const entries = await pipeline.operations.list({ state, limit: LIST_LIMIT });
    const text = entries.length === 0 ? 'Nothing is under way.' : table(HEADER, entries.map(row));
    command.output.result(entries, text);
  });
}

const HEADER = ['ID', 'FROM', 'TO', 'STAGE', 'TRIES', 'WHY', 'NEXT TRY', 'GIVES UP'];

function row(entry: QueueEntry): string[] {
  return [
    String(entry.id),
    mailboxOf(entry.sender),
    mailboxOf(entry.recipient),
    entry.stage,
    String(entry.attempts),
    entry.error_code ?? '',
    entry.next_attempt_at?.toISOString() ?? '',
    entry.finished_at === null ? entry.deadline_at.toISOString() : '',
  ];
}

export async function showDelivery(command: CommandContext & { id: string }): Promise<void> {
  await withBridge(command.configPath, async ({ pipeline }) => {
    const shown = await explained(pipeline.operations.show(parseId(command.id)), QueueError, EXPLANATIONS);
    const events = shown.timeline.map(({ at, stage, outcome, detail }) => [
      at.toISOString(),
      stage,
      outcome,
      detail === null ? '' : JSON.stringify(detail),
    ]);
    const text = `${table(HEADER, [row(shown)])}\n\n${table(['AT', 'STAGE', 'OUTCOME', 'DETAIL'], events)}`;
    command.output.result(shown, text);
  });
}

export async function retryDelivery(command: CommandContext & { id: string }): Promise<void> {
  await withBridge(command.configPath, async ({ pipeline }) => {
    const entry = await explained(pipeline.operations.retry(parseId(command.id)), QueueError, EXPLANATIONS);
    command.output.result(entry, `Delivery ${entry.id} is tried again now.`);
  });
}

export async function cancelDelivery(command: CommandContext & { id: string }): Promise<void> {
  await withBridge(command.configPath, async ({ pipeline }) => {
    const entry = await explained(pipeline.operations.cancel(parseId(command.id)), QueueError, EXPLANATIONS);
    command.output.result(entry, `Delivery ${entry.id} is cancelled; nothing more is sent.`);
  });
}

export function addQueueCommands(program: Command, add: Add): void {
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
