/**
 * Attack 1. A server chooses the login token, so it chooses what is signed: it hands out the hash of a forged record, or of
 * anything else it would like signed (SMIMP 0.1 §1.3). Purposes make what it gets back good for that one login only.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyHistory } from '../../src/smimp/chain.ts';
import { type MasterKeyPair, masterKeyPair, randomBytes } from '../../src/smimp/crypto.ts';
import { formatTimestamp, type Hex32, type SignedHash, toHex } from '../../src/smimp/encoding.ts';
import { ProfileError } from '../../src/smimp/errors.ts';
import { recordHead, rotateRecord, signRecord } from '../../src/smimp/record.ts';
import * as transcript from '../../src/smimp/transcript.ts';
import { type HostileServer, startHostileServer } from '../support/hostile-server.ts';
import { type OutboundSite, outboundSite, TestClock } from '../support/outbound-site.ts';
import { answerJson, readRequest } from '../support/tls-server.ts';

let evil: HostileServer;
let site: OutboundSite;
let master: MasterKeyPair;
const clock = new TestClock();
const HEX = 'ab'.repeat(32) as Hex32;

beforeAll(async () => {
  evil = await startHostileServer('evil.test', { zeroBits: 0, now: clock.seconds });
  site = await outboundSite([evil], clock);
  master = await (await site.keystore.open(site.alice.accountId)).master();
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
  await evil[Symbol.asyncDispose]();
});

/** What Alice's client signs when the server gives it this token. */
async function signedFor(token: Hex32): Promise<{ signed_token: SignedHash; public_key: Hex32 }> {
  const posted = Promise.withResolvers<string>();
  const expires = formatTimestamp(clock.seconds() + 120);
  evil.behave('get_create_session', (_request, response) => answerJson(response, { token, expires }));
  evil.behave('post_create_session', async (request, response) => {
    posted.resolve((await readRequest(request)).toString());
    response.writeHead(401).end();
  });
  const { accountId } = site.alice;
  await expect(site.sessions.get({ accountId, baseUrl: evil.baseUrl })).rejects.toMatchObject({ code: 'api' });
  return JSON.parse(await posted.promise) as { signed_token: SignedHash; public_key: Hex32 };
}

async function forgedRecord() {
  const history = await site.identity.ownHistory(site.alice.accountId);
  const previous = history.records.at(-1);
  if (previous === undefined) throw new Error('Alice has no record');
  const thief = masterKeyPair();
  // Signed by the thief; the server lacks Alice's signature under it.
  const forged = rotateRecord({ previous, signer: thief, newKey: thief, now: clock.seconds() + 60 });
  return { history, forged: signRecord(forged.data, thief, thief) };
}

const codeOf = (check: () => unknown): string => {
  try {
    check();
    return 'accepted';
  } catch (error) {
    if (error instanceof ProfileError) return error.code;
    throw error;
  }
};

describe('1 login token chosen as the hash of a forged record', () => {
  it('signs a login and no record, although the token is the digest of one', async () => {
    const { forged } = await forgedRecord();
    const digest = transcript.recordDigest(forged.data);
    const { signed_token, public_key } = await signedFor(toHex(digest));
    expect(transcript.digestOf(signed_token)).not.toBe(toHex(digest));
    expect(codeOf(() => transcript.verifySignedHash(signed_token, digest, public_key))).toBe('digest-mismatch');
  });

  it('gives nothing that continues the history, as it is or put together with the digest that is wanted', async () => {
    const { history, forged } = await forgedRecord();
    const digest = toHex(transcript.recordDigest(forged.data));
    const { signed_token } = await signedFor(digest);
    const signature = signed_token.slice(0, 128);
    for (const signed_hash of [signed_token, `${signature}${digest}`] as SignedHash[]) {
      const record = { ...forged, signed_hash };
      const records = [...history.records, record];
      const head = recordHead(records.length - 1, record);
      const check = () => verifyHistory({ address: site.alice.address, records, head });
      expect(codeOf(check)).toBe(signed_hash === signed_token ? 'digest-mismatch' : 'bad-signature');
    }
  });

  const address = 'alice#acme.test' as never;
  const now = '2026-01-15 12:00:00' as never;
  const wanted: Record<string, () => Uint8Array> = {
    'record-new-key': () => transcript.recordNewKeyDigest('{}'),
    head: () => transcript.headDigest(0, 'ab'.repeat(96) as never),
    'message-key': () =>
      transcript.messageKeyDigest({
        ...{ address, kind: 'ephemeral', masterKey: toHex(master.publicKey), publicKey: HEX },
        ...{ created: now, expires: '2026-02-15 12:00:00' as never },
      }),
    'login at another server': () =>
      transcript.loginDigest({
        baseUrl: 'https://smimp.corp.test',
        address,
        masterKey: toHex(master.publicKey),
        token: HEX,
      }),
    'login-token': () => transcript.loginTokenDigest(HEX),
    message: () =>
      transcript.messageDigest({
        ...{ ciphertext: randomBytes(300), messageType: 'email', algorithm: 'curve25519xsalsa20poly1305' },
        ...{ messagePublicKey: HEX, proofOfWork: null, nonce: 'ab'.repeat(24) as never, loginTokenHash: HEX },
        ...{ sender: address, recipient: 'bob#corp.test' as never, senderPublicKey: toHex(master.publicKey) },
      }),
    avatar: () => transcript.avatarDigest({ address, contentType: 'image/png', date: now, image: randomBytes(9) }),
    list: () => transcript.listDigest({ owner: address, kind: 'domain', value: 'corp.test' }),
    initialize: () => transcript.initializeDigest(address, 'code'),
    storage: () => transcript.storageDigest({ owner: address, purpose: 'extensions', objectId: HEX, version: 1 }),
    'site-auth': () =>
      transcript.siteAuthDigest({
        origin: 'https://bank.test',
        address,
        masterKey: toHex(master.publicKey),
        token: HEX,
      }),
  };

  it.each(Object.keys(wanted))('does not sign a digest of another purpose: %s', async (purpose) => {
    const digest = wanted[purpose]?.() ?? new Uint8Array();
    const { signed_token, public_key } = await signedFor(toHex(digest));
    const signature = signed_token.slice(0, 128);
    expect(codeOf(() => transcript.verifySignedHash(signed_token, digest, public_key))).toBe('digest-mismatch');
    const joined = `${signature}${toHex(digest)}`;
    expect(codeOf(() => transcript.verifySignedHash(joined, digest, public_key))).toBe('bad-signature');
    // What was signed is a login at this server, and nothing else.
    const login = { baseUrl: evil.baseUrl, address: site.alice.address, masterKey: public_key, token: toHex(digest) };
    expect(codeOf(() => transcript.verifySignedHash(signed_token, transcript.loginDigest(login), public_key))).toBe(
      'accepted',
    );
  });

  it.each(['', 'ab', 'AB'.repeat(32), 'ab'.repeat(33), 'zz'.repeat(32), 7, null])(
    'signs no token of another form: %j',
    async (token) => {
      evil.behave('get_create_session', (_request, response) =>
        answerJson(response, { token, expires: '2026-01-15 12:02:00' }),
      );
      const before = evil.requests.length;
      const { accountId } = site.alice;
      await expect(site.sessions.get({ accountId, baseUrl: evil.baseUrl })).rejects.toMatchObject({
        code: 'bad-response',
      });
      expect(evil.requests.slice(before).filter((request) => request.startsWith('POST'))).toEqual([]);
    },
  );
});
