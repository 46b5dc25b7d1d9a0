/**
 * Attack 11. Proof of work is used again or borrowed; and a server asks for work without end (SMIMP 0.1 §4.3). (Other sessions,
 * types and recipients: api-send-message.test.ts.)
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { formatTimestamp } from '../../src/smimp/encoding.ts';
import { MAX_CLIENT_BITS } from '../../src/smimp/pow.ts';
import { findDelivery } from '../../src/store/outbound.ts';
import {
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  codeOf,
  envelopeOf,
  type Login,
  type Person,
  prepare,
  proofOf,
  segment,
  sendPath,
  startApi,
  stranger,
} from '../support/api-site.ts';
import { type HostileServer, startHostileServer } from '../support/hostile-server.ts';
import { type OutboundSite, outboundSite, TestClock } from '../support/outbound-site.ts';
import { answerText } from '../support/tls-server.ts';

describe('11 proof-of-work nonce reused, from another session, `zero_bits` 255, −1, 1e9', () => {
  describe('towards a server', () => {
    let site: ApiSite;
    let alice: Person;
    let login: Login;
    beforeAll(async () => {
      site = await startApi();
      await site.account(BOB, { ephemeral: 0 });
      alice = stranger(site, ALICE);
      login = await site.logIn(alice);
    });
    afterAll(() => site[Symbol.asyncDispose]());
    const post = (envelope: unknown, token = login.token) => site.post(sendPath(BOB), envelope, token);

    /** Another message with the work of one that was stored. */
    async function again(change: (proof: string) => string | null): Promise<string> {
      const first = await prepare(site, { sender: alice, login, recipient: BOB });
      answerOf('send_message', await post(first.envelope));
      const ciphertext = Buffer.from(first.envelope.message, 'base64');
      const proofOfWork = change(first.envelope.proof_of_work ?? '');
      const messageKey = first.messageKey.public_key;
      return codeOf(
        await post(envelopeOf({ sender: alice, login, recipient: BOB, messageKey, ciphertext, proofOfWork })),
      );
    }

    it.each<[string, (proof: string) => string | null, string]>([
      ['as it is', (proof) => proof, 'bad_pow'],
      ['with another value', (proof) => proof.replace(/:[0-9a-f]{64}:/, `:${'00'.repeat(32)}:`), 'bad_pow'],
      ['in capital letters', (proof) => proof.toUpperCase(), 'bad_request'],
      ['with a space', (proof) => `${proof} `, 'bad_request'],
      ['with a fourth part', (proof) => `${proof}:00`, 'bad_request'],
      ['empty', () => '', 'bad_request'],
      ['not at all', () => null, 'bad_pow'],
    ])('a nonce is good once: %s', async (_how, change, code) => {
      // A proof of another spelling is not even signed as what it says.
      expect(await again(change)).toBe(code);
    });

    it('a nonce ends after an hour, and with its session', async () => {
      const early = await site.logIn(stranger(site, 'early#acme.test' as never));
      const sender = { ...alice };
      const late = await prepare(site, { sender, login, recipient: BOB });
      site.later(3_000);
      expect((await site.get(`/0.1/get_pow_params/${segment(BOB)}/email`, login.token)).status).toBe(200);
      site.later(601);
      expect(codeOf(await post(late.envelope))).toBe('bad_pow');
      expect(codeOf(await site.get(`/0.1/get_pow_params/${segment(BOB)}/email`, early.token))).toBe('unauthorized');
      login = await site.logIn(alice);
    });

    it('work for nothing is no work: a nonce that was never issued, one of another sender', async () => {
      const eve = stranger(site, 'eve#evil.test' as never);
      const hers = await site.logIn(eve);
      const path = `/0.1/get_pow_params/${segment(BOB)}/email`;
      const { nonce } = answerOf('get_pow_params', await site.get(path, hers.token));
      const own = await prepare(site, { sender: alice, login, recipient: BOB });
      const draft = {
        sender: alice,
        login,
        recipient: BOB,
        messageKey: own.messageKey.public_key,
        ciphertext: own.ciphertext,
      };
      for (const borrowed of [nonce, 'ab'.repeat(32) as typeof nonce]) {
        const proofOfWork = proofOf({
          ciphertext: own.ciphertext,
          login,
          recipient: BOB,
          nonce: borrowed,
          zeroBits: 4,
        });
        expect(codeOf(await post(envelopeOf({ ...draft, proofOfWork })))).toBe('bad_pow');
      }
      expect((await post(own.envelope)).status).toBe(200);
    });
  });

  describe('towards a client', () => {
    const clock = new TestClock();
    let corp: HostileServer;
    let site: OutboundSite;
    beforeAll(async () => {
      corp = await startHostileServer('corp.test', { zeroBits: 0, now: clock.seconds });
      site = await outboundSite([corp], clock);
      corp.addUser('bob', clock.seconds());
    });
    afterAll(async () => {
      await site[Symbol.asyncDispose]();
      await corp[Symbol.asyncDispose]();
    });
    afterEach(() => corp.behave('get_pow_params', null));

    async function asked(zeroBits: string, members = ''): Promise<{ stage: string; tries: number; sent: number }> {
      const expires = formatTimestamp(clock.seconds() + 3600);
      const body = `{"zero_bits":${zeroBits},"nonce":"${'ab'.repeat(32)}","expires":"${expires}"${members}}`;
      corp.behave('get_pow_params', (_request, response) => answerText(response, body));
      const before = { tries: site.minter.tries(), sent: corp.messages.length };
      const [id] = await site.submit(BOB);
      await site.run(id as number);
      const delivery = await findDelivery(site.opened.db, id as number);
      const stage = `${delivery?.stage} ${delivery?.error_code ?? ''}`.trim();
      return { stage, tries: site.minter.tries() - before.tries, sent: corp.messages.length - before.sent };
    }

    it.each([
      [String(MAX_CLIENT_BITS + 1), 'failed pow-refused'],
      ['255', 'failed pow-refused'],
      ['256', 'failed pow-refused'],
      ['1000000000', 'failed pow-refused'],
      ['9007199254740991', 'failed pow-refused'],
      // Not numbers of the profile at all: the server is faulty, and may heal.
      ['-1', 'mint bad-response'],
      ['1e9', 'mint bad-response'],
      ['1e400', 'mint bad-response'],
      ['20.5', 'mint bad-response'],
      ['9007199254740993', 'mint bad-response'],
      ['"20"', 'mint bad-response'],
      ['null', 'mint bad-response'],
      ['[20]', 'mint bad-response'],
      // Between what is done unasked and what is never done, the operator is asked.
      [String(MAX_CLIENT_BITS), 'held pow-approval'],
      ['13', 'held pow-approval'],
    ])('zero_bits %s is not worked for', async (zeroBits, stage) => {
      expect(await asked(zeroBits)).toEqual({ stage, tries: 0, sent: 0 });
    });

    it('a second zero_bits beside the first is no way around', async () => {
      expect(await asked('1', ',"zero_bits":255')).toMatchObject({ stage: 'mint bad-response', tries: 0 });
      expect(await asked('255', ',"zero\\u005fbits":1')).toMatchObject({ stage: 'mint bad-response', tries: 0 });
    });

    it('what an operator agreed to is not more than was asked then', async () => {
      const expires = formatTimestamp(clock.seconds() + 3600);
      let bits = 13;
      corp.behave('get_pow_params', (_request, response) =>
        answerText(response, `{"zero_bits":${bits},"nonce":"${'ab'.repeat(32)}","expires":"${expires}"}`),
      );
      const [id] = await site.submit(BOB);
      await site.run(id as number);
      await site.operations.retry(id as number);
      bits = 27;
      await site.run(id as number);
      expect(await findDelivery(site.opened.db, id as number)).toMatchObject({ stage: 'held', zero_bits: 27 });
    });
  });
});
