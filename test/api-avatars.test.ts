/** Avatars (SMIMP 0.1 §5): pictures by their bytes, signed by the present key, served where nothing else can be made of them. */
import { deflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isImage, MAX_AVATAR_SIDE } from '../src/api/image.ts';
import { type Address, encodePathSegment } from '../src/smimp/address.ts';
import { MAX_AVATAR_BYTES, MAX_AVATAR_REQUEST_BYTES } from '../src/smimp/api.ts';
import { masterKeyPair, randomBytes } from '../src/smimp/crypto.ts';
import type { Timestamp } from '../src/smimp/encoding.ts';
import { rotateRecord } from '../src/smimp/record.ts';
import { avatarDigest, signDigest } from '../src/smimp/transcript.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BASE_URL,
  BOB,
  CAROL,
  codeOf,
  keyOf,
  type Login,
  startApi,
  stranger,
} from './support/api-site.ts';

const DATE = '2026-03-01 09:00:00' as Timestamp;

function chunk(type: string, data: Buffer): Buffer {
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, Buffer.from(type, 'latin1'), data, checksum]);
}

const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');

function png({ width = 2, height = 3, sizeBytes = 0 } = {}): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  const parts = [PNG_SIGNATURE, chunk('IHDR', header), chunk('IDAT', deflateSync(Buffer.alloc(9)))];
  const end = chunk('IEND', Buffer.alloc(0));
  const missing = sizeBytes - Buffer.concat([...parts, end]).length - 12;
  return Buffer.concat([...parts, ...(missing >= 0 ? [chunk('tEXt', Buffer.alloc(missing, 65))] : []), end]);
}

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');
const FRAME = 'ffc0 000b 08 0003 0002 01 01 11 00';
const SCAN = 'ffda 0008 01 01 00 00 3f 00 12ff00ffd034';
const JPEG = bytes(`ffd8 ffe0 0004 0000 ${FRAME} ${SCAN} ffc4 0003 00 ${SCAN} ffd9`);

describe('a picture', () => {
  it.each([
    ['a PNG', 'image/png', png()],
    ['the largest PNG', 'image/png', png({ width: MAX_AVATAR_SIDE, height: MAX_AVATAR_SIDE })],
    ['a JPEG with two scans', 'image/jpeg', JPEG],
  ] as const)('is %s', (_name, type, image) => {
    expect(isImage(image, type)).toBe(true);
    expect(isImage(image, type === 'image/png' ? 'image/jpeg' : 'image/png')).toBe(false);
    for (let length = 0; length < image.length; length += 1) {
      expect(isImage(image.subarray(0, length), type), `${length}`).toBe(false);
    }
    expect(isImage(Buffer.concat([image, Buffer.from('<script>')]), type)).toBe(false);
  });

  it.each([
    ['a PNG too wide', 'image/png', png({ width: MAX_AVATAR_SIDE + 1 })],
    ['a PNG too high', 'image/png', png({ height: 2 ** 31 - 1 })],
    ['a PNG of no width', 'image/png', png({ width: 0 })],
    ['a PNG that ends twice', 'image/png', Buffer.concat([png(), chunk('IEND', Buffer.alloc(0))])],
    ['a PNG with something in its end', 'image/png', Buffer.concat([png().subarray(0, -12), chunk('IEND', JPEG)])],
    ['a PNG without pixels', 'image/png', Buffer.concat([png().subarray(0, 33), chunk('IEND', Buffer.alloc(0))])],
    ['a JPEG too wide', 'image/jpeg', bytes(`ffd8 ffc0 000b 08 0003 0801 01 01 11 00 ${SCAN} ffd9`)],
    ['a JPEG without a scan', 'image/jpeg', bytes(`ffd8 ${FRAME} ffd9`)],
    ['a JPEG without a frame', 'image/jpeg', bytes(`ffd8 ${SCAN} ffd9`)],
    ['a JPEG whose segment has no length', 'image/jpeg', bytes(`ffd8 ffe0 0000 ${FRAME} ${SCAN} ffd9`)],
    ['an SVG', 'image/png', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['a GIF', 'image/png', Buffer.from('GIF89a\x01\x00\x01\x00\x00\x00\x00;', 'latin1')],
  ] as const)('is not %s', (_name, type, image) => {
    expect(isImage(image, type)).toBe(false);
  });

  it('is decided for any bytes', () => {
    for (let n = 0; n < 2_000; n += 1) {
      const [base, type] = n % 2 === 0 ? ([png(), 'image/png'] as const) : ([JPEG, 'image/jpeg'] as const);
      const damaged = Buffer.from(base);
      const [at = 0, value = 0] = randomBytes(2);
      damaged[at % damaged.length] = value;
      expect(isImage(damaged, type)).toBeTypeOf('boolean');
    }
  });
});

describe('an avatar', () => {
  let site: ApiSite;
  let bob: Account;
  let home: Login;
  beforeAll(async () => {
    site = await startApi();
    bob = await site.account(BOB);
    home = await site.logIn(bob);
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const path = (address: Address = BOB) => `/0.1/user_avatar/${encodePathSegment(address)}`;
  const signed = (image: Buffer, { by = bob as Pick<Account, 'master'>, type = 'image/png', date = DATE } = {}) => ({
    image: image.toString('base64'),
    content_type: type,
    date,
    signed_hash: signDigest(by.master.secretKey, avatarDigest({ address: BOB, contentType: type, date, image })),
  });
  const post = (body: unknown, token = home.token) => site.post('/0.1/user_avatar', body, token);
  const facts = async () => answerOf('get_user_avatar', await site.get(path()));
  const fetchImage = async (url: string, headers = {}) => site.send({ path: url.replace(BASE_URL, ''), headers });

  it('is posted by its owner only', async () => {
    expect(codeOf(await site.send({ method: 'POST', path: '/0.1/user_avatar', body: '{}' }))).toBe('unauthorized');
    const remote = await site.logIn(stranger(site, ALICE));
    expect(codeOf(await post(signed(png()), remote.token))).toBe('forbidden');
  });

  it('is none at first, and of nobody', async () => {
    expect(codeOf(await site.get(path()))).toBe('not_found');
    expect(codeOf(await site.get(path(CAROL)))).toBe('unknown_user');
  });

  it('is given with its signature, and its picture as a picture', async () => {
    const avatar = signed(png());
    expect((await post(avatar)).status).toBe(204);
    const { url, ...rest } = await facts();
    expect(rest).toEqual({ content_type: 'image/png', date: DATE, signed_hash: avatar.signed_hash });
    expect(url.startsWith(`${BASE_URL}/`)).toBe(true);
    expect(new URL(url).href).toBe(url);
    const served = await fetchImage(url);
    expect(served.status).toBe(200);
    expect(served.headers).toMatchObject({
      'content-type': 'image/png',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-cache',
      'content-length': String(png().length),
      etag: expect.stringMatching(/^"[0-9a-f]+"$/),
    });
    const etag = served.headers.etag ?? '';
    expect((await fetchImage(url, { 'if-none-match': etag })).status).toBe(304);
    expect((await fetchImage(url, { 'if-none-match': '"other"' })).status).toBe(200);
    expect(codeOf(await site.send({ method: 'POST', path: url.replace(BASE_URL, '') }))).toBe('method_not_allowed');
    expect(codeOf(await site.get(`${path()}/${'0'.repeat(192)}`))).toBe('not_found');
    expect(codeOf(await site.get(`${path()}/x`))).toBe('not_found');
    // Another one has another address, and the first is gone.
    expect((await post(signed(JPEG, { type: 'image/jpeg' }))).status).toBe(204);
    expect((await facts()).url).not.toBe(url);
    expect(codeOf(await fetchImage(url))).toBe('not_found');
    expect((await fetchImage((await facts()).url)).headers['content-type']).toBe('image/jpeg');
  });

  it('is refused when it is no picture, or not signed as it stands', async () => {
    const before = await facts();
    const good = signed(png());
    expect(codeOf(await post({ ...good, name: 'x' }))).toBe('bad_request');
    expect(codeOf(await post({ ...good, date: '2026-02-30 09:00:00' }))).toBe('bad_request');
    expect(codeOf(await post({ ...good, content_type: 'image/gif' }))).toBe('bad_request');
    expect(codeOf(await post({ ...good, content_type: 'image/jpeg' }))).toBe('bad_image');
    expect(codeOf(await post(signed(Buffer.from('<svg/>'))))).toBe('bad_image');
    expect(codeOf(await post({ ...good, date: '2026-03-01 09:00:01' }))).toBe('bad_signature');
    expect(codeOf(await post({ ...good, image: png({ width: 9 }).toString('base64') }))).toBe('bad_signature');
    expect(codeOf(await post(signed(png(), { by: { master: masterKeyPair() } })))).toBe('bad_signature');
    expect(await facts()).toEqual(before);
  });

  it('may have 256 KiB, in a request of its own limit, which holds while it streams', async () => {
    expect((await post(signed(png({ sizeBytes: MAX_AVATAR_BYTES })))).status).toBe(204);
    const large = await fetchImage((await facts()).url);
    expect(large.headers['content-length']).toBe(String(MAX_AVATAR_BYTES));
    expect(codeOf(await post(signed(png({ sizeBytes: MAX_AVATAR_BYTES + 1 }))))).toBe('bad_image');
    const padded = (size: number) => JSON.stringify(signed(png())).padEnd(size, ' ');
    const raw = (body: string) =>
      site.send({
        ...{ method: 'POST', path: '/0.1/user_avatar', token: home.token, body },
        headers: { 'content-type': 'application/json' },
      });
    expect((await raw(padded(MAX_AVATAR_REQUEST_BYTES))).status).toBe(204);
    expect(codeOf(await raw(padded(MAX_AVATAR_REQUEST_BYTES + 1)))).toBe('too_large');
  });

  it('goes with a change of key', async () => {
    expect((await post(signed(png()))).status).toBe(204);
    const { url } = await facts();
    const newKey = masterKeyPair();
    const now = Math.floor(site.now.getTime() / 1000);
    const profile = { name: 'Bob' };
    const renamed = rotateRecord({ previous: bob.record, signer: bob.master, now, profile });
    expect((await site.post('/0.1/update_profile', { record: renamed }, home.token)).status).toBe(200);
    expect((await facts()).url).toBe(url);
    const record = rotateRecord({ previous: renamed, signer: bob.master, now, profile: {}, newKey });
    const nonephemeral_key = keyOf({ address: BOB, master: newKey }, 'non-ephemeral', site.now);
    const change = { record, nonephemeral_key, ephemeral_keys: [] };
    expect((await site.post('/0.1/update_profile', change, home.token)).status).toBe(200);
    expect(codeOf(await site.get(path()))).toBe('not_found');
    expect(codeOf(await fetchImage(url))).toBe('not_found');
  });
});
