/** What left the selected folder before it was looked at (RFC 7162 §3.2.5, §3.2.6). */
import type { Selected } from './selected.ts';
import type { Resync } from './wire/commands.ts';
import { vanishedLine } from './wire/responses.ts';
import {
  absentRanges,
  formatRanges,
  formatSequenceSet,
  indexesOf,
  numbersOf,
  resolveUids,
  type SequenceSet,
  STAR,
} from './wire/sets.ts';

const ALL: SequenceSet = [{ first: 1, last: 4_294_967_295 }];

/**
 * VANISHED (EARLIER) for UIDs of `known` that left after `modseq`, and are not in the session's own list. When it is not
 * remembered what left, these are all that are not there.
 */
export async function vanishedEarlier(
  selected: Selected,
  { modseq, known, match = null }: { modseq: number; known: SequenceSet | null; match?: Resync['match'] },
): Promise<Buffer[]> {
  const present = selected.uids();
  const most = Math.max(selected.view.folder.uidNext - 1, present.at(-1) ?? 0);
  const among = known === null ? ALL : withoutStar(known, most);
  const remembered = await selected.view.vanishedSince(modseq);
  const text =
    remembered === null
      ? formatRanges(absentRanges(among, present, { least: matchedUid(present, match) + 1, most }))
      : amongKnown(remembered, present, among);
  return text === '' ? [] : [vanishedLine(text, { earlier: true })];
}

/** `*` is the greatest UID that the mailbox ever had, also when that message left. */
function withoutStar(set: SequenceSet, most: number): SequenceSet {
  const plain = (bound: number): number => (bound === STAR ? most : bound);
  return set.map(({ first, last }) => ({ first: plain(first), last: plain(last) }));
}

function amongKnown(remembered: number[], present: readonly number[], known: SequenceSet): string {
  const there = new Set(present);
  const gone = remembered.filter((uid) => !there.has(uid));
  return formatSequenceSet([...indexesOf(resolveUids(known, gone))].map((at) => gone[at] ?? 0));
}

/** The greatest UID that has the number the client knows it by: nothing before it left. Zero when there is none. */
function matchedUid(present: readonly number[], match: Resync['match']): number {
  if (match === null) return 0;
  const uids = numbersOf(match.uids);
  let matched = 0;
  for (const number of numbersOf(match.numbers)) {
    const uid = uids.next().value;
    if (number > present.length || present[number - 1] !== uid) break;
    matched = uid;
  }
  return matched;
}
