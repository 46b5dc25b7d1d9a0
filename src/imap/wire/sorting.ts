/** The order that SORT asks for (RFC 5256 §3): key by key, and at last that of the mailbox, which REVERSE does not turn. */
import { displayKey, mailboxKey, sentSeconds, subjectKey } from '../../mime/structure/sort-values.ts';
import type { Envelope } from '../../mime/structure/types.ts';
import type { SortCriterion, SortKey } from './search-commands.ts';

/** What is compared; the rest of a message need not be kept. */
export interface Sortable {
  envelope: Envelope;
  sizeBytes: number;
  arrivedSeconds: number;
}

type Value = number | Buffer;

/** The values of a message, in the order of the criteria. */
export function sortValues(message: Sortable, criteria: readonly SortCriterion[]): Value[] {
  return criteria.map(({ key }) => keyOf(message, key));
}

function keyOf({ envelope, sizeBytes, arrivedSeconds }: Sortable, key: SortKey): Value {
  switch (key) {
    case 'ARRIVAL':
      return arrivedSeconds;
    case 'DATE':
      return sentSeconds(envelope, arrivedSeconds);
    case 'SIZE':
      return sizeBytes;
    case 'SUBJECT':
      return subjectKey(envelope);
    case 'CC':
      return mailboxKey(envelope.cc);
    case 'FROM':
      return mailboxKey(envelope.from);
    case 'TO':
      return mailboxKey(envelope.to);
    case 'DISPLAYFROM':
      return displayKey(envelope.from);
    default:
      return displayKey(envelope.to);
  }
}

/** Sorts what has such values; it comes in the order of the mailbox. */
export function sorted<T extends { values: readonly Value[] }>(
  messages: readonly T[],
  criteria: readonly SortCriterion[],
): T[] {
  return [...messages].sort((a, b) => {
    for (const [n, { reverse }] of criteria.entries()) {
      const order = compare(a.values[n], b.values[n]);
      if (order !== 0) return reverse ? -order : order;
    }
    return 0;
  });
}

function compare(a: Value | undefined, b: Value | undefined): number {
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return Buffer.compare(a, b);
  return Number(a) - Number(b);
}
