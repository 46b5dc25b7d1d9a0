/** Flags of many messages at once: their revisions stand in no index, and whoever looks for changes finds them all the same. */
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AccountMailbox, FolderView } from '../src/mailbox/types.ts';
import { changesAfter } from '../src/store/envelopes.ts';
import { MANY_FLAGS, settleFlagChanges, stretchesOf } from '../src/store/flag-changes.ts';
import { countShown } from '../src/store/folders.ts';
import { type MailSite, mailSite, plainMail, twoProcesses } from './support/mail-site.ts';

const SEEN = { mode: 'add', flags: ['\\Seen'] } as const;
const UNSEEN = { mode: 'remove', flags: ['\\Seen'] } as const;

let site: MailSite;
/** The account as two processes have it open. */
let here: AccountMailbox;
let there: AccountMailbox;
let a: FolderView;
let b: FolderView;

const viewOf = async (mailbox: AccountMailbox): Promise<FolderView> =>
  mailbox.view(await mailbox.folders.find('INBOX'));

beforeAll(async () => {
  site = await mailSite();
  [here, there] = await twoProcesses(site);
  const folder = await here.folders.find('INBOX');
  const raw = plainMail({ Subject: 'one of many' }, 'text');
  const more = Array.from({ length: MANY_FLAGS }, () => ({ raw, flags: [], internalDate: null }));
  await here.append({ folder, raw, flags: [], internalDate: null, more });
});
afterAll(() => site[Symbol.asyncDispose]());
beforeEach(async () => {
  const { db } = site.opened;
  await settleFlagChanges(db, 0);
  await sql`
    with now as (update account set revision = revision + 1 where id = ${site.bobId} returning revision)
    update message set read = false, extensions_data = null, revision = now.revision from now`.execute(db);
  [a, b] = [await viewOf(here), await viewOf(there)];
});

async function written(): Promise<{ changes: number; ofMany: number }> {
  const { rows } = await sql<{ changes: number; ofMany: number }>`
    select (select count(*) from flag_change) as changes,
      (select count(*) from message where flags_revision > revision) as "ofMany"`.execute(site.opened.db);
  return rows[0] as { changes: number; ofMany: number };
}

const changes = (revision: number, limit = 1000) =>
  changesAfter(site.opened.db, { accountId: site.bobId, revision, limit });
const flagsOf = ({ messages }: FolderView): string[] => [...new Set(messages.map(({ flags }) => flags.join(' ')))];

describe('a change of many', () => {
  it('is one from 64 messages on', async () => {
    await a.changeFlags(a.messages.slice(0, MANY_FLAGS - 1), SEEN);
    expect(await written()).toEqual({ changes: 0, ofMany: 0 });
    await a.refresh();
    await a.changeFlags(a.messages.slice(0, MANY_FLAGS), UNSEEN);
    expect(await written()).toEqual({ changes: 0, ofMany: 0 });
    await a.refresh();
    await a.changeFlags(a.messages.slice(0, MANY_FLAGS), SEEN);
    expect(await written()).toEqual({ changes: 1, ofMany: MANY_FLAGS });
  });

  it('is seen by another process, which is told of nothing twice', async () => {
    const after = await a.changeFlags(a.messages, SEEN);
    const { changed } = await b.refresh();
    expect(changed.map(({ uid, revision }) => [uid, revision])).toEqual(after.map((one) => [one.uid, one.revision]));
    expect(flagsOf(b)).toEqual(['\\Seen']);
    expect(await b.refresh()).toEqual({ removed: [], changed: [] });
    expect((await viewOf(there)).messages.map(({ revision }) => revision)).toEqual(
      after.map(({ revision }) => revision),
    );
  });

  it('holds for the messages between as they are: those that were so, or are not meant', async () => {
    const [first, second] = a.messages;
    await b.changeFlags([second as NonNullable<typeof second>], SEEN);
    await a.refresh();
    const before = a.messages.map(({ revision }) => revision);
    const asked = a.messages.filter(({ uid }) => uid !== first?.uid);
    // Without the first and the second 63 are left: one by one. With one less they are written as they stand.
    expect(await a.changeFlags(asked, SEEN)).toHaveLength(MANY_FLAGS);
    await b.refresh();
    const now = b.messages.map(({ revision }) => revision);
    expect(now.slice(0, 2)).toEqual(before.slice(0, 2));
    expect(new Set(now.slice(2)).size).toBe(1);
    expect(b.messages[0]?.flags).toEqual([]);
  });

  it('of any flag is found in the same way', async () => {
    await a.changeFlags(a.messages, { mode: 'add', flags: ['\\Flagged'] });
    expect(await written()).toEqual({ changes: 1, ofMany: MANY_FLAGS + 1 });
    await b.refresh();
    expect(flagsOf(b)).toEqual(['\\Flagged']);
  });

  it('is counted with the folder', async () => {
    const [{ revision } = { revision: 0 }] = await a.changeFlags(a.messages, SEEN);
    const { id } = a.folder;
    expect((await countShown(site.opened.db, [id])).get(id)).toMatchObject({ unseen: 0, highestRevision: revision });
  });

  it('refuses nothing that changed before, and all that changed after', async () => {
    const [{ revision } = { revision: 0 }] = await a.changeFlags(a.messages, SEEN);
    await b.refresh();
    expect((await b.changeFlagsUnlessChanged(b.messages, UNSEEN, revision - 1)).refused).toHaveLength(MANY_FLAGS + 1);
    expect((await b.changeFlagsUnlessChanged(b.messages, UNSEEN, revision)).refused).toEqual([]);
  });
});

describe('what native clients are told', () => {
  it('is every message once, at its last revision, in pages that end with whole revisions', async () => {
    const begun = await changes(0);
    await a.changeFlags(a.messages, SEEN);
    await a.refresh();
    const [first] = a.messages;
    await a.changeFlags([first as NonNullable<typeof first>], UNSEEN);
    const page = await changes(begun.current, 3);
    expect(page.changes).toHaveLength(MANY_FLAGS);
    expect(new Set(page.changes.map(({ revision }) => revision))).toEqual(new Set([begun.current + 1]));
    const rest = await changes(page.last, 3);
    expect(rest.changes.map((one) => one.op === 'put' && one.summary.seq)).toEqual([first?.uid]);
    expect((await changes(rest.last)).changes).toEqual([]);
    const all = await changes(0);
    expect(all.changes).toHaveLength(MANY_FLAGS + 1);
    expect(all.changes.map(({ revision }) => revision)).toEqual(
      page.changes.map(({ revision }) => revision).concat(rest.last),
    );
  });
});

describe('what is settled', () => {
  it('are the oldest changes, and no message is another by it', async () => {
    for (const change of [SEEN, UNSEEN, SEEN]) {
      await a.changeFlags(a.messages, change);
      await a.refresh();
    }
    await b.refresh();
    const before = b.messages.map(({ uid, revision }) => [uid, revision]);
    await settleFlagChanges(site.opened.db, 2);
    expect(await written()).toEqual({ changes: 2, ofMany: MANY_FLAGS + 1 });
    await settleFlagChanges(site.opened.db, 0);
    expect(await written()).toEqual({ changes: 0, ofMany: 0 });
    expect((await viewOf(there)).messages.map(({ uid, revision }) => [uid, revision])).toEqual(before);
    expect((await changes((before[0]?.[1] ?? 0) - 1)).changes).toHaveLength(MANY_FLAGS + 1);
  });
});

it('stretches hold together what stands near', () => {
  expect(stretchesOf([])).toEqual([]);
  expect(stretchesOf([1, 2, 1002, 2003, 2004])).toEqual([
    { first: 1, last: 1002 },
    { first: 2003, last: 2004 },
  ]);
});
