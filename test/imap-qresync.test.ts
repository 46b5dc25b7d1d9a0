/** QRESYNC (RFC 7162 §3.2), said line by line to the real server: a client comes back and hears what it missed. */
import { describe, expect, it } from 'vitest';
import { forgetExpunged } from '../src/store/expunged.ts';
import { forEachTest } from './support/each-session.ts';
import type { ImapClient } from './support/imap-client.ts';
import { type MailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
let other: ImapClient;
let uids: number[];
let validity: number;
let modseq: number;
forEachTest(async (given) => {
  site = given;
  await site.opened.db.deleteFrom('expunged').execute();
  client = await site.client();
  other = await site.client();
  for (let n = 1; n <= 5; n += 1) await other.ok('append inbox ', plainMail({ Subject: `No. ${n}` }, 'text'));
  const selected = (await other.ok('select inbox')).join('\n');
  [validity = 0, modseq = 0] = [/UIDVALIDITY (\d+)/, /HIGHESTMODSEQ (\d+)/].map((p) => Number(p.exec(selected)?.[1]));
  uids = (await other.ok('fetch 1:* uid')).map((line) => Number(/UID (\d+)/.exec(line)?.[1]));
  await client.ok('enable qresync');
  return [client, other];
});

const uid = (number: number): number => uids[number - 1] ?? 0;
const sync = async (more = '', since = modseq): Promise<string[]> =>
  (await client.ok(`select inbox (qresync (${validity} ${since}${more}))`)).filter((line) =>
    /^(?:VANISHED|\d+ FETCH)/.test(line),
  );
const expungeByOther = async (...numbers: number[]): Promise<void> => {
  await other.ok(`uid store ${numbers.map(uid).join()} +flags.silent (\\Deleted)`);
  await other.ok('expunge');
};

describe('SELECT with QRESYNC', () => {
  it('says nothing when nothing happened, and nothing for another UIDVALIDITY', async () => {
    expect(await sync()).toEqual([]);
    await expungeByOther(2);
    const lines = await client.ok(`select inbox (qresync (${validity + 1} ${modseq}))`);
    expect(lines.join()).not.toMatch(/VANISHED|FETCH/);
  });

  it('tells what left, what changed and what is new, in this order', async () => {
    await expungeByOther(2, 3);
    await other.ok('move 1 Archive');
    await other.ok(`uid store ${uid(5)} +flags (\\Flagged)`);
    await other.ok('append inbox ', plainMail({}, 'new'));
    const [vanished, changed, added, ...more] = await sync();
    expect(vanished).toBe(`VANISHED (EARLIER) ${uid(1)}:${uid(3)}`);
    expect(changed).toMatch(new RegExp(`^2 FETCH \\(UID ${uid(5)} FLAGS \\(\\\\Flagged\\) MODSEQ \\(\\d+\\)\\)$`));
    expect(added).toMatch(/^3 FETCH \(UID \d+ FLAGS \(\) MODSEQ \(\d+\)\)$/);
    expect(more).toEqual([]);
    const answer = await client.ok('select inbox');
    expect(answer[0]).toMatch(/^OK \[CLOSED\]/);
    expect(answer).toContain('3 EXISTS');
    modseq = Number(/HIGHESTMODSEQ (\d+)/.exec(answer.join())?.[1]);
    expect(await sync()).toEqual([]);
  });

  it('tells of the UIDs the client knows only', async () => {
    await expungeByOther(2, 3);
    await other.ok('store 1:* +flags.silent (x)');
    expect(await sync(` ${uid(3)}:${uid(4)}`)).toEqual([
      `VANISHED (EARLIER) ${uid(3)}`,
      expect.stringMatching(new RegExp(`^2 FETCH \\(UID ${uid(4)} `)),
    ]);
    expect(await sync(` ${uid(3)} (1 ${uid(1)})`)).toEqual([`VANISHED (EARLIER) ${uid(3)}`]);
    expect(await sync(` (1 ${uid(1)})`)).toHaveLength(4);
  });

  it('wants QRESYNC enabled, which turns CONDSTORE on and is named once', async () => {
    await other.bad(`select inbox (qresync (${validity} ${modseq}))`);
    await other.bad(`uid fetch 1:* flags (changedsince ${modseq} vanished)`);
    await other.ok('noop');
    expect((await other.ok('enable qresync')).at(-1)).toBe('ENABLED CONDSTORE QRESYNC');
    expect(await other.ok('enable qresync condstore')).toEqual(['ENABLED']);
    expect(await client.ok('enable qresync')).toEqual(['ENABLED']);
  });

  it('says BAD to what is no such parameter', async () => {
    for (const wrong of ['', '()', '(1)', '(0 1)', '(1 0)', '(1 2 1:*)', '(1 2 3,1)', '(1 2 3 (1:2 1))', '(1 2'])
      await client.bad(`select inbox (qresync ${wrong})`);
  });
});

describe('when it is not remembered what left', () => {
  it('tells of every UID that is not there, from where the client is sure', async () => {
    await expungeByOther(2, 3, 5);
    await other.ok('append inbox ', plainMail({}, 'new'));
    await forgetExpunged(site.opened.db, 0);
    const before = uid(1) > 1 ? `1:${uid(1) - 1},` : '';
    const [all] = await sync();
    expect(all).toMatch(new RegExp(`^VANISHED \\(EARLIER\\) ${before}${uid(2)}:${uid(3)},${uid(5)}`));
    expect((await sync(` ${uid(1)}:${uid(4)}`))[0]).toBe(`VANISHED (EARLIER) ${uid(2)}:${uid(3)}`);
    expect((await sync(` (1 ${uid(1)})`))[0]).toMatch(
      new RegExp(`^VANISHED \\(EARLIER\\) ${uid(2)}:${uid(3)},${uid(5)}`),
    );
    expect((await sync(` ${uid(1)}:${uid(5)} (1,3:4 ${uid(1)},${uid(3)}:${uid(4)})`))[0]).toBe(
      `VANISHED (EARLIER) ${uid(2)}:${uid(3)},${uid(5)}`,
    );
    const since = Number(/HIGHESTMODSEQ (\d+)/.exec((await client.ok('select inbox')).join())?.[1]);
    expect(await sync('', since)).toEqual([]);
  });

  it('a session that is open meanwhile misses nothing', async () => {
    await client.ok('select inbox');
    await expungeByOther(2);
    await expungeByOther(3, 4);
    await forgetExpunged(site.opened.db, 0);
    await other.ok('append inbox ', plainMail({}, 'new'));
    const lines = await client.ok('noop');
    expect(lines.slice(0, 2)).toEqual([`VANISHED ${uid(2)}:${uid(4)}`, '3 EXISTS']);
    await expungeByOther(5);
    expect(await client.ok('noop')).toEqual([`VANISHED ${uid(5)}`]);
  });

  it('keeps the number that is to be kept, and HIGHESTMODSEQ does not fall', async () => {
    await expungeByOther(1);
    await expungeByOther(2);
    await expungeByOther(5);
    const highest = async (): Promise<string | undefined> =>
      /STATUS .*HIGHESTMODSEQ (\d+)/.exec((await other.ok('status inbox (highestmodseq)')).join())?.[1];
    const before = await highest();
    await forgetExpunged(site.opened.db, 2);
    expect(await site.opened.db.selectFrom('expunged').select('seq').orderBy('seq').execute()).toEqual(
      [uid(2), uid(5)].map((seq) => ({ seq })),
    );
    await forgetExpunged(site.opened.db, 0);
    expect(await site.opened.db.selectFrom('expunged').select('seq').execute()).toEqual([{ seq: uid(5) }]);
    expect(await highest()).toBe(before);
  });
});

describe('once it is enabled', () => {
  it('UID FETCH tells what left since, of the set', async () => {
    await expungeByOther(1, 3);
    await client.ok('select inbox');
    const since = `(changedsince ${modseq} vanished)`;
    expect(await client.ok(`uid fetch 1:* (flags) ${since}`)).toEqual([`VANISHED (EARLIER) ${uid(1)},${uid(3)}`]);
    expect(await client.ok(`uid fetch ${uid(2)}:${uid(4)} (flags) ${since}`)).toEqual([`VANISHED (EARLIER) ${uid(3)}`]);
    expect(await client.ok(`uid fetch ${uid(5)}:* (flags) ${since}`)).toEqual([]);
    await client.bad(`fetch 1:* (flags) ${since}`);
    await client.bad('uid fetch 1:* (flags) (vanished)');
  });

  it('a message that left but still has its number is not told as earlier', async () => {
    await client.ok('select inbox');
    await expungeByOther(2);
    expect(await client.ok(`uid fetch 1:* (flags) (changedsince ${modseq} vanished)`)).toEqual([`VANISHED ${uid(2)}`]);
  });

  it('VANISHED stands for EXPUNGE, by whomever, and EXPUNGE says the mod-sequence', async () => {
    await client.ok('select inbox');
    await expungeByOther(2, 4);
    expect(await client.ok('noop')).toEqual([`VANISHED ${uid(2)},${uid(4)}`]);
    await client.ok('store 1 +flags.silent (\\Deleted)');
    const answer = await client.command('expunge');
    expect(answer.lines).toEqual([`VANISHED ${uid(1)}`]);
    const highest = /^\[HIGHESTMODSEQ (\d+)\]/.exec(answer.text)?.[1];
    expect((await other.ok('status inbox (highestmodseq)')).join()).toContain(`HIGHESTMODSEQ ${highest}`);
    expect((await client.command('expunge')).text).not.toContain('HIGHESTMODSEQ');
    await client.ok(`uid store ${uid(3)} +flags.silent (\\Deleted)`);
    expect((await client.command(`uid expunge ${uid(3)}`)).lines).toEqual([`VANISHED ${uid(3)}`]);
    const moved = await client.command('move 1 Archive');
    expect(moved.lines).toEqual([expect.stringContaining('[COPYUID'), `VANISHED ${uid(5)}`]);
    expect(moved.text).toContain('[HIGHESTMODSEQ');
    expect((await client.command('close')).text).not.toContain('HIGHESTMODSEQ');
  });

  it('numbers stay while a command uses them', async () => {
    await client.ok('select inbox');
    await expungeByOther(2);
    expect(await client.ok('search all')).toEqual(['SEARCH 1 2 3 4 5']);
    expect(await client.ok('uid search all')).toContain(`VANISHED ${uid(2)}`);
  });
});
