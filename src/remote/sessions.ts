/**
 * Sessions at other servers, reused until they are about to end (SMIMP 0.1 §5: 24 hours, idle one hour), kept sealed so
 * that a restart needs no new logins. One login at a time per account and server.
 */
import { z } from 'zod';
import type { AccountKeys, Keystore } from '../keystore/keystore.ts';
import { SESSION_IDLE_SECONDS } from '../smimp/api.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';
import { address, count, hex32, parseFields } from '../smimp/fields.ts';
import type { Db } from '../store/database.ts';
import {
  deleteRemoteSession,
  findRemoteSession,
  type RemoteSession,
  saveRemoteSession,
  touchRemoteSession,
} from '../store/remote-sessions.ts';
import type { HomeClient, Session } from './home.ts';

/** A session with less than this left is not begun with: the largest message must still get through. */
export const SESSION_MARGIN_MS = 600_000;
/** Below the server's idle limit, for clocks that differ. */
export const SESSION_IDLE_MS = (SESSION_IDLE_SECONDS - 600) * 1000;
/** A use is written down no more often than this. */
const TOUCH_AFTER_MS = 60_000;
const PURPOSE = 'remote-session';

const sealedSchema = z.object({
  baseUrl: z.string(),
  address,
  publicKey: hex32,
  token: hex32,
  loginTokenHash: hex32,
  expires: count,
  scope: z.enum(['home', 'remote']),
});

export interface Sessions {
  /** A session that is good for some minutes at least; logs in where there is none. Throws RemoteError, KeystoreError. */
  get(at: { accountId: number; baseUrl: BaseUrl }): Promise<Session>;
  /** The session in use if it is still the one with this `loginTokenHash`; never logs in. */
  find(at: { accountId: number; baseUrl: BaseUrl; loginTokenHash: Hex32 }): Promise<Session | null>;
  /** Forgets `session` after the server refused it; one that has already taken its place stays. */
  invalidate(accountId: number, session: Session): Promise<void>;
}

export function createSessions(options: { home: HomeClient; db: Db; keystore: Keystore; clock: () => Date }): Sessions {
  const { home, db, keystore, clock } = options;
  const underWay = new Map<string, Promise<Session>>();

  const stored = async (
    keys: AccountKeys,
    baseUrl: BaseUrl,
  ): Promise<{ row: RemoteSession; session: Session } | null> => {
    const row = await findRemoteSession(db, keys.accountId, baseUrl);
    if (row === undefined) return null;
    const session = readSession(keys.unseal(PURPOSE, baseUrl, row.sealed));
    return { row, session };
  };

  const usable = async (keys: AccountKeys, baseUrl: BaseUrl): Promise<Session | null> => {
    const found = await stored(keys, baseUrl);
    const now = clock();
    if (found === null || !isGood(found.row, now)) return null;
    const { publicKey } = await keys.master();
    if (found.session.publicKey !== toHex(publicKey)) return null;
    if (now.getTime() - found.row.last_used_at.getTime() >= TOUCH_AFTER_MS)
      await touchRemoteSession(db, found.row, now);
    return found.session;
  };

  const logIn = async (keys: AccountKeys, baseUrl: BaseUrl): Promise<Session> => {
    const session = await home.createSession({ baseUrl, address: keys.address, master: await keys.master() });
    await saveRemoteSession(db, {
      account_id: keys.accountId,
      base_url: baseUrl,
      sealed: keys.seal(PURPOSE, baseUrl, Buffer.from(JSON.stringify(session))),
      expires_at: new Date(session.expires * 1000),
      last_used_at: clock(),
    });
    return session;
  };

  const getOrLogIn = async (accountId: number, baseUrl: BaseUrl): Promise<Session> => {
    const keys = await keystore.open(accountId);
    return (await usable(keys, baseUrl)) ?? logIn(keys, baseUrl);
  };

  return {
    get({ accountId, baseUrl }) {
      const name = `${accountId} ${baseUrl}`;
      const started = underWay.get(name) ?? getOrLogIn(accountId, baseUrl).finally(() => underWay.delete(name));
      underWay.set(name, started);
      return started;
    },
    async find({ accountId, baseUrl, loginTokenHash }) {
      const session = await usable(await keystore.open(accountId), baseUrl);
      return session?.loginTokenHash === loginTokenHash ? session : null;
    },
    async invalidate(accountId, session) {
      const found = await stored(await keystore.open(accountId), session.baseUrl);
      if (found !== null && found.session.token === session.token) await deleteRemoteSession(db, found.row);
    },
  };
}

function readSession(plaintext: Buffer): Session {
  const session = parseFields(sealedSchema, JSON.parse(plaintext.toString('utf8')));
  return { ...session, baseUrl: session.baseUrl as BaseUrl };
}

function isGood(row: RemoteSession, now: Date): boolean {
  const leftMs = row.expires_at.getTime() - now.getTime();
  const idleMs = now.getTime() - row.last_used_at.getTime();
  return leftMs > SESSION_MARGIN_MS && idleMs < SESSION_IDLE_MS;
}
