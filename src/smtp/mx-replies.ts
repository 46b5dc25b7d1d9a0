/** What servers of the old internet are answered (RFC 3463). The sentences name no one but whom the client named itself. */
import { AuthenticationError } from '../legacy/authentication.ts';
import { LegacyError } from '../legacy/identities.ts';
import { replyOf, SmtpReply } from './replies.ts';

export const MX_REPLIES = {
  tooManyMessages: () => new SmtpReply(421, '4.7.0', 'Enough messages on this connection, send more on another one'),
  tooLong: () => new SmtpReply(421, '4.4.2', 'This connection has lasted long enough, connect again'),
  relayDenied: () => new SmtpReply(550, '5.7.1', 'Relay access denied: no mail is taken in here for this domain'),
  unknownUser: (mailbox: string) => new SmtpReply(550, '5.1.1', `<${mailbox}>: there is no such user`),
  unreachable: (mailbox: string) =>
    new SmtpReply(451, '4.4.1', `<${mailbox}>: the server of this domain cannot be reached now, try again later`),
  noSmimp: (mailbox: string) =>
    new SmtpReply(451, '4.3.5', `<${mailbox}>: this domain should speak SMIMP and does not, try again later`),
  doesNotVerify: (mailbox: string) =>
    new SmtpReply(451, '4.7.0', `<${mailbox}>: the identity that its server shows does not verify, try again later`),
  longHeader: (limitBytes: number) =>
    new SmtpReply(550, '5.6.0', `The header of the message is longer than ${limitBytes} bytes`),
  looping: (limit: number) =>
    new SmtpReply(550, '5.4.6', `The message passed more than ${limit} servers: it goes round in circles`),
  tooManySignatures: (limit: number) => new SmtpReply(550, '5.6.0', `The message has more than ${limit} signatures`),
  oneAuthor: () =>
    new SmtpReply(550, '5.6.0', 'The message needs one From field with exactly one mailbox such as alice@example.com'),
  longAuthor: () => new SmtpReply(550, '5.6.0', 'The address in the From field is too long to be carried'),
  takenAuthor: () =>
    new SmtpReply(550, '5.7.1', 'The address under which the author would appear here belongs to somebody else'),
  forgedAuthor: () =>
    new SmtpReply(550, '5.7.1', 'The domain in the From field speaks SMIMP and does not vouch for this message'),
  tooManyAuthors: () =>
    new SmtpReply(451, '4.7.1', 'Too many authors that nobody here knows came from this address, try again in an hour'),
  gatewayAuthor: () => new SmtpReply(550, '5.7.1', 'Nobody sends mail from the domain of this gateway by SMTP'),
  failsDmarc: () =>
    new SmtpReply(550, '5.7.1', 'The message fails DMARC, and the domain in its From field asks to refuse such mail'),
  dnsFails: () => new SmtpReply(451, '4.4.3', 'The policy of the sending domain cannot be looked up, try again later'),
} as const;

/** The reply for an error at the end of DATA. */
export function mxReplyOf(error: unknown, limitBytes: number): SmtpReply {
  if (error instanceof AuthenticationError) {
    return error.code === 'late' ? MX_REPLIES.dnsFails() : MX_REPLIES.oneAuthor();
  }
  if (error instanceof LegacyError)
    return error.code === 'too-many' ? MX_REPLIES.tooManyAuthors() : MX_REPLIES.takenAuthor();
  return replyOf(error, limitBytes);
}
