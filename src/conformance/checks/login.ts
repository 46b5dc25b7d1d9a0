/** Logging in, and what a session is good for (SMIMP 0.1 §5.4). */

import { parseAddress } from '../../smimp/address.ts';
import { LOGIN_TOKEN_SECONDS, SESSION_SECONDS } from '../../smimp/api.ts';
import { masterKeyPair } from '../../smimp/crypto.ts';
import { parseTimestamp } from '../../smimp/encoding.ts';
import { accepted, type Check, demand, named, refused } from '../check.ts';
import { askToken, type LoginBody, logIn, newMember, postLogin, signLogin } from '../member.ts';
import type { World } from '../world.ts';

/** Clocks of two machines, and the time a request takes. */
const CLOCK_SECONDS = 90;

export const loginChecks: readonly Check[] = [
  {
    id: 'login.token-for-anybody',
    title: 'A token is given for any well-formed address, whether it has an account or not',
    rules: ['R-5.4-1', 'R-5.4-7'],
    level: 'anonymous',
    async run(world) {
      const seen = new Set<string>();
      for (const address of [await world.nobody(), parseAddress(`${world.marker}#example.org`)]) {
        const answer = await world.probe.call('get_create_session', { params: { a: address } });
        const { token, expires } = accepted('get_create_session', answer);
        const left = parseTimestamp(String(expires)) - world.now();
        demand(Math.abs(left - LOGIN_TOKEN_SECONDS) <= CLOCK_SECONDS, 'a token of 120 seconds', `${left} seconds`);
        demand(!seen.has(token), 'another token each time', 'the same again');
        seen.add(token);
      }
    },
  },
  {
    id: 'login.refusal-alike',
    title: 'Who has no account and who signs wrongly are refused in the same words',
    rules: ['R-5.4-5'],
    level: 'anonymous',
    async run(world) {
      const nobody = newMember(await world.nobody(), world.now());
      const right = signLogin(nobody, { token: await askToken(world.probe, nobody.address), baseUrl: world.baseUrl });
      const answers = [await postLogin(world.probe, nobody.address, right)];
      const next = await askToken(world.probe, nobody.address);
      answers.push(await postLogin(world.probe, nobody.address, { ...right, token: next }));
      for (const answer of answers) refused(answer, 'unauthorized');
      demand(answers[0]?.text === answers[1]?.text, 'the same answer', 'another');
    },
  },
  {
    id: 'login.works',
    title: 'The owner gets a session of scope home for 24 hours',
    rules: ['R-5.4-2', 'R-5.4-6', 'R-5.4-9'],
    level: 'owner',
    async run(world) {
      const { answer } = await login(world, {});
      const { expires, scope } = accepted('post_create_session', answer);
      const left = parseTimestamp(String(expires)) - world.now();
      demand(Math.abs(left - SESSION_SECONDS) <= CLOCK_SECONDS, '24 hours', `${left} seconds`);
      demand(scope === 'home', 'scope home', String(scope));
    },
  },
  bound('base-url', 'A login that was signed for another server is refused', (world) => ({
    baseUrl: world.baseUrl.replace('https://', 'https://not.'),
  })),
  bound('address', 'A login that was signed for another address is refused', () => ({
    address: parseAddress('somebody#example.org'),
  })),
  {
    id: 'login.binds-key',
    title: 'A login by another key than the present master key is refused, as if there were no account',
    rules: ['R-5.4-2', 'R-5.4-4', 'R-5.4-5'],
    level: 'owner',
    async run(world) {
      const { address } = await world.owner();
      const stranger = { address, master: masterKeyPair() };
      const token = await askToken(world.probe, address);
      refused(
        await postLogin(world.probe, address, signLogin(stranger, { token, baseUrl: world.baseUrl })),
        'unauthorized',
      );
    },
  },
  {
    id: 'login.binds-token',
    title: 'A token that was given for another address is refused',
    rules: ['R-5.4-1', 'R-5.4-2'],
    level: 'owner',
    async run(world) {
      const owner = await world.owner();
      const token = await askToken(world.probe, await world.nobody());
      const body = signLogin(owner, { token, baseUrl: world.baseUrl });
      refused(await postLogin(world.probe, owner.address, body), 'unauthorized');
    },
  },
  {
    id: 'login.token-once',
    title: 'A token is good for one login',
    rules: ['R-5.4-1', 'R-5.4-3'],
    level: 'owner',
    async run(world) {
      const { answer, body } = await login(world, {});
      accepted('post_create_session', answer);
      refused(await postLogin(world.probe, (await world.owner()).address, body), 'unauthorized');
    },
  },
  {
    id: 'login.token-used-by-failure',
    title: 'A token is used up by a login that fails',
    rules: ['R-5.4-3'],
    level: 'owner',
    async run(world) {
      const owner = await world.owner();
      const token = await askToken(world.probe, owner.address);
      const right = signLogin(owner, { token, baseUrl: world.baseUrl });
      const wrong = signLogin(owner, { token, baseUrl: `${world.baseUrl}/other` });
      refused(await postLogin(world.probe, owner.address, wrong), 'unauthorized');
      refused(await postLogin(world.probe, owner.address, right), 'unauthorized');
    },
  },
  {
    id: 'login.token-expires',
    title: 'A token is no longer good after 120 seconds',
    rules: ['R-5.4-1'],
    level: 'owner',
    async run(world) {
      const owner = await world.owner();
      const token = await askToken(world.probe, owner.address);
      await world.wait(LOGIN_TOKEN_SECONDS + 1);
      const body = signLogin(owner, { token, baseUrl: world.baseUrl });
      refused(await postLogin(world.probe, owner.address, body), 'unauthorized');
    },
  },
  {
    id: 'session.header-only',
    title: 'A session token is no use in a query, a cookie or another header',
    rules: ['R-2.7-2', 'R-2.7-3'],
    level: 'owner',
    async run({ probe, owner }) {
      const { token } = (await owner()).session;
      accepted('get_nonephemeral_key', await probe.call('get_nonephemeral_key', { token }));
      const places: Record<string, string>[] = [
        { authorization: `Bearer ${token}` },
        { cookie: `SMIMP-Authentication=${token}` },
      ];
      for (const headers of places) refused(await probe.call('get_nonephemeral_key', { headers }), 'unauthorized');
      const query = `?SMIMP-Authentication=${token}`;
      refused(await probe.call('get_nonephemeral_key', { query }), 'unauthorized', 'bad_request');
    },
  },
  {
    id: 'session.destroyed',
    title: 'A session that was destroyed is worth nothing',
    rules: ['R-5.4-10'],
    level: 'owner',
    async run(world) {
      const { token } = await logIn(world.probe, await world.owner());
      const done = await world.probe.call('destroy_session', { token });
      accepted('destroy_session', done);
      const after = await world.probe.call('get_nonephemeral_key', { token });
      demand(after.status === 401, '401 afterwards', named(after));
    },
  },
];

/** A signature over something else than this login. */
function bound(what: string, title: string, other: (world: World) => Omit<Partial<Signed>, 'token'>): Check {
  return {
    id: `login.binds-${what}`,
    title,
    rules: ['R-1.3-3', 'R-2.3-1', 'R-5.4-2'],
    level: 'owner',
    async run(world) {
      refused((await login(world, other(world))).answer, 'unauthorized');
    },
  };
}

type Signed = Parameters<typeof signLogin>[1];

async function login(world: World, other: Omit<Partial<Signed>, 'token'>) {
  const owner = await world.owner();
  const token = await askToken(world.probe, owner.address);
  const body: LoginBody = signLogin(owner, { token, baseUrl: world.baseUrl, ...other });
  return { body, answer: await postLogin(world.probe, owner.address, body) };
}
