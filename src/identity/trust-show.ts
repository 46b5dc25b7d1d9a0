/**
 * What is known of contacts, for people (SMIMP 0.1 §3): state, since when and why, what is kept as evidence, and everything
 * that happened. Also of addresses that are not pinned but gave an alarm, and of oneself.
 */
import { alarmSubject } from '../mime/alarm.ts';
import type { AlarmKind } from '../mime/bridge-mail.ts';
import type { Address } from '../smimp/address.ts';
import { parseTimestamp, type SignedHash } from '../smimp/encoding.ts';
import { type Fingerprint, fingerprintOf } from '../smimp/fingerprint.ts';
import type { Pin, PinState } from '../smimp/pin.ts';
import { listAlarms, type StoredAlarm } from '../store/alarms.ts';
import type { Db } from '../store/database.ts';
import { findPin, listArchivedPins, listPins, type StoredPin } from '../store/pins.ts';
import { findUser } from '../store/users.ts';
import { BAD_STATES } from './alarms.ts';

export type ShownAlarm = {
  readonly kind: AlarmKind;
  /** The case, where there are several of a kind: a head, a key or a code. */
  readonly cause: string;
  /** One sentence. */
  readonly says: string;
  readonly since: Date;
  readonly last: Date;
  readonly times: number;
  readonly told: { readonly at: Date; readonly by: string } | null;
  readonly ended: Date | null;
  readonly evidence: object | null;
};

/** A contact as `trust show` prints it. */
export type ShownContact = {
  readonly contact: Address;
  /** Null for an address that is not pinned. */
  readonly state: PinState | null;
  /** Since when it is in a state that is not good, and why; null when all is well. */
  readonly since: Date | null;
  readonly why: string | null;
  /** When a person last checked the fingerprint, or null. */
  readonly verifiedAt: Date | null;
  readonly checkedAt: Date | null;
  /** Of what is pinned. */
  readonly fingerprint: Fingerprint | null;
  readonly records: number;
  readonly masterKeys: number;
  /** When the first record was first seen. UTC, as in timestamps of the protocol. */
  readonly firstSeen: string;
  /** Earlier identities that a fingerprint replaced. */
  readonly archived: number;
  /** What the contact's server showed instead of what is pinned, or which message contradicts it. */
  readonly evidence: object | null;
  readonly alarms: readonly ShownAlarm[];
};

export type TrustEventName = 'record-seen' | 'new-key' | 'archived' | 'verified' | 'alarm' | 'told' | 'ended';
/** Something that happened with a contact. `detail`: the number of a record, the kind of an alarm. */
export type TrustEvent = { readonly at: Date; readonly event: TrustEventName; readonly detail: string };

/** All contacts, or one; none when nothing is known of it. */
export async function shownContacts(db: Db, accountId: number, contact?: Address): Promise<ShownContact[]> {
  const owner = (await findUser(db, accountId))?.address as Address;
  const pins = contact === undefined ? await listPins(db, accountId) : [await findPin(db, accountId, contact)];
  const alarms = await listAlarms(db, accountId, contact);
  const archived = await listArchivedPins(db, accountId);
  const pinned = new Map(pins.flatMap((row) => (row === undefined ? [] : [[row.contact, row] as const])));
  const names = [...new Set([...pinned.keys(), ...alarms.map((row) => row.contact)])].sort();
  return names.map((name) => ({
    ...pinFacts(name as Address, pinned.get(name)),
    ...alarmFacts(
      owner,
      pinned.get(name),
      alarms.filter((row) => row.contact === name),
    ),
    contact: name as Address,
    archived: archived.filter((row) => row.contact === name).length,
  }));
}

function pinFacts(contact: Address, row: StoredPin | undefined) {
  if (row === undefined) {
    const nothing = { state: null, verifiedAt: null, checkedAt: null, fingerprint: null, evidence: null };
    return { ...nothing, records: 0, masterKeys: 0, firstSeen: '' };
  }
  const pin = row.pin as Pin;
  return {
    state: row.state as PinState,
    verifiedAt: row.verified_at,
    checkedAt: row.checked_at,
    fingerprint: fingerprintOf(contact, pin.signed_hashes[0] as SignedHash),
    records: pin.signed_hashes.length,
    masterKeys: pin.master_keys.length,
    firstSeen: pin.first_seen[0] ?? '',
    evidence: row.evidence,
  };
}

function alarmFacts(owner: Address, row: StoredPin | undefined, stored: readonly StoredAlarm[]) {
  const alarms = stored.map((alarm) => shownAlarm(owner, alarm));
  const kind = row === undefined ? undefined : BAD_STATES[row.state as PinState];
  const lasts = alarms.findLast((alarm) => alarm.kind === kind && alarm.ended === null);
  return { alarms, since: lasts?.last ?? null, why: lasts?.says ?? null };
}

function shownAlarm(owner: Address, row: StoredAlarm): ShownAlarm {
  const { kind, cause, times, evidence, told_at, told_by } = row;
  const says = alarmSubject({ kind, owner, contact: row.contact as Address });
  const told = told_at === null || told_by === null ? null : { at: told_at, by: told_by };
  return { kind, cause, says, since: row.first_at, last: row.last_at, times, told, ended: row.ended_at, evidence };
}

/** Everything that is known to have happened, oldest first. */
export async function trustHistory(db: Db, accountId: number, contact: Address): Promise<TrustEvent[]> {
  const row = await findPin(db, accountId, contact);
  const archived = await listArchivedPins(db, accountId);
  const alarms = await listAlarms(db, accountId, contact);
  const events = [
    ...archived
      .filter((old) => old.contact === contact)
      .flatMap((old) => archivedEvents(old.pin as Pin, old.archived_at)),
    ...(row === undefined ? [] : recordEvents(row.pin as Pin)),
    ...(row?.verified_at == null ? [] : [{ at: row.verified_at, event: 'verified' as const, detail: '' }]),
    ...alarms.flatMap(alarmEvents),
  ];
  return events.sort((a, b) => a.at.getTime() - b.at.getTime());
}

function recordEvents(pin: Pin): TrustEvent[] {
  const keys = new Set(pin.master_keys.map(({ seq }) => seq));
  return pin.first_seen.map((seen, seq) => ({
    at: new Date(parseTimestamp(seen) * 1000),
    event: seq > 0 && keys.has(seq) ? 'new-key' : 'record-seen',
    detail: String(seq),
  }));
}

function archivedEvents(pin: Pin, at: Date): TrustEvent[] {
  return [...recordEvents(pin), { at, event: 'archived', detail: String(pin.signed_hashes.length) }];
}

function alarmEvents(alarm: StoredAlarm): TrustEvent[] {
  const { kind: detail, first_at, told_at, ended_at } = alarm;
  return [
    { at: first_at, event: 'alarm', detail },
    ...(told_at === null ? [] : [{ at: told_at, event: 'told' as const, detail }]),
    ...(ended_at === null ? [] : [{ at: ended_at, event: 'ended' as const, detail }]),
  ];
}
