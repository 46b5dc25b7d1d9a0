/**
 * A whole message through the home server (SMIMP 0.1 §5): the bridge's own client, a provisioned account, real keys. What was
 * sealed by one side is opened and verified by the other.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEvents } from '../src/events.ts';
import { createAccounts } from '../src/identity/accounts.ts';
import { readOwnHistory } from '../src/identity/own-history.ts';
import { type AccountKeys, createKeystore } from '../src/keystore/keystore.ts';
import { createLogger } from '../src/log.ts';
import { createMinter, type Minter } from '../src/pipeline/minter.ts';
import { createHomeClient, type HomeClient, type Session } from '../src/remote/home.ts';
import { createHttps, type Https } from '../src/remote/https.ts';
import { type Address, parseAddress } from '../src/smimp/address.ts';
import { sealMessage } from '../src/smimp/boxes.ts';
import { type VerifiedHistory, verifyHistory } from '../src/smimp/chain.ts';
import { type MasterKeyPair, randomBytes } from '../src/smimp/crypto.ts';
import { serializeBody } from '../src/smimp/email.ts';
import { formatTimestamp, type Hex32, toHex } from '../src/smimp/encoding.ts';
import { parseStoredEnvelope, type SentEnvelope, signEnvelope } from '../src/smimp/envelope.ts';
import { verifyMessageKey } from '../src/smimp/message-key.ts';
import { openMessage } from '../src/smimp/open.ts';
import { historyIdentity } from '../src/smimp/pin.ts';
import { ciphertextHash, formatProof, powDigest, powMessage } from '../src/smimp/pow.ts';
import { createRecord } from '../src/smimp/record.ts';
import { ALICE, type ApiSite, answerOf, BASE_URL, BOB, CAROL, startApi, stranger } from './support/api-site.ts';
import { answerOf as historyOf } from './support/identities.ts';

type Writer = { address: Address; master: MasterKeyPair; history: VerifiedHistory };

let site: ApiSite;
let https: Https;
let home: HomeClient;
let minter: Minter;
let bob: AccountKeys;
let alice: Writer;
let carol: Writer;

const ZERO_BITS = 6;
const seconds = (): number => Math.floor(site.now.getTime() / 1000);

beforeAll(async () => {
  site = await startApi({ zeroBits: ZERO_BITS });
  https = createHttps({ hosts: { 'smimp.corp.test': `127.0.0.1:${site.port}` }, allow: [], ca: [site.ca] });
  home = createHomeClient({ https });
  minter = createMinter({ threads: 1 });
  const keystore = createKeystore({ db: site.opened.db, serverKey: Buffer.alloc(32, 3) });
  const events = createEvents(createLogger({ level: 'silent' }));
  const accounts = createAccounts({ db: site.opened.db, keystore, events, clock: () => site.now });
  const provision = async (address: Address): Promise<AccountKeys> => {
    const { id } = await accounts.add({ address, password: 'a long password', name: null });
    return keystore.open(id);
  };
  bob = await provision(BOB);
  const keys = await provision(CAROL);
  carol = {
    address: CAROL,
    master: await keys.master(),
    history: (await readOwnHistory(site.opened.db, keys)).history,
  };
  const { master } = stranger(site, ALICE);
  const records = [createRecord({ address: ALICE, master, now: seconds() })];
  alice = { address: ALICE, master, history: verifyHistory({ address: ALICE, ...historyOf(records) }) };
});
afterAll(async () => {
  await minter[Symbol.asyncDispose]();
  await https[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

const recipientHistory = async (): Promise<VerifiedHistory> => {
  const reply = await home.history({ baseUrl: BASE_URL, address: BOB, from: 0 });
  return verifyHistory({ address: BOB, records: reply?.records, head: reply?.head });
};

/** Everything a sender does, as the wire has it: key, seal, parameters, work, signature. */
async function compose(writer: Writer, session: Session, message: string): Promise<SentEnvelope> {
  const history = await recipientHistory();
  const given = await home.getMessageKey(session, BOB);
  expect(given).toMatchObject({ head: history.head, public_key: history.currentKey, non_ephemeral: false });
  const { masterKeys } = history;
  const { key } = verifyMessageKey({ address: BOB, key: given.message_key, masterKeys, now: seconds() });
  const sealed = sealMessage({
    header: {
      v: 1,
      from: writer.address,
      to: BOB,
      uid: toHex<Hex32>(randomBytes(32)),
      sent: formatTimestamp(seconds()),
      sender_head: { seq: writer.history.seq, head: writer.history.head },
      recipient_head: { seq: history.seq, head: history.head },
      via: null,
      original: null,
    },
    body: serializeBody('short-message', { message, attachments: [] }),
    messageType: 'short-message',
    messagePublicKey: key.public_key,
    senderKey: writer.master,
  });
  const asked = await home.getPowParams(session, BOB, 'short-message');
  const { loginTokenHash } = session;
  const work = { loginTokenHash, recipient: BOB, messageType: 'short-message', nonce: asked.nonce };
  const target = { ...work, ciphertextHash: ciphertextHash(sealed.ciphertext) };
  const value = await minter.mint({ preimage: powMessage(target), zeroBits: asked.zero_bits });
  const proofOfWork = formatProof({ hash: powDigest(target, value), value, nonce: asked.nonce });
  return signEnvelope({
    sealed,
    proofOfWork,
    loginTokenHash,
    sender: writer.address,
    recipient: BOB,
    senderKey: writer.master,
  });
}

/** What bob reads, after every check of §4.4. */
async function openStored(stored: unknown, writer: Writer): Promise<string> {
  const { history } = await readOwnHistory(site.opened.db, bob);
  const opened = await openMessage({
    me: BOB,
    envelope: parseStoredEnvelope(stored),
    messageSecret: (publicKey) => bob.messageSecret(Buffer.from(publicKey, 'hex')),
    sender: historyIdentity(writer.history, [seconds()]),
    myHistory: history,
    firstSeen: seconds(),
    seen: { digest: () => false, uid: () => false },
  });
  expect(opened.cautions).toEqual([]);
  if (opened.content.type !== 'short-message') throw new Error(`a body of type ${opened.content.type}`);
  return opened.content.value.message;
}

describe('a message through the home server', () => {
  it.each([
    ['a user of another server', () => alice, 'remote', ZERO_BITS],
    ['a user of this server', () => carol, 'home', 0],
  ] as const)('goes from %s to a mailbox, is read there and deleted', async (_who, writerOf, scope, zeroBits) => {
    const writer = writerOf();
    const session = await home.createSession({ baseUrl: BASE_URL, address: writer.address, master: writer.master });
    expect(session.scope).toBe(scope);
    const mine = await home.createSession({ baseUrl: BASE_URL, address: BOB, master: await bob.master() });
    const { token } = mine;
    const before = answerOf('get_changes', await site.get('/0.1/changes', token));

    const envelope = await compose(writer, session, `a word from ${writer.address}`);
    const { messageId } = await home.sendMessage(session, BOB, envelope);
    expect(await home.sendMessage(session, BOB, envelope)).toEqual({ messageId });

    const inbox = answerOf('get_inbox', await site.get('/0.1/folder/short-message', token));
    expect(inbox.messages).toMatchObject([{ message_id: messageId, from: writer.address, read: false }]);
    const put = answerOf('get_changes', await site.get(`/0.1/changes?cursor=${before.cursor}`, token));
    expect(put.changes).toMatchObject([{ op: 'put', message_id: messageId, summary: inbox.messages[0] }]);

    const { json: stored } = await site.get(`/0.1/message/${messageId}/true`, token);
    expect(stored).toMatchObject({ read: true, proof_of_work_parameters: { zero_bits: zeroBits } });
    expect(await openStored(stored, writer)).toBe(`a word from ${writer.address}`);

    const key = Buffer.from(envelope.message_public_key, 'hex');
    expect(await bob.messageSecret(key)).not.toBeNull();
    expect((await site.send({ method: 'DELETE', path: `/0.1/message/${messageId}`, token })).status).toBe(204);
    expect(await bob.messageSecret(key)).toBeNull();
    const after = answerOf('get_changes', await site.get(`/0.1/changes?cursor=${put.cursor}`, token));
    expect(after.changes).toEqual([{ op: 'delete', message_id: messageId }]);

    await home.destroySession(session);
    await expect(home.getMessageKey(session, BOB)).rejects.toMatchObject({ apiCode: 'unauthorized' });
  });

  it('gives the present key and history to whoever asks', async () => {
    const history = await recipientHistory();
    const answer = await home.publicKey(BASE_URL, BOB);
    expect(answer).toEqual({ address: BOB, public_key: history.currentKey, seq: 0, head: history.head });
    await expect(home.publicKey(BASE_URL, parseAddress('nobody#corp.test'))).rejects.toMatchObject({
      apiCode: 'unknown_user',
    });
    expect(answerOf('version', await site.get('/version'))).toEqual({ versions: ['0.1'] });
  });
});
