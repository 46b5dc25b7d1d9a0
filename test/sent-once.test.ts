/**
 * What people complain about elsewhere: sent mail that is there twice, drafts that multiply, half messages, a folder for each
 * language. Said to the real server.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SENT_PAIR_MS } from '../src/mailbox/sent.ts';
import { setQuota } from '../src/store/quota.ts';
import { forgetUnpaired } from '../src/store/sent-copies.ts';
import type { ImapClient } from './support/imap-client.ts';
import { LIMITS, type MailSite, mailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
beforeEach(async () => {
  site = await mailSite();
  client = await site.client();
});
afterEach(async () => {
  client[Symbol.dispose]();
  await site[Symbol.asyncDispose]();
});

const FIELDS = {
  To: 'alice@acme.test',
  Subject: 'Once',
  Date: 'Thu, 15 Jan 2026 11:59:00 +0000',
  'Message-ID': '<once@corp.test>',
};
const letter = (fields: Record<string, string> = {}, text = 'Dear Alice,\r\n\r\nonce is enough.\r\n'): Buffer =>
  plainMail({ ...FIELDS, ...fields }, text);
const submit = (raw: Buffer) => site.mailbox.keepSent({ accountId: site.bobId, raw, release: () => undefined });
const put = async (raw: Buffer, flags = '(\\Seen)', folder = 'Sent'): Promise<string> => {
  const text = await client.okText(`append ${folder} ${flags} `, raw);
  return /APPENDUID \d+ ([\d:]+)/.exec(text)?.[1] ?? '';
};
async function sent(): Promise<string[]> {
  await client.ok('select Sent');
  const lines = await client.ok('uid fetch 1:* (flags)');
  await client.ok('unselect');
  return lines.map((line) => (/UID (\d+)/.exec(line)?.[1] ?? '') + (/FLAGS \(([^)]*)\)/.exec(line)?.[1] ?? ''));
}
const count = async (): Promise<number> => (await sent()).length;
async function shown(uid: string): Promise<string> {
  await client.ok('select Sent');
  const [line = ''] = await client.ok(`uid fetch ${uid} body.peek[]`);
  await client.ok('unselect');
  return line;
}

describe('sent mail', () => {
  it('is kept when it is submitted, as read, byte for byte', async () => {
    await submit(letter());
    const [one = ''] = await sent();
    expect(one).toMatch(/^\d+\\Seen|^\d+(?:\\Recent )?\\Seen/);
    expect(await shown(String(Number.parseInt(one, 10)))).toContain(letter().toString());
  });

  it('is there once when the program puts in its own copy afterwards: the answer names the one that is there', async () => {
    await submit(letter());
    const uid = await put(letter(), '(\\Seen $Forwarded)');
    expect(await count()).toBe(1);
    expect((await sent())[0]).toMatch(new RegExp(`^${uid}.*\\$Forwarded`));
    // A pair is a pair: the next one is another message.
    await put(letter());
    expect(await count()).toBe(2);
  });

  it('is there once when the program was quicker', async () => {
    const uid = await put(letter());
    await submit(letter());
    expect(await count()).toBe(1);
    await submit(letter());
    expect(await count()).toBe(2);
    expect(uid).not.toBe('');
  });

  it('is there once when both come at once, also through two connections, and when it is submitted again', async () => {
    using other = await site.client();
    for (const n of [1, 2, 3, 4]) {
      const raw = letter({ 'Message-ID': `<${n}@corp.test>`, Subject: `At once ${n}` });
      await Promise.all([submit(raw), other.ok('append Sent (\\Seen) ', raw)]);
      expect(await count()).toBe(n);
    }
    const raw = letter({ 'Message-ID': '<again@corp.test>' });
    await Promise.all([submit(raw), submit(raw), submit(raw)]);
    expect(await count()).toBe(5);
  });

  it('is the same however its program encodes and marks the copy', async () => {
    await submit(
      letter({ 'Content-Type': 'text/plain; charset=utf-8', 'Content-Transfer-Encoding': '8bit' }, 'Grüße\r\n'),
    );
    const copy = {
      'Content-Type': 'text/plain; charset="iso-8859-1"',
      'Content-Transfer-Encoding': 'quoted-printable',
      'X-Mozilla-Status': '0001',
      'X-Identity-Key': 'id1',
    };
    await put(letter(copy, 'Gr=FC=DFe\r\n'));
    expect(await count()).toBe(1);
  });

  it('is the same when its program writes the date anew for the copy, as mutt does', async () => {
    await submit(letter());
    await put(letter({ Date: 'Thu, 15 Jan 2026 11:59:01 +0000' }));
    expect(await count()).toBe(1);
  });

  it('keeps Bcc, which only the copy of the program has: that one stays then', async () => {
    await submit(letter());
    const uid = await put(letter({ Bcc: 'carol@acme.test' }));
    expect(await count()).toBe(1);
    expect(await shown(uid)).toContain('Bcc: carol@acme.test');
    // The other way round it is there already.
    const other = { 'Message-ID': '<bcc@corp.test>' };
    await put(letter({ ...other, Bcc: 'carol@acme.test' }));
    await submit(letter(other));
    expect(await count()).toBe(2);
  });

  it('is another message when anything that people see is different, or without a Message-ID', async () => {
    await submit(letter());
    const others = [
      letter({ Subject: 'Twice' }),
      letter({ To: 'eve@acme.test' }),
      letter({ Cc: 'eve@acme.test' }),
      letter({}, 'Something else\r\n'),
      letter({ 'Message-ID': '<other@corp.test>' }),
    ];
    for (const [n, other] of others.entries()) {
      await put(other);
      expect([n, await count()]).toEqual([n, n + 2]);
    }
    const nameless = plainMail({ To: 'alice@acme.test', Subject: 'No name', Date: FIELDS.Date }, 'x\r\n');
    await submit(nameless);
    await put(nameless);
    expect(await count()).toBe(others.length + 3);
  });

  it('attachments included', async () => {
    const mixed = (content: string) =>
      letter(
        { 'MIME-Version': '1.0', 'Content-Type': 'multipart/mixed; boundary=b' },
        `--b\r\n\r\ntext\r\n--b\r\nContent-Type: application/x-thing; name=a.bin\r\nContent-Disposition: attachment; filename=a.bin\r\n` +
          `Content-Transfer-Encoding: base64\r\n\r\n${Buffer.from(content).toString('base64')}\r\n--b--\r\n`,
      );
    await submit(mixed('one'));
    await put(mixed('two'));
    expect(await count()).toBe(2);
    await put(mixed('one'));
    expect(await count()).toBe(2);
  });

  it('in another folder, in a copy of a day later, or after it was moved away, is what it is', async () => {
    await submit(letter());
    await put(letter(), '()', 'Archive');
    expect(await client.ok('status Archive (messages)')).toEqual(['STATUS Archive (MESSAGES 1)']);
    await client.ok('select Sent');
    await client.ok('move 1 Trash');
    await put(letter());
    expect(await count()).toBe(1);
    const late = letter({ 'Message-ID': '<late@corp.test>' });
    await submit(late);
    site.clock.advance(SENT_PAIR_MS + 1);
    await put(late);
    expect(await count()).toBe(3);
    site.clock.advance(1);
    await forgetUnpaired(site.opened.db, site.clock.read());
    expect(await site.opened.db.selectFrom('sent_copy').selectAll().execute()).toEqual([]);
  });

  it('that there is no room or no folder for is sent all the same, and said in the log', async () => {
    await setQuota(site.opened.db, site.bobId, 0);
    await submit(letter());
    expect(await count()).toBe(0);
    await setQuota(site.opened.db, site.bobId, null);
    await client.ok('delete Sent');
    await submit(letter());
    const reasons = site.log.filter((line) => line.includes('sent_not_kept')).map((line) => JSON.parse(line).reason);
    expect(reasons).toEqual(['over-quota', 'no-folder']);
  });
});

describe('drafts', () => {
  const draft = (text: string) => plainMail({ Subject: 'A draft', 'Message-ID': '<draft@corp.test>' }, text);
  const drafts = async () => {
    await client.ok('select Drafts');
    const texts = await client.ok('fetch 1:* body.peek[text]');
    await client.ok('unselect');
    return texts.map((line) => /\r\n([\s\S]*?)\)$/.exec(line)?.[1]);
  };

  it('saved again and again by a program that puts in the new and deletes the old stay one', async () => {
    let [, uid] = /APPENDUID \d+ (\d+)/.exec(await client.okText('append Drafts (\\Draft) ', draft('1'))) ?? [];
    for (const text of ['2', '3', '4']) {
      const [, next] =
        /APPENDUID \d+ (\d+)/.exec(await client.okText('append Drafts (\\Draft \\Seen) ', draft(text))) ?? [];
      await client.ok('select Drafts');
      await client.ok(`uid store ${uid} +flags.silent (\\Deleted)`);
      await client.ok(`uid expunge ${uid}`);
      await client.ok('unselect');
      uid = next;
    }
    expect(await drafts()).toEqual(['4']);
  });

  it('replaced in one step stay one', async () => {
    await client.ok('append Drafts (\\Draft) ', draft('1'));
    await client.ok('select Drafts');
    for (const text of ['2', '3']) await client.ok('replace 1 Drafts (\\Draft) ', draft(text));
    expect(await drafts()).toEqual(['3']);
  });
});

describe('a message put in', () => {
  it('by a program that is killed on the way is not there, not even half', async () => {
    const raw = letter();
    for (const part of [0, 1, raw.length - 1, raw.length]) {
      const dying = await site.client();
      dying.send(`a append INBOX {${raw.length}}\r\n`);
      expect(await dying.line()).toMatch(/^\+ /);
      // With the last byte, but without the end of the command, it is still no command.
      dying.send(raw.subarray(0, part));
      dying[Symbol.dispose]();
    }
    for (const part of [0, 10, raw.length]) {
      const dying = await site.client();
      dying.send(Buffer.concat([Buffer.from(`a append INBOX {${raw.length}+}\r\n`), raw.subarray(0, part)]));
      dying[Symbol.dispose]();
    }
    expect(await client.ok('status INBOX (messages uidnext)')).toEqual(['STATUS INBOX (MESSAGES 0 UIDNEXT 1)']);
  });

  it('that is too large is refused, and the connection goes on, whichever way the literal is sent', async () => {
    const large = LIMITS.messageBytes + 1;
    client.send(`a append INBOX {${large}}\r\n`);
    expect(await client.line()).toMatch(/^a NO \[TOOBIG\]/);
    await client.ok('noop');
    // Sent without asking: every byte of it is read and none is taken for a command.
    const bytes = Buffer.alloc(large, 'x LOGOUT\r\n');
    client.send(Buffer.concat([Buffer.from(`b append INBOX {${large}+}\r\n`), bytes, Buffer.from('\r\n')]));
    expect(await client.line()).toMatch(/^b NO \[TOOBIG\]/);
    await client.ok('noop');
    await client.ok('append INBOX ', letter());
    expect(await client.ok('status INBOX (messages)')).toEqual(['STATUS INBOX (MESSAGES 1)']);
  });
});

describe('folders in the language of the program', () => {
  const list = async () =>
    (await client.ok('list "" "%"')).map((line) => line.replace(/^LIST \(\\HasNoChildren ?/, '('));
  const utf7: Record<string, string> = { Entwürfe: 'Entw&APw-rfe', Envoyés: 'Envoy&AOk-s' };

  it('are the one folder of that use, called as the program calls it, as long as nothing was in it', async () => {
    await client.ok('create Papierkorb');
    await client.ok(`create ${utf7.Entwürfe}`);
    const folders = await list();
    expect(folders).toContain('(\\Trash) "/" Papierkorb');
    expect(folders).toContain(`(\\Drafts) "/" ${utf7.Entwürfe}`);
    expect(folders).toHaveLength(6);
    // Another program says it in English: it means the same.
    await client.ok('append Drafts ', letter());
    expect(await client.ok('status Drafts (messages)')).toEqual([expect.stringContaining('(MESSAGES 1)')]);
    expect(await client.ok(`status ${utf7.Entwürfe} (messages)`)).toEqual([expect.stringContaining('(MESSAGES 1)')]);
    expect(await client.no('create Trash')).toContain('[ALREADYEXISTS]');
  });

  it('go by their other names once something is in them, and there is no second one', async () => {
    await submit(letter());
    for (const name of ['Gesendet', 'GESENDET', 'Gesendete Elemente', 'Sent Items', 'Sent Messages'])
      expect(await client.no(`create "${name}"`)).toContain('[ALREADYEXISTS]');
    expect(await client.no(`create ${utf7.Envoyés}`)).toContain('[ALREADYEXISTS]');
    // The copy of a program that puts it there all the same is the one that is there.
    await client.ok('append "Sent Items" (\\Seen) ', letter());
    expect(await count()).toBe(1);
    await client.ok('select "Gesendete Elemente"');
    await client.ok('copy 1 Papierkorb');
    expect(await client.ok('status Trash (messages)')).toEqual(['STATUS Trash (MESSAGES 1)']);
    expect(await list()).toHaveLength(6);
  });

  it('that the user made herself, or inside of others, are hers', async () => {
    await client.ok('create Projects/Gesendet');
    expect(await client.ok('list "" Projects/*')).toEqual(['LIST (\\HasNoChildren) "/" Projects/Gesendet']);
    // A folder of that name that is there wins over the meaning of the name.
    await site.opened.db
      .updateTable('folder')
      .set({ special_use: null, display_name: 'Spam' })
      .where('special_use', '=', '\\Junk')
      .execute();
    await client.ok('create Junk');
    await client.ok('append Spam ', letter());
    expect(await client.ok('status Spam (messages)')).toEqual(['STATUS Spam (MESSAGES 1)']);
    expect(await client.ok('list "" Junk')).toEqual(['LIST (\\HasNoChildren \\Junk) "/" Junk']);
    expect(await client.no('select Nowhere')).toContain('[NONEXISTENT]');
    expect(await client.no('delete Gesendet')).toContain('[NONEXISTENT]');
  });
});
