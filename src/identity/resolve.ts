/**
 * Who a contact is, to one account (SMIMP 0.1 §3): discovery, history, verification, pin. Everything that sends to somebody
 * or opens mail from somebody asks here.
 */
import type { Events } from '../events.ts';
import type { Keystore } from '../keystore/keystore.ts';
import type { HomeClient } from '../remote/home.ts';
import type { Discovery } from '../remote/look-up.ts';
import type { Address } from '../smimp/address.ts';
import type { VerifiedHistory } from '../smimp/chain.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { historyIdentity } from '../smimp/pin.ts';
import type { Db } from '../store/database.ts';
import { findMirrorBase } from '../store/mirrors.ts';
import { type Alarm, raise } from './alarms.ts';
import type { Contact, ContactHistory } from './contact.ts';
import { type Examined, examine } from './examine.ts';
import { type Glance, glance } from './glance.ts';
import { createHistories } from './histories.ts';
import { confirmHead, lookAt } from './look.ts';
import { checkOwnHistory } from './own-check.ts';
import { readOwnHistory } from './own-history.ts';
import { keepFork } from './pins.ts';
import { storedPins } from './stored-pins.ts';
import { createTrust, type Trust } from './trust.ts';
import { withinTime } from './within-time.ts';

export type { Contact, ContactHistory } from './contact.ts';
export { IdentityError } from './contact.ts';

type About = { accountId: number; contact: Address };
/** `toSend`: whoever asks is about to send, and will be told by a notice if that is held. */
type Ask = About & { fresh?: boolean; toSend?: boolean };

export type Lookup = {
  /** `known`: mail can go. `queued`: nobody can say now. */
  readonly status: 'known' | 'blocked' | 'queued' | 'unknown-user' | 'no-smimp';
  readonly contact: Contact | null;
};

export interface Identity extends Trust {
  /** `fresh`: not from an answer that was given before. Throws nothing for what a server does. */
  resolve(ask: Ask): Promise<Contact>;
  /**
   * The contact, if `head` (of `get_message_key`) is that of its verified history, fetched again if need be; otherwise
   * blocked with `head-mismatch`. A message key may be used only when sending is allowed here.
   */
  confirmHead(about: About & { head: Hex32 }): Promise<Contact>;
  /** For RCPT: an answer within `timeoutMs`, else `queued`. */
  lookup(about: About & { timeoutMs: number }): Promise<Lookup>;
  /** The same for whoever has no account to pin with. */
  glance(about: { contact: Address; timeoutMs: number }): Promise<Glance>;
  /** A message signed by the contact shows a head that its server hides: FORKED until a fingerprint releases it. */
  reportFork(about: About & { evidence: object }): Promise<void>;
  /** Asks the account's own server what it shows of it; another history than the own copy is an alarm. */
  checkOwnHistory(accountId: number): Promise<void>;
  /** What the server of `contact` shows, compared with what this account pinned, or with nothing. Keeps nothing. */
  examine(about: { accountId: number | null; contact: Address }): Promise<Examined>;
  /** The account's own history, from its own copy. Throws IdentityError `no-history`. */
  ownHistory(accountId: number): Promise<VerifiedHistory>;
}

export function createIdentity(options: {
  db: Db;
  discovery: Discovery;
  home: HomeClient;
  keystore: Keystore;
  events: Events;
  clock: () => Date;
  /** Of the server of the accounts that live here; mail to oneself goes there. */
  baseUrl: BaseUrl;
}): Identity {
  const { db, keystore, events, clock, baseUrl } = options;
  const histories = createHistories(options);

  const report = (accountId: number, { state, keyChanged }: Contact, changed: boolean): void => {
    const worthTelling = keyChanged || (state !== 'NEW' && state !== 'OK');
    if (changed && worthTelling) events.pinChanged({ accountId, state });
  };

  /** What no pin keeps is raised here. */
  const alarm = async ({ accountId, contact }: About, found: Alarm, toSend: boolean): Promise<void> => {
    const about = { accountId, contact, now: clock() };
    const told = await db.transaction().execute((tx) => raise(tx, about, found, toSend));
    if (told) events.alarmRaised({ accountId, kind: found.kind });
  };

  const resolveOther = async (ask: Required<Ask>): Promise<Contact> => {
    const { accountId, contact, fresh, toSend } = ask;
    const book = storedPins({ db, events, accountId, toSend });
    const look = await lookAt({ book, histories, clock }, { contact, fresh });
    report(accountId, look.contact, look.changed);
    if (look.contact.state === 'INVALID' && (await book.find(contact)) === null) {
      await alarm(ask, { kind: 'identity-invalid', cause: look.contact.reason ?? '' }, toSend);
    }
    return look.contact;
  };

  /** An account keeps its address for life. */
  const addresses = new Map<number, Address>();
  const addressOf = async (accountId: number): Promise<Address> => {
    const known = addresses.get(accountId);
    if (known !== undefined) return known;
    const { address } = await keystore.open(accountId);
    addresses.set(accountId, address);
    return address;
  };

  const resolve: Identity['resolve'] = async ({ accountId, contact, fresh = false, toSend = false }) => {
    if (contact !== (await addressOf(accountId))) return resolveOther({ accountId, contact, fresh, toSend });
    const elsewhere = (await findMirrorBase(db, accountId)) as BaseUrl | null;
    return ownContact(contact, await ownIdentity(accountId), elsewhere ?? baseUrl);
  };

  const ownIdentity = async (accountId: number): Promise<ContactHistory> => {
    const { history, addedAt } = await readOwnHistory(db, await keystore.open(accountId));
    const { currentKey, head, seq } = history;
    return { ...historyIdentity(history, addedAt), currentKey, head, seq };
  };

  return {
    resolve,
    async confirmHead({ accountId, contact, head }) {
      const about = { accountId, contact };
      const found = await confirmHead((fresh) => resolve({ ...about, fresh, toSend: true }), { contact, head });
      if (found.reason !== 'head-mismatch') return found;
      events.pinChanged({ accountId, state: found.state });
      await alarm(about, { kind: 'head-mismatch', cause: '' }, true);
      return found;
    },
    lookup: async ({ timeoutMs, ...about }) =>
      lookupOf(await withinTime(resolve({ ...about, toSend: true }), timeoutMs)),
    glance: (about) => glance(histories, { ...about, now: clock() }),
    async reportFork({ accountId, contact, evidence }) {
      const book = storedPins({ db, events, accountId });
      const kept = await keepFork(book, { address: contact, evidence, now: clock() });
      if (kept) events.pinChanged({ accountId, state: 'FORKED' });
    },
    checkOwnHistory: (accountId) => checkOwnHistory({ db, keystore, histories, events, clock }, accountId),
    async examine({ accountId, contact }) {
      const pinned = accountId === null ? null : await storedPins({ db, events, accountId }).find(contact);
      return examine(histories, { address: contact, pinned, now: clock() });
    },
    async ownHistory(accountId) {
      return (await readOwnHistory(db, { accountId, address: await addressOf(accountId) })).history;
    },
    ...createTrust({ db, histories, events, clock }),
  };
}

function ownContact(address: Address, history: ContactHistory, baseUrl: BaseUrl): Contact {
  return { address, state: 'OK', sending: 'allowed', history, baseUrl, keyChanged: false, reason: null };
}

function lookupOf(contact: Contact | null): Lookup {
  if (contact === null) return { status: 'queued', contact };
  if (contact.sending === 'allowed') return { status: 'known', contact };
  if (contact.sending !== 'impossible') return { status: contact.sending, contact };
  return { status: contact.reason === 'no-smimp' ? 'no-smimp' : 'unknown-user', contact };
}
