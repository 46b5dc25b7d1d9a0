/** APPEND (RFC 3501 §6.3.11, RFC 3502 MULTIAPPEND) and REPLACE (RFC 8508): each is one step, done whole or not at all. */
import type { NewMail } from '../../mailbox/types.ts';
import { withoutNul } from '../../mime/binary.ts';
import { done, type Handler, mailboxOf, orTryCreate, type Session, writableOf } from '../context.ts';
import { Refusal } from '../replies.ts';
import type { AppendMessage } from '../wire/commands.ts';
import { untaggedLine } from '../wire/responses.ts';
import { namedLine } from './list.ts';
import { messagesOf } from './messages.ts';

export const append: Handler<'APPEND'> = async (session, { mailbox: path, messages }) => {
  const mailbox = mailboxOf(session);
  const [first, ...more] = messages.map((message) => newMail(session, message));
  if (first === undefined) throw new RangeError('APPEND without a message');
  const { folder, ...appended } = await orTryCreate(() => mailbox.append({ folder: path, ...first, more }));
  await session.send(...namedLine(session, folder, { said: path }));
  return done('APPEND completed', { name: 'APPENDUID', ...appended });
};

export const replace: Handler<'REPLACE'> = async (session, { uid, set, mailbox: path, message }) => {
  const selected = writableOf(session);
  const [position] = messagesOf(selected, set, uid);
  if (position === undefined) throw new Refusal('NO', 'There is no such message', 'NONEXISTENT');
  const replaces = { message: selected.at(position), folder: selected.view.folder };
  const mail = { folder: path, ...newMail(session, message), replaces };
  const { folder: _folder, ...appended } = await orTryCreate(() => mailboxOf(session).append(mail));
  // RFC 8508 §3.3: before the message that went is told.
  await session.send(untaggedLine('OK', 'Appended', { name: 'APPENDUID', ...appended }));
  return done(`${uid ? 'UID ' : ''}REPLACE completed`);
};

/** What a literal8 brings may hold NULs, which no mail program takes outside of BINARY (RFC 3516 §4.4). */
function newMail(session: Session, { message, flags, internalDate, utf8 }: AppendMessage): NewMail {
  // RFC 3502 §6.3.11: an error, by which a client takes back what stood before it.
  if (message.length === 0) throw new Refusal('NO', 'A message of no bytes cannot be kept: nothing was');
  const sent = session.enabled.has('UTF8=ACCEPT') && !utf8 ? unwrapped(message) : message;
  return { raw: withoutNul(sent), flags, internalDate };
}

const CLOSING = 0x29;
const WRAPPING = Buffer.from('UTF8 (');

/** Python's imaplib puts `UTF8 (` and `)` into the literal instead of around it. No message begins so. */
function unwrapped(message: Buffer): Buffer {
  const isWrapped = message.subarray(0, WRAPPING.length).equals(WRAPPING) && message.at(-1) === CLOSING;
  return isWrapped ? message.subarray(WRAPPING.length, -1) : message;
}
