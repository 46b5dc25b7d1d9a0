/** Two bridges as processes on this machine with accounts, proof of work at 0 bits, and the clients that use them. */
import { rm } from 'node:fs/promises';
import { createTransport, type Transporter } from 'nodemailer';
import type { Person } from '../../src/admin/demo/mail-clients.ts';
import { layOutSites, type RunningSite, runJson, type Site, startSite } from '../../src/admin/demo/sites.ts';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';

export interface Pair extends AsyncDisposable {
  /** At the first bridge. */
  readonly senders: readonly Person[];
  /** At the second one. */
  readonly bob: Person;
  readonly running: readonly RunningSite[];
}

export async function openPair(options: { senders: number }): Promise<Pair> {
  const owned = new AsyncDisposableStack();
  const directory = await temporaryDirectory('bench');
  owned.defer(() => rm(directory, { recursive: true, force: true }));
  try {
    const settings = {
      proof_of_work: { zero_bits: 0 },
      limits: { message: '40MiB', connections_per_account: 100, connections_per_address: 200 },
    };
    const sites = (await layOutSites({ directory, domains: ['acme.test', 'corp.test'], settings })) as [Site, Site];
    const running: RunningSite[] = [];
    for (const site of sites) running.push(owned.use(await startSite(site)));
    const senders: Person[] = [];
    for (let number = 0; number < options.senders; number += 1)
      senders.push(await account(sites[0], `sender${number}`));
    const bob = await account(sites[1], 'bob');
    return { senders, bob, running, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
}

async function account(site: Site, name: string): Promise<Person> {
  const mailbox = `${name}@${site.domain}`;
  const { password } = (await runJson(site, ['account', 'add', mailbox])) as { password: string };
  return { site, mailbox, password };
}

/** One connection that stays, as a mail program has it. */
export function transportTo(person: Person): Transporter {
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
