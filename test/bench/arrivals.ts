/** How long from submission to visible in IMAP, and how many messages a second, with real clients (nodemailer, imapflow). */
import { performance } from 'node:perf_hooks';
import { imapClient, type Person } from '../../src/admin/demo/mail-clients.ts';
import { type Pair, transportTo } from './pair.ts';

const MESSAGE_BYTES = 4_096;
export const MESSAGE_TEXT = 'x'.repeat(MESSAGE_BYTES);

let series = 0;

/** Sends `count` messages from so many people to Bob, who idles; times are from before MAIL FROM to EXISTS. */
export async function measureArrivals(
  { senders: people, bob }: Pick<Pair, 'senders' | 'bob'>,
  count: number,
  senders: number,
): Promise<{ latenciesMs: number[]; totalMs: number }> {
  series += 1;
  const working = people.slice(0, senders).map((person) => ({ person, transport: transportTo(person) }));
  const arrivals = await watchInbox(bob);
  const latenciesMs: number[] = [];
  const begin = performance.now();
  let next = 0;
  const one = async ({ person, transport }: (typeof working)[number]): Promise<void> => {
    while (next < count) {
      next += 1;
      const subject = `bench ${series}.${next}`;
      const start = performance.now();
      const arrived = arrivals.wait(subject);
      await transport.sendMail({ from: person.mailbox, to: bob.mailbox, subject, text: MESSAGE_TEXT });
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

export interface Arrivals {
  /** When the message with this subject was seen. */
  wait(subject: string): Promise<number>;
  all(): Promise<void>;
  close(): Promise<void>;
}

export async function watchInbox(person: Person): Promise<Arrivals> {
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
