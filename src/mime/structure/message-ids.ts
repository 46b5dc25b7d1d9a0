/** Message-IDs in header fields, as threads are made of them (RFC 5256 §3: quoting is undone, what is no Message-ID passed over). */

/** References beyond these, the nearest ones, say nothing new. */
export const MAX_REFERENCES = 1_000;
const MESSAGE_ID = /<((?:"(?:[^"\\]|\\.)*"|[^<>"@\s])+@(?:\[[^\][<>\s]*\]|[^<>"@\s[\]]+))>/g;
const QUOTED = /"((?:[^"\\]|\\.)*)"/g;

/** The valid ones of a field, without their angle brackets, in their order. */
export function messageIdsIn(value: string): string[] {
  const found = [...value.matchAll(MESSAGE_ID)].map(([, id]) => plain(id ?? ''));
  return found.length <= MAX_REFERENCES ? found : found.slice(-MAX_REFERENCES);
}

/** `<"01KF8JCEOCBS0045PS"@xxx.yyy.com>` is `<01KF8JCEOCBS0045PS@xxx.yyy.com>` (RFC 5256 §3). */
function plain(id: string): string {
  return id.replace(QUOTED, (_whole, text: string) => text.replace(/\\(.)/g, '$1'));
}
