/** Commands that open, make, change and fill mailboxes (RFC 3501 §6.3). */
import { MailboxError } from '../../mailbox/errors.ts';
import type { Folders } from '../../mailbox/folders.ts';
import {
  type Done,
  done,
  enableCondstore,
  type Handler,
  highestModseq,
  mailboxOf,
  requireQresync,
  type Session,
} from '../context.ts';
import { LIST_BATCH } from '../limits.ts';
import { mailboxId } from '../object-id.ts';
import { Refusal } from '../replies.ts';
import { Selected } from '../selected.ts';
import { vanishedEarlier } from '../vanished.ts';
import type { Resync } from '../wire/commands.ts';
import { INBOX } from '../wire/mailbox-name.ts';
import { countLine, untaggedLine } from '../wire/responses.ts';
import { namedLine } from './list.ts';

export const select: Handler<'SELECT' | 'EXAMINE'> = async (session, { name, mailbox: path, condstore, qresync }) => {
  const mailbox = mailboxOf(session);
  if (qresync !== null) requireQresync(session);
  // RFC 7162 §3.2.11: what comes behind it is about the other mailbox.
  if (session.selected !== null) await session.send(untaggedLine('OK', 'The mailbox is closed', 'CLOSED'));
  session.selected = null;
  if (condstore) await enableCondstore(session);
  const folder = await mailbox.folders.find(path);
  const view = await mailbox.view(folder);
  const selected = new Selected(view, { readOnly: name === 'EXAMINE', enabled: session.enabled });
  await selected.takeRecent();
  const { messages } = selected;
  const { uidValidity, uidNext } = view.folder;
  await session.send(
    ...selected.flagLines(),
    countLine(messages.length, 'EXISTS'),
    ...(session.enabled.has('IMAP4rev2') ? [] : firstLines(session, selected)),
    ...namedLine(session, view.folder, { said: path, always: true }),
    untaggedLine('OK', 'UIDs are valid', { name: 'UIDVALIDITY', value: uidValidity }),
    untaggedLine('OK', 'Next UID', { name: 'UIDNEXT', value: uidNext }),
    untaggedLine('OK', 'Highest', highestModseq(view.highestRevision)),
    untaggedLine('OK', 'Id', { name: 'MAILBOXID', id: mailboxId(view.folder) }),
  );
  if (qresync?.uidValidity === uidValidity) await resynchronize(session, selected, qresync);
  session.selected = selected;
  return done(`${name} completed`, selected.readOnly ? 'READ-ONLY' : 'READ-WRITE');
};

/** What only clients of IMAP4rev1 are told (RFC 3501 §6.3.1; RFC 9051 appendix E). */
function firstLines({ enabled }: Session, { messages, recentCount }: Selected): Buffer[] {
  const firstUnseen = messages.findIndex(({ flags }) => !flags.includes('\\Seen'));
  const recent = countLine(recentCount, 'RECENT');
  // UNSEEN is a message number (RFC 9586 §3).
  if (firstUnseen < 0 || enabled.has('UIDONLY')) return [recent];
  return [recent, untaggedLine('OK', 'First unseen', { name: 'UNSEEN', value: firstUnseen + 1 })];
}

/** What left and what changed, of the UIDs the client knows (RFC 7162 §3.2.5). */
async function resynchronize(session: Session, selected: Selected, resync: Resync): Promise<void> {
  const { modseq, knownUids: known, match } = resync;
  await session.send(...(await vanishedEarlier(selected, { modseq, known, match })));
  const positions = known === null ? selected.messages.keys() : selected.positions(known, true);
  const lines: Buffer[] = [];
  for (const position of positions) {
    const message = selected.at(position);
    if (message.revision > modseq) lines.push(...selected.flagsLine(position));
  }
  await session.send(...lines);
}

export const create: Handler<'CREATE'> = async (session, { mailbox: path, specialUse }) => {
  if (specialUse.length > 1) throw new Refusal('NO', 'A mailbox has one use', 'USEATTR');
  const { folders } = mailboxOf(session);
  const id = await folders.create(path, specialUse[0] ?? null);
  const said = path.replace(/\/$/, '');
  await session.send(...namedLine(session, await folders.find(said), { said }));
  return done('CREATE completed', { name: 'MAILBOXID', id: mailboxId({ id }) });
};

export const remove: Handler<'DELETE'> = async (session, { mailbox: path }) => {
  const { folders } = mailboxOf(session);
  const folder = await folders.find(path);
  await folders.remove(path);
  await session.send(...namedLine(session, folder, { said: path, gone: true }));
  if (session.selected?.view.folder.id === folder.id) session.selected = null;
  return done('DELETE completed');
};

export const rename: Handler<'RENAME'> = async (session, { from, to }) => {
  const { folders } = mailboxOf(session);
  await folders.rename(from, to);
  // The inbox is where it was: what was in it moved (RFC 9051 §6.3.6).
  if (from !== INBOX) await session.send(...namedLine(session, await folders.find(to), { said: from }));
  return done('RENAME completed');
};

export const subscribe: Handler<'SUBSCRIBE' | 'UNSUBSCRIBE'> = async (session, { name, mailbox: path }) => {
  const { folders } = mailboxOf(session);
  if (name === 'SUBSCRIBE') await folders.setSubscribed(path, true);
  else await unsubscribe(folders, path);
  return done(`${name} completed`);
};

/** A mailbox that is not there is not subscribed: after it was renamed, programs give up the old name (RFC 9051 §6.3.6). */
async function unsubscribe(folders: Folders, path: string): Promise<void> {
  try {
    await folders.setSubscribed(path, false);
  } catch (error) {
    if (!(error instanceof MailboxError) || error.code !== 'no-folder') throw error;
  }
}

/** CLOSE removes what is marked \Deleted and says nothing of it; UNSELECT removes nothing (RFC 3501 §6.4.2, RFC 3691). */
export const close: Handler<'CLOSE' | 'UNSELECT'> = async (session, { name }): Promise<Done> => {
  const { selected } = session;
  if (selected === null) throw new Refusal('BAD', 'Select a mailbox first');
  // What is learned on the way is told to nobody: the mailbox is closed.
  if (name === 'CLOSE' && !selected.readOnly) await removeDeleted(selected);
  session.selected = null;
  return done(`${name} completed`);
};

const DELETED = '\\Deleted';

/** Deletes for good what is marked \Deleted; of `positions` only, when given. What it learned on the way is to be told. */
export async function removeDeleted(
  selected: Session['selected'] & object,
  positions?: readonly number[],
): Promise<Buffer[]> {
  const news = await selected.sync(false);
  const among = positions?.map((position) => selected.at(position)) ?? selected.messages;
  const marked = among.filter(({ flags }) => flags.includes(DELETED));
  for (let from = 0; from < marked.length; from += LIST_BATCH) {
    await selected.view.remove(marked.slice(from, from + LIST_BATCH), DELETED);
  }
  return news;
}
