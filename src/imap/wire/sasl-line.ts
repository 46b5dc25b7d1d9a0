/** What a client sends in AUTHENTICATE after a `+`: base64, or `*` to give up (RFC 3501 §6.2.2). */

export type SaslLine = { type: 'data'; data: Buffer } | { type: 'cancel' } | { type: 'invalid' };

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

/** Reads a line taken with `expectLine`. An empty line is an empty response. */
export function parseSaslLine(line: Buffer): SaslLine {
  const text = line.toString('latin1').trim();
  if (text === '*') return { type: 'cancel' };
  const data = decodeSaslBase64(text);
  return data === null ? { type: 'invalid' } : { type: 'data', data };
}

/** Strict base64, its padding optional; null for anything else. */
export function decodeSaslBase64(text: string): Buffer | null {
  return BASE64.test(text) ? Buffer.from(text, 'base64') : null;
}
