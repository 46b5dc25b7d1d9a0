/** The pins of one account in PostgreSQL: each change is one transaction under a lock of its own. */
import type { Pin, PinState } from '../smimp/pin.ts';
import type { Db } from '../store/database.ts';
import { archivePin, findPin, lockPin, type StoredPin, savePin } from '../store/pins.ts';
import type { KeptPin, PinBook } from './pins.ts';

export function storedPins(db: Db, accountId: number): PinBook {
  return {
    find: async (contact) => keptPin(await findPin(db, accountId, contact)),
    change: (contact, decide) =>
      db.transaction().execute(async (tx) => {
        await lockPin(tx, accountId, contact);
        const { result, keep, archive } = decide(keptPin(await findPin(tx, accountId, contact)));
        if (keep === undefined) return result;
        const { checkedAt: now, ...kept } = keep;
        if (archive !== undefined) await archivePin(tx, { accountId, contact, pin: archive, now });
        await savePin(tx, { accountId, contact, ...kept, now });
        return result;
      }),
  };
}

function keptPin(row: StoredPin | undefined): KeptPin | null {
  if (row === undefined) return null;
  const { evidence, verified_at: verifiedAt, checked_at: checkedAt } = row;
  return { state: row.state as PinState, pin: row.pin as Pin, evidence, verifiedAt, checkedAt };
}
