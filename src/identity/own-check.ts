/**
 * What one's own server shows of oneself, against one's own copy (SMIMP 0.1 §3: one's own history is the client's own copy,
 * never the server's). Asked the way everybody else asks. Another answer means that the server lies to others, or that
 * somebody has the master key.
 */
import type { Events } from '../events.ts';
import type { Keystore } from '../keystore/keystore.ts';
import type { PinState } from '../smimp/pin.ts';
import { endAlarms } from '../store/alarms.ts';
import type { Db } from '../store/database.ts';
import { claimOwnChecks } from '../store/users.ts';
import { raise, reportAlarms } from './alarms.ts';
import type { Histories } from './histories.ts';
import { readOwnHistory } from './own-history.ts';
import { lookAtOwn } from './own-look.ts';

interface Services {
  db: Db;
  keystore: Keystore;
  histories: Histories;
  events: Events;
  clock: () => Date;
}

/** How often each account is checked. */
export const OWN_CHECK_EVERY_MS = 6 * 3_600_000;
/** Accounts that are asked about at the same time, and in one round; rounds come every minute. */
const AT_ONCE = 10;
const MAX_IN_ROUND = 50;

/** One look. A record that was published while we looked is no contradiction: then nothing is said. */
async function look({ db, keystore, histories, clock }: Services, accountId: number) {
  const keys = await keystore.open(accountId);
  const { history: own } = await readOwnHistory(db, keys);
  const verdict = await lookAtOwn(histories, own, clock().getTime() / 1000);
  const { history: after } = await readOwnHistory(db, keys);
  const state: PinState = after.seq === own.seq ? verdict.state : 'UNAVAILABLE';
  return { address: own.address, state, evidence: verdict.evidence };
}

export async function checkOwnHistory(services: Services, accountId: number): Promise<void> {
  const { address, state, evidence } = await look(services, accountId);
  if (state === 'UNAVAILABLE') return;
  const { db, events, clock } = services;
  const about = { accountId, contact: address, now: clock() };
  const done = await db.transaction().execute(async (tx) => {
    if (state === 'OK')
      return { raised: [], ended: await endAlarms(tx, { ...about, kinds: ['own-history'], untell: [] }) };
    const found = { kind: 'own-history' as const, cause: state.toLowerCase(), evidence };
    return { raised: (await raise(tx, about, found)) ? [found.kind] : [], ended: [] };
  });
  reportAlarms(events, accountId, done);
}

/** One round over accounts that were not checked for long; several processes share the work. */
export async function checkDueAccounts(options: {
  db: Db;
  identity: { checkOwnHistory(accountId: number): Promise<void> };
  events: Events;
  now: Date;
}): Promise<void> {
  const { db, identity, events, now } = options;
  const before = new Date(now.getTime() - OWN_CHECK_EVERY_MS);
  for (let done = 0; done < MAX_IN_ROUND; done += AT_ONCE) {
    const due = await claimOwnChecks(db, { before, now, limit: AT_ONCE });
    if (due.length === 0) return;
    const failed = (error: unknown): void => events.unexpected('check of own history', error);
    await Promise.all(due.map((accountId) => identity.checkOwnHistory(accountId).catch(failed)));
  }
}
