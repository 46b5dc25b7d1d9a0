/** Histories as everybody sees them, and how they go on (SMIMP 0.1 §3, §5.3, §5.7). */
import { verifyHistory } from '../../smimp/chain.ts';
import { masterKeyPair } from '../../smimp/crypto.ts';
import { ProfileError } from '../../smimp/errors.ts';
import { recordHead } from '../../smimp/record.ts';
import type { Answer } from '../answer.ts';
import { accepted, type Check, demand, named, notRun, refused, unmet } from '../check.ts';
import { logIn, newKey, newPool, nextRecord, publicKeyOf } from '../member.ts';
import { POOL_SIZE, type Resident, type World } from '../world.ts';

const owner = (check: Omit<Check, 'level'>): Check => ({ ...check, level: 'owner' });
const anonymous = (check: Omit<Check, 'level'>): Check => ({ ...check, level: 'anonymous' });

export const profileChecks: readonly Check[] = [
  owner({
    id: 'profile.update',
    title: 'A new record is taken, and its head given back',
    rules: ['R-5.7-7', 'R-5.3-5'],
    async run(world) {
      const member = await world.owner();
      const record = nextRecord(member, { now: world.now(), profile: { name: 'Conformance' } });
      const { head } = accepted('update_profile', await update(world, { record }));
      member.records = [...member.records, record];
      demand(head === recordHead(member.records.length - 1, record), 'the head after the record', 'another');
      const shown = await world.probe.call('get_most_recent', { params: { a: member.address } });
      demand(accepted('get_most_recent', shown).data === record.data, 'the record as it was sent', 'another');
    },
  }),
  owner({
    id: 'profile.stale',
    title: 'A record that does not continue the last one is 409',
    rules: ['R-3-6', 'R-5.7-7'],
    async run(world) {
      const member = await world.owner();
      const [first] = member.records;
      if (first === undefined || member.records.length === 1) throw notRun('profile.update stands before it');
      const record = nextRecord({ ...member, records: [first] }, { now: world.now(), profile: { name: 'Late' } });
      refused(await update(world, { record }), 'stale_record');
    },
  }),
  owner({
    id: 'profile.signature',
    title: 'A record that another key signed is refused',
    rules: ['R-3-6', 'R-5.7-4'],
    async run(world) {
      const member = await world.owner();
      const forged = nextRecord({ ...member, master: masterKeyPair() }, { now: world.now() });
      const right = nextRecord(member, { now: world.now() });
      refused(
        await update(world, { record: { ...right, signed_hash: forged.signed_hash } }),
        'bad_signature',
        'bad_record',
      );
    },
  }),
  owner({
    id: 'profile.keys-without-change',
    title: 'Message keys beside a record that keeps the master key are refused',
    rules: ['R-5.7-8'],
    async run(world) {
      const member = await world.owner();
      const record = nextRecord(member, { now: world.now(), profile: { name: 'Keys' } });
      const nonephemeral_key = newKey(member, 'non-ephemeral', world.now());
      refused(await update(world, { record, nonephemeral_key, ephemeral_keys: [] }), 'bad_request');
    },
  }),
  owner({
    id: 'rotation.needs-keys',
    title: 'A change of the master key without both kinds of message keys is refused',
    rules: ['R-5.7-8'],
    async run(world) {
      const member = await world.owner();
      const newMaster = masterKeyPair();
      const record = nextRecord(member, { now: world.now(), newKey: newMaster });
      refused(await update(world, { record }), 'bad_key', 'bad_request');
      const nonephemeral_key = newKey({ ...member, master: newMaster }, 'non-ephemeral', world.now());
      refused(await update(world, { record, nonephemeral_key }), 'bad_key', 'bad_request');
    },
  }),
  owner({
    id: 'rotation.proof',
    title: 'A change of the master key without the signature of the new key is refused',
    rules: ['R-3-8', 'R-5.7-4'],
    async run(world) {
      const member = await world.owner();
      const { request } = rotation(member, world.now());
      const record = { ...request.record, new_key_signed_hash: null };
      refused(await update(world, { ...request, record }), 'bad_record', 'bad_signature');
    },
  }),
  owner({
    id: 'rotation.works',
    title: 'A new master key takes over: the old one and its sessions are worth nothing',
    rules: ['R-5.7-8', 'R-5.4-2'],
    async run(world) {
      const member = await world.owner();
      const before = { address: member.address, master: member.master };
      const oldToken = member.session.token;
      await rotate(world, member);
      refused(await world.probe.call('get_nonephemeral_key', { token: oldToken }), 'unauthorized');
      const late = await logIn(world.probe, before).catch((error: unknown) => error);
      demand(late instanceof Error, 'no login by the old key', 'one');
    },
  }),
  owner({
    id: 'rotation.swaps-keys',
    title: 'With a new master key come its message keys and no others',
    rules: ['R-5.5-5', 'R-5.7-8'],
    async run(world) {
      const member = await world.owner();
      const pool = await rotate(world, member);
      const ask = { token: member.session.token };
      const listed = accepted('get_ephemeral_keys', await world.probe.call('get_ephemeral_keys', ask)).keys;
      const fresh = new Set(pool.map(({ public_key }) => public_key));
      demand(
        listed.length === POOL_SIZE && listed.every((key) => fresh.has(key.public_key)),
        'the new pool',
        'another',
      );
      const lasting = accepted('get_nonephemeral_key', await world.probe.call('get_nonephemeral_key', ask));
      demand(lasting.public_key === member.nonEphemeral.public_key, 'the new non-ephemeral key', 'another');
    },
  }),
];

export const historyChecks: readonly Check[] = [
  anonymous({
    id: 'users.unknown',
    title: 'get_user says unknown_user of an address that nobody has',
    rules: ['R-5.3-2'],
    async run(world) {
      const params = { a: await world.nobody() };
      for (const name of ['get_public_key', 'get_most_recent', 'get_history'] as const)
        refused(await world.probe.call(name, { params }), 'unknown_user');
    },
  }),
  anonymous({
    id: 'users.agree',
    title: 'public_key, most_recent and history tell the same',
    rules: ['R-5.3-5'],
    async run(world) {
      const params = { a: await world.somebody() };
      const shown = accepted('get_public_key', await world.probe.call('get_public_key', { params }));
      const { records, head } = accepted('get_history', await world.probe.call('get_history', { params }));
      const last = accepted('get_most_recent', await world.probe.call('get_most_recent', { params }));
      demand(shown.seq === records.length - 1, `seq ${records.length - 1}`, String(shown.seq));
      demand(shown.head === head, 'one head', 'two');
      demand(JSON.stringify(records.at(-1)) === JSON.stringify(last), 'the last record of the history', 'another');
      const { public_key } = JSON.parse(last.data) as { public_key: string };
      demand(shown.public_key === public_key, 'the key of the last record', 'another');
    },
  }),
  anonymous({
    id: 'history.verifies',
    title: 'A history verifies',
    rules: ['R-3-2', 'R-3-3', 'R-3-4', 'R-3-5', 'R-3-6', 'R-3-7', 'R-3-8', 'R-3-9', 'R-3-10'],
    async run(world) {
      const address = await world.somebody();
      const { records, head } = accepted(
        'get_history',
        await world.probe.call('get_history', { params: { a: address } }),
      );
      try {
        verifyHistory({ address, records, head });
      } catch (error) {
        if (error instanceof ProfileError) throw unmet('a history that verifies', error.code);
        throw error;
      }
    },
  }),
  anonymous({
    id: 'history.from',
    title: 'history?from= is inclusive, and the head is always that of the whole',
    rules: ['R-3-19', 'R-5.3-3'],
    async run(world) {
      const params = { a: await world.somebody() };
      const whole = accepted('get_history', await world.probe.call('get_history', { params }));
      const last = whole.records.length - 1;
      for (const from of [0, last, last + 1]) {
        const part = await world.probe.call('get_history', { params, query: `?from=${from}` });
        const { records, head } = accepted('get_history', part);
        const isRight = JSON.stringify(records) === JSON.stringify(whole.records.slice(from));
        demand(isRight, `the records from ${from} on`, `${records.length} records`);
        demand(head === whole.head, 'the head of the whole', 'another');
      }
    },
  }),
  anonymous({
    id: 'history.not-modified',
    title: 'A history that did not change is 304 under its ETag',
    rules: ['R-5.3-4'],
    async run(world) {
      const params = { a: await world.somebody() };
      const { headers } = await world.probe.call('get_history', { params });
      demand(headers.etag !== undefined, 'an ETag', 'none');
      const again = await ifNoneMatch(world, params, headers.etag);
      demand(again.status === 304 && again.text === '', '304 without body', named(again));
      accepted('get_history', await ifNoneMatch(world, params, '"another"'));
    },
  }),
];

function ifNoneMatch({ probe }: World, params: { a: string }, etag: string): Promise<Answer> {
  return probe.call('get_history', { params, headers: { 'if-none-match': etag } });
}

async function update({ probe, owner: home }: World, request: unknown): Promise<Answer> {
  return probe.call('update_profile', { token: (await home()).session.token, request });
}

function rotation(member: Resident, now: number) {
  const next = { ...member, master: masterKeyPair() };
  const record = nextRecord(member, { now, newKey: next.master });
  const nonephemeral_key = newKey(next, 'non-ephemeral', now);
  return { next, request: { record, nonephemeral_key, ephemeral_keys: newPool(next, POOL_SIZE, now) } };
}

/** Gives the owner a new master key, and a session of it. */
export async function rotate(world: World, member: Resident) {
  const { next, request } = rotation(member, world.now());
  accepted('update_profile', await update(world, request));
  member.master = next.master;
  member.records = [...member.records, request.record];
  member.nonEphemeral = request.nonephemeral_key;
  member.session = await logIn(world.probe, member);
  demand(publicKeyOf(member) === publicKeyOf(next), 'the new key', 'another');
  return request.ephemeral_keys;
}
