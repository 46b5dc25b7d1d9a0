/**
 * Calendar days without time or zone, as IMAP SEARCH compares them (RFC 3501 §6.4.4), and the day written in a Date
 * header (RFC 5322 §3.3 with the obsolete forms of §4.3). A day is a count of days since 1970-01-01, so that
 * comparing is comparing numbers.
 */
declare const epochDayBrand: unique symbol;

/** Whole days since 1970-01-01, in whatever zone the date was written. */
export type EpochDay = number & { readonly [epochDayBrand]: 'EpochDay' };

export type DayComparison = 'before' | 'on' | 'since';

export const MONTH_NAMES = [
  'Jan',
  'Feb',
  'Mar',
  'Apr',
  'May',
  'Jun',
  'Jul',
  'Aug',
  'Sep',
  'Oct',
  'Nov',
  'Dec',
] as const;

const MS_PER_DAY = 86_400_000;
/** The date stands at the start of the header; longer text is junk that need not be read. */
const DATE_HEADER_CHARS = 256;
const HEADER_DATE = /^\s*(?:[A-Za-z]+\s*,?\s*)?(\d{1,2})[\s-]+([A-Za-z]{3})[a-z]*[\s-]+(\d{2,4})(?!\d)/;

/** Month number 0 to 11 for a three-letter English name in any case, or null. */
export function monthFromName(name: string): number | null {
  const lower = name.toLowerCase();
  const month = MONTH_NAMES.findIndex((known) => known.toLowerCase() === lower);
  return month < 0 ? null : month;
}

/** The day, or null when the calendar has no such day. `month` counts from 0. */
export function epochDay(year: number, month: number, day: number): EpochDay | null {
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  if (date.getUTCMonth() !== month || date.getUTCDate() !== day) return null;
  return Math.floor(date.getTime() / MS_PER_DAY) as EpochDay;
}

/** The day of an instant as a clock `zoneMinutes` east of UTC shows it. */
export function dayOfInstant(unixSeconds: number, zoneMinutes: number): EpochDay {
  return Math.floor((unixSeconds + zoneMinutes * 60) / (MS_PER_DAY / 1000)) as EpochDay;
}

/** True when `day` is before, on, or on-or-after `limit` (RFC 3501 §6.4.4: BEFORE, ON, SINCE and their SENT forms). */
export function compareDay(comparison: DayComparison, day: EpochDay, limit: EpochDay): boolean {
  if (comparison === 'before') return day < limit;
  return comparison === 'on' ? day === limit : day >= limit;
}

/** The day as written in the value of a Date header, disregarding time and zone; null when there is none to read. */
export function dayOfDateHeader(value: string): EpochDay | null {
  const match = HEADER_DATE.exec(value.slice(0, DATE_HEADER_CHARS));
  if (match === null) return null;
  const month = monthFromName(match[2] ?? '');
  if (month === null) return null;
  return epochDay(fullYear(match[3] ?? ''), month, Number(match[1]));
}

/** RFC 5322 §4.3: two digits below 50 are 20xx, other two or three digits count from 1900. */
function fullYear(digits: string): number {
  const year = Number(digits);
  if (digits.length >= 4) return year;
  return digits.length === 2 && year < 50 ? 2000 + year : 1900 + year;
}
