/**
 * What must be true of a mailbox, whatever many clients do to it at once: each UID means one letter for ever, no letter is
 * lost, none is there twice. Clients tell the ledger what they are about to do and what the server said that it did.
 *
 * A command whose answer never came (the server was killed) may have happened or not, but never by half.
 */

/** One UID of one mailbox for ever: `uidValidity/uid`. */
export type Place = string;
export const placeOf = (uidValidity: number, uid: number): Place => `${uidValidity}/${uid}`;

/** What a client sees of a mailbox when nobody does anything. */
export interface Listed {
  place: Place;
  token: string;
}

export class Ledger {
  readonly mistakes: string[] = [];
  /** Which letter a place holds, once anybody was told. */
  readonly #tokens = new Map<Place, string>();
  /** Somebody was about to mark it \Deleted, or to move it away. */
  readonly #mayBeGone = new Set<Place>();
  /** How often somebody was. */
  readonly #touches = new Map<Place, number>();
  /** Those of them of which nobody was told what they hold, since the last comparison. */
  readonly #blind = new Set<Place>();
  readonly #moved = new Set<Place>();
  /** Mailboxes that somebody was about to delete. */
  readonly #deleted = new Set<string>();
  /** Places that somebody saw, and nobody said yet to have filled. */
  readonly #appeared = new Map<Place, string>();
  /** Places that the server said to have filled with a letter that nobody had read. */
  readonly #filled = new Set<Place>();
  /** How many more copies of a letter there may be, by commands without an answer. */
  readonly #unsure = new Map<string, number>();
  /** The same of letters that nobody had read. */
  #unsureUnread = 0;
  #unsureMoves: { place: Place; token: string; touches: number }[] = [];

  mistake(text: string): void {
    this.mistakes.push(text);
  }

  /** The server said that a letter is there now. A copy of what may be gone is marked as that is. */
  put(place: Place, token: string, copyOf: Place | null = null): void {
    this.see(place, token);
    this.#appeared.delete(place);
    if (copyOf !== null && this.#mayBeGone.has(copyOf) && !this.#moved.has(copyOf)) this.#mayBeGone.add(place);
  }

  /** The server said that a letter is there now, which nobody had read where it came from. */
  putUnread(place: Place): void {
    this.#filled.add(place);
  }

  /** Somebody read the letter at a place. */
  see(place: Place, token: string): void {
    const known = this.#tokens.get(place);
    if (known === undefined) {
      this.#tokens.set(place, token);
      this.#appeared.set(place, token);
    } else if (known !== token) this.mistake(`${place} was ${known} and is ${token}`);
  }

  tokenAt(place: Place): string | null {
    return this.#tokens.get(place) ?? null;
  }

  mayGo(place: Place): void {
    this.#mayBeGone.add(place);
    this.#touches.set(place, this.touches(place) + 1);
    if (!this.#tokens.has(place)) this.#blind.add(place);
  }

  touches(place: Place): number {
    return this.#touches.get(place) ?? 0;
  }

  /** The server said that it left; where it went is told by `put`. */
  moved(place: Place): void {
    this.#mayBeGone.add(place);
    this.#moved.add(place);
  }

  /** Before a mailbox is deleted. */
  boxGoes(uidValidity: number): void {
    this.#deleted.add(String(uidValidity));
  }

  /** A letter may have come, by a command that has no answer. */
  unsure(token: string): void {
    this.#unsure.set(token, (this.#unsure.get(token) ?? 0) + 1);
  }

  /** Letters that nobody had read may have come. */
  unsureUnread(count: number): void {
    this.#unsureUnread += count;
  }

  /** A letter may have moved. `touches`: when the command was sent; nobody else was about to remove it then. */
  unsureMove(place: Place, token: string, touches: number): void {
    this.#unsureMoves.push({ place, token, touches });
  }

  wasSafe(place: Place): boolean {
    return !this.#mayBeGone.has(place);
  }

  /** Compares all with what is there, while nobody does anything. */
  check(listed: readonly Listed[]): void {
    const there = new Set(listed.map(({ place }) => place));
    const adopted = new Set<string>();
    for (const [place, token] of this.#appeared) this.#adopt(place, token, adopted);
    this.#appeared.clear();
    for (const { place, token } of listed) {
      if (this.#moved.has(place)) this.mistake(`${token} was moved away from ${place} and is still there`);
      if (!this.#tokens.has(place)) this.#adopt(place, token, adopted);
      else this.see(place, token);
    }
    for (const [place, token] of this.#tokens) {
      if (!there.has(place) && !this.#mayBeGone.has(place) && !this.#deleted.has(boxOf(place))) {
        this.mistake(`${token} is lost from ${place}`);
        this.#mayBeGone.add(place);
      }
    }
    // Where it went somebody may have removed it without having read it.
    const isBlind = [...this.#blind].some((place) => !there.has(place) && !this.#tokens.has(place));
    for (const { place, token, touches } of isBlind ? [] : this.#unsureMoves) {
      const isOnlyMove = this.touches(place) === touches;
      if (isOnlyMove && !there.has(place) && !adopted.has(token))
        this.mistake(`${token} is lost on its way from ${place}`);
    }
    this.#unsureMoves = [];
    this.#blind.clear();
    this.#unsure.clear();
    this.#unsureUnread = 0;
  }

  /** Nobody was told what it is: only commands without an answer can have brought it, or a copy of what nobody had read. */
  #adopt(place: Place, token: string, adopted: Set<string>): void {
    const left = this.#unsure.get(token) ?? 0;
    if (this.#filled.has(place)) this.#filled.delete(place);
    else if (left > 0) this.#unsure.set(token, left - 1);
    else if (this.#unsureUnread > 0) this.#unsureUnread -= 1;
    else this.mistake(`${token} is at ${place}, where nobody put it; it was ${this.#placesOf(token)}`);
    adopted.add(token);
    this.#tokens.set(place, token);
    this.#mayBeGone.add(place);
  }

  #placesOf(token: string): string {
    const places = [...this.#tokens].filter(([, one]) => one === token).map(([place]) => place);
    return `at ${places.map((place) => (this.#moved.has(place) ? `${place} (moved)` : place)).join(', ')}`;
  }

  get letters(): number {
    return new Set(this.#tokens.values()).size;
  }
}

const boxOf = (place: Place): string => place.split('/')[0] ?? '';
