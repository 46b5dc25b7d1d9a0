/**
 * SASLprep (RFC 4013), by which both sides of SCRAM read one password as the same bytes. Characters that no version of
 * Unicode has assigned yet are taken as they are.
 */

/** RFC 3454 appendix C.1.2. */
const OTHER_SPACES = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu;
/** RFC 3454 appendix B.1. */
const NOTHING = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/gu;
/** RFC 3454 appendices C.2 to C.9: controls, private use, what is no character, surrogates, directions, tags. */
const PROHIBITED =
  /[\p{Cc}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}\u06dd\u070f\u180e\u2028\u2029\u2061-\u2063\u206a-\u206f\ufff9-\ufffd\u2ff0-\u2ffb\u200e\u200f\u202a-\u202e\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}]/u;
/** RFC 3454 appendix D.1, by scripts that are written from the right. */
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u;
const LEFT_TO_RIGHT = /[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Han}]/u;

/** Null for what no password can be. */
export function saslPrep(text: string): string | null {
  const mapped = text.replace(OTHER_SPACES, ' ').replace(NOTHING, '').normalize('NFKC');
  if (mapped === '' || PROHIBITED.test(mapped)) return null;
  return isOneDirection(mapped) ? mapped : null;
}

/** RFC 3454 §6: what holds letters from the right holds none from the left, and begins and ends with one. */
function isOneDirection(text: string): boolean {
  if (!RIGHT_TO_LEFT.test(text)) return true;
  const characters = [...text];
  const ends = [characters[0] ?? '', characters.at(-1) ?? ''];
  return !LEFT_TO_RIGHT.test(text) && ends.every((end) => RIGHT_TO_LEFT.test(end));
}
