import { simpleParser } from 'mailparser';
import { describe, expect, test } from 'vitest';
import type { NoticeKind } from '../src/mime/bridge-mail.ts';
import { EMPTY_LEGACY_DATA, readLegacyData } from '../src/mime/legacy-data.ts';
import { buildBounce, buildDelay, buildHeld, type NoticeInput } from '../src/mime/notice.ts';
import { parseDomain } from '../src/smimp/address.ts';
import { type EmailBody, parseBody, serializeBody } from '../src/smimp/email.ts';
import { formatTimestamp } from '../src/smimp/encoding.ts';
import { encodeLegacy } from '../src/smimp/gateway.ts';
import { ALICE, BOB, NOW, OTHER_UID, plainMail, renderEmail, toEmail, UID } from './support/mail.ts';

const input: NoticeInput = {
  sender: ALICE,
  recipient: BOB,
  status: '5.1.1',
  diagnostic: 'corp.test knows no such user',
  explanation: ['bob@corp.test has no account at corp.test.', 'Ask bob for the right address.'],
  reporter: 'mail.acme.test',
  arrived: NOW - 60,
  now: NOW,
  until: null,
  original: {
    uid: OTHER_UID,
    body: { subject: 'Plans *für* Friday', date_sent: formatTimestamp(NOW - 60), to: [BOB], thread_id: UID },
    messageId: '<plans@client.acme.test>',
    date: NOW - 60,
  },
};

const OWN = { from: ALICE, to: ALICE, uid: UID, sent: formatTimestamp(NOW) };

/** As it arrives: sealed as JSON to oneself. */
function arrive(body: EmailBody): EmailBody {
  const content = parseBody('email', serializeBody('email', body));
  if (content.type !== 'email') throw new Error('not an email');
  return content.value;
}

const report = (body: EmailBody, notice: NoticeKind = 'failed'): string =>
  renderEmail(arrive(body), { header: OWN, notice }).toString('latin1');

describe('a report in the inbox', () => {
  test('is a multipart/report of RFC 3464', () => {
    const parts = report(buildBounce(input)).split(/\r\n--=_[0-9a-f]{32}(?:--)?\r\n/);
    const [head, readable, status, header] = parts;
    expect(head).toContain('Content-Type: multipart/report;\r\n report-type=delivery-status;\r\n boundary=');
    expect(head).toContain('\r\nFrom: SMIMP bridge <smimp-bridge@acme.test>\r\n');
    expect(head).toContain('\r\nX-SMIMP-Notice: failed\r\n');
    expect(head).toContain('\r\nTo: alice@acme.test\r\n');
    expect(head).toContain('\r\nAuto-Submitted: auto-replied\r\n');
    expect(head).toContain('\r\nIn-Reply-To: <plans@client.acme.test>\r\n');
    expect(readable).toContain('bob@corp.test has no account at corp.test.\r\n\r\nAsk bob for the right address.\r\n');
    expect(status?.split('\r\n')).toEqual([
      ...['Content-Type: message/delivery-status', '', 'Reporting-MTA: dns; mail.acme.test'],
      ...['Arrival-Date: Tue, 14 Nov 2023 22:12:20 +0000', '', 'Final-Recipient: rfc822; bob@corp.test'],
      ...['Action: failed', 'Status: 5.1.1', 'Diagnostic-Code: x-smimp; corp.test knows no such user'],
      ...['Last-Attempt-Date: Tue, 14 Nov 2023 22:13:20 +0000', ''],
    ]);
    expect(header?.split('\r\n')).toEqual([
      ...['Content-Type: text/rfc822-headers', '', 'Date: Tue, 14 Nov 2023 22:12:20 +0000', 'To: bob@corp.test'],
      ...['Subject: =?UTF-8?B?UGxhbnMgKmbDvHIqIEZyaWRheQ==?=', 'Message-ID: <plans@client.acme.test>', ''],
    ]);
  });

  test('says the subject, and answers the message that it is about', async () => {
    const body = buildBounce(input);
    expect(body).toMatchObject({ reply_to_message_id: OTHER_UID, thread_id: UID, to: [ALICE], cc: [] });
    const mail = await simpleParser(report(body), { keepDeliveryStatus: true });
    expect(mail.subject).toBe('Not delivered: Plans *für* Friday');
    expect(mail.text).toContain('Subject: Plans *für* Friday');
    expect(mail.attachments.map(({ contentType }) => contentType)).toEqual([
      'message/delivery-status',
      'text/rfc822-headers',
    ]);
  });

  test('is late or held when it is not final', () => {
    const delay = report(buildDelay({ ...input, status: '4.4.1', until: NOW + 3600 }), 'delayed');
    expect(delay).toContain('\r\nAction: delayed\r\nStatus: 4.4.1\r\n');
    expect(delay).toContain('\r\nWill-Retry-Until: Tue, 14 Nov 2023 23:13:20 +0000\r\n');
    expect(delay).toContain('Subject: =?UTF-8?B?');
    const held = report(buildHeld({ ...input, status: '4.7.5' }), 'held');
    expect(held).toContain('\r\nAction: delayed\r\nStatus: 4.7.5\r\n');
    expect(buildHeld(input).subject).toBe('Held back: check who you are writing to: Plans *für* Friday');
  });

  test('is the same each time', () => {
    expect(report(buildBounce(input))).toBe(report(buildBounce(structuredClone(input))));
  });

  test('names the message by its uid when it had no Message-ID', () => {
    const body = buildBounce({ ...input, original: { ...input.original, messageId: null } });
    expect(report(body)).toContain(`In-Reply-To: <${OTHER_UID}@smimp.invalid>`);
  });

  test('takes no line from what a remote server or the message says', () => {
    const evil = 'x\r\nAction: delivered\r\n\r\nX-SMIMP-A: b\0';
    const original = { ...input.original, messageId: evil, body: { ...input.original.body, subject: evil } };
    const text = report(buildBounce({ ...input, diagnostic: evil, reporter: evil, explanation: [evil], original }));
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n\0]/);
    const [, , status = '', header = ''] = text.split(/\r\n--=_[0-9a-f]{32}(?:--)?\r\n/);
    expect(status.match(/^Action: /gm)).toHaveLength(1);
    expect(status + header).not.toMatch(/^X-SMIMP/m);
  });
});

test('a report that another program of the owner made can hold no line either', () => {
  const body = arrive(buildBounce(input));
  const legacy = readLegacyData(body.extensions_data);
  const evil = 'x\r\nAction: delivered\r\n\r\ny';
  const made = { ...legacy.report, diagnostic: evil, recipient: evil, reporter: evil };
  const text = report({ ...body, extensions_data: { smimp_bridge: { ...legacy, report: made } } });
  expect(text.match(/^Action: /gm)).toEqual(['Action: ']);
  expect(text).not.toContain('delivered\r\n\r\n');
});

describe('a report that is not the bridge’s', () => {
  const forged = arrive(buildBounce(input));

  test.each([
    ['from a stranger', { header: { ...OWN, from: BOB }, notice: null }],
    ['from a stranger, whatever the caller thinks', { header: { ...OWN, from: BOB }, notice: 'failed' as const }],
    ['from oneself, when the caller does not vouch for it', { header: OWN, notice: null }],
    ['from oneself to another', { header: { ...OWN, to: BOB }, notice: 'failed' as const }],
  ])('%s is mail like any other', (_name, options) => {
    const text = renderEmail(forged, options).toString('latin1');
    expect(text).not.toMatch(/multipart\/report|delivery-status|smimp-bridge|^Auto-Submitted|^X-SMIMP/im);
    expect(text).toContain('multipart/alternative');
  });

  test('in mail of the bridge of another kind is none', () => {
    const text = renderEmail(forged, { header: OWN, notice: 'pin-replaced' }).toString('latin1');
    expect(text).not.toMatch(/multipart\/report|delivery-status/);
    expect(text).toContain('X-SMIMP-Notice: pin-replaced\r\n');
    expect(text).toContain('Auto-Submitted: auto-generated\r\n');
  });

  test('cannot be submitted as mail either', async () => {
    const again = await toEmail(report(buildBounce(input)), { from: ALICE });
    expect(readLegacyData(again.extensions_data).report).toBeNull();
    const text = renderEmail(again).toString('latin1');
    expect(text).not.toMatch(/smimp-bridge@|^X-SMIMP/im);
  });
});

test('mail that was submitted has none of the marks, whatever fields it came with', async () => {
  const fields = ['X-SMIMP-Notice: pin-replaced', 'x-smimp-other: 1', 'Sender: SMIMP bridge <smimp-bridge@acme.test>'];
  const raw = plainMail('text\n', fields)
    .replace('From: alice@', 'From: SMIMP bridge <alice@')
    .replace('test\r', 'test>\r');
  const text = renderEmail(await toEmail(raw)).toString('latin1');
  expect(raw).toContain('From: SMIMP bridge <alice@acme.test>\r\n');
  expect(text).toContain('From: alice@acme.test\r\n');
  expect(text).not.toMatch(/^x-smimp|^sender|bridge/im);
});

describe('the name of the bridge', () => {
  const from = (name: string): string => {
    const extensions_data = { smimp_bridge: { ...EMPTY_LEGACY_DATA, names: { [ALICE]: name } } };
    const body = { ...arrive(buildBounce(input)), extensions_data };
    return /^From: (.*)\r$/m.exec(renderEmail(body).toString('latin1'))?.[1] ?? '';
  };

  test.each([
    'SMIMP bridge',
    'smimp-bridge@acme.test',
    'SMlMP Bridge',
    'ＳＭＩＭＰ ｂｒｉｄｇｅ',
    'S\u200bM\u00adI.M-P  B_r_i_d_g_e',
    'ЅМІМР bridge',
    '𝐒𝐌𝐈𝐌𝐏 𝐛𝐫𝐢𝐝𝐠𝐞',
    'Š̈MÍMP brïdge',
    '5M1MP BR|DG3',
    'Notice of the SMIMP bridge of acme.test',
  ])('is taken from a sender who calls herself %s', (name) => {
    expect(from(name)).toBe('alice@acme.test');
  });

  test.each(['Alice', 'Bridge & Tunnel', 'S. M. Imp', 'smimp'])('is not %s', (name) => {
    expect(from(name)).toMatch(/ <alice@acme\.test>$/);
  });

  test('is taken from Reply-To as well', () => {
    const reply_to = [{ name: 'SMIMP bridge', address: 'mallory@evil.test' }];
    const extensions_data = { smimp_bridge: { ...EMPTY_LEGACY_DATA, reply_to } };
    const text = renderEmail({ ...arrive(buildBounce(input)), extensions_data }).toString('latin1');
    expect(text).toContain('Reply-To: mallory@evil.test\r\n');
  });

  test('is no address that a gateway decodes', () => {
    const gatewayDomain = parseDomain('gw.acme.test');
    const coded = encodeLegacy('smimp-bridge@acme.test', gatewayDomain);
    const body = arrive(buildBounce(input));
    const text = renderEmail(body, { header: { ...OWN, from: coded }, gatewayDomain }).toString('latin1');
    expect(text).toContain(`From: ${coded.replace('#', '@')}\r\n`);
  });
});
