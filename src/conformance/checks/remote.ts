/** Users of another server, whose keys the tested one must fetch (SMIMP 0.1 §5.4): the kit is that other server. */
import type { Address } from '../../smimp/address.ts';
import { MAX_KEYS_PER_SENDER_DAY, MAX_POOL_SHARE_PER_DOMAIN_DAY, SENDER_KEY_FRESH_SECONDS } from '../../smimp/api.ts';
import { masterKeyPair } from '../../smimp/crypto.ts';
import type { Answer } from '../answer.ts';
import { accepted, type Check, demand, notRun, refused } from '../check.ts';
import type { Counterpart } from '../counterpart.ts';
import { askKey, post, prepare, proofFor, signFor } from '../letters.ts';
import { askToken, logIn, type Member, nextRecord, postLogin, signLogin } from '../member.ts';
import { POOL_SIZE, type World } from '../world.ts';

const counterpart = (check: Omit<Check, 'level'>): Check => ({ ...check, level: 'counterpart' });
/** Long enough for several requests to meet, short enough for every time limit. */
const SLOW_MS = 400;
const AT_ONCE = 4;
/** Work that can be done some fifty times: a tenth of a second each. */
const MANY_TIMES_BITS = 17;

export const remoteChecks: readonly Check[] = [
  counterpart({
    id: 'remote.get-fetches-nothing',
    title: 'Asking for a token makes the server ask nobody',
    rules: ['R-5.4-7'],
    async run(world) {
      const there = counterpartOf(world);
      const before = there.requests();
      await askToken(world.probe, there.newUser(world.now()).address);
      demand(there.requests() === before, 'no request to the other server', `${there.requests() - before}`);
    },
  }),
  counterpart({
    id: 'remote.signature-first',
    title: 'A login whose signature is wrong makes the server ask nobody',
    rules: ['R-5.4-4'],
    async run(world) {
      const there = counterpartOf(world);
      const user = there.newUser(world.now());
      const token = await askToken(world.probe, user.address);
      const body = signLogin(user, { token, baseUrl: `${world.baseUrl}/other` });
      refused(await postLogin(world.probe, user.address, body), 'unauthorized');
      demand(
        there.requestsAbout(user.address) === 0,
        'no request about the user',
        `${there.requestsAbout(user.address)}`,
      );
    },
  }),
  counterpart({
    id: 'remote.login',
    title: 'A user of another server gets a session of scope remote',
    rules: ['R-5.4-4', 'R-5.4-6'],
    async run(world) {
      const user = counterpartOf(world).newUser(world.now());
      const { scope } = await logIn(world.probe, user);
      demand(scope === 'remote', 'scope remote', String(scope));
    },
  }),
  counterpart({
    id: 'remote.other-key',
    title: 'A login by a key that the other server does not name is refused',
    rules: ['R-5.4-2', 'R-5.4-4'],
    async run(world) {
      const user = counterpartOf(world).newUser(world.now());
      refused(await login(world, { ...user, master: masterKeyPair() }), 'unauthorized');
    },
  }),
  counterpart({
    id: 'remote.unknown',
    title: 'A user whom the other server does not know is refused like any other login',
    rules: ['R-5.4-5'],
    async run(world) {
      const there = counterpartOf(world);
      const { master } = there.newUser(world.now());
      refused(await login(world, { address: there.nobody(), master }), 'unauthorized');
    },
  }),
  counterpart({
    id: 'remote.unreachable',
    title: 'When the key cannot be had, the login is 502 or 504 and not refused',
    rules: ['R-5.4-8'],
    async run(world) {
      const there = counterpartOf(world);
      const user = there.newUser(world.now());
      there.broken(true);
      const answer = await login(world, user).finally(() => there.broken(false));
      refused(answer, 'bad_gateway', 'gateway_timeout');
    },
  }),
  counterpart({
    id: 'remote.single-flight',
    title: 'Many logins of one user at once make one request',
    rules: ['R-5.4-8'],
    async run(world) {
      const there = counterpartOf(world);
      const user = there.newUser(world.now());
      const answers = await slowly(there, () =>
        atOnce(
          Array.from({ length: AT_ONCE }, () => user),
          world,
        ),
      );
      for (const answer of answers) accepted('post_create_session', answer);
      demand(there.requestsAbout(user.address) === 1, 'one request', `${there.requestsAbout(user.address)}`);
    },
  }),
  counterpart({
    id: 'remote.two-at-once',
    title: 'At most two keys of one domain are fetched at once',
    rules: ['R-5.4-8'],
    async run(world) {
      const there = counterpartOf(world);
      const users = Array.from({ length: AT_ONCE }, () => there.newUser(world.now()));
      there.mostAtOnce();
      for (const answer of await slowly(there, () => atOnce(users, world))) accepted('post_create_session', answer);
      const most = there.mostAtOnce();
      demand(most <= 2, 'at most 2 requests at once', `${most}`);
    },
  }),
  counterpart({
    id: 'remote.forbidden',
    title: 'A remote session may not use what belongs to the owner of a mailbox',
    rules: ['R-5.1-2'],
    async run(world) {
      const { token } = (await visitor(world)).session;
      const params = { type: 'email' };
      for (const name of ['get_inbox', 'get_changes', 'get_ephemeral_keys', 'get_nonephemeral_key'] as const)
        refused(await world.probe.call(name, { params, token }), 'forbidden');
    },
  }),
  counterpart({
    id: 'remote.sends',
    title: 'A remote user sends a message, for the work that is asked',
    rules: ['R-4.3-2', 'R-5.5-10', 'R-5.5-13'],
    async run(world) {
      const { address: recipient } = await world.owner();
      const from = await visitor(world);
      const { envelope } = await prepare(world.probe, from, recipient);
      accepted('send_message', await post(world.probe, from, recipient, envelope));
    },
  }),
  counterpart({
    id: 'remote.work-bits',
    title: 'A remote user who works too little is refused',
    rules: ['R-4.3-2', 'R-5.5-10'],
    async run(world) {
      const { address: recipient } = await world.owner();
      const from = await visitor(world);
      const { sealed, work } = await prepare(world.probe, from, recipient);
      if (work.zeroBits === 0) throw notRun('the server asks no work of remote users');
      const proofOfWork = proofFor({ sealed, session: from.session, recipient, work, enough: false });
      refused(await post(world.probe, from, recipient, signFor(from, { recipient, sealed, proofOfWork })), 'bad_pow');
    },
  }),
  counterpart({
    id: 'remote.domain-limit',
    title: 'The users of one domain get at most a quarter of the pool a day, then the non-ephemeral key',
    rules: ['R-5.5-3', 'R-5.5-4'],
    async run(world) {
      const { address: recipient } = await world.owner();
      const given = [await takeKeys(world, recipient), await takeKeys(world, recipient)];
      const [first = 0, second = 0] = given;
      demand(first <= MAX_KEYS_PER_SENDER_DAY, 'at most 20 keys to the first user', `${first}`);
      const share = POOL_SIZE * MAX_POOL_SHARE_PER_DOMAIN_DAY;
      demand(first + second <= share, `at most ${share} keys to both`, `${first + second}`);
    },
  }),
  counterpart({
    id: 'remote.rotated-key',
    title: 'A session under a key that its user has replaced ends at the next message',
    rules: ['R-5.5-11'],
    async run(world) {
      const { address: recipient } = await world.owner();
      const user = counterpartOf(world).newUser(world.now());
      const from = { ...user, session: await logIn(world.probe, user) };
      const key = await askKey(world.probe, from, recipient);
      await world.wait(SENDER_KEY_FRESH_SECONDS + 1);
      const master = masterKeyPair();
      user.records.push(nextRecord(user, { now: world.now(), newKey: master }));
      user.master = master;
      const { envelope } = await prepare(world.probe, from, recipient, { key });
      refused(await post(world.probe, from, recipient, envelope), 'unauthorized');
    },
  }),
];

function counterpartOf(world: World): Counterpart {
  if (world.counterpart === null) throw notRun('the kit has no domain that the server can reach (--counterpart)');
  return world.counterpart;
}

async function visitor(world: World) {
  const user = counterpartOf(world).newUser(world.now());
  return { ...user, session: await logIn(world.probe, user) };
}

async function login(world: World, user: Pick<Member, 'address' | 'master'>): Promise<Answer> {
  const token = await askToken(world.probe, user.address);
  return postLogin(world.probe, user.address, signLogin(user, { token, baseUrl: world.baseUrl }));
}

/** A new user sends until no ephemeral key is given any more; how many were. */
async function takeKeys(world: World, recipient: Address): Promise<number> {
  const from = await visitor(world);
  for (let sent = 0; ; sent++) {
    const { key, envelope, work } = await prepare(world.probe, from, recipient);
    if (work.zeroBits > MANY_TIMES_BITS) throw notRun(`the server asks for ${work.zeroBits} bits of work, many times`);
    if (key.kind === 'non-ephemeral' || sent > MAX_KEYS_PER_SENDER_DAY) return sent;
    accepted('send_message', await post(world.probe, from, recipient, envelope));
  }
}

/** The tokens first, so that the logins arrive together. */
async function atOnce(users: readonly Member[], world: World): Promise<Answer[]> {
  const bodies = await Promise.all(
    users.map(async (user) => {
      const token = await askToken(world.probe, user.address);
      return { address: user.address, body: signLogin(user, { token, baseUrl: world.baseUrl }) };
    }),
  );
  return Promise.all(bodies.map(({ address, body }) => postLogin(world.probe, address, body)));
}

async function slowly<Result>(there: Counterpart, work: () => Promise<Result>): Promise<Result> {
  there.slow(SLOW_MS);
  return work().finally(() => there.slow(0));
}
