/** The part of the demonstration that reaches the old internet: a letter through the gateway, the answer, and a refusal. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { simpleParser } from 'mailparser';
import { createTransport } from 'nodemailer';
import { type Person, readInbox, send } from './mail-clients.ts';
import { BOB_OF_OLD, type OldInternet } from './old-internet.ts';
import type { Site } from './sites.ts';
import type { Story } from './story.ts';

export const GATEWAY = 'gw.test';
const SELECTOR = 'demo';

/** Settings of the home and of the gateway, and the public half of the key that the gateway signs with. */
export async function legacySettings(
  internet: OldInternet,
  keyFile: string,
): Promise<{ settingsOf: (domain: string) => Record<string, unknown>; publicKey: string }> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await mkdir(dirname(keyFile), { recursive: true });
  await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  // Nobody asks for names outside of this machine.
  const network = { dns: [internet.dns], hosts: { 'old.test': '127.0.0.1:1' } };
  const gateway = {
    ...{ domain: GATEWAY, senders: ['acme.test'], recipients: ['acme.test'] },
    ...{ routes: { 'old.test': internet.server }, dkim: { 'acme.test': { selector: SELECTOR, key_file: keyFile } } },
  };
  const settings: Record<string, Record<string, unknown>> = {
    'acme.test': { legacy: { gateway: GATEWAY, domains: ['old.test'] }, network },
    [GATEWAY]: { deployment: 'gateway', gateway, network },
  };
  const published = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  return { settingsOf: (domain) => settings[domain] ?? {}, publicKey: published };
}

export async function writeToOldInternet(
  story: Story,
  at: { alice: Person; gateway: Site; internet: OldInternet; publicKey: string },
): Promise<void> {
  const { alice, gateway, internet } = at;
  story.say('\nAlice writes to Bob at old.test, where nobody speaks SMIMP: through the gateway that her server names.');
  const before = (await readInbox(alice, 0)).length;
  await send(alice, { to: BOB_OF_OLD, subject: 'By the old way', text: 'Can you read this?' });
  const [mail] = await internet.received(1);
  const letter = await simpleParser(mail?.raw ?? '');
  story.check('old.test: once, from Alice herself', mail?.from === alice.mailbox && mail.to === BOB_OF_OLD);
  story.check('old.test: what she wrote', letter.text === 'Can you read this?\n');
  story.check('old.test: signed for acme.test (DKIM)', await isSigned(mail?.raw ?? Buffer.alloc(0), at.publicKey));
  await answer(gateway, letter.messageId ?? '');
  const reply = (await readInbox(alice, before + 1)).at(-1)?.mail;
  story.check('Alice: his answer, from the mailbox he has', reply?.from?.value[0]?.address === BOB_OF_OLD);
  story.check('Alice: in the same thread', reply?.inReplyTo === letter.messageId && letter.messageId !== undefined);
  await send(alice, { to: 'nobody@old.test', subject: 'Anybody?', text: 'Hello?' });
  const told = (await readInbox(alice, before + 2)).at(-1)?.source.toString('utf8') ?? '';
  story.check('Alice is told what old.test refused, in its words', /Diagnostic-Code: smtp; 550 5\.1\.1/.test(told));
}

/** Bob's mail program hands his answer to the MX of acme.test, which is the gateway. */
async function answer(gateway: Site, messageId: string): Promise<void> {
  const tls = { ca: gateway.ca, servername: 'localhost' };
  const transport = createTransport({ host: '127.0.0.1', port: gateway.ports.mx, name: 'mx.old.test', tls });
  try {
    const subject = 'Re: By the old way';
    await transport.sendMail({
      from: BOB_OF_OLD,
      to: 'alice@acme.test',
      subject,
      inReplyTo: messageId,
      text: 'I can.',
    });
  } finally {
    transport.close();
  }
}

async function isSigned(message: Buffer, publicKey: string): Promise<boolean> {
  const record = `v=DKIM1; k=rsa; p=${publicKey}`;
  const resolver = async (name: string): Promise<string[][]> =>
    name === `${SELECTOR}._domainkey.acme.test` ? [[record]] : [];
  const { results } = await dkimVerify(message, { resolver });
  return results.some(({ signingDomain, status }) => signingDomain === 'acme.test' && status.result === 'pass');
}
