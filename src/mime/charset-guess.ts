/**
 * Which character set bytes are in that are neither ASCII nor UTF-8 and do not say, or say what cannot be: old mail from
 * everywhere. Each candidate decodes a sample; in the right one nearly all that is not ASCII are the commonest letters of a
 * language, in a wrong one they are strewn over the whole alphabet. Deterministic, and bounded by the sample.
 */
import { TextDecoder } from 'node:util';

/** Enough for any statistics. */
const SAMPLE_BYTES = 4 * 1024;
/** With fewer characters beyond ASCII there is nothing to count. */
const MIN_FOREIGN = 4;
/** Share of the foreign characters that must be common ones. Right guesses have from 0.6 up, wrong ones below 0.4. */
const MIN_SHARE = 0.55;
/** Words in Latin letters have more ASCII letters than others. */
const LATIN_RATIO = 1.5;
/** A word or two may have fewer; then the others must be letters of the West nearly without exception. */
const SHORT_LATIN_RATIO = 0.25;
const SHORT_LATIN_SHARE = 0.95;
/** A line of dashes is in no language. */
const FEW_DIFFERENT = 3;

type Candidate = { charset: string; common: ReadonlySet<number> };

const codes = (text: string): Set<number> => new Set(Array.from(text, (char) => char.charCodeAt(0)));
const range = (first: number, last: number): string =>
  Array.from({ length: last - first + 1 }, (_, at) => String.fromCharCode(first + at)).join('');

const RUSSIAN = codes('оеаинтсрвлкмдпуяыьгзбчйхжё\u00a0«»—№');
const KANA = codes(`${range(0x3041, 0x3096)}${range(0x30a1, 0x30fc)}、。「」・！？`);
const CHINESE = codes(
  '的一是不了在人有我他这为之来以个中上大到说们国和地也子时道出而要于就下得可你年生会自着去那后能对好过天起看家如发心本样她作想手三方经同现所面样前行事将给此两主请您谢附件报告文公司部门工作电话邮件已经收到没问题，。！？、：；（）“”這為來個們說國時後對過還開關於與學會無點將給兩經樣請謝報電話郵題沒問門體',
);
/** What a Korean sentence is made of, beside its nouns. */
const KOREAN = codes(
  '이다가는을를에의하고은로도지서한기리나사어자아시니습안녕세요그대일정부제인전수스보주해게과들만있없것고었했합됩십시오첨파확님메내라마바여러',
);
const GREEK = codes('αοιετσνηυρπκμλωςάίέόύήώγδ\u00a0«»');
const HEBREW = codes(range(0x5d0, 0x5ea));
const ARABIC = codes('ابتثجحخدذرزسشصضطظعغفقكلمنهويىةأإآءئؤ،؟');
const THAI = codes('กขคงจชซญดตถทนบปผพฟมยรลวสหอฮะาิีึืุูเแโใไ่้์ัำ็');
const CENTRAL = codes('ąćęłńóśźżĄĆĘŁŃÓŚŹŻáčďéěíňřšťúůýžÁČĎÉĚÍŇŘŠŤÚŮÝŽöőüűÖŐÜŰľĺŕôäăâîșțşţđ„”–');
const WESTERN = codes('àâäáãåæçéèêëíìîïñóòôöõøœúùûüýÿßÀÂÄÁÃÅÆÇÉÈÊËÍÎÏÑÓÔÖÕØÚÛÜ«»„“”‘’–—…€£§°©®·¿¡\u00a0');

/** Where two have the same share the first one counts. */
const FOREIGN: readonly Candidate[] = [
  { charset: 'shift_jis', common: KANA },
  { charset: 'euc-jp', common: KANA },
  { charset: 'euc-kr', common: KOREAN },
  { charset: 'gb18030', common: CHINESE },
  { charset: 'big5', common: CHINESE },
  { charset: 'koi8-r', common: RUSSIAN },
  { charset: 'windows-1251', common: RUSSIAN },
  { charset: 'iso-8859-5', common: RUSSIAN },
  { charset: 'ibm866', common: RUSSIAN },
  { charset: 'windows-1253', common: GREEK },
  { charset: 'windows-1255', common: HEBREW },
  { charset: 'windows-1256', common: ARABIC },
  { charset: 'windows-874', common: THAI },
];
const WESTERN_SET: Candidate = { charset: 'windows-1252', common: WESTERN };
/** The common one needs less to be believed, so it comes first. */
const LATIN: readonly Candidate[] = [
  WESTERN_SET,
  { charset: 'windows-1250', common: CENTRAL },
  { charset: 'iso-8859-2', common: CENTRAL },
];
export const FALLBACK_CHARSET = 'windows-1252';

/** The most likely one; windows-1252 where nothing speaks for another. */
export function guessCharset(bytes: Uint8Array): string {
  const sample = bytes.subarray(0, SAMPLE_BYTES);
  const { ascii, foreign } = countLetters(sample);
  if (foreign < MIN_FOREIGN) return FALLBACK_CHARSET;
  const whole = sample.length === bytes.length;
  if (ascii > LATIN_RATIO * foreign) return best(LATIN, sample, whole) ?? FALLBACK_CHARSET;
  const mayBeLatin = ascii > SHORT_LATIN_RATIO * foreign || new Set(sample.filter(isForeign)).size <= FEW_DIFFERENT;
  if (mayBeLatin && commonShare(sample, WESTERN_SET, whole) > SHORT_LATIN_SHARE) return FALLBACK_CHARSET;
  return best(mayBeLatin ? [...LATIN, ...FOREIGN] : FOREIGN, sample, whole) ?? FALLBACK_CHARSET;
}

/** ASCII letters count where they stand in one word with others: what is about the text does not tell what it is in. */
function countLetters(sample: Uint8Array): { ascii: number; foreign: number } {
  const counts = { ascii: 0, foreign: 0 };
  let word = { ascii: 0, foreign: 0 };
  for (const byte of sample) {
    if (isForeign(byte)) word.foreign += 1;
    else if (isLetter(byte)) word.ascii += 1;
    else {
      if (word.foreign > 0) counts.ascii += word.ascii;
      counts.foreign += word.foreign;
      word = { ascii: 0, foreign: 0 };
    }
  }
  return { ascii: counts.ascii + (word.foreign > 0 ? word.ascii : 0), foreign: counts.foreign + word.foreign };
}

const isForeign = (byte: number): boolean => byte >= 0x80;

function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

function best(candidates: readonly Candidate[], sample: Uint8Array, whole: boolean): string | null {
  let found: string | null = null;
  let most = MIN_SHARE;
  for (const candidate of candidates) {
    const share = commonShare(sample, candidate, whole);
    if (share <= most) continue;
    found = candidate.charset;
    most = share;
  }
  return found;
}

/** Making one costs more than decoding a name. */
const decoders = new Map<string, TextDecoder>();

function decoderOf(charset: string): TextDecoder {
  const known = decoders.get(charset) ?? new TextDecoder(charset);
  decoders.set(charset, known);
  return known;
}

const REPLACEMENT = 0xfffd;

/** Zero where the bytes cannot be of that character set. A sample may end within a character. */
function commonShare(sample: Uint8Array, { charset, common }: Candidate, whole: boolean): number {
  const text = decoderOf(charset).decode(sample);
  const end = !whole && text.charCodeAt(text.length - 1) === REPLACEMENT ? text.length - 1 : text.length;
  let foreign = 0;
  let found = 0;
  for (let at = 0; at < end; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x80) continue;
    if (isImpossible(code)) return 0;
    foreign += 1;
    if (common.has(code)) found += 1;
  }
  return foreign === 0 ? 0 : found / foreign;
}

/** Control characters, private ones, and what no decoder could read. */
function isImpossible(code: number): boolean {
  return code === REPLACEMENT || code < 0xa0 || (code >= 0xe000 && code <= 0xf8ff);
}
