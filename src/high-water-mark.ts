/**
 * Notices that the database was restored from an old copy: a file in the data directory says which token the database must
 * hold, and an older database does not hold it. Tokens are drawn at the start, every few seconds while mailboxes change, and
 * at the end. What an older database means for mail programs and clients is in store/high-water.ts and docs/backups.md.
 *
 * The file is written before the database and again after it, each time whole and to the disk, under a lock of the database:
 * a process may be killed at any instruction, and several share a directory. Until the database has followed, the file says
 * nothing else about it than before: an older one stays an older one, and a directory without a mark stays without.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Events } from './events.ts';
import { randomBytes } from './smimp/crypto.ts';
import { toHex } from './smimp/encoding.ts';
import type { Db } from './store/database.ts';
import {
  allRevisions,
  currentEpoch,
  type DirectoryRow,
  findDirectory,
  lockMarks,
  markDirectory,
  renewMailboxes,
} from './store/high-water.ts';

export const MARK_FILE = 'high-water-mark';
/** A crash together with a backup of the last seconds before it is not noticed: the price of not writing for each change. */
const EVERY_MS = 10_000;
const ID_BYTES = 16;
const OWNER_ONLY_MODE = 0o600;
/** Renewals are years apart; the newest of them are enough. */
const EPOCHS_KEPT = 100;

const hex = z.string().regex(/^[0-9a-f]{32}$/);
/** `next`: the token that is being written into the database; null when it stands there. `epochs`: renewals it knows of. */
const markSchema = z.object({
  id: hex,
  serial: z.int().min(0),
  current: hex,
  next: hex.nullable(),
  epochs: z.array(hex),
});
type Mark = z.infer<typeof markSchema>;

/** `unreadable`: the file is there, but what it said is lost. */
type Known = Mark | 'unreadable' | null;
/** How the database stands to the file. */
type Standing = 'new' | 'same' | 'older';

export interface HighWaterMark {
  /** Compares, renews all mailboxes if the database is older, and draws a new token if anything changed. Whether it renewed. */
  advance(): Promise<boolean>;
  /** Renews all mailboxes because the operator says so; how many they are. */
  renew(): Promise<number>;
  /** Compares now, goes on doing so, and draws a last token when disposed. */
  start(): Promise<AsyncDisposable>;
}

export function createHighWaterMark(options: {
  db: Db;
  directory: string;
  events: Events;
  clock: () => Date;
}): HighWaterMark {
  const { db, directory, events, clock } = options;
  const file = join(directory, MARK_FILE);

  const step = (told: boolean): Promise<number | null> =>
    lockMarks(db, async (connection) => {
      const found = await compare(connection, file);
      if (!told && found.isUpToDate) return null;
      const renewed = await redraw(connection, { file, found, renews: told || found.isOlder, now: clock() });
      if (renewed !== null) events.mailboxesRenewed({ mailboxes: renewed, told });
      return renewed;
    });

  return {
    advance: async () => (await step(false)) !== null,
    renew: async () => (await step(true)) ?? 0,
    async start() {
      await step(false);
      let round: Promise<unknown> = Promise.resolve();
      const next = (): void => {
        round = round.then(() => step(false)).catch((error: unknown) => events.unexpected('high-water mark', error));
      };
      const timer = setInterval(next, EVERY_MS);
      return {
        async [Symbol.asyncDispose]() {
          clearInterval(timer);
          next();
          await round;
        },
      };
    },
  };
}

type Found = {
  known: Mark | null;
  row: DirectoryRow | undefined;
  standing: Standing;
  /** Nothing changed since the last token. */
  isUpToDate: boolean;
  /** And no other machine renewed it since this one looked last. */
  isOlder: boolean;
};

async function compare(db: Db, file: string): Promise<Found> {
  const mark = await readMark(file);
  const known = mark === 'unreadable' ? null : mark;
  const row = known === null ? undefined : await findDirectory(db, Buffer.from(known.id, 'hex'));
  const standing = mark === 'unreadable' ? 'older' : standingOf(known, row);
  const epoch = await currentEpoch(db);
  const isDone = epoch !== null && known !== null && !known.epochs.includes(epoch);
  const isUpToDate = standing === 'same' && known?.next === null && row?.revisions === (await allRevisions(db));
  return { known, row, standing, isUpToDate, isOlder: standing === 'older' && !isDone };
}

/**
 * Whoever is killed between the two writings leaves either token in the database. A database that counts further than the
 * file is not older: the file is, or has a twin.
 */
function standingOf(mark: Mark | null, row: DirectoryRow | undefined): Standing {
  if (mark === null) return 'new';
  if (row === undefined) return 'older';
  const token = toHex(row.token);
  if (token === mark.current || token === mark.next) return 'same';
  return row.serial > mark.serial ? 'same' : 'older';
}

/** A new token in the file and in the database, and a new course of all mailboxes with it; how many, or null. */
async function redraw(
  db: Db,
  { file, found, renews, now }: { file: string; found: Found; renews: boolean; now: Date },
): Promise<number | null> {
  const mark = nextMark(found);
  if (found.known !== null) await writeMark(file, mark);
  const renewed = await db.transaction().execute(async (tx) => {
    const mailboxes = renews ? await renewMailboxes(tx, { epoch: newId(), now }) : null;
    const [id, token] = [mark.id, mark.next].map((text) => Buffer.from(text, 'hex')) as [Buffer, Buffer];
    await markDirectory(tx, { id, serial: mark.serial, token, revisions: await allRevisions(tx), now });
    return mailboxes;
  });
  const epoch = await currentEpoch(db);
  const epochs = epoch === null ? mark.epochs : [...mark.epochs.filter((old) => old !== epoch), epoch];
  await writeMark(file, { ...mark, current: mark.next, next: null, epochs: epochs.slice(-EPOCHS_KEPT) });
  return renewed;
}

/** What the file says while the database is about to hold `next`. */
function nextMark({ known, row, standing }: Found): Mark & { next: string } {
  const current = standing === 'same' && row !== undefined ? toHex(row.token) : (known?.current ?? newId());
  const serial = Math.max(known?.serial ?? 0, row?.serial ?? 0) + 1;
  return { id: known?.id ?? newId(), serial, current, next: newId(), epochs: known?.epochs ?? [] };
}

const newId = (): string => toHex(randomBytes(ID_BYTES));

async function readMark(file: string): Promise<Known> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
  try {
    return markSchema.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return 'unreadable';
    throw error;
  }
}

/** Whole or not at all, and on the disk before it returns. */
async function writeMark(file: string, mark: Mark): Promise<void> {
  const fresh = `${file}.new`;
  await mkdir(dirname(file), { recursive: true, mode: 0o711 });
  const handle = await open(fresh, 'w', OWNER_ONLY_MODE);
  try {
    await handle.chmod(OWNER_ONLY_MODE);
    await handle.writeFile(`${JSON.stringify(mark)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(fresh, file);
  const directory = await open(dirname(file), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
