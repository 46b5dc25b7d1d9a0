/** Mailboxes: opened for mail programs, filled by what arrives, written to by the bridge itself. */

import { ByteGate } from '../memory/byte-gate.ts';
import type { NoticeKind } from '../mime/bridge-mail.ts';
import type { EmailBody } from '../smimp/email.ts';
import type { Listener, Tx } from '../store/database.ts';
import { countShown, listMailFolders, lockMailbox } from '../store/folders.ts';
import { inboxId } from '../store/messages.ts';
import { mailboxUsage } from '../store/quota.ts';
import { createSecretInbox, type SecretInbox } from './accept-secret.ts';
import { append, prepareMail } from './append.ts';
import { type Contents, createContents } from './contents.ts';
import { MailboxError } from './errors.ts';
import { SEEN } from './flags.ts';
import { createFolderMemory, type FolderMemory } from './folder-state.ts';
import { createFolders } from './folders.ts';
import { createFollowing, type FoldersLook, type Following, lookAtFolders } from './following.ts';
import { importOwn } from './import.ts';
import { createInspection, type Inspection } from './inspect.ts';
import { type MailAccount, openMailAccount } from './mail-account.ts';
import { newUid } from './notices.ts';
import type { OpenServices } from './open.ts';
import { startOpener } from './opener.ts';
import { putSent, SENT_USE } from './sent.ts';
import { countFlagged, sizeOf } from './totals.ts';
import type { AccountMailbox, OpenMailbox } from './types.ts';
import { openView } from './view.ts';

export interface Mailbox extends OpenMailbox {
  readonly notices: {
    /** Puts mail of the bridge itself, marked as such, in the inbox of an account, within `tx`. */
    deliver(tx: Tx, notice: { accountId: number; kind: NoticeKind; body: EmailBody }): Promise<void>;
  };
  readonly inspection: Inspection;
  readonly secrets: SecretInbox;
  /** Keeps what was submitted in the folder of sent mail; once, also when a mail program puts it there itself. */
  keepSent(sent: { accountId: number; raw: Buffer; release: () => void }): Promise<void>;
  /** Opens what arrives, until disposed. */
  startOpening(): Promise<AsyncDisposable>;
}

export interface MailboxOptions extends Omit<OpenServices, 'gate'> {
  listener: Listener;
}

/** Bytes of messages that are opened or rendered at once: one of the largest, or many small ones. */
const MAX_BYTES_AT_ONCE = 36 * 1024 * 1024;

export function createMailbox(options: MailboxOptions): Mailbox {
  const { db, keystore, events, clock, quotaBytes: defaultQuota = null } = options;
  const gate = new ByteGate(MAX_BYTES_AT_ONCE);
  const contents = createContents({ db, gate });
  const lookAt = (accountId: number, before: FoldersLook | null) => lookAtFolders(db, accountId, before);
  const following = createFollowing({ ...options, channel: 'mailbox_changed', lookAt });
  const shared = { contents, states: createFolderMemory({ db, left: contents.forget }), following };
  const inspection = createInspection({ db, keystore, contents });
  return {
    async open(accountId) {
      const mailbox = accountMailbox(options, await openMailAccount(keystore, accountId), shared);
      await mailbox.folders.prepare();
      return mailbox;
    },
    notices: {
      async deliver(tx, { accountId, kind: notice, body }) {
        const account = await openMailAccount(keystore, accountId, tx);
        const folderId = await inboxId(tx, accountId);
        const now = clock();
        const mail = { account, folderId, uid: newUid(), body, flags: [], original: null, notice, now, defaultQuota };
        try {
          await importOwn(tx, mail);
        } catch (error) {
          if (!(error instanceof MailboxError) || error.code !== 'over-quota') throw error;
          events.noticeDropped({ accountId, kind: notice });
        }
      },
    },
    inspection,
    secrets: createSecretInbox({ db, keystore, inspection, clock }),
    keepSent: (sent) => gate.pass(sent.raw.length, () => keepSent(options, sent)),
    startOpening: () => startOpener({ ...options, gate }),
  };
}

function accountMailbox(
  options: MailboxOptions,
  account: MailAccount,
  { contents, states, following }: { contents: Contents; states: FolderMemory; following: Following<FoldersLook> },
): AccountMailbox {
  const { db, listener, clock, quotaBytes: defaultQuota = null } = options;
  const { accountId } = account;
  return {
    folders: createFolders({ db, accountId, clock }),
    counts: (folders) =>
      countShown(
        db,
        folders.map(({ id }) => id),
      ),
    sizeBytes: (folder) => sizeOf(db, { account, contents, folder }),
    countFlagged: (folder, flag) => countFlagged(states, { account, folder, flag }),
    usage: () => mailboxUsage(db, accountId, defaultQuota),
    view: (folder) => openView({ db, account, contents, states, folder, clock, defaultQuota }),
    append: (mail) => append(options, account, mail),
    followFolders(changed) {
      const { look, stop } = following.follow(accountId, ({ states }) => changed(states));
      return { states: look.then(({ states }) => states), stop };
    },
    watch(changed) {
      const heard = (payload: string): void => {
        if (payload === String(accountId)) changed();
      };
      listener.on('mailbox_changed', heard);
      listener.on('reconnected', changed);
      return () => {
        listener.off('mailbox_changed', heard);
        listener.off('reconnected', changed);
      };
    },
  };
}

/** Mail was accepted by then, so what hinders is only told to the log. */
async function keepSent(
  options: MailboxOptions,
  { accountId, raw, release }: Parameters<Mailbox['keepSent']>[0],
): Promise<void> {
  const { db, keystore, events, clock, quotaBytes: defaultQuota = null } = options;
  const account = await openMailAccount(keystore, accountId);
  await createFolders({ db, accountId, clock }).prepare();
  const prepared = await prepareMail(options, account, { raw, flags: [SEEN], internalDate: null });
  const mail = { ...prepared, original: { raw, internalDate: null, release } };
  try {
    const put = await db.transaction().execute(async (tx) => {
      await lockMailbox(tx, accountId);
      const folder = (await listMailFolders(tx, accountId)).find(({ special_use }) => special_use === SENT_USE);
      if (folder === undefined) return null;
      const own = { account, folderId: folder.id, ...mail, notice: null, now: clock(), defaultQuota };
      return putSent(tx, own, 'submission');
    });
    if (put === null) events.sentNotKept({ accountId, reason: 'no-folder' });
  } catch (error) {
    if (!(error instanceof MailboxError)) throw error;
    events.sentNotKept({ accountId, reason: error.code });
  }
}
