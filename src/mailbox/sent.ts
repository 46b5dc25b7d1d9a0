/**
 * Sent mail, kept once. The bridge keeps what is submitted; many programs put a copy of their own into the folder, before or
 * after. Two copies are one message when they have the same Message-ID, the same people in To and Cc, subject, text and
 * attachments: how they are encoded, Bcc and marks of the program do not count, nor does the date, which mutt writes anew for
 * its copy. The first waits a day for the second, and
 * each is the twin of one other: the same message put in twice by a program is there twice.
 */
import { readLegacyData } from '../mime/legacy-data.ts';
import { headerEnd, headerFields } from '../mime/structure/header-fields.ts';
import { hash } from '../smimp/crypto.ts';
import type { EmailBody } from '../smimp/email.ts';
import { pae, text } from '../smimp/transcript.ts';
import { advanceMailbox } from '../store/accounts.ts';
import type { Tx } from '../store/database.ts';
import { writeFlags } from '../store/flag-changes.ts';
import { lockMailbox } from '../store/folders.ts';
import { shownAmong } from '../store/mailbox.ts';
import { deleteMessages } from '../store/messages.ts';
import { findUnpaired, forgetSentCopy, insertSentCopy, type SentSource } from '../store/sent-copies.ts';
import { changeFlags, withFlags } from './flags.ts';
import { importOwn, type OwnMail } from './import.ts';
import type { MailAccount } from './mail-account.ts';
import { storedFlags, versionedMessage } from './shown-messages.ts';

export const SENT_USE = '\\Sent';
/** Programs upload their copy at once, or when they have a connection again. */
export const SENT_PAIR_MS = 86_400_000;

/** Puts the message into the folder of sent mail, or finds it there; its UID. Takes the mailbox: of two at once one comes first. */
export async function putSent(tx: Tx, mail: OwnMail, source: SentSource): Promise<{ uid: number }> {
  const { account, folderId, now } = mail;
  const digest = sentDigest(account, mail.body);
  if (digest === null) return importOwn(tx, mail);
  await lockMailbox(tx, account.accountId);
  const since = new Date(now.getTime() - SENT_PAIR_MS);
  const wanted = { accountId: account.accountId, folderId, digest, since };
  const twin = await findUnpaired(tx, { ...wanted, source: source === 'append' ? 'submission' : 'append' });
  if (twin !== undefined) return joinTwin(tx, mail, { ...twin, source });
  const before = source === 'submission' ? await findUnpaired(tx, { ...wanted, source }) : undefined;
  // Submitted again, because the answer was lost or to others.
  if (before !== undefined) return { uid: before.seq };
  const has_bcc = hasBcc(mail);
  const put = await importOwn(tx, mail);
  await insertSentCopy(tx, {
    ...{ message_id: put.messageId, account_id: account.accountId, digest, source },
    ...{ has_bcc, saved_at: now },
  });
  return put;
}

/** The one that is there stays, with the flags of both; but only the program's own copy may say who got it blindly. */
async function joinTwin(
  tx: Tx,
  mail: OwnMail,
  twin: { message_id: Buffer; has_bcc: boolean; seq: number; source: SentSource },
): Promise<{ uid: number }> {
  const { account, now } = mail;
  await forgetSentCopy(tx, twin.message_id);
  if (twin.source === 'append' && hasBcc(mail) && !twin.has_bcc) {
    const put = await importOwn(tx, mail);
    await deleteMessages(tx, account.accountId, [twin.message_id], now);
    return put;
  }
  await addFlags(tx, mail, twin.message_id);
  return { uid: twin.seq };
}

async function addFlags(tx: Tx, { account, folderId, flags }: OwnMail, messageId: Buffer): Promise<void> {
  const [row] = await shownAmong(tx, folderId, [messageId]);
  if (row === undefined) return;
  const before = versionedMessage(account, row).message.flags;
  const write = withFlags(account, storedFlags(row), changeFlags(before, { mode: 'add', flags }));
  if (write === null) return;
  const { accountId } = account;
  const { revision } = await advanceMailbox(tx, accountId, { seqs: 0 });
  await writeFlags(tx, { accountId, revision }, [{ messageId, ...write }]);
}

/** Null for mail without a Message-ID: nothing says that two such are one. */
function sentDigest({ keys }: MailAccount, body: EmailBody): Buffer | null {
  const { message_id: messageId } = readLegacyData(body.extensions_data);
  if (messageId === null) return null;
  const people = JSON.stringify([body.to, body.cc]);
  const said = [messageId, people, body.subject, body.body, body.signature_text ?? ''].map(text);
  const files = body.attachments.flatMap(({ file_name, content }) => [text(file_name), hash(text(content))]);
  return keys.blind('sent-copy', pae([...said, ...files]));
}

function hasBcc({ original }: OwnMail): boolean {
  if (original === null) return false;
  const { raw } = original;
  return [...headerFields(raw, 0, headerEnd(raw))].some(({ name }) => name === 'bcc');
}
