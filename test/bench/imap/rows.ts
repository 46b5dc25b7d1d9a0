/** What is measured: the operations of a mail program, each with the most it may take against Dovecot, and the aim. */
import { performance } from 'node:perf_hooks';
import { benchMessage, RARE_SUBJECT, RARE_WORD } from './messages.ts';
import { type Place, RawClient } from './raw-client.ts';

/** A server with the same messages in INBOX. */
export interface Filled {
  place: Place;
  /** A connection that has INBOX selected. */
  client: RawClient;
  messages: number;
}

export interface Operation {
  name: string;
  /** Time ours / time theirs. */
  atMost: number;
  aim: number;
  /** Milliseconds of one run. */
  measure(filled: Filled): Promise<number>;
}

const THUNDERBIRD =
  'UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority ' +
  'X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])';
/** One after another in one run; the time is that of one. */
const APPENDS = 50;
export const OTHER_FOLDER = 'Appended';

const command =
  (text: string) =>
  async ({ client }: Filled): Promise<number> =>
    (await client.run(text)).ms;

export const OPERATIONS: readonly Operation[] = [
  { name: 'SELECT on a fresh connection', atMost: 3, aim: 1, measure: selectFresh },
  { name: 'FETCH 1:* (UID FLAGS)', atMost: 3, aim: 1, measure: command('FETCH 1:* (UID FLAGS)') },
  { name: 'UID FETCH 1:* what Thunderbird asks', atMost: 3, aim: 1, measure: command(THUNDERBIRD) },
  {
    name: 'FETCH 1:* (ENVELOPE BODYSTRUCTURE)',
    ...{ atMost: 2, aim: 0.8, measure: command('FETCH 1:* (ENVELOPE BODYSTRUCTURE)') },
  },
  { name: 'FETCH 1:* BODY.PEEK[]', atMost: 10, aim: 3, measure: command('FETCH 1:* BODY.PEEK[]') },
  { name: 'SEARCH SUBJECT', atMost: 3, aim: 1, measure: command(`SEARCH SUBJECT ${RARE_SUBJECT}`) },
  { name: 'SEARCH BODY', atMost: 2, aim: 0.5, measure: command(`SEARCH BODY ${RARE_WORD}`) },
  { name: 'STORE 1:* +FLAGS (\\Seen)', atMost: 10, aim: 3, measure: storeSeen },
  { name: 'APPEND, one after another', atMost: 2, aim: 1, measure: append },
  { name: 'an IDLE client hears of new mail', atMost: 0.1, aim: 0.02, measure: hearOfMail },
  { name: 'connect, LOGIN, CAPABILITY', atMost: 10, aim: 2, measure: logIn },
];

async function selectFresh({ place }: Filled): Promise<number> {
  using client = await RawClient.logIn(place);
  return (await client.run('SELECT INBOX')).ms;
}

async function storeSeen({ client }: Filled): Promise<number> {
  await client.run('STORE 1:* -FLAGS (\\Seen)');
  return (await client.run('STORE 1:* +FLAGS (\\Seen)')).ms;
}

async function append({ place }: Filled): Promise<number> {
  using client = await RawClient.logIn(place);
  const messages = Array.from({ length: APPENDS }, (_none, number) => benchMessage(100_000 + number));
  const startMs = performance.now();
  for (const message of messages) await client.append(OTHER_FOLDER, message);
  return (performance.now() - startMs) / APPENDS;
}

/** From when it is sent by one client until it is known by another. */
async function hearOfMail({ place }: Filled): Promise<number> {
  using idling = await RawClient.logIn(place);
  using sending = await RawClient.logIn(place);
  await idling.run(`SELECT ${OTHER_FOLDER}`);
  await idling.idle();
  const startMs = performance.now();
  const heard = idling.hears('EXISTS');
  await sending.append(OTHER_FOLDER, benchMessage(1));
  return (await heard) - startMs;
}

async function logIn(filled: Filled): Promise<number> {
  const startMs = performance.now();
  using client = await RawClient.logIn(filled.place);
  await client.run('CAPABILITY');
  return performance.now() - startMs;
}
