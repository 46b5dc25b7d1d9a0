/** What happens at each command of a server of the old internet that brings mail: sender, recipients, message. */
import type { SMTPServerDataStream, SMTPServerSession } from 'smtp-server';
import type { Events } from '../events.ts';
import type { Glance } from '../identity/glance.ts';
import { type Authenticate, verdictOn } from '../legacy/authentication.ts';
import { LegacyError } from '../legacy/identities.ts';
import type { GatewayData } from '../mime/gateway-data.ts';
import type { AcceptLegacy } from '../pipeline/accept-legacy.ts';
import type { Address, Domain } from '../smimp/address.ts';
import { toMailbox } from '../smimp/address.ts';
import { mailboxDomain } from '../smimp/gateway.ts';
import { MAX_LOOKUP_MS, MAX_MESSAGES, OVERSIZE_TIMES_LIMIT, RECIPIENT_LOOKUP_MS } from './limits.ts';
import { count, type Dismiss } from './listener.ts';
import { authorOf, receivedField, reversePathOf } from './mx-message.ts';
import { MX_REPLIES, mxReplyOf } from './mx-replies.ts';
import { addressOf } from './own-address.ts';
import { type Received, type ReceivingRoom, receive } from './receive.ts';
import { REPLIES, type SmtpReply } from './replies.ts';

/** What is remembered of a connection. */
interface Visit {
  messages: number;
  /** Of the message at hand. */
  lookupLeftMs: number;
  readonly end: NodeJS.Timeout;
}

export interface MxSessionOptions {
  /** How the gateway calls itself. */
  name: string;
  gateway: { domain: Domain; recipients: readonly string[]; dmarc: 'enforce' | 'mark' };
  acceptLegacy: AcceptLegacy;
  authenticate: Authenticate;
  glance: (about: { contact: Address; timeoutMs: number }) => Promise<Glance>;
  limits: { messageBytes: number; connectionsPerAddress: number };
  room: ReceivingRoom;
  /** How long a connection may last. */
  sessionMs: number;
  events: Events;
  clock: () => Date;
  dismiss: Dismiss;
}

const REFUSED_RECIPIENT: Readonly<Record<Exclude<Glance, 'known'>, (mailbox: string) => SmtpReply>> = {
  'unknown-user': MX_REPLIES.unknownUser,
  queued: MX_REPLIES.unreachable,
  'no-smimp': MX_REPLIES.noSmimp,
  invalid: MX_REPLIES.doesNotVerify,
};

export class MxSessions {
  readonly #options: MxSessionOptions;
  readonly #visits = new Map<string, Visit>();
  readonly #byAddress = new Map<string, number>();

  constructor(options: MxSessionOptions) {
    this.#options = options;
  }

  connect(session: SMTPServerSession): void {
    const { limits, events, dismiss, sessionMs } = this.#options;
    const here = count(this.#byAddress, session.remoteAddress, 1);
    const { responseCode, message } = MX_REPLIES.tooLong();
    const end = setTimeout(() => dismiss(session.id, responseCode, message), sessionMs);
    this.#visits.set(session.id, { messages: 0, lookupLeftMs: MAX_LOOKUP_MS, end });
    events.connectionOpened({ protocol: 'mx' });
    if (here <= limits.connectionsPerAddress) return;
    events.connectionLimited({ protocol: 'mx', reason: 'address' });
    throw REPLIES.tooManyConnections();
  }

  close(session: SMTPServerSession): void {
    const visit = this.#visits.get(session.id);
    if (visit === undefined) return;
    clearTimeout(visit.end);
    this.#visits.delete(session.id);
    this.#options.events.connectionClosed({ protocol: 'mx' });
    count(this.#byAddress, session.remoteAddress, -1);
  }

  /** Any sender, also none. */
  sender(session: SMTPServerSession): void {
    const visit = this.#visit(session);
    visit.lookupLeftMs = MAX_LOOKUP_MS;
    visit.messages += 1;
    if (visit.messages <= MAX_MESSAGES) return;
    this.#options.events.connectionLimited({ protocol: 'mx', reason: 'messages' });
    throw MX_REPLIES.tooManyMessages();
  }

  async recipient(typed: string, session: SMTPServerSession): Promise<void> {
    const mailbox = this.#whole(typed);
    const recipient = this.#recipientOf(mailbox);
    if (recipient === null) throw this.#refused('unknown-user', MX_REPLIES.unknownUser(mailbox));
    const visit = this.#visit(session);
    const startedMs = performance.now();
    const timeoutMs = Math.max(0, Math.min(RECIPIENT_LOOKUP_MS, visit.lookupLeftMs));
    const found = await this.#options.glance({ contact: recipient, timeoutMs });
    visit.lookupLeftMs -= performance.now() - startedMs;
    if (found !== 'known') throw this.#refused(found, REFUSED_RECIPIENT[found](toMailbox(recipient)));
  }

  /** `<postmaster>` without a domain is that of the first one (RFC 5321 §4.5.1). */
  #whole(typed: string): string {
    return typed.includes('@') ? typed : `${typed}@${this.#options.gateway.recipients[0] ?? ''}`;
  }

  /** Null: no such user. Throws SmtpReply: not for a domain of ours, whatever the local part asks for. */
  #recipientOf(mailbox: string): Address | null {
    const { recipients } = this.#options.gateway;
    const domain = addressOf(`x${mailbox.slice(mailbox.lastIndexOf('@'))}`)?.slice(2);
    if (domain === undefined || !recipients.includes(domain))
      throw this.#refused('relay-denied', MX_REPLIES.relayDenied());
    return addressOf(mailbox);
  }

  #refused(code: string, reply: SmtpReply): SmtpReply {
    this.#options.events.recipientRefused({ code });
    return reply;
  }

  /** Resolves with the text of the 250 once the message is committed. */
  async message(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<string> {
    const { limits, room, dismiss, events, name, clock } = this.#options;
    const limitBytes = limits.messageBytes;
    const tooLarge = REPLIES.tooLarge(limitBytes);
    const hop = { client: clientOf(session), gateway: name, protocol: session.transmissionType };
    const trace = receivedField({ ...hop, id: session.id, now: clock() });
    const received = await receive(stream, {
      limitBytes,
      endlessBytes: OVERSIZE_TIMES_LIMIT * limitBytes,
      room,
      onEndless: () => dismiss(session.id, tooLarge.responseCode, tooLarge.message),
      prefix: trace,
    });
    try {
      return await this.#accept(received, trace.length, session);
    } catch (error) {
      const reply = mxReplyOf(error, limitBytes);
      if (error instanceof LegacyError) throw this.#refusedMail(error.code, reply);
      if (reply !== error && reply.responseCode === 451) events.unexpected('mx data', error);
      throw reply;
    } finally {
      received.release();
    }
  }

  async #accept({ bytes: raw, release }: Received, traceBytes: number, session: SMTPServerSession): Promise<string> {
    const { acceptLegacy, authenticate, clock, events, gateway } = this.#options;
    const message = raw.subarray(traceBytes);
    const mailbox = authorOf(message, gateway.domain);
    const { mailFrom, rcptTo } = session.envelope;
    const returnPath = reversePathOf(mailFrom);
    const checks = await authenticate({ message, from: mailbox, returnPath, client: clientOf(session) });
    this.#judge(mailbox, checks);
    const recipients = rcptTo.map(({ address }) => addressOf(this.#whole(address))).filter((one) => one !== null);
    const { submissionId } = await acceptLegacy({
      ...{ mailbox, client: session.remoteAddress, returnPath, raw, traceBytes, release, checks },
      recipients: [...new Set(recipients)],
      now: clock(),
    });
    events.legacyMailAccepted({ submissionId, dmarc: checks.dmarc.result, authenticated: checks.authenticated });
    return `Queued as ${submissionId}`;
  }

  /** Throws SmtpReply for mail that its author's domain does not stand for where it says it does. */
  #judge(mailbox: string, checks: GatewayData): void {
    const { domain, recipients, dmarc } = this.#options.gateway;
    const from = mailboxDomain(mailbox);
    if (from === domain) throw this.#refusedMail('gateway-author', MX_REPLIES.gatewayAuthor());
    const verdict = verdictOn(checks, dmarc);
    if (verdict === 'later') throw this.#refusedMail('dns', MX_REPLIES.dnsFails());
    if (verdict === 'refuse') throw this.#refusedMail('dmarc', MX_REPLIES.failsDmarc());
    // People of these domains write by SMIMP. What else comes in their name is from a mailing list, or forged.
    if (recipients.includes(from) && !checks.authenticated)
      throw this.#refusedMail('forged-author', MX_REPLIES.forgedAuthor());
  }

  #refusedMail(code: string, reply: SmtpReply): SmtpReply {
    this.#options.events.legacyMailRefused({ code });
    return reply;
  }

  #visit(session: SMTPServerSession): Visit {
    const visit = this.#visits.get(session.id);
    if (visit === undefined) throw REPLIES.unexpected();
    return visit;
  }
}

function clientOf({ remoteAddress, hostNameAppearsAs }: SMTPServerSession): { address: string; name: string } {
  return { address: remoteAddress, name: hostNameAppearsAs || 'unknown' };
}
