/** The picture of a user (SMIMP 0.1 §5.3). */
import { MAX_AVATAR_BYTES } from '../../smimp/api.ts';
import { masterKeyPair } from '../../smimp/crypto.ts';
import { formatTimestamp } from '../../smimp/encoding.ts';
import { avatarDigest, signDigest } from '../../smimp/transcript.ts';
import type { Answer } from '../answer.ts';
import { accepted, type Check, demand, refused } from '../check.ts';
import type { Resident, World } from '../world.ts';
import { rotate } from './identity.ts';

const owner = (check: Omit<Check, 'level' | 'needs'>): Check => ({
  ...check,
  level: 'owner',
  needs: ['get_user_avatar', 'post_user_avatar'],
});

/** One transparent point. */
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
  'base64',
);

export const avatarChecks: readonly Check[] = [
  owner({
    id: 'avatar.works',
    title: 'A picture that its owner signed is shown with its signature, at a URL below the base URL',
    rules: ['R-5.3-6'],
    async run(world) {
      const request = avatarOf(await world.owner(), PNG, world.now());
      accepted('post_user_avatar', await put(world, request));
      const shown = accepted('get_user_avatar', await get(world));
      demand(shown.signed_hash === request.signed_hash && shown.date === request.date, 'what was signed', 'another');
      demand(shown.url.startsWith(`${world.baseUrl}/`), 'a URL below the base URL', 'another');
      const { origin } = new URL(world.baseUrl);
      const picture = await world.probe.raw({ path: shown.url.slice(origin.length) });
      demand(
        picture.status === 200 && picture.headers['content-type'] === 'image/png',
        'the picture',
        `${picture.status}`,
      );
    },
  }),
  owner({
    id: 'avatar.refused',
    title: 'What is no PNG or JPEG, too large, or signed by another key is refused',
    rules: ['R-5.3-6'],
    async run(world) {
      const member = await world.owner();
      const large = Buffer.concat([PNG, Buffer.alloc(MAX_AVATAR_BYTES)]);
      refused(await put(world, avatarOf(member, Buffer.from('no picture at all'), world.now())), 'bad_image');
      refused(await put(world, avatarOf(member, large, world.now())), 'too_large', 'bad_image');
      const foreign = avatarOf({ ...member, master: masterKeyPair() }, PNG, world.now());
      refused(await put(world, foreign), 'bad_signature');
    },
  }),
  owner({
    id: 'avatar.dropped',
    title: 'A picture goes with the master key that signed it',
    rules: ['R-5.3-7', 'R-5.7-8'],
    async run(world) {
      const member = await world.owner();
      accepted('post_user_avatar', await put(world, avatarOf(member, PNG, world.now())));
      await rotate(world, member);
      demand((await get(world)).status === 404, 'no picture', 'one');
    },
  }),
];

function avatarOf(member: Resident, image: Buffer, now: number) {
  const [contentType, date] = ['image/png', formatTimestamp(now)];
  const digest = avatarDigest({ address: member.address, contentType, date, image });
  const signed_hash = signDigest(member.master.secretKey, digest);
  return { image: image.toString('base64'), content_type: contentType, date, signed_hash };
}

async function put({ probe, owner: home }: World, request: unknown): Promise<Answer> {
  return probe.call('post_user_avatar', { token: (await home()).session.token, request });
}

async function get({ probe, owner: home }: World): Promise<Answer> {
  return probe.call('get_user_avatar', { params: { a: (await home()).address } });
}
