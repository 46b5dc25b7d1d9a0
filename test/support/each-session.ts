/** One server for a file of tests; for each test an empty mailbox and new sessions. */
import { afterAll, beforeAll, beforeEach } from 'vitest';
import type { ImapClient } from './imap-client.ts';
import { type MailSite, mailSite } from './mail-site.ts';

/** `begin` gives the sessions of a test, which end with it. `withoutFolders`: only the inbox is there, until somebody logs in. */
export function forEachTest(
  begin: (site: MailSite) => Promise<ImapClient[]>,
  { withoutFolders = false }: { withoutFolders?: boolean } = {},
): void {
  let site: MailSite;
  let clients: ImapClient[] = [];
  const leave = (): void => {
    for (const client of clients.splice(0)) client[Symbol.dispose]();
  };
  beforeAll(async () => {
    site = await mailSite();
  });
  afterAll(async () => {
    leave();
    await site[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    leave();
    const { db } = site.opened;
    await db.deleteFrom('message').execute();
    if (withoutFolders) {
      await db.updateTable('folder').set({ parent_id: null }).where('folder_name', 'is not', null).execute();
      await db.deleteFrom('folder').where('folder_name', 'is not', null).execute();
    }
    clients = await begin(site);
  });
}
