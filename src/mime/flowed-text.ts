/** Text as format=flowed (RFC 3676 §4): long lines broken where readers join them again. Of that reading, select.ts. */

/** RFC 3676 §4.2: lines of at most 78 characters. */
const FLOW_COLUMN = 72;
/** Shorter lines need no help. */
const MAX_LINE_CHARS = 78;

/** Null where no line is long: then the text is the same for every reader as it stands. */
export function flowedText(text: string): string | null {
  const lines = text.split('\n');
  if (lines.every((line) => line.length <= MAX_LINE_CHARS)) return null;
  const out: string[] = [];
  for (const line of lines) for (const flowed of flowLine(line)) out.push(flowed);
  return out.join('\n');
}

/** `> > text` is `>> text` here: a space behind the marks is stuffing, and one between them would end them. */
function flowLine(line: string): string[] {
  const marks = /^(?:> ?)*/.exec(line)?.[0] ?? '';
  const depth = marks.replaceAll(' ', '').length;
  const rest = line.slice(marks.length);
  const prefix = depth === 0 ? '' : `${'>'.repeat(depth)} `;
  return brokenAtSpaces(rest, FLOW_COLUMN - prefix.length).map((piece) => prefix + stuffed(piece, depth));
}

/** Each piece but the last ends with a space: it flows into the next. */
function brokenAtSpaces(text: string, column: number): string[] {
  if (text.length <= column) return [text];
  const pieces: string[] = [];
  let piece = '';
  for (const [word] of text.matchAll(/ *[^ ]+ *|^ +$/g)) {
    if (piece !== '' && piece.length + word.trimEnd().length > column) {
      pieces.push(piece);
      piece = '';
    }
    piece += word;
  }
  return [...pieces, piece];
}

/** What would be taken for a mark, for the start of a message in an mbox, or for stuffing (RFC 3676 §4.4). */
function stuffed(piece: string, depth: number): string {
  return depth === 0 && /^(?: |>|From )/.test(piece) ? ` ${piece}` : piece;
}
