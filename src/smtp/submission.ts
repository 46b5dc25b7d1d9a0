/**
 * Mail submission (RFC 6409): implicit TLS and STARTTLS listeners, logins only under TLS, one sender per account. A 250 at
 * the end of DATA means that the message is committed.
 */
import type { SMTPServerOptions } from 'smtp-server';
import type { Events } from '../events.ts';
import type { Keystore } from '../keystore/keystore.ts';
import { type LegacyPolicy, NO_LEGACY } from '../legacy/policy.ts';
import type { Accept } from '../pipeline/accept.ts';
import type { CheckRecipient } from '../pipeline/recipients.ts';
import { MAX_ERRORS, MAX_IDLE_COMMANDS, MAX_UNAUTHENTICATED_COMMANDS, RECEIVING_TIMES_LARGEST } from './limits.ts';
import { answerer, type CommonOptions, createDoor, type SmtpDoor, UNUSED_COMMANDS } from './listener.ts';
import { ReceivingRoom } from './receive.ts';
import { REPLIES } from './replies.ts';
import { type SessionOptions, Sessions } from './session.ts';

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

export type Submission = SmtpDoor;

export interface SubmissionOptions extends CommonOptions {
  limits: SubmissionLimits;
  keystore: Keystore;
  accept: Accept;
  checkRecipient: CheckRecipient;
  /** Whom a mailbox stands for; absent: it is an SMIMP address or nobody. */
  recipientOf?: LegacyPolicy['recipientOf'];
  /** Keeps a message among the sent ones; null or absent: mail programs do that themselves. */
  keepSent?: SessionOptions['keepSent'];
  clock: () => Date;
}

export function createSubmission(options: SubmissionOptions): Submission {
  const { limits } = options;
  return createDoor({
    ...options,
    patience: { errors: MAX_ERRORS + limits.recipients, commands: MAX_IDLE_COMMANDS + 2 * limits.recipients },
    settingsOf(dismiss) {
      const room = new ReceivingRoom(RECEIVING_TIMES_LARGEST * limits.messageBytes);
      return settingsOf(
        new Sessions({ recipientOf: NO_LEGACY.recipientOf, ...options, room, dismiss }),
        options.events,
      );
    },
  });
}

function settingsOf(sessions: Sessions, events: Events): SMTPServerOptions {
  const answer = answerer(events);
  return {
    authMethods: ['PLAIN', 'LOGIN'],
    authRequiredMessage: REPLIES.needsLogin().message,
    allowInsecureAuth: false,
    disabledCommands: [...UNUSED_COMMANDS],
    maxAllowedUnauthenticatedCommands: MAX_UNAUTHENTICATED_COMMANDS,
    onConnect: (session, callback) => answer(async () => sessions.connect(session), callback),
    onClose: (session) => sessions.close(session),
    onAuth: (auth, session, callback) => answer(async () => ({ user: await sessions.login(auth, session) }), callback),
    onMailFrom: ({ address }, session, callback) => answer(async () => sessions.sender(address, session), callback),
    onRcptTo: ({ address }, session, callback) => answer(() => sessions.recipient(address, session), callback),
    onData: (stream, session, callback) => answer(() => sessions.message(stream, session), callback),
  };
}
