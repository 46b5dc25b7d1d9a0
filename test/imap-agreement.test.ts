/**
 * Sessions that change one mailbox at the same time: whenever all have said NOOP, all were told of the same mailbox. What
 * each does is drawn; which of them comes first is up to the machine.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ImapClient } from './support/imap-client.ts';
import { type MailSite, mailSite, plainMail } from './support/mail-site.ts';

const SESSIONS = 5;
const ROUNDS = 12;
const STEPS = 6;

let site: MailSite;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());

/** A fixed sequence of numbers below `bound` (a linear congruential generator). */
function drawing(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * bound);
  };
}

/** What one session was told: UIDs by number, zero where it was not told the UID yet. */
class Told {
  readonly client: ImapClient;
  uids: number[] = [];

  constructor(client: ImapClient) {
    this.client = client;
  }

  async say(...parts: (string | Buffer)[]): Promise<void> {
    const { lines } = await this.client.command(...parts);
    for (const line of lines) this.#hear(line);
  }

  #hear(line: string): void {
    const [, number, what] = /^(\d+) (EXISTS|EXPUNGE|FETCH)/.exec(line) ?? [];
    const at = Number(number);
    if (what === 'EXISTS') {
      expect(at).toBeGreaterThanOrEqual(this.uids.length);
      while (this.uids.length < at) this.uids.push(0);
    }
    if (what !== undefined && what !== 'EXISTS') expect(at).toBeLessThanOrEqual(this.uids.length);
    if (what === 'EXPUNGE') this.uids.splice(at - 1, 1);
    const uid = Number(/UID (\d+)/.exec(line)?.[1] ?? 0);
    if (what !== 'FETCH' || uid === 0) return;
    expect([0, uid]).toContain(this.uids[at - 1]);
    this.uids[at - 1] = uid;
  }

  async reselect(): Promise<void> {
    this.uids = [];
    await this.client.ok('unselect');
    await this.say('select inbox');
  }
}

async function step(session: Told, draw: (bound: number) => number): Promise<void> {
  const { length } = session.uids;
  const some = length === 0 ? '1' : `${1 + draw(length)}:${1 + draw(length)}`;
  const way = draw(9);
  if (way < 3) await session.say('append inbox ', plainMail({ Subject: 'x' }, 'y'));
  else if (way === 3) await session.say('noop');
  else if (way === 4) await session.say('expunge');
  else if (way === 5) await session.reselect();
  else if (length === 0) await session.say('noop');
  else if (way === 6) await session.say(`fetch ${some} (uid flags)`);
  else if (way === 7) await session.say(`store ${some} +flags (\\Deleted)`);
  else await session.say(`uid store 1:* -flags (\\Deleted)`);
}

it.each([1, 2, 3])(
  'sessions that work at the same time agree on what is there (%i)',
  { timeout: 120_000 },
  async (seed) => {
    await site.opened.db.deleteFrom('message').execute();
    const sessions: Told[] = [];
    for (let n = 0; n < SESSIONS; n += 1) sessions.push(new Told(await site.client()));
    for (const session of sessions) await session.say('select inbox');
    for (let round = 0; round < ROUNDS; round += 1) {
      await Promise.all(
        sessions.map(async (session, n) => {
          const draw = drawing(seed * 1000 + round * 10 + n);
          for (let count = 0; count < STEPS; count += 1) await step(session, draw);
        }),
      );
      for (const session of sessions) await session.say('noop');
      for (const session of sessions) await session.say('uid fetch 1:* uid');
      const [first = [], ...others] = sessions.map(({ uids }) => uids);
      for (const other of others) expect(other).toEqual(first);
      expect(first).not.toContain(0);
    }
    for (const { client } of sessions) client[Symbol.dispose]();
  },
);
