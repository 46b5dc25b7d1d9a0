/**
 * The selected folder of one session: message numbers, and what the client must be told before it may count on them
 * (RFC 3501 §7.4.1: no EXPUNGE while a command that uses numbers is answered).
 */
import type { FolderView, ShownMessage, UidSpan } from '../mailbox/types.ts';
import { dialectOf, type Enabled } from './enabled.ts';
import { type FetchValue, fetchLine } from './wire/fetch-response.ts';
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
  #messages: ShownMessage[];
  /** UIDs that are gone but still have a number. */
  readonly #gone = new Set<number>();
  #added = 0;
  /** UIDs, ascending: what `$` stands for (RFC 5182 §2.1). */
  #saved: readonly number[] = [];
  /** UIDs that are `\Recent` here, ascending. */
  readonly #recent: UidSpan[] = [];

  constructor(view: FolderView, options: { readOnly: boolean; enabled: ReadonlySet<Enabled> }) {
    this.view = view;
    this.readOnly = options.readOnly;
    this.#enabled = options.enabled;
    this.#messages = [...view.opened];
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
    return tells ? [...message.flags, RECENT] : message.flags;
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

  /** Takes over what this session itself changed, so that it is not told of it again. */
  know(messages: readonly ShownMessage[]): void {
    const byUid = new Map(messages.map((message) => [message.uid, message]));
    this.#messages = this.#messages.map((message) => byUid.get(message.uid) ?? message);
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
    const lines: Buffer[] = [];
    const added: ShownMessage[] = [];
    const positions = new Map(this.#messages.map(({ uid }, position) => [uid, position]));
    for (const message of changed) {
      const position = positions.get(message.uid);
      if (position === undefined) added.push(message);
      else {
        const changes = this.#update(position, message);
        if (flags) lines.push(...changes);
      }
    }
    // Behind what is said by the numbers as they were; before new ones are counted.
    if (mayExpunge) lines.push(...this.#expunge());
    this.#added = added.length;
    if (added.length === 0) return lines;
    for (const message of added) this.#messages.push(message);
    if (!added.every((message) => this.isRecent(message))) await this.takeRecent();
    lines.push(...this.#sizeLines());
    return lines;
  }

  #sizeLines(): Buffer[] {
    const exists = countLine(this.#messages.length, 'EXISTS');
    return this.#enabled.has('IMAP4rev2') ? [exists] : [exists, countLine(this.recentCount, 'RECENT')];
  }

  #update(position: number, message: ShownMessage): Buffer[] {
    const before = this.at(position);
    this.#messages[position] = message;
    const sameFlags =
      before.flags.length === message.flags.length && message.flags.every((flag) => before.flags.includes(flag));
    if (sameFlags && (!this.tellsModseq || before.revision === message.revision)) return [];
    return this.flagsLine(position);
  }

  /** The flags of the message at a position, told without being asked for. */
  flagsLine(position: number): Buffer[] {
    const message = this.at(position);
    return this.fetchLine(position, [{ type: 'uid', uid: message.uid }, ...this.flagValues(message)]);
  }

  /** What is told of the message at a position. */
  fetchLine(position: number, values: readonly FetchValue[]): Buffer[] {
    return fetchLine(position + 1, values, dialectOf(this.#enabled));
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
    const lines = this.#enabled.has('QRESYNC') ? this.#vanished() : this.#expunged();
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
