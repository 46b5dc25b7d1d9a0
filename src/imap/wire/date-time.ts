/** Dates of the IMAP grammar (RFC 3501 §9: date, date-time): INTERNALDATE both ways and SEARCH days. */
import { type EpochDay, epochDay, MONTH_NAMES, monthFromName } from '../../mime/structure/calendar-day.ts';

/** An instant and the zone it was written in. SEARCH ON compares the day as written, so the zone is kept. */
export interface ImapDateTime {
  unixSeconds: number;
  /** Minutes east of UTC. */
  zoneMinutes: number;
}

const DATE_TIME = /^([ \d]?\d)-([A-Za-z]{3})-(\d{4}) (\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})$/;
const DATE = /^(\d{1,2})-([A-Za-z]{3})-(\d{4})$/;
const SECONDS_PER_DAY = 86_400;

/** Reads `17-Jul-1996 02:44:25 -0700` (without its quotes); null when it is no such date. */
export function parseDateTime(text: string): ImapDateTime | null {
  const match = DATE_TIME.exec(text);
  if (match === null) return null;
  const day = dayFromParts(match[1], match[2], match[3]);
  const [hour, minute, second] = [Number(match[4]), Number(match[5]), Number(match[6])];
  const [zoneHours, zoneRest] = [Number(match[8]), Number(match[9])];
  // 60 is a leap second (RFC 5322 §3.3).
  if (day === null || hour > 23 || minute > 59 || second > 60 || zoneHours > 23 || zoneRest > 59) return null;
  const zoneMinutes = (zoneHours * 60 + zoneRest) * (match[7] === '-' ? -1 : 1);
  const local = day * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
  return { unixSeconds: local - zoneMinutes * 60, zoneMinutes: zoneMinutes === 0 ? 0 : zoneMinutes };
}

/** Writes `17-Jul-1996 02:44:25 -0700`, the day padded with a space to two characters, without quotes. */
export function formatDateTime(date: ImapDateTime): string {
  const local = new Date((Math.floor(date.unixSeconds) + date.zoneMinutes * 60) * 1000);
  const day = String(local.getUTCDate()).padStart(2, ' ');
  const month = MONTH_NAMES[local.getUTCMonth()] ?? 'Jan';
  const year = String(local.getUTCFullYear()).padStart(4, '0');
  const time = [local.getUTCHours(), local.getUTCMinutes(), local.getUTCSeconds()].map(twoDigits).join(':');
  return `${day}-${month}-${year} ${time} ${formatZone(date.zoneMinutes)}`;
}

/** Reads `1-Feb-1994` of SEARCH; null when it is no day of the calendar. */
export function parseDay(text: string): EpochDay | null {
  const match = DATE.exec(text);
  return match === null ? null : dayFromParts(match[1], match[2], match[3]);
}

function dayFromParts(
  day: string | undefined,
  monthName: string | undefined,
  year: string | undefined,
): EpochDay | null {
  const month = monthFromName(monthName ?? '');
  return month === null ? null : epochDay(Number(year), month, Number(day));
}

function formatZone(zoneMinutes: number): string {
  const distance = Math.abs(zoneMinutes);
  return `${zoneMinutes < 0 ? '-' : '+'}${twoDigits(Math.floor(distance / 60))}${twoDigits(distance % 60)}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
