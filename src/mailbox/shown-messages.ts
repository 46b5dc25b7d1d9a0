/**
 * Shown messages from the rows they are stored in. Which notes were seen is remembered: none that is older is believed later
 * (SMIMP 0.1 §5).
 */
import type { Db } from '../store/database.ts';
import { rememberNotes, type ShownPage, type ShownRow } from '../store/mailbox.ts';
import { readVersioned, SEEN } from './flags.ts';
import type { MailAccount } from './mail-account.ts';
import { trustKeywords } from './trust-keywords.ts';
import type { ShownMessage } from './types.ts';

const ID_BYTES = 32;

type Seen = { messageId: Buffer; notesVersion: number };

/** The same lists of flags again and again: one object for each. */
export class KnownFlags {
  readonly #lists = new Map<string, readonly string[]>();
  readonly #plain: (readonly string[])[] = [];

  /** Of a message that has no notes. */
  plain(isRead: boolean, trust: number): readonly string[] {
    const at = trust * 2 + Number(isRead);
    this.#plain[at] ??= this.of([...(isRead ? [SEEN] : []), ...trustKeywords(trust)]);
    return this.#plain[at];
  }

  of(flags: readonly string[]): readonly string[] {
    const name = flags.join(' ');
    const known = this.#lists.get(name);
    if (known !== undefined) return known;
    this.#lists.set(name, flags);
    return flags;
  }
}

export async function shownMessages(
  db: Db,
  account: MailAccount,
  rows: readonly ShownRow[],
  known: KnownFlags,
): Promise<ShownMessage[]> {
  const seen: Seen[] = [];
  const messages = rows.map((row) => {
    const { message, version } = versionedMessage(account, row, known);
    if (version > row.notes_version) seen.push({ messageId: row.message_id, notesVersion: version });
    return message;
  });
  if (seen.length > 0) await rememberNotes(db, account.accountId, seen);
  return messages;
}

export function versionedMessage(
  account: MailAccount,
  row: ShownRow,
  known = new KnownFlags(),
): { message: ShownMessage; version: number } {
  const { message_id: messageId, seq: uid, revision, digest } = row;
  const { flags, version } = readVersioned(account, storedFlags(row));
  const all = [...flags, ...trustKeywords(row.trust)];
  return { message: { uid, messageId, digest, revision, flags: known.of(all) }, version };
}

export const storedFlags = ({ read, extensions_data: extensionsData, digest, notes_version }: ShownRow) => ({
  ...{ read, extensionsData, digest, leastVersion: notes_version },
});

type State = { revision: number; flags: readonly string[] };

/** A message whose id and digest stand among those of others. */
class PagedMessage implements ShownMessage {
  readonly uid: number;
  readonly revision: number;
  readonly flags: readonly string[];
  readonly #page: ShownPage['ids'];
  readonly #at: number;

  constructor(page: ShownPage['ids'], place: { uid: number; at: number }, { revision, flags }: State) {
    this.uid = place.uid;
    this.revision = revision;
    this.flags = flags;
    this.#page = page;
    this.#at = place.at;
  }

  revised(state: State): PagedMessage {
    return new PagedMessage(this.#page, { uid: this.uid, at: this.#at }, state);
  }

  get messageId(): Buffer {
    return this.#page.messageIds.subarray(this.#at, this.#at + ID_BYTES);
  }

  get digest(): Buffer {
    return this.#page.digests.subarray(this.#at, this.#at + ID_BYTES);
  }
}

function pagedMessage(page: ShownPage, place: number, flags: readonly string[]): PagedMessage {
  const uid = page.seqs[place] ?? 0;
  return new PagedMessage(page.ids, { uid, at: place * ID_BYTES }, { revision: page.revisions[place] ?? 0, flags });
}

/** The same message in a later state. */
export function revised(message: ShownMessage, state: State): ShownMessage {
  if (message instanceof PagedMessage) return message.revised(state);
  const { uid, messageId, digest } = message;
  return { uid, messageId, digest, ...state };
}

export async function pagedMessages(
  db: Db,
  account: MailAccount,
  page: ShownPage,
  known: KnownFlags,
): Promise<ShownMessage[]> {
  const seen: Seen[] = [];
  const messages = page.seqs.map((_seq, place) => {
    const isRead = page.read[place] === '1';
    const notes = page.notes.get(place);
    const trust = page.trust[place] ?? 0;
    if (notes === undefined) return pagedMessage(page, place, known.plain(isRead, trust));
    const digest = page.ids.digests.subarray(place * ID_BYTES, (place + 1) * ID_BYTES);
    const stored = { read: isRead, extensionsData: notes.data, digest, leastVersion: notes.version };
    const { flags, version } = readVersioned(account, stored);
    const message = pagedMessage(page, place, known.of([...flags, ...trustKeywords(trust)]));
    if (version > notes.version) seen.push({ messageId: message.messageId, notesVersion: version });
    return message;
  });
  if (seen.length > 0) await rememberNotes(db, account.accountId, seen);
  return messages;
}
