/**
 * Everything that happened at the home since the last look, brought here. Envelopes are kept as they came, `pending`: the
 * opener verifies and opens them, and nothing that the home says is trusted. Each message is one transaction and the cursor
 * follows after them, so a round may end anywhere and be begun again. Deletions come last, when all that was copied or moved
 * at the home is known here, because with the last message under a key its secret goes.
 */
import type { ChangesAnswer, Summary } from '../smimp/api.ts';
import { lockMailbox } from '../store/folders.ts';
import { deleteGone, findMirrored, keepUnlisted, markGone, markSeen } from '../store/mirror-messages.ts';
import { changeMirror } from '../store/mirrors.ts';
import { type Mirror, storedMirror } from './mirror.ts';
import { dropMissingFolders, pullFolders } from './pull-folders.ts';
import { fetchMessages } from './pull-messages.ts';

/** Messages deleted in one transaction. */
const DELETE_AT_ONCE = 200;

/** Asks until nothing new is said. */
export async function pull(mirror: Mirror): Promise<void> {
  const { services, accountId } = mirror;
  await pullFolders(mirror);
  for (;;) {
    await mirror.step();
    const stored = await storedMirror(mirror);
    const answer = await mirror.asOwner((session) => services.owner.changes(session, { cursor: stored.cursor }));
    const round = answer.reset ? stored.round + 1 : stored.round;
    await takeChanges(mirror, answer.changes, round);
    const listing = stored.listing || answer.reset;
    await changeMirror(services.db, accountId, { cursor: answer.cursor, round, listing });
    if (answer.changes.length === 0) break;
  }
  await finish(mirror);
}

async function takeChanges(mirror: Mirror, changes: ChangesAnswer['changes'], round: number): Promise<void> {
  const { services, accountId } = mirror;
  const deleted = changes.filter(({ op }) => op === 'delete').map(({ message_id }) => Buffer.from(message_id, 'hex'));
  const summaries = changes.flatMap(({ op, summary }) => (op === 'put' && summary !== undefined ? [summary] : []));
  const unknown = await withoutKnown(mirror, summaries, round);
  await fetchMessages(mirror, unknown, round);
  // After the messages: a page may say of one that it was changed and, later, that it is gone.
  if (deleted.length > 0) await markGone(services.db, accountId, deleted);
}

/** Those that are not known here as they are now, in the order of the mailbox. */
async function withoutKnown(mirror: Mirror, summaries: readonly Summary[], round: number): Promise<Summary[]> {
  const { services, accountId } = mirror;
  const ids = summaries.map(({ message_id }) => Buffer.from(message_id, 'hex'));
  if (ids.length === 0) return [];
  const known = new Map((await findMirrored(services.db, accountId, ids)).map((row) => [hex(row.remote_id), row]));
  await markSeen(services.db, accountId, ids, round);
  return summaries
    .filter(({ message_id, revision }) => known.get(message_id)?.revision !== revision)
    .sort((a, b) => a.seq - b.seq);
}

const hex = (bytes: Buffer): string => bytes.toString('hex');

async function finish(mirror: Mirror): Promise<void> {
  const { services, accountId } = mirror;
  const { db } = services;
  const { listing, round } = await storedMirror(mirror);
  if (listing) await endListing(mirror, round);
  for (let count = DELETE_AT_ONCE; count === DELETE_AT_ONCE; ) {
    await mirror.step();
    count = await db.transaction().execute(async (tx) => {
      await lockMailbox(tx, accountId);
      return deleteGone(tx, accountId, DELETE_AT_ONCE, services.clock());
    });
  }
  await db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    await dropMissingFolders(tx, accountId);
  });
}

/**
 * A home that begins its list of changes again has lost it, and perhaps more: it was restored from a backup. What it does not
 * know any more stays here, as the last copy; what it tells of as deleted goes.
 */
async function endListing({ services, accountId }: Mirror, round: number): Promise<void> {
  const kept = await services.db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    await changeMirror(tx, accountId, { listing: false });
    return keepUnlisted(tx, accountId, round, 'home-lost-it');
  });
  if (kept > 0) services.events.mirrorRefused({ accountId, what: 'listing', code: 'home_lost_it' });
}
