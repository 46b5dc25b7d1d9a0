/** What `conformance` does: it tests a running SMIMP server from outside, or this library against the vectors (docs/conformance.md). */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { CHECKS } from '../conformance/all.ts';
import { type Counterpart, startCounterpart } from '../conformance/counterpart.ts';
import { isConforming, reportDocument, reportText } from '../conformance/report.ts';
import { runConformance, TargetError } from '../conformance/run.ts';
import { selects } from '../conformance/runner.ts';
import { runVectors, type VectorReport } from '../conformance/vectors/run.ts';
import type { GivenAccount } from '../conformance/world.ts';
import { type Domain, isDomain } from '../smimp/address.ts';
import { parseTyped } from './accounts.ts';
import { CommandError, EXIT, explained, type Output, table } from './output.ts';

const VECTORS = fileURLToPath(new URL('../../fixtures/vectors/', import.meta.url));

const TARGET_PROBLEMS = {
  'bad-target': {
    text: 'this is neither a domain nor a URL such as https://smimp.example.com',
    exitCode: EXIT.badInput,
  },
  unreachable: { text: 'the domain names no server that can be reached', exitCode: EXIT.unavailable },
};

/** Options as commander gives them; those that may be repeated are lists. */
export type Options = {
  account: string[];
  user?: string;
  only: string[];
  counterpart?: string;
  listen?: string;
  tlsCert?: string;
  tlsKey?: string;
  resolve: string[];
  allow: string[];
  ca: string[];
  slow?: boolean;
  list?: boolean;
  vectors?: boolean;
  maxRequests: string;
  maxSeconds: string;
};

export async function conformance(output: Output, options: Options, target: string | undefined): Promise<void> {
  if (options.list === true) return listChecks(output, options.only);
  if (options.vectors === true) return testVectors(output);
  if (target === undefined) throw new CommandError('name a server or a domain to test', EXIT.usage);
  await using stack = new AsyncDisposableStack();
  const counterpart = await openCounterpart(stack, options);
  const running = runConformance({
    target,
    network: { hosts: resolved(options.resolve), allow: options.allow, ca: await contents(options.ca) },
    accounts: await givenAccounts(options.account),
    user: options.user === undefined ? null : parseTyped(options.user),
    counterpart,
    only: options.only,
    maxRequests: bounded('--max-requests', options.maxRequests),
    maxSeconds: bounded('--max-seconds', options.maxSeconds),
    clock: () => new Date(),
    sleep: options.slow === true ? sleep : null,
    report: ({ id, outcome }) => output.say(`${id}: ${outcome}`),
  });
  const report = await explained(running, TargetError, TARGET_PROBLEMS);
  output.result(reportDocument(report), reportText(report));
  if (!isConforming(report)) throw new CommandError('the server does not conform', EXIT.failed);
}

const sleep = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

function listChecks(output: Output, only: readonly string[]): void {
  const checks = CHECKS.filter(({ id }) => selects(only, id));
  const rows = checks.map(({ id, level, title }) => [id, level, title]);
  // JSON leaves out what a check does.
  output.result(checks, table(['CHECK', 'LEVEL', 'TITLE'], rows));
}

async function testVectors(output: Output): Promise<void> {
  const report = await runVectors(VECTORS);
  const rows = report.areas.map(({ area, cases, failed }) => [area, String(cases), failed.join(' ') || '-']);
  output.result({ ok: allPass(report), ...report }, table(['AREA', 'CASES', 'FAILED'], rows));
  if (!allPass(report)) throw new CommandError('the library does not conform', EXIT.failed);
}

const allPass = ({ areas }: VectorReport): boolean => areas.every(({ failed }) => failed.length === 0);

/** One code a line, in the order of the accounts: on the command line other users of the machine would see them. */
async function givenAccounts(typed: readonly string[]): Promise<GivenAccount[]> {
  if (typed.length === 0) return [];
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const codes = Buffer.concat(chunks).toString('utf8').split(/\r?\n/);
  return typed.map((account, i) => {
    const code = codes[i]?.trim() ?? '';
    if (code === '') throw new CommandError(`standard input has no code for account ${i + 1}`, EXIT.badInput);
    return { address: parseTyped(account), code };
  });
}

/** `name=address[:port]`, as `hosts` of the configuration. */
function resolved(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [name = '', address = ''] = pair.split('=');
      if (!isDomain(name) || address === '')
        throw new CommandError('--resolve takes NAME=ADDRESS or NAME=ADDRESS:PORT', EXIT.badInput);
      return [name, address];
    }),
  );
}

function bounded(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new CommandError(`${option} takes a whole number`, EXIT.badInput);
  return value;
}

const contents = (files: readonly string[]): Promise<string[]> => Promise.all(files.map(readText));

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new CommandError(`${file} cannot be read`, EXIT.badInput, { cause });
  }
}

async function openCounterpart(stack: AsyncDisposableStack, options: Options): Promise<Counterpart | null> {
  const { counterpart: domain, listen, tlsCert, tlsKey } = options;
  if (domain === undefined) return null;
  const [, host, port] = /^(?:\[?([^\]]+?)\]?):(\d{1,5})$/.exec(listen ?? '') ?? [];
  if (!isDomain(domain) || host === undefined || tlsCert === undefined || tlsKey === undefined)
    throw new CommandError('--counterpart DOMAIN needs --listen ADDRESS:PORT, --tls-cert and --tls-key', EXIT.usage);
  const tls = { cert: await readText(tlsCert), key: await readText(tlsKey) };
  return stack.use(await startCounterpart({ domain: domain as Domain, listen: { host, port: Number(port) }, tls }));
}
