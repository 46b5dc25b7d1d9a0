/**
 * What senders would pay under a policy, message by message: the same evaluation as the server's, over facts counted in
 * memory. Each scenario takes place at one server. Pure: time is the scenario's own.
 */
import { PowLedger } from './pow-ledger.ts';
import { evaluatePolicy, type PowPolicy } from './pow-policy.ts';
import { DAY_MS } from './wear.ts';

const HOUR_MS = 3_600_000;
const LETTER_BYTES = 8_000;
const ISSUE_BYTES = 60_000;
const SPAM_BYTES = 4_000;

interface Event {
  at: number;
  sender: string;
  recipient: string;
  sizeBytes: number;
  /** The recipient answers right after it. */
  answered?: boolean;
}

interface Scenario {
  name: string;
  about: string;
  /** In the order of `at`. */
  events: () => Iterable<Event>;
}

export interface ScenarioResult {
  name: string;
  about: string;
  messages: number;
  firstBits: number;
  lastBits: number;
  leastBits: number;
  medianBits: number;
  mostBits: number;
  /** On average; luck can make it several times as much. */
  senderCpuSeconds: number;
  senderCpuSecondsPerMessage: number;
  /** What checking the messages takes of the recipients' server. */
  serverCpuSeconds: number;
  storedBytes: number;
}

export interface Speed {
  /** Of one core of a sender. */
  hashesPerSecond: number;
  /** For one message: hash, signature and database. */
  serverSecondsPerMessage: number;
}

/** Tries that a proof takes on average. */
export const expectedHashes = (zeroBits: number): number => 2 ** zeroBits;

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'correspondent',
    about: 'two people write to each other, 10 letters a day, for 30 days',
    events: () => spread({ count: 300, overMs: 30 * DAY_MS }, () => ({ ...LETTER, answered: true })),
  },
  {
    name: 'acquaintance',
    about: 'one letter a day to somebody who never answers, for 30 days',
    events: () => spread({ count: 30, overMs: 30 * DAY_MS }, () => LETTER),
  },
  {
    name: 'new person',
    about: 'the first message of somebody whose domain was never seen',
    events: () => spread({ count: 1, overMs: 1 }, () => LETTER),
  },
  {
    name: 'office',
    about: '200 people of one domain write 20 letters a day each to 40 people here, half of them answered, for 10 days',
    events: () => spread({ count: 200 * 20 * 10, overMs: 10 * DAY_MS }, officeLetter),
  },
  {
    name: 'newsletter',
    about: '5,000 subscribers here, once a week for 8 weeks, each issue within 4 hours',
    events: newsletterIssues,
  },
  {
    name: 'flood, 1 sender',
    about: '100,000 messages of one sender to 1,000 people here within a day',
    events: () => flood(() => 'spammer#flood.test'),
  },
  {
    name: 'flood, 10,000 senders',
    about: 'the same from 10,000 senders of one domain',
    events: () => flood((index) => `spammer${index % 10_000}#flood.test`),
  },
  {
    name: 'flood, 10,000 domains',
    about: 'the same from 10,000 domains with one sender each',
    events: () => flood((index) => `spammer#flood${index % 10_000}.test`),
  },
  {
    name: 'flood, 1 victim',
    about: '100,000 messages from 10,000 domains to one person here within a day',
    events: () =>
      spread({ count: FLOOD_MESSAGES, overMs: DAY_MS }, (index) => ({
        ...SPAM,
        sender: `spammer#flood${index % 10_000}.test`,
        recipient: 'victim#here.test',
      })),
  },
];

const FLOOD_MESSAGES = 100_000;
const LETTER = { sender: 'alice#acme.test', recipient: 'bob#here.test', sizeBytes: LETTER_BYTES };
const SPAM = { sizeBytes: SPAM_BYTES };

function* spread(
  series: { count: number; overMs: number },
  event: (index: number) => Omit<Event, 'at'>,
  from = 0,
): Iterable<Event> {
  for (let index = 0; index < series.count; index += 1) {
    yield { ...event(index), at: from + (index * series.overMs) / series.count };
  }
}

function officeLetter(index: number): Omit<Event, 'at'> {
  const person = index % 200;
  const recipient = `person${(person * 7 + Math.floor(index / 200)) % 40}#here.test`;
  return { sender: `person${person}#office.test`, recipient, sizeBytes: LETTER_BYTES, answered: index % 2 === 0 };
}

function* newsletterIssues(): Iterable<Event> {
  for (let week = 0; week < 8; week += 1) {
    const issue = (index: number) => ({
      sender: 'news#paper.test',
      recipient: `reader${index}#here.test`,
      sizeBytes: ISSUE_BYTES,
    });
    yield* spread({ count: 5_000, overMs: 4 * HOUR_MS }, issue, week * 7 * DAY_MS);
  }
}

/** Each sender to people chosen so that it meets many. */
function flood(sender: (index: number) => string): Iterable<Event> {
  return spread({ count: FLOOD_MESSAGES, overMs: DAY_MS }, (index) => ({
    ...SPAM,
    sender: sender(index),
    recipient: `person${(index * 7 + Math.floor(index / 1_000)) % 1_000}#here.test`,
  }));
}

/** Plays every scenario against a server that has seen nobody yet. */
export function simulatePolicy(policy: PowPolicy, speed: Speed, scenarios = SCENARIOS): ScenarioResult[] {
  return scenarios.map((scenario) => play(scenario, policy, speed));
}

function play({ name, about, events }: Scenario, policy: PowPolicy, speed: Speed): ScenarioResult {
  const ledger = new PowLedger();
  const bits: number[] = [];
  let storedBytes = 0;
  for (const { at: now, answered, ...message } of events()) {
    bits.push(evaluatePolicy(policy, ledger.ask({ ...message, messageType: 'email', now })).bits);
    ledger.store({ ...message, now });
    if (answered === true) ledger.write({ ...message, now });
    storedBytes += message.sizeBytes;
  }
  const hashes = bits.reduce((sum, zeroBits) => sum + expectedHashes(zeroBits), 0);
  const sorted = bits.toSorted((a, b) => a - b);
  const at = (place: number): number => sorted.at(place) ?? 0;
  const senderCpuSeconds = hashes / speed.hashesPerSecond;
  return {
    name,
    about,
    messages: bits.length,
    firstBits: bits[0] ?? 0,
    lastBits: bits.at(-1) ?? 0,
    leastBits: at(0),
    medianBits: at(Math.floor(bits.length / 2)),
    mostBits: at(-1),
    senderCpuSeconds,
    senderCpuSecondsPerMessage: senderCpuSeconds / bits.length,
    serverCpuSeconds: bits.length * speed.serverSecondsPerMessage,
    storedBytes,
  };
}
