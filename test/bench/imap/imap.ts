/**
 * IMAP side by side with Dovecot: the same messages, the same client, the same run, TLS on both, everything warm. The two
 * take turns in every round, so that a change in the machine's load meets both, and the median of the rounds counts.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { layOutSites, runJson, type Site, startSite } from '../../../src/admin/demo/sites.ts';
import { temporaryDirectory } from '../../../src/admin/demo/temporary-directory.ts';
import { startDovecot } from './dovecot.ts';
import { benchMessage } from './messages.ts';
import { type Place, RawClient } from './raw-client.ts';
import { type Filled, OPERATIONS, type Operation, OTHER_FOLDER } from './rows.ts';

const MESSAGES = 10_000;
const ROUNDS = 7;

export interface ImapRow {
  name: string;
  oursMs: number;
  /** Null without a peer. */
  theirsMs: number | null;
  ratio: number | null;
  atMost: number;
  aim: number;
}

export interface ImapResult {
  /** Null when there is no Dovecot on the PATH. */
  dovecot: string | null;
  messages: number;
  rows: ImapRow[];
}

export async function benchImap(messages = MESSAGES, rounds = ROUNDS): Promise<ImapResult> {
  await using owned = new AsyncDisposableStack();
  const directory = await temporaryDirectory('bench-imap');
  owned.defer(() => rm(directory, { recursive: true, force: true }));
  const ours = await fill(await openOurs(owned, directory), messages);
  const peerDirectory = join(directory, 'dovecot');
  await mkdir(peerDirectory);
  const dovecot = await startDovecot(peerDirectory);
  if (dovecot !== null) owned.use(dovecot);
  const theirs = dovecot === null ? null : await fill(dovecot.place, messages);
  const rows: ImapRow[] = [];
  for (const operation of OPERATIONS) rows.push(await compare(operation, ours, theirs, rounds));
  ours.client[Symbol.dispose]();
  theirs?.client[Symbol.dispose]();
  return { dovecot: dovecot?.version ?? null, messages, rows };
}

/** One bridge with one account, not started. */
export async function layOutOurs(directory: string): Promise<{ site: Site; place: Place }> {
  const settings = { limits: { connections_per_account: 300, connections_per_address: 300 } };
  const [site] = (await layOutSites({ directory, domains: ['acme.test'], settings })) as [Site];
  const user = `bench@${site.domain}`;
  const { password } = (await runJson(site, ['account', 'add', user])) as { password: string };
  return { site, place: { port: site.ports.imaps, ca: site.ca, user, password } };
}

async function openOurs(owned: AsyncDisposableStack, directory: string): Promise<Place> {
  const { site, place } = await layOutOurs(directory);
  owned.use(await startSite(site));
  return place;
}

/** By APPEND, as a mail program would bring them. */
async function fill(place: Place, messages: number): Promise<Filled> {
  const client = await RawClient.logIn(place);
  await client.run(`CREATE ${OTHER_FOLDER}`);
  for (let number = 0; number < messages; number += 1) await client.append('INBOX', benchMessage(number));
  await client.run('SELECT INBOX');
  return { place, client, messages };
}

async function compare(operation: Operation, ours: Filled, theirs: Filled | null, rounds: number): Promise<ImapRow> {
  const times: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] };
  // The first round warms both up.
  for (let round = -1; round < rounds; round += 1) {
    const oursMs = await operation.measure(ours);
    const theirsMs = theirs === null ? null : await operation.measure(theirs);
    if (round < 0) continue;
    times.ours.push(oursMs);
    if (theirsMs !== null) times.theirs.push(theirsMs);
  }
  const oursMs = median(times.ours);
  const theirsMs = theirs === null ? null : median(times.theirs);
  const ratio = theirsMs === null ? null : oursMs / theirsMs;
  return { name: operation.name, oursMs, theirsMs, ratio, atMost: operation.atMost, aim: operation.aim };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Without a peer there is nothing to hold it against. */
export function isImapHeld({ ratio, atMost }: ImapRow): boolean {
  return ratio === null || ratio <= atMost;
}
