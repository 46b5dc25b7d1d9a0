/**
 * Mail submission (RFC 6409): implicit TLS and STARTTLS listeners, logins only under TLS, one sender per account. A 250 at
 * the end of DATA means that the message is committed.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { SMTPServerOptions } from 'smtp-server';
import type { Events } from '../events.ts';
import type { Keystore } from '../keystore/keystore.ts';
import { type LegacyPolicy, NO_LEGACY } from '../legacy/policy.ts';
import type { Accept } from '../pipeline/accept.ts';
import type { CheckRecipient } from '../pipeline/recipients.ts';
import { PatientServer } from './connection.ts';
import {
  CLOSE_TIMEOUT_MS,
  IDLE_TIMEOUT_MS,
  MAX_COMMAND_BYTES,
  MAX_ERRORS,
  MAX_IDLE_COMMANDS,
  MAX_UNAUTHENTICATED_COMMANDS,
  RECEIVING_TIMES_LARGEST,
} from './limits.ts';
import { ReceivingRoom } from './receive.ts';
import { REPLIES, SmtpReply } from './replies.ts';
import { Sessions } from './session.ts';

export interface SubmissionLimits {
  /**
   * The largest message as the mail program sends it, announced as SIZE. 33 MiB of MIME carry attachments of 24 MiB, because
   * base64 makes three bytes into four and a line end after every 76; so what the sender sees stays within the 25 MiB that
   * SMIMP servers take (SMIMP 0.1 §5).
   */
  messageBytes: number;
  recipients: number;
  connections: number;
  connectionsPerAddress: number;
  connectionsPerAccount: number;
}

export interface Submission extends AsyncDisposable {
  /** Opens a listener; port 0 takes a free one. `implicitTls`: TLS from the first byte, else STARTTLS. */
  listen(door: { host: string; port: number; implicitTls: boolean }): Promise<{ port: number }>;
  /** For new connections. */
  setTls(tls: { cert: string; key: string }): void;
}

export interface SubmissionOptions {
  /** How the server calls itself. */
  name: string;
  tls: { cert: string; key: string };
  limits: SubmissionLimits;
  keystore: Keystore;
  accept: Accept;
  checkRecipient: CheckRecipient;
  /** Whom a mailbox stands for; absent: it is an SMIMP address or nobody. */
  recipientOf?: LegacyPolicy['recipientOf'];
  events: Events;
  clock: () => Date;
  /** How long a client may be silent. */
  idleTimeoutMs?: number;
  /** How long what is under way may take when the program ends. */
  closeTimeoutMs?: number;
}

export function createSubmission(options: SubmissionOptions): Submission {
  const servers: PatientServer[] = [];
  let { tls } = options;
  const sessions = new Sessions({
    recipientOf: NO_LEGACY.recipientOf,
    ...options,
    room: new ReceivingRoom(RECEIVING_TIMES_LARGEST * options.limits.messageBytes),
    dismiss: (id, code, text) => {
      for (const server of servers) server.dismiss(id, code, text);
    },
  });
  return {
    async listen({ host, port, implicitTls }) {
      const settings = { ...serverOptions(options, sessions), ...tls, secure: implicitTls };
      const server = new PatientServer(settings, patience(options.limits));
      server.on('error', (error: Error) => options.events.protocolError({ protocol: 'smtp', code: codeOf(error) }));
      await once(server.listen(port, host), 'listening');
      servers.push(server);
      const bound = (server.server.address() as AddressInfo).port;
      return { port: bound };
    },
    setTls(renewed) {
      tls = renewed;
      for (const server of servers) server.updateSecureContext(renewed);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(servers.map((server) => server.end()));
    },
  };
}

function patience(limits: SubmissionLimits): { errors: number; commands: number } {
  return { errors: MAX_ERRORS + limits.recipients, commands: MAX_IDLE_COMMANDS + 2 * limits.recipients };
}

function serverOptions(options: SubmissionOptions, sessions: Sessions): SMTPServerOptions {
  const { limits, events } = options;
  const answer = answerer(events);
  return {
    name: options.name,
    banner: 'smimp-bridge',
    minVersion: 'TLSv1.2',
    logger: false,
    size: limits.messageBytes,
    rejectOversized: true,
    maxRecipients: limits.recipients,
    maxClients: limits.connections,
    authMethods: ['PLAIN', 'LOGIN'],
    authRequiredMessage: REPLIES.needsLogin().message,
    allowInsecureAuth: false,
    disableReverseLookup: true,
    disabledCommands: ['WIZ', 'SHELL', 'KILL', 'XCLIENT', 'XFORWARD', 'HELP'],
    hideENHANCEDSTATUSCODES: false,
    hideDSN: true,
    hideREQUIRETLS: true,
    maxAllowedUnauthenticatedCommands: MAX_UNAUTHENTICATED_COMMANDS,
    maxCommandLength: MAX_COMMAND_BYTES,
    socketTimeout: options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
    closeTimeout: options.closeTimeoutMs ?? CLOSE_TIMEOUT_MS,
    onConnect: (session, callback) => answer(async () => sessions.connect(session), callback),
    onClose: (session) => sessions.close(session),
    onAuth: (auth, session, callback) => answer(async () => ({ user: await sessions.login(auth, session) }), callback),
    onMailFrom: ({ address }, session, callback) => answer(async () => sessions.sender(address, session), callback),
    onRcptTo: ({ address }, session, callback) => answer(() => sessions.recipient(address, session), callback),
    onData: (stream, session, callback) => answer(() => sessions.message(stream, session), callback),
  };
}

/** Runs one step and calls back with its result, or with the reply to its error. */
function answerer(events: Events) {
  return function answer<T>(step: () => Promise<T>, callback: (error: Error | null, result?: T) => void): void {
    step().then(
      (result) => callback(null, result),
      (error: unknown) => {
        if (!(error instanceof SmtpReply)) events.unexpected('smtp', error);
        callback(error instanceof SmtpReply ? error : REPLIES.unexpected());
      },
    );
  };
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
}
