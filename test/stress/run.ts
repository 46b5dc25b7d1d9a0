/**
 * Clients that do random things to one mailbox at the same time, until it is enough. From time to time all of them stop, and
 * what each knows is compared with what is there.
 */
import { Random } from '../fuzz/random.ts';
import { BOXES, doSomething } from './actions.ts';
import { Ledger, type Listed, placeOf } from './ledger.ts';
import { ConnectionLost, KINDS, type Server, StressSession } from './session.ts';

export interface StressOptions {
  server: Server;
  clients: number;
  seed: number;
  /** Commands of each client between two comparisons. */
  steps: number;
  /** Asked after each comparison. */
  goesOn(rounds: number): boolean;
  /** While it is true a lost connection is no mistake. */
  mayLose?: boolean;
  /** Before each comparison: nothing is killed until it is done. */
  calm?(): Promise<void>;
  /** Behind it. */
  stir?(): void;
}

export interface StressResult {
  mistakes: readonly string[];
  steps: number;
  rounds: number;
  letters: number;
  lost: number;
}

const MAX_MISTAKES = 20;

export async function stress(options: StressOptions): Promise<StressResult> {
  const { server, clients, seed, mayLose = false } = options;
  const ledger = new Ledger();
  const counts = { steps: 0, lost: 0 };
  const checker = new StressSession({ name: 'checker', kind: 'condstore', ledger, server });
  await checker.connect();
  for (const box of BOXES) await checker.say([`create ${box}`]);
  // They are there already, from the beginning or from an account that is used again.
  ledger.mistakes.length = 0;
  const doers = Array.from({ length: clients }, (_one, n) => newDoer({ server, ledger, seed, n }));
  for (const { session } of doers) await session.connect();

  let rounds = 0;
  do {
    options.stir?.();
    await Promise.all(
      doers.map(async (doer) => {
        for (let step = 0; step < options.steps && ledger.mistakes.length < MAX_MISTAKES; step += 1) {
          counts.steps += 1;
          try {
            await doSomething(doer);
          } catch (error) {
            if (!(error instanceof ConnectionLost)) throw error;
            counts.lost += 1;
            if (!mayLose) ledger.mistake(`${doer.session.name} lost its connection`);
            await doer.session.connect();
          }
        }
      }),
    );
    await options.calm?.();
    await compare(
      checker,
      doers.map(({ session }) => session),
    );
    rounds += 1;
  } while (options.goesOn(rounds) && ledger.mistakes.length === 0);
  for (const { session } of [...doers, { session: checker }]) session.drop();
  return { mistakes: ledger.mistakes, ...counts, rounds, letters: ledger.letters };
}

function newDoer({ server, ledger, seed, n }: { server: Server; ledger: Ledger; seed: number; n: number }) {
  const name = `c${n}`;
  const session = new StressSession({ name, kind: KINDS[n % KINDS.length] ?? 'plain', ledger, server });
  let letters = 0;
  const newToken = (): string => {
    letters += 1;
    return `s${seed}-${name}-${letters}`;
  };
  return { session, random: new Random(seed, name), newToken };
}

/** Nobody does anything now. */
async function compare(checker: StressSession, sessions: readonly StressSession[]): Promise<void> {
  const summaries = new Map<string, readonly string[]>();
  const listed: Listed[] = [];
  checker.drop();
  await checker.connect();
  for (const box of await boxesOf(checker)) {
    await checker.select(box, true);
    const { model } = checker;
    if (model === null) continue;
    const lines = model.messages.length === 0 ? [] : await subjects(checker);
    const tokens = lines.flatMap((line) => {
      const [, uid, token] = /UID (\d+)[\s\S]*Subject: (\S+)/.exec(line) ?? [];
      return uid === undefined || token === undefined
        ? []
        : [{ place: placeOf(model.uidValidity, Number(uid)), token }];
    });
    if (tokens.length !== model.messages.length)
      checker.mistake(`${box}: ${tokens.length} of ${model.messages.length} were read`);
    listed.push(...tokens);
    summaries.set(box, model.summary());
  }
  checker.ledger.check(listed);
  for (const session of sessions) await compareWith(session, summaries);
}

async function boxesOf(checker: StressSession): Promise<string[]> {
  const { lines } = await checker.say(['list "" *']);
  return lines.flatMap((line) => /^LIST \([^)]*\) "\/" "?([^"]+)"?$/.exec(line)?.[1] ?? []);
}

/** Reads every letter without the ledger hearing of it: some may be there that nobody was told of. */
async function subjects(checker: StressSession): Promise<string[]> {
  const { model } = checker;
  checker.model = null;
  const { lines } = await checker.say(['fetch 1:* (uid body.peek[header.fields (subject)])']);
  checker.model = model;
  return lines;
}

async function compareWith(session: StressSession, summaries: ReadonlyMap<string, readonly string[]>): Promise<void> {
  try {
    await session.say(['noop']);
    await session.learn();
  } catch (error) {
    // It was lost while nobody looked.
    if (!(error instanceof ConnectionLost)) throw error;
    await session.connect();
  }
  if (session.model === null) return;
  const [own, there] = [session.model.summary(), summaries.get(session.model.box) ?? []];
  const [wrong, missed] = [own.filter((one) => !there.includes(one)), there.filter((one) => !own.includes(one))];
  if (own.join() !== there.join())
    session.mistake(`of ${session.model.box} knows ${wrong.join()}, there is ${missed.join()}`);
}
