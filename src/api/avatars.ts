/**
 * `user_avatar` (SMIMP 0.1 §5): a picture signed by its owner's present master key, and the picture itself at an address of
 * its own below the base URL. That address names the signature, so another picture has another one.
 */
import type { FastifyInstance } from 'fastify';
import type { Address } from '../smimp/address.ts';
import { encodePathSegment } from '../smimp/address.ts';
import { API_PREFIX, MAX_AVATAR_BYTES } from '../smimp/api.ts';
import { isHex, parseBase64, type SignedHash, type Timestamp, toHex } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { avatarDigest, verifySignedHash } from '../smimp/transcript.ts';
import { findAvatar, findAvatarImage, setAvatar } from '../store/avatars.ts';
import { lockMailbox } from '../store/folders.ts';
import { type ApiServices, type Call, type Handlers, ownerOf } from './call.ts';
import { ApiError } from './errors.ts';
import { currentIdentity } from './identity.ts';
import { isImage } from './image.ts';

const IMAGE_PATH = 'user_avatar/:a/:signed';
const SIGNED_HASH_BYTES = 96;

export function avatarHandlers(services: ApiServices): Handlers {
  const { db, baseUrl } = services;
  return {
    get_user_avatar: async ({ params: { a: address } }) => {
      const { accountId } = await currentIdentity(db, address);
      const avatar = await findAvatar(db, accountId);
      if (avatar === undefined) throw new ApiError('not_found');
      const signed_hash = toHex<SignedHash>(avatar.signed_hash);
      const url = `${baseUrl}${API_PREFIX}user_avatar/${encodePathSegment(address)}/${signed_hash}`;
      return { body: { url, content_type: avatar.content_type, date: avatar.date as Timestamp, signed_hash } };
    },
    post_user_avatar: async (call) => {
      await post(services, call);
      return { body: undefined };
    },
  };
}

/** Verified under the mailbox lock: a picture under the old key must not stay behind a change of key. */
async function post({ db }: ApiServices, call: Call<'post_user_avatar'>): Promise<void> {
  const { accountId, address } = ownerOf(call);
  const { content_type, date, signed_hash } = call.request;
  const image = parseBase64(call.request.image);
  if (image.length > MAX_AVATAR_BYTES || !isImage(image, content_type)) throw new ApiError('bad_image');
  const digest = avatarDigest({ address, contentType: content_type, date, image });
  await db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    const { publicKey } = await currentIdentity(tx, address);
    requireSignature(signed_hash, digest, publicKey);
    const signed = Buffer.from(signed_hash, 'hex');
    await setAvatar(tx, { account_id: accountId, image, content_type, date, signed_hash: signed });
  });
}

function requireSignature(signedHash: string, digest: Buffer, publicKey: string): void {
  try {
    verifySignedHash(signedHash, digest, publicKey);
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    throw new ApiError('bad_signature', { cause: error });
  }
}

/** What browsers must not do with bytes that somebody else chose. */
const IMAGE_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox",
  // It ends with a change of key: whoever kept it asks again.
  'cache-control': 'no-cache',
} as const;

/** Serves the pictures themselves; the path of the route, for whoever refuses other methods there. */
export function addAvatarImages(app: FastifyInstance, { db }: ApiServices, basePath: string): string {
  const url = `${basePath}${API_PREFIX}${IMAGE_PATH}`;
  app.get<{ Params: { a: Address; signed: string } }>(url, async (request, reply) => {
    const { a: address, signed } = request.params;
    if (!isHex(signed, SIGNED_HASH_BYTES)) throw new ApiError('not_found');
    const found = await findAvatarImage(db, { address, signedHash: Buffer.from(signed, 'hex') });
    if (found === undefined) throw new ApiError('not_found');
    const etag = `"${signed}"`;
    reply.headers({ ...IMAGE_HEADERS, etag });
    if (request.headers['if-none-match'] === etag) return reply.code(304).send();
    return reply.type(found.content_type).send(found.image);
  });
  return url;
}
