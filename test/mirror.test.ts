/** A mailbox at another server, mirrored (docs/proxy.md): both sides change, together and apart, and agree again. */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createKeyMaintenance } from '../src/identity/maintenance.ts';
import { maintainKeys } from '../src/mirror/keys.ts';
import { maintainMirror } from '../src/mirror/round.ts';
import type { Hex32 } from '../src/smimp/encoding.ts';
import { advanceMailbox } from '../src/store/accounts.ts';
import { lockMailbox } from '../src/store/folders.ts';
import type { StoredMessage } from '../src/store/messages.ts';
import { changeMirror } from '../src/store/mirrors.ts';
import { BOB, keyOf } from './support/api-site.ts';
import { plainMail } from './support/mail-site.ts';
import type { Bob } from './support/mirror-site.ts';
import { type MirrorSite, mirrorSite } from './support/mirror-site.ts';

const DAY_SECONDS = 86_400;

let site: MirrorSite;
let bob: Bob;

beforeEach(async () => {
  site = await mirrorSite();
  bob = await site.connected();
});
afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

const letter = (subject: string): Buffer => plainMail({ Subject: subject }, 'Text\r\n');
const open = async (path: string) => bob.mail.view(await bob.mail.folders.find(path));
const pick = async (path: string, subject: string) => {
  const view = await open(path);
  const listed = await view.list(view.opened);
  const messages = view.opened.filter((_message, n) => listed[n]?.index.envelope.subject === subject);
  return { view, messages };
};
async function flag(path: string, subject: string, mode: 'add' | 'remove', ...flags: string[]): Promise<void> {
  const { view, messages } = await pick(path, subject);
  expect(await view.changeFlags(messages, { mode, flags })).toHaveLength(1);
}
async function move(path: string, subject: string, to: string): Promise<void> {
  const { view, messages } = await pick(path, subject);
  expect((await view.move(messages, await bob.mail.folders.find(to))).target).toHaveLength(1);
}
async function copy(path: string, subject: string, to: string): Promise<void> {
  const { view, messages } = await pick(path, subject);
  expect((await view.copy(messages, await bob.mail.folders.find(to))).target).toHaveLength(1);
}
async function remove(path: string, subject: string): Promise<void> {
  const { view, messages } = await pick(path, subject);
  expect(messages).toHaveLength(1);
  await view.remove(messages);
}
async function append(path: string, subject: string, ...flags: string[]): Promise<void> {
  const folder = await bob.mail.folders.find(path);
  await bob.mail.append({ folder, raw: letter(subject), flags, internalDate: null });
}
async function agreed(): Promise<Record<string, string[]>> {
  const here = await bob.shownHere();
  expect(await bob.shownAtHome()).toEqual(here);
  return here;
}

describe('what comes from the home', () => {
  it('is opened here, verified, with its flags and folders', async () => {
    const alice = site.acme.addUser('alice', Math.floor(site.api.now.getTime() / 1000));
    const projects = await bob.other.makeFolder('Projects');
    await bob.other.makeFolder('Secret', projects);
    await bob.other.receive(alice, 'hello');
    const plan = await bob.other.put('plan', projects);
    await bob.other.flag(plan, 'add', '\\Flagged', 'urgent');
    await bob.other.read(plan);
    await bob.sync();
    expect(await agreed()).toEqual({
      INBOX: ['hello'],
      Projects: ['plan \\Flagged \\Seen urgent'],
      'Projects/Secret': [],
    });
  });

  it('follows every change', async () => {
    const [a, b, c] = [await bob.other.put('a'), await bob.other.put('b'), await bob.other.put('c')];
    await bob.sync();
    const folder = await bob.other.makeFolder('Kept');
    await bob.other.move(a, folder);
    await bob.other.copy(a, 'trash');
    await bob.other.flag(b, 'add', '\\Answered');
    await bob.other.delete(c);
    await bob.sync();
    expect(await agreed()).toEqual({ INBOX: ['b \\Answered'], Kept: ['a'], Trash: ['a'] });
    await bob.other.renameFolder(folder, { display_name: 'Treasure' });
    await bob.other.flag(b, 'remove', '\\Answered');
    await bob.sync();
    expect(await agreed()).toEqual({ INBOX: ['b'], Trash: ['a'], Treasure: ['a'] });
    await bob.other.move(a, null);
    await bob.other.deleteFolder(folder);
    await bob.sync();
    expect(await agreed()).toEqual({ INBOX: ['a', 'b'], Trash: ['a'] });
  });
});

describe('what is done here', () => {
  it('is done at the home', async () => {
    await bob.other.put('a');
    await bob.other.put('b');
    await bob.other.put('c');
    await bob.sync();
    await bob.mail.folders.create('Work/Reports', null);
    await append('Work/Reports', 'mine', '\\Seen', '\\Flagged', 'urgent');
    await flag('INBOX', 'a', 'add', '\\Seen', '\\Answered');
    await move('INBOX', 'b', 'Work');
    await copy('INBOX', 'a', 'Archive');
    await remove('INBOX', 'c');
    const before = await bob.shownHere();
    await bob.sync();
    expect(await agreed()).toEqual(before);
    expect(before).toEqual({
      Archive: ['a \\Answered \\Seen'],
      INBOX: ['a \\Answered \\Seen'],
      Work: ['b'],
      'Work/Reports': ['mine \\Flagged \\Seen urgent'],
    });
    await bob.mail.folders.rename('Work', 'Office');
    await bob.mail.folders.remove('Office/Reports');
    await bob.sync();
    expect(await agreed()).toEqual({ Archive: ['a \\Answered \\Seen'], INBOX: ['a \\Answered \\Seen'], Office: ['b'] });
  });
});

describe('what was done on both sides meanwhile', () => {
  it('adds up; where it cannot, the rules of docs/proxy.md decide', async () => {
    const ids = Object.fromEntries(
      await Promise.all(
        ['flags', 'both moved', 'read', 'gone there', 'gone here', 'moved here', 'same'].map(async (subject) => [
          subject,
          await bob.other.put(subject),
        ]),
      ),
    );
    const id = (subject: string) => ids[subject] as Hex32;
    const there = await bob.other.makeFolder('There');
    await bob.sync();
    await bob.mail.folders.create('Here', null);

    await bob.other.flag(id('flags'), 'add', 'there', '\\Flagged');
    await flag('INBOX', 'flags', 'add', 'here', '\\Answered');
    await bob.other.move(id('both moved'), there);
    await move('INBOX', 'both moved', 'Here');
    await bob.other.read(id('read'));
    await flag('INBOX', 'read', 'add', '\\Flagged');
    await bob.other.delete(id('gone there'));
    await flag('INBOX', 'gone there', 'add', '\\Flagged');
    await bob.other.flag(id('gone here'), 'add', '\\Flagged');
    await remove('INBOX', 'gone here');
    await bob.other.flag(id('moved here'), 'add', '\\Flagged');
    await move('INBOX', 'moved here', 'Here');
    await bob.other.flag(id('same'), 'add', '\\Flagged');
    await flag('INBOX', 'same', 'add', '\\Flagged');
    await append('Here', 'new here');
    await bob.other.put('new there', there);
    await bob.sync();
    expect(await agreed()).toEqual({
      Here: ['moved here \\Flagged', 'new here'],
      INBOX: ['flags \\Answered \\Flagged here there', 'read \\Flagged \\Seen', 'same \\Flagged'],
      There: ['both moved', 'new there'],
    });

    await bob.other.flag(id('flags'), 'remove', 'here');
    await flag('INBOX', 'flags', 'remove', 'there');
    await bob.sync();
    expect((await agreed()).INBOX).toContain('flags \\Answered \\Flagged');
  });

  it('keeps folders that something was put in', async () => {
    const mail = [await bob.other.put('one'), await bob.other.put('two')];
    const [kept, left] = [await bob.other.makeFolder('Kept'), await bob.other.makeFolder('Left')];
    await bob.sync();
    await bob.mail.folders.remove('Kept');
    await bob.other.move(mail[0] as Hex32, kept);
    await bob.other.deleteFolder(left);
    await move('INBOX', 'two', 'Left');
    await bob.mail.folders.create('Twice', null);
    await bob.other.makeFolder('Twice');
    await bob.sync();
    expect(await agreed()).toEqual({ Kept: ['one'], Left: ['two'], Twice: [] });
  });

  it('renames a folder as the home does', async () => {
    const name = await bob.other.makeFolder('Old');
    await bob.other.makeFolder('Other');
    await bob.sync();
    await bob.mail.folders.rename('Old', 'Mine');
    await bob.other.renameFolder(name, { display_name: 'Theirs' });
    await bob.mail.folders.rename('Other', 'Another');
    await bob.sync();
    expect(await agreed()).toEqual({ Another: [], Theirs: [] });
    await bob.other.renameFolder(name, { folder_name: 'slug', parent_folder_name: 'other' });
    await bob.other.put('inside', 'slug');
    await bob.sync();
    expect(await agreed()).toEqual({ Another: [], 'Another/Theirs': ['inside'] });
  });

  it('loses nothing that another client does between two requests', async () => {
    const ids = await Promise.all(['a', 'b', 'c'].map((subject) => bob.other.put(subject)));
    await bob.other.makeFolder('There');
    await bob.sync();
    await flag('INBOX', 'a', 'add', '\\Seen');
    await move('INBOX', 'b', 'There');
    await flag('INBOX', 'c', 'add', 'here');
    // Just before \Seen, the move and the flags are pushed, the other client flags the same messages.
    const done = new Set<string>();
    site.onRequest = async (request) => {
      const n = ids.findIndex((id) => /^POST .*message_(read|move|extensions)/.test(request) && request.includes(id));
      if (n < 0 || done.has(ids[n] as Hex32)) return;
      done.add(ids[n] as Hex32);
      await bob.other.flag(ids[n] as Hex32, 'add', 'there');
    };
    await bob.sync();
    expect(done.size).toBe(3);
    await bob.sync();
    expect(await agreed()).toEqual({ INBOX: ['a \\Seen there', 'c here there'], There: ['b there'] });
  });
});

describe('keys', () => {
  it('are kept until everything that can come under them was fetched, however long that takes', async () => {
    const maintenance = createKeyMaintenance(site.services);
    await bob.sync();
    const first = await bob.other.owner.nonEphemeralKey(bob.other.session);
    await bob.other.put('late');
    site.api.later(8 * DAY_SECONDS);
    await maintainMirror(await bob.mirror());
    site.api.later(200 * DAY_SECONDS);
    await maintenance.runOnce(site.api.now);
    await bob.sync();
    expect(await bob.shownHere()).toEqual({ INBOX: ['late'] });
    await remove('INBOX', 'late');
    await maintenance.runOnce(site.api.now);
    const secret = () => bob.account.keys.messageSecret(Buffer.from(first.public_key, 'hex'));
    expect(await secret()).not.toBeNull();
    await bob.sync();
    await maintenance.runOnce(site.api.now);
    expect(await secret()).toBeNull();
  });
});

describe('a key', () => {
  it('is not retired while somebody else holds the mailbox, and may be sealing to it', async () => {
    const mirror = await bob.mirror();
    // What is due is made; then all that is left to do is to retire.
    await maintainKeys(mirror);
    const { db } = site.opened;
    const waiting = sql<{ n: number }>`
      select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    const round = await db.transaction().execute(async (tx) => {
      await lockMailbox(tx, bob.accountId);
      const keeping = { round: maintainKeys(mirror) };
      await expect.poll(async () => (await waiting.execute(db)).rows[0]?.n).toBe(1);
      return keeping;
    });
    await round.round;
  });
});

describe('a home that lies, or refuses', () => {
  const told = (code: string): boolean => site.log.some((line) => line.includes(code));

  it('cannot bring old flags back', async () => {
    const id = await bob.other.put('a');
    await bob.sync();
    await flag('INBOX', 'a', 'add', 'first');
    await bob.sync();
    const old = await atHome(id);
    await flag('INBOX', 'a', 'add', 'second');
    await bob.sync();
    await changeAtHome(id, { extensions_data: old.extensions_data });
    await bob.sync();
    expect(await agreed()).toEqual({ INBOX: ['a first second'] });
    await changeAtHome(id, {
      extensions_data: Buffer.from('not a blob of ours, and longer than any frame of it'.repeat(3)),
    });
    await bob.sync();
    expect((await bob.shownHere()).INBOX).toEqual(['a']);
  });

  it('cannot put another message in the place of one that is here', async () => {
    const [a, b] = [await bob.other.put('a'), await bob.other.put('b')];
    await bob.sync();
    const { message_hash, ciphertext, nonce } = await atHome(b);
    await changeAtHome(a, { message_hash, ciphertext, nonce });
    await bob.sync();
    expect(await bob.shownHere()).toEqual({ INBOX: ['a', 'b'] });
    expect(told('envelope_changed')).toBe(true);
  });

  it('cannot make a message older than it is here', async () => {
    const id = await bob.other.put('a');
    await changeAtHome(id, { time_received: new Date('2020-01-01T00:00:00Z') });
    await bob.sync();
    const row = await site.opened.db.selectFrom('message').selectAll().executeTakeFirstOrThrow();
    expect(row).toMatchObject({ time_received: new Date('2020-01-01T00:00:00Z'), first_seen_at: site.api.now });
  });

  it('that has no folder of that kind keeps the message where it was, and so does the mirror', async () => {
    const id = await bob.other.put('a');
    await bob.sync();
    await changeAtHome(id, { message_type: 'short-message' });
    await move('INBOX', 'a', 'Archive');
    await bob.sync();
    expect(await bob.shownHere()).toEqual({ INBOX: ['a'] });
    expect(told('wrong_type')).toBe(true);
  });

  it('that shows a key of somebody else gets nothing sealed to it', async () => {
    await bob.sync();
    await append('Drafts', 'mine');
    const master = await bob.account.keys.master();
    const foreign = keyOf({ address: BOB, master }, 'non-ephemeral', site.api.now);
    await bob.other.owner.setNonEphemeralKey(bob.other.session, foreign);
    await expect(bob.sync()).rejects.toMatchObject({ name: 'MirrorError', code: 'foreign-key' });
    expect(await bob.shownHere()).toEqual({ Drafts: ['mine'] });
    await maintainMirror(await bob.mirror());
    await bob.sync();
    expect(await agreed()).toEqual({ Drafts: ['mine'] });
  });

  it('that is full gets everything else, and the mail when there is room', async () => {
    const id = await bob.other.put('a');
    await bob.sync();
    await append('Drafts', 'mine');
    await flag('INBOX', 'a', 'add', '\\Flagged');
    const { db } = site.api.opened;
    await db.updateTable('account').set({ quota_bytes: 1 }).execute();
    await bob.sync();
    expect((await bob.shownAtHome()).INBOX).toEqual(['a \\Flagged']);
    expect(await bob.shownHere()).toEqual({ Drafts: ['mine'], INBOX: ['a \\Flagged'] });
    await db.updateTable('account').set({ quota_bytes: null }).execute();
    await bob.sync();
    expect(await agreed()).toEqual({ Drafts: ['mine'], INBOX: ['a \\Flagged'] });
    await bob.other.delete(id);
    await bob.sync();
    expect(await agreed()).toEqual({ Drafts: ['mine'] });
  });

  it('gets and gives messages of many megabytes', async () => {
    const text = `${'A line of a long letter.\r\n'.repeat(50_000)}`;
    const folder = await bob.mail.folders.find('Drafts');
    const raw = plainMail({ Subject: 'large' }, text.repeat(3));
    await bob.mail.append({ folder, raw, flags: ['\\Flagged'], internalDate: null });
    const size = async () =>
      (await (await open('Drafts')).raw((await pick('Drafts', 'large')).messages[0] as never))?.length;
    const before = await size();
    await bob.sync();
    expect(await agreed()).toEqual({ Drafts: ['large \\Flagged'] });
    expect(await size()).toBe(before);
    await site.opened.db.deleteFrom('mirror_message').execute();
    await site.opened.db.deleteFrom('seen').execute();
    await site.opened.db.deleteFrom('message').execute();
    await changeMirror(site.opened.db, bob.accountId, { cursor: null });
    await bob.sync();
    expect(await agreed()).toEqual({ Drafts: ['large \\Flagged'] });
    expect(await size()).toBe(before);
  }, 60_000);

  it('that breaks off leaves everything here, to be tried again', async () => {
    await bob.sync();
    await append('Drafts', 'mine');
    site.onRequest = async (request) => {
      if (request === 'POST /0.1/import_message') site.online = false;
    };
    await expect(bob.sync()).rejects.toMatchObject({ code: 'unresolvable' });
    site.onRequest = async () => undefined;
    site.online = true;
    expect(await bob.shownHere()).toEqual({ Drafts: ['mine'] });
    await bob.sync();
    expect(await agreed()).toEqual({ Drafts: ['mine'] });
  });
});

async function atHome(id: Hex32) {
  const { db } = site.api.opened;
  return db
    .selectFrom('message')
    .selectAll()
    .where('message_id', '=', Buffer.from(id, 'hex'))
    .executeTakeFirstOrThrow();
}

/** As no honest server does. */
async function changeAtHome(id: Hex32, change: Parameters<typeof changeRow>[1]): Promise<void> {
  await changeRow(Buffer.from(id, 'hex'), change);
}

async function changeRow(
  messageId: Buffer,
  change: Partial<
    Pick<StoredMessage, 'extensions_data' | 'message_hash' | 'ciphertext' | 'nonce' | 'time_received' | 'message_type'>
  >,
): Promise<void> {
  await site.api.opened.db.transaction().execute(async (tx) => {
    const row = await tx
      .selectFrom('message')
      .select('account_id')
      .where('message_id', '=', messageId)
      .executeTakeFirstOrThrow();
    const { revision } = await advanceMailbox(tx, row.account_id, { seqs: 0 });
    await tx
      .updateTable('message')
      .set({ ...change, revision })
      .where('message_id', '=', messageId)
      .execute();
  });
}
