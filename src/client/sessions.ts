/** Logging in (SMIMP 0.1 §5): sessions are reused while they are good, and logged in anew when a server refuses one. */
import { RemoteError } from '../remote/errors.ts';
import type { HomeClient, Session } from '../remote/home.ts';
import type { Discovery } from '../remote/look-up.ts';
import { forgetSession, sessionOrLogin } from '../remote/session-life.ts';
import { addressParts } from '../smimp/address.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { ClientError } from './errors.ts';
import { masterOf } from './keystore-data.ts';
import type { Memory } from './memory.ts';

export interface ClientSessions {
  /** A session at a server that is good for some minutes at least. Throws RemoteError. */
  at(baseUrl: BaseUrl): Promise<Session>;
  /** Works in a session; when the server refuses it, once more in a new one. */
  within<Result>(baseUrl: BaseUrl, work: (session: Session) => Promise<Result>): Promise<Result>;
  /** The same at one's own server. */
  atHome<Result>(work: (session: Session) => Promise<Result>): Promise<Result>;
  /** Where one's own account lives. Throws ClientError `no-home`. */
  homeBaseUrl(): Promise<BaseUrl>;
  /** Forgets a session that its server refused. */
  forget(session: Session): Promise<void>;
  /** Ends the session at a server, there and here. */
  logOut(baseUrl: BaseUrl): Promise<void>;
}

export function createClientSessions(options: {
  memory: Memory;
  discovery: Discovery;
  home: HomeClient;
  clock: () => Date;
}): ClientSessions {
  const { memory, discovery, home, clock } = options;
  const underWay = new Map<BaseUrl, Promise<Session>>();

  const get = (baseUrl: BaseUrl): Promise<Session> => {
    const owner = { address: memory.address, master: masterOf(memory.identity) };
    const started =
      underWay.get(baseUrl) ??
      sessionOrLogin(memory.sessions, { home, baseUrl, owner, clock }).finally(() => underWay.delete(baseUrl));
    underWay.set(baseUrl, started);
    return started;
  };

  const within: ClientSessions['within'] = async (baseUrl, work) => {
    const session = await get(baseUrl);
    try {
      return await work(session);
    } catch (error) {
      if (!(error instanceof RemoteError) || error.disposition !== 'session') throw error;
      await forgetSession(memory.sessions, session);
    }
    return work(await get(baseUrl));
  };

  const homeBaseUrl = async (): Promise<BaseUrl> => {
    const found = await discovery.discover(addressParts(memory.address).domain);
    if (found.outcome === 'found') return found.baseUrl;
    throw new ClientError('no-home');
  };

  return {
    at: get,
    within,
    atHome: async (work) => within(await homeBaseUrl(), work),
    homeBaseUrl,
    forget: (session) => forgetSession(memory.sessions, session),
    async logOut(baseUrl) {
      const kept = await memory.sessions.find(baseUrl);
      if (kept === null) return;
      await memory.sessions.remove(kept);
      await home.destroySession(kept.session);
    },
  };
}
