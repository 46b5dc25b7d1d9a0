/** The examples of docs/client.md, run against a real home server. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { firstSteps } from '../examples/first-steps.ts';
import { follow } from '../examples/follow.ts';
import { backUp, everyDay, restore, rotate } from '../examples/keys.ts';
import { check, whoIs } from '../examples/people.ts';
import { readInbox } from '../examples/read.ts';
import { sendShortMessage } from '../examples/send.ts';
import { loadState } from '../examples/state-file.ts';
import { answerSite, Site } from '../examples/web-site.ts';
import { temporaryDirectory } from '../src/admin/demo/temporary-directory.ts';
import type { Outgoing, ReadMessage } from '../src/client/index.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { initializeDigest } from '../src/smimp/transcript.ts';
import { createAccount } from '../src/store/accounts.ts';
import { type ClientSite, CODE, clientSite } from './support/client-site.ts';

let world: ClientSite;
let directory: string;
const network = () => ({ hosts: world.hosts, ca: [world.site.ca] });
const file = (name: string): string => join(directory, `${name}.json`);
const fingerprints = new Map<string, { fingerprint: string; uri: string }>();

beforeAll(async () => {
  world = await clientSite();
  // The examples go by the real clock.
  world.site.now = new Date();
  directory = await temporaryDirectory('examples');
  for (const name of ['alice', 'bob']) {
    const address = parseAddress(`${name}#corp.test`);
    const account = { address, initializeHash: initializeDigest(address, CODE), now: world.site.now };
    await world.site.opened.db.transaction().execute((tx) => createAccount(tx, account));
    const given = { address, name, code: CODE, stateFile: file(name), network: network() };
    fingerprints.set(name, await firstSteps(given));
  }
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const send = (to: string, text: string, kept: Outgoing[] = []) =>
  sendShortMessage({
    ...{ to, text, stateFile: file('alice'), network: network() },
    keep: async (outgoing) => void kept.push(outgoing),
  });

describe('examples', () => {
  it('send, and read', async () => {
    const kept: Outgoing[] = [];
    expect(await send('bob#corp.test', 'Hello Bob', kept)).toMatch(/^sent as [0-9a-f]{64}$/);
    expect(kept).toHaveLength(1);
    expect(await send('Nobody#corp.test', 'Hello?')).toBe('there is no nobody#corp.test');
    expect(await readInbox({ stateFile: file('bob'), network: network() })).toEqual(['alice#corp.test: Hello Bob']);
  });

  it('follow', async () => {
    const stop = new AbortController();
    const seen: ReadMessage[] = [];
    const cursors: string[] = [];
    await follow({
      ...{ stateFile: file('bob'), cursor: null, signal: stop.signal, network: network() },
      onMessage: async (message) => void seen.push(message),
      onCursor: async (cursor) => {
        cursors.push(cursor);
        stop.abort();
      },
    });
    expect(seen.map(({ opening }) => opening.kind)).toEqual(['opened']);
    expect(cursors).toHaveLength(1);
  });

  it('look at people and check fingerprints', async () => {
    const about = { address: 'bob#corp.test', stateFile: file('alice'), network: network() };
    const { fingerprint = '', uri = '' } = fingerprints.get('bob') ?? {};
    expect(await whoIs(about)).toEqual(['OK', fingerprint, uri, expect.stringMatching(/^0 .* created$/)]);
    expect(await check({ ...about, told: uri })).toBe('verified');
    expect(await check({ ...about, told: fingerprints.get('alice')?.fingerprint ?? '' })).toBe('fingerprint-mismatch');
  });

  it('keep keys, back them up, and come back', async () => {
    const given = { stateFile: file('bob'), network: network() };
    await everyDay({ ...given, readUpTo: new Date() });
    const head = await rotate(given);
    const backup = { backupFile: join(directory, 'bob.keystore'), passphrase: 'correct horse battery staple' };
    await backUp({ ...given, ...backup });
    await restore({ ...backup, stateFile: file('restored') });
    const restored = await loadState(file('restored'));
    expect(restored.keystore).toEqual((await loadState(file('bob'))).keystore);
    expect((await whoIs({ address: 'bob#corp.test', stateFile: file('alice'), network: network() }))[2]).toContain(
      head,
    );
  });

  it('log in to a web site, once for each token', async () => {
    const site = await world.join('shop');
    const shop = new Site('https://shop.example.com', site.client);
    const token = shop.challenge();
    const user = { stateFile: file('alice'), network: network(), token };
    const answer = await answerSite({ ...user, origin: 'https://shop.example.com' });
    expect(await shop.logIn(token, answer)).toBe('alice#corp.test');
    expect(await shop.logIn(token, answer)).toBe('refused: no such token');
    const other = shop.challenge();
    const phished = await answerSite({ ...user, token: other, origin: 'https://sh0p.example.com' });
    expect(await shop.logIn(other, phished)).toBe('refused: bad-signature');
  });

  it('are all named in docs/client.md', async () => {
    const text = await readFile(new URL('../docs/client.md', import.meta.url), 'utf8');
    const named = [...text.matchAll(/\(\.\.\/examples\/([a-z-]+\.ts)\)/g)].map(([, name]) => name).sort();
    expect([...new Set(named)]).toEqual([
      ...['first-steps.ts', 'follow.ts', 'keys.ts', 'people.ts', 'read.ts', 'send.ts', 'state-file.ts', 'web-site.ts'],
    ]);
  });
});
