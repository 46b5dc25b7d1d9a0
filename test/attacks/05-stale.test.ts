/**
 * Attack 5. After a rotation a server goes on serving the old head, the old history or the old key pool, perhaps because a
 * thief has the old secrets (SMIMP 0.1 §1.4, §3, §4.4).
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HISTORY_FRESH_MS } from '../../src/identity/histories.ts';
import { type MasterKeyPair, masterKeyPair } from '../../src/smimp/crypto.ts';
import { toHex } from '../../src/smimp/encoding.ts';
import { createMessageKey } from '../../src/smimp/message-key.ts';
import { recordHead, rotateRecord } from '../../src/smimp/record.ts';
import { findDelivery } from '../../src/store/outbound.ts';
import {
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  codeOf,
  keyOf,
  prepare,
  sendPath,
  startApi,
  stranger,
} from '../support/api-site.ts';
import { type HostileServer, type ServedUser, startHostileServer } from '../support/hostile-server.ts';
import { type OutboundSite, outboundSite, TestClock } from '../support/outbound-site.ts';
import { answerJson } from '../support/tls-server.ts';

const clock = new TestClock();
let corp: HostileServer;
let site: OutboundSite;
let bob: ServedUser;
let people = 0;

beforeAll(async () => {
  corp = await startHostileServer('corp.test', { zeroBits: 0, now: clock.seconds });
  site = await outboundSite([corp], clock);
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
  await corp[Symbol.asyncDispose]();
});
beforeEach(() => {
  corp.behave('get_message_key', null);
  corp.messages.length = 0;
  people += 1;
  bob = corp.addUser(`bob${people}`, clock.seconds());
  clock.advance(HISTORY_FRESH_MS);
});

async function sent(): Promise<string> {
  const [id] = await site.submit(bob.address);
  await site.run(id as number);
  const delivery = await findDelivery(site.opened.db, id as number);
  return `${delivery?.stage} ${delivery?.error_code ?? ''}`.trim();
}

/** A key of the old pool beside the head that the server chooses. */
function servePool(master: MasterKeyPair, answer: { head: string; publicKey: MasterKeyPair }): void {
  const { address } = bob;
  const { key } = createMessageKey({ address, kind: 'ephemeral', master, now: clock.seconds() - 60, lifetimeDays: 90 });
  const public_key = toHex(answer.publicKey.publicKey);
  const body = { address, public_key, head: answer.head, message_key: key, non_ephemeral: false };
  corp.behave('get_message_key', (_request, response) => answerJson(response, body));
}

describe('5 old head and old key pool served after rotation', () => {
  it('to whom the rotation is known: nothing is encrypted to the old pool, whatever head stands beside it', async () => {
    const old = { master: bob.master, head: bob.trueHead() };
    bob.change({ now: clock.seconds(), rotate: true });
    servePool(bob.master, { head: bob.trueHead(), publicKey: bob.master });
    expect(await sent()).toBe('done');
    clock.advance(HISTORY_FRESH_MS);
    corp.messages.length = 0;
    servePool(old.master, { head: bob.trueHead(), publicKey: bob.master });
    expect(await sent()).toBe('held bad-message-key');
    servePool(old.master, { head: old.head, publicKey: old.master });
    expect(await sent()).toBe('held head-mismatch');
    servePool(bob.master, { head: old.head, publicKey: bob.master });
    expect(await sent()).toBe('held head-mismatch');
    bob.records = bob.records.slice(0, 1);
    servePool(old.master, { head: old.head, publicKey: old.master });
    clock.advance(HISTORY_FRESH_MS);
    expect(await sent()).toBe('held pin-truncated');
    expect(corp.messages).toEqual([]);
  });

  it('an old key signed anew by a thief under a key that is not in the history is none', async () => {
    servePool(masterKeyPair(), { head: bob.trueHead(), publicKey: bob.master });
    expect(await sent()).toBe('held bad-message-key');
    expect(corp.messages).toEqual([]);
  });

  it('to whom it is not known: the letter names the old head, by which Bob learns of it', async () => {
    const whole = bob.records;
    bob.change({ now: clock.seconds(), rotate: true });
    const frozen = recordHead(0, whole[0] as never);
    bob.records = whole;
    servePool(bob.retired[0] as MasterKeyPair, { head: frozen, publicKey: bob.retired[0] as MasterKeyPair });
    expect(await sent()).toBe('done');
    // What Bob makes of `recipient_head` seq 0 after record 1: mailbox-open.test.ts ("does not know your present keys").
    expect(corp.messages).toHaveLength(1);
  });

  describe('and an honest server', () => {
    let api: ApiSite;
    beforeAll(async () => {
      api = await startApi();
    });
    afterAll(() => api[Symbol.asyncDispose]());

    it('gives nothing of the old pool from the rotation on, and takes old keys for one hour only', async () => {
      const owner = await api.account(BOB, { ephemeral: 40 });
      const alice = stranger(api, ALICE);
      const login = await api.logIn(alice);
      const early = await prepare(api, { sender: alice, login, recipient: BOB });
      const home = await api.logIn(owner);
      const newKey = masterKeyPair();
      const renewed = { address: BOB, master: newKey };
      const now = Math.floor(api.now.getTime() / 1000);
      const record = rotateRecord({ previous: owner.record, signer: owner.master, newKey, now });
      const nonephemeral_key = keyOf(renewed, 'non-ephemeral', api.now);
      const ephemeral_keys = Array.from({ length: 8 }, () => keyOf(renewed, 'ephemeral', api.now));
      const body = { record, nonephemeral_key, ephemeral_keys };
      answerOf('update_profile', await api.post('/0.1/update_profile', body, home.token));
      const old = new Set([...owner.ephemeral, owner.nonEphemeral].map(({ public_key }) => public_key));
      for (let i = 0; i < 12; i++) {
        const other = await api.logIn(stranger(api, `x${i}#d${i}.test` as never));
        const given = answerOf(
          'get_message_key',
          await api.post('/0.1/get_message_key', { address: BOB }, other.token),
        );
        expect(old.has(given.message_key.public_key)).toBe(false);
        expect(given).toMatchObject({ head: recordHead(1, record), public_key: toHex(newKey.publicKey) });
      }
      // Nor to the sender who had an old one outstanding, within its hour.
      const again = answerOf('get_message_key', await api.post('/0.1/get_message_key', { address: BOB }, login.token));
      expect(old.has(again.message_key.public_key)).toBe(false);
      api.later(3601);
      const fresh = await api.logIn(alice);
      expect(codeOf(await api.post(sendPath(BOB), early.envelope, fresh.token))).toBe('key_consumed');
      // The old owner's key, in whatever hands, opens nothing here any more.
      await expect(api.logIn(owner)).rejects.toThrow('401');
    });
  });
});
