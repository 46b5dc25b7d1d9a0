/**
 * The submission listener on the wire: who may come in, what is refused with which words, and that one DATA is one message
 * whatever is in it.
 */
import { connect as connectTls } from 'node:tls';
import { createTransport } from 'nodemailer';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createEvents } from '../src/events.ts';
import { createKeystore, type Keystore } from '../src/keystore/keystore.ts';
import { hashPassword } from '../src/keystore/password.ts';
import { createLogger } from '../src/log.ts';
import { AcceptError, type Submitted } from '../src/pipeline/accept.ts';
import type { Reason } from '../src/pipeline/reasons.ts';
import { type Address, parseAddress } from '../src/smimp/address.ts';
import { MAX_COMMAND_BYTES, MAX_ERRORS, MAX_LOGIN_FAILURES } from '../src/smtp/limits.ts';
import {
  createSubmission,
  type Submission,
  type SubmissionLimits,
  type SubmissionOptions,
} from '../src/smtp/submission.ts';
import { createAccount } from '../src/store/accounts.ts';
import type { OpenedDatabase } from '../src/store/database.ts';
import { testDatabase } from './support/database.ts';
import { plainToken, SmtpDialogue } from './support/smtp-dialogue.ts';
import { testAuthority, testCertificate } from './support/tls-server.ts';

const NOW = new Date('2026-01-15T12:00:00Z');
const PASSWORD = 'correct horse battery staple';
const LIMITS: SubmissionLimits = {
  messageBytes: 20_000,
  recipients: 3,
  connections: 20,
  connectionsPerAddress: 10,
  connectionsPerAccount: 4,
};
/** What the recipients' check says, by address; everybody else is welcome. */
const REFUSED: Record<string, Reason> = {
  'nobody#corp.test': 'unknown-user',
  'bob#legacy.test': 'no-smimp',
  'eve#corp.test': 'pin-replaced',
};

let opened: OpenedDatabase;
let keystore: Keystore;
let tls: { cert: string; key: string };
let ca: string;
let alice: number;
const log: string[] = [];
const events = createEvents(createLogger({ level: 'info', destination: { write: (line) => log.push(line) } }));

beforeAll(async () => {
  opened = await testDatabase();
  keystore = createKeystore({ db: opened.db, serverKey: Buffer.alloc(32, 7) });
  const authority = await testAuthority();
  const issued = await testCertificate('localhost');
  tls = { cert: issued.certificate, key: issued.key };
  ca = authority.certificate;
  alice = await newUser('alice#acme.test');
  await newUser('mallory#acme.test');
});
afterAll(() => opened[Symbol.asyncDispose]());

async function newUser(name: string): Promise<number> {
  const address = parseAddress(name);
  const passwordHash = await hashPassword(PASSWORD);
  return opened.db.transaction().execute(async (tx) => {
    const { id } = await createAccount(tx, { address, initializeHash: null, now: NOW });
    await keystore.createUser(tx, { accountId: id, address, passwordHash, now: NOW });
    return id;
  });
}

const owned: Submission[] = [];
afterEach(async () => {
  for (const submission of owned.splice(0)) await submission[Symbol.asyncDispose]();
  await opened.db.deleteFrom('login_failure').execute();
  expect(log.filter((line) => line.includes('"unexpected"'))).toEqual([]);
  log.length = 0;
});

interface Listening {
  submission: Submission;
  accepted: Submitted[];
  tlsPort: number;
  plainPort: number;
}

async function listening(
  options: Partial<Pick<SubmissionOptions, 'accept' | 'keepSent' | 'idleTimeoutMs'>> & {
    limits?: Partial<SubmissionLimits>;
  } = {},
): Promise<Listening> {
  const accepted: Submitted[] = [];
  const submission = createSubmission({
    name: 'mail.acme.test',
    tls,
    limits: { ...LIMITS, ...options.limits },
    keystore,
    accept:
      options.accept ??
      (async (submitted) => {
        if ('raw' in submitted) {
          accepted.push(submitted);
          await submitted.afterwards?.();
        }
        return { submissionId: accepted.length, repeated: false };
      }),
    checkRecipient: async ({ recipient }) => REFUSED[recipient] ?? null,
    events,
    clock: () => NOW,
    closeTimeoutMs: 100,
    keepSent: options.keepSent ?? null,
    ...(options.idleTimeoutMs === undefined ? {} : { idleTimeoutMs: options.idleTimeoutMs }),
  });
  owned.push(submission);
  const place = { host: '127.0.0.1', port: 0 };
  const { port: tlsPort } = await submission.listen({ ...place, implicitTls: true });
  const { port: plainPort } = await submission.listen({ ...place, implicitTls: false });
  return { submission, accepted, tlsPort, plainPort };
}

async function greeted({ tlsPort }: Listening): Promise<SmtpDialogue> {
  const dialogue = await SmtpDialogue.open({ port: tlsPort, ca, implicitTls: true });
  expect(await dialogue.reply()).toBe('220 mail.acme.test ESMTP smimp-bridge');
  await dialogue.say('EHLO client.test');
  return dialogue;
}

async function loggedIn(server: Listening): Promise<SmtpDialogue> {
  const dialogue = await greeted(server);
  expect(await dialogue.say(`AUTH PLAIN ${plainToken('alice@acme.test', PASSWORD)}`)).toMatch(/^235 2\.7\.0 /);
  return dialogue;
}

/** Up to the 354 of DATA. */
async function inData(server: Listening): Promise<SmtpDialogue> {
  const dialogue = await loggedIn(server);
  expect(await dialogue.say('MAIL FROM:<alice@acme.test>')).toMatch(/^250 2\.1\.0 /);
  expect(await dialogue.say('RCPT TO:<bob@corp.test>')).toMatch(/^250 2\.1\.5 /);
  expect(await dialogue.say('DATA')).toMatch(/^354 /);
  return dialogue;
}

const HEADER = 'From: Alice <alice@acme.test>\r\nTo: bob@corp.test\r\nSubject: hello\r\n\r\n';

describe('the door', () => {
  it('announces what it can, and AUTH only under TLS', async () => {
    const server = await listening();
    using dialogue = await SmtpDialogue.open({ port: server.plainPort, ca, implicitTls: false });
    await dialogue.reply();
    const before = await dialogue.say('EHLO client.test');
    expect(before).toContain('STARTTLS');
    expect(before).not.toContain('AUTH');
    expect(await dialogue.say('STARTTLS')).toMatch(/^220 /);
    await dialogue.upgrade();
    const after = (await dialogue.say('EHLO client.test')).split('\n').map((line) => line.slice(4));
    expect(after.slice(1).sort()).toEqual(
      ['8BITMIME', 'AUTH PLAIN LOGIN', 'ENHANCEDSTATUSCODES', 'PIPELINING', 'SIZE 20000', 'SMTPUTF8'].sort(),
    );
  });

  it('refuses passwords and mail in the clear', async () => {
    const server = await listening();
    using dialogue = await SmtpDialogue.open({ port: server.plainPort, ca, implicitTls: false });
    await dialogue.reply();
    await dialogue.say('EHLO client.test');
    const token = plainToken('alice@acme.test', PASSWORD);
    expect(await dialogue.say(`AUTH PLAIN ${token}`)).toMatch(/^538 5\.7\.0 .*STARTTLS/);
    expect(await dialogue.say('MAIL FROM:<alice@acme.test>')).toMatch(/^530 5\.7\.0 /);
    expect(log.join()).not.toContain('login_succeeded');
  });

  it('forgets what was sent in the clear behind STARTTLS', async () => {
    const server = await listening();
    using dialogue = await SmtpDialogue.open({ port: server.plainPort, ca, implicitTls: false });
    await dialogue.reply();
    await dialogue.say('EHLO client.test');
    const token = plainToken('alice@acme.test', PASSWORD);
    dialogue.send(`STARTTLS\r\nEHLO injected.test\r\nAUTH PLAIN ${token}\r\nNOOP\r\n${'NOOP\r\n'.repeat(300)}`);
    expect(await dialogue.reply()).toMatch(/^220 /);
    await dialogue.upgrade();
    expect(await dialogue.say('MAIL FROM:<alice@acme.test>')).toMatch(/^503 .*HELO/);
    expect(await dialogue.say('EHLO client.test')).toMatch(/^250-/);
    expect(await dialogue.say('MAIL FROM:<alice@acme.test>')).toMatch(/^530 /);
    expect(log.join()).not.toContain('login_succeeded');
  });

  it('limits connections from one address and of one account', async () => {
    const server = await listening({ limits: { connectionsPerAddress: 3, connectionsPerAccount: 1 } });
    using first = await loggedIn(server);
    using second = await greeted(server);
    expect(await second.say(`AUTH PLAIN ${plainToken('alice@acme.test', PASSWORD)}`)).toMatch(/^421 4\.7\.0 .*account/);
    using third = await greeted(server);
    using fourth = await greeted(server);
    using fifth = await SmtpDialogue.open({ port: server.tlsPort, ca, implicitTls: true });
    expect(await fifth.reply()).toMatch(/^421 .*connections/);
    expect(await first.say('NOOP')).toMatch(/^250/);
    expect(await third.say('NOOP')).toMatch(/^250/);
    expect(await fourth.say('NOOP')).toMatch(/^250/);
  });

  it('limits connections in all', async () => {
    const server = await listening({ limits: { connections: 1 } });
    using first = await greeted(server);
    using second = await SmtpDialogue.open({ port: server.tlsPort, ca, implicitTls: true });
    expect(await second.reply()).toMatch(/^421 .*connections/);
    expect(await first.say('NOOP')).toMatch(/^250/);
  });

  it('ends connections that are silent', async () => {
    const server = await listening({ idleTimeoutMs: 50 });
    using dialogue = await greeted(server);
    expect(await dialogue.reply()).toMatch(/^421 4\.4\.2 /);
    expect(await dialogue.reply()).toBe('<closed>');
  });

  it('says good-bye to whoever waits for nothing, and ends in the middle of handshakes', async () => {
    const server = await listening();
    using idle = await greeted(server);
    using plain = await SmtpDialogue.open({ port: server.plainPort, ca, implicitTls: false });
    await plain.reply();
    const begun = Promise.withResolvers<void>();
    const sockets = Array.from({ length: 20 }, () => {
      const socket = connectTls({ host: '127.0.0.1', port: server.tlsPort, ca, servername: 'localhost' });
      socket.on('error', () => begun.resolve());
      socket.on('connect', () => begun.resolve());
      return socket;
    });
    await begun.promise;
    await server.submission[Symbol.asyncDispose]();
    owned.splice(owned.indexOf(server.submission), 1);
    expect(await idle.reply()).toMatch(/^421 4\.3\.2 /);
    expect(await plain.reply()).toMatch(/^421 4\.3\.2 /);
    for (const socket of sockets) socket.destroy();
  });

  it('cuts a line that never ends', async () => {
    const server = await listening();
    using dialogue = await greeted(server);
    dialogue.send('X'.repeat(MAX_COMMAND_BYTES + 1));
    expect(await dialogue.reply()).toMatch(/^421 /);
    expect(await dialogue.reply()).toBe('<closed>');
  });

  it('answers a command of the longest length', async () => {
    const server = await listening();
    using dialogue = await greeted(server);
    expect(await dialogue.say(`NOOP ${'X'.repeat(MAX_COMMAND_BYTES - 5)}`)).toMatch(/^250 /);
  });

  it('ends connections that only make mistakes', async () => {
    const server = await listening();
    using dialogue = await loggedIn(server);
    const replies: string[] = [];
    for (let i = 0; i <= MAX_ERRORS + LIMITS.recipients; i++)
      replies.push(await dialogue.say('RCPT TO:<bob@corp.test>'));
    expect(replies.every((reply) => reply.startsWith('503'))).toBe(true);
    expect(await dialogue.reply()).toMatch(/^421 4\.7\.0 Too many errors/);
    expect(await dialogue.reply()).toBe('<closed>');
  });
});

describe('logging in', () => {
  it('takes PLAIN with and without an initial answer, and LOGIN', async () => {
    const server = await listening();
    const token = plainToken('alice@acme.test', PASSWORD);
    using plain = await greeted(server);
    expect(await plain.say('AUTH PLAIN')).toMatch(/^334/);
    expect(await plain.say(token)).toMatch(/^235 /);
    using login = await greeted(server);
    expect(await login.say('AUTH LOGIN')).toMatch(/^334 /);
    expect(await login.say(Buffer.from('alice#acme.test').toString('base64'))).toMatch(/^334 /);
    expect(await login.say(Buffer.from(PASSWORD).toString('base64'))).toMatch(/^235 /);
    expect(await login.say(`AUTH PLAIN ${token}`)).toMatch(/^503 /);
  });

  it('answers a wrong password and an unknown user with the same words', async () => {
    const server = await listening();
    using dialogue = await greeted(server);
    const wrong = await dialogue.say(`AUTH PLAIN ${plainToken('alice@acme.test', 'wrong')}`);
    expect(wrong).toMatch(/^535 5\.7\.8 /);
    expect(await dialogue.say(`AUTH PLAIN ${plainToken('nobody@acme.test', 'wrong')}`)).toBe(wrong);
    expect(await dialogue.say(`AUTH PLAIN ${plainToken('no address', 'wrong')}`)).toBe(wrong);
    expect(log.join()).not.toContain('acme.test');
  });

  it('lets nobody act for somebody else', async () => {
    const server = await listening();
    using dialogue = await greeted(server);
    const token = plainToken('mallory@acme.test', PASSWORD, 'alice@acme.test');
    expect(await dialogue.say(`AUTH PLAIN ${token}`)).toMatch(/^535 5\.7\.8 /);
    const own = plainToken('mallory@acme.test', PASSWORD, 'mallory#acme.test');
    expect(await dialogue.say(`AUTH PLAIN ${own}`)).toMatch(/^235 /);
  });

  it('hangs up after a few wrong passwords', async () => {
    const server = await listening();
    using dialogue = await greeted(server);
    const token = plainToken('alice@acme.test', 'wrong');
    for (let i = 1; i < MAX_LOGIN_FAILURES; i++) expect(await dialogue.say(`AUTH PLAIN ${token}`)).toMatch(/^535 /);
    expect(await dialogue.say(`AUTH PLAIN ${token}`)).toMatch(/^421 4\.7\.0 /);
    expect(await dialogue.reply()).toBe('<closed>');
  });

  it('refuses other mechanisms and broken tokens', async () => {
    const server = await listening();
    using dialogue = await greeted(server);
    expect(await dialogue.say('AUTH CRAM-MD5')).toMatch(/^504 /);
    expect(await dialogue.say('AUTH XOAUTH2 abc')).toMatch(/^504 /);
    expect(await dialogue.say('AUTH PLAIN !!!')).toMatch(/^501 /);
    expect(await dialogue.say('MAIL FROM:<alice@acme.test>')).toMatch(/^530 5\.7\.0 /);
  });
});

describe('sender and recipients', () => {
  it('takes only the own address as sender', async () => {
    const server = await listening();
    using dialogue = await loggedIn(server);
    for (const sender of ['mallory@acme.test', 'alice@corp.test', 'alice.x@acme.test', '']) {
      expect(await dialogue.say(`MAIL FROM:<${sender}>`)).toMatch(/^553 5\.7\.1 .*alice@acme\.test/);
    }
    expect(await dialogue.say('MAIL FROM:<Alice@ACME.test> BODY=8BITMIME SMTPUTF8 SIZE=20000')).toMatch(/^250 2\.1\.0/);
  });

  it('refuses what is announced too large', async () => {
    const server = await listening();
    using dialogue = await loggedIn(server);
    expect(await dialogue.say('MAIL FROM:<alice@acme.test> SIZE=20001')).toMatch(/^552 5\.3\.4 /);
  });

  it('refuses recipients that can never be reached, naming them and the reason', async () => {
    const server = await listening();
    using dialogue = await loggedIn(server);
    await dialogue.say('MAIL FROM:<alice@acme.test>');
    const refused = async (mailbox: string): Promise<string> => dialogue.say(`RCPT TO:<${mailbox}>`);
    expect(await refused('nobody@corp.test')).toMatch(/^550 5\.1\.1 <nobody@corp\.test>: There is no user/);
    expect(await refused('bob@legacy.test')).toMatch(/^550 5\.7\.1 <bob@legacy\.test>: .*no policy/);
    expect(await refused('eve@corp.test')).toMatch(/^550 5\.7\.1 <eve@corp\.test>: .*identity/);
    expect(await refused('john.doe@gmail.test')).toMatch(/^553 5\.1\.3 <john\.doe@gmail\.test> /);
    expect(await refused('bob@[127.0.0.1]')).toMatch(/^553 5\.1\.3 /);
    expect(await refused('Bob@CORP.test')).toMatch(/^250 2\.1\.5 /);
    expect(await dialogue.say('DATA')).toMatch(/^354 /);
    dialogue.send(`${HEADER}hi\r\n.\r\n`);
    expect(await dialogue.reply()).toBe('250 2.6.0 Queued as 1');
    expect(server.accepted[0]?.recipients).toEqual(['bob#corp.test']);
    expect(server.accepted[0]).toMatchObject({ accountId: alice, from: 'alice#acme.test' });
    expect(log.join()).not.toContain('corp.test');
  });

  it('takes a recipient once, and a domain in Unicode as A-labels', async () => {
    const server = await listening();
    using dialogue = await loggedIn(server);
    await dialogue.say('MAIL FROM:<alice@acme.test> SMTPUTF8');
    for (const mailbox of ['bob@corp.test', 'BOB@corp.test', 'bob@xn--bcher-kva.test']) {
      expect(await dialogue.say(`RCPT TO:<${mailbox}>`)).toMatch(/^250 /);
    }
    dialogue.send(Buffer.from('RCPT TO:<bob@Bücher.test>\r\n', 'utf8'));
    expect(await dialogue.reply()).toMatch(/^250 /);
    await dialogue.say('DATA');
    dialogue.send(`${HEADER}hi\r\n.\r\n`);
    await dialogue.reply();
    expect(server.accepted[0]?.recipients).toEqual(['bob#corp.test', 'bob#xn--bcher-kva.test']);
  });

  it('takes so many recipients and no more', async () => {
    const server = await listening();
    using dialogue = await loggedIn(server);
    await dialogue.say('MAIL FROM:<alice@acme.test>');
    for (const name of ['a', 'b', 'c']) expect(await dialogue.say(`RCPT TO:<${name}@corp.test>`)).toMatch(/^250 /);
    expect(await dialogue.say('RCPT TO:<d@corp.test>')).toMatch(/^452 4\.5\.3 /);
  });

  it('takes only the own address in the From field', async () => {
    const server = await listening();
    for (const from of ['mallory@acme.test', 'alice@acme.test, bob@corp.test', '"alice@acme.test" <bob@corp.test>']) {
      using dialogue = await inData(server);
      dialogue.send(`From: ${from}\r\nSubject: x\r\n\r\nhi\r\n.\r\n`);
      expect(await dialogue.reply()).toMatch(/^550 5\.7\.1 .*alice@acme\.test/);
    }
    using twice = await inData(server);
    twice.send('From: alice@acme.test\r\nFrom: mallory@acme.test\r\n\r\nhi\r\n.\r\n');
    expect(await twice.reply()).toMatch(/^550 5\.7\.1 /);
    expect(server.accepted).toEqual([]);
  });
});

describe('the message', () => {
  const TRICKS: [string, string][] = [
    ['a lone LF dot LF', 'one\n.\nMAIL FROM:<alice@acme.test>\nRCPT TO:<eve@corp.test>\nDATA\ntwo'],
    ['LF dot CRLF', 'one\n.\r\nMAIL FROM:<alice@acme.test>\r\nDATA\r\ntwo'],
    ['CRLF dot LF', 'one\r\n.\nMAIL FROM:<alice@acme.test>\r\nDATA\r\ntwo'],
    ['CR dot CR', 'one\r.\rMAIL FROM:<alice@acme.test>\rtwo'],
    ['CRLF dot CR', 'one\r\n.\rMAIL FROM:<alice@acme.test>\r\ntwo'],
    ['CR CR LF dot', 'one\r\r\n\0.\r\ntwo'],
    ['bare line ends', 'one\ntwo\rthree\r\n'],
  ];

  for (const [name, content] of TRICKS) {
    it(`stays one message with ${name} in it`, async () => {
      const server = await listening();
      using dialogue = await inData(server);
      dialogue.send(`${HEADER}${content}\r\n.\r\nNOOP\r\n`);
      expect(await dialogue.reply()).toBe('250 2.6.0 Queued as 1');
      expect(await dialogue.reply()).toMatch(/^250 2\.0\.0 OK/);
      expect(server.accepted).toHaveLength(1);
      const raw = server.accepted[0]?.raw.toString('latin1') ?? '';
      expect(raw.replaceAll(/^\./gm, '')).toBe(`${HEADER}${content}\r\n`.replaceAll(/^\./gm, ''));
    });
  }

  it('stays one message however it is cut into segments', async () => {
    const server = await listening();
    for (const cut of [1, 2, 3, 4, 5]) {
      using dialogue = await inData(server);
      const whole = `${HEADER}one\r\n..\r\n..two\r\n.\r\n`;
      const start = whole.length - 16 + cut;
      await dialogue.sendAlone(whole.slice(0, start));
      for (const byte of whole.slice(start)) await dialogue.sendAlone(byte);
      expect(await dialogue.reply()).toMatch(/^250 /);
      expect(server.accepted.at(-1)?.raw.toString('latin1')).toBe(`${HEADER}one\r\n.\r\n.two\r\n`);
    }
    expect(server.accepted).toHaveLength(5);
  });

  it('takes pipelined commands, and another message after the first', async () => {
    const server = await listening();
    using dialogue = await loggedIn(server);
    const message = `${HEADER}hi\r\n.\r\n`;
    dialogue.send('MAIL FROM:<alice@acme.test>\r\nRCPT TO:<bob@corp.test>\r\nDATA\r\n');
    for (const code of ['250', '250', '354']) expect((await dialogue.reply()).slice(0, 3)).toBe(code);
    dialogue.send(`${message}MAIL FROM:<alice@acme.test>\r\nRCPT TO:<carol@corp.test>\r\nDATA\r\n`);
    for (const code of ['250', '250', '250', '354']) expect((await dialogue.reply()).slice(0, 3)).toBe(code);
    dialogue.send(message);
    expect(await dialogue.reply()).toBe('250 2.6.0 Queued as 2');
    expect(server.accepted.map(({ recipients }) => recipients)).toEqual([['bob#corp.test'], ['carol#corp.test']]);
  });

  it('passes 8-bit bytes as they are', async () => {
    const server = await listening();
    using dialogue = await inData(server);
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i).filter((i) => i !== 10 && i !== 13));
    dialogue.send(Buffer.concat([Buffer.from(HEADER), bytes, Buffer.from('\r\n.\r\n')]));
    await dialogue.reply();
    expect(server.accepted[0]?.raw).toEqual(Buffer.concat([Buffer.from(HEADER), bytes, Buffer.from('\r\n')]));
  });

  it('is refused when it is one byte too large, and the connection goes on', async () => {
    const server = await listening();
    const fill = (size: number): string => `${HEADER}${'x'.repeat(size - HEADER.length - 2)}\r\n`;
    using dialogue = await inData(server);
    dialogue.send(`${fill(LIMITS.messageBytes + 1)}.\r\n`);
    expect(await dialogue.reply()).toMatch(/^552 5\.3\.4 /);
    await dialogue.say('MAIL FROM:<alice@acme.test>');
    await dialogue.say('RCPT TO:<bob@corp.test>');
    await dialogue.say('DATA');
    dialogue.send(`${fill(LIMITS.messageBytes)}.\r\n`);
    expect(await dialogue.reply()).toMatch(/^250 /);
    expect(server.accepted.map(({ raw }) => raw.length)).toEqual([LIMITS.messageBytes]);
  });

  it('is cut when it never ends', async () => {
    const server = await listening();
    using dialogue = await inData(server);
    dialogue.send('x'.repeat(3 * LIMITS.messageBytes));
    expect(await dialogue.reply()).toMatch(/^552 5\.3\.4 /);
    expect(await dialogue.reply()).toBe('<closed>');
    expect(server.accepted).toEqual([]);
  });

  it('is gone when the client goes before its end', async () => {
    const server = await listening();
    const dialogue = await inData(server);
    await dialogue.sendAlone(`${HEADER}half a mess`);
    dialogue[Symbol.dispose]();
    using other = await loggedIn(server);
    expect(await other.say('NOOP')).toMatch(/^250/);
    expect(server.accepted).toEqual([]);
  });

  it('gets its 250 after the commit and not before', async () => {
    const order: string[] = [];
    const committing = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    const server = await listening({
      accept: async () => {
        started.resolve();
        await committing.promise;
        order.push('committed');
        return { submissionId: 7, repeated: false };
      },
    });
    using dialogue = await inData(server);
    dialogue.send(`${HEADER}hi\r\n.\r\n`);
    const answered = dialogue.reply().then((reply) => order.push(reply));
    await started.promise;
    committing.resolve();
    await answered;
    expect(order).toEqual(['committed', '250 2.6.0 Queued as 7']);
  });

  it('is kept among the sent ones once it is accepted, whole; what hinders that is no reason to send it again', async () => {
    const kept: { accountId: number; raw: string }[] = [];
    const server = await listening({
      keepSent: async ({ accountId, raw }) => {
        kept.push({ accountId, raw: raw.toString() });
        if (kept.length === 2) throw new Error('no room in the database');
      },
    });
    using dialogue = await inData(server);
    expect(await dialogue.say(`${HEADER}one\r\n.`)).toMatch(/^250 /);
    for (const command of ['MAIL FROM:<alice@acme.test>', 'RCPT TO:<bob@corp.test>', 'DATA'])
      await dialogue.say(command);
    expect(await dialogue.say(`${HEADER}two\r\n.`)).toMatch(/^250 /);
    expect(kept).toEqual(['one', 'two'].map((text) => ({ accountId: alice, raw: `${HEADER}${text}\r\n` })));
    expect(server.accepted).toHaveLength(2);
    expect(log.filter((line) => line.includes('keeping sent mail'))).toHaveLength(1);
    log.length = 0;
  });

  it('is not kept among the sent ones when it was not accepted', async () => {
    const kept: Buffer[] = [];
    const server = await listening({
      accept: () => Promise.reject(new AcceptError('too-large')),
      keepSent: async ({ raw }) => void kept.push(raw),
    });
    using dialogue = await inData(server);
    expect(await dialogue.say(`${HEADER}one\r\n.`)).toMatch(/^552 /);
    expect(kept).toEqual([]);
  });

  it('gets 451 when it could not be stored, and 552 when it unpacks to too much', async () => {
    const failures: Error[] = [new Error('the disk is full'), new AcceptError('too-large')];
    const server = await listening({ accept: async () => Promise.reject(failures.shift()) });
    using first = await inData(server);
    first.send(`${HEADER}hi\r\n.\r\n`);
    expect(await first.reply()).toMatch(/^451 4\.3\.0 /);
    expect(log.splice(0).join()).toContain('"unexpected"');
    using second = await inData(server);
    second.send(`${HEADER}hi\r\n.\r\n`);
    expect(await second.reply()).toMatch(/^552 5\.3\.4 /);
  });
});

describe('ordinary mail programs', () => {
  for (const secure of [true, false]) {
    it(`send over ${secure ? 'implicit TLS' : 'STARTTLS'}`, async () => {
      const server = await listening();
      const port = secure ? server.tlsPort : server.plainPort;
      const transport = createTransport({
        host: '127.0.0.1',
        port,
        secure,
        requireTLS: true,
        auth: { user: 'alice@acme.test', pass: PASSWORD },
        tls: { ca, servername: 'localhost' },
      });
      const from = 'Älice <alice@acme.test>';
      const sent = await transport.sendMail({ from, to: 'bob@corp.test', bcc: 'carol@corp.test', text: 'hi' });
      transport.close();
      expect(sent.response).toBe('250 2.6.0 Queued as 1');
      const to: Address[] = ['bob#corp.test', 'carol#corp.test'].map(parseAddress);
      expect(server.accepted[0]?.recipients).toEqual(to);
    });
  }
});
