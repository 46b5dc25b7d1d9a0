/** Folders, moving and copying, and what clients keep with a message (SMIMP 0.1 §5.6). */
import { type Folder, MAX_EXTENSIONS_BYTES, MAX_FOLDER_DEPTH } from '../../smimp/api.ts';
import type { Hex32 } from '../../smimp/encoding.ts';
import type { Answer } from '../answer.ts';
import { accepted, type Check, demand, refused } from '../check.ts';
import type { World } from '../world.ts';
import { imported, read, withSession } from './mailbox.ts';

const owner = (check: Omit<Check, 'level'>): Check => ({ ...check, level: 'owner' });
const SEALED = 'c2VhbGVk';

const folderChecks: readonly Check[] = [
  owner({
    id: 'folders.create',
    title: 'A folder is made, listed, and empty',
    rules: ['R-5.6-1', 'R-5.6-2'],
    async run(world) {
      const folder = await newFolder(world);
      for (const type of [null, folder.message_type]) {
        const found = (await listed(world, type)).find(({ folder_name }) => folder_name === folder.folder_name);
        demand(found?.display_name === folder.display_name, 'the folder with its display name', 'none');
      }
      demand((await messagesIn(world, folder)).length === 0, 'no message', 'some');
    },
  }),
  owner({
    id: 'folders.unique',
    title: 'A name is unique within a message type, and only there',
    rules: ['R-5.6-2'],
    async run(world) {
      const folder = await newFolder(world);
      refused(await create(world, { ...folder, display_name: 'Another' }), 'folder_exists');
      accepted('create_folder', await create(world, { ...folder, message_type: 'short-message' }));
    },
  }),
  owner({
    id: 'folders.names',
    title: 'A name is of [a-z0-9-]{1,64}',
    rules: ['R-5.6-2'],
    async run(world) {
      for (const folder_name of ['', 'Kit', 'a b', 'a_b', 'x'.repeat(65)])
        refused(await create(world, { ...folderOf('x'), folder_name }), 'bad_request');
    },
  }),
  owner({
    id: 'folders.parent',
    title: 'A parent is there, and of the same message type',
    rules: ['R-5.6-3'],
    async run(world) {
      const parent = await newFolder(world);
      const child = { ...folderOf(nextName(world)), parent_folder_name: parent.folder_name };
      refused(await create(world, { ...child, parent_folder_name: 'nowhere' }), 'unknown_folder');
      refused(await create(world, { ...child, message_type: 'short-message' }), 'wrong_type');
      const made = accepted('create_folder', await create(world, child));
      demand(made.parent_folder_name === parent.folder_name, 'the parent', String(made.parent_folder_name));
    },
  }),
  owner({
    id: 'folders.cycle',
    title: 'No folder lies in itself, nor deeper than 16',
    rules: ['R-5.6-3'],
    async run(world) {
      const top = await newFolder(world);
      let parent = top;
      for (let depth = 2; depth <= MAX_FOLDER_DEPTH; depth++) parent = await newFolder(world, parent.folder_name);
      const below = { ...folderOf(nextName(world)), parent_folder_name: parent.folder_name };
      refused(await create(world, below), 'bad_folder');
      for (const under of [top, parent])
        refused(await change(world, top.folder_name, { ...top, parent_folder_name: under.folder_name }), 'bad_folder');
    },
  }),
  owner({
    id: 'folders.rename',
    title: 'A renamed folder keeps its messages',
    rules: ['R-5.6-2', 'R-5.6-7'],
    async run(world) {
      const folder = await newFolder(world);
      const { message_id } = await imported(world);
      accepted('message_move', await place(world, 'message_move', message_id, folder.folder_name));
      const renamed = { ...folder, folder_name: nextName(world), display_name: 'Renamed' };
      accepted('change_folder', await change(world, folder.folder_name, renamed));
      demand((await messagesIn(world, renamed)).includes(message_id), 'the message under the new name', 'none');
      refused(await page(world, folder), 'unknown_folder');
    },
  }),
  owner({
    id: 'folders.delete',
    title: 'Only an empty folder is deleted',
    rules: ['R-5.6-4'],
    async run(world) {
      const folder = await newFolder(world);
      const { message_id } = await imported(world);
      accepted('message_move', await place(world, 'message_move', message_id, folder.folder_name));
      refused(await remove(world, folder), 'folder_not_empty');
      accepted('message_move', await place(world, 'message_move', message_id, null));
      accepted('delete_folder', await remove(world, folder));
      refused(await remove(world, folder), 'unknown_folder');
    },
  }),
];

const placeChecks: readonly Check[] = [
  owner({
    id: 'move.new-seq',
    title: 'A move gives a new seq above all others, and keeps the id',
    rules: ['R-4.2-3', 'R-5.6-7'],
    async run(world) {
      const folder = await newFolder(world);
      const { message_id, seq } = await imported(world);
      const latest = await imported(world);
      const moved = accepted('message_move', await place(world, 'message_move', message_id, folder.folder_name));
      demand(moved.message_id === message_id, 'the same id', 'another');
      demand(moved.seq > seq && moved.seq > latest.seq, 'a seq above all others', String(moved.seq));
      demand((await messagesIn(world, folder)).includes(message_id), 'the message in its folder', 'none');
      const stored = accepted('get_message', await read(world, message_id));
      demand(stored.folder_name === folder.folder_name, 'its folder in the envelope', String(stored.folder_name));
    },
  }),
  owner({
    id: 'copy.own-message',
    title: 'A copy is a message of its own, with the same envelope',
    rules: ['R-4.2-2', 'R-4.2-3', 'R-5.6-7'],
    needs: ['message_copy'],
    async run(world) {
      const folder = await newFolder(world);
      const { message_id, seq, envelope } = await imported(world);
      const copy = accepted('message_copy', await place(world, 'message_copy', message_id, folder.folder_name));
      demand(copy.message_id !== message_id && copy.seq > seq, 'another id and a greater seq', 'not both');
      accepted('delete_message', await withSession(world, 'delete_message', { params: { id: message_id } }));
      const stored = accepted('get_message', await read(world, copy.message_id));
      demand(stored.message_hash === envelope.message_hash, 'the same envelope', 'another');
    },
  }),
  owner({
    id: 'move.other-type',
    title: 'No message goes to a folder of another message type, or one that is not there',
    rules: ['R-5.6-3', 'R-5.6-7'],
    async run(world) {
      const folder = folderOf(nextName(world), 'short-message');
      accepted('create_folder', await create(world, folder));
      const { message_id } = await imported(world);
      refused(await place(world, 'message_move', message_id, folder.folder_name), 'wrong_type');
      refused(await place(world, 'message_move', message_id, 'nowhere'), 'unknown_folder');
    },
  }),
];

const extensionChecks: readonly Check[] = [
  owner({
    id: 'extensions.set',
    title: 'What a client keeps with a message comes back, and raises the revision',
    rules: ['R-4.2-4', 'R-5.6-9'],
    async run(world) {
      const { message_id: id, revision } = await imported(world);
      const set = accepted('message_extensions', await extend(world, id, SEALED, `"${revision}"`));
      demand(set.revision > revision, 'a greater revision', String(set.revision));
      const stored = accepted('get_message', await read(world, id));
      demand(stored.extensions_data === SEALED, 'what was kept', 'something else');
      accepted('message_extensions', await extend(world, id, null, `"${set.revision}"`));
      demand(accepted('get_message', await read(world, id)).extensions_data === null, 'nothing again', 'something');
    },
  }),
  owner({
    id: 'extensions.if-match-required',
    title: 'It is not changed without If-Match',
    rules: ['R-5.6-9'],
    async run(world) {
      const { message_id: id } = await imported(world);
      refused(await extend(world, id, SEALED, null), 'precondition_required');
    },
  }),
  owner({
    id: 'extensions.if-match',
    title: 'It is not changed under another revision',
    rules: ['R-5.6-9'],
    async run(world) {
      const { message_id: id, revision } = await imported(world);
      accepted('message_extensions', await extend(world, id, SEALED, `"${revision}"`));
      refused(await extend(world, id, null, `"${revision}"`), 'precondition_failed');
    },
  }),
  owner({
    id: 'extensions.size',
    title: 'It holds 64 KiB and not a byte more',
    rules: ['R-5.6-9'],
    async run(world) {
      const { message_id: id, revision } = await imported(world);
      const large = Buffer.alloc(MAX_EXTENSIONS_BYTES + 1);
      refused(await extend(world, id, large.toString('base64'), `"${revision}"`), 'too_large', 'bad_request');
      const most = large.subarray(1).toString('base64');
      accepted('message_extensions', await extend(world, id, most, `"${revision}"`));
    },
  }),
];

const needing =
  (...needs: NonNullable<Check['needs']>) =>
  (check: Check): Check => ({ ...check, needs: ['import_message', ...needs, ...(check.needs ?? [])] });

export const folderAndPlaceChecks: readonly Check[] = [
  ...folderChecks.map(needing('get_folders', 'create_folder', 'change_folder', 'delete_folder', 'message_move')),
  ...placeChecks.map(needing('create_folder', 'message_move')),
  ...extensionChecks.map(needing('message_extensions')),
];

function folderOf(folder_name: string, message_type = 'email'): Folder {
  return { display_name: `Kit ${folder_name}`, folder_name, parent_folder_name: null, message_type };
}

const counters = new WeakMap<World, { made: number }>();

/** A name that this run has not used. */
function nextName(world: World): string {
  const counter = counters.get(world) ?? { made: 0 };
  counters.set(world, counter);
  counter.made += 1;
  return `${world.marker}-${counter.made}`;
}

async function newFolder(world: World, parent: string | null = null): Promise<Folder> {
  const folder = { ...folderOf(nextName(world)), parent_folder_name: parent };
  accepted('create_folder', await create(world, folder));
  return folder;
}

const create = (world: World, request: unknown): Promise<Answer> => withSession(world, 'create_folder', { request });

function change(world: World, name: string, request: Folder): Promise<Answer> {
  return withSession(world, 'change_folder', { params: { name }, request });
}

function remove(world: World, { message_type: type, folder_name: name }: Folder): Promise<Answer> {
  return withSession(world, 'delete_folder', { params: { type, name } });
}

async function listed(world: World, type: string | null): Promise<Folder[]> {
  if (type === null) return accepted('get_folders', await withSession(world, 'get_folders')).folders;
  const answer = await withSession(world, 'get_folders_of_type', { params: { type } });
  return accepted('get_folders_of_type', answer).folders;
}

function page(world: World, { message_type: type, folder_name: name }: Folder): Promise<Answer> {
  return withSession(world, 'get_folder', { params: { type, name } });
}

async function messagesIn(world: World, folder: Folder): Promise<Hex32[]> {
  return accepted('get_folder', await page(world, folder)).messages.map(({ message_id }) => message_id);
}

function place(world: World, name: 'message_move' | 'message_copy', id: Hex32, to: string | null): Promise<Answer> {
  return withSession(world, name, { params: { id }, request: { folder_name: to } });
}

function extend(world: World, id: Hex32, extensions_data: string | null, ifMatch: string | null): Promise<Answer> {
  const headers: Record<string, string> = ifMatch === null ? {} : { 'if-match': ifMatch };
  return withSession(world, 'message_extensions', { params: { id }, request: { extensions_data }, headers });
}
