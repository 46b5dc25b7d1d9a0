/** How much memory a bridge takes while large messages pass: one with an attachment of 25 MB, then several at once. */
import { readFile, writeFile } from 'node:fs/promises';
import { imapClient, type Person } from '../../src/admin/demo/mail-clients.ts';
import { watchInbox } from './arrivals.ts';
import { type Pair, transportTo } from './pair.ts';

const ATTACHMENT_BYTES = 25_000_000;
const AT_ONCE = 4;
/** What a process may take while one passes, and while several do. */
const LIMIT_MB = 400;
const LIMIT_AT_ONCE_MB = 700;

export interface MemoryRow {
  process: string;
  messages: number;
  peakMB: number;
  limitMB: number;
}

export async function measureMemory(pair: Pair): Promise<MemoryRow[]> {
  await passLarge(pair, 1);
  const one = await peaks(pair, 1, LIMIT_MB);
  await Promise.all(pair.running.map(({ pid }) => forgetPeak(pid)));
  await passLarge(pair, AT_ONCE);
  return [...one, ...(await peaks(pair, AT_ONCE, LIMIT_AT_ONCE_MB))];
}

/** From `count` senders at the same time; then Bob reads one of them whole. */
async function passLarge({ senders, bob }: Pair, count: number): Promise<void> {
  const arrivals = await watchInbox(bob);
  const attachments = [{ filename: 'large.bin', content: Buffer.alloc(ATTACHMENT_BYTES, 'large ') }];
  await Promise.all(
    senders.slice(0, count).map(async (sender, number) => {
      const transport = transportTo(sender);
      const subject = `large ${count}.${number}`;
      const arrived = arrivals.wait(subject);
      await transport.sendMail({ from: sender.mailbox, to: bob.mailbox, subject, text: 'see attached', attachments });
      transport.close();
      await arrived;
    }),
  );
  await arrivals.close();
  await readWhole(bob);
}

async function readWhole(person: Person): Promise<void> {
  const client = imapClient(person);
  await client.connect();
  await client.mailboxOpen('INBOX');
  await client.fetchOne('*', { source: true });
  await client.logout();
}

function peaks({ running }: Pair, messages: number, limitMB: number): Promise<MemoryRow[]> {
  return Promise.all(
    running.map(async ({ site, pid }) => ({ process: site.domain, messages, peakMB: await peakMB(pid), limitMB })),
  );
}

/** `VmHWM`: the most memory the process held since `forgetPeak`. Linux only. */
async function peakMB(pid: number): Promise<number> {
  return (await memoryMB(pid)).peakMB;
}

/** What a process holds now, and the most it held since `forgetPeak`. Linux only. */
export async function memoryMB(pid: number): Promise<{ residentMB: number; peakMB: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const heldAs = (name: string): number =>
    (Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? Number.NaN) * 1_024) / 1_000_000;
  return { residentMB: heldAs('VmRSS'), peakMB: heldAs('VmHWM') };
}

export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}
