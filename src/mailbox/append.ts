/** Mail that a mail program puts in: one message by one statement, where nothing speaks against it, others in a transaction. */
import { setImmediate as turn } from 'node:timers/promises';
import { referenceOf } from '../keystore/references.ts';
import { freeParts } from '../memory/free-parts.ts';
import { parseMail } from '../mime/parse.ts';
import { parentMessageId, toEmailBody } from '../mime/to-email.ts';
import type { EmailBody } from '../smimp/email.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';
import { findReference } from '../store/contents.ts';
import type { Db, Tx } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import { deleteMessages } from '../store/messages.ts';
import type { DefaultQuota } from '../store/quota.ts';
import { MailboxError } from './errors.ts';
import type { Folder } from './folder-tree.ts';
import { importAtOnce, importOwn, type OwnMail, readyAtOnce } from './import.ts';
import type { MailAccount } from './mail-account.ts';
import { newUid } from './notices.ts';
import { currentSetup, knownSetup, type Target } from './own-setup.ts';
import { putSent, SENT_USE } from './sent.ts';
import { rowIds, stillThere } from './still-there.ts';
import type { AccountMailbox, NewMail, ShownMessage } from './types.ts';

export interface AppendOptions {
  db: Db;
  clock: () => Date;
  quotaBytes?: DefaultQuota;
}

type Appending = Parameters<AccountMailbox['append']>[0];
type Appended = Awaited<ReturnType<AccountMailbox['append']>>;

/** All of them or none: see AccountMailbox. */
export async function append(options: AppendOptions, account: MailAccount, mail: Appending): Promise<Appended> {
  const { db, clock, quotaBytes: defaultQuota = null } = options;
  const { folder: to, more = [], replaces, ...first } = mail;
  // Before there is any work in it.
  const { setup, folder } = await knownSetup(db, account, to);
  const mails: Unplaced[] = [];
  for (const one of [first, ...more]) {
    mails.push({ account, notice: null, now: clock(), defaultQuota, ...(await prepareMail(options, account, one)) });
  }
  const [only] = mails;
  const isOne = only !== undefined && mails.length === 1 && replaces === undefined && !isSentFolder(folder);
  const ready = isOne ? readyAtOnce(only) : null;
  if (only === undefined || ready === null) return appendHeld(options, { account, to, mails, replaces });
  const own = { ...only, ready };
  const put = await importAtOnce(db, { ...own, folderId: folder.id }, setup.means);
  return put === null ? appendHeld(options, { account, to, mails: [own] }) : appended(folder, [put.uid]);
}

type Unplaced = Omit<OwnMail, 'folderId'>;
type Replaced = { message: ShownMessage; folder: Folder };

const appended = (folder: Folder, uids: number[]): Appended => ({ folder, uidValidity: folder.uidValidity, uids });
const isSentFolder = ({ specialUse }: Folder): boolean => specialUse === SENT_USE;

/** By what is found once the mailbox is held. */
function appendHeld(
  { db, clock }: AppendOptions,
  work: { account: MailAccount; to: Target; mails: readonly Unplaced[]; replaces?: Replaced | undefined },
): Promise<Appended> {
  const { account, to, mails, replaces } = work;
  return db.transaction().execute(async (tx) => {
    await lockMailbox(tx, account.accountId);
    const { folder } = await currentSetup(tx, account, to);
    // What takes the place of another message is not what was sent.
    const isSent = isSentFolder(folder) && replaces === undefined;
    const uids: number[] = [];
    for (const mail of mails) {
      const own = { ...mail, folderId: folder.id };
      uids.push((isSent ? await putSent(tx, own, 'append') : await importOwn(tx, own)).uid);
    }
    if (replaces !== undefined) await takeAway(tx, account.accountId, { ...replaces, now: clock() });
    return appended(folder, uids);
  });
}

/** Throws MailboxError `expunged` when it is gone. */
async function takeAway(tx: Tx, accountId: number, { folder, message, now }: Replaced & { now: Date }): Promise<void> {
  const messageIds = rowIds(await stillThere(tx, folder, [message]));
  if ((await deleteMessages(tx, accountId, messageIds, now)) === null) throw new MailboxError('expunged');
}

/** What is made of mail that somebody gave. */
export type PreparedMail = Pick<OwnMail, 'uid' | 'body' | 'flags' | 'original'>;

export async function prepareMail(
  options: AppendOptions,
  account: MailAccount,
  { raw, flags, internalDate }: NewMail,
): Promise<PreparedMail> {
  const uid = newUid();
  return { uid, body: await bodyOf(options, account, raw, uid), flags, original: { raw, internalDate } };
}

async function bodyOf({ db, clock }: AppendOptions, account: MailAccount, raw: Buffer, uid: Hex32): Promise<EmailBody> {
  const mail = await parseMail(raw);
  const parent = parentMessageId(mail);
  const asked = parent === null ? null : findReference(db, account.accountId, referenceOf(account.keys, parent));
  if (asked !== null) {
    asked.catch(() => undefined);
    // It is on its way before this process is busy with the rest.
    await turn();
  }
  const now = Math.floor(clock().getTime() / 1000);
  const body = toEmailBody({ mail, from: account.address, uid, parentUid: null, gatewayDomain: null, now });
  freeParts(mail.root, raw);
  const known = await asked;
  return known === null ? body : { ...body, reply_to_message_id: toHex<Hex32>(known) };
}
