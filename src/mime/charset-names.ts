/**
 * Names of character sets as mail has them, brought to what a decoder knows: Node's TextDecoder (the labels of the WHATWG
 * Encoding Standard), else iconv-lite. And the two sets of seven bits that neither knows, which are an 8-bit set in disguise.
 */
import { Buffer } from 'node:buffer';

/** By the name in lower case, without all that is neither letter nor digit. */
const ALIASES: Readonly<Record<string, string>> = {
  ...{ utf8mb4: 'utf-8', cp65001: 'utf-8', utf8n: 'utf-8', xutf8: 'utf-8' },
  ...{ ansi: 'windows-1252', iso885912: 'windows-1252', cp1252: 'windows-1252', win1252: 'windows-1252' },
  ...{ iso2022jp2: 'iso-2022-jp', iso2022jpms: 'iso-2022-jp', iso2022jp3: 'iso-2022-jp', iso2022jp2004: 'iso-2022-jp' },
  ...{ cp50220: 'iso-2022-jp', cp50221: 'iso-2022-jp', jis: 'iso-2022-jp', xjis: 'iso-2022-jp' },
  ...{ cp932: 'shift_jis', xmswin932: 'shift_jis', shiftjisx0213: 'shift_jis', xmacjapanese: 'shift_jis' },
  ...{ eucjpms: 'euc-jp', xeucjp: 'euc-jp' },
  ...{ cp936: 'gbk', gb231280: 'gbk', euccn: 'gbk', xeuccn: 'gbk', cngb: 'gbk', xmacchinesesimp: 'gbk' },
  ...{ cp950: 'big5', cnbig5: 'big5', big5hkscs: 'big5', xmacchinesetrad: 'big5' },
  ...{
    cp949: 'euc-kr',
    uhc: 'euc-kr',
    ms949: 'euc-kr',
    xwindows949: 'euc-kr',
    xmackorean: 'euc-kr',
    ksc5601: 'euc-kr',
  },
  ...{ macroman: 'macintosh', xmacroman: 'macintosh', maccyrillic: 'x-mac-cyrillic', macukraine: 'x-mac-cyrillic' },
  ...{ xmacce: 'maccenteuro', macce: 'maccenteuro', maccentraleurope: 'maccenteuro', xmaccentraleurope: 'maccenteuro' },
  ...{ xmacgreek: 'macgreek', xmacturkish: 'macturkish', xmaccroatian: 'maccroatian', xmacromanian: 'macromania' },
  ...{ xmacicelandic: 'maciceland', macicelandic: 'maciceland', xmacthai: 'macthai' },
  ...{ unicode11utf7: 'utf-7', csunicode11utf7: 'utf-7', xunicode20utf7: 'utf-7', unicode20utf7: 'utf-7' },
  ...{ iso2022kr: 'iso-2022-kr', csiso2022kr: 'iso-2022-kr', hzgb2312: 'hz-gb-2312', hz: 'hz-gb-2312' },
};
/** `cp1251`, `win-1251`, `windows1251`, `ms1251`. */
const WINDOWS = /^(?:x?cp|win|windows|ms|xwin|mswin)(125\d|874)$/;
/** `iso8859_1`, `iso 8859-1`, `8859-1`, `latin-1` and what people append. */
const ISO = /^(?:iso)?8859(1[0-6]|[1-9])(?:i|e)?$/;
/** Transfer encodings, and what iconv-lite knows beside character sets. */
const NO_CHARSETS = new Set(['base64', 'hex', 'binary', 'utf7imap', 'ucs2', 'internal']);

/** A name that decoders know, or the one given; null for what is none. `''` and the like stand for nothing said. */
export function charsetName(label: string): string | null {
  const name = label.trim().toLowerCase();
  const bare = name.replace(/[^a-z0-9]/g, '');
  if (NO_CHARSETS.has(bare)) return null;
  const windows = WINDOWS.exec(bare)?.[1];
  if (windows !== undefined) return `windows-${windows}`;
  const iso = ISO.exec(bare)?.[1];
  if (iso !== undefined && ALIASES[bare] === undefined) return `iso-8859-${iso}`;
  return ALIASES[bare] ?? name.replace(/^["'\s]+|(?<!["'\s;])["'\s;]+$/g, '');
}

const ESCAPE = 0x1b;
const SHIFT_OUT = 0x0e;
const SHIFT_IN = 0x0f;
const LF = 0x0a;
const TILDE = 0x7e;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
/** The designation `ESC $ ) C` takes four bytes. */
const DESIGNATION_BYTES = 4;

/** ISO-2022-KR (RFC 1557) as EUC-KR: between SO and SI every byte has its high bit. */
export function eucOfIso2022Kr(bytes: Uint8Array): Buffer {
  const out: number[] = [];
  let shifted = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte === SHIFT_OUT || byte === SHIFT_IN) shifted = byte === SHIFT_OUT;
    else if (byte === ESCAPE) at += DESIGNATION_BYTES - 1;
    else {
      if (byte === LF) shifted = false;
      out.push(shifted && byte > 0x20 ? byte | 0x80 : byte);
    }
  }
  return Buffer.from(out);
}

/** HZ (RFC 1843) as GBK: between `~{` and `~}` every byte has its high bit. */
export function gbkOfHz(bytes: Uint8Array): Buffer {
  const out: number[] = [];
  let shifted = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    const next = byte === TILDE ? (bytes[at + 1] ?? 0) : 0;
    if (next === OPEN_BRACE || next === CLOSE_BRACE) shifted = next === OPEN_BRACE;
    else if (next === TILDE) out.push(TILDE);
    else if (next !== LF) {
      if (byte === LF) shifted = false;
      out.push(shifted && byte > 0x20 ? byte | 0x80 : byte);
      continue;
    }
    at += 1;
  }
  return Buffer.from(out);
}
