/**
 * Two bridges are killed with SIGKILL again and again while 200 messages pass. Each arrives exactly once, and no UID ever
 * means another message than before.
 *
 * The moments are drawn from a seeded generator and counted in events the bridges log, not in time.
 */
import { rm } from 'node:fs/promises';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { imapClient, type Person } from '../../src/admin/demo/mail-clients.ts';
import { layOutSites, runJson, type Site } from '../../src/admin/demo/sites.ts';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';
import { generator, UnstableSite } from '../support/unstable-site.ts';

const MESSAGES = 200;
const SENDERS = 8;
const SEED = 20_260_115;
const TIMEOUT_MS = 240_000;

let directory: string;
let unstable: UnstableSite[] = [];
let alice: Person;
let bob: Person;

beforeAll(async () => {
  directory = await temporaryDirectory('crash');
  const settings = { proof_of_work: { zero_bits: 8 }, log: { level: 'info' } };
  const sites = (await layOutSites({ directory, domains: ['acme.test', 'corp.test'], settings })) as [Site, Site];
  const random = generator(SEED);
  unstable = sites.map((site) => new UnstableSite(site, random));
  await Promise.all(unstable.map((site) => site.start()));
  [alice, bob] = (await Promise.all([addAccount(sites[0], 'alice'), addAccount(sites[1], 'bob')])) as [Person, Person];
}, TIMEOUT_MS);

afterAll(async () => {
  await Promise.all(unstable.map((site) => site.end()));
  await rm(directory, { recursive: true, force: true });
}, TIMEOUT_MS);

async function addAccount(site: Site, name: string): Promise<Person> {
  const mailbox = `${name}@${site.domain}`;
  const { password } = (await runJson(site, ['account', 'add', mailbox])) as { password: string };
  return { site, mailbox, password };
}

/** As a mail program does: tries until the server has said 250, with the same bytes each time. */
async function sendUntilAccepted(number: number): Promise<void> {
  const raw = [
    `From: ${alice.mailbox}`,
    `To: ${bob.mailbox}`,
    `Subject: message ${number}`,
    `Message-ID: <crash-${number}@acme.test>`,
    'Date: Thu, 15 Jan 2026 12:00:00 +0000',
    '',
    `body of message ${number}`,
    '',
  ].join('\r\n');
  for (;;) {
    const transport = createTransport({
      host: '127.0.0.1',
      port: alice.site.ports.submissions,
      secure: true,
      auth: { user: alice.mailbox, pass: alice.password },
      tls: { ca: alice.site.ca, servername: 'localhost' },
    });
    try {
      await transport.sendMail({ envelope: { from: alice.mailbox, to: bob.mailbox }, raw });
      return;
    } catch (error) {
      if (!(error instanceof Error) || ('responseCode' in error && Number(error.responseCode) >= 500)) throw error;
    } finally {
      transport.close();
    }
  }
}

/** Reads the inbox over and over, through every kill, until it holds `count` messages. Returns UID → subject. */
async function readUntil(count: number): Promise<Map<number, string>> {
  const meaning = new Map<number, string>();
  let uidValidity: bigint | null = null;
  while (meaning.size < count) {
    const client = imapClient(bob);
    client.on('error', () => client.close());
    try {
      await client.connect();
      const mailbox = await client.mailboxOpen('INBOX');
      uidValidity ??= mailbox.uidValidity;
      expect(mailbox.uidValidity).toBe(uidValidity);
      if (mailbox.exists === 0) continue;
      for await (const { uid, envelope } of client.fetch('1:*', { uid: true, envelope: true })) {
        const subject = envelope?.subject ?? '';
        expect(meaning.get(uid) ?? subject).toBe(subject);
        meaning.set(uid, subject);
      }
    } catch (error) {
      if (!isLostConnection(error)) throw error;
    } finally {
      client.close();
    }
  }
  return meaning;
}

/** Everything but a broken expectation: the bridge was killed under the client. */
function isLostConnection(error: unknown): boolean {
  return error instanceof Error && error.name !== 'AssertionError';
}

it(
  'delivers every accepted message exactly once through any number of kills',
  async () => {
    const numbers = Array.from({ length: MESSAGES }, (_, number) => number);
    const expected = numbers.map((number) => `message ${number}`);
    const reading = readUntil(MESSAGES);
    await Promise.all(
      Array.from({ length: SENDERS }, async () => {
        for (let number = numbers.shift(); number !== undefined; number = numbers.shift())
          await sendUntilAccepted(number);
      }),
    );
    await reading;
    await Promise.all(unstable.map((site) => site.calm()));
    const meaning = await readUntil(MESSAGES);
    expect([...meaning.values()].sort()).toEqual(expected.sort());
    for (const site of unstable) expect(site.kills).toBeGreaterThan(2);
  },
  TIMEOUT_MS,
);
