/** The rules of the layout (README, "How it is built"), held against the imports that are really there. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SRC = join(ROOT, 'src');

interface Module {
  path: string;
  text: string;
  /** Paths below src for our own, package names for the rest. */
  imports: string[];
  /** Of those, what is loaded with it: neither types nor what is imported when it is needed. */
  loads: string[];
}

function modules(): Module[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => {
      const file = join(SRC, name);
      const text = readFileSync(file, 'utf8');
      const targets = (pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, target]) => target as string);
      const found = targets(/(?:from|import)\s*\(?\s*'([^']+)'/g);
      const loaded = targets(/^(?:import|export)\s+(?!type\b)(?:[^;'(]*?\bfrom\s+)?'([^']+)'/gm);
      const own = (target: string): string =>
        target.startsWith('.') ? relative(SRC, resolve(dirname(file), target)) : target;
      return { path: name, text, imports: found.map(own), loads: loaded.map(own) };
    });
}

const ALL = modules();
const within = (path: string, ...folders: string[]): boolean => folders.some((folder) => path.startsWith(`${folder}/`));
/** Every module and package that is reached from some modules, by one kind of import. */
function reachedFrom(starts: readonly string[], kind: 'imports' | 'loads'): Set<string> {
  const byPath = new Map(ALL.map((module) => [module.path, module]));
  const reached = new Set<string>();
  const visit = (target: string): void => {
    if (reached.has(target)) return;
    reached.add(target);
    for (const next of byPath.get(target)?.[kind] ?? []) visit(next);
  };
  for (const start of starts) visit(start);
  return reached;
}
const isPackage = (target: string): boolean => /^[@a-z][\w/@.-]*$/.test(target) && !target.endsWith('.ts');

/** `a → b` for each import that breaks a rule. */
const breaches = (guilty: (from: string, to: string) => boolean): string[] =>
  ALL.flatMap(({ path, imports }) => imports.filter((to) => guilty(path, to)).map((to) => `${path} → ${to}`));

const PURE = ['smimp', 'mime', 'imap/wire', 'policy'];
/** Of Node itself, pure code may use only what computes; streams here only carry bytes from memory to a parser. */
const PURE_NODE = new Set([
  'node:buffer',
  'node:stream',
  'node:url',
  'node:util',
  'node:string_decoder',
  'node:assert',
  'node:zlib',
]);
const IMPURE_PACKAGES = new Set([
  'pg',
  'kysely',
  'bullmq',
  'ioredis',
  'fastify',
  'undici',
  'nodemailer',
  'smtp-server',
  'imapflow',
  'pino',
  'prom-client',
  'commander',
]);

describe('the layout', () => {
  it('keeps protocol, translation and wire pure', () => {
    const guilty = breaches(
      (from, to) =>
        within(from, ...PURE) &&
        (IMPURE_PACKAGES.has(to) ||
          (to.startsWith('node:') && !PURE_NODE.has(to)) ||
          (to.endsWith('.ts') && !within(to, ...PURE))),
    );
    expect(guilty).toEqual([]);
    const clocks = ALL.filter(
      ({ path, text }) => within(path, ...PURE) && /Date\.now\(|new Date\(\)|process\.|Math\.random/.test(text),
    );
    expect(clocks.map(({ path }) => path)).toEqual([]);
  });

  it('has no cycles', () => {
    const edges = new Map(ALL.map(({ path, imports }) => [path, imports.filter((to) => to.endsWith('.ts'))]));
    const done = new Set<string>();
    const visit = (path: string, above: string[]): void => {
      if (above.includes(path)) throw new Error(`cycle: ${[...above, path].join(' → ')}`);
      if (done.has(path)) return;
      for (const next of edges.get(path) ?? []) visit(next, [...above, path]);
      done.add(path);
    };
    for (const path of edges.keys()) visit(path, []);
    expect(done.size).toBe(ALL.length);
  });

  it('lets mail flow one way: the mailbox never knows IMAP, the pipeline never knows SMTP', () => {
    expect(breaches((from, to) => within(from, 'mailbox') && within(to, 'imap', 'smtp', 'pipeline'))).toEqual([]);
    expect(breaches((from, to) => within(from, 'pipeline') && within(to, 'smtp', 'imap', 'mailbox', 'api'))).toEqual(
      [],
    );
    expect(breaches((from, to) => within(from, 'outbox') && within(to, 'imap', 'smtp', 'api', 'admin'))).toEqual([]);
    expect(
      breaches((from, to) => within(from, 'legacy') && within(to, 'smtp', 'imap', 'api', 'admin', 'pipeline')),
    ).toEqual([]);
    expect(
      breaches((from, to) => within(from, 'mailbox', 'identity', 'keystore', 'remote') && within(to, 'legacy')),
    ).toEqual([]);
    expect(breaches((from, to) => within(from, 'keystore', 'remote') && within(to, 'identity', 'mailbox'))).toEqual([]);
  });

  it('keeps the doors apart', () => {
    const doors = ['smtp', 'imap', 'api', 'admin'];
    const door = (path: string): string | undefined => doors.find((name) => within(path, name));
    expect(
      breaches((from, to) => door(from) !== undefined && door(to) !== undefined && door(from) !== door(to)),
    ).toEqual([]);
  });

  it('lets the conformance kit see a server only from outside', () => {
    const inside = (to: string): boolean => to.endsWith('.ts') && !within(to, 'conformance', 'remote', 'smimp');
    expect(breaches((from, to) => within(from, 'conformance') && inside(to))).toEqual([]);
    expect(breaches((from, to) => within(to, 'conformance') && !within(from, 'conformance', 'admin'))).toEqual([]);
  });

  it('keeps SQL in the store, BullMQ in the queue, libsodium in one module', () => {
    expect(breaches((from, to) => ['pg', 'kysely', 'kysely/migration'].includes(to) && !within(from, 'store'))).toEqual(
      [],
    );
    const sql = ALL.filter(
      ({ path, text }) => !within(path, 'store') && /\.(selectFrom|insertInto|updateTable|deleteFrom)\(/.test(text),
    );
    expect(sql.map(({ path }) => path)).toEqual([]);
    const queue = ['pipeline/queue.ts', 'pipeline/worker.ts'];
    expect(breaches((from, to) => ['bullmq', 'ioredis'].includes(to) && !queue.includes(from))).toEqual([]);
    const sodium = (to: string): boolean => to === 'libsodium-wrappers' || to === 'sodium-native';
    expect(breaches((from, to) => sodium(to) && from !== 'smimp/crypto.ts')).toEqual([]);
  });

  it('reads the environment, builds services and handles signals in one place each', () => {
    const using = (pattern: RegExp): string[] =>
      ALL.filter(({ text }) => pattern.test(text))
        .map(({ path }) => path)
        .sort();
    expect(using(/process\.env/)).toEqual(['config.ts']);
    expect(using(/process\.on\('SIG/)).toEqual(['main.ts']);
    expect(breaches((from, to) => to === 'bridge.ts' && !['main.ts'].includes(from) && !within(from, 'admin'))).toEqual(
      [],
    );
  });

  it('gives a client library that needs no database, no web server and no queue', () => {
    const reached = reachedFrom(['client/index.ts'], 'imports');
    const packages = [...reached].filter(isPackage);
    expect(packages.sort()).toEqual(['libsodium-wrappers', 'sodium-native', 'undici', 'zod']);
    const folders = new Set([...reached].filter((target) => target.endsWith('.ts')).map((path) => path.split('/')[0]));
    expect([...folders].sort()).toEqual(['client', 'identity', 'keystore', 'pipeline', 'remote', 'smimp']);
  });

  it('loads for a process that only serves IMAP nothing of the other roles', () => {
    const reached = reachedFrom(['main.ts', 'imap/listener.ts', 'outbox/mailbox.ts'], 'loads');
    expect(reached.size).toBeGreaterThan(300);
    const others = ['fastify', 'bullmq', 'ioredis', 'smtp-server', 'prom-client', 'undici', '@peculiar/x509'];
    const heavy = [...others, 'imapflow', 'nodemailer', 'mailauth', 'mailauth/lib/dkim/sign.js'];
    expect(heavy.filter((name) => reached.has(name))).toEqual([]);
    const foreign = [...reached].filter((path) => within(path, 'api', 'smtp', 'metrics', 'admin/demo'));
    expect(foreign.sort()).toEqual([]);
  });

  it('cites only documents and sections that exist', () => {
    const protocol = readFileSync(join(ROOT, 'docs/protocol.md'), 'utf8');
    const sections = new Set([...protocol.matchAll(/^#{2,3} (\d(?:\.\d)?)\.? /gm)].map(([, number]) => number));
    expect(sections.size).toBeGreaterThan(20);
    const rfc = /^RFC \d{3,4}( (§[\d.]+|[Aa]ppendix [A-Z]|erratum \d+))?$/;
    const isKnown = (citation: string): boolean =>
      citation.startsWith('RFC') ? rfc.test(citation) : sections.has(citation.replace('SMIMP 0.1 §', ''));
    const bad = ALL.flatMap(({ path, text }) =>
      [...text.matchAll(/SMIMP 0\.1 §[\d.]*\d|RFC \d+ §[\d.]*\d/g)]
        .filter(([citation]) => !isKnown(citation))
        .map(([citation]) => `${path}: ${citation}`),
    );
    expect(bad).toEqual([]);
  });
});
