/** `initialize_account`, message keys and quota of an account (SMIMP 0.1 §1.4, §5.7). */
import { CALLS, MAX_EPHEMERAL_KEYS, MAX_INITIALIZE_TRIES } from '../../smimp/api.ts';
import { masterKeyPair } from '../../smimp/crypto.ts';
import type { MessageKey } from '../../smimp/message-key.ts';
import { createRecord } from '../../smimp/record.ts';
import type { Answer } from '../answer.ts';
import { accepted, type Check, demand, named, notRun, refused } from '../check.ts';
import { initializeRequest, lastRecord, newKey, newMember, newPool } from '../member.ts';
import { POOL_SIZE, type World } from '../world.ts';

const owner = (check: Omit<Check, 'level'>): Check => ({ ...check, level: 'owner' });
const WRONG_CODE = 'not the code that was issued';

/** Three tries of five, so that the code is still good for the account itself. */
const initializeChecks: readonly Check[] = [
  {
    id: 'initialize.unknown-account',
    title: 'An address without account is refused like a wrong code',
    rules: ['R-5.7-2'],
    level: 'anonymous',
    async run(world) {
      const member = newMember(await world.nobody(), world.now());
      const request = initializeRequest(member, WRONG_CODE, []);
      refused(await world.probe.call('initialize_account', { request }), 'unauthorized');
    },
  },
  owner({
    id: 'initialize.wrong-code',
    title: 'A wrong one-time code makes no account',
    rules: ['R-5.7-2'],
    async run(world) {
      const { member } = world.founder();
      const request = initializeRequest(member, WRONG_CODE, []);
      refused(await world.probe.call('initialize_account', { request }), 'unauthorized');
      await staysUnknown(world);
    },
  }),
  owner({
    id: 'initialize.bad-record',
    title: 'A record 0 that another key signed makes no account',
    rules: ['R-3-5', 'R-5.7-4'],
    async run(world) {
      const { member, code } = world.founder();
      const other = createRecord({ address: member.address, master: masterKeyPair(), now: world.now() });
      const record = { ...lastRecord(member), signed_hash: other.signed_hash };
      const request = { ...initializeRequest(member, code, []), record };
      refused(await world.probe.call('initialize_account', { request }), 'bad_record', 'bad_signature');
      await staysUnknown(world);
    },
  }),
  owner({
    id: 'initialize.bad-key',
    title: 'A message key that another master key signed makes no account',
    rules: ['R-1.4-10', 'R-5.7-4'],
    async run(world) {
      const { member, code } = world.founder();
      const nonephemeral_key = newKey({ ...member, master: masterKeyPair() }, 'non-ephemeral', world.now());
      const request = { ...initializeRequest(member, code, []), nonephemeral_key };
      refused(await world.probe.call('initialize_account', { request }), 'bad_key', 'bad_signature');
      await staysUnknown(world);
    },
  }),
  owner({
    id: 'initialize.works',
    title: 'The right code makes the account',
    rules: ['R-5.7-1', 'R-5.7-2'],
    async run(world) {
      const answer = await world.initializing();
      demand(answer.status === CALLS.initialize_account.status, '201', named(answer));
    },
  }),
  owner({
    id: 'initialize.once',
    title: 'An account is made once ever',
    rules: ['R-5.7-1'],
    async run(world) {
      const { address } = await world.owner();
      const again = newMember(address, world.now());
      const request = initializeRequest(again, world.founder().code, []);
      refused(await world.probe.call('initialize_account', { request }), 'already_initialized');
    },
  }),
  owner({
    id: 'initialize.tries',
    title: 'After five tries the right code is no use either',
    rules: ['R-5.7-3'],
    async run(world) {
      const [, , spare] = world.accounts;
      if (spare === undefined) throw notRun('uses an account up: give a third --account for it');
      const member = newMember(spare.address, world.now());
      for (let tries = 0; tries < MAX_INITIALIZE_TRIES; tries++) {
        const request = initializeRequest(member, WRONG_CODE, []);
        refused(await world.probe.call('initialize_account', { request }), 'unauthorized');
      }
      const request = initializeRequest(member, spare.code, []);
      refused(await world.probe.call('initialize_account', { request }), 'too_many_requests');
    },
  }),
];

async function staysUnknown({ probe, founder }: World): Promise<void> {
  refused(await probe.call('get_public_key', { params: { a: founder().member.address } }), 'unknown_user');
}

const keyChecks: readonly Check[] = [
  owner({
    id: 'keys.non-ephemeral',
    title: 'The non-ephemeral key is the one that was published, and can be replaced',
    rules: ['R-5.7-5'],
    async run(world) {
      const member = await world.owner();
      demand((await lasting(world)).public_key === member.nonEphemeral.public_key, 'the key of the account', 'another');
      const next = newKey(member, 'non-ephemeral', world.now());
      accepted('post_nonephemeral_key', await postLasting(world, next));
      member.nonEphemeral = next;
      demand((await lasting(world)).public_key === next.public_key, 'the new key', 'another');
    },
  }),
  owner({
    id: 'keys.non-ephemeral-rules',
    title: 'A non-ephemeral key of the wrong kind, signed by another key, or with too long a life is refused',
    rules: ['R-1.4-10', 'R-1.4-11', 'R-5.7-5'],
    async run(world) {
      const member = await world.owner();
      const ephemeral = newKey(member, 'ephemeral', world.now());
      const foreign = newKey({ ...member, master: masterKeyPair() }, 'non-ephemeral', world.now());
      const relabelled: MessageKey = { ...ephemeral, kind: 'non-ephemeral' };
      const longer: MessageKey = { ...member.nonEphemeral, expires: '9999-12-31 23:59:59' as MessageKey['expires'] };
      for (const key of [ephemeral, foreign, relabelled, longer])
        refused(await postLasting(world, key), 'bad_key', 'bad_signature');
    },
  }),
  owner({
    id: 'pool.listed',
    title: 'The pool is what was published, and carries an ETag',
    rules: ['R-5.7-6'],
    async run(world) {
      const { keys, etag } = await pool(world);
      demand(keys.length === POOL_SIZE, `${POOL_SIZE} keys`, `${keys.length}`);
      demand(/^"[^"]*"$/.test(etag), 'a quoted ETag', etag || 'none');
    },
  }),
  owner({
    id: 'pool.if-match-required',
    title: 'The pool is not changed without If-Match',
    rules: ['R-5.7-6'],
    async run(world) {
      const request = { keys: [], mode: 'append' };
      refused(await postPool(world, request, {}), 'precondition_required');
    },
  }),
  owner({
    id: 'pool.if-match',
    title: 'The pool is not changed under the ETag of another state',
    rules: ['R-5.7-6'],
    async run(world) {
      const { etag } = await pool(world);
      const add = async () => ({ keys: newPool(await world.owner(), 1, world.now()), mode: 'append' });
      accepted('post_ephemeral_keys', await postPool(world, await add(), { 'if-match': etag }));
      refused(await postPool(world, await add(), { 'if-match': etag }), 'precondition_failed');
      refused(await postPool(world, await add(), { 'if-match': '"none"' }), 'precondition_failed');
    },
  }),
  owner({
    id: 'pool.append-replace',
    title: 'Keys are added, or take the place of all that nobody has been given',
    rules: ['R-5.7-6'],
    async run(world) {
      const member = await world.owner();
      const before = await pool(world);
      const added = newPool(member, 2, world.now());
      const append = await postPool(world, { keys: added, mode: 'append' }, { 'if-match': before.etag });
      const { count } = accepted('post_ephemeral_keys', append);
      demand(count === before.keys.length + 2, `${before.keys.length + 2} keys`, String(count));
      const fresh = newPool(member, POOL_SIZE, world.now());
      const { etag } = await pool(world);
      accepted('post_ephemeral_keys', await postPool(world, { keys: fresh, mode: 'replace' }, { 'if-match': etag }));
      const now = new Set((await pool(world)).keys.map(({ public_key }) => public_key));
      demand(
        now.size === POOL_SIZE && fresh.every((key) => now.has(key.public_key)),
        'the new keys only',
        `${now.size} keys`,
      );
    },
  }),
  owner({
    id: 'pool.known-key',
    title: 'A key that was in the pool before is refused',
    rules: ['R-5.7-6'],
    async run(world) {
      const { keys, etag } = await pool(world);
      const request = { keys: keys.slice(0, 1), mode: 'append' };
      refused(await postPool(world, request, { 'if-match': etag }), 'bad_key');
    },
  }),
  owner({
    id: 'pool.rules',
    title: 'A key of the wrong kind or signed by another key is refused, and nothing of its list is taken',
    rules: ['R-1.4-10', 'R-5.7-6'],
    async run(world) {
      const member = await world.owner();
      const { etag } = await pool(world);
      const good = newPool(member, 1, world.now());
      const foreign = newKey({ ...member, master: masterKeyPair() }, 'ephemeral', world.now());
      for (const bad of [newKey(member, 'non-ephemeral', world.now()), foreign]) {
        const request = { keys: [...good, bad], mode: 'append' };
        refused(await postPool(world, request, { 'if-match': etag }), 'bad_key', 'bad_signature');
      }
      demand((await pool(world)).etag === etag, 'the pool as it was', 'another');
    },
  }),
  owner({
    id: 'pool.limit',
    title: 'The pool takes 500 keys at most',
    rules: ['R-5.7-6'],
    async run(world) {
      const { keys, etag } = await pool(world);
      const more = newPool(await world.owner(), MAX_EPHEMERAL_KEYS + 1 - keys.length, world.now());
      refused(await postPool(world, { keys: more, mode: 'append' }, { 'if-match': etag }), 'bad_request');
    },
  }),
];

export const accountChecks: readonly Check[] = [...initializeChecks, ...keyChecks];

async function pool({ probe, owner: home }: World): Promise<{ keys: MessageKey[]; etag: string }> {
  const answer = await probe.call('get_ephemeral_keys', { token: (await home()).session.token });
  return { keys: accepted('get_ephemeral_keys', answer).keys, etag: answer.headers.etag ?? '' };
}

async function postPool(world: World, request: unknown, headers: Record<string, string>): Promise<Answer> {
  const { token } = (await world.owner()).session;
  return world.probe.call('post_ephemeral_keys', { token, request, headers });
}

async function lasting({ probe, owner: home }: World): Promise<MessageKey> {
  return accepted(
    'get_nonephemeral_key',
    await probe.call('get_nonephemeral_key', { token: (await home()).session.token }),
  );
}

async function postLasting({ probe, owner: home }: World, request: MessageKey): Promise<Answer> {
  return probe.call('post_nonephemeral_key', { token: (await home()).session.token, request });
}
