/** LIST and LSUB (RFC 3501 §6.3.8, §6.3.9; RFC 5258 LIST-EXTENDED, RFC 5819 LIST-STATUS, RFC 6154 SPECIAL-USE). */
import type { Folder } from '../../mailbox/folder-tree.ts';
import { done, type Handler, mailboxOf, type Session } from '../context.ts';
import { listPattern } from '../list-pattern.ts';
import type { ListCommand, ListSelection } from '../wire/commands.ts';
import { type ListEntry, listLine } from '../wire/responses.ts';
import { statusLines } from './status.ts';

const DELIMITER = '/';

/** In the form of RFC 3501 an empty pattern asks for the delimiter only. */
export const list: Handler<'LIST'> = async (session, command) => {
  const folders = await mailboxOf(session).folders.list();
  if (!command.extended && command.patterns[0] === '') {
    await session.send(
      listLine('LIST', { attributes: ['\\Noselect'], delimiter: DELIMITER, mailbox: '' }, session.dialect),
    );
    return done('LIST completed');
  }
  const matches = command.patterns.map((pattern) => listPattern(command.reference + pattern));
  const matched = folders.filter(({ path }) => matches.some((match) => match(path)));
  const isMatched = (folder: Folder): boolean => matched.includes(folder);
  const listed = matched.flatMap((folder) => listEntry(command, folder, { folders, isMatched }));
  const lost = command.selection.includes('SUBSCRIBED') ? await mailboxOf(session).folders.lostSubscriptions() : [];
  const entries = [...listed.map(({ entry }) => entry), ...lostEntries(command, lost, matches)];
  await session.send(...entries.map((entry) => listLine('LIST', entry, session.dialect)));
  // Of a mailbox that is here only for those below it nothing was asked (RFC 5819 §2).
  const selected = listed.filter(({ isSelected }) => isSelected).map(({ folder }) => folder);
  if (command.status.length > 0) await session.send(...(await statusLines(session, selected, command.status)));
  return done('LIST completed');
};

type Listed = { folder: Folder; entry: ListEntry; isSelected: boolean };

function listEntry(
  command: ListCommand,
  folder: Folder,
  { folders, isMatched }: { folders: readonly Folder[]; isMatched: (folder: Folder) => boolean },
): Listed[] {
  const { selection, returns } = command;
  const isSelected = selects(selection, folder);
  const isAbove = ({ path }: Folder): boolean => path.startsWith(folder.path + DELIMITER);
  const recursive = selection.includes('RECURSIVEMATCH');
  const below = recursive ? folders.filter((other) => isAbove(other) && selects(selection, other)) : [];
  const hasSelectedBelow = below.length > 0;
  // RFC 9051 §6.3.9.6: for those that are listed themselves nobody needs to stand.
  if (!isSelected && below.every(isMatched)) return [];
  const tellsSubscribed = selection.includes('SUBSCRIBED') || returns.includes('SUBSCRIBED');
  const attributes = attributesOf(folder, { tellsSubscribed });
  const childInfo = hasSelectedBelow
    ? selection.filter((option) => option !== 'RECURSIVEMATCH' && option !== 'REMOTE')
    : [];
  return [{ folder, isSelected, entry: { attributes, delimiter: DELIMITER, mailbox: folder.path, childInfo } }];
}

/** Subscribed names without a mailbox (RFC 5258 §3.1). Nothing is there that could have a use or children. */
function lostEntries(
  { selection }: ListCommand,
  lost: readonly string[],
  matches: readonly ((path: string) => boolean)[],
): ListEntry[] {
  if (selection.includes('SPECIAL-USE')) return [];
  const attributes = ['\\NonExistent', '\\Subscribed'];
  const matched = lost.filter((path) => matches.some((match) => match(path)));
  return matched.map((mailbox) => ({ attributes, delimiter: DELIMITER, mailbox }));
}

function attributesOf(folder: Folder, { tellsSubscribed }: { tellsSubscribed: boolean }): string[] {
  return [
    folder.hasChildren ? '\\HasChildren' : '\\HasNoChildren',
    ...(folder.specialUse === null ? [] : [folder.specialUse]),
    ...(tellsSubscribed && folder.subscribed ? ['\\Subscribed'] : []),
  ];
}

/**
 * A mailbox that the client named, for those that know OLDNAME: when it has another name than the client said (RFC 9051
 * §6.3.9.7). `always`: also when it has not.
 */
export function namedLine(
  session: Session,
  folder: Folder,
  { said, always = false, gone = false }: { said: string; always?: boolean; gone?: boolean },
): Buffer[] {
  const isOther = folder.path !== said;
  if (!session.enabled.has('IMAP4rev2') || !(always || isOther)) return [];
  const attributes = gone ? ['\\NonExistent'] : attributesOf(folder, { tellsSubscribed: true });
  const entry = { attributes, delimiter: DELIMITER, mailbox: folder.path };
  return [listLine('LIST', isOther ? { ...entry, oldName: said } : entry, session.dialect)];
}

/** Whether all that was selected by holds. There are no remote mailboxes. */
function selects(selection: readonly ListSelection[], folder: Folder): boolean {
  if (selection.includes('SUBSCRIBED') && !folder.subscribed) return false;
  return !selection.includes('SPECIAL-USE') || folder.specialUse !== null;
}

/**
 * With `%` a folder stands for subscribed ones below it that the pattern does not reach (RFC 3501 §6.3.9).
 */
export const lsub: Handler<'LSUB'> = async (session, { reference, pattern }) => {
  const { folders } = mailboxOf(session);
  const lost = await folders.lostSubscriptions();
  const present = (await folders.list()).filter(({ subscribed }) => subscribed).map(({ path }) => path);
  const match = listPattern(reference + pattern);
  const entries = new Map<string, ListEntry>();
  for (const path of [...present, ...lost]) {
    const levels = path.split(DELIMITER);
    const prefixes = levels.map((_level, depth) => levels.slice(0, depth + 1).join(DELIMITER));
    const shown = match(path) ? path : pattern.endsWith('%') ? prefixes.findLast((prefix) => match(prefix)) : undefined;
    if (shown === undefined || (shown !== path && entries.has(shown))) continue;
    const attributes = shown === path && present.includes(path) ? [] : ['\\Noselect'];
    entries.set(shown, { attributes, delimiter: DELIMITER, mailbox: shown });
  }
  await session.send(...[...entries.values()].map((entry) => listLine('LSUB', entry, session.dialect)));
  return done('LSUB completed');
};
