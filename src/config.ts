/**
 * The configuration: one YAML file and five environment variables, checked whole, every mistake reported with its place.
 *
 * The only module that reads the environment. What is not set has its default here; config/smimp-bridge.yaml shows each
 * default, and a test holds the two together.
 */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Document, isNode, isScalar, LineCounter, type Node, parseDocument, visit } from 'yaml';
import { z } from 'zod';
import {
  baseUrl,
  cidr,
  dnsServer,
  domain,
  domainOrAddress,
  durationMs,
  hostTarget,
  listenAddress,
  sizeBytes,
} from './config-fields.ts';
import { imapLimits } from './imap-settings.ts';
import { legacySettings, outgoingSettings } from './legacy/settings.ts';
import { powPolicySchema } from './policy/pow-policy-schema.ts';

/** What is wrong with a configuration, one line each: `FILE:LINE:COLUMN: PATH: what`. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'config';
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(`${mistakes.length} mistake${mistakes.length === 1 ? '' : 's'} in the configuration`);
    this.mistakes = mistakes;
  }
}

const section = <Shape extends z.core.$ZodShape>(shape: Shape) => z.strictObject(shape).prefault({} as never);

/** The schema of the file. Every default stands here. */
/** Without these no client finds its way in. */
const NEEDED_CAPABILITIES: ReadonlySet<string> = new Set([
  'IMAP4REV1',
  'STARTTLS',
  'LOGINDISABLED',
  'AUTH=PLAIN',
  'AUTH',
]);

const capability = z
  .string()
  .regex(/^[\w+=-]{1,64}$/, { error: 'is not the name of an IMAP capability' })
  .refine((name) => !NEEDED_CAPABILITIES.has(name.toUpperCase()), { error: 'cannot be withheld: nobody could log in' });

const settings = z.strictObject({
  deployment: z.enum(['home', 'proxy', 'gateway']).default('home'),
  domains: z.array(domain).min(1).default(['home.test']),
  base_url: baseUrl.default('https://smimp.home.test:8443'),
  mail_host: z.string().min(1).max(253).default('localhost'),
  data_directory: z.string().min(1).default('data'),
  database: section({
    url: z
      .url({ protocol: /^postgres(ql)?$/ })
      .nullable()
      .default(null),
  }),
  queue: section({
    redis: z
      .url({ protocol: /^rediss?$/ })
      .nullable()
      .default(null),
  }),
  server_key: section({ file: z.string().min(1).nullable().default(null) }),
  listen: section({
    api: listenAddress.nullable().prefault('0.0.0.0:8443'),
    submission: listenAddress.nullable().prefault('0.0.0.0:1587'),
    submissions: listenAddress.nullable().prefault('0.0.0.0:1465'),
    imap: listenAddress.nullable().prefault('0.0.0.0:1143'),
    imaps: listenAddress.nullable().prefault('0.0.0.0:1993'),
    mx: listenAddress.nullable().default(null),
    metrics: listenAddress.nullable().default(null),
  }),
  tls: section({
    certificate: z.string().min(1).nullable().default(null),
    key: z.string().min(1).nullable().default(null),
  }).refine(({ certificate, key }) => (certificate === null) === (key === null), {
    error: 'needs both certificate and key, or neither',
  }),
  network: section({
    hosts: z.record(domain, hostTarget).default({}),
    allow: z.array(cidr).default([]),
    ca: z.string().min(1).nullable().default(null),
    dns: z.array(dnsServer).default([]),
  }),
  proof_of_work: section({
    zero_bits: z.int().min(0).max(28).nullable().default(null),
    policy: powPolicySchema.prefault({}),
    ask_operator_above: z.int().min(0).max(28).default(22),
    threads: z.int().min(1).max(256).nullable().default(null),
  }),
  delivery: section({
    delay_notice_after: durationMs.prefault('4h'),
    give_up_after: durationMs.prefault('5d'),
    concurrency: z.int().min(1).max(256).default(8),
  }),
  imap: section({
    save_sent: z.boolean().default(true),
    originals: z.enum(['show', 'attach']).default('show'),
    outbox: z
      .string()
      .regex(/^[^/\x00-\x1f\x7f]{1,100}$/, { error: 'is not the name of one folder' })
      .refine((name) => name.toUpperCase() !== 'INBOX', { error: 'is the name of the inbox' })
      .nullable()
      .default('Outbox'),
    withhold: z
      .array(
        z.strictObject({
          name: z.string().min(1).max(200).nullable().default(null),
          version: z.string().min(1).max(200).nullable().default(null),
          capabilities: z.array(capability).min(1),
        }),
      )
      .default([]),
    limits: imapLimits,
  }),
  gateway: section({
    domain: domain.nullable().default(null),
    senders: z.array(domainOrAddress).default([]),
    recipients: z.array(domain).default([]),
    new_identities_per_day: z.int().min(1).max(100_000).default(200),
    new_authors_per_hour: z.int().min(1).max(1_000_000).default(500),
    dmarc: z.enum(['enforce', 'mark']).default('enforce'),
    ...outgoingSettings({ domain, target: hostTarget }),
  }),
  legacy: legacySettings({ domain }),
  limits: section({
    message: sizeBytes.prefault('33MiB'),
    quota: sizeBytes.nullable().default(null),
    recipients: z.int().min(1).max(10_000).default(100),
    connections: z.int().min(1).max(100_000).default(1000),
    connections_per_address: z.int().min(1).max(100_000).default(50),
    connections_per_account: z.int().min(1).max(10_000).default(30),
    login_tries_per_account: z.int().min(1).max(1000).default(5),
    login_tries_per_address: z.int().min(1).max(100_000).default(30),
  }),
  log: section({ level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info') }),
});

export const configSchema = settings.superRefine(({ deployment, gateway: { domain, recipients } }, context) => {
  const mistake = (name: string, message: string): void =>
    context.addIssue({ code: 'custom', path: ['gateway', name], message });
  if (deployment === 'gateway' && domain === null)
    mistake('domain', 'a gateway needs a domain of its own, at which its legacy correspondents have their identities');
  if (domain !== null && recipients.includes(domain))
    mistake('recipients', 'cannot hold the domain of the gateway itself: nobody has a mailbox there');
});

export type Config = z.infer<typeof configSchema> & { secrets: Secrets };

/** What stands in the environment only. */
export interface Secrets {
  serverKey: string | null;
  /** Of `gateway.smarthost`. */
  smarthostPassword: string | null;
}

/** Names of the environment variables that win over the file. */
export const ENVIRONMENT = {
  config: 'SMIMP_BRIDGE_CONFIG',
  serverKey: 'SMIMP_SERVER_KEY',
  databaseUrl: 'SMIMP_DATABASE_URL',
  redisUrl: 'SMIMP_REDIS_URL',
  smarthostPassword: 'SMIMP_SMARTHOST_PASSWORD',
} as const;

/**
 * Reads the file (`path`, else the one the environment names, else defaults) and the environment.
 * Throws ConfigError with every mistake.
 */
export async function loadConfig(options: {
  path?: string | undefined;
  environment?: Record<string, string | undefined>;
}): Promise<Config> {
  const environment = options.environment ?? process.env;
  const path = options.path ?? environment[ENVIRONMENT.config];
  const file = path === undefined ? '' : await readConfigFile(resolve(path));
  return applyEnvironment(parseConfig(file, path ?? 'defaults'), environment);
}

async function readConfigFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
    throw new ConfigError([`${path}: cannot be read (${code})`]);
  }
}

/**
 * A proxy hosts nobody: it has no domains, and nothing at which other servers would call. A gateway is the server of its own
 * domain, whose identities belong to people who have no mail program here. Only a gateway takes mail in for other domains.
 */
function asDeployed(config: z.infer<typeof configSchema>): z.infer<typeof configSchema> {
  const { deployment, listen, gateway } = config;
  if (deployment === 'home') return { ...config, listen: { ...listen, mx: null } };
  if (deployment === 'proxy') return { ...config, domains: [], listen: { ...listen, api: null, mx: null } };
  const noDoors = { submission: null, submissions: null, imap: null, imaps: null };
  return { ...config, domains: gateway.domain === null ? [] : [gateway.domain], listen: { ...listen, ...noDoors } };
}

/** Parses the text of a configuration file; `name` is how mistakes call it. */
export function parseConfig(text: string, name: string): z.infer<typeof configSchema> {
  const lines = new LineCounter();
  const { document, value } = readYaml(text, name, lines);
  const parsed = configSchema.safeParse(value ?? {});
  if (parsed.success) return asDeployed(parsed.data);
  const place = (path: PropertyKey[]): string => {
    const node = path.length === 0 ? document.contents : (document.getIn(path, true) as Node | undefined);
    const offset = (node ?? (document.getIn(path.slice(0, -1), true) as Node | undefined))?.range?.[0];
    if (offset === undefined) return name;
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  throw new ConfigError(parsed.error.issues.flatMap((issue) => describe(issue, place)));
}

/** Without YAML's own: an alias of nothing, aliases or nesting without end, and lists as names are mistakes like others. */
function readYaml(text: string, name: string, lines: LineCounter): { document: Document.Parsed; value: unknown } {
  try {
    const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
    const mistakes = document.errors.map(({ message }) => `${name}: ${message.split('\n')[0]}`);
    visit(document, {
      Pair(_, { key }) {
        if (!isNode(key) || isScalar(key)) return undefined;
        mistakes.push(`${name}: a name of a setting is a word`);
        return visit.BREAK;
      },
    });
    if (mistakes.length > 0) throw new ConfigError(mistakes);
    return { document, value: document.toJS() };
  } catch (error) {
    if (error instanceof RangeError) throw new ConfigError([`${name}: is nested too deeply`]);
    if (!(error instanceof ReferenceError)) throw error;
    throw new ConfigError([`${name}: ${error.message.split('\n')[0]}`]);
  }
}

function describe(issue: z.core.$ZodIssue, place: (path: PropertyKey[]) => string): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      return `${place(path)}: ${path.join('.')}: no such setting`;
    });
  }
  return [`${place(issue.path)}: ${issue.path.join('.') || 'the file'}: ${issue.message}`];
}

function applyEnvironment(
  config: z.infer<typeof configSchema>,
  environment: Record<string, string | undefined>,
): Config {
  const serverKey = environment[ENVIRONMENT.serverKey] ?? null;
  if (serverKey !== null && !/^[0-9a-f]{64}$/.test(serverKey))
    throw new ConfigError([`${ENVIRONMENT.serverKey}: is not 64 lower-case hex digits`]);
  const smarthostPassword = environment[ENVIRONMENT.smarthostPassword] ?? null;
  if (config.gateway.smarthost?.user != null && smarthostPassword === null)
    throw new ConfigError([`${ENVIRONMENT.smarthostPassword}: is needed, because gateway.smarthost.user is set`]);
  return {
    ...config,
    database: { url: environment[ENVIRONMENT.databaseUrl] ?? config.database.url },
    queue: { redis: environment[ENVIRONMENT.redisUrl] ?? config.queue.redis },
    secrets: { serverKey, smarthostPassword },
  };
}
