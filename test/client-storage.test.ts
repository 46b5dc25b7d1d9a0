/** What a server keeps for a client without reading it: notes on messages, lists. Old states that are brought back are refused. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAddress, parseDomain } from '../src/smimp/address.ts';
import { type Hex32, toHex } from '../src/smimp/encoding.ts';
import { type ClientSite, clientSite, type TestClient } from './support/client-site.ts';
import { errorOf } from './support/errors.ts';

let world: ClientSite;
let alice: TestClient;
let bob: TestClient;
let id: Hex32;

beforeAll(async () => {
  world = await clientSite();
  alice = await world.join('alice');
  bob = await world.join('bob');
  const body = { message: 'remember this', attachments: [] };
  const sent = await alice.client.send({ to: bob.client.address, messageType: 'short-message', body });
  if (sent.kind !== 'sent') throw new Error('not sent');
  id = sent.messageId;
});
afterAll(() => world[Symbol.asyncDispose]());

const message = () => world.site.opened.db.updateTable('message').where('message_id', '=', Buffer.from(id, 'hex'));
const stored = async (): Promise<Buffer | null> => {
  const row = world.site.opened.db.selectFrom('message').select('extensions_data');
  return (await row.where('message_id', '=', Buffer.from(id, 'hex')).executeTakeFirstOrThrow()).extensions_data;
};
const notes = async (reader: TestClient) => {
  const [read] = await reader.client.read([id]);
  if (read === undefined) throw new Error('gone');
  return reader.client.notesOf(read.envelope);
};

describe('notes', () => {
  it('are sealed, changed, and read by another client of the same owner', async () => {
    expect(await notes(bob)).toEqual({});
    await bob.client.changeNotes(id, (before) => ({ ...before, flags: ['\\Flagged'] }));
    const other = bob.restart();
    await other.client.changeNotes(id, (before) => ({ ...before, colour: 'red' }));
    expect(await notes(bob)).toEqual({ flags: ['\\Flagged'], colour: 'red' });
    expect((await stored())?.includes('Flagged')).toBe(false);
  });

  it('of two clients at once add up', async () => {
    const other = bob.restart();
    const count = (client: TestClient, name: string) =>
      client.client.changeNotes(id, (before) => ({ ...before, [name]: 1 }));
    await Promise.all([count(bob, 'a'), count(other, 'b'), count(bob, 'c')]);
    expect(await notes(bob.restart())).toMatchObject({ a: 1, b: 1, c: 1 });
  });

  it('of a lower version than was seen are refused, and so is none at all', async () => {
    const old = await stored();
    await bob.client.changeNotes(id, (before) => ({ ...before, late: true }));
    const present = await stored();
    for (const brought of [old, null]) {
      await message().set({ extensions_data: brought }).execute();
      expect(await errorOf(notes(bob.restart()))).toMatchObject({ code: 'storage-rollback' });
    }
    await message().set({ extensions_data: present }).execute();
    expect(await notes(bob)).toMatchObject({ late: true });
  });

  it('of another message are refused', async () => {
    const body = { message: 'another', attachments: [] };
    const sent = await alice.client.send({ to: bob.client.address, messageType: 'short-message', body });
    if (sent.kind !== 'sent') throw new Error('not sent');
    const db = world.site.opened.db;
    const other = Buffer.from(sent.messageId, 'hex');
    await db
      .updateTable('message')
      .set({ extensions_data: await stored() })
      .where('message_id', '=', other)
      .execute();
    const [read] = await bob.client.read([sent.messageId]);
    expect(() => read && bob.client.notesOf(read.envelope)).toThrow(
      expect.objectContaining({ code: 'storage-context' }),
    );
  });
});

describe('lists', () => {
  const spammer = parseAddress('spam#example.com');

  it('block a sender, whose server learns no more than that', async () => {
    const hash = await bob.client.addToList(
      'blacklist',
      { kind: 'address', value: alice.client.address },
      'too many puns',
    );
    const draft = { to: bob.client.address, messageType: 'x-custom-a', body: Buffer.from('a') };
    expect(await errorOf(alice.client.send(draft))).toMatchObject({ apiCode: 'blocked', disposition: 'permanent' });
    expect(await bob.client.list('blacklist')).toEqual([
      { hash, state: 'open', kind: 'address', value: alice.client.address, note: 'too many puns' },
    ]);
    await bob.client.removeFromList('blacklist', hash);
    expect(await alice.client.send(draft)).toMatchObject({ kind: 'sent' });
    expect(await bob.client.list('blacklist')).toEqual([]);
  });

  it('say when an entry is gone, when its note is old, and when it belongs to another', async () => {
    const domain = parseDomain('example.com');
    const gone = await bob.client.addToList('whitelist', { kind: 'domain', value: domain });
    const kept = await bob.client.addToList('whitelist', { kind: 'address', value: spammer }, 'first');
    const db = world.site.opened.db;
    const entry = (hash: Hex32) => Buffer.from(hash, 'hex');
    const old = await db
      .selectFrom('list_entry')
      .select('data')
      .where('hash', '=', entry(kept))
      .executeTakeFirstOrThrow();
    await bob.client.addToList('whitelist', { kind: 'address', value: spammer }, 'second');
    await db.updateTable('list_entry').set({ data: old.data }).where('hash', '=', entry(kept)).execute();
    await db.deleteFrom('list_entry').where('hash', '=', entry(gone)).execute();
    const entries = await bob.restart().client.list('whitelist');
    expect(entries).toContainEqual({ hash: kept, state: 'refused', reason: 'storage-rollback' });
    expect(entries).toContainEqual({ hash: gone, state: 'missing' });
    const stranger = Buffer.alloc(32, 1);
    await db.updateTable('list_entry').set({ hash: stranger }).where('hash', '=', entry(kept)).execute();
    expect(await bob.client.list('whitelist')).toContainEqual({
      hash: toHex(stranger),
      state: 'refused',
      reason: 'storage-context',
    });
  });
});
