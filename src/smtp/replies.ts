/**
 * What a mail program is answered: basic code, enhanced code (RFC 3463), a sentence. The one place where errors of the
 * inside become replies; what is not foreseen is "try again later", never a lost message.
 */
import { KeystoreError } from '../keystore/keystore.ts';
import { MimeError } from '../mime/parse.ts';
import { AcceptError } from '../pipeline/accept.ts';
import { explain, type Reason } from '../pipeline/reasons.ts';

/** An error that smtp-server turns into a reply. `message` is `ENHANCED-CODE SENTENCE`, on one line. */
export class SmtpReply extends Error {
  override readonly name = 'SmtpReply';
  readonly responseCode: number;

  constructor(responseCode: number, enhanced: string, sentence: string) {
    super(`${enhanced} ${sentence}`);
    this.responseCode = responseCode;
  }
}

/** Whether the text of a reply brings its enhanced code. */
export function hasEnhancedCode(text: string): boolean {
  return /^[245]\.\d{1,3}\.\d{1,3} /.test(text);
}

export const REPLIES = {
  tooManyConnections: () => new SmtpReply(421, '4.7.0', 'Too many connections from your address, try again later'),
  tooManySessions: () => new SmtpReply(421, '4.7.0', 'Too many connections of this account, try again later'),
  needsTls: () => new SmtpReply(530, '5.7.0', 'Must issue a STARTTLS command first'),
  needsLogin: () => new SmtpReply(530, '5.7.0', 'Authentication required'),
  wrongLogin: () => new SmtpReply(535, '5.7.8', 'User name or password is wrong'),
  tooManyLogins: () => new SmtpReply(421, '4.7.0', 'Too many failed logins, try again later'),
  loginBusy: () => new SmtpReply(454, '4.7.0', 'Too many logins at the moment, try again later'),
  foreignSender: (own: string) => new SmtpReply(553, '5.7.1', `You may send as ${own} only, not under another address`),
  foreignFrom: (own: string) =>
    new SmtpReply(550, '5.7.1', `The From field of your message must name ${own} and nobody else`),
  notAnAddress: (typed: string) =>
    new SmtpReply(
      553,
      '5.1.3',
      `<${typed}> cannot be an SMIMP address (letters and digits before the @), and no policy here allows legacy mail`,
    ),
  busy: () => new SmtpReply(452, '4.3.1', 'Too many messages are being received, try again later'),
  tooLarge: (limitBytes: number) =>
    new SmtpReply(552, '5.3.4', `The message is larger than ${limitBytes} bytes or unpacks to more than can be sent`),
  notStored: () => new SmtpReply(451, '4.3.0', 'The message could not be stored, try again later'),
  unexpected: () => new SmtpReply(451, '4.3.0', 'Something went wrong here, try again later'),
} as const;

/** A recipient that can never be reached; the basic code follows the enhanced one. */
export function recipientReply(reason: Reason, mailbox: string): SmtpReply {
  const { status, what, advice } = explain(reason, mailbox);
  return new SmtpReply(550, status, `<${mailbox}>: ${what} ${advice}`);
}

/** The reply for an error at the end of DATA. */
export function replyOf(error: unknown, limitBytes: number): SmtpReply {
  if (error instanceof SmtpReply) return error;
  if (error instanceof MimeError) return REPLIES.tooLarge(limitBytes);
  if (error instanceof AcceptError && error.code === 'too-large') return REPLIES.tooLarge(limitBytes);
  if (error instanceof KeystoreError && error.code === 'busy') return REPLIES.loginBusy();
  return REPLIES.notStored();
}
