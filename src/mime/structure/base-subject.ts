/**
 * The subject without what replies and forwards put around it (RFC 5256 §2.1), as SORT and THREAD compare it. Linear in the
 * length of the subject, whatever is repeated or nested in it.
 */

export interface BaseSubject {
  text: string;
  /** Something was removed that says that the message is a reply or a forward (RFC 5256 §2.1). */
  isReply: boolean;
}

/** `[list] Re [2] :`, without blobs before it; sticky. */
const REFWD = /(?:re|fwd?) ?(?:\[[^[\]]*\] ?)?:/iy;
const BLOB = /\[[^[\]]*\] ?/y;
const FORWARDED = /^\[fwd:/i;
const FORWARDED_CHARS = 5;
const TRAILER = '(fwd)';

/** `subject`: in Unicode, its encoded words decoded and unfolded. */
export function baseSubject(subject: string): BaseSubject {
  const text = subject.replace(/[\t\r\n ]+/g, ' ');
  const rest: Rest = { text, start: 0, end: text.length, isReply: false };
  do {
    withoutTrailers(rest);
    withoutLeaders(rest);
  } while (unwrapped(rest));
  return { text: text.slice(rest.start, rest.end), isReply: rest.isReply };
}

/** What is left of `text`. */
interface Rest {
  readonly text: string;
  start: number;
  end: number;
  isReply: boolean;
}

/** Step 2. */
function withoutTrailers(rest: Rest): void {
  for (;;) {
    const { text, start, end } = rest;
    const trailerAt = end - TRAILER.length;
    if (end > start && text[end - 1] === ' ') rest.end -= 1;
    else if (trailerAt >= start && text.slice(trailerAt, end).toLowerCase() === TRAILER) {
      rest.end = trailerAt;
      rest.isReply = true;
    } else return;
  }
}

/** Steps 3 to 5. Blobs belong to what says that it is a reply behind them, or go when something is left. */
function withoutLeaders(rest: Rest): void {
  for (;;) {
    skipSpaces(rest);
    const blobs = blobEnds(rest);
    const reply = matchEnd(REFWD, rest, blobs.at(-1) ?? rest.start);
    if (reply === null) {
      rest.start = blobs.findLast((end) => end < rest.end) ?? rest.start;
      return;
    }
    rest.start = reply;
    rest.isReply = true;
  }
}

function skipSpaces(rest: Rest): void {
  while (rest.start < rest.end && rest.text[rest.start] === ' ') rest.start += 1;
}

/** Where each of the blobs that follow one another from the start ends. */
function blobEnds(rest: Rest): number[] {
  const ends: number[] = [];
  for (let at = matchEnd(BLOB, rest, rest.start); at !== null; at = matchEnd(BLOB, rest, at)) ends.push(at);
  return ends;
}

/** Where what matches at `position` ends; null when nothing matches, or it goes beyond the rest. */
function matchEnd(expression: RegExp, { text, end }: Rest, position: number): number | null {
  expression.lastIndex = position;
  const found = expression.exec(text);
  return found !== null && position + found[0].length <= end ? position + found[0].length : null;
}

/** Step 6: whether there was something around it. */
function unwrapped(rest: Rest): boolean {
  const { text, start, end } = rest;
  if (text[end - 1] !== ']' || !FORWARDED.test(text.slice(start, start + FORWARDED_CHARS))) return false;
  if (end - start <= FORWARDED_CHARS) return false;
  rest.start += FORWARDED_CHARS;
  rest.end -= 1;
  rest.isReply = true;
  return true;
}
