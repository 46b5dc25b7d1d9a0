import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { ConfigError, configSchema, loadConfig, parseConfig } from '../src/config.ts';
import { configFile } from './support/config-file.ts';

const COMMENTED = new URL('../config/smimp-bridge.yaml', import.meta.url);

function mistakesOf(text: string): readonly string[] {
  try {
    parseConfig(text, 'bridge.yaml');
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

describe('the configuration', () => {
  it('shows every default in the commented file', async () => {
    const text = await readFile(COMMENTED, 'utf8');
    const uncommented = text.replace(/^( *)#(?=[a-z_]+:)/gm, '$1');
    expect(parseConfig(text, 'commented')).toEqual(configSchema.parse({}));
    expect(parseConfig(uncommented, 'uncommented')).toEqual(configSchema.parse({}));
    for (const key of Object.keys(configSchema.shape)) expect(text).toMatch(new RegExp(`^#${key}:`, 'm'));
  });

  it('reports every mistake at once, with its place', () => {
    const text = [
      'domains: [Home.Test, example]',
      'base_url: http://x.test',
      'listen:',
      '  imap: 1143',
      '  pop3: 0.0.0.0:110',
      'limits: { message: 25 parsecs }',
      'tls: { key: a.pem }',
    ].join('\n');
    expect(mistakesOf(text)).toEqual([
      'bridge.yaml:1:11: domains.0: is not a domain of at least two labels in lower case, such as example.com',
      'bridge.yaml:1:22: domains.1: is not a domain of at least two labels in lower case, such as example.com',
      'bridge.yaml:2:11: base_url: is not a base URL such as https://smimp.example.com[:port][/path]',
      expect.stringMatching(/^bridge\.yaml:4:9: listen\.imap: /),
      'bridge.yaml:5:9: listen.pop3: no such setting',
      'bridge.yaml:7:6: tls: needs both certificate and key, or neither',
      expect.stringMatching(/^bridge\.yaml:6:20: limits\.message: is not a size/),
    ]);
  });

  it('refuses YAML that does not parse, duplicate names and lists', () => {
    expect(mistakesOf('domains: [a.test')).toHaveLength(1);
    expect(mistakesOf('log: {level: info}\nlog: {level: warn}')).toHaveLength(1);
    expect(mistakesOf('- a\n- b')).toHaveLength(1);
    expect(mistakesOf('domains: *nobody')).toEqual([expect.stringContaining('Unresolved alias')]);
    const bomb = `a: &a [${'x,'.repeat(50)}]\n${[...'bcdef'].map((name, i) => `${name}: &${name} [${`*${'abcde'[i]},`.repeat(50)}]\n`).join('')}`;
    expect(mistakesOf('  e:'.repeat(20_000)).length).toBeGreaterThan(0);
    expect(mistakesOf(bomb)).toEqual([expect.stringContaining('alias')]);
    expect(mistakesOf(`${'? '.repeat(300)}1`)).toEqual(['bridge.yaml: a name of a setting is a word']);
  });

  it('lets the environment win and checks it', async () => {
    const environment = { SMIMP_REDIS_URL: 'redis://127.0.0.1:6379', SMIMP_SERVER_KEY: 'ab'.repeat(32) };
    const config = await loadConfig({ environment });
    expect(config.queue.redis).toBe('redis://127.0.0.1:6379');
    expect(config.secrets.serverKey).toBe('ab'.repeat(32));
    await expect(loadConfig({ environment: { SMIMP_SERVER_KEY: 'short' } })).rejects.toThrow(ConfigError);
    await expect(loadConfig({ path: 'no/such/file.yaml', environment: {} })).rejects.toThrow(ConfigError);
  });

  it('makes a proxy out of its example: no domains, and no door for other servers', async () => {
    const text = await readFile(new URL('../config/proxy.yaml', import.meta.url), 'utf8');
    const proxy = parseConfig(text, 'proxy');
    expect(proxy).toMatchObject({ deployment: 'proxy', domains: [], listen: { api: null } });
    expect(proxy.listen.imaps).toEqual({ host: '127.0.0.1', port: 1993 });
    expect(parseConfig('deployment: proxy\nlisten: { api: 0.0.0.0:8443 }', 'x').listen.api).toBeNull();
  });

  it('makes a gateway out of its example: one domain of its own, an MX, no door for mail programs', async () => {
    const text = await readFile(new URL('../config/gateway.yaml', import.meta.url), 'utf8');
    const gateway = parseConfig(text, 'gateway');
    expect(gateway).toMatchObject({ deployment: 'gateway', domains: ['gw.example.com'] });
    expect(gateway.listen).toMatchObject({ mx: { host: '0.0.0.0', port: 25 }, api: { port: 8443 }, metrics: null });
    expect(gateway.listen).toMatchObject({ submission: null, submissions: null, imap: null, imaps: null });
    expect(parseConfig('listen: { mx: 0.0.0.0:25 }', 'x').listen.mx).toBeNull();
    const named = parseConfig('gateway: { senders: [corp.test, alice@acme.test, bob#acme.test] }', 'x').gateway.senders;
    expect(named).toEqual(['corp.test', 'alice#acme.test', 'bob#acme.test']);
  });

  it('refuses a gateway without a domain, one that takes mail in for itself, and senders that are none', () => {
    expect(mistakesOf('deployment: gateway')).toEqual([
      'bridge.yaml: gateway.domain: a gateway needs a domain of its own, at which its legacy correspondents have their identities',
    ]);
    expect(mistakesOf('deployment: gateway\ngateway: { domain: gw.test, recipients: [gw.test] }')).toEqual([
      'bridge.yaml:2:41: gateway.recipients: cannot hold the domain of the gateway itself: nobody has a mailbox there',
    ]);
    expect(mistakesOf('gateway: { senders: ["*", "*@corp.test", Corp.test, a.b@corp.test] }')).toHaveLength(4);
  });

  it('takes a policy towards the old internet only whole, and the password of a relay only from the environment', async () => {
    const legacy = parseConfig('legacy: { gateway: gw.test, domains: [old.test, "*"] }', 'x').legacy;
    expect(legacy).toEqual({ gateway: 'gw.test', domains: ['old.test', '*'] });
    expect(mistakesOf('legacy: { domains: [old.test] }')).toEqual([
      'bridge.yaml:1:9: legacy: needs a gateway when it names domains',
    ]);
    expect(mistakesOf('legacy: { gateway: gw.test, domains: ["*.test", Old.test] }')).toHaveLength(2);
    const relay = 'gateway: { smarthost: { host: relay.test, user: me } }';
    expect(parseConfig(relay, 'x').gateway.smarthost).toEqual({
      host: 'relay.test',
      port: 587,
      tls: 'starttls',
      user: 'me',
    });
    expect(mistakesOf('gateway: { smarthost: { host: relay.test, tls: none, user: me } }')).toEqual([
      'bridge.yaml:1:23: gateway.smarthost: sends no password in the clear',
    ]);
    expect(mistakesOf('gateway: { smarthost: { host: relay.test, password: secret } }')).toHaveLength(1);
    await using file = await configFile({}, [relay]);
    const environment = { SMIMP_SMARTHOST_PASSWORD: 'secret' };
    expect((await loadConfig({ path: file.path, environment })).secrets.smarthostPassword).toBe('secret');
    await expect(loadConfig({ path: file.path, environment: {} })).rejects.toThrow(ConfigError);
  });

  it('understands sizes and times', () => {
    const config = parseConfig('limits: {message: 64KiB}\ndelivery: {give_up_after: 90s, delay_notice_after: 2h}', 'x');
    expect(config.limits.message).toBe(65_536);
    expect(config.delivery).toMatchObject({ give_up_after: 90_000, delay_notice_after: 7_200_000 });
  });
});
