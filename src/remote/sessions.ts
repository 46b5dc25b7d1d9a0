/**
 * Sessions at other servers, reused until they are about to end (SMIMP 0.1 §5: 24 hours, idle one hour), kept sealed so
 * that a restart needs no new logins. One login at a time per account and server.
 */
import { z } from 'zod';
import type { AccountKeys, Keystore } from '../keystore/keystore.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Hex32 } from '../smimp/encoding.ts';
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
import { forgetSession, type KeptSession, type SessionMemory, sessionOrLogin, usableSession } from './session-life.ts';

export { SESSION_IDLE_MS, SESSION_MARGIN_MS } from './session-life.ts';

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

/** `keys`: of the account, from whoever has opened them already. */
type At = { accountId: number; baseUrl: BaseUrl; keys?: () => Promise<AccountKeys> };

export interface Sessions {
  /** A session that is good for some minutes at least; logs in where there is none. Throws RemoteError, KeystoreError. */
  get(at: At): Promise<Session>;
  /** The session in use if it is still the one with this `loginTokenHash`; never logs in. */
  find(at: At & { loginTokenHash: Hex32 }): Promise<Session | null>;
  /** Forgets `session` after the server refused it; one that has already taken its place stays. */
  invalidate(accountId: number, session: Session): Promise<void>;
}

export function createSessions(options: { home: HomeClient; db: Db; keystore: Keystore; clock: () => Date }): Sessions {
  const { home, db, keystore, clock } = options;
  const underWay = new Map<string, Promise<Session>>();

  const getOrLogIn = async ({ accountId, baseUrl, ...at }: At): Promise<Session> => {
    const keys = await (at.keys?.() ?? keystore.open(accountId));
    const owner = { address: keys.address, master: await keys.master() };
    return sessionOrLogin(storedSessions(db, keys), { home, baseUrl, owner, clock });
  };

  return {
    get(at) {
      const name = `${at.accountId} ${at.baseUrl}`;
      const started = underWay.get(name) ?? getOrLogIn(at).finally(() => underWay.delete(name));
      underWay.set(name, started);
      return started;
    },
    async find({ accountId, baseUrl, loginTokenHash, ...at }) {
      const keys = await (at.keys?.() ?? keystore.open(accountId));
      const ask = { baseUrl, master: await keys.master(), now: clock() };
      const session = await usableSession(storedSessions(db, keys), ask);
      return session?.loginTokenHash === loginTokenHash ? session : null;
    },
    async invalidate(accountId, session) {
      await forgetSession(storedSessions(db, await keystore.open(accountId)), session);
    },
  };
}

/** What was found, with its row: a change names the row as it was read. */
type StoredSession = KeptSession & { readonly row: RemoteSession };

function storedSessions(db: Db, keys: AccountKeys): SessionMemory {
  const rowOf = (kept: KeptSession): RemoteSession => (kept as StoredSession).row;
  return {
    async find(baseUrl) {
      const row = await findRemoteSession(db, keys.accountId, baseUrl);
      if (row === undefined) return null;
      const session = readSession(keys.unseal(PURPOSE, baseUrl, row.sealed));
      return { session, lastUsedAt: row.last_used_at, row } satisfies StoredSession;
    },
    async save(session, now) {
      const { baseUrl } = session;
      await saveRemoteSession(db, {
        account_id: keys.accountId,
        base_url: baseUrl,
        sealed: keys.seal(PURPOSE, baseUrl, Buffer.from(JSON.stringify(session))),
        expires_at: new Date(session.expires * 1000),
        last_used_at: now,
      });
    },
    touch: (kept, now) => touchRemoteSession(db, rowOf(kept), now),
    remove: (kept) => deleteRemoteSession(db, rowOf(kept)),
  };
}

function readSession(plaintext: Buffer): Session {
  const session = parseFields(sealedSchema, JSON.parse(plaintext.toString('utf8')));
  return { ...session, baseUrl: session.baseUrl as BaseUrl };
}
