/** What has to be done now and then: keys topped up and rotated, old rows thrown away, one's own server watched. */
import type { Events } from './events.ts';
import type { KeyMaintenance } from './identity/maintenance.ts';
import { checkDueAccounts } from './identity/own-check.ts';
import type { Identity } from './identity/resolve.ts';
import { SESSION_IDLE_SECONDS, SESSION_SECONDS } from './smimp/api.ts';
import { forgetEndedAlarms } from './store/alarms.ts';
import type { Db } from './store/database.ts';
import { forgetStrangeDomains } from './store/domains.ts';
import { forgetEpochs } from './store/epochs.ts';
import { forgetExpunged } from './store/expunged.ts';
import { settleFlagChanges } from './store/flag-changes.ts';
import { forgetOldKeys } from './store/key-issue.ts';
import { forgetStsPolicies } from './store/mta-sts.ts';
import { forgetOldPowFacts } from './store/pow-facts.ts';
import { forgetUnpaired } from './store/sent-copies.ts';
import { purgeExpired } from './store/sessions.ts';
import { forgetFinishedSubmissions } from './store/submissions.ts';

/** A pool of a hundred keys, topped up below fifty, lasts this long under all but an attack. */
const EVERY_MS = 60_000;
const DAY_MS = 86_400_000;
/** What was sent is shown by `queue list --all` for this long. */
const KEEP_FINISHED_MS = 30 * DAY_MS;
/** Keys are counted for a day and accepted for a day after they were replaced (SMIMP 0.1 §5); twice that. */
const KEEP_KEYS_MS = 2 * DAY_MS;
/** Who asked for the price of a message, but never sent one. */
const KEEP_SILENT_MS = 2 * DAY_MS;
/** Who wrote once may write again after a year as somebody known. */
const KEEP_KNOWN_MS = 400 * DAY_MS;

/** `trust show` tells of what ended for this long; what lasts, or was never one that ends, stays (docs/alarms.md). */
export const KEEP_ENDED_ALARMS_MS = 90 * DAY_MS;

/** These look at every account: in some rounds only. */
const FORGET_CHANGES_EVERY_MINUTES = 30;

/** Begins at once and goes on until disposed. */
export function startChores(options: {
  db: Db;
  maintenance: KeyMaintenance;
  identity: Pick<Identity, 'checkOwnHistory'>;
  events: Events;
  clock: () => Date;
}): AsyncDisposable {
  let round = Promise.resolve();
  const next = (): void => {
    round = round.then(() => doChores(options)).catch((error: unknown) => options.events.unexpected('chores', error));
  };
  next();
  const timer = setInterval(next, EVERY_MS);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await round;
    },
  };
}

/** One round; safe in several processes at once. */
export async function doChores(options: Parameters<typeof startChores>[0]): Promise<void> {
  const { db, maintenance, clock } = options;
  const now = clock();
  await maintenance.runOnce(now);
  await purgeExpired(db, now, { idleMs: SESSION_IDLE_SECONDS * 1000, keepSentMs: 2 * SESSION_SECONDS * 1000 });
  await forgetOldPowFacts(db, {
    asked: new Date(now.getTime() - KEEP_SILENT_MS),
    known: new Date(now.getTime() - KEEP_KNOWN_MS),
  });
  await forgetOldKeys(db, new Date(now.getTime() - KEEP_KEYS_MS));
  await forgetStrangeDomains(db, new Date(now.getTime() - DAY_MS));
  await forgetStsPolicies(db, now);
  await forgetEndedAlarms(db, new Date(now.getTime() - KEEP_ENDED_ALARMS_MS));
  await forgetFinishedSubmissions(db, new Date(now.getTime() - KEEP_FINISHED_MS));
  if (now.getUTCMinutes() % FORGET_CHANGES_EVERY_MINUTES === 0) {
    await forgetExpunged(db);
    await settleFlagChanges(db);
    await forgetEpochs(db);
    await forgetUnpaired(db, new Date(now.getTime() - 2 * DAY_MS));
  }
  await checkDueAccounts({ ...options, now });
}
