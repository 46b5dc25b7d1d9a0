/** Capabilities that are not announced: to nobody, or to clients that say a certain name of themselves (RFC 2971). */
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { ConfigError, parseConfig } from '../src/config.ts';
import { announced } from '../src/imap/withhold.ts';
import { ImapClient } from './support/imap-client.ts';
import { type MailSite, mailSite, PASSWORD } from './support/mail-site.ts';

describe('rules', () => {
  const rule = (name: string | null, version: string | null) => [
    { name, version, capabilities: ['B', 'c=x', 'APPENDLIMIT'] },
  ];
  const told = (rules: ReturnType<typeof rule>, name: string | null, version: string | null): string =>
    announced(['A', 'B', 'C=X', 'C=Y', 'APPENDLIMIT=7'], rules, { name, version }).join(' ');
  const LESS = 'A C=Y';
  const ALL = 'A B C=X C=Y APPENDLIMIT=7';

  test.each<
    [pattern: string | null, version: string | null, own: string | null, ownVersion: string | null, told: string]
  >([
    [null, null, null, null, LESS],
    ['Mail', null, 'mail', null, LESS],
    ['Mail', null, 'Mailer', null, ALL],
    ['Mail', null, null, null, ALL],
    ['Mail*', null, 'mailer', '1', LESS],
    ['*Mail', null, 'Old Mail', null, LESS],
    ['*ai*', null, 'Mail', null, LESS],
    ['a*a', null, 'a', null, ALL],
    ['a*b*c', null, 'a-b-b-c', null, LESS],
    ['a*b*c', null, 'a-c-b', null, ALL],
    ['*', '3.*', 'x', '3.1', LESS],
    ['*', '3.*', 'x', '4.3.1', ALL],
    ['*', '3.*', 'x', null, ALL],
    ['.*', null, 'x', null, ALL],
  ])('%s %s for %s %s', (pattern, version, own, ownVersion, expected) => {
    expect(told(rule(pattern, version), own, ownVersion)).toBe(expected);
  });

  test('a long name costs no more than reading it', () => {
    const name = 'a'.repeat(60_000);
    expect(told(rule('*a*a*a*a*a*a*a*a*b', null), name, null)).toBe(ALL);
  });
});

describe('the configuration', () => {
  test('takes rules, and none that would shut everybody out', () => {
    const { imap } = parseConfig('imap: { withhold: [{ name: "Old*", capabilities: [QRESYNC] }] }', 'x');
    expect(imap.withhold).toEqual([{ name: 'Old*', version: null, capabilities: ['QRESYNC'] }]);
    for (const wrong of ['[]', '[IMAP4rev1]', '[starttls]', '["AUTH=PLAIN"]', '["a b"]'])
      expect(() => parseConfig(`imap: { withhold: [{ capabilities: ${wrong} }] }`, 'x')).toThrow(ConfigError);
    expect(() => parseConfig('imap: { withhold: [{ name: x }] }', 'x')).toThrow(ConfigError);
  });
});

describe('the server', () => {
  let site: MailSite;
  beforeAll(async () => {
    site = await mailSite();
  });
  afterAll(() => site[Symbol.asyncDispose]());

  it('tells each client what is for it', async () => {
    await using server = await site.serve({
      withhold: [
        { name: 'Old Mail*', version: null, capabilities: ['QRESYNC', 'APPENDLIMIT'] },
        { name: null, version: null, capabilities: ['QUOTA', 'SASL-IR'] },
      ],
    });
    using client = await ImapClient.open({ port: server.port, ca: site.ca });
    expect(client.greeting).toContain('IMAP4rev1');
    expect(client.greeting).not.toContain('SASL-IR');
    const text = await client.okText(`login bob@corp.test "${PASSWORD}"`);
    expect(text).toContain(' QRESYNC ');
    expect(text).not.toContain('QUOTA');
    await client.ok('id ("version" "1" "NAME" "old mail 3")');
    const [line = ''] = await client.ok('capability');
    expect(line).toContain(' CONDSTORE');
    for (const name of ['QRESYNC', 'APPENDLIMIT', 'QUOTA']) expect(line).not.toContain(name);
    await client.ok('enable qresync');
    await client.ok('getquota ""');
    await client.ok('id nil');
    expect((await client.ok('capability'))[0]).toContain(' QRESYNC ');
  });
});
