/**
 * Sessions that last: Python's imaplib and imapflow say thousands of commands in one connection each, compared with what must
 * be there, while 200 connections idle and must hear of every message that another bridge brings. The server takes no more
 * memory at the end than when it was warm.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { imapClient, type Person, send } from '../../../src/admin/demo/mail-clients.ts';
import { decodeMailboxName } from '../../../src/imap/wire/mailbox-name.ts';
import { memoryMB } from '../../bench/memory.ts';
import { runProgram } from '../programs.ts';
import type { Field, Trial } from '../trial.ts';
import type { World } from '../world.ts';
import { Idler } from './idlers.ts';
import { imapflowSession, type SessionResult } from './imapflow-session.ts';

export const sessionsTrial: Trial = {
  name: 'sessions',
  what: 'long sessions of imaplib and imapflow, 200 idle connections, and memory',
  programs: ['python3'],
  run,
};

const SCRIPT = fileURLToPath(new URL('imaplib_session.py', import.meta.url));
const IDLERS = 200;
/** Accounts that they are spread over, as people with several devices are. */
const HOUSES = 4;
/** As fast as a program that is being used, not as fast as it goes. */
const PAUSE_MS = 15;
const ARRIVAL_EVERY_MS = 2_000;
const HEARD_WITHIN_MS = 30_000;
const SAMPLE_EVERY_MS = 2_000;
/** What garbage makes of it from one moment to another. */
const NOISE_MB = 30;
/** Until the last answers are there. */
const END_MS = 60_000;
const SEED = 20_260_115;

async function run(field: Field): Promise<void> {
  const world = await field.world();
  const { acme } = world;
  const problems = world.problems.length;
  const seconds = field.minutes * 60;
  const account = (local: string): Promise<Person> => world.account(acme, local);
  const [snake, flow] = [await account('snake'), await account('flow')];
  const houses: Person[] = [];
  for (let n = 0; n < HOUSES; n += 1) houses.push(await account(`house${n}`));
  const idlers: Idler[] = [];
  try {
    for (let n = 0; n < IDLERS; n += 1) idlers.push(await Idler.open(`idler ${n}`, houses[n % HOUSES] as Person));
    await Promise.all(idlers.map((idler) => idler.idle()));
    const memory = watchMemory(world);
    const until = performance.now() + seconds * 1_000;
    const writer = await world.account(world.corp, 'writer');
    const [byPython, byFlow, heard] = await Promise.all([
      pythonSession(field, world, snake, seconds),
      imapflowSession({ person: flow, seconds, seed: SEED, pauseMs: PAUSE_MS }),
      arrivals({ idlers, houses, writer, until }),
    ]);
    judgeMemory(field, await memory.end());
    await judgeSession(field, 'imaplib', byPython, snake);
    await judgeSession(field, 'imapflow', byFlow, flow);
    field.check(`${heard.messages} messages, each heard of by all ${IDLERS} at once`, heard.problems);
    field.note(`the last of ${IDLERS} heard within ${heard.slowestMs.toFixed(0)} ms, at the slowest message`);
    await Promise.all(idlers.map((idler) => idler.leave()));
    field.check(
      `${IDLERS} connections idle for ${field.minutes} min, none is dropped, each says goodbye`,
      idlers.flatMap(({ mistakes }) => mistakes),
    );
    field.check('the bridges logged no error', world.problems.slice(problems));
  } finally {
    for (const idler of idlers) idler[Symbol.dispose]();
  }
}

async function pythonSession(field: Field, world: World, person: Person, seconds: number): Promise<SessionResult> {
  const settings = {
    ...{ port: person.site.ports.imaps, caPath: world.caPath, user: person.mailbox, password: person.password },
    ...{ seconds, seed: SEED, pauseMs: PAUSE_MS },
  };
  const outcome = await runProgram('python3', [SCRIPT], {
    ...{ home: field.directory, input: JSON.stringify(settings), timeoutMs: seconds * 1_000 + END_MS },
  });
  if (outcome.code !== 0) throw new Error(`imaplib ended with ${outcome.code}: ${outcome.stderr}`);
  return JSON.parse(outcome.stdout.toString('utf8')) as SessionResult;
}

/** What it says itself, and what another program finds afterwards. */
async function judgeSession(field: Field, name: string, result: SessionResult, person: Person): Promise<void> {
  const { commands, mistakes, left } = result;
  const count = Object.values(commands).reduce((sum, one) => sum + one, 0);
  const kinds = Object.entries(commands).map(([command, times]) => `${times} ${command}`);
  field.check(`${name}: ${count} commands in one connection, each answered as the model says`, mistakes);
  field.note(`${name}: ${kinds.join(', ')}`);
  const client = imapClient(person);
  await client.connect();
  for (const [path, expected] of Object.entries(left)) {
    const folder = name === 'imaplib' ? decodeMailboxName(Buffer.from(path.replaceAll('"', ''))) : path;
    const { exists } = await client.mailboxOpen(folder);
    const all = exists === 0 ? [] : await client.fetchAll('1:*', { uid: true, flags: true, envelope: true });
    const found = all.map(({ uid, envelope, flags = new Set() }) => [
      ...[uid, envelope?.subject, [...flags].filter((flag) => flag !== '\\Recent').sort()],
    ]);
    field.same(`${name}: another program finds the same ${expected.length} messages in ${folder}`, found, expected);
  }
  await client.logout();
}

/** One message after the other from the other bridge, to all; the next leaves when everybody heard of the one before. */
async function arrivals(options: {
  idlers: readonly Idler[];
  houses: readonly Person[];
  writer: Person;
  until: number;
}): Promise<{ messages: number; problems: string[]; slowestMs: number }> {
  const { idlers, houses, writer, until } = options;
  const problems: string[] = [];
  let [messages, slowestMs] = [0, 0];
  const to = houses.map(({ mailbox }) => mailbox);
  while (performance.now() < until && problems.length === 0) {
    messages += 1;
    await send(writer, { to, subject: `arrival ${messages}`, text: 'Hello.' });
    const sentMs = performance.now();
    const all = Promise.all(idlers.map((idler) => idler.hears(messages))).then(() => true);
    const late = pause(HEARD_WITHIN_MS, false, { ref: false });
    if (!(await Promise.race([all, late]))) {
      const deaf = idlers.filter(({ exists }) => exists < messages);
      problems.push(`${deaf.length} did not hear of message ${messages}: ${deaf.map(({ name }) => name).join(', ')}`);
    }
    slowestMs = Math.max(slowestMs, performance.now() - sentMs);
    await pause(ARRIVAL_EVERY_MS);
  }
  return { messages, problems, slowestMs };
}

function watchMemory(world: World): { end(): Promise<number[]> } {
  const samples: number[] = [];
  const sample = async (): Promise<void> => void samples.push((await memoryMB(world.pid(world.acme))).residentMB);
  const timer = setInterval(() => void sample(), SAMPLE_EVERY_MS);
  return {
    async end() {
      clearInterval(timer);
      await sample();
      return samples;
    },
  };
}

/** What is kept ready fills up first; behind the first third nothing may grow any more. */
function judgeMemory(field: Field, samples: readonly number[]): void {
  const third = Math.floor(samples.length / 3);
  const [warm, late] = [median(samples.slice(third, 2 * third)), median(samples.slice(2 * third))];
  const text = `${samples[0]?.toFixed(0)} MB at first, ${warm.toFixed(0)} MB in the middle, ${late.toFixed(0)} MB at the end`;
  const grown = late - warm > NOISE_MB ? [`it grew by ${(late - warm).toFixed(0)} MB`] : [];
  field.check(`the memory of the server does not grow: ${text}`, grown);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
