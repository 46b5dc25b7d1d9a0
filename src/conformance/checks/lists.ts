/** White and black lists and what they decide (SMIMP 0.1 §5.7). The second account is the one that is listed. */
import { addressParts } from '../../smimp/address.ts';
import type { Hex32 } from '../../smimp/encoding.ts';
import { listHash } from '../../smimp/lists.ts';
import type { Answer } from '../answer.ts';
import { accepted, type Check, demand, refused } from '../check.ts';
import { askWorkFor, post, prepare } from '../letters.ts';
import type { World } from '../world.ts';
import { both } from './issue.ts';

type List = 'whitelist' | 'blacklist';
type Entry = { list: List; hash: Hex32 };

const NEEDS = [
  'get_whitelist',
  'post_whitelist',
  'delete_whitelist',
  'get_blacklist',
  'post_blacklist',
  'delete_blacklist',
] as const;
const listed = (check: Omit<Check, 'needs'>): Check => ({ ...check, needs: NEEDS });
const DATA = 'c2VhbGVk';
const NO_ENTRY = 'e'.repeat(64) as Hex32;

export const listChecks: readonly Check[] = [
  listed({
    id: 'lists.entries',
    title: 'Entries are kept with their data, and deleted',
    rules: ['R-5.7-9', 'R-5.7-11'],
    level: 'owner',
    async run(world) {
      for (const list of ['whitelist', 'blacklist'] as const) {
        const entry = { list, hash: NO_ENTRY };
        accepted(`post_${list}`, await add(world, entry));
        const kept = (await entries(world, list)).find(({ hash }) => hash === NO_ENTRY);
        demand(kept?.data === DATA, `the entry of the ${list} with its data`, kept === undefined ? 'none' : 'another');
        accepted(`delete_${list}`, await remove(world, entry));
        demand(
          (await entries(world, list)).every(({ hash }) => hash !== NO_ENTRY),
          'no entry',
          'one',
        );
        refused(await remove(world, entry), 'unknown_entry');
      }
    },
  }),
  listed({
    id: 'lists.blocked-key',
    title: 'Who is on the blacklist is given no message key',
    rules: ['R-5.5-6', 'R-5.7-10'],
    level: 'sending',
    async run(world) {
      await withEntries(world, ['blacklist address'], async (ask) => refused(await ask(), 'blocked'));
    },
  }),
  listed({
    id: 'lists.blocked-message',
    title: 'Who is on the blacklist sends nothing, also with a key that was given before',
    rules: ['R-5.5-7'],
    level: 'sending',
    async run(world) {
      const { from, recipient } = await both(world);
      const { envelope } = await prepare(world.probe, from, recipient);
      await withEntries(world, ['blacklist address'], async () =>
        refused(await post(world.probe, from, recipient, envelope), 'blocked'),
      );
      accepted('send_message', await post(world.probe, from, recipient, envelope));
    },
  }),
  listed({
    id: 'lists.blocked-domain',
    title: 'An entry for a domain blocks all who are there',
    rules: ['R-5.7-9', 'R-5.7-10'],
    level: 'sending',
    async run(world) {
      await withEntries(world, ['blacklist domain'], async (ask) => refused(await ask(), 'blocked'));
    },
  }),
  listed({
    id: 'lists.precedence',
    title: 'Lists decide in their order: addresses before domains, white before black',
    rules: ['R-5.7-10'],
    level: 'sending',
    async run(world) {
      const taken = async (ask: () => Promise<Answer>) => void accepted('get_message_key', await ask());
      const stopped = async (ask: () => Promise<Answer>) => refused(await ask(), 'blocked');
      await withEntries(world, ['whitelist address', 'blacklist address'], taken);
      await withEntries(world, ['whitelist address', 'blacklist domain'], taken);
      await withEntries(world, ['whitelist domain', 'blacklist domain'], taken);
      await withEntries(world, ['whitelist domain', 'blacklist address'], stopped);
    },
  }),
  listed({
    id: 'lists.no-work',
    title: 'Who is on the whitelist is asked no work',
    rules: ['R-4.3-7'],
    level: 'sending',
    async run(world) {
      const { from, recipient } = await both(world);
      await withEntries(world, ['whitelist address'], async () => {
        const { zero_bits } = accepted('get_pow_params', await askWorkFor(world.probe, from, recipient));
        demand(zero_bits === 0, '0 bits', `${zero_bits}`);
      });
    },
  }),
];

type Named = `${List} ${'address' | 'domain'}`;

/** With these entries about the sender, and without them afterwards, whatever happens. */
async function withEntries(
  world: World,
  names: readonly Named[],
  work: (ask: () => Promise<Answer>) => Promise<void>,
): Promise<void> {
  const { from, to, recipient } = await both(world);
  const chosen = names.map((name): Entry => {
    const [list, kind] = name.split(' ') as [List, 'address' | 'domain'];
    const value = kind === 'address' ? from.address : addressParts(from.address).domain;
    return { list, hash: listHash({ owner: to.address, kind, value }) };
  });
  for (const entry of chosen) accepted(`post_${entry.list}`, await add(world, entry));
  try {
    const request = { address: recipient };
    await work(() => world.probe.call('get_message_key', { token: from.session.token, request }));
  } finally {
    for (const entry of chosen) await remove(world, entry);
  }
}

async function add(world: World, { list, hash }: Entry): Promise<Answer> {
  const { token } = (await world.owner()).session;
  return world.probe.call(`post_${list}`, { token, request: { hash, data: DATA } });
}

async function remove(world: World, { list, hash }: Entry): Promise<Answer> {
  const { token } = (await world.owner()).session;
  return world.probe.call(`delete_${list}`, { token, params: { hash } });
}

async function entries(world: World, list: List) {
  const { token } = (await world.owner()).session;
  return accepted(`get_${list}`, await world.probe.call(`get_${list}`, { token })).entries;
}
