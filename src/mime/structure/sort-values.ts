/** What of a message SORT and THREAD compare (RFC 5256 §2.2, §3; RFC 5957 §3), from its envelope. */
import { parseMailDate } from '../date.ts';
import { decodeHeaderBytes } from '../text-search.ts';
import { type BaseSubject, baseSubject } from './base-subject.ts';
import { dayOfDateHeader } from './calendar-day.ts';
import { casemapKey } from './casemap.ts';
import type { ByteString, Envelope, EnvelopeAddress } from './types.ts';

const SECONDS_PER_DAY = 86_400;
/** A subject is compared up to here: longer ones are not written by people. */
const SUBJECT_BYTES = 16 * 1024;

/** Unix seconds; a day without a readable time begins at midnight, without a day it is when the message came in. */
export function sentSeconds({ date }: Envelope, arrivedSeconds: number): number {
  const sent = parseMailDate(date ?? '');
  if (sent !== null) return sent;
  const day = dayOfDateHeader(date ?? '');
  return day === null ? arrivedSeconds : day * SECONDS_PER_DAY;
}

export function subjectOf({ subject }: Envelope): BaseSubject {
  return baseSubject(decodeHeaderBytes((subject ?? '').slice(0, SUBJECT_BYTES)));
}

export function subjectKey(envelope: Envelope): Buffer {
  return casemapKey(subjectOf(envelope).text);
}

/** The local part of the first address; of a group its name. */
export function mailboxKey([first]: readonly EnvelopeAddress[]): Buffer {
  return casemapKey(decoded(first?.mailbox ?? null));
}

/** What people see of the first address: its name, or else the address itself. */
export function displayKey([first]: readonly EnvelopeAddress[]): Buffer {
  if (first === undefined) return casemapKey('');
  const name = decoded(first.name).replace(/\s+/g, ' ').trim();
  if (name !== '') return casemapKey(name);
  const { mailbox, host } = first;
  return casemapKey(decoded(mailbox) + (host === null || host === '' ? '' : `@${decoded(host)}`));
}

function decoded(value: ByteString | null): string {
  return value === null ? '' : decodeHeaderBytes(value);
}
