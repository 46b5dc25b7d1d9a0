/**
 * Two processes do random things to two folders at once: flags of few and of many, moves, removals, new mail, and the chores
 * that shorten what is remembered. What sessions hold after each is what is stored, and so is what a native client was told
 * that asks now and then.
 */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AccountMailbox, FolderView } from '../src/mailbox/types.ts';
import { type Change, changesAfter } from '../src/store/envelopes.ts';
import { forgetExpunged } from '../src/store/expunged.ts';
import { MANY_FLAGS, settleFlagChanges } from '../src/store/flag-changes.ts';
import { Random } from './fuzz/random.ts';
import { type MailSite, mailSite, plainMail, twoProcesses } from './support/mail-site.ts';

const STEPS = 60;
const MESSAGES = 3 * MANY_FLAGS;
const RAW = plainMail({ Subject: 'one of many' }, 'text');
const MAIL = { raw: RAW, flags: [], internalDate: null };

let site: MailSite;
let processes: AccountMailbox[];
beforeAll(async () => {
  site = await mailSite();
  processes = await twoProcesses(site);
});
afterAll(() => site[Symbol.asyncDispose]());

type Stored = { folder_id: number; seq: number; revision: number; read: boolean };

async function stored(): Promise<Stored[]> {
  const rows = await sql<Stored>`
    select folder_id, seq, greatest(revision, flags_revision) as revision, read from message order by seq`;
  return [...(await rows.execute(site.opened.db)).rows];
}

/** What a client of the API knows, by following the changes a page at a time. */
class Follower {
  readonly #known = new Map<string, Extract<Change, { op: 'put' }>['summary']>();
  #cursor = 0;

  async follow(): Promise<unknown[]> {
    for (;;) {
      const ask = { accountId: site.bobId, revision: this.#cursor, limit: 40 };
      const { changes, last, current } = await changesAfter(site.opened.db, ask);
      for (const change of changes)
        if (change.op === 'put') this.#known.set(change.summary.message_id.toString('hex'), change.summary);
        else this.#known.delete(change.message_id.toString('hex'));
      this.#cursor = last;
      if (last === current) break;
    }
    const listed = [...this.#known.values()].map(({ seq, revision, read }) => [seq, revision, read] as const);
    return listed.sort(([a], [b]) => a - b);
  }
}

async function doSomething(random: Random, views: readonly FolderView[]): Promise<void> {
  const view = random.pick(views);
  // Mostly it knows what is there.
  if (random.below(3) > 0) await view.refresh();
  const from = random.below(view.messages.length + 1);
  const some = view.messages.slice(from, from + random.below(view.messages.length - from + 1));
  const chosen = random.below(3) > 0 ? some : some.filter(() => random.below(3) > 0);
  const change = { mode: random.pick(['add', 'remove'] as const), flags: [random.pick(['\\Seen', '\\Flagged'])] };
  const acts = [
    () => view.changeFlags(chosen, change),
    () => view.changeFlags(view.messages, change),
    () => view.changeFlagsUnlessChanged(chosen, change, view.highestRevision - random.below(5)),
    () => view.move(chosen.slice(0, random.below(90)), random.pick(views).folder),
    () => view.remove(chosen.slice(0, 3)),
    () => random.pick(processes).append({ ...MAIL, folder: view.folder }),
    () => settleFlagChanges(site.opened.db, random.below(4)),
  ];
  await random.pick(acts)();
}

it.each([1, 2])('what is told is what is stored, whatever was done: %i', async (seed) => {
  const random = new Random(seed, 'flag changes');
  const { db } = site.opened;
  await db.deleteFrom('message').execute();
  await sql`update account set revision = revision + 1`.execute(db);
  const [first] = processes as [AccountMailbox];
  const [inbox, archive] = [await first.folders.find('INBOX'), await first.folders.find('Archive')];
  await first.append({ ...MAIL, folder: inbox, more: Array.from({ length: MESSAGES - 1 }, () => MAIL) });
  const views: FolderView[] = [];
  for (const folder of [inbox, archive]) for (const mailbox of processes) views.push(await mailbox.view(folder));
  const follower = new Follower();
  for (let step = 0; step < STEPS; step += 1) {
    await Promise.all([doSomething(random, views), doSomething(random, views)]);
    const rows = await stored();
    for (const view of views) {
      await view.refresh();
      const held = view.messages.map(({ uid, revision, flags }) => [uid, revision, flags.includes('\\Seen')]);
      const there = rows.filter(({ folder_id }) => folder_id === view.folder.id);
      expect(held).toEqual(there.map(({ seq, revision, read }) => [seq, revision, read]));
    }
    // Behind by some steps, so that what was changed is settled before it is asked for.
    if (step % 5 === 4)
      expect(await follower.follow()).toEqual(rows.map(({ seq, revision, read }) => [seq, revision, read]));
    // Everybody has heard of everything by now.
    if (step % 10 === 9) await forgetExpunged(db, 1);
  }
});
