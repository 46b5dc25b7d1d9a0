/** Text of other people on a terminal: control characters could move the cursor, change colours or lie about what was said. */

/** Line ends stay; every other control character, and what turns the direction of writing, becomes U+FFFD. */
export function plain(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (character) =>
      character === '\n' || character === '\t' ? character : '\ufffd',
    );
}
