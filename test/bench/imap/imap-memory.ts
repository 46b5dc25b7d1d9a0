/**
 * A folder of 100,000 messages: how long it takes to open, and how much memory the imap role takes with 200 connections that
 * idle in it. The messages are short and copied by COPY: real rows, each with its own index and bytes.
 */
import { rm } from 'node:fs/promises';
import { startSite } from '../../../src/admin/demo/sites.ts';
import { temporaryDirectory } from '../../../src/admin/demo/temporary-directory.ts';
import { forgetPeak, memoryMB } from '../memory.ts';
import { layOutOurs } from './imap.ts';
import { type Place, RawClient } from './raw-client.ts';

const MESSAGES = 100_000;
const CONNECTIONS = 200;
const LIMIT_MB = 300;
/** Appended; the rest are copies of copies. */
const SEED = 100;

export interface ImapMemoryResult {
  messages: number;
  connections: number;
  limitMB: number;
  /** While all idle. */
  residentMB: number;
  /** Since the program was started. */
  peakMB: number;
  opening: { name: string; ms: number }[];
}

export async function benchImapMemory(messages = MESSAGES, connections = CONNECTIONS): Promise<ImapMemoryResult> {
  await using owned = new AsyncDisposableStack();
  const directory = await temporaryDirectory('bench-imap-memory');
  owned.defer(() => rm(directory, { recursive: true, force: true }));
  const { site, place } = await layOutOurs(directory);
  const filling = await startSite(site, { roles: 'imap' });
  try {
    await fill(place, messages);
  } finally {
    await filling[Symbol.asyncDispose]();
  }
  const { pid } = owned.use(await startSite(site, { roles: 'imap' }));
  await forgetPeak(pid);
  const opening = await open(place, messages);
  const idling = await idle(place, connections);
  using sender = await RawClient.logIn(place);
  const heard = Promise.all(idling.map((client) => client.hears('EXISTS')));
  await sender.append('INBOX', letter(0));
  await heard;
  const { residentMB, peakMB } = await memoryMB(pid);
  for (const client of idling) client[Symbol.dispose]();
  return { messages, connections, limitMB: LIMIT_MB, residentMB, peakMB, opening };
}

export function isMemoryHeld({ residentMB, peakMB, limitMB }: ImapMemoryResult): boolean {
  return Math.max(residentMB, peakMB) <= limitMB;
}

function letter(number: number): Buffer {
  const fields = [
    'From: a@example.test',
    'To: b@example.test',
    `Subject: Letter ${number}`,
    'Date: Thu, 01 Jan 2026 00:00:00 +0000',
  ];
  return Buffer.from(`${fields.join('\r\n')}\r\nMessage-ID: <${number}@example.test>\r\n\r\nText ${number}\r\n`);
}

async function fill(place: Place, messages: number): Promise<void> {
  using client = await RawClient.logIn(place);
  const seed = Math.min(SEED, messages);
  for (let number = 0; number < seed; number += 1) await client.append('INBOX', letter(number));
  await client.run('SELECT INBOX');
  for (let there = seed; there < messages; ) {
    const more = Math.min(there, messages - there);
    await client.run(`COPY 1:${more} INBOX`);
    there += more;
    await client.run('NOOP');
  }
}

async function open(place: Place, messages: number): Promise<ImapMemoryResult['opening']> {
  using client = await RawClient.logIn(place);
  const timed = async (name: string, command: string) => ({ name, ms: (await client.run(command)).ms });
  const first = await timed('SELECT, for the first time', 'SELECT INBOX');
  const newest = await timed(
    'the newest 50, as a list shows them',
    `FETCH ${Math.max(1, messages - 49)}:* (UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE)`,
  );
  const again = await timed('SELECT again', 'SELECT INBOX');
  const status = await timed('STATUS of it', 'STATUS INBOX (MESSAGES UNSEEN UIDNEXT)');
  const subject = await timed('SEARCH SUBJECT', 'SEARCH SUBJECT "letter 77"');
  const body = await timed('SEARCH BODY', 'SEARCH BODY "text 77"');
  return [first, newest, again, status, subject, body];
}

async function idle(place: Place, connections: number): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  for (let number = 0; number < connections; number += 1) {
    const client = await RawClient.logIn(place);
    await client.run('SELECT INBOX');
    await client.idle();
    clients.push(client);
  }
  return clients;
}
