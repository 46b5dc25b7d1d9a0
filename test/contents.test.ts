/** What is known of messages in memory: nobody else's, and nothing of what left. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createContents } from '../src/mailbox/contents.ts';
import { openMailAccount } from '../src/mailbox/mail-account.ts';
import type { AccountMailbox, FolderView, ShownMessage } from '../src/mailbox/types.ts';
import type { Address } from '../src/smimp/address.ts';
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

const inbox = async (mailbox: AccountMailbox): Promise<FolderView> => mailbox.view(await mailbox.folders.find('INBOX'));

/** The inbox with one more letter, which was listed and read here. */
async function readLetter(): Promise<{ view: FolderView; letter: ShownMessage }> {
  const folder = await here.folders.find('INBOX');
  await here.append({ folder, raw: plainMail({ Subject: 'A secret' }, 'text'), flags: [], internalDate: null });
  const view = await inbox(here);
  const letter = view.messages.at(-1) as ShownMessage;
  expect(await known(view, letter)).toEqual({ listed: true, read: true });
  return { view, letter };
}

const known = async (view: FolderView, letter: ShownMessage) => ({
  listed: (await view.list([letter]))[0] !== null,
  read: (await view.raw(letter)) !== null,
});
const NOTHING = { listed: false, read: false };

it('is of one account only, whatever another calls its messages', async () => {
  const { letter } = await readLetter();
  const { id } = await site.accounts.add({ address: 'dave#corp.test' as Address, password: 'secret', name: null });
  const { keystore, gate, opened } = site;
  const [bob, dave] = [await openMailAccount(keystore, site.bobId), await openMailAccount(keystore, id)];
  const contents = createContents({ db: opened.db, gate });
  expect((await contents.list(bob, [letter.messageId]))[0]?.index.header).toContain('A secret');
  expect(await contents.raw(bob, letter.messageId)).not.toBeNull();
  expect(await contents.list(dave, [letter.messageId])).toEqual([null]);
  expect(await contents.raw(dave, letter.messageId)).toBeNull();
});

it('is opened once when it is asked for twice, as while it moves within a folder', async () => {
  const { letter } = await readLetter();
  const contents = createContents({ db: site.opened.db, gate: site.gate });
  const bob = await openMailAccount(site.keystore, site.bobId);
  const listed = await contents.list(bob, [letter.messageId, letter.messageId]);
  expect(listed.map((one) => one?.index.sizeBytes)).toEqual(Array(2).fill(listed[0]?.index.sizeBytes));
  expect(listed[0]?.index.header).toContain('A secret');
});

it('ends when a message is deleted, here or by another process', async () => {
  for (const deleting of [here, there]) {
    const { view, letter } = await readLetter();
    const theirs = await inbox(deleting);
    await theirs.remove([letter]);
    expect((await view.refresh()).removed).toEqual([letter.uid]);
    expect(await known(view, letter)).toEqual(NOTHING);
  }
});

it('ends when a folder is opened and a message is gone without a trace', async () => {
  const { view, letter } = await readLetter();
  await site.opened.db.deleteFrom('message').where('message_id', '=', letter.messageId).execute();
  await inbox(here);
  expect(await known(view, letter)).toEqual(NOTHING);
});

it('is read again of a message that moved', async () => {
  const { view, letter } = await readLetter();
  const trash = await here.folders.find('Trash');
  await view.move([letter], trash);
  await view.refresh();
  const moved = (await here.view(trash)).messages.at(-1) as ShownMessage;
  expect(moved.messageId).toEqual(letter.messageId);
  expect(await known(view, moved)).toEqual({ listed: true, read: true });
});
