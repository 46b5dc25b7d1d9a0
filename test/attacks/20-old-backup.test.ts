/**
 * Attack 20, in particular: a server that was restored from an old backup (SMIMP 0.1 §5; RFC 3501 §2.3.1.1). Its mailboxes
 * come to the same revisions and UIDs a second time, with other messages. Nobody may take the second for the first.
 */
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';
import { createHighWaterMark, type HighWaterMark, MARK_FILE } from '../../src/high-water-mark.ts';
import { parseAddress } from '../../src/smimp/address.ts';
import { EPOCHS_KEPT, epochToken, forgetEpochs, isKnownEpoch } from '../../src/store/epochs.ts';
import { REVISIONS_SKIPPED } from '../../src/store/high-water.ts';
import {
  type Account,
  type ApiSite,
  answerOf,
  codeOf,
  prepare,
  sendPath,
  startApi,
  stranger,
} from '../support/api-site.ts';
import { clientSite } from '../support/client-site.ts';
import { backUp } from '../support/database.ts';
import type { ImapClient } from '../support/imap-client.ts';
import { type MailSite, mailSite, plainMail } from '../support/mail-site.ts';
import { mirrorSite } from '../support/mirror-site.ts';

describe('a cursor of `changes`', () => {
  let site: ApiSite;
  let owner: Account;
  let people = 0;
  beforeEach(async () => {
    site = await startApi({ zeroBits: 0 });
    owner = await site.account(parseAddress('bob#corp.test'), { ephemeral: 100 });
  });
  afterEach(() => site[Symbol.asyncDispose]());

  async function receive(count: number): Promise<string[]> {
    const ids: string[] = [];
    for (let i = 0; i < count; i++) {
      const sender = stranger(site, parseAddress(`s${++people}#acme.test`));
      const login = await site.logIn(sender);
      const { envelope } = await prepare(site, { sender, login, recipient: owner.address });
      const reply = await site.post(sendPath(owner.address), envelope, login.token);
      ids.push(answerOf('send_message', reply).message_id);
    }
    return ids;
  }
  async function changes(cursor: string) {
    const { token } = await site.logIn(owner);
    const answer = answerOf('get_changes', await site.get(`/0.1/changes?cursor=${cursor}`, token));
    return { ...answer, ids: answer.changes.map(({ message_id }) => message_id) };
  }

  it('from a future that was lost is noticed, before and after the mailbox has come that far again', async () => {
    const before = await receive(2);
    const known = (await changes('')).cursor;
    const backup = await backUp(site.opened.db);
    const lost = await receive(3);
    const future = await changes(known);
    expect(future.ids).toEqual(lost);
    await backup.restore();
    // Behind it still.
    expect(await changes(future.cursor)).toMatchObject({ reset: true, ids: before });
    // What was told before the backup is still told from there on.
    expect(await changes(known)).toMatchObject({ reset: false, ids: [] });
    const after = await receive(8);
    const answer = await changes(future.cursor);
    expect(answer).toMatchObject({ reset: true, ids: [...before, ...after] });
    expect(await changes(known)).toMatchObject({ reset: false, ids: after });
    expect(await changes(answer.cursor)).toMatchObject({ reset: false, ids: [] });
  });

  it('is told apart at exactly the revision of the backup, and one later', async () => {
    await receive(1);
    const at = (await changes('')).cursor;
    const backup = await backUp(site.opened.db);
    await receive(1);
    const later = (await changes(at)).cursor;
    await backup.restore();
    const [again] = await receive(1);
    expect(await changes(at)).toMatchObject({ reset: false, ids: [again] });
    expect((await changes(later)).reset).toBe(true);
  });

  it('within a list that was being told page by page does not hide what was deleted meanwhile', async () => {
    const { db } = site.opened;
    const { accountId } = owner;
    const [first] = await receive(2);
    const backup = await backUp(db);
    await receive(1);
    // A page that ends at revision 1 was told by a mailbox that had come to 3.
    const { token } = await site.logIn(owner);
    await db.updateTable('account').set({ expunged_floor: 2 }).where('id', '=', accountId).execute();
    const drawn = await epochToken(db, { accountId, covers: 3, current: 3, fresh: Buffer.alloc(8, 5) });
    const page = `r1.3.e${drawn.toString('hex')}`;
    expect(answerOf('get_changes', await site.get(`/0.1/changes?cursor=${page}`, token)).reset).toBe(false);
    await backup.restore();
    const { token: again } = await site.logIn(owner);
    expect((await site.send({ method: 'DELETE', path: `/0.1/message/${first}`, token: again })).status).toBe(204);
    await db.updateTable('account').set({ expunged_floor: 3 }).where('id', '=', accountId).execute();
    expect((await changes(page)).reset).toBe(true);
  });

  it('given out by two processes at once is known to both', async () => {
    await using second = await startApi({ opened: site.opened });
    await receive(1);
    const { token } = await site.logIn(owner);
    const asks = await Promise.all(
      [site, second, site, second].map(async (at) => answerOf('get_changes', await at.get('/0.1/changes', token))),
    );
    expect(new Set(asks.map(({ cursor }) => cursor)).size).toBe(1);
  });

  it(`is forgotten as the oldest of ${EPOCHS_KEPT}, and begins again then`, async () => {
    await receive(1);
    const old = (await changes('')).cursor;
    await receive(1);
    const young = (await changes(old)).cursor;
    await forgetEpochs(site.opened.db, 2);
    expect((await changes(old)).reset).toBe(false);
    await forgetEpochs(site.opened.db, 1);
    expect([(await changes(old)).reset, (await changes(young)).reset]).toEqual([true, false]);
    const { accountId } = owner;
    expect(await isKnownEpoch(site.opened.db, { accountId, covers: 1, token: Buffer.alloc(8) })).toBe(false);
  });
});

describe('a client of a server that was restored', () => {
  it('that follows is told to begin again, and then has what there is, each once', async () => {
    await using world = await clientSite();
    const alice = await world.join('alice');
    const bob = await world.join('bob');
    const known = new Set<string>();
    let cursor: string | null = null;
    let resets = 0;
    const follow = async (until: number) => {
      for await (const answer of bob.client.follow({ cursor, waitSeconds: 5 })) {
        cursor = answer.cursor;
        if (answer.reset) {
          known.clear();
          resets += 1;
        }
        for (const { op, message_id } of answer.changes)
          op === 'put' ? known.add(message_id) : known.delete(message_id);
        if (known.size === until) return;
      }
    };
    const send = (text: string) =>
      alice.client.send({ to: bob.client.address, messageType: 'x-custom-news', body: Buffer.from(text) });
    await send('kept');
    await follow(1);
    const backup = await backUp(world.site.opened.db);
    await send('lost 1');
    await send('lost 2');
    await follow(3);
    await backup.restore();
    for (let i = 0; i < 4; i++) await send(`after ${i}`);
    await follow(5);
    expect(resets).toBe(1);
    expect(known.size).toBe(5);
  });

  it('that mirrors loses nothing it had, and has nothing twice', async () => {
    await using site = await mirrorSite();
    const bob = await site.connected();
    await bob.other.put('kept');
    const gone = await bob.other.put('deleted later');
    await bob.sync();
    const backup = await backUp(site.api.opened.db);
    await bob.other.put('lost');
    await bob.other.delete(gone);
    await bob.sync();
    expect(await bob.shownHere()).toEqual({ INBOX: ['kept', 'lost'] });
    await backup.restore();
    for (const subject of ['new 1', 'new 2', 'new 3', 'new 4']) await bob.other.put(subject);
    await bob.sync();
    // What was deleted stays so: its owner has no key for it any more, and it is deleted at the home once more.
    const whole = ['kept', 'lost', 'new 1', 'new 2', 'new 3', 'new 4'];
    expect(await bob.shownHere()).toEqual({ INBOX: whole });
    await bob.sync();
    expect(await bob.shownHere()).toEqual({ INBOX: whole });
    expect((await bob.shownAtHome()).INBOX).toEqual(whole.filter((subject) => subject !== 'lost'));
  });
});

describe('mail programs at a server that was restored', () => {
  let site: MailSite;
  let directory: string;
  let mark: HighWaterMark;
  beforeEach(async () => {
    site = await mailSite();
    directory = await temporaryDirectory('mark');
    mark = markIn(directory);
    expect(await mark.advance()).toBe(false);
  });
  afterEach(async () => {
    await site[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  const markIn = (place: string): HighWaterMark =>
    createHighWaterMark({ db: site.opened.db, directory: place, events: site.events, clock: site.clock.read });
  const append = (client: ImapClient, subject: string, folder = 'INBOX') =>
    client.okText(`append ${folder} `, plainMail({ Subject: subject }, 'Text\r\n'));
  async function uidValidity(client: ImapClient, folder = 'INBOX'): Promise<number> {
    const [line] = await client.ok(`status ${folder} (uidvalidity)`);
    return Number(/UIDVALIDITY (\d+)/.exec(line ?? '')?.[1]);
  }

  it('find no UID that means two messages: every folder has a new UIDVALIDITY', async () => {
    using client = await site.client();
    await append(client, 'kept');
    const validity = await uidValidity(client);
    await mark.advance();
    const backup = await backUp(site.opened.db);
    const [, lostUid] = /APPENDUID \d+ (\d+)/.exec(await append(client, 'lost')) ?? [];
    await client.ok('create Lost');
    const lostFolder = await uidValidity(client, 'Lost');
    expect(await mark.advance()).toBe(false);
    await backup.restore();
    expect(await markIn(directory).advance()).toBe(true);
    using again = await site.client();
    const [, newValidity, newUid] = /APPENDUID (\d+) (\d+)/.exec(await append(again, 'new')) ?? [];
    expect(newUid).toBe(lostUid);
    expect(Number(newValidity)).toBeGreaterThan(Math.max(validity, lostFolder));
    await again.ok('create Lost');
    expect(await uidValidity(again, 'Lost')).toBeGreaterThan(lostFolder);
    // What the client remembers of the mailbox is of no use to it, and it is told so.
    await again.ok('enable qresync');
    const selected = await again.ok(`select INBOX (qresync (${validity} 9999 1:9))`);
    expect(selected.filter((line) => /VANISHED|FETCH/.test(line))).toEqual([]);
    expect(selected).toContain('2 EXISTS');
    // It is done once.
    expect([await mark.advance(), await uidValidity(again)]).toEqual([false, Number(newValidity)]);
    expect(site.log.filter((line) => line.includes('mailboxes_renewed'))).toHaveLength(1);
  });

  it('keep their UIDs when nothing was restored, whatever was killed when', async () => {
    using client = await site.client();
    await append(client, 'one');
    const validity = await uidValidity(client);
    const file = join(directory, MARK_FILE);
    await mark.advance();
    const before = await readFile(file);
    await append(client, 'two');
    await mark.advance();
    const after = JSON.parse(await readFile(file, 'utf8'));
    const killed = [
      // Before the database was told: it holds the token of before.
      { ...after, serial: after.serial + 1, next: 'ab'.repeat(16) },
      // After the database was told, before the file was written again.
      { ...after, current: 'ab'.repeat(16), next: after.current },
    ];
    for (const state of killed) {
      await writeFile(file, JSON.stringify(state));
      expect(await markIn(directory).advance()).toBe(false);
      expect(await mark.advance()).toBe(false);
      // As it was, for the next.
      const { serial, current } = JSON.parse(await readFile(file, 'utf8'));
      Object.assign(killed[1] as object, { serial, next: current });
    }
    // The directory is what was restored, not the database.
    await writeFile(file, before);
    expect(await markIn(directory).advance()).toBe(false);
    expect(await uidValidity(client)).toBe(validity);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('are renewed by the next start when one was killed before it could; a first start that was killed is no restore', async () => {
    using client = await site.client();
    const file = join(directory, MARK_FILE);
    const { db } = site.opened;
    const validity = await uidValidity(client);
    const killed = async (): Promise<void> => {
      await sql`alter table data_directory add constraint killed check (false) not valid`.execute(db);
      await expect(markIn(directory).advance()).rejects.toThrow('killed');
      await sql`alter table data_directory drop constraint killed`.execute(db);
    };
    await rm(file);
    await killed();
    expect(await markIn(directory).advance()).toBe(false);
    expect(await uidValidity(client)).toBe(validity);
    const backup = await backUp(db);
    await append(client, 'lost');
    await markIn(directory).advance();
    await backup.restore();
    await killed();
    await killed();
    expect(await markIn(directory).advance()).toBe(true);
    // Also where a renewal is remembered, and the file is of no use.
    await writeFile(file, '{"id":');
    await killed();
    expect(await markIn(directory).advance()).toBe(true);
    expect(await markIn(directory).advance()).toBe(false);
  });

  it('are served by several machines: whichever starts first renews, the others know it', async () => {
    const directories = [directory, await temporaryDirectory('mark'), await temporaryDirectory('mark')];
    const marks = directories.map(markIn);
    using client = await site.client();
    for (const each of marks) await each.advance();
    const backup = await backUp(site.opened.db);
    await append(client, 'lost');
    for (const each of marks) expect(await each.advance()).toBe(false);
    await backup.restore();
    const renewed = await Promise.all(directories.map((place) => markIn(place).advance()));
    expect(renewed.filter((did) => did)).toHaveLength(1);
    using again = await site.client();
    const validity = await uidValidity(again);
    for (const place of directories) expect(await markIn(place).advance()).toBe(false);
    expect(await uidValidity(again)).toBe(validity);
    // And a second time.
    const second = await backUp(site.opened.db);
    using third = await site.client();
    await append(third, 'lost too');
    for (const place of directories) await markIn(place).advance();
    await second.restore();
    expect(await markIn(directories[1] ?? '').advance()).toBe(true);
    for (const place of directories.slice(1)) await rm(place, { recursive: true });
  });

  it('that were connected all the time are sent away', async () => {
    using idle = await site.client();
    using busy = await site.client();
    await append(busy, 'kept');
    for (const client of [idle, busy]) await client.ok('select INBOX');
    await site.opened.listener.start(['mailbox_changed']);
    idle.send('x idle\r\n');
    expect(await idle.line()).toMatch(/^\+ /);
    expect(await mark.renew()).toBe(1);
    expect([await idle.line(), await idle.line()]).toEqual([
      'x NO [UNAVAILABLE] The mailbox was restored from a backup',
      '* BYE The mailbox begins anew',
    ]);
    expect(await busy.no('noop')).toMatch(/UNAVAILABLE/);
    expect([await busy.line(), await busy.line()]).toEqual(['* BYE The mailbox begins anew', '<closed>']);
  });

  it('are told by an operator whose whole data directory was restored; a mark that is lost for good counts as that', async () => {
    using client = await site.client();
    const validity = await uidValidity(client);
    await writeFile(join(directory, MARK_FILE), '{"id":');
    expect(await markIn(directory).advance()).toBe(true);
    const second = await uidValidity(client);
    expect(second).toBeGreaterThan(validity);
    expect(await markIn(directory).renew()).toBe(1);
    expect(await uidValidity(client)).toBeGreaterThan(second);
    // A directory that never had one is of a new machine.
    await rm(join(directory, MARK_FILE));
    expect(await markIn(directory).advance()).toBe(false);
  });

  it('draws a last token at the end, so that a restart with an older copy is noticed', async () => {
    using client = await site.client();
    const backup = await backUp(site.opened.db);
    {
      await using _running = await mark.start();
      await append(client, 'lost');
    }
    await backup.restore();
    await using _again = await markIn(directory).start();
    expect(site.log.filter((line) => line.includes('mailboxes_renewed'))).toHaveLength(1);
  });
});

describe('what was used up before', () => {
  it('is not usable again: sessions end, keys that were not issued yet are withdrawn, revisions skip', async () => {
    await using site = await startApi({ zeroBits: 0 });
    const directory = await temporaryDirectory('mark');
    const { db } = site.opened;
    const owner = await site.account(parseAddress('bob#corp.test'), { ephemeral: 5 });
    const { token } = await site.logIn(owner);
    const events = { mailboxesRenewed: () => undefined } as never;
    const clock = (): Date => site.now;
    await createHighWaterMark({ db, directory, events, clock }).renew();
    expect(codeOf(await site.get('/0.1/quota', token))).toBe('unauthorized');
    const { token: fresh } = await site.logIn(owner);
    expect(answerOf('get_ephemeral_keys', await site.get('/0.1/ephemeral_keys', fresh)).keys).toEqual([]);
    const { cursor } = answerOf('get_changes', await site.get('/0.1/changes', fresh));
    expect(cursor).toMatch(new RegExp(`^r${REVISIONS_SKIPPED}\\.`));
    await rm(directory, { recursive: true });
  });
});
