/**
 * A gateway's door for mail from outside, over a real database, with a DNS zone of its own; whoever it asks about recipients
 * is a table of the test. Clients speak to it on loopback, where addresses all are 127.0.0.1.
 */
import { generateKeyPairSync } from 'node:crypto';
import { dkimSign } from 'mailauth';
import { createEvents } from '../../src/events.ts';
import type { Glance } from '../../src/identity/glance.ts';
import { createKeystore, type Keystore } from '../../src/keystore/keystore.ts';
import { createAuthenticate, dnsResolver } from '../../src/legacy/authentication.ts';
import { createNewcomers } from '../../src/legacy/newcomers.ts';
import { createLogger } from '../../src/log.ts';
import { ByteGate } from '../../src/memory/byte-gate.ts';
import { type AcceptLegacy, createAcceptLegacy } from '../../src/pipeline/accept-legacy.ts';
import { openContent } from '../../src/pipeline/submission-content.ts';
import { type Domain, parseDomain } from '../../src/smimp/address.ts';
import { type EmailBody, parseBody } from '../../src/smimp/email.ts';
import { createMx, type MxOptions } from '../../src/smtp/mx.ts';
import type { OpenedDatabase } from '../../src/store/database.ts';
import { submissionContent } from '../../src/store/submissions.ts';
import { testDatabase } from './database.ts';
import { DnsZone } from './dns-zone.ts';
import { SmtpDialogue } from './smtp-dialogue.ts';
import { testAuthority, testCertificate } from './tls-server.ts';

export const GATEWAY = parseDomain('gw.test');
export const MX_HOST = 'mx.gw.test';
export const NOW = new Date('2026-01-15T12:00:00Z');
export const LIMITS = { messageBytes: 20_000, recipients: 3, connections: 20, connectionsPerAddress: 10 };

export interface Taken {
  accountId: number;
  author: string;
  recipients: string[];
  body: EmailBody;
  data: Record<string, unknown>;
}

export interface MxSite extends AsyncDisposable {
  readonly opened: OpenedDatabase;
  readonly keystore: Keystore;
  readonly zone: DnsZone;
  readonly log: string[];
  /** What is known of recipients; everybody else is welcome. */
  readonly recipients: Map<string, Glance>;
  now: Date;
  /** Opens another door with other settings. */
  open(
    options?: Partial<Pick<MxOptions, 'limits' | 'idleTimeoutMs' | 'sessionMs' | 'closeTimeoutMs'>> & DoorOptions,
  ): Promise<number>;
  connect(port: number): Promise<SmtpDialogue>;
  /** Brings one message; resolves with the reply to its end, or to what was refused before. */
  bring(port: number, mail: Brought): Promise<string>;
  /** What was taken in since the last call, oldest first. */
  taken(): Promise<Taken[]>;
}

type DoorOptions = {
  dmarc?: 'enforce' | 'mark';
  acceptLegacy?: (accept: AcceptLegacy) => AcceptLegacy;
  dnsTimeoutMs?: number;
  newAuthorsPerHour?: number;
};
export type Brought = { from?: string; to?: readonly string[]; raw: string | Buffer };

export async function mxSite(): Promise<MxSite> {
  const owned = new AsyncDisposableStack();
  const opened = owned.use(await testDatabase());
  const { db } = opened;
  const zone = owned.use(await DnsZone.open());
  const keystore = createKeystore({ db, serverKey: Buffer.alloc(32, 7) });
  const authority = await testAuthority();
  const issued = await testCertificate('localhost');
  const log: string[] = [];
  const events = createEvents(createLogger({ level: 'info', destination: { write: (line) => log.push(line) } }));
  const recipients = new Map<string, Glance>();
  const gateway = { domain: GATEWAY as Domain, recipients: ['corp.test', 'acme.test'] };
  const own = { domain: GATEWAY, ownDomains: [GATEWAY, ...gateway.recipients], authServices: [GATEWAY, MX_HOST] };
  const accepting = (perHour: number): AcceptLegacy =>
    createAcceptLegacy({
      ...{ db, keystore, events, gate: new ByteGate(1_000_000) },
      gateway: { ...own, newcomers: createNewcomers({ perHour }) },
      enqueue: async () => undefined,
      giveUpAfterMs: 120 * 3_600_000,
    });
  let seen = 0;

  const site: MxSite = {
    ...{ opened, keystore, zone, log, recipients, now: NOW },
    async open({
      dmarc = 'enforce',
      acceptLegacy = (same: AcceptLegacy) => same,
      dnsTimeoutMs = 5_000,
      newAuthorsPerHour = 1_000,
      ...options
    } = {}) {
      const door = createMx({
        ...{ name: MX_HOST, tls: { cert: issued.certificate, key: issued.key }, limits: LIMITS, events },
        gateway: { ...gateway, dmarc },
        acceptLegacy: acceptLegacy(accepting(newAuthorsPerHour)),
        authenticate: createAuthenticate({
          ...{ name: MX_HOST, resolver: dnsResolver([zone.server]), timeoutMs: dnsTimeoutMs },
        }),
        glance: async ({ contact }) => recipients.get(contact) ?? 'known',
        clock: () => site.now,
        ...options,
      });
      owned.use(door);
      return (await door.listen({ host: '127.0.0.1', port: 0, implicitTls: false })).port;
    },
    async connect(port) {
      const client = await SmtpDialogue.open({ port, ca: authority.certificate, implicitTls: false });
      const greeting = await client.reply();
      if (!greeting.startsWith('220 ')) throw new Error(greeting);
      return client;
    },
    async bring(port, mail) {
      using client = await site.connect(port);
      await client.say('EHLO out.old.test');
      return await bringOn(client, mail);
    },
    async taken() {
      const rows = await db.selectFrom('submission').selectAll().where('id', '>', seen).orderBy('id').execute();
      seen = rows.at(-1)?.id ?? seen;
      return Promise.all(rows.map((row) => readTaken(site, row)));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return site;
}

/** On a connection that has said EHLO. */
export async function bringOn(client: SmtpDialogue, { from = 'alice@old.test', to = ['bob@corp.test'], raw }: Brought) {
  for (const command of [`MAIL FROM:<${from}>`, ...to.map((one) => `RCPT TO:<${one}>`), 'DATA']) {
    const reply = await client.say(command);
    if (!/^[23]/.test(reply)) return reply;
  }
  client.send(raw);
  return client.say('.');
}

async function readTaken(
  { opened: { db }, keystore }: MxSite,
  row: { id: number; account_id: number; uid: Buffer },
): Promise<Taken> {
  const keys = await keystore.open(row.account_id);
  const sealed = (await submissionContent(db, row.id)) as Buffer;
  const content = parseBody('email', openContent(keys, row.uid, sealed));
  if (content.type !== 'email') throw new Error('not an email');
  const deliveries = await db.selectFrom('delivery').select('recipient').where('submission_id', '=', row.id).execute();
  return {
    accountId: row.account_id,
    author: keys.address,
    recipients: deliveries.map(({ recipient }) => recipient).sort(),
    body: content.value,
    data: (content.value.extensions_data?.smimp_gateway ?? {}) as Record<string, unknown>,
  };
}

let letters = 0;

/** A message as people write them, each with a Message-ID of its own. */
export function letter(fields: Record<string, string> = {}, text = 'Hello Bob.'): string {
  const all = {
    From: 'Alice <alice@old.test>',
    To: 'Bob <bob@corp.test>',
    Subject: 'Lunch',
    Date: 'Thu, 15 Jan 2026 11:59:00 +0000',
    'Message-ID': `<${++letters}@old.test>`,
    ...fields,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => (value === '' ? [] : [`${name}: ${value}\r\n`]));
  return `${lines.join('')}\r\n${text}\r\n`;
}

/** `maxBodyLength`: bytes of the body that are signed. */
export type Signer = { domain: string; selector: string; privateKey: string; maxBodyLength?: number };

/** A key pair for DKIM; its public half is published in the zone. */
export function dkimKey(zone: DnsZone, domain: string, selector = 'mail', bits = 1024): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  const p = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  zone.set(`${selector}._domainkey.${domain}`, 'TXT', `v=DKIM1; k=rsa; p=${p}`);
  return { domain, selector, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/** The message with a DKIM signature on top. */
export async function signed(raw: string, { domain, ...key }: Signer): Promise<string> {
  const one = { signingDomain: domain, ...key };
  const { signatures, errors } = await dkimSign(raw, { ...one, signatureData: [one] });
  if (errors.length > 0) throw new Error('not signed');
  return `${signatures}${raw}`;
}
