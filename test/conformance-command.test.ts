/** `smimp-bridge conformance` as people and programs use it: what it prints and how it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../src/admin/demo/temporary-directory.ts';
import { type ApiSite, startApi } from './support/api-site.ts';
import { type CommandLine, commandLine } from './support/command-line.ts';
import { no, startSpoilingProxy } from './support/spoiling-proxy.ts';

type Report = {
  ok: boolean;
  baseUrl: string;
  passed: number;
  failed: number;
  skipped: number;
  results: { id: string; outcome: string; said: string | null; rules: string[] }[];
};

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const TIMEOUT_MS = 60_000;

let site: ApiSite;
let cli: CommandLine;
let directory: string;
let ca: string;

beforeAll(async () => {
  site = await startApi();
  site.now = new Date();
  cli = await commandLine(site.opened.connection);
  directory = await temporaryDirectory('kit');
  ca = join(directory, 'ca.pem');
  await writeFile(ca, site.ca);
});
afterAll(async () => {
  await rm(directory, { recursive: true });
  await cli[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

/** Leads both names to a port, with the authority of the tests. */
const leading = (port: number): string[] =>
  ['corp.test', 'smimp.corp.test'].flatMap((name) => ['--resolve', `${name}=127.0.0.1:${port}`]).concat('--ca', ca);

describe('conformance', () => {
  it('tests a server by its domain or its URL, and says so in one document', async () => {
    for (const target of ['corp.test', 'https://smimp.corp.test']) {
      const report = (await cli.json('conformance', target, ...leading(site.port))) as Report;
      expect(report).toMatchObject({ ok: true, baseUrl: 'https://smimp.corp.test', failed: 0 });
      expect(report.passed).toBeGreaterThan(30);
      expect(report.results).toHaveLength(report.passed + report.skipped);
      const found = report.results.find(({ id }) => id === 'discovery.file');
      expect(found?.outcome).toBe(target === 'corp.test' ? 'passed' : 'skipped');
    }
  });

  it('says in lines what failed, with the rules to read, and ends with 1', async () => {
    const spoiler = {
      answer: (asked: { path: string }) => (asked.path.endsWith('history') ? no('forbidden') : undefined),
    };
    await using proxy = await startSpoilingProxy(site, spoiler);
    const ended = await cli.run('conformance', 'corp.test', ...leading(proxy.port), '--only', 'users');
    expect(ended.exitCode).toBe(1);
    expect(ended.stdout).toContain('FAIL  users.unknown');
    expect(ended.stdout).toContain('expected 404 unknown_user, got 403 forbidden');
    expect(ended.stdout).toContain('R-5.3-2 in docs/protocol.md');
    expect(ended.stdout).toMatch(/0 passed, 1 failed, 1 skipped; \d+ requests\n$/);
  });

  it('is no success when nothing could be looked at', async () => {
    const ended = await cli.run('conformance', 'corp.test', ...leading(site.port), '--only', 'send');
    expect(ended).toMatchObject({ exitCode: 1 });
    expect(ended.stdout).toContain('0 passed, 0 failed');
  });

  it('stops asking at its bound, and counts what it left out as skipped', async () => {
    const asked = await cli.run('conformance', 'corp.test', ...leading(site.port), '--max-requests', '5', '--json');
    const { failed, results } = JSON.parse(asked.stdout) as Report;
    expect(failed).toBe(0);
    expect(results.find(({ id }) => id === 'session.required')).toMatchObject({
      outcome: 'skipped',
      said: 'more than 5 requests',
    });
  });

  it('names what is wrong with what it was given', async () => {
    expect((await cli.run('conformance')).exitCode).toBe(64);
    expect((await cli.run('conformance', 'no server')).exitCode).toBe(65);
    expect((await cli.run('conformance', 'corp.test', '--resolve', 'corp.test=127.0.0.1:1')).exitCode).toBe(69);
    expect((await cli.run('conformance', 'corp.test', '--resolve', 'nonsense')).exitCode).toBe(65);
    expect((await cli.run('conformance', 'corp.test', '--ca', join(directory, 'none'))).exitCode).toBe(65);
    expect((await cli.run('conformance', 'corp.test', '--max-seconds', '0')).exitCode).toBe(65);
    expect((await cli.run('conformance', 'corp.test', '--counterpart', 'kit.test')).exitCode).toBe(64);
  });

  it('lists its checks, and runs the vectors of the library', async () => {
    const checks = (await cli.json('conformance', '--list', '--only', 'json')) as { id: string }[];
    expect(checks.map(({ id }) => id)).toContain('json.duplicate-name');
    expect(checks.every(({ id }) => id.startsWith('json.'))).toBe(true);
    const vectors = (await cli.json('conformance', '--vectors')) as { ok: boolean; areas: { cases: number }[] };
    expect(vectors.ok).toBe(true);
    expect(vectors.areas.length).toBeGreaterThan(15);
  });

  it('takes the codes of accounts from its input, in a process of its own', { timeout: TIMEOUT_MS }, async () => {
    const accounts = ['first@corp.test', 'second@corp.test'];
    const invited = [];
    for (const account of accounts) invited.push((await cli.json('account', 'invite', account)) as { code: string });
    const given = accounts.flatMap((account) => ['--account', account]);
    const only = ['login.works', 'send.opens'].flatMap((id) => ['--only', id]);
    const args = [MAIN, 'conformance', 'corp.test', ...leading(site.port), ...given, ...only, '--json'];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.end(`${invited.map(({ code }) => code).join('\n')}\n`);
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    const [exitCode] = (await once(child, 'close')) as [number];
    const report = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Report;
    expect(report.results.map(({ id, outcome }) => `${id} ${outcome}`)).toEqual([
      'login.works passed',
      'send.opens passed',
    ]);
    expect(exitCode).toBe(0);
  });
});
