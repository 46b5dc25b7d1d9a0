/** The folders of the scenario, and the messages in them. */
import { CORPUS_NAMES, corpusMail } from '../../support/mail-corpus.ts';

/** Where a program that can keeps only the newest messages. */
export const LIMITED = 'Old mail';
export const MOST_KEPT = 15;

/** Nested ones, and names with spaces, ampersands and letters beyond ASCII. */
export const FOLDERS = [
  'INBOX',
  'Work',
  'Work/Deep',
  'Work/Deep/Übermut & Co',
  'Заметки',
  '日本/語',
  'A & B',
  'Ideas',
  LIMITED,
] as const;

const MOST_BYTES = 64 * 1_024;

/**
 * All of the corpus that any IMAP server takes and both programs carry: no NUL, an empty line behind the header, lines that
 * end with CRLF. Each is another. `leftOut`: by the names of the corpus.
 */
export function messages(leftOut: RegExp): Buffer[] {
  const seen = new Set<string>();
  return CORPUS_NAMES.filter((name) => !leftOut.test(name))
    .map((name) => corpusMail(name).raw)
    .filter((raw) => raw.length < MOST_BYTES && !raw.includes(0))
    .map((raw) => Buffer.from(raw.toString('latin1').replace(/\r*\n|\r/g, '\r\n'), 'latin1'))
    .filter((raw) => {
      const text = raw.toString('latin1').trim();
      if (!raw.includes('\r\n\r\n') || seen.has(text)) return false;
      seen.add(text);
      return true;
    });
}
