/**
 * Alarms of messages, and telling all alarms by mail in the owner's inbox. The mail and the mark that it was told are one
 * transaction under the mailbox lock: whoever is killed, and however many processes tell, it is told once.
 *
 * Strangers can cause alarms, so there are at most so many mails in a day; what is beyond goes into one mail about many.
 * They cannot use up what is kept for oneself and for each contact whose fingerprint was checked.
 */
import type { Events } from '../events.ts';
import { type About, type Alarm, raise } from '../identity/alarms.ts';
import { type AlarmNotice, buildAlarm, buildAlarms } from '../mime/alarm.ts';
import type { AlarmKind, NoticeKind } from '../mime/bridge-mail.ts';
import type { Address } from '../smimp/address.ts';
import type { EmailBody } from '../smimp/email.ts';
import { toHex } from '../smimp/encoding.ts';
import type { Caution, OpenedMessage } from '../smimp/open.ts';
import { type DueAlarm, hasDueAlarms, lockDueAlarms, markTold, putOff, putOffDue, toldSince } from '../store/alarms.ts';
import type { Db, Tx } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import { inboxId, type StoredMessage } from '../store/messages.ts';
import type { DefaultQuota } from '../store/quota.ts';
import { MailboxError } from './errors.ts';
import { importOwn } from './import.ts';
import type { MailAccount } from './mail-account.ts';
import { newUid } from './notices.ts';

/** Alarms with a mail of their own in a day: more than any honest day has. */
export const MAX_ALARM_MAILS = 10;
/** Of oneself or of one contact whose fingerprint was checked, so many in a day even when those above are used up. */
export const MAX_TRUSTED_MAILS = 3;
const DAY_MS = 86_400_000;
/** What is beyond is gathered for so long before the one mail about many, which comes once a day at most. */
export const GATHER_MS = 3_600_000;
/** Looked at in one transaction. Each is told or put off, so that the next ones come up. */
export const MAX_AT_ONCE = 1_000;
/** What could not be told is tried again after this. */
const AGAIN_AFTER_MS = 600_000;

/** What a message that is shown warns of (SMIMP 0.1 §4.4). Its sender chose the heads, so they make no case of their own. */
export function cautionAlarms({ cautions, header }: OpenedMessage, row: StoredMessage): Alarm[] {
  const { seq, head } = header.recipient_head;
  const alarms: Record<Caution, Alarm> = {
    'retired-key': { kind: 'retired-key', cause: toHex(row.sender_public_key) },
    'recipient-head-stale': { kind: 'recipient-head-stale', cause: String(seq) },
    'recipient-head-unknown': {
      kind: 'recipient-head-unknown',
      cause: '',
      evidence: { message_id: toHex(row.message_id), recipient_head: { seq, head } },
    },
  };
  return cautions.map((caution) => alarms[caution]);
}

/** The kinds that are to be told. */
export async function raiseAll(tx: Tx, about: About, alarms: readonly Alarm[]): Promise<AlarmKind[]> {
  const raised: AlarmKind[] = [];
  for (const alarm of alarms) if (await raise(tx, about, alarm)) raised.push(alarm.kind);
  return raised;
}

interface Services {
  db: Db;
  events: Events;
  clock: () => Date;
  quotaBytes?: DefaultQuota;
}

type Mail = { kind: NoticeKind; body: EmailBody; alarms: number };

/** Tells the owner what is due. What goes wrong is logged and tried again later; mail is opened all the same. */
export async function tellAlarms(
  { db, events, clock, quotaBytes: defaultQuota = null }: Services,
  account: MailAccount,
): Promise<void> {
  const { accountId } = account;
  const now = clock();
  try {
    while (await hasDueAlarms(db, accountId, now)) {
      const mails = await db.transaction().execute((tx) => tell(tx, account, { now, defaultQuota }));
      for (const { kind, alarms } of mails) events.alarmsTold({ accountId, kind, alarms });
    }
  } catch (error) {
    const isFull = error instanceof MailboxError && error.code === 'over-quota';
    if (!isFull) events.unexpected('telling alarms', error);
    await putOffDue(db, accountId, { now, tellAt: new Date(now.getTime() + AGAIN_AFTER_MS) });
  }
}

async function tell(
  tx: Tx,
  account: MailAccount,
  { now, defaultQuota }: { now: Date; defaultQuota: DefaultQuota },
): Promise<Mail[]> {
  const { accountId } = account;
  await lockMailbox(tx, accountId);
  const due = await lockDueAlarms(tx, accountId, now, MAX_AT_ONCE);
  const told = await toldSince(tx, accountId, new Date(now.getTime() - DAY_MS));
  const { single, gathered, beyond } = divide(due, account.address, told.mails);
  const lastMs = told.lastSummary?.getTime() ?? null;
  const nextSummary = new Date(lastMs === null ? now.getTime() + GATHER_MS : lastMs + DAY_MS);
  await putOff(tx, idsOf(beyond), { tellAt: nextSummary, summed: true });
  if (lastMs !== null) await putOff(tx, idsOf(gathered), { tellAt: nextSummary, summed: true });
  const together = lastMs === null ? gathered : [];
  const mails = [...single.map((alarm) => alarmMail(account, alarm, now)), ...summaryMail(account, together, now)];
  const folderId = await inboxId(tx, accountId);
  for (const { kind: notice, body } of mails) {
    await importOwn(tx, {
      account,
      folderId,
      uid: newUid(),
      body,
      flags: [],
      original: null,
      notice,
      now,
      defaultQuota,
    });
  }
  await markTold(tx, idsOf(single), { by: 'mail', now });
  await markTold(tx, idsOf(together), { by: 'summary', now });
  return mails;
}

/** `gathered` waited for the mail about many already. `told`: mails of the last day, by contact. */
function divide(due: readonly DueAlarm[], owner: Address, told: ReadonlyMap<string, number>) {
  const divided = { single: [] as DueAlarm[], gathered: [] as DueAlarm[], beyond: [] as DueAlarm[] };
  const mails = new Map(told);
  let free = MAX_ALARM_MAILS - [...told.values()].reduce((sum, count) => sum + count, 0);
  for (const alarm of due) {
    const before = mails.get(alarm.contact) ?? 0;
    const trusted = alarm.verified || alarm.contact === owner;
    const own = !alarm.summed && (free > 0 || (trusted && before < MAX_TRUSTED_MAILS));
    if (own) {
      mails.set(alarm.contact, before + 1);
      free -= 1;
    }
    divided[alarm.summed ? 'gathered' : own ? 'single' : 'beyond'].push(alarm);
  }
  return divided;
}

const idsOf = (alarms: readonly DueAlarm[]): number[] => alarms.map(({ id }) => id);

function noticeOf({ address }: MailAccount, alarm: DueAlarm, now: Date): AlarmNotice {
  const { kind, cause, contact, times, first_at: since } = alarm;
  const people = { owner: address, contact: contact as Address };
  return { kind, cause, ...people, times, since: seconds(since), now: seconds(now) };
}

function alarmMail(account: MailAccount, alarm: DueAlarm, now: Date): Mail {
  return { kind: alarm.kind, body: buildAlarm(noticeOf(account, alarm, now), newUid()), alarms: 1 };
}

function summaryMail(account: MailAccount, alarms: readonly DueAlarm[], now: Date): Mail[] {
  if (alarms.length === 0) return [];
  const notices = alarms.map((alarm) => noticeOf(account, alarm, now));
  return [{ kind: 'alarms', body: buildAlarms(notices, newUid()), alarms: alarms.length }];
}

const seconds = (time: Date): number => Math.floor(time.getTime() / 1000);
