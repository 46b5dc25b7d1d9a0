/** What the owner's mail is put in by has a version: another one with every change of it, and the same with all else. */
import { type RawBuilder, sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKeyMaintenance } from '../src/identity/maintenance.ts';
import type { AccountMailbox } from '../src/mailbox/types.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { ownMeans } from '../src/store/own-mail.ts';
import { type MailSite, mailSite, plainMail } from './support/mail-site.ts';

const DAY_MS = 86_400_000;

let site: MailSite;
let mailbox: AccountMailbox;
beforeAll(async () => {
  site = await mailSite();
  mailbox = await site.mailbox.open(site.bobId);
});
afterAll(() => site[Symbol.asyncDispose]());

const version = async (): Promise<string> => (await ownMeans(site.opened.db, site.bobId)).version;
const run = (query: RawBuilder<unknown>): Promise<unknown> => query.execute(site.opened.db);
const append = () => mailbox.append({ folder: 'INBOX', raw: plainMail({}, 'text'), flags: [], internalDate: null });
const maintenance = () => createKeyMaintenance({ ...site, db: site.opened.db });

describe('the version of what mail is put in by', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['a folder is made', () => mailbox.folders.create('A/B', null)],
    ['a folder is renamed', () => mailbox.folders.rename('A', 'C')],
    ['a folder is unsubscribed', () => mailbox.folders.setSubscribed('C/B', false)],
    [
      'a folder is for something else',
      () => run(sql`update folder set special_use = null where special_use = '\\Archive'`),
    ],
    ['folders begin anew', () => run(sql`update folder set uid_validity = uid_validity + 1000`)],
    ['a folder is removed', () => mailbox.folders.remove('C/B')],
    ['the master key is replaced', () => maintenance().rotateMaster(site.bobId, site.clock.read())],
    ['the message key is replaced', () => maintenance().runOnce(new Date(site.clock.read().getTime() + 7 * DAY_MS))],
    ['a key is sealed anew', () => run(sql`update secret set sealed = sealed where purpose = 'master'`)],
    ['a record is there no more', () => run(sql`delete from own_record where seq > 0`)],
    ['old keys are erased', () => run(sql`delete from secret where retired_at is not null`)],
  ])('is another one when %s', async (_name, change) => {
    const before = await version();
    await change();
    expect(await version()).not.toBe(before);
  });

  it('is the same when messages come, are changed and go, and when single-use keys do', async () => {
    const before = await version();
    await append();
    const view = await mailbox.view(await mailbox.folders.find('INBOX'));
    await view.changeFlags(view.opened, { mode: 'add', flags: ['\\Seen', 'word'] });
    await view.move(view.opened, await mailbox.folders.find('Trash'));
    await append();
    await view.refresh();
    await view.remove(view.messages);
    await run(sql`update folder set recent_from = uid_next`);
    await run(sql`delete from secret where kind = 'ephemeral'`);
    expect(await version()).toBe(before);
  });

  it('is that of one account', async () => {
    const carol = { address: parseAddress('carol#corp.test'), password: 'correct horse', name: null };
    const { id } = await site.accounts.add(carol);
    const before = await version();
    await (await site.mailbox.open(id)).folders.create('Hers', null);
    expect(await version()).toBe(before);
  });

  it('goes with the account', async () => {
    await site.accounts.remove(site.bobId);
    expect(
      await site.opened.db.selectFrom('folder').select('id').where('account_id', '=', site.bobId).execute(),
    ).toEqual([]);
  });
});
