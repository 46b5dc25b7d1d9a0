/** `send_message` (SMIMP 0.1 §4, §5.5): what it takes, in what order it looks, and what it stores. */

import type { FolderPage } from '../../smimp/api.ts';
import { randomBytes } from '../../smimp/crypto.ts';
import { type Hex32, toHex } from '../../smimp/encoding.ts';
import type { SentEnvelope } from '../../smimp/envelope.ts';
import { accepted, type Check, demand, refused } from '../check.ts';
import {
  askKey,
  askWork,
  type Prepared,
  post,
  prepare,
  proofFor,
  randomMessage,
  realMessage,
  signFor,
} from '../letters.ts';
import { logIn, publicKeyOf } from '../member.ts';
import type { CallAsk } from '../probe.ts';
import { decodeStored } from '../reading.ts';
import type { World } from '../world.ts';
import { both } from './issue.ts';

const sending = (check: Omit<Check, 'level'>): Check => ({ ...check, level: 'sending' });
const TEXT = 'From the conformance kit.';

export const sendingChecks: readonly Check[] = [
  sending({
    id: 'send.opens',
    title: 'A message arrives, verifies, and is opened by its recipient',
    rules: ['R-4.1-4', 'R-4.2-1', 'R-4.2-2', 'R-5.5-13', 'R-5.5-17'],
    async run(world) {
      const { from, to, recipient } = await both(world);
      const seal = (key: Hex32) => realMessage({ sender: from, recipient: to, key, text: TEXT, now: world.now() });
      const { envelope } = await prepare(world.probe, from, recipient, { seal });
      const { message_id: id } = accepted('send_message', await post(world.probe, from, recipient, envelope));
      const ask = { token: to.session.token, params: { id, mark: 'false' } };
      const stored = accepted('get_message', await world.probe.call('get_message', ask));
      demand(stored.sender_public_key === publicKeyOf(from), "the sender's master key", 'another');
      demand(stored.login_token_hash === from.session.loginTokenHash, "the sender's session", 'another');
      const opened = await decodeStored({ stored, me: to, sender: from, now: world.now() });
      demand(opened === TEXT, 'the text that was sent', 'something else');
    },
  }),
  sending({
    id: 'send.repeated',
    title: 'The same envelope again in the same session is the same message',
    rules: ['R-5.5-14'],
    async run(world) {
      const { from, to, recipient } = await both(world);
      const { envelope } = await prepare(world.probe, from, recipient);
      const twice = await Promise.all([1, 2].map(() => post(world.probe, from, recipient, envelope)));
      const answers = [...twice, await post(world.probe, from, recipient, envelope)];
      const [id, ...others] = answers.map((answer) => accepted('send_message', answer).message_id);
      demand(
        others.every((other) => other === id),
        'one message id',
        'several',
      );
      const copies = await summaries(world, to.session.token);
      demand(copies.filter((copy) => copy === id).length === 1, 'one message', 'several or none');
    },
  }),
  sending({
    id: 'send.key-once',
    title: 'An ephemeral key is good for one message',
    rules: ['R-5.5-1', 'R-5.5-8'],
    async run(world) {
      const { from, recipient } = await both(world);
      const { envelope, key } = await prepare(world.probe, from, recipient);
      accepted('send_message', await post(world.probe, from, recipient, envelope));
      const second = await prepare(world.probe, from, recipient, { key });
      refused(await post(world.probe, from, recipient, second.envelope), 'key_consumed');
    },
  }),
  sending({
    id: 'send.key-bound',
    title: 'A key that was not given to this sender for this recipient is refused',
    rules: ['R-5.5-8'],
    async run(world) {
      const { from, to, recipient } = await both(world);
      const others = [
        await askKey(world.probe, to, recipient),
        await askKey(world.probe, from, from.address),
        { ...(await askKey(world.probe, from, recipient)), public_key: toHex<Hex32>(randomBytes(32)) },
      ];
      for (const key of others) {
        const { envelope } = await prepare(world.probe, from, recipient, { key });
        refused(await post(world.probe, from, recipient, envelope), 'bad_key');
      }
    },
  }),
  sending({
    id: 'send.not-master-key',
    title: 'A message to the master key of the recipient is refused',
    rules: ['R-1.4-6', 'R-5.5-9'],
    async run(world) {
      const { from, to, recipient } = await both(world);
      const key = { ...(await askKey(world.probe, from, recipient)), public_key: publicKeyOf(to) };
      const { envelope } = await prepare(world.probe, from, recipient, { key });
      refused(await post(world.probe, from, recipient, envelope), 'bad_key');
    },
  }),
  sending({
    id: 'send.signature',
    title: 'The signature covers every member, the recipient and the session',
    rules: ['R-1.3-1', 'R-1.3-2', 'R-5.5-12'],
    async run(world) {
      const { from, recipient } = await both(world);
      const prepared = await prepare(world.probe, from, recipient);
      const proof = prepared.envelope.proof_of_work;
      const toOther = signFor(from, { recipient: from.address, sealed: prepared.sealed, proofOfWork: proof });
      for (const envelope of [...changedInOne(prepared), toOther])
        refused(await post(world.probe, from, recipient, envelope), 'bad_signature');
      const elsewhere = { ...from, session: await logIn(world.probe, from) };
      const { sealed } = prepared;
      const work = await askWork(world.probe, elsewhere, recipient);
      const proofOfWork = proofFor({ sealed, session: elsewhere.session, recipient, work });
      const foreign = signFor(from, { recipient, sealed, proofOfWork });
      refused(await post(world.probe, elsewhere, recipient, foreign), 'bad_signature');
    },
  }),
  sending({
    id: 'send.order',
    title: 'The first check that fails, in the written order, is the one that is named',
    rules: ['R-5.5-7', 'R-5.5-8', 'R-5.5-10', 'R-5.5-12'],
    async run(world) {
      const { from, recipient } = await both(world);
      const good = await prepare(world.probe, from, recipient);
      const noKey = { message_public_key: toHex<Hex32>(randomBytes(32)) };
      const noWork = { proof_of_work: null };
      const noSignature = { message_hash: '0'.repeat(192) };
      const envelope = { ...good.envelope, ...noKey, ...noWork, ...noSignature };
      const nobody = await world.nobody();
      refused(
        await world.probe.call('send_message', { params: { a: nobody }, request: { ...envelope, kit: 1 } }),
        'unauthorized',
      );
      refused(await post(world.probe, from, nobody, { ...envelope, kit: 1 }), 'bad_request');
      refused(await post(world.probe, from, nobody, envelope), 'unknown_user');
      refused(await post(world.probe, from, recipient, envelope), 'bad_key');
      refused(await post(world.probe, from, recipient, { ...good.envelope, ...noWork, ...noSignature }), 'bad_pow');
      refused(await post(world.probe, from, recipient, { ...good.envelope, ...noSignature }), 'bad_signature');
    },
  }),
  sending({
    id: 'send.refused-uses-nothing',
    title: 'A message that is refused uses up neither key nor nonce',
    rules: ['R-5.5-13'],
    async run(world) {
      const { from, recipient } = await both(world);
      const { envelope } = await prepare(world.probe, from, recipient);
      const unsigned = { ...envelope, message_hash: '0'.repeat(192) };
      refused(await post(world.probe, from, recipient, unsigned), 'bad_signature');
      accepted('send_message', await post(world.probe, from, recipient, envelope));
    },
  }),
  sending({
    id: 'send.form',
    title: 'An envelope with a member too many, too few, or of the wrong form is refused',
    rules: ['R-1.1-8', 'R-1.1-11', 'R-4.2-1'],
    async run(world) {
      const { from, recipient } = await both(world);
      const { envelope } = await prepare(world.probe, from, recipient);
      const { nonce: _, ...without } = envelope;
      const others = [
        { algorithm: 'aes' },
        { message: 'AA' },
        { message: '-_==' },
        { message_type: 'E-Mail' },
        { kit: 1 },
      ];
      for (const wrong of [without, ...others.map((other) => ({ ...envelope, ...other }))])
        refused(await post(world.probe, from, recipient, wrong), 'bad_request');
    },
  }),
  sending({
    id: 'send.any-type',
    title: 'Message types that nobody knows are taken and kept apart',
    rules: ['R-5.5-16', 'R-5.6-1'],
    async run(world) {
      const { from, to, recipient } = await both(world);
      const type = 'x-custom-kit';
      const { envelope } = await prepare(world.probe, from, recipient, { type });
      const { message_id } = accepted('send_message', await post(world.probe, from, recipient, envelope));
      const there = await summaries(world, to.session.token, type);
      demand(there.includes(message_id), 'the message in the folder of its type', 'none');
      const inbox = await summaries(world, to.session.token);
      demand(!inbox.includes(message_id), 'not in the folder of another type', 'there too');
    },
  }),
];

/** Each changed in one member after it was signed, in what no earlier check looks at. */
function changedInOne({ envelope, sealed }: Prepared): SentEnvelope[] {
  const nonce = randomMessage(sealed.messagePublicKey).nonce;
  const [signature, digest] = [envelope.message_hash.slice(0, 128), envelope.message_hash.slice(128)];
  const flipped = signature.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
  const changed = { ...envelope, message_hash: `${flipped}${digest}` } as SentEnvelope;
  return [{ ...envelope, nonce }, changed];
}

/** Ids of all messages in a root folder, page by page. */
async function summaries({ probe }: World, token: Hex32, type = 'email'): Promise<Hex32[]> {
  const ids: Hex32[] = [];
  let after: number | null = 0;
  while (after !== null) {
    const ask: CallAsk = { token, params: { type }, query: `?after=${after}&limit=500` };
    const page: FolderPage = accepted('get_inbox', await probe.call('get_inbox', ask));
    ids.push(...page.messages.map(({ message_id }) => message_id));
    after = page.next;
  }
  return ids;
}
