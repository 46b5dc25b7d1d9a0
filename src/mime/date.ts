/**
 * Dates of mail (RFC 5322 §3.3, with the obsolete forms of §4.3), without the machine's clock or time zone.
 */
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const ZONE_HOURS: Readonly<Record<string, number>> = {
  est: -5,
  edt: -4,
  cst: -6,
  cdt: -5,
  mst: -7,
  mdt: -6,
  pst: -8,
  pdt: -7,
};
const DATE =
  /(\d{1,2})[\s-]+([a-z]{3})[a-z]*[\s-]+(\d{2,4})\s+(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([+-]\d{4}|[a-z]{1,5})?/i;
/** `Thu Feb  1 10:00:00 2024`, as C writes it, perhaps with a zone before the year. */
const C_DATE = /^\s*[a-z]{3}\s+([a-z]{3})\s+(\d{1,2})\s+(\d{1,2}:\d{2}:\d{2})\s+([a-z]{1,5}\s+)?(\d{4})/i;
/** 0001-01-01 and 9999-12-31 23:59:59, what an SMIMP timestamp can say (SMIMP 0.1 §1.1). */
const MIN_UNIX_SECONDS = -62_135_596_800;
const MAX_UNIX_SECONDS = 253_402_300_799;

/** Unix seconds, or `null` when the text is no date. An unknown zone counts as UTC. */
export function parseMailDate(text: string): number | null {
  const match = DATE.exec(text.slice(0, 200).replace(C_DATE, '$2 $1 $5 $3 $4'));
  if (match === null) return null;
  const [, day, monthName, yearText, hour, minute, second, zone] = match;
  const month = MONTHS.indexOf((monthName ?? '').toLowerCase());
  const midnight = utcDay(fullYear(yearText ?? ''), month, Number(day));
  if (midnight === null || Number(hour) > 23 || Number(minute) > 59 || Number(second ?? 0) > 60) return null;
  const local = midnight + Number(hour) * 3600 + Number(minute) * 60 + Math.min(Number(second ?? 0), 59);
  return clampSeconds(local - zoneSeconds(zone ?? ''));
}

/** Seconds within what a timestamp can hold. */
export function clampSeconds(unixSeconds: number): number {
  return Math.min(Math.max(Math.trunc(unixSeconds), MIN_UNIX_SECONDS), MAX_UNIX_SECONDS);
}

function fullYear(text: string): number {
  const year = Number(text);
  if (text.length === 2) return year < 50 ? 2000 + year : 1900 + year;
  return text.length === 3 ? 1900 + year : year;
}

function utcDay(year: number, month: number, day: number): number | null {
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  const real = month >= 0 && date.getUTCMonth() === month && date.getUTCDate() === day;
  return real ? date.getTime() / 1000 : null;
}

function zoneSeconds(zone: string): number {
  const digits = /^([+-])(\d{2})(\d{2})$/.exec(zone);
  if (digits === null) return (ZONE_HOURS[zone.toLowerCase()] ?? 0) * 3600;
  const seconds = Number(digits[2]) * 3600 + Number(digits[3]) * 60;
  return digits[1] === '-' ? -seconds : seconds;
}

/** `Thu, 01 Feb 2024 10:00:00 +0000` */
export function formatMailDate(unixSeconds: number): string {
  const date = new Date(clampSeconds(unixSeconds) * 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const month = MONTHS[date.getUTCMonth()] ?? '';
  const day = `${DAYS[date.getUTCDay()]}, ${two(date.getUTCDate())} ${month.charAt(0).toUpperCase()}${month.slice(1)}`;
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  return `${day} ${String(date.getUTCFullYear()).padStart(4, '0')} ${time} +0000`;
}
