/**
 * One mailbox for mail programs and native clients (SMIMP 0.1 §5): what one of them does to folders, flags and places, the
 * other sees. A real IMAP server and a real API over the same database.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CallName } from '../src/smimp/api.ts';
import { type Hex32, parseBase64, toHex } from '../src/smimp/encoding.ts';
import { openStorage, sealStorage } from '../src/smimp/storage.ts';
import { digestOf } from '../src/smimp/transcript.ts';
import { type ApiSite, answerOf, codeOf, type Login, startApi } from './support/api-site.ts';
import type { ServedUser } from './support/hostile-server.ts';
import type { ImapClient } from './support/imap-client.ts';
import { BOB, type MailSite, mailSite, plainMail } from './support/mail-site.ts';

let mail: MailSite;
let api: ApiSite;
let native: Login;
let imap: ImapClient;
let alice: ServedUser;

beforeAll(async () => {
  mail = await mailSite();
  api = await startApi({ opened: mail.opened });
  api.now = mail.clock.read();
  alice = mail.server.addUser('alice', mail.clock.seconds());
  const master = await (await mail.keystore.open(mail.bobId)).master();
  native = await api.logIn({ address: BOB, master });
  imap = await mail.client();
});
afterAll(async () => {
  imap[Symbol.dispose]();
  await api[Symbol.asyncDispose]();
  await mail[Symbol.asyncDispose]();
});

const get = async <Name extends CallName>(call: Name, path: string) =>
  answerOf(call, await api.get(`/0.1/${path}`, native.token));
const post = async <Name extends CallName>(call: Name, path: string, body: unknown, headers = {}) =>
  answerOf(call, await api.post(`/0.1/${path}`, body, native.token, headers));
const stored = (id: string) => get('get_message', `message/${id}/false`);
const arrive = async (subject: string): Promise<string> => {
  const id = toHex(await mail.receive({ from: alice, subject }));
  await mail.open();
  return id;
};
const folder = (name: string, display_name: string, parent_folder_name: string | null = null) => ({
  ...{ display_name, folder_name: name, parent_folder_name, message_type: 'email' },
});

describe('folders', () => {
  it('made by a mail program are there for a native client', async () => {
    await imap.ok('create "Projekte/K&APw-he"');
    const { folders } = await get('get_folders_of_type', 'folders/email');
    expect(folders).toContainEqual(folder('projekte', 'Projekte'));
    expect(folders).toContainEqual(folder('projekte-kuhe', 'Kühe', 'projekte'));
    await imap.ok('rename Projekte/K&APw-he Herde');
    const after = (await get('get_folders', 'folders')).folders;
    expect(after).toContainEqual(folder('projekte-kuhe', 'Herde'));
    await imap.ok('delete Herde');
    expect((await get('get_folders', 'folders')).folders.map((f) => f.folder_name)).not.toContain('projekte-kuhe');
  });

  it('made by a native client are there for a mail program', async () => {
    await post('create_folder', 'folders', folder('native', 'Native'));
    await post('create_folder', 'folders', folder('inner', 'Inner', 'native'));
    await post('create_folder', 'folders', { ...folder('notes', 'Notes'), message_type: 'short-message' });
    expect(await imap.ok('list "" Nat*')).toEqual([
      'LIST (\\HasChildren) "/" Native',
      'LIST (\\HasNoChildren) "/" Native/Inner',
    ]);
    // Other types are no folders of mail.
    expect(await imap.ok('list "" Notes')).toEqual([]);
    await post('change_folder', 'folders/inner', folder('inner', 'Outer'));
    expect(await imap.ok('list "" Outer')).toEqual(['LIST (\\HasNoChildren) "/" Outer']);
    expect((await api.send({ method: 'DELETE', path: '/0.1/folders/email/inner', token: native.token })).status).toBe(
      204,
    );
    await imap.no('select Outer');
  });

  it('below the inbox of a mail program stay there when a native client renames them', async () => {
    await imap.ok('create INBOX/Lists');
    const { folders } = await get('get_folders', 'folders');
    expect(folders).toContainEqual(folder('inbox-lists', 'Lists'));
    await post('change_folder', 'folders/inbox-lists', folder('inbox-lists', 'News'));
    expect(await imap.ok('list "" INBOX/%')).toEqual(['LIST (\\HasNoChildren) "/" INBOX/News']);
  });

  it('keep their UIDVALIDITY and messages when a native client renames them', async () => {
    const status = async (path: string) => (await imap.ok(`status ${path} (messages uidvalidity uidnext)`))[0];
    await imap.ok('create Before');
    await imap.ok('append Before {22+}\r\nSubject: kept\r\n\r\nkept\r\n');
    const before = await status('Before');
    await post('change_folder', 'folders/before', folder('after', 'After', 'native'));
    expect(await status('Native/After')).toBe(before?.replace('Before', 'Native/After'));
  });
});

describe('the selected folder', () => {
  it('renamed by a native client stays selected, and tells of what arrives in it', async () => {
    await post('create_folder', 'folders', folder('chosen', 'Chosen'));
    const id = await arrive('follows');
    await imap.ok('select Chosen');
    await post('change_folder', 'folders/chosen', folder('picked', 'Picked'));
    const { seq } = await post('message_move', `message_move/${id}`, { folder_name: 'picked' });
    expect(await imap.ok('noop')).toContain('1 EXISTS');
    expect((await imap.ok('fetch 1 (uid envelope)')).join()).toContain(`UID ${seq} ENVELOPE`);
    await imap.no('status Chosen (messages)');
    await imap.ok('status Picked (messages)');
  });

  it('deleted by a native client is seen to become empty, and is gone', async () => {
    await post('create_folder', 'folders', folder('doomed', 'Doomed'));
    const id = await arrive('goes');
    await post('message_move', `message_move/${id}`, { folder_name: 'doomed' });
    await imap.ok('select Doomed');
    imap.send('d1 idle\r\n');
    expect(await imap.line()).toMatch(/^\+ /);
    const remove = (path: string) => api.send({ method: 'DELETE', path: `/0.1/${path}`, token: native.token });
    expect(codeOf(await remove('folders/email/doomed'))).toBe('folder_not_empty');
    expect((await remove(`message/${id}`)).status).toBe(204);
    expect(await imap.line()).toBe('* 1 EXPUNGE');
    expect((await remove('folders/email/doomed')).status).toBe(204);
    imap.send('done\r\n');
    expect((await imap.finish('d1')).status).toBe('OK');
    expect(await imap.ok('noop')).toEqual([]);
    expect(await imap.search('all')).toEqual([]);
    await imap.bad('fetch 1 flags');
    expect(await imap.no('append Doomed {5+}\r\nA: b\n')).toContain('[TRYCREATE]');
    expect(await imap.no('select Doomed')).toContain('[NONEXISTENT]');
    await imap.ok('select INBOX');
  });
});

describe('places', () => {
  it('changed by a native client are told to a mail program that idles', async () => {
    await post('create_folder', 'folders', folder('there', 'There'));
    const id = await arrive('moves');
    const other = await mail.client();
    await other.ok('select There');
    await imap.ok('select INBOX');
    imap.send('i1 idle\r\n');
    expect(await imap.line()).toMatch(/^\+ /);
    const moved = await post('message_move', `message_move/${id}`, { folder_name: 'there' });
    expect(await imap.line()).toBe('* 1 EXPUNGE');
    imap.send('done\r\n');
    expect((await imap.finish('i1')).status).toBe('OK');
    expect(await other.ok('noop')).toContain('1 EXISTS');
    expect(await other.search('uid 1:*')).toEqual([1]);
    expect((await other.ok('fetch 1 (uid envelope)')).join()).toContain(`UID ${moved.seq} ENVELOPE`);
    other[Symbol.dispose]();
  });

  it('of copies are shown with what was known of the original, also after that is gone', async () => {
    const id = await arrive('copied');
    const before = mail.server.requests.length;
    await imap.ok('select INBOX');
    const { message_id: copyId, seq } = await post('message_copy', `message_copy/${id}`, { folder_name: 'there' });
    expect((await api.send({ method: 'DELETE', path: `/0.1/message/${id}`, token: native.token })).status).toBe(204);
    await imap.ok('select There');
    const [line] = await imap.ok(`uid fetch ${seq} (envelope rfc822.size)`);
    expect(line).toContain('"copied"');
    expect((await imap.ok(`uid fetch ${seq} body.peek[text]`)).join()).toContain('Dear Bob');
    expect(mail.server.requests.length).toBe(before);
    expect((await stored(copyId)).folder_name).toBe('there');
  });

  it('of a copy made before the original was opened: both are shown, neither is a replay', async () => {
    const id = toHex(await mail.receive({ from: alice, subject: 'twice' }));
    await post('message_copy', `message_copy/${id}`, { folder_name: 'there' });
    await mail.open();
    for (const name of ['INBOX', 'There']) {
      await imap.ok(`select ${name}`);
      expect(await imap.search('subject twice'), name).toHaveLength(1);
    }
    // A replay is one all the same.
    const { db } = mail.opened;
    const row = await db.selectFrom('message').selectAll().where('message_id', '=', Buffer.from(id, 'hex')).execute();
    expect(row).toHaveLength(1);
  });

  it('of a copy that is opened before its original: the original is shown, and a replay is not, copied or not', async () => {
    const replay = { uid: 'ce'.repeat(32) as Hex32 };
    const id = toHex(await mail.receive({ from: alice, subject: 'overtaken', ...replay }));
    await post('message_copy', `message_copy/${id}`, { folder_name: 'there' });
    // Behind its copy.
    await post('message_move', `message_move/${id}`, { folder_name: null });
    await mail.open();
    const again = toHex(await mail.receive({ from: alice, subject: 'overtaken', ...replay }));
    await post('message_copy', `message_copy/${again}`, { folder_name: 'there' });
    await mail.open();
    for (const name of ['INBOX', 'There']) {
      await imap.ok(`select ${name}`);
      expect(await imap.search('subject overtaken'), name).toHaveLength(1);
    }
  });

  it('of a short message that a mail program put among the mail are listed', async () => {
    const body = Buffer.from('{"message":"Hi","attachments":[]}');
    const id = toHex(await mail.receive({ from: alice, messageType: 'short-message', body }));
    await mail.open();
    await imap.ok('select INBOX');
    await imap.ok('move * Archive');
    const { messages } = await get('get_folder', 'folder/email/archive');
    expect(messages).toContainEqual(expect.objectContaining({ message_id: id, message_type: 'short-message' }));
    const inbox = await get('get_inbox', 'folder/email');
    expect(inbox.messages.every(({ message_type }) => message_type === 'email')).toBe(true);
  });

  it('changed by a mail program are seen by a native client', async () => {
    const id = await arrive('archived');
    const { cursor } = await get('get_changes', 'changes');
    await imap.ok('select INBOX');
    const [number] = await imap.search('subject archived');
    await imap.ok(`move ${number} Archive`);
    const { changes } = await get('get_changes', `changes?cursor=${cursor}`);
    expect(changes).toMatchObject([{ op: 'put', message_id: id, summary: { folder_name: 'archive' } }]);
  });
});

describe('flags', () => {
  const object = (hash: string) => ({
    owner: BOB,
    purpose: 'extensions' as const,
    objectId: digestOf(hash as Parameters<typeof digestOf>[0]),
  });

  it('set by a mail program are read by a native client, and the other way round', async () => {
    const key = await (await mail.keystore.open(mail.bobId)).storageKey();
    const id = await arrive('flagged');
    await imap.ok('select INBOX');
    const [number] = await imap.search('subject flagged');
    await imap.ok(`store ${number} +flags (\\Flagged \\Seen urgent)`);
    const message = await stored(id);
    expect(message.read).toBe(true);
    const blob = message.extensions_data ?? '';
    expect(parseBase64(blob).toString('latin1')).not.toContain('urgent');
    const opened = openStorage({ key, object: object(message.message_hash), blob, leastVersion: 0 });
    expect(opened.value).toEqual({ flags: ['\\Flagged', 'urgent'] });

    const value = { flags: ['\\Answered', 'later'], colour: 'red' };
    const version = opened.version + 1;
    const extensions_data = sealStorage({ key, object: object(message.message_hash), version, value });
    const match = { 'if-match': `"${message.revision}"` };
    await post('message_extensions', `message_extensions/${id}`, { extensions_data }, match);
    expect((await imap.ok('noop')).at(-1)).toContain('FLAGS (\\Seen \\Answered later $SmimpUnverified)');
    await post('post_message_read', `message_read/${id}`, { read: false });
    expect((await imap.ok('noop')).at(-1)).toContain('FLAGS (\\Answered later $SmimpUnverified)');

    // What the native client keeps beside the flags stays.
    await imap.ok(`store ${number} +flags (\\Flagged)`);
    const after = await stored(id);
    const again = openStorage({
      ...{ key, object: object(after.message_hash), blob: after.extensions_data ?? '' },
      leastVersion: version + 1,
    });
    expect(again.value).toEqual({ flags: ['\\Answered', 'later', '\\Flagged'], colour: 'red' });
    const stale = await api.post(`/0.1/message_extensions/${id}`, { extensions_data: null }, native.token, match);
    expect(codeOf(stale)).toBe('precondition_failed');
  });

  it('of before that are brought back are not believed, whoever wrote the newer ones, and new ones are', async () => {
    const key = await (await mail.keystore.open(mail.bobId)).storageKey();
    const id = await arrive('rolled back');
    await imap.ok('select INBOX');
    const [number] = await imap.search('subject "rolled back"');
    await imap.ok(`store ${number} +flags (\\Flagged)`);
    const old = await stored(id);
    await imap.ok(`store ${number} flags (\\Answered)`);
    const put = async (extensions_data: string | null) => {
      const { revision } = await stored(id);
      await post(
        'message_extensions',
        `message_extensions/${id}`,
        { extensions_data },
        { 'if-match': `"${revision}"` },
      );
    };
    await put(old.extensions_data);
    expect((await imap.ok('noop')).at(-1)).toContain('FLAGS ($SmimpUnverified)');
    await imap.ok(`store ${number} +flags (fresh)`);
    expect((await imap.ok(`fetch ${number} (flags)`))[0]).toContain('FLAGS (fresh $SmimpUnverified)');
    // What a native client wrote is remembered once it was seen, also by a session that comes later.
    const seal = (version: number, flag: string) =>
      sealStorage({ key, object: object(old.message_hash), version, value: { flags: [flag] } });
    await put(seal(9, 'nine'));
    expect((await imap.ok('noop')).at(-1)).toContain('FLAGS (nine $SmimpUnverified)');
    await put(seal(8, 'eight'));
    using later = await mail.client();
    await later.ok('select INBOX');
    expect((await later.ok(`fetch ${number} (flags)`))[0]).toContain('FLAGS ($SmimpUnverified)');
    await put(null);
    await imap.ok(`store ${number} +flags (again)`);
    expect((await later.ok(`fetch ${number} (flags)`)).join()).toContain('FLAGS (again $SmimpUnverified)');
  });
});

describe('a folder removed by a native client', () => {
  it('between being found and being used, takes nothing in', async () => {
    await post('create_folder', 'folders', folder('brief', 'Brief'));
    await arrive('stays');
    const mailbox = await mail.mailbox.open(mail.bobId);
    const [inbox, brief] = [await mailbox.folders.find('INBOX'), await mailbox.folders.find('Brief')];
    const view = await mailbox.view(inbox);
    await api.send({ method: 'DELETE', path: '/0.1/folders/email/brief', token: native.token });
    const refused = { code: 'no-folder' };
    await expect(view.copy(view.opened, brief)).rejects.toMatchObject(refused);
    await expect(view.move(view.opened, brief)).rejects.toMatchObject(refused);
    const raw = plainMail({}, 'text');
    await expect(mailbox.append({ folder: brief, raw, flags: [], internalDate: null })).rejects.toMatchObject(refused);
    expect((await view.refresh()).removed).toEqual([]);
  });
});
