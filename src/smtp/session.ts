/** What happens at each command of a submission session: login, sender, recipients, message. */
import type { SMTPServerAuthentication, SMTPServerDataStream, SMTPServerSession } from 'smtp-server';
import type { Events } from '../events.ts';
import { type Keystore, KeystoreError } from '../keystore/keystore.ts';
import type { LegacyPolicy } from '../legacy/policy.ts';
import type { Accept } from '../pipeline/accept.ts';
import type { CheckRecipient } from '../pipeline/recipients.ts';
import { type Address, toMailbox } from '../smimp/address.ts';
import { MAX_LOGIN_FAILURES, MAX_LOOKUP_MS, OVERSIZE_TIMES_LIMIT, RECIPIENT_LOOKUP_MS } from './limits.ts';
import { count, type Dismiss } from './listener.ts';
import { addressOf, isFromOwn, userAddress } from './own-address.ts';
import { type Received, type ReceivingRoom, receive } from './receive.ts';
import { REPLIES, recipientReply, replyOf } from './replies.ts';

/** Whoever has logged in. */
export interface User {
  accountId: number;
  address: Address;
}

/** What is remembered of a connection. */
interface Visit {
  user: User | null;
  loginFailures: number;
  /** Of the message at hand. */
  lookupLeftMs: number;
  /** Of the message at hand: whom each mailbox stands for. */
  readonly recipients: Map<string, Address>;
  readonly ended: AbortController;
}

export interface SessionOptions {
  keystore: Keystore;
  accept: Accept;
  checkRecipient: CheckRecipient;
  recipientOf: LegacyPolicy['recipientOf'];
  /** Keeps a message among the sent ones; null or absent: mail programs do that themselves. */
  keepSent?: ((sent: { accountId: number; raw: Buffer; release: () => void }) => Promise<void>) | null;
  limits: { messageBytes: number; connectionsPerAddress: number; connectionsPerAccount: number };
  room: ReceivingRoom;
  events: Events;
  clock: () => Date;
  dismiss: Dismiss;
}

export class Sessions {
  readonly #options: SessionOptions;
  readonly #visits = new Map<string, Visit>();
  readonly #byAddress = new Map<string, number>();
  readonly #byAccount = new Map<number, number>();

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  connect(session: SMTPServerSession): void {
    const { limits, events } = this.#options;
    const here = count(this.#byAddress, session.remoteAddress, 1);
    this.#visits.set(session.id, {
      user: null,
      loginFailures: 0,
      lookupLeftMs: MAX_LOOKUP_MS,
      recipients: new Map(),
      ended: new AbortController(),
    });
    events.connectionOpened({ protocol: 'smtp' });
    if (here <= limits.connectionsPerAddress) return;
    events.connectionLimited({ protocol: 'smtp', reason: 'address' });
    throw REPLIES.tooManyConnections();
  }

  close(session: SMTPServerSession): void {
    const visit = this.#visits.get(session.id);
    if (visit === undefined) return;
    this.#visits.delete(session.id);
    this.#options.events.connectionClosed({ protocol: 'smtp' });
    visit.ended.abort();
    count(this.#byAddress, session.remoteAddress, -1);
    if (visit.user !== null) count(this.#byAccount, visit.user.accountId, -1);
  }

  async login(auth: SMTPServerAuthentication, session: SMTPServerSession): Promise<User> {
    const { keystore, events, clock, limits } = this.#options;
    const visit = this.#visit(session);
    const { username, password, authzid } = auth;
    if (username == null || password == null) throw REPLIES.wrongLogin();
    const result = await keystore
      .verifyPassword({ address: userAddress(username), password, source: session.remoteAddress, now: clock() })
      .catch(busyReply);
    const actsForOther = authzid !== undefined && authzid !== '' && userAddress(authzid) !== userAddress(username);
    if (!result.ok || actsForOther) {
      events.loginFailed({ protocol: 'smtp', failures: result.ok ? 0 : result.failures });
      return this.#refuseLogin(visit, result.ok ? 0 : result.delayMs);
    }
    const user = { accountId: result.accountId, address: result.address };
    if (count(this.#byAccount, user.accountId, 1) > limits.connectionsPerAccount) {
      count(this.#byAccount, user.accountId, -1);
      events.connectionLimited({ protocol: 'smtp', reason: 'account' });
      throw REPLIES.tooManySessions();
    }
    visit.user = user;
    events.loginSucceeded({ protocol: 'smtp', accountId: user.accountId });
    return user;
  }

  async #refuseLogin(visit: Visit, delayMs: number): Promise<never> {
    visit.loginFailures += 1;
    await pause(delayMs, visit.ended.signal);
    throw visit.loginFailures >= MAX_LOGIN_FAILURES ? REPLIES.tooManyLogins() : REPLIES.wrongLogin();
  }

  sender(mailbox: string, session: SMTPServerSession): void {
    const visit = this.#visit(session);
    const { address } = this.#user(session);
    visit.lookupLeftMs = MAX_LOOKUP_MS;
    visit.recipients.clear();
    if (addressOf(mailbox) !== address) throw REPLIES.foreignSender(toMailbox(address));
  }

  async recipient(mailbox: string, session: SMTPServerSession): Promise<void> {
    const { checkRecipient, recipientOf, events } = this.#options;
    const visit = this.#visit(session);
    const { accountId } = this.#user(session);
    const native = addressOf(mailbox);
    const recipient = await withinLimits(visit, (timeoutMs) => recipientOf({ mailbox, native, timeoutMs }));
    if (recipient === null) {
      events.recipientRefused({ code: 'not-an-address' });
      throw REPLIES.notAnAddress(mailbox);
    }
    const reason = await withinLimits(visit, (timeoutMs) => checkRecipient({ accountId, recipient, timeoutMs }));
    if (reason === null) {
      visit.recipients.set(mailbox, recipient);
      return;
    }
    events.recipientRefused({ code: reason });
    throw recipientReply(reason, recipient === native ? toMailbox(recipient) : mailbox);
  }

  /** Resolves with the text of the 250 once the message is committed. */
  async message(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<string> {
    const { limits, room, dismiss, events } = this.#options;
    const user = this.#user(session);
    const limitBytes = limits.messageBytes;
    const tooLarge = REPLIES.tooLarge(limitBytes);
    const received = await receive(stream, {
      limitBytes,
      endlessBytes: OVERSIZE_TIMES_LIMIT * limitBytes,
      room,
      onEndless: () => dismiss(session.id, tooLarge.responseCode, tooLarge.message),
    });
    try {
      return await this.#accept(received, user, session);
    } catch (error) {
      const reply = replyOf(error, limitBytes);
      if (reply !== error && reply.responseCode === 451) events.unexpected('smtp data', error);
      throw reply;
    } finally {
      received.release();
    }
  }

  async #accept({ bytes: raw, release }: Received, user: User, session: SMTPServerSession): Promise<string> {
    const { accept, keepSent = null, events, clock } = this.#options;
    if (!isFromOwn(raw, user.address)) throw REPLIES.foreignFrom(toMailbox(user.address));
    const taken = this.#visit(session).recipients;
    const recipients = session.envelope.rcptTo
      .map(({ address }) => taken.get(address))
      .filter((one) => one !== undefined);
    const { accountId } = user;
    // It is accepted by then: whatever happens, it must not be sent again.
    const keep = (keepsSent: NonNullable<typeof keepSent>): Promise<void> =>
      keepsSent({ accountId, raw, release }).catch((error: unknown) => events.unexpected('keeping sent mail', error));
    const { submissionId } = await accept({
      accountId,
      from: user.address,
      recipients: [...new Set(recipients)],
      raw,
      ...(keepSent === null ? { release } : { afterwards: () => keep(keepSent) }),
      now: clock(),
    });
    return `Queued as ${submissionId}`;
  }

  #visit(session: SMTPServerSession): Visit {
    const visit = this.#visits.get(session.id);
    if (visit === undefined) throw REPLIES.unexpected();
    return visit;
  }

  #user(session: SMTPServerSession): User {
    const { user } = this.#visit(session);
    if (user === null) throw session.secure ? REPLIES.needsLogin() : REPLIES.needsTls();
    return user;
  }
}

/** One look-up, within what is left for the message. */
async function withinLimits<T>(visit: Visit, look: (timeoutMs: number) => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const result = await look(Math.max(0, Math.min(RECIPIENT_LOOKUP_MS, visit.lookupLeftMs)));
  visit.lookupLeftMs -= performance.now() - startedMs;
  return result;
}

function busyReply(error: unknown): never {
  if (error instanceof KeystoreError && error.code === 'busy') throw REPLIES.loginBusy();
  throw error;
}

function pause(delayMs: number, ended: AbortSignal): Promise<void> {
  if (delayMs === 0 || ended.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, delayMs);
    ended.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
