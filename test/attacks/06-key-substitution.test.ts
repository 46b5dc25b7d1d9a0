/**
 * Attack 6. Whoever answers for a recipient gives out another message key than the recipient's own (SMIMP 0.1 §1.4): signed by
 * somebody else, somebody else's, in a second spelling, of low order, or the master key in disguise.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/smimp/address.ts';
import { masterKeyPair, messageKeyPair } from '../../src/smimp/crypto.ts';
import { formatTimestamp, type Hex32, toHex } from '../../src/smimp/encoding.ts';
import { masterBoxKey } from '../../src/smimp/master-key.ts';
import { createMessageKey, type MessageKey } from '../../src/smimp/message-key.ts';
import { messageKeyDigest, signDigest } from '../../src/smimp/transcript.ts';
import { findDelivery } from '../../src/store/outbound.ts';
import { type Account, type ApiSite, answerOf, BOB, codeOf, keyOf, startApi } from '../support/api-site.ts';
import { type HostileServer, type ServedUser, startHostileServer } from '../support/hostile-server.ts';
import { type OutboundSite, outboundSite, TestClock } from '../support/outbound-site.ts';
import { answerJson } from '../support/tls-server.ts';

type Owner = Pick<Account, 'address' | 'master'>;

/** A key with whatever the attacker wants in it, signed by whoever has `master`. */
function signedKey(owner: Owner, publicKey: Hex32, now: number, changed: Partial<MessageKey> = {}): MessageKey {
  const body = {
    public_key: publicKey,
    kind: 'ephemeral' as const,
    created: formatTimestamp(now),
    expires: formatTimestamp(now + 86_400),
    ...changed,
  };
  const { kind, created, expires } = body;
  const masterKey = toHex<Hex32>(owner.master.publicKey);
  const digest = messageKeyDigest({ address: owner.address, masterKey, publicKey, kind, created, expires });
  return { ...body, signed_hash: signDigest(owner.master.secretKey, digest), ...changed };
}

const fresh = (): Hex32 => toHex(messageKeyPair().publicKey);
/** u + p for a small u: the same point in a second spelling. */
const ALIAS = `${'ee'}${'ff'.repeat(30)}7f` as Hex32;
const withBit255 = (key: Hex32): Hex32 =>
  `${key.slice(0, 62)}${(Number.parseInt(key.slice(62), 16) | 0x80).toString(16)}` as Hex32;
const LOW_ORDER = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
] as Hex32[];

/** What is handed out for `owner`, each wrong in one way. `other` is another user of the same server. */
function substitutes(owner: Owner, other: Owner, now: number): Record<string, MessageKey> {
  const good = signedKey(owner, fresh(), now);
  const thief = { address: owner.address, master: masterKeyPair() };
  const boxKey = masterBoxKey(toHex(owner.master.publicKey));
  return {
    'signed by nobody he knows': signedKey(thief, fresh(), now),
    "another user's key, as she signed it": signedKey(other, fresh(), now),
    "another user's key, with his signature over another one": { ...good, public_key: fresh() },
    'signed by him, but for another address': signedKey({ ...owner, address: other.address }, fresh(), now),
    'of the other kind than was signed': { ...good, kind: 'non-ephemeral' },
    'with another end than was signed': { ...good, expires: formatTimestamp(now + 86_401) },
    'with another beginning than was signed': { ...good, created: formatTimestamp(now - 1) },
    'that ends before it begins': signedKey(owner, fresh(), now, { expires: formatTimestamp(now - 1) }),
    'that lasts a second longer than 180 days': signedKey(owner, fresh(), now, {
      expires: formatTimestamp(now + 180 * 86_400 + 1),
    }),
    'in a second spelling (u ≥ p)': signedKey(owner, ALIAS, now),
    'in a second spelling (bit 255)': signedKey(owner, withBit255(fresh()), now),
    'his master key, raw': signedKey(owner, toHex(owner.master.publicKey), now),
    'his master key, converted': signedKey(owner, boxKey, now),
    ...Object.fromEntries(LOW_ORDER.map((key, i) => [`of low order (${i})`, signedKey(owner, key, now)])),
  };
}

describe('6 key substitution', () => {
  const clock = new TestClock();
  let corp: HostileServer;
  let site: OutboundSite;
  let bob: ServedUser;
  let mallory: ServedUser;
  beforeAll(async () => {
    corp = await startHostileServer('corp.test', { zeroBits: 0, now: clock.seconds });
    site = await outboundSite([corp], clock);
    bob = corp.addUser('bob', clock.seconds());
    mallory = corp.addUser('mallory', clock.seconds());
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
    await corp[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    corp.messages.length = 0;
  });

  const names = Object.keys(
    substitutes(
      { address: parseAddress('a#b.test'), master: masterKeyPair() },
      { address: parseAddress('c#b.test'), master: masterKeyPair() },
      0,
    ),
  );
  it.each(names)('towards the sender: %s — nothing is encrypted to it', async (name) => {
    const message_key = substitutes(bob, mallory, clock.seconds())[name];
    const { address } = bob;
    const answer = {
      address,
      public_key: toHex(bob.master.publicKey),
      head: bob.trueHead(),
      message_key,
      non_ephemeral: false,
    };
    corp.behave('get_message_key', (_request, response) => answerJson(response, answer));
    const [id] = await site.submit(bob.address);
    await site.run(id as number);
    const delivery = await findDelivery(site.opened.db, id as number);
    expect([delivery?.stage, delivery?.error_code]).toEqual(['held', 'bad-message-key']);
    expect(delivery?.minted_envelope).toBeNull();
    expect(corp.messages).toEqual([]);
  });

  it('towards the sender: a key that has ended is waited for, not used', async () => {
    const past = clock.seconds() - 86_400 * 40;
    const { key } = createMessageKey({
      address: bob.address,
      kind: 'ephemeral',
      master: bob.master,
      now: past,
      lifetimeDays: 40,
    });
    const answer = {
      address: bob.address,
      public_key: toHex(bob.master.publicKey),
      head: bob.trueHead(),
      message_key: key,
      non_ephemeral: false,
    };
    corp.behave('get_message_key', (_request, response) => answerJson(response, answer));
    const [id] = await site.submit(bob.address);
    await site.run(id as number);
    expect(await findDelivery(site.opened.db, id as number)).toMatchObject({
      stage: 'seal',
      error_code: 'bad-message-key',
    });
    expect(corp.messages).toEqual([]);
  });

  describe('towards the server', () => {
    let api: ApiSite;
    let owner: Account;
    let other: Account;
    beforeAll(async () => {
      api = await startApi();
      owner = await api.account(BOB, { ephemeral: 3 });
      other = await api.account(parseAddress('carol#corp.test'), { ephemeral: 3 });
    });
    afterAll(() => api[Symbol.asyncDispose]());

    const pool = async (token: string) => {
      const reply = await api.get('/0.1/ephemeral_keys', token);
      return { keys: answerOf('get_ephemeral_keys', reply).keys, etag: String(reply.headers.etag) };
    };

    it.each(names)('%s — is not published, alone or between good ones', async (name) => {
      const { token } = await api.logIn(owner);
      const now = Math.floor(api.now.getTime() / 1000);
      const bad = substitutes(owner, other, now)[name];
      const before = await pool(token);
      for (const mode of ['append', 'replace']) {
        const keys = [keyOf(owner, 'ephemeral', api.now), bad, keyOf(owner, 'ephemeral', api.now)];
        const code = codeOf(await api.post('/0.1/ephemeral_keys', { keys, mode }, token, { 'if-match': before.etag }));
        expect(code).toMatch(/^bad_(?:key|signature)$/);
      }
      expect(codeOf(await api.post('/0.1/nonephemeral_key', bad, token))).toMatch(/^bad_(?:key|signature)$/);
      expect(await pool(token)).toEqual(before);
      expect(answerOf('get_nonephemeral_key', await api.get('/0.1/nonephemeral_key', token))).toEqual(
        owner.nonEphemeral,
      );
    });

    it('a key of somebody else on the same server cannot be put in one’s own pool, nor one that was used before', async () => {
      const { token } = await api.logIn(owner);
      const { etag, keys: before } = await pool(token);
      const known = before[0] as MessageKey;
      for (const key of [other.ephemeral[0], known, owner.nonEphemeral])
        expect(
          codeOf(await api.post('/0.1/ephemeral_keys', { keys: [key], mode: 'append' }, token, { 'if-match': etag })),
        ).toMatch(/^bad_/);
    });
  });
});
