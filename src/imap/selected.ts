/**
 * The selected folder of one session: message numbers, and what the client must be told before it may count on them
 * (RFC 3501 §7.4.1: no EXPUNGE while a command that uses numbers is answered).
 */
import { placeOf } from '../mailbox/folder-state.ts';
import type { FolderView, ShownMessage, UidSpan } from '../mailbox/types.ts';
import { dialectOf, type Enabled } from './enabled.ts';
import { KnownFlags } from './known-flags.ts';
import type { Dialect } from './wire/dialect.ts';
import { type FetchAddress, type FetchValue, fetchLine, fetchPieces } from './wire/fetch-response.ts';
import { RECENT } from './wire/flags.ts';
import { countLine, vanishedLine } from './wire/responses.ts';
import {
  formatSequenceSet,
  type IndexRange,
  indexesOf,
  resolveSequence,
  resolveUids,
  SAVED,
  type SequenceSet,
} from './wire/sets.ts';

export class Selected {
  readonly view: FolderView;
  readonly readOnly: boolean;
  readonly #enabled: ReadonlySet<Enabled>;
  /** Never changed in place: it may be the list that all sessions share. */
  #messages: readonly ShownMessage[];
  /** UIDs that are gone but still have a number. */
  readonly #gone = new Set<number>();
  #added = 0;
  /** UIDs, ascending: what `$` stands for (RFC 5182 §2.1). */
  #saved: readonly number[] = [];
  /** UIDs that are `\Recent` here, ascending. */
  readonly #recent: UidSpan[] = [];
  readonly #flags: KnownFlags;
  /** Lists with `\Recent`, by those without: as few, because messages share them. */
  readonly #recentFlags = new WeakMap<readonly string[], readonly string[]>();

  constructor(view: FolderView, options: { readOnly: boolean; enabled: ReadonlySet<Enabled> }) {
    this.view = view;
    this.readOnly = options.readOnly;
    this.#enabled = options.enabled;
    this.#messages = view.opened;
    this.#flags = new KnownFlags(
      view.opened,
      options.readOnly ? 'none' : view.folder.isVirtual === true ? 'deleted' : 'all',
    );
  }

  /** Takes what no other session was told of. Of a folder that is only looked at nothing is taken; IMAP4rev2 has no such flag. */
  async takeRecent(): Promise<void> {
    if (this.#enabled.has('IMAP4rev2')) return;
    const span = await this.view.recent({ claim: !this.readOnly });
    if (span !== null) this.#recent.push(this.readOnly ? { ...span, end: Number.POSITIVE_INFINITY } : span);
  }

  isRecent({ uid }: ShownMessage): boolean {
    return this.#recent.some(({ first, end }) => uid >= first && uid < end);
  }

  get recentCount(): number {
    return this.#recent.length === 0 ? 0 : this.#messages.filter((message) => this.isRecent(message)).length;
  }

  /** With `\Recent`, which is the session's and not the message's. */
  flagsOf(message: ShownMessage): readonly string[] {
    const tells = !this.#enabled.has('IMAP4rev2') && this.isRecent(message);
    if (!tells) return message.flags;
    const flags = this.#recentFlags.get(message.flags) ?? [...message.flags, RECENT];
    this.#recentFlags.set(message.flags, flags);
    return flags;
  }

  get messages(): readonly ShownMessage[] {
    return this.#messages;
  }

  isGone(message: ShownMessage): boolean {
    return this.#gone.has(message.uid);
  }

  /** Positions of a set; UIDs that are not there are passed over, numbers that are not there are left out. */
  positions(set: SequenceSet, byUid: boolean): number[] {
    if (set === SAVED) return [...indexesOf(resolveUids(this.savedUids(), this.uids()))];
    const ranges: IndexRange[] = byUid
      ? resolveUids(set, this.uids())
      : resolveSequence(set, this.#messages.length).ranges;
    return [...indexesOf(ranges)];
  }

  /** True when a set of numbers names a message that is not there (RFC 3501 §9: an error of the client). */
  isOutOfRange(set: SequenceSet): boolean {
    return set !== SAVED && resolveSequence(set, this.#messages.length).outOfRange;
  }

  uids(): number[] {
    return this.#messages.map(({ uid }) => uid);
  }

  /** Keeps UIDs, in whatever order, for `$`. */
  save(uids: readonly number[]): void {
    this.#saved = [...uids].sort((a, b) => a - b);
  }

  /** What `$` stands for, as a set of UIDs. */
  savedUids(): SequenceSet {
    return this.#saved.map((uid) => ({ first: uid, last: uid }));
  }

  at(position: number): ShownMessage {
    const message = this.#messages[position];
    if (message === undefined) throw new RangeError('no message at this position');
    return message;
  }

  /** What is said of flags when the mailbox is selected. */
  flagLines(): Buffer[] {
    return this.#flags.lines();
  }

  /** Takes over what this session itself changed, so that it is not told of it again; what to say of flags that are new. */
  know(messages: readonly ShownMessage[]): Buffer[] {
    const known = [...this.#messages];
    for (const message of messages) {
      const position = this.positionOf(message.uid);
      if (position !== null) known[position] = message;
    }
    this.#messages = known;
    return this.#flags.learn(messages);
  }

  /** True while removals are known that could not be said yet. */
  get hasGone(): boolean {
    return this.#gone.size > 0;
  }

  /** How many of the last messages came with the last `sync`. */
  get added(): number {
    return this.#added;
  }

  /** Looks what changed and says it. `mayExpunge`: numbers may change now. `flags`: changes of flags are said, too. */
  async sync(mayExpunge: boolean, { flags }: { flags: boolean } = { flags: true }): Promise<Buffer[]> {
    const { removed, changed } = await this.view.refresh();
    for (const uid of removed) this.#gone.add(uid);
    const before = this.#messages.length;
    const told = changed.length === 0 ? [] : this.#takeIn(changed);
    const lines = flags ? [...this.#flags.learn(changed), ...told] : [];
    const added = this.#messages.slice(before);
    this.#added = added.length;
    // Behind what is said by the numbers as they were; before new ones are counted.
    if (mayExpunge) for (const line of this.#expunge()) lines.push(line);
    // Everything was told: the list is that of all sessions again.
    if (this.#gone.size === 0) this.#messages = this.view.messages;
    if (added.length === 0) return lines;
    if (!added.every((message) => this.isRecent(message))) await this.takeRecent();
    lines.push(...this.#sizeLines());
    return lines;
  }

  /** Changed messages in their places, new ones behind; what is to be said of the former. */
  #takeIn(changed: readonly ShownMessage[]): Buffer[] {
    const messages = [...this.#messages];
    const told: number[] = [];
    for (const message of changed) {
      const position = this.positionOf(message.uid);
      if (position === null) messages.push(message);
      else {
        if (this.#isNews(this.at(position), message)) told.push(position);
        messages[position] = message;
      }
    }
    this.#messages = messages;
    return told.flatMap((position) => this.flagsLine(position));
  }

  /** Null where no message has this UID. */
  positionOf(uid: number): number | null {
    const position = placeOf(this.#messages, uid);
    return this.#messages[position]?.uid === uid ? position : null;
  }

  #sizeLines(): Buffer[] {
    const exists = countLine(this.#messages.length, 'EXISTS');
    return this.#enabled.has('IMAP4rev2') ? [exists] : [exists, countLine(this.recentCount, 'RECENT')];
  }

  #isNews(before: ShownMessage, after: ShownMessage): boolean {
    if (before === after) return false;
    if (this.tellsModseq && before.revision !== after.revision) return true;
    const sameFlags =
      before.flags === after.flags ||
      (before.flags.length === after.flags.length && after.flags.every((flag) => before.flags.includes(flag)));
    return !sameFlags;
  }

  /** The flags of the message at a position, told without being asked for. */
  flagsLine(position: number): Buffer[] {
    const message = this.at(position);
    return this.fetchLine(position, [{ type: 'uid', uid: message.uid }, ...this.flagValues(message)]);
  }

  /** What is told of the message at a position; with UIDONLY by its UID, which is not said twice unless it was asked for. */
  fetchLine(position: number, values: readonly FetchValue[], asked: { asksUid?: boolean } = {}): Buffer[] {
    const told = this.#told(values, asked);
    return told.length === 0 ? [] : fetchLine(this.addressOf(position), told, this.dialect);
  }

  /** The same for an `Answer`. */
  fetchPieces(
    position: number,
    values: readonly FetchValue[],
    asked: { asksUid?: boolean } = {},
  ): readonly (string | Buffer)[] {
    const told = this.#told(values, asked);
    return told.length === 0 ? [] : fetchPieces(this.addressOf(position), told, this.dialect);
  }

  #told(values: readonly FetchValue[], { asksUid = false }: { asksUid?: boolean }): readonly FetchValue[] {
    const twice = this.tellsUidOnly && !asksUid;
    return twice ? values.filter(({ type }) => type !== 'uid') : values;
  }

  addressOf(position: number): FetchAddress {
    return this.tellsUidOnly ? { uid: this.at(position).uid } : { number: position + 1 };
  }

  /** Whether messages are told of by their UIDs alone. */
  get tellsUidOnly(): boolean {
    return this.#enabled.has('UIDONLY');
  }

  get dialect(): Dialect {
    return dialectOf(this.#enabled);
  }

  /** Flags of a message as they are told without being asked for. */
  flagValues(message: ShownMessage): FetchValue[] {
    const value: FetchValue = { type: 'flags', flags: this.flagsOf(message) };
    return this.tellsModseq ? [value, { type: 'modseq', modseq: message.revision }] : [value];
  }

  get tellsModseq(): boolean {
    return this.#enabled.has('CONDSTORE');
  }

  #expunge(): Buffer[] {
    if (this.#gone.size === 0) return [];
    const byUid = this.#enabled.has('QRESYNC') || this.#enabled.has('UIDONLY');
    const lines = byUid ? this.#vanished() : this.#expunged();
    this.#messages = this.#messages.filter((message) => !this.isGone(message));
    this.#gone.clear();
    return lines;
  }

  #vanished(): Buffer[] {
    const uids = this.uids().filter((uid) => this.#gone.has(uid));
    return uids.length === 0 ? [] : [vanishedLine(formatSequenceSet(uids), { earlier: false })];
  }

  /** From the end, so that the numbers said are still true. */
  #expunged(): Buffer[] {
    const lines: Buffer[] = [];
    for (let position = this.#messages.length - 1; position >= 0; position -= 1) {
      if (this.isGone(this.at(position))) lines.push(countLine(position + 1, 'EXPUNGE'));
    }
    return lines;
  }
}
