/**
 * Three programs: the homes of corp.test and acme.test, and Bob's proxy in front of his account at corp.test. Mail goes both
 * ways, both sides of the mailbox follow each other, and Bob's mail program works on when his home is dead.
 */
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { imapClient, type Person, readInbox, send } from '../../src/admin/demo/mail-clients.ts';
import {
  layOutSites,
  type RunningSite,
  runCommand,
  runJson,
  type Site,
  startSite,
} from '../../src/admin/demo/sites.ts';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';
import { openBridge } from '../../src/bridge.ts';
import { loadConfig } from '../../src/config.ts';
import { isTrustKeyword } from '../../src/mailbox/trust-keywords.ts';
import { createHomeClient, type Session } from '../../src/remote/home.ts';
import { createHttps, type Https } from '../../src/remote/https.ts';
import { createOwnerClient, type OwnerClient } from '../../src/remote/owner.ts';
import { parseAddress } from '../../src/smimp/address.ts';
import type { MasterKeyPair } from '../../src/smimp/crypto.ts';
import { parseBaseUrl } from '../../src/smimp/discovery.ts';

const TIMEOUT_MS = 240_000;
/** How long one side may take to follow the other on a busy machine. */
const FOLLOWED = { timeout: 60_000, interval: 100 };
const BOB = parseAddress('bob#corp.test');

let directory: string;
let corp: Site;
let proxySite: Site;
const running = new Map<string, RunningSite>();
let alice: Person;
let bob: Person;
let https: Https;
let owner: OwnerClient;
let master: MasterKeyPair;

const start = async (site: Site): Promise<void> => void running.set(site.domain, await startSite(site));

beforeAll(async () => {
  directory = await temporaryDirectory('proxy');
  const domains = ['corp.test', 'acme.test', 'proxy.test'];
  const settings = { proof_of_work: { zero_bits: 6 } };
  const sites = await layOutSites({ directory, domains, settings, proxies: ['proxy.test'] });
  const [first, acme, third] = sites as [Site, Site, Site];
  [corp, proxySite] = [first, third];
  await Promise.all(sites.map(start));
  const added = (await runJson(acme, ['account', 'add', 'alice@acme.test'])) as { password: string };
  alice = { site: acme, mailbox: 'alice@acme.test', password: added.password };
  const { code } = (await runJson(corp, ['account', 'invite', 'bob@corp.test'])) as { code: string };
  const wrong = await runCommand(proxySite, ['account', 'connect', 'bob@corp.test'], 'a-wrong-code\n');
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('does not take this code') });
  const connected = await runJson(proxySite, ['account', 'connect', 'bob@corp.test', '--name', 'Bob'], `${code}\n`);
  bob = { site: proxySite, mailbox: 'bob@corp.test', password: (connected as { password: string }).password };
  const again = await runCommand(proxySite, ['account', 'connect', 'bob@corp.test', '--code', code]);
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('is here already') });

  const target = `127.0.0.1:${corp.ports.api}`;
  https = createHttps({ hosts: { 'smimp.corp.test': target }, allow: [], ca: [corp.ca] });
  owner = createOwnerClient({ https });
  await using bridge = await openBridge({ config: await loadConfig({ path: proxySite.configPath }), roles: [] });
  const account = await bridge.accounts.find(BOB);
  master = await (await bridge.keystore.open(account?.id ?? 0)).master();
}, TIMEOUT_MS);

afterAll(async () => {
  await https?.[Symbol.asyncDispose]();
  await Promise.all([...running.values()].map((site) => site[Symbol.asyncDispose]()));
  await rm(directory, { recursive: true, force: true });
}, TIMEOUT_MS);

/** Another client of Bob's, at his home. */
const atHome = (): Promise<Session> =>
  createHomeClient({ https }).createSession({ baseUrl: parseBaseUrl('https://smimp.corp.test'), address: BOB, master });

async function withImap<Result>(work: (client: ReturnType<typeof imapClient>) => Promise<Result>): Promise<Result> {
  const client = imapClient(bob);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.logout();
  }
}

/** Subject → flags of a folder, as Bob's mail program sees it. */
const shown = (path: string): Promise<Record<string, string[]>> =>
  withImap(async (client) => {
    const { exists } = await client.mailboxOpen(path);
    const found: Record<string, string[]> = {};
    if (exists === 0) return found;
    for await (const { envelope, flags } of client.fetch('1:*', { envelope: true, flags: true })) {
      found[envelope?.subject ?? ''] = [...(flags ?? [])]
        .filter((flag) => flag !== '\\Recent' && !isTrustKeyword(flag))
        .sort();
    }
    return found;
  });

describe('a proxy in front of an account elsewhere', () => {
  it(
    'carries mail both ways and keeps both sides of the mailbox together',
    async () => {
      await send(alice, { to: bob.mailbox, subject: 'first', text: 'Dear Bob' });
      expect((await readInbox(bob, 1)).map(({ mail }) => mail.subject)).toEqual(['first']);
      await send(bob, { to: alice.mailbox, subject: 'answer', text: 'Dear Alice' });
      expect((await readInbox(alice, 1)).map(({ mail }) => mail.subject)).toEqual(['answer']);

      await withImap(async (client) => {
        await client.mailboxCreate('Projects');
        await client.mailboxOpen('INBOX');
        await client.messageFlagsAdd('1:*', ['\\Seen', '\\Flagged', 'urgent']);
        await client.append('Sent', 'Subject: answer\r\nFrom: bob@corp.test\r\n\r\nDear Alice\r\n', ['\\Seen']);
      });
      const session = await atHome();
      await vi.waitFor(async () => {
        const names = (await owner.folders(session, 'email')).map(({ display_name }) => display_name);
        expect(names).toContain('Projects');
        const { messages } = await owner.folderPage(session, { messageType: 'email', name: null });
        expect(messages).toMatchObject([{ read: true }]);
        const sent = await owner.folderPage(session, { messageType: 'email', name: 'sent' });
        // What he sent is kept there as well.
        expect(sent.messages).toMatchObject(Array(2).fill({ read: true, from: BOB }));
      }, FOLLOWED);

      const { messages } = await owner.folderPage(session, { messageType: 'email', name: null });
      const id = messages[0]?.message_id;
      if (id === undefined) throw new Error('no message at the home');
      await owner.setRead(session, id, false);
      await owner.moveMessage(session, id, 'projects');
      await vi.waitFor(
        async () => expect(await shown('Projects')).toEqual({ first: ['\\Flagged', 'urgent'] }),
        FOLLOWED,
      );
    },
    TIMEOUT_MS,
  );

  it(
    'works on while the home is dead, and brings everything there when it is back',
    async () => {
      await send(alice, { to: bob.mailbox, subject: 'second', text: 'Dear Bob' });
      await send(alice, { to: bob.mailbox, subject: 'third', text: 'Dear Bob' });
      expect(await readInbox(bob, 2)).toHaveLength(2);
      await running.get(corp.domain)?.kill();

      expect(await shown('Projects')).toEqual({ first: ['\\Flagged', 'urgent'] });
      await send(bob, { to: alice.mailbox, subject: 'while away', text: 'Dear Alice' });
      await send(bob, { to: bob.mailbox, subject: 'note to self', text: 'Do not forget' });
      await withImap(async (client) => {
        await client.mailboxCreate('Away');
        await client.mailboxOpen('INBOX');
        await client.messageFlagsAdd({ subject: 'second' }, ['\\Answered']);
        await client.messageMove({ subject: 'second' }, 'Away');
        await client.messageDelete({ subject: 'third' });
        await client.append('Away', 'Subject: draft\r\nFrom: bob@corp.test\r\n\r\nDear Alice\r\n', ['\\Draft']);
        await client.mailboxOpen('Projects');
        await client.messageFlagsRemove('1:*', ['urgent']);
      });
      await start(corp);
      const session = await atHome();
      await vi.waitFor(async () => {
        const away = await owner.folderPage(session, { messageType: 'email', name: 'away' });
        expect(away.messages).toHaveLength(2);
        const inbox = await owner.folderPage(session, { messageType: 'email', name: null });
        expect(inbox.messages.map(({ from }) => from)).toEqual([BOB]);
      }, FOLLOWED);
      await vi.waitFor(async () => expect(await shown('INBOX')).toEqual({ 'note to self': [] }), FOLLOWED);
      expect(await shown('Away')).toEqual({ draft: ['\\Draft'], second: ['\\Answered'] });
      expect(await shown('Projects')).toEqual({ first: ['\\Flagged'] });
      expect((await readInbox(alice, 2)).map(({ mail }) => mail.subject)).toEqual(['answer', 'while away']);
      const mirrors = await runJson(proxySite, ['account', 'mirrors']);
      expect(mirrors).toMatchObject([{ mailbox: bob.mailbox, home: 'https://smimp.corp.test', state: 'ok' }]);
    },
    TIMEOUT_MS,
  );
});
