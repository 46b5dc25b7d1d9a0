/** Using a session as long as it is good (SMIMP 0.1 §5: 24 hours, idle one hour), from whatever memory it is kept in. */

import type { Address } from '../smimp/address.ts';
import { SESSION_IDLE_SECONDS } from '../smimp/api.ts';
import type { MasterKeyPair } from '../smimp/crypto.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { toHex } from '../smimp/encoding.ts';
import type { HomeClient, Session } from './home.ts';

/** A session with less than this left is not begun with: the largest message must still get through. */
export const SESSION_MARGIN_MS = 600_000;
/** Below the server's idle limit, for clocks that differ. */
export const SESSION_IDLE_MS = (SESSION_IDLE_SECONDS - 600) * 1000;
/** A use is written down no more often than this. */
const TOUCH_AFTER_MS = 60_000;

export type KeptSession = { readonly session: Session; readonly lastUsedAt: Date };

/** The sessions of one account, one per base URL: kept sealed in PostgreSQL by the bridge, in plain data by the library. */
export interface SessionMemory {
  find(baseUrl: BaseUrl): Promise<KeptSession | null>;
  /** Takes the place of the one that is there. */
  save(session: Session, now: Date): Promise<void>;
  /** Notes a use, unless another session has taken its place. */
  touch(kept: KeptSession, now: Date): Promise<void>;
  /** Forgets exactly this one. */
  remove(kept: KeptSession): Promise<void>;
}

type Owner = { address: Address; master: MasterKeyPair };

/** The session in use if it is still good and of the present master key; never logs in. */
export async function usableSession(
  memory: SessionMemory,
  ask: { baseUrl: BaseUrl; master: MasterKeyPair; now: Date },
): Promise<Session | null> {
  const kept = await memory.find(ask.baseUrl);
  if (kept === null || !isGood(kept, ask.now)) return null;
  if (kept.session.publicKey !== toHex(ask.master.publicKey)) return null;
  if (ask.now.getTime() - kept.lastUsedAt.getTime() >= TOUCH_AFTER_MS) await memory.touch(kept, ask.now);
  return kept.session;
}

/** A session that is good for some minutes at least; logs in where there is none. Throws RemoteError. */
export async function sessionOrLogin(
  memory: SessionMemory,
  ask: { home: HomeClient; baseUrl: BaseUrl; owner: Owner; clock: () => Date },
): Promise<Session> {
  const { home, baseUrl, owner, clock } = ask;
  const usable = await usableSession(memory, { baseUrl, master: owner.master, now: clock() });
  if (usable !== null) return usable;
  const session = await home.createSession({ baseUrl, ...owner });
  await memory.save(session, clock());
  return session;
}

/** Forgets a session that its server refused; one that has already taken its place stays. */
export async function forgetSession(memory: SessionMemory, session: Session): Promise<void> {
  const kept = await memory.find(session.baseUrl);
  if (kept !== null && kept.session.token === session.token) await memory.remove(kept);
}

function isGood({ session, lastUsedAt }: KeptSession, now: Date): boolean {
  const leftMs = session.expires * 1000 - now.getTime();
  const idleMs = now.getTime() - lastUsedAt.getTime();
  return leftMs > SESSION_MARGIN_MS && idleMs < SESSION_IDLE_MS;
}
