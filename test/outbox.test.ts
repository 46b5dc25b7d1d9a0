/** The folder of what waits to be sent, said line by line to the real server; deliveries are rows that the test changes. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseAddress } from '../src/smimp/address.ts';
import { findDelivery } from '../src/store/outbound.ts';
import { OUTBOX_DELIVERIES } from '../src/store/outbox.ts';
import type { ImapClient } from './support/imap-client.ts';
import { PASSWORD, plainMail } from './support/mail-site.ts';
import { ALICE, EVE, HOUR_MS, type OutboxSite, outboxSite } from './support/outbox-site.ts';

let site: OutboxSite;
let client: ImapClient;
beforeEach(async () => {
  site = await outboxSite();
  client = await site.client(site.port);
});
afterEach(async () => {
  client[Symbol.dispose]();
  await site[Symbol.asyncDispose]();
});

const stageOf = async (id: number | undefined) => (await findDelivery(site.opened.db, id ?? 0))?.stage;
const uids = async () => (await client.ok('uid search all'))[0];

describe('Outbox', () => {
  it('is listed, counted and selected like a mailbox that nothing can be put in', async () => {
    expect(await client.ok('list "" "O*"')).toEqual(['LIST (\\HasNoChildren) "/" Outbox']);
    expect(await client.ok('list (subscribed) "" "O*"')).toEqual(['LIST (\\HasNoChildren \\Subscribed) "/" Outbox']);
    await site.submit('One', ALICE);
    const [status] = await client.ok('status Outbox (messages unseen uidnext uidvalidity deleted)');
    expect(status).toMatch(/^STATUS Outbox \(MESSAGES 1 UNSEEN 0 UIDNEXT 2 UIDVALIDITY \d+ DELETED 0\)$/);
    const [, size = ''] = /SIZE (\d+)/.exec((await client.ok('status Outbox (size)'))[0] ?? '') ?? [];
    const lines = await client.ok('select Outbox');
    expect(lines).toContain('1 EXISTS');
    expect(lines.join('\n')).toContain('[PERMANENTFLAGS (\\Deleted)]');
    expect((await client.ok('fetch 1 (uid flags rfc822.size)'))[0]).toBe(
      `1 FETCH (UID 1 FLAGS (\\Seen) RFC822.SIZE ${size})`,
    );
    await client.ok('unsubscribe Outbox');
    expect(await client.ok('list (subscribed) "" "O*"')).toEqual([]);
  });

  it('shows each state of a message with the reason and the next try, as a message that programs can read and search', async () => {
    const [, second] = await site.submit('Two people', ALICE, EVE);
    await site.change(second, site.retrying());
    await client.ok('select Outbox');
    const [text] = await client.ok('fetch 2 body[text]');
    expect(text).toContain('This message could not be sent yet. It will be tried again.');
    expect(text).toContain('To eve@acme.test\r\n  The server of eve@acme.test cannot be reached.\r\n');
    expect(text).toContain('  Next try: Thu, 15 Jan 2026 13:00:00 +0000');
    expect(text).toContain('it is given up on Tue, 20 Jan 2026 12:00:00 +0000');
    expect(text).toContain('The message:\r\n\r\nDear _Alice_');
    expect(text).not.toContain('To alice');
    expect((await client.ok('fetch 1 body[text]'))[0]).toContain(
      'This message is waiting to be sent.\r\n\r\nTo alice@acme.test',
    );
    const [header] = await client.ok('fetch 2 body[header]');
    expect(header).toContain('From: bob@corp.test\r\n');
    expect(header).toContain('To: alice@acme.test, eve@acme.test\r\n');
    expect(header).toContain('X-SMIMP-Outbox: retrying\r\n');
    expect(await client.search('subject "two people"')).toEqual([1, 2]);
    expect(await client.search('text "cannot be reached"')).toEqual([2]);
    expect(await client.search('header x-smimp-outbox queued')).toEqual([1]);
    expect((await client.ok('fetch 1 (envelope)'))[0]).toContain('"Two people"');
    // The same for every session, byte for byte.
    using other = await site.client(site.port);
    await other.ok('examine Outbox');
    expect(await other.ok('fetch 2 body[]')).toEqual(await client.ok('fetch 2 body.peek[]'));
  });

  it('gives another state another UID, never one of before, and tells who idles', async () => {
    const [first] = await site.submit('One', ALICE);
    await client.ok('select Outbox');
    expect(await uids()).toBe('SEARCH 1');
    client.send('x idle\r\n');
    expect(await client.line()).toMatch(/^\+ /);
    await site.change(first, site.retrying());
    expect([await client.line(), await client.line()]).toEqual(['* 1 EXPUNGE', '* 1 EXISTS']);
    expect(await client.line()).toBe('* 0 RECENT');
    await site.change(first, { stage: 'held', error_code: 'pin-replaced' });
    expect([await client.line(), await client.line(), await client.line()]).toEqual([
      '* 1 EXPUNGE',
      '* 1 EXISTS',
      '* 0 RECENT',
    ]);
    client.send('done\r\n');
    await client.finish('x');
    expect(await uids()).toBe('SEARCH 3');
    expect((await client.ok('fetch 1 body[text]'))[0]).toContain('is not the one you knew');
    await site.submit('Two', EVE);
    expect(await client.ok('noop')).toContain('2 EXISTS');
    await site.change(first, site.ended());
    expect(await client.ok('noop')).toEqual(['1 EXPUNGE']);
    expect(await uids()).toBe('SEARCH 4');
    // Stages that go well are no other state.
    expect(await client.ok('noop')).toEqual([]);
  });

  it('keeps UIDs and UIDVALIDITY for a session that comes later, through another process', async () => {
    await site.submit('One', ALICE);
    const before = await client.ok('status Outbox (uidvalidity uidnext)');
    await client.ok('select Outbox');
    using other = await site.client(site.port);
    expect(await other.ok('status Outbox (uidvalidity uidnext)')).toEqual(before);
    const both = await Promise.all(
      [client, other].map((one) => one.ok('status Outbox (uidvalidity uidnext messages)')),
    );
    expect(both[0]).toEqual(both[1]);
    await Promise.all([site.submit('Two', ALICE), site.submit('Three', EVE)]);
    await client.ok('unselect');
    const seen = await Promise.all([client, other].map((one) => one.ok('status Outbox (uidnext messages)')));
    expect(seen[0]).toEqual(['STATUS Outbox (UIDNEXT 4 MESSAGES 3)']);
    expect(seen[1]).toEqual(seen[0]);
  });
});

describe('deleting in Outbox', () => {
  it('cancels what was not handed over, by EXPUNGE and by CLOSE', async () => {
    const [first, second] = await site.submit('One', ALICE, EVE);
    await site.change(second, site.retrying());
    const [third] = await site.submit('Another', ALICE);
    await client.ok('select Outbox');
    expect(await client.ok('store 1,2 +flags (\\Deleted)')).toEqual([
      '1 FETCH (FLAGS (\\Seen \\Deleted))',
      '2 FETCH (FLAGS (\\Seen \\Deleted))',
    ]);
    // The mark is there for every session, and can be taken away.
    using other = await site.client(site.port);
    await other.ok('select Outbox');
    expect(await other.search('deleted')).toEqual([1, 2]);
    await other.ok('store 2 +flags (\\Seen)');
    expect(await other.search('deleted')).toEqual([1, 2]);
    await other.ok('store 2 -flags (\\Deleted)');
    expect(await client.ok('expunge')).toContain('1 EXPUNGE');
    expect(await Promise.all([first, second, third].map(stageOf))).toEqual(['cancelled', 'seal', 'route']);
    await client.ok('store 1:* flags (\\Deleted)');
    await client.ok('close');
    expect(await Promise.all([second, third].map(stageOf))).toEqual(['cancelled', 'cancelled']);
    expect(await client.ok('status Outbox (messages)')).toEqual(['STATUS Outbox (MESSAGES 0)']);
  });

  it('does not cancel what may have been handed over, says so, and cancels the others', async () => {
    const [first, second, third] = await site.submit('One', ALICE, EVE, parseAddress('mallory#acme.test'));
    await site.change(first, { stage: 'deliver', next_attempt_at: site.clock.read() });
    // An answer that was lost: it may have arrived.
    await site.change(second, { stage: 'deliver', error_code: 'timeout', next_attempt_at: site.later(HOUR_MS) });
    const [alone] = await site.submit('Alone', ALICE);
    // Nothing was sent to a server without a valid certificate.
    await site.change(third, { stage: 'deliver', error_code: 'tls', next_attempt_at: site.later(HOUR_MS) });
    await client.ok('select Outbox');
    await client.ok('store 1:* +flags (\\Deleted)');
    expect(await client.no('expunge')).toBe('[INUSE] Something is being handed over already and was not cancelled');
    expect(await Promise.all([first, second, third, alone].map(stageOf))).toEqual([
      ...['deliver', 'deliver', 'cancelled', 'cancelled'],
    ]);
    await client.ok('noop');
    expect(await client.search('deleted')).toEqual([]);
    expect(await client.search('all')).toHaveLength(2);
    // It is due too soon to be sure.
    await site.change(second, { error_code: 'tls', next_attempt_at: site.later(9_000) });
    await client.ok('noop');
    await client.ok('store 1:* +flags (\\Deleted)');
    expect(await client.no('expunge')).toContain('[INUSE]');
    await client.ok('noop');
    await client.ok('close');
  });

  it('by a move to the bin leaves a note there of what was not sent', async () => {
    const [first] = await site.submit('Regretted', ALICE);
    await client.ok('select Outbox');
    expect(await client.no('move 1 Archive')).toContain('[CANNOT]');
    expect(await stageOf(first)).toBe('route');
    expect(await client.ok('move 1 Trash')).toEqual([expect.stringMatching(/^OK \[COPYUID \d+ 1 \d+\]/), '1 EXPUNGE']);
    expect(await stageOf(first)).toBe('cancelled');
    await client.ok('select Trash');
    const [message] = await client.ok('fetch 1 body[]');
    expect(message).toContain('Subject: Regretted');
    expect(message).toContain(
      'This message was cancelled. It is not sent to the people named here.\r\n\r\nTo alice@acme.test',
    );
    expect(message).not.toContain('Delete it here');
  });

  it('means the message, also when its state changed between the mark and the removal', async () => {
    const [first, second] = await site.submit('One', ALICE, EVE);
    await site.change(second, site.retrying());
    await client.ok('select Outbox');
    await client.ok('uid store 2 +flags (\\Deleted)');
    await site.change(second, { ...site.retrying(), attempts: 4, next_attempt_at: site.later(2 * HOUR_MS) });
    // By its old UID, which this session still knows.
    await client.ok('uid expunge 2');
    expect([await stageOf(first), await stageOf(second)]).toEqual(['route', 'cancelled']);
    const [third] = await site.submit('Two', ALICE);
    await client.ok('noop');
    await client.ok('uid store 1:* +flags (\\Deleted)');
    await site.change(third, site.retrying());
    using other = await site.client(site.port);
    await other.ok('select Outbox');
    expect(await other.search('deleted')).toEqual([1, 2]);
    await client.ok('expunge');
    expect([await stageOf(first), await stageOf(third)]).toEqual(['cancelled', 'cancelled']);
    // What was not marked does not go with it.
    const [fourth, fifth] = await site.submit('Three', ALICE, EVE);
    await site.change(fourth, site.retrying());
    await client.ok('noop');
    const [marked] = await client.search('header x-smimp-outbox retrying');
    await client.ok(`store ${marked} +flags (\\Deleted)`);
    await site.change(fifth, site.retrying());
    await client.ok('expunge');
    expect([await stageOf(fourth), await stageOf(fifth)]).toEqual(['cancelled', 'seal']);
  });

  it('as clients without MOVE do it: copied, marked, expunged', async () => {
    const [first] = await site.submit('Regretted', ALICE);
    await client.ok('select Outbox');
    expect(await client.okText('copy 1 Trash')).toMatch(/^\[COPYUID \d+ 1 \d+\]/);
    await client.ok('uid store 1 +flags.silent (\\Deleted)');
    await client.ok('uid expunge 1');
    expect(await stageOf(first)).toBe('cancelled');
  });
});

describe('everything else is refused', () => {
  it('messages put in, flags, and changes of the mailbox itself', async () => {
    await site.submit('One', ALICE);
    expect(await client.no('append Outbox ', plainMail({}, 'x'))).toContain('[CANNOT]');
    await client.ok('append INBOX ', plainMail({ Subject: 'Mine' }, 'x'));
    await client.ok('select INBOX');
    for (const command of ['copy 1 Outbox', 'move 1 Outbox']) expect(await client.no(command)).toContain('[CANNOT]');
    await client.ok('select Outbox');
    for (const command of [
      ...[
        'store 1 +flags (\\Flagged)',
        'store 1 flags (urgent)',
        'store 1 -flags (\\Seen)',
        'store 1 +flags (\\Deleted $Junk)',
      ],
      ...[
        'rename Outbox Other',
        'rename Archive Outbox/Archive',
        'delete Outbox',
        'create Outbox/Sub',
        'rename Archive Outbox',
      ],
    ])
      expect([command, await client.no(command)]).toEqual([command, expect.stringContaining('[CANNOT]')]);
    expect(await client.no('create Outbox')).toContain('[ALREADYEXISTS]');
    await client.ok('store 1 +flags (\\Seen)');
    expect((await client.ok('fetch 1 flags'))[0]).toBe('1 FETCH (FLAGS (\\Seen))');
    await client.ok('unselect');
    await client.ok('examine Outbox');
    expect(await client.no('store 1 +flags (\\Deleted)')).toContain('NOPERM');
  });

  it('unless the user has a folder of that name herself, in her language', async () => {
    for (const [n, name] of ['outbox', 'Postausgang', '&ZTZO9nux-'].entries()) {
      await site.submit(`Message ${n}`, ALICE);
      // Made by a native client, which sees no folder there.
      await site.mailbox
        .open(site.bobId)
        .then((mailbox) => mailbox.folders.create(name === '&ZTZO9nux-' ? '收件箱' : name, null));
      if (name === '&ZTZO9nux-') continue;
      const listed = (await client.ok('list "" "*"')).join('\n');
      expect([name, listed.includes('/" Outbox')]).toEqual([name, false]);
      expect(await client.no('select Outbox')).toContain('[NONEXISTENT]');
      await client.ok(`append ${name} `, plainMail({}, 'x'));
      await client.ok(`delete ${name}`);
      expect((await client.ok('list "" "*"')).join('\n')).toContain('/" Outbox');
    }
  });
});

it(`shows the oldest ${OUTBOX_DELIVERIES} of what waits, and the next when those are sent`, async () => {
  const people = Array.from({ length: OUTBOX_DELIVERIES }, (_, n) => parseAddress(`p${n}#acme.test`));
  const first = await site.submit('Many', ...people);
  await site.submit('Beyond', ALICE);
  await client.ok('select Outbox');
  expect(await uids()).toBe('SEARCH 1');
  await site.change(first[0], site.ended());
  await client.ok('noop');
  expect(await client.search('subject Beyond')).toHaveLength(1);
});

it('is not what another user sees', async () => {
  await site.submit('Private', ALICE);
  await site.accounts.add({ address: parseAddress('carol#corp.test'), password: PASSWORD, name: null });
  using carol = await (await import('./support/imap-client.ts')).ImapClient.open({ port: site.port, ca: site.ca });
  await carol.ok(`login carol@corp.test "${PASSWORD}"`);
  expect(await carol.ok('status Outbox (messages)')).toEqual(['STATUS Outbox (MESSAGES 0)']);
});
