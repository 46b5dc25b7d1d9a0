/**
 * A message that is put in while somebody else changes what it depends on. It is made ready before the mailbox is held, so in
 * each of these it waits, ready, for another who holds the mailbox, and then finds everything different.
 */
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createKeyMaintenance } from '../src/identity/maintenance.ts';
import type { Folder } from '../src/mailbox/folder-tree.ts';
import { AT_ONCE_BYTES } from '../src/mailbox/import.ts';
import type { AccountMailbox, ShownMessage } from '../src/mailbox/types.ts';
import type { Tx } from '../src/store/database.ts';
import { changeFolder, lockMailbox, removeFolder } from '../src/store/folders.ts';
import { setQuota } from '../src/store/quota.ts';
import { type MailSite, mailSite, plainMail } from './support/mail-site.ts';

const WEEK_MS = 7 * 86_400_000;

let site: MailSite;
let mailbox: AccountMailbox;
let inbox: Folder;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());
beforeEach(async () => {
  await site.opened.db.deleteFrom('message').execute();
  await sql`update account set size_bytes = 0, quota_bytes = null`.execute(site.opened.db);
  await site.opened.db.deleteFrom('thread_reference').execute();
  mailbox = await site.mailbox.open(site.bobId);
  inbox = await mailbox.folders.find('INBOX');
});

const letter = (fields: Record<string, string>): Buffer => plainMail(fields, 'text');
const append = (folder: Folder | string, raw: Buffer, by: AccountMailbox = mailbox) =>
  by.append({ folder, raw, flags: [], internalDate: null });
const shown = async (): Promise<readonly ShownMessage[]> => (await mailbox.view(inbox)).opened;

async function waitFor(statements: number): Promise<void> {
  const waiting = sql<{ n: number }>`
    select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  await expect.poll(async () => (await waiting.execute(site.opened.db)).rows[0]?.n).toBe(statements);
}

/** Puts a message in that waits for the mailbox while `change` is made. `first`: somebody who waits before it. */
async function during<Result>(
  put: () => Promise<Result>,
  change: (tx: Tx) => Promise<unknown>,
  first?: () => Promise<unknown>,
): Promise<Result> {
  const { started, before } = await site.opened.db.transaction().execute(async (tx) => {
    await lockMailbox(tx, site.bobId);
    const before = first?.();
    if (first !== undefined) await waitFor(1);
    const started = put();
    started.catch(() => undefined);
    await waitFor(first === undefined ? 1 : 2);
    await change(tx);
    return { started, before };
  });
  await before;
  return started;
}

const account = () =>
  site.opened.db
    .selectFrom('account')
    .select(['next_seq', 'revision', 'size_bytes', 'quota_bytes'])
    .where('id', '=', site.bobId)
    .executeTakeFirstOrThrow();
const nothing = async (): Promise<void> => undefined;

describe('a message put in while', () => {
  it('its folder is removed is refused and leaves nothing', async () => {
    await mailbox.folders.create('Gone', null);
    const gone = await mailbox.folders.find('Gone');
    const before = await account();
    const put = during(
      () => append(gone, letter({})),
      (tx) => removeFolder(tx, gone.id),
    );
    await expect(put).rejects.toMatchObject({ code: 'no-folder' });
    expect(await account()).toEqual(before);
    await append(inbox, letter({}));
  });

  it('its folder is renamed goes where that name leads then', async () => {
    for (const name of ['One', 'Other']) await mailbox.folders.create(name, null);
    const [one, other] = await Promise.all(['One', 'Other'].map((path) => mailbox.folders.find(path)));
    if (one === undefined || other === undefined) throw new TypeError('both were made');
    const renamed = (folder: Folder, name: string) => (tx: Tx) => changeFolder(tx, folder.id, { display_name: name });
    const put = during(() => append('One', letter({})), renamed(one, 'Away'));
    await expect(put).rejects.toMatchObject({ code: 'no-folder' });
    await renamed(other, 'One')(site.opened.db as Tx);
    expect((await append('One', letter({}))).folder).toMatchObject({ id: other.id, path: 'One' });
    expect((await append(one, letter({}))).folder).toMatchObject({ id: one.id, path: 'Away' });
    expect([await mailbox.view(other), await mailbox.view(one)].map(({ opened }) => opened.length)).toEqual([1, 1]);
  });

  it('its folder becomes that of sent mail is kept as sent mail is: once', async () => {
    await mailbox.folders.create('Copies', null);
    const sent = await mailbox.folders.find('Sent');
    const copies = await mailbox.folders.find('Copies');
    const raw = letter({ 'Message-ID': '<sent@x>' });
    await append('Copies', letter({}));
    const { uids } = await during(
      () => append('Copies', raw),
      async (tx) => {
        await changeFolder(tx, sent.id, { special_use: null });
        await changeFolder(tx, copies.id, { special_use: '\\Sent' });
      },
    );
    await site.mailbox.keepSent({ accountId: site.bobId, raw, release: () => undefined });
    expect((await mailbox.view(copies)).opened.map(({ uid }) => uid)).toEqual([expect.any(Number), ...uids]);
  });

  it('the room for it is taken is refused, to the byte, and leaves nothing', async () => {
    await append(inbox, letter({}));
    const { size_bytes: one } = await account();
    await setQuota(site.opened.db, site.bobId, 2 * one);
    const put = during(
      () => append(inbox, letter({})),
      (tx) => sql`update account set size_bytes = size_bytes + 1 where id = ${site.bobId}`.execute(tx),
    );
    await expect(put).rejects.toMatchObject({ code: 'over-quota' });
    expect(await account()).toMatchObject({ size_bytes: one + 1, quota_bytes: 2 * one });
    expect(await shown()).toHaveLength(1);
    await sql`update account set size_bytes = ${one} where id = ${site.bobId}`.execute(site.opened.db);
    await append(inbox, letter({}));
    expect((await account()).size_bytes).toBe(2 * one);
  });

  it.each<[string, Parameters<typeof rotated>[0]]>([
    ['the master key is replaced', 'master'],
    ['the message key is replaced', 'message'],
  ])('%s is sealed and signed by the new ones', async (_name, which) => {
    const maintenance = createKeyMaintenance({ ...site, db: site.opened.db });
    const raw = letter({ Subject: which });
    await append(inbox, letter({}));
    await during(
      () => append(inbox, raw),
      nothing,
      () => rotated(which, maintenance),
    );
    const [before, after] = await site.opened.db
      .selectFrom('message')
      .select(['sender_public_key', 'message_public_key'])
      .orderBy('seq')
      .execute();
    const current = await site.opened.db
      .selectFrom('secret')
      .select('public_key')
      .where('retired_at', 'is', null)
      .execute();
    const inUse = new Set(current.map(({ public_key }) => public_key.toString('hex')));
    const isNew = (key: Buffer | undefined): boolean => inUse.has(key?.toString('hex') ?? '');
    expect([isNew(before?.message_public_key), isNew(after?.message_public_key)]).toEqual([false, true]);
    expect([isNew(before?.sender_public_key), isNew(after?.sender_public_key)]).toEqual([which === 'message', true]);
    const messages = await shown();
    expect(messages.map(({ uid }) => uid)).toEqual([messages[0]?.uid ?? 0, (messages[0]?.uid ?? 0) + 1]);
    const view = await (await site.mailbox.open(site.bobId)).view(inbox);
    expect(await view.raw(messages[1] as ShownMessage)).toEqual(raw);
  });

  it.each([
    ['of the size that is just written at once', AT_ONCE_BYTES, 'x'],
    ['of one byte more', AT_ONCE_BYTES + 1, 'x'],
    // Each is written as four bytes of the body.
    ['of few bytes and a large body', AT_ONCE_BYTES, '\\'],
  ])('keys are replaced comes back byte for byte, %s', async (_name, size, filler) => {
    const maintenance = createKeyMaintenance({ ...site, db: site.opened.db });
    const head = letter({ Subject: 'size' });
    const raw = Buffer.concat([head, Buffer.alloc(size - head.length, filler)]);
    await during(
      () => append(inbox, raw),
      nothing,
      () => rotated('master', maintenance),
    );
    const view = await (await site.mailbox.open(site.bobId)).view(inbox);
    expect((await view.raw(view.opened[0] as ShownMessage))?.equals(raw)).toBe(true);
  });

  it('the message that it answers comes in joins its thread', async () => {
    const other = await site.mailbox.open(site.bobId);
    await append(inbox, letter({ 'Message-ID': '<1@x>' }));
    // Both wait; the second one is a child of what the first one knows only by its own id.
    await during(
      () => append(inbox, letter({ 'In-Reply-To': '<2@x>', 'Message-ID': '<3@x>' })),
      nothing,
      () => append(inbox, letter({ 'In-Reply-To': '<1@x>', 'Message-ID': '<2@x>' }), other),
    );
    const view = await mailbox.view(inbox);
    const threads = (await view.threadIds(view.opened)).map((id) => id?.toString('hex'));
    expect(new Set(threads).size).toBe(1);
  });

  it('others come in gets the next UID and the next revision', async () => {
    const others = await Promise.all([1, 2, 3].map(() => site.mailbox.open(site.bobId)));
    await append(inbox, letter({}));
    const { next_seq, revision } = await account();
    await Promise.all(others.map((by) => append(inbox, letter({}), by)));
    expect(await account()).toMatchObject({ next_seq: next_seq + 3, revision: revision + 3 });
    const messages = (await shown()).slice(1);
    expect(messages.map(({ uid }) => uid)).toEqual([0, 1, 2].map((n) => next_seq + n));
    expect(messages.map((message) => message.revision)).toEqual([1, 2, 3].map((n) => revision + n));
  });
});

function rotated(which: 'master' | 'message', maintenance: ReturnType<typeof createKeyMaintenance>): Promise<void> {
  if (which === 'master') return maintenance.rotateMaster(site.bobId, site.clock.read());
  return maintenance.runOnce(new Date(site.clock.read().getTime() + WEEK_MS));
}
