/** Quotas (SMIMP 0.1 §5): a full mailbox takes nothing more, by whatever door, but still hears from its bridge. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NOTICE_SLACK_BYTES } from '../src/mailbox/import.ts';
import type { Address } from '../src/smimp/address.ts';
import { toHex } from '../src/smimp/encoding.ts';
import { FREE_NOTES_BYTES, setQuota, UNLIMITED } from '../src/store/quota.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  codeOf,
  envelopeOf,
  type Login,
  type Person,
  prepare,
  sendPath,
  startApi,
  stranger,
} from './support/api-site.ts';
import type { ImapClient } from './support/imap-client.ts';
import { type MailSite, mailSite, plainMail } from './support/mail-site.ts';

const SIZE = 400;

describe('the API of a full mailbox', () => {
  let site: ApiSite;
  let bob: Account;
  let alice: Person;
  let home: Login;
  let remote: Login;

  beforeAll(async () => {
    site = await startApi({ quotaBytes: 2 * SIZE });
    bob = await site.account(BOB, { ephemeral: 60 });
    alice = stranger(site, ALICE);
    [home, remote] = [await site.logIn(bob), await site.logIn(alice)];
  });
  afterAll(() => site[Symbol.asyncDispose]());
  beforeEach(async () => {
    await setQuota(site.opened.db, bob.accountId, null);
    const { messages } = answerOf('get_inbox', await site.get('/0.1/folder/email', home.token));
    for (const { message_id } of messages) {
      await site.send({ method: 'DELETE', path: `/0.1/message/${message_id}`, token: home.token });
    }
  });

  const quota = async () => answerOf('get_quota', await site.get('/0.1/quota', home.token));
  const prepared = async () => (await prepare(site, { sender: alice, login: remote, recipient: BOB })).envelope;
  const send = (envelope: unknown) => site.post(sendPath(BOB), envelope, remote.token);
  const bring = () => {
    const draft = { sender: bob, recipient: BOB, login: home, messageKey: bob.nonEphemeral.public_key };
    const request = { envelope: envelopeOf(draft), folder_name: null, read: true };
    return site.post('/0.1/import_message', request, home.token);
  };

  it('tells its size to the owner only', async () => {
    expect(codeOf(await site.get('/0.1/quota', remote.token))).toBe('forbidden');
    expect(codeOf(await site.get('/0.1/quota'))).toBe('unauthorized');
    expect(await quota()).toEqual({ total_size: 0, space_available: 800 });
    await send(await prepared());
    expect(await quota()).toEqual({ total_size: 400, space_available: 400 });
    await setQuota(site.opened.db, bob.accountId, 100);
    expect(await quota()).toEqual({ total_size: 400, space_available: 0 });
    await setQuota(site.opened.db, bob.accountId, UNLIMITED);
    expect(await quota()).toEqual({ total_size: 400, space_available: -1 });
  });

  it('fits to the byte, then takes nothing, uses nothing up, and takes it once there is room', async () => {
    const first = answerOf('send_message', await send(await prepared()));
    await send(await prepared());
    const envelope = await prepared();
    expect(codeOf(await send(envelope))).toBe('insufficient_storage');
    expect(codeOf(await bring())).toBe('insufficient_storage');
    const copy = () => site.post(`/0.1/message_copy/${first.message_id}`, { folder_name: null }, home.token);
    expect(codeOf(await copy())).toBe('insufficient_storage');
    expect((await site.post(`/0.1/message_move/${first.message_id}`, { folder_name: null }, home.token)).status).toBe(
      200,
    );
    expect(await quota()).toEqual({ total_size: 800, space_available: 0 });
    await setQuota(site.opened.db, bob.accountId, 5 * SIZE - 1);
    for (const reply of [await send(envelope), await bring()]) expect(reply.status).toBeLessThan(300);
    expect(codeOf(await copy())).toBe('insufficient_storage');
    await setQuota(site.opened.db, bob.accountId, 5 * SIZE);
    expect((await copy()).status).toBe(200);
    expect((await quota()).space_available).toBe(0);
  });

  it('counts what is kept with messages, to the byte, and lets short notes into a full mailbox', async () => {
    await setQuota(site.opened.db, bob.accountId, UNLIMITED);
    const { message_id: id } = answerOf('send_message', await send(await prepared()));
    const note = async (bytes: number | null) => {
      const { revision } = answerOf('get_message', await site.get(`/0.1/message/${id}/false`, home.token));
      const extensions_data = bytes === null ? null : Buffer.alloc(bytes, 7).toString('base64');
      const match = { 'if-match': `"${revision}"` };
      return site.post(`/0.1/message_extensions/${id}`, { extensions_data }, home.token, match);
    };
    const total = async () => (await quota()).total_size;
    await note(1_000);
    expect(await total()).toBe(1_400);
    await site.post(`/0.1/message_copy/${id}`, { folder_name: null }, home.token);
    expect(await total()).toBe(2_800);
    await setQuota(site.opened.db, bob.accountId, 2_800);
    expect((await note(FREE_NOTES_BYTES)).status).toBe(200);
    expect(codeOf(await note(FREE_NOTES_BYTES + 1))).toBe('insufficient_storage');
    expect(await total()).toBe(1_400 + 400 + FREE_NOTES_BYTES);
    await setQuota(site.opened.db, bob.accountId, 1_400 + 400 + FREE_NOTES_BYTES + 1);
    expect((await note(FREE_NOTES_BYTES + 1)).status).toBe(200);
    expect((await note(null)).status).toBe(200);
    expect(await total()).toBe(1_800);
    await site.send({ method: 'DELETE', path: `/0.1/message/${id}`, token: home.token });
    expect(await total()).toBe(1_400);
  });

  it('holds no more when many send at once', async () => {
    const envelopes = [await prepared()];
    const others = ['x#acme.test', 'y#acme.test', 'z#acme.test'].map((name) => stranger(site, name as Address));
    const sends = [send(envelopes[0])];
    for (const sender of others) {
      const login = await site.logIn(sender);
      const { envelope } = await prepare(site, { sender, login, recipient: BOB });
      sends.push(site.post(sendPath(BOB), envelope, login.token));
    }
    const statuses = (await Promise.all(sends)).map(({ status }) => status);
    expect(statuses.sort()).toEqual([200, 200, 507, 507]);
  });
});

describe('a mail program', () => {
  let site: MailSite;
  let imap: ImapClient;
  beforeAll(async () => {
    site = await mailSite();
    imap = await site.client();
  });
  afterAll(async () => {
    imap[Symbol.dispose]();
    await site[Symbol.asyncDispose]();
  });
  const used = async (): Promise<number> => (await site.accounts.usage(site.bobId, null)).usedBytes;
  const setLimit = (bytes: number | null) => site.accounts.setQuota(site.bobId, bytes);
  const notice = { subject: 'Not delivered', body: 'x' };

  it('is told OVERQUOTA at APPEND and COPY, and nothing is half done', async () => {
    await imap.ok('append inbox ', plainMail({ Subject: 'One' }, 'text'));
    await setLimit(await used());
    expect(await imap.no('append inbox ', plainMail({ Subject: 'Two' }, 'text'))).toContain('[OVERQUOTA]');
    await imap.ok('select inbox');
    expect(await imap.no('copy 1 Archive')).toContain('[OVERQUOTA]');
    expect((await imap.ok('status Archive (messages)'))[0]).toContain('MESSAGES 0');
    await imap.ok('move 1 Archive');
    await imap.ok('select Archive');
    await setLimit(2 * (await used()));
    await imap.ok('copy 1 inbox');
    await imap.ok('store 1 +flags (\\Deleted)');
    await imap.ok('expunge');
    await imap.ok('append inbox ', plainMail({}, 't'));
  });

  it('may mark mail in a full mailbox, but not fill it with keywords', async () => {
    await setLimit(null);
    const empty = await used();
    await imap.ok('append Drafts (\\Flagged) ', plainMail({ Subject: 'Marked' }, 'text'));
    await imap.ok('select Drafts');
    await setLimit(0);
    await imap.ok('store 1 +flags (\\Answered \\Deleted)');
    const keywords = Array.from({ length: 40 }, (_, n) => `k${n}-${'x'.repeat(150)}`);
    const before = await used();
    expect(await imap.no(`store 1 +flags (${keywords.join(' ')})`)).toContain('[OVERQUOTA]');
    expect(await used()).toBe(before);
    await imap.ok('expunge');
    expect(await used()).toBe(empty);
    await setLimit(null);
  });

  it('still gets what the bridge has to say, within bounds', async () => {
    const tell = () =>
      site.opened.db.transaction().execute((tx) =>
        site.mailbox.notices.deliver(tx, {
          accountId: site.bobId,
          kind: 'failed',
          body: {
            ...{ to: [BOB], cc: [], thread_id: toHex(Buffer.alloc(32)), reply_to_message_id: null, ...notice },
            ...{ date_sent: '2026-03-01 09:00:00', signature_text: null, attachments: [], extensions_data: null },
            ...{ reply_to: null, auto_reply_address: null },
          } as never,
        }),
      );
    await setLimit(0);
    const before = await used();
    await tell();
    const size = (await used()) - before;
    expect(size).toBeGreaterThan(0);
    await setBytes(NOTICE_SLACK_BYTES - size);
    await tell();
    expect(await used()).toBe(NOTICE_SLACK_BYTES);
    await tell();
    expect(await used()).toBe(NOTICE_SLACK_BYTES);
    expect(site.log.join()).toContain('notice_dropped');
    await setBytes(before + size);
    await setLimit(null);
  });

  const setBytes = (size_bytes: number) =>
    site.opened.db.updateTable('account').set({ size_bytes }).where('id', '=', site.bobId).execute();
});
