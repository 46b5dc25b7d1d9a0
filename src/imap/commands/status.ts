/** STATUS (RFC 3501 §6.3.10) and quotas, for reading (RFC 2087 §4). */
import type { Folder } from '../../mailbox/folder-tree.ts';
import type { FolderCounts } from '../../mailbox/types.ts';
import { done, enableCondstore, type Handler, mailboxOf, type Session } from '../context.ts';
import { mailboxId } from '../object-id.ts';
import { Refusal } from '../replies.ts';
import type { StatusItem } from '../wire/commands.ts';
import { quotaLine, quotaRootLine, statusLine } from '../wire/responses.ts';

export const status: Handler<'STATUS'> = async (session, { mailbox: path, items }) => {
  const folder = await mailboxOf(session).folders.find(path);
  await session.send(...(await statusLines(session, [folder], items)));
  return done('STATUS completed');
};

/** One line for each folder; what can be counted is counted for all of them at once. */
export async function statusLines(
  session: Session,
  folders: readonly Folder[],
  items: readonly StatusItem[],
): Promise<Buffer[]> {
  if (items.includes('HIGHESTMODSEQ')) await enableCondstore(session);
  const counts = await mailboxOf(session).counts(folders);
  const lines: Buffer[] = [];
  for (const folder of folders) {
    const counted = counts.get(folder.id);
    if (counted === undefined) continue;
    const values: [StatusItem, number | string][] = [];
    for (const item of items) values.push([item, await statusValue(session, { folder, counted, item })]);
    lines.push(statusLine(folder.path, values, session.dialect));
  }
  return lines;
}

function statusValue(
  session: Session,
  { folder, counted, item }: { folder: Folder; counted: FolderCounts; item: StatusItem },
): number | string | Promise<number> {
  switch (item) {
    case 'MESSAGES':
      return counted.messages;
    case 'RECENT':
      return counted.recent;
    case 'UIDNEXT':
      return folder.uidNext;
    case 'UIDVALIDITY':
      return folder.uidValidity;
    case 'UNSEEN':
      return counted.unseen;
    case 'HIGHESTMODSEQ':
      return Math.max(1, counted.highestRevision);
    case 'APPENDLIMIT':
      return session.services.limits.messageBytes;
    case 'MAILBOXID':
      return mailboxId(folder);
    case 'DELETED':
      return mailboxOf(session).countFlagged(folder, '\\Deleted');
    default:
      return mailboxOf(session).sizeBytes(folder);
  }
}

/** The one root: all mailboxes of an account share its limit. */
const ROOT = '';
const KIB = 1024;

export const getQuotaRoot: Handler<'GETQUOTAROOT'> = async (session, { mailbox: path }) => {
  const folder = await mailboxOf(session).folders.find(path);
  await session.send(quotaRootLine(folder.path, [ROOT], session.dialect), await quotaOf(session));
  return done('GETQUOTAROOT completed');
};

/** Only the operator sets quotas. */
export const quota: Handler<'GETQUOTA' | 'SETQUOTA'> = async (session, { name, root }) => {
  mailboxOf(session);
  if (root !== ROOT) throw new Refusal('NO', 'There is no such quota root', 'NONEXISTENT');
  if (name === 'SETQUOTA') throw new Refusal('NO', 'Quotas are set by the operator', 'NOPERM');
  await session.send(await quotaOf(session));
  return done('GETQUOTA completed');
};

/** What is used is rounded up, what is allowed down: a full mailbox never looks as if something fitted. */
async function quotaOf(session: Session): Promise<Buffer> {
  const { usedBytes, quotaBytes } = await mailboxOf(session).usage();
  if (quotaBytes === null) return quotaLine(ROOT, null);
  return quotaLine(ROOT, { usedKib: Math.ceil(usedBytes / KIB), limitKib: Math.floor(quotaBytes / KIB) });
}
