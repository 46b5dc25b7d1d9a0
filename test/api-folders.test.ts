/** Folders, moves, copies and extensions through the API (SMIMP 0.1 §5). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_EXTENSIONS_BYTES, MAX_FOLDER_DEPTH } from '../src/smimp/api.ts';
import { MAX_FOLDERS } from '../src/smimp/folders.ts';
import { insertFolder } from '../src/store/folders.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  CAROL,
  codeOf,
  type Login,
  type Person,
  prepare,
  type Reply,
  sendPath,
  startApi,
  stranger,
} from './support/api-site.ts';

let site: ApiSite;
let bob: Account;
let alice: Person;
let home: Login;
let remote: Login;

beforeAll(async () => {
  site = await startApi();
  bob = await site.account(BOB, { ephemeral: 100 });
  alice = stranger(site, ALICE);
  [home, remote] = [await site.logIn(bob), await site.logIn(alice)];
});
afterAll(() => site[Symbol.asyncDispose]());

type Wanted = { display_name: string; folder_name: string; parent_folder_name: string | null; message_type: string };
const wanted = (name: string, more: Partial<Wanted> = {}): Wanted => ({
  ...{ display_name: name, folder_name: name, parent_folder_name: null, message_type: 'email' },
  ...more,
});
const create = (folder: unknown, login = home): Promise<Reply> => site.post('/0.1/folders', folder, login.token);
const made = async (folder: Wanted) => answerOf('create_folder', await create(folder));
const change = (name: string, folder: unknown): Promise<Reply> => site.post(`/0.1/folders/${name}`, folder, home.token);
const remove = (name: string, type = 'email'): Promise<Reply> =>
  site.send({ method: 'DELETE', path: `/0.1/folders/${type}/${name}`, token: home.token });
const deliver = async (): Promise<string> => {
  const { envelope } = await prepare(site, { sender: alice, login: remote, recipient: BOB });
  return answerOf('send_message', await site.post(sendPath(BOB), envelope, remote.token)).message_id;
};
const put = (call: 'move' | 'copy', id: string, folder_name: string | null): Promise<Reply> =>
  site.post(`/0.1/message_${call}/${id}`, { folder_name }, home.token);
const listed = async (path: string): Promise<string[]> =>
  answerOf('get_inbox', await site.get(`/0.1/folder/${path}`, home.token)).messages.map((m) => m.message_id);

describe('the calls about folders', () => {
  it('are refused to remote users and to nobody in particular', async () => {
    const id = '00'.repeat(32);
    const asked: [string, string, unknown?][] = [
      ['GET', 'folders'],
      ['GET', 'folders/email'],
      ['POST', 'folders', wanted('x')],
      ['POST', 'folders/x', wanted('x')],
      ['DELETE', 'folders/email/x'],
      ['POST', `message_move/${id}`, { folder_name: null }],
      ['POST', `message_copy/${id}`, { folder_name: null }],
      ['POST', `message_extensions/${id}`, { extensions_data: null }],
    ];
    for (const [method, path, body] of asked) {
      const json = { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
      const whole = { method, path: `/0.1/${path}`, ...(body === undefined ? {} : json) };
      expect(codeOf(await site.send({ ...whole, token: remote.token })), path).toBe('forbidden');
      expect(codeOf(await site.send(whole)), path).toBe('unauthorized');
    }
  });

  it('make, list, rename, move and remove folders of every type', async () => {
    expect(await made(wanted('work', { display_name: 'Arbeit ü' }))).toEqual(
      wanted('work', { display_name: 'Arbeit ü' }),
    );
    const child = wanted('child', { parent_folder_name: 'work' });
    expect(await made(child)).toEqual(child);
    // The same name again, of another type.
    const other = wanted('work', { message_type: 'short-message' });
    expect(await made(other)).toEqual(other);
    const all = answerOf('get_folders', await site.get('/0.1/folders', home.token)).folders;
    expect(all.map(({ folder_name, message_type }) => `${message_type} ${folder_name}`)).toEqual([
      'email work',
      'email child',
      'short-message work',
    ]);
    const mail = answerOf('get_folders_of_type', await site.get('/0.1/folders/email', home.token)).folders;
    expect(mail.map(({ folder_name }) => folder_name)).toEqual(['work', 'child']);
    const renamed = wanted('kind', { display_name: 'Kind' });
    expect(answerOf('change_folder', await change('child', renamed))).toEqual(renamed);
    expect(codeOf(await change('child', renamed))).toBe('unknown_folder');
    expect(codeOf(await remove('child'))).toBe('unknown_folder');
    for (const [name, type] of [['kind'], ['work'], ['work', 'short-message']] as const) {
      expect((await remove(name, type)).status).toBe(204);
    }
    expect(answerOf('get_folders', await site.get('/0.1/folders', home.token)).folders).toEqual([]);
  });

  it('refuse what is taken, what is not there, what is of another type', async () => {
    await made(wanted('a'));
    await made(wanted('s', { message_type: 'short-message' }));
    expect(codeOf(await create(wanted('a', { display_name: 'other' })))).toBe('folder_exists');
    expect(codeOf(await create(wanted('other', { display_name: 'a' })))).toBe('folder_exists');
    expect(codeOf(await create(wanted('b', { parent_folder_name: 'none' })))).toBe('unknown_folder');
    expect(codeOf(await create(wanted('b', { parent_folder_name: 's' })))).toBe('wrong_type');
    expect(codeOf(await change('s', wanted('s')))).toBe('wrong_type');
    await made(wanted('b'));
    expect(codeOf(await change('b', wanted('a', { display_name: 'b' })))).toBe('folder_exists');
    expect(codeOf(await change('b', wanted('b', { display_name: 'a' })))).toBe('folder_exists');
    expect((await change('b', wanted('b'))).status).toBe(200);
    for (const name of ['', 'A', 'a_b', 'a'.repeat(65)]) {
      expect(codeOf(await create(wanted(name))), name).toBe('bad_request');
    }
    expect(codeOf(await create({ ...wanted('c'), colour: 'red' }))).toBe('bad_request');
    expect(answerOf('create_folder', await create(wanted('z'.repeat(64)))).folder_name).toHaveLength(64);
    for (const name of ['a', 'b', 'z'.repeat(64)]) await remove(name);
    await remove('s', 'short-message');
  });

  it('refuse names that no mail program could show', async () => {
    const names = ['', 'a/b', 'inbox', 'InBoX', 'a\r\nb', 'a\0b', '\u0085', 'a\u2028b', 'x'.repeat(256)];
    for (const display_name of names) {
      expect(codeOf(await create(wanted('n', { display_name }))), JSON.stringify(display_name)).toBe('bad_folder');
    }
    // INBOX is the inbox of mail only, and only at the top.
    await made(wanted('n', { display_name: 'x'.repeat(255) }));
    await made(wanted('below', { display_name: 'Inbox', parent_folder_name: 'n' }));
    await made(wanted('n', { display_name: 'Inbox', message_type: 'x-custom-note' }));
    expect(codeOf(await change('below', wanted('below', { display_name: 'Inbox' })))).toBe('bad_folder');
    for (const name of ['below', 'n']) expect((await remove(name)).status).toBe(204);
    await remove('n', 'x-custom-note');
  });

  it('refuse cycles, depth and numbers beyond the limits', async () => {
    const names = Array.from({ length: MAX_FOLDER_DEPTH }, (_, level) => `d${level}`);
    for (const [level, name] of names.entries()) {
      await made(wanted(name, { parent_folder_name: names[level - 1] ?? null }));
    }
    const deepest = names.at(-1) ?? '';
    expect(codeOf(await create(wanted('deeper', { parent_folder_name: deepest })))).toBe('bad_folder');
    for (const parent of ['d0', 'd1', deepest]) {
      expect(codeOf(await change('d0', wanted('d0', { parent_folder_name: parent }))), parent).toBe('bad_folder');
    }
    await made(wanted('top'));
    expect(codeOf(await change('d0', wanted('d0', { parent_folder_name: 'top' })))).toBe('bad_folder');
    expect((await change('d1', wanted('d1', { parent_folder_name: 'top' }))).status).toBe(200);
    expect(codeOf(await remove('d1'))).toBe('folder_not_empty');

    const carol = await site.account(CAROL);
    const login = await site.logIn(carol);
    const { db } = site.opened;
    await db.transaction().execute(async (tx) => {
      const common = { account_id: carol.accountId, message_type: 'email', parent_id: null, special_use: null };
      // The inbox is one of them.
      for (let n = 2; n < MAX_FOLDERS; n += 1) {
        await insertFolder(tx, { ...common, folder_name: `f${n}`, display_name: `f${n}` });
      }
    });
    expect((await create(wanted('last'), login)).status).toBe(201);
    expect(codeOf(await create(wanted('more'), login))).toBe('bad_folder');
  });
});

describe('moving and copying', () => {
  it('give a message a new seq, and a copy a new id', async () => {
    await made(wanted('there'));
    const [first, second] = [await deliver(), await deliver()];
    const cursor = answerOf('get_changes', await site.get('/0.1/changes', home.token)).cursor;
    const moved = answerOf('message_move', await put('move', first, 'there'));
    expect(moved.message_id).toBe(first);
    const copied = answerOf('message_copy', await put('copy', second, 'there'));
    expect(copied.message_id).not.toBe(second);
    expect(copied.seq).toBe(moved.seq + 1);
    expect(await listed('email/there')).toEqual([first, copied.message_id]);
    expect(await listed('email')).toEqual([second]);
    const stored = async (id: string) =>
      answerOf('get_message', await site.get(`/0.1/message/${id}/false`, home.token));
    const { message_id: _i, seq: _s, revision: _r, folder_name, ...original } = await stored(second);
    expect(folder_name).toBeNull();
    expect(await stored(copied.message_id)).toMatchObject({ ...original, folder_name: 'there' });
    const { changes } = answerOf('get_changes', await site.get(`/0.1/changes?cursor=${cursor}`, home.token));
    expect(changes.map(({ op, summary }) => [op, summary?.message_id, summary?.folder_name])).toEqual([
      ['put', first, 'there'],
      ['put', copied.message_id, 'there'],
    ]);
    // Within its folder, and back to the inbox.
    expect(answerOf('message_move', await put('move', first, 'there')).seq).toBe(copied.seq + 1);
    expect(answerOf('message_move', await put('move', first, null)).seq).toBe(copied.seq + 2);
    expect(await listed('email')).toEqual([second, first]);
    expect(codeOf(await remove('there'))).toBe('folder_not_empty');
    await site.send({ method: 'DELETE', path: `/0.1/message/${copied.message_id}`, token: home.token });
    expect((await remove('there')).status).toBe(204);
  });

  it('follow a folder to its new name', async () => {
    await made(wanted('old'));
    const id = await deliver();
    await put('move', id, 'old');
    const cursor = answerOf('get_changes', await site.get('/0.1/changes', home.token)).cursor;
    await change('old', wanted('old', { display_name: 'Shown otherwise' }));
    expect(answerOf('get_changes', await site.get(`/0.1/changes?cursor=${cursor}`, home.token)).changes).toEqual([]);
    await change('old', wanted('new'));
    const { changes } = answerOf('get_changes', await site.get(`/0.1/changes?cursor=${cursor}`, home.token));
    expect(changes).toMatchObject([{ op: 'put', message_id: id, summary: { folder_name: 'new' } }]);
    await put('move', id, null);
    await remove('new');
  });

  it('count what a copy takes', async () => {
    const size = async (): Promise<number> => {
      const query = site.opened.db.selectFrom('account').select('size_bytes').where('id', '=', bob.accountId);
      return (await query.executeTakeFirstOrThrow()).size_bytes;
    };
    const id = await deliver();
    const before = await size();
    await put('copy', id, null);
    expect(await size()).toBe(before + 400);
  });

  it('refuse other types, other people and folders that are not there', async () => {
    await made(wanted('notes', { message_type: 'short-message' }));
    const id = await deliver();
    for (const call of ['move', 'copy'] as const) {
      expect(codeOf(await put(call, id, 'notes'))).toBe('wrong_type');
      expect(codeOf(await put(call, id, 'nowhere'))).toBe('unknown_folder');
      expect(codeOf(await put(call, '00'.repeat(32), null))).toBe('unknown_message');
      const foreign = { folder_name: null };
      const login = await site.logIn(await site.account(`${call}er#corp.test` as typeof BOB));
      expect(codeOf(await site.post(`/0.1/message_${call}/${id}`, foreign, login.token))).toBe('unknown_message');
      expect(codeOf(await site.post(`/0.1/message_${call}/${id}`, {}, home.token))).toBe('bad_request');
    }
  });
});

describe('extensions', () => {
  const extend = (id: string, extensions_data: string | null, ifMatch?: string): Promise<Reply> =>
    site.post(
      `/0.1/message_extensions/${id}`,
      { extensions_data },
      home.token,
      ifMatch === undefined ? {} : { 'if-match': ifMatch },
    );

  it('change only from the revision that was named', async () => {
    const id = await deliver();
    const read = async () => answerOf('get_message', await site.get(`/0.1/message/${id}/false`, home.token));
    const { revision } = await read();
    expect(codeOf(await extend(id, 'AAAA'))).toBe('precondition_required');
    for (const tag of [`"${revision + 1}"`, `${revision}`, `W/"${revision}"`, '*', `"0${revision}"`, '""']) {
      expect(codeOf(await extend(id, 'AAAA', tag)), tag).toBe('precondition_failed');
    }
    const first = answerOf('message_extensions', await extend(id, 'AAAA', `"${revision}"`));
    expect(await read()).toMatchObject({ extensions_data: 'AAAA', revision: first.revision });
    expect(codeOf(await extend(id, 'BBBB', `"${revision}"`))).toBe('precondition_failed');
    answerOf('message_extensions', await extend(id, null, `"${first.revision}"`));
    expect((await read()).extensions_data).toBeNull();
    expect(codeOf(await extend('00'.repeat(32), null, '"1"'))).toBe('unknown_message');
  });

  it('win once when two change them at the same time', async () => {
    const id = await deliver();
    const path = `/0.1/message/${id}/false`;
    const { revision } = answerOf('get_message', await site.get(path, home.token));
    const replies = await Promise.all(['AAAA', 'BBBB', 'CCCC'].map((data) => extend(id, data, `"${revision}"`)));
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 412, 412]);
  });

  it('have 64 KiB', async () => {
    const id = await deliver();
    const path = `/0.1/message/${id}/false`;
    const { revision } = answerOf('get_message', await site.get(path, home.token));
    const blob = (size: number): string => Buffer.alloc(size).toString('base64');
    expect(codeOf(await extend(id, blob(MAX_EXTENSIONS_BYTES + 1), `"${revision}"`))).toBe('too_large');
    expect((await extend(id, blob(MAX_EXTENSIONS_BYTES), `"${revision}"`)).status).toBe(200);
    expect(codeOf(await extend(id, 'AAA', `"${revision}"`))).toBe('bad_request');
  });
});
