/** `read`: what lies in a mailbox, of any type and in any state, and what is inside the messages that passed every check. */
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { MailboxError, type MailboxErrorCode } from '../mailbox/errors.ts';
import type { InspectedMessage } from '../mailbox/inspect.ts';
import type { OpenedContent } from '../mailbox/rendering.ts';
import { markdownToText } from '../mime/markdown-to-text.ts';
import { type Address, toMailbox } from '../smimp/address.ts';
import type { Attachment, EmailBody, SecretBody } from '../smimp/email.ts';
import { isHex } from '../smimp/encoding.ts';
import { accountOf, type CommandContext, withBridge } from './accounts.ts';
import { type Add, where } from './command-line.ts';
import { CommandError, EXIT, type Explanations, explained, table } from './output.ts';
import { plain } from './plain.ts';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 10_000;
const ID_BYTES = 32;
const SHORT_ID_DIGITS = 12;

const FAULTS: Partial<Explanations<MailboxErrorCode>> = {
  'no-folder': { text: 'there is no such folder', exitCode: EXIT.notFound },
  'bad-folder-name': { text: 'this is not a folder name', exitCode: EXIT.badInput },
  unreadable: { text: 'the secret that opens this message is gone', exitCode: EXIT.failed },
};

async function faults<Result>(work: Promise<Result>): Promise<Result> {
  return explained(work, MailboxError, FAULTS as Explanations<MailboxErrorCode>);
}

export type ReadCommand = CommandContext & { account: string; folder: string | null; limit: number };

export async function listMail(command: ReadCommand): Promise<void> {
  const { folder, limit } = command;
  await withBridge(command.configPath, async (bridge) => {
    const { id: accountId } = await accountOf(bridge, command.account);
    const messages = await faults(bridge.mailbox.inspection.list({ accountId, folder, limit }));
    command.output.result(messages.map(summaryOf), messages.length === 0 ? 'No messages.' : listing(messages));
  });
}

function summaryOf(message: InspectedMessage): object {
  const { messageId, receivedAt, nextAttemptAt, messageType, sizeBytes, ...rest } = message;
  return {
    message_id: messageId.toString('hex'),
    message_type: messageType,
    size_bytes: sizeBytes,
    received: receivedAt.toISOString(),
    next_attempt: nextAttemptAt?.toISOString() ?? null,
    ...rest,
  };
}

function listing(messages: readonly InspectedMessage[]): string {
  const rows = messages.map((message) => [
    message.messageId.toString('hex').slice(0, SHORT_ID_DIGITS),
    message.receivedAt.toISOString().slice(0, 16).replace('T', ' '),
    toMailbox(message.from),
    message.messageType,
    message.folder,
    stateOf(message),
    plain(message.subject ?? ''),
  ]);
  return table(['ID', 'RECEIVED', 'FROM', 'TYPE', 'FOLDER', 'STATE', 'SUBJECT'], rows);
}

function stateOf({ state, reason, read }: InspectedMessage): string {
  if (reason !== null) return `${state} (${reason})`;
  return state === 'shown' && !read ? 'new' : state;
}

/** `id`: the whole id, or its beginning as the list shows it. */
export async function showMail(
  command: CommandContext & { account: string; id: string; bodyTo: string | null },
): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const { id: accountId } = await accountOf(bridge, command.account);
    const { inspection } = bridge.mailbox;
    const everything = await faults(inspection.list({ accountId, folder: null, limit: MAX_LIMIT }));
    const messageId = fullId(command.id, everything);
    const found = await faults(inspection.show({ accountId, messageId }));
    if (found === null) throw new CommandError('there is no such message', EXIT.notFound);
    const { message, opened } = found;
    if (command.bodyTo !== null) await saveBody(command.bodyTo, opened);
    const json = { ...summaryOf(message), ...(opened === null ? { content: null } : contentOf(opened)) };
    command.output.result(json, shownText(message, opened));
  });
}

/** An id typed whole, or by its first digits when these belong to one message only. */
export function fullId(typed: string, messages: readonly InspectedMessage[]): Buffer {
  if (isHex(typed, ID_BYTES)) return Buffer.from(typed, 'hex');
  const found = messages.filter(({ messageId }) => messageId.toString('hex').startsWith(typed));
  const [only] = found;
  if (!/^[0-9a-f]{4,}$/.test(typed) || only === undefined)
    throw new CommandError('there is no such message', EXIT.notFound);
  if (found.length > 1) throw new CommandError('more than one message begins so; give more digits', EXIT.badInput);
  return only.messageId;
}

async function saveBody(path: string, opened: OpenedContent | null): Promise<void> {
  if (opened === null) throw new CommandError('this message was not opened, so it has no body yet', EXIT.failed);
  await writeFile(path, opened.body, { flag: 'wx', mode: 0o600 }).catch((cause: unknown) => {
    throw new CommandError(`${path} cannot be written, or is there already`, EXIT.failed, { cause });
  });
}

function contentOf({ header, content, body, cautions }: OpenedContent): object {
  const value = 'secret_key' in (content.value ?? {}) ? withoutSecret(content.value as SecretBody) : content.value;
  return { cautions, uid: header.uid, sent: header.sent, via: header.via, content: value, body_bytes: body.length };
}

/** A secret is never printed. */
function withoutSecret({ public_key, kind, note }: SecretBody): Omit<SecretBody, 'secret_key'> {
  return { public_key, kind, note };
}

function shownText(message: InspectedMessage, opened: OpenedContent | null): string {
  const head = [
    `id       ${message.messageId.toString('hex')}`,
    `from     ${toMailbox(message.from)}`,
    `received ${message.receivedAt.toISOString()}`,
    `type     ${message.messageType}, ${message.sizeBytes} bytes`,
    `state    ${stateOf(message)}`,
  ];
  if (opened === null) return [...head, '', closedText(message)].join('\n');
  const cautions = opened.cautions.map((caution) => `caution  ${caution}`);
  return [...head, `sent     ${opened.header.sent}`, ...cautions, '', ...bodyText(opened)].join('\n');
}

function closedText({ state, from }: InspectedMessage): string {
  if (state === 'quarantined') return `An invalid message claimed to be from ${toMailbox(from)}. It was not opened.`;
  return 'It is not opened before its sender can be verified.';
}

function bodyText({ content, body }: OpenedContent): string[] {
  switch (content.type) {
    case 'email':
      return emailText(content.value);
    case 'short-message':
      return [plain(content.value.message), ...attachments(content.value.attachments)];
    case 'opaque':
      return [`${body.length} bytes that are not for people; --save writes them to a file.`];
    default:
      return [
        `A secret of kind ${content.value.kind}${content.value.public_key === null ? '' : `, public key ${content.value.public_key}`}.`,
        ...(content.value.note === null ? [] : [`Note: ${plain(content.value.note)}`]),
        'It is not shown and not in use. "keystore accept" takes it in, when it came from yourself.',
      ];
  }
}

function emailText(email: EmailBody): string[] {
  const names = (people: readonly Address[]): string => people.map(toMailbox).join(', ');
  return [
    `To:      ${names(email.to)}`,
    ...(email.cc.length === 0 ? [] : [`Cc:      ${names(email.cc)}`]),
    `Subject: ${plain(email.subject)}`,
    '',
    plain(markdownToText(email.body)),
    ...(email.signature_text === null ? [] : ['-- ', plain(email.signature_text)]),
    ...attachments(email.attachments),
  ];
}

function attachments(list: readonly Attachment[]): string[] {
  return list.map(({ file_name, content_type, content }) => {
    const sizeBytes = Buffer.byteLength(content, 'base64');
    return `[${plain(file_name)}, ${plain(content_type)}, ${sizeBytes} bytes]`;
  });
}

function limitOf(typed: unknown): number {
  const limit = Number(typed);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new CommandError(`--limit is a number from 1 to ${MAX_LIMIT}`, EXIT.usage);
}

const HELP = `
Without an id it lists messages of every type, the newest first, with those that are held (their sender could not be
verified yet) or quarantined (they are not what they claim to be) and the reason. With an id, or the first digits of one, it
prints that message. Nothing is marked as read and no other server is asked.`;

export function addReadCommand(program: Command, add: Add): void {
  add<[string, string?]>(
    program,
    'read <account> [id]',
    'List the mail of an account, or print one message.',
    (output, options, account, id) => {
      const about = { output, ...where(options), account };
      if (id !== undefined) return showMail({ ...about, id, bodyTo: (options.save as string | undefined) ?? null });
      return listMail({
        ...about,
        folder: (options.folder as string | undefined) ?? null,
        limit: limitOf(options.limit),
      });
    },
  )
    .option('--folder <path>', 'only this folder, as mail programs call it: INBOX, Sent, Work/Plans')
    .option('--limit <count>', 'list so many at most', String(DEFAULT_LIMIT))
    .option('--save <file>', 'with an id: write the exact bytes of its body to a new file')
    .addHelpText('after', HELP);
}
