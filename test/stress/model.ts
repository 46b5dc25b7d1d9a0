/** What one client knows of the mailbox it has selected, from what it was told; and whether it may have been told that. */
import { type Ledger, placeOf } from './ledger.ts';

export interface Known {
  /** Null until it was told. */
  uid: number | null;
  /** Sorted, without \Recent; null until they were told. */
  flags: string[] | null;
  modseq: number;
}

export class Model {
  readonly box: string;
  messages: Known[] = [];
  uidValidity = 0;
  uidNext = 0;
  highestModseq = 0;
  readonly #ledger: Ledger;
  readonly #name: string;

  constructor(options: { box: string; ledger: Ledger; name: string }) {
    this.box = options.box;
    this.#ledger = options.ledger;
    this.#name = options.name;
  }

  #mistake(text: string): void {
    this.#ledger.mistake(`${this.#name} in ${this.box}: ${text}`);
  }

  /** One untagged answer. `keepsNumbers`: to a command that uses numbers, which must not change meanwhile. */
  take(line: string, { keepsNumbers }: { keepsNumbers: boolean }): void {
    const [, number, kind] = /^(\d+) (EXISTS|EXPUNGE|FETCH)\b/.exec(line) ?? [];
    if (kind === 'EXISTS') this.#exists(Number(number));
    else if (kind === 'FETCH') this.#fetched(Number(number), line);
    else if (kind === 'EXPUNGE') this.#expunged([Number(number) - 1], keepsNumbers);
    else if (line.startsWith('VANISHED (EARLIER) ')) this.#vanished(line.slice('VANISHED (EARLIER) '.length), true);
    else if (line.startsWith('VANISHED ')) {
      if (keepsNumbers) this.#mistake('a removal was told where numbers count');
      this.#vanished(line.slice('VANISHED '.length), false);
    }
    this.#takeCode(line);
  }

  /** Of a line or of a tagged answer. */
  #takeCode(line: string): void {
    const [, name, value] = /\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)\]/.exec(line) ?? [];
    if (name === 'UIDVALIDITY') this.uidValidity = Number(value);
    if (name === 'UIDNEXT') this.uidNext = Number(value);
    if (name !== 'HIGHESTMODSEQ') return;
    if (Number(value) < this.highestModseq) this.#mistake(`HIGHESTMODSEQ fell from ${this.highestModseq} to ${value}`);
    this.highestModseq = Number(value);
  }

  #exists(count: number): void {
    if (count < this.messages.length) this.#mistake(`EXISTS fell from ${this.messages.length} to ${count}`);
    while (this.messages.length < count) this.messages.push({ uid: null, flags: null, modseq: 0 });
  }

  #expunged(positions: readonly number[], keepsNumbers: boolean): void {
    if (keepsNumbers) this.#mistake('a removal was told where numbers count');
    for (const position of positions) {
      if (position >= this.messages.length) this.#mistake(`${position + 1} EXPUNGE of ${this.messages.length}`);
      this.messages.splice(position, 1);
    }
  }

  #vanished(set: string, earlier: boolean): void {
    for (const uid of numbersIn(set)) {
      const known = this.messages.findIndex((one) => one.uid === uid);
      const position = known < 0 && !earlier ? this.#unknownPlaceOf(uid) : known;
      if (position < 0 && !earlier) this.#mistake(`VANISHED ${uid}, which was not there`);
      if (position >= 0) this.messages.splice(position, 1);
    }
  }

  /** Of a message that went before its UID was told: among those whose UIDs are not known, between the ones that are. */
  #unknownPlaceOf(uid: number): number {
    const next = this.messages.findIndex((one) => one.uid !== null && one.uid > uid);
    const place = (next < 0 ? this.messages.length : next) - 1;
    return this.messages[place]?.uid === null ? place : -1;
  }

  #fetched(number: number, line: string): void {
    const known = this.messages[number - 1];
    if (known === undefined) {
      this.#mistake(`FETCH of ${number}, there are ${this.messages.length}`);
      return;
    }
    const uid = /[ (]UID (\d+)/.exec(line)?.[1];
    if (uid !== undefined) this.#learnUid(known, number, Number(uid));
    const flags = /[ (]FLAGS \(([^)]*)\)/.exec(line)?.[1];
    if (flags !== undefined) known.flags = sortedFlags(flags.split(' '));
    const modseq = Number(/MODSEQ \((\d+)\)/.exec(line)?.[1] ?? known.modseq);
    if (modseq < known.modseq) this.#mistake(`MODSEQ of ${known.uid} fell from ${known.modseq} to ${modseq}`);
    known.modseq = modseq;
    const token = /Subject: (\S+)/.exec(line)?.[1];
    if (token !== undefined && known.uid !== null) this.#ledger.see(placeOf(this.uidValidity, known.uid), token);
  }

  #learnUid(known: Known, number: number, uid: number): void {
    if (known.uid !== null && known.uid !== uid) this.#mistake(`${number} was UID ${known.uid} and is ${uid}`);
    const before = this.messages.slice(0, number - 1).findLast((one) => one.uid !== null)?.uid ?? 0;
    const after = this.messages.slice(number).find((one) => one.uid !== null)?.uid ?? Number.POSITIVE_INFINITY;
    if (uid <= before || uid >= after) this.#mistake(`UID ${uid} at ${number} stands between ${before} and ${after}`);
    known.uid = uid;
  }

  /** Numbers whose UIDs are not known yet, as a range; null when all are. */
  unknownRange(): string | null {
    const first = this.messages.findIndex(({ uid, flags }) => uid === null || flags === null);
    return first < 0 ? null : `${first + 1}:${this.messages.length}`;
  }

  uids(): number[] {
    return this.messages.flatMap(({ uid }) => (uid === null ? [] : [uid]));
  }

  /** UID and flags of each, to be compared with what another client sees. */
  summary(): string[] {
    return this.messages.map(({ uid, flags }) => `${uid} ${flags?.join(' ')}`);
  }
}

export function sortedFlags(flags: readonly string[]): string[] {
  return flags.filter((flag) => flag !== '' && flag !== '\\Recent').sort();
}

/** The numbers of a set without `*`. */
export function numbersIn(set: string): number[] {
  return set.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split(':').map(Number);
    return Array.from({ length: last - first + 1 }, (_one, n) => first + n);
  });
}
