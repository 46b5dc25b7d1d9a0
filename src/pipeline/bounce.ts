/**
 * Tells a sender by mail what became of a message: that it is late, held, or failed (RFC 3464). The mail is put in the
 * sender's own inbox within the transaction that makes it true.
 */
import type { AccountKeys, Keystore } from '../keystore/keystore.ts';
import type { AlarmKind } from '../mime/bridge-mail.ts';
import { readLegacyData } from '../mime/legacy-data.ts';
import { buildBounce, buildDelay, buildHeld, type NoticeInput } from '../mime/notice.ts';
import { type Address, addressParts, toMailbox } from '../smimp/address.ts';
import type { EmailBody } from '../smimp/email.ts';
import { type Hex32, parseTimestamp, toHex } from '../smimp/encoding.ts';
import { alarmsTold } from '../store/alarms.ts';
import type { Tx } from '../store/database.ts';
import type { Delivery } from '../store/outbound.ts';
import { submissionContent } from '../store/submissions.ts';
import { type Explanation, explain, explainFinal, type NoticeKind, type Reason } from './reasons.ts';
import type { Tell } from './settle.ts';
import { openEmail } from './submission-content.ts';

/** Puts mail of the bridge itself, marked as such, in the inbox of an account, within `tx`. */
export interface Notices {
  deliver(tx: Tx, notice: { accountId: number; kind: NoticeKind; body: EmailBody }): Promise<void>;
}

/** What a notice says as fully as an alarm would: whoever got it is not told again. */
const ALARMS: Partial<Record<Reason, readonly AlarmKind[]>> = {
  'pin-replaced': ['pin-replaced'],
  'pin-forked': ['pin-forked'],
  'pin-truncated': ['pin-truncated'],
  'identity-invalid': ['identity-invalid'],
  // The head beside the history, or beside a message key: to a sender it is the same.
  'head-mismatch': ['head-mismatch', 'identity-invalid'],
};

/** True: it has told whoever was to be told. */
export type GatewayTell = (...told: Parameters<Tell>) => Promise<boolean>;

export const BUILD = { failed: buildBounce, delayed: buildDelay, held: buildHeld } as const;
const DAY_MS = 86_400_000;

/** `gateway`: tells people of the old internet, and those who wrote to them; null where there are none. */
export function createTell(options: { keystore: Keystore; notices: Notices; gatewayTell?: GatewayTell | null }): Tell {
  const { keystore, notices, gatewayTell = null } = options;
  return async (tx, delivery, notice, now) => {
    // Nothing reports on a report, or two servers would go on for ever (RFC 3464 §2).
    if (delivery.is_report || (await gatewayTell?.(tx, delivery, notice, now)) === true) return;
    const { kind, reason } = notice;
    const accountId = delivery.account_id;
    const keys = await keystore.open(accountId, tx);
    const mailbox = toMailbox(delivery.recipient as Address);
    const explanation = kind === 'failed' ? explainFinal(reason, mailbox) : explain(reason, mailbox);
    const input: NoticeInput = {
      sender: keys.address,
      recipient: delivery.recipient as Address,
      status: explanation.status,
      diagnostic: explanation.what,
      explanation: paragraphs(kind, mailbox, explanation, { delivery, now }),
      reporter: addressParts(keys.address).domain,
      arrived: seconds(delivery.submitted_at),
      now: seconds(now),
      until: kind === 'failed' ? null : seconds(delivery.deadline_at),
      original: await original(tx, keys, delivery),
    };
    await notices.deliver(tx, { accountId, kind, body: BUILD[kind](input) });
    const kinds = ALARMS[reason] ?? [];
    await alarmsTold(tx, { accountId, contact: delivery.recipient, kinds, now });
  };
}

export function paragraphs(
  kind: NoticeKind,
  mailbox: string,
  { what, advice }: Explanation,
  { delivery, now }: { delivery: Delivery; now: Date },
): string[] {
  if (kind === 'held') return [`Your message to ${mailbox} is held back. Nothing of it was sent.`, what, advice];
  if (kind === 'delayed') {
    return [`Your message to ${mailbox} is late. It is still being tried; you need not send it again.`, what];
  }
  const expired = now >= delivery.deadline_at;
  const days = Math.round((delivery.deadline_at.getTime() - delivery.submitted_at.getTime()) / DAY_MS);
  const tried = expired && days > 0 ? [`It was tried for ${days} ${days === 1 ? 'day' : 'days'}.`] : [];
  return [`Your message to ${mailbox} was not delivered, and it is not tried any longer.`, what, ...tried, advice];
}

/** What the notice says of the message; of one whose content is gone, that it was there. */
export async function original(tx: Tx, keys: AccountKeys, delivery: Delivery): Promise<NoticeInput['original']> {
  const uid = toHex<Hex32>(delivery.uid);
  const sealed = await submissionContent(tx, delivery.submission_id);
  const body = sealed === null ? null : openEmail(keys, delivery, sealed);
  if (body === null) {
    const known = { subject: '', date_sent: '' as EmailBody['date_sent'], to: [delivery.recipient as Address] };
    return { uid, body: { ...known, thread_id: uid }, messageId: null, date: seconds(delivery.submitted_at) };
  }
  const { message_id: messageId } = readLegacyData(body.extensions_data);
  return { uid, body, messageId, date: parseTimestamp(body.date_sent) };
}

const seconds = (time: Date): number => Math.floor(time.getTime() / 1000);
