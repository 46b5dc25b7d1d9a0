/** The owner's mailbox: importing, listing, reading, marking, deleting (SMIMP 0.1 §4.2, §5.6). */
import type { Hex32 } from '../../smimp/encoding.ts';
import type { SentEnvelope } from '../../smimp/envelope.ts';
import type { Answer } from '../answer.ts';
import { accepted, type Check, demand, refused } from '../check.ts';
import { randomMessage, signFor } from '../letters.ts';
import { newKey } from '../member.ts';
import type { Resident, World } from '../world.ts';

const owner = (check: Omit<Check, 'level'>): Check => ({ ...check, level: 'owner' });
const NO_MESSAGE = 'f'.repeat(64);

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

/** Each needs messages, and makes them itself. */
export const mailboxChecks: readonly Check[] = [...importChecks, ...messageChecks].map((check) => ({
  ...check,
  needs: ['import_message'],
}));

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
