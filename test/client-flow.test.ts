/** The client library against a real home server: an account from its one-time code to its rotated keys, and its mail. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientError, type Draft, newState } from '../src/client/index.ts';
import { addressParts, parseAddress } from '../src/smimp/address.ts';
import type { EmailBody } from '../src/smimp/email.ts';
import { type Hex32, toHex } from '../src/smimp/encoding.ts';
import { type ClientSite, CODE, clientSite, type TestClient } from './support/client-site.ts';
import { errorOf } from './support/errors.ts';
import { isCall, startSpoilingProxy, yes } from './support/spoiling-proxy.ts';

let world: ClientSite;
let alice: TestClient;
let bob: TestClient;

beforeAll(async () => {
  world = await clientSite();
  alice = await world.join('alice');
  bob = await world.join('bob');
});
afterAll(() => world[Symbol.asyncDispose]());

const hex = (byte: number): Hex32 => toHex(Buffer.alloc(32, byte));
const email = (subject: string): EmailBody => ({
  to: [bob.client.address],
  cc: [],
  subject,
  thread_id: hex(1),
  reply_to_message_id: null,
  date_sent: '2026-03-01 09:00:00' as EmailBody['date_sent'],
  body: 'Hello *Bob*',
  signature_text: null,
  attachments: [],
  extensions_data: null,
  reply_to: null,
  auto_reply_address: null,
});
const short = (message: string) => ({ message, attachments: [] });
const toBob = (messageType: string, body: Draft['body']): Draft => ({ to: bob.client.address, messageType, body });

describe('an account', () => {
  it('begins with a one-time code, once', async () => {
    const carol = await world.invite('carol');
    expect(await errorOf(carol.client.keys.initialize('wrong code'))).toMatchObject({ code: 'code-refused' });
    await carol.client.keys.initialize(CODE);
    expect(carol.saved().keystore.message_keys).toHaveLength(202);
    expect((await alice.client.resolve(carol.client.address)).history?.head).toBe(carol.client.ownHistory().head);
  });

  it('takes the same code again when the answer was lost, and is nobody else’s', async () => {
    const dora = await world.join('dora');
    await dora.restart().client.keys.initialize(CODE);
    const other = world.open(newState({ address: dora.client.address, now: world.site.now }));
    expect(await errorOf(other.client.keys.initialize(CODE))).toMatchObject({ code: 'other-account' });
  });

  it('publishes no key whose secret was not saved', async () => {
    const eve = await world.invite('eve');
    eve.failSaving = new Error('disk full');
    const error = await errorOf(eve.client.keys.initialize(CODE));
    expect(error).toBeInstanceOf(ClientError);
    expect(error).toMatchObject({ code: 'not-saved' });
    eve.failSaving = null;
    expect((await alice.client.examine(eve.client.address)).state).toBe('UNAVAILABLE');
    await eve.client.keys.initialize(CODE);
    expect((await alice.client.examine(eve.client.address)).state).toBe('NEW');
  });
});

describe('people', () => {
  it('are found, looked at without pinning, pinned, and verified', async () => {
    const { client } = alice;
    const address = bob.client.address;
    expect(await client.findServer(addressParts(address).domain)).toMatchObject({ outcome: 'found' });
    const examined = await client.examine(address);
    expect(examined).toMatchObject({ state: 'NEW', pinned: null, shown: bob.client.ownFingerprint() });
    expect(await client.pinned(address)).toBeNull();
    expect(await client.resolve(address)).toMatchObject({ state: 'NEW', sending: 'allowed' });
    const { fingerprint, uri } = bob.client.ownFingerprint();
    await client.verify(address, fingerprint.toLowerCase().replaceAll('-', ' '));
    await client.verify(address, uri);
    expect(alice.saved().keystore.pins.find(({ contact }) => contact === address)).toMatchObject({ state: 'OK' });
    expect((await client.pinned(address))?.verifiedAt).toEqual(world.site.now);
    const wrong = client.ownFingerprint().fingerprint;
    expect(await errorOf(client.verify(address, wrong))).toMatchObject({ code: 'fingerprint-mismatch' });
  });

  it('who are not there are told from servers that are not there', async () => {
    const nobody = await alice.client.send({
      to: parseAddress('nobody#corp.test'),
      messageType: 'email',
      body: email('x'),
    });
    expect(nobody).toMatchObject({ kind: 'impossible', contact: { reason: 'unknown-user' } });
    world.hosts['gone.test'] = '127.0.0.1:1';
    const gone = await alice.client.send({ to: parseAddress('a#gone.test'), messageType: 'email', body: email('x') });
    expect(gone).toMatchObject({ kind: 'unavailable' });
  });
});

describe('messages', () => {
  const secret = {
    public_key: null,
    secret_key: hex(7),
    kind: 'storage' as const,
    note: 'the storage key of another client',
  };

  it.each<[string, () => Draft['body']]>([
    ['email', () => email('Minutes')],
    ['short-message', () => short('on my way')],
    ['secret-xsalsa20', () => secret],
    ['x-custom-chess', () => Buffer.from([0, 1, 2, 255])],
  ])('of type %s arrive, and are opened with every check', async (messageType, body) => {
    const sent = await alice.client.send(toBob(messageType, body()));
    expect(sent.kind).toBe('sent');
    const { messages } = await bob.client.readPage({ messageType });
    const opening = messages.at(-1)?.opening;
    if (opening?.kind !== 'opened') throw new Error(`not opened: ${JSON.stringify(opening)}`);
    expect(opening.message.header).toMatchObject({ from: alice.client.address, to: bob.client.address });
    expect(opening.message.cautions).toEqual([]);
    const expected = body();
    if (expected instanceof Uint8Array) expect(opening.message.body).toEqual(Buffer.from(expected));
    else expect(opening.message.content).toEqual({ type: messageType, value: expected });
  });

  it('that the recipient would refuse are refused before anything is sent', async () => {
    const bad = { ...short('x'), message: 7 } as never;
    expect(await errorOf(alice.client.send(toBob('short-message', bad)))).toMatchObject({ code: 'bad-field' });
  });

  it('are one when the same envelope is handed in again', async () => {
    const { client } = alice;
    const sealing = await client.seal(toBob('short-message', short('once')));
    if (sealing.kind !== 'sealed') throw new Error('not sealed');
    const kept: unknown[] = [];
    const keep = async (outgoing: unknown): Promise<void> => void kept.push(structuredClone(outgoing));
    const first = await client.deliver(sealing.outgoing, { keep });
    if (first.kind !== 'sent') throw new Error('not sent');
    expect(kept).toEqual([first.outgoing]);
    const again = await alice.restart().client.deliver(first.outgoing);
    expect(again).toMatchObject({ kind: 'sent', messageId: first.messageId });
  });

  it('are sealed anew, under the same uid, when their key was used up meanwhile', async () => {
    const { client } = alice;
    const sealing = await client.seal(toBob('short-message', short('late')));
    if (sealing.kind !== 'sealed') throw new Error('not sealed');
    expect(await client.deliver(sealing.outgoing)).toMatchObject({ kind: 'sent' });
    const late = { ...sealing.outgoing, worked: null };
    expect(await client.deliver(late)).toEqual({ kind: 'seal-again' });
    const draft = { ...toBob('short-message', short('late')), uid: sealing.outgoing.uid };
    expect(await client.send(draft)).toMatchObject({ kind: 'sent' });
    const { messages } = await bob.client.readPage({ messageType: 'short-message' });
    expect(messages.at(-1)?.opening).toEqual({ kind: 'replayed' });
  });

  it('open again after a restart', async () => {
    const { messages } = await bob.client.page({ messageType: 'email' });
    const id = messages[0]?.message_id as Hex32;
    await bob.client.read([id]);
    const started = bob.restart();
    expect((await started.client.read([id])).map(({ opening }) => opening.kind)).toEqual(['opened']);
  });

  it('may be copied and moved: no replays, but a copy that another client made counts as one', async () => {
    await alice.client.send(toBob('x-custom-copied', Buffer.from('twice')));
    const { messages } = await bob.client.page({ messageType: 'x-custom-copied' });
    const id = messages[0]?.message_id as Hex32;
    const kinds = async (reader: TestClient, ids: Hex32[]) =>
      (await reader.client.read(ids)).map(({ opening }) => opening.kind);
    const eager = bob.restart();
    const early = await eager.client.copy(id, null);
    expect(await kinds(eager, [early.message_id, id])).toEqual(['opened', 'opened']);
    expect(await kinds(bob, [id])).toEqual(['opened']);
    const another = bob.restart();
    const copy = await bob.client.copy(id, null);
    expect(copy.message_id).not.toBe(id);
    expect(await kinds(bob, [id, copy.message_id])).toEqual(['opened', 'opened']);
    const moved = await bob.client.move(copy.message_id, null);
    expect(await kinds(bob.restart(), [id, moved.message_id])).toEqual(['opened', 'opened']);
    expect(await kinds(another, [id, moved.message_id])).toEqual(['opened', 'replayed']);
    const [read] = await bob.client.read([id]);
    if (read === undefined) throw new Error('gone');
    await bob.client.remove(read.envelope);
    expect(await kinds(bob, [moved.message_id])).toEqual(['opened']);
  });

  it('are deleted with the secret that opens them', async () => {
    await alice.client.send(toBob('x-custom-gone', Buffer.from('burn after reading')));
    const [read] = (await bob.client.readPage({ messageType: 'x-custom-gone' })).messages;
    if (read === undefined) throw new Error('nothing came');
    const key = read.envelope.message_public_key;
    const has = (): boolean => bob.saved().keystore.message_keys.some(({ public_key }) => public_key === key);
    expect(has()).toBe(true);
    await bob.client.remove(read.envelope);
    expect(has()).toBe(false);
    expect(await bob.client.read([read.envelope.message_id])).toEqual([]);
  });
});

describe('changes', () => {
  it('come as they happen, from the cursor that was kept', async () => {
    const stop = new AbortController();
    const seen: string[] = [];
    let cursor: string | null = null;
    for await (const answer of bob.client.follow({ signal: stop.signal, waitSeconds: 5 })) {
      cursor = answer.cursor;
      seen.push(...answer.changes.map(({ op }) => op));
      if (seen.length > 0) break;
    }
    expect(seen.length).toBeGreaterThan(0);
    const following = bob.client.follow({ cursor, signal: stop.signal, waitSeconds: 5 });
    const next = following.next();
    await alice.client.send(toBob('x-custom-news', Buffer.from('news')));
    const change = (await next).value?.changes[0];
    expect(change).toMatchObject({ op: 'put', summary: { message_type: 'x-custom-news' } });
    const waiting = following.next();
    stop.abort();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });

  it('are not asked for without end of a server that will not wait', async () => {
    let asked = 0;
    await using hasty = await startSpoilingProxy(world.site, {
      request: (request) => {
        if (!isCall(request, 'GET', 'changes')) return undefined;
        asked += 1;
        return yes({ cursor: 'r0', reset: false, changes: [] });
      },
    });
    const honest = { ...world.hosts };
    Object.assign(world.hosts, { 'corp.test': hasty.target, 'smimp.corp.test': hasty.target });
    const { client } = bob.restart();
    const stop = new AbortController();
    const waiting = client.follow({ signal: stop.signal }).next();
    await expect.poll(() => asked).toBeGreaterThan(0);
    // As many requests as would show a loop without a pause.
    for (let n = 0; n < 40; n += 1) await client.folders();
    expect(asked).toBeLessThan(20);
    stop.abort();
    expect(await waiting).toEqual({ done: true, value: undefined });
    Object.assign(world.hosts, honest);
  });
});
