/** Mail the whole way, byte for byte: a mail program, its bridge, the bridge of the recipient, her mail program. */
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { dkimSign } from 'mailauth/lib/dkim/sign.js';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Person, type ReadMail, readInbox } from '../../src/admin/demo/mail-clients.ts';
import { layOutSites, type RunningSite, runJson, type Site, startSite } from '../../src/admin/demo/sites.ts';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';
import { hideBcc } from '../../src/mime/original/bcc.ts';
import { originalIsFrom } from '../../src/mime/original/trust.ts';
import { randomBytes } from '../../src/smimp/crypto.ts';

const TIMEOUT_MS = 240_000;
const MAIL = fileURLToPath(new URL('../../fixtures/mail/', import.meta.url));
/** Kinds of mail that a careless bridge breaks. */
const FRAGILE = /^(?:pgp|smime|patch|tnef|calendar-google).*\.eml$/;

let directory: string;
const running: RunningSite[] = [];
let alice: Person;
let bob: Person;

beforeAll(async () => {
  directory = await temporaryDirectory('byte-exact');
  const settings = { proof_of_work: { zero_bits: 0, threads: 1 } };
  const sites = (await layOutSites({ directory, domains: ['acme.test', 'corp.test'], settings })) as [Site, Site];
  for (const site of sites) running.push(await startSite(site));
  [alice, bob] = [await addAccount(sites[0], 'alice'), await addAccount(sites[1], 'bob')];
}, TIMEOUT_MS);

afterAll(async () => {
  for (const site of running) await site[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
}, TIMEOUT_MS);

async function addAccount(site: Site, name: string): Promise<Person> {
  const mailbox = `${name}@${site.domain}`;
  const { password } = (await runJson(site, ['account', 'add', mailbox])) as { password: string };
  return { site, mailbox, password };
}

async function submit(raws: readonly Buffer[]): Promise<void> {
  const transport = createTransport({
    ...{ host: '127.0.0.1', port: alice.site.ports.submissions, secure: true, pool: true, maxConnections: 1 },
    auth: { user: alice.mailbox, pass: alice.password },
    tls: { ca: alice.site.ca, servername: 'localhost' },
  });
  for (const raw of raws) await transport.sendMail({ envelope: { from: alice.mailbox, to: bob.mailbox }, raw });
  transport.close();
}

/** As SMTP carries it: CRLF lines, the last one ended. */
function asSent(raw: Buffer): Buffer {
  const text = raw.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n');
  return Buffer.from(text.endsWith('\r\n') ? text : `${text}\r\n`, 'latin1');
}

function fragileMail(): [string, Buffer][] {
  return readdirSync(MAIL)
    .filter((name) => FRAGILE.test(name))
    .map((name): [string, Buffer] => {
      const text = readFileSync(`${MAIL}${name}`).toString('latin1');
      const mine = text
        .replace(/^From:.*$/im, 'From: Alice <alice@acme.test>')
        .replace(/^(?:Message-ID|Sender):.*\r?\n/gim, '');
      return [name, asSent(Buffer.from(mine, 'latin1'))];
    })
    .filter(([, raw]) => originalIsFrom(raw, 'alice@acme.test') && !raw.includes(0));
}

it(
  'comes out as it went in, and what was signed before verifies behind',
  async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', {
      ...{ modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'der' } },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const resolver = async (): Promise<string[][]> => [[`v=DKIM1; k=rsa; p=${publicKey.toString('base64')}`]];
    const file = randomBytes(300_000).toString('base64').replace(/.{76}/g, '$&\r\n');
    const letter = [
      'From: "Alice, A." <alice@acme.test>',
      'To: bob@corp.test',
      'Bcc: carol@corp.test',
      'Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=',
      'Date: Thu, 15 Jan 2026 12:00:00 +0000',
      'MIME-Version: 1.0',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße  \r\n.\r\n..dots\r\n',
      `--b\r\nContent-Type: application/zip; name=f.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n${file}\r\n--b--\r\n`,
    ].join('\r\n');
    const key = { signingDomain: 'acme.test', selector: 's', privateKey };
    const visible = hideBcc(Buffer.from(letter)).visible;
    const { signatures } = await dkimSign(visible, { ...key, algorithm: 'rsa-sha256', signatureData: [key] });
    const signed = Buffer.from(`${signatures}${letter}`, 'utf8');
    const fragile = fragileMail();
    expect(fragile.length).toBeGreaterThan(10);
    await submit([signed, ...fragile.map(([, raw]) => raw)]);
    const mails = await readInbox(bob, 1 + fragile.length);

    const arrived = mails.find(({ source }) => source.includes('DKIM-Signature'));
    expectEnd(arrived, hideBcc(Buffer.from(signed)).visible);
    const { results } = await dkimVerify(arrived?.source ?? Buffer.alloc(0), { resolver: resolver as never });
    expect(results.map(({ status }) => status.result)).toEqual(['pass']);
    for (const [name, raw] of fragile) {
      const found = mails.find(({ source }) => source.subarray(-raw.length).equals(hideBcc(Buffer.from(raw)).visible));
      expect(found, name).toBeDefined();
    }
  },
  TIMEOUT_MS,
);

function expectEnd(mail: ReadMail | undefined, raw: Buffer): void {
  expect(mail?.source.subarray(-raw.length).toString('latin1')).toBe(raw.toString('latin1'));
}
