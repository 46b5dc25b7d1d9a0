/**
 * Opening what arrived (SMIMP 0.1 §4.4): the sender's history is resolved first, for a batch, never when a message is
 * read; then every check, in the written order; then, in one transaction under the mailbox lock, what was seen is
 * remembered and the message shown, held, set apart or dropped. May be killed anywhere and run by several processes.
 */
import { openFrom } from '../client/opening.ts';
import type { Events } from '../events.ts';
import { type Alarm, raise, reportAlarms } from '../identity/alarms.ts';
import type { Contact } from '../identity/contact.ts';
import { readOwnHistory } from '../identity/own-history.ts';
import type { Identity } from '../identity/resolve.ts';
import type { Keystore } from '../keystore/keystore.ts';
import type { ByteGate } from '../memory/byte-gate.ts';
import { freeMemory } from '../memory/free-memory.ts';
import { isShown } from '../mime/from-email.ts';
import type { Address } from '../smimp/address.ts';
import type { VerifiedHistory } from '../smimp/chain.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';
import type { ProfileErrorCode } from '../smimp/errors.ts';
import { type OpenedMessage, openMessage } from '../smimp/open.ts';
import { historyIdentity, type SenderIdentity } from '../smimp/pin.ts';
import { silenceDueAlarms } from '../store/alarms.ts';
import { insertContents } from '../store/contents.ts';
import type { Db, Tx } from '../store/database.ts';
import { deleteMessages, findMessage, type StoredMessage } from '../store/messages.ts';
import type { DefaultQuota } from '../store/quota.ts';
import {
  type DueMessage,
  dueMessages,
  isSeen,
  lockUnopened,
  postponeMessage,
  rememberSeen,
  type SeenValue,
  setApart,
  showMessage,
} from '../store/unopened.ts';
import { cautionAlarms, raiseAll, tellAlarms } from './alarms.ts';
import { type Content, contentToKeep, type DisplayRules, sealedContent } from './contents.ts';
import { type MailAccount, openMailAccount } from './mail-account.ts';
import { keepReference } from './references.ts';
import { storedEnvelope } from './stored-envelope.ts';
import { threadChoice } from './threads.ts';
import { traceOf, trustBits } from './trust.ts';

/** Senders looked up and messages opened in one round. */
const BATCH = 50;
const FIRST_RETRY_MS = 5_000;
const LONGEST_RETRY_MS = 3_600_000;

export interface OpenServices extends DisplayRules {
  db: Db;
  keystore: Keystore;
  identity: Identity;
  /** Bounds the bytes of messages that are opened at once, for all accounts. */
  gate: ByteGate;
  events: Events;
  clock: () => Date;
  /** At a gateway: what carries mail for its legacy identities on. Nobody reads it here, and nobody is told anything. */
  outward?: {
    serves(address: Address): boolean;
    take(account: MailAccount, opened: OpenedMessage): Onward;
  } | null;
  /** Most bytes of a mailbox whose account has no limit of its own; null or absent: no limit. */
  quotaBytes?: DefaultQuota;
}

interface Opening {
  services: OpenServices;
  account: MailAccount;
  own: { history: VerifiedHistory; identity: SenderIdentity };
}

/** Opens all that is due in an account and tells its owner what is to be told; how many messages it looked at. */
export async function openPending(services: OpenServices, accountId: number): Promise<number> {
  const account = await openMailAccount(services.keystore, accountId);
  const { history, addedAt } = await readOwnHistory(services.db, account);
  const opening = { services, account, own: { history, identity: historyIdentity(history, addedAt) } };
  let count = 0;
  for (;;) {
    const due = await dueMessages(services.db, accountId, services.clock(), BATCH);
    if (due.length === 0) break;
    const contacts = await resolveSenders(opening, due);
    for (const message of due) await openOne(opening, message, contacts.get(message.sender_address) ?? null);
    count += due.length;
  }
  if (services.outward?.serves(account.address) !== true) await tellAlarms(services, account);
  else await silenceDueAlarms(services.db, accountId, services.clock());
  return count;
}

/** Everybody once, at the same time. Oneself is not a contact. */
async function resolveSenders(
  { services, account }: Opening,
  due: readonly DueMessage[],
): Promise<Map<string, Contact>> {
  const senders = [...new Set(due.map(({ sender_address }) => sender_address))].filter(
    (name) => name !== account.address,
  );
  const resolved = await Promise.all(
    senders.map((sender) => services.identity.resolve({ accountId: account.accountId, contact: sender as Address })),
  );
  return new Map(resolved.map((contact) => [contact.address, contact]));
}

/** Whatever happens to one message, those behind it are opened. */
async function openOne(opening: Opening, due: DueMessage, contact: Contact | null): Promise<void> {
  await opening.services.gate.pass(due.size_bytes, async () => {
    const { services, account } = opening;
    const row = await findMessage(services.db, account.accountId, due.message_id);
    if (row === undefined) return;
    try {
      await openOrRefuse(opening, row, contact);
    } catch (error) {
      services.events.unexpected('opening a message', error);
      await postpone(opening, row, { state: row.state === 'held' ? 'held' : 'pending', reason: 'unexpected' });
    }
  });
}

async function openOrRefuse(opening: Opening, row: StoredMessage, contact: Contact | null): Promise<void> {
  const { services, account, own } = opening;
  const about = { accountId: account.accountId, contact: row.sender_address as Address };
  const isOwn = row.sender_address === account.address;
  // It was held for a fork, and a person has checked since what the server shows: now it is the message that is wrong.
  const settled = row.state === 'held' && row.reason === 'pin-forked' && contact?.sending === 'allowed';
  let contradicts = false;
  let unread: StoredMessage | null = row;
  // It is decrypted where the ciphertext stands. Of one that is gone meanwhile nothing will be shown.
  const take = async (): Promise<StoredMessage> => {
    const taken = unread ?? (await findMessage(services.db, account.accountId, row.message_id)) ?? row;
    unread = null;
    return taken;
  };
  const found = await openFrom(isOwn ? { kind: 'self', identity: own.identity } : { kind: 'other', contact }, {
    open: async (sender) => openWith(opening, await take(), sender),
    resolveFresh: () => services.identity.resolve({ ...about, fresh: true }),
    reportFork: async () => {
      contradicts = true;
      const evidence = { message_id: toHex(row.message_id) };
      if (!settled) await services.identity.reportFork({ ...about, evidence });
    },
  });
  if (settled && contradicts) await refuse(opening, row, 'sender-head');
  else if (found.kind === 'opened') await show(opening, row, found.message);
  else if (found.kind === 'held') await hold(opening, row, found.reason);
  else await refuse(opening, row, found.kind === 'replayed' ? null : found.reason);
}

function openWith(
  { services, account, own }: Opening,
  row: StoredMessage,
  sender: SenderIdentity | null,
): Promise<OpenedMessage> {
  const { accountId, keys } = account;
  const seen = (value: SeenValue): Promise<boolean> => isSeen(services.db, accountId, value, receivedId(row));
  return openMessage({
    me: account.address,
    envelope: storedEnvelope(row, account.address),
    messageSecret: (publicKey) => keys.messageSecret(Buffer.from(publicKey, 'hex')),
    sender,
    myHistory: own.history,
    firstSeen: Math.floor((row.first_seen_at ?? row.time_received).getTime() / 1000),
    inPlace: true,
    seen: {
      digest: (digest) => seen({ kind: 'digest', value: Buffer.from(digest, 'hex') }),
      uid: (from, uid) => seen({ kind: 'uid', value: seenUid(account, from, uid) }),
    },
  });
}

/** Copies that the owner made are one message with what they were made from: none is a replay of another (SMIMP 0.1 §4.4). */
const receivedId = (row: StoredMessage): Buffer => row.copy_of ?? row.message_id;

function seenUid({ keys }: MailAccount, from: Address, uid: Hex32): Buffer {
  return keys.blind('seen-uid', `${from} ${uid}`);
}

async function show({ services, account }: Opening, row: StoredMessage, opened: OpenedMessage): Promise<void> {
  const { accountId } = account;
  const { message_id: messageId } = row;
  const now = services.clock();
  const values: SeenValue[] = [
    { kind: 'digest', value: Buffer.from(opened.digest, 'hex') },
    { kind: 'uid', value: seenUid(account, opened.header.from, opened.header.uid) },
  ];
  const { outward = null } = services;
  const onward = outward?.serves(account.address) === true ? outward.take(account, opened) : null;
  const isKept = onward === null && isShown(opened.content);
  const trace = isKept ? await traceOf(services.db, account, { opened, row }) : null;
  const kept = isKept ? await contentToKeep(services, account, { ...opened, trace }, row.time_received) : null;
  const content = kept?.content ?? null;
  freeMemory(row.ciphertext);
  const about = { accountId, contact: row.sender_address as Address, now };
  const done = await services.db.transaction().execute(async (tx) => {
    const unopened = await lockUnopened(tx, accountId, messageId);
    if (unopened === undefined) return null;
    if (!(await rememberSeen(tx, accountId, receivedId(row), values, now))) {
      await deleteMessages(tx, accountId, [messageId], now);
      return null;
    }
    if (onward !== null) return handOn(tx, { accountId, messageId, onward, now });
    const seq =
      content === null ? await hide(tx, messageId) : await showIn(tx, { account, opened, row, content, unopened });
    return { seq, raised: await raiseAll(tx, about, cautionAlarms(opened, row)) };
  });
  if (done === null) return;
  const { seq, raised } = done;
  const original = kept?.original ?? 'none';
  if (seq !== null) services.events.messageOpened({ accountId, seq, cautions: opened.cautions.length, original });
  reportAlarms(services.events, accountId, { raised, ended: [] });
}

type Onward = { carry(tx: Tx): Promise<void>; kept: string | null };

/** It is nobody's to read here: what is left is that it was seen, and its way on. */
async function handOn(
  tx: Tx,
  { accountId, messageId, onward, now }: { accountId: number; messageId: Buffer; onward: Onward; now: Date },
): Promise<{ seq: null; raised: [] }> {
  if (onward.kept === null) await deleteMessages(tx, accountId, [messageId], now);
  else await setApart(tx, messageId, { state: 'quarantined', reason: onward.kept });
  await onward.carry(tx);
  return { seq: null, raised: [] };
}

/** Of a kind that people do not see. */
async function hide(tx: Tx, messageId: Buffer): Promise<null> {
  await setApart(tx, messageId, { state: 'hidden', reason: null });
  return null;
}

/** Its place in the folder. */
async function showIn(
  tx: Tx,
  shown: {
    account: MailAccount;
    opened: OpenedMessage;
    row: StoredMessage;
    content: Content;
    unopened: { seq: number; folder_id: number };
  },
): Promise<number> {
  const { account, opened, row, content, unopened } = shown;
  const { message_id: messageId } = row;
  await keepReference(tx, account, content.index, opened.header.uid);
  await insertContents(tx, [sealedContent(account, messageId, content)]);
  const { seq, folder_id: folderId } = unopened;
  const trust = await trustBits(tx, account, { opened, row });
  const thread = threadChoice(account, { messageId, index: content.index, body: opened.content });
  return (await showMessage(tx, account.accountId, { messageId, seq, folderId, trust, thread })).seq;
}

/** Dropped when it came before (no `reason`). Everything else is set apart, and the owner is told. */
async function refuse(
  { services, account }: Opening,
  row: StoredMessage,
  reason: ProfileErrorCode | null,
): Promise<void> {
  const { db, events, clock } = services;
  const { accountId } = account;
  const about = { accountId, contact: row.sender_address as Address, now: clock() };
  const done = await db.transaction().execute(async (tx) => {
    if ((await lockUnopened(tx, accountId, row.message_id)) === undefined) return null;
    if (reason === null) await deleteMessages(tx, accountId, [row.message_id], about.now);
    else await setApart(tx, row.message_id, { state: 'quarantined', reason });
    return reason === null ? [] : raiseAll(tx, about, [{ kind: 'message-invalid', cause: reason }]);
  });
  if (done === null || reason === null) return;
  events.messageQuarantined({ accountId, seq: row.seq, reason });
  reportAlarms(events, accountId, { raised: done, ended: [] });
}

async function hold(opening: Opening, row: StoredMessage, reason: string): Promise<void> {
  const { services, account } = opening;
  await postpone(opening, row, { state: 'held', reason });
  services.events.messageHeld({ accountId: account.accountId, seq: row.seq, reason });
}

async function postpone(
  { services, account }: Opening,
  row: StoredMessage,
  to: { state: 'held' | 'pending'; reason: string },
): Promise<void> {
  const now = services.clock();
  const { accountId } = account;
  await services.db.transaction().execute(async (tx) => {
    const unopened = await lockUnopened(tx, accountId, row.message_id);
    if (unopened === undefined) return;
    const delayMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(unopened.attempts, 20));
    const nextAttemptAt = new Date(now.getTime() + delayMs);
    await postponeMessage(tx, row.message_id, { ...to, attempts: unopened.attempts + 1, nextAttemptAt });
    const begins = to.reason === 'unavailable' && unopened.state === 'pending';
    // Told only when it lasts: that is decided by the time in the row, so there is nothing to report yet.
    if (begins) await raise(tx, { accountId, contact: row.sender_address as Address, now }, UNAVAILABLE);
  });
}

const UNAVAILABLE: Alarm = { kind: 'unavailable', cause: '' };
