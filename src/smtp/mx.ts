/**
 * Mail from the old internet (RFC 5321): one listener without logins, STARTTLS offered, for the domains of the configuration
 * only. A 250 at the end of DATA means that the message is committed.
 */
import type { SMTPServerOptions } from 'smtp-server';
import type { Events } from '../events.ts';
import { MAX_IDLE_COMMANDS, MAX_MX_ERRORS, MAX_SESSION_MS, RECEIVING_TIMES_LARGEST } from './limits.ts';
import { answerer, type CommonOptions, createDoor, type SmtpDoor, UNUSED_COMMANDS } from './listener.ts';
import { type MxSessionOptions, MxSessions } from './mx-session.ts';
import { ReceivingRoom } from './receive.ts';

export interface MxOptions extends CommonOptions, Omit<MxSessionOptions, 'room' | 'dismiss' | 'sessionMs' | 'limits'> {
  limits: CommonOptions['limits'] & MxSessionOptions['limits'];
  /** How long a connection may last. */
  sessionMs?: number;
}

export function createMx(options: MxOptions): SmtpDoor {
  const { limits, sessionMs = MAX_SESSION_MS } = options;
  return createDoor({
    ...options,
    patience: { errors: MAX_MX_ERRORS, commands: MAX_IDLE_COMMANDS + 2 * limits.recipients },
    settingsOf(dismiss) {
      const room = new ReceivingRoom(RECEIVING_TIMES_LARGEST * limits.messageBytes);
      return settingsOf(new MxSessions({ ...options, room, dismiss, sessionMs }), options.events);
    },
  });
}

function settingsOf(sessions: MxSessions, events: Events): SMTPServerOptions {
  const answer = answerer(events);
  return {
    authOptional: true,
    disabledCommands: [...UNUSED_COMMANDS, 'AUTH'],
    onConnect: (session, callback) => answer(async () => sessions.connect(session), callback),
    onClose: (session) => sessions.close(session),
    onMailFrom: (_sender, session, callback) => answer(async () => sessions.sender(session), callback),
    onRcptTo: ({ address }, session, callback) => answer(() => sessions.recipient(address, session), callback),
    onData: (stream, session, callback) => answer(() => sessions.message(stream, session), callback),
  };
}
