/**
 * How long from submission to visible in IMAP, how many messages a second, and how much memory a large message takes.
 * Two bridges as processes on this machine, proof of work at 0 bits, real clients (nodemailer, imapflow).
 *
 * The peer, in the same run and with the same senders: a bare smtp-server that takes the message and throws it away.
 */
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createTransport, type Transporter } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { createAuthority, issueCertificate } from '../../src/admin/certificates.ts';
import { imapClient, type Person } from '../../src/admin/demo/mail-clients.ts';
import { layOutSites, type RunningSite, runJson, type Site, startSite } from '../../src/admin/demo/sites.ts';

const SENDERS = 16;
const MESSAGE_BYTES = 4_096;
const LATENCY_MESSAGES = 100;
const RATE_MESSAGES = 480;
const ATTACHMENT_BYTES = 25_000_000;
/** What a process may take while a 25 MB attachment passes. */
const MEMORY_LIMIT_MIB = 400;

export interface FlowResult {
  latency: { p50Ms: number; p99Ms: number; messages: number };
  rate: { perSecond: number; peerPerSecond: number; ratio: number; messages: number; senders: number };
  memory: { process: string; peakMiB: number; limitMiB: number }[];
}

interface Pair {
  senders: Person[];
  bob: Person;
  running: RunningSite[];
}

export async function benchFlow(): Promise<FlowResult> {
  const directory = await mkdtemp(join(tmpdir(), 'smimp-bench-'));
  const running: RunningSite[] = [];
  try {
    const settings = {
      proof_of_work: { zero_bits: 0 },
      limits: { message: '40MiB', connections_per_account: 100, connections_per_address: 200 },
    };
    const sites = (await layOutSites({ directory, domains: ['acme.test', 'corp.test'], settings })) as [Site, Site];
    running.push(...(await Promise.all(sites.map((site) => startSite(site)))));
    const names = Array.from({ length: SENDERS }, (_, number) => `sender${number}`);
    const senders: Person[] = [];
    for (const name of names) senders.push(await account(sites[0], name));
    const pair = { senders, bob: await account(sites[1], 'bob'), running };
    await measureArrivals(pair, 20, 1);
    const latency = await measureArrivals(pair, LATENCY_MESSAGES, 1);
    const rate = await measureArrivals(pair, RATE_MESSAGES, SENDERS);
    const peerPerSecond = await peerRate();
    const perSecond = RATE_MESSAGES / (rate.totalMs / 1_000);
    return {
      latency: { ...percentiles(latency.latenciesMs), messages: LATENCY_MESSAGES },
      rate: { perSecond, peerPerSecond, ratio: perSecond / peerPerSecond, messages: RATE_MESSAGES, senders: SENDERS },
      memory: await measureMemory(pair),
    };
  } finally {
    for (const site of running) await site[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  }
}

async function account(site: Site, name: string): Promise<Person> {
  const mailbox = `${name}@${site.domain}`;
  const { password } = (await runJson(site, ['account', 'add', mailbox])) as { password: string };
  return { site, mailbox, password };
}

function percentiles(values: number[]): { p50Ms: number; p99Ms: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

function transportTo(person: Person): Transporter {
  return createTransport({
    pool: true,
    maxConnections: 1,
    maxMessages: Number.POSITIVE_INFINITY,
    host: '127.0.0.1',
    port: person.site.ports.submissions,
    secure: true,
    auth: { user: person.mailbox, pass: person.password },
    tls: { ca: person.site.ca, servername: 'localhost' },
  });
}

let series = 0;

/** Sends `count` messages from so many people to Bob, who idles; times are from before MAIL FROM to EXISTS. */
async function measureArrivals(
  { senders: people, bob }: Pair,
  count: number,
  senders: number,
): Promise<{ latenciesMs: number[]; totalMs: number }> {
  series += 1;
  const working = people.slice(0, senders).map((person) => ({ person, transport: transportTo(person) }));
  const arrivals = await watchInbox(bob);
  const latenciesMs: number[] = [];
  const text = 'x'.repeat(MESSAGE_BYTES);
  const begin = performance.now();
  let next = 0;
  const one = async ({ person, transport }: (typeof working)[number]): Promise<void> => {
    while (next < count) {
      next += 1;
      const subject = `bench ${series}.${next}`;
      const start = performance.now();
      const arrived = arrivals.wait(subject);
      await transport.sendMail({ from: person.mailbox, to: bob.mailbox, subject, text });
      if (senders === 1) await arrived;
      void arrived.then((at) => latenciesMs.push(at - start));
    }
  };
  await Promise.all(working.map(one));
  await arrivals.all();
  const totalMs = performance.now() - begin;
  for (const { transport } of working) transport.close();
  await arrivals.close();
  return { latenciesMs, totalMs };
}

interface Arrivals {
  wait(subject: string): Promise<number>;
  all(): Promise<void>;
  close(): Promise<void>;
}

async function watchInbox(person: Person): Promise<Arrivals> {
  const client = imapClient(person);
  await client.connect();
  const mailbox = await client.mailboxOpen('INBOX');
  let nextUid = mailbox.uidNext;
  const waiting = new Map<string, (at: number) => void>();
  const promises: Promise<number>[] = [];
  let reading = Promise.resolve();
  const read = async (): Promise<void> => {
    const at = performance.now();
    for await (const { uid, envelope } of client.fetch(`${nextUid}:*`, { envelope: true, uid: true }, { uid: true })) {
      nextUid = Math.max(nextUid, uid + 1);
      const subject = envelope?.subject ?? '';
      waiting.get(subject)?.(at);
      waiting.delete(subject);
    }
    idle();
  };
  // A fetch ends IDLE, and the client begins another only after a while of its own.
  const idle = (): void => void client.idle().catch((error: unknown) => process.emitWarning(String(error)));
  client.on('exists', () => {
    reading = reading.then(read);
  });
  idle();
  return {
    wait(subject) {
      const promise = new Promise<number>((resolve) => waiting.set(subject, resolve));
      promises.push(promise);
      return promise;
    },
    all: async () => void (await Promise.all(promises)),
    close: async () => {
      await reading;
      await client.logout();
    },
  };
}

/** Messages a second that a server takes which does nothing with them. */
async function peerRate(): Promise<number> {
  const issued = await issueCertificate({
    authority: await createAuthority(),
    names: ['localhost'],
    ips: ['127.0.0.1'],
  });
  const server = new SMTPServer({
    secure: true,
    key: issued.key,
    cert: issued.certificate,
    authOptional: true,
    onData(stream, _session, callback) {
      stream.resume();
      stream.once('end', () => callback());
    },
  });
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;
  const transport = createTransport({
    pool: true,
    maxConnections: SENDERS,
    maxMessages: Number.POSITIVE_INFINITY,
    host: '127.0.0.1',
    port,
    secure: true,
    tls: { rejectUnauthorized: false },
  });
  const text = 'x'.repeat(MESSAGE_BYTES);
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: RATE_MESSAGES }, () => transport.sendMail({ from: 'a@acme.test', to: 'b@corp.test', text })),
  );
  const seconds = (performance.now() - begin) / 1_000;
  transport.close();
  server.close();
  return RATE_MESSAGES / seconds;
}

async function measureMemory({ senders, bob, running }: Pair): Promise<FlowResult['memory']> {
  const arrivals = await watchInbox(bob);
  const arrived = arrivals.wait('large');
  const [sender] = senders as [Person];
  const transport = transportTo(sender);
  const attachments = [{ filename: 'large.bin', content: Buffer.alloc(ATTACHMENT_BYTES, 'large ') }];
  await transport.sendMail({
    from: sender.mailbox,
    to: bob.mailbox,
    subject: 'large',
    text: 'see attached',
    attachments,
  });
  await arrived;
  await arrivals.close();
  await readWhole(bob);
  transport.close();
  return Promise.all(
    running.map(async ({ site, pid }) => ({
      process: site.domain,
      peakMiB: await peakMiB(pid),
      limitMiB: MEMORY_LIMIT_MIB,
    })),
  );
}

async function readWhole(person: Person): Promise<void> {
  const client = imapClient(person);
  await client.connect();
  await client.mailboxOpen('INBOX');
  await client.fetchOne('*', { source: true });
  await client.logout();
}

/** `VmHWM`: the most memory the process ever held. Linux only. */
async function peakMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / 1_024;
}
