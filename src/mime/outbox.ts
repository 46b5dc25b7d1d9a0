/**
 * A message that says how far another one is on its way: what mail programs are shown of mail that was not sent yet. Small,
 * and always the same for the same state.
 */
import { Buffer } from 'node:buffer';
import { type Address, toMailbox } from '../smimp/address.ts';
import type { EmailBody } from '../smimp/email.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { formatMailDate } from './date.ts';
import { addressField, textField, tokenField } from './headers.ts';
import { readLegacyData } from './legacy-data.ts';
import { markdownToText } from './markdown-to-text.ts';
import { textEntity, writeMessage } from './mime-writer.ts';
import { cleanLine, cleanText, truncate } from './text.ts';
import { renderedMessageId } from './threads.ts';

export type OutboxState = 'queued' | 'retrying' | 'held' | 'cancelled';

export interface OutboxRecipient {
  /** As mail programs spell it. */
  mailbox: string;
  /** Why it is not sent yet, and what can be done; null when there is nothing to say. */
  reason: { what: string; advice: string } | null;
  /** Unix seconds; null when nothing is to be said of it. */
  nextAttempt: number | null;
}

export interface OutboxInput {
  sender: Address;
  state: OutboxState;
  recipients: readonly OutboxRecipient[];
  /** Unix seconds. */
  submitted: number;
  /** Unix seconds: it is given up then. */
  deadline: number;
  /** Names this state of this message. */
  fingerprint: Hex32;
  /** The message on its way; `body` null when it is none that people read. */
  original: { uid: Hex32; body: EmailBody | null };
}

/** Says which state it is, for programs. */
export const OUTBOX_FIELD = 'X-SMIMP-Outbox';
/** Enough to know the message by; the whole of it is in the folder of sent mail. */
const MAX_TEXT_CHARS = 20_000;
const MAX_SUBJECT_CHARS = 500;
const MAX_NAMES = 100;

const STATES: Readonly<Record<OutboxState, string>> = {
  queued: 'This message is waiting to be sent.',
  retrying: 'This message could not be sent yet. It will be tried again.',
  held: 'This message is held back. Nothing of it was sent to the people named here.',
  cancelled: 'This message was cancelled. It is not sent to the people named here.',
};
const HOW_TO_CANCEL = 'Delete it here to cancel it: it then does not go to anybody to whom it was not handed over yet.';

export function buildOutboxMessage(input: OutboxInput): Buffer {
  const { body, uid } = input.original;
  const originalId = (body && readLegacyData(body.extensions_data).message_id) ?? renderedMessageId(uid);
  const fields = [
    tokenField('Date', formatMailDate(input.submitted).split(' ')),
    addressField('From', [{ name: '', address: toMailbox(input.sender) }]),
    ...peopleFields(input),
    textField('Subject', truncate(cleanLine(body?.subject ?? ''), MAX_SUBJECT_CHARS)),
    tokenField('Message-ID', [`<${input.fingerprint}.outbox@smimp.invalid>`]),
    tokenField('References', [originalId]),
    tokenField(OUTBOX_FIELD, [input.state]),
  ];
  return writeMessage(fields, textEntity('text/plain', textOf(input)), Buffer.from(input.fingerprint, 'hex'));
}

function peopleFields({ recipients, original: { body } }: OutboxInput): string[] {
  const list = (name: string, addresses: readonly string[]): string[] =>
    addresses.length === 0
      ? []
      : [
          addressField(
            name,
            addresses.slice(0, MAX_NAMES).map((address) => ({ name: '', address })),
          ),
        ];
  if (body === null)
    return list(
      'To',
      recipients.map(({ mailbox }) => mailbox),
    );
  return [...list('To', body.to.map(toMailbox)), ...list('Cc', body.cc.map(toMailbox))];
}

function textOf({ state, recipients, deadline, original }: OutboxInput): string {
  const ends =
    state === 'cancelled'
      ? []
      : [`If it cannot be sent, it is given up on ${formatMailDate(deadline)}.`, HOW_TO_CANCEL];
  const shown = original.body === null ? [] : ['The message:', messageText(original.body)];
  return `${[STATES[state], ...recipients.map(recipientText), ...ends, ...shown].join('\n\n')}\n`;
}

function recipientText({ mailbox, reason, nextAttempt }: OutboxRecipient): string {
  return [
    `To ${mailbox}`,
    ...(reason === null ? [] : [`  ${reason.what} ${reason.advice}`.trimEnd()]),
    ...(nextAttempt === null ? [] : [`  Next try: ${formatMailDate(nextAttempt)}`]),
  ].join('\n');
}

function messageText({ body, attachments }: EmailBody): string {
  const names = attachments.map(({ file_name }) => cleanLine(file_name ?? '')).slice(0, MAX_NAMES);
  const attached = names.length === 0 ? [] : [`Attached: ${names.join(', ')}`];
  return [truncate(cleanText(markdownToText(body)), MAX_TEXT_CHARS), ...attached].join('\n\n');
}
