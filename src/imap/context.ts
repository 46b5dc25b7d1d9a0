/** What the handlers of commands work with: the session's state and the way to answer. */
import type { Events } from '../events.ts';
import type { Keystore } from '../keystore/keystore.ts';
import { MailboxError } from '../mailbox/errors.ts';
import type { Folder } from '../mailbox/folder-tree.ts';
import type { AccountMailbox, OpenMailbox } from '../mailbox/types.ts';
import type { Enabled } from './enabled.ts';
import type { ImapLimits, SessionLimits } from './limits.ts';
import type { Notify } from './notify.ts';
import { Refusal } from './replies.ts';
import type { Selected } from './selected.ts';
import type { Command } from './wire/commands.ts';
import type { Dialect } from './wire/dialect.ts';
import type { ResponseCode } from './wire/response-code.ts';
import { untaggedLine } from './wire/responses.ts';
import type { ClientName, Withholding } from './withhold.ts';

export interface ImapServices {
  keystore: Pick<Keystore, 'verifyPassword' | 'beginScram'>;
  mailbox: OpenMailbox;
  limits: ImapLimits;
  /** What one connection may cost. */
  sessionLimits: SessionLimits;
  /** Capabilities that are not announced. */
  withhold?: readonly Withholding[];
  events: Events;
  clock: () => Date;
}

export interface Login {
  readonly accountId: number;
  readonly mailbox: AccountMailbox;
  /** Gives the place among the account's connections back. */
  readonly leave: () => void;
}

export interface Session {
  readonly services: ImapServices;
  readonly secure: boolean;
  readonly compressed: boolean;
  readonly remoteAddress: string;
  /** What binds a login to this connection, by the name of the kind; null where there is none. */
  channelBinding(name: string): Buffer | null;
  login: Login | null;
  selected: Selected | null;
  client: ClientName;
  /** What the client wants to be told of (RFC 5465); null while it has not said. */
  notify: Notify | null;
  readonly enabled: Set<Enabled>;
  /** How the client takes text, by what it turned on. */
  readonly dialect: Dialect;
  loginFailures: number;
  /** Sends lines before the tagged answer; resolves when the client can take more. */
  send(...lines: Buffer[]): Promise<void>;
  /** The next line that is not a command (AUTHENTICATE); null when the connection ended. */
  readLine(): Promise<Buffer | null>;
  /** Takes a place among the connections of the account; null when there is none left. */
  enter(accountId: number): (() => void) | null;
  /** After `login` changed: a stranger may send less. */
  setLimits(): void;
  /** Looks at `notify` again, as soon as no command is being worked on. */
  wake(): void;
  /** True when the connection is gone. */
  readonly closed: boolean;
}

/** The end of a tagged OK. */
export interface Done {
  text: string;
  code?: ResponseCode;
  /** Whether EXPUNGE may be sent before the tagged answer. */
  mayExpunge: boolean;
  /** Closes the connection after the answer. */
  bye?: boolean;
  /** The tagged answer was sent already (STARTTLS). */
  answered?: boolean;
}

type Named<C, Name> = C extends { name: infer Own } ? ([Own & Name] extends [never] ? never : C) : never;

/** A command of one of these names may be handled by it. */
export type Handler<Name extends Command['name']> = (session: Session, command: Named<Command, Name>) => Promise<Done>;

export const done = (text: string, code?: ResponseCode): Done => ({
  text,
  mayExpunge: true,
  ...(code === undefined ? {} : { code }),
});
/** For commands that use message numbers (RFC 3501 §7.4.1). */
export const doneKeepingNumbers = (text: string, code?: ResponseCode): Done => ({
  ...done(text, code),
  mayExpunge: false,
});

/** HIGHESTMODSEQ of a folder; never zero (RFC 7162 §7: mod-sequence-value). */
export const highestModseq = (revision: number): ResponseCode & object => ({
  name: 'HIGHESTMODSEQ',
  value: Math.max(1, revision),
});

/** RFC 7162 §3.2.5, §3.2.6: what QRESYNC brings may be used once it is turned on. */
export function requireQresync(session: Session): void {
  if (!session.enabled.has('QRESYNC')) throw new Refusal('BAD', 'Enable QRESYNC first');
}

/** The client showed that it knows mod-sequences: from now on they are told (RFC 7162 §3.1). */
export async function enableCondstore(session: Session): Promise<void> {
  if (session.enabled.has('CONDSTORE')) return;
  session.enabled.add('CONDSTORE');
  const { selected } = session;
  if (selected === null) return;
  await session.send(untaggedLine('OK', 'Highest', highestModseq(selected.view.highestRevision)));
}

export function mailboxOf(session: Session): AccountMailbox {
  if (session.login === null) throw new Refusal('BAD', 'Log in first');
  return session.login.mailbox;
}

export function selectedOf(session: Session): Selected {
  if (session.selected === null) throw new Refusal('BAD', 'Select a mailbox first');
  return session.selected;
}

export function writableOf(session: Session): Selected {
  const selected = selectedOf(session);
  if (selected.readOnly) throw new Refusal('NO', 'The mailbox is open for reading only', 'NOPERM');
  return selected;
}

/** The folder messages are put into. */
export function targetFolder(session: Session, path: string): Promise<Folder> {
  return orTryCreate(async () => {
    const folder = await mailboxOf(session).folders.find(path);
    if (folder.isVirtual === true) throw new MailboxError('virtual');
    return folder;
  });
}

/** What puts messages into a folder; when that is not there the client may make it (RFC 3501 §6.3.11). */
export async function orTryCreate<Result>(put: () => Promise<Result>): Promise<Result> {
  try {
    return await put();
  } catch (error) {
    if (!(error instanceof MailboxError) || error.code !== 'no-folder') throw error;
    throw new Refusal('NO', 'There is no such mailbox', 'TRYCREATE');
  }
}
