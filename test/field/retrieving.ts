/** Mailboxes for programs that carry mail away, and whether what they delivered is what the server has. */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { imapClient, type Person, readInbox, send } from '../../src/admin/demo/mail-clients.ts';
import { CORPUS_NAMES, corpusMail } from '../support/mail-corpus.ts';
import { asLines, head, withoutTrace } from './letters.ts';
import type { Field } from './trial.ts';

const SENT = 8;
/** Every so many of the corpus is in the mailbox too, put in by its owner. */
const EVERY = 8;

export interface Mailbox {
  readonly from: Person;
  readonly to: Person;
  /** Sends one more, and gives its subject. */
  more(): Promise<string>;
}

/** An account with letters of somebody else and with old mail of every shape. */
export async function mailbox(field: Field, name: string): Promise<Mailbox> {
  const world = await field.world();
  const [from, to] = [await world.account(world.acme, name), await world.account(world.corp, name)];
  let count = 0;
  const more = async (): Promise<string> => {
    count += 1;
    const subject = `${name} ${count}`;
    const raw = asLines(`${head(from.mailbox, to.mailbox, subject)}\r\n${TEXT}\r\nNumber ${count}.\r\n`);
    await send(from, { raw, envelope: { from: from.mailbox, to: to.mailbox } });
    return subject;
  };
  for (let n = 0; n < SENT; n += 1) await more();
  await readInbox(to, SENT);
  await putIn(to);
  return { from, to, more };
}

const TEXT = 'From here\r\n.\r\n..dots\r\n>From quoted  \r\n\r\n-- \r\nGr\u00fc\u00dfe';

/** Without those that have no header field: no program carries mail of nothing. */
async function putIn(person: Person): Promise<void> {
  const client = imapClient(person);
  await client.connect();
  try {
    for (const [n, name] of CORPUS_NAMES.entries()) {
      const { raw } = corpusMail(name);
      if (n % EVERY === 0 && isOrdinary(raw)) await client.append('INBOX', asLines(raw));
    }
  } finally {
    await client.logout();
  }
}

/** Fetching programs stop at others, whoever the server is. */
const isOrdinary = (raw: Buffer): boolean =>
  !raw.includes(0) && /^(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+\r?\n/.test(raw.toString('latin1'));

export interface OnServer {
  readonly uid: number;
  readonly seen: boolean;
  readonly source: Buffer;
}

export async function onServer(person: Person): Promise<OnServer[]> {
  const client = imapClient(person);
  await client.connect();
  try {
    const found: OnServer[] = [];
    const { exists } = await client.mailboxOpen('INBOX', { readOnly: true });
    if (exists === 0) return found;
    for await (const { uid, flags, source } of client.fetch('1:*', { uid: true, flags: true, source: true }))
      found.push({ uid, seen: flags?.has('\\Seen') === true, source: source ?? Buffer.alloc(0) });
    return found;
  } finally {
    await client.logout();
  }
}

const LOOK_MS = 200;

/** Looks until there are so many. */
export async function waitFor<T>(look: () => Promise<T[]>, count: number): Promise<T[]> {
  for (;;) {
    const found = await look();
    if (found.length >= count) return found;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** A command of the shell that makes what it reads a file of a new directory, when it is whole. */
export async function deliveringTo(directory: string): Promise<string> {
  await mkdir(`${directory}.tmp`);
  await mkdir(directory);
  return `f=$(mktemp ${directory}.tmp/XXXXXX) && cat > $f && mv $f ${directory}`;
}

/** Files of a directory, each a message with LF lines. */
export async function delivered(directory: string): Promise<string[]> {
  return Promise.all((await readdir(directory)).map((name) => readFile(join(directory, name), 'latin1')));
}

export const textsOf = (messages: readonly OnServer[]): string[] =>
  messages.map(({ source }) => source.toString('latin1'));

/** Line ends and the last of them apart: these programs write files, in which each line ends. */
const comparable = (text: string): string => `${text.replace(/\r\n/g, '\n').replace(/\n+$/, '')}\n`;

/** What of the server is lost, doubled or changed here, as far as `essence` tells. */
export function differences(
  local: readonly string[],
  server: readonly string[],
  essence: (text: string) => string = (text) => text,
): string[] {
  const left = new Map<string, number>();
  const count = (texts: readonly string[], step: number): void => {
    for (const text of texts.map((one) => essence(comparable(one)))) left.set(text, (left.get(text) ?? 0) + step);
  };
  count(server, 1);
  count(local, -1);
  return [...left].flatMap(([text, times]) =>
    times === 0 ? [] : [`${times > 0 ? 'not here' : 'not so on the server'}: ${JSON.stringify(text.slice(0, 600))}`],
  );
}

/** Those of the letters sent by `mailbox` that are not, below what the bridge put above, as they were sent. */
export function changedLetters(server: readonly OnServer[], name: string): string[] {
  const subject = new RegExp(`^Subject: ${name} (\\d+)\r\n`, 'm');
  return server.flatMap(({ source }) => {
    const below = withoutTrace(source).toString('latin1');
    const [, number] = subject.exec(below) ?? [];
    if (number === undefined) return [];
    const body = Buffer.from(`\r\n\r\n${TEXT}\r\nNumber ${number}.\r\n`).toString('latin1');
    return below.startsWith('From: ') && below.endsWith(body) ? [] : [`changed: ${JSON.stringify(below)}`];
  });
}
