/** ESEARCH, SEARCHRES, WITHIN and PARTIAL (RFC 4731, 5182, 5032, 9394), said line by line to the real server. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ImapClient } from './support/imap-client.ts';
import { type MailSite, mailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
let uids: number[];
const AGES_SECONDS = [500, 400, 300, 200, 100];
beforeAll(async () => {
  site = await mailSite();
});
afterAll(async () => {
  client[Symbol.dispose]();
  await site[Symbol.asyncDispose]();
});
beforeEach(async () => {
  client?.[Symbol.dispose]();
  await site.opened.db.deleteFrom('message').execute();
  client = await site.client();
  for (const age of AGES_SECONDS) {
    const [, weekday, day, month, year, time] = /^(\w+), (\d+) (\w+) (\d+) (\S+)/.exec(
      new Date(site.clock.read().getTime() - age * 1000).toUTCString(),
    ) ?? ['', ''];
    expect(weekday).not.toBe('');
    await client.ok(`append inbox "${day}-${month}-${year} ${time} +0000" `, plainMail({ Subject: `${age}` }, 'text'));
  }
  await client.ok('select inbox');
  uids = (await client.ok('fetch 1:* uid')).map((line) => Number(/UID (\d+)/.exec(line)?.[1]));
});

const uid = (number: number): number => uids[number - 1] ?? 0;
/** What follows the tag. */
const esearch = async (command: string): Promise<string> => {
  const lines = await client.ok(command);
  expect(lines[0]).toMatch(/^ESEARCH \(TAG "t\d+"\)/);
  return lines[0]?.replace(/^ESEARCH \(TAG "t\d+"\) ?/, '') ?? '';
};

describe('ESEARCH', () => {
  it.each([
    ['()', 'ALL 1:5'],
    ['(min)', 'MIN 1'],
    ['(max)', 'MAX 5'],
    ['(min max)', 'MIN 1 MAX 5'],
    ['(all)', 'ALL 1:5'],
    ['(count)', 'COUNT 5'],
    ['(count all max min)', 'MIN 1 MAX 5 ALL 1:5 COUNT 5'],
  ])('RETURN %s', async (returns, expected) => {
    expect(await esearch(`search return ${returns} all`)).toBe(expected);
  });

  it('leaves out what there is none of, and counts it', async () => {
    expect(await esearch('search return (min max all count) flagged')).toBe('COUNT 0');
    expect(await esearch('search return () flagged')).toBe('');
    expect(await esearch('uid search return () flagged')).toBe('UID');
  });

  it('gives UIDs, and names the command it answers', async () => {
    expect(await esearch('uid search return (min all) 2:3')).toBe(`UID MIN ${uid(2)} ALL ${uid(2)}:${uid(3)}`);
    client.send('mine search return (count) charset utf-8 subject 100\r\n');
    expect(await client.line()).toBe('* ESEARCH (TAG "mine") COUNT 1');
    await client.line();
  });

  it('says the mod-sequence of what it told of, when it was searched for', async () => {
    const modseqs = (await client.ok('fetch 1:* modseq')).flatMap((line) => /MODSEQ \((\d+)\)/.exec(line)?.[1] ?? []);
    expect(await esearch('search return (min) modseq 1')).toBe(`MIN 1 MODSEQ ${modseqs[0]}`);
    expect(await esearch('search return (max) modseq 1')).toBe(`MAX 5 MODSEQ ${modseqs[4]}`);
    expect(await esearch('search return (min count) modseq 1')).toBe(`MIN 1 COUNT 5 MODSEQ ${modseqs[4]}`);
    expect(await esearch('search return (min) modseq 1 flagged')).toBe('');
  });

  it('says BAD to what is no return option', async () => {
    for (const wrong of ['', '(nothing)', '(min', '(partial)', '(all partial 1:2)', '(partial 1:-1)'])
      await client.bad(`search return ${wrong} all`);
    await client.bad('search return (min)');
  });
});

describe('SEARCHRES', () => {
  it('keeps what was found, without telling it', async () => {
    expect(await client.ok('search return (save) 2:3')).toEqual([]);
    expect((await client.ok('fetch $ uid')).map((line) => line[0])).toEqual(['2', '3']);
    expect((await client.ok('uid fetch $ (flags)')).map((line) => line[0])).toEqual(['2', '3']);
    expect(await client.search('$')).toEqual([2, 3]);
    expect(await client.search('not $ 1:4')).toEqual([1, 4]);
    expect(await client.search('uid $')).toEqual([2, 3]);
    expect(await client.ok('search return (save) $ 3')).toEqual([]);
    expect(await client.search('$')).toEqual([3]);
    await client.ok('store $ +flags (\\Flagged)');
    expect(await client.search('flagged')).toEqual([3]);
    expect(await client.okText('copy $ Archive')).toContain(`${uid(3)} `);
  });

  it('is nothing before the first search, after another SELECT, and after a search that failed', async () => {
    expect(await client.ok('fetch $ uid')).toEqual([]);
    await client.ok('search return (save) all');
    await client.bad('search return (save) nonsense');
    expect(await client.search('$')).toHaveLength(5);
    await client.ok('select inbox');
    expect(await client.search('$')).toEqual([]);
    expect(await client.ok('store $ +flags (\\Deleted)')).toEqual([]);
    expect(await client.okText('move $ Archive')).toBe('MOVE completed');
  });

  it('keeps the least and the greatest only, when nothing else was asked for', async () => {
    expect(await esearch('search return (save min max) 2:4')).toBe('MIN 2 MAX 4');
    expect(await client.search('$')).toEqual([2, 4]);
    await client.ok('search return (save min) 2:4');
    expect(await client.search('$')).toEqual([2]);
    expect(await esearch('search return (save min count) 2:4')).toBe('MIN 2 COUNT 3');
    expect(await client.search('$')).toEqual([2, 3, 4]);
    expect(await esearch('search return (save partial -1:-2) 2:4')).toBe('PARTIAL (-1:-2 3:4)');
    expect(await client.search('$')).toEqual([3, 4]);
  });

  it('follows the messages when others leave, and loses those that left', async () => {
    await client.ok('search return (save) 3:4');
    await client.ok('store 1,4 +flags.silent (\\Deleted)');
    await client.ok('expunge');
    expect(await client.search('$')).toEqual([2]);
    await client.ok('uid store $ +flags.silent (\\Deleted)');
    expect(await client.ok('uid expunge $')).toEqual(['2 EXPUNGE']);
    expect(await client.search('$')).toEqual([]);
  });

  it('is a set of its own', async () => {
    await client.bad('fetch $,1 uid');
    await client.bad('fetch 1:$ uid');
  });
});

describe('WITHIN', () => {
  it('finds by age in seconds', async () => {
    expect(await client.search('younger 250')).toEqual([4, 5]);
    expect(await client.search('older 250')).toEqual([1, 2, 3]);
    expect(await client.search('younger 100')).toEqual([5]);
    expect(await client.search('younger 99')).toEqual([]);
    expect(await client.search('older 500')).toEqual([1]);
    expect(await client.search('older 501')).toEqual([]);
    expect(await client.search('not older 250 younger 150')).toEqual([5]);
    for (const wrong of ['older', 'older 0', 'younger x']) await client.bad(`search ${wrong}`);
  });
});

describe('INPROGRESS', () => {
  it('says how far a search is that takes long, every ten seconds', async () => {
    let seconds = 0;
    await using server = await site.serve({
      clock: () => {
        seconds += 4;
        return new Date(site.clock.read().getTime() + seconds * 1000);
      },
    });
    using slow = await site.client(server.port);
    await slow.ok('select inbox');
    slow.send('long search return (count) not text nowhere\r\n');
    // The clock moves by four seconds when it is asked: before the search, and at each message that is opened.
    for (const done of [0, 3]) expect(await slow.line()).toBe(`* OK [INPROGRESS ("long" ${done} 5)] Still searching`);
    expect(await slow.line()).toBe('* ESEARCH (TAG "long") COUNT 5');
    expect(await client.ok('search all')).toEqual(['SEARCH 1 2 3 4 5']);
  });
});

describe('PARTIAL', () => {
  it.each([
    ['1:2', '1:2'],
    ['2:1', '1:2'],
    ['-1:-2', '4:5'],
    ['-5:-4', '1:2'],
    ['4:9', '4:5'],
    ['6:9', 'NIL'],
    ['-6:-9', 'NIL'],
  ])('%s', async (range, found) => {
    expect(await esearch(`search return (partial ${range}) all`)).toBe(`PARTIAL (${range} ${found})`);
    const fetched = (await client.ok(`uid fetch 1:* (flags) (partial ${range})`)).map((line) => line[0]);
    expect(fetched.join()).toBe({ '1:2': '1,2', '4:5': '4,5' }[found] ?? '');
  });

  it('counts beside it, and windows what changed since', async () => {
    expect(await esearch('uid search return (count partial 2:2) all')).toBe(`UID PARTIAL (2:2 ${uid(2)}) COUNT 5`);
    const modseq = /MODSEQ \((\d+)\)/.exec((await client.ok('fetch 2 modseq')).join())?.[1];
    const lines = await client.ok(`fetch 1:* (flags) (changedsince ${modseq} partial 1:2)`);
    expect(lines.map((line) => line[0])).toEqual(['3', '4']);
    for (const wrong of ['(partial)', '(partial 0:1)', '(partial 1:2 partial 1:2)'])
      await client.bad(`uid fetch 1:* (flags) ${wrong}`);
  });
});
