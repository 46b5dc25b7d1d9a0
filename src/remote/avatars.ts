/** Avatars (SMIMP 0.1 §5): a picture counts only with the signature of its owner's present master key. */
import type { z } from 'zod';
import type { Address } from '../smimp/address.ts';
import { type avatarAnswer, type avatarRequest, MAX_AVATAR_BYTES } from '../smimp/api.ts';
import type { MasterKeyPair } from '../smimp/crypto.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { formatTimestamp, type Hex32, parseTimestamp, toBase64 } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { avatarDigest, signDigest, verifySignedHash } from '../smimp/transcript.ts';
import { CALL_TIMEOUT_MS, call } from './call.ts';
import { RemoteError } from './errors.ts';
import type { Session } from './home.ts';
import type { Https } from './https.ts';

type AvatarFacts = z.output<typeof avatarAnswer>;
export type NewAvatar = z.output<typeof avatarRequest>;
/** Verified. `date` in unix seconds. */
export type Avatar = { contentType: AvatarFacts['content_type']; date: number; image: Buffer };

export interface AvatarCalls {
  /** The picture, if its signature holds under `masterKey`; null when there is none. */
  avatar(baseUrl: BaseUrl, user: { address: Address; masterKey: Hex32 }): Promise<Avatar | null>;
  setAvatar(session: Session, avatar: NewAvatar): Promise<void>;
}

/** What to post for a picture. `now` in unix seconds. */
export function signAvatar(input: {
  address: Address;
  master: MasterKeyPair;
  contentType: AvatarFacts['content_type'];
  image: Uint8Array;
  now: number;
}): NewAvatar {
  const { address, master, contentType, image } = input;
  const date = formatTimestamp(input.now);
  const signed_hash = signDigest(master.secretKey, avatarDigest({ address, contentType, date, image }));
  return { image: toBase64(image), content_type: contentType, date, signed_hash };
}

export function avatarCalls(https: Https, timed: { timeoutMs?: number }): AvatarCalls {
  /** The image must lie under the base URL: nobody is sent elsewhere to look at a picture. */
  const fetchImage = async (baseUrl: BaseUrl, { url, content_type }: AvatarFacts): Promise<Buffer> => {
    const target = URL.canParse(url) && url.startsWith(`${baseUrl}/`) ? new URL(url) : null;
    if (target?.href !== url || !url.startsWith('https://')) throw new RemoteError('bad-response');
    const answer = await https.request({
      method: 'GET',
      url: target,
      headers: { accept: content_type },
      maxBytes: MAX_AVATAR_BYTES,
      timeoutMs: timed.timeoutMs ?? CALL_TIMEOUT_MS,
    });
    if (answer.status !== 200) throw new RemoteError('api', { status: answer.status });
    return answer.body;
  };

  return {
    async avatar(baseUrl, { address, masterKey }) {
      const facts = await avatarFacts(https, { baseUrl, params: { a: address }, ...timed });
      if (facts === null) return null;
      const image = await fetchImage(baseUrl, facts);
      const { content_type: contentType, date, signed_hash } = facts;
      try {
        verifySignedHash(signed_hash, avatarDigest({ address, contentType, date, image }), masterKey);
      } catch (cause) {
        if (cause instanceof ProfileError) throw new RemoteError('bad-response', { cause });
        throw cause;
      }
      return { contentType, date: parseTimestamp(date), image };
    },
    async setAvatar({ baseUrl, token }, avatar) {
      await call(https, 'post_user_avatar', { baseUrl, token, request: avatar, ...timed });
    },
  };
}

/** A user without a picture is 404 `not_found`; one that does not exist is an error. */
async function avatarFacts(
  https: Https,
  ask: Parameters<typeof call<'get_user_avatar'>>[2],
): Promise<AvatarFacts | null> {
  try {
    return (await call(https, 'get_user_avatar', ask)).answer;
  } catch (error) {
    if (error instanceof RemoteError && error.apiCode === 'not_found') return null;
    throw error;
  }
}
