/**
 * A gateway is killed with SIGKILL again and again while servers of the old internet bring it mail. Each message arrives at the
 * home exactly once and byte for byte, so that the signature of its domain still holds for its reader.
 */
import { rm } from 'node:fs/promises';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Person, readInbox } from '../../src/admin/demo/mail-clients.ts';
import { layOutSites, type RunningSite, runJson, type Site, startSite } from '../../src/admin/demo/sites.ts';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';
import { dnsResolver } from '../../src/legacy/authentication.ts';
import { DnsZone } from '../support/dns-zone.ts';
import { dkimKey, letter, type Signer, signed } from '../support/mx-site.ts';
import { generator, UnstableSite } from '../support/unstable-site.ts';

const MESSAGES = 60;
const SERVERS = 6;
/** Of a message there are about eight, so it is killed after every few. */
const EVENTS_BETWEEN_KILLS = 40;
const SEED = 20_260_115;
const TIMEOUT_MS = 240_000;

const owned = new AsyncDisposableStack();
let zone: DnsZone;
let signer: Signer;
let home: RunningSite;
let gateway: Site;
let unstable: UnstableSite;
let bob: Person;

beforeAll(async () => {
  zone = owned.use(await DnsZone.open());
  signer = dkimKey(zone, 'old.test');
  zone.set('_dmarc.old.test', 'TXT', 'v=DMARC1; p=reject');
  const directory = await temporaryDirectory('gateway-crash');
  owned.defer(() => rm(directory, { recursive: true, force: true }));
  const names = { domain: 'gw.test', senders: ['corp.test'], recipients: ['corp.test'] };
  const sites = await layOutSites({
    ...{ directory, domains: ['corp.test', 'gw.test'], settings: { proof_of_work: { zero_bits: 8 } } },
    settingsOf: (domain) =>
      domain === 'corp.test'
        ? { legacy: { gateway: 'gw.test', domains: ['old.test'] } }
        : { deployment: 'gateway', gateway: names, network: { dns: [zone.server] } },
  });
  const [first, second] = sites as [Site, Site];
  home = owned.use(await startSite(first));
  gateway = second;
  unstable = new UnstableSite(second, generator(SEED), EVENTS_BETWEEN_KILLS);
  await unstable.start();
  owned.defer(() => unstable.end());
  const { password } = (await runJson(first, ['account', 'add', 'bob@corp.test'])) as { password: string };
  bob = { site: home.site, mailbox: 'bob@corp.test', password };
}, TIMEOUT_MS);
afterAll(() => owned.disposeAsync(), TIMEOUT_MS);

/** As a mail server does: tries until it was told 250, with the same bytes each time. */
async function bringUntilTaken(raw: string): Promise<void> {
  for (;;) {
    const transport = createTransport({ host: '127.0.0.1', port: gateway.ports.mx, tls: { ca: gateway.ca } });
    try {
      await transport.sendMail({ envelope: { from: 'alice@old.test', to: bob.mailbox }, raw });
      return;
    } catch (error) {
      if (!(error instanceof Error) || ('responseCode' in error && Number(error.responseCode) >= 500)) throw error;
    } finally {
      transport.close();
    }
  }
}

it('takes every message in exactly once through any number of kills, and whole', { timeout: TIMEOUT_MS }, async () => {
  const letters = await Promise.all(
    Array.from({ length: MESSAGES }, (_, n) =>
      signed(letter({ From: `Alice <alice${n % 7}@old.test>`, Subject: `message ${n}` }), signer),
    ),
  );
  const waiting = [...letters];
  await Promise.all(
    Array.from({ length: SERVERS }, async () => {
      for (let raw = waiting.shift(); raw !== undefined; raw = waiting.shift()) await bringUntilTaken(raw);
    }),
  );
  const mails = await readInbox(bob, MESSAGES);
  await unstable.calm();
  expect(unstable.kills).toBeGreaterThan(2);
  const subjects = mails.map(({ mail }) => mail.subject).sort();
  expect(subjects).toEqual(letters.map((_, n) => `message ${n}`).sort());
  const above =
    /^X-SMIMP-Via: smtp_bridge\r\n[\s\S]*^Authentication-Results: gw\.test;[\s\S]*?dmarc=pass[\s\S]*?\r\nReceived: from \S+ \(\[127\.0\.0\.1\]\)/m;
  for (const { source, mail } of mails) {
    const raw = letters[Number(mail.subject?.slice('message '.length))] as string;
    expect(source.subarray(-raw.length).toString('latin1')).toBe(raw);
    expect(source.subarray(0, -raw.length).toString('latin1')).toMatch(above);
  }
  const { results } = await dkimVerify(mails[0]?.source as Buffer, { resolver: dnsResolver([zone.server]) });
  expect(results.map(({ status }) => status.result)).toEqual(['pass']);
  // Nothing is left that could still bring one twice.
  // What has arrived is written down when its answer has.
  const stages = async () =>
    ((await runJson(gateway, ['queue', 'list', '--all'])) as { stage: string }[]).map(({ stage }) => stage);
  await expect.poll(stages, { timeout: 20_000 }).toEqual(Array(MESSAGES).fill('done'));
  expect(await readInbox(bob, MESSAGES)).toHaveLength(MESSAGES);
});
