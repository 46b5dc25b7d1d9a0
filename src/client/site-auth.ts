/**
 * "Log in with SMIMP" on web sites (SMIMP 0.1 §1.3, `site-auth`): the site draws a token, the user's client signs it for
 * exactly that origin, the site verifies under the key that the user's history shows.
 */
import { z } from 'zod';
import type { Contact } from '../identity/contact.ts';
import { type Address, isDomain } from '../smimp/address.ts';
import { type MasterKeyPair, randomBytes } from '../smimp/crypto.ts';
import { type Branded, type Hex32, isHex, toHex } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { address, hex32, parseFields, signedHash } from '../smimp/fields.ts';
import { signDigest, siteAuthDigest, verifySignedHash } from '../smimp/transcript.ts';

/** `https://host[:port]`, lowercase, no slash: what a browser calls the origin of a page. */
export type Origin = Branded<'Origin'>;

export type SiteAuthErrorCode =
  /** Not `https://host[:port]` in lowercase, or a host that is no domain. */
  | 'origin-form'
  /** Not 32 bytes in lowercase hex. */
  | 'token-form'
  /** The answer is not `{address, public_key, signed_hash}`. */
  | 'answer-form'
  /** The user's identity is in doubt; the contact says why. */
  | 'blocked'
  /** The user's server cannot be asked now. */
  | 'unavailable'
  | 'unknown-user'
  /** Signed by a key that is not the user's present one. */
  | 'other-key'
  /** Not a signature over this origin, address, key and token. */
  | 'bad-signature';

export class SiteAuthError extends Error {
  override readonly name = 'SiteAuthError';
  readonly code: SiteAuthErrorCode;

  constructor(code: SiteAuthErrorCode, options: { cause?: unknown } = {}) {
    super(`site-auth: ${code}`, options);
    this.code = code;
  }
}

const ORIGIN = /^https:\/\/([a-z0-9.-]+)(?::([1-9][0-9]{0,4}))?$/;
const DEFAULT_PORT = 443;
const MAX_PORT = 65_535;
const TOKEN_BYTES = 32;

/** The origin in its one form: browsers leave out port 443, so here it is refused. Throws SiteAuthError `origin-form`. */
export function parseOrigin(text: string): Origin {
  const [, host = '', port] = ORIGIN.exec(text) ?? [];
  const isPort = port === undefined || (Number(port) <= MAX_PORT && Number(port) !== DEFAULT_PORT);
  if (!isDomain(host) || !isPort) throw new SiteAuthError('origin-form');
  return text as Origin;
}

/** Throws SiteAuthError `token-form`. */
export function parseSiteToken(text: string): Hex32 {
  if (!isHex(text, TOKEN_BYTES)) throw new SiteAuthError('token-form');
  return text as Hex32;
}

/** What a site draws for each login. It remembers it for the browser it gave it to, and takes it once. */
export function newSiteToken(): Hex32 {
  return toHex(randomBytes(TOKEN_BYTES));
}

const answerSchema = z.object({ address, public_key: hex32, signed_hash: signedHash });
/** What the user's client gives to the site. */
export type SiteAuthAnswer = z.infer<typeof answerSchema>;

/** Signs in. `origin` is what the user sees in the address bar. Throws SiteAuthError `origin-form`, `token-form`. */
export function signSiteAuth(login: {
  origin: string;
  token: string;
  address: Address;
  master: MasterKeyPair;
}): SiteAuthAnswer {
  const { address, master } = login;
  const masterKey = toHex(master.publicKey);
  const digest = siteAuthDigest({
    origin: parseOrigin(login.origin),
    token: parseSiteToken(login.token),
    ...{ address, masterKey },
  });
  return { address, public_key: masterKey, signed_hash: signDigest(master.secretKey, digest) };
}

/**
 * Verifies an answer for a web site: finds the user's server, verifies the history, compares with what the site pinned of
 * this user, and checks the signature under the present key. `origin` and `token` are the site's own, never the browser's
 * word. Returns the user. Throws SiteAuthError.
 */
export async function verifySiteAuth(
  resolve: (address: Address) => Promise<Contact>,
  login: { origin: string; token: string; answer: unknown },
): Promise<{ address: Address; publicKey: Hex32; contact: Contact }> {
  const origin = parseOrigin(login.origin);
  const token = parseSiteToken(login.token);
  const answer = readAnswer(login.answer);
  const contact = await resolve(answer.address);
  if (contact.history === null) throw new SiteAuthError(REFUSALS[contact.sending]);
  const masterKey = contact.history.currentKey;
  if (answer.public_key !== masterKey) throw new SiteAuthError('other-key');
  const digest = siteAuthDigest({ origin, token, address: answer.address, masterKey });
  try {
    verifySignedHash(answer.signed_hash, digest, masterKey);
  } catch (cause) {
    if (cause instanceof ProfileError) throw new SiteAuthError('bad-signature', { cause });
    throw cause;
  }
  return { address: answer.address, publicKey: masterKey, contact };
}

const REFUSALS: Readonly<Record<Contact['sending'], SiteAuthErrorCode>> = {
  allowed: 'unavailable',
  queued: 'unavailable',
  blocked: 'blocked',
  impossible: 'unknown-user',
};

function readAnswer(answer: unknown): SiteAuthAnswer {
  try {
    return parseFields(answerSchema, answer);
  } catch (cause) {
    if (cause instanceof ProfileError) throw new SiteAuthError('answer-form', { cause });
    throw cause;
  }
}
