/** The loop that keeps a mirror (docs/proxy.md): woken from both sides, patient with a home that is away, one at a time. */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type MirrorTimes, startMirrors } from '../src/mirror/mirrors.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { initializeDigest } from '../src/smimp/transcript.ts';
import { createAccount } from '../src/store/accounts.ts';
import { findMirror } from '../src/store/mirrors.ts';
import { BASE_URL, BOB } from './support/api-site.ts';
import { plainMail } from './support/mail-site.ts';
import { type Bob, CODE, type MirrorSite, mirrorSite, PASSWORD } from './support/mirror-site.ts';

const TIMES: MirrorTimes = { firstRetryMs: 5, longestRetryMs: 20, lookEveryMs: 20, leastPollMs: 20 };
const FOLLOWED = { timeout: 20_000, interval: 20 };

let site: MirrorSite;
let bob: Bob;
let loops: AsyncDisposable[] = [];

beforeEach(async () => {
  site = await mirrorSite();
  bob = await site.connected();
});
afterEach(async () => {
  for (const loop of loops) await loop[Symbol.asyncDispose]();
  loops = [];
  await site[Symbol.asyncDispose]();
});

function run(times: Partial<MirrorTimes> = {}): AsyncDisposable {
  const loop = startMirrors({ ...site.services, listener: site.opened.listener }, { ...TIMES, ...times });
  loops.push(loop);
  return loop;
}

const append = async (path: string, subject: string): Promise<void> => {
  const folder = await bob.mail.folders.find(path);
  const raw = plainMail({ Subject: subject }, 'Text\r\n');
  await bob.mail.append({ folder, raw, flags: [], internalDate: null });
};
/** The opener is another loop; here it looks when it is asked. */
const follows = (shown: object): Promise<void> =>
  vi.waitFor(async () => {
    await bob.open();
    expect(await bob.shownHere()).toEqual(shown);
    expect(await bob.shownAtHome()).toEqual(shown);
  }, FOLLOWED);
const told = (): number => site.log.filter((line) => line.includes('"mirror_state"')).length;

describe('a mirror that is kept', () => {
  it('follows both sides without being asked', async () => {
    run();
    const id = await bob.other.put('there');
    await follows({ INBOX: ['there'] });
    await append('Drafts', 'here');
    await follows({ Drafts: ['here'], INBOX: ['there'] });
    await bob.other.flag(id, 'add', '\\Flagged');
    await bob.mail.folders.create('Made here', null);
    await follows({ Drafts: ['here'], INBOX: ['there \\Flagged'], 'Made here': [] });
    expect(told()).toBe(0);
  });

  it('waits for a home that is away, tells so once, and brings both sides together when it is back', async () => {
    const id = await bob.other.put('one');
    await bob.sync();
    site.online = false;
    run();
    await append('Drafts', 'written offline');
    await bob.other.flag(id, 'add', '\\Flagged');
    await vi.waitFor(async () => {
      const stored = await findMirror(site.opened.db, bob.accountId);
      expect(stored?.error_code).toBe('unresolvable');
    }, FOLLOWED);
    expect(await bob.shownHere()).toEqual({ Drafts: ['written offline'], INBOX: ['one'] });
    site.online = true;
    await follows({ Drafts: ['written offline'], INBOX: ['one \\Flagged'] });
    await vi.waitFor(() => expect(told()).toBe(2), FOLLOWED);
    expect((await findMirror(site.opened.db, bob.accountId))?.error_code).toBeNull();
  });

  it('is kept by one process at a time, and by another when that one ends', async () => {
    const first = run();
    await vi.waitFor(async () => expect((await findMirror(site.opened.db, bob.accountId))?.synced_at).not.toBeNull(), {
      ...FOLLOWED,
    });
    run();
    await bob.other.put('one');
    await follows({ INBOX: ['one'] });
    await first[Symbol.asyncDispose]();
    loops.shift();
    await bob.other.put('two');
    await follows({ INBOX: ['one', 'two'] });
  });

  it('goes on when every connection to the database was lost', async () => {
    run();
    await bob.other.put('one');
    await follows({ INBOX: ['one'] });
    const { db } = site.opened;
    const { rows } = await sql<{ name: string }>`select current_database() as name`.execute(db);
    await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${rows[0]?.name}`.execute(
      site.api.opened.db,
    );
    // An idle connection may be handed out before its loss is noticed.
    const works = () => sql`select 1`.execute(db).then(() => true);
    await expect.poll(() => works().catch(() => false)).toBe(true);
    await bob.other.put('two');
    await follows({ INBOX: ['one', 'two'] });
  });

  it('does not press a home that will not wait', async () => {
    let polls = 0;
    site.impatient = () => {
      polls += 1;
    };
    run({ leastPollMs: 600_000 });
    await expect.poll(() => polls).toBe(1);
    // As many requests as would show a loop without a pause.
    for (let n = 0; n < 20; n += 1) await site.services.home.publicKey(BASE_URL, BOB);
    expect(polls).toBe(1);
  });

  it('needs no connection to the database for itself: there may be more mirrors than those', async () => {
    const ids = [bob.accountId];
    for (const local of ['ann', 'ben', 'cat', 'dan', 'eve']) {
      const address = parseAddress(`${local}#corp.test`);
      const initializeHash = initializeDigest(address, CODE);
      const account = { address, initializeHash, now: site.api.now };
      await site.api.opened.db.transaction().execute((tx) => createAccount(tx, account));
      ids.push((await site.connect({ address, code: CODE, password: PASSWORD, name: null })).id);
    }
    run();
    await expect
      .poll(async () => {
        const mirrors = await Promise.all(ids.map((id) => findMirror(site.opened.db, id)));
        return mirrors.every((stored) => stored?.synced_at != null);
      })
      .toBe(true);
  });
});
