/**
 * The collation i;unicode-casemap (RFC 5051 §2): each character in its title case, decomposed, compared as UTF-8. Texts that
 * differ in case or in how accents are composed are the same.
 */

/** Digraphs whose title case is not their upper case: `Ǆ ǅ ǆ` and so on. */
const DIGRAPH_TITLES = new Map([...'ǄǅǆǇǈǉǊǋǌǱǲǳ'].map((character, n) => [character, [...'ǅǈǋǲ'][Math.floor(n / 3)]]));
/** Georgian letters of a modern text have capitals, but no title case. */
const GEORGIAN = /[ა-ჿ]/;
/** Greek letters with an iota below: their capitals stand a fixed way behind them. */
const IOTA_BELOW = /[ᾀ-ᾇᾐ-ᾗᾠ-ᾧ]/;
const IOTA_BELOW_LAST = /[ᾳῃῳ]/;
const ASCII = /^[\x00-\x7f]*$/;

/** Compared with Buffer.compare. */
export function casemapKey(text: string): Buffer {
  if (ASCII.test(text)) return Buffer.from(text.toUpperCase(), 'latin1');
  let titled = '';
  for (const character of text) titled += titleCase(character);
  return Buffer.from(titled.normalize('NFKD'), 'utf8');
}

/** The simple mapping: of a character whose capital is several characters there is none. */
function titleCase(character: string): string {
  const digraph = DIGRAPH_TITLES.get(character);
  if (digraph !== undefined) return digraph;
  if (GEORGIAN.test(character)) return character;
  if (IOTA_BELOW.test(character)) return shifted(character, 8);
  if (IOTA_BELOW_LAST.test(character)) return shifted(character, 9);
  const upper = character.toUpperCase();
  return [...upper].length === 1 ? upper : character;
}

function shifted(character: string, by: number): string {
  return String.fromCodePoint((character.codePointAt(0) ?? 0) + by);
}
