/**
 * Bridges as processes of their own, on loopback: lays out their directories, certificates and configurations, starts,
 * kills and restarts them, and runs the command line against them. Used by the demonstration and by the tests that need
 * whole programs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import runtime from '../../runtime.json' with { type: 'json' };
import { type Authority, createAuthority, issueCertificate } from '../certificates.ts';

const MAIN = fileURLToPath(new URL('../../main.ts', import.meta.url));
/** A start that takes longer than this has failed. */
const START_TIMEOUT_MS = 60_000;

export interface Ports {
  api: number;
  submission: number;
  submissions: number;
  imap: number;
  imaps: number;
  /** Only of a gateway. */
  mx: number;
}

export interface Site {
  readonly domain: string;
  readonly directory: string;
  readonly configPath: string;
  readonly ports: Ports;
  /** PEM of the authority that all sites trust. */
  readonly ca: string;
}

interface LayOut {
  directory: string;
  domains: readonly string[];
  settings?: Record<string, unknown>;
  /** Of single sites. */
  settingsOf?: (
    domain: string,
  ) => { network?: { hosts?: Record<string, string>; dns?: readonly string[] } } & Record<string, unknown>;
  /** Those of `domains` that are no homes but proxies: the domain is only a name for its directory then. */
  proxies?: readonly string[];
}

/** Makes a directory, a certificate and a configuration for every domain; each site can reach each other one. */
export async function layOutSites(options: LayOut): Promise<Site[]> {
  const authority = await createAuthority();
  const caPath = join(options.directory, 'ca.pem');
  await mkdir(options.directory, { recursive: true });
  await writeFile(caPath, authority.certificate);
  const ports = await Promise.all(options.domains.map(() => freePorts()));
  const hosts = Object.fromEntries(
    options.domains.flatMap((domain, index) => {
      const target = `127.0.0.1:${ports[index]?.api}`;
      return [
        [domain, target],
        [`smimp.${domain}`, target],
      ];
    }),
  );
  return Promise.all(
    options.domains.map(async (domain, index) => {
      const directory = join(options.directory, domain);
      const configPath = join(directory, 'smimp-bridge.yaml');
      const site = { domain, directory, configPath, ports: ports[index] as Ports, ca: authority.certificate };
      await writeCertificate(site, authority);
      await writeFile(configPath, stringify(configOf(options, site, siteConfig(site, hosts, caPath))));
      return site;
    }),
  );
}

async function writeCertificate({ domain, directory }: Site, authority: Authority): Promise<void> {
  const names = [domain, `smimp.${domain}`, 'localhost'];
  const issued = await issueCertificate({ authority, names, ips: ['127.0.0.1'] });
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'tls.pem'), issued.certificate);
  await writeFile(join(directory, 'tls.key'), issued.key, { mode: 0o600 });
}

function configOf({ proxies, settings, settingsOf }: LayOut, { domain }: Site, base: ReturnType<typeof siteConfig>) {
  const deployment = proxies?.includes(domain) ? 'proxy' : 'home';
  const { network = {}, ...own } = settingsOf?.(domain) ?? {};
  const hosts = { ...base.network.hosts, ...network.hosts };
  return { ...base, deployment, ...settings, ...own, network: { ...base.network, ...network, hosts } };
}

function siteConfig(site: Site, hosts: Record<string, string>, caPath: string) {
  const listen = Object.entries(site.ports).map(([door, port]) => [door, `127.0.0.1:${port}`]);
  return {
    domains: [site.domain],
    base_url: `https://smimp.${site.domain}`,
    data_directory: join(site.directory, 'data'),
    listen: Object.fromEntries(listen),
    tls: { certificate: join(site.directory, 'tls.pem'), key: join(site.directory, 'tls.key') },
    network: { hosts, ca: caPath },
  };
}

const PORTS = 6;

/** Ports that were free a moment ago. They are fixed beforehand because each site must know the other's. */
async function freePorts(): Promise<Ports> {
  const servers = await Promise.all(
    Array.from({ length: PORTS }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const [api, submission, submissions, imap, imaps, mx] = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }) as [number, number, number, number, number, number];
  for (const server of servers) server.close();
  return { api, submission, submissions, imap, imaps, mx };
}

export class RunningSite implements AsyncDisposable {
  readonly site: Site;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor(site: Site, child: ChildProcess) {
    this.site = site;
    this.#child = child;
    this.#exited = once(child, 'exit');
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** SIGKILL: no goodbye, as when the power goes. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGTERM');
    await this.#exited;
  }
}

/** Starts the bridge of a site and resolves when it says that it has started. `onEvent` sees every line it logs. */
export async function startSite(
  site: Site,
  options: { roles?: string; onEvent?: (event: Record<string, unknown>) => void } = {},
): Promise<RunningSite> {
  const roles = options.roles === undefined ? [] : ['--roles', options.roles];
  // `env` sets these besides what the process has: the environment itself is read by config.ts only.
  const environment = Object.entries(runtime.environment).map(([name, value]) => `${name}=${value}`);
  const command = [process.execPath, ...runtime.nodeFlags, MAIN, 'start', '--config', site.configPath, ...roles];
  const child = spawn('env', [...environment, ...command], { stdio: ['ignore', 'ignore', 'pipe'] });
  const running = new RunningSite(site, child);
  await started(child, options.onEvent);
  return running;
}

async function started(child: ChildProcess, onEvent?: (event: Record<string, unknown>) => void): Promise<void> {
  const { stderr } = child;
  if (stderr === null) throw new Error('the bridge has no standard error');
  const said: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the bridge did not start in time')), START_TIMEOUT_MS);
    child.once('exit', (code) => reject(new Error(`the bridge ended at its start (${code}): ${said.join('\n')}`)));
    createInterface({ input: stderr }).on('line', (line) => {
      const event = parseLine(line);
      if (event === null) said.push(line);
      else onEvent?.(event);
      if (event?.event !== 'started') return;
      clearTimeout(timer);
      resolve();
    });
  });
}

function parseLine(line: string): Record<string, unknown> | null {
  if (!line.startsWith('{')) return null;
  return JSON.parse(line) as Record<string, unknown>;
}

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `smimp-bridge ARGUMENTS --config …` for a site. */
export async function runCommand(site: Site, args: readonly string[], input = ''): Promise<CommandResult> {
  const child = spawn(process.execPath, [MAIN, ...args, '--config', site.configPath], { stdio: 'pipe' });
  child.stdin.end(input);
  const collect = async (stream: AsyncIterable<Buffer>): Promise<string> => {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    return Buffer.concat(chunks).toString('utf8');
  };
  const exit = once(child, 'exit') as Promise<[number | null]>;
  const [stdout, stderr, [code]] = await Promise.all([collect(child.stdout), collect(child.stderr), exit]);
  return { code: code ?? -1, stdout, stderr };
}

/** As runCommand with `--json`; throws with what the command said when it did not succeed. */
export async function runJson(site: Site, args: readonly string[], input = ''): Promise<unknown> {
  const result = await runCommand(site, [...args, '--json'], input);
  if (result.code !== 0) throw new Error(`smimp-bridge ${args.join(' ')} ended with ${result.code}: ${result.stderr}`);
  return JSON.parse(result.stdout);
}
