/** What is in folders, shared by the sessions of one process and kept true by PostgreSQL alone: other processes write, too. */
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ByteLru } from '../src/mailbox/byte-lru.ts';
import { changesBetween, createFolderMemory, placeOf } from '../src/mailbox/folder-state.ts';
import { openMailAccount } from '../src/mailbox/mail-account.ts';
import type { AccountMailbox, FolderView, ShownMessage } from '../src/mailbox/types.ts';
import { forgetExpunged } from '../src/store/expunged.ts';
import { type MailSite, mailSite, plainMail, twoProcesses } from './support/mail-site.ts';

let site: MailSite;
/** The account as two processes have it open. */
let here: AccountMailbox;
let there: AccountMailbox;

beforeAll(async () => {
  site = await mailSite();
  [here, there] = await twoProcesses(site);
});
afterAll(() => site[Symbol.asyncDispose]());
beforeEach(async () => {
  await site.opened.db.deleteFrom('message').execute();
});

const viewOf = async (mailbox: AccountMailbox): Promise<FolderView> =>
  mailbox.view(await mailbox.folders.find('INBOX'));

async function append(mailbox: AccountMailbox, ...subjects: string[]): Promise<void> {
  const folder = await mailbox.folders.find('INBOX');
  for (const subject of subjects)
    await mailbox.append({ folder, raw: plainMail({ Subject: subject }, 'text'), flags: [], internalDate: null });
}

const flagsIn = ({ messages }: FolderView) => messages.map(({ flags }) => flags);

describe('two processes', () => {
  it('see what the other did, at once', async () => {
    await append(here, 'one', 'two', 'three');
    const [a, b] = [await viewOf(here), await viewOf(there)];
    await b.changeFlags(b.opened.slice(0, 1), { mode: 'add', flags: ['\\Seen', 'Mine'] });
    await b.changeFlags(b.opened.slice(1), { mode: 'add', flags: ['\\Seen'] });
    expect((await a.refresh()).changed.map(({ flags }) => flags)).toEqual([['\\Seen', 'Mine'], ['\\Seen'], ['\\Seen']]);
    await a.changeFlags(a.messages, { mode: 'remove', flags: ['\\Seen'] });
    await Promise.all([a.refresh(), b.refresh()]);
    expect(flagsIn(b)).toEqual([['Mine'], [], []]);
    await b.remove(b.messages.slice(1, 2));
    await append(there, 'four');
    expect(await a.refresh()).toEqual({
      removed: [b.opened[1]?.uid],
      changed: [expect.objectContaining({ flags: [] })],
    });
    expect(await a.refresh()).toEqual({ removed: [], changed: [] });
  });

  it('add up changes of \\Seen that both make before they heard of each other', async () => {
    await append(here, 'one', 'two');
    const [a, b] = [await viewOf(here), await viewOf(there)];
    await a.changeFlags(a.opened.slice(0, 1), { mode: 'add', flags: ['\\Seen'] });
    const after = await b.changeFlags(b.opened, { mode: 'add', flags: ['\\Seen'] });
    expect(after.map(({ flags }) => flags)).toEqual([['\\Seen'], ['\\Seen']]);
    const [first, second] = after as [ShownMessage, ShownMessage];
    expect(second.revision).toBeGreaterThan(first.revision);
    await a.refresh();
    expect(a.messages.map(({ revision }) => revision)).toEqual([first.revision, second.revision]);
  });

  it('are told what left, also when that is forgotten meanwhile', async () => {
    await append(here, 'one', 'two', 'three');
    const [a, b] = [await viewOf(here), await viewOf(there)];
    await b.remove(b.opened.slice(0, 2));
    await append(there, 'four');
    await forgetExpunged(site.opened.db, 0);
    const { removed, changed } = await a.refresh();
    expect(removed).toEqual(b.opened.slice(0, 2).map(({ uid }) => uid));
    expect(changed).toHaveLength(1);
  });
});

describe('what is kept of messages', () => {
  it('is told which of them left, also when that is forgotten meanwhile', async () => {
    await append(here, 'one', 'two', 'three');
    const account = await openMailAccount(site.keystore, site.bobId);
    const folder = await here.folders.find('INBOX');
    const gone: Buffer[] = [];
    const memory = createFolderMemory({ db: site.opened.db, left: (_account, ids) => gone.push(...ids) });
    const first = await memory.open(account, folder);
    const view = await viewOf(there);
    await view.remove(view.opened.slice(0, 1));
    const second = await memory.refresh(account, folder, first);
    expect(gone).toEqual([first.messages[0]?.messageId]);
    await view.remove(view.opened.slice(1, 2));
    await append(there, 'four');
    await forgetExpunged(site.opened.db, 0);
    await memory.refresh(account, folder, second);
    expect(gone).toEqual(first.messages.slice(0, 2).map(({ messageId }) => messageId));
  });
});

describe('sessions of one process', () => {
  it('share the list of a folder', async () => {
    await append(here, 'one', 'two');
    const [a, b] = [await viewOf(here), await viewOf(here)];
    expect(a.opened).toBe(b.opened);
    await a.changeFlags(a.opened, { mode: 'add', flags: ['\\Flagged'] });
    await Promise.all([a.refresh(), b.refresh()]);
    expect(a.messages).toBe(b.messages);
    expect(a.opened).not.toBe(a.messages);
    expect(flagsIn(a)).toEqual([['\\Flagged'], ['\\Flagged']]);
  });

  it('open a folder that is too large to be kept in memory, and follow it', async () => {
    await append(here, 'one', 'two');
    const account = await openMailAccount(site.keystore, site.bobId);
    const folder = await here.folders.find('INBOX');
    const memory = createFolderMemory({ db: site.opened.db, bytes: 1 });
    const [first, same] = await Promise.all([memory.open(account, folder), memory.open(account, folder)]);
    expect([first, same].map(({ messages }) => messages.length)).toEqual([2, 2]);
    expect(memory.at(folder, first.revision)).toBeNull();
    await append(there, 'three');
    expect((await memory.refresh(account, folder, first)).messages).toHaveLength(3);
  });

  it('pass over changes of what changed later, of \\Seen and of other flags', async () => {
    await append(here, 'one', 'two');
    const a = await viewOf(here);
    await a.changeFlags(a.opened.slice(1), { mode: 'add', flags: ['\\Seen'] });
    const before = a.opened.at(-1)?.revision ?? 0;
    for (const flag of ['\\Seen', '\\Flagged']) {
      const { after, refused } = await a.changeFlagsUnlessChanged(a.opened, { mode: 'add', flags: [flag] }, before);
      expect([after.map(({ uid }) => uid), refused]).toEqual(
        flag === '\\Seen' ? [[a.opened[0]?.uid], [a.opened[1]?.uid]] : [[], a.opened.map(({ uid }) => uid)],
      );
    }
  });

  it('notice at the opening what was changed by hand', async () => {
    await append(here, 'one', 'two', 'three');
    await viewOf(here);
    const { db } = site.opened;
    const { seq } = await db.selectFrom('message').select('seq').orderBy('seq').executeTakeFirstOrThrow();
    await db.deleteFrom('message').where('seq', '=', seq).execute();
    expect((await viewOf(here)).opened).toHaveLength(2);
    await db.updateTable('message').set({ read: true, revision: sql<number>`revision + 1` }).execute();
    expect(flagsIn(await viewOf(here))).toEqual([['\\Seen'], ['\\Seen']]);
  });
});

describe('what is different between two lists', () => {
  const message = (uid: number, revision: number): ShownMessage => ({
    ...{ uid, revision, flags: [] },
    ...{ messageId: Buffer.alloc(32, uid), digest: Buffer.alloc(32, uid) },
  });
  const [one, two, three] = [message(1, 1), message(2, 2), message(3, 3)];

  it('is what left, what came and what has another revision', () => {
    expect(changesBetween([one, two], [one, two])).toEqual({ removed: [], changed: [] });
    expect(changesBetween([one, two, three], [two])).toEqual({ removed: [1, 3], changed: [] });
    expect(changesBetween([two], [one, two, three])).toEqual({ removed: [], changed: [one, three] });
    expect(changesBetween([one, two], [message(1, 1), message(2, 4)])).toEqual({
      removed: [],
      changed: [message(2, 4)],
    });
    expect(changesBetween([], [])).toEqual({ removed: [], changed: [] });
  });

  it('finds places', () => {
    expect([0, 1, 2, 3, 4].map((uid) => placeOf([one, three], uid))).toEqual([0, 0, 1, 1, 2]);
  });
});

describe('values kept up to a number of bytes', () => {
  it('are forgotten when they were not asked for lately, and never exceed it', () => {
    const kept = new ByteLru<number>(100);
    for (let n = 0; n < 10; n += 1) kept.set(`v${n}`, n, 10);
    expect(kept.get('v3')).toBe(3);
    for (let n = 10; n < 15; n += 1) kept.set(`v${n}`, n, 10);
    expect(kept.usedBytes).toBeLessThanOrEqual(100);
    expect(kept.get('v3')).toBe(3);
    expect(kept.get('v0')).toBeUndefined();
    kept.set('large', 1, 100);
    expect([kept.get('large'), kept.usedBytes]).toEqual([1, 100]);
    kept.set('too large', 1, 101);
    expect(kept.get('too large')).toBeUndefined();
    kept.delete('large');
    expect(kept.usedBytes).toBe(0);
  });
});
