/** The charsets SEARCH takes (RFC 3501 §6.4.4: US-ASCII at least) and how their strings become Unicode. */
import iconv from 'iconv-lite';

/** Named in the BADCHARSET response code. */
export const ADVERTISED_CHARSETS = ['US-ASCII', 'UTF-8'] as const;

/** Only true character sets: iconv-lite also knows base64, hex and UTF-7, which nobody writes a search in. */
const KNOWN =
  /^(?:us-ascii|utf-?8|iso-8859-(?:[1-9]|1[013-6])|windows-125[0-8]|koi8-[ru]|euc-(?:jp|kr)|shift_jis|gbk|gb2312|gb18030|big5)$/i;
const UTF8_COMPATIBLE = /^(?:us-ascii|utf-?8)$/i;

export function isSearchCharset(charset: string): boolean {
  return KNOWN.test(charset) && iconv.encodingExists(charset);
}

/** Without a charset the bytes are read as UTF-8, which holds ASCII. */
export function decodeSearchString(bytes: Buffer, charset: string | null): string {
  return charset === null || UTF8_COMPATIBLE.test(charset) ? bytes.toString('utf8') : iconv.decode(bytes, charset);
}
