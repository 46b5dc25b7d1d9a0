/** `send`: a message from the terminal, by the same way as mail from a mail program: accepted, queued, delivered. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Bridge } from '../bridge.ts';
import { AcceptError, MAX_BODY_BYTES, type ReadySubmission, type Submitted } from '../pipeline/accept.ts';
import type { QueueEntry } from '../pipeline/queue-operations.ts';
import { explain, type Reason } from '../pipeline/reasons.ts';
import { type Address, fromMailbox, toMailbox } from '../smimp/address.ts';
import { serializeBody } from '../smimp/email.ts';
import { ProfileError } from '../smimp/errors.ts';
import { accountOf, type CommandContext, parseTyped, withBridge } from './accounts.ts';
import { type Add, where } from './command-line.ts';
import { type Input, readAll, readFileBounded } from './input.ts';
import { CommandError, EXIT, table } from './output.ts';

/** As long as a mail program waits for an answer at RCPT. */
const RECIPIENT_TIMEOUT_MS = 10_000;
/** How long `--wait` waits when it is not told. */
const DEFAULT_WAIT_SECONDS = 60;
const POLL_MS = 200;
const MAX_DELIVERIES = 1_000;
const CUSTOM_TYPE = /^x-custom-[a-z0-9-]{1,48}$/;

export type SendCommand = CommandContext & {
  from: string;
  to: readonly string[];
  type: string;
  subject: string | null;
  /** Null: the body comes from `input`. */
  file: string | null;
  input: Input;
  waitSeconds: number | null;
};

export async function sendMessage(command: SendCommand): Promise<void> {
  const { type, subject, file, input } = command;
  if (type !== 'email' && subject !== null) throw new CommandError('only an email has a subject', EXIT.usage);
  const body = await (file === null ? readAll(input, MAX_BODY_BYTES) : readFileBounded(file, MAX_BODY_BYTES));
  await withBridge(command.configPath, async (bridge) => {
    const { id: accountId, address: from } = await accountOf(bridge, command.from);
    const named = await Promise.all(command.to.map((typed) => recipientOf(bridge, typed)));
    const recipients = [...new Set(named)];
    for (const recipient of recipients) await checkRecipient(bridge, accountId, recipient);
    const common = { accountId, from, recipients, now: new Date() };
    const submitted = await submission(common, { type, subject, body });
    const { submissionId } = await bridge.pipeline.accept(submitted).catch(refusedBody);
    const entries =
      command.waitSeconds === null
        ? await entriesOf(bridge, submissionId)
        : await outcome(bridge, submissionId, command.waitSeconds);
    command.output.result(entries.map(described), describe(entries));
    if (command.waitSeconds !== null) checkOutcome(entries);
  });
}

/** An SMIMP address, or whom a mailbox of the old internet stands for where the configuration has a gateway. */
async function recipientOf({ pipeline }: Bridge, typed: string): Promise<Address> {
  if (typed.includes('#')) return parseTyped(typed);
  const ask = { mailbox: typed, native: addressOrNull(typed), timeoutMs: RECIPIENT_TIMEOUT_MS };
  return (await pipeline.recipientOf(ask)) ?? parseTyped(typed);
}

function addressOrNull(typed: string): Address | null {
  try {
    return fromMailbox(typed);
  } catch (error) {
    if (error instanceof ProfileError) return null;
    throw error;
  }
}

async function checkRecipient(bridge: Bridge, accountId: number, recipient: Address): Promise<void> {
  const ask = { accountId, recipient, timeoutMs: RECIPIENT_TIMEOUT_MS };
  const reason = await bridge.pipeline.checkRecipient(ask);
  if (reason !== null) throw new CommandError(sentenceOf(reason, recipient), EXIT.failed);
}

function sentenceOf(reason: Reason, recipient: Address): string {
  const { what, advice } = explain(reason, toMailbox(recipient));
  return `${what} ${advice}`;
}

type Common = Omit<Submitted, 'raw'>;

async function submission(
  common: Common,
  { type, subject, body }: { type: string; subject: string | null; body: Buffer },
): Promise<Submitted | ReadySubmission> {
  if (type === 'email') return { ...common, raw: await mailOf(common, subject ?? '', body.toString('utf8')) };
  if (type === 'short-message') {
    const message = body.toString('utf8').replace(/\r?\n$/, '');
    return { ...common, messageType: type, body: shortMessage(message) };
  }
  if (CUSTOM_TYPE.test(type)) return { ...common, messageType: type, body };
  throw new CommandError('the type is email, short-message or x-custom-…', EXIT.usage);
}

function shortMessage(message: string): Uint8Array {
  try {
    return serializeBody('short-message', { message, attachments: [] });
  } catch (cause) {
    if (!(cause instanceof ProfileError)) throw cause;
    throw new CommandError('the text has characters that no message may have', EXIT.badInput, { cause });
  }
}

async function mailOf({ from, recipients, now }: Common, subject: string, text: string): Promise<Buffer> {
  const people = { from: toMailbox(from), to: recipients.map(toMailbox) };
  const { default: MailComposer } = await import('nodemailer/lib/mail-composer/index.js');
  return new MailComposer({ ...people, subject, text, date: now }).compile().build();
}

function refusedBody(cause: unknown): never {
  if (cause instanceof AcceptError && cause.code === 'too-large') {
    throw new CommandError('the message is too large for an SMIMP server', EXIT.badInput, { cause });
  }
  throw cause;
}

function entriesOf({ pipeline }: Bridge, submissionId: number): Promise<QueueEntry[]> {
  return pipeline.operations.list({ state: 'all', limit: MAX_DELIVERIES, submissionId });
}

const waits = ({ finished_at, stage }: QueueEntry): boolean => finished_at === null && stage !== 'held';

/** Works on it here and now, beside whatever worker there is, until it is over, held, or late. */
async function outcome(bridge: Bridge, submissionId: number, waitSeconds: number): Promise<QueueEntry[]> {
  const signal = AbortSignal.timeout(waitSeconds * 1000);
  for (;;) {
    const entries = await entriesOf(bridge, submissionId);
    if (signal.aborted || !entries.some(waits)) return entries;
    await Promise.all(entries.filter(waits).map(({ id }) => bridge.pipeline.run(id, signal)));
    await sleep(POLL_MS);
  }
}

/** Ends with an error unless every copy arrived. */
function checkOutcome(entries: readonly QueueEntry[]): void {
  const missing = entries.filter(({ stage }) => stage !== 'done');
  if (missing.length === 0) return;
  const sentences = missing.map(({ error_code, recipient }) =>
    error_code === null
      ? `The message to ${toMailbox(recipient as Address)} is still under way.`
      : sentenceOf(error_code as Reason, recipient as Address),
  );
  const isOver = missing.every((entry) => entry.finished_at !== null);
  throw new CommandError(sentences.join('\n'), isOver ? EXIT.failed : EXIT.unavailable);
}

function described({ id, recipient, stage, error_code, message_id, zero_bits }: QueueEntry): object {
  return { delivery: id, recipient, stage, reason: error_code, message_id, zero_bits };
}

function describe(entries: readonly QueueEntry[]): string {
  const rows = entries.map(({ id, recipient, stage, error_code }) => [
    String(id),
    toMailbox(recipient as Address),
    stage,
    error_code ?? '',
  ]);
  return table(['DELIVERY', 'TO', 'STAGE', 'WHY'], rows);
}

function waitSecondsOf(wait: unknown): number | null {
  if (wait === undefined) return null;
  if (wait === true) return DEFAULT_WAIT_SECONDS;
  if (typeof wait === 'string' && /^[1-9]\d{0,4}$/.test(wait)) return Number(wait);
  throw new CommandError('--wait takes a number of seconds', EXIT.usage);
}

const HELP = `
The body is read from standard input, or from --file. An email's body is plain text; a short message is text; the body of
an x-custom-… message is any bytes. The message is accepted and queued as if a mail program had sent it; a running bridge
delivers it. With --wait the command works on it too, and tells how it ended.

  echo "See you at nine." | smimp-bridge send alice@home.test bob@corp.test --subject Tomorrow --wait
  smimp-bridge send alice@home.test bob@corp.test --type x-custom-chess --file move.bin

Ends with 0 when it was queued (with --wait: when every copy arrived), 1 when it can never arrive, 69 when it is still
under way or held after the wait.`;

export function addSendCommand(program: Command, add: Add): void {
  add<[string, string[]]>(
    program,
    'send <from> <to...>',
    'Send a message from an account of this bridge.',
    (output, options, from, to) =>
      sendMessage({
        output,
        ...where(options),
        ...{ from, to },
        type: String(options.type),
        subject: (options.subject as string | undefined) ?? null,
        file: (options.file as string | undefined) ?? null,
        input: process.stdin,
        waitSeconds: waitSecondsOf(options.wait),
      }),
  )
    .option('--type <type>', 'email, short-message or x-custom-…', 'email')
    .option('--subject <text>', 'the subject of an email')
    .option('--file <path>', 'read the body from this file')
    .option('--wait [seconds]', `wait until it is over (default: ${DEFAULT_WAIT_SECONDS} seconds)`)
    .addHelpText('after', HELP);
}
