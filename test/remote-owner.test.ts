/** The owner's calls (SMIMP 0.1 §5) against a real home server: each as the table has it, with strict JSON both ways. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { signAvatar } from '../src/remote/avatars.ts';
import { RemoteError } from '../src/remote/errors.ts';
import { createHomeClient, type HomeClient, type Session } from '../src/remote/home.ts';
import { createHttps, type Https } from '../src/remote/https.ts';
import { createOwnerClient, type OwnerClient } from '../src/remote/owner.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { masterKeyPair, randomBytes } from '../src/smimp/crypto.ts';
import { type Hex32, toBase64, toHex } from '../src/smimp/encoding.ts';
import { ProfileError } from '../src/smimp/errors.ts';
import { createRecord, recordHead, rotateRecord } from '../src/smimp/record.ts';
import { initializeDigest } from '../src/smimp/transcript.ts';
import { createAccount } from '../src/store/accounts.ts';
import {
  type Account,
  type ApiSite,
  BASE_URL,
  envelopeOf,
  keyOf,
  type Person,
  START,
  startApi,
} from './support/api-site.ts';
import { isCall, startSpoilingProxy } from './support/spoiling-proxy.ts';
import { answerJson, startTlsServer, testAuthority } from './support/tls-server.ts';

/** A JPEG of three by two grey pixels. */
const JPEG = Buffer.from('ffd8ffc0000b080003000201011100ffda0008010100003f0012ff00ffd9', 'hex');

let site: ApiSite;
let https: Https;
let home: HomeClient;
let owner: OwnerClient;
let bob: Account;
let session: Session;
let people = 0;

const now = (): number => Math.floor(site.now.getTime() / 1000);
const logIn = ({ address, master }: Person): Promise<Session> =>
  home.createSession({ baseUrl: BASE_URL, address, master });

beforeAll(async () => {
  site = await startApi();
  https = createHttps({ hosts: { 'smimp.corp.test': `127.0.0.1:${site.port}` }, allow: [], ca: [site.ca] });
  home = createHomeClient({ https });
  owner = createOwnerClient({ https });
});
afterAll(async () => {
  await https[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});
beforeEach(async () => {
  bob = await site.account(parseAddress(`bob${++people}#corp.test`));
  session = await logIn(bob);
});

async function errorOf(promise: Promise<unknown>): Promise<RemoteError> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof RemoteError)) throw error;
  return error;
}

/** Puts a message of the owner's own into her mailbox. */
async function importOne(as = session, messageType = 'email'): Promise<Hex32> {
  const key = await owner.nonEphemeralKey(as);
  const login = { token: as.token, loginTokenHash: as.loginTokenHash, scope: as.scope };
  const sent = { sender: bob, recipient: bob.address, login, messageKey: key.public_key, messageType };
  const envelope = envelopeOf({ ...sent, proofOfWork: null });
  return (await owner.importMessage(as, { envelope, folder_name: null, read: false })).message_id as Hex32;
}

describe('without a session', () => {
  it('says what the server can and knows', async () => {
    const information = await owner.serverInformation(BASE_URL);
    expect(information).toMatchObject({ domains: ['corp.test'], limits: { ephemeral_keys: 500 } });
    expect(information.apis).toContain('get_changes');
    expect(await owner.mostRecent(BASE_URL, bob.address)).toEqual(bob.record);
  });

  it('begins an account, once, with the code', async () => {
    const address = parseAddress(`dora${++people}#corp.test`);
    const dora = { address, master: masterKeyPair() };
    const code = 'the code';
    const initializeHash = initializeDigest(address, code);
    await site.opened.db.transaction().execute((tx) => createAccount(tx, { address, initializeHash, now: START }));
    const request = {
      record: createRecord({ ...dora, now: now() }),
      password_hash: toHex<Hex32>(initializeHash),
      nonephemeral_key: keyOf(dora, 'non-ephemeral', site.now),
      ephemeral_keys: [keyOf(dora, 'ephemeral', site.now)],
    };
    const wrong = { ...request, password_hash: toHex<Hex32>(initializeDigest(address, 'a guess')) };
    expect(await errorOf(owner.initializeAccount(BASE_URL, wrong))).toMatchObject({ apiCode: 'unauthorized' });
    await owner.initializeAccount(BASE_URL, request);
    expect(await owner.mostRecent(BASE_URL, address)).toEqual(request.record);
    expect(await errorOf(owner.initializeAccount(BASE_URL, request))).toMatchObject({
      apiCode: 'already_initialized',
      disposition: 'permanent',
    });
  });
});

/** News of what was told before may still be under way and end a wait early. */
async function nextChange(cursor: string) {
  for (let since = cursor; ; ) {
    const answer = await owner.changes(session, { cursor: since, waitSeconds: 30 });
    if (answer.changes.length > 0) return answer;
    since = answer.cursor;
  }
}

describe('messages', () => {
  it('are put in, listed in pages, read, marked and deleted', async () => {
    const ids = [await importOne(), await importOne(), await importOne()];
    const first = await owner.folderPage(session, { messageType: 'email', name: null, limit: 2 });
    expect(first.messages.map(({ message_id }) => message_id)).toEqual(ids.slice(0, 2));
    const after = first.next ?? 0;
    const rest = await owner.folderPage(session, { messageType: 'email', name: null, after });
    expect(rest).toMatchObject({ messages: [{ message_id: ids[2], from: bob.address }], next: null });
    const unknown = { messageType: 'email', name: 'nowhere' };
    expect(await errorOf(owner.folderPage(session, unknown))).toMatchObject({ apiCode: 'unknown_folder' });

    const id = ids[0] as Hex32;
    const envelope = await owner.message(session, id);
    expect(envelope).toMatchObject({ message_id: id, read: false, received_via: 'import_api' });
    expect(envelope.ciphertext).toHaveLength(400);
    expect(await owner.isRead(session, id)).toBe(false);
    const revision = await owner.setRead(session, id, true);
    expect(await owner.setRead(session, id, true)).toBe(revision);
    expect(await owner.message(session, id)).toMatchObject({ read: true, revision });
    expect(await owner.message(session, ids[1] as Hex32, { mark: true })).toMatchObject({ read: true });

    await owner.deleteMessage(session, id);
    expect(await errorOf(owner.message(session, id))).toMatchObject({ apiCode: 'unknown_message' });
    expect(await errorOf(owner.deleteMessage(session, id))).toMatchObject({ status: 404, disposition: 'permanent' });
  });

  it('tell of every change, and wait for one', async () => {
    const before = await owner.changes(session, { cursor: null });
    const id = await importOne();
    const put = await owner.changes(session, { cursor: before.cursor });
    expect(put).toMatchObject({ reset: false, changes: [{ op: 'put', message_id: id, summary: { read: false } }] });
    const waiting = nextChange(put.cursor);
    await owner.deleteMessage(session, id);
    const after = await waiting;
    expect(after.changes).toEqual([{ op: 'delete', message_id: id }]);
    expect(await owner.changes(session, { cursor: 'r999999' })).toMatchObject({ reset: true });
    const cancelled = new AbortController();
    const ended = owner.changes(session, { cursor: after.cursor, waitSeconds: 30, signal: cancelled.signal });
    cancelled.abort();
    expect((await errorOf(ended)).code).toBe('cancelled');
  });
});

describe('folders', () => {
  it('are made, renamed, moved and removed, and hold messages', async () => {
    const work = { display_name: 'Work', folder_name: 'work', parent_folder_name: null, message_type: 'email' };
    const inner = { ...work, display_name: 'Reports', folder_name: 'reports', parent_folder_name: 'work' };
    expect(await owner.createFolder(session, work)).toEqual(work);
    expect(await owner.createFolder(session, inner)).toEqual(inner);
    expect(await errorOf(owner.createFolder(session, work))).toMatchObject({ apiCode: 'folder_exists' });
    expect(await owner.folders(session)).toEqual([work, inner]);
    expect(await owner.folders(session, 'short-message')).toEqual([]);
    const renamed = { ...inner, display_name: 'Old reports', parent_folder_name: null };
    expect(await owner.changeFolder(session, 'reports', renamed)).toEqual(renamed);

    const id = await importOne();
    const moved = await owner.moveMessage(session, id, 'work');
    expect(moved.message_id).toBe(id);
    const copy = await owner.copyMessage(session, id, 'reports');
    expect(copy.revision).toBe(moved.revision + 1);
    const page = await owner.folderPage(session, { messageType: 'email', name: 'reports' });
    expect(page.messages).toMatchObject([{ message_id: copy.message_id, seq: copy.seq, folder_name: 'reports' }]);
    const folder = { messageType: 'email', name: 'work' };
    expect(await errorOf(owner.deleteFolder(session, folder))).toMatchObject({ apiCode: 'folder_not_empty' });
    await owner.moveMessage(session, id, null);
    await owner.deleteFolder(session, folder);
    expect(await errorOf(owner.moveMessage(session, id, 'work'))).toMatchObject({ apiCode: 'unknown_folder' });
  });

  it('hold flags that change only from the state that was seen', async () => {
    const id = await importOne();
    const { revision } = await owner.message(session, id);
    const data = toBase64(Buffer.from('a sealed blob'));
    const after = await owner.setExtensions(session, id, { revision, data });
    expect(await owner.message(session, id)).toMatchObject({ extensions_data: data, revision: after });
    expect(await errorOf(owner.setExtensions(session, id, { revision, data: null }))).toMatchObject({
      apiCode: 'precondition_failed',
    });
    await owner.setExtensions(session, id, { revision: after, data: null });
    expect(await owner.message(session, id)).toMatchObject({ extensions_data: null });
  });
});

describe('lists, room and pictures', () => {
  it.each(['whitelist', 'blacklist'] as const)('keeps a %s', async (list) => {
    const entry = { hash: toHex<Hex32>(randomBytes(32)), data: toBase64(Buffer.from('sealed')) };
    await owner.addToList(session, list, entry);
    expect(await owner.list(session, list)).toEqual([entry]);
    await owner.removeFromList(session, list, entry.hash);
    expect(await owner.list(session, list)).toEqual([]);
    expect(await errorOf(owner.removeFromList(session, list, entry.hash))).toMatchObject({ apiCode: 'unknown_entry' });
  });

  it('says how much room is taken', async () => {
    expect(await owner.quota(session)).toMatchObject({ total_size: 0 });
    await importOne();
    expect(await owner.quota(session)).toMatchObject({ total_size: 400 });
  });

  it('shows a picture only with the signature of the present key', async () => {
    const user = { address: bob.address, masterKey: toHex<Hex32>(bob.master.publicKey) };
    expect(await owner.avatar(BASE_URL, user)).toBeNull();
    const image = JPEG;
    await owner.setAvatar(session, signAvatar({ ...bob, contentType: 'image/jpeg', image, now: now() }));
    expect(await owner.avatar(BASE_URL, user)).toEqual({ contentType: 'image/jpeg', date: now(), image });
    const other = { ...user, masterKey: toHex<Hex32>(masterKeyPair().publicKey) };
    expect(await errorOf(owner.avatar(BASE_URL, other))).toMatchObject({ code: 'bad-response' });
    const nobody = { ...user, address: parseAddress('nobody#corp.test') };
    expect(await errorOf(owner.avatar(BASE_URL, nobody))).toMatchObject({ apiCode: 'unknown_user' });
  });
});

describe('keys and profile', () => {
  it('replaces the lasting key', async () => {
    expect(await owner.nonEphemeralKey(session)).toEqual(bob.nonEphemeral);
    const next = keyOf(bob, 'non-ephemeral', site.now, 10);
    await owner.setNonEphemeralKey(session, next);
    expect(await owner.nonEphemeralKey(session)).toEqual(next);
    expect(await errorOf(owner.setNonEphemeralKey(session, next))).toMatchObject({ apiCode: 'bad_key' });
  });

  it('changes the pool it has seen, and no other', async () => {
    const { keys, etag } = await owner.ephemeralKeys(session);
    expect(keys).toEqual(bob.ephemeral);
    const more = { keys: [keyOf(bob, 'ephemeral', site.now)], mode: 'append' as const };
    expect(await owner.setEphemeralKeys(session, more, etag ?? '')).toBe(keys.length + 1);
    expect(await errorOf(owner.setEphemeralKeys(session, more, etag ?? ''))).toMatchObject({
      apiCode: 'precondition_failed',
    });
    expect((await owner.ephemeralKeys(session)).keys).toEqual([...bob.ephemeral, ...more.keys]);
  });

  it('continues the history', async () => {
    const record = rotateRecord({ previous: bob.record, signer: bob.master, now: now(), profile: { name: 'Bob' } });
    expect(await owner.updateProfile(session, { record })).toBe(recordHead(1, record));
    expect(await errorOf(owner.updateProfile(session, { record }))).toMatchObject({ apiCode: 'stale_record' });
  });
});

describe('a call', () => {
  it('in a session that has ended asks for a login', async () => {
    const ended = { ...session, token: toHex<Hex32>(randomBytes(32)) };
    expect(await errorOf(owner.changes(ended, { cursor: null }))).toMatchObject({ disposition: 'session' });
  });

  it('sends nothing that the profile forbids', async () => {
    const forbidden = { ...bob.nonEphemeral, public_key: 'AB'.repeat(32) as Hex32 };
    await expect(owner.setNonEphemeralKey(session, forbidden)).rejects.toThrow(ProfileError);
    const folder = { folder_name: 'a', parent_folder_name: null, message_type: 'email', display_name: '\ud800' };
    await expect(owner.createFolder(session, folder)).rejects.toMatchObject({ code: 'json-lone-surrogate' });
  });

  it('takes no answer that is too large or breaks the profile', async () => {
    let answer: object = {};
    await using server = await startTlsServer({
      names: ['smimp.corp.test'],
      handler: (_request, response) => answerJson(response, answer),
    });
    const ca = [(await testAuthority()).certificate];
    await using lying = createHttps({ hosts: { 'smimp.corp.test': server.target }, allow: [], ca });
    const client = createOwnerClient({ https: lying });
    const id = toHex<Hex32>(randomBytes(32));
    answer = { read: 'yes' };
    expect(await errorOf(client.isRead(session, id))).toMatchObject({ code: 'bad-response' });
    answer = { read: true, padding: 'x'.repeat(20_000) };
    expect(await errorOf(client.isRead(session, id))).toMatchObject({ code: 'too-large' });
    answer = { total_size: 10, space_available: -1 };
    expect(await client.quota(session)).toEqual(answer);
    expect(server.requests).toEqual([`GET /0.1/message_read/${id}`, `GET /0.1/message_read/${id}`, 'GET /0.1/quota']);
  });
});

describe('a message', () => {
  it('that is another than was asked for is no answer', async () => {
    const [one, two] = [await importOne(), await importOne()];
    await using liar = await startSpoilingProxy(site, {
      request: (asked, server) =>
        isCall(asked, 'GET', `message/${one}`)
          ? server.ask({ ...asked, path: asked.path.replace(one, two) })
          : undefined,
    });
    await using through = createHttps({ hosts: { 'smimp.corp.test': liar.target }, allow: [], ca: [site.ca] });
    const asked = createOwnerClient({ https: through });
    expect(await errorOf(asked.message(session, one))).toMatchObject({ code: 'bad-response' });
    expect((await asked.message(session, two)).message_id).toBe(two);
  });
});
