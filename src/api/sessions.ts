/**
 * Logging in (SMIMP 0.1 §5): a token is signed, under the login purpose and this server's base URL, by the present
 * master key of whoever logs in. Only the POST ever asks another server, and only after the signature holds.
 */
import { RemoteError } from '../remote/errors.ts';
import { type Address, addressParts } from '../smimp/address.ts';
import {
  LOGIN_TOKEN_SECONDS,
  MAX_LOGIN_TOKENS,
  MAX_LOGIN_TOKENS_PER_ADDRESS,
  SENDER_KEY_FRESH_SECONDS,
  SESSION_IDLE_SECONDS,
  SESSION_SECONDS,
} from '../smimp/api.ts';
import { hash, randomBytes } from '../smimp/crypto.ts';
import { formatTimestamp, type Hex32, toHex } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { loginDigest, loginTokenDigest, verifySignedHash } from '../smimp/transcript.ts';
import { findAccount } from '../store/accounts.ts';
import type { Db, Executor } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import {
  deleteSession,
  findSession,
  insertLoginToken,
  insertSession,
  type StoredSession,
  setKeyChecked,
  takeLoginToken,
  touchSession,
} from '../store/sessions.ts';
import { type ApiServices, type Handlers, seconds, secondsLater, sessionOf } from './call.ts';
import { ApiError } from './errors.ts';
import { currentIdentity } from './identity.ts';
import { countingLogins } from './pow-price.ts';

const TOKEN_BYTES = 32;
const TOKEN_LIMITS = { perAddress: MAX_LOGIN_TOKENS_PER_ADDRESS, overall: MAX_LOGIN_TOKENS };
/** The use of a session is written down no more often than this. */
const TOUCH_AFTER_SECONDS = 60;

export const sessionHash = (token: Hex32): Buffer => hash(Buffer.from(token, 'hex'));

/** The session of a request. Throws `unauthorized` when there is none, or it has ended. */
export async function authenticate(db: Db, token: string | undefined, now: Date): Promise<StoredSession> {
  if (token === undefined || !/^[0-9a-f]{64}$/.test(token)) throw new ApiError('unauthorized');
  const tokenHash = sessionHash(token as Hex32);
  const session = await findSession(db, { tokenHash, now, idleSince: secondsLater(now, -SESSION_IDLE_SECONDS) });
  if (session === undefined) throw new ApiError('unauthorized');
  if (session.last_used_at < secondsLater(now, -TOUCH_AFTER_SECONDS)) await touchSession(db, tokenHash, now);
  return session;
}

/**
 * The key that `address` has now: from here when it lives here, else from its own server. Whether an account exists must
 * not show in how its login is refused: `unauthorized` when there is none.
 */
async function presentKey(services: ApiServices, address: Address): Promise<Hex32> {
  if (services.domains.includes(addressParts(address).domain)) return presentKeyHere(services.db, address);
  try {
    return (await services.fetchPublicKey(address)).public_key;
  } catch (error) {
    if (!(error instanceof RemoteError)) throw error;
    throw new ApiError(remoteFailure(error), { cause: error });
  }
}

async function presentKeyHere(db: Executor, address: Address): Promise<Hex32> {
  try {
    return (await currentIdentity(db, address)).publicKey;
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'unknown_user') throw error;
    throw new ApiError('unauthorized', { cause: error });
  }
}

function remoteFailure(error: RemoteError): 'unauthorized' | 'gateway_timeout' | 'bad_gateway' | 'too_many_requests' {
  if (error.apiCode === 'unknown_user') return 'unauthorized';
  if (error.code === 'rate-limited') return 'too_many_requests';
  return error.code === 'timeout' ? 'gateway_timeout' : 'bad_gateway';
}

/** Makes sure that the sender still has the key of the session; a session under an older one has ended. */
export async function refreshSenderKey(services: ApiServices, session: StoredSession, now: Date): Promise<void> {
  if (session.key_checked_at >= secondsLater(now, -SENDER_KEY_FRESH_SECONDS)) return;
  const key = await presentKey(services, session.address as Address);
  if (key !== toHex(session.public_key)) {
    await deleteSession(services.db, session.token_hash);
    throw new ApiError('unauthorized');
  }
  await setKeyChecked(services.db, session.token_hash, now);
}

export function sessionHandlers(services: ApiServices): Handlers {
  const { db, baseUrl, domains } = services;

  /** Under the mailbox lock, so that no login with an old key slips in while it is being replaced. */
  const openHome = async (login: Login) => {
    const account = await findAccount(db, login.address);
    if (account === undefined) throw new ApiError('unauthorized');
    return db.transaction().execute(async (tx) => {
      await lockMailbox(tx, account.id);
      if ((await presentKeyHere(tx, login.address)) !== login.publicKey) throw new ApiError('unauthorized');
      return openSession(tx, login, 'home');
    });
  };

  const openRemote = async (login: Login) => {
    if ((await presentKey(services, login.address)) !== login.publicKey) throw new ApiError('unauthorized');
    return openSession(db, login, 'remote');
  };

  return {
    get_create_session: async ({ params, now }) => {
      const token = randomBytes(TOKEN_BYTES);
      const expiresAt = secondsLater(now, LOGIN_TOKEN_SECONDS);
      await insertLoginToken(db, { token, address: params.a, expiresAt }, TOKEN_LIMITS);
      return { body: { token: toHex<Hex32>(token), expires: formatTimestamp(seconds(expiresAt)) } };
    },
    post_create_session: async ({ params: { a: address }, request, now }) => {
      const token = Buffer.from(request.token, 'hex');
      const issued = await takeLoginToken(db, token);
      if (issued === undefined || issued.address !== address || issued.expires_at <= now)
        throw new ApiError('unauthorized');
      const isHome = domains.includes(addressParts(address).domain);
      const open = async () => {
        verifyLogin({ ...request, baseUrl, address });
        const login = { address, token: request.token, publicKey: request.public_key, now };
        return isHome ? openHome(login) : openRemote(login);
      };
      return { body: await countingLogins(db, { sender: address, now }, open()) };
    },
    destroy_session: async (call) => {
      await deleteSession(db, sessionOf(call).token_hash);
      return { body: undefined };
    },
  };
}

/** A login whose signature holds. */
type Login = { address: Address; token: Hex32; publicKey: Hex32; now: Date };

async function openSession(db: Executor, login: Login, scope: 'home' | 'remote') {
  const { address, now } = login;
  const token = toHex<Hex32>(randomBytes(TOKEN_BYTES));
  const expires = secondsLater(now, SESSION_SECONDS);
  await insertSession(db, {
    token_hash: sessionHash(token),
    login_token_hash: loginTokenDigest(login.token),
    address,
    scope,
    public_key: Buffer.from(login.publicKey, 'hex'),
    key_checked_at: now,
    created_at: now,
    last_used_at: now,
    expires_at: expires,
  });
  return { authentication_token: token, expires: formatTimestamp(seconds(expires)), scope };
}

function verifyLogin(login: {
  baseUrl: string;
  address: Address;
  token: Hex32;
  signed_token: string;
  public_key: Hex32;
}): void {
  const { baseUrl, address, token, public_key } = login;
  try {
    verifySignedHash(login.signed_token, loginDigest({ baseUrl, address, masterKey: public_key, token }), public_key);
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    throw new ApiError('unauthorized', { cause: error });
  }
}
