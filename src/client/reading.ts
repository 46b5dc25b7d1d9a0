/**
 * Reading (SMIMP 0.1 §4.4, §5): folders, pages, messages, with every check. Senders are resolved when mail is fetched, for a
 * page together, never when one message is looked at: that would be a read receipt. Nothing is thrown away: what is held,
 * replayed or invalid is told by its result, and stays on the server until the caller deletes it.
 */
import type { Contact } from '../identity/contact.ts';
import { RemoteError } from '../remote/errors.ts';
import type { Session } from '../remote/home.ts';
import type { OwnerClient } from '../remote/owner.ts';
import type { FolderName } from '../remote/owner-mailbox.ts';
import type { Address } from '../smimp/address.ts';
import type { Folder, PlacedAnswer, Summary } from '../smimp/api.ts';
import { type Hex32, parseHex, parseTimestamp } from '../smimp/encoding.ts';
import type { DecodedStoredEnvelope } from '../smimp/envelope.ts';
import { openMessage } from '../smimp/open.ts';
import { timestampOf } from './entries.ts';
import { ownHistoryOf } from './keystore-data.ts';
import type { Memory } from './memory.ts';
import { type ClaimedSender, type Opening, openFrom } from './opening.ts';
import { ownIdentity, type People } from './people.ts';
import type { ClientSessions } from './sessions.ts';

export type Place = {
  readonly messageType: string;
  /** Null is the inbox of that type. */
  readonly folder?: FolderName;
  /** Messages with a greater seq than this. */
  readonly after?: number;
  /** At most 500; default 100. */
  readonly limit?: number;
};

/** A message with what became of it. `envelope` is as the server stores it. */
export type ReadMessage = { readonly envelope: DecodedStoredEnvelope; readonly opening: Opening };

export type ReadPage = {
  readonly messages: readonly ReadMessage[];
  /** `after` of the next page, or null. */
  readonly next: number | null;
};

const SECRET_BYTES = 32;
/** Each may have 56 MiB on the way. */
const FETCHED_AT_ONCE = 4;

export interface Reading {
  folders(messageType?: string): Promise<Folder[]>;
  /** What is in a folder, without fetching any message. */
  page(place: Place): Promise<{ messages: Summary[]; next: number | null }>;
  /** Fetches and opens a page: senders first, each once, then every message. Marks nothing as read. */
  readPage(place: Place): Promise<ReadPage>;
  /**
   * Fetches and opens these messages. One that is gone meanwhile is left out. Messages that came before the present ones
   * stay opened: opening twice is no replay.
   */
  read(messageIds: readonly Hex32[]): Promise<ReadMessage[]>;
  /** Marks as read or unread. The message's revision after it. */
  setRead(messageId: Hex32, read: boolean): Promise<number>;
  move(messageId: Hex32, to: FolderName): Promise<PlacedAnswer>;
  copy(messageId: Hex32, to: FolderName): Promise<PlacedAnswer>;
  /** For good. The secret of its message key goes too when no other message needs it: deletion is cryptographic (§1.4). */
  remove(message: Pick<DecodedStoredEnvelope, 'message_id' | 'message_public_key'>): Promise<void>;
}

export function createReading(options: {
  memory: Memory;
  people: People;
  sessions: ClientSessions;
  owner: OwnerClient;
  clock: () => Date;
}): Reading {
  const { memory, people, sessions, owner, clock } = options;

  const page: Reading['page'] = ({ messageType, folder = null, after, limit }) => {
    const asked = { messageType, name: folder, ...(after === undefined ? {} : { after }) };
    return sessions.atHome((session) => owner.folderPage(session, limit === undefined ? asked : { ...asked, limit }));
  };

  const open = async (envelope: DecodedStoredEnvelope, contacts: Map<string, Contact>): Promise<ReadMessage> => {
    const opening = await openFrom(claimedSender(memory, envelope, contacts), {
      open: (sender) => openMessage({ ...openInput(memory, envelope, clock()), sender }),
      resolveFresh: () => people.resolve(envelope.sender_address, { fresh: true }),
      reportFork: () => people.reportFork(envelope.sender_address, { message_id: envelope.message_id }),
    });
    if (opening.kind === 'opened') {
      const { digest, header } = opening.message;
      memory.remember({ digest, from: header.from, uid: header.uid, message_id: envelope.message_id });
    }
    return { envelope, opening };
  };

  const fetchOne = (id: Hex32): Promise<DecodedStoredEnvelope | null> =>
    sessions.atHome((session) => owner.message(session, id)).catch(goneAsNull);

  const read: Reading['read'] = async (messageIds) => {
    const envelopes: DecodedStoredEnvelope[] = [];
    for (let from = 0; from < messageIds.length; from += FETCHED_AT_ONCE) {
      const fetched = await Promise.all(messageIds.slice(from, from + FETCHED_AT_ONCE).map(fetchOne));
      envelopes.push(...fetched.filter((envelope) => envelope !== null));
    }
    const contacts = await resolveSenders(memory, people, envelopes);
    const opened: ReadMessage[] = [];
    for (const envelope of envelopes) opened.push(await open(envelope, contacts));
    await memory.save();
    return opened;
  };

  /** A message under another id is the same message: no replay. */
  const place = async (id: Hex32, call: (session: Session) => Promise<PlacedAnswer>): Promise<PlacedAnswer> => {
    const placed = await sessions.atHome(call);
    if (placed.message_id !== id) memory.copied(id, placed.message_id);
    await memory.save();
    return placed;
  };

  return {
    folders: (messageType) => sessions.atHome((session) => owner.folders(session, messageType)),
    page,
    async readPage(place) {
      const { messages, next } = await page(place);
      return { messages: await read(messages.map(({ message_id }) => message_id)), next };
    },
    read,
    setRead: (id, isRead) => sessions.atHome((session) => owner.setRead(session, id, isRead)),
    move: (id, to) => place(id, (session) => owner.moveMessage(session, id, to)),
    copy: (id, to) => place(id, (session) => owner.copyMessage(session, id, to)),
    async remove({ message_id: id, message_public_key: key }) {
      await sessions.atHome((session) => owner.deleteMessage(session, id));
      memory.deleted(id);
      if (memory.secrets.get(key)?.kind === 'ephemeral' && !memory.isKeyUsed(key)) memory.secrets.delete(key);
      await memory.save();
    },
  };
}

function claimedSender(
  memory: Memory,
  envelope: DecodedStoredEnvelope,
  contacts: ReadonlyMap<string, Contact>,
): ClaimedSender {
  if (envelope.sender_address === memory.address) return { kind: 'self', identity: ownIdentity(memory) };
  return { kind: 'other', contact: contacts.get(envelope.sender_address) ?? null };
}

/** What a message is opened with, its sender aside. */
function openInput(memory: Memory, envelope: DecodedStoredEnvelope, now: Date) {
  const { address, identity } = memory;
  const { message_id: messageId } = envelope;
  return {
    me: address,
    envelope,
    messageSecret: (publicKey: Hex32) => secretOf(memory, publicKey),
    myHistory: ownHistoryOf({ address, own_history: identity.own_history }).history,
    firstSeen: parseTimestamp(memory.firstSeen(envelope, timestampOf(now))),
    seen: {
      digest: (digest: Hex32) => memory.isDigestSeen(digest, messageId),
      uid: (from: Address, uid: Hex32) => memory.isUidSeen(from, uid, messageId),
    },
  };
}

function secretOf(memory: Memory, publicKey: Hex32): Uint8Array | null {
  const known = memory.secrets.get(publicKey);
  return known === undefined ? null : parseHex(known.secret_key, SECRET_BYTES);
}

/** Everybody once, at the same time. Oneself is not a contact. */
async function resolveSenders(
  memory: Memory,
  people: People,
  envelopes: readonly DecodedStoredEnvelope[],
): Promise<Map<string, Contact>> {
  const senders = new Set(envelopes.map(({ sender_address }) => sender_address));
  senders.delete(memory.address);
  const contacts = await Promise.all([...senders].map((sender) => people.resolve(sender)));
  return new Map(contacts.map((contact) => [contact.address, contact]));
}

function goneAsNull(error: unknown): null {
  if (error instanceof RemoteError && error.apiCode === 'unknown_message') return null;
  throw error;
}
