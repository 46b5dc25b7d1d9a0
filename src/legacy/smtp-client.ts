/**
 * One message to one server of the old internet (RFC 5321), by nodemailer's connection. What its replies mean for the
 * message is decided here: a reply that begins with 5 ends it, one with 4 puts it off, and a connection that is lost once the
 * message was on its way may or may not have delivered it.
 */
import { Readable } from 'node:stream';
import type { NodemailerError } from 'nodemailer/lib/errors';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { Target } from '../remote/network.ts';
import { RelayError, type Said } from './relay-error.ts';

/** What is wanted of the encryption between the two servers. */
export type TlsWish =
  /** From the first byte, verified. Only a relay of one's own has it. */
  | 'implicit'
  /** STARTTLS, with a certificate that is valid for the name. */
  | 'verified'
  /** STARTTLS, whoever it is. */
  | 'encrypted'
  /** STARTTLS where it is offered. */
  | 'opportunistic'
  /** None. Only to a relay of one's own. */
  | 'none';

export interface Envelope {
  /** Null: the null reverse path, of reports (RFC 5321 §4.5.5). */
  readonly from: string | null;
  readonly to: string;
  /** CRLF lines. */
  readonly message: Buffer;
}

export interface SmtpServer {
  readonly name: string;
  readonly target: Target;
  readonly tls: TlsWish;
  /** PEM certificates of authorities that are trusted besides the usual ones. */
  readonly ca: readonly string[];
  readonly login: { readonly user: string; readonly password: string } | null;
}

export interface SmtpTimeouts {
  readonly connectMs: number;
  readonly greetingMs: number;
  readonly idleMs: number;
}

/** RFC 5321 §4.5.3.2 lets a server be silent for five minutes at most steps, and ten after the message. */
export const SMTP_TIMEOUTS: SmtpTimeouts = { connectMs: 30_000, greetingMs: 300_000, idleMs: 600_000 };
/** What of a reply is told to people. */
const MAX_SAID_CHARS = 500;
/** No honest reply is longer. */
const MAX_REPLY_BYTES = 64 * 1024;

/** What happened once the connection was there. `reached`: this server has answered for the domain; no other one is asked. */
export class SmtpFailure extends RelayError {
  readonly reached: boolean;

  constructor(code: RelayError['code'], details: { reached: boolean; said?: Said | null; cause?: unknown }) {
    super(code, details);
    this.reached = details.reached;
  }
}

export interface Sent {
  readonly encrypted: boolean;
  readonly verified: boolean;
}

/** Hands the message in. Throws SmtpFailure. */
export async function sendTo(
  server: SmtpServer,
  envelope: Envelope,
  by: { name: string; timeouts: SmtpTimeouts; signal: AbortSignal },
): Promise<Sent> {
  const connection = new SMTPConnection(connectionOptions(server, by));
  const abort = (): void => connection.close();
  by.signal.addEventListener('abort', abort, { once: true });
  try {
    await opened(connection, server);
    // The last reply is still that to EHLO.
    requireUtf8(connection, envelope);
    if (server.login !== null) await loggedIn(connection, server.login);
    await handIn(connection, envelope);
    connection.quit();
    return { encrypted: connection.secure, verified: connection.secure && isVerified(server.tls) };
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    by.signal.removeEventListener('abort', abort);
  }
}

const isVerified = (tls: TlsWish): boolean => tls === 'verified' || tls === 'implicit';

function connectionOptions(
  { name, target, tls, ca }: SmtpServer,
  by: { name: string; timeouts: SmtpTimeouts },
): SMTPConnection.Options {
  return {
    host: target.address,
    port: target.port,
    servername: name,
    name: by.name,
    secure: tls === 'implicit',
    ignoreTLS: tls === 'none',
    requireTLS: tls === 'verified' || tls === 'encrypted',
    opportunisticTLS: tls === 'opportunistic',
    allowInternalNetworkInterfaces: true,
    tls: { servername: name, rejectUnauthorized: isVerified(tls), ...(ca.length === 0 ? {} : { ca: [...ca] }) },
    connectionTimeout: by.timeouts.connectMs,
    greetingTimeout: by.timeouts.greetingMs,
    socketTimeout: by.timeouts.idleMs,
    maxResponseSize: MAX_REPLY_BYTES,
    logger: false,
  };
}

function opened(connection: SMTPConnection, { tls }: SmtpServer): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodemailerError): void => reject(connectFailure(error, tls));
    connection.once('error', fail);
    connection.connect((error) => {
      if (error) return fail(error);
      // Later errors come with the step that is under way; the listener stays, so that none is thrown at nobody.
      resolve();
    });
  });
}

/** Another server of the domain may do better. */
function connectFailure(error: NodemailerError, tls: TlsWish): SmtpFailure {
  const needsTls = tls !== 'opportunistic' && tls !== 'none';
  const refused = needsTls && (error.command === 'STARTTLS' || error.command === 'EHLO');
  const code = error.code === 'ETLS' || isHandshake(error) || refused ? 'smtp-tls' : 'smtp-connect';
  return new SmtpFailure(code, { reached: false, said: saidBy(error), cause: error });
}

/** An error of the socket that no system call gave: certificate, version, cipher. */
function isHandshake({ code, originalCode }: NodemailerError): boolean {
  if (code !== 'ESOCKET' || typeof originalCode !== 'string') return false;
  return originalCode === 'EPROTO' || !/^E[A-Z0-9]+$/.test(originalCode);
}

function loggedIn(connection: SMTPConnection, login: { user: string; password: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.login({ credentials: { user: login.user, pass: login.password } }, (error) => {
      if (error) reject(new SmtpFailure('smtp-login', { reached: true, cause: error }));
      else resolve();
    });
  });
}

/** An address outside ASCII can only be handed to a server that takes such addresses (RFC 6531 §3.1). */
function requireUtf8({ lastServerResponse }: SMTPConnection, { from, to }: Envelope): void {
  if (isAscii(to) && isAscii(from ?? '')) return;
  if (/^250[ -]SMTPUTF8\b/im.test(String(lastServerResponse))) return;
  throw new SmtpFailure('smtp-utf8', { reached: true });
}

const isAscii = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

function handIn(connection: SMTPConnection, { from, to, message }: Envelope): Promise<void> {
  let begun = false;
  const body = Readable.from(
    (function* pieces() {
      begun = true;
      yield message;
    })(),
    { objectMode: false },
  );
  const envelope = {
    from: from ?? false,
    to: [pathOf(to)],
    size: message.length,
    use8BitMime: message.some((byte) => byte > 0x7e),
  };
  return new Promise((resolve, reject) => {
    connection.once('error', (error: NodemailerError) => reject(sendFailure(error, begun)));
    connection.send(envelope as SMTPConnection.Envelope, body, (error) => {
      if (error) reject(sendFailure(error, begun));
      else resolve();
    });
  });
}

const DOT_ATOM = /^[^\s"(),:;<>@[\\\]]+$/;
const QUOTED = /^"(?:[^"\\]|\\.)*"$/;

/** A local part that is no plain word stands in quotes (RFC 5321 §4.1.2). */
export function pathOf(mailbox: string): string {
  const at = mailbox.lastIndexOf('@');
  const local = mailbox.slice(0, at);
  if (QUOTED.test(local) || (DOT_ATOM.test(local) && !/^\.|\.$|\.\./.test(local))) return mailbox;
  return `"${local.replace(/["\\]/g, '\\$&')}"${mailbox.slice(at)}`;
}

/** `begun`: the message was on its way. */
function sendFailure(error: NodemailerError, begun: boolean): SmtpFailure {
  const said = saidBy(error);
  const cause = error;
  if (said !== null) {
    const isFinal = said.status.startsWith('5');
    // Who puts off before the message came may have a neighbour that takes it (RFC 5321 §5.1).
    const reached = isFinal || begun;
    return new SmtpFailure(isFinal ? 'smtp-permanent' : 'smtp-temporary', { reached, said, cause });
  }
  if (error.code === 'EENVELOPE') return new SmtpFailure('bad-mailbox', { reached: true, cause });
  if (error.code === 'EMESSAGE') return new SmtpFailure('smtp-too-large', { reached: true, cause });
  return new SmtpFailure(begun ? 'smtp-lost' : 'smtp-connect', { reached: begun, cause });
}

const REPLY = /^([45])\d\d(?:[ -](?:([45]\.\d{1,3}\.\d{1,3})\s)?|$)/;

/** A reply that refuses: its enhanced code, or the general one of its class (RFC 3463 §3.1). */
function saidBy({ response }: NodemailerError): Said | null {
  const text = typeof response === 'string' ? response : '';
  const [, digit, enhanced] = REPLY.exec(text) ?? [];
  if (digit === undefined) return null;
  const status = enhanced?.startsWith(digit) === true ? enhanced : `${digit}.0.0`;
  const line = text.replace(/\r?\n\d{3}[ -]?(?:[45]\.\d{1,3}\.\d{1,3} )?/g, ' ').replace(/[^\x20-\x7e]+/g, ' ');
  return { status, text: line.slice(0, MAX_SAID_CHARS) };
}
