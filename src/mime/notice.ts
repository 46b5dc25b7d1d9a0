/**
 * Mail from the bridge itself about a message that is late, held or refused. It is an `email` body like any other, to be
 * sealed to the sender's own key; what makes it a report (RFC 3464) stands in `extensions_data` and is believed only in
 * mail that the bridge marked as its own (mailbox/bridge-mark.ts).
 */
import type { Address } from '../smimp/address.ts';
import { toMailbox } from '../smimp/address.ts';
import type { EmailBody } from '../smimp/email.ts';
import { formatTimestamp, type Hex32 } from '../smimp/encoding.ts';
import { formatMailDate } from './date.ts';
import { EMPTY_LEGACY_DATA, type LegacyData, type Report } from './legacy-data.ts';
import { cleanLine, truncate } from './text.ts';
import { textToMarkdown } from './text-to-markdown.ts';
import { renderedMessageId, threadIdOf } from './threads.ts';

export interface NoticeInput {
  /** Who is told: the sender of the message that the notice is about. */
  sender: Address;
  recipient: Address;
  /** How the recipient is spelled for people, where that is not the address: a mailbox of the old internet. */
  mailbox?: string;
  /** RFC 3463, such as `5.1.1`. */
  status: string;
  /** One line for programs. */
  diagnostic: string;
  /** Whose words the line is (RFC 3464 §2.3.6): ours, unless a mail server said them. */
  diagnosticType?: Report['diagnostic_type'];
  /** What happened and what to do, in paragraphs, for people. */
  explanation: readonly string[];
  /** Host name of the bridge. */
  reporter: string;
  /** Unix seconds. */
  arrived: number;
  now: number;
  /** Unix seconds: how long it is tried; null when it is over. */
  until: number | null;
  /** The message that the notice is about. */
  original: {
    uid: Hex32;
    body: Pick<EmailBody, 'subject' | 'date_sent' | 'to' | 'thread_id'>;
    messageId: string | null;
    date: number;
  };
}

const SUBJECTS: Readonly<Record<Report['kind'], string>> = {
  failed: 'Not delivered',
  delayed: 'Delayed, still being tried',
  held: 'Held back: check who you are writing to',
};

/** The message will not be delivered. */
export const buildBounce = (input: NoticeInput): EmailBody => buildNotice('failed', input);
/** The message is late and still tried. */
export const buildDelay = (input: NoticeInput): EmailBody => buildNotice('delayed', input);
/** The message waits for a person: an identity alarm, or too much work asked. */
export const buildHeld = (input: NoticeInput): EmailBody => buildNotice('held', input);

function buildNotice(kind: Report['kind'], input: NoticeInput): EmailBody {
  const { original, now } = input;
  const subject = truncate(cleanLine(original.body.subject), 200);
  const originalId = original.messageId ?? renderedMessageId(original.uid);
  const report: Report = {
    kind,
    recipient: input.mailbox ?? toMailbox(input.recipient),
    status: input.status,
    diagnostic: cleanLine(input.diagnostic),
    diagnostic_type: input.diagnosticType ?? 'x-smimp',
    arrived: input.arrived,
    reported: now,
    reporter: input.reporter,
    until: input.until,
    original: {
      message_id: originalId,
      subject,
      date: original.date,
      to: original.body.to.slice(0, 100).map(toMailbox),
    },
  };
  const legacy: LegacyData = { ...EMPTY_LEGACY_DATA, in_reply_to: originalId, references: [originalId], report };
  return {
    to: [input.sender],
    cc: [],
    subject: `${SUBJECTS[kind]}: ${subject}`,
    thread_id: original.body.thread_id ?? threadIdOf(originalId),
    reply_to_message_id: original.uid,
    date_sent: formatTimestamp(now),
    body: textToMarkdown([...input.explanation, ...facts(report)].join('\n\n')),
    signature_text: null,
    attachments: [],
    extensions_data: { smimp_bridge: legacy },
    reply_to: null,
    auto_reply_address: null,
  };
}

function facts({ recipient, original, diagnostic, status, until }: Report): string[] {
  const lines = [
    `To: ${recipient}`,
    `Subject: ${original.subject}`,
    `Sent: ${formatMailDate(original.date)}`,
    `Reason: ${diagnostic} (${status})`,
    ...(until === null ? [] : [`Tried until: ${formatMailDate(until)}`]),
  ];
  return [lines.join('\n')];
}
