/**
 * Which message answers which (RFC 5256 §3: REFERENCES, step 1). A message that is only referred to has a place, too. No
 * chain is ever closed to a ring.
 */
import type { Thread, ThreadMessage } from './thread.ts';

interface Place {
  message: ThreadMessage | null;
  parent: Place | null;
  /** In the order they were linked; those that were linked elsewhere since are passed over. */
  linked: Place[];
  /** Leads to the place that stands for all that were ever linked with one another. */
  group: Place | null;
}

const newPlace = (): Place => ({ message: null, parent: null, linked: [], group: null });

export class Forest {
  readonly #places: Place[] = [];
  readonly #byId = new Map<string, Place>();

  add(message: ThreadMessage): void {
    let above: Place | null = null;
    // Step 1.A: what the references say of one another, where nothing else is known.
    for (const id of message.references) {
      const place = this.#place(id);
      if (above !== null && place.parent === null) link(above, place);
      above = place;
    }
    const own = this.#ownPlace(message);
    // Step 1.B: what the message says of itself is better than what others said of it.
    own.parent = null;
    if (above !== null) link(above, own);
  }

  /** Step 2. */
  roots(): Thread[] {
    const threads = new Map<Place, Thread>();
    for (const place of this.#places) threads.set(place, { message: place.message, children: [] });
    const roots: Thread[] = [];
    for (const [place, thread] of threads) {
      if (place.parent === null) roots.push(thread);
      for (const child of new Set(place.linked)) {
        const below = child.parent === place ? threads.get(child) : undefined;
        if (below !== undefined) thread.children.push(below);
      }
    }
    return roots;
  }

  #place(id: string): Place {
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const place = this.#newPlace();
    this.#byId.set(id, place);
    return place;
  }

  /** The second message of one Message-ID is one without. */
  #ownPlace(message: ThreadMessage): Place {
    const named = message.messageId === null ? null : this.#place(message.messageId);
    const place = named === null || named.message !== null ? this.#newPlace() : named;
    place.message = message;
    return place;
  }

  #newPlace(): Place {
    const place = newPlace();
    this.#places.push(place);
    return place;
  }
}

/** `child` has no parent. Nothing happens when it stands above `parent` itself. */
function link(parent: Place, child: Place): void {
  const [above, below] = [groupOf(parent), groupOf(child)];
  // Never linked with one another, not even by way of others: no ring can come of it.
  if (above === below && isAbove(child, parent)) return;
  if (above !== below) below.group = above;
  child.parent = parent;
  parent.linked.push(child);
}

function groupOf(place: Place): Place {
  let at = place;
  while (at.group !== null) {
    // Halving the way for whoever comes after.
    if (at.group.group !== null) at.group = at.group.group;
    at = at.group;
  }
  return at;
}

function isAbove(place: Place, below: Place): boolean {
  for (let at: Place | null = below; at !== null; at = at.parent) if (at === place) return true;
  return false;
}
