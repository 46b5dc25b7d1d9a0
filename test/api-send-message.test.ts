/** `get_pow_params` and `send_message` (SMIMP 0.1 §4.3, §5): every check, their order, and what happens at once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RemoteError } from '../src/remote/errors.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { MAX_MESSAGE_REQUEST_BYTES } from '../src/smimp/api.ts';
import { masterKeyPair, randomBytes } from '../src/smimp/crypto.ts';
import { type Hex32, parseBase64, toHex } from '../src/smimp/encoding.ts';
import { rotateRecord } from '../src/smimp/record.ts';
import { setNonEphemeral } from '../src/store/message-keys.ts';
import { changeMasterKey } from '../src/store/records.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  CAROL,
  codeOf,
  envelopeOf,
  keyOf,
  type Login,
  type Person,
  prepare,
  proofOf,
  rawExchange,
  segment,
  sendPath,
  startApi,
  stranger,
} from './support/api-site.ts';

let site: ApiSite;
let bob: Account;
let alice: Person;
let login: Login;
const zeros = (size: number): string => '00'.repeat(size);

beforeAll(async () => {
  site = await startApi();
  bob = await site.account(BOB, { ephemeral: 400 });
  alice = stranger(site, ALICE);
  login = await site.logIn(alice);
});
afterAll(() => site[Symbol.asyncDispose]());

const ready = () => prepare(site, { sender: alice, login, recipient: BOB });
const post = (envelope: unknown, token: string | undefined = login.token) => site.post(sendPath(BOB), envelope, token);
const stored = async (): Promise<number> => {
  const { n } = await site.opened.db
    .selectFrom('message')
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .where('account_id', '=', bob.accountId)
    .executeTakeFirstOrThrow();
  return n;
};

describe('send_message', () => {
  it('stores what is in order and answers the same envelope with the same id', async () => {
    const { envelope } = await ready();
    const before = await stored();
    const first = answerOf('send_message', await post(envelope));
    expect(answerOf('send_message', await post(envelope))).toEqual(first);
    expect(await stored()).toBe(before + 1);
    const home = await site.logIn(bob);
    const got = answerOf('get_message', await site.get(`/0.1/message/${first.message_id}/false`, home.token));
    expect(got).toMatchObject({ ...envelope, sender_address: ALICE, recipient_address: BOB, folder_name: null });
  });

  it('takes the same envelope twice at once as one message', async () => {
    const { envelope } = await ready();
    const before = await stored();
    const replies = await Promise.all(Array.from({ length: 8 }, () => post(envelope)));
    const ids = replies.map((reply) => answerOf('send_message', reply).message_id);
    expect(new Set(ids).size).toBe(1);
    expect(await stored()).toBe(before + 1);
  });

  it('does not take another content under the signature of one it has', async () => {
    const { envelope } = await ready();
    answerOf('send_message', await post(envelope));
    const other = { ...envelope, message: randomBytes(400).toString('base64') };
    expect(codeOf(await post(other))).toBe('bad_signature');
  });

  it('lets exactly one of two messages have a single-use key', async () => {
    const { envelope, messageKey } = await ready();
    const second = await prepare(site, { sender: alice, login, recipient: BOB });
    expect(second.messageKey.public_key).toBe(messageKey.public_key);
    const codes = (await Promise.all([post(envelope), post(second.envelope)])).map((reply) =>
      reply.status === 200 ? 'stored' : codeOf(reply),
    );
    expect(codes.sort()).toEqual(['key_consumed', 'stored']);
  });

  it('lets exactly one of two messages have a nonce', async () => {
    const own = await site.account(parseAddress('dora#corp.test'), { ephemeral: 0 });
    const one = await prepare(site, { sender: alice, login, recipient: own.address });
    const ciphertext = randomBytes(400);
    const proofOfWork = proofOf({ ciphertext, login, recipient: own.address, nonce: one.nonce, zeroBits: 4 });
    const messageKey = one.messageKey.public_key;
    const two = envelopeOf({ sender: alice, login, recipient: own.address, messageKey, ciphertext, proofOfWork });
    const path = sendPath(own.address);
    const replies = await Promise.all([one.envelope, two].map((envelope) => site.post(path, envelope, login.token)));
    const codes = replies.map((reply) => (reply.status === 200 ? 'stored' : codeOf(reply)));
    expect(codes.sort()).toEqual(['bad_pow', 'stored']);
  });

  it('names the first check that fails, in the written order', async () => {
    const good = await ready();
    const announced = (token: string): Promise<string> => {
      const lines = [`POST ${sendPath(BOB)} HTTP/1.1`, 'Host: smimp.corp.test', 'Content-Type: application/json'];
      const rest = [`SMIMP-Authentication: ${token}`, `Content-Length: ${MAX_MESSAGE_REQUEST_BYTES + 1}`, '', ''];
      return rawExchange(site, [...lines, ...rest].join('\r\n'), /"code":"\w+"/);
    };
    // Everything below is wrong at once; each step puts one thing right.
    const bad = { ...good.envelope, message_public_key: zeros(32), proof_of_work: null, message_hash: zeros(96) };
    expect(codeOf(await site.post(sendPath(BOB), bad))).toBe('unauthorized');
    expect(await announced(zeros(32))).toContain('"code":"unauthorized"');
    expect(await announced(login.token)).toContain('"code":"too_large"');
    expect(codeOf(await site.post(sendPath(parseAddress('nobody#corp.test')), bad, login.token))).toBe('unknown_user');
    expect(codeOf(await post(bad))).toBe('bad_key');
    const withKey = { ...bad, message_public_key: good.messageKey.public_key };
    expect(codeOf(await post(withKey))).toBe('bad_pow');
    const withWork = { ...withKey, proof_of_work: good.envelope.proof_of_work };
    expect(codeOf(await post(withWork))).toBe('bad_signature');
    expect((await post(good.envelope)).status).toBe(200);
    expect(codeOf(await post({ ...good.envelope, message_hash: zeros(96) }))).toBe('key_consumed');
  });

  it('leaves key and nonce unused when a check fails', async () => {
    const { envelope } = await ready();
    const forged = envelopeOf({
      sender: { address: ALICE, master: masterKeyPair() },
      recipient: BOB,
      login,
      messageKey: envelope.message_public_key,
      ciphertext: parseBase64(envelope.message),
      proofOfWork: envelope.proof_of_work,
    });
    expect(codeOf(await post(forged))).toBe('bad_signature');
    expect((await post(envelope)).status).toBe(200);
  });

  it('refuses a key that was issued to somebody else, or for somebody else', async () => {
    const { envelope } = await ready();
    const eve = stranger(site, parseAddress('eve#evil.test'));
    const hers = await site.logIn(eve);
    const { envelope: other } = await prepare(site, { sender: eve, login: hers, recipient: BOB });
    expect(codeOf(await post({ ...other, message_public_key: envelope.message_public_key }, hers.token))).toBe(
      'bad_key',
    );
    await site.account(CAROL);
    expect(codeOf(await site.post(sendPath(CAROL), envelope, login.token))).toBe('bad_key');
  });

  it('refuses work that is absent, too little, or bound to another session, type or recipient', async () => {
    const { envelope, nonce, ciphertext, messageKey } = await ready();
    const draft = { sender: alice, login, recipient: BOB, messageKey: messageKey.public_key, ciphertext };
    const work = { ciphertext, login, recipient: BOB, nonce, zeroBits: 4 };
    const codeFor = async (proofOfWork: string | null, messageType = 'email'): Promise<string> =>
      codeOf(await post(envelopeOf({ ...draft, proofOfWork, messageType })));
    expect(await codeFor(null)).toBe('bad_pow');
    expect(await codeFor(proofOf({ ...work, enough: false }))).toBe('bad_pow');
    expect(await codeFor(proofOf({ ...work, nonce: toHex<Hex32>(randomBytes(32)) }))).toBe('bad_pow');
    expect(await codeFor(proofOf({ ...work, recipient: CAROL }))).toBe('bad_pow');
    expect(await codeFor(proofOf({ ...work, messageType: 'short-message' }), 'short-message')).toBe('bad_pow');
    expect(await codeFor(proofOf({ ...work, ciphertext: randomBytes(5) }))).toBe('bad_pow');
    const another = await site.logIn(alice);
    const elsewhere = envelopeOf({ ...draft, login: another, proofOfWork: proofOf({ ...work, login: another }) });
    expect(codeOf(await post(elsewhere, another.token))).toBe('bad_pow');
    expect((await post(envelope)).status).toBe(200);
  });

  it('asks no work of accounts of this server, but the string and its hash', async () => {
    const home = await site.logIn(bob);
    const path = `/0.1/get_pow_params/${segment(BOB)}/email`;
    const { zero_bits, nonce } = answerOf('get_pow_params', await site.get(path, home.token));
    expect(zero_bits).toBe(0);
    const given = answerOf('get_message_key', await site.post('/0.1/get_message_key', { address: BOB }, home.token));
    const ciphertext = randomBytes(300);
    const draft = { sender: bob, recipient: BOB, login: home, messageKey: given.message_key.public_key, ciphertext };
    expect(codeOf(await post(envelopeOf(draft), home.token))).toBe('bad_pow');
    const wrong = `${zeros(32)}:${zeros(32)}:${nonce}`;
    expect(codeOf(await post(envelopeOf({ ...draft, proofOfWork: wrong }), home.token))).toBe('bad_pow');
    const proofOfWork = proofOf({ ciphertext, login: home, recipient: BOB, nonce, zeroBits: 0 });
    expect((await post(envelopeOf({ ...draft, proofOfWork }), home.token)).status).toBe(200);
  });

  it('gives at most 16 unused nonces to a session, also at once', async () => {
    const fresh = await site.logIn(alice);
    const path = `/0.1/get_pow_params/${segment(BOB)}/email`;
    const replies = await Promise.all(Array.from({ length: 24 }, () => site.get(path, fresh.token)));
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(16);
    const refused = replies.filter(({ status }) => status === 429);
    expect(refused.map(codeOf)).toEqual(Array(8).fill('too_many_requests'));
    expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThan(0);
  });

  it('asks for the key of a sender again after five minutes, and ends a session under an old one', async () => {
    const fetchesBefore = site.fetches;
    const sender = stranger(site, parseAddress('frank#acme.test'));
    const session = await site.logIn(sender);
    const one = await prepare(site, { sender, login: session, recipient: BOB });
    site.later(299);
    expect((await post(one.envelope, session.token)).status).toBe(200);
    expect(site.fetches).toBe(fetchesBefore + 1);
    const two = await prepare(site, { sender, login: session, recipient: BOB });
    site.later(2);
    site.remoteKeys.set(sender.address, new RemoteError('timeout'));
    expect(codeOf(await post(two.envelope, session.token))).toBe('gateway_timeout');
    site.remoteKeys.set(sender.address, new RemoteError('tls'));
    expect(codeOf(await post(two.envelope, session.token))).toBe('bad_gateway');
    site.remoteKeys.set(sender.address, toHex(masterKeyPair().publicKey));
    expect(['unauthorized', 'bad_signature']).toContain(codeOf(await post(two.envelope, session.token)));
    site.remoteKeys.set(sender.address, toHex(sender.master.publicKey));
    expect((await post(two.envelope, session.token)).status).not.toBe(200);
  });

  it('stores nothing for a session that ended while the checks ran', async () => {
    const sender = stranger(site, parseAddress('greta#acme.test'));
    const session = await site.logIn(sender);
    const { envelope } = await prepare(site, { sender, login: session, recipient: BOB });
    site.later(301);
    const before = await stored();
    site.duringFetch = async () => {
      await site.send({ method: 'POST', path: '/0.1/destroy_session', token: session.token });
    };
    const reply = await post(envelope, session.token);
    site.duringFetch = async () => undefined;
    expect(codeOf(reply)).toBe('unauthorized');
    expect(await stored()).toBe(before);
  });

  it('accepts keys under an old master for one hour, and no session of it', async () => {
    const owner = await site.account(parseAddress('gina#corp.test'), { ephemeral: 40 });
    const home = await site.logIn(owner);
    const path = sendPath(owner.address);
    const send = async (envelope: unknown): Promise<string> => {
      const reply = await site.post(path, envelope, login.token);
      return reply.status === 200 ? 'stored' : codeOf(reply);
    };
    const one = await prepare(site, { sender: alice, login, recipient: owner.address });
    const two = await prepare(site, { sender: alice, login, recipient: owner.address });
    const newKey = masterKeyPair();
    const record = rotateRecord({
      previous: owner.record,
      signer: owner.master,
      newKey,
      now: Math.floor(site.now.getTime() / 1000),
    });
    const renewed = { address: owner.address, master: newKey };
    await site.opened.db.transaction().execute((tx) =>
      changeMasterKey(tx, {
        accountId: owner.accountId,
        address: owner.address,
        record,
        seq: 1,
        masterKey: toHex(newKey.publicKey),
        nonEphemeralKey: keyOf(renewed, 'non-ephemeral', site.now),
        ephemeralKeys: [],
        now: site.now,
      }),
    );
    expect(codeOf(await site.get('/0.1/ephemeral_keys', home.token))).toBe('unauthorized');
    site.later(3000);
    expect(await send(one.envelope)).toBe('stored');
    site.later(601);
    expect(await send(two.envelope)).toBe('key_consumed');
  });

  it('accepts a replaced non-ephemeral key for 24 hours', async () => {
    const owner = await site.account(parseAddress('hans#corp.test'), { ephemeral: 0 });
    const { messageKey } = await prepare(site, { sender: alice, login, recipient: owner.address });
    expect(messageKey).toEqual(owner.nonEphemeral);
    const key = keyOf(owner, 'non-ephemeral', site.now);
    await site.opened.db
      .transaction()
      .execute((tx) => setNonEphemeral(tx, owner.accountId, key, toHex(owner.master.publicKey), site.now));
    const withOld = async (): Promise<string> => {
      const session = await site.logIn(alice);
      const path = `/0.1/get_pow_params/${segment(owner.address)}/email`;
      const { nonce } = answerOf('get_pow_params', await site.get(path, session.token));
      const ciphertext = randomBytes(300);
      const proofOfWork = proofOf({ ciphertext, login: session, recipient: owner.address, nonce, zeroBits: 4 });
      const draft = { sender: alice, recipient: owner.address, login: session, ciphertext, proofOfWork };
      const envelope = envelopeOf({ ...draft, messageKey: messageKey.public_key });
      const reply = await site.post(sendPath(owner.address), envelope, session.token);
      return reply.status === 200 ? 'stored' : codeOf(reply);
    };
    site.later(86_399);
    expect(await withOld()).toBe('stored');
    site.later(2);
    expect(await withOld()).toBe('key_consumed');
  });
});
