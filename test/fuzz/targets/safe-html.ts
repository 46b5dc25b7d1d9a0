/** Whether HTML can do more than show text: an oracle that knows nothing of the sanitizer it checks. */

const TAGS = new Set(
  'html head meta body h1 h2 h3 h4 h5 h6 p br hr blockquote pre code em strong del ul ol li a img table thead tbody tr th td input'.split(
    ' ',
  ),
);
const ATTRIBUTES = new Set(['href', 'src', 'alt', 'start', 'align', 'type', 'checked', 'disabled', 'charset']);
const LINKS = new Set(['http:', 'https:', 'mailto:', 'tel:', 'xmpp:', 'sip:']);
const PICTURES = new Set(['cid:']);
/** What a mail program shows has no place of its own; a link without a scheme leads here. */
const NOWHERE = 'https://mail.invalid/';

/** Named references that spell a scheme or a tag; others do not matter here. */
const NAMED: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: "'",
  colon: ':',
  tab: '\t',
  newline: '\n',
};

function decoded(value: string): string {
  return value
    .replace(/&#x([0-9a-f]{1,6});?/gi, (_all, hex: string) =>
      String.fromCodePoint(Math.min(Number.parseInt(hex, 16), 0x10ffff)),
    )
    .replace(/&#(\d{1,7});?/g, (_all, digits: string) => String.fromCodePoint(Math.min(Number(digits), 0x10ffff)))
    .replace(/&([a-z]+);/gi, (all, name: string) => NAMED[name.toLowerCase()] ?? all);
}

/** What is wrong with it; null when nothing is. */
export function unsafeHtml(html: string): string | null {
  // Browsers take `<` for a tag before a letter, `!`, `?` and `/`; everything else is text.
  const document = html.replace(/^<!DOCTYPE html>\n/, '');
  for (const { 0: rest } of document.matchAll(/<[a-zA-Z!?/][^>]*>?/g)) {
    const fault = unsafeTag(rest);
    if (fault !== null) return fault;
  }
  return null;
}

function unsafeTag(tag: string): string | null {
  const [, closing, name, inside] = /^<(\/?)([a-z][a-z0-9]*)((?:\s[^>]*)?)>$/.exec(tag) ?? [];
  if (name === undefined || !TAGS.has(name)) return `tag ${tag.slice(0, 80)}`;
  if (closing === '/') return inside?.trim() === '' ? null : `closing tag ${tag.slice(0, 80)}`;
  for (const [attribute, key, value] of (inside ?? '').matchAll(/([^\s=/"]+)(?:="([^"]*)")?/g)) {
    if (!ATTRIBUTES.has(key ?? '')) return `attribute ${attribute?.slice(0, 80)}`;
    const place = decoded(value ?? '');
    if (key === 'href' && !leadsTo(place, LINKS)) return `link ${place.slice(0, 80)}`;
    if (key === 'src' && !leadsTo(place, PICTURES)) return `picture ${place.slice(0, 80)}`;
  }
  return null;
}

/** As a browser reads it. A host of the sender's choice without a scheme is not taken for nowhere. */
function leadsTo(place: string, schemes: ReadonlySet<string>): boolean {
  if (!URL.canParse(place, NOWHERE)) return true;
  const url = new URL(place, NOWHERE);
  const named = schemes.has(url.protocol);
  return named && (schemes !== LINKS || URL.canParse(place) || url.origin === new URL(NOWHERE).origin);
}
