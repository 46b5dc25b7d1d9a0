/** Commands about the session itself (RFC 3501 §6.1, §6.2; RFC 2971, 5161, 2342). */
import { setTimeout as pause } from 'node:timers/promises';
import type { LoginResult } from '../../keystore/login-result.ts';
import { type Address, fromMailbox, normalizeAddress } from '../../smimp/address.ts';
import { ProfileError } from '../../smimp/errors.ts';
import { type Done, done, enableCondstore, type Handler, mailboxOf, type Session } from '../context.ts';
import { ENABLES } from '../enabled.ts';
import { Refusal } from '../replies.ts';
import {
  capabilityLine,
  continuationLine,
  enabledLine,
  idLine,
  namespaceLine,
  untaggedLine,
} from '../wire/responses.ts';
import { parseSaslLine } from '../wire/sasl-line.ts';
import { announced } from '../withhold.ts';
import { SCRAM, SCRAM_PLUS, type ScramDialogue, scram } from './scram.ts';

const ALWAYS = ['IMAP4rev1', 'IMAP4rev2', 'SASL-IR', 'ID', 'ENABLE', 'NAMESPACE'];
const LOGGED_IN = [
  ...['LITERAL+', 'IDLE', 'UIDPLUS', 'MOVE', 'UNSELECT', 'CHILDREN', 'SPECIAL-USE', 'CREATE-SPECIAL-USE'],
  ...['CONDSTORE', 'QRESYNC', 'ESEARCH', 'SEARCHRES', 'WITHIN', 'PARTIAL'],
  ...['LIST-EXTENDED', 'LIST-STATUS', 'STATUS=SIZE', 'OBJECTID', 'QUOTA'],
  ...['MULTIAPPEND', 'REPLACE', 'UNAUTHENTICATE', 'INPROGRESS'],
  ...['UTF8=ACCEPT', 'BINARY', 'PREVIEW', 'SAVEDATE', 'UIDONLY'],
  ...['SORT', 'SORT=DISPLAY', 'ESORT', 'THREAD=REFERENCES', 'THREAD=ORDEREDSUBJECT', 'NOTIFY'],
];

/** What this connection can do now. Non-synchronising literals of any size only from people who are known (RFC 7888). */
export function capabilitiesOf(
  session: Pick<Session, 'secure' | 'compressed' | 'login' | 'services' | 'client'>,
): string[] {
  return announced(offered(session), session.services.withhold ?? [], session.client);
}

function offered(session: Pick<Session, 'secure' | 'compressed' | 'login' | 'services'>): string[] {
  if (!session.secure) return [...ALWAYS, 'LITERAL-', 'STARTTLS', 'LOGINDISABLED'];
  if (session.login === null) return [...ALWAYS, 'LITERAL-', `AUTH=${SCRAM_PLUS}`, `AUTH=${SCRAM}`, 'AUTH=PLAIN'];
  const compression = session.compressed ? [] : ['COMPRESS=DEFLATE'];
  return [...ALWAYS, ...LOGGED_IN, ...compression, `APPENDLIMIT=${session.services.limits.messageBytes}`];
}

export const capability: Handler<'CAPABILITY'> = async (session) => {
  await session.send(capabilityLine(capabilitiesOf(session)));
  return done('CAPABILITY completed');
};

export const noop: Handler<'NOOP' | 'CHECK'> = async (session, { name }) => {
  if (name === 'CHECK' && session.selected === null) throw new Refusal('BAD', 'Select a mailbox first');
  return done(`${name} completed`);
};

export const logout: Handler<'LOGOUT'> = async (session) => {
  await session.send(untaggedLine('BYE', 'Goodbye'));
  return { ...done('LOGOUT completed'), bye: true };
};

export const id: Handler<'ID'> = async (session, { fields }) => {
  const said = new Map(fields?.map(([field, value]) => [field.toLowerCase(), value]));
  session.client = { name: said.get('name') ?? null, version: said.get('version') ?? null };
  await session.send(idLine([['name', 'smimp-bridge']]));
  return done('ID completed');
};

/** What is not known is ignored, what is on already is not named again (RFC 5161 §3.1, §3.2). */
export const enable: Handler<'ENABLE'> = async (session, { capabilities }) => {
  mailboxOf(session);
  const before = new Set(session.enabled);
  const asked = new Set(capabilities.flatMap((name) => ENABLES.get(name) ?? []));
  if (asked.has('CONDSTORE')) await enableCondstore(session);
  for (const name of asked) session.enabled.add(name);
  await session.send(enabledLine([...session.enabled].filter((name) => !before.has(name))));
  return done('ENABLE completed');
};

export const namespace: Handler<'NAMESPACE'> = async (session) => {
  mailboxOf(session);
  await session.send(namespaceLine({ personal: [{ prefix: '', delimiter: '/' }], others: null, shared: null }));
  return done('NAMESPACE completed');
};

export const login: Handler<'LOGIN'> = (session, { user, password }) => {
  mayLogIn(session);
  return logIn(session, user, password);
};

export const authenticate: Handler<'AUTHENTICATE'> = async (session, { mechanism, initialResponse }) => {
  mayLogIn(session);
  const name = mechanism.toUpperCase();
  if (name === SCRAM || name === SCRAM_PLUS)
    return scram(session, { plus: name === SCRAM_PLUS, initial: initialResponse }, scramDialogue(session));
  if (name !== 'PLAIN') throw new Refusal('NO', 'This mechanism is not offered');
  const response = initialResponse ?? (await askForResponse(session));
  const [authorize = '', user = '', password = '', ...rest] = response.toString('utf8').split('\0');
  if (rest.length > 0 || user === '') throw new Refusal('BAD', 'This is no PLAIN response');
  if (authorize !== '' && authorize !== user)
    throw new Refusal('NO', 'You can act for yourself only', 'AUTHORIZATIONFAILED');
  return logIn(session, user, password);
};

/** The connection is as it was before the login (RFC 8437 §3); what was deleted or turned on is not. */
export const unauthenticate: Handler<'UNAUTHENTICATE'> = async (session) => {
  mailboxOf(session);
  session.login?.leave();
  session.login = null;
  session.selected = null;
  session.notify?.stop();
  session.notify = null;
  session.enabled.clear();
  session.setLimits();
  return done('UNAUTHENTICATE completed', { name: 'CAPABILITY', capabilities: capabilitiesOf(session) });
};

function scramDialogue(session: Session): ScramDialogue {
  return {
    ask: (challenge) => askForResponse(session, challenge),
    addressOf: (user) => typedAddress(user) ?? user,
    enter: (result) => enter(session, result),
    offersBinding: capabilitiesOf(session).includes(`AUTH=${SCRAM_PLUS}`),
  };
}

async function askForResponse(session: Session, challenge = ''): Promise<Buffer> {
  await session.send(continuationLine(Buffer.from(challenge).toString('base64')));
  const line = await session.readLine();
  const response = line === null ? ({ type: 'cancel' } as const) : parseSaslLine(line);
  if (response.type === 'cancel') throw new Refusal('BAD', 'AUTHENTICATE cancelled');
  if (response.type === 'invalid') throw new Refusal('BAD', 'This is not base64');
  return response.data;
}

function mayLogIn(session: Session): void {
  if (!session.secure) throw new Refusal('NO', 'Passwords are taken over TLS only', 'PRIVACYREQUIRED');
  if (session.login !== null) throw new Refusal('BAD', 'You are logged in already');
}

/** The same words and the same time for a wrong password and for a user that is not there. */
async function logIn(session: Session, user: string, password: string): Promise<Done> {
  const { keystore, clock } = session.services;
  const address = typedAddress(user) ?? user;
  return enter(
    session,
    await keystore.verifyPassword({ address, password, source: session.remoteAddress, now: clock() }),
  );
}

async function enter(session: Session, result: LoginResult): Promise<Done> {
  const { mailbox, events } = session.services;
  if (!result.ok) {
    events.loginFailed({ protocol: 'imap', failures: result.failures });
    session.loginFailures += 1;
    await pause(result.delayMs, undefined, { ref: false });
    if (session.loginFailures >= session.services.sessionLimits.loginFailures)
      await session.send(untaggedLine('BYE', 'Too many wrong passwords'));
    throw new Refusal('NO', 'User name or password is wrong', 'AUTHENTICATIONFAILED');
  }
  const { accountId } = result;
  const leave = session.enter(accountId);
  if (leave === null) throw new Refusal('NO', 'This account has too many connections', 'LIMIT');
  try {
    session.login = { accountId, mailbox: await mailbox.open(accountId), leave };
  } catch (error) {
    leave();
    throw error;
  }
  session.setLimits();
  events.loginSucceeded({ protocol: 'imap', accountId });
  return done('Logged in', { name: 'CAPABILITY', capabilities: capabilitiesOf(session) });
}

function typedAddress(user: string): Address | null {
  try {
    return user.includes('#') ? normalizeAddress(user) : fromMailbox(user);
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    return null;
  }
}
