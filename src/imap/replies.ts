/** From errors to what a client is told: one place, by codes. */
import { KeystoreError } from '../keystore/errors.ts';
import { MailboxError, type MailboxErrorCode } from '../mailbox/errors.ts';
import type { ResponseCode } from './wire/response-code.ts';

/** A command that cannot be done, with the answer the client gets. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: 'NO' | 'BAD';
  readonly responseCode: ResponseCode | undefined;

  constructor(status: 'NO' | 'BAD', text: string, responseCode?: ResponseCode) {
    super(text);
    this.status = status;
    this.responseCode = responseCode;
  }
}

const MAILBOX_REFUSALS: Readonly<Record<MailboxErrorCode, [text: string, code: ResponseCode]>> = {
  'no-folder': ['There is no such mailbox', 'NONEXISTENT'],
  'folder-exists': ['The mailbox exists already', 'ALREADYEXISTS'],
  'has-children': ['The mailbox has mailboxes below it; delete those first', 'HASCHILDREN'],
  inbox: ['This cannot be done with INBOX', 'CANNOT'],
  'bad-folder-name': ['A mailbox cannot have this name', 'CANNOT'],
  'too-deep': ['The mailbox would lie too deep', 'LIMIT'],
  'too-many-folders': ['There are too many mailboxes', 'LIMIT'],
  'special-use': ['There is a mailbox for this use, or there is no such use', 'USEATTR'],
  'too-many-keywords': ['A message cannot have so many or so long keywords', 'LIMIT'],
  'trust-keyword': ['Keywords about the trust in a sender are set by the server alone', 'CANNOT'],
  expunged: ['Some of the messages are gone', 'EXPUNGEISSUED'],
  virtual: ['This mailbox shows what waits to be sent; it cannot be changed so', 'CANNOT'],
  'handed-over': ['Something is being handed over already and was not cancelled', 'INUSE'],
  renewed: ['The mailbox was restored from a backup', 'UNAVAILABLE'],
  unreadable: ['The message cannot be opened', 'CORRUPTION'],
  'too-large': ['The message is too large', 'TOOBIG'],
  'over-quota': ['The mailbox is full', 'OVERQUOTA'],
};

/** The refusal that an error means; null for what nobody foresaw. */
export function refusalOf(error: unknown): Refusal | null {
  if (error instanceof Refusal) return error;
  if (error instanceof MailboxError) return new Refusal('NO', ...MAILBOX_REFUSALS[error.code]);
  if (error instanceof KeystoreError)
    return new Refusal('NO', 'The keys of this account cannot be opened', 'CONTACTADMIN');
  return null;
}
