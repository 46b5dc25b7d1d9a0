/** The pins of one account in PostgreSQL: each change is one transaction under a lock of its own, with its alarms. */
import type { Events } from '../events.ts';
import type { AlarmKind } from '../mime/bridge-mail.ts';
import type { Pin, PinState } from '../smimp/pin.ts';
import type { Db, Tx } from '../store/database.ts';
import { archivePin, findPin, lockPin, type StoredPin, savePin } from '../store/pins.ts';
import { applyStanding } from '../store/trust.ts';
import { type About, alarmOfChange, isReleased, raise, release, reportAlarms } from './alarms.ts';
import type { KeptPin, PinBook, PinChange } from './pins.ts';
import { sameStanding, standingOf } from './standing.ts';

type Done = { raised: AlarmKind[]; ended: AlarmKind[] };

/** `toSend`: whoever looks is about to send, see alarms.ts. */
export function storedPins(of: { db: Db; events: Events; accountId: number; toSend?: boolean }): PinBook {
  const { db, events, accountId, toSend = false } = of;
  return {
    find: async (contact) => keptPin(await findPin(db, accountId, contact)),
    async change(contact, decide) {
      const { result, done } = await db.transaction().execute(async (tx) => {
        await lockPin(tx, accountId, contact);
        const before = keptPin(await findPin(tx, accountId, contact));
        const change = decide(before);
        if (change.keep === undefined) return { result: change.result, done: null };
        const about = { accountId, contact, now: change.keep.checkedAt };
        await keep(tx, about, change.keep, change.archive);
        const standing = standingOf(change.keep);
        if (!sameStanding(standing, standingOf(before))) await applyStanding(tx, accountId, contact, standing);
        return { result: change.result, done: await alarm(tx, about, { before, change, toSend }) };
      });
      if (done !== null) reportAlarms(events, accountId, done);
      return result;
    },
  };
}

async function keep(tx: Tx, about: About, kept: KeptPin, archive: Pin | undefined): Promise<void> {
  const { checkedAt: _now, ...pin } = kept;
  if (archive !== undefined) await archivePin(tx, { ...about, pin: archive });
  await savePin(tx, { ...about, ...pin });
}

async function alarm(
  tx: Tx,
  about: About,
  { before, change, toSend }: { before: KeptPin | null; change: PinChange<unknown>; toSend: boolean },
): Promise<Done> {
  const ended = isReleased(before, change) ? await release(tx, about) : [];
  const found = alarmOfChange(before, change);
  const raised = found !== null && (await raise(tx, about, found, toSend)) ? [found.kind] : [];
  return { raised, ended };
}

/** What is kept of a contact, as a row holds it. */
export function keptPin(row: StoredPin | undefined): KeptPin | null {
  if (row === undefined) return null;
  const { evidence, verified_at: verifiedAt, checked_at: checkedAt } = row;
  return { state: row.state as PinState, pin: row.pin as Pin, evidence, verifiedAt, checkedAt };
}
