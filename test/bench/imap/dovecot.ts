/**
 * The peer: a Dovecot of its own, from the binary on the PATH, in a temporary directory, on a loopback port. Everything it
 * keeps (configuration, sockets, mail, log) lies there; one that the system may run is not touched.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createAuthority, issueCertificate } from '../../../src/admin/certificates.ts';
import type { Place } from './raw-client.ts';

const run = promisify(execFile);
const PASSWORD = 'bench-password';
const START_MS = 10_000;

export interface Dovecot extends AsyncDisposable {
  readonly version: string;
  readonly place: Place;
}

/** Null when there is no Dovecot on the PATH. `directory` belongs to the caller. */
export async function startDovecot(directory: string): Promise<Dovecot | null> {
  const version = await run('dovecot', ['--version']).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
  if (version === null) return null;
  const authority = await createAuthority();
  const port = await freePort();
  await layOut(directory, {
    port,
    ...(await issueCertificate({ authority, names: ['localhost'], ips: ['127.0.0.1'] })),
  });
  const child = spawn('dovecot', ['-F', '-c', join(directory, 'dovecot.conf')], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  const place = { port, ca: authority.certificate, user: 'bench', password: PASSWORD };
  const dispose = async (): Promise<void> => {
    if (child.exitCode === null) child.kill('SIGTERM');
    await exited;
  };
  try {
    await Promise.race([answers(port), exited.then(() => Promise.reject(new Error('Dovecot ended at its start')))]);
  } catch (cause) {
    await dispose();
    const said = await readFile(join(directory, 'log'), 'utf8').catch(() => '');
    throw new Error(`Dovecot does not start: ${said}`, { cause });
  }
  return { version, place, [Symbol.asyncDispose]: dispose };
}

interface Identity {
  /** Who keeps the mail. Dovecot lets nobody read mail as root. */
  mail: { uid: number; gid: number };
  lines: string[];
}

/** As root Dovecot divides its work among users; as somebody else everything is hers. */
async function identityOf(): Promise<Identity> {
  const { uid, gid, username } = userInfo();
  const idOf = async (flag: string): Promise<number> => Number((await run('id', [flag, 'nobody'])).stdout);
  if (uid === 0) return { mail: { uid: await idOf('-u'), gid: await idOf('-g') }, lines: [] };
  const group = (await run('id', ['-gn'])).stdout.trim();
  const names = ['default_internal_user', 'default_login_user'].map((name) => `${name} = ${username}`);
  return { mail: { uid, gid }, lines: [...names, `default_internal_group = ${group}`] };
}

async function layOut(directory: string, tls: { port: number; certificate: string; key: string }): Promise<void> {
  const { mail, lines } = await identityOf();
  const place = (name: string): string => join(directory, name);
  await chmod(directory, 0o755);
  await mkdir(place('mail'), { recursive: true });
  await chown(place('mail'), mail.uid, mail.gid);
  await writeFile(place('tls.pem'), tls.certificate);
  await writeFile(place('tls.key'), tls.key, { mode: 0o600 });
  await writeFile(place('dovecot.conf'), configuration(place, tls.port, mail, lines));
}

function configuration(
  place: (name: string) => string,
  port: number,
  { uid, gid }: Identity['mail'],
  lines: readonly string[],
): string {
  return [
    `base_dir = ${place('run')}`,
    `state_dir = ${place('state')}`,
    `log_path = ${place('log')}`,
    'protocols = imap',
    'listen = 127.0.0.1',
    'ssl = required',
    `ssl_cert = <${place('tls.pem')}`,
    `ssl_key = <${place('tls.key')}`,
    'first_valid_uid = 1',
    `mail_location = mdbox:${place('mail')}/%u`,
    // Ready processes, as on a server that is in use.
    'service imap-login {\n  chroot =\n  service_count = 0\n  process_min_avail = 1',
    `  inet_listener imap {\n    port = 0\n  }\n  inet_listener imaps {\n    port = ${port}\n    ssl = yes\n  }\n}`,
    'service imap {\n  process_min_avail = 4\n}',
    'service anvil {\n  chroot =\n}',
    'passdb {\n  driver = static',
    `  args = password=${PASSWORD}\n}`,
    `userdb {\n  driver = static\n  args = uid=${uid} gid=${gid} home=${place('mail')}/%u\n}`,
    ...lines,
    '',
  ].join('\n');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function answers(port: number): Promise<void> {
  for (const deadline = Date.now() + START_MS; Date.now() < deadline; await pause(50)) {
    const socket = connect({ host: '127.0.0.1', port });
    const there = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (there) return;
  }
  throw new Error('no answer in time');
}
