/** `get_message_key` (SMIMP 0.1 §5.5): whose keys are given to whom. The second account writes to the first. */
import type { Address } from '../../smimp/address.ts';
import { MAX_KEYS_PER_SENDER_DAY } from '../../smimp/api.ts';
import { verifyMessageKey } from '../../smimp/message-key.ts';
import type { Answer } from '../answer.ts';
import { accepted, type Check, demand, named, refused } from '../check.ts';
import { askKey, post, prepare } from '../letters.ts';
import { logIn, newKey, publicKeyOf } from '../member.ts';
import type { Resident, World } from '../world.ts';

const sending = (check: Omit<Check, 'level'>): Check => ({ ...check, level: 'sending' });

/** Who writes, in a session of its own, and to whom: what a check leaves unused there counts for no other. */
export async function both(world: World): Promise<{ from: Resident; to: Resident; recipient: Address }> {
  const to = await world.owner();
  const sender = await world.other();
  const from = { ...sender, session: await logIn(world.probe, sender) };
  return { from, to, recipient: to.address };
}

export const issueChecks: readonly Check[] = [
  sending({
    id: 'issue.signed',
    title: 'get_message_key gives an ephemeral key of the recipient that her master key signed',
    rules: ['R-1.4-10', 'R-5.5-4', 'R-5.5-5'],
    async run(world) {
      const { from, to, recipient } = await both(world);
      const answer = await askKeyAnswer(world, from, recipient);
      const { message_key: key, non_ephemeral, public_key } = accepted('get_message_key', answer);
      verifyMessageKey({ address: recipient, key, masterKeys: [publicKeyOf(to)], now: world.now() });
      demand(to.secrets.has(key.public_key), 'a key that the recipient published', 'another');
      demand(key.kind === 'ephemeral' && non_ephemeral === false, 'an ephemeral key, said so', key.kind);
      demand(public_key === publicKeyOf(to), "the recipient's master key", 'another');
    },
  }),
  sending({
    id: 'issue.head',
    title: 'The head beside a message key is that of the history',
    rules: ['R-3-21', 'R-5.5-5'],
    async run(world) {
      const { from, recipient } = await both(world);
      const { head } = accepted('get_message_key', await askKeyAnswer(world, from, recipient));
      const shown = await world.probe.call('get_public_key', { params: { a: recipient } });
      demand(head === accepted('get_public_key', shown).head, 'the head of public_key', 'another');
    },
  }),
  sending({
    id: 'issue.again',
    title: 'A sender who asks again is given the same key until it is used',
    rules: ['R-5.5-2'],
    async run(world) {
      const { from, recipient } = await both(world);
      const first = await askKey(world.probe, from, recipient);
      const second = await askKey(world.probe, from, recipient);
      demand(first.public_key === second.public_key, 'the same key', 'another');
    },
  }),
  sending({
    id: 'issue.one-sender',
    title: 'No two senders are given the same ephemeral key',
    rules: ['R-5.5-1'],
    async run(world) {
      const { from, to, recipient } = await both(world);
      const theirs = await askKey(world.probe, from, recipient);
      const own = await askKey(world.probe, to, recipient);
      demand(
        theirs.kind === 'ephemeral' && own.kind === 'ephemeral',
        'two ephemeral keys',
        `${theirs.kind}, ${own.kind}`,
      );
      demand(theirs.public_key !== own.public_key, 'two keys', 'one');
    },
  }),
  sending({
    id: 'issue.not-listed',
    title: 'A key that was given out is no longer in the pool',
    rules: ['R-5.5-1', 'R-5.7-6'],
    async run(world) {
      const { from, to, recipient } = await both(world);
      const given = await askKey(world.probe, from, recipient);
      const answer = await world.probe.call('get_ephemeral_keys', { token: to.session.token });
      const listed = accepted('get_ephemeral_keys', answer).keys.some(
        ({ public_key }) => public_key === given.public_key,
      );
      demand(!listed, 'not in the pool', 'still there');
    },
  }),
  sending({
    id: 'issue.unknown-user',
    title: 'Nobody has no key, and takes no message',
    rules: ['R-5.5-6', 'R-5.5-7'],
    async run(world) {
      const { from, recipient } = await both(world);
      const nobody = await world.nobody();
      refused(await askKeyAnswer(world, from, nobody), 'unknown_user');
      const { envelope } = await prepare(world.probe, from, recipient);
      refused(await post(world.probe, from, nobody, envelope), 'unknown_user');
    },
  }),
];

/** Last, for they use up the day's keys of the sender. */
export const issueLimitChecks: readonly Check[] = [
  sending({
    id: 'issue.sender-limit',
    title: 'A sender gets at most 20 ephemeral keys of a recipient a day, then the non-ephemeral one',
    rules: ['R-5.5-3', 'R-5.5-4'],
    async run(world) {
      const { from, to, recipient } = await both(world);
      const sent = await exhaust(world);
      demand(sent <= MAX_KEYS_PER_SENDER_DAY, 'at most 20 ephemeral keys', 'more');
      const answer = await askKeyAnswer(world, from, recipient);
      const { message_key: key, non_ephemeral } = accepted('get_message_key', answer);
      const isLasting = non_ephemeral === true && key.public_key === to.nonEphemeral.public_key;
      demand(isLasting, 'the non-ephemeral key', named(answer));
    },
  }),
  sending({
    id: 'issue.replaced-key',
    title: 'A non-ephemeral key is still accepted after it was replaced',
    rules: ['R-5.5-15'],
    async run(world) {
      const { from, to, recipient } = await both(world);
      await exhaust(world);
      const { key, envelope } = await prepare(world.probe, from, recipient);
      demand(key.kind === 'non-ephemeral', 'the non-ephemeral key', key.kind);
      const next = newKey(to, 'non-ephemeral', world.now());
      const change = { token: to.session.token, request: next };
      accepted('post_nonephemeral_key', await world.probe.call('post_nonephemeral_key', change));
      to.nonEphemeral = next;
      accepted('send_message', await post(world.probe, from, recipient, envelope));
    },
  }),
];

/** Sends until no ephemeral key is given any more, or one more than may be was; how many were. */
async function exhaust(world: World): Promise<number> {
  const { from, recipient } = await both(world);
  for (let sent = 0; sent <= MAX_KEYS_PER_SENDER_DAY; sent++) {
    const { key, envelope } = await prepare(world.probe, from, recipient);
    if (key.kind === 'non-ephemeral') return sent;
    accepted('send_message', await post(world.probe, from, recipient, envelope));
  }
  return MAX_KEYS_PER_SENDER_DAY + 1;
}

function askKeyAnswer({ probe }: World, { session }: Resident, address: Address): Promise<Answer> {
  return probe.call('get_message_key', { token: session.token, request: { address } });
}
