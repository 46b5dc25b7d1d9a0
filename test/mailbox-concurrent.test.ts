/** Several at one mailbox: what was moved meanwhile is not reached by what was meant for it, and nobody waits for ever. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Folder } from '../src/mailbox/folder-tree.ts';
import type { AccountMailbox, FolderView, ShownMessage } from '../src/mailbox/types.ts';
import { type MailSite, mailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let mailbox: AccountMailbox;
let inbox: Folder;
let archive: Folder;
/** As one session sees it, before another does something. */
let view: FolderView;
beforeAll(async () => {
  site = await mailSite();
  mailbox = await site.mailbox.open(site.bobId);
  [inbox, archive] = [await mailbox.folders.find('INBOX'), await mailbox.folders.find('Archive')];
});
afterAll(() => site[Symbol.asyncDispose]());
beforeEach(async () => {
  await site.opened.db.deleteFrom('message').execute();
  const raw = plainMail({ Subject: 'Here' }, 'text');
  await mailbox.append({ folder: inbox, raw, flags: ['\\Deleted'], internalDate: null });
  view = await mailbox.view(inbox);
});

const moveAway = async (): Promise<void> => {
  const other = await mailbox.view(inbox);
  await other.move(other.opened, archive);
};
const moveBack = async (): Promise<void> => {
  const other = await mailbox.view(archive);
  await other.move(other.opened, inbox);
};
const inFolder = async (folder: Folder): Promise<readonly ShownMessage[]> => (await mailbox.view(folder)).opened;

it.each([
  ['moved away', async () => moveAway()],
  ['moved away and back', async () => moveAway().then(moveBack)],
])('%s', async (_name, meanwhile) => {
  const seen = view.opened;
  expect(seen).toHaveLength(1);
  await meanwhile();
  await view.remove(seen, '\\Deleted');
  await view.remove(seen);
  expect(await view.changeFlags(seen, { mode: 'add', flags: ['\\Flagged'] })).toEqual([]);
  expect(await view.changeFlags(seen, { mode: 'add', flags: ['\\Seen'] })).toEqual([]);
  expect((await view.copy(seen, archive)).source).toEqual([]);
  expect((await view.move(seen, archive)).source).toEqual([]);
  const [message] = seen;
  if (message === undefined) throw new Error('there is one');
  const replacing = { folder: inbox, raw: plainMail({}, 'other'), flags: [], internalDate: null };
  await expect(mailbox.append({ ...replacing, replaces: { message, folder: inbox } })).rejects.toMatchObject({
    code: 'expunged',
  });
  const left = [...(await inFolder(inbox)), ...(await inFolder(archive))];
  expect(left.map(({ flags }) => flags)).toEqual([['\\Deleted']]);
});

it('more letters at once than there are connections to the database do not wait for one another', async () => {
  const letters = Array.from({ length: 12 }, (_one, n) => plainMail({ Subject: `${n}` }, 'text'));
  await Promise.all(letters.map((raw) => mailbox.append({ folder: archive, raw, flags: [], internalDate: null })));
  expect(await inFolder(archive)).toHaveLength(letters.length);
});

it('what is no longer marked is not deleted', async () => {
  const other = await mailbox.view(inbox);
  await other.changeFlags(other.opened, { mode: 'remove', flags: ['\\Deleted'] });
  await view.remove(view.opened, '\\Deleted');
  expect(await inFolder(inbox)).toHaveLength(1);
  await view.remove(view.opened);
  expect(await inFolder(inbox)).toHaveLength(0);
});
