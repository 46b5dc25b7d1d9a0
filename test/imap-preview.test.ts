/** PREVIEW (RFC 8970) and SAVEDATE (RFC 8514), said line by line to the real server; and what a preview is made of. */
import { describe, expect, it } from 'vitest';
import { contentOf, sealedContent } from '../src/mailbox/contents.ts';
import { openMailAccount } from '../src/mailbox/mail-account.ts';
import { PREVIEW_CHARS, previewOf } from '../src/mime/preview.ts';
import { indexMessage } from '../src/mime/structure/message-index.ts';
import { forEachTest } from './support/each-session.ts';
import type { ImapClient } from './support/imap-client.ts';
import { type MailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
forEachTest(async (given) => {
  site = given;
  client = await site.client();
  return [client];
});

const letter = (text: string): Buffer => plainMail({ Subject: 'x', 'Content-Type': 'text/plain; charset=utf-8' }, text);
const wire = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

describe('PREVIEW', () => {
  it('is announced, and gives the first words', async () => {
    expect((await client.ok('capability'))[0]).toContain(' PREVIEW');
    await client.ok('append inbox ', letter('Dear Bob,\r\n\r\nsee you  tomorrow.\r\n-- \r\nAlice\r\n'));
    await client.ok('append inbox ', plainMail({ Subject: 'empty' }, ''));
    await client.ok('select inbox');
    expect(await client.ok('fetch 1:2 preview')).toEqual([
      '1 FETCH (PREVIEW "Dear Bob, see you tomorrow.")',
      '2 FETCH (PREVIEW "")',
    ]);
    const [line = ''] = await client.ok('uid fetch 1:* (flags preview (lazy) rfc822.size)');
    expect(line).toMatch(/FLAGS \(\) PREVIEW "Dear Bob, see you tomorrow\." RFC822\.SIZE \d+\)$/);
    expect((await client.ok('fetch 1 (preview)'))[0]).not.toContain('Seen');
    expect(await client.ok('fetch 1:* (preview (LAZY)) (changedsince 1)')).toHaveLength(2);
  });

  it('gives text that is not ASCII as the client takes it', async () => {
    await client.ok('append inbox ', letter('Grüße aus Köln'));
    await client.ok('select inbox');
    expect(await client.ok('fetch 1 preview')).toEqual([`1 FETCH (PREVIEW {17}\r\n${wire('Grüße aus Köln')})`]);
    await client.ok('enable utf8=accept');
    expect(await client.ok('fetch 1 preview')).toEqual([`1 FETCH (PREVIEW "${wire('Grüße aus Köln')}")`]);
  });

  it('is made when asked for where it was not kept, but not lazily', async () => {
    await client.ok('append inbox ', letter('Words'));
    const { db } = site.opened;
    const { message_id } = await db.selectFrom('message').select('message_id').executeTakeFirstOrThrow();
    const account = await openMailAccount(site.keystore, site.bobId);
    const { preview, ...before } = contentOf(letter('Words'), {
      internalDate: { unixSeconds: 0, zoneMinutes: 0 },
      cautions: [],
    });
    expect(preview).toBe('Words');
    await db
      .updateTable('content')
      .set({ sealed: sealedContent(account, message_id, before).sealed })
      .execute();
    await client.ok('select inbox');
    expect(await client.ok('fetch 1 (preview (lazy))')).toEqual(['1 FETCH (PREVIEW NIL)']);
    expect(await client.ok('fetch 1 preview')).toEqual(['1 FETCH (PREVIEW "Words")']);
  });

  it('says BAD to what is no modifier', async () => {
    await client.ok('append inbox ', letter('Words'));
    await client.ok('select inbox');
    for (const wrong of ['(preview (eager))', '(preview ())', '(preview (lazy)', 'preview[1]'])
      await client.bad(`fetch 1 ${wrong}`);
  });
});

describe('a preview', () => {
  const preview = (...lines: string[]): string => {
    const raw = Buffer.from(lines.join('\r\n'), 'utf8');
    return previewOf(raw, indexMessage(raw));
  };
  const text = (...lines: string[]): string => preview('Content-Type: text/plain; charset=utf-8', '', ...lines);
  const html = (...lines: string[]): string => preview('Content-Type: text/html; charset=utf-8', '', ...lines);

  it('has no tags, styles and comments of HTML', () => {
    expect(
      html(
        '<head><title>T</title><style>p{x:y}</style></head><!-- c --><p>Hello&nbsp;<b>Bob</b> &amp; co</p><p>Next</p>',
      ),
    ).toBe('Hello Bob & co Next');
  });

  it('has so many characters and no half ones', () => {
    expect(Array.from(text('ü'.repeat(PREVIEW_CHARS + 1)))).toHaveLength(PREVIEW_CHARS);
    const faces = text('😀'.repeat(PREVIEW_CHARS + 1));
    expect(Array.from(faces)).toHaveLength(PREVIEW_CHARS);
    expect(faces.isWellFormed()).toBe(true);
  });

  it.each([
    ['spaces', '\u2003'],
    ['joiners', '\u200c'],
    ['soft hyphens', '\u00ad '],
    ['halves of a letter', '\u{1d552}\u200d'],
  ])('finds them wherever they begin, behind %s', (_name, filler) => {
    for (let count = 1_100 / filler.length; count < 1_700; count += 7) {
      const shown = text(`${filler.repeat(count)} ${'ab '.repeat(400)}`);
      const all = `${filler.repeat(count)} ${'ab '.repeat(400)}`.replace(
        /\u00ad|\u200c(?=[\u200c\s])|\u200d(?=\s)/g,
        '',
      );
      const expected = Array.from(all.replace(/\s+/g, ' ').trim()).slice(0, PREVIEW_CHARS).join('').trimEnd();
      expect(shown).toBe(expected);
    }
  });

  it('leaves out quotations and what introduces them, unless there is nothing else', () => {
    expect(text('On Monday, Alice wrote:', '> Shall we?', '>> Maybe', '', 'Yes.')).toBe('Yes.');
    expect(text('> Only', '> quoted')).toBe('Only quoted');
  });

  it.each(['\r\n', '\n', '\r'])(
    'is the same whether or not all of a text is needed for it, with lines ended by %j',
    (end) => {
      const shown = (...lines: string[]): string => text(lines.join(end));
      for (let length = 380; length < 900; length += 1) {
        const own = 'word '
          .repeat(Math.ceil(length / 5))
          .slice(0, length)
          .trim();
        const expected = own.slice(0, PREVIEW_CHARS).trimEnd();
        expect(shown('On Monday, Alice wrote:', '> quoted', own, 'Bob wrote:', '> more', 'end')).toBe(expected);
        expect(shown('intro', 'On Monday, Alice wrote:', `>${'q'.repeat(length)}`, 'own')).toBe('intro own');
        expect(shown(own.slice(0, 100), '-- ', own)).toBe(own.slice(0, 100).trimEnd());
      }
    },
  );

  it('leaves out what introduces a quotation of which only the beginning was looked at', () => {
    const faces = '😀'.repeat(101);
    expect(text(faces, `${'b'.repeat(200)}:`, `> ${'q'.repeat(900)}`, 'end')).toBe(`${faces} end`);
  });

  it('leaves out what nobody sees', () => {
    expect(html('<div>\u034f\u200c \u00ad\u200bSale\u200b!</div>')).toBe('Sale!');
    expect(text('می\u200cخواهم')).toBe('می\u200cخواهم');
    expect(text('a\u0007b\tc')).toBe('a b c');
  });

  it.each([
    ['plain rather than HTML', 'alternative', ['text/html', '<i>html</i>'], ['text/plain', 'plain'], 'plain'],
    ['HTML where there is no plain', 'alternative', ['image/png', 'x'], ['text/html', '<i>html</i>'], 'html'],
    ['the first of several', 'mixed', ['text/plain', 'one'], ['text/plain', 'two'], 'one'],
    ['nothing of what is encrypted', 'encrypted', ['application/pgp-encrypted', 'Version: 1'], ['text/plain', 'x'], ''],
    ['what is signed', 'signed', ['text/plain', 'signed'], ['application/pgp-signature', 'x'], 'signed'],
  ])('takes %s', (_name, subtype, [type1, text1], [type2, text2], expected) => {
    const part = (type = '', body = ''): string[] => ['--b', `Content-Type: ${type}`, '', body];
    const lines = [
      `Content-Type: multipart/${subtype}; boundary=b`,
      '',
      ...part(type1, text1),
      ...part(type2, text2),
      '--b--',
    ];
    expect(preview(...lines)).toBe(expected);
  });

  it('is empty of attachments and of messages in messages', () => {
    expect(preview('Content-Type: text/plain', 'Content-Disposition: attachment', '', 'x')).toBe('');
    expect(preview('Content-Type: message/rfc822', '', 'Subject: y', '', 'x')).toBe('');
    expect(preview('Content-Type: application/pdf', '', 'x')).toBe('');
  });
});

describe('SAVEDATE', () => {
  const DAY_MS = 86_400_000;
  const DAYS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
  const day = (offset = 0): string => {
    const date = new Date(site.clock.read().getTime() + offset * DAY_MS);
    return `${date.getUTCDate()}-${DAYS[date.getUTCMonth()]}-${date.getUTCFullYear()}`;
  };
  const saved = async (): Promise<string[]> =>
    (await client.ok('fetch 1:* savedate')).map((line) => /SAVEDATE "\s?(\S+) \S+ \+0000"/.exec(line)?.[1] ?? line);

  it('is announced, and when a message came into the mailbox, whatever it says of itself', async () => {
    expect((await client.ok('capability'))[0]).toContain(' SAVEDATE');
    await client.ok('append inbox "01-Feb-2001 10:00:00 +0000" ', letter('old'));
    await client.ok('select inbox');
    expect(await saved()).toEqual([day()]);
    expect((await client.ok('fetch 1 (savedate internaldate)'))[0]).toContain('INTERNALDATE " 1-Feb-2001');
    expect((await client.ok('uid fetch 1:* (savedate)'))[0]).toMatch(/^1 FETCH \(UID \d+ SAVEDATE "/);
  });

  it('is another one after a copy and a move, and stays with what was copied', async () => {
    await client.ok('append inbox ', letter('one'));
    await client.ok('select inbox');
    const first = day();
    site.clock.advance(3 * DAY_MS);
    await client.ok('store 1 +flags (\\Flagged)');
    await client.ok('copy 1 Archive');
    expect(await saved()).toEqual([first]);
    await client.ok('move 1 Trash');
    for (const name of ['Archive', 'Trash']) {
      await client.ok(`select ${name}`);
      expect(await saved()).toEqual([day()]);
    }
  });

  it('is searched by day', async () => {
    await client.ok('append inbox "01-Feb-2001 10:00:00 +0000" ', letter('one'));
    site.clock.advance(2 * DAY_MS);
    await client.ok('append inbox "01-Feb-2001 10:00:00 +0000" ', letter('two'));
    await client.ok('select inbox');
    expect(await client.search(`savedon ${day()}`)).toEqual([2]);
    expect(await client.search(`savedbefore ${day()}`)).toEqual([1]);
    expect(await client.search(`savedsince ${day(-1)}`)).toEqual([2]);
    expect(await client.search(`savedsince ${day(-2)}`)).toEqual([1, 2]);
    expect(await client.search(`not savedon "${day()}"`)).toEqual([1]);
    expect(await client.search('savedatesupported')).toEqual([1, 2]);
    expect(await client.search('not savedatesupported')).toEqual([]);
    for (const wrong of ['savedon', 'savedbefore 1', 'savedsince 32-Jan-2020']) await client.bad(`search ${wrong}`);
  });

  it('is when mail from others came', async () => {
    const alice = site.server.addUser('alicesave', site.clock.seconds());
    await site.receive({ from: alice });
    await site.open();
    await client.ok('select inbox');
    expect(await saved()).toEqual([day()]);
  });
});
