/** Postfix on both sides of a gateway: it brings mail of the old internet to the gateway's MX, and takes what leaves there. */

import { generateKeyPairSync } from 'node:crypto';
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Person } from '../../../src/admin/demo/mail-clients.ts';
import { layOutSites, type RunningSite, type Site, startSite } from '../../../src/admin/demo/sites.ts';
import { DnsZone } from '../../support/dns-zone.ts';
import type { Field, Trial } from '../trial.ts';
import { account } from '../world.ts';
import { bringIn } from './inward.ts';
import { sendOut } from './outward.ts';
import { freePort, Postfix } from './server.ts';

export const postfixTrial: Trial = {
  name: 'postfix',
  what: 'Postfix before and behind a gateway: deferred, refused, 8-bit, SMTPUTF8, STARTTLS, kills',
  programs: ['postfix', 'postconf', 'postqueue', 'setsid'],
  run,
};

/** What both directions need. */
export interface Relayed {
  readonly field: Field;
  readonly postfix: Postfix;
  readonly bob: Person;
  readonly carol: Person;
  /** Of whom the gateway has not heard. */
  readonly dave: Person;
  readonly zone: DnsZone;
  readonly gateway: Restartable;
  readonly home: Restartable;
}

export const LARGEST_BYTES = 2_000_000;
const MAILBOXES = {
  ...{ 'alice@old.test': 'alice', 'jörg@old.test': 'joerg', 'grey@old.test': 'grey' },
  ...{ 'dora@other.test': 'dora' },
};

/** A bridge that a trial ends and starts. */
export class Restartable implements AsyncDisposable {
  readonly site: Site;
  readonly problems: string[] = [];
  #running: RunningSite | null = null;

  constructor(site: Site) {
    this.site = site;
  }

  async start(): Promise<void> {
    this.#running = await startSite(this.site, {
      onEvent: (event) => {
        if (Number(event.level) >= 50) this.problems.push(JSON.stringify(event));
      },
    });
  }

  async stop(): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]();
    this.#running = null;
  }

  async kill(): Promise<void> {
    await this.#running?.kill();
    this.#running = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function run(field: Field): Promise<void> {
  if (userInfo().uid !== 0) {
    field.note('left out: Postfix can be started by root only');
    return;
  }
  await using owned = new AsyncDisposableStack();
  const zone = owned.use(await DnsZone.open());
  const keyFile = join(field.directory, 'dkim.pem');
  await writeFile(keyFile, dkimKey(zone));
  zone.set('old.test', 'TXT', 'v=spf1 ip4:127.0.0.1 -all');
  for (const domain of ['old.test', 'strict.test']) zone.set(`_dmarc.${domain}`, 'TXT', 'v=DMARC1; p=reject');

  const directory = join(field.directory, 'sites');
  const port = await freePort();
  const sites = await layOutSites({
    ...{ directory, domains: ['corp.test', 'gw.test'], settings: { proof_of_work: { zero_bits: 0 } } },
    settingsOf: (domain) => (domain === 'corp.test' ? HOME : gatewaySettings({ port, keyFile, dns: zone.server })),
  });
  const [home, gateway] = sites.map((site) => owned.use(new Restartable(site))) as [Restartable, Restartable];
  const own = join(field.directory, 'postfix');
  await mkdir(own);
  const postfix = owned.use(
    await Postfix.create({
      ...{ directory: own, port, caPath: join(directory, 'ca.pem'), mailboxes: MAILBOXES, largestBytes: LARGEST_BYTES },
      transports: { 'corp.test': `127.0.0.1:${gateway.site.ports.mx}` },
    }),
  );
  await appendFile(join(directory, 'ca.pem'), postfix.ca);
  await Promise.all([home.start(), gateway.start(), postfix.start()]);
  const [bob, carol, dave] = [
    await account(home.site, 'bob'),
    await account(home.site, 'carol'),
    await account(home.site, 'dave'),
  ];
  const relayed = { field, postfix, bob, carol, dave, zone, gateway, home };
  await bringIn(relayed);
  await sendOut(relayed);
  field.check('the bridges logged no error', [...home.problems, ...gateway.problems]);
  const warnings = (await postfix.log()).split('\n').filter((line) => /: (?:fatal|panic|error): /.test(line));
  field.check('Postfix logged no error', warnings);
}

const HOME = { legacy: { gateway: 'gw.test', domains: ['old.test', 'other.test', 'strict.test'] } };

/** Mail for old.test goes straight to Postfix, all other by it as smarthost, whose certificate must be right. */
function gatewaySettings({ port, keyFile, dns }: { port: number; keyFile: string; dns: string }) {
  const gateway = {
    ...{ domain: 'gw.test', senders: ['corp.test'], recipients: ['corp.test'] },
    ...{ routes: { 'old.test': `127.0.0.1:${port}` }, smarthost: { host: 'localhost', port, tls: 'starttls' } },
    dkim: { 'corp.test': { selector: 'gw', key_file: keyFile } },
  };
  return { deployment: 'gateway', gateway, network: { dns: [dns] } };
}

/** The private half; the public one is published. */
function dkimKey(zone: DnsZone): string {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const p = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  zone.set('gw._domainkey.corp.test', 'TXT', `v=DKIM1; k=rsa; p=${p}`);
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}
