/** News of a mailbox, and how much is in it (SMIMP 0.1 §5.6, §5.7). */
import { accepted, type Check, demand, refused } from '../check.ts';
import type { World } from '../world.ts';
import { imported, read, withSession } from './mailbox.ts';

const owner = (check: Omit<Check, 'level' | 'needs'>): Check => ({
  ...check,
  level: 'owner',
  needs: ['import_message'],
});
const WAIT_SECONDS = 5;
const MAX_WAITS = 3;
/** Before the change that is waited for: time enough for the other request to be under way. */
const BEFORE_CHANGE_MS = 300;

export const changeChecks: readonly Check[] = [
  owner({
    id: 'changes.put',
    title: 'changes tells of what came since the cursor, and of nothing twice',
    rules: ['R-5.6-11'],
    async run(world) {
      const before = await catchUp(world);
      const { message_id } = await imported(world);
      const { changes, cursor } = await since(world, before);
      const puts = changes.filter((change) => change.message_id === message_id && change.op === 'put');
      demand(puts.length === 1, 'one put of the message', String(puts.length));
      demand(puts[0]?.summary?.message_id === message_id, 'its summary', 'none');
      demand((await since(world, cursor)).changes.length === 0, 'nothing after it', 'something');
    },
  }),
  owner({
    id: 'changes.delete',
    title: 'changes tells of what was deleted',
    rules: ['R-5.6-11'],
    async run(world) {
      const { message_id: id } = await imported(world);
      const before = await catchUp(world);
      accepted('delete_message', await withSession(world, 'delete_message', { params: { id } }));
      const { changes } = await since(world, before);
      const gone = changes.some(({ op, message_id }) => op === 'delete' && message_id === id);
      demand(gone, 'a delete of the message', 'none');
    },
  }),
  owner({
    id: 'changes.mark',
    title: 'changes tells of what was marked',
    rules: ['R-4.2-4', 'R-5.6-11'],
    async run(world) {
      const { message_id: id } = await imported(world);
      const before = await catchUp(world);
      accepted('get_message', await read(world, id, 'true'));
      const { changes } = await since(world, before);
      const put = changes.find(({ message_id }) => message_id === id);
      demand(put?.op === 'put' && put.summary?.read === true, 'a put with read: true', put?.op ?? 'nothing');
    },
  }),
  owner({
    id: 'changes.wait',
    title: 'changes waits for news as long as was asked',
    rules: ['R-5.6-11'],
    async run(world) {
      const before = await catchUp(world);
      const waiting = news(world, before);
      await new Promise((resolve) => setTimeout(resolve, BEFORE_CHANGE_MS));
      const { message_id } = await imported(world);
      const changes = await waiting;
      demand(
        changes.some((change) => change.message_id === message_id),
        'the news',
        'none',
      );
      refused(await withSession(world, 'get_changes', { query: '?wait=31' }), 'bad_request');
    },
  }),
  {
    id: 'quota.told',
    title: 'quota tells the size of all messages, and the space for more',
    rules: ['R-5.7-12'],
    level: 'owner',
    needs: ['import_message', 'get_quota'],
    async run(world) {
      const before = accepted('get_quota', await withSession(world, 'get_quota'));
      await imported(world);
      const after = accepted('get_quota', await withSession(world, 'get_quota'));
      const grown = after.total_size - before.total_size;
      demand(grown > 0, 'a greater size after one more message', String(grown));
      const left = before.space_available - after.space_available;
      const isRight = before.space_available === -1 ? after.space_available === -1 : left === grown;
      demand(isRight, 'as much less space, or no limit before and after', String(left));
    },
  },
];

async function since(world: World, cursor: string, wait = 0) {
  const query = `?cursor=${encodeURIComponent(cursor)}&wait=${wait}`;
  return accepted('get_changes', await withSession(world, 'get_changes', { query }));
}

/** What is told after waiting. An answer without news may come early, as after a restart; then it is asked again. */
async function news(world: World, cursor: string) {
  for (let tries = 1; ; tries++) {
    const { changes } = await since(world, cursor, WAIT_SECONDS);
    if (changes.length > 0 || tries === MAX_WAITS) return changes;
  }
}

/** The cursor after everything that has happened so far. */
async function catchUp(world: World): Promise<string> {
  for (let cursor = ''; ; ) {
    const page = await since(world, cursor);
    if (page.changes.length === 0) return page.cursor;
    cursor = page.cursor;
  }
}
