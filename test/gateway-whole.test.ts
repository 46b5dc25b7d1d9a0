/**
 * A home and a gateway as programs of their own, a mail server of the old internet, and a DNS zone: Alice writes with an
 * ordinary mail program to Bob, who has no SMIMP; he answers through the MX; it is one thread on both sides. Then the gateway is
 * killed while mail waits, and Bob's server refuses.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dkimSign } from 'mailauth/lib/dkim/sign.js';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { simpleParser } from 'mailparser';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Person, type ReadMail, readInbox, send } from '../src/admin/demo/mail-clients.ts';
import { layOutSites, type RunningSite, runJson, type Site, startSite } from '../src/admin/demo/sites.ts';
import { temporaryDirectory } from '../src/admin/demo/temporary-directory.ts';
import { dnsResolver } from '../src/legacy/authentication.ts';
import { useDatabase } from './support/bridge-pair.ts';
import { newDatabase } from './support/database.ts';
import { DnsZone } from './support/dns-zone.ts';
import { type OldServer, startOldServer } from './support/old-server.ts';

/** Several programs at work, one of them killed and started again. */
const TIMEOUT_MS = 180_000;
const owned = new AsyncDisposableStack();
let zone: DnsZone;
let old: OldServer;
let acme: Site;
let gateway: Site;
let running: RunningSite;
let alice: Person;
/** Of Bob's server. */
let oldKey: string;

function dkimKey(name: string): string {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const published = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  zone.set(name, 'TXT', `v=DKIM1; k=rsa; p=${published}`);
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

beforeAll(async () => {
  zone = owned.use(await DnsZone.open());
  old = owned.use(await startOldServer());
  oldKey = dkimKey('s1._domainkey.old.test');
  zone.set('_dmarc.old.test', 'TXT', 'v=DMARC1; p=reject');
  const directory = await temporaryDirectory('gateway');
  owned.defer(() => rm(directory, { recursive: true, force: true }));
  const keyFile = join(directory, 'dkim.pem');
  await mkdir(directory, { recursive: true });
  await writeFile(keyFile, dkimKey('gw1._domainkey.acme.test'));
  const settingsOf = (domain: string) =>
    domain === 'acme.test'
      ? { legacy: { gateway: 'gw.test', domains: ['old.test'] }, network: { dns: [zone.server] } }
      : {
          deployment: 'gateway',
          gateway: {
            ...{ domain: 'gw.test', senders: ['acme.test'], recipients: ['acme.test'] },
            ...{ routes: { 'old.test': old.target }, dkim: { 'acme.test': { selector: 'gw1', key_file: keyFile } } },
          },
          network: { dns: [zone.server] },
        };
  const settings = { proof_of_work: { zero_bits: 4, threads: 1 } };
  const sites = await layOutSites({ directory, domains: ['acme.test', 'gw.test'], settings, settingsOf });
  [acme, gateway] = sites as [Site, Site];
  for (const site of sites) await useDatabase(site, (await newDatabase()) as Parameters<typeof useDatabase>[1]);
  const [home, first] = (await Promise.all(sites.map((site) => startSite(site)))) as [RunningSite, RunningSite];
  owned.use(home);
  running = first;
  owned.defer(() => running[Symbol.asyncDispose]());
  const added = (await runJson(acme, ['account', 'add', 'alice@acme.test'])) as { password: string };
  alice = { site: acme, mailbox: 'alice@acme.test', password: added.password };
});
afterAll(() => owned.disposeAsync());

/** Bob's server hands a message in at the MX of acme.test. */
async function bobSends(fields: readonly string[], text: string): Promise<void> {
  const message = Buffer.from(
    [...fields, 'From: Bob <bob@old.test>', 'To: alice@acme.test', '', text, ''].join('\r\n'),
  );
  const key = { signingDomain: 'old.test', selector: 's1', privateKey: oldKey };
  const { signatures } = await dkimSign(message, { ...key, signatureData: [key] });
  const connection = new SMTPConnection({ host: '127.0.0.1', port: gateway.ports.mx, tls: { ca: gateway.ca } });
  await new Promise<void>((resolve, reject) => {
    connection.on('error', reject);
    connection.connect(() => {
      const envelope = { from: 'bob@old.test', to: ['alice@acme.test'] };
      connection.send(envelope, `${signatures}${message.toString('utf8')}`, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  });
  connection.quit();
}

const parsed = (index: number) => simpleParser(old.received[index]?.raw ?? '');

it('carries a letter to somebody without SMIMP once, signed, and his answer into the same thread', {
  timeout: TIMEOUT_MS,
}, async () => {
  await send(alice, { to: 'Bob <bob@old.test>', subject: 'Plans', text: 'On Friday?', bcc: 'alice@acme.test' });
  await old.arrived(1);
  const [received] = old.received as [(typeof old.received)[0]];
  expect(received).toMatchObject({ from: 'alice@acme.test', to: ['bob@old.test'], encrypted: true });
  const { results } = await dkimVerify(received.raw, { resolver: dnsResolver([zone.server]) });
  expect(results.map(({ status, signingDomain }) => [signingDomain, status.result])).toEqual([['acme.test', 'pass']]);
  const letter = await parsed(0);
  expect(letter).toMatchObject({ subject: 'Plans', text: 'On Friday?\n' });
  expect(received.raw.toString()).not.toMatch(/^(?:bcc|x-smimp)/im);

  const answers = `In-Reply-To: ${letter.messageId}`;
  await bobSends(['Subject: Re: Plans', 'Message-ID: <answer@old.test>', answers], 'Friday is good.');
  const [, answer] = (await readInbox(alice, 2)) as [ReadMail, ReadMail];
  expect(answer.mail.from?.text).toBe('"Bob" <bob@old.test>');
  expect(answer.mail).toMatchObject({
    inReplyTo: letter.messageId,
    messageId: '<answer@old.test>',
    text: 'Friday is good.\n',
  });
  expect(answer.source.toString()).toMatch(/^Authentication-Results: gw\.test;[\s\S]*dkim=pass[\s\S]*dmarc=pass/m);

  await send(alice, {
    to: answer.mail.from?.text,
    subject: 'Re: Plans',
    inReplyTo: '<answer@old.test>',
    text: 'See you.',
  });
  await old.arrived(2);
  expect(await parsed(1)).toMatchObject({ inReplyTo: '<answer@old.test>', text: 'See you.\n' });
  const entries = (await runJson(gateway, ['queue', 'list', '--all'])) as { stage: string }[];
  expect(new Set(entries.map(({ stage }) => stage))).toEqual(new Set(['done']));
});

it('goes on where it was when the gateway is killed while mail waits', { timeout: TIMEOUT_MS }, async () => {
  old.answer('rcpt', { code: 451, text: '4.7.1 Greylisted' }, 1);
  await send(alice, { to: 'Bob.Smith+x@old.test', subject: 'Later', text: 'Take your time.' });
  type Entry = { stage: string; error_code: string | null };
  const waiting = async (): Promise<boolean> => {
    const entries = (await runJson(gateway, ['queue', 'list'])) as Entry[];
    return entries.some(({ stage, error_code }) => stage === 'relay' && error_code === 'smtp-temporary');
  };
  while (!(await waiting()) && old.received.length === 2);
  await running.kill();
  running = await startSite(gateway);
  await old.arrived(3);
  expect((await parsed(2)).subject).toBe('Later');
  expect(old.received[2]?.to).toEqual(['bob.smith+x@old.test']);
  expect(old.received.filter(({ raw }) => raw.includes('Take your time.'))).toHaveLength(1);
});

it('tells her as a report what his server refuses', { timeout: TIMEOUT_MS }, async () => {
  old.answer('rcpt', { code: 550, text: '5.1.1 <bob@old.test>: no such user' });
  await send(alice, { to: 'bob@old.test', subject: 'Too late', text: 'Are you there?' });
  const report = (await readInbox(alice, 3)).at(-1);
  const raw = report?.source.toString() ?? '';
  expect(report?.mail.subject).toBe('Not delivered: Too late');
  expect(report?.mail.from?.text).toBe('bob@old.test');
  expect(raw).toMatch(/^Content-Type: multipart\/report;\s+report-type=delivery-status/m);
  expect(raw).toMatch(/^Final-Recipient: rfc822; bob@old\.test\r$/m);
  expect(raw).toMatch(/^Status: 5\.1\.1\r$/m);
  expect(raw).toMatch(/^Diagnostic-Code: smtp; 550 5\.1\.1/m);
});
