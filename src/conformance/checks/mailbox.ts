/** The owner's mailbox: importing, listing, reading, marking, deleting, and news of it (SMIMP 0.1 §4.2, §5.6). */
import type { Hex32 } from '../../smimp/encoding.ts';
import type { SentEnvelope } from '../../smimp/envelope.ts';
import type { Answer } from '../answer.ts';
import { accepted, type Check, demand, refused } from '../check.ts';
import { randomMessage, signFor } from '../letters.ts';
import { newKey } from '../member.ts';
import type { Resident, World } from '../world.ts';

const owner = (check: Omit<Check, 'level'>): Check => ({ ...check, level: 'owner' });
const NO_MESSAGE = 'f'.repeat(64);
const WAIT_SECONDS = 5;
const MAX_WAITS = 3;
/** Before the change that is waited for: time enough for the other request to be under way. */
const BEFORE_CHANGE_MS = 300;

const importChecks: readonly Check[] = [
  owner({
    id: 'import.works',
    title: 'What the owner signed to herself is taken in',
    rules: ['R-5.6-10'],
    async run(world) {
      const { envelope, message_id } = await imported(world);
      const stored = accepted('get_message', await read(world, message_id));
      demand(stored.received_via === 'import_api', 'received_via import_api', String(stored.received_via));
      demand(stored.message_hash === envelope.message_hash, 'the envelope as it was sent', 'another');
    },
  }),
  owner({
    id: 'import.own-key',
    title: 'Only the current non-ephemeral key is taken for an import',
    rules: ['R-5.6-10'],
    async run(world) {
      const member = await world.owner();
      const other = newKey(member, 'non-ephemeral', world.now());
      refused(await postImport(world, ownEnvelope(member, other.public_key)), 'bad_key');
    },
  }),
  owner({
    id: 'import.signature',
    title: 'An import that is signed as if to somebody else is refused',
    rules: ['R-5.6-10'],
    async run(world) {
      const member = await world.owner();
      const sealed = randomMessage(member.nonEphemeral.public_key);
      const envelope = signFor(member, { recipient: await world.nobody(), sealed, proofOfWork: null });
      refused(await postImport(world, envelope), 'bad_signature');
    },
  }),
  owner({
    id: 'import.unknown-folder',
    title: 'An import into a folder that is not there is refused',
    rules: ['R-5.6-3', 'R-5.6-10'],
    async run(world) {
      const member = await world.owner();
      const envelope = ownEnvelope(member, member.nonEphemeral.public_key);
      refused(await postImport(world, envelope, 'nowhere'), 'unknown_folder');
    },
  }),
];

const messageChecks: readonly Check[] = [
  owner({
    id: 'mailbox.envelope',
    title: 'A stored envelope holds what was sent, and what the server adds',
    rules: ['R-4.2-1', 'R-4.2-2', 'R-4.2-6', 'R-5.5-17', 'R-5.6-6'],
    async run(world) {
      const member = await world.owner();
      const { envelope, message_id } = await imported(world);
      const stored = accepted('get_message', await read(world, message_id));
      const sent = Object.entries(envelope).filter(([name, value]) => Reflect.get(stored, name) !== value);
      demand(sent.length === 0, 'every member as it was sent', sent.map(([name]) => name).join(', '));
      const added: Partial<typeof stored> = {
        recipient_address: member.address,
        sender_address: member.address,
        login_token_hash: member.session.loginTokenHash,
        message_id,
        protocol_version: '0.1',
      };
      const other = Object.entries(added).filter(([name, value]) => Reflect.get(stored, name) !== value);
      demand(
        other.length === 0,
        'sender, recipient, session and id as they were',
        other.map(([name]) => name).join(', '),
      );
    },
  }),
  owner({
    id: 'mailbox.paging',
    title: 'Pages are in the order of seq, begin after `after`, and say where the next begins',
    rules: ['R-4.2-3', 'R-5.6-1', 'R-5.6-5'],
    async run(world) {
      const ids = [await imported(world), await imported(world), await imported(world)];
      const from = (ids[0]?.seq ?? 0) - 1;
      const first = accepted('get_inbox', await inbox(world, `?after=${from}&limit=2`));
      demand(first.messages.length === 2 && first.next !== null, 'a page of 2 and a next', `${first.messages.length}`);
      const rest = accepted('get_inbox', await inbox(world, `?after=${first.next}&limit=2`));
      const seen = [...first.messages, ...rest.messages].map(({ message_id }) => message_id);
      demand(
        seen.join() === ids.map(({ message_id }) => message_id).join(),
        'all three, each once, in order',
        `${seen.length}`,
      );
      demand(rest.next === null, 'no page after the last', String(rest.next));
    },
  }),
  owner({
    id: 'mailbox.page-limit',
    title: 'A page of more than 500 is refused',
    rules: ['R-5.6-5'],
    async run(world) {
      accepted('get_inbox', await inbox(world, '?limit=500'));
      refused(await inbox(world, '?limit=501'), 'bad_request');
    },
  }),
  owner({
    id: 'mailbox.read',
    title: 'Only message/…/true and message_read change what is read, and each change raises the revision',
    rules: ['R-4.2-4', 'R-5.6-6'],
    async run(world) {
      const { message_id: id, revision } = await imported(world);
      demand((await isRead(world, id)) === false, 'unread', 'read');
      accepted('get_message', await read(world, id, 'false'));
      demand((await isRead(world, id)) === false, 'unread after message/…/false', 'read');
      accepted('get_message', await read(world, id, 'true'));
      demand((await isRead(world, id)) === true, 'read after message/…/true', 'unread');
      const answer = await withSession(world, 'post_message_read', { params: { id }, request: { read: false } });
      const after = accepted('post_message_read', answer).revision;
      demand(after > revision, 'a greater revision', 'none');
      demand((await isRead(world, id)) === false, 'unread again', 'read');
    },
  }),
  owner({
    id: 'mailbox.delete',
    title: 'What is deleted is gone',
    rules: ['R-5.6-8'],
    async run(world) {
      const { message_id: id, seq } = await imported(world);
      accepted('delete_message', await withSession(world, 'delete_message', { params: { id } }));
      refused(await read(world, id), 'unknown_message');
      const { messages } = accepted('get_inbox', await inbox(world, `?after=${seq - 1}`));
      demand(
        messages.every(({ message_id }) => message_id !== id),
        'no summary of it',
        'one',
      );
    },
  }),
  owner({
    id: 'mailbox.unknown-message',
    title: 'A message id that is not in the mailbox is unknown',
    rules: ['R-5.6-13'],
    async run(world) {
      const params = { id: NO_MESSAGE };
      refused(await read(world, NO_MESSAGE as Hex32), 'unknown_message');
      refused(await withSession(world, 'delete_message', { params }), 'unknown_message');
      refused(await withSession(world, 'get_message_read', { params }), 'unknown_message');
    },
  }),
];

const quotaCheck = owner({
  id: 'quota.told',
  title: 'quota tells the size of all messages, and the space for more',
  rules: ['R-5.7-12'],
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
});

const changeChecks: readonly Check[] = [
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
];

export const mailboxChecks: readonly Check[] = [
  ...importChecks.map((check) => ({ ...check, needs: ['import_message'] as const })),
  quotaCheck,
  ...[...messageChecks, ...changeChecks].map((check) => ({ ...check, needs: ['import_message'] as const })),
];

type CallWithSession = Parameters<World['probe']['call']>[0];
type AskWithSession = Parameters<World['probe']['call']>[1];

export async function withSession(world: World, name: CallWithSession, ask: AskWithSession = {}): Promise<Answer> {
  return world.probe.call(name, { ...ask, token: (await world.owner()).session.token });
}

function ownEnvelope(member: Resident, key: Hex32, type?: string): SentEnvelope {
  return signFor(member, { recipient: member.address, sealed: randomMessage(key, type), proofOfWork: null });
}

function postImport(world: World, envelope: SentEnvelope, folder_name: string | null = null): Promise<Answer> {
  return withSession(world, 'import_message', { request: { envelope, folder_name, read: false } });
}

/** A message of the owner to herself, in the mailbox. */
export async function imported(world: World, type?: string) {
  const member = await world.owner();
  const envelope = ownEnvelope(member, member.nonEphemeral.public_key, type);
  const placed = accepted('import_message', await postImport(world, envelope));
  return { envelope, ...placed };
}

export function read(world: World, id: Hex32, mark = 'false'): Promise<Answer> {
  return withSession(world, 'get_message', { params: { id, mark } });
}

function inbox(world: World, query: string): Promise<Answer> {
  return withSession(world, 'get_inbox', { params: { type: 'email' }, query });
}

async function isRead(world: World, id: Hex32): Promise<boolean> {
  return accepted('get_message_read', await withSession(world, 'get_message_read', { params: { id } })).read;
}

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
