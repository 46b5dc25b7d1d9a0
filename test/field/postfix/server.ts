/**
 * A Postfix of its own: configuration, queue, mail and log in one directory, its door on a loopback port, its processes
 * children of this one. One that the system may run is not touched. It can only be started by root.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createAuthority, issueCertificate } from '../../../src/admin/certificates.ts';
import { endProgram, type HowToRun, startProgram, succeed } from '../programs.ts';

export interface PostfixSettings {
  readonly directory: string;
  readonly port: number;
  /** Where mail for a domain is handed to: `127.0.0.1:port`. */
  readonly transports: Readonly<Record<string, string>>;
  /** Certificate authorities that it believes; each transport must show a certificate for `localhost`. */
  readonly caPath: string;
  /** Mailboxes, each with the name of its Maildir. */
  readonly mailboxes: Readonly<Record<string, string>>;
  readonly largestBytes: number;
}

const WAIT_MS = 120_000;
const LOOK_AGAIN_MS = 100;
const SERVICES = [
  'pickup unix n - n 60 1 pickup',
  'cleanup unix n - n - 0 cleanup',
  'qmgr unix n - n 300 1 qmgr',
  'tlsmgr unix - - n 1000? 1 tlsmgr',
  'rewrite unix - - n - - trivial-rewrite',
  ...['bounce', 'defer', 'trace'].map((name) => `${name} unix - - n - 0 bounce`),
  'flush unix n - n 1000? 0 flush',
  'proxymap unix - - n - - proxymap',
  'smtp unix - - n - - smtp',
  'showq unix n - n - - showq',
  ...['error', 'retry'].map((name) => `${name} unix - - n - - error`),
  'virtual unix - n n - - virtual',
  'anvil unix - - n - 1 anvil',
  'scache unix - - n - 1 scache',
  'postlog unix-dgram n - n - 1 postlogd',
];

export class Postfix implements AsyncDisposable {
  readonly port: number;
  /** PEM of whoever signed its certificate, which is for `localhost`. */
  readonly ca: string;
  readonly #settings: PostfixSettings;
  readonly #how: HowToRun;
  #master: ChildProcess | null = null;

  private constructor(settings: PostfixSettings, ca: string) {
    this.port = settings.port;
    this.ca = ca;
    this.#settings = settings;
    this.#how = { home: settings.directory };
  }

  /** Laid out, not started. */
  static async create(settings: PostfixSettings): Promise<Postfix> {
    const authority = await createAuthority();
    const issued = await issueCertificate({ authority, names: ['localhost'], ips: ['127.0.0.1'] });
    const postfix = new Postfix(settings, authority.certificate);
    await postfix.#layOut(issued);
    return postfix;
  }

  #path(...names: string[]): string {
    return join(this.#settings.directory, ...names);
  }

  async #layOut(tls: { certificate: string; key: string }): Promise<void> {
    const idOf = async (flag: string, user: string): Promise<number> =>
      Number((await succeed('id', [flag, user], this.#how)).stdout.toString());
    const [owner, uid, gid] = [await idOf('-u', 'postfix'), await idOf('-u', 'nobody'), await idOf('-g', 'nobody')];
    for (const name of ['config', 'queue', 'data', 'mail']) await mkdir(this.#path(name));
    await chown(this.#path('data'), owner, -1);
    await chown(this.#path('mail'), uid, gid);
    const write = (name: string, lines: readonly string[]): Promise<void> =>
      writeFile(this.#path('config', name), `${lines.join('\n')}\n`, { mode: 0o644 });
    const { transports, mailboxes } = this.#settings;
    const next = Object.values(transports);
    await write('tls.pem', [tls.certificate]);
    await write('tls.key', [tls.key]);
    await write('master.cf', [`127.0.0.1:${this.port} inet n - n - - smtpd`, ...SERVICES]);
    await write(
      'mailboxes',
      Object.entries(mailboxes).map(([mailbox, name]) => `${mailbox} ${name}/`),
    );
    await write(
      'transports',
      Object.entries(transports).map(([domain, at]) => `${domain} smtp:${bracketed(at)}`),
    );
    await write(
      'policies',
      next.map((at) => `${bracketed(at)} verify match=localhost`),
    );
    await write('refused', []);
    await write('main.cf', this.#main(uid, gid));
    await succeed('postfix', ['-c', this.#path('config'), 'check'], this.#how);
  }

  #main(uid: number, gid: number): string[] {
    const table = (name: string): string => `texthash:${this.#path('config', name)}`;
    const domains = new Set(Object.keys(this.#settings.mailboxes).map((mailbox) => mailbox.replace(/^.*@/, '')));
    return [
      'compatibility_level = 3.6',
      `queue_directory = ${this.#path('queue')}`,
      `data_directory = ${this.#path('data')}`,
      `maillog_file = ${this.#path('log')}`,
      `maillog_file_prefixes = ${this.#settings.directory}`,
      ...['myhostname = mx.old.test', 'mydestination =', 'mynetworks = 127.0.0.0/8', 'local_header_rewrite_clients ='],
      ...['inet_interfaces = 127.0.0.1', 'inet_protocols = ipv4', 'smtp_dns_support_level = disabled'],
      ...['alias_maps =', 'smtputf8_enable = yes', `message_size_limit = ${this.#settings.largestBytes}`],
      ...['smtpd_tls_security_level = may', 'smtpd_tls_received_header = yes'],
      `smtpd_tls_cert_file = ${this.#path('config', 'tls.pem')}`,
      `smtpd_tls_key_file = ${this.#path('config', 'tls.key')}`,
      `smtpd_recipient_restrictions = check_recipient_access ${table('refused')}, permit_mynetworks, reject`,
      ...[`smtp_tls_CAfile = ${this.#settings.caPath}`, `smtp_tls_policy_maps = ${table('policies')}`],
      ...['smtp_tls_security_level = may', 'smtp_tls_loglevel = 1', `transport_maps = ${table('transports')}`],
      `virtual_mailbox_domains = ${[...domains].join(', ')}`,
      ...[`virtual_mailbox_base = ${this.#path('mail')}`, `virtual_mailbox_maps = ${table('mailboxes')}`],
      ...[`virtual_uid_maps = static:${uid}`, `virtual_gid_maps = static:${gid}`, 'virtual_minimum_uid = 100'],
      'virtual_mailbox_limit = 0',
    ];
  }

  async start(): Promise<void> {
    const { stdout } = await succeed('postconf', ['-c', this.#path('config'), '-h', 'daemon_directory'], this.#how);
    const master = join(stdout.toString('utf8').trim(), 'master');
    // A group of its own: it ends its children by it.
    this.#master = startProgram('setsid', [master, '-c', this.#path('config'), '-d'], this.#how);
    await this.until(async () => (await this.log()).split('daemon started').length > this.#starts);
    this.#starts += 1;
  }

  #starts = 1;

  async stop(): Promise<void> {
    if (this.#master !== null) await endProgram(this.#master);
    this.#master = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  log(): Promise<string> {
    return readFile(this.#path('log'), 'utf8').catch(() => '');
  }

  /** Why each message in the queue waits; null for one that was not tried yet. */
  async queue(): Promise<(string | null)[]> {
    const { stdout } = await succeed('postqueue', ['-c', this.#path('config'), '-j'], this.#how);
    return stdout
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { recipients: { delay_reason?: string }[] })
      .map(({ recipients }) => recipients[0]?.delay_reason ?? null);
  }

  /** Tries everything again now. */
  async flush(): Promise<void> {
    await succeed('postqueue', ['-c', this.#path('config'), '-f'], this.#how);
  }

  /** Tries again until nothing is left to be sent. */
  async drain(): Promise<void> {
    await this.until(async () => {
      const left = await this.queue();
      if (left.some((reason) => reason !== null)) await this.flush();
      return left.length === 0;
    });
  }

  /** Refuses recipients: `grey@old.test 450 4.2.0 come again`. */
  async refuse(lines: readonly string[]): Promise<void> {
    await writeFile(this.#path('config', 'refused'), `${lines.join('\n')}\n`);
    await succeed('postfix', ['-c', this.#path('config'), 'reload'], this.#how);
  }

  /** What was delivered to a Maildir, in CRLF lines. */
  async mails(name: string): Promise<Buffer[]> {
    const files = await readdir(this.#path('mail', name, 'new')).catch(() => []);
    return Promise.all(
      files.sort().map(async (file) => {
        const text = await readFile(this.#path('mail', name, 'new', file), 'latin1');
        return Buffer.from(text.replace(/\n/g, '\r\n'), 'latin1');
      }),
    );
  }

  async mailsReach(name: string, count: number): Promise<Buffer[]> {
    await this.until(async () => (await this.mails(name)).length >= count);
    return this.mails(name);
  }

  async until(holds: () => Promise<boolean>): Promise<void> {
    for (const deadline = Date.now() + WAIT_MS; Date.now() < deadline; await pause(LOOK_AGAIN_MS))
      if (await holds()) return;
    throw new Error(`it did not come to that in time; Postfix says: ${(await this.log()).slice(-3_000)}`);
  }
}

/** So that no MX is asked. */
const bracketed = (at: string): string => at.replace(/^([^:]+)/, '[$1]');

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
