/** CONDSTORE (RFC 7162 §3.1), said line by line to the real server by two clients of one mailbox. */
import { describe, expect, it } from 'vitest';
import { forEachTest } from './support/each-session.ts';
import type { ImapClient } from './support/imap-client.ts';
import { type MailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
let other: ImapClient;
forEachTest(async (given) => {
  site = given;
  client = await site.client();
  other = await site.client();
  for (const subject of ['One', 'Two', 'Three'])
    await client.ok('append inbox ', plainMail({ Subject: subject }, 'text'));
  await client.ok('select inbox');
  await other.ok('select inbox');
  return [client, other];
});

const numberIn = (pattern: RegExp, lines: readonly string[]): number =>
  Number(pattern.exec(lines.join('\n'))?.[1] ?? Number.NaN);
const highestOf = async (name: string): Promise<number> =>
  numberIn(/STATUS .*HIGHESTMODSEQ (\d+)/, await other.ok(`status ${name} (highestmodseq)`));
/** Mod-sequences of all messages. */
const modseqs = async (): Promise<number[]> =>
  (await client.ok('fetch 1:* (modseq)')).flatMap((line) => {
    const found = /FETCH \(MODSEQ \((\d+)\)\)$/.exec(line)?.[1];
    return found === undefined ? [] : [Number(found)];
  });

describe('HIGHESTMODSEQ', () => {
  it('is said at SELECT and by STATUS, rises with every change of the folder and with none of another', async () => {
    const opened = numberIn(/\[HIGHESTMODSEQ (\d+)\]/, await client.ok('select inbox'));
    expect(await highestOf('inbox')).toBe(opened);
    expect(Math.max(...(await modseqs()))).toBe(opened);
    await client.ok('append Drafts ', plainMail({}, 'text'));
    await client.ok('copy 1 Drafts');
    expect(await highestOf('inbox')).toBe(opened);
    const changes: (() => Promise<unknown>)[] = [
      () => client.ok('store 2 +flags (\\Flagged)'),
      () => client.ok('append inbox ', plainMail({}, 'text')),
      () => client.ok('move 1 Archive'),
      () => client.ok('store 1 +flags (\\Deleted)'),
      () => client.ok('expunge'),
    ];
    let last = opened;
    for (const change of changes) {
      await change();
      const now = await highestOf('inbox');
      expect(now).toBeGreaterThan(last);
      expect(numberIn(/\[HIGHESTMODSEQ (\d+)\]/, await other.ok('select inbox'))).toBe(now);
      last = now;
    }
    expect(await highestOf('Archive')).toBeLessThan(last);
  });

  it('is at least one in a mailbox where nothing ever happened', async () => {
    await client.ok('create Empty');
    expect(await highestOf('Empty')).toBe(1);
    expect(numberIn(/\[HIGHESTMODSEQ (\d+)\]/, await client.ok('select Empty'))).toBe(1);
  });

  it('rises when a letter arrives', async () => {
    const before = await highestOf('inbox');
    await site.receive({ from: site.server.addUser('modseq', site.clock.seconds()) });
    await site.open();
    expect(await highestOf('inbox')).toBeGreaterThan(before);
  });
});

describe('what turns mod-sequences on', () => {
  const told = async (): Promise<string> => {
    await other.ok('store 1 flags (\\Answered)');
    const lines = await client.ok('noop');
    await other.ok('store 1 flags ()');
    await client.ok('noop');
    return lines.join('\n');
  };

  it('without it none are told', async () => {
    expect(await told()).toMatch(/^1 FETCH \(UID \d+ FLAGS \(\\Answered\)\)$/);
    expect((await client.ok('store 1 +flags (x)')).join()).not.toContain('MODSEQ');
  });

  it.each([
    'enable condstore',
    'select inbox (condstore)',
    'examine inbox (condstore)',
    'status Drafts (highestmodseq)',
    'fetch 1 (modseq)',
    'fetch 1 flags (changedsince 1)',
    'uid fetch 1:* flags (changedsince 1)',
    'store 1 (unchangedsince 1) +flags (x)',
    'search modseq 1',
  ])('%s', async (command) => {
    const lines = await client.ok(command);
    expect(lines.filter((line) => line.startsWith('OK [HIGHESTMODSEQ'))).toHaveLength(1);
    expect(await told()).toMatch(/^1 FETCH \(UID \d+ FLAGS \(\\Answered\) MODSEQ \(\d+\)\)$/);
    expect(await client.ok('enable condstore')).toEqual(['ENABLED']);
  });

  it('ENABLE names it once', async () => {
    expect(await client.ok('enable x-nothing condstore')).toContain('ENABLED CONDSTORE');
    expect(await client.ok('enable condstore')).toEqual(['ENABLED']);
  });
});

describe('FETCH', () => {
  it('gives what changed since, and nothing else', async () => {
    const [, second = 0, third = 0] = await modseqs();
    expect((await client.ok(`fetch 1:* flags (changedsince ${second})`)).map((line) => line[0])).toEqual(['3']);
    expect(await client.ok(`fetch 1:* flags (changedsince ${third})`)).toEqual([]);
    await other.ok('store 1 +flags (\\Seen)');
    await client.ok('noop');
    const [line, ...more] = await client.ok(`uid fetch 1:* (uid) (changedsince ${third})`);
    expect(more).toEqual([]);
    expect(numberIn(/^1 FETCH \(UID \d+ MODSEQ \((\d+)\)\)$/, [line ?? ''])).toBeGreaterThan(third);
  });

  it('tells the mod-sequence that \\Seen brought', async () => {
    const before = await modseqs();
    const lines = await client.ok('fetch 2 body[text]');
    expect(numberIn(/FLAGS \(\\Seen\) MODSEQ \((\d+)\)/, lines)).toBeGreaterThan(Math.max(...before));
  });

  it('says BAD to what is no modifier', async () => {
    for (const wrong of ['()', '(changedsince)', '(changedsince x)', '(nonsense 1)'])
      await client.bad(`fetch 1 flags ${wrong}`);
  });
});

describe('STORE', () => {
  it('changes what is unchanged, names the rest, and tells why', async () => {
    const [first = 0, , third = 0] = await modseqs();
    await other.ok('store 2 +flags (\\Flagged)');
    const answer = await client.command(`store 1:3 (unchangedsince ${third}) +flags (\\Deleted)`);
    expect(answer.text).toMatch(/^\[MODIFIED 2\] /);
    expect(answer.lines).toEqual([
      expect.stringMatching(/^1 FETCH \(FLAGS \(\\Deleted\) MODSEQ \(\d+\)\)$/),
      expect.stringMatching(/^3 FETCH \(FLAGS \(\\Deleted\) MODSEQ \(\d+\)\)$/),
      expect.stringMatching(/^2 FETCH \(UID \d+ FLAGS \(\\Flagged\) MODSEQ \(\d+\)\)$/),
    ]);
    const after = await modseqs();
    expect(after[0]).toBeGreaterThan(third);
    expect(after[0]).toBe(after[2]);
    expect(first).toBeLessThan(after[1] ?? 0);
    expect((await client.command('store 1:3 (unchangedsince 0) +flags (\\Seen)')).text).toContain('[MODIFIED 1:3]');
  });

  it('names UIDs in UID STORE', async () => {
    const uid = numberIn(/UID (\d+)/, await client.ok('fetch 2 uid'));
    expect((await client.command(`uid store ${uid} (unchangedsince 1) flags (\\Seen)`)).text).toContain(
      `[MODIFIED ${uid}]`,
    );
    expect((await client.ok('fetch 2 flags')).join()).toContain('FLAGS ()');
  });

  it('SILENT leaves the flags out, not the mod-sequence', async () => {
    const highest = Math.max(...(await modseqs()));
    const lines = await client.ok(`store 1 (unchangedsince ${highest}) +flags.silent (\\Seen)`);
    expect(lines).toEqual([expect.stringMatching(/^1 FETCH \(MODSEQ \(\d+\)\)$/)]);
    const [line] = await client.ok('uid store 1:* -flags.silent (\\Seen)');
    expect(line).toMatch(/^1 FETCH \(UID \d+ MODSEQ \(\d+\)\)$/);
  });

  it('keeps the mod-sequence of a message that is already so', async () => {
    const before = await modseqs();
    await client.ok('store 1 flags ()');
    expect(await modseqs()).toEqual(before);
  });

  it('two clients with the same knowledge: one of them wins', async () => {
    const highest = Math.max(...(await modseqs()));
    const answers = await Promise.all(
      [client, other].map((one, n) => one.command(`store 1 (unchangedsince ${highest}) +flags (by${n})`)),
    );
    expect(answers.filter(({ text }) => text.includes('[MODIFIED 1]'))).toHaveLength(1);
  });

  it('says BAD to what is no modifier', async () => {
    for (const wrong of ['()', '(unchangedsince)', '(unchangedsince x)', '(changedsince 1)'])
      await client.bad(`store 1 ${wrong} +flags (\\Seen)`);
  });
});

describe('a change that is undone', () => {
  it('is told with its mod-sequence though the flags are as they were', async () => {
    await client.ok('enable condstore');
    await other.ok('store 1 +flags (x)');
    await other.ok('store 1 -flags (x)');
    expect((await client.ok('noop'))[0]).toMatch(/^1 FETCH \(UID \d+ FLAGS \(\) MODSEQ \(\d+\)\)$/);
  });
});

describe('SEARCH', () => {
  it('finds by mod-sequence and says the highest found', async () => {
    const [, second = 0, third = 0] = await modseqs();
    expect(await client.ok(`search modseq ${second}`)).toEqual([`SEARCH 2 3 (MODSEQ ${third})`]);
    expect(await client.ok(`search 2 modseq "/flags/\\\\draft" all ${second}`)).toEqual([
      `SEARCH 2 (MODSEQ ${second})`,
    ]);
    expect(await client.ok(`search not modseq ${second}`)).toEqual([
      expect.stringMatching(/^SEARCH 1 \(MODSEQ \d+\)$/),
    ]);
    expect(await client.ok(`search modseq ${third + 1}`)).toEqual(['SEARCH']);
    expect((await client.ok(`uid search or modseq ${third} modseq ${third}`))[0]).toMatch(
      /^SEARCH \d+ \(MODSEQ \d+\)$/,
    );
    await client.bad('search modseq');
    await client.bad('search modseq "/flags/x" nobody 1');
  });
});
