/** `get_pow_params` and the work that `send_message` wants (SMIMP 0.1 §4.3, §5.5). */
import { MAX_POW_NONCES } from '../../smimp/api.ts';
import { accepted, type Check, notRun, refused } from '../check.ts';
import { askKey, askWork, askWorkFor, post, prepare, proofFor, randomMessage, signFor } from '../letters.ts';
import { logIn } from '../member.ts';
import { both } from './issue.ts';

const sending = (check: Omit<Check, 'level'>): Check => ({ ...check, level: 'sending' });

export const workChecks: readonly Check[] = [
  sending({
    id: 'work.required',
    title: 'A proof of work is required, also when 0 bits are asked',
    rules: ['R-4.3-3', 'R-5.5-10'],
    async run(world) {
      const { from, recipient } = await both(world);
      const { sealed } = await prepare(world.probe, from, recipient);
      refused(
        await post(world.probe, from, recipient, signFor(from, { recipient, sealed, proofOfWork: null })),
        'bad_pow',
      );
    },
  }),
  sending({
    id: 'work.form',
    title: 'A proof of work that is empty or has not its form is refused',
    rules: ['R-4.2-5', 'R-4.3-1'],
    async run(world) {
      const { from, recipient } = await both(world);
      const { envelope } = await prepare(world.probe, from, recipient);
      for (const proof_of_work of ['', 'x', String(envelope.proof_of_work).toUpperCase()])
        refused(await post(world.probe, from, recipient, { ...envelope, proof_of_work }), 'bad_request', 'bad_pow');
    },
  }),
  sending({
    id: 'work.hash',
    title: 'The hash of a proof is computed again',
    rules: ['R-4.3-1', 'R-4.3-3', 'R-5.5-10'],
    async run(world) {
      const { from, recipient } = await both(world);
      const { envelope, sealed } = await prepare(world.probe, from, recipient);
      const [, value, nonce] = String(envelope.proof_of_work).split(':');
      const proofOfWork = `${'0'.repeat(64)}:${value}:${nonce}`;
      refused(await post(world.probe, from, recipient, signFor(from, { recipient, sealed, proofOfWork })), 'bad_pow');
    },
  }),
  sending({
    id: 'work.bits',
    title: 'Work that falls short of the bits that were asked is refused',
    rules: ['R-4.3-2', 'R-5.5-10'],
    async run(world) {
      const { from, recipient } = await both(world);
      const { sealed, work } = await prepare(world.probe, from, recipient);
      if (work.zeroBits === 0) throw notRun('the server asks no work of this account');
      const proofOfWork = proofFor({ sealed, session: from.session, recipient, work, enough: false });
      refused(await post(world.probe, from, recipient, signFor(from, { recipient, sealed, proofOfWork })), 'bad_pow');
    },
  }),
  sending({
    id: 'work.bound',
    title: 'A nonce is good only in its session, for its recipient and its message type',
    rules: ['R-4.3-4', 'R-5.5-10'],
    async run(world) {
      const { from, recipient } = await both(world);
      const { sealed } = await prepare(world.probe, from, recipient);
      const elsewhere = { ...from, session: await logIn(world.probe, from) };
      const works = [
        await askWork(world.probe, elsewhere, recipient),
        await askWork(world.probe, from, from.address),
        await askWork(world.probe, from, recipient, 'short-message'),
      ];
      for (const work of works) {
        const proofOfWork = proofFor({ sealed, session: from.session, recipient, work });
        refused(await post(world.probe, from, recipient, signFor(from, { recipient, sealed, proofOfWork })), 'bad_pow');
      }
    },
  }),
  sending({
    id: 'work.nonce-once',
    title: 'A nonce is good for one message',
    rules: ['R-4.3-4', 'R-5.5-13'],
    async run(world) {
      const { from, recipient } = await both(world);
      const first = await prepare(world.probe, from, recipient);
      accepted('send_message', await post(world.probe, from, recipient, first.envelope));
      const sealed = randomMessage((await askKey(world.probe, from, recipient)).public_key);
      const proofOfWork = proofFor({ sealed, session: from.session, recipient, work: first.work });
      refused(await post(world.probe, from, recipient, signFor(from, { recipient, sealed, proofOfWork })), 'bad_pow');
    },
  }),
  sending({
    id: 'work.sixteen',
    title: 'A session holds at most 16 unused nonces',
    rules: ['R-4.3-5'],
    async run(world) {
      const { from, recipient } = await both(world);
      const sender = { ...from, session: await logIn(world.probe, from) };
      for (let i = 0; i < MAX_POW_NONCES; i++) await askWork(world.probe, sender, recipient);
      refused(await askWorkFor(world.probe, sender, recipient), 'too_many_requests');
    },
  }),
];
