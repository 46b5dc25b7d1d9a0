/**
 * What is different here, done at the home: not a log of what was done, but the difference between what is here and what
 * both sides last agreed on. After every answer the base is what was answered, so a round may end anywhere: what was done
 * is recognised by the pull that comes before every push.
 *
 * Order: folders, own mail, copies, flags, moves, deletions, folders to be deleted. Flags go first of what is done to a
 * message, because they alone name the state they are based on.
 */

import { RemoteError } from '../remote/errors.ts';
import type { ApiErrorCode } from '../smimp/api.ts';
import { type Hex32, toBase64, toHex } from '../smimp/encoding.ts';
import { lockMailbox } from '../store/folders.ts';
import {
  changedHere,
  type Difference,
  deletedHere,
  keepHereOnly,
  type NewHere,
  newHere,
} from '../store/mirror-differences.ts';
import {
  changeMirrored,
  findLocal,
  forgetMirrored,
  insertMirrored,
  type MirrorMessage,
  mirroredTwin,
  writeLocal,
} from '../store/mirror-messages.ts';
import { type FolderBook, homeName, readFolderBook } from './folder-book.ts';
import { importOwnMail } from './import-own.ts';
import { sameBytes } from './merge.ts';
import { isRefusal, type Mirror, orCode } from './mirror.ts';
import { deleteFolders, pushFolders } from './push-folders.ts';

const PAGE = 100;
const NO_ID: Buffer = Buffer.alloc(0);

/** One push. `counter`: the home's revision counter as far as it is known to be nobody else's work. */
interface Push {
  mirror: Mirror;
  counter: number | null;
  /** The home knows something that is not known here yet: pull, then push what is left. */
  again: boolean;
}

/** True: it is to be pulled and pushed once more. */
export async function push(mirror: Mirror): Promise<boolean> {
  const state: Push = { mirror, counter: null, again: await pushFolders(mirror) };
  await pushNew(state);
  await pushChanged(state);
  await pushDeleted(state);
  if (await deleteFolders(mirror)) state.again = true;
  return state.again;
}

/**
 * A change that names no state may have come after one of another client, whose revision it hides. Only when the counter
 * went on by exactly one is that ruled out; else the base keeps the revision it had, and the next pull fetches the message.
 */
function settled(state: Push, before: number, answered: number): number {
  const isAlone = state.counter !== null && answered === state.counter + 1;
  state.counter = answered;
  return isAlone ? answered : before;
}

async function pushNew(state: Push): Promise<void> {
  const { mirror } = state;
  const { db } = mirror.services;
  for (let afterSeq = 0; ; ) {
    const rows = await newHere(db, { accountId: mirror.accountId, afterSeq, limit: PAGE });
    for (const row of rows) {
      await mirror.step();
      await orRefused(state, row.message_id, () => pushOneNew(state, row));
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    afterSeq = last.seq;
  }
}

async function pushOneNew(state: Push, row: NewHere): Promise<void> {
  const { mirror } = state;
  const { db } = mirror.services;
  const twin = await mirroredTwin(db, mirror.accountId, row.message_hash);
  const name = homeName(await readFolderBook(db, mirror.accountId), row.folder_id);
  // Its folder was refused: it waits for another place.
  if (name === undefined) return;
  if (twin !== undefined && !twin.gone) return copyAtHome(state, row, twin, name);
  if (row.sender_address !== mirror.account.address) return stayHere(mirror, row.message_id, 'original-gone');
  const imported = await importOwnMail(mirror, row, name);
  if (imported === 'again') state.again = true;
  else if (imported !== null) state.counter = imported.revision;
}

/** What flags the copy has there is not asked: the base says that nothing is known, and the next pull fetches it. */
async function copyAtHome(state: Push, row: NewHere, twin: MirrorMessage, name: string | null): Promise<void> {
  const { services, asOwner, accountId } = state.mirror;
  const remoteId = toHex<Hex32>(twin.remote_id);
  const placed = await asOwner((session) =>
    orCode(services.owner.copyMessage(session, remoteId, name), ['unknown_message', 'unknown_folder']),
  );
  if ('refused' in placed) {
    await lookAgain(state, twin, placed.refused);
    return;
  }
  state.counter = placed.revision;
  state.again = true;
  await insertMirrored(services.db, {
    ...{ account_id: accountId, remote_id: Buffer.from(placed.message_id, 'hex'), message_id: row.message_id },
    ...{ folder_id: row.folder_id, read: twin.read, extensions_data: twin.extensions_data },
    ...{ revision: placed.revision - 1, round: twin.round },
    ...{ message_hash: row.message_hash, message_public_key: twin.message_public_key },
  });
}

async function lookAgain(state: Push, about: MirrorMessage, code: ApiErrorCode): Promise<void> {
  state.again = true;
  if (code !== 'unknown_message') return;
  const { services, accountId } = state.mirror;
  await changeMirrored(services.db, { accountId, remoteId: about.remote_id }, { gone: true });
}

async function stayHere({ services, accountId }: Mirror, messageId: Buffer, reason: string): Promise<void> {
  await keepHereOnly(services.db, { accountId, messageId, reason });
  services.events.mirrorRefused({ accountId, what: 'message', code: reason });
}

/** What the home will never take stays here only; what it has no room for waits, and holds up nothing else. */
async function orRefused({ mirror }: Push, messageId: Buffer, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof RemoteError && error.apiCode === 'insufficient_storage') return;
    if (!isRefusal(error)) throw error;
    await stayHere(mirror, messageId, error.apiCode ?? 'api');
  }
}

async function pushChanged(state: Push): Promise<void> {
  const { mirror } = state;
  const { db } = mirror.services;
  for (let after: Buffer = NO_ID; ; ) {
    const book = await readFolderBook(db, mirror.accountId);
    const page = await changedHere(db, { accountId: mirror.accountId, after, limit: PAGE });
    for (const difference of page) {
      await mirror.step();
      await pushDifference(state, book, difference);
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = last.remote_id;
  }
}

async function pushDifference(state: Push, book: FolderBook, difference: Difference): Promise<void> {
  const { local } = difference;
  let base: MirrorMessage | null = difference;
  if (!sameBytes(local.extensions_data, base.extensions_data)) base = await pushExtensions(state, base, difference);
  if (base !== null && local.read !== base.read) base = await pushRead(state, base, local.read);
  if (base !== null && local.folder_id !== base.folder_id) await pushPlace(state, book, base, local.folder_id);
}

/** Null: there is something new at the home, look there first. */
async function pushExtensions(
  state: Push,
  base: MirrorMessage,
  { local: { extensions_data: blob } }: Difference,
): Promise<MirrorMessage | null> {
  const { services, asOwner } = state.mirror;
  const change = { revision: base.revision, data: blob === null ? null : toBase64(blob) };
  const id = toHex<Hex32>(base.remote_id);
  const revision = await asOwner((session) =>
    orCode(services.owner.setExtensions(session, id, change), ['precondition_failed', 'unknown_message']),
  );
  if (typeof revision !== 'number') {
    await lookAgain(state, base, revision.refused);
    return null;
  }
  state.counter = revision;
  return agree(state, base, { extensions_data: blob, revision });
}

async function agree(
  { mirror }: Push,
  base: MirrorMessage,
  change: Parameters<typeof changeMirrored>[2],
): Promise<MirrorMessage> {
  await changeMirrored(mirror.services.db, { accountId: mirror.accountId, remoteId: base.remote_id }, change);
  return { ...base, ...change };
}

async function pushRead(state: Push, base: MirrorMessage, read: boolean): Promise<MirrorMessage | null> {
  const { services, asOwner } = state.mirror;
  const id = toHex<Hex32>(base.remote_id);
  const revision = await asOwner((session) => orCode(services.owner.setRead(session, id, read), ['unknown_message']));
  if (typeof revision !== 'number') {
    await lookAgain(state, base, revision.refused);
    return null;
  }
  return agree(state, base, { read, revision: settled(state, base.revision, revision) });
}

/** A place that the home refuses for this message is given up: it goes back where the home has it. */
async function pushPlace(state: Push, book: FolderBook, base: MirrorMessage, folderId: number): Promise<void> {
  const { services, asOwner, accountId } = state.mirror;
  const name = homeName(book, folderId);
  if (name === undefined) return;
  const id = toHex<Hex32>(base.remote_id);
  const placed = await asOwner((session) =>
    orCode(services.owner.moveMessage(session, id, name), ['unknown_message', 'unknown_folder', 'wrong_type']),
  );
  if (!('refused' in placed)) {
    await agree(state, base, { folder_id: folderId, revision: settled(state, base.revision, placed.revision) });
    return;
  }
  if (placed.refused !== 'wrong_type') return lookAgain(state, base, placed.refused);
  services.events.mirrorRefused({ accountId, what: 'move', code: placed.refused });
  await services.db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    const local = await findLocal(tx, accountId, base.message_id);
    if (local === undefined) return;
    const to = { ...local, folder_id: base.folder_id };
    await writeLocal(tx, accountId, { local, to, now: services.clock() });
  });
}

async function pushDeleted({ mirror }: Push): Promise<void> {
  const { services, accountId } = mirror;
  for (let after: Buffer = NO_ID; ; ) {
    const page = await deletedHere(services.db, { accountId, after, limit: PAGE });
    for (const message of page) {
      await mirror.step();
      const id = toHex<Hex32>(message.remote_id);
      await mirror.asOwner((session) => orCode(services.owner.deleteMessage(session, id), ['unknown_message']));
      await services.db.transaction().execute((tx) => forgetMirrored(tx, accountId, message, services.clock()));
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = last.remote_id;
  }
}
